//! Paths of entries, in which `*` is any name.

use std::fmt;

use libreg::fold;

use crate::path::{Path, PathError};

/// What stands for any one name.
const ANY: &str = "*";

/// The path of a key, or of many: a component `*` stands for any one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// As it was written, with `\` between the names and hives by their own names.
    written: Path,
    /// Folded; [`ANY`] for any name.
    names: Vec<String>,
}

impl Place {
    /// Reads a path; it may be the root.
    pub(crate) fn parse(text: &str) -> Result<Place, PathError> {
        Path::parse(text).map(Place::from)
    }

    /// Whether this entry speaks of the key at a path.
    pub(crate) fn covers(&self, place: &Place) -> bool {
        self.names.len() == place.names.len() && self.is_at_or_above(place)
    }

    /// Whether the key at a path is this one, or lies below it.
    pub(crate) fn is_at_or_above(&self, place: &Place) -> bool {
        self.names.len() <= place.names.len()
            && self.names.iter().zip(&place.names).all(|(ours, name)| ours == ANY || ours == name)
    }

    /// Whether this entry speaks of keys at or below the path that a person wrote. There may be a `*` in
    /// either of them.
    pub(crate) fn is_at_or_below(&self, above: &Place) -> bool {
        above.names.len() <= self.names.len()
            && above
                .names
                .iter()
                .zip(&self.names)
                .all(|(name, ours)| ours == ANY || name == ANY || ours == name)
    }

    /// Whether it is the direct child of a key.
    pub(crate) fn is_child_of(&self, parent: &Place) -> bool {
        self.names.len() == parent.names.len() + 1 && self.is_at_or_below(parent)
    }

    /// Of all entries that speak of a key the smallest one counts: names rank before `*`, from the hive down.
    pub(crate) fn rank(&self) -> Vec<bool> {
        self.names.iter().map(|name| name == ANY).collect()
    }

    /// What it is called among all: the same for the same keys.
    pub(crate) fn folded(&self) -> &[String] {
        &self.names
    }

    /// The key above and the name of this one; of a hive there is nothing.
    pub(crate) fn split(&self) -> Option<(Place, String)> {
        let parent = self.written.parent()?;
        Some((parent.into(), self.written.names().last()?.clone()))
    }
}

impl From<Path> for Place {
    fn from(written: Path) -> Place {
        let mut names: Vec<String> = written.names().iter().map(|name| fold(name)).collect();
        // It is one of the keys of Users, nobody knows here which.
        if names.first().is_some_and(|hive| *hive == fold("CurrentUser")) {
            names.splice(..1, [fold("Users"), ANY.to_owned()]);
        }
        Place { written, names }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.written.is_root() { f.write_str("\\") } else { self.written.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_any_one_name_and_case_and_separators_do_not_matter() {
        let entry = place("Machine\\Layers\\*");
        assert!(entry.covers(&place("hklm/LAYERS/Straße")));
        assert!(entry.covers(&place("HKEY_LOCAL_MACHINE/layers/*")));
        for other in ["Machine\\Layers", "Machine\\Layers\\a\\b", "Machine\\Other\\a"] {
            assert!(!entry.covers(&place(other)), "{other}");
        }
        // What a person asks for is not everything.
        assert!(!place("Machine\\Layers\\a").covers(&place("Machine\\Layers\\*")));
    }

    #[test]
    fn the_current_user_is_a_key_of_users() {
        let entry = place("HKCU\\Software\\Editor");
        assert!(entry.covers(&place("Users/S-1-5-21-1/software/editor")));
        assert!(entry.covers(&place("CurrentUser/Software/Editor")));
        assert!(place("Users\\*").covers(&place("CurrentUser")));
        assert_eq!(entry.to_string(), "CurrentUser\\Software\\Editor");
    }

    #[test]
    fn below_a_key_is_what_can_lie_there() {
        let entry = place("Machine\\A\\*\\C");
        for above in ["", "Machine", "Machine/a/x", "Machine/*/x/C", "HKLM/A/x/C"] {
            assert!(entry.is_at_or_below(&place(above)), "{above}");
        }
        for elsewhere in ["Users", "Machine/B", "Machine/A/x/C/d", "Machine/A/x/D"] {
            assert!(!entry.is_at_or_below(&place(elsewhere)), "{elsewhere}");
        }
        assert!(
            entry.is_child_of(&place("Machine/A/x")) && !entry.is_child_of(&place("Machine/A"))
        );
    }
}
