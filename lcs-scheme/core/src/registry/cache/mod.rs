//! What sources said, kept while it is true (DESIGN §15).
//!
//! LCS is the only writer, so it knows when something that it was told ends to be true. From the moment a step
//! is sent until its outcome is known, nothing is kept of what it may change: [`OnItsWay`] sees to that. When it
//! took effect, what was kept of the objects that it names is kept again as the step has made it.
//!
//! What is kept is committed and of all layers, as the source said it: views, transactions and the layer table
//! are laid over it at each look, and sequence numbers are checked at each look.

mod after;
mod order;
mod parts;
mod store;

use alloc::boxed::Box;
use alloc::vec::Vec;

use lcs_abi::Guid;
use lcs_abi::call::CacheStatus;
use lcs_abi::rsi::{Answer, KeyRecord, Mutation, SourceError, Target};
use spin::Mutex;

use super::backend::{ConnectionId, Fault};
use super::hives::SlotId;
use super::reading::{Entries, Values};
use order::{Order, Sent};
use store::Store;

pub(super) use order::Moment;
pub(super) use parts::{Object, Part, Touched};

/// What sources said.
pub(super) struct Cache(Mutex<Kept>);

struct Kept {
    store: Store,
    order: Order,
    hits: u64,
    misses: u64,
}

impl Kept {
    fn decoded<T: serde::de::DeserializeOwned>(&mut self, object: Object<&str>) -> Option<T> {
        self.store.get(object).and_then(|contents| lcs_abi::decode(contents).ok())
    }

    /// Entries under a parent, with the records of the keys that they name.
    fn entries(&mut self, object: Object<&str>) -> Option<Entries> {
        let entries: Vec<lcs_abi::rsi::PathEntry> = self.decoded(object)?;
        let mut found = Entries { entries, ..Entries::default() };
        for entry in &found.entries {
            let Target::Key(key) = entry.target else { continue };
            let record: KeyRecord = self.decoded(Object { key, part: Part::Record, ..object })?;
            if record.parent != object.key || record.name.folded != entry.name.folded {
                return None;
            }
            found.keys.insert(key, record);
        }
        Some(found)
    }

    fn counted<T>(&mut self, found: Option<T>) -> Option<T> {
        *(if found.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        found
    }

    fn keep<T: serde::Serialize>(&mut self, asked: Moment, object: Object<&str>, told: &T) {
        if self.order.holds(asked, object) {
            self.store.put(object, lcs_abi::encode(told));
        }
    }

    fn keep_record(&mut self, asked: Moment, slot: SlotId, record: &KeyRecord) {
        let object = Object { slot, key: record.key, part: Part::Record };
        // What is kept of it is as true.
        if !self.store.contains(object) {
            self.keep(asked, object, record);
        }
    }

    fn changed(&mut self, touched: Touched) {
        after::take_touched(&mut self.store, &touched);
        self.order.changed(touched);
    }
}

impl Cache {
    /// Nothing yet, and so many bytes at most.
    pub(super) fn new(limit: usize) -> Cache {
        let (store, order) = (Store::new(limit), Order::default());
        Cache(Mutex::new(Kept { store, order, hits: 0, misses: 0 }))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Kept) -> R) -> R {
        f(&mut self.0.lock())
    }

    /// So many bytes at most from now on (CacheBytes).
    pub(super) fn set_limit(&self, limit: usize) {
        self.with(|kept| kept.store.set_limit(limit));
    }

    /// How it is.
    pub(super) fn status(&self) -> CacheStatus {
        self.with(|kept| CacheStatus {
            hits: kept.hits,
            misses: kept.misses,
            entries: kept.store.len() as u64,
            bytes: kept.store.bytes() as u64,
            limit: kept.store.limit() as u64,
        })
    }

    /// The moment in which a source is asked what is to be kept.
    pub(super) fn now(&self) -> Moment {
        self.with(|kept| kept.order.now())
    }

    /// Whether no step is on its way that may change this.
    pub(super) fn is_still(&self, object: Object<&str>) -> bool {
        self.with(|kept| kept.order.is_still(object))
    }

    /// Whether no step is on its way in a hive.
    pub(super) fn is_hive_still(&self, slot: SlotId) -> bool {
        self.with(|kept| kept.order.is_hive_still(slot))
    }

    /// Looks at what is kept of an object, where it is kept. If that was of use it was a hit; else nothing is counted.
    pub(super) fn look<T>(
        &self,
        object: Object<&str>,
        look: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let found = look(self.0.lock().store.get(object)?)?;
        self.with(|kept| kept.hits += 1);
        Some(found)
    }

    /// A key's record.
    pub(super) fn record(&self, slot: SlotId, key: Guid) -> Option<KeyRecord> {
        self.with(|kept| {
            let found = kept.decoded(Object { slot, key, part: Part::Record });
            kept.counted(found)
        })
    }

