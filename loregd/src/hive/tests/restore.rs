//! The mutations of a restore.

use lcs_abi::rsi::BlanketEntry;

use super::*;

fn restore_entry(key: Guid, parent: Guid, display: &str, sequence: u64) -> Mutation {
    let (name, layer, target) = (name(display), name("base"), Target::Key(key));
    Mutation::RestoreEntry(PathEntry { parent, name, layer, target, sequence })
}

fn restore_value(key: Guid, display: &str, layer: &str, sequence: u64) -> Mutation {
    let (name, layer) = (name(display), name(layer));
    let (value_type, data) = (3, vec![7]);
    Mutation::RestoreValue(ValueEntry { key, name, layer, value_type, data, sequence })
}

fn restore_blanket(key: Guid, layer: &str, sequence: u64) -> Mutation {
    Mutation::RestoreBlanket(BlanketEntry { key, layer: name(layer), sequence })
}

fn delete_entry(parent: Guid, name: &str) -> Mutation {
    Mutation::DeleteEntry { parent, name: name.into(), layer: "base".into() }
}

const INVALID: Result<Answer, SourceError> = Err(SourceError::Invalid);

#[test]
fn a_tree_is_replaced_in_one_step_and_numbers_keep_their_order_without_gaps() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let top = fixture.make_key(1, root, "Top");
        fixture.make_key(2, top, "Old");
        let kept = fixture.make_key(3, top, "Kept");
        fixture.step(vec![set_value(kept, "v", "base", b"old")]).unwrap();
        let first = 100;
        let step = apply(
            first,
            vec![],
            vec![
                Mutation::RemoveSubtree { key: top },
                Mutation::WriteKey { key: top, sd: Some(vec![1]), last_write: Some(9) },
                // The same keys as before, in another order and with what they had elsewhere.
                Mutation::RestoreKey(record(3, top, "Kept")),
                restore_entry(kept, top, "Kept", 70_000),
                restore_value(kept, "v", "base", 3_000_000_000),
                restore_value(kept, "w", "base", 12),
                restore_value(kept, "w", "role", 70_000),
                restore_blanket(kept, "role", 500),
            ],
        );
        fixture.hive.answer(&step).unwrap();
        let mut fixture = fixture.restart();
        assert!(!fixture.exists(guid(2)));
        assert_eq!(fixture.entries(top, "Kept")[0].sequence, first + 2);
        let values = fixture.values(kept);
        let found: Vec<(&str, &str, u64)> =
            values.iter().map(|it| (&*it.name.folded, &*it.layer.folded, it.sequence)).collect();
        let expected = [("v", "base", first + 3), ("w", "base", first), ("w", "role", first + 2)];
        assert_eq!(found, expected);
        let query = Request::QueryValues { key: kept, after: None, bytes: 1000 };
        let Ok(Answer::Values { blankets, .. }) = fixture.hive.answer(&query) else { panic!() };
        assert_eq!(blankets[0].sequence, first + 1);
        // Four distinct numbers, whatever the number of mutations.
        assert_eq!(fixture.hive.max_sequence(), first + 3);
    });
}

#[test]
fn a_guid_in_use_is_refused_and_that_of_an_orphan_taken_over_with_all_under_it() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let used = fixture.make_key(1, root, "Used");
        let orphan = fixture.make_key(2, root, "Orphan");
        let under = fixture.make_key(3, orphan, "Under");
        let session = fixture.make_volatile_key(4, under, "Session");
        fixture.step(vec![set_value(orphan, "v", "base", b"1")]).unwrap();
        fixture.step(vec![delete_entry(root, "orphan")]).unwrap();
        for taken in [used, root] {
            let record = KeyRecord { key: taken, ..record(0, root, "x") };
            let refused = fixture.step(vec![Mutation::RestoreKey(record)]);
            assert_eq!(refused, Err(SourceError::AlreadyExists));
        }
        let below_itself = Mutation::RestoreKey(record(2, under, "x"));
        assert_eq!(fixture.step(vec![below_itself]), Err(SourceError::NotFound));
        assert!(fixture.exists(under), "nothing happened");
        fixture
            .step(vec![
                Mutation::RestoreKey(record(2, used, "New")),
                restore_entry(orphan, used, "New", 5),
            ])
            .unwrap();
        assert!(!fixture.exists(under) && !fixture.exists(session));
        assert!(fixture.values(orphan).is_empty());
        assert_eq!(fixture.entries(used, "New")[0].target, Target::Key(orphan));
        assert!(fixture.restart().exists(orphan), "it is no orphan any more");
    });
}

