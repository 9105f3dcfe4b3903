//! What a step makes of what is kept of the objects that it names.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, KeyRecord, Mutation, Name, PathEntry, Target, ValueEntry};

use super::parts::{Object, Part, Scope, Touched};
use super::store::Store;

/// What is known of an object.
enum Known {
    Record(KeyRecord),
    Child(Vec<PathEntry>),
    Value(Vec<ValueEntry>, Vec<BlanketEntry>),
}

impl Known {
    fn decode(part: Part<&str>, contents: &[u8]) -> Option<Known> {
        match part {
            Part::Record => lcs_abi::decode(contents).ok().map(Known::Record),
            Part::Child(_) => lcs_abi::decode(contents).ok().map(Known::Child),
            Part::Value(_) => {
                let (entries, blankets) = lcs_abi::decode(contents).ok()?;
                Some(Known::Value(entries, blankets))
            }
            // A list is read anew when it has changed.
            Part::Children | Part::Values => None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Known::Record(record) => lcs_abi::encode(record),
            Known::Child(entries) => lcs_abi::encode(entries),
            Known::Value(entries, blankets) => lcs_abi::encode(&(entries, blankets)),
        }
    }

    /// Makes it what a mutation with this sequence number makes of it.
    fn apply(&mut self, mutation: &Mutation, sequence: u64) {
        match (self, mutation) {
            (Known::Record(record), Mutation::WriteKey { sd, last_write, .. }) => {
                record.last_write = last_write.unwrap_or(record.last_write);
                if let Some(sd) = sd {
                    record.sd.clone_from(sd);
                }
            }
            (Known::Child(entries), Mutation::SetEntry { parent, name, layer, target }) => {
                let entry = path_entry(*parent, name, layer, *target, sequence);
                set(entries, &layer.folded, entry, |entry| &entry.layer);
            }
            (Known::Child(entries), Mutation::DeleteEntry { layer, .. }) => {
                entries.retain(|entry| entry.layer.folded != *layer);
            }
            (
                Known::Value(entries, _),
                Mutation::SetValue { key, name, layer, value_type, data },
            ) => {
                let entry = ValueEntry {
                    key: *key,
                    name: name.clone(),
                    layer: layer.clone(),
                    value_type: *value_type,
                    data: data.clone(),
                    sequence,
                };
                set(entries, &layer.folded, entry, |entry| &entry.layer);
            }
            (Known::Value(entries, _), Mutation::DeleteValue { layer, .. }) => {
                entries.retain(|entry| entry.layer.folded != *layer);
            }
            _ => {}
        }
    }
}

fn path_entry(parent: Guid, name: &Name, layer: &Name, target: Target, sequence: u64) -> PathEntry {
    PathEntry { parent, name: name.clone(), layer: layer.clone(), target, sequence }
}

/// Puts a layer's entry in its place among those of one name.
fn set<E>(entries: &mut Vec<E>, layer: &str, entry: E, layer_of: impl Fn(&E) -> &Name) {
    match entries.binary_search_by(|other| layer_of(other).folded.as_str().cmp(layer)) {
        Ok(at) => entries[at] = entry,
        Err(at) => entries.insert(at, entry),
    }
}

/// The one object that a mutation makes into something that can be said.
fn object_of(mutation: &Mutation) -> Option<(Guid, Part<&str>)> {
    match mutation {
        Mutation::CreateKey(record) => Some((record.key, Part::Record)),
        Mutation::WriteKey { key, .. } => Some((*key, Part::Record)),
        Mutation::SetEntry { parent, name, .. } => Some((*parent, Part::Child(&name.folded))),
        Mutation::DeleteEntry { parent, name, .. } => Some((*parent, Part::Child(name))),
        Mutation::SetValue { key, name, .. } => Some((*key, Part::Value(&name.folded))),
        Mutation::DeleteValue { key, name, .. } => Some((*key, Part::Value(name))),
        _ => None,
    }
}

/// Takes away all that a step may change.
pub(super) fn take_touched(store: &mut Store, touched: &Touched) {
    for scope in &touched.0 {
        match scope {
            Scope::Hive(slot) => store.remove_hive(*slot),
            Scope::Key(slot, key) => store.remove_key(*slot, *key),
            Scope::One(object) => drop(store.take(object.borrowed())),
        }
    }
}

/// What is known of objects when these mutations are carried out, the first of them with this sequence number:
/// of those that are kept, and of keys that they make.
pub(super) fn after(
    store: &mut Store,
    touched: &Touched,
    mutations: &[Mutation],
    first_sequence: u64,
) -> Vec<(Object<Box<str>>, Vec<u8>)> {
    // What is touched as part of a whole is not looked at.
    let ones = touched.0.iter().filter_map(|scope| match scope {
        Scope::One(object) => Some(((object.key, object.borrowed().part), object.borrowed())),
        Scope::Hive(_) | Scope::Key(..) => None,
    });
    let ones: HashMap<(Guid, Part<&str>), Object<&str>> = ones.collect();
    let mut known: HashMap<Object<&str>, Known> = HashMap::new();
    for (sequence, mutation) in (first_sequence..).zip(mutations) {
        let Some(object) = object_of(mutation).and_then(|at| ones.get(&at)) else { continue };
        if let Mutation::CreateKey(record) = mutation {
            known.insert(*object, Known::Record(record.clone()));
            continue;
        }
        if !known.contains_key(object) {
            let kept = store.get(*object);
            let Some(kept) = kept.and_then(|kept| Known::decode(object.part, kept)) else {
                continue;
            };
            known.insert(*object, kept);
        }
        if let Some(known) = known.get_mut(object) {
            known.apply(mutation, sequence);
        }
    }
    known.into_iter().map(|(object, known)| (object.owned(), known.encode())).collect()
}
