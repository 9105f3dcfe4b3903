//! A write set: what a transaction will do to its hive when it commits (DESIGN §10).
//!
//! For each entry, value and blanket it has the last mutation only, in the order of the operations. It also
//! has what must still be so at the commit, and is laid over what a source says for those who read in the
//! transaction (`overlay.rs`).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, Condition, KeyRecord, Mutation, PathEntry, Target, ValueEntry};

use super::super::chain::Chain;
use super::by_layer::ByLayer;
use crate::security::{Parts, SecurityDescriptor};

/// How long the condition that a key exists is in a frame.
const KEY_EXISTS: usize = 17;

/// What a mutation or a condition is reckoned to take beside its names and data, in bytes.
const OVERHEAD: usize = 128;

/// A mutation, and its place among those of the transaction.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) order: u64,
    pub(super) mutation: Mutation,
}

/// What a transaction will do.
#[derive(Debug, Default)]
pub(in super::super) struct WriteSet {
    /// The place of the next mutation.
    next: u64,
    /// Keys that it makes.
    pub(super) made: HashMap<Guid, (u64, KeyRecord)>,
    /// Keys that no entry names any more, as it sees it.
    deleted: BTreeSet<Guid>,
    /// Path entries, by parent and folded name.
    pub(super) entries: BTreeMap<(Guid, String), ByLayer>,
    /// Values, by key and folded name.
    pub(super) values: BTreeMap<(Guid, String), ByLayer>,
    /// Blankets, by key.
    pub(super) blankets: BTreeMap<Guid, ByLayer>,
    /// Keys of others that it writes to, and when it did.
    pub(super) touched: BTreeMap<Guid, i64>,
    /// Parts of the security descriptors of others' keys, and when they were written last.
    pub(super) security: BTreeMap<Guid, (u64, Parts, SecurityDescriptor)>,
    /// The ways to the keys that it writes to, from the hive's root.
    pub(super) chains: HashMap<Guid, Rc<Chain>>,
    /// What an operation saw of a path entry before the transaction changed it, by parent, folded name and
    /// folded layer.
    pub(super) seen: BTreeMap<(Guid, String, String), Option<Target>>,
    /// The callers' own conditions.
    expected: Vec<Condition>,
    bytes: usize,
    frame_bytes: usize,
}

/// What a change takes in a write set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Needed {
    /// About how much memory.
    pub(in super::super) bytes: usize,
    /// At most so many bytes of a frame, for its conditions: mutations can be staged, these cannot.
    pub(in super::super) frame_bytes: usize,
}

/// A key is no more, as the transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct KeyIsGone;

