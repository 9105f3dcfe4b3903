//! What comes in for a restore: a stream becomes mutations, piece by piece.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::backup::{Decoder, Record};
use lcs_abi::rsi::{KeyRecord, Mutation, PathEntry, Target, ValueEntry};
use lcs_abi::{BASE_LAYER, Guid};

use super::super::error::Error;
use super::super::handles::KeyHandle;
use super::super::settings::{Setting, Settings};
use super::super::transaction::mutation_size;
use super::role::Role;
use crate::model::backup::{Checker, Item, Unsound};

/// What a record may be longer than the largest value, in bytes: its names and numbers.
const RECORD_OVERHEAD: usize = 1 << 20;

/// What the stream has said so far.
pub(super) struct Intake {
    target: Rc<KeyHandle>,
    /// It is volatile, and it is a link.
    flags: (bool, bool),
    decoder: Decoder,
    checker: Checker,
    root: Option<Guid>,
    /// What the keys are that LCS needs itself, or that are layers.
    roles: HashMap<Guid, Role>,
    /// The layers that it uses, by folded name, with the precedence that they had.
    layers: HashMap<String, u32>,
    /// Folded names of the layers that it makes by what it says under `Layers`.
    pub(super) made: Vec<String>,
    /// Layers other than `base` that the values of the newest key have.
    value_layers: HashMap<String, usize>,
    newest: Guid,
    /// Mutations that are to be staged next, and about how long they are.
    mutations: Vec<Mutation>,
    bytes: usize,
    /// How many sequence numbers it needs at most.
    entries: usize,
}

impl Intake {
    /// Nothing has come yet of what is to become the contents of a key, which plays this role.
    pub(super) fn new(
        target: Rc<KeyHandle>,
        flags: (bool, bool),
        role: Role,
        settings: &Settings,
    ) -> Intake {
        let key = target.key;
        let max_record = settings.size(Setting::MaxValueSize) + RECORD_OVERHEAD;
        Intake {
            decoder: Decoder::new(max_record),
            checker: Checker::new(Some(key)),
            root: None,
            roles: HashMap::from([(key, role)]),
            layers: HashMap::new(),
            made: Vec::new(),
            value_layers: HashMap::new(),
            newest: key,
            bytes: mutation_size(&Mutation::RemoveSubtree { key }),
            mutations: Vec::from([Mutation::RemoveSubtree { key }]),
            entries: 0,
            flags,
            target,
        }
    }

    /// Takes the next piece of the stream.
    ///
    /// # Errors
    /// The stream cannot be restored here.
    pub(super) fn push(&mut self, piece: &[u8], settings: &Settings) -> Result<(), Error> {
        self.decoder.push(piece);
        let mut items = Vec::new();
        while let Some(record) = self.decoder.next().map_err(|error| {
            log::info!("restore of {}: {error}", self.target.path);
            Error::Invalid("not a whole backup stream")
        })? {
            match &record {
                Record::Header(header) => self.root = Some(header.root),
                Record::Key(key) if Some(key.key) != self.root && key.key == self.target.key => {
                    return Err(Error::AlreadyExists);
                }
                _ => {}
            }
            self.checker.take(record, &mut items)?;
            for item in items.drain(..) {
                self.item(item, settings)?;
            }
        }
        Ok(())
    }

