//! How people write paths.
//!
//! Names are separated by `\` or `/`. Separators before and after a path are dropped, for shells and file
//! managers put them there; an empty name between two is an error, as in the registry. The names that Windows has for roots
//! (`HKLM`, `HKEY_LOCAL_MACHINE`, …) stand for hives in the first place, in any case.

use std::fmt;

/// Windows' names of roots that are hives here.
const ROOTS: [(&str, &str, &str); 3] = [
    ("HKLM", "HKEY_LOCAL_MACHINE", "Machine"),
    ("HKU", "HKEY_USERS", "Users"),
    ("HKCU", "HKEY_CURRENT_USER", "CurrentUser"),
];

/// The hive that a Windows root stands for.
pub fn hive_of_root(root: &str) -> Option<&'static str> {
    ROOTS
        .iter()
        .find(|(short, long, _)| {
            root.eq_ignore_ascii_case(short) || root.eq_ignore_ascii_case(long)
        })
        .map(|(_, _, hive)| *hive)
}

/// The Windows root that stands for a hive.
pub fn root_of_hive(hive: &str) -> Option<&'static str> {
    ROOTS.iter().find(|(_, _, name)| hive.eq_ignore_ascii_case(name)).map(|(_, long, _)| *long)
}

/// An absolute path: names from the hive down. Without any, it is the root, where the hives are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<String>);

/// What a person wrote is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Two separators without a name between them.
    EmptyComponent(String),
    /// A key is needed, and this is the root.
    Root,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::EmptyComponent(path) => {
                write!(f, "{path}: an empty name between two separators")
            }
            PathError::Root => f.write_str("\\: not a key"),
        }
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// Reads an absolute path.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let inner = text.trim_matches(is_separator);
        if inner.is_empty() {
            return Ok(Path::default());
        }
        let mut names: Vec<String> = inner.split(is_separator).map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err(PathError::EmptyComponent(text.to_owned()));
        }
        if let Some(hive) = hive_of_root(&names[0]) {
            names[0] = hive.to_owned();
        }
        Ok(Path(names))
    }

    /// Reads a path as in the shell: it begins at `current`, unless it begins with a separator or with
    /// Windows' name of a root; `.` and `..` lead where they lead everywhere, but not above the root.
    pub fn parse_at(text: &str, current: &Path) -> Result<Path, PathError> {
        let first = text.split(is_separator).next().unwrap_or_default();
        let start = if text.starts_with(is_separator) || hive_of_root(first).is_some() {
            &[]
        } else {
            current.names()
        };
        let mut names = start.to_vec();
        for name in Path::parse(text)?.0 {
            match name.as_str() {
                "." => {}
                ".." => {
                    names.pop();
                }
                _ => names.push(name),
            }
        }
        Ok(Path(names))
    }

    /// The names from the hive down.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of a key, as the registry takes it.
    ///
    /// # Errors
    /// The root is no key.
    pub fn key(&self) -> Result<String, PathError> {
        if self.is_root() { Err(PathError::Root) } else { Ok(self.to_string()) }
    }

    /// The paths from the hive to this key, without this key itself.
    pub fn ancestors(&self) -> impl Iterator<Item = Path> {
        (1..self.0.len()).map(|count| Path(self.0[..count].to_vec()))
    }

    /// The path of the key above this one; a hive has none.
    pub fn parent(&self) -> Option<Path> {
        match self.0.as_slice() {
            [above @ .., _] if !above.is_empty() => Some(Path(above.to_vec())),
            _ => None,
        }
    }

    /// The path of a key below this one.
    pub fn join(&self, name: &str) -> Path {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Path(names)
    }
}

impl From<Vec<String>> for Path {
    /// The names from the hive down, none of them empty.
    fn from(names: Vec<String>) -> Path {
        Path(names)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\\"))
    }
}

/// Whether a character separates names.
pub fn is_separator(character: char) -> bool {
    matches!(character, '\\' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> String {
        Path::parse(text).unwrap().to_string()
    }

    #[test]
    fn paths_as_people_write_them() {
        for (written, path) in [
            ("Machine\\System", "Machine\\System"),
            ("HKLM/System/", "Machine\\System"),
            ("\\hkey_local_machine\\A b\\", "Machine\\A b"),
            ("hkcu", "CurrentUser"),
            ("HKEY_USERS", "Users"),
            ("HKEY_CLASSES_ROOT\\x", "HKEY_CLASSES_ROOT\\x"),
            ("Machine\\HKLM\\..", "Machine\\HKLM\\.."),
            ("", ""),
            ("\\", ""),
        ] {
            assert_eq!(parsed(written), path);
        }
        assert_eq!(Path::parse("a\\/b"), Err(PathError::EmptyComponent("a\\/b".to_owned())));
        assert_eq!(Path::default().key(), Err(PathError::Root));
        let parent = |text| Path::parse(text).unwrap().parent().map(|path| path.to_string());
        assert_eq!(parent("A\\b\\c"), Some("A\\b".to_owned()));
        assert_eq!((parent("A"), parent("")), (None, None));
    }

    #[test]
    fn in_the_shell_paths_begin_at_the_current_key() {
        let current = Path::parse("Machine\\System").unwrap();
        for (written, path) in [
            ("Registry", "Machine\\System\\Registry"),
            ("..", "Machine"),
            ("../../../..", ""),
            (".", "Machine\\System"),
            ("./A/../B", "Machine\\System\\B"),
            ("\\Users", "Users"),
            ("/Users/", "Users"),
            ("HKCU\\x", "CurrentUser\\x"),
            ("Machine", "Machine\\System\\Machine"),
        ] {
            assert_eq!(Path::parse_at(written, &current).unwrap().to_string(), path);
        }
    }

    proptest! {
        #[test]
        fn what_is_a_path_stays_the_same_path(text: String) {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
