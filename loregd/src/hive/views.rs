//! The committed states that readers look at: the newest one, and those that were kept as snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lcs_abi::rsi::SourceError;

use super::both::Committed;
use crate::Error;

/// A committed state in the hands of readers, until it is taken from them. It leaves this place never: so who
/// empties the place knows that nobody holds the state any more.
type Place = RwLock<Option<Arc<Committed>>>;

/// All committed states of a hive that somebody may look at.
#[derive(Default)]
pub(super) struct Views {
    /// `None` after an error of the store of which it did not recover.
    newest: Place,
    snapshots: Mutex<Snapshots>,
}

#[derive(Default)]
struct Snapshots {
    /// The number of the last one made.
    last: u64,
    kept: BTreeMap<u64, Arc<Place>>,
}

impl Views {
    /// Shows a newer state.
    pub(super) fn publish(&self, committed: Committed) {
        fill(&self.newest, Some(Arc::new(committed)));
    }

    /// Ends all views, snapshots too, and waits for those who look at one.
    pub(super) fn close(&self) {
        // Held all the time, so that nobody makes a snapshot of what is about to end.
        let mut snapshots = self.snapshots();
        fill(&self.newest, None);
        for place in std::mem::take(&mut snapshots.kept).values() {
            fill(place, None);
        }
    }

    /// Keeps the newest state, and returns its number.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub(super) fn keep(&self) -> Result<u64, Error> {
        let mut snapshots = self.snapshots();
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = Arc::new(RwLock::new(Some(newest.ok_or(Error::Closed)?)));
        snapshots.last += 1;
        let number = snapshots.last;
        snapshots.kept.insert(number, kept);
        Ok(number)
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// NotFound, if there is none of this number.
    pub(super) fn release(&self, snapshot: u64) -> Result<(), Error> {
        let released = self.snapshots().kept.remove(&snapshot);
        Ok(released.map(drop).ok_or(SourceError::NotFound)?)
    }

    /// Looks at a snapshot, or at the newest state.
    ///
    /// # Errors
    /// Those of `look`; [`Error::Closed`]; NotFound, if there is no such snapshot.
    pub(super) fn look<T>(
        &self,
        snapshot: Option<u64>,
        look: impl FnOnce(&Committed) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(number) = snapshot else {
            let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
            return look(newest.as_ref().ok_or(Error::Closed)?);
        };
        let place = self.snapshots().kept.get(&number).cloned();
        let place = place.ok_or(SourceError::NotFound)?;
        let kept = place.read().unwrap_or_else(PoisonError::into_inner);
        look(kept.as_ref().ok_or(SourceError::NotFound)?)
    }

    fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        // Whoever panicked had no half-made change in hand.
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fill(place: &Place, committed: Option<Arc<Committed>>) {
    // A panic elsewhere leaves the old state or the new one: both are whole.
    *place.write().unwrap_or_else(PoisonError::into_inner) = committed;
}
