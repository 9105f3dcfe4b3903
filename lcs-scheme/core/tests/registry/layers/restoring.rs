//! Backups and restores, in the model and against the registry (DESIGN §13 and §7).

use std::collections::{BTreeMap, BTreeSet};

use lcs_abi::call::Derive;
use lcs_abi::watch::EventKind;

use super::contents::{
    Attached, Contents, Entry, Hive, Key, LAYERS, Place, Record, SKELETON, Value, Who,
};
use super::model::{Failure, Model};
use super::names::{Layer, Spelled};
use super::player::{Player, caller, failure};
use crate::common::streams::{back_up, restore_as};

/// As many backups are kept.
const MOST: usize = 4;

/// What there was under a key, and of it.
#[derive(Clone, Debug)]
pub struct Subtree {
    pub top: Key,
    keys: BTreeMap<Key, Record>,
    entries: BTreeMap<Place, Entry>,
    values: BTreeMap<Place, Value>,
    blankets: BTreeMap<(Key, Layer), u64>,
    entry_layers: BTreeMap<Place, Spelled>,
    blanket_layers: BTreeMap<(Key, Layer), Spelled>,
}

impl Subtree {
    fn uses(&self, layer: Layer) -> bool {
        let entries = self.entries.keys().map(|(.., layer)| *layer);
        let values = self.values.keys().map(|(.., layer)| *layer);
        let blankets = self.blankets.keys().map(|(_, layer)| *layer);
        entries.chain(values).chain(blankets).any(|used| used == layer)
    }
}

impl Contents {
    /// A key and all to which entries lead from it.
    fn led_to_from(&self, top: Key) -> BTreeSet<Key> {
        let mut keys = BTreeSet::from([top]);
        loop {
            let named = self.entries.iter().filter(|((parent, ..), _)| keys.contains(parent));
            let more: Vec<Key> = named.filter_map(|(_, entry)| entry.target).collect();
            let before = keys.len();
            keys.extend(more);
            if keys.len() == before {
                return keys;
            }
        }
    }

    fn subtree(&self, top: Key) -> Subtree {
        let of = self.led_to_from(top);
        let keys = of.iter().map(|key| (*key, self.keys[key].clone())).collect();
        let has = |key: &Key| of.contains(key);
        let entries = self.entries.iter().filter(|((key, ..), _)| has(key));
        let values = self.values.iter().filter(|((key, ..), _)| has(key));
        let blankets = self.blankets.iter().filter(|((key, _), _)| has(key));
        let entries: BTreeMap<_, _> = entries.map(|(place, entry)| (*place, *entry)).collect();
        let blankets: BTreeMap<_, _> = blankets.map(|(place, order)| (*place, *order)).collect();
        Subtree {
            top,
            keys,
            values: values.map(|(place, value)| (*place, value.clone())).collect(),
            entry_layers: entries.keys().map(|at| (*at, self.layer_of_entry(at))).collect(),
            blanket_layers: blankets.keys().map(|at| (*at, self.layer_of_blanket(at))).collect(),
            entries,
            blankets,
        }
    }

    /// Removes a key's contents, and all to which entries lead from it.
    fn remove_below(&mut self, top: Key) {
        let gone = self.led_to_from(top);
        self.keys.retain(|key, _| *key == top || !gone.contains(key));
        self.entries.retain(|(key, ..), _| !gone.contains(key));
        self.values.retain(|(key, ..), _| !gone.contains(key));
        self.blankets.retain(|(key, _), _| !gone.contains(key));
    }

    fn put_back(&mut self, subtree: &Subtree) {
        self.remove_below(subtree.top);
        for key in subtree.keys.keys().filter(|key| **key != subtree.top) {
            // What is still there no entry names.
            if self.keys.contains_key(key) {
                self.remove_below(*key);
            }
        }
        self.keys.extend(subtree.keys.iter().map(|(key, record)| (*key, record.clone())));
        let entries = subtree.entries.values().map(|entry| entry.order);
        let values = subtree.values.values().map(|value| value.order);
        let orders = entries.chain(values).chain(subtree.blankets.values().copied());
        let orders: BTreeSet<u64> = orders.collect();
        let ranks: BTreeMap<u64, u64> =
            orders.into_iter().map(|order| (order, self.next_order())).collect();
        for (place, entry) in &subtree.entries {
            self.entries.insert(*place, Entry { order: ranks[&entry.order], ..*entry });
        }
        for (place, value) in &subtree.values {
            let value = Value { order: ranks[&value.order], ..value.clone() };
            self.values.insert(*place, value);
        }
        for (place, order) in &subtree.blankets {
            self.blankets.insert(*place, ranks[order]);
        }
        self.entry_layers.extend(&subtree.entry_layers);
        self.blanket_layers.extend(&subtree.blanket_layers);
    }

