//! The requests that read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, BlanketEntry, KeyRecord, LayerPosition, PathEntry, SourceError, Target, ValueEntry,
    ValuePosition,
};

use super::page::{self, Page};
use super::rows::{self, KeyRow, Kind, Place};
use crate::Error;
use crate::store::Rows;

/// Reads from one state of a hive.
pub(super) struct Reading<'a> {
    pub(super) rows: &'a dyn Rows,
    /// How large a page may become, in bytes, whatever the request says.
    pub(super) page_limit: u32,
}

impl Reading<'_> {
    fn page(&self, bytes: u32) -> Page {
        Page::of(bytes.min(self.page_limit))
    }

    /// A key must be there for anything under it to be asked for.
    fn key_must_exist(&self, key: Guid) -> Result<(), Error> {
        match self.rows.get(&rows::of_guid(Kind::Key, key))? {
            Some(_) => Ok(()),
            None => Err(SourceError::NotFound.into()),
        }
    }

    fn record(&self, key: Guid) -> Result<Option<KeyRecord>, Error> {
        let row = rows::of_guid(Kind::Key, key);
        let Some(value) = self.rows.get(&row)? else {
            return Ok(None);
        };
        let stored: KeyRow = rows::decode(&row, &value)?;
        let sd = self
            .rows
            .get(&rows::of_guid(Kind::Descriptor, key))?
            .ok_or_else(|| Error::corrupt(&row, "a key without a security descriptor"))?;
        Ok(Some(stored.into_record(key, sd)))
    }

    pub(super) fn read_key(&self, key: Guid) -> Result<Answer, Error> {
        let record = self.record(key)?;
        Ok(Answer::Key(record.ok_or(SourceError::NotFound)?))
    }

    pub(super) fn lookup(&self, parent: Guid, name: &str) -> Result<Answer, Error> {
        let row = rows::of_name(Kind::Entry, parent, name);
        let mut children = Children::default();
        self.rows.scan(&row, &row, &mut |row, value| {
            children.add(self, row, rows::entry(row, value)?)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if children.entries.is_empty() {
            self.key_must_exist(parent)?;
        }
        Ok(children.into_answer(false))
    }

    pub(super) fn enum_children(
        &self,
        parent: Guid,
        after: Option<&str>,
        bytes: u32,
    ) -> Result<Answer, Error> {
        self.key_must_exist(parent)?;
        let prefix = rows::of_guid(Kind::Entry, parent);
        let from = match after {
            Some(name) => rows::after_name(Kind::Entry, parent, name),
            None => prefix.clone(),
        };
        let mut page = self.page(bytes);
        let mut children = Children::default();
        let mut more = false;
        self.rows.scan(&prefix, &from, &mut |row, value| {
            let entry = rows::entry(row, value)?;
            if children.begins_name(&entry) {
                if page.is_full() {
                    more = true;
                    return Ok(ControlFlow::Break(()));
                }
                children.end_name();
            }
            page.add(children.add(self, row, entry)?);
            if page.is_over() && children.drop_last_name() {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(children.into_answer(more))
    }

    pub(super) fn query_value(
        &self,
        key: Guid,
        name: &str,
        after_layer: Option<&str>,
    ) -> Result<Answer, Error> {
        let prefix = rows::of_name(Kind::Value, key, name);
        let from = match after_layer {
            Some(layer) => rows::after(rows::of_layer(Kind::Value, key, name, layer)),
            None => prefix.clone(),
        };
        self.values(key, &prefix, &from, u32::MAX)
    }

    pub(super) fn query_values(
        &self,
        key: Guid,
        after: Option<&ValuePosition>,
        bytes: u32,
    ) -> Result<Answer, Error> {
        let prefix = rows::of_guid(Kind::Value, key);
        let from = match after {
            Some(ValuePosition { name, layer: Some(layer) }) => {
                rows::after(rows::of_layer(Kind::Value, key, name, layer))
            }
            Some(ValuePosition { name, layer: None }) => rows::after_name(Kind::Value, key, name),
            None => prefix.clone(),
        };
        self.values(key, &prefix, &from, bytes)
    }

    fn values(&self, key: Guid, prefix: &[u8], from: &[u8], bytes: u32) -> Result<Answer, Error> {
        self.key_must_exist(key)?;
        let mut page = self.page(bytes);
        let blankets = self.blankets(key)?;
        page.reserve(blankets.iter().map(page::blanket_size).sum());
        let mut entries: Vec<ValueEntry> = Vec::new();
        let mut more = false;
        self.rows.scan(prefix, from, &mut |row, value| {
            if !page.takes(page::value_row_size(row, value)) {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            entries.push(rows::value(row, value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Answer::Values { entries, blankets, more })
    }

    fn blankets(&self, key: Guid) -> Result<Vec<BlanketEntry>, Error> {
        let prefix = rows::of_guid(Kind::Blanket, key);
        let mut blankets = Vec::new();
        self.rows.scan(&prefix, &prefix, &mut |row, value| {
            blankets.push(rows::blanket(row, value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(blankets)
    }

    pub(super) fn enum_layer(
        &self,
        layer: &str,
        after: Option<&LayerPosition>,
        bytes: u32,
    ) -> Result<Answer, Error> {
        rows::check_name(layer)?;
        let prefix = rows::index(layer);
        let from = match after {
            Some(position) => rows::after(position_row(layer, position)),
            None => prefix.clone(),
        };
        let mut page = self.page(bytes);
        let (mut entries, mut values, mut blankets) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = None;
        let mut more = false;
        self.rows.scan(&prefix, &from, &mut |index_row, _| {
            let place = Place::of_index(index_row, layer)?;
            let row = place.row();
            let value = self
                .rows
                .get(&row)?
                .ok_or_else(|| Error::corrupt(index_row, "leads to nothing"))?;
            if !page.takes(page::value_row_size(&row, &value)) {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            match place.kind {
                Kind::Entry => entries.push(rows::entry(&row, &value)?),
                Kind::Value => values.push(rows::value(&row, &value)?),
                _ => blankets.push(rows::blanket(&row, &value)?),
            }
            last = Some(position(&place));
            Ok(ControlFlow::Continue(()))
        })?;
        let next = last.filter(|_| more);
        Ok(Answer::Layer { entries, values, blankets, next })
    }
}

fn position(place: &Place) -> LayerPosition {
    match place.kind {
        Kind::Entry => LayerPosition::Entry(place.guid, place.name.to_owned()),
        Kind::Value => LayerPosition::Value(place.guid, place.name.to_owned()),
        _ => LayerPosition::Blanket(place.guid),
    }
}

fn position_row(layer: &str, position: &LayerPosition) -> Vec<u8> {
    match position {
        LayerPosition::Entry(guid, name) => rows::index_of(layer, Kind::Entry, *guid, name),
        LayerPosition::Value(guid, name) => rows::index_of(layer, Kind::Value, *guid, name),
        LayerPosition::Blanket(guid) => rows::index_of(layer, Kind::Blanket, *guid, ""),
    }
}

/// Entries under a parent and the records of the keys that they name, name by name.
#[derive(Default)]
struct Children {
    entries: Vec<PathEntry>,
    keys: Vec<KeyRecord>,
    known: BTreeSet<Guid>,
    /// Where the entries and keys of the last name begin.
    last_name: (usize, usize),
}

impl Children {
    fn begins_name(&self, entry: &PathEntry) -> bool {
        let last = self.entries.last();
        last.is_some_and(|last| last.name.folded != entry.name.folded)
    }

    fn end_name(&mut self) {
        self.last_name = (self.entries.len(), self.keys.len());
    }

    /// Returns by how much the answer grows, in bytes.
    fn add(&mut self, reading: &Reading, row: &[u8], entry: PathEntry) -> Result<usize, Error> {
        let mut size = page::entry_size(&entry);
        if let Target::Key(key) = entry.target
            && self.known.insert(key)
        {
            let record = reading
                .record(key)?
                .ok_or_else(|| Error::corrupt(row, "names a key that is not there"))?;
            size += page::record_size(&record);
            self.keys.push(record);
        }
        self.entries.push(entry);
        Ok(size)
    }

    /// Takes the last name back, unless it is the only one.
    fn drop_last_name(&mut self) -> bool {
        let (entries, keys) = self.last_name;
        if entries == 0 {
            return false;
        }
        self.entries.truncate(entries);
        self.keys.truncate(keys);
        true
    }

    fn into_answer(self, more: bool) -> Answer {
        Answer::Entries { entries: self.entries, keys: self.keys, more }
    }
}
