//! Transactions (DESIGN §10): writes that are kept until they become one commit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lcs_abi::call::TransactionState;

use super::contents::{Attached, Change, Contents, Hive, Key, LAYERS, Place, Rules};
use super::model::Failure;
use super::names::Layer;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub usize);

#[derive(Clone, Debug)]
pub struct Transaction {
    pub state: TransactionState,
    hive: Option<Hive>,
    /// And when each was made.
    changes: Vec<(Change, i64)>,
    /// What entries of others were when it first changed them.
    saw: BTreeMap<Place, Option<Option<Key>>>,
    pub expected: Vec<(Place, Option<u64>)>,
}

impl Transaction {
    pub fn new() -> Transaction {
        Transaction {
            state: TransactionState::ActiveUnbound,
            hive: None,
            changes: Vec::new(),
            saw: BTreeMap::new(),
            expected: Vec::new(),
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, TransactionState::ActiveUnbound | TransactionState::ActiveBound)
    }

    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().map(|(change, _)| change)
    }

    fn makes(&self, key: Key) -> bool {
        makes(self.changes(), key)
    }

    /// Whether it has deleted a key, or one that it made above it.
    pub fn lacks(&self, committed: &Contents, key: Key) -> bool {
        let contents = self.seen(committed);
        let unnamed = |key: Key| !contents.is_named(key);
        if unnamed(key) && (self.makes(key) || committed.is_named(key)) {
            return true;
        }
        let mut above = key;
        while let Some(record) = contents.keys.get(&above) {
            if record.parent == above {
                return false;
            }
            above = record.parent;
            if self.makes(above) && unnamed(above) {
                return true;
            }
        }
        false
    }

    /// What it sees, with the layers that it makes.
    pub fn seen<'c>(&self, committed: &'c Contents) -> Cow<'c, Contents> {
        if self.changes.is_empty() {
            return Cow::Borrowed(committed);
        }
        let mut contents = committed.clone();
        contents.keep_spellings();
        for (change, when) in &self.changes {
            contents.apply(change, *when);
        }
        let made = contents
            .read_table()
            .into_iter()
            .filter(|(_, rules)| rules.metadata.is_some_and(|key| self.makes(key)));
        let made: Vec<(Layer, Rules)> = made.collect();
        contents.table.extend(made);
        Cow::Owned(contents)
    }

    /// Whether it deletes the key of a layer that there is.
    pub fn deletes_layer(&self, layer: Layer) -> bool {
        let place = (LAYERS, layer, Layer::Base);
        let saw = matches!(self.saw.get(&place), Some(Some(Some(_))));
        saw && self.changes().any(|change| matches!(change, Change::NoEntry(at) if *at == place))
    }

    /// Whether it makes the key of a layer.
    pub fn makes_layer(&self, committed: &Contents, layer: Layer) -> bool {
        let entry = self.seen(committed).entries.get(&(LAYERS, layer, Layer::Base)).copied();
        entry.and_then(|entry| entry.target).is_some_and(|key| self.makes(key))
    }

    /// Fails if it deletes the layer, or is bound to another hive.
    pub fn must_take(&self, hive: Hive, layer: Layer) -> Result<(), Failure> {
        if self.deletes_layer(layer) {
            Err(Failure::Invalid)
        } else if self.hive.is_some_and(|bound_to| bound_to != hive) {
            Err(Failure::OtherHive)
        } else {
            Ok(())
        }
    }

    pub fn write(
        &mut self,
        committed: &Contents,
        hive: Hive,
        changes: Vec<Change>,
        layer: Layer,
        now: i64,
    ) -> Result<(), Failure> {
        self.must_take(hive, layer)?;
        let seen = self.seen(committed);
        let deleted = |key| !seen.is_named(key) && (self.makes(key) || committed.is_named(key));
        if changes
            .iter()
            .any(|change| deleted(change.writes_to()) && !makes(changes.iter(), change.writes_to()))
        {
            return Err(Failure::NoKey);
        }
        self.hive = Some(hive);
        self.state = TransactionState::ActiveBound;
        for change in changes {
            if let Change::Entry(place, _) | Change::NoEntry(place) = &change
                && !self.makes(place.0)
            {
                let there = committed.entries.get(place).map(|entry| entry.target);
                self.saw.entry(*place).or_insert(there);
            }
            self.changes.push((change, now));
        }
        Ok(())
    }

    /// The hive that it can be committed in.
    pub fn ready_in(&self) -> Result<Hive, Failure> {
        if !self.is_open() {
            return Err(Failure::Ended(self.state));
        }
        self.hive.ok_or(Failure::Invalid)
    }

    /// Whether all is as it saw it, and what it deletes may be deleted.
    pub fn holds(&self, committed: &Contents) -> bool {
        let after = self.seen(committed);
        let written = self.changes().map(Change::writes_to);
        let mut written = written.filter(|key| !self.makes(*key));
        let mut unnamed = self.saw.iter().filter_map(|(place, saw)| {
            let key = saw.flatten()?;
            (after.entries.get(place).and_then(|entry| entry.target) != Some(key)).then_some(key)
        });
        written.all(|key| committed.keys.contains_key(&key))
            && self
                .saw
                .iter()
                .all(|(place, saw)| committed.entries.get(place).map(|entry| entry.target) == *saw)
            && self.expected.iter().all(|(place, order)| {
                committed.values.get(place).map(|value| value.order) == *order
            })
            && unnamed.all(|key| after.children(key, &Attached::new()).is_empty())
    }

    /// Whether it has written into a layer; what belongs to a key that it has made and deleted is forgotten.
    pub fn writes_into(&self, committed: &Contents, layer: Layer) -> bool {
        let kept = |key: Key| !self.makes(key) || !self.lacks(committed, key);
        let mut into = self.changes().filter(|change| change.layer() == Some(layer));
        into.any(|change| kept(change.writes_to()))
    }

    pub fn lost_layer(&mut self, committed: &Contents, layer: Layer) {
        if self.is_open() && self.writes_into(committed, layer) {
            self.state = TransactionState::Aborted;
        }
    }

    pub fn lost_hive(&mut self, hive: Hive) {
        if self.is_open() && self.hive == Some(hive) {
            self.state = TransactionState::SourceDown;
        }
    }
}

fn makes<'c>(mut changes: impl Iterator<Item = &'c Change>, key: Key) -> bool {
    changes.any(|change| matches!(change, Change::Make(made, _) if *made == key))
}
