//! What values are when one operation comes after the other.

use std::collections::BTreeSet;

use todc_utils::specifications::Specification;

/// How many values a history is about.
pub const REGISTERS: usize = 6;

/// A value of the history, by its place.
pub type Register = usize;

/// Data that was written once in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written(pub u64);

/// What an operation makes of a register; `None` deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub register: Register,
    pub value: Option<Written>,
    /// The sequence number, if somebody saw it.
    pub sequence: Option<u64>,
}

/// What registers had to hold.
pub type Conditions = Vec<(Register, Option<Written>)>;

/// What takes effect at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub conditions: Conditions,
    pub effects: Vec<Effect>,
}

/// An operation, with what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read a register, and found this.
    Read(Register, Option<Written>),
    /// It took effect.
    Change(Change),
    /// It had no effect, because a condition did not hold.
    Refused(Conditions),
    /// It took effect or it did not.
    Perhaps(Change),
}

/// What all registers hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Registers {
    values: [Option<Written>; REGISTERS],
    /// The highest sequence number that is known to have been given.
    last_sequence: u64,
}

impl Registers {
    fn meet(&self, conditions: &Conditions) -> bool {
        conditions.iter().all(|(register, value)| self.values[*register] == *value)
    }

    /// What they are after a change; `None` if it cannot have happened now.
    fn changed(&self, change: &Change) -> Option<Registers> {
        if !self.meet(&change.conditions) {
            return None;
        }
        let mut changed = self.clone();
        for effect in &change.effects {
            changed.values[effect.register] = effect.value;
            if let Some(sequence) = effect.sequence {
                if sequence <= changed.last_sequence {
                    return None;
                }
                changed.last_sequence = sequence;
            }
        }
        Some(changed)
    }

    /// What they can be after an operation.
    fn after(&self, operation: &Operation) -> Vec<Registers> {
        let unchanged = |possible: bool| possible.then(|| self.clone());
        match operation {
            Operation::Read(register, found) => {
                unchanged(self.values[*register] == *found).into_iter().collect()
            }
            Operation::Refused(conditions) => {
                unchanged(!self.meet(conditions)).into_iter().collect()
            }
            Operation::Change(change) => self.changed(change).into_iter().collect(),
            Operation::Perhaps(change) => {
                self.changed(change).into_iter().chain(unchanged(true)).collect()
            }
        }
    }
}

/// Registers that all begin empty. A state is whatever the registers can hold: the checker knows no
/// operation that may or may not take effect.
pub struct Spec;

impl Specification for Spec {
    type State = BTreeSet<Registers>;
    type Operation = Operation;

    fn init() -> Self::State {
        BTreeSet::from([Registers::default()])
    }

    fn apply(operation: &Operation, state: &Self::State) -> (bool, Self::State) {
        let after: BTreeSet<_> =
            state.iter().flat_map(|registers| registers.after(operation)).collect();
        (!after.is_empty(), after)
    }
}
