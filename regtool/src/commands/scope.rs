//! `scope create`, `scope list`, `scope delete`.

use comfy_table::Row;
use libreg::{Access, CreateKey, Guid};
use serde_json::json;

use super::Session;
use crate::cli::{ScopeCreate, ScopeList, ScopeName, Scopes};
use crate::exit::Failure;
use crate::output::{self, Out};

/// Where the scopes are.
pub const SCOPES: &str = "Machine\\System\\Registry\\Scopes";

pub fn scope(session: &mut Session, command: &Scopes) -> Result<(), Failure> {
    match command {
        Scopes::Create(options) => create(session, options),
        Scopes::List(options) => list(session, options),
        Scopes::Delete(options) => delete(session, options),
    }
}

/// The path of a scope's key.
pub(super) fn key_of(scope: Guid) -> String {
    format!("{SCOPES}\\{scope}")
}

fn create(session: &mut Session, options: &ScopeCreate) -> Result<(), Failure> {
    let scope = options.guid.unwrap_or_else(|| Guid(uuid::Uuid::new_v4().into_bytes()));
    let how = CreateKey::default();
    session.registry()?.create_key(&key_of(scope), Access::MAXIMUM_ALLOWED, &how)?;
    let mut out = Out::stdout();
    if options.output.json {
        out.json(&json!({ "scope": scope.to_string() }))?;
    } else {
        out.line(scope)?;
    }
    out.finish()
}

fn list(session: &mut Session, options: &ScopeList) -> Result<(), Failure> {
    let hives = session.outside()?.status()?.hives;
    let key = session.registry()?.open_key(SCOPES, Access::ENUMERATE_SUB_KEYS)?;
    let scopes = key.subkeys(false).collect::<Result<Vec<_>, _>>()?;
    let hives_of = |scope: &str| -> Vec<&str> {
        let here = hives.iter().filter(|hive| hive.scope.is_some_and(|of| of.to_string() == scope));
        here.map(|hive| hive.name.as_str()).collect()
    };
    let mut out = Out::stdout();
    if options.output.json {
        let scopes = scopes.iter().map(|scope| {
            let hives = hives_of(&scope.name);
            json!({ "scope": scope.name, "hives": hives })
        });
        out.json(&scopes.collect())?;
    } else if !scopes.is_empty() {
        let mut table = output::table(&["SCOPE", "HIVES"]);
        for scope in &scopes {
            let hives = hives_of(&scope.name).join(", ");
            let cells =
                [scope.name.as_str(), &hives].map(|cell| output::one_line(cell).into_owned());
            table.add_row(Row::from(cells.to_vec()));
        }
        out.text(&output::table_text(table))?;
    }
    out.finish()
}

fn delete(session: &mut Session, options: &ScopeName) -> Result<(), Failure> {
    let key = session.registry()?.open_link(&key_of(options.guid), Access::DELETE)?;
    Ok(key.delete(None)?)
}
