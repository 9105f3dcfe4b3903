//! Paths: names of keys, joined by `\` or `/`.

use alloc::string::String;
use alloc::vec::Vec;

use super::name::{KeyName, NameError};

/// The alias for the caller's own part of `Users`, folded.
pub const CURRENT_USER: &str = "currentuser";

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A component is no name. An empty one comes from a leading, trailing or doubled separator.
    Component(NameError),
    /// It is longer than MaxTotalPathLength.
    TooLong,
}

/// A path whose every component is a name. It may have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(Vec<KeyName>);

impl KeyPath {
    /// Splits and checks a path. `max_component` and `max_length` are in bytes of UTF-8.
    pub fn parse(
        path: &str,
        max_component: usize,
        max_length: usize,
    ) -> Result<KeyPath, PathError> {
        if path.len() > max_length {
            return Err(PathError::TooLong);
        }
        if path.is_empty() {
            return Ok(KeyPath::default());
        }
        path.split(['\\', '/'])
            .map(|component| KeyName::new(component, max_component))
            .collect::<Result<_, _>>()
            .map(KeyPath)
            .map_err(PathError::Component)
    }

    /// The components.
    pub fn components(&self) -> &[KeyName] {
        &self.0
    }
}

impl From<Vec<KeyName>> for KeyPath {
    fn from(components: Vec<KeyName>) -> KeyPath {
        KeyPath(components)
    }
}

/// Appends a component to the text of a path.
pub fn join(path: &str, name: &str) -> String {
    let mut joined = String::with_capacity(path.len() + 1 + name.len());
    joined.push_str(path);
    if !path.is_empty() {
        joined.push('\\');
    }
    joined.push_str(name);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Result<Vec<String>, PathError> {
        let path = KeyPath::parse(path, 10, 30)?;
        Ok(path.components().iter().map(|name| name.display().into()).collect())
    }

    #[test]
    fn both_separators_separate() {
        assert_eq!(
            names("Machine/System\\x"),
            Ok(["Machine", "System", "x"].map(String::from).into())
        );
    }

    #[test]
    fn the_empty_path_has_no_component() {
        assert_eq!(names(""), Ok([].into()));
    }

    #[test]
    fn empty_components_are_refused_wherever_they_stand() {
        for path in ["\\", "\\a", "a\\", "a\\\\b", "a/\\b"] {
            assert_eq!(names(path), Err(PathError::Component(NameError::Empty)), "{path}");
        }
    }

    #[test]
    fn lengths_are_limited_in_part_and_in_total() {
        assert_eq!(names("abcdefghijk"), Err(PathError::Component(NameError::TooLong)));
        assert_eq!(names("abcdefghij\\abcdefghij\\abcdefghi"), Err(PathError::TooLong));
        assert!(names("abcdefghij\\abcdefghij\\abcdefgh").is_ok());
    }
}
