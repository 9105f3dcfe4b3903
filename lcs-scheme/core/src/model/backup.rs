//! What the records of a backup stream must say of each other, before any of it is restored (DESIGN §13).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use hashbrown::{HashMap, HashSet};
use lcs_abi::Guid;
use lcs_abi::backup::{self, Record};
use lcs_abi::rsi::{BlanketEntry, KeyRecord, Name, PathEntry, Target, ValueEntry};

use super::name::{KeyName, NameError, ValueName};
use super::value::{Content, ValueError};
use crate::security::{SecurityDescriptor, Sid};

/// About what each key takes that a checker remembers, in bytes: its GUID, and where it is.
const KEY_BYTES: usize = 40;

/// What an entry that waits for its key takes beside its names, in bytes.
const ENTRY_BYTES: usize = 128;

/// Why a stream cannot be restored, although each of its records is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsound(pub &'static str);

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for Unsound {}

impl From<NameError> for Unsound {
    fn from(error: NameError) -> Self {
        Unsound(match error {
            NameError::Empty => "an empty name",
            NameError::Nul => "a NUL in a name",
            NameError::Separator => "a separator in a name",
            NameError::TooLong => "a name that is too long",
        })
    }
}

impl From<ValueError> for Unsound {
    fn from(error: ValueError) -> Self {
        Unsound(match error {
            ValueError::UnknownType => "a value of an unknown type",
            ValueError::TombstoneWithData => "a tombstone with data",
            ValueError::TooLarge => "a value that is too large",
        })
    }
}

/// What a record amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A layer that the stream uses.
    Layer {
        /// Its name.
        name: KeyName,
        /// The precedence that it had.
        precedence: u32,
    },
    /// What the key at the top is to be.
    Top {
        /// Its security descriptor.
        sd: Vec<u8>,
        /// Its last write, in nanoseconds since 1970 (UTC).
        last_write: i64,
        /// It is volatile.
        volatile: bool,
        /// It is a link.
        link: bool,
    },
    /// A key below the top.
    Key {
        /// The key.
        record: KeyRecord,
        /// How far it is below the top.
        depth: usize,
        /// The length of its path from the top, in bytes, with a separator before each name.
        path: usize,
    },
    /// An entry of a key, or a hidden name.
    Entry(PathEntry),
    /// A value.
    Value(ValueEntry),
    /// A blanket tombstone.
    Blanket(BlanketEntry),
}

/// Checks records, each in its turn. What a stream says of its top it says of the key that it is restored into.
#[derive(Debug, Default)]
pub struct Checker {
    /// The key at the top, as the stream names it and as it is.
    top: Option<(Guid, Guid)>,
    /// The key that the stream is to be restored into.
    target: Option<Guid>,
    layers: HashSet<String>,
    /// Every key that there was, the top among them.
    keys: HashMap<Guid, Place>,
    /// The newest key, until the first entry that names it tells where it is.
    unplaced: Option<backup::Key>,
    /// The newest key, and by what name under which parent it is.
    current: Option<(Guid, Guid, String)>,
    /// Entries that came before the keys that they name.
    early: HashMap<Guid, Vec<PathEntry>>,
    early_bytes: usize,
    seen_data: bool,
}

/// Where a key is.
#[derive(Clone, Copy, Debug)]
struct Place {
    depth: u16,
    path: u32,
    volatile: bool,
}

impl Checker {
    /// Checks a stream that is to be restored into this key; into the key that it is a backup of, if there is none.
    pub fn new(target: Option<Guid>) -> Checker {
        Checker { target, ..Checker::default() }
    }