    /// Whether a key is below another, by the parents that keys have.
    fn is_below(&self, key: Key, top: Key) -> bool {
        let mut at = key;
        while let Some(record) = self.keys.get(&at).filter(|record| record.parent != at) {
            at = record.parent;
            if at == top {
                return true;
            }
        }
        false
    }
}

impl Model {
    fn may_restore(&self, who: Who, subtree: &Subtree) -> Result<(), Failure> {
        if who != Who::System {
            return Err(Failure::PrivilegeMissing);
        }
        self.must_be_named(&self.committed, subtree.top)?;
        if self.pending.keys().any(|layer| subtree.uses(*layer)) {
            return Err(Failure::Busy);
        }
        Ok(())
    }

    /// Restores, and tells the watchers.
    fn restore(&mut self, subtree: &Subtree) {
        let top = subtree.top;
        let hive = self.committed.hive(top);
        self.changed.insert(hive);
        let shown = |contents: &Contents, key: Key, attached: &Attached| {
            let record = &contents.keys[&key];
            contents.child(record.parent, record.name.name, attached) == Some(key)
        };
        let below: Vec<(usize, bool)> = self
            .watches
            .iter()
            .filter(|(_, watch)| {
                let in_stream = watch.key != top && subtree.keys.contains_key(&watch.key);
                in_stream || self.committed.is_below(watch.key, top)
            })
            .map(|(number, watch)| (*number, shown(&self.committed, watch.key, &watch.attached)))
            .collect();
        self.committed.put_back(subtree);
        let (bounds, contents) = (self.bounds, &self.committed);
        for (number, was_shown) in below {
            let watch = self.watches.get_mut(&number).expect("a watch");
            let is_there = contents.keys.contains_key(&watch.key);
            let in_stream = subtree.keys.contains_key(&watch.key);
            let is_shown = is_there && shown(contents, watch.key, &watch.attached);
            if was_shown && !is_shown {
                watch.tell(EventKind::KeyDeleted, bounds);
            }
            if in_stream {
                watch.overflow(bounds);
            }
        }
        for watch in self.watches.values_mut() {
            if watch.reaches(top, contents, bounds) {
                watch.overflow(bounds);
            }
        }
        self.drop_orphans();
    }
}

impl Player {
    /// Whether a key is none of LCS's own, and none above them or with layers.
    fn is_ordinary(&self, key: Key) -> bool {
        let contents = &self.model.committed;
        let own = [Hive::Machine.root()].into_iter().chain(SKELETON);
        !own.into_iter().any(|own| own == key) && !contents.is_below(key, LAYERS)
    }

    /// Makes a backup of an open key, and keeps it.
    pub fn back_up(&mut self, place: usize) {
        let handle = &self.handles[place];
        let (id, key, through) = (handle.id, handle.key, handle.through.clone());
        if through.transaction.is_some() || !self.is_ordinary(key) {
            return;
        }
        if through.who != Who::System {
            let made = self.client.derive_as(&caller(through.who), Some(id), Derive::Backup);
            assert_eq!(made.map_err(failure), Err(Failure::PrivilegeMissing));
            return;
        }
        let named = self.model.must_be_named(&self.model.committed, key);
        match (back_up(&self.client, id).map_err(failure), named) {
            (Ok(stream), Ok(())) => {
                let subtree = self.model.committed.subtree(key);
                if self.backups.len() == MOST {
                    self.backups.remove(0);
                }
                self.backups.push((subtree, stream));
            }
            (made, named) => assert_eq!(made.map(drop), named),
        }
    }

    /// Restores an open key from a backup that was made of it, if there is one.
    pub fn restore(&mut self, place: usize) {
        let handle = &self.handles[place];
        let (id, key, who) = (handle.id, handle.key, handle.through.who);
        let of_key = |(subtree, _): &&(Subtree, Vec<u8>)| subtree.top == key;
        let Some((subtree, stream)) = self.backups.iter().rev().find(of_key).cloned() else {
            return;
        };
        if handle.through.transaction.is_some() {
            return;
        }
        // What becomes of the writes of transactions is for other tests.
        while !self.transactions.is_empty() {
            self.abort(0);
        }
        let done = restore_as(&self.client, &caller(who), id, &stream);
        let may = self.model.may_restore(who, &subtree);
        assert_eq!(done.map_err(failure), may);
        if may.is_err() {
            return;
        }
        self.model.restore(&subtree);
        self.close_what_is_gone();
    }

    /// Closes the handles of keys that a restore removed.
    fn close_what_is_gone(&mut self) {
        let mut place = 0;
        while let Some(handle) = self.handles.get(place) {
            let (id, key) = (handle.id, handle.key);
            if handle.through.transaction.is_some() || self.model.committed.keys.contains_key(&key)
            {
                place += 1;
                continue;
            }
            let found = self.client.query(id, "a").map_err(failure);
            assert!(matches!(found, Err(Failure::NoKey | Failure::Denied)), "{found:?}");
            self.read_events(place);
            self.close(place);
        }
    }
}
