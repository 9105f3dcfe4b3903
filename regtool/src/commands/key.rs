//! `create`, `info`, `check`.

use libreg::security::{Parts, Sid};
use libreg::{Access, CreateKey, KeyInfo, Registry};
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::{Session, link, value_name};
use crate::accounts;
use crate::cli::{Check, Create, Info};
use crate::exit::Failure;
use crate::output::{self, Out};
use crate::path::Path;
use crate::rights;

pub fn create(session: &mut Session, options: &Create) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    let key = path.key()?;
    let layer = options.layer.layer.as_deref();
    let target = options.link.as_deref().map(|target| link::parse_target(session, target));
    let target = target.transpose()?;
    let how = CreateKey { layer, volatile: options.volatile, link: target.as_deref() };
    let create = |registry: &Registry| -> Result<(), Failure> {
        let key = registry.create_key(&key, Access::MAXIMUM_ALLOWED, &how)?;
        target.as_deref().map_or(Ok(()), |target| link::require(&key, target))
    };
    match create(session.registry()?) {
        Err(Failure::Registry(error)) if options.parents && error.is_not_found() => {
            let changes = Changes::begin(session, [key.as_str()])?;
            let registry = changes.registry(&key);
            create_parents(registry, &path, layer)?;
            create(registry)?;
            Ok(changes.commit()?)
        }
        outcome => outcome,
    }
}

/// Makes what is missing between the hive and a key.
pub(super) fn create_parents(
    registry: &Registry,
    path: &Path,
    layer: Option<&str>,
) -> Result<(), Failure> {
    let how = CreateKey { layer, ..CreateKey::default() };
    // The first is the hive, which only its source makes.
    for ancestor in path.ancestors().skip(1) {
        registry.create_key(&ancestor.key()?, Access::MAXIMUM_ALLOWED, &how)?;
    }
    Ok(())
}

pub fn check(session: &mut Session, options: &Check) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let registry = session.registry()?;
    let found = match &options.name {
        None => registry.open_key(&path, Access::MAXIMUM_ALLOWED).map(drop),
        Some(name) => registry
            .open_key(&path, Access::QUERY_VALUE)
            .and_then(|key| key.value(value_name(name, options.literal)))
            .map(drop),
    };
    found.map_err(|error| if error.is_not_found() { Failure::No } else { error.into() })
}

pub fn info(session: &mut Session, options: &Info) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let key = session.registry()?.open_link(&path, Access::MAXIMUM_ALLOWED)?;
    let info = key.info()?;
    let target = link::target_in_words(&key, &info);
    // It takes the same right.
    let owner = match &info.details {
        Some(_) => key.security(Parts::OWNER)?.owner,
        None => None,
    };
    let mut out = Out::stdout();
    if options.output.json {
        let mut json = info_json(&info, owner.as_ref());
        if target.is_some() {
            json["target"] = json!(link::target_of(&key));
        }
        out.json(&json)?;
    } else {
        for (what, text) in info_lines(&info, owner.as_ref(), target) {
            out.line(format_args!("{what:<17} {text}"))?;
        }
    }
    out.finish()
}

fn info_lines(
    info: &KeyInfo,
    owner: Option<&Sid>,
    target: Option<String>,
) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(details) = &info.details {
        let kind = match (details.link, details.volatile) {
            (false, false) => "key",
            (false, true) => "volatile key",
            (true, false) => "link",
            (true, true) => "volatile link",
        };
        lines.extend([
            ("Path", output::one_line(&details.path).into_owned()),
            ("Name", output::one_line(&details.name).into_owned()),
            ("Kind", kind.to_owned()),
        ]);
        lines.extend(target.map(|target| ("Leads to", output::one_line(&target).into_owned())));
        lines.extend([
            ("GUID", details.guid.to_string()),
            ("Last write", output::time(details.last_write)),
            ("Subkeys", details.counts.subkeys.to_string()),
            ("Values", details.counts.values.to_string()),
            ("Longest subkey", format!("{} bytes", details.max_subkey_name)),
            ("Longest name", format!("{} bytes", details.max_value_name)),
            ("Largest data", format!("{} bytes", details.max_value_data)),
            ("SD", format!("{} bytes", details.sd_size)),
            ("Hive's generation", details.generation.to_string()),
        ]);
    }
    lines.extend(owner.map(|owner| ("Owner", accounts::who(owner))));
    let rights = rights::names(Access::from_bits_retain(info.access)).join(" ");
    lines.push(("Your rights", format!("{rights} ({:#x})", info.access)));
    lines
}

fn info_json(info: &KeyInfo, owner: Option<&Sid>) -> Json {
    let rights = rights::names(Access::from_bits_retain(info.access));
    let mut json = json!({ "access": info.access, "rights": rights });
    if let Some(owner) = owner {
        json["owner"] = accounts::json(owner);
    }
    if let Some(details) = &info.details {
        json["path"] = json!(details.path);
        json["name"] = json!(details.name);
        json["guid"] = json!(details.guid.to_string());
        json["last_write"] = json!(output::time(details.last_write));
        json["volatile"] = json!(details.volatile);
        json["link"] = json!(details.link);
        json["subkeys"] = json!(details.counts.subkeys);
        json["values"] = json!(details.counts.values);
        json["max_subkey_name"] = json!(details.max_subkey_name);
        json["max_value_name"] = json!(details.max_value_name);
        json["max_value_data"] = json!(details.max_value_data);
        json["sd_size"] = json!(details.sd_size);
        json["generation"] = json!(details.generation);
    }
    json
}
