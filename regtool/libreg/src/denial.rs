//! Which right was missing: LCS says EACCES and nothing else, so that a client finds out by asking again.

use std::fmt;

use lcs_abi::{BASE_LAYER, Guid};
use lcs_core::model::fold;
use lcs_core::security::{map_generic, rights};
use libredox::errno::EACCES;

use crate::error::{Attempt, Error};
use crate::key::Key;
use crate::registry::Registry;
use crate::{Access, KeyInfo};

/// Where the layers are: writing into one takes SET_VALUE on its key here.
const LAYERS: [&str; 4] = ["Machine", "System", "Registry", "Layers"];

/// Where the scopes are: joining one takes CREATE_SUB_KEY on its key here.
const SCOPES: [&str; 4] = ["Machine", "System", "Registry", "Scopes"];

/// Rights that a privilege gives to those who ask for them by name, and not for whatever can be had.
const BY_NAME: Access = Access::ACCESS_SYSTEM_SECURITY.union(Access::WRITE_OWNER);

/// Rights that a caller lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRights {
    /// The key on which it lacks them; not always the one that it wanted something of.
    pub path: String,
    /// The rights; at least one.
    pub rights: Access,
    /// The layer whose key that is, if it is there for that.
    pub layer: Option<String>,
}

impl fmt::Display for MissingRights {
    /// `SET_VALUE is missing on Machine\Software`, with several rights `… are missing on …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.layer {
            None => write!(f, "{} on {path}", self.words()),
            Some(layer) => write!(f, "{} on the layer {layer} ({path})", self.words()),
        }
    }
}

impl MissingRights {
    /// As the text form, without the key: `SET_VALUE is missing`.
    pub fn words(&self) -> String {
        let names: Vec<_> = rights()
            .filter(|(right, _)| self.rights.contains(*right))
            .map(|(_, name)| name)
            .collect();
        match names.as_slice() {
            [name] => format!("{name} is missing"),
            names => format!("{} are missing", names.join(", ")),
        }
    }
}

impl Registry {
    /// Finds out which rights were missing when an open, or what else goes by a path, failed with EACCES.
    ///
    /// It asks for what the caller can have now: that takes several requests, each of which may be audited
    /// like any other, and what it says is a guess if somebody changes rights meanwhile. `None`: the error is
    /// another one, or it is not to be found out: the handle was opened with less than the caller can have
    /// ([`Key::missing_rights`] tells), or the rights are those of a key that would have been made.
    pub fn missing_rights(&self, error: &Error) -> Option<MissingRights> {
        if error.errno() != Some(EACCES) {
            return None;
        }
        let path = error.path.as_str();
        match &error.attempt {
            Attempt::CreateKey { access, layer, link } => {
                match self.missing_on(path, *link, *access) {
                    Granted::NoKey => {
                        self.missing_to_create(path, *access, layer.as_deref(), *link)
                    }
                    found => found.missing(path),
                }
            }
            Attempt::View { scopes, layers } => self.missing_to_join(scopes, layers),
            // Nothing was asked for by name.
            Attempt::OpenKey { access: Access::MAXIMUM_ALLOWED, .. } => None,
            Attempt::OpenKey { access, link } => {
                self.missing_on(path, *link, *access).missing(path)
            }
            attempt if attempt.rights().is_empty() => None,
            attempt => {
                let on_key = self.missing_on(path, false, attempt.rights()).missing(path);
                on_key.or_else(|| self.missing_on_layer(attempt.layer()?, Access::SET_VALUE))
            }
        }
    }

    fn missing_to_create(
        &self,
        path: &str,
        access: Access,
        layer: Option<&str>,
        link: bool,
    ) -> Option<MissingRights> {
        let (parent, _) = path.rsplit_once(['\\', '/'])?;
        let for_link = if link { Access::CREATE_LINK } else { Access::empty() };
        let wanted = Access::CREATE_SUB_KEY | for_link;
        let on_parent = self.missing_on(parent, false, wanted).missing(parent);
        let before = on_parent.or_else(|| self.missing_on_layer(layer?, Access::SET_VALUE));
        // Else the new key would not have granted it; where that is one right it is known which.
        let one_right = access.bits().is_power_of_two() && rights_of(access) == access;
        before.or_else(|| {
            one_right.then(|| MissingRights { path: path.to_owned(), rights: access, layer: None })
        })
    }

