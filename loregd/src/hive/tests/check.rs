//! What a check finds in rows that loregd did not leave so.

use super::super::check::{Counts, Problem, check};
use super::super::rows::{self, EntryRow, KeyRow, Kind, LedgerRow};
use super::*;
use crate::store::RowsMut;

/// A key, a key under it with a value and a blanket, and two orphans, of which one is under the other.
fn filled(mut fixture: Fixture) -> Fixture {
    let root = fixture.root();
    let a = fixture.make_key(1, root, "A");
    let b = fixture.make_key(2, a, "B");
    let set = set_value(b, "v", "role", b"1");
    fixture.step(vec![set, Mutation::SetBlanket { key: b, layer: name("role") }]).unwrap();
    let orphan = fixture.make_key(3, root, "Orphan");
    fixture.make_key(4, orphan, "Under");
    let gone = Mutation::DeleteEntry { parent: root, name: "orphan".into(), layer: "base".into() };
    fixture.step(vec![gone]).unwrap();
    fixture.make_volatile_key(5, a, "Session");
    fixture
}

fn problems(fixture: &Fixture) -> (Counts, Vec<Problem>) {
    let mut problems = Vec::new();
    let view = fixture.hive.writer.store.view().unwrap();
    let counts = check(&*view, &mut |problem| problems.push(problem)).unwrap();
    assert_eq!(counts.problems, problems.len() as u64);
    (counts, problems)
}

#[test]
fn what_loregd_leaves_is_whole_with_its_orphans_also_after_a_crash() {
    on_each_engine(|fixture| {
        let mut fixture = filled(fixture);
        let (counts, problems) = problems(&fixture);
        assert_eq!(problems, []);
        assert_eq!(counts, Counts { keys: 5, values: 1, orphans: 1, problems: 0 });
        // A key whose parent was dropped is an orphan like any other.
        assert_eq!(
            fixture.hive.answer(&Request::DropKey { key: guid(3) }),
            Ok(Answer::Orphans(vec![guid(4)]))
        );
        let (counts, problems) = self::problems(&fixture);
        assert_eq!(problems, []);
        assert_eq!(counts, Counts { keys: 4, values: 1, orphans: 1, problems: 0 });
        let (counts, problems) = self::problems(&fixture.restart());
        assert_eq!(problems, []);
        assert_eq!(counts, Counts { keys: 3, values: 1, orphans: 0, problems: 0 });
    });
}

type Damage<'a> = &'a dyn Fn(&mut dyn RowsMut);

/// Does some damage to a hive like that of [`filled`]. Each problem found must be about the key of one of
/// `expected` and say what that says, and all of `expected` must be found.
fn finds(damage: Damage, expected: &[(Option<Guid>, &str)]) {
    on_each_engine(|fixture| {
        let mut fixture = filled(fixture);
        let store = &mut fixture.hive.writer.store;
        store
            .commit(&mut |rows| {
                damage(rows);
                Ok(true)
            })
            .unwrap();
        let (_, problems) = problems(&fixture);
        let is = |problem: &Problem, expected: &(Option<Guid>, &str)| {
            problem.key == expected.0 && problem.what.contains(expected.1)
        };
        for problem in &problems {
            assert!(expected.iter().any(|it| is(problem, it)), "not expected: {problem}");
        }
        for expected in expected {
            assert!(problems.iter().any(|it| is(it, expected)), "{expected:?} not in {problems:?}");
        }
    });
}

fn remove(rows: &mut dyn RowsMut, row: &[u8]) {
    assert!(rows.remove(row).unwrap().is_some(), "a row to remove");
}

fn change_key(rows: &mut dyn RowsMut, key: Guid, change: impl FnOnce(&mut KeyRow)) {
    let row = rows::of_guid(Kind::Key, key);
    let mut stored: KeyRow = rows::decode(&row, &rows.get(&row).unwrap().unwrap()).unwrap();
    change(&mut stored);
    rows.put(&row, &lcs_abi::encode(&stored)).unwrap();
}

