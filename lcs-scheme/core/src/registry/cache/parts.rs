//! What can be kept of a hive, and what a step says something of.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::{Equivalent, HashMap, HashSet};
use lcs_abi::Guid;
use lcs_abi::rsi::Mutation;

use super::super::hives::SlotId;

/// A part of what is known of a key. Names are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Part<S> {
    /// Its record.
    Record,
    /// The entries of a name under it, also if there are none.
    Child(S),
    /// The entries of all names under it.
    Children,
    /// The entries of a value's name, also if there are none, and the key's blankets.
    Value(S),
    /// The entries of all values, and the key's blankets.
    Values,
}

/// A part of a key in a hive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct Object<S> {
    pub(in super::super) slot: SlotId,
    pub(in super::super) key: Guid,
    pub(in super::super) part: Part<S>,
}

/// Of a key of which a step writes to more parts than this nothing is kept, rather than each of them noted.
const MOST_PARTS: usize = 64;

/// What a step may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope<S> {
    /// Anything in a hive.
    Hive(SlotId),
    /// Any part of a key.
    Key(SlotId, Guid),
    /// One part of a key.
    One(Object<S>),
}

/// All that a step may change.
#[derive(Debug)]
pub(in super::super) struct Touched(pub(super) Vec<Scope<Box<str>>>);

impl<S> Part<S> {
    fn map<T>(self, of_name: impl FnOnce(S) -> T) -> Part<T> {
        match self {
            Part::Record => Part::Record,
            Part::Child(name) => Part::Child(of_name(name)),
            Part::Children => Part::Children,
            Part::Value(name) => Part::Value(of_name(name)),
            Part::Values => Part::Values,
        }
    }
}

impl Object<Box<str>> {
    /// The same, of a borrowed name.
    pub(in super::super) fn borrowed(&self) -> Object<&str> {
        let part = match &self.part {
            Part::Record => Part::Record,
            Part::Child(name) => Part::Child(&**name),
            Part::Children => Part::Children,
            Part::Value(name) => Part::Value(&**name),
            Part::Values => Part::Values,
        };
        Object { slot: self.slot, key: self.key, part }
    }

    /// The length of the name that it has.
    pub(super) fn name_len(&self) -> usize {
        match &self.part {
            Part::Child(name) | Part::Value(name) => name.len(),
            Part::Record | Part::Children | Part::Values => 0,
        }
    }
}

impl<'n> Object<&'n str> {
    /// The same, of a name of its own.
    pub(in super::super) fn owned(self) -> Object<Box<str>> {
        Object { slot: self.slot, key: self.key, part: self.part.map(Box::from) }
    }

    /// What is more than it, and has it in it.
    pub(super) fn above(self) -> [Scope<&'n str>; 2] {
        [Scope::Hive(self.slot), Scope::Key(self.slot, self.key)]
    }
}

impl Equivalent<Scope<Box<str>>> for Scope<&str> {
    fn equivalent(&self, other: &Scope<Box<str>>) -> bool {
        match (self, other) {
            (Scope::Hive(slot), Scope::Hive(other)) => slot == other,
            (Scope::Key(slot, key), Scope::Key(other_slot, other)) => {
                (slot, key) == (other_slot, other)
            }
            (Scope::One(object), Scope::One(other)) => *object == other.borrowed(),
            _ => false,
        }
    }
}

impl Touched {
    /// Anything in a hive: what a step changes that is too much to be told piece by piece.
    pub(in super::super) fn hive(slot: SlotId) -> Touched {
        Touched([Scope::Hive(slot)].into())
    }

    /// All of a key.
    pub(in super::super) fn key(slot: SlotId, key: Guid) -> Touched {
        Touched::keys(slot, &[key])
    }

    /// All of these keys.
    pub(in super::super) fn keys(slot: SlotId, keys: &[Guid]) -> Touched {
        Touched(keys.iter().map(|key| Scope::Key(slot, *key)).collect())
    }

    /// What these mutations write to.
    pub(in super::super) fn by(slot: SlotId, mutations: &[Mutation]) -> Touched {
        let mut keys: HashSet<Guid> = HashSet::new();
        let mut parts: HashMap<Guid, usize> = HashMap::new();
        for mutation in mutations {
            for (key, _) in written(mutation) {
                let count = parts.entry(key).or_default();
                *count += 1;
                if *count == MOST_PARTS {
                    keys.insert(key);
                }
            }
            match mutation {
                // Every value's entries are kept together with the blankets.
                Mutation::SetBlanket { key, .. } | Mutation::ClearBlanket { key, .. } => {
                    keys.insert(*key);
                }
                Mutation::RemoveSubtree { .. }
                | Mutation::RestoreKey(_)
                | Mutation::RestoreEntry(_)
                | Mutation::RestoreValue(_)
                | Mutation::RestoreBlanket(_) => return Touched::hive(slot),
                _ => {}
            }
        }
        let parts = mutations.iter().flat_map(written).filter(|(key, _)| !keys.contains(key));
        let parts: HashSet<(Guid, Part<&str>)> = parts.collect();
        let parts =
            parts.into_iter().map(|(key, part)| Scope::One(Object { slot, key, part }.owned()));
        Touched(keys.iter().map(|key| Scope::Key(slot, *key)).chain(parts).collect())
    }
}

/// The parts of a key that a mutation writes to.
fn written(mutation: &Mutation) -> impl Iterator<Item = (Guid, Part<&str>)> {
    let (key, part, list) = match mutation {
        Mutation::CreateKey(record) => (record.key, Some(Part::Record), None),
        Mutation::WriteKey { key, .. } => (*key, Some(Part::Record), None),
        Mutation::SetEntry { parent, name, .. } => {
            (*parent, Some(Part::Child(name.folded.as_str())), Some(Part::Children))
        }
        Mutation::DeleteEntry { parent, name, .. } => {
            (*parent, Some(Part::Child(name.as_str())), Some(Part::Children))
        }
        Mutation::SetValue { key, name, .. } => {
            (*key, Some(Part::Value(name.folded.as_str())), Some(Part::Values))
        }
        Mutation::DeleteValue { key, name, .. } => {
            (*key, Some(Part::Value(name.as_str())), Some(Part::Values))
        }
        Mutation::SetBlanket { key, .. }
        | Mutation::ClearBlanket { key, .. }
        | Mutation::RemoveSubtree { key } => (*key, None, None),
        Mutation::RestoreKey(record) => (record.key, None, None),
        Mutation::RestoreEntry(entry) => (entry.parent, None, None),
        Mutation::RestoreValue(entry) => (entry.key, None, None),
        Mutation::RestoreBlanket(entry) => (entry.key, None, None),
    };
    part.into_iter().chain(list).map(move |part| (key, part))
}