    fn missing_on_layer(&self, layer: &str, wanted: Access) -> Option<MissingRights> {
        if fold(layer) == BASE_LAYER {
            return None;
        }
        let path = [LAYERS.as_slice(), &[layer]].concat().join("\\");
        let missing = self.missing_on(&path, false, wanted).missing(&path)?;
        Some(MissingRights { layer: Some(layer.to_owned()), ..missing })
    }

    fn missing_to_join(&self, scopes: &[Guid], layers: &[String]) -> Option<MissingRights> {
        let on_scope = |scope: &Guid| {
            let path = [SCOPES.as_slice(), &[&scope.to_string()]].concat().join("\\");
            let granted = match self.missing_on(&path, false, Access::CREATE_SUB_KEY) {
                // Whether a scope is there is not for those to know who may not join it.
                Granted::NoKey => Granted::AllBut(Access::CREATE_SUB_KEY),
                granted => granted,
            };
            granted.missing(&path)
        };
        let on_layer = |layer: &String| self.missing_on_layer(layer, Access::CREATE_SUB_KEY);
        scopes.iter().find_map(on_scope).or_else(|| layers.iter().find_map(on_layer))
    }

    /// Which of these rights the caller cannot have.
    fn missing_on(&self, path: &str, link: bool, wanted: Access) -> Granted {
        let open = |access| {
            if link { self.open_link(path, access) } else { self.open_key(path, access) }
        };
        let granted = match open(Access::MAXIMUM_ALLOWED).and_then(|key| key.info()) {
            Ok(info) => mask(&info),
            Err(error) if error.errno() == Some(EACCES) => Access::empty(),
            Err(error) if error.is_not_found() => return Granted::NoKey,
            Err(_) => return Granted::Unknown,
        };
        let missing = rights_of(wanted) - granted;
        let by_name = (missing & BY_NAME).iter().filter(|right| open(*right).is_ok());
        Granted::AllBut(by_name.fold(missing, |missing, right| missing - right))
    }
}

impl Key {
    /// Which of the rights that an operation on this handle needs it does not have. `None`: the error is not
    /// one of such an operation, or the handle has them all.
    pub fn missing_rights(&self, error: &Error) -> Option<MissingRights> {
        if error.errno() != Some(EACCES) {
            return None;
        }
        let missing = error.attempt.rights() - mask(&self.info().ok()?);
        Granted::AllBut(missing).missing(self.path())
    }
}

/// What a caller is granted of what it wants.
enum Granted {
    /// All but these rights, which may be none.
    AllBut(Access),
    /// There is no such key.
    NoKey,
    /// The registry does not say.
    Unknown,
}

impl Granted {
    fn missing(self, path: &str) -> Option<MissingRights> {
        match self {
            Granted::AllBut(rights) if !rights.is_empty() => {
                Some(MissingRights { path: path.to_owned(), rights, layer: None })
            }
            _ => None,
        }
    }
}

impl Attempt {
    /// What an operation on a handle needs of the handle.
    fn rights(&self) -> Access {
        match self {
            Attempt::Restrict { access } => rights_of(*access),
            Attempt::ListSubkeys => Access::ENUMERATE_SUB_KEYS,
            Attempt::QueryValue { .. } | Attempt::ListValues | Attempt::Explain => {
                Access::QUERY_VALUE
            }
            Attempt::SetValue { .. }
            | Attempt::DeleteValue { .. }
            | Attempt::ChangeValues { .. }
            | Attempt::SetTombstone { .. }
            | Attempt::SetBlanket { .. }
            | Attempt::ClearBlanket { .. } => Access::SET_VALUE,
            Attempt::DeleteKey { .. } | Attempt::HideKey { .. } => Access::DELETE,
            Attempt::Unhide { .. } => Access::CREATE_SUB_KEY,
            Attempt::Watch => Access::NOTIFY,
            Attempt::GetSecurity { parts } => parts.rights_to_read(),
            Attempt::SetSecurity { parts } => parts.rights_to_write(),
            Attempt::Connect
            | Attempt::Status
            | Attempt::View { .. }
            | Attempt::Begin
            | Attempt::Commit
            | Attempt::TransactionStatus
            | Attempt::KeyInfo
            | Attempt::Backup
            | Attempt::ReadBackup
            | Attempt::StoreCopy
            | Attempt::Restore
            | Attempt::WriteRestore
            | Attempt::FinishRestore
            | Attempt::OpenKey { .. }
            | Attempt::ChangeKeys { .. }
            | Attempt::CreateKey { .. } => Access::empty(),
        }
    }

