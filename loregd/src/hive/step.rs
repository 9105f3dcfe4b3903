//! One step: conditions and mutations on the rows, with the records of the keys it touches at hand.

use std::collections::BTreeMap;
use std::collections::btree_map;

use lcs_abi::Guid;
use lcs_abi::rsi::{Condition, KeyRecord, Mutation, Name, SourceError, Target};

use super::both::{Home, Working};
use super::rows::{
    self, BlanketRow, EntryRow, KeyRow, Kind, Place, ValueRow, check_name, index_of, of_guid,
    of_layer,
};
use crate::Error;
use crate::store::Rows;

/// A step under way. The rows of kind key and orphan are written by [`Step::finish`], once per key.
pub(super) struct Step<'a, 'b> {
    pub(super) rows: &'a mut Working<'b>,
    pub(super) root: Guid,
    keys: BTreeMap<Guid, Touched>,
}

/// A key that the step looked at.
struct Touched {
    before: Option<KeyRow>,
    now: Option<KeyRow>,
}

impl<'a, 'b> Step<'a, 'b> {
    pub(super) fn new(rows: &'a mut Working<'b>, root: Guid) -> Self {
        Step { rows, root, keys: BTreeMap::new() }
    }

    /// The key as the step left it so far, if it is there.
    pub(super) fn find(&mut self, key: Guid) -> Result<Option<&mut KeyRow>, Error> {
        let touched = match self.keys.entry(key) {
            btree_map::Entry::Occupied(touched) => touched.into_mut(),
            btree_map::Entry::Vacant(vacant) => {
                let row = of_guid(Kind::Key, key);
                let value = self.rows.get(&row)?;
                let before: Option<KeyRow> = match value {
                    Some(value) => Some(rows::decode(&row, &value)?),
                    None => None,
                };
                vacant.insert(Touched { now: before.clone(), before })
            }
        };
        Ok(touched.now.as_mut())
    }

    /// The key, which a mutation names.
    pub(super) fn key(&mut self, key: Guid) -> Result<&mut KeyRow, Error> {
        Ok(self.find(key)?.ok_or(SourceError::NotFound)?)
    }

    fn home(&mut self, key: Guid) -> Result<Home, Error> {
        Ok(Home::of(self.key(key)?.volatile))
    }

    /// Writes the records of the keys that the step changed, and which of them are orphans now.
    pub(super) fn finish(self) -> Result<(), Error> {
        for (key, Touched { before, now }) in self.keys {
            if before == now {
                continue;
            }
            let row = of_guid(Kind::Key, key);
            match &now {
                Some(now) => {
                    self.rows.put(Home::of(now.volatile), &row, &lcs_abi::encode(now))?;
                }
                None => drop(self.rows.remove(&row)?),
            }
            // Where its row of kind orphan is, if it has one.
            let orphan = |key_row: &Option<KeyRow>| {
                let orphan = key_row.as_ref().filter(|it| key != self.root && it.entries == 0);
                orphan.map(|it| Home::of(it.volatile))
            };
            let row = of_guid(Kind::Orphan, key);
            match (orphan(&before), orphan(&now)) {
                (was, is) if was == is => {}
                (_, Some(home)) => drop(self.rows.put(home, &row, &[])?),
                (_, None) => drop(self.rows.remove(&row)?),
            }
        }
        Ok(())
    }

    /// The keys that lost their last entry in this step and are still there.
    pub(super) fn orphaned(&self) -> Vec<Guid> {
        let named = |row: &Option<KeyRow>| row.as_ref().map(|row| row.entries > 0);
        self.keys
            .iter()
            .filter(|(_, key)| named(&key.before) == Some(true) && named(&key.now) == Some(false))
            .map(|(guid, _)| *guid)
            .collect()
    }

