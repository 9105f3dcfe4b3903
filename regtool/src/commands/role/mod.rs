//! `role install`, `role remove`, `role list`.
//!
//! A role is a layer of precedence 0 whose key bears a mark, the value `Role`, and what the role is for, the value
//! `Description`. So layers that others made are no roles, whatever their precedence.

mod fill;
mod install;

use comfy_table::Row;
use libreg::data::{Data, interpret};
use libreg::{Access, Error, Key, Registry};
use serde_json::{Value as Json, json};

use super::Session;
use super::layer::{ENABLED, LAYERS, PRECEDENCE, key_of};
use crate::cli::{Role, RoleList, RoleRemove};
use crate::exit::{Code, Failure};
use crate::output::{self, Out};

/// The mark of a role, a DWORD that is 1.
const MARK: &str = "Role";
/// What a role is for, text.
const DESCRIPTION: &str = "Description";

pub fn role(session: &mut Session, options: &Role) -> Result<(), Failure> {
    match options {
        Role::Install(options) => install::install(session, options),
        Role::Remove(options) => remove(session, options),
        Role::List(options) => list(session, options),
    }
}

fn remove(session: &mut Session, options: &RoleRemove) -> Result<(), Failure> {
    let name = &options.name;
    let failed = |what: &str, code| {
        Err(Failure::Partial { subject: name.clone(), what: what.to_owned(), code })
    };
    let path = key_of(name)?;
    let registry = session.registry()?;
    let key = match registry.open_key(&path, Access::QUERY_VALUE | Access::DELETE) {
        Err(error) if error.is_not_found() => return failed("no such role", Code::NotFound),
        key => key?,
    };
    if installed(name, &key)?.is_none() {
        return failed("a layer that is not a role; nothing was done", Code::Other);
    }
    Ok(key.delete(None)?)
}

fn list(session: &mut Session, options: &RoleList) -> Result<(), Failure> {
    let roles = installed_roles(session.registry()?)?;
    let mut out = Out::stdout();
    if options.output.json {
        out.json(&roles.iter().map(Installed::json).collect::<Json>())?;
    } else {
        let mut table = output::table(&["NAME", "ENABLED", "DESCRIPTION"]);
        for role in &roles {
            table.add_row(Row::from(vec![
                output::one_line(&role.name).into_owned(),
                if role.enabled { "yes" } else { "no" }.to_owned(),
                output::one_line(role.description.as_deref().unwrap_or_default()).into_owned(),
            ]));
        }
        out.text(&output::table_text(table))?;
    }
    out.finish()
}

/// A role that is installed.
struct Installed {
    name: String,
    description: Option<String>,
    /// Not yet, if it is being installed into several hives, or not any more.
    enabled: bool,
}

impl Installed {
    fn json(&self) -> Json {
        json!({ "name": self.name, "description": self.description, "enabled": self.enabled })
    }
}

/// The roles that the caller may see, in the order of their folded names.
fn installed_roles(registry: &Registry) -> Result<Vec<Installed>, Failure> {
    let layers = registry.open_key(LAYERS, Access::ENUMERATE_SUB_KEYS)?;
    let mut roles = Vec::new();
    for subkey in layers.subkeys(false) {
        let name = subkey?.name;
        match layers.open_key(&name, Access::QUERY_VALUE) {
            Ok(key) => roles.extend(installed(&name, &key)?),
            // It is being removed, or not for the caller to see.
            Err(error) if error.is_not_found() || error.is_access_denied() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(roles)
}

/// The role that a layer's key is of, if it is one.
fn installed(name: &str, key: &Key) -> Result<Option<Installed>, Error> {
    if number(key, MARK)? != Some(1) || number(key, PRECEDENCE)?.unwrap_or(0) != 0 {
        return Ok(None);
    }
    let description = with_value(key, DESCRIPTION, |data| match data {
        Data::Text(text) => Some(text.to_owned()),
        _ => None,
    })?;
    let enabled = number(key, ENABLED)? != Some(0);
    Ok(Some(Installed { name: name.to_owned(), description, enabled }))
}

fn number(key: &Key, name: &str) -> Result<Option<u64>, Error> {
    with_value(key, name, |data| match data {
        Data::Number(number) => Some(number),
        _ => None,
    })
}

/// What a value is, if it is there and means something.
fn with_value<T>(
    key: &Key,
    name: &str,
    read: impl FnOnce(Data) -> Option<T>,
) -> Result<Option<T>, Error> {
    match key.value(name) {
        Ok(value) => Ok(read(interpret(value.value_type, &value.data))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
