//! `role install`.

use libreg::{Access, CreateKey, Registry, SetValue, ValueType, fold};

use super::fill::{Filling, Refused, SD_WOULD_STAY};
use super::{DESCRIPTION, MARK};
use crate::cli::RoleInstall;
use crate::commands::changes::{self, Changes};
use crate::commands::layer::{ENABLED, LAYERS};
use crate::commands::{Session, read_file};
use crate::exit::{Code, Failure, complain};
use crate::formats::role::{Problem, Role, parse};

pub fn install(session: &mut Session, options: &RoleInstall) -> Result<(), Failure> {
    let file = options.file.display().to_string();
    let told = |problems: Vec<Problem>| {
        for Problem { line, what } in &problems {
            complain(&format_args!("{file}:{line}: {what}"));
        }
        let what = format!("{} errors; nothing was installed", problems.len());
        Failure::Partial { subject: file.clone(), what, code: Code::Other }
    };
    let role = parse(&read_file(&options.file)?).map_err(told)?;
    let registry = session.registry()?;
    let outcome = match what_is_in_the_way(registry, &role) {
        Ok(problems) if problems.is_empty() => match hives(&role).as_slice() {
            [] => install_at_once(session, &role),
            [hive] if *hive == fold("Machine") => install_at_once(session, &role),
            hives => install_by_hive(session, &role, hives),
        },
        Ok(problems) => return Err(told(problems)),
        Err(refused) => Err(refused.into()),
    };
    outcome.map_err(|NotInstalled { refused, what }| {
        complain(&format_args!("{file}:{}: {}", refused.line, refused.failure));
        let code = refused.failure.code();
        Failure::Partial { subject: file.clone(), what: what.to_owned(), code }
    })
}

/// Why a role is not installed.
struct NotInstalled {
    refused: Refused,
    /// What came of it.
    what: &'static str,
}

const NOTHING: &str = "nothing was installed";
const NOT_KNOWN: &str = "it is not known whether it was installed";

impl From<Refused> for NotInstalled {
    fn from(refused: Refused) -> NotInstalled {
        NotInstalled { refused, what: NOTHING }
    }
}

impl NotInstalled {
    /// A failure of the role as a whole: it is told with the line of its name.
    fn whole(role: &Role, failure: Failure) -> NotInstalled {
        Refused::new(role.name.line, failure).into()
    }
}

/// The hives in which a role has keys, folded, each once.
fn hives(role: &Role) -> Vec<String> {
    let mut hives: Vec<String> = Vec::new();
    for key in &role.keys {
        hives.extend(key.path.item.names().first().map(|hive| fold(hive)));
    }
    hives.sort_unstable();
    hives.dedup();
    hives
}

/// What can be said to be wrong before anything is done. It is looked at again as it is done.
fn what_is_in_the_way(registry: &Registry, role: &Role) -> Result<Vec<Problem>, Refused> {
    let mut problems = Vec::new();
    let name = &role.name;
    if is_there(registry, name.line, &layer_path(role))? {
        problems.push(Problem { line: name.line, what: taken(&name.item).to_string() });
    }
    for key in &role.keys {
        let path = key.path.item.to_string();
        if let Some(sd) = key.sd()
            && is_there(registry, key.path.line, &path)?
        {
            problems.push(Problem { line: sd.line, what: format!("{path}: {SD_WOULD_STAY}") });
        }
    }
    problems.sort_by_key(|problem| problem.line);
    Ok(problems)
}

/// Whether a path leads to a key, or a link, that the caller need not be able to use.
fn is_there(registry: &Registry, line: usize, path: &str) -> Result<bool, Refused> {
    match registry.open_link(path, Access::MAXIMUM_ALLOWED) {
        Ok(_) => Ok(true),
        Err(error) if error.is_access_denied() => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(Refused::by(registry, line, error)),
    }
}

/// The path of the key of a role's layer.
fn layer_path(role: &Role) -> String {
    format!("{LAYERS}\\{}", role.name.item)
}

fn taken(name: &str) -> Failure {
    let what =
        format!("there is a layer of this name; remove it first (regtool role remove {name})");
    Failure::Partial { subject: name.to_owned(), what, code: Code::Other }
}

