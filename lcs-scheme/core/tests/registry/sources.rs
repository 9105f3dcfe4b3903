//! Sources that come late, fail, go and come back.

use std::pin::pin;

use futures_util::FutureExt;
use lcs_abi::call::{EnumSubkeys, HiveState, LayerOnly, QueryValue, SetValue, Unhide};
use lcs_abi::rsi::{Answer, ClaimedHive, Refusal, RegisteredHive, Request, SourceError};
use lcs_core::registry::{AuditEvent, ConnectionId, Error, Fault, HandleId, NotFound};

use crate::common::client::{create_key, in_layer, layer, open_key, system, user};
use crate::common::world::Source;
use crate::common::{Client, Failure};

fn is_apply(request: &Request) -> bool {
    matches!(request, Request::Apply { .. })
}

fn generation(client: &Client, hive: &str) -> (HiveState, u64) {
    let root = client.registry.open_root(None, user(1000, &[]).token).unwrap();
    let status = client.registry.status(root, "test", []).unwrap();
    client.close(root);
    assert_eq!(status.details, None, "not for ordinary users");
    let hive = status.hives.into_iter().find(|status| status.name == hive).unwrap();
    (hive.state, hive.generation)
}

#[test]
fn before_a_source_registers_there_is_no_hive() {
    let client = Client::new([]);
    assert_eq!(client.open("Test"), Err(Error::NotFound(NotFound::Hive)));
    let source = Source::new("Test");
    client.world.connect(ConnectionId(1), vec![source.clone()]);
    let claim = [ClaimedHive { name: "Test".into(), scope: None }];
    client.registry.claim(ConnectionId(1), &claim).unwrap();
    assert_eq!(client.open("Test"), Err(Error::NotFound(NotFound::Hive)));
    assert_eq!(generation(&client, "Test").0, HiveState::Starting);
    let hive = RegisteredHive { root: source.root(), max_sequence: 0 };
    client.run(client.registry.register(ConnectionId(1), &[hive], false)).unwrap();
    assert!(client.open("Test").is_ok());
    assert_eq!(generation(&client, "Test").0, HiveState::Up);
}

#[test]
fn handles_wait_out_the_absence_of_their_source() {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"there", None).unwrap();
    client.disconnect(1);
    let audit = client.world.take_audit();
    assert_eq!(audit.last(), Some(&AuditEvent::SourceDown { hive: "Test".into() }));
    assert_eq!(generation(&client, "Test").0, HiveState::Down);
    let down = || Err(Error::SourceDown);
    assert_eq!(client.query(key, "v").map(drop), down());
    assert_eq!(client.set(key, "v", 1, b"no", None).map(drop), down());
    assert_eq!(client.delete(key, None), down());
    assert_eq!(client.hide(key, None), down());
    assert_eq!(client.details(key).map(drop), down());
    assert_eq!(client.subkeys(key, false, 99).map(drop), down());
    assert_eq!(client.open("Test").map(drop), down());
    assert_eq!(client.derive(Some(key), create_key("c", None, false)).map(drop), down());
    assert_eq!(client.open("Other").map(drop), Err(Error::NotFound(NotFound::Hive)));
    client.serve(2, &[("test", &source)]).unwrap();
    assert_eq!(client.query(key, "v").unwrap().data, b"there");
    client.set(key, "v", 1, b"yes", None).unwrap();
    client.delete(key, None).unwrap();
}

#[test]
fn only_the_same_hive_resumes() {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let another = Source::new("Test");
    assert_eq!(client.serve(2, &[("TEST", &another)]), Err(Refusal::AlreadyExists));
    client.disconnect(1);
    assert_eq!(client.serve(3, &[("Test", &another)]), Err(Refusal::Stale));
    assert_eq!(client.details(key).map(drop), Err(Error::SourceDown));
    client.disconnect(3);
    client.serve(4, &[("Test", &source)]).unwrap();
    assert!(client.details(key).is_ok());
}

