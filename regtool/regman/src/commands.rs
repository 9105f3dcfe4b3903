//! What the program does.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use crate::cli::Cli;
use crate::manual::{self, Entry, Manual, Trouble};
use crate::path::{Path, PathError};
use crate::place::Place;
use crate::{card, json};

/// What was not done, or not found.
#[derive(Debug)]
enum Failure {
    /// The manual says nothing of it.
    NotFound {
        /// What was asked for.
        subject: String,
        /// What there is not.
        what: String,
    },
    /// What a person wrote is no path.
    Path(PathError),
    /// The standard output takes nothing.
    Output(io::Error),
    /// Something is wrong with files, and has been told.
    Faults,
}

pub(crate) fn run(options: &Cli) -> ExitCode {
    let failure = match carry_out(options) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let code = match &failure {
        Failure::NotFound { .. } => 1,
        Failure::Path(_) => 2,
        // Whoever read our output had enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Failure::Output(_) | Failure::Faults => 5,
    };
    if code != 0 && !matches!(failure, Failure::Faults) {
        complain(&failure);
    }
    ExitCode::from(code)
}

fn carry_out(options: &Cli) -> Result<(), Failure> {
    if let Some(files) = &options.check {
        return check(files, options.json);
    }
    let folders = manual::folders();
    let (manual, troubles) = Manual::read(&folders);
    troubles.iter().for_each(|trouble| complain(trouble));
    let outcome = if let Some(word) = &options.keyword {
        print_list(&manual.search(word), word, options.json)
    } else if let Some(path) = &options.list {
        let place = Place::parse(path)?;
        print_list(&manual.below(&place), &place.to_string(), options.json)
    } else {
        let path = Path::parse(options.path.as_deref().unwrap_or_default())?;
        print_card(&manual, &path, options)
    };
    match outcome {
        Err(Failure::NotFound { subject, .. }) if manual.is_empty() => {
            let folders: Vec<String> = folders.iter().map(ToString::to_string).collect();
            let what = format!("there is no manual in {}", folders.join(", "));
            Err(Failure::NotFound { subject, what })
        }
        outcome => outcome,
    }
}

/// A value's card if a name is given; else that of the key, or of the value to which the path leads.
fn print_card(manual: &Manual, path: &Path, options: &Cli) -> Result<(), Failure> {
    let place = Place::from(path.clone());
    if let Some(name) = &options.name {
        let plain = if name == "@" { "" } else { name };
        let value = manual.value(path, plain).ok_or_else(|| Failure::NotFound {
            subject: place.to_string(),
            what: format!("the manual has no value {name}"),
        })?;
        return print(options.json, || json::of_value(value), || card::of_value(value));
    }
    let key = manual.key(path);
    if key.is_none() && manual.values_of(&place).is_empty() {
        let value =
            place.split().and_then(|(_, name)| manual.value(&path.parent()?, &name_of(&name)));
        if let Some(value) = value {
            return print(options.json, || json::of_value(value), || card::of_value(value));
        }
        if manual.children_of(&place).is_empty() {
            let what = "the manual has no such key or value".to_owned();
            return Err(Failure::NotFound { subject: place.to_string(), what });
        }
    }
    let json = || json::of_key(manual, &place, key);
    print(options.json, json, || card::of_key(manual, &place, key))
}

/// The name of a value at the end of a path.
fn name_of(component: &str) -> String {
    if component == "@" { String::new() } else { component.to_owned() }
}

fn print_list(entries: &[Entry<'_>], subject: &str, json: bool) -> Result<(), Failure> {
    if entries.is_empty() {
        if json {
            print(true, || json!([]), String::new)?;
        }
        let what = "the manual says nothing of it".to_owned();
        return Err(Failure::NotFound { subject: subject.to_owned(), what });
    }
    print(json, || json::of_entries(entries), || card::list(entries))
}

/// Looks for everything that is wrong with files.
fn check(files: &[PathBuf], json: bool) -> Result<(), Failure> {
    let (files, mut troubles) = if files.is_empty() {
        manual::files(&manual::folders())
    } else {
        (files.to_vec(), Vec::new())
    };
    for file in &files {
        troubles.extend(manual::read_file(file).err().unwrap_or_default());
    }
    if json {
        let faults: Vec<Json> = troubles.iter().map(of_trouble).collect();
        print(true, || json!({ "files": files.len(), "faults": faults }), String::new)?;
    } else {
        troubles.iter().for_each(|trouble| complain(trouble));
    }
    if troubles.is_empty() { Ok(()) } else { Err(Failure::Faults) }
}

fn of_trouble(trouble: &Trouble) -> Json {
    json!({ "file": trouble.file.to_string_lossy(), "what": trouble.what })
}

/// Prints JSON, or text whose styles are for terminals only.
fn print(
    json: bool,
    of_json: impl FnOnce() -> Json,
    of_text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    // It looks at the terminal, at NO_COLOR and at the like.
    let mut out = anstream::stdout().lock();
    let text = if json { format!("{:#}\n", of_json()) } else { of_text() };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// One line on stderr. If nobody takes it there is nobody to tell.
fn complain(what: &dyn fmt::Display) {
    let mut line = String::new();
    for character in what.to_string().chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    let _ = writeln!(io::stderr(), "regman: {line}");
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotFound { subject, what } => write!(f, "{subject}: {what}"),
            Failure::Path(error) => error.fmt(f),
            Failure::Output(error) => write!(f, "standard output: {error}"),
            Failure::Faults => f.write_str("not all is as it should be"),
        }
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Failure {
        Failure::Path(error)
    }
}
