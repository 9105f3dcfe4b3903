//! What may be kept just now: nothing that a step on its way may change, and no answer that may be from before
//! such a step.
//!
//! A source answers a read from some moment between question and answer. So an answer is kept only if, of all
//! that it says something of, no step was on its way in between.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::Hash;

use hashbrown::{HashMap, HashSet};

use super::super::backend::ConnectionId;
use super::super::hives::SlotId;
use super::parts::{Object, Scope, Touched};

/// The most ends of steps that are remembered one by one.
const MOST_ENDS: usize = 4096;

/// A moment in the order of what was asked and what came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Moment(u64);

/// A step's place in the order in which steps were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

/// A step that was sent.
pub(super) struct Sent {
    connection: ConnectionId,
    pub(super) slot: SlotId,
    number: Number,
    pub(super) at: Moment,
    pub(super) touched: Touched,
}

/// The order of reads and steps.
#[derive(Default)]
pub(super) struct Order {
    now: Moment,
    /// How many steps are on their way that may change it.
    on_their_way: HashMap<Scope<Box<str>>, usize>,
    /// How many steps are on their way in a hive.
    in_hives: HashMap<SlotId, usize>,
    /// When the last step ended that may have changed it, as far as that was after `forgotten`.
    ended: HashMap<Scope<Box<str>>, Moment>,
    /// What ended up to here is not remembered: it can have been anything.
    forgotten: Moment,
    last: Number,
    connections: HashSet<ConnectionId>,
    /// Steps of which nobody will learn what became of them. They are on their way until a later one took
    /// effect, because steps do in the order in which they are sent, or until the source is gone.
    lost: BTreeMap<(SlotId, Number), Touched>,
}

impl Order {
    /// The moment in which whatever is asked now is asked.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Whether an answer to what was asked then is true now, and will be until a step is sent.
    pub(super) fn holds(&self, asked: Moment, object: Object<&str>) -> bool {
        if asked < self.forgotten {
            return false;
        }
        let ended = |scope: &Scope<&str>| self.ended.get(scope).is_some_and(|end| *end > asked);
        self.is_still(object) && !with_above(object).any(|scope| ended(&scope))
    }

    /// Whether no step is on its way that may change this.
    pub(super) fn is_still(&self, object: Object<&str>) -> bool {
        !with_above(object).any(|scope| self.on_their_way.contains_key(&scope))
    }

    /// Whether no step is on its way in a hive.
    pub(super) fn is_hive_still(&self, slot: SlotId) -> bool {
        !self.in_hives.contains_key(&slot)
    }

    /// A step is sent.
    pub(super) fn sent(
        &mut self,
        connection: ConnectionId,
        slot: SlotId,
        touched: Touched,
    ) -> Sent {
        for scope in &touched.0 {
            *self.on_their_way.entry(scope.clone()).or_default() += 1;
        }
        *self.in_hives.entry(slot).or_default() += 1;
        self.last.0 += 1;
        Sent { connection, slot, number: self.last, at: self.now, touched }
    }

    /// Whether the step that was sent then, which touched this, is the only one that has done so since.
    pub(super) fn is_alone(&self, sent: Moment, object: Object<&str>) -> bool {
        let count = |scope: &Scope<&str>| self.on_their_way.get(scope).copied().unwrap_or_default();
        let ended = |scope: &Scope<&str>| self.ended.get(scope).is_some_and(|end| *end > sent);
        let above = object.above();
        let one = Scope::One(object);
        sent >= self.forgotten
            && count(&one) == 1
            && !ended(&one)
            && above.iter().all(|scope| count(scope) == 0 && !ended(scope))
    }

    /// A step has come to its end: it took effect, or never will.
    pub(super) fn ended(&mut self, slot: SlotId, touched: Touched) {
        for scope in &touched.0 {
            one_less(&mut self.on_their_way, scope);
        }
        one_less(&mut self.in_hives, &slot);
        self.changed(touched);
    }

    /// Something changed, by whatever means.
    pub(super) fn changed(&mut self, touched: Touched) {
        self.now.0 += 1;
        if self.ended.len() + touched.0.len() > MOST_ENDS {
            self.forgotten = self.now;
            self.ended.clear();
            return;
        }
        self.ended.extend(touched.0.into_iter().map(|scope| (scope, self.now)));
    }

    /// What became of a step is not known.
    pub(super) fn lost(&mut self, sent: Sent) {
        if self.connections.contains(&sent.connection) {
            self.lost.insert((sent.slot, sent.number), sent.touched);
        } else {
            self.ended(sent.slot, sent.touched);
        }
    }

    /// A step took effect, and so has every earlier one that ever will.
    pub(super) fn took_effect(&mut self, sent: Sent) {
        self.end_lost(sent.slot, sent.number);
        self.ended(sent.slot, sent.touched);
    }

    /// A source is there, with these hives.
    pub(super) fn connected(&mut self, connection: ConnectionId, slots: &[SlotId]) {
        self.connections.insert(connection);
        slots.iter().for_each(|slot| self.changed(Touched::hive(*slot)));
    }

    /// A source is gone.
    pub(super) fn disconnected(&mut self, connection: ConnectionId, slots: &[SlotId]) {
        self.connections.remove(&connection);
        for slot in slots {
            self.end_lost(*slot, Number(u64::MAX));
            self.changed(Touched::hive(*slot));
        }
    }

    fn end_lost(&mut self, slot: SlotId, before: Number) {
        let ended: Vec<(SlotId, Number)> =
            self.lost.range((slot, Number(0))..(slot, before)).map(|(at, _)| *at).collect();
        for at in ended {
            if let Some(touched) = self.lost.remove(&at) {
                self.ended(slot, touched);
            }
        }
    }
}

/// An object, and what has it in it.
fn with_above(object: Object<&str>) -> impl Iterator<Item = Scope<&str>> {
    object.above().into_iter().chain([Scope::One(object)])
}

/// One less of these; those of which there is none are not listed.
fn one_less<T: Eq + Hash>(counts: &mut HashMap<T, usize>, of: &T) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}