#[test]
fn a_key_that_did_not_come_back_is_not_found_and_its_handle_stays_a_handle() {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"", None).unwrap();
    let guid = client.details(key).unwrap().guid;
    client.delete(key, None).unwrap();
    assert!(client.query(key, "v").is_ok(), "orphaned and open");
    client.disconnect(1);
    // What a source does with orphans before it registers.
    source.ask(&Request::DropKey { key: guid }).unwrap();
    client.serve(2, &[("Test", &source)]).unwrap();
    let gone = || Err(Error::NotFound(NotFound::Key));
    assert_eq!(client.query(key, "v").map(drop), gone());
    assert_eq!(client.values(key, 99).map(drop), gone());
    assert_eq!(client.subkeys(key, false, 99).map(drop), gone());
    assert_eq!(client.set(key, "v", 1, b"", None).map(drop), gone());
    assert_eq!(client.details(key).map(drop), gone());
    client.close(key);
}

#[test]
fn sequence_numbers_go_on_above_those_of_every_source() {
    let (client, _) = Client::with_hive([]);
    let key = client.open("Test").unwrap();
    let before = client.set(key, "v", 1, b"", None).unwrap();
    let other = Source::new("Other");
    client.world.connect(ConnectionId(7), vec![other.clone()]);
    let claim = [ClaimedHive { name: "Other".into(), scope: None }];
    client.registry.claim(ConnectionId(7), &claim).unwrap();
    let hive = RegisteredHive { root: other.root(), max_sequence: 1_000_000 };
    client.run(client.registry.register(ConnectionId(7), &[hive], false)).unwrap();
    let after = client.set(key, "v", 1, b"", None).unwrap();
    assert!(before < 1_000_000 && after > 1_000_000, "{before}, {after}");
}

#[test]
fn when_there_are_no_sequence_numbers_left_nothing_is_written() {
    let (client, _) = Client::with_hive([]);
    let machine = Source::new("Machine");
    assert_eq!(bring(&client, "Machine", &machine, (1 << 63) - 1, false), Ok(()));
    client.world.take_requests();
    let root = client.open("Test").unwrap();
    assert_eq!(client.set(root, "v", 1, b"", None), Err(Error::SequencesExhausted));
    assert_eq!(client.create("Test\\k"), Err(Error::SequencesExhausted));
    assert!(!client.world.take_requests().iter().any(is_apply));
}

/// A source registers its one hive, as one that has come to this sequence number.
fn bring(
    client: &Client,
    name: &str,
    source: &Source,
    max_sequence: u64,
    assigns: bool,
) -> Result<(), Refusal> {
    let connection = ConnectionId(7);
    client.registry.disconnected(connection);
    client.world.connect(connection, vec![source.clone()]);
    client.registry.claim(connection, &[ClaimedHive { name: name.into(), scope: None }])?;
    let hive = RegisteredHive { root: source.root(), max_sequence };
    client.run(client.registry.register(connection, &[hive], assigns))
}

#[test]
fn a_source_that_lies_about_its_sequence_numbers_does_not_use_up_those_of_others() {
    const HALF: u64 = 1 << 62;
    let (client, _) = Client::with_hive([]);
    let (liar, machine) = (Source::new("Liar"), Source::new("Machine"));
    for impossible in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, HALF + 1] {
        assert_eq!(bring(&client, "Liar", &liar, impossible, false), Err(Refusal::Invalid));
    }
    assert_eq!(bring(&client, "Machine", &machine, 1 << 63, false), Err(Refusal::Invalid));
    assert_eq!(bring(&client, "Liar", &liar, HALF, false), Ok(()));
    let root = client.open("Test").unwrap();
    let sequence = client.set(root, "v", 1, b"", None).unwrap();
    assert_eq!(sequence, HALF + 1);
    // Those who wrote after it come back all the same.
    assert_eq!(bring(&client, "Liar", &liar, sequence + 1000, false), Ok(()));
    assert_eq!(bring(&client, "Liar", &liar, sequence + (1 << 40), false), Err(Refusal::Invalid));
    let (other, _) = Client::with_hive([]);
    assert_eq!(bring(&other, "Machine", &machine, sequence + (1 << 40), false), Ok(()));
}