    /// Takes the next record, and adds what it amounts to.
    ///
    /// # Errors
    /// It contradicts those before it, or the rules.
    pub fn take(&mut self, record: Record, items: &mut Vec<Item>) -> Result<(), Unsound> {
        match record {
            Record::Header(header) => {
                self.top = Some((header.root, self.target.unwrap_or(header.root)));
                KeyName::new(&header.hive, usize::MAX)?;
            }
            Record::Layer(layer) => items.push(self.layer(layer)?),
            Record::Key(key) => self.key(key, items)?,
            Record::PathEntry(entry) => self.entry(entry, items)?,
            Record::Value(value) => {
                let key = self.placed(value.key, "a value of a key that is not in the stream")?;
                let (name, layer) = (ValueName::new(&value.name, usize::MAX)?, value.layer);
                let layer = self.used(&layer)?;
                Content::check(value.value_type, &value.data, usize::MAX)?;
                let (value_type, data, sequence) = (value.value_type, value.data, value.sequence);
                let name = name.to_rsi();
                items.push(Item::Value(ValueEntry {
                    key,
                    name,
                    layer,
                    value_type,
                    data,
                    sequence,
                }));
            }
            Record::Blanket(blanket) => {
                let missing = "a blanket tombstone of a key that is not in the stream";
                let key = self.placed(blanket.key, missing)?;
                let (layer, sequence) = (self.used(&blanket.layer)?, blanket.sequence);
                items.push(Item::Blanket(BlanketEntry { key, layer, sequence }));
            }
            Record::Unknown { .. } => {}
        }
        Ok(())
    }

    /// The stream is at its end.
    ///
    /// # Errors
    /// Something is missing in it.
    pub fn finish(&self) -> Result<(), Unsound> {
        let (top, _) = self.top.ok_or(Unsound("no HEADER"))?;
        if !self.keys.contains_key(&top) {
            return Err(Unsound("no KEY has the HEADER's GUID"));
        }
        if self.unplaced.is_some() {
            return Err(UNNAMED);
        }
        if !self.early.is_empty() {
            return Err(Unsound("an entry leads to a key that is not in the stream"));
        }
        Ok(())
    }

