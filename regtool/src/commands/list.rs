//! `list`.

use comfy_table::Row;
use libreg::data::type_name;
use libreg::{Access, HiveState, Subkey};
use serde_json::json;

use super::{CURRENT_USER, Session, link};
use crate::cli::List;
use crate::exit::Failure;
use crate::output::{self, Out};
use crate::path::Path;

pub fn list(session: &mut Session, options: &List) -> Result<(), Failure> {
    let path = session.optional_path(options.path.as_deref())?;
    if path.is_root() {
        hives(session, options.output.json)
    } else {
        key(session, &path, options.output.json)
    }
}

fn hives(session: &mut Session, as_json: bool) -> Result<(), Failure> {
    let hives = session.hives()?;
    let mut out = Out::stdout();
    if as_json {
        let hives: Vec<_> = hives
            .iter()
            .map(|hive| {
                json!({
                    "name": hive.name,
                    "scope": hive.scope.map(|scope| scope.to_string()),
                    "state": state_name(hive.state),
                })
            })
            .collect();
        out.json(&json!({ "hives": hives, "alias": CURRENT_USER }))?;
    } else {
        let mut table = output::table(&["NAME", "TYPE", "STATE"]);
        for hive in &hives {
            table.add_row(Row::from(vec![
                output::one_line(&hive.name).as_ref(),
                if hive.scope.is_some() { "private hive" } else { "hive" },
                state_name(hive.state),
            ]));
        }
        table.add_row(Row::from(vec![CURRENT_USER, "alias", ""]));
        out.text(&output::table_text(table))?;
    }
    out.finish()
}

/// A hive's state in a word.
pub(super) fn state_name(state: HiveState) -> &'static str {
    match state {
        HiveState::Starting => "starting",
        HiveState::Up => "up",
        HiveState::Down => "down",
    }
}

fn key(session: &mut Session, path: &Path, as_json: bool) -> Result<(), Failure> {
    let access = Access::QUERY_VALUE | Access::ENUMERATE_SUB_KEYS;
    let key = session.registry()?.open_key(&path.key()?, access)?;
    let subkeys = key.subkeys(false).collect::<Result<Vec<_>, _>>()?;
    let values = key.values().collect::<Result<Vec<_>, _>>()?;
    let target = |subkey: &Subkey| -> Option<String> {
        let link = subkey.link.then(|| key.open_link(&subkey.name, Access::QUERY_VALUE).ok())??;
        link::target_of(&link)
    };
    let mut out = Out::stdout();
    if as_json {
        let subkeys: Vec<_> = subkeys
            .iter()
            .map(|subkey| {
                let mut json = json!({
                    "name": subkey.name,
                    "last_write": output::time(subkey.last_write),
                    "link": subkey.link,
                    "volatile": subkey.volatile,
                });
                if subkey.link {
                    json["target"] = json!(target(subkey));
                }
                json
            })
            .collect();
        let values: Vec<_> = values.iter().map(output::named_value_json).collect();
        out.json(&json!({ "subkeys": subkeys, "values": values }))?;
    } else if !(subkeys.is_empty() && values.is_empty()) {
        let mut table = output::table(&["NAME", "TYPE", "DATA"]);
        for subkey in &subkeys {
            let name = format!("{}\\", output::one_line(&subkey.name));
            let target = target(subkey).map(|target| format!("-> {}", output::one_line(&target)));
            let target = target.unwrap_or_default();
            table.add_row(Row::from(vec![name.as_str(), kind(subkey), target.as_str()]));
        }
        for value in &values {
            table.add_row(Row::from(vec![
                output::value_name(&value.name).into_owned(),
                type_name(value.value_type),
                output::data_line(value.value_type, &value.data, out.data_limit()),
            ]));
        }
        out.text(&output::table_text(table))?;
    }
    out.finish()
}

fn kind(subkey: &Subkey) -> &'static str {
    match (subkey.link, subkey.volatile) {
        (true, _) => "link",
        (false, true) => "volatile key",
        (false, false) => "key",
    }
}