#[test]
fn a_key_taken_over_may_move_between_disk_and_memory() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let (lasting, volatile) = (guid(1), guid(2));
        fixture.step(vec![Mutation::CreateKey(record(1, root, "a"))]).unwrap();
        let session = KeyRecord { volatile: true, ..record(2, root, "b") };
        fixture.step(vec![Mutation::CreateKey(session)]).unwrap();
        let to_memory = KeyRecord { volatile: true, ..record(1, root, "a") };
        // Both stay orphans: a mark that stays behind would be found by the check of the history.
        fixture
            .step(vec![Mutation::RestoreKey(to_memory), Mutation::RestoreKey(record(2, root, "b"))])
            .unwrap();
        super::history::check(&mut fixture.hive);
        let restored =
            vec![restore_entry(lasting, root, "a", 1), restore_entry(volatile, root, "b", 2)];
        fixture.step(restored).unwrap();
        super::history::check(&mut fixture.hive);
        let mut fixture = fixture.restart();
        assert!(!fixture.exists(lasting) && fixture.exists(volatile));
    });
}

#[test]
fn what_lasts_is_not_restored_under_what_does_not() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let session = fixture.make_volatile_key(1, root, "Session");
        let refused = fixture.step(vec![Mutation::RestoreKey(record(2, session, "x"))]);
        assert_eq!(refused, INVALID);
        let volatile = KeyRecord { volatile: true, ..record(2, session, "x") };
        let step = vec![
            Mutation::RestoreKey(volatile),
            restore_entry(guid(2), session, "x", 1),
            restore_value(guid(2), "v", "base", 1),
        ];
        fixture.step(step).unwrap();
        assert_eq!(fixture.values(guid(2)).len(), 1);
        assert!(!fixture.restart().exists(guid(2)));
    });
}

#[test]
fn a_step_that_would_leave_a_winner_open_or_says_one_thing_twice_is_refused_whole() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let (a, b) = (fixture.make_key(1, root, "A"), fixture.make_key(2, root, "B"));
        let hidden = |display: &str, layer: &str, sequence| {
            let (parent, name, layer) = (root, name(display), name(layer));
            let target = Target::Hidden;
            Mutation::RestoreEntry(PathEntry { parent, name, layer, target, sequence })
        };
        fixture.step(vec![Mutation::SetBlanket { key: b, layer: name("role") }]).unwrap();
        for (refused, accepted) in [
            (
                vec![restore_value(a, "v", "base", 1), restore_value(a, "v", "base", 2)],
                vec![restore_value(a, "v", "base", 1), restore_value(a, "v", "role", 2)],
            ),
            (
                vec![restore_value(a, "w", "base", 1), restore_value(a, "w", "role", 1)],
                vec![restore_value(a, "w", "base", 1), restore_value(a, "x", "role", 1)],
            ),
            (
                vec![restore_blanket(a, "base", 4), restore_value(a, "y", "base", 4)],
                vec![restore_blanket(a, "base", 4), restore_value(b, "y", "base", 4)],
            ),
            (
                vec![restore_value(b, "z", "base", 4), restore_blanket(b, "base", 4)],
                vec![restore_value(b, "z", "base", 4), restore_blanket(b, "base", 5)],
            ),
            (
                vec![restore_blanket(a, "role", 1), restore_blanket(a, "role2", 1)],
                vec![restore_blanket(a, "role", 1), restore_blanket(a, "role2", 2)],
            ),
            (vec![restore_blanket(b, "role", 1)], vec![restore_blanket(b, "role2", 1)]),
            (
                vec![hidden("h", "base", 1), hidden("h", "role", 1)],
                vec![hidden("h", "base", 1), hidden("i", "role", 1)],
            ),
            (vec![hidden("a", "base", 1)], vec![hidden("a", "role", 1)]),
            // Numbers from elsewhere and others in one step.
            (
                vec![restore_value(a, "q", "base", 1), set_value(b, "q", "base", b"1")],
                vec![restore_value(a, "q", "base", 1)],
            ),
        ] {
            let before = super::history::rows_of(&fixture.hive);
            assert_eq!(fixture.step(refused.clone()), INVALID, "{refused:?}");
            assert_eq!(super::history::rows_of(&fixture.hive), before);
            fixture.step(accepted.clone()).unwrap_or_else(|error| panic!("{accepted:?}: {error}"));
        }
        super::history::check(&mut fixture.hive);
    });
}

#[test]
fn what_is_restored_to_an_absent_key_is_not_found() {
    on_each_engine(|mut fixture| {
        let (root, absent) = (fixture.root(), guid(9));
        for mutation in [
            Mutation::RestoreKey(record(1, absent, "x")),
            restore_entry(absent, root, "x", 1),
            restore_entry(root, absent, "x", 1),
            restore_value(absent, "v", "base", 1),
            restore_blanket(absent, "base", 1),
        ] {
            let refused = fixture.step(vec![mutation.clone()]);
            assert_eq!(refused, Err(SourceError::NotFound), "{mutation:?}");
        }
        assert_eq!(fixture.hive.max_sequence(), 0);
    });
}
