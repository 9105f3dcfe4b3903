//! The plain executable model: what DESIGN.md §3 to §5 say, in maps and loops.

use std::collections::{BTreeMap, BTreeSet};

/// Type of a tombstone.
pub const TOMBSTONE: u32 = 0xFFFF;

/// A key object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub usize);

pub const ROOT: Key = Key(0);

/// A name in two spellings. Folding is not the model's affair.
#[derive(Clone, Debug)]
pub struct Name {
    pub display: String,
    pub folded: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    NoKey,
    NoValue,
    NoLayer,
    Invalid,
    AlreadyExists,
    NotEmpty,
    ConditionFailed,
    LimitExceeded,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    pub parent: Key,
    pub volatile: bool,
    pub last_write: i64,
}

/// A path entry: a key, or HIDDEN. `order` ranks it among all that was ever written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub target: Option<Key>,
    pub order: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub name: String,
    pub layer: String,
    pub value_type: u32,
    pub data: Vec<u8>,
    pub order: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct LayerRules {
    pub name: &'static str,
    pub precedence: u32,
    pub enabled: bool,
}

#[derive(Clone, Debug)]
pub struct Model {
    /// By folded name.
    layers: BTreeMap<&'static str, LayerRules>,
    pub max_layers_per_value: usize,
    pub records: BTreeMap<Key, Record>,
    /// By parent, folded name and layer.
    pub entries: BTreeMap<(Key, String, String), Entry>,
    /// By key, folded name and layer.
    pub values: BTreeMap<(Key, String, String), Value>,
    /// By key and layer.
    pub blankets: BTreeMap<(Key, String), u64>,
    /// How many handles a key has.
    pub open: BTreeMap<Key, usize>,
    order: u64,
    keys: usize,
    pub now: i64,
    /// How many changes were made.
    pub changes: u64,
}

impl Model {
    /// A hive with its root, opened once.
    pub fn new(layers: &[LayerRules]) -> Model {
        let root = Record { name: "Test".into(), parent: ROOT, volatile: false, last_write: 0 };
        Model {
            layers: layers.iter().map(|layer| (layer.name, *layer)).collect(),
            max_layers_per_value: 128,
            records: [(ROOT, root)].into(),
            entries: BTreeMap::new(),
            values: BTreeMap::new(),
            blankets: BTreeMap::new(),
            open: [(ROOT, 1)].into(),
            order: 0,
            keys: 1,
            now: 0,
            changes: 0,
        }
    }

    pub fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn known_layer(&self, layer: &str) -> Result<(), Failure> {
        self.layers.get(layer).map(|_| ()).ok_or(Failure::NoLayer)
    }

    /// Precedence and order; nothing if the layer does not count.
    fn rank(&self, layer: &str, order: u64) -> Option<(u32, u64)> {
        let layer = self.layers.get(layer).filter(|layer| layer.enabled)?;
        Some((layer.precedence, order))
    }

    /// The visible key of a name.
    pub fn child(&self, parent: Key, folded: &str) -> Option<Key> {
        let mut best = None;
        for ((key, name, layer), entry) in &self.entries {
            if *key == parent && name == folded {
                best = best.max(self.rank(layer, entry.order).map(|rank| (rank, entry.target)));
            }
        }
        best.and_then(|(_, target)| target)
    }

    /// The visible children, in the order of their folded names.
    pub fn children(&self, parent: Key) -> Vec<Key> {
        let names: BTreeSet<&String> = self
            .entries
            .keys()
            .filter(|(key, _, _)| *key == parent)
            .map(|(_, name, _)| name)
            .collect();
        names.into_iter().filter_map(|name| self.child(parent, name)).collect()
    }

