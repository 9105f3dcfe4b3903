//! The layer of a policy.
//!
//! It is a key of Machine. A policy that goes into that hive is one transaction with it. One that goes into another
//! hive cannot be: its layer is made first, when nothing is in it and it makes no difference to anybody, and is taken
//! back if the policy cannot be imported.

use libreg::{Access, CreateKey, Registry, SetValue, ValueType};

use super::{File, layer_of};
use crate::cli::Import;
use crate::commands::Session;
use crate::commands::changes::{Changes, hive_of};
use crate::commands::layer::{LAYERS, PRECEDENCE, key_of};
use crate::exit::{Code, Failure, complain};
use crate::formats::Kind;

/// What a policy has unless it is said: it wins over `base` and roles.
const USUAL_PRECEDENCE: u32 = 1;

/// A layer that has to be made.
pub struct PolicyLayer {
    /// The path of its key.
    pub path: String,
    precedence: u32,
    /// It is there already, made before the transactions.
    made_first: bool,
}

/// The layer that an import needs and that is not there, made if it has to be first.
pub fn wanted(
    session: &mut Session,
    options: &Import,
    files: &[File],
) -> Result<Option<PolicyLayer>, Failure> {
    let policies = files.iter().filter(|file| file.document.kind == Kind::Pol);
    let Some(name) = policies.clone().find_map(|file| layer_of(file, options)) else {
        return Ok(None);
    };
    let path = key_of(name)?;
    let registry = session.registry()?;
    match registry.open_key(&path, Access::QUERY_VALUE) {
        Ok(key) => {
            if let Some(wanted) = options.precedence {
                let found = precedence_of(&key)?;
                if found != wanted {
                    complain(&format_args!(
                        "{name}: is there, with precedence {found}, which stays (regtool layer precedence)"
                    ));
                }
            }
            return Ok(None);
        }
        // It is there.
        Err(error) if error.is_access_denied() => return Ok(None),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let precedence = options.precedence.unwrap_or(USUAL_PRECEDENCE);
    let elsewhere = policies
        .flat_map(|file| file.document.plan.hives())
        .any(|hive| hive_of(&hive) != hive_of(LAYERS));
    let mut layer = PolicyLayer { path, precedence, made_first: false };
    if elsewhere {
        let failed = |what: &str, code| {
            let subject = name.to_owned();
            Err(Failure::Partial { subject, what: what.to_owned(), code })
        };
        if session.in_transaction() {
            return failed(
                "a layer for another hive than Machine is made before the transaction",
                Code::Usage,
            );
        }
        if options.dry_run {
            return failed(
                "there is no such layer, and for another hive than Machine a dry run makes none \
                 (regtool layer create)",
                Code::Other,
            );
        }
        let changes = Changes::begin(session, [LAYERS])?;
        layer.make(changes.registry(LAYERS))?;
        changes.commit()?;
        layer.made_first = true;
    }
    Ok(Some(layer))
}

impl PolicyLayer {
    /// The hive of its key, if it has yet to be made there.
    pub fn hive(&self) -> Option<String> {
        (!self.made_first).then(|| LAYERS.to_owned())
    }

    /// Makes it with the other changes, if it has yet to be made.
    pub fn make_with(&self, changes: &Changes) -> Result<(), Failure> {
        if self.made_first { Ok(()) } else { self.make(changes.registry(LAYERS)) }
    }

    /// Deletes it if it was made before what could not be done.
    pub fn take_back(&self, session: &mut Session) {
        if !self.made_first {
            return;
        }
        let deleted = session.registry().and_then(|registry| {
            Ok(registry.open_key(&self.path, Access::DELETE)?.delete(None)?)
        });
        if let Err(failure) = deleted {
            complain(&failure);
        }
    }

    fn make(&self, registry: &Registry) -> Result<(), Failure> {
        let key = registry.create_key(&self.path, Access::SET_VALUE, &CreateKey::default())?;
        let number = self.precedence.to_le_bytes();
        let how = SetValue::default();
        key.set_value(PRECEDENCE, ValueType::Dword.code(), &number, &how)?;
        Ok(())
    }
}

fn precedence_of(key: &libreg::Key) -> Result<u32, Failure> {
    match key.value(PRECEDENCE) {
        Ok(value) => Ok(<[u8; 4]>::try_from(value.data.as_slice()).map_or(0, u32::from_le_bytes)),
        Err(error) if error.is_not_found() => Ok(0),
        Err(error) => Err(error.into()),
    }
}
