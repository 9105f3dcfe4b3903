//! What is in all hives, and what of it counts (DESIGN §3, §4).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lcs_abi::security::Access;

use super::names::{FIRST, LAST, Layer, Name, Spelled};

pub const DWORD: u32 = 4;
pub const LINK: u32 = 6;
pub const TOMBSTONE: u32 = 0xFFFF;

/// A key object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub usize);

pub const MACHINE: Key = Key(0);
pub const TEST: Key = Key(1);
pub const SANDBOX: Key = Key(2);
pub const SYSTEM: Key = Key(3);
pub const REGISTRY: Key = Key(4);
pub const LAYERS: Key = Key(5);
pub const SCOPES: Key = Key(6);
pub const PENDING_DELETION: Key = Key(7);
/// What LCS keeps for itself, which stays.
pub const SKELETON: [Key; 5] = [SYSTEM, REGISTRY, LAYERS, SCOPES, PENDING_DELETION];

/// A hive: two are for all, one is for a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hive {
    Machine,
    Test,
    Sandbox,
}

impl Hive {
    pub fn root(self) -> Key {
        [MACHINE, TEST, SANDBOX][self as usize]
    }
}

/// Who acts: SYSTEM, or an ordinary user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    System,
    User,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Spelled,
    pub hive: Hive,
    /// The key itself for a root.
    pub parent: Key,
    pub volatile: bool,
    pub link: bool,
    pub last_write: i64,
    /// What the ACEs give the user; SYSTEM is given all.
    pub for_user: Access,
    pub user_owns: bool,
}

impl Record {
    pub fn granted(&self, who: Who) -> Access {
        match who {
            Who::System => Access::KEY_ALL_ACCESS,
            Who::User if self.user_owns => self.for_user | Access::READ_CONTROL | Access::WRITE_DAC,
            Who::User => self.for_user,
        }
    }
}

/// Where a layer's entry is: under a key, or among its values.
pub type Place = (Key, Name, Layer);

/// A path entry: a key, or HIDDEN. `order` ranks it among all that was ever written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub target: Option<Key>,
    pub order: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub name: Spelled,
    pub layer: Spelled,
    pub value_type: u32,
    pub data: Rc<[u8]>,
    pub order: u64,
}

/// A layer of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub name: Spelled,
    /// The key of its metadata; `base` has none.
    pub metadata: Option<Key>,
    pub precedence: u32,
    pub enabled: bool,
}

/// The metadata keys of the private layers that a view has.
pub type Attached = BTreeSet<Key>;

/// A change of one thing.
#[derive(Clone, Debug)]
pub enum Change {
    Make(Key, Record),
    Entry(Place, Option<Key>),
    NoEntry(Place),
    Value(Place, Value),
    NoValue(Place),
    Blanket(Key, Layer),
    NoBlanket(Key, Layer),
    Security(Key, Access),
}

impl Change {
    /// The layer that it is a write into, if it is one.
    pub fn layer(&self) -> Option<Layer> {
        match self {
            Change::Entry((.., layer), _) | Change::NoEntry((.., layer)) => Some(*layer),
            Change::Value((.., layer), _) | Change::NoValue((.., layer)) => Some(*layer),
            Change::Blanket(_, layer) | Change::NoBlanket(_, layer) => Some(*layer),
            Change::Make(..) | Change::Security(..) => None,
        }
    }

    /// The key that it is a write to.
    pub fn writes_to(&self) -> Key {
        match self {
            Change::Make(_, record) => record.parent,
            Change::Entry((key, ..), _) | Change::NoEntry((key, ..)) => *key,
            Change::Value((key, ..), _) | Change::NoValue((key, ..)) => *key,
            Change::Blanket(key, _) | Change::NoBlanket(key, _) => *key,
            Change::Security(key, _) => *key,
        }
    }
}

/// Which candidate of a name is the effective one.
pub type Rank = (u32, u64);

#[derive(Clone, Debug)]
pub struct Contents {
    pub keys: BTreeMap<Key, Record>,
    pub entries: BTreeMap<Place, Entry>,
    pub values: BTreeMap<Place, Value>,
    pub blankets: BTreeMap<(Key, Layer), u64>,
    /// How restored entries and blankets spell their layers: as when the backup was made.
    pub entry_layers: BTreeMap<Place, Spelled>,
    pub blanket_layers: BTreeMap<(Key, Layer), Spelled>,
    /// The layers in force.
    pub table: BTreeMap<Layer, Rules>,
    order: u64,
}

fn places(key: Key, name: Name) -> std::ops::RangeInclusive<Place> {
    (key, name, FIRST)..=(key, name, LAST)
}