    /// The entries of one name, or of all names, under a parent.
    pub(super) fn entries(&self, object: Object<&str>) -> Option<Entries> {
        self.with(|kept| {
            let found = kept.entries(object);
            kept.counted(found)
        })
    }

    /// The entries of one value's name, or of all values, of a key.
    pub(super) fn values(&self, object: Object<&str>) -> Option<Values> {
        self.with(|kept| {
            let found = kept.decoded(object);
            let found = kept.counted(found);
            found.map(|(entries, blankets)| Values { entries, blankets, next: None })
        })
    }

    /// A source said this of a key when it was asked at that moment.
    pub(super) fn keep_record(&self, asked: Moment, slot: SlotId, record: &KeyRecord) {
        self.with(|kept| kept.keep_record(asked, slot, record));
    }

    /// A source said this when it was asked at that moment. It is all that there is of the object.
    pub(super) fn keep_entries(&self, asked: Moment, object: Object<&str>, found: &Entries) {
        self.with(|kept| {
            let records = found.keys.values();
            records.for_each(|record| kept.keep_record(asked, object.slot, record));
            kept.keep(asked, object, &found.entries);
        });
    }

    /// A source said this when it was asked at that moment. It is all that there is of the object.
    pub(super) fn keep_values(&self, asked: Moment, object: Object<&str>, found: &Values) {
        self.with(|kept| kept.keep(asked, object, &(&found.entries, &found.blankets)));
    }

    /// Forgets what a source said of a key, because it makes no sense after all.
    pub(super) fn distrust(&self, slot: SlotId, key: Guid) {
        self.with(|kept| kept.store.remove_key(slot, key));
    }

    /// Something changed that LCS did not do.
    pub(super) fn changed(&self, touched: Touched) {
        self.with(|kept| kept.changed(touched));
    }

    /// A source is there, with these hives.
    pub(super) fn connected(&self, connection: ConnectionId, slots: &[SlotId]) {
        self.with(|kept| {
            slots.iter().for_each(|slot| kept.store.remove_hive(*slot));
            kept.order.connected(connection, slots);
        });
    }

    /// A source is gone, and what was on its way to it has had its effect or has none.
    pub(super) fn disconnected(&self, connection: ConnectionId, slots: &[SlotId]) {
        self.with(|kept| {
            slots.iter().for_each(|slot| kept.store.remove_hive(*slot));
            kept.order.disconnected(connection, slots);
        });
    }

    /// A step is sent to a source now. `mutations` are what it does, the first with this sequence number, if that
    /// is known.
    pub(super) fn sends(
        &self,
        connection: ConnectionId,
        slot: SlotId,
        touched: Touched,
        (mutations, first_sequence): (&[Mutation], u64),
    ) -> OnItsWay<'_> {
        self.with(|kept| {
            let after = after::after(&mut kept.store, &touched, mutations, first_sequence);
            after::take_touched(&mut kept.store, &touched);
            let sent = kept.order.sent(connection, slot, touched);
            OnItsWay { cache: self, sent: Some(sent), after }
        })
    }
}

/// A step on its way. As long as it is, and also when this is dropped before the answer came, nothing is kept of
/// what the step may change.
#[must_use]
pub(super) struct OnItsWay<'a> {
    cache: &'a Cache,
    sent: Option<Sent>,
    /// What is known of objects if it takes effect and nothing else does.
    after: Vec<(Object<Box<str>>, Vec<u8>)>,
}

impl OnItsWay<'_> {
    /// It took effect, with the sequence numbers that it was sent with.
    pub(super) fn took_effect(mut self) {
        let (Some(sent), after) = (self.sent.take(), core::mem::take(&mut self.after)) else {
            return;
        };
        self.cache.with(|kept| {
            let at = sent.at;
            let alone =
                |(object, _): &(Object<Box<str>>, _)| kept.order.is_alone(at, object.borrowed());
            let after: Vec<(Object<Box<str>>, Vec<u8>)> = after.into_iter().filter(alone).collect();
            kept.order.took_effect(sent);
            for (object, contents) in after {
                kept.store.put(object.borrowed(), contents);
            }
        });
    }

    /// It took effect in a way that is not known.
    pub(super) fn took_some_effect(mut self) {
        self.after.clear();
        self.took_effect();
    }

    /// The source answered so. What it refuses has no effect, but for what its storage fails at: that may have
    /// been written all the same, which shows when a later step can be.
    pub(super) fn answered(mut self, answer: &Result<Answer, Fault>) {
        let settled = match answer {
            Ok(_) => true,
            Err(Fault::Refused(error)) => *error != SourceError::StorageError,
            Err(Fault::Down) => false,
        };
        if settled && let Some(sent) = self.sent.take() {
            self.cache.with(|kept| kept.order.ended(sent.slot, sent.touched));
        }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.sent.take() {
            self.cache.with(|kept| kept.order.lost(sent));
        }
    }
}
