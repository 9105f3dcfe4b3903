//! `get`, `set`, `unset`.

use libreg::data::{self, Data, interpret};
use libreg::{Access, CreateKey, Error, Key, Registry, SetValue, ValueType};
use regman::Manual;
use serde_json::json;

use super::changes::Changes;
use super::key::create_parents;
use super::{Session, value_name};
use crate::cli::{Get, Set, Unset};
use crate::exit::{Failure, complain};
use crate::output::{self, Out};
use crate::path::Path;

pub fn get(session: &mut Session, options: &Get) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let name = value_name(&options.name.name, options.name.literal);
    let value = session.registry()?.open_key(&path, Access::QUERY_VALUE)?.value(name)?;
    let mut out = Out::stdout();
    if options.output.json {
        let mut json =
            output::value_json(value.value_type, &value.data, &value.layer, value.sequence);
        json.insert("name".to_owned(), json!(name));
        out.json(&json.into())?;
    } else {
        match interpret(value.value_type, &value.data) {
            Data::List(strings) if strings.is_empty() => {}
            meant if out.terminal => out.line(output::lines(&meant.to_string()))?,
            meant => out.line(meant)?,
        }
    }
    out.finish()
}

pub fn set(session: &mut Session, options: &Set) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    let name = value_name(&options.name.name, options.name.literal);
    let registry = session.registry()?;
    let value_type = match options.value_type {
        Some(value_type) => value_type,
        None => existing_type(registry, &path, name)?.unwrap_or(ValueType::Sz),
    };
    let data = data::parse(value_type, &options.data).map_err(|error| Failure::Usage {
        subject: path.to_string(),
        what: format!("a value of type {} {error}", data::type_name(value_type.code())),
    })?;
    let layer = options.layer.layer.as_deref();
    let how = SetValue { layer, expected_sequence: options.if_sequence };
    let write = |key: &Key| key.set_value(name, value_type.code(), &data, &how);
    // Where a link leads is written to the link, and all else to what it leads to.
    let key = match options.value_type {
        Some(ValueType::Link) => registry.open_link(&path.key()?, Access::SET_VALUE),
        _ => registry.open_key(&path.key()?, Access::SET_VALUE),
    };
    let sequence = match key {
        Err(error) if options.parents && error.is_not_found() => {
            write_new(session, &path, layer, &write)?;
            // Its number was given out at the end.
            let written = session.registry()?.open_key(&path.key()?, Access::QUERY_VALUE);
            written.and_then(|key| key.value(name)).ok().map(|value| value.sequence)
        }
        key => Some(write(&key?)?),
    };
    warn(&path, name, value_type, &data);
    if options.output.json {
        let mut out = Out::stdout();
        out.json(&json!({ "sequence": sequence }))?;
        out.finish()?;
    }
    Ok(())
}

/// Says on stderr what the manual calls wrong with data that was written. The path is taken as it was written:
/// what a link leads to is not known here.
fn warn(path: &Path, name: &str, value_type: ValueType, data: &[u8]) {
    // What is wrong with the manual itself is for regman and doctor to tell.
    let (manual, _) = Manual::of_this_machine();
    let entry = manual.value(path, name);
    if let Some(what) = entry.and_then(|entry| entry.contradiction(value_type.code(), data)) {
        let name = output::value_name(name);
        complain(&format_args!("{path}: warning: {name}: by the manual, {what}"));
    }
}

pub fn unset(session: &mut Session, options: &Unset) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let name = value_name(&options.name.name, options.name.literal);
    let key = session.registry()?.open_key(&path, Access::SET_VALUE)?;
    key.delete_value(name, options.layer.layer.as_deref())?;
    Ok(())
}

/// Makes a key, and the keys that lead to it, and writes to it.
fn write_new(
    session: &mut Session,
    path: &Path,
    layer: Option<&str>,
    write: &dyn Fn(&Key) -> Result<u64, Error>,
) -> Result<(), Failure> {
    let key = path.key()?;
    let changes = Changes::begin(session, [key.as_str()])?;
    let registry = changes.registry(&key);
    create_parents(registry, path, layer)?;
    let how = CreateKey { layer, ..CreateKey::default() };
    write(&registry.create_key(&key, Access::SET_VALUE, &how)?)?;
    Ok(changes.commit()?)
}

/// The type of the effective value, if there is one and the caller may see it.
fn existing_type(
    registry: &Registry,
    path: &Path,
    name: &str,
) -> Result<Option<ValueType>, Failure> {
    let value =
        registry.open_key(&path.key()?, Access::QUERY_VALUE).and_then(|key| key.value(name));
    match value {
        Ok(value) => Ok(ValueType::from_code(value.value_type)),
        // Writing says what is wrong, if it is.
        Err(error) if error.is_not_found() || error.is_access_denied() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
