//! The mutations that a restore is made of: entries with numbers that others once gave them, which must not
//! leave open which of two entries wins.

use std::ops::ControlFlow;

use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, KeyRecord, PathEntry, SourceError, ValueEntry};

use super::rows::{self, BlanketRow, EntryRow, Kind, ValueRow};
use super::step::Step;
use crate::Error;
use crate::store::Rows;

impl Step<'_, '_> {
    /// Makes a key, in the place of an orphan with the same GUID, which goes with all that is under it.
    pub(super) fn restore_key(&mut self, record: &KeyRecord) -> Result<(), Error> {
        let key = record.key;
        let is_root = key == self.root;
        match self.find(key)? {
            Some(found) if found.entries > 0 || is_root => {
                return Err(SourceError::AlreadyExists.into());
            }
            Some(_) => {
                self.remove_subtree(key)?;
                self.remove_record(key)?;
            }
            None => {}
        }
        self.create_key(record)
    }

    pub(super) fn restore_entry(&mut self, entry: &PathEntry, sequence: u64) -> Result<(), Error> {
        let PathEntry { parent, name, layer, target, .. } = entry;
        self.is_new(Kind::Entry, *parent, &name.folded, &layer.folded)?;
        let siblings = rows::of_name(Kind::Entry, *parent, &name.folded);
        self.is_unique(&siblings, sequence)?;
        self.set_entry(*parent, name, layer, *target, sequence)
    }

    pub(super) fn restore_value(&mut self, value: &ValueEntry, sequence: u64) -> Result<(), Error> {
        let ValueEntry { key, name, layer, value_type, data, .. } = value;
        self.is_new(Kind::Value, *key, &name.folded, &layer.folded)?;
        self.is_unique(&rows::of_name(Kind::Value, *key, &name.folded), sequence)?;
        self.is_unique(&rows::of_guid(Kind::Blanket, *key), sequence)?;
        self.set_value(*key, name, layer, (*value_type, data), sequence)
    }

    pub(super) fn restore_blanket(
        &mut self,
        blanket: &BlanketEntry,
        sequence: u64,
    ) -> Result<(), Error> {
        let BlanketEntry { key, layer, .. } = blanket;
        self.is_new(Kind::Blanket, *key, "", &layer.folded)?;
        for kind in [Kind::Blanket, Kind::Value] {
            self.is_unique(&rows::of_guid(kind, *key), sequence)?;
        }
        self.set_blanket(*key, layer, sequence)
    }

    fn is_new(&self, kind: Kind, guid: Guid, name: &str, layer: &str) -> Result<(), Error> {
        match self.rows.get(&rows::of_layer(kind, guid, name, layer))? {
            Some(_) => Err(SourceError::Invalid.into()),
            None => Ok(()),
        }
    }

    /// No row that begins so has this sequence number.
    fn is_unique(&self, prefix: &[u8], sequence: u64) -> Result<(), Error> {
        self.rows.scan(prefix, prefix, &mut |row, value| match sequence_of(row, value)? {
            found if found == sequence => Err(SourceError::Invalid.into()),
            _ => Ok(ControlFlow::Continue(())),
        })
    }
}

/// The sequence number of an entry, value or blanket.
pub(super) fn sequence_of(row: &[u8], value: &[u8]) -> Result<u64, Error> {
    Ok(match row.first() {
        Some(kind) if *kind == Kind::Entry as u8 => rows::decode::<EntryRow>(row, value)?.sequence,
        Some(kind) if *kind == Kind::Value as u8 => rows::decode::<ValueRow>(row, value)?.sequence,
        _ => rows::decode::<BlanketRow>(row, value)?.sequence,
    })
}
