//! What a transaction has written, laid over what a source says.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included, Unbounded};

use lcs_abi::Guid;
use lcs_abi::rsi::{
    BlanketEntry, KeyRecord, Mutation, PathEntry, Target, ValueEntry, ValuePosition,
};

use super::super::reading::{Entries, Values};
use super::by_layer::ByLayer;
use super::writes::{Pending, WriteSet};
use crate::model::resolve::PENDING;
use crate::security::SecurityDescriptor;

/// How many layers' entries of a transaction a page takes, beyond those of its last name.
const PAGE_WRITES: usize = 1024;

/// The place of an entry in a listing: folded name, folded layer.
type Position<'a> = (&'a str, &'a str);

impl WriteSet {
    /// The record of a key that the transaction makes.
    pub(in super::super) fn made(&self, key: Guid) -> Option<KeyRecord> {
        self.made.get(&key).map(|(_, record)| record.clone())
    }

    /// Makes the record of a key of others what it will be.
    pub(in super::super) fn lay_over_key(&self, record: &mut KeyRecord) {
        if let Some(last_write) = self.touched.get(&record.key) {
            record.last_write = *last_write;
        }
        if let Some((_, parts, given)) = self.security.get(&record.key)
            && let Ok(old) = SecurityDescriptor::from_bytes(&record.sd)
        {
            record.sd = old.with(*parts, given).to_bytes();
        }
    }

    /// Makes all entries of one name what they will be.
    pub(in super::super) fn lay_over_name(&self, parent: Guid, name: &str, found: &mut Entries) {
        let at = (parent, String::from(name));
        let writes = self.entries.get_key_value(&at).into_iter();
        self.lay_over_entries(writes, found);
    }

    /// Makes a page of entries what it will be; it began behind `after`.
    pub(in super::super) fn lay_over_children(
        &self,
        parent: Guid,
        after: Option<&str>,
        found: &mut Entries,
    ) {
        let from = after.map_or(Included((parent, String::new())), |after| {
            Excluded((parent, String::from(after)))
        });
        let writes = self.entries.range((from, Unbounded));
        self.lay_over_entries(writes.take_while(|((of, _), _)| *of == parent), found);
    }

    fn lay_over_entries<'a>(
        &'a self,
        writes: impl Iterator<Item = (&'a (Guid, String), &'a ByLayer)>,
        found: &mut Entries,
    ) {
        for record in found.keys.values_mut() {
            self.lay_over_key(record);
        }
        let next = found.next.take().map(|name| ValuePosition { name, layer: None });
        let committed = core::mem::take(&mut found.entries);
        let merged = merge(committed, next, place_of_entry, writes, entry_of);
        let named = merged.entries.iter().filter_map(|entry| match entry.target {
            Target::Key(key) => self.made(key),
            Target::Hidden => None,
        });
        found.keys.extend(named.map(|record| (record.key, record)));
        found.next = merged.next.map(|next| next.name);
        found.entries = merged.entries;
    }

    /// Makes all entries of one value name what they will be, and the key's blankets.
    pub(in super::super) fn lay_over_value(&self, key: Guid, name: &str, found: &mut Values) {
        let at = (key, String::from(name));
        self.lay_over_some_values(key, self.values.get_key_value(&at).into_iter(), found);
    }

    /// Takes away the entries of one value name that will be others, or none.
    pub(in super::super) fn remove_replaced(
        &self,
        key: Guid,
        name: &str,
        entries: &mut Vec<ValueEntry>,
    ) {
        if let Some(layers) = self.values.get(&(key, String::from(name))) {
            entries.retain(|entry| !layers.contains_key(&entry.layer.folded));
        }
    }

    /// Makes a page of values what it will be; it began behind `after`.
    pub(in super::super) fn lay_over_values(
        &self,
        key: Guid,
        after: Option<&ValuePosition>,
        found: &mut Values,
    ) {
        let from = match after {
            None => Included((key, String::new())),
            // Of this name some layers' entries may be still to come.
            Some(after) if after.layer.is_some() => Included((key, after.name.clone())),
            Some(after) => Excluded((key, after.name.clone())),
        };
        let writes = self.values.range((from, Unbounded));
        self.lay_over_some_values(key, writes.take_while(|((of, _), _)| *of == key), found);
        if let Some(ValuePosition { name, layer: Some(layer) }) = after {
            found.entries.retain(|entry| (&entry.name.folded, &entry.layer.folded) > (name, layer));
        }
    }

    fn lay_over_some_values<'a>(
        &'a self,
        key: Guid,
        writes: impl Iterator<Item = (&'a (Guid, String), &'a ByLayer)>,
        found: &mut Values,
    ) {
        let committed = core::mem::take(&mut found.entries);
        let merged = merge(committed, found.next.take(), place_of_value, writes, value_of);
        found.entries = merged.entries;
        found.next = merged.next;
        for (layer, pending) in self.blankets.get(&key).into_iter().flat_map(ByLayer::iter) {
            found.blankets.retain(|blanket| blanket.layer.folded != *layer);
            found.blankets.extend(blanket_of(pending));
        }
    }
}

