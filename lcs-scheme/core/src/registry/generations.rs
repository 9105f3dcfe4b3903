//! The generation page (DESIGN §15): what lets clients give an answer again without asking.
//!
//! A word is stepped when something is *sent* that may change what some view reads, and not when it has happened:
//! an answer that was made between the two can be the old one or the new one. So nothing that a step on its way may
//! change is answered with a guard, and a guard has the word's content from before the answer was made.

use core::sync::atomic::Ordering;

use lcs_abi::call::{Guard, Guarded};

use super::Registry;
use super::backend::Backend;
use super::cache::Object;
use super::hives::SlotId;
use super::reading::Site;

/// The word for everything. It is also that of private hives, and of those that found none of their own.
pub(super) const EVERYTHING: u32 = 0;

/// What an answer is made of.
pub(super) enum Made<'n> {
    /// One object.
    Of(Object<&'n str>),
    /// Whatever the hive has.
    OfHive,
}

impl<B: Backend> Registry<B> {
    /// A guard for an answer that is to be made now; nothing if it may be another one in a moment.
    pub(super) fn guard(&self, site: Site, made: &Made<'_>) -> Option<Guard> {
        if site.transaction.is_some() || site.snapshot.is_some() {
            return None;
        }
        let is_still = match made {
            Made::Of(object) => self.cache.is_still(*object),
            Made::OfHive => self.cache.is_hive_still(site.slot),
        };
        let slot = self.with(|state| state.hives.get(site.slot).map(|slot| slot.word))?;
        let word = self.backend.generation_words().get(slot as usize).filter(|_| is_still)?;
        Some(Guard { slot, generation: word.load(Ordering::SeqCst) })
    }

    /// Something may change what is read in a hive.
    pub(super) fn step_generation(&self, slot: SlotId) {
        let word = self.with(|state| state.hives.get(slot).map_or(EVERYTHING, |slot| slot.word));
        let words = self.backend.generation_words();
        for word in [EVERYTHING, word].into_iter().take(1 + usize::from(word != EVERYTHING)) {
            if let Some(word) = words.get(word as usize) {
                word.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Something may change what is read in any hive.
    pub(super) fn step_generations(&self) {
        for word in self.backend.generation_words() {
            word.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// An answer that is good for this once.
pub(super) fn unguarded<A>(answer: A) -> Guarded<A> {
    Guarded { answer, guard: None }
}
