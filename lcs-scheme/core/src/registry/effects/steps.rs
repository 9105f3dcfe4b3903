//! Steps under way, and what those hold that somebody watches.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use async_lock::{RwLock, RwLockReadGuardArc};

use super::super::Registry;
use super::super::backend::Backend;
use super::super::hives::SlotId;
use super::super::locks::Guard;
use super::plan::Plan;

/// The steps of a hive that are under way, by generations. A new one begins when a watch is armed.
#[derive(Debug, Default)]
pub(in super::super) struct Steps {
    newest: Arc<RwLock<()>>,
    /// Generations before the newest, as long as steps of theirs are under way.
    earlier: Vec<Weak<RwLock<()>>>,
}

/// A step of the newest generation.
pub(in super::super) type UnderWay = Option<RwLockReadGuardArc<()>>;

impl Steps {
    /// One more step. Nobody ever takes the newest generation's lock exclusively, so this does not fail.
    fn begin(&self) -> UnderWay {
        self.newest.try_read_arc()
    }

    /// The generations before the newest.
    fn earlier(&mut self) -> Vec<Arc<RwLock<()>>> {
        self.earlier.retain(|generation| generation.strong_count() > 0);
        self.earlier.iter().filter_map(Weak::upgrade).collect()
    }

    /// A new generation begins.
    fn turn(&mut self) {
        self.earlier.push(Arc::downgrade(&self.newest));
        self.newest = Arc::default();
    }
}

/// What a step holds from when it is known who watches until these are told.
#[derive(Default)]
pub(in super::super) struct Watched<'a> {
    pub(in super::super) _under_way: UnderWay,
    pub(in super::super) _locks: Vec<Guard<'a>>,
    /// What is to be told; nothing if nobody watches.
    pub(in super::super) plan: Option<Plan>,
}

impl<B: Backend> Registry<B> {
    /// One more step of a hive is under way. Gives the generations before its own, too.
    pub(in super::super) fn begin_step(&self, slot: SlotId) -> (UnderWay, Vec<Arc<RwLock<()>>>) {
        self.with(|state| match state.hives.get_mut(slot) {
            Some(slot) => (slot.steps.begin(), slot.steps.earlier()),
            None => (None, Vec::new()),
        })
    }

    /// One more step of a hive is under way, between all that were before, for which this waits, and those that
    /// follow and touch what somebody watches, which wait for it.
    pub(in super::super) async fn step_alone(&self, slot: SlotId) -> UnderWay {
        let begun = self.with(|state| {
            let steps = &mut state.hives.get_mut(slot)?.steps;
            steps.turn();
            let (begun, earlier) = (steps.begin(), steps.earlier());
            steps.turn();
            Some((begun, earlier))
        });
        let (begun, earlier) = begun.unwrap_or_default();
        self.wait_for(earlier).await;
        begun
    }

    /// Waits until these generations are at their end.
    pub(in super::super) async fn wait_for(&self, generations: Vec<Arc<RwLock<()>>>) {
        for generation in generations {
            generation.write().await;
        }
    }

    /// Waits until the steps that are under way have come to their end.
    pub(in super::super) async fn earlier_steps(&self, slot: SlotId) {
        let earlier = self.with(|state| {
            let slot = state.hives.get_mut(slot);
            slot.map(|slot| {
                slot.steps.turn();
                slot.steps.earlier()
            })
        });
        self.wait_for(earlier.unwrap_or_default()).await;
    }
}