#[test]
fn a_source_that_gives_out_sequence_numbers_gives_none_that_would_use_them_up() {
    let (client, _) = Client::with_hive([]);
    bring(&client, "Giver", &Source::new("Giver"), 0, true).unwrap();
    let key = client.open("Giver").unwrap();
    for (first_sequence, possible) in [(1000, true), (1 << 62, false), (u64::MAX, false)] {
        client.world.lie(move |request, truth| {
            if is_apply(request) {
                Ok(Answer::Applied { first_sequence: Some(first_sequence) })
            } else {
                truth
            }
        });
        let written = client.set(key, "v", 1, b"", None);
        assert_eq!(written.is_ok(), possible, "{first_sequence}: {written:?}");
    }
    client.world.lie_no_more();
    let root = client.open("Test").unwrap();
    assert!(client.set(root, "v", 1, b"", None).unwrap() < 2000);
}

/// Every kind of change to `Test\k`, which must have a HIDDEN entry of `r1` over `Test\k\hidden`.
fn all_changes(client: &Client, key: HandleId) -> Vec<(&'static str, Result<(), Error>)> {
    let registry = &client.registry;
    let value = || lcs_abi::call::DeleteValue { name: "v".into(), layer: None };
    let tombstone = || lcs_abi::call::SetTombstone { name: "v".into(), layer: None };
    let unhide = || Unhide { child: "hidden".into(), layer: Some("r1".into()) };
    vec![
        ("set", client.set(key, "v", 1, b"new", None).map(drop)),
        ("set in a layer", client.set(key, "v", 1, b"new", Some("r1")).map(drop)),
        ("tombstone", client.run(registry.set_tombstone(key, tombstone()))),
        ("delete value", client.run(registry.delete_value(key, value()))),
        ("blanket", client.run(registry.set_blanket(key, in_layer(None)))),
        ("clear", client.run(registry.clear_blanket(key, LayerOnly::default()))),
        ("create", client.derive(Some(key), create_key("c", None, false)).map(drop)),
        ("hide", client.hide(key, Some("r1"))),
        ("unhide", client.run(registry.unhide(key, unhide()))),
        ("delete", client.delete(key, None)),
    ]
}

fn changeable() -> (Client, HandleId) {
    let (client, _) = Client::with_hive([layer("r1", 0, true)]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"old", None).unwrap();
    let hidden = client.create("Test\\k\\hidden").unwrap();
    client.hide(hidden, Some("r1")).unwrap();
    (client, key)
}

#[test]
fn a_change_that_the_source_refuses_did_not_happen() {
    let faults = [
        (Fault::Refused(SourceError::StorageError), Error::Source(SourceError::StorageError)),
        (Fault::Refused(SourceError::TooLarge), Error::Source(SourceError::TooLarge)),
        (Fault::Refused(SourceError::Busy), Error::Source(SourceError::Busy)),
        (Fault::Down, Error::SourceDown),
    ];
    for (fault, expected) in faults {
        let (client, key) = changeable();
        let before = (generation(&client, "Test"), client.details(key).unwrap());
        let failure = Failure { fault, takes_effect: false };
        client.world.fail_when(move |request| is_apply(request).then_some(failure));
        for (change, done) in all_changes(&client, key) {
            assert_eq!(done, Err(expected.clone()), "{change}");
        }
        client.world.fail_no_more();
        assert_eq!((generation(&client, "Test"), client.details(key).unwrap()), before);
        assert_eq!(client.query(key, "v").unwrap().data, b"old");
        for (change, done) in all_changes(&client, key) {
            // With `c` created the key has a child.
            let expected = if change == "delete" { Err(Error::NotEmpty) } else { Ok(()) };
            assert_eq!(done, expected, "{change}");
        }
    }
}