fn names_of<'a, T: 'a>(
    places: impl Iterator<Item = (&'a Place, &'a T)>,
) -> impl Iterator<Item = Name> {
    let mut names: Vec<Name> = places.map(|((_, name, _), _)| *name).collect();
    names.dedup();
    names.into_iter()
}

impl Contents {
    /// The roots of the hives, and what LCS makes in `Machine`.
    pub fn new() -> Contents {
        let mut keys = BTreeMap::new();
        let mut entries = BTreeMap::new();
        let record = |name: Name, hive, parent, for_user| Record {
            name: name.usual(),
            hive,
            parent,
            volatile: false,
            link: false,
            last_write: 0,
            for_user,
            user_owns: false,
        };
        for (hive, name) in
            [(Hive::Machine, Name::Machine), (Hive::Test, Name::Test), (Hive::Sandbox, Name::Test)]
        {
            keys.insert(hive.root(), record(name, hive, hive.root(), Access::KEY_READ));
        }
        let own = [
            (SYSTEM, Name::System, MACHINE, Access::KEY_READ),
            (REGISTRY, Name::Registry, SYSTEM, Access::KEY_READ),
            (LAYERS, Name::Layers, REGISTRY, Access::KEY_READ),
            (SCOPES, Name::Scopes, REGISTRY, Access::empty()),
            (PENDING_DELETION, Name::PendingDeletion, REGISTRY, Access::empty()),
        ];
        for (order, (key, name, parent, for_user)) in (1..).zip(own) {
            keys.insert(key, record(name, Hive::Machine, parent, for_user));
            entries.insert((parent, name, Layer::Base), Entry { target: Some(key), order });
        }
        let base =
            Rules { name: Name::Base.spelled(0), metadata: None, precedence: 0, enabled: true };
        Contents {
            keys,
            entries,
            values: BTreeMap::new(),
            blankets: BTreeMap::new(),
            entry_layers: BTreeMap::new(),
            blanket_layers: BTreeMap::new(),
            table: [(Layer::Base, base)].into(),
            order: own.len() as u64,
        }
    }

    /// Precedence and order of an entry; nothing if its layer does not count.
    pub fn rank(&self, layer: Layer, order: u64, attached: &Attached) -> Option<Rank> {
        let rules = self.table.get(&layer)?;
        let is_attached = rules.metadata.is_some_and(|key| attached.contains(&key));
        (rules.enabled || is_attached).then_some((rules.precedence, order))
    }

    pub fn entries_of(&self, parent: Key, name: Name) -> impl Iterator<Item = (Layer, Entry)> {
        self.entries.range(places(parent, name)).map(|((_, _, layer), entry)| (*layer, *entry))
    }

    /// The visible key of a name.
    pub fn child(&self, parent: Key, name: Name, attached: &Attached) -> Option<Key> {
        let mut best = None;
        for (layer, entry) in self.entries_of(parent, name) {
            let rank = self.rank(layer, entry.order, attached);
            best = best.max(rank.map(|rank| (rank, entry.target)));
        }
        best.and_then(|(_, target)| target)
    }

    /// The visible children, in the order of their folded names.
    pub fn children(&self, parent: Key, attached: &Attached) -> Vec<Key> {
        let under = self.entries.range((parent, FIRST, FIRST)..=(parent, LAST, LAST));
        names_of(under).filter_map(|name| self.child(parent, name, attached)).collect()
    }

    pub fn values_of(&self, key: Key, name: Name) -> impl Iterator<Item = (Layer, &Value)> {
        self.values.range(places(key, name)).map(|((_, _, layer), value)| (*layer, value))
    }

    pub fn blankets_of(&self, key: Key) -> impl Iterator<Item = (Layer, u64)> {
        let range = (key, FIRST)..=(key, LAST);
        self.blankets.range(range).map(|((_, layer), order)| (*layer, *order))
    }

    /// The effective value of a name.
    pub fn value(&self, key: Key, name: Name, attached: &Attached) -> Option<&Value> {
        let (mut best, mut winner) = (None, None);
        for (layer, value) in self.values_of(key, name) {
            let rank = self.rank(layer, value.order, attached);
            if rank > best {
                (best, winner) = (rank, Some(value));
            }
        }
        for (layer, order) in self.blankets_of(key) {
            let rank = self.rank(layer, order, attached);
            if rank > best {
                (best, winner) = (rank, None);
            }
        }
        winner.filter(|value| value.value_type != TOMBSTONE)
    }

    /// The effective values, in the order of their folded names.
    pub fn effective_values(&self, key: Key, attached: &Attached) -> Vec<&Value> {
        let of_key = self.values.range((key, FIRST, FIRST)..=(key, LAST, LAST));
        names_of(of_key).filter_map(|name| self.value(key, name, attached)).collect()
    }

