//! What was changed and not written yet.

use libreg::{NamedValue, fold};

use crate::path::Path;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A value is written.
    Set { key: Path, name: String, value_type: u32, data: Vec<u8> },
    /// What the layer says of a value is deleted.
    Unset { key: Path, name: String },
    /// A key is made.
    Create { key: Path },
    /// A key is deleted, with all below it.
    Delete { key: Path },
}

impl Change {
    /// The key that it is about.
    pub fn key(&self) -> &Path {
        match self {
            Change::Set { key, .. }
            | Change::Unset { key, .. }
            | Change::Create { key }
            | Change::Delete { key } => key,
        }
    }
}

/// How something differs from what is in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not.
    Written,
    /// It is there, and will be another.
    Changed,
    /// It will be there.
    New,
    /// It will not be there any more.
    Gone,
}

/// A value as it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub value_type: u32,
    pub data: Vec<u8>,
    /// The layer that it comes from, if it is written.
    pub layer: Option<String>,
    pub state: State,
}

/// A subkey as it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub name: String,
    /// It is a link.
    pub link: bool,
    pub state: State,
}

/// Changes, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Draft(Vec<Change>);

impl Draft {
    /// One change more.
    pub fn push(&mut self, change: Change) {
        self.0.push(change);
    }

    /// Takes the last change back.
    pub fn undo(&mut self) -> Option<Change> {
        self.0.pop()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn changes(&self) -> &[Change] {
        &self.0
    }

    /// Forgets those that are made.
    pub fn retain(&mut self, keep: impl FnMut(&Change) -> bool) {
        self.0.retain(keep);
    }

    /// Whether something is to be written to a value.
    pub fn concerns(&self, key: &Path, name: &str) -> bool {
        self.0.iter().any(|change| match change {
            Change::Set { key: of, name: other, .. } | Change::Unset { key: of, name: other } => {
                same_key(of, key) && same(other, name)
            }
            _ => false,
        })
    }

    /// The values of a key as they will be, of what the registry has.
    pub fn values(&self, key: &Path, written: &[NamedValue]) -> Vec<Row> {
        let row = |value: &NamedValue| Row {
            name: value.name.clone(),
            value_type: value.value_type,
            data: value.data.clone(),
            layer: Some(value.layer.clone()),
            state: State::Written,
        };
        let mut rows: Vec<Row> = written.iter().map(row).collect();
        for change in self.0.iter().filter(|change| same_key(change.key(), key)) {
            match change {
                Change::Set { name, value_type, data, .. } => {
                    set(&mut rows, name, *value_type, data);
                }
                Change::Unset { name, .. } => {
                    rows.retain(|row| !(same(&row.name, name) && row.state == State::New));
                    if let Some(row) = rows.iter_mut().find(|row| same(&row.name, name)) {
                        row.state = State::Gone;
                    }
                }
                Change::Create { .. } | Change::Delete { .. } => {}
            }
        }
        rows.sort_by_cached_key(|row| fold(&row.name));
        rows
    }

    /// The subkeys of a key as they will be, of what the registry has.
    pub fn subkeys(&self, key: &Path, written: Vec<(String, bool)>) -> Vec<Child> {
        let written =
            written.into_iter().map(|(name, link)| Child { name, link, state: State::Written });
        let mut children: Vec<Child> = written.collect();
        for change in &self.0 {
            let (Some(name), parent) = (change.key().names().last(), parent(change.key())) else {
                continue;
            };
            if !same_key(&parent, key) {
                continue;
            }
            match change {
                Change::Create { .. } => {
                    let there = children.iter_mut().find(|child| same(&child.name, name));
                    match there {
                        Some(child) => child.state = State::Changed,
                        None => children.push(Child {
                            name: name.clone(),
                            link: false,
                            state: State::New,
                        }),
                    }
                }
                Change::Delete { .. } => {
                    children
                        .retain(|child| !(same(&child.name, name) && child.state == State::New));
                    if let Some(child) = children.iter_mut().find(|child| same(&child.name, name)) {
                        child.state = State::Gone;
                    }
                }
                Change::Set { .. } | Change::Unset { .. } => {}
            }
        }
        children.sort_by_cached_key(|child| fold(&child.name));
        children
    }
}

fn set(rows: &mut Vec<Row>, name: &str, value_type: u32, data: &[u8]) {
    let new = Row {
        name: name.to_owned(),
        value_type,
        data: data.to_vec(),
        layer: None,
        state: State::New,
    };
    match rows.iter_mut().find(|row| same(&row.name, name)) {
        Some(row) => {
            let state = if row.state == State::New { State::New } else { State::Changed };
            *row = Row { name: row.name.clone(), layer: row.layer.clone(), state, ..new };
        }
        None => rows.push(new),
    }
}

/// The key above, which of a hive is the root.
pub fn parent(key: &Path) -> Path {
    key.parent().unwrap_or_default()
}

/// Whether two names are the same in the registry.
pub fn same(one: &str, other: &str) -> bool {
    fold(one) == fold(other)
}

/// Whether two paths are.
pub fn same_key(one: &Path, other: &Path) -> bool {
    fold(&one.to_string()) == fold(&other.to_string())
}

/// Whether a path is that of a key or of one below it.
pub fn is_at_or_below(path: &Path, key: &Path) -> bool {
    let (path, key) = (path.names(), key.names());
    path.len() >= key.len() && key.iter().zip(path).all(|(one, other)| same(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).expect("a path")
    }

    fn value(name: &str, data: &[u8]) -> NamedValue {
        NamedValue {
            name: name.to_owned(),
            value_type: 1,
            data: data.to_vec(),
            sequence: 1,
            layer: "base".to_owned(),
        }
    }

    fn change(name: &str, data: &[u8]) -> Change {
        Change::Set {
            key: path("Machine\\K"),
            name: name.to_owned(),
            value_type: 1,
            data: data.to_vec(),
        }
    }

    fn shown(draft: &Draft, written: &[NamedValue]) -> Vec<(String, Vec<u8>, State)> {
        let rows = draft.values(&path("machine\\k"), written);
        rows.into_iter().map(|row| (row.name, row.data, row.state)).collect()
    }

    #[test]
    fn a_value_is_what_the_last_change_makes_it_and_undo_goes_back_one_by_one() {
        let written = [value("Tabs", b"4")];
        let mut draft = Draft::default();
        draft.push(change("TABS", b"8"));
        draft.push(change("New", b"1"));
        draft.push(Change::Unset { key: path("Machine\\K"), name: "tabs".to_owned() });
        let tabs = |data: &[u8], state| ("Tabs".to_owned(), data.to_vec(), state);
        let new = ("New".to_owned(), b"1".to_vec(), State::New);
        assert_eq!(shown(&draft, &written), [new.clone(), tabs(b"8", State::Gone)]);
        draft.undo();
        assert_eq!(shown(&draft, &written), [new, tabs(b"8", State::Changed)]);
        draft.undo();
        draft.undo();
        assert_eq!(shown(&draft, &written), [tabs(b"4", State::Written)]);
        assert_eq!(draft.undo(), None);
    }

    #[test]
    fn what_is_new_and_deleted_again_is_not_shown() {
        let mut draft = Draft::default();
        draft.push(change("New", b"1"));
        draft.push(Change::Unset { key: path("Machine\\K"), name: "New".to_owned() });
        assert_eq!(shown(&draft, &[]), []);
        draft.push(Change::Create { key: path("Machine\\K\\Sub") });
        draft.push(Change::Delete { key: path("Machine\\K\\sub") });
        assert_eq!(draft.subkeys(&path("Machine\\K"), Vec::new()), []);
    }

    #[test]
    fn subkeys_are_shown_with_what_becomes_of_them_in_the_order_of_their_names() {
        let mut draft = Draft::default();
        draft.push(Change::Create { key: path("Machine\\K\\b") });
        draft.push(Change::Delete { key: path("Machine\\K\\C") });
        let written = vec![("A".to_owned(), true), ("c".to_owned(), false)];
        let children = draft.subkeys(&path("Machine\\K"), written);
        let child = |name: &str, link, state| Child { name: name.to_owned(), link, state };
        let expected = [
            child("A", true, State::Written),
            child("b", false, State::New),
            child("c", false, State::Gone),
        ];
        assert_eq!(children, expected);
    }
}