fn entry_row(parent: Guid, name: &str) -> Vec<u8> {
    rows::of_layer(Kind::Entry, parent, name, "base")
}

fn value_row() -> Vec<u8> {
    rows::of_layer(Kind::Value, guid(2), "v", "role")
}

#[test]
fn a_record_that_is_missing() {
    let (key, a) = (Some(guid(1)), rows::of_guid(Kind::Key, guid(1)));
    finds(
        &|rows| remove(rows, &a),
        &[
            (key, "has a security descriptor and no record"),
            (key, "names it, and it has no record"),
            (key, "belongs to a key that is not there"),
            (Some(guid(2)), "its parent 01010101-0101-0101-0101-010101010101 has no record"),
        ],
    );
    let root = rows::of_guid(Kind::Key, guid(200));
    finds(
        &|rows| remove(rows, &root),
        &[
            (Some(guid(200)), "it is the root, and has no record"),
            (Some(guid(200)), "has a security descriptor and no record"),
            (Some(guid(200)), "belongs to a key that is not there"),
            (Some(guid(1)), "its parent c8c8c8c8-c8c8-c8c8-c8c8-c8c8c8c8c8c8 has no record"),
        ],
    );
}

#[test]
fn a_record_that_says_something_else() {
    let b = guid(2);
    finds(
        &|rows| change_key(rows, b, |key| key.parent = guid(200)),
        &[(Some(b), "and its parent is c8c8c8c8-c8c8-c8c8-c8c8-c8c8c8c8c8c8")],
    );
    finds(
        &|rows| change_key(rows, b, |key| key.name = name("C")),
        &[(Some(b), "an entry \"b\" under 01010101-0101-0101-0101-010101010101")],
    );
    finds(
        &|rows| change_key(rows, b, |key| key.entries = 2),
        &[(Some(b), "it counts 2 entries that name it, and there are 1")],
    );
    finds(
        &|rows| change_key(rows, b, |key| key.volatile = true),
        &[(Some(b), "it is volatile, and on the disk")],
    );
    finds(
        &|rows| drop(rows.put(&rows::of_guid(Kind::Key, b), &[0xff])),
        &[(Some(b), "its value does not decode")],
    );
}

#[test]
fn parents_that_lead_in_a_circle() {
    finds(
        &|rows| {
            // A is under B instead of the root, and B under A.
            change_key(rows, guid(1), |key| key.parent = guid(2));
            let old = entry_row(guid(200), "a");
            let entry = rows.remove(&old).unwrap().unwrap();
            rows.put(&entry_row(guid(2), "a"), &entry).unwrap();
            remove(rows, &rows::index_of("base", Kind::Entry, guid(200), "a"));
            rows.put(&rows::index_of("base", Kind::Entry, guid(2), "a"), &[]).unwrap();
        },
        &[(Some(guid(1)), "its parents lead in a circle")],
    );
}

#[test]
fn an_entry_that_is_missing_or_leads_elsewhere() {
    let row = entry_row(guid(1), "b");
    finds(
        &|rows| remove(rows, &row),
        &[
            (Some(guid(1)), "leads to nothing"),
            (Some(guid(2)), "it counts 1 entries that name it, and there are 0"),
            (Some(guid(2)), "it is an orphan, and not marked as one"),
        ],
    );
    finds(
        &|rows| {
            let stored = rows.get(&row).unwrap().unwrap();
            let entry: EntryRow = rows::decode(&row, &stored).unwrap();
            let entry = EntryRow { target: Target::Key(guid(9)), ..entry };
            rows.put(&row, &lcs_abi::encode(&entry)).unwrap();
        },
        &[
            (Some(guid(9)), "names it, and it has no record"),
            (Some(guid(2)), "it counts 1 entries that name it, and there are 0"),
            (Some(guid(2)), "it is an orphan, and not marked as one"),
        ],
    );
}