    /// The effective value of a name.
    pub fn value(&self, key: Key, folded: &str) -> Option<&Value> {
        let mut best = None;
        for ((owner, name, layer), value) in &self.values {
            if *owner == key && name == folded {
                let rank = self.rank(layer, value.order);
                if rank.is_some() && rank > best.map(|(rank, _)| rank) {
                    best = rank.map(|rank| (rank, Some(value)));
                }
            }
        }
        for ((owner, layer), order) in &self.blankets {
            if *owner == key {
                let rank = self.rank(layer, *order);
                if rank.is_some() && rank > best.map(|(rank, _)| rank) {
                    best = rank.map(|rank| (rank, None));
                }
            }
        }
        best.and_then(|(_, value)| value).filter(|value| value.value_type != TOMBSTONE)
    }

    /// The effective values, in the order of their folded names.
    pub fn values(&self, key: Key) -> Vec<&Value> {
        let names: BTreeSet<&String> = self
            .values
            .keys()
            .filter(|(owner, _, _)| *owner == key)
            .map(|(_, name, _)| name)
            .collect();
        names.into_iter().filter_map(|name| self.value(key, name)).collect()
    }

    fn is_named(&self, key: Key) -> bool {
        key == ROOT || self.entries.values().any(|entry| entry.target == Some(key))
    }

    fn must_be_named(&self, key: Key) -> Result<(), Failure> {
        if self.is_named(key) { Ok(()) } else { Err(Failure::NoKey) }
    }

    fn changed(&mut self, key: Key) {
        let now = self.now;
        self.records.get_mut(&key).expect("the key is there").last_write = now;
        self.changes += 1;
    }

    fn follow(&self, start: Key, path: &[Name]) -> Result<Key, Failure> {
        self.must_be_named(start)?;
        path.iter().try_fold(start, |key, name| self.child(key, &name.folded).ok_or(Failure::NoKey))
    }

    /// Opens a key.
    pub fn open(&mut self, start: Key, path: &[Name]) -> Result<Key, Failure> {
        let key = self.follow(start, path)?;
        *self.open.entry(key).or_default() += 1;
        Ok(key)
    }

    /// Opens or creates a key; tells which.
    pub fn create(
        &mut self,
        start: Key,
        path: &[Name],
        layer: &str,
        volatile: bool,
    ) -> Result<(Key, bool), Failure> {
        self.must_be_named(start)?;
        let (name, parents) = path.split_last().ok_or(Failure::Invalid)?;
        let parent = self.follow(start, parents)?;
        if let Some(key) = self.child(parent, &name.folded) {
            *self.open.entry(key).or_default() += 1;
            return Ok((key, false));
        }
        self.known_layer(layer)?;
        if self.records[&parent].volatile && !volatile {
            return Err(Failure::Invalid);
        }
        let place = (parent, name.folded.clone(), layer.to_string());
        if self.entries.get(&place).is_some_and(|entry| entry.target.is_some()) {
            return Err(Failure::AlreadyExists);
        }
        let key = Key(self.keys);
        self.keys += 1;
        let last_write = self.now;
        let record = Record { name: name.display.clone(), parent, volatile, last_write };
        self.records.insert(key, record);
        let order = self.next_order();
        self.entries.insert(place, Entry { target: Some(key), order });
        self.changed(parent);
        self.open.insert(key, 1);
        Ok((key, true))
    }

    /// Closes one handle of a key.
    pub fn close(&mut self, key: Key) {
        let handles = self.open.get_mut(&key).expect("an open key");
        *handles -= 1;
        if *handles == 0 {
            self.open.remove(&key);
            self.drop_if_orphan(key);
        }
    }

    fn drop_if_orphan(&mut self, key: Key) {
        if self.is_named(key) || self.open.contains_key(&key) {
            return;
        }
        self.records.remove(&key);
        self.values.retain(|(owner, _, _), _| *owner != key);
        self.blankets.retain(|(owner, _), _| *owner != key);
        let under: Vec<Key> = self
            .entries
            .iter()
            .filter(|((parent, _, _), _)| *parent == key)
            .filter_map(|(_, entry)| entry.target)
            .collect();
        self.entries.retain(|(parent, _, _), _| *parent != key);
        for child in under {
            self.drop_if_orphan(child);
        }
    }

