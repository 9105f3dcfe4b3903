//! What is wrong with what can be read.

use std::collections::HashMap;

use libreg::{BASE_LAYER, fold};

use super::{KeyContent, Problem, RoleKey, RoleValue};
use crate::path::{Path, PathError};

/// The hive that is another one for everybody, and so none for a role.
const CURRENT_USER: &str = "CurrentUser";

/// What is wrong with the name of a role's layer.
pub fn layer_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.contains(['\\', '/', '\0']) {
        Some("contains \\, / or NUL, which a layer's cannot")
    } else if fold(name) == BASE_LAYER {
        Some("is base, which is the layer of what is in no other one")
    } else {
        None
    }
}

/// Reads the path of a key of a role.
pub fn key_path(text: &str) -> Result<Path, String> {
    let path = absolute(text)?;
    if is_in_current_user(&path) {
        return Err(
            "is in CurrentUser: a role is for the system; Users\\SID is one user's key".to_owned()
        );
    }
    Ok(path)
}

/// Reads where a link leads.
pub fn link_target(text: &str) -> Result<Path, String> {
    let path = absolute(text)?;
    if is_in_current_user(&path) {
        return Err("leads to CurrentUser, which links cannot".to_owned());
    }
    Ok(path)
}

/// Reads the path of a key, in whatever hive.
pub fn absolute(text: &str) -> Result<Path, String> {
    let path = Path::parse(text).map_err(|error| match error {
        PathError::EmptyComponent(_) => "has an empty name between two separators",
        PathError::Root => "is empty",
    })?;
    if path.is_root() {
        return Err("is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("contains NUL".to_owned());
    }
    Ok(path)
}

fn is_in_current_user(path: &Path) -> bool {
    path.names().first().is_some_and(|hive| fold(hive) == fold(CURRENT_USER))
}

/// What is wrong between keys: one is written twice, or lies below one that is hidden or a link.
pub fn between_keys(keys: &[RoleKey]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: HashMap<String, &RoleKey> = HashMap::new();
    for key in keys {
        let first = *known.entry(folded(&key.path.item)).or_insert(key);
        if !std::ptr::eq(first, key) {
            let what = format!("{} is in line {}, too", key.path.item, first.path.line);
            problems.push(Problem { line: key.path.line, what });
        }
    }
    for key in keys {
        for ancestor in key.path.item.ancestors() {
            let what = match known.get(&folded(&ancestor)) {
                Some(RoleKey { what: KeyContent::Hide, path }) => {
                    format!(
                        "{} lies below {ancestor}, which line {} hides",
                        key.path.item, path.line
                    )
                }
                Some(RoleKey { what: KeyContent::Link { target, .. }, path }) => format!(
                    "{} lies below {ancestor}, which is a link in line {}; write the path below {}",
                    key.path.item, path.line, target.item
                ),
                _ => continue,
            };
            problems.push(Problem { line: key.path.line, what });
        }
    }
    problems
}

/// Values of one key that are written twice: names are the same in upper and lower case.
pub fn between_values(values: &[RoleValue]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for value in values {
        let name = &value.name;
        if let Some(first) = known.insert(fold(&name.item), name.line) {
            let shown = if name.item.is_empty() { "@" } else { &name.item };
            problems.push(Problem {
                line: name.line,
                what: format!("{shown} is in line {first}, too"),
            });
        }
    }
    problems
}

fn folded(path: &Path) -> String {
    fold(&path.to_string())
}
