//! Locks on the structure of the key tree.
//!
//! A creation under a key excludes the deletion of that key and a change of its security descriptor; two
//! changes of one name exclude each other, and all of them the commit of a transaction that changes which
//! keys there are. What is written in a transaction has locks of its own. Locks are taken in the order of
//! [`Place`], the transaction's before the hive's, and from the root down (the parent, the name under it, the
//! key that the name leads to), so nobody ever waits for somebody who waits for him.

use alloc::string::String;
use alloc::sync::{Arc, Weak};

use async_lock::{RwLock, RwLockReadGuardArc, RwLockWriteGuardArc};
use hashbrown::HashMap;
use lcs_abi::Guid;
use spin::Mutex;

use super::reading::Site;

/// What can be locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// A hive, or what a transaction makes of it: shared by those who change which keys there are, or write in
    /// the transaction, step by step; exclusive for the commit of the transaction.
    Site(Site),
    /// A key as the parent of others: shared by those who create under it, exclusive for whoever deletes it or
    /// writes its security descriptor.
    Key(Site, Guid),
    /// A folded name under a parent: what its entries say.
    Name(Site, Guid, String),
    /// A folded value name of a key: which layers have an entry.
    Value(Site, Guid, String),
    /// The values of a key that somebody watches: shared by those who write one, exclusive for whoever writes
    /// more of them at once.
    Values(Site, Guid),
    /// A folded value name that somebody watches: what its entries say.
    Watched(Site, Guid, String),
    /// A layer, folded: shared by those who write into it, exclusive for whoever deletes it.
    Layer(String),
}

/// The locks that are held or waited for.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<Place, Weak<RwLock<()>>>>);

/// A lock that is held, or waited for.
pub(super) struct Guard<'a> {
    held: Option<Held>,
    place: Place,
    locks: &'a Locks,
}

enum Held {
    Shared { _guard: RwLockReadGuardArc<()> },
    Exclusive { _guard: RwLockWriteGuardArc<()> },
}

impl Locks {
    /// One more changes it step by step.
    pub(super) async fn steps(&self, site: Site) -> Guard<'_> {
        self.shared(Place::Site(site)).await
    }

    /// Nobody changes it step by step.
    pub(super) async fn no_steps(&self, site: Site) -> Guard<'_> {
        self.exclusive(Place::Site(site)).await
    }

    /// The key stays.
    pub(super) async fn key_stays(&self, site: Site, key: Guid) -> Guard<'_> {
        self.shared(Place::Key(site, key)).await
    }

    /// Nothing is created under the key.
    pub(super) async fn key_goes(&self, site: Site, key: Guid) -> Guard<'_> {
        self.exclusive(Place::Key(site, key)).await
    }

    /// Nobody else changes what the name says.
    pub(super) async fn name(&self, site: Site, parent: Guid, folded: &str) -> Guard<'_> {
        self.exclusive(Place::Name(site, parent, folded.into())).await
    }

    /// Nobody else adds a layer's entry to the value.
    pub(super) async fn value(&self, site: Site, key: Guid, folded: &str) -> Guard<'_> {
        self.exclusive(Place::Value(site, key, folded.into())).await
    }

    /// Others may write other values of the key.
    pub(super) async fn some_values(&self, site: Site, key: Guid) -> Guard<'_> {
        self.shared(Place::Values(site, key)).await
    }

    /// Nobody else writes values of the key.
    pub(super) async fn all_values(&self, site: Site, key: Guid) -> Guard<'_> {
        self.exclusive(Place::Values(site, key)).await
    }

    /// Nobody else writes the value.
    pub(super) async fn watched_value(&self, site: Site, key: Guid, folded: &str) -> Guard<'_> {
        self.exclusive(Place::Watched(site, key, folded.into())).await
    }

    /// The layer stays.
    pub(super) async fn layer_stays(&self, folded: &str) -> Guard<'_> {
        self.shared(Place::Layer(folded.into())).await
    }

    /// Nobody writes into the layer.
    pub(super) async fn layer_goes(&self, folded: &str) -> Guard<'_> {
        self.exclusive(Place::Layer(folded.into())).await
    }

    async fn shared(&self, place: Place) -> Guard<'_> {
        let mut guard = self.waiting(place);
        let lock = self.lock(&guard.place);
        guard.held = Some(Held::Shared { _guard: lock.read_arc().await });
        guard
    }

    async fn exclusive(&self, place: Place) -> Guard<'_> {
        let mut guard = self.waiting(place);
        let lock = self.lock(&guard.place);
        guard.held = Some(Held::Exclusive { _guard: lock.write_arc().await });
        guard
    }

    /// Who waits for a lock has the guard already: an operation that is given up tidies up behind itself.
    fn waiting(&self, place: Place) -> Guard<'_> {
        Guard { held: None, place, locks: self }
    }

    fn lock(&self, place: &Place) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock();
        if let Some(lock) = locks.get(place).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(RwLock::new(()));
        locks.insert(place.clone(), Arc::downgrade(&lock));
        lock
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut locks = self.locks.0.lock();
        if locks.get(&self.place).is_some_and(|lock| lock.strong_count() == 0) {
            locks.remove(&self.place);
        }
    }
}
