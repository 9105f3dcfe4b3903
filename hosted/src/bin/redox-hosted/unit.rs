//! The service units of Redox's init: what they say and in which order they start.
//!
//! The format is that of init in redox-os/base (`/usr/lib/init.d`): TOML, and fields that it does not know
//! are errors. Of its kinds of units there are services and targets here; its shell-like scripts and the
//! service type `scheme`, which hands a descriptor to init, are refused by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The units that the recipes install, with their file names.
const OURS: [(&str, &str); 2] = [
    ("20_lcs.service", include_str!("../../../../recipes/lcs-scheme/20_lcs.service")),
    ("21_loregd.service", include_str!("../../../../recipes/loregd/21_loregd.service")),
];

/// A unit that is to be started.
#[derive(Debug)]
pub struct Unit {
    /// The file's name, which is the unit's.
    pub id: String,
    requires_weak: Vec<String>,
    /// What is run; a target has nothing.
    pub service: Option<Service>,
}

/// The table `[service]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The command. Only its base name counts here.
    pub cmd: String,
    /// The command's arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables for its environment, which is empty otherwise.
    #[serde(default)]
    pub envs: BTreeMap<String, String>,
    /// Variables that it gets from init's own environment.
    #[serde(default)]
    pub inherit_envs: BTreeSet<String>,
    /// When it counts as started.
    #[serde(rename = "type")]
    pub readiness: Readiness,
}

/// The field `type` of a service.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// Started when it writes one byte to the descriptor in `INIT_NOTIFY`.
    Notify,
    /// Started when it has ended.
    Oneshot,
    /// Started at once.
    OneshotAsync,
    /// Started when it hands over a descriptor of this scheme: refused here.
    Scheme(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceFile {
    unit: Header,
    service: Service,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetFile {
    unit: Header,
}

/// The table `[unit]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(rename = "description")]
    _description: Option<String>,
    /// On Redox: after what every system needs. Here that is there before init.
    #[serde(rename = "default_dependencies")]
    _default_dependencies: Option<bool>,
    #[serde(default)]
    requires_weak: Vec<String>,
    condition_architecture: Option<Vec<String>>,
    /// Boards are known by their device tree, and a hosted system has none: never fulfilled.
    condition_board: Option<Vec<String>>,
}

/// Why the units can't be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it can't be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The TOML is wrong or says something that init does not know.
    #[error("{path}: {error}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        error: Box<toml::de::Error>,
    },
    /// Something that Redox's init knows and this one does not.
    #[error("{path}: {what}")]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// Units that wait for each other.
    #[error("these units wait for each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
}

/// Writes the units of the registry into `folder`, but not over a file that is there: it may be changed.
pub fn install(folder: &Path) -> Result<(), Error> {
    for (name, text) in OURS {
        let path = folder.join(name);
        let outcome = match fs::exists(&path) {
            Ok(false) => fs::write(&path, text),
            other => other.map(drop),
        };
        outcome.map_err(|error| Error::File { path, error })?;
    }
    Ok(())
}

/// Reads every file in `folder` and puts the units into the order of their start.
///
/// A unit comes after those that its `requires_weak` names, if they exist, and otherwise by name. Units
/// whose conditions do not hold are left out.
pub fn load(folder: &Path) -> Result<Vec<Unit>, Error> {
    let in_folder = |error| Error::File { path: folder.to_owned(), error };
    let mut units = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        if let Some(unit) = read(&path)? {
            units.insert(unit.id.clone(), unit);
        }
    }
    order(units)
}

fn read(path: &Path) -> Result<Option<Unit>, Error> {
    let unsupported =
        |what: &str| Error::Unsupported { path: path.to_owned(), what: what.to_owned() };
    let syntax = |error| Error::Syntax { path: path.to_owned(), error: Box::new(error) };

    let id = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| unsupported("the name is not UTF-8"))?
        .to_owned();
    let text =
        fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
    let (unit, service) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("service") => {
            let file: ServiceFile = toml::from_str(&text).map_err(syntax)?;
            (file.unit, Some(file.service))
        }
        Some("target") => (toml::from_str::<TargetFile>(&text).map_err(syntax)?.unit, None),
        Some(_) => return Err(unsupported("the name ends neither in .service nor in .target")),
        None => return Err(unsupported("init scripts are not supported, write a .service")),
    };
    if let Some(service) = &service {
        if let Readiness::Scheme(_) = service.readiness {
            return Err(unsupported("the type scheme is not supported, use notify"));
        }
        if service.args.iter().any(|argument| argument.starts_with('$')) {
            return Err(unsupported("variables in arguments are not supported"));
        }
    }
    let wanted = unit.condition_board.is_none()
        && unit.condition_architecture.is_none_or(|architectures| {
            architectures.iter().any(|architecture| architecture == std::env::consts::ARCH)
        });
    Ok(wanted.then_some(Unit { id, requires_weak: unit.requires_weak, service }))
}

