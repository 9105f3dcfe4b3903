//! States that are kept to be read from.

use super::damage::on_failing_disk;
use super::*;

impl Fixture {
    fn snapshot(&mut self) -> u64 {
        match self.hive.answer(&Request::Snapshot) {
            Ok(Answer::Snapshot { snapshot }) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    /// The data of a value, as a snapshot has it.
    fn data_in(&mut self, snapshot: u64, key: Guid, name: &str) -> Option<Vec<u8>> {
        let request = Request::QueryValue { key, name: name.to_owned(), after_layer: None };
        match self.hive.answer_in(Some(snapshot), &request) {
            Ok(Answer::Values { entries, .. }) => entries.into_iter().next().map(|it| it.data),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_snapshot_stays_as_it_was_on_disk_and_in_memory() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let volatile = fixture.make_volatile_key(1, root, "V");
        let lasting = fixture.make_key(2, root, "L");
        for key in [volatile, lasting] {
            fixture.step(vec![set_value(key, "v", "base", b"1")]).unwrap();
        }
        let first = fixture.snapshot();
        for key in [volatile, lasting] {
            fixture.step(vec![set_value(key, "v", "base", b"2")]).unwrap();
        }
        let second = fixture.snapshot();
        fixture.step(vec![Mutation::RemoveSubtree { key: root }]).unwrap();
        assert!(!fixture.exists(volatile) && !fixture.exists(lasting));
        for key in [volatile, lasting] {
            assert_eq!(fixture.data_in(first, key, "v").unwrap(), b"1");
            assert_eq!(fixture.data_in(second, key, "v").unwrap(), b"2");
        }
        let children = Request::EnumChildren { parent: root, after: None, bytes: 1000 };
        let Ok(Answer::Entries { entries, keys, .. }) =
            fixture.hive.answer_in(Some(first), &children)
        else {
            panic!()
        };
        assert_eq!((entries.len(), keys.len()), (2, 2));
    });
}

#[test]
fn a_snapshot_that_was_released_or_never_made_is_not_found() {
    on_each_engine(|mut fixture| {
        let read = Request::ReadKey { key: fixture.root() };
        let (first, second) = (fixture.snapshot(), fixture.snapshot());
        let release = |snapshot| Request::Release { snapshot };
        assert_eq!(fixture.hive.answer(&release(first)), Ok(Answer::Done));
        let gone = Err(SourceError::NotFound);
        assert_eq!(fixture.hive.answer(&release(first)), gone);
        assert_eq!(fixture.hive.answer_in(Some(first), &read), gone);
        assert_eq!(fixture.hive.answer_in(Some(second + 1), &read), gone);
        assert!(fixture.hive.answer_in(Some(second), &read).is_ok());
        assert_ne!(fixture.snapshot(), first, "a number is used once");
    });
}

#[test]
fn nothing_is_changed_in_a_snapshot() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let snapshot = Some(fixture.snapshot());
        let set = apply(1, vec![], vec![set_value(root, "v", "base", b"1")]);
        let stage = Request::Stage { stage: 1, mutations: vec![] };
        let outcome = Request::Outcome { first_sequence: 1 };
        for request in [set, stage, outcome, Request::Snapshot, Request::Flush] {
            let answer = fixture.hive.answer_in(snapshot, &request);
            assert_eq!(answer, Err(SourceError::Invalid), "{request:?}");
        }
        assert!(fixture.values(root).is_empty());
    });
}

#[test]
fn snapshots_end_when_the_store_is_opened_again() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    let read = Request::ReadKey { key: root };
    let snapshot = fixture.snapshot();
    assert!(fixture.hive.answer_in(Some(snapshot), &read).is_ok());
    disk.fill(true);
    fixture.step(vec![set_value(root, "v", "base", &[0; 10_000])]).unwrap_err();
    disk.fill(false);
    fixture.step(vec![set_value(root, "v", "base", &[0; 10_000])]).unwrap();
    assert_eq!(fixture.hive.answer_in(Some(snapshot), &read), Err(SourceError::NotFound));
    let next = fixture.snapshot();
    assert_ne!(next, snapshot);
    assert!(fixture.hive.answer_in(Some(next), &read).is_ok());
}