#[test]
fn a_step_whose_answer_is_lost_may_have_happened() {
    let (client, _) = Client::with_hive([]);
    let failure = Failure { fault: Fault::Down, takes_effect: true };
    client.world.fail_when(move |request| is_apply(request).then_some(failure));
    let root = client.open("Test").unwrap();
    assert_eq!(client.set(root, "v", 1, b"late", None), Err(Error::SourceDown));
    assert_eq!(client.create("Test\\k"), Err(Error::SourceDown));
    client.world.fail_no_more();
    assert_eq!(client.query(root, "v").unwrap().data, b"late");
    let found = client.create("Test\\k").unwrap();
    assert!(!client.info(found).unwrap().created);
}

#[test]
fn a_create_whose_name_was_taken_by_a_late_step_opens_what_is_there() {
    let (client, _) = Client::with_hive([]);
    // The first step is told to have failed its condition, as if another had come between.
    let mut first = Some(Failure {
        fault: Fault::Refused(SourceError::ConditionFailed(1)),
        takes_effect: true,
    });
    client.world.fail_when(move |request| if is_apply(request) { first.take() } else { None });
    let found = client.create("Test\\k").unwrap();
    assert!(!client.info(found).unwrap().created);
}

#[test]
fn an_orphan_that_cannot_be_dropped_does_not_fail_the_close() {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let guid = client.details(key).unwrap().guid;
    client.delete(key, None).unwrap();
    client.world.fail_when(|request| {
        let drop = matches!(request, Request::DropKey { .. });
        drop.then_some(Failure::refused(SourceError::StorageError))
    });
    client.close(key);
    assert!(source.ask(&Request::ReadKey { key: guid }).is_ok(), "left to the source's purge");
    assert_eq!(client.open("Test\\k"), Err(Error::NotFound(NotFound::Key)));
    client.create("Test\\k").unwrap();
}

#[test]
fn a_close_asks_a_source_only_to_drop_the_orphan_that_nobody_has_open() {
    let (client, _) = Client::with_hive([]);
    let keys = [client.create("Test\\k").unwrap(), client.open("Test\\k").unwrap()];
    let other = client.open("Test\\k").unwrap();
    let key = client.details(other).unwrap().guid;
    client.world.take_requests();
    client.close(other);
    assert_eq!(client.world.take_requests(), []);
    client.delete(keys[0], None).unwrap();
    client.world.take_requests();
    client.close(keys[0]);
    assert_eq!(client.world.take_requests(), []);
    client.close(keys[1]);
    assert_eq!(client.world.take_requests(), [Request::DropKey { key }]);
    let named = client.create("Test\\k").unwrap();
    client.world.take_requests();
    client.close(named);
    assert_eq!(client.world.take_requests(), []);
}

#[test]
fn an_operation_under_way_ends_when_its_source_dies() {
    let (client, _) = Client::with_hive([]);
    let key = client.open("Test").unwrap();
    client.world.set_delays(vec![50]);
    let mut reading = pin!(client.registry.enum_subkeys(key, EnumSubkeys::default(), 99));
    let request = SetValue {
        name: "v".into(),
        value_type: 1,
        data: Vec::new(),
        layer: None,
        expected_sequence: None,
    };
    let mut writing = pin!(client.registry.set_value(key, request));
    assert!(reading.as_mut().now_or_never().is_none());
    assert!(writing.as_mut().now_or_never().is_none());
    client.disconnect(1);
    assert_eq!(client.run(reading), Err(Error::SourceDown));
    assert_eq!(client.run(writing), Err(Error::SourceDown));
}