/// Repeatedly the first unit by name that waits for none of the rest.
fn order(mut units: BTreeMap<String, Unit>) -> Result<Vec<Unit>, Error> {
    let mut ordered = Vec::with_capacity(units.len());
    while !units.is_empty() {
        let next = units
            .values()
            .find(|unit| !unit.requires_weak.iter().any(|other| units.contains_key(other)))
            .map(|unit| unit.id.clone());
        match next.and_then(|id| units.remove(&id)) {
            Some(unit) => ordered.push(unit),
            None => return Err(Error::Cycle(units.into_keys().collect())),
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_texts(files: &[(&str, &str)]) -> Result<Vec<Unit>, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a unit file");
        }
        load(folder.path())
    }

    fn ids(units: &[Unit]) -> Vec<&str> {
        units.iter().map(|unit| unit.id.as_str()).collect()
    }

    const SIMPLE: &str = "[unit]\n[service]\ncmd = 'a'\ntype = 'notify'\n";

    #[test]
    fn the_installed_units_start_lcs_before_loregd() {
        let folder = tempfile::tempdir().expect("a folder");
        install(folder.path()).expect("installed");
        let units = load(folder.path()).expect("they are right");
        assert_eq!(ids(&units), ["20_lcs.service", "21_loregd.service"]);
        let loregd = units[1].service.as_ref().expect("a service");
        assert_eq!(loregd.readiness, Readiness::Notify);
        assert!(loregd.args.iter().any(|argument| argument == "--supervise"));
    }

    #[test]
    fn installing_keeps_a_changed_unit() {
        let folder = tempfile::tempdir().expect("a folder");
        let changed = folder.path().join("20_lcs.service");
        fs::write(&changed, SIMPLE).expect("a unit file");
        install(folder.path()).expect("installed");
        assert_eq!(fs::read_to_string(changed).expect("it is there"), SIMPLE);
    }

    #[test]
    fn units_follow_those_they_require_and_names_otherwise() {
        let after = |names: &str| format!("[unit]\nrequires_weak = [{names}]\n");
        let units = load_texts(&[
            ("a.target", &after("'c.target', 'absent.service'")),
            ("b.target", "[unit]\n"),
            ("c.target", &after("'d.target'")),
            ("d.target", "[unit]\n"),
        ])
        .expect("an order");
        assert_eq!(ids(&units), ["b.target", "d.target", "c.target", "a.target"]);
    }

    #[test]
    fn units_that_wait_for_each_other_are_an_error_that_names_them() {
        let error = load_texts(&[
            ("a.target", "[unit]\nrequires_weak = ['b.target']\n"),
            ("b.target", "[unit]\nrequires_weak = ['a.target']\n"),
        ])
        .expect_err("a cycle");
        assert_eq!(error.to_string(), "these units wait for each other: a.target, b.target");
    }

    #[test]
    fn unknown_fields_and_kinds_are_errors() {
        for (name, text) in [
            ("a.service", "[unit]\nrequires = []\n[service]\ncmd = 'a'\ntype = 'notify'\n"),
            ("a.service", "[unit]\n[service]\ncmd = 'a'\ntype = 'notify'\nrestart = true\n"),
            ("a.service", "[unit]\n[service]\ncmd = 'a'\ntype = 'forking'\n"),
            ("a.service", "[unit]\n[service]\ncmd = 'a'\ntype = { scheme = 'x' }\n"),
            ("a.service", "[unit]\n[service]\ncmd = 'a'\nargs = ['$HOME']\ntype = 'notify'\n"),
            ("a.service", "[unit]\n[service]\ncmd = 'a'\n"),
            ("a.service", "[unit]\n"),
            ("a.target", SIMPLE),
            ("a.conf", SIMPLE),
            ("a", "notify a\n"),
        ] {
            let error = load_texts(&[(name, text)]).expect_err(text);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_unit_for_another_architecture_is_left_out() {
        let units = load_texts(&[
            ("a.target", "[unit]\ncondition_architecture = ['pdp11']\n"),
            (
                "b.target",
                &format!("[unit]\ncondition_architecture = ['{}']\n", std::env::consts::ARCH),
            ),
        ])
        .expect("both are right");
        assert_eq!(ids(&units), ["b.target"]);
    }
}