    /// About how much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.len() * KEY_BYTES + self.early_bytes
    }

    /// Whether a key came.
    pub fn has(&self, key: Guid) -> bool {
        self.keys.contains_key(&key)
    }

    /// How many keys there were.
    pub fn keys(&self) -> u64 {
        self.keys.len() as u64
    }

    fn layer(&mut self, layer: backup::Layer) -> Result<Item, Unsound> {
        if self.seen_data {
            return Err(Unsound("a LAYER after the first key"));
        }
        Sid::from_bytes(&layer.owner).map_err(|_| Unsound("a layer's owner is no SID"))?;
        let name = KeyName::new(&layer.name, usize::MAX)?;
        if !self.layers.insert(name.folded().to_string()) {
            return Err(Unsound("two LAYERs of one name"));
        }
        Ok(Item::Layer { name, precedence: layer.precedence })
    }

    fn key(&mut self, key: backup::Key, items: &mut Vec<Item>) -> Result<(), Unsound> {
        let (top, _) = self.top.ok_or(Unsound("no HEADER"))?;
        if self.unplaced.is_some() {
            return Err(UNNAMED);
        }
        self.seen_data = true;
        let sd = SecurityDescriptor::from_bytes(&key.sd);
        if sd.ok().is_none_or(|sd| sd.owner.is_none()) {
            return Err(Unsound("a key's security descriptor is invalid"));
        }
        if key.key == Guid::default() {
            return Err(Unsound("a key without a GUID"));
        }
        if self.keys.contains_key(&key.key) {
            return Err(Unsound("two KEYs of one GUID"));
        }
        self.current = None;
        if key.key == top {
            let backup::Key { volatile, link, sd, last_write, .. } = key;
            self.keys.insert(top, Place { depth: 0, path: 0, volatile });
            items.push(Item::Top { sd, last_write, volatile, link });
            return Ok(());
        }
        if !self.keys.contains_key(&top) {
            return Err(Unsound("a key before the one at the top"));
        }
        let early = self.early.remove(&key.key);
        self.unplaced = Some(key);
        for entry in early.into_iter().flatten() {
            self.early_bytes -= size(&entry);
            self.named(entry, items)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: backup::PathEntry, items: &mut Vec<Item>) -> Result<(), Unsound> {
        let (top, _) = self.top.ok_or(Unsound("no HEADER"))?;
        let layer = self.used(&entry.layer)?;
        let name = KeyName::new(&entry.name, usize::MAX)?.to_rsi();
        if entry.child == Some(top) {
            // What leads to the top stays as it is.
            return Ok(());
        }
        let parent = self.placed(entry.parent, "an entry under a key that is not in the stream")?;
        let sequence = entry.sequence;
        let target = entry.child.map_or(Target::Hidden, Target::Key);
        let entry = PathEntry { parent, name, layer, target, sequence };
        match entry.target {
            Target::Hidden => {
                items.push(Item::Entry(entry));
                Ok(())
            }
            Target::Key(child) => {
                let newest = self.unplaced.as_ref().map(|key| key.key);
                let newest = newest.or(self.current.as_ref().map(|(key, ..)| *key));
                if newest == Some(child) {
                    return self.named(entry, items);
                }
                if self.keys.contains_key(&child) {
                    return Err(Unsound("an entry of a key after another key"));
                }
                self.early_bytes += size(&entry);
                self.early.entry(child).or_default().push(entry);
                Ok(())
            }
        }
    }

    /// Takes an entry that names the newest key. The first one tells where the key is.
    fn named(&mut self, entry: PathEntry, items: &mut Vec<Item>) -> Result<(), Unsound> {
        if let Some(key) = self.unplaced.take() {
            let above = self.place(entry.parent);
            let above = above.ok_or(Unsound("an entry under a key that is not in the stream"))?;
            if above.volatile && !key.volatile {
                return Err(Unsound("a key that is not volatile under one that is"));
            }
            let path = above.path.saturating_add(1 + u32_of(entry.name.display.len()));
            let depth = above.depth.saturating_add(1);
            self.keys.insert(key.key, Place { depth, path, volatile: key.volatile });
            self.current = Some((key.key, entry.parent, entry.name.folded.clone()));
            let record = KeyRecord {
                key: key.key,
                parent: entry.parent,
                name: entry.name.clone(),
                sd: key.sd,
                volatile: key.volatile,
                link: key.link,
                last_write: key.last_write,
            };
            items.push(Item::Key { record, depth: depth.into(), path: path as usize });
        }
        let (_, parent, name) = self.current.as_ref().ok_or(UNNAMED)?;
        if entry.parent != *parent || entry.name.folded != *name {
            return Err(Unsound("a key with two names"));
        }
        items.push(Item::Entry(entry));
        Ok(())
    }

    /// A key that came before, as it is in the registry.
    fn placed(&self, key: Guid, missing: &'static str) -> Result<Guid, Unsound> {
        let (top, target) = self.top.ok_or(Unsound("no HEADER"))?;
        if !self.keys.contains_key(&key) {
            return Err(Unsound(missing));
        }
        Ok(if key == top { target } else { key })
    }

    /// Where a key is that is named as in the registry.
    fn place(&self, key: Guid) -> Option<Place> {
        let (top, target) = self.top?;
        self.keys.get(if key == target { &top } else { &key }).copied()
    }

    /// A layer that was announced.
    fn used(&self, layer: &str) -> Result<Name, Unsound> {
        let name = KeyName::new(layer, usize::MAX)?.to_rsi();
        if self.layers.contains(&name.folded) {
            Ok(name)
        } else {
            Err(Unsound("a layer without a LAYER"))
        }
    }
}

/// A key's section is over.
const UNNAMED: Unsound = Unsound("a key that no entry names");

fn size(entry: &PathEntry) -> usize {
    let both = |name: &Name| name.display.len() + name.folded.len();
    ENTRY_BYTES + both(&entry.name) + both(&entry.layer)
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
