//! The judge of histories can say no.

use super::history::{Event, History, Verdict};
use super::spec::{Change, Conditions, Effect, Operation, Register, Written};

/// A history of these operations, each of a client of its own: from when, until when, what.
fn history(events: &[(u64, u64, Operation)]) -> History {
    let events = events.iter().enumerate().map(|(client, (called, returned, operation))| Event {
        client,
        called: *called,
        returned: Some(*returned),
        operation: operation.clone(),
    });
    History { events: events.collect(), sequences: Vec::new() }
}

fn change(conditions: Conditions, effects: &[(Register, u64)]) -> Change {
    let effects = effects.iter().map(|(register, value)| Effect {
        register: *register,
        value: (*value != 0).then_some(Written(*value)),
        sequence: None,
    });
    Change { conditions, effects: effects.collect() }
}

fn write(register: Register, value: u64) -> Operation {
    Operation::Change(change(Vec::new(), &[(register, value)]))
}

fn read(register: Register, value: u64) -> Operation {
    Operation::Read(register, (value != 0).then_some(Written(value)))
}

#[test]
fn operations_at_the_same_time_may_have_come_in_either_order() {
    let history = history(&[
        (0, 9, write(0, 1)),
        (1, 8, write(0, 2)),
        (2, 3, read(0, 2)),
        (4, 5, read(0, 1)),
        (10, 11, read(0, 1)),
    ]);
    assert_eq!(history.judge(), Verdict::Linearizable);
}

#[test]
fn a_stale_read_is_found() {
    let history = history(&[(0, 1, write(0, 1)), (2, 3, write(0, 2)), (4, 5, read(0, 1))]);
    assert_eq!(history.judge(), Verdict::NotLinearizable);
}

#[test]
fn a_value_that_goes_back_is_found() {
    let history = history(&[(0, 9, write(0, 1)), (1, 2, read(0, 1)), (3, 4, read(0, 0))]);
    assert_eq!(history.judge(), Verdict::NotLinearizable);
}

#[test]
fn a_lost_update_is_found() {
    let based_on_1 = |value| Operation::Change(change(vec![(0, Some(Written(1)))], &[(0, value)]));
    let history = history(&[(0, 1, write(0, 1)), (2, 5, based_on_1(2)), (3, 4, based_on_1(3))]);
    assert_eq!(history.judge(), Verdict::NotLinearizable);
}

#[test]
fn a_torn_transaction_is_found() {
    let both = Operation::Change(change(Vec::new(), &[(0, 1), (1, 2)]));
    let history = history(&[(0, 9, both), (1, 2, read(0, 1)), (3, 4, read(1, 0))]);
    assert_eq!(history.judge(), Verdict::NotLinearizable);
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    let refused = || Operation::Refused(vec![(0, Some(Written(1)))]);
    let with_reason = history(&[(0, 1, write(0, 1)), (2, 5, write(0, 2)), (3, 4, refused())]);
    assert_eq!(with_reason.judge(), Verdict::Linearizable);
    let without = history(&[(0, 1, write(0, 1)), (2, 3, refused())]);
    assert_eq!(without.judge(), Verdict::NotLinearizable);
}

#[test]
fn what_may_or_may_not_have_happened_happens_whole_and_once() {
    let perhaps = || Operation::Perhaps(change(Vec::new(), &[(0, 1), (1, 2)]));
    let never = history(&[(0, 1, perhaps()), (2, 3, read(0, 0)), (4, 5, read(1, 0))]);
    assert_eq!(never.judge(), Verdict::Linearizable);
    let torn = history(&[(0, 1, perhaps()), (2, 3, read(0, 1)), (4, 5, read(1, 0))]);
    assert_eq!(torn.judge(), Verdict::NotLinearizable);
    let again =
        history(&[(0, 9, perhaps()), (1, 2, read(0, 1)), (3, 4, write(0, 3)), (5, 6, read(0, 1))]);
    assert_eq!(again.judge(), Verdict::NotLinearizable);
}

#[test]
fn what_has_no_end_may_happen_at_any_later_time() {
    let perhaps = Operation::Perhaps(change(Vec::new(), &[(0, 1)]));
    let mut history = history(&[(0, 1, perhaps), (2, 3, read(0, 0)), (4, 5, read(0, 1))]);
    assert_eq!(history.judge(), Verdict::NotLinearizable);
    history.events[0].returned = None;
    assert_eq!(history.judge(), Verdict::Linearizable);
}

#[test]
fn sequence_numbers_against_the_order_are_found() {
    let mut history = history(&[(0, 1, write(0, 1)), (2, 3, write(1, 2))]);
    history.sequences = vec![(Written(1), 7), (Written(2), 8)];
    assert_eq!(history.judge(), Verdict::Linearizable);
    history.sequences = vec![(Written(1), 8), (Written(2), 7)];
    assert_eq!(history.judge(), Verdict::OutOfSequence);
    history.sequences = vec![(Written(1), 7), (Written(1), 8)];
    assert_eq!(history.judge(), Verdict::Ambiguous(Written(1), 8));
    history.sequences = vec![(Written(1), 7), (Written(2), 7)];
    assert_eq!(history.judge(), Verdict::Ambiguous(Written(2), 7));
}