    pub(super) fn holds(&mut self, condition: &Condition) -> Result<bool, Error> {
        Ok(match condition {
            Condition::KeyExists { key } => self.find(*key)?.is_some(),
            Condition::ValueIs { key, name, layer, sequence } => {
                let row = of_layer(Kind::Value, *key, name, layer);
                let value = self.rows.get(&row)?;
                let found =
                    value.map(|value| rows::decode::<ValueRow>(&row, &value).map(|it| it.sequence));
                found.transpose()? == *sequence
            }
            Condition::EntryIs { parent, name, layer, target } => {
                self.entry_target(*parent, name, layer)? == *target
            }
        })
    }

    fn entry_target(&self, parent: Guid, name: &str, layer: &str) -> Result<Option<Target>, Error> {
        let row = of_layer(Kind::Entry, parent, name, layer);
        let value = self.rows.get(&row)?;
        let found = value.map(|value| rows::decode::<EntryRow>(&row, &value).map(|it| it.target));
        found.transpose()
    }

    pub(super) fn mutate(&mut self, mutation: &Mutation, sequence: u64) -> Result<(), Error> {
        match mutation {
            Mutation::CreateKey(record) => self.create_key(record),
            Mutation::WriteKey { key, sd, last_write } => {
                self.write_key(*key, sd.as_deref(), *last_write)
            }
            Mutation::SetEntry { parent, name, layer, target } => {
                self.set_entry(*parent, name, layer, *target, sequence)
            }
            Mutation::DeleteEntry { parent, name, layer } => {
                self.key(*parent)?;
                self.remove(&Place { kind: Kind::Entry, guid: *parent, name, layer })
            }
            Mutation::SetValue { key, name, layer, value_type, data } => {
                self.set_value(*key, name, layer, (*value_type, data), sequence)
            }
            Mutation::DeleteValue { key, name, layer } => {
                self.key(*key)?;
                self.remove(&Place { kind: Kind::Value, guid: *key, name, layer })
            }
            Mutation::SetBlanket { key, layer } => self.set_blanket(*key, layer, sequence),
            Mutation::ClearBlanket { key, layer } => {
                self.key(*key)?;
                self.remove(&Place { kind: Kind::Blanket, guid: *key, name: "", layer })
            }
            Mutation::RemoveSubtree { key } => {
                self.key(*key)?;
                self.remove_subtree(*key)
            }
            Mutation::RestoreKey(record) => self.restore_key(record),
            Mutation::RestoreEntry(entry) => self.restore_entry(entry, sequence),
            Mutation::RestoreValue(value) => self.restore_value(value, sequence),
            Mutation::RestoreBlanket(blanket) => self.restore_blanket(blanket, sequence),
        }
    }

    pub(super) fn set_value(
        &mut self,
        key: Guid,
        name: &Name,
        layer: &Name,
        (value_type, data): (u32, &[u8]),
        sequence: u64,
    ) -> Result<(), Error> {
        let row = ValueRow { name: &name.display, layer: &layer.display, value_type, sequence };
        let mut value = lcs_abi::encode(&row);
        value.extend(data);
        let home = self.home(key)?;
        self.put(home, Kind::Value, key, &name.folded, layer, &value)?;
        Ok(())
    }

    pub(super) fn set_blanket(
        &mut self,
        key: Guid,
        layer: &Name,
        sequence: u64,
    ) -> Result<(), Error> {
        let value = lcs_abi::encode(&BlanketRow { layer: &layer.display, sequence });
        let home = self.home(key)?;
        self.put(home, Kind::Blanket, key, "", layer, &value)?;
        Ok(())
    }

    pub(super) fn create_key(&mut self, record: &KeyRecord) -> Result<(), Error> {
        if self.find(record.key)?.is_some() {
            return Err(SourceError::AlreadyExists.into());
        }
        // What outlives a restart can't stand under what does not.
        if self.key(record.parent)?.volatile && !record.volatile {
            return Err(SourceError::Invalid.into());
        }
        self.insert_key(record)
    }