#[test]
fn what_belongs_together_and_is_not_together() {
    let (a, b) = (Some(guid(1)), Some(guid(2)));
    let descriptor = rows::of_guid(Kind::Descriptor, guid(1));
    finds(&|rows| remove(rows, &descriptor), &[(a, "it has no security descriptor")]);
    let index = rows::index_of("role", Kind::Value, guid(2), "v");
    finds(&|rows| remove(rows, &index), &[(b, "not in the index of its layer")]);
    finds(&|rows| remove(rows, &value_row()), &[(b, "leads to nothing")]);
    let blanket = rows::of_layer(Kind::Blanket, guid(2), "", "role");
    finds(&|rows| remove(rows, &blanket), &[(b, "leads to nothing")]);
    let orphan = rows::of_guid(Kind::Orphan, guid(3));
    finds(&|rows| remove(rows, &orphan), &[(Some(guid(3)), "it is an orphan, and not marked")]);
    for (guid, what) in [(guid(1), "and is none"), (guid(9), "and is not there")] {
        let row = rows::of_guid(Kind::Orphan, guid);
        finds(&|rows| drop(rows.put(&row, &[])), &[(Some(guid), what)]);
    }
}

#[test]
fn rows_that_do_not_decode() {
    let bad_value: Damage = &|rows| drop(rows.put(&value_row(), &[0xff; 3]));
    finds(bad_value, &[(Some(guid(2)), "its value does not decode")]);
    finds(&|rows| drop(rows.put(&[10, 1], &[])), &[(None, "of an unknown kind")]);
    finds(&|rows| drop(rows.put(&[], &[])), &[(None, "of an unknown kind")]);
    finds(&|rows| drop(rows.put(&[3, 1], &[])), &[(None, "not one GUID")]);
    finds(&|rows| drop(rows.put(&[8, 1], &[])), &[(None, "no layer")]);
    finds(&|rows| drop(rows.put(&[1, 1], &[])), &[(None, "too long")]);
}

#[test]
fn sequence_numbers_above_the_highest_and_a_ledger_that_counts_otherwise() {
    let row = rows::single(Kind::Ledger);
    let change = |rows: &mut dyn RowsMut, change: &dyn Fn(&mut LedgerRow)| {
        let stored = rows.get(&row).unwrap().unwrap();
        let mut ledger: LedgerRow = rows::decode(&row, &stored).unwrap();
        change(&mut ledger);
        rows.put(&row, &lcs_abi::encode(&ledger)).unwrap();
    };
    // Seven steps with 13 numbers; the last two entries and the last three steps are above 8.
    finds(
        &|rows| change(rows, &|ledger| ledger.max_sequence = 8),
        &[
            (Some(guid(3)), "its sequence number is above the highest: 10 above 8"),
            (None, "its sequence number is above the highest: 9 above 8"),
            (None, "its sequence number is above the highest: 11 above 8"),
            (None, "its sequence number is above the highest: 12 above 8"),
        ],
    );
    finds(
        &|rows| change(rows, &|ledger| ledger.steps += 1),
        &[(None, "the ledger counts 8 steps, and 7 are kept")],
    );
    finds(&|rows| remove(rows, &row), &[(None, "there is no ledger")]);
    finds(
        &|rows| remove(rows, &rows::step(2)),
        &[(None, "the slots of steps have a gap"), (None, "7 steps, and 6 are kept")],
    );
}

#[test]
fn rows_that_are_no_hive_are_an_error() {
    let mut fixture = filled(Fixture::in_memory());
    let row = rows::single(Kind::Hive);
    fixture.hive.writer.store.commit(&mut |rows| rows.remove(&row).map(|_| true)).unwrap();
    let view = fixture.hive.writer.store.view().unwrap();
    let checked = check(&*view, &mut |problem| panic!("{problem}"));
    assert!(matches!(checked, Err(crate::Error::Corrupt { .. })));
}