    /// The place of a key's own entry in a layer, if its own entries may be changed.
    fn own_place(
        &self,
        key: Key,
        folded: &str,
        layer: &str,
    ) -> Result<(Key, String, String), Failure> {
        if key == ROOT {
            return Err(Failure::Invalid);
        }
        self.must_be_named(key)?;
        self.known_layer(layer)?;
        Ok((self.records[&key].parent, folded.into(), layer.into()))
    }

    /// Removes a layer's entry for the name of an open key.
    pub fn delete(&mut self, key: Key, folded: &str, layer: &str) -> Result<(), Failure> {
        let place = self.own_place(key, folded, layer)?;
        let victim = self.entries.get(&place).and_then(|entry| entry.target);
        let victim = victim.ok_or(Failure::NoKey)?;
        if !self.children(victim).is_empty() {
            return Err(Failure::NotEmpty);
        }
        self.entries.remove(&place);
        self.changed(place.0);
        self.drop_if_orphan(victim);
        Ok(())
    }

    /// Writes a HIDDEN entry over the name of an open key, where the layer names no key itself.
    pub fn hide(&mut self, key: Key, folded: &str, layer: &str) -> Result<(), Failure> {
        let place = self.own_place(key, folded, layer)?;
        if self.entries.get(&place).is_some_and(|entry| entry.target.is_some()) {
            return Err(Failure::AlreadyExists);
        }
        let order = self.next_order();
        self.changed(place.0);
        self.entries.insert(place, Entry { target: None, order });
        Ok(())
    }

    /// Removes a HIDDEN entry under an open key.
    pub fn unhide(&mut self, parent: Key, folded: &str, layer: &str) -> Result<(), Failure> {
        self.must_be_named(parent)?;
        self.known_layer(layer)?;
        let place = (parent, folded.to_string(), layer.to_string());
        if self.entries.get(&place).is_none_or(|entry| entry.target.is_some()) {
            return Err(Failure::Invalid);
        }
        self.entries.remove(&place);
        self.changed(parent);
        Ok(())
    }

    /// Writes a value or a tombstone. `expected` is the order that the layer's entry must have, or `Some(None)`
    /// if there must be none.
    pub fn set_value(
        &mut self,
        key: Key,
        name: &Name,
        layer: (&str, &str),
        content: (u32, Vec<u8>),
        expected: Option<Option<u64>>,
    ) -> Result<(), Failure> {
        let (value_type, data) = content;
        if value_type > 11 && (value_type != TOMBSTONE || !data.is_empty()) {
            return Err(Failure::Invalid);
        }
        let (layer, layer_display) = layer;
        self.known_layer(layer)?;
        let place = (key, name.folded.clone(), layer.to_string());
        let others = self.values.keys().filter(|(owner, other, in_layer)| {
            *owner == key && *other == name.folded && in_layer != layer && in_layer != "base"
        });
        if layer != "base" && others.count() >= self.max_layers_per_value - 1 {
            return Err(Failure::LimitExceeded);
        }
        let present = self.values.get(&place).map(|value| value.order);
        if expected.is_some_and(|expected| expected != present) {
            return Err(Failure::ConditionFailed);
        }
        let order = self.next_order();
        let (name, layer) = (name.display.clone(), layer_display.to_string());
        self.values.insert(place, Value { name, layer, value_type, data, order });
        self.changed(key);
        Ok(())
    }

    pub fn delete_value(&mut self, key: Key, folded: &str, layer: &str) -> Result<(), Failure> {
        self.known_layer(layer)?;
        self.values.remove(&(key, folded.to_string(), layer.to_string()));
        self.changed(key);
        Ok(())
    }

    pub fn set_blanket(&mut self, key: Key, layer: &str) -> Result<(), Failure> {
        self.known_layer(layer)?;
        let order = self.next_order();
        self.blankets.insert((key, layer.to_string()), order);
        self.changed(key);
        Ok(())
    }

    pub fn clear_blanket(&mut self, key: Key, layer: &str) -> Result<(), Failure> {
        self.known_layer(layer)?;
        self.blankets.remove(&(key, layer.to_string()));
        self.changed(key);
        Ok(())
    }
}