    /// Whether the whole stream is here.
    ///
    /// # Errors
    /// It is not, or something is missing in it.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if !self.decoder.is_whole() {
            return Err(Error::Invalid("the backup stream is cut off"));
        }
        Ok(self.checker.finish()?)
    }

    /// The mutations that came since the last call.
    pub(super) fn take(&mut self) -> Vec<Mutation> {
        self.bytes = 0;
        core::mem::take(&mut self.mutations)
    }

    /// About how long the mutations are that have not been taken, in bytes.
    pub(super) fn waiting(&self) -> usize {
        self.bytes
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.checker.bytes() + self.bytes + self.decoder.buffered()
    }

    /// How many sequence numbers it needs at most.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// How many keys came.
    pub(super) fn keys(&self) -> u64 {
        self.checker.keys()
    }

    /// Whether a key came.
    pub(super) fn has(&self, key: Guid) -> bool {
        self.checker.has(key)
    }

    /// The layers that the stream uses, by folded name, with the precedence that they had.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&str, u32)> {
        self.layers.iter().map(|(folded, precedence)| (folded.as_str(), *precedence))
    }

    fn item(&mut self, item: Item, settings: &Settings) -> Result<(), Error> {
        match item {
            Item::Layer { name, precedence } => {
                within(name.display(), settings)?;
                if self.layers.len() >= settings.size(Setting::MaxTotalLayers) {
                    return Err(Error::LimitExceeded("MaxTotalLayers"));
                }
                self.layers.insert(name.folded().into(), precedence);
            }
            Item::Top { sd, last_write, volatile, link } => {
                if (volatile, link) != self.flags {
                    return Err(Error::Invalid(
                        "the key is volatile, or a link, and its backup not",
                    ));
                }
                let (key, sd, last_write) = (self.target.key, Some(sd), Some(last_write));
                self.put(Mutation::WriteKey { key, sd, last_write });
            }
            Item::Key { record, depth, path } => {
                self.check_place(&record, depth, path, settings)?;
                self.newest = record.key;
                self.value_layers.clear();
                let above = self.roles.get(&record.parent).copied().unwrap_or_default();
                let role = above.child(&record.name.folded);
                if role != Role::Ordinary {
                    role.may_be(&record)?;
                    self.roles.insert(record.key, role);
                }
                if role == Role::Layer {
                    self.made.push(record.name.folded.clone());
                }
                self.put(Mutation::RestoreKey(record));
            }
            Item::Entry(entry) => {
                within(&entry.name.display, settings)?;
                self.check_entry(&entry)?;
                self.entries += 1;
                self.put(Mutation::RestoreEntry(entry));
            }
            Item::Value(value) => {
                self.check_value(&value, settings)?;
                self.entries += 1;
                self.put(Mutation::RestoreValue(value));
            }
            Item::Blanket(blanket) => {
                self.entries += 1;
                self.put(Mutation::RestoreBlanket(blanket));
            }
        }
        Ok(())
    }

    fn check_place(
        &self,
        record: &KeyRecord,
        depth: usize,
        path: usize,
        settings: &Settings,
    ) -> Result<(), Error> {
        within(&record.name.display, settings)?;
        if self.target.depth + depth > settings.size(Setting::MaxKeyDepth) {
            return Err(Error::Invalid("MaxKeyDepth exceeded"));
        }
        if self.target.path.len() + path > settings.size(Setting::MaxTotalPathLength) {
            return Err(Error::NameTooLong);
        }
        Ok(())
    }

    fn check_entry(&self, entry: &PathEntry) -> Result<(), Error> {
        let above = self.roles.get(&entry.parent).copied().unwrap_or_default();
        let is_ordinary = above.child(&entry.name.folded) == Role::Ordinary;
        let in_base = entry.layer.folded == BASE_LAYER && entry.target != Target::Hidden;
        if is_ordinary || in_base {
            Ok(())
        } else {
            Err(Error::Invalid("what LCS needs itself is in base alone"))
        }
    }

    fn check_value(&mut self, value: &ValueEntry, settings: &Settings) -> Result<(), Error> {
        within(&value.name.display, settings)?;
        if value.data.len() > settings.size(Setting::MaxValueSize) {
            return Err(Error::LimitExceeded("MaxValueSize"));
        }
        if value.key == self.newest && value.layer.folded != BASE_LAYER {
            let layers = self.value_layers.entry(value.name.folded.clone()).or_default();
            *layers += 1;
            if *layers > settings.size(Setting::MaxLayersPerValue) {
                return Err(Error::LimitExceeded("MaxLayersPerValue"));
            }
        }
        Ok(())
    }

    fn put(&mut self, mutation: Mutation) {
        self.bytes += mutation_size(&mutation);
        self.mutations.push(mutation);
    }
}

impl From<Unsound> for Error {
    fn from(Unsound(reason): Unsound) -> Self {
        Error::Invalid(reason)
    }
}

/// Fails if a name is longer than MaxPathComponentLength.
fn within(name: &str, settings: &Settings) -> Result<(), Error> {
    if name.len() > settings.size(Setting::MaxPathComponentLength) {
        return Err(Error::NameTooLong);
    }
    Ok(())
}
