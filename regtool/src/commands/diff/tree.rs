//! Trees of keys and values in memory, and what differs between two of them.

use std::collections::BTreeMap;

use libreg::fold;

use crate::commands::import::plan::{self, Phase, Plan, PlannedKey};
use crate::formats::reg::Value;
use crate::path::Path;

/// A key and all below it.
#[derive(Debug, Default)]
pub struct Tree {
    /// By their folded names from the key down, which has none itself: so parents come first.
    keys: BTreeMap<Vec<String>, TreeKey>,
}

/// A key of a tree.
#[derive(Debug)]
pub struct TreeKey {
    /// Its path, as it is spelled there.
    pub path: Path,
    /// Where it leads, if it is a link. It has no values then.
    pub link: Option<String>,
    /// Its values by their folded names.
    pub values: BTreeMap<String, TreeValue>,
}

/// A value of a tree.
#[derive(Debug)]
pub struct TreeValue {
    /// Its name, as it is spelled there.
    pub name: String,
    /// Type and data.
    pub value: Value,
}

impl Tree {
    /// Puts a key into the tree of the key at `root`; one that is not below it is left out.
    pub fn insert(&mut self, root: &Path, key: TreeKey) {
        if let Some(place) = below(root, &key.path) {
            self.keys.insert(place, key);
        }
    }

    /// What an import of a file makes of an empty registry, as far as it is below `root`.
    pub fn of_plan(plan: &Plan, root: &Path) -> Tree {
        let mut tree = Tree::default();
        for phase in &plan.phases {
            match phase {
                Phase::Delete { path, .. } | Phase::Hide { path, .. } => tree.remove(root, path),
                Phase::Write(levels) => {
                    for key in levels.iter().flatten() {
                        tree.write(root, key);
                    }
                }
            }
        }
        tree
    }

    fn write(&mut self, root: &Path, planned: &PlannedKey) {
        let path = plan::path_of(&planned.path);
        let Some(place) = below(root, &path) else {
            return;
        };
        let new = || TreeKey { path, link: None, values: BTreeMap::new() };
        let key = self.keys.entry(place).or_insert_with(new);
        if planned.make.link.is_some() {
            key.link.clone_from(&planned.make.link);
        }
        if planned.masks_all.is_some() {
            key.values.clear();
        }
        for entry in &planned.entries {
            let folded = fold(&entry.name);
            let new = |value: &Value| TreeValue { name: entry.name.clone(), value: value.clone() };
            match &entry.change {
                plan::Change::Set(value) => {
                    key.values.insert(folded, new(value));
                }
                plan::Change::SetIfAbsent(value) => {
                    key.values.entry(folded).or_insert_with(|| new(value));
                }
                plan::Change::Delete | plan::Change::Mask => {
                    key.values.remove(&folded);
                }
            }
        }
    }

    fn remove(&mut self, root: &Path, path: &Path) {
        match below(root, path) {
            Some(place) => self.keys.retain(|key, _| !key.starts_with(&place)),
            None if below(path, root).is_some() => self.keys.clear(),
            None => {}
        }
    }

    /// Takes out the links, and tells where they were.
    pub fn take_links(&mut self) -> Vec<Path> {
        let links = self.keys.extract_if(.., |_, key| key.link.is_some());
        links.map(|(_, key)| key.path).collect()
    }
}

/// The one key that leads to all keys of a file; `None` if it names none, or keys in more than one hive. If all
/// of them are `hint` or below it, then that.
pub fn root_of(plan: &Plan, hint: Option<&Path>) -> Option<Path> {
    let levels = plan.phases.iter().filter_map(|phase| match phase {
        Phase::Write(levels) => Some(levels),
        Phase::Delete { .. } | Phase::Hide { .. } => None,
    });
    let named =
        levels.flatten().flatten().filter(|key| key.named).map(|key| plan::path_of(&key.path));
    let common = named.reduce(|one, other| {
        let pairs = one.names().iter().zip(other.names());
        let alike = pairs.take_while(|(one, other)| fold(one) == fold(other));
        Path::from(alike.map(|(name, _)| name.clone()).collect::<Vec<_>>())
    })?;
    match hint {
        Some(hint) if below(hint, &common).is_some() => Some(hint.clone()),
        _ => (!common.is_root()).then_some(common),
    }
}