    /// Makes the key without looking at its parent.
    pub(super) fn insert_key(&mut self, record: &KeyRecord) -> Result<(), Error> {
        check_name(&record.name.folded)?;
        let row = KeyRow {
            parent: record.parent,
            name: record.name.clone(),
            volatile: record.volatile,
            link: record.link,
            last_write: record.last_write,
            entries: 0,
        };
        let home = Home::of(record.volatile);
        self.rows.put(home, &of_guid(Kind::Descriptor, record.key), &record.sd)?;
        self.find(record.key)?;
        if let Some(touched) = self.keys.get_mut(&record.key) {
            touched.now = Some(row);
        }
        Ok(())
    }

    fn write_key(
        &mut self,
        key: Guid,
        sd: Option<&[u8]>,
        last_write: Option<i64>,
    ) -> Result<(), Error> {
        let row = self.key(key)?;
        if let Some(last_write) = last_write {
            row.last_write = last_write;
        }
        let home = Home::of(row.volatile);
        if let Some(sd) = sd {
            self.rows.put(home, &of_guid(Kind::Descriptor, key), sd)?;
        }
        Ok(())
    }

    pub(super) fn set_entry(
        &mut self,
        parent: Guid,
        name: &Name,
        layer: &Name,
        target: Target,
        sequence: u64,
    ) -> Result<(), Error> {
        let under_volatile = self.key(parent)?.volatile;
        let mut volatile = under_volatile;
        if let Target::Key(key) = target {
            let named = self.key(key)?;
            // The namespace is a tree: only its parent's entries name a key. And nothing that lasts stands
            // under what does not.
            let misplaced = named.parent != parent || key == parent;
            if misplaced || (under_volatile && !named.volatile) {
                return Err(SourceError::Invalid.into());
            }
            volatile = named.volatile;
            named.entries += 1;
        }
        let row = EntryRow { name: &name.display, layer: &layer.display, target, sequence };
        let value = lcs_abi::encode(&row);
        let home = Home::of(volatile);
        let replaced = self.put(home, Kind::Entry, parent, &name.folded, layer, &value)?;
        match replaced {
            Some(replaced) => {
                let row = of_layer(Kind::Entry, parent, &name.folded, &layer.folded);
                self.unname(&row, &replaced)
            }
            None => Ok(()),
        }
    }

    /// The entry with this row is gone: the key that it named has one less.
    fn unname(&mut self, row: &[u8], value: &[u8]) -> Result<(), Error> {
        let entry: EntryRow = rows::decode(row, value)?;
        let Target::Key(key) = entry.target else {
            return Ok(());
        };
        let named = self.find(key)?;
        let named = named.ok_or_else(|| Error::corrupt(row, "names a key that is not there"))?;
        named.entries = named
            .entries
            .checked_sub(1)
            .ok_or_else(|| Error::corrupt(row, "names a key that counts no entries"))?;
        Ok(())
    }

    /// Makes or replaces what a layer says, with its row of kind layer. Returns the value replaced.
    fn put(
        &mut self,
        home: Home,
        kind: Kind,
        guid: Guid,
        name: &str,
        layer: &Name,
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        check_name(name)?;
        check_name(&layer.folded)?;
        let row = of_layer(kind, guid, name, &layer.folded);
        let replaced = self.rows.put(home, &row, value)?;
        if replaced.as_ref().is_none_or(|replaced| replaced.home != home) {
            self.rows.put(home, &index_of(&layer.folded, kind, guid, name), &[])?;
        }
        Ok(replaced.map(|replaced| replaced.value))
    }

    /// Removes what a layer says, with its row of kind layer; what is not there is no error.
    pub(super) fn remove(&mut self, place: &Place) -> Result<(), Error> {
        let row = place.row();
        if let Some(removed) = self.rows.remove(&row)? {
            self.rows.remove(&place.index_row())?;
            if place.kind == Kind::Entry {
                self.unname(&row, &removed.value)?;
            }
        }
        Ok(())
    }

    /// Removes the record of a key.
    pub(super) fn remove_record(&mut self, key: Guid) -> Result<(), Error> {
        self.find(key)?;
        if let Some(touched) = self.keys.get_mut(&key) {
            touched.now = None;
        }
        self.rows.remove(&of_guid(Kind::Descriptor, key))?;
        Ok(())
    }
}
