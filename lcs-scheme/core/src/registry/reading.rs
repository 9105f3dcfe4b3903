//! Asking sources for entries, and believing only what can be; what a transaction has written is laid over
//! it.

use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, BlanketEntry, KeyRecord, PathEntry, Request, Target, ValueEntry, ValuePosition,
};

use super::Registry;
use super::backend::{Backend, ConnectionId};
use super::error::Error;
use super::hives::SlotId;
use super::transaction::TransactionId;
use crate::model::View;
use crate::model::name::{KeyName, ValueName};
use crate::model::resolve::PENDING;
use crate::model::value::Content;

/// How much of a listing to ask for at once, in bytes.
pub(super) const PAGE_BYTES: u32 = 256 << 10;

/// The largest data of a value that any setting allows, in bytes.
const MAX_VALUE_SIZE: usize = 64 << 20;

/// The most entries that a value can have: the greatest MaxLayersPerValue that there is.
const MAX_LAYERS_OF_VALUE: usize = 1024;

/// Where something is looked for: a hive, seen by everybody alike, or with what a transaction has written, or as
/// it was once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Site {
    pub(super) slot: SlotId,
    pub(super) transaction: Option<TransactionId>,
    pub(super) snapshot: Option<Snapshot>,
}

/// A read view of a source, as long as this connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Snapshot {
    pub(super) connection: ConnectionId,
    pub(super) number: u64,
}

impl Site {
    /// The hive with what a transaction has written.
    pub(super) fn written_in(transaction: TransactionId, slot: SlotId) -> Site {
        Site { transaction: Some(transaction), ..slot.into() }
    }
}

impl From<SlotId> for Site {
    /// The hive as everybody sees it.
    fn from(slot: SlotId) -> Site {
        Site { slot, transaction: None, snapshot: None }
    }
}

/// Path entries in the order of folded name and folded layer, with the records of the keys they name.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) entries: Vec<PathEntry>,
    /// The record of every key that one of the entries names.
    pub(super) keys: HashMap<Guid, KeyRecord>,
    /// The folded name after which there is more.
    pub(super) next: Option<String>,
}

/// Value entries in the order of folded name and folded layer, with all blankets of the key.
#[derive(Default)]
pub(super) struct Values {
    pub(super) entries: Vec<ValueEntry>,
    pub(super) blankets: Vec<BlanketEntry>,
    /// Where there is more.
    pub(super) next: Option<ValuePosition>,
}

impl<B: Backend> Registry<B> {
    /// The entries of one name under a parent.
    pub(super) async fn lookup(
        &self,
        site: Site,
        parent: Guid,
        name: &KeyName,
    ) -> Result<Entries, Error> {
        self.lookup_folded(site, parent, name.folded()).await
    }

    /// The entries of one name, folded, under a parent.
    pub(super) async fn lookup_folded(
        &self,
        site: Site,
        parent: Guid,
        name: &str,
    ) -> Result<Entries, Error> {
        let mut found = Entries::default();
        if !self.is_made_in(site, parent) {
            let request = Request::Lookup { parent, name: name.into() };
            found = self.entries(site, parent, request).await?;
            let other = found.entries.iter().any(|entry| entry.name.folded != name);
            if found.next.is_some() || other {
                return Err(self.malformed(site.slot, "entries of another name"));
            }
        }
        self.with_writes(site, |writes| writes.lay_over_name(parent, name, &mut found));
        Ok(found)
    }

    /// A page of the entries under a parent.
    pub(super) async fn children(
        &self,
        site: Site,
        parent: Guid,
        after: Option<&str>,
    ) -> Result<Entries, Error> {
        let mut found = Entries::default();
        if !self.is_made_in(site, parent) {
            let bytes = PAGE_BYTES;
            let request = Request::EnumChildren { parent, after: after.map(Into::into), bytes };
            found = self.entries(site, parent, request).await?;
            let first = found.entries.first().map(|entry| entry.name.folded.as_str());
            if after.is_some() && first.is_some_and(|first| Some(first) <= after) {
                return Err(self.malformed(site.slot, "a page that does not go on"));
            }
        }
        self.with_writes(site, |writes| writes.lay_over_children(parent, after, &mut found));
        Ok(found)
    }