#[test]
fn a_slow_source_delays_nobody_else_and_a_slow_change_no_reader() {
    let (client, _) = Client::with_hive([layer("r1", 0, true)]);
    client.serve(2, &[("Other", &Source::new("Other"))]).unwrap();
    let (slow, other) = (client.create("Test\\k").unwrap(), client.open("Other").unwrap());
    client.world.set_delays(vec![200]);
    let mut deleting = pin!(client.registry.delete_key(slow, in_layer(None)));
    let derive = create_key("Test\\new", Some("r1"), false);
    let system = system();
    let mut creating = pin!(client.registry.derive(None, &system, derive));
    assert!(deleting.as_mut().now_or_never().is_none());
    assert!(creating.as_mut().now_or_never().is_none());
    client.world.set_delays(Vec::new());
    // Each of these is answered at its first poll: it waits for nobody.
    let query = QueryValue { name: "v".into() };
    let found = client.registry.query_value(other, query.clone()).now_or_never();
    assert_eq!(found, Some(Err(Error::NotFound(NotFound::Value))));
    let made = client.registry.derive(Some(other), &system, create_key("k", None, false));
    assert!(matches!(made.now_or_never(), Some(Ok(_))));
    let found = client.registry.query_value(slow, query).now_or_never();
    assert_eq!(found, Some(Err(Error::NotFound(NotFound::Value))));
    let listed = client.registry.enum_subkeys(slow, EnumSubkeys::default(), 99).now_or_never();
    assert!(matches!(listed, Some(Ok(_))));
    let made = client.registry.derive(None, &system, create_key("Test\\k2", None, false));
    assert!(matches!(made.now_or_never(), Some(Ok(_))), "a sibling of what is being deleted");
    client.run(deleting).unwrap();
    client.run(creating).unwrap();
}

#[test]
fn each_hive_counts_its_own_committed_changes() {
    let (client, _) = Client::with_hive([layer("r1", 0, true)]);
    client.serve(2, &[("Other", &Source::new("Other"))]).unwrap();
    let other = generation(&client, "Other");
    let root = client.open("Test").unwrap();
    let (_, first) = generation(&client, "Test");
    client.set(root, "v", 1, b"", None).unwrap();
    client.create("Test\\k").unwrap();
    client.create("Test\\k").unwrap();
    assert!(client.set(root, "v", 99, b"", None).is_err());
    assert_eq!(generation(&client, "Test").1, first + 2);
    assert!(client.registry.has_hive(ConnectionId(1), 0));
    client.run(client.registry.invalidated(ConnectionId(1), 0, None));
    assert_eq!(generation(&client, "Test").1, first + 3);
    assert!(!client.registry.has_hive(ConnectionId(1), 1), "no such hive");
    assert!(!client.registry.has_hive(ConnectionId(9), 0), "no such connection");
    assert_eq!(generation(&client, "Other"), other);
}

#[test]
fn a_source_that_gives_its_hives_up_frees_their_names() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.registry.unregister(ConnectionId(1));
    let audit = client.world.take_audit();
    assert_eq!(audit.last(), Some(&AuditEvent::SourceDown { hive: "Test".into() }));
    assert_eq!(client.open("Test"), Err(Error::NotFound(NotFound::Hive)));
    client.serve(2, &[("Test", &Source::new("Test"))]).unwrap();
    assert_eq!(client.details(key).map(drop), Err(Error::SourceDown), "it is another hive");
    assert_eq!(client.open("Test\\k"), Err(Error::NotFound(NotFound::Key)));
    client.close(key);
}

#[test]
fn a_clock_that_goes_backwards_only_shows_in_last_write() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let mut last = 0;
    for now in [5_000, 4_000, -1, i64::MIN, i64::MAX] {
        client.world.set_now(now);
        let sequence = client.set(key, "v", 1, b"", None).unwrap();
        assert!(sequence > last);
        assert_eq!(client.details(key).unwrap().last_write, now);
        assert_eq!(client.query(key, "v").unwrap().sequence, sequence);
        let transaction = client.begin();
        let inside = client.derive(Some(transaction), open_key("Test\\k")).unwrap();
        client.world.set_now(now.saturating_sub(10));
        client.set(inside, "t", 1, b"", None).unwrap();
        // It is measured by another clock whether it took too long.
        client.commit(transaction).unwrap();
        last = client.query(key, "t").unwrap().sequence;
        assert!(last > sequence);
    }
}