    /// The layer that it writes into, if one was named.
    fn layer(&self) -> Option<&str> {
        match self {
            Attempt::CreateKey { layer, .. }
            | Attempt::DeleteKey { layer }
            | Attempt::HideKey { layer }
            | Attempt::Unhide { layer, .. }
            | Attempt::SetValue { layer, .. }
            | Attempt::DeleteValue { layer, .. }
            | Attempt::SetTombstone { layer, .. }
            | Attempt::ChangeValues { layer }
            | Attempt::ChangeKeys { layer }
            | Attempt::SetBlanket { layer }
            | Attempt::ClearBlanket { layer } => layer.as_deref(),
            _ => None,
        }
    }
}

/// The rights of a key that a request's mask asks for by name.
fn rights_of(access: Access) -> Access {
    map_generic(access - Access::MAXIMUM_ALLOWED)
}

fn mask(info: &KeyInfo) -> Access {
    Access::from_bits_retain(info.access)
}

/// Whether this is the path of a layer's key.
pub(crate) fn is_layer(path: &str) -> bool {
    is_child(path, LAYERS)
}

/// Whether this is the path of a scope's key.
pub(crate) fn is_scope(path: &str) -> bool {
    is_child(path, SCOPES)
}

fn is_child(path: &str, parent: [&str; 4]) -> bool {
    let mut names = path.split(['\\', '/']);
    let below =
        parent.iter().all(|above| names.next().is_some_and(|name| fold(name) == fold(above)));
    below && names.next().is_some() && names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_named_with_their_key() {
        let missing = |rights, layer: Option<&str>| MissingRights {
            path: "Machine\\X".to_owned(),
            rights,
            layer: layer.map(str::to_owned),
        };
        let one = missing(Access::SET_VALUE, None);
        assert_eq!(one.to_string(), "SET_VALUE is missing on Machine\\X");
        let two = missing(Access::DELETE | Access::QUERY_VALUE, None);
        assert_eq!(two.words(), "QUERY_VALUE, DELETE are missing");
        let layer = missing(Access::SET_VALUE, Some("policy"));
        assert_eq!(layer.to_string(), "SET_VALUE is missing on the layer policy (Machine\\X)");
    }

    #[test]
    fn layers_are_known_by_their_place() {
        assert!(is_layer("Machine\\System\\Registry\\Layers\\policy"));
        assert!(is_layer("machine/SYSTEM/registry/layers/policy"));
        assert!(!is_layer("Machine\\System\\Registry\\Layers"));
        assert!(!is_layer("Machine\\System\\Registry\\Layers\\policy\\x"));
        assert!(!is_layer("Users\\System\\Registry\\Layers\\policy"));
        assert!(is_scope("Machine\\System\\Registry\\Scopes\\x"));
        assert!(!is_layer("Machine\\System\\Registry\\Scopes\\x"));
    }

    #[test]
    fn what_an_operation_needs_of_its_handle() {
        use crate::security::Parts;
        let parts = Parts::OWNER | Parts::DACL;
        let write = Access::WRITE_OWNER | Access::WRITE_DAC;
        assert_eq!(Attempt::SetSecurity { parts }.rights(), write);
        assert_eq!(
            Attempt::GetSecurity { parts: Parts::SACL }.rights(),
            Access::ACCESS_SYSTEM_SECURITY
        );
        assert_eq!(Attempt::Restrict { access: Access::GENERIC_READ }.rights(), Access::KEY_READ);
    }
}