    /// Entries as the source has them.
    async fn entries(&self, site: Site, parent: Guid, request: Request) -> Result<Entries, Error> {
        let Answer::Entries { entries, keys, more } = self.ask_at(site, request).await? else {
            return Err(self.malformed(site.slot, "answer of another kind"));
        };
        let keys: HashMap<Guid, KeyRecord> =
            keys.into_iter().map(|record| (record.key, record)).collect();
        let sorted = entries.is_sorted_by(|a, b| {
            (&a.name.folded, &a.layer.folded) < (&b.name.folded, &b.layer.folded)
        });
        let entry_possible = |entry: &PathEntry| {
            let record_possible = match entry.target {
                Target::Hidden => true,
                Target::Key(key) => {
                    keys.get(&key).is_some_and(|key| key.name.folded == entry.name.folded)
                }
            };
            entry.parent == parent
                && record_possible
                && entry.sequence < PENDING
                && KeyName::from_source(&entry.name).is_some()
                && KeyName::from_source(&entry.layer).is_some()
        };
        let record_possible = |record: &KeyRecord| {
            record.parent == parent
                && record.key != parent
                && KeyName::from_source(&record.name).is_some()
        };
        if !sorted || !entries.iter().all(entry_possible) || !keys.values().all(record_possible) {
            return Err(self.malformed(site.slot, "impossible path entries"));
        }
        let next = if more { entries.last().map(|entry| entry.name.folded.clone()) } else { None };
        if more && next.is_none() {
            return Err(self.malformed(site.slot, "a page that does not go on"));
        }
        Ok(Entries { entries, keys, next })
    }

    /// A key's record.
    pub(super) async fn read_key(&self, site: Site, key: Guid) -> Result<KeyRecord, Error> {
        let made = self.with_writes(site, |writes| writes.made(key)).flatten();
        if let Some(record) = made {
            return Ok(record);
        }
        let Answer::Key(mut record) = self.ask_at(site, Request::ReadKey { key }).await? else {
            return Err(self.malformed(site.slot, "answer of another kind"));
        };
        // A hive is found by its claim; its root's own name serves nobody.
        let is_root = record.parent == record.key;
        if record.key != key || !is_root && KeyName::from_source(&record.name).is_none() {
            return Err(self.malformed(site.slot, "impossible key record"));
        }
        self.with_writes(site, |writes| writes.lay_over_key(&mut record));
        Ok(record)
    }

    /// All entries of one value name; of those that another one outranks in this view without their data.
    pub(super) async fn value(
        &self,
        site: Site,
        view: &View,
        key: Guid,
        name: &ValueName,
    ) -> Result<Values, Error> {
        let outranked = |all: &mut Vec<ValueEntry>| {
            self.with(|state| state.rules(site.transaction, view).drop_outranked_data(all));
        };
        self.value_trimmed(site, key, name.folded(), outranked).await
    }

    /// All entries of one value name, folded, without their data.
    pub(super) async fn value_without_data(
        &self,
        site: Site,
        key: Guid,
        name: &str,
    ) -> Result<Values, Error> {
        let forget = |all: &mut Vec<ValueEntry>| {
            all.iter_mut().for_each(|entry| entry.data = Vec::new());
        };
        self.value_trimmed(site, key, name, forget).await
    }

    /// All entries of one value name. What of their data is held while more of them come is for `trim` to say,
    /// after each page.
    pub(super) async fn value_trimmed(
        &self,
        site: Site,
        key: Guid,
        name: &str,
        mut trim: impl FnMut(&mut Vec<ValueEntry>),
    ) -> Result<Values, Error> {
        let mut all = Values::default();
        let mut more = !self.is_made_in(site, key);
        let (mut after_layer, mut layers) = (None, 0);
        while more {
            let after = after_layer.clone();
            let request = Request::QueryValue { key, name: name.into(), after_layer: after };
            let mut page = self.values(site, key, request).await?;
            let first = page.entries.first();
            let stuck =
                first.is_some_and(|first| Some(&first.layer.folded) <= after_layer.as_ref());
            let other = page.entries.iter().any(|entry| entry.name.folded != name);
            layers += page.entries.len();
            if stuck || other || layers > MAX_LAYERS_OF_VALUE {
                return Err(self.malformed(site.slot, "impossible page of values"));
            }
            more = page.next.is_some();
            after_layer = page.next.and_then(|next| next.layer);
            self.with_writes(site, |writes| writes.remove_replaced(key, name, &mut page.entries));
            all.entries.extend(page.entries);
            trim(&mut all.entries);
            all.blankets = page.blankets;
        }
        self.with_writes(site, |writes| writes.lay_over_value(key, name, &mut all));
        Ok(all)
    }

