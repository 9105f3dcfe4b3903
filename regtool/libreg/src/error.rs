//! What can go wrong, and how to say it.

use std::fmt;
use std::io;

use lcs_abi::Guid;
use lcs_abi::call::OPEN_LINK;
use lcs_abi::security::Access;
use lcs_core::model::fold;
use lcs_core::security::Parts;
use libredox::errno::*;

use crate::{backup, denial};

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The key's path, as the program gave it; empty for the registry as a whole.
    pub path: String,
    /// What was to be done there.
    pub attempt: Attempt,
    /// Why it was not.
    pub cause: Cause,
}

/// What a program wanted. Names and layers are as it gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// Open the registry itself.
    Connect,
    /// Ask how the registry is.
    Status,
    /// Open a key.
    OpenKey {
        /// The rights that were asked for.
        access: Access,
        /// If the key is a link, then the link and not its target.
        link: bool,
    },
    /// Create a key, or open it.
    CreateKey {
        /// The layer, if one was named.
        layer: Option<String>,
        /// The rights that were asked for.
        access: Access,
        /// It was to be a link.
        link: bool,
    },
    /// Make a root with more in its view.
    View {
        /// The scopes that were to be joined.
        scopes: Vec<Guid>,
        /// The layers that were to be attached.
        layers: Vec<String>,
    },
    /// Make a handle with fewer rights from another one.
    Restrict {
        /// The rights that were to remain.
        access: Access,
    },
    /// Begin a transaction.
    Begin,
    /// Commit a transaction.
    Commit,
    /// Ask how a transaction is.
    TransactionStatus,
    /// Ask about a key.
    KeyInfo,
    /// List subkeys.
    ListSubkeys,
    /// Delete a key.
    DeleteKey {
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Hide a key.
    HideKey {
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Take back that a subkey is hidden.
    Unhide {
        /// Its name.
        child: String,
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Watch a key.
    Watch,
    /// Ask why something is what it is.
    Explain,
    /// Read a value.
    QueryValue {
        /// Its name.
        name: String,
    },
    /// List values.
    ListValues,
    /// Write a value.
    SetValue {
        /// Its name.
        name: String,
        /// The layer, if one was named.
        layer: Option<String>,
        /// The sequence number that the layer's entry had to have.
        expected_sequence: Option<u64>,
    },
    /// Delete a value.
    DeleteValue {
        /// Its name.
        name: String,
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Change several values.
    ChangeValues {
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Make several keys, and change their values.
    ChangeKeys {
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Mask a value.
    SetTombstone {
        /// Its name.
        name: String,
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Mask all values.
    SetBlanket {
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Take back that all values are masked.
    ClearBlanket {
        /// The layer, if one was named.
        layer: Option<String>,
    },
    /// Read the security descriptor.
    GetSecurity {
        /// Which parts of it.
        parts: Parts,
    },
    /// Write the security descriptor.
    SetSecurity {
        /// Which parts of it.
        parts: Parts,
    },
    /// Begin a backup.
    Backup,
    /// Read the stream of a backup.
    ReadBackup,
    /// Have a copy of a hive made.
    StoreCopy,
    /// Begin a restore.
    Restore,
    /// Write the stream of a restore.
    WriteRestore,
    /// Carry out a restore.
    FinishRestore,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An error number of the system (INTERFACES.md §2, "Errors").
    Errno(i32),
    /// The answer is not what this version of the interface says.
    Malformed,
}

impl Attempt {
    /// Opens a key, with the flags of the interface.
    pub(crate) fn open(access: Access, flags: u32) -> Attempt {
        Attempt::OpenKey { access, link: flags & OPEN_LINK != 0 }
    }
}

impl Error {
    /// The error number, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) => Some(errno),
            Cause::Malformed => None,
        }
    }

    /// Whether something is not there.
    pub fn is_not_found(&self) -> bool {
        !self.is_unavailable() && self.errno() == Some(ENOENT)
    }

    /// Whether the caller may not do this.
    pub fn is_access_denied(&self) -> bool {
        matches!(self.errno(), Some(EACCES | EPERM))
    }

    /// Whether the registry, or the source of the hive, is not there or did not answer in time: what was
    /// asked may be possible later, and whether a change happened may be unknown.
    pub fn is_unavailable(&self) -> bool {
        let somebody_did = self.is_access_denied() || self.errno() == Some(EMFILE);
        let nobody_answers = self.attempt == Attempt::Connect && !somebody_did;
        nobody_answers || matches!(self.errno(), Some(EIO | ENODEV | ETIMEDOUT))
    }

    /// Whether it is more than a limit of the registry allows: a value's size, a transaction's, and others.
    pub fn is_over_limit(&self) -> bool {
        self.errno() == Some(ENOSPC)
    }

    /// Whether a commit failed because somebody else changed what it relied on, or a condition did not hold: a
    /// new transaction can look again.
    pub fn is_conflict(&self) -> bool {
        self.attempt == Attempt::Commit && self.errno() == Some(EAGAIN)
    }

    /// The privilege that was missing, where it is one (EPERM) and it is known which.
    pub fn missing_privilege(&self) -> Option<&'static str> {
        match &self.attempt {
            _ if self.errno() != Some(EPERM) => None,
            // The new owner is neither the caller nor one of its groups.
            Attempt::SetSecurity { parts } => parts.contains(Parts::OWNER).then_some("SeRestore"),
            // A precedence above 0.
            Attempt::SetValue { name, .. } => {
                let precedence = fold(name) == "precedence" && denial::is_layer(&self.path);
                precedence.then_some("SeTcb")
            }
            Attempt::Backup | Attempt::StoreCopy => Some("SeBackup"),
            Attempt::Restore => Some("SeRestore"),
            // Whoever could begin has the other one.
            Attempt::WriteRestore | Attempt::FinishRestore => Some("SeTcb"),
            // A layer with a precedence above 0. Administrators may make links without it.
            Attempt::View { .. } | Attempt::CreateKey { link: true, .. } => Some("SeTcb"),
            _ => None,
        }
    }

    /// What happened, without the path.
    pub fn what_happened(&self) -> String {
        let errno = match self.cause {
            Cause::Errno(errno) => errno,
            Cause::Malformed => return "the registry's answer cannot be understood".to_owned(),
        };
        match (errno, &self.attempt) {
            (_, Attempt::Connect) if self.is_unavailable() => {
                "the registry is not running".to_owned()
            }
            (ENOENT, _) => self.what_is_missing(),
            (EINVAL, Attempt::DeleteKey { .. }) => "cannot be deleted".to_owned(),
            (EINVAL, Attempt::HideKey { .. }) => "cannot be hidden".to_owned(),
            (EEXIST, Attempt::HideKey { layer }) => {
                format!("the layer {} has this key itself; delete it there", named(layer))
            }
            (EINVAL, Attempt::Unhide { child, layer }) => {
                format!("the layer {} does not hide {child}", named(layer))
            }
            (EINVAL, Attempt::CreateKey { link: true, .. }) => {
                "not a valid path or target, or not possible there".to_owned()
            }
            (ENOSPC, Attempt::View { .. }) => {
                "more scopes or layers than a view can have (MaxScopeGUIDsPerToken, \
                 MaxPrivateLayersPerToken)"
                    .to_owned()
            }
            (EBADF, Attempt::View { .. }) => "a view is not made in a transaction".to_owned(),
            (EINVAL, Attempt::OpenKey { .. } | Attempt::CreateKey { .. }) => {
                "not a valid path, or not possible there".to_owned()
            }
            (EINVAL, Attempt::SetValue { .. } | Attempt::SetTombstone { .. }) => {
                "not a valid value name or type, or not possible there".to_owned()
            }
            (EINVAL, Attempt::SetSecurity { .. }) => {
                "not a possible security descriptor".to_owned()
            }
            // Everything was asked for that can be had.
            (EACCES, Attempt::OpenKey { access: Access::MAXIMUM_ALLOWED, .. }) => {
                "access denied: no right at all is granted".to_owned()
            }
            (EPERM, _) => match self.missing_privilege() {
                Some(privilege) => format!("access denied: it takes the privilege {privilege}"),
                None => general_words(errno),
            },
            (EAGAIN, Attempt::Commit) => {
                "something was changed meanwhile, or a condition did not hold; nothing was done"
                    .to_owned()
            }
            (EIO | ETIMEDOUT, Attempt::Commit) => {
                "the hive's source is down or failed; it may or may not have happened".to_owned()
            }
            (EINVAL, Attempt::Commit) => {
                "the transaction is over, or nothing was written in it".to_owned()
            }
            (EBUSY, Attempt::CreateKey { .. }) if denial::is_layer(&self.path) => {
                "a layer of this name is being deleted".to_owned()
            }
            (EBUSY, Attempt::Begin) => "too many transactions at once".to_owned(),
            (EAGAIN, Attempt::SetValue { name, expected_sequence: Some(0), layer }) => {
                format!("the layer {} has a value {}", named(layer), Name(name))
            }
            (EAGAIN, Attempt::SetValue { name, expected_sequence: Some(expected), .. }) => {
                format!("the sequence number of value {} is not {expected}", Name(name))
            }
            (_, attempt) => match backup::words(attempt, errno) {
                Some(words) => words.to_owned(),
                None => general_words(errno),
            },
        }
    }

    fn what_is_missing(&self) -> String {
        match &self.attempt {
            Attempt::CreateKey { layer: None, .. } | Attempt::ChangeKeys { layer: None } => {
                "no such parent key".to_owned()
            }
            Attempt::CreateKey { layer: Some(layer), .. }
            | Attempt::ChangeKeys { layer: Some(layer) } => {
                format!("no such parent key, or no such layer: {layer}")
            }
            Attempt::QueryValue { name } => format!("no such value: {}", Name(name)),
            Attempt::DeleteKey { layer } => {
                format!("the layer {} does not have this key", named(layer))
            }
            Attempt::SetValue { layer: Some(layer), .. }
            | Attempt::DeleteValue { layer: Some(layer), .. }
            | Attempt::SetTombstone { layer: Some(layer), .. }
            | Attempt::ChangeValues { layer: Some(layer) }
            | Attempt::SetBlanket { layer: Some(layer) }
            | Attempt::ClearBlanket { layer: Some(layer) }
            | Attempt::HideKey { layer: Some(layer) }
            | Attempt::Unhide { layer: Some(layer), .. } => format!("no such layer: {layer}"),
            Attempt::Restrict { .. } => "no such layer".to_owned(),
            Attempt::View { scopes, layers } => match (scopes.as_slice(), layers.as_slice()) {
                ([scope], []) => format!("no such scope: {scope}"),
                ([], [layer]) => format!("no such layer: {layer}"),
                _ => "no such scope or layer".to_owned(),
            },
            Attempt::OpenKey { .. } if denial::is_layer(&self.path) => "no such layer".to_owned(),
            Attempt::OpenKey { .. } if denial::is_scope(&self.path) => "no such scope".to_owned(),
            Attempt::OpenKey { .. } => "no such key".to_owned(),
            _ => "the key is no longer there".to_owned(),
        }
    }
}

/// The layer that was meant.
fn named(layer: &Option<String>) -> &str {
    layer.as_deref().unwrap_or(lcs_abi::BASE_LAYER)
}

/// What an error number means whatever was attempted.
fn general_words(errno: i32) -> String {
    match errno {
        EACCES => "access denied",
        EPERM => "access denied: it takes a privilege",
        EINVAL => "not a valid request",
        ENAMETOOLONG => "a name or the whole path is too long",
        ENOSPC => "more than a limit of the registry allows (MaxValueSize, MaxTransactionBytes, …)",
        EMFILE => "too many open handles",
        EAGAIN => "the registry is busy, or a condition did not hold",
        ECANCELED => "interrupted",
        ENODEV => "the registry is gone",
        EXDEV => "a transaction changes one hive, and this is another one",
        ENOTEMPTY => "has subkeys",
        ELOOP => "too many links, or links in a circle",
        ETIMEDOUT => "the source did not answer in time; it may or may not have happened",
        EIO => "the hive's source is down or failed",
        EBUSY => "too many transactions at once, or the layer is being deleted",
        EEXIST => "hidden by this layer",
        EOVERFLOW => "no sequence numbers are left",
        EOPNOTSUPP => "the registry or the source cannot do this",
        other => return std::io::Error::from_raw_os_error(other).to_string(),
    }
    .to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what_happened())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// An error of the kind that the number has, with this one in it.
    fn from(error: Error) -> io::Error {
        let kind = error.errno().map(|errno| io::Error::from_raw_os_error(errno).kind());
        io::Error::new(kind.unwrap_or(io::ErrorKind::InvalidData), error)
    }
}

/// A value's name as people write it.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "@" } else { self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Attempt = Attempt::OpenKey { access: Access::MAXIMUM_ALLOWED, link: false };

    fn error(attempt: Attempt, errno: i32) -> Error {
        Error { path: "Machine\\X".to_owned(), attempt, cause: Cause::Errno(errno) }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let missing = |attempt| error(attempt, ENOENT).to_string();
        assert_eq!(missing(OPEN), "Machine\\X: no such key");
        let name = String::new();
        assert_eq!(missing(Attempt::QueryValue { name }), "Machine\\X: no such value: @");
        let write = Attempt::DeleteValue { name: "n".into(), layer: Some("policy".into()) };
        assert_eq!(missing(write), "Machine\\X: no such layer: policy");
        assert!(error(OPEN, ENOENT).is_not_found());
    }

    #[test]
    fn an_absent_registry_is_unavailable_whatever_the_system_says() {
        for errno in [ENOENT, ENODEV, ECONNREFUSED] {
            let error = error(Attempt::Connect, errno);
            assert!(error.is_unavailable() && !error.is_not_found());
            assert_eq!(error.what_happened(), "the registry is not running");
        }
        assert!(error(Attempt::Connect, EACCES).is_access_denied());
        assert!(!error(Attempt::Connect, EACCES).is_unavailable());
        assert!(!error(Attempt::Connect, EMFILE).is_unavailable());
        assert!(error(Attempt::Connect, EMFILE).to_string().ends_with("too many open handles"));
        assert!(error(Attempt::KeyInfo, EIO).is_unavailable());
    }

    #[test]
    fn a_privilege_is_named_where_it_is_known_which() {
        let new_owner = Attempt::SetSecurity { parts: Parts::OWNER | Parts::DACL };
        assert_eq!(
            error(new_owner, EPERM).to_string(),
            "Machine\\X: access denied: it takes the privilege SeRestore"
        );
        let set = |path: &str, name: &str| Error {
            path: path.to_owned(),
            attempt: Attempt::SetValue {
                name: name.to_owned(),
                layer: None,
                expected_sequence: None,
            },
            cause: Cause::Errno(EPERM),
        };
        let layer = "Machine\\System\\Registry\\Layers\\policy";
        assert_eq!(set(layer, "Precedence").missing_privilege(), Some("SeTcb"));
        assert_eq!(set(layer, "Owner").missing_privilege(), None);
        assert_eq!(set("Machine\\X", "Precedence").missing_privilege(), None);
        assert_eq!(set("Machine\\X", "a").what_happened(), "access denied: it takes a privilege");
        let privilege = |attempt| error(attempt, EPERM).missing_privilege();
        assert_eq!(privilege(Attempt::Backup), Some("SeBackup"));
        assert_eq!(privilege(Attempt::Restore), Some("SeRestore"));
        assert_eq!(privilege(Attempt::FinishRestore), Some("SeTcb"));
        assert_eq!(error(Attempt::Restore, EACCES).missing_privilege(), None);
    }

    #[test]
    fn what_a_layer_or_a_view_lacks_is_named() {
        let unhide = || Attempt::Unhide { child: "b".into(), layer: None };
        let text = error(unhide(), EINVAL).what_happened();
        assert_eq!(text, "the layer base does not hide b");
        let view = |scopes: &[Guid], layers: &[&str]| Attempt::View {
            scopes: scopes.to_vec(),
            layers: layers.iter().map(|layer| (*layer).to_owned()).collect(),
        };
        let missing = |attempt| error(attempt, ENOENT).what_happened();
        assert_eq!(missing(view(&[], &["test"])), "no such layer: test");
        let scope = "no such scope: 00000000-0000-0000-0000-000000000000";
        assert_eq!(missing(view(&[Guid::default()], &[])), scope);
        assert_eq!(missing(view(&[Guid::default()], &["test"])), "no such scope or layer");
        assert_eq!(error(view(&[], &["test"]), EPERM).missing_privilege(), Some("SeTcb"));
        let layer =
            Error { path: "Machine/System/Registry/Layers/x".into(), ..error(OPEN, ENOENT) };
        assert_eq!(layer.what_happened(), "no such layer");
    }

    #[test]
    fn who_asks_for_all_that_can_be_had_and_gets_nothing_has_no_right() {
        assert_eq!(
            error(OPEN, EACCES).what_happened(),
            "access denied: no right at all is granted"
        );
        let read = Attempt::OpenKey { access: Access::KEY_READ, link: false };
        assert_eq!(error(read, EACCES).what_happened(), "access denied");
    }
}