/// Installs a role that is in Machine alone: layer and all in one transaction.
fn install_at_once(session: &mut Session, role: &Role) -> Result<(), NotInstalled> {
    let in_shells = session.in_transaction();
    let whole = |failure: Failure| NotInstalled::whole(role, failure);
    let changes = Changes::begin(session, [LAYERS]).map_err(whole)?;
    let registry = changes.registry(LAYERS);
    let filled = make_layer(registry, role, true)
        .and_then(|()| Filling { registry, layer: &role.name.item }.fill(&role.keys));
    if let Err(refused) = filled {
        let what = if in_shells {
            "part of it is in the transaction, which can only be aborted"
        } else {
            NOTHING
        };
        return Err(NotInstalled { refused, what });
    }
    changes.commit().map_err(|failed| {
        let what = if failed.unknown { NOT_KNOWN } else { NOTHING };
        NotInstalled { what, ..whole(failed.failure) }
    })
}

/// Installs a role into several hives. A transaction is for one, so that nothing of it counts before all of them
/// are done.
fn install_by_hive(
    session: &mut Session,
    role: &Role,
    hives: &[String],
) -> Result<(), NotInstalled> {
    let whole = |failure: Failure| NotInstalled::whole(role, failure);
    if session.in_transaction() {
        let subject = role.name.item.clone();
        let what = "a role in other hives than Machine takes transactions of its own".to_owned();
        return Err(whole(Failure::Usage { subject, what }));
    }
    let registry = session.registry().map_err(whole)?;
    in_transaction(registry, role, |inside| make_layer(inside, role, false))?;
    let filled = fill_by_hive(registry, role, hives).and_then(|()| enable(registry, role));
    filled.map_err(|refused| {
        let removed = remove(registry, role);
        if let Err(error) = &removed {
            complain(error);
        }
        let left = "what was installed of it does not count, and could not be removed \
                    (regtool role remove does it)";
        NotInstalled { refused, what: if removed.is_ok() { NOTHING } else { left } }
    })
}

fn fill_by_hive(registry: &Registry, role: &Role, hives: &[String]) -> Result<(), Refused> {
    let layer = role.name.item.as_str();
    // For itself the role has to count: keys are made below keys that it made.
    let options = libreg::ViewOptions { private_layers: &[layer], ..Default::default() };
    let view =
        registry.view(&options).map_err(|error| Refused::by(registry, role.name.line, error))?;
    for hive in hives {
        in_transaction(&view, role, |inside| {
            let in_hive = role.keys.iter().filter(|key| {
                key.path.item.names().first().is_some_and(|name| fold(name) == *hive)
            });
            Filling { registry: inside, layer }.fill(in_hive)
        })
        .map_err(|not| not.refused)?;
    }
    Ok(())
}

fn in_transaction(
    registry: &Registry,
    role: &Role,
    work: impl FnOnce(&Registry) -> Result<(), Refused>,
) -> Result<(), NotInstalled> {
    let whole = |failure: Failure| NotInstalled::whole(role, failure);
    let transaction = registry.begin().map_err(|error| whole(error.into()))?;
    work(transaction.registry())?;
    changes::commit(&transaction).map_err(|(failure, unknown)| {
        let what = if unknown { NOT_KNOWN } else { NOTHING };
        NotInstalled { what, ..whole(failure) }
    })
}

/// Makes the role's layer, in a transaction.
fn make_layer(registry: &Registry, role: &Role, enabled: bool) -> Result<(), Refused> {
    let made = || -> Result<bool, libreg::Error> {
        let path = layer_path(role);
        let key = registry.create_key(&path, Access::SET_VALUE, &CreateKey::default())?;
        if !key.info()?.created {
            return Ok(false);
        }
        let how = SetValue::default();
        let dword = ValueType::Dword.code();
        key.set_value(MARK, dword, &1_u32.to_le_bytes(), &how)?;
        if let Some(description) = &role.description {
            key.set_value(DESCRIPTION, ValueType::Sz.code(), description.as_bytes(), &how)?;
        }
        if !enabled {
            key.set_value(ENABLED, dword, &0_u32.to_le_bytes(), &how)?;
        }
        Ok(true)
    };
    match made() {
        Ok(true) => Ok(()),
        // Somebody made it a moment ago.
        Ok(false) => Err(Refused::new(role.name.line, taken(&role.name.item))),
        Err(error) => Err(Refused::by(registry, role.name.line, error)),
    }
}

fn enable(registry: &Registry, role: &Role) -> Result<(), Refused> {
    registry
        .open_key(&layer_path(role), Access::SET_VALUE)
        .and_then(|key| key.delete_value(ENABLED, None))
        .map_err(|error| Refused::by(registry, role.name.line, error))
}

fn remove(registry: &Registry, role: &Role) -> Result<(), Failure> {
    let key = registry.open_key(&layer_path(role), Access::DELETE)?;
    Ok(key.delete(None)?)
}