    /// A page of the value entries of a key. The entries of its last name may go on in the next one.
    pub(super) async fn values_page(
        &self,
        site: Site,
        key: Guid,
        after: Option<ValuePosition>,
    ) -> Result<Values, Error> {
        let mut page = Values::default();
        if !self.is_made_in(site, key) {
            let request = Request::QueryValues { key, after: after.clone(), bytes: PAGE_BYTES };
            page = self.values(site, key, request).await?;
            let goes_on =
                |entry: &ValueEntry| after.as_ref().is_none_or(|after| is_after(entry, after));
            if page.entries.first().is_some_and(|first| !goes_on(first)) {
                return Err(self.malformed(site.slot, "a page that does not go on"));
            }
        }
        self.with_writes(site, |writes| writes.lay_over_values(key, after.as_ref(), &mut page));
        Ok(page)
    }

    /// Values as the source has them.
    async fn values(&self, site: Site, key: Guid, request: Request) -> Result<Values, Error> {
        let Answer::Values { entries, blankets, more } = self.ask_at(site, request).await? else {
            return Err(self.malformed(site.slot, "answer of another kind"));
        };
        let sorted = entries.is_sorted_by(|a, b| {
            (&a.name.folded, &a.layer.folded) < (&b.name.folded, &b.layer.folded)
        });
        let value_possible = |entry: &ValueEntry| {
            entry.key == key
                && entry.sequence < PENDING
                && ValueName::from_source(&entry.name).is_some()
                && KeyName::from_source(&entry.layer).is_some()
                && Content::check(entry.value_type, &entry.data, MAX_VALUE_SIZE).is_ok()
        };
        let blanket_possible = |blanket: &BlanketEntry| {
            blanket.key == key
                && blanket.sequence < PENDING
                && KeyName::from_source(&blanket.layer).is_some()
        };
        if !sorted || !entries.iter().all(value_possible) || !blankets.iter().all(blanket_possible)
        {
            return Err(self.malformed(site.slot, "impossible values"));
        }
        let next = if more { entries.last().map(position) } else { None };
        if more && next.is_none() {
            return Err(self.malformed(site.slot, "a page that does not go on"));
        }
        Ok(Values { entries, blankets, next })
    }

    /// The key that these entries of one name lead to.
    pub(super) fn resolve_name(
        &self,
        site: Site,
        view: &View,
        entries: &[PathEntry],
    ) -> Result<Option<Guid>, Error> {
        self.with(|state| state.rules(site.transaction, view).resolve_name(entries))
            .map_err(|_| self.malformed(site.slot, "impossible sequence number"))
    }

    /// The effective one of these entries of one value name.
    pub(super) fn resolve_value(
        &self,
        site: Site,
        view: &View,
        entries: Vec<ValueEntry>,
        blankets: &[BlanketEntry],
    ) -> Result<Option<ValueEntry>, Error> {
        self.with(|state| state.rules(site.transaction, view).resolve_value(entries, blankets))
            .map_err(|_| self.malformed(site.slot, "impossible sequence number"))
    }
}

/// Where a listing goes on after this entry.
fn position(entry: &ValueEntry) -> ValuePosition {
    ValuePosition { name: entry.name.folded.clone(), layer: Some(entry.layer.folded.clone()) }
}

/// Whether an entry belongs behind this position.
fn is_after(entry: &ValueEntry, after: &ValuePosition) -> bool {
    let (name, layer) = (&entry.name.folded, &entry.layer.folded);
    match &after.layer {
        _ if *name != after.name => *name > after.name,
        Some(after) => layer > after,
        None => false,
    }
}
