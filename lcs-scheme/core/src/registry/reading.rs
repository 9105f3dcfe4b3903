//! Asking sources for entries, and believing only what can be.

use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, BlanketEntry, KeyRecord, PathEntry, Request, Target, ValueEntry, ValuePosition,
};

use super::Registry;
use super::backend::Backend;
use super::error::Error;
use super::hives::SlotId;
use crate::model::name::{KeyName, ValueName};
use crate::model::value::Content;

/// How much of a listing to ask for at once, in bytes.
pub(super) const PAGE_BYTES: u32 = 256 << 10;

/// The largest data of a value that any setting allows, in bytes.
const MAX_VALUE_SIZE: usize = 64 << 20;

/// Path entries in the order of folded name and folded layer, with the records of the keys they name.
pub(super) struct Entries {
    pub(super) entries: Vec<PathEntry>,
    /// The record of every key that one of the entries names.
    pub(super) keys: HashMap<Guid, KeyRecord>,
    pub(super) more: bool,
}

/// Value entries in the order of folded name and folded layer, with all blankets of the key.
pub(super) struct Values {
    pub(super) entries: Vec<ValueEntry>,
    pub(super) blankets: Vec<BlanketEntry>,
    pub(super) more: bool,
}

impl<B: Backend> Registry<B> {
    /// The entries of one name under a parent.
    pub(super) async fn lookup(
        &self,
        slot: SlotId,
        parent: Guid,
        name: &KeyName,
    ) -> Result<Entries, Error> {
        let request = Request::Lookup { parent, name: name.folded().into() };
        let found = self.entries(slot, parent, request).await?;
        if found.more || found.entries.iter().any(|entry| entry.name.folded != name.folded()) {
            return Err(self.malformed(slot, "entries of another name"));
        }
        Ok(found)
    }

    /// A page of the entries under a parent.
    pub(super) async fn children(
        &self,
        slot: SlotId,
        parent: Guid,
        after: Option<&str>,
    ) -> Result<Entries, Error> {
        let request =
            Request::EnumChildren { parent, after: after.map(Into::into), bytes: PAGE_BYTES };
        let found = self.entries(slot, parent, request).await?;
        let first = found.entries.first().map(|entry| entry.name.folded.as_str());
        if found.more && first.is_none()
            || after.is_some() && first.is_some_and(|n| Some(n) <= after)
        {
            return Err(self.malformed(slot, "a page that does not go on"));
        }
        Ok(found)
    }

    async fn entries(
        &self,
        slot: SlotId,
        parent: Guid,
        request: Request,
    ) -> Result<Entries, Error> {
        let Answer::Entries { entries, keys, more } = self.ask(slot, request).await? else {
            return Err(self.malformed(slot, "answer of another kind"));
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
                && KeyName::from_source(&entry.name).is_some()
                && KeyName::from_source(&entry.layer).is_some()
        };
        let record_possible = |record: &KeyRecord| {
            record.parent == parent
                && record.key != parent
                && KeyName::from_source(&record.name).is_some()
        };
        if !sorted || !entries.iter().all(entry_possible) || !keys.values().all(record_possible) {
            return Err(self.malformed(slot, "impossible path entries"));
        }
        Ok(Entries { entries, keys, more })
    }

    /// A key's record.
    pub(super) async fn read_key(&self, slot: SlotId, key: Guid) -> Result<KeyRecord, Error> {
        let Answer::Key(record) = self.ask(slot, Request::ReadKey { key }).await? else {
            return Err(self.malformed(slot, "answer of another kind"));
        };
        // A hive is found by its claim; its root's own name serves nobody.
        let is_root = record.parent == record.key;
        if record.key != key || !is_root && KeyName::from_source(&record.name).is_none() {
            return Err(self.malformed(slot, "impossible key record"));
        }
        Ok(record)
    }

    /// All entries of one value name.
    pub(super) async fn value(
        &self,
        slot: SlotId,
        key: Guid,
        name: &ValueName,
    ) -> Result<Values, Error> {
        let mut all = Values { entries: Vec::new(), blankets: Vec::new(), more: true };
        while all.more {
            let after_layer = all.entries.last().map(|entry| entry.layer.folded.clone());
            let request = Request::QueryValue {
                key,
                name: name.folded().into(),
                after_layer: after_layer.clone(),
            };
            let page = self.values(slot, key, request).await?;
            let stuck = page
                .entries
                .first()
                .is_none_or(|entry| Some(&entry.layer.folded) <= after_layer.as_ref());
            let other = page.entries.iter().any(|entry| entry.name.folded != name.folded());
            if page.more && stuck || other {
                return Err(self.malformed(slot, "impossible page of values"));
            }
            all.entries.extend(page.entries);
            all.blankets = page.blankets;
            all.more = page.more;
        }
        Ok(all)
    }

    /// A page of the value entries of a key. The entries of its last name may go on in the next one.
    pub(super) async fn values_page(
        &self,
        slot: SlotId,
        key: Guid,
        after: Option<ValuePosition>,
    ) -> Result<Values, Error> {
        let request = Request::QueryValues { key, after: after.clone(), bytes: PAGE_BYTES };
        let page = self.values(slot, key, request).await?;
        let goes_on = |entry: &ValueEntry| match &after {
            None => true,
            Some(after) if entry.name.folded == after.name => {
                after.layer.as_ref().is_some_and(|layer| entry.layer.folded > *layer)
            }
            Some(after) => entry.name.folded > after.name,
        };
        let first = page.entries.first();
        if page.more && first.is_none() || first.is_some_and(|first| !goes_on(first)) {
            return Err(self.malformed(slot, "a page that does not go on"));
        }
        Ok(page)
    }

    async fn values(&self, slot: SlotId, key: Guid, request: Request) -> Result<Values, Error> {
        let Answer::Values { entries, blankets, more } = self.ask(slot, request).await? else {
            return Err(self.malformed(slot, "answer of another kind"));
        };
        let sorted = entries.is_sorted_by(|a, b| {
            (&a.name.folded, &a.layer.folded) < (&b.name.folded, &b.layer.folded)
        });
        let value_possible = |entry: &ValueEntry| {
            entry.key == key
                && ValueName::from_source(&entry.name).is_some()
                && KeyName::from_source(&entry.layer).is_some()
                && Content::check(entry.value_type, &entry.data, MAX_VALUE_SIZE).is_ok()
        };
        let blanket_possible = |blanket: &BlanketEntry| {
            blanket.key == key && KeyName::from_source(&blanket.layer).is_some()
        };
        if !sorted || !entries.iter().all(value_possible) || !blankets.iter().all(blanket_possible)
        {
            return Err(self.malformed(slot, "impossible values"));
        }
        Ok(Values { entries, blankets, more })
    }

    /// The key that these entries of one name lead to.
    pub(super) fn resolve_name(
        &self,
        slot: SlotId,
        entries: &[PathEntry],
    ) -> Result<Option<Guid>, Error> {
        self.with(|state| state.rules().resolve_name(entries))
            .map_err(|_| self.malformed(slot, "impossible sequence number"))
    }

    /// The effective one of these entries of one value name.
    pub(super) fn resolve_value(
        &self,
        slot: SlotId,
        entries: Vec<ValueEntry>,
        blankets: &[BlanketEntry],
    ) -> Result<Option<ValueEntry>, Error> {
        self.with(|state| state.rules().resolve_value(entries, blankets))
            .map_err(|_| self.malformed(slot, "impossible sequence number"))
    }
}
