//! `layer list`, `layer create`, `layer delete`, `layer enable`, `layer disable`, `layer precedence`.

use comfy_table::Row;
use libreg::data::{Data, interpret};
use libreg::security::{Parts, Sid};
use libreg::{Access, BASE_LAYER, CreateKey, Error, Key, Registry, SetValue, ValueType, fold};
use serde_json::{Value as Json, json};

use super::Session;
use super::changes::Changes;
use crate::accounts;
use crate::cli::{LayerCreate, LayerList, LayerName, LayerPrecedence, Layers};
use crate::exit::{Code, Failure};
use crate::output::{self, Out};
use crate::path::is_separator;

/// Where the layers are.
pub const LAYERS: &str = "Machine\\System\\Registry\\Layers";
const PENDING_DELETION: &str = "Machine\\System\\Registry\\PendingDeletion";

/// A DWORD; 0 if it is not there.
pub(super) const PRECEDENCE: &str = "Precedence";
/// A DWORD, 0 or 1; 1 if it is not there.
pub(super) const ENABLED: &str = "Enabled";
const OWNER: &str = "Owner";

pub fn layer(session: &mut Session, command: &Layers) -> Result<(), Failure> {
    match command {
        Layers::List(options) => list(session, options),
        Layers::Create(options) => create(session, options),
        Layers::Delete(options) => delete(session, options),
        Layers::Enable(options) => set(session, &options.name, ENABLED, 1),
        Layers::Disable(options) => set(session, &options.name, ENABLED, 0),
        Layers::Precedence(LayerPrecedence { name, precedence }) => {
            set(session, name, PRECEDENCE, *precedence)
        }
    }
}

/// The path of a layer's key.
pub(super) fn key_of(layer: &str) -> Result<String, Failure> {
    if layer.is_empty() || layer.contains(is_separator) {
        let what = "a layer's name is not empty, and has no \\ or / in it".to_owned();
        return Err(Failure::Usage { subject: layer.to_owned(), what });
    }
    if fold(layer) == BASE_LAYER {
        let what = "this layer is always there, and stays as it is".to_owned();
        return Err(Failure::Partial { subject: layer.to_owned(), what, code: Code::Other });
    }
    Ok(format!("{LAYERS}\\{layer}"))
}

fn create(session: &mut Session, options: &LayerCreate) -> Result<(), Failure> {
    let path = key_of(&options.name)?;
    let changes = Changes::begin(session, [path.as_str()])?;
    let access = Access::SET_VALUE | Access::READ_CONTROL;
    let key = changes.registry(&path).create_key(&path, access, &CreateKey::default())?;
    if !key.info()?.created {
        let what = "there is a layer of this name".to_owned();
        let subject = options.name.clone();
        return Err(Failure::Partial { subject, what, code: Code::Other });
    }
    if let Some(precedence) = options.precedence {
        set_number(&key, PRECEDENCE, precedence)?;
    }
    if options.disabled {
        set_number(&key, ENABLED, 0)?;
    }
    Ok(changes.commit()?)
}

fn delete(session: &mut Session, options: &LayerName) -> Result<(), Failure> {
    let path = key_of(&options.name)?;
    let key = session.registry()?.open_link(&path, Access::DELETE)?;
    Ok(key.delete(None)?)
}

fn set(session: &mut Session, layer: &str, name: &str, number: u32) -> Result<(), Failure> {
    let path = key_of(layer)?;
    let key = session.registry()?.open_key(&path, Access::SET_VALUE)?;
    Ok(set_number(&key, name, number)?)
}

fn set_number(key: &Key, name: &str, number: u32) -> Result<(), Error> {
    let value_type = ValueType::Dword.code();
    key.set_value(name, value_type, &number.to_le_bytes(), &SetValue::default()).map(drop)
}

/// A layer as its key describes it. What cannot be read, or is not valid, is not known.
#[derive(Debug, Default, PartialEq, Eq)]
struct Described {
    name: String,
    precedence: Option<u32>,
    enabled: Option<bool>,
    owner: Option<Sid>,
}

fn list(session: &mut Session, options: &LayerList) -> Result<(), Failure> {
    let registry = session.registry()?;
    let layers = described(registry)?;
    let pending = pending(registry);
    let mut out = Out::stdout();
    if options.output.json {
        out.json(&layers_json(&layers, &pending))?;
    } else {
        out.text(&layers_text(&layers, &pending))?;
    }
    out.finish()
}

/// The layers, the highest precedence first and `base` last.
fn described(registry: &Registry) -> Result<Vec<Described>, Failure> {
    let key = registry.open_key(LAYERS, Access::ENUMERATE_SUB_KEYS)?;
    let mut layers = Vec::new();
    for subkey in key.subkeys(false) {
        layers.extend(describe(&key, subkey?.name)?);
    }
    // Stable: among equals by name.
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.precedence));
    let name = BASE_LAYER.to_owned();
    layers.push(Described { name, precedence: Some(0), enabled: Some(true), owner: None });
    Ok(layers)
}

