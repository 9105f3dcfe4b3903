//! Writing a draft.

use libreg::{Access, CreateKey, Registry, SetValue};

use super::draft::{Change, Draft};
use crate::commands::Session;
use crate::commands::changes::{Changes, hive_of};
use crate::commands::delete::delete_tree;
use crate::exit::{Code, Failure};
use crate::path::Path;

/// Writes all changes, durably, in a transaction for each hive; then the draft has none. Says how many they were.
///
/// # Errors
/// Why nothing was written, or not in all hives; the draft has what was not.
pub fn save(
    session: &mut Session,
    draft: &mut Draft,
    layer: Option<&str>,
) -> Result<usize, Failure> {
    let count = draft.changes().len();
    let paths: Vec<String> = draft.changes().iter().map(|one| one.key().to_string()).collect();
    let changes = Changes::begin(session, paths.iter().map(String::as_str))?;
    for change in draft.changes() {
        make(changes.registry(&change.key().to_string()), change, layer)?;
    }
    match changes.commit() {
        Ok(()) => {
            draft.retain(|_| false);
            Ok(count)
        }
        Err(failed) => {
            draft.retain(|change| !failed.made_in.contains(&hive_of(&change.key().to_string())));
            if failed.unknown {
                let subject = failed.failure.to_string();
                let what = "it is not known whether it was written".to_owned();
                return Err(Failure::Partial { subject, what, code: Code::Other });
            }
            Err(failed.failure)
        }
    }
}

fn make(registry: &Registry, change: &Change, layer: Option<&str>) -> Result<(), Failure> {
    let open = |key: &Path, access| registry.open_link(&key.to_string(), access);
    match change {
        Change::Set { key, name, value_type, data } => {
            let how = SetValue { layer, ..SetValue::default() };
            open(key, Access::SET_VALUE)?.set_value(name, *value_type, data, &how)?;
        }
        Change::Unset { key, name } => open(key, Access::SET_VALUE)?.delete_value(name, layer)?,
        Change::Create { key } => {
            let how = CreateKey { layer, ..CreateKey::default() };
            registry.create_key(&key.to_string(), Access::READ_CONTROL, &how)?;
        }
        Change::Delete { key } => delete_tree(registry, key, layer)?,
    }
    Ok(())
}