fn place_of_entry(entry: &PathEntry) -> Position<'_> {
    (&entry.name.folded, &entry.layer.folded)
}

fn place_of_value(entry: &ValueEntry) -> Position<'_> {
    (&entry.name.folded, &entry.layer.folded)
}

fn sequence(pending: &Pending) -> u64 {
    PENDING + pending.order
}

/// What a mutation of a path entry leaves; `None` if that is nothing.
fn entry_of(pending: &Pending) -> Option<PathEntry> {
    let Mutation::SetEntry { parent, name, layer, target } = &pending.mutation else {
        return None;
    };
    Some(PathEntry {
        parent: *parent,
        name: name.clone(),
        layer: layer.clone(),
        target: *target,
        sequence: sequence(pending),
    })
}

/// What a mutation of a value leaves; `None` if that is nothing.
fn value_of(pending: &Pending) -> Option<ValueEntry> {
    let Mutation::SetValue { key, name, layer, value_type, data } = &pending.mutation else {
        return None;
    };
    Some(ValueEntry {
        key: *key,
        name: name.clone(),
        layer: layer.clone(),
        value_type: *value_type,
        data: data.clone(),
        sequence: sequence(pending),
    })
}

/// What a mutation of a blanket leaves; `None` if that is nothing.
fn blanket_of(pending: &Pending) -> Option<BlanketEntry> {
    let Mutation::SetBlanket { key, layer } = &pending.mutation else { return None };
    Some(BlanketEntry { key: *key, layer: layer.clone(), sequence: sequence(pending) })
}

/// A page of a listing.
struct Merged<E> {
    entries: Vec<E>,
    /// Where there is more.
    next: Option<ValuePosition>,
}

/// Puts what a transaction has written in the place of what is committed. Both are in order. Where the
/// committed ones go on behind this page (`next`), writes behind it are for a later one.
fn merge<'a, E>(
    committed: Vec<E>,
    next: Option<ValuePosition>,
    place: fn(&E) -> Position<'_>,
    writes: impl Iterator<Item = (&'a (Guid, String), &'a ByLayer)>,
    left: impl Fn(&Pending) -> Option<E>,
) -> Merged<E> {
    let is_behind = |(name, layer): Position<'_>| match &next {
        None => false,
        Some(ValuePosition { name: last, layer: None }) => name > last.as_str(),
        Some(ValuePosition { name: last, layer: Some(last_layer) }) => {
            (name, layer) > (last.as_str(), last_layer.as_str())
        }
    };
    let mut committed = committed.into_iter().peekable();
    let mut entries = Vec::new();
    let mut taken = 0;
    let mut full_after: Option<&String> = None;
    'names: for ((_, name), layers) in writes {
        if taken >= PAGE_WRITES {
            break;
        }
        full_after = Some(name);
        for (layer, pending) in layers.iter() {
            let at = (name.as_str(), layer);
            if is_behind(at) {
                full_after = None;
                break 'names;
            }
            while let Some(entry) = committed.next_if(|entry| place(entry) < at) {
                entries.push(entry);
            }
            committed.next_if(|entry| place(entry) == at);
            entries.extend(left(pending));
            taken += 1;
        }
    }
    match full_after.filter(|_| taken >= PAGE_WRITES) {
        Some(last) => {
            while let Some(entry) = committed.next_if(|entry| place(entry).0 <= last.as_str()) {
                entries.push(entry);
            }
            let next = Some(ValuePosition { name: last.clone(), layer: None });
            Merged { entries, next }
        }
        None => {
            entries.extend(committed);
            Merged { entries, next }
        }
    }
}
