//! What clients did, and when, and whether that can have been one operation after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as Actions};

use super::spec::{Change, Effect, Operation, Spec, Written};

/// A moment, in nanoseconds of the monotonic clock, which all processes share.
pub type Moment = u64;

/// An operation of a client.
#[derive(Clone, Debug)]
pub struct Event {
    pub client: usize,
    pub called: Moment,
    /// When it had its effect at the latest; `None` if that is not known.
    pub returned: Option<Moment>,
    pub operation: Operation,
}

/// What is written down while clients are at work.
#[derive(Debug, Default)]
pub struct Recorder {
    history: Mutex<History>,
}

impl Recorder {
    /// Notes an operation.
    pub fn record(&self, event: Event) {
        self.history.lock().expect("no client panicked").events.push(event);
    }

    /// Notes the sequence number of a committed value.
    pub fn saw(&self, value: Written, sequence: u64) {
        self.history.lock().expect("no client panicked").sequences.push((value, sequence));
    }

    /// What was written down.
    pub fn finish(self) -> History {
        self.history.into_inner().expect("no client panicked")
    }
}

/// A recorded history.
#[derive(Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
    pub sequences: Vec<(Written, u64)>,
}

/// What is to be said of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is one operation after the other, in the order of sequence numbers.
    Linearizable,
    /// It is one operation after the other, but not in the order of sequence numbers.
    OutOfSequence,
    /// One sequence number is of two writes, or one write has two.
    Ambiguous(Written, u64),
    /// It is not one operation after the other.
    NotLinearizable,
}

impl History {
    /// Finds out.
    pub fn judge(&self) -> Verdict {
        let mut sequences = BTreeMap::new();
        let mut values = BTreeMap::new();
        for (value, sequence) in self.sequences.iter().copied() {
            let same = *sequences.entry(value).or_insert(sequence) == sequence;
            if !same || *values.entry(sequence).or_insert(value) != value {
                return Verdict::Ambiguous(value, sequence);
            }
        }
        if self.is_linearizable(&sequences) {
            Verdict::Linearizable
        } else if self.is_linearizable(&BTreeMap::new()) {
            Verdict::OutOfSequence
        } else {
            Verdict::NotLinearizable
        }
    }

    fn is_linearizable(&self, sequences: &BTreeMap<Written, u64>) -> bool {
        let mut actions = Vec::new();
        // For the checker each operation is a process of its own: others follow while it may still happen.
        for (process, event) in self.events.iter().enumerate() {
            let operation = with_sequences(event.operation.clone(), sequences);
            let returned = event.returned.unwrap_or(Moment::MAX);
            actions.push((event.called, process, Action::Call(operation.clone())));
            actions.push((returned, process, Action::Response(operation)));
        }
        // What is called in the moment in which something else returns may have come before it.
        actions.sort_by_key(|(moment, _, action)| (*moment, matches!(action, Action::Response(_))));
        let actions = actions.into_iter().map(|(_, process, action)| (process, action)).collect();
        self.events.is_empty()
            || WGLChecker::<Spec>::is_linearizable(Actions::from_actions(actions))
    }
}

/// An operation with the sequence numbers that others saw.
fn with_sequences(mut operation: Operation, sequences: &BTreeMap<Written, u64>) -> Operation {
    if let Operation::Change(Change { effects, .. }) | Operation::Perhaps(Change { effects, .. }) =
        &mut operation
    {
        for Effect { value, sequence, .. } in effects {
            *sequence = value.and_then(|value| sequences.get(&value).copied());
        }
    }
    operation
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| event.called);
        for Event { client, called, returned, operation } in events {
            let returned = returned.map_or("never".to_owned(), |moment| moment.to_string());
            writeln!(f, "client {client} from {called} to {returned}: {operation:x?}")?;
        }
        writeln!(f, "sequence numbers: {:x?}", self.sequences)
    }
}