/// The folded names that lead from one key to another one below it, none to itself.
fn below(root: &Path, path: &Path) -> Option<Vec<String>> {
    let mut names = path.names().iter().map(|name| fold(name));
    for name in root.names() {
        if names.next()? != fold(name) {
            return None;
        }
    }
    Some(names.collect())
}

/// Something that one of two trees has.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A key.
    Key,
    /// A link that leads there.
    Link(&'a str),
    /// A value.
    Value(&'a TreeValue),
}

/// A difference between two trees, at a key of one of them, or at one that both have.
#[derive(Debug)]
pub struct Difference<'a> {
    /// The key; the second tree's if only that has it.
    pub path: &'a Path,
    /// What differs.
    pub change: Change<'a>,
}

/// What differs.
#[derive(Debug)]
pub enum Change<'a> {
    /// Only the first tree has it.
    Removed(Item<'a>),
    /// Only the second tree has it.
    Added(Item<'a>),
    /// A value has another type or other data.
    Changed {
        /// In the first tree.
        old: &'a TreeValue,
        /// In the second one.
        new: &'a TreeValue,
    },
}

/// What differs between two trees, in the order of the folded paths and names. Other spellings are no difference.
pub fn differences<'a>(a: &'a Tree, b: &'a Tree) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    for (old, new) in side_by_side(&a.keys, &b.keys) {
        match (old, new) {
            (Some(old), Some(new)) if leads_alike(old, new) => {
                differences.extend(between_values(old, new));
            }
            (old, new) => {
                differences.extend(old.into_iter().flat_map(|key| whole(key, Change::Removed)));
                differences.extend(new.into_iter().flat_map(|key| whole(key, Change::Added)));
            }
        }
    }
    differences
}

fn between_values<'a>(old: &'a TreeKey, new: &'a TreeKey) -> impl Iterator<Item = Difference<'a>> {
    let pairs = side_by_side(&old.values, &new.values).into_iter();
    pairs.filter_map(|pair| match pair {
        (Some(one), Some(other)) if one.value == other.value => None,
        (Some(one), Some(other)) => {
            Some(Difference { path: &old.path, change: Change::Changed { old: one, new: other } })
        }
        (Some(one), None) => {
            Some(Difference { path: &old.path, change: Change::Removed(Item::Value(one)) })
        }
        (None, other) => {
            let added = Change::Added(Item::Value(other?));
            Some(Difference { path: &new.path, change: added })
        }
    })
}

/// A key that only one tree has, with its values.
fn whole<'a>(
    key: &'a TreeKey,
    change: fn(Item<'a>) -> Change<'a>,
) -> impl Iterator<Item = Difference<'a>> {
    let itself = key.link.as_deref().map_or(Item::Key, Item::Link);
    let items = std::iter::once(itself).chain(key.values.values().map(Item::Value));
    items.map(move |item| Difference { path: &key.path, change: change(item) })
}

/// Whether both are links to the same key, or none is a link.
fn leads_alike(one: &TreeKey, other: &TreeKey) -> bool {
    let target = |key: &TreeKey| key.link.as_ref().map(|target| fold(&target.replace('/', "\\")));
    target(one) == target(other)
}