/// A layer; `None` if it has gone meanwhile.
fn describe(layers: &Key, name: String) -> Result<Option<Described>, Error> {
    let key = match layers.open_key(&name, Access::MAXIMUM_ALLOWED) {
        Ok(key) => key,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) if error.is_access_denied() => {
            return Ok(Some(Described { name, ..Described::default() }));
        }
        Err(error) => return Err(error),
    };
    let enabled = match number(&key, ENABLED, 1)? {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    };
    let precedence = number(&key, PRECEDENCE, 0)?;
    Ok(Some(Described { precedence, enabled, owner: owner(&key)?, name }))
}

fn number(key: &Key, name: &str, default: u32) -> Result<Option<u32>, Error> {
    match key.value(name) {
        Ok(value) if value.value_type == ValueType::Dword.code() => {
            Ok(match interpret(value.value_type, &value.data) {
                Data::Number(number) => u32::try_from(number).ok(),
                _ => None,
            })
        }
        Ok(_) => Ok(None),
        Err(error) if error.is_not_found() => Ok(Some(default)),
        Err(error) if error.is_access_denied() => Ok(None),
        Err(error) => Err(error),
    }
}

fn owner(key: &Key) -> Result<Option<Sid>, Error> {
    let owner = match key.value(OWNER) {
        Ok(value) => return Ok(Sid::from_bytes(&value.data).ok()),
        Err(error) if error.is_not_found() => key.security(Parts::OWNER),
        Err(error) => Err(error),
    };
    match owner {
        Ok(sd) => Ok(sd.owner),
        Err(error) if error.is_not_found() || error.is_access_denied() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A layer whose deletion is not complete, and the hives whose sources still have to take part.
#[derive(Debug, PartialEq, Eq)]
struct Pending {
    name: String,
    hives: Vec<String>,
}

/// The layers whose deletion is not complete; none for those who may not see them.
fn pending(registry: &Registry) -> Vec<Pending> {
    let Ok(key) = registry.open_key(PENDING_DELETION, Access::ENUMERATE_SUB_KEYS) else {
        return Vec::new();
    };
    let names = key.subkeys(false).filter_map(|subkey| subkey.ok().map(|subkey| subkey.name));
    let hives = |name: &str| -> Vec<String> {
        let layer = key.open_key(name, Access::QUERY_VALUE);
        let hives = layer.map(|layer| layer.values().filter_map(Result::ok).collect::<Vec<_>>());
        hives.unwrap_or_default().into_iter().map(|hive| hive.name).collect()
    };
    names.map(|name| Pending { hives: hives(&name), name }).collect()
}

fn layers_text(layers: &[Described], pending: &[Pending]) -> String {
    let unknown = || "?".to_owned();
    let mut table = output::table(&["NAME", "PRECEDENCE", "ENABLED", "OWNER"]);
    for layer in layers {
        let enabled = layer.enabled.map(|enabled| if enabled { "yes" } else { "no" }.to_owned());
        table.add_row(Row::from(vec![
            output::one_line(&layer.name).into_owned(),
            layer.precedence.map_or_else(unknown, |precedence| precedence.to_string()),
            enabled.unwrap_or_else(unknown),
            layer.owner.as_ref().map(accounts::who).unwrap_or_default(),
        ]));
    }
    let mut text = output::table_text(table);
    for Pending { name, hives } in pending {
        let (name, hives) = (output::one_line(name), hives.join(", "));
        let hives = output::one_line(&hives);
        text.push_str(&format!("\n{name} is being deleted; it waits for: {hives}\n"));
    }
    text
}

fn layers_json(layers: &[Described], pending: &[Pending]) -> Json {
    let layers = layers.iter().map(|layer| {
        json!({
            "name": layer.name,
            "precedence": layer.precedence,
            "enabled": layer.enabled,
            "owner": layer.owner.as_ref().map(accounts::json),
        })
    });
    let pending = pending.iter().map(|layer| json!({ "name": layer.name, "hives": layer.hives }));
    json!({ "layers": layers.collect::<Json>(), "pending_deletion": pending.collect::<Json>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_with_what_is_not_known_of_them() {
        let policy = Described {
            name: "policy".to_owned(),
            precedence: Some(10),
            enabled: Some(false),
            owner: Some(Sid::SYSTEM),
        };
        let secret = Described { name: "secret".to_owned(), ..Described::default() };
        let gone = Pending { name: "old".to_owned(), hives: vec!["Users".to_owned()] };
        assert_eq!(
            layers_text(&[policy, secret], &[gone]),
            "NAME    PRECEDENCE  ENABLED  OWNER\n\
             policy  10          no       SYSTEM\n\
             secret  ?           ?\n\n\
             old is being deleted; it waits for: Users\n"
        );
    }

    #[test]
    fn a_layer_has_one_name_and_base_is_not_for_changing() {
        assert_eq!(key_of("x").unwrap(), "Machine\\System\\Registry\\Layers\\x");
        assert_eq!(key_of("a/b").unwrap_err().code(), Code::Usage);
        assert_eq!(key_of("").unwrap_err().code(), Code::Usage);
        assert_eq!(key_of("BASE").unwrap_err().code(), Code::Other);
    }
}