    /// Whether an entry names a key.
    pub fn is_named(&self, key: Key) -> bool {
        let Some(record) = self.keys.get(&key) else { return false };
        let mut entries = self.entries_of(record.parent, record.name.name);
        record.parent == key || entries.any(|(_, entry)| entry.target == Some(key))
    }

    /// How the entry of a layer spells it.
    pub fn layer_of_entry(&self, place: &Place) -> Spelled {
        self.entry_layers.get(place).copied().unwrap_or_else(|| self.spelled(place.2))
    }

    /// How the blanket of a layer spells it.
    pub fn layer_of_blanket(&self, place: &(Key, Layer)) -> Spelled {
        self.blanket_layers.get(place).copied().unwrap_or_else(|| self.spelled(place.1))
    }

    fn spelled(&self, layer: Layer) -> Spelled {
        self.table.get(&layer).map_or(layer.usual(), |rules| rules.name)
    }

    /// Entries and blankets spell their layers as now, whatever layers are made.
    pub fn keep_spellings(&mut self) {
        let entries = self.entries.keys().map(|at| (*at, self.layer_of_entry(at))).collect();
        let blankets = self.blankets.keys().map(|at| (*at, self.layer_of_blanket(at))).collect();
        (self.entry_layers, self.blanket_layers) = (entries, blankets);
    }

    pub fn hive(&self, key: Key) -> Hive {
        self.keys[&key].hive
    }
    pub fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// Makes a change.
    pub fn apply(&mut self, change: &Change, now: i64) {
        let order = self.next_order();
        if let Some(record) = self.keys.get_mut(&change.writes_to()) {
            record.last_write = now;
        }
        match change {
            Change::Make(key, record) => {
                self.keys.insert(*key, Record { last_write: now, ..record.clone() });
            }
            Change::Entry(place, target) => {
                self.entries.insert(*place, Entry { target: *target, order });
                self.entry_layers.remove(place);
            }
            Change::NoEntry(place) => {
                self.entries.remove(place);
            }
            Change::Value(place, value) => {
                self.values.insert(*place, Value { order, ..value.clone() });
            }
            Change::NoValue(place) => {
                self.values.remove(place);
            }
            Change::Blanket(key, layer) => {
                self.blankets.insert((*key, *layer), order);
                self.blanket_layers.remove(&(*key, *layer));
            }
            Change::NoBlanket(key, layer) => {
                self.blankets.remove(&(*key, *layer));
            }
            Change::Security(key, for_user) => {
                if let Some(record) = self.keys.get_mut(key) {
                    record.for_user = *for_user;
                }
            }
        }
    }

    /// The layers that there are by their keys, with what the values say where these are good, or else with what
    /// was in force.
    pub fn read_table(&self) -> BTreeMap<Layer, Rules> {
        let mut table: BTreeMap<_, _> = [(Layer::Base, self.table[&Layer::Base])].into();
        let under = self.entries.range((LAYERS, FIRST, FIRST)..=(LAYERS, LAST, LAST));
        for ((_, name, layer), entry) in under {
            let Some(key) = entry.target.filter(|_| *layer == Layer::Base) else { continue };
            let known = self.table.get(name).filter(|rules| rules.metadata == Some(key));
            let number = |name, most: u32, default, known: Option<u32>| {
                let Some(value) = self.value(key, name, &Attached::new()) else { return default };
                let number = value.data[..].try_into().map(u32::from_le_bytes);
                let number = number.ok().filter(|number| *number <= most);
                number.filter(|_| value.value_type == DWORD).or(known).unwrap_or(default)
            };
            let precedence =
                number(Name::Precedence, u32::MAX, 0, known.map(|known| known.precedence));
            let enabled = number(Name::Enabled, 1, 1, known.map(|known| known.enabled.into()));
            let name = self.keys[&key].name;
            let rules = Rules { name, metadata: Some(key), precedence, enabled: enabled == 1 };
            table.insert(name.name, rules);
        }
        table
    }

    /// Drops all entries of a layer.
    pub fn drop_layer(&mut self, gone: Layer) {
        self.entries.retain(|(_, _, layer), _| *layer != gone);
        self.values.retain(|(_, _, layer), _| *layer != gone);
        self.blankets.retain(|(_, layer), _| *layer != gone);
    }

    /// Drops the keys that no entry names and nobody has open, with what belongs to them.
    pub fn drop_orphans(&mut self, is_open: impl Fn(Key) -> bool) {
        loop {
            let orphan = |key: &Key| !self.is_named(*key) && !is_open(*key);
            let Some(orphan) = self.keys.keys().copied().find(orphan) else { return };
            self.keys.remove(&orphan);
            self.entries.retain(|(parent, _, _), _| *parent != orphan);
            self.values.retain(|(key, _, _), _| *key != orphan);
            self.blankets.retain(|(key, _), _| *key != orphan);
        }
    }
}