impl WriteSet {
    /// About how much memory it takes.
    pub(in super::super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// At most how long its conditions are in a frame, in bytes.
    pub(in super::super) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// What these would take beside it.
    pub(in super::super) fn needed(conditions: &[Condition], mutations: &[Mutation]) -> Needed {
        let memory = conditions.iter().map(condition_size);
        let touches = mutations.iter().filter(|one| matches!(one, Mutation::WriteKey { .. }));
        Needed {
            bytes: memory.chain(mutations.iter().map(mutation_size)).sum(),
            frame_bytes: conditions.iter().map(frame_size).sum::<usize>()
                + touches.count() * KEY_EXISTS,
        }
    }

    /// What a change of a security descriptor would take beside it.
    pub(in super::super) fn needed_for(sd: &SecurityDescriptor) -> Needed {
        Needed { bytes: OVERHEAD + sd.to_bytes().len(), frame_bytes: KEY_EXISTS }
    }

    /// Adds mutations, as a step of their own would carry them out, and what must hold then.
    ///
    /// # Errors
    /// A key that they name was deleted in the transaction. Nothing was added.
    pub(in super::super) fn add(
        &mut self,
        chains: &[&Rc<Chain>],
        conditions: Vec<Condition>,
        mutations: Vec<Mutation>,
    ) -> Result<(), KeyIsGone> {
        if mutations.iter().any(|mutation| self.deleted.contains(&key_of(mutation))) {
            return Err(KeyIsGone);
        }
        self.reach(chains, &mutations);
        for condition in conditions {
            self.must_hold(condition);
        }
        for mutation in mutations {
            self.put(mutation);
        }
        Ok(())
    }

    fn must_hold(&mut self, condition: Condition) {
        let (size, frame_size) = (condition_size(&condition), frame_size(&condition));
        match condition {
            // Whatever it writes to must be there: `conditions` says so.
            Condition::KeyExists { .. } => {}
            Condition::ValueIs { .. } => {
                self.expected.push(condition);
                self.bytes += size;
                self.frame_bytes += frame_size;
            }
            Condition::EntryIs { parent, name, layer, target } => {
                let own = self.entries.get(&(parent, name.clone()));
                let own = own.is_some_and(|layers| layers.contains_key(&layer));
                if !own
                    && !self.made.contains_key(&parent)
                    && self.seen.insert((parent, name, layer), target).is_none()
                {
                    self.bytes += size;
                    self.frame_bytes += frame_size;
                }
            }
        }
    }

    pub(super) fn put(&mut self, mutation: Mutation) {
        let order = self.next;
        self.next += 1;
        let size = mutation_size(&mutation);
        let replaced = match &mutation {
            Mutation::CreateKey(record) => {
                self.made.insert(record.key, (order, record.clone()));
                None
            }
            Mutation::WriteKey { key, last_write, .. } => {
                self.touch(*key, *last_write);
                return;
            }
            Mutation::SetEntry { parent, name, layer, .. } => {
                let layers = self.entries.entry((*parent, name.folded.clone())).or_default();
                layers.insert(layer.folded.clone(), Pending { order, mutation })
            }
            Mutation::DeleteEntry { parent, name, layer } => {
                let layers = self.entries.entry((*parent, name.clone())).or_default();
                layers.insert(layer.clone(), Pending { order, mutation })
            }
            Mutation::SetValue { key, name, layer, .. } => {
                let layers = self.values.entry((*key, name.folded.clone())).or_default();
                layers.insert(layer.folded.clone(), Pending { order, mutation })
            }
            Mutation::DeleteValue { key, name, layer } => {
                let layers = self.values.entry((*key, name.clone())).or_default();
                layers.insert(layer.clone(), Pending { order, mutation })
            }
            Mutation::SetBlanket { key, layer } => {
                let layers = self.blankets.entry(*key).or_default();
                layers.insert(layer.folded.clone(), Pending { order, mutation })
            }
            Mutation::ClearBlanket { key, layer } => {
                let layers = self.blankets.entry(*key).or_default();
                layers.insert(layer.clone(), Pending { order, mutation })
            }
            // No operation of a transaction makes them.
            Mutation::RemoveSubtree { .. }
            | Mutation::RestoreKey(_)
            | Mutation::RestoreEntry(_)
            | Mutation::RestoreValue(_)
            | Mutation::RestoreBlanket(_) => None,
        };
        let freed = replaced.map_or(0, |pending| mutation_size(&pending.mutation));
        self.bytes = self.bytes + size - freed;
    }

    fn touch(&mut self, key: Guid, when: Option<i64>) {
        let Some(when) = when else { return };
        match self.made.get_mut(&key) {
            Some((_, record)) => record.last_write = when,
            None if self.touched.insert(key, when).is_none() => {
                self.bytes += OVERHEAD;
                self.frame_bytes += KEY_EXISTS;
            }
            None => {}
        }
    }

    /// Replaces parts of a key's security descriptor; a key of others keeps, at the commit, the parts that it
    /// was not given.
    pub(in super::super) fn set_security(
        &mut self,
        chain: &Rc<Chain>,
        parts: Parts,
        sd: &SecurityDescriptor,
        now: i64,
    ) -> Result<(), KeyIsGone> {
        let key = chain.key;
        if self.deleted.contains(&key) {
            return Err(KeyIsGone);
        }
        self.reach(&[chain], &[]);
        if let Some((_, record)) = self.made.get_mut(&key) {
            if let Ok(old) = SecurityDescriptor::from_bytes(&record.sd) {
                record.sd = old.with(parts, sd).to_bytes();
            }
        } else {
            let nothing = || (0, Parts::empty(), SecurityDescriptor::default());
            let (order, given, given_sd) = self.security.entry(key).or_insert_with(nothing);
            *order = self.next;
            self.next += 1;
            *given |= parts;
            *given_sd = given_sd.with(parts, sd);
        }
        self.bytes += WriteSet::needed_for(sd).bytes;
        self.touch(key, Some(now));
        Ok(())
    }

    /// No entry names this key any more, as the transaction sees it.
    pub(in super::super) fn delete(&mut self, key: Guid) {
        let mut deleted = alloc::vec![key];
        while let Some(key) = deleted.pop() {
            self.deleted.insert(key);
            if let Some((_, record)) = self.made.remove(&key) {
                // It never comes to be, and nothing that belongs to it does, nor what is hidden under it.
                self.bytes -= mutation_size(&Mutation::CreateKey(record));
                deleted.extend(self.forget(key));
            }
        }
    }

    /// Forgets what belongs to a key. Gives the keys that were named under it.
    fn forget(&mut self, key: Guid) -> Vec<Guid> {
        let mut gone: Vec<ByLayer> = Vec::new();
        for of_keys in [&mut self.entries, &mut self.values] {
            let from = of_keys.range((key, String::new())..);
            let of_key = from.take_while(|((other, _), _)| *other == key);
            let of_key: Vec<_> = of_key.map(|(at, _)| at.clone()).collect();
            gone.extend(of_key.iter().filter_map(|at| of_keys.remove(at)));
        }
        gone.extend(self.blankets.remove(&key));
        let gone = gone.iter().flat_map(ByLayer::values).map(|pending| &pending.mutation);
        self.bytes -= gone.clone().map(mutation_size).sum::<usize>();
        let named = gone.filter_map(|mutation| match mutation {
            Mutation::SetEntry { target: Target::Key(key), .. } => Some(*key),
            _ => None,
        });
        named.collect()
    }

    /// Whether it makes this key.
    pub(in super::super) fn makes(&self, key: Guid) -> bool {
        self.made.contains_key(&key)
    }

    /// Whether no entry names this key any more, as the transaction sees it.
    pub(in super::super) fn has_deleted(&self, key: Guid) -> bool {
        self.deleted.contains(&key)
    }

    /// Keys of others that a layer will no longer name.
    pub(in super::super) fn unnamed(&self) -> BTreeSet<Guid> {
        let unnamed = self.seen.iter().filter_map(|((parent, name, layer), target)| {
            let Some(Target::Key(key)) = *target else { return None };
            let pending = self.entries.get(&(*parent, name.clone()))?.get(layer)?;
            let still = matches!(pending.mutation, Mutation::SetEntry { target, .. }
                if target == Target::Key(key));
            (!still).then_some(key)
        });
        unnamed.collect()
    }

    /// Keys of others that no entry will name any more.
    pub(in super::super) fn orphans(&self) -> Vec<Guid> {
        self.unnamed().intersection(&self.deleted).copied().collect()
    }

    /// The values that it writes into layers other than this one, by key and folded name.
    pub(in super::super) fn values_beyond(&self, layer: &str) -> Vec<(Guid, String)> {
        let sets = |pending: &Pending| matches!(pending.mutation, Mutation::SetValue { .. });
        let beyond = self.values.iter().filter(|(_, layers)| {
            layers.iter().any(|(other, pending)| other != layer && sets(pending))
        });
        beyond.map(|(at, _)| at.clone()).collect()
    }

    /// Whether it changes which keys there are, or who may do what with one.
    pub(in super::super) fn is_structural(&self) -> bool {
        !self.entries.is_empty() || !self.security.is_empty()
    }

    /// Keys of others whose security descriptors it changes, with the parts that it was given.
    pub(in super::super) fn security(
        &self,
    ) -> impl Iterator<Item = (Guid, Parts, &SecurityDescriptor)> {
        self.security.iter().map(|(key, (_, parts, sd))| (*key, *parts, sd))
    }

    /// What must be so when it is carried out.
    pub(in super::super) fn conditions(&self) -> Vec<Condition> {
        let exist = self.touched.keys().map(|key| Condition::KeyExists { key: *key });
        let entries = self.seen.iter().map(|((parent, name, layer), target)| Condition::EntryIs {
            parent: *parent,
            name: name.clone(),
            layer: layer.clone(),
            target: *target,
        });
        exist.chain(entries).chain(self.expected.iter().cloned()).collect()
    }

    /// The mutations, in the order of the operations; at the end keys of others get this last write, and
    /// these security descriptors.
    pub(in super::super) fn mutations(
        &self,
        now: i64,
        mut sds: HashMap<Guid, Vec<u8>>,
    ) -> Vec<Mutation> {
        let by_layer =
            self.entries.values().chain(self.values.values()).chain(self.blankets.values());
        let changes = by_layer.flat_map(ByLayer::values);
        let mut ordered: Vec<(u64, Mutation)> =
            changes.map(|pending| (pending.order, pending.mutation.clone())).collect();
        ordered.extend(self.made.values().map(|(order, record)| {
            let record = KeyRecord { last_write: now, ..record.clone() };
            (*order, Mutation::CreateKey(record))
        }));
        ordered.sort_unstable_by_key(|(order, _)| *order);
        let touches = self.touched.keys().map(|key| Mutation::WriteKey {
            key: *key,
            sd: sds.remove(key),
            last_write: Some(now),
        });
        ordered.into_iter().map(|(_, mutation)| mutation).chain(touches).collect()
    }
}

/// The key that a mutation writes to.
fn key_of(mutation: &Mutation) -> Guid {
    match mutation {
        Mutation::CreateKey(record) | Mutation::RestoreKey(record) => record.parent,
        Mutation::SetEntry { parent, .. }
        | Mutation::DeleteEntry { parent, .. }
        | Mutation::RestoreEntry(PathEntry { parent, .. }) => *parent,
        Mutation::WriteKey { key, .. }
        | Mutation::SetValue { key, .. }
        | Mutation::DeleteValue { key, .. }
        | Mutation::SetBlanket { key, .. }
        | Mutation::ClearBlanket { key, .. }
        | Mutation::RestoreValue(ValueEntry { key, .. })
        | Mutation::RestoreBlanket(BlanketEntry { key, .. })
        | Mutation::RemoveSubtree { key, .. } => *key,
    }
}

fn condition_size(condition: &Condition) -> usize {
    match condition {
        Condition::KeyExists { .. } => 0,
        Condition::ValueIs { name, layer, .. } | Condition::EntryIs { name, layer, .. } => {
            OVERHEAD + name.len() + layer.len()
        }
    }
}

/// How long a condition is in a frame at most, but for what always fits.
fn frame_size(condition: &Condition) -> usize {
    match condition {
        // Whatever is written to must be there, and is counted when it is touched.
        Condition::KeyExists { .. } => 0,
        Condition::ValueIs { name, layer, .. } | Condition::EntryIs { name, layer, .. } => {
            3 * KEY_EXISTS + name.len() + layer.len()
        }
    }
}

/// About how much memory a mutation takes, in bytes.
pub(in super::super) fn mutation_size(mutation: &Mutation) -> usize {
    let both = |name: &lcs_abi::rsi::Name| name.display.len() + name.folded.len();
    let variable = match mutation {
        Mutation::CreateKey(record) | Mutation::RestoreKey(record) => {
            both(&record.name) + record.sd.len()
        }
        Mutation::WriteKey { sd, .. } => sd.as_ref().map_or(0, Vec::len),
        Mutation::SetEntry { name, layer, .. }
        | Mutation::RestoreEntry(PathEntry { name, layer, .. }) => both(name) + both(layer),
        Mutation::SetValue { name, layer, data, .. }
        | Mutation::RestoreValue(ValueEntry { name, layer, data, .. }) => {
            both(name) + both(layer) + data.len()
        }
        Mutation::DeleteEntry { name, layer, .. } | Mutation::DeleteValue { name, layer, .. } => {
            name.len() + layer.len()
        }
        Mutation::SetBlanket { layer, .. }
        | Mutation::RestoreBlanket(BlanketEntry { layer, .. }) => both(layer),
        Mutation::ClearBlanket { layer, .. } => layer.len(),
        Mutation::RemoveSubtree { .. } => 0,
    };
    OVERHEAD + variable
}