/// What two maps have at each name that one of them has, in order.
fn side_by_side<'a, K: Ord, V>(
    a: &'a BTreeMap<K, V>,
    b: &'a BTreeMap<K, V>,
) -> Vec<(Option<&'a V>, Option<&'a V>)> {
    let mut pairs: BTreeMap<&K, (Option<&V>, Option<&V>)> = BTreeMap::new();
    for (name, item) in a {
        pairs.entry(name).or_default().0 = Some(item);
    }
    for (name, item) in b {
        pairs.entry(name).or_default().1 = Some(item);
    }
    pairs.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::reg::parse;

    fn plan(body: &str) -> Plan {
        let document = parse(format!("REGEDIT4\n{body}").as_bytes());
        assert_eq!(document.errors, []);
        Plan::new(&document, None)
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn shown(differences: &[Difference]) -> Vec<String> {
        let item = |path: &Path, item: &Item| match item {
            Item::Key => format!("{path}"),
            Item::Link(target) => format!("{path} -> {target}"),
            Item::Value(value) => format!("{path} {}", value.name),
        };
        differences
            .iter()
            .map(|Difference { path, change }| match change {
                Change::Removed(removed) => format!("- {}", item(path, removed)),
                Change::Added(added) => format!("+ {}", item(path, added)),
                Change::Changed { old, new } => {
                    let text =
                        |value: &TreeValue| String::from_utf8_lossy(&value.value.data).into_owned();
                    format!("~ {path} {} {} {}", old.name, text(old), text(new))
                }
            })
            .collect()
    }

    fn between(a: &str, b: &str, root: &str) -> Vec<String> {
        let [a, b] = [a, b].map(|body| Tree::of_plan(&plan(body), &path(root)));
        shown(&differences(&a, &b))
    }

    #[test]
    fn what_one_has_and_the_other_has_not_is_told_with_all_below() {
        let a =
            "[HKLM\\S\\a\\b]\n\"v\"=\"1\"\n[HKLM\\S\\c]\n@=\"1\"\n\"same\"=\"1\"\n\"x\"=\"1\"\n";
        let b = "[HKLM\\s\\C]\n\"SAME\"=\"1\"\n\"X\"=\"2\"\n\"new\"=\"1\"\n[HKLM\\S\\d]\n";
        assert_eq!(
            between(a, b, "Machine\\S"),
            [
                "- Machine\\S\\a",
                "- Machine\\S\\a\\b",
                "- Machine\\S\\a\\b v",
                "- Machine\\S\\c ",
                "+ Machine\\s\\C new",
                "~ Machine\\S\\c x 1 2",
                "+ Machine\\S\\d",
            ]
        );
        assert_eq!(between(a, a, "Machine\\S"), [""; 0]);
    }

    #[test]
    fn a_value_of_another_type_is_another_one() {
        let differences = between("[HKLM]\n\"v\"=hex:31\n", "[HKLM]\n\"v\"=\"1\"\n", "Machine");
        assert_eq!(differences, ["~ Machine v 1 1"]);
    }

    #[test]
    fn a_file_is_what_an_import_makes_of_it() {
        let a = "[HKLM\\S\\a\\b]\n\"v\"=\"1\"\n[-HKLM\\S\\a]\n[HKLM\\S\\c]\n\"v\"=\"1\"\n\"v\"=-\n";
        assert_eq!(between(a, "[HKLM\\S\\c]\n", "Machine\\S"), [""; 0]);
        assert_eq!(
            between("[HKLM\\S\\c]\n[-HKLM]\n", "[HKLM\\S]\n", "Machine\\S"),
            ["+ Machine\\S"]
        );
    }

    #[test]
    fn keys_of_other_places_are_not_looked_at() {
        assert_eq!(between("[HKLM\\S\\c]\n[HKCU\\x]\n", "[HKLM\\S\\c]\n", "Machine\\S"), [""; 0]);
    }

    #[test]
    fn links_differ_by_where_they_lead() {
        let tree = |targets: &[Option<&str>]| {
            let mut tree = Tree::default();
            for (number, target) in targets.iter().enumerate() {
                let link = target.map(str::to_owned);
                let path = path(&format!("Machine\\{number}"));
                tree.insert(
                    &Path::from(vec!["machine".to_owned()]),
                    TreeKey { path, link, values: BTreeMap::new() },
                );
            }
            tree
        };
        let mut a = tree(&[Some("Machine\\A"), Some("Machine\\A"), Some("Machine\\A"), None]);
        let b = tree(&[Some("machine/a"), Some("Machine\\B"), None, None]);
        assert_eq!(
            shown(&differences(&a, &b)),
            [
                "- Machine\\1 -> Machine\\A",
                "+ Machine\\1 -> Machine\\B",
                "- Machine\\2 -> Machine\\A",
                "+ Machine\\2",
            ]
        );
        assert_eq!(a.take_links(), ["0", "1", "2"].map(|name| path(&format!("Machine\\{name}"))));
        assert_eq!(a.take_links(), []);
    }

    #[test]
    fn a_file_begins_where_its_keys_have_a_key_in_common() {
        let root = |body: &str, hint: Option<&str>| {
            let root = root_of(&plan(body), hint.map(path).as_ref());
            root.map(|root| root.to_string())
        };
        let two = "[HKLM\\S\\a\\b]\n[HKLM\\s\\A\\c]\n";
        assert_eq!(root(two, None).as_deref(), Some("Machine\\S\\a"));
        assert_eq!(root(two, Some("Machine\\S")).as_deref(), Some("Machine\\S"));
        assert_eq!(root(two, Some("Machine\\T")).as_deref(), Some("Machine\\S\\a"));
        assert_eq!(root("[HKLM\\a]\n[HKCU\\a]\n", None), None);
        assert_eq!(root("", Some("Machine")), None);
    }
}
