//! Steps, their conditions and mutations, and what else changes a hive.

use super::*;

#[test]
fn a_new_hive_has_a_root_and_keeps_it() {
    for store in [Fixture::in_memory(), Fixture::on_disk()].map(|fixture| fixture.directory) {
        let store: Box<dyn Store> = match &store {
            Some(directory) => Box::new(RedbStore::open(&directory.path().join("new")).unwrap()),
            None => Box::new(MemoryStore::default()),
        };
        let hive = Hive::open("Machine", store).unwrap();
        let root = hive.root();
        let mut hive = Hive::open("Machine", hive.writer.store).unwrap();
        assert_eq!(hive.root(), root);
        assert_eq!(hive.max_sequence(), 0);
        let Ok(Answer::Key(record)) = hive.answer(&Request::ReadKey { key: root }) else {
            panic!("no root");
        };
        assert_eq!(record.parent, root);
        assert_eq!(record.name.display, "Machine");
        assert_eq!(record.sd, MACHINE_ROOT_SD);
        assert_eq!(root.0[6] >> 4, 4);
    }
}

#[test]
fn a_step_is_there_after_a_restart_with_its_sequence_numbers() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_key(1, root, "Software");
        fixture.step(vec![set_value(key, "Size", "base", &[1, 2])]).unwrap();
        let mut fixture = fixture.restart();
        let entries = fixture.entries(root, "Software");
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].target, Target::Key(key));
        assert_eq!(entries[0].name, name("Software"));
        assert_eq!(entries[0].sequence, 2);
        let values = fixture.values(key);
        assert_eq!(values.len(), 1);
        assert_eq!((values[0].sequence, &*values[0].data), (3, &[1, 2][..]));
        assert_eq!(fixture.hive.max_sequence(), 3);
    });
}

#[test]
fn a_failed_condition_changes_nothing_and_reserves_nothing() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_key(1, root, "A");
        let refused = fixture.step_if(
            vec![Condition::KeyExists { key }, Condition::KeyExists { key: guid(9) }],
            vec![set_value(key, "v", "base", b"1")],
        );
        assert_eq!(refused, Err(SourceError::ConditionFailed(1)));
        assert!(fixture.values(key).is_empty());
        assert_eq!(fixture.hive.max_sequence(), 2);
        assert!(!fixture.happened(3));
    });
}

#[test]
fn conditions_compare_the_sequence_of_a_value_and_the_target_of_an_entry() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_key(1, root, "A");
        fixture.step(vec![set_value(key, "V", "base", b"1")]).unwrap();
        let value_is = |sequence, layer: &str| Condition::ValueIs {
            key,
            name: "v".into(),
            layer: layer.into(),
            sequence,
        };
        let entry_is = |target, name: &str| Condition::EntryIs {
            parent: root,
            name: name.into(),
            layer: "base".into(),
            target,
        };
        for (condition, holds) in [
            (value_is(Some(3), "base"), true),
            (value_is(Some(2), "base"), false),
            (value_is(None, "base"), false),
            (value_is(None, "role"), true),
            (value_is(Some(3), "role"), false),
            (entry_is(Some(Target::Key(key)), "a"), true),
            (entry_is(Some(Target::Hidden), "a"), false),
            (entry_is(None, "a"), false),
            (entry_is(None, "b"), true),
        ] {
            let expected = if holds { Ok(()) } else { Err(SourceError::ConditionFailed(0)) };
            assert_eq!(
                fixture.step_if(vec![condition.clone()], vec![]).map(drop),
                expected,
                "{condition:?}"
            );
        }
    });
}

#[test]
fn a_step_that_names_an_absent_key_fails_whole() {
    let absent = guid(9);
    let layer = || name("base");
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_key(1, root, "A");
        for mutation in [
            Mutation::CreateKey(record(2, absent, "x")),
            Mutation::WriteKey { key: absent, sd: None, last_write: Some(1) },
            name_key(absent, root, "x", "base"),
            name_key(key, absent, "x", "base"),
            Mutation::DeleteEntry { parent: absent, name: "x".into(), layer: "base".into() },
            set_value(absent, "x", "base", b""),
            Mutation::DeleteValue { key: absent, name: "x".into(), layer: "base".into() },
            Mutation::SetBlanket { key: absent, layer: layer() },
            Mutation::ClearBlanket { key: absent, layer: "base".into() },
            Mutation::RemoveSubtree { key: absent },
        ] {
            let first = set_value(key, "v", "base", b"1");
            let refused = fixture.step(vec![first, mutation.clone()]);
            assert_eq!(refused, Err(SourceError::NotFound), "{mutation:?}");
            assert!(fixture.values(key).is_empty(), "{mutation:?}");
        }
        assert_eq!(fixture.hive.max_sequence(), 2);
    });
}

#[test]
fn a_guid_is_used_once() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        fixture.make_key(1, root, "A");
        let again = fixture.step(vec![Mutation::CreateKey(record(1, root, "B"))]);
        assert_eq!(again, Err(SourceError::AlreadyExists));
    });
}

#[test]
fn only_entries_of_its_parent_name_a_key() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let a = fixture.make_key(1, root, "A");
        let b = fixture.make_key(2, root, "B");
        for (key, parent) in [(b, a), (root, root), (root, a)] {
            let refused = fixture.step(vec![name_key(key, parent, "x", "base")]);
            assert_eq!(refused, Err(SourceError::Invalid));
        }
    });
}

#[test]
fn a_name_with_a_nul_is_invalid() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        for mutation in [
            set_value(root, "a\0b", "base", b""),
            set_value(root, "a", "ba\0se", b""),
            Mutation::SetBlanket { key: root, layer: name("\0") },
            Mutation::CreateKey(record(1, root, "a\0")),
        ] {
            assert_eq!(fixture.step(vec![mutation]), Err(SourceError::Invalid));
        }
        let layer = "a\0b".to_owned();
        let listing = Request::EnumLayer { layer: layer.clone(), after: None, bytes: 100 };
        assert_eq!(fixture.hive.answer(&listing), Err(SourceError::Invalid));
        let deletion = Request::DeleteLayer { layer };
        assert_eq!(fixture.hive.answer(&deletion), Err(SourceError::Invalid));
    });
}

#[test]
fn write_key_changes_what_it_is_given() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_key(1, root, "A");
        let write = |sd, last_write| Mutation::WriteKey { key, sd, last_write };
        fixture.step(vec![write(None, Some(77))]).unwrap();
        fixture.step(vec![write(Some(vec![1, 2, 3]), None)]).unwrap();
        let expected = KeyRecord { sd: vec![1, 2, 3], last_write: 77, ..record(1, root, "A") };
        let found = fixture.restart().hive.answer(&Request::ReadKey { key });
        assert_eq!(found, Ok(Answer::Key(expected)));
    });
}

#[test]
fn blankets_are_set_renewed_and_cleared() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let set = Mutation::SetBlanket { key: root, layer: name("Role") };
        fixture.step(vec![set.clone(), set]).unwrap();
        let query = Request::QueryValue { key: root, name: "x".into(), after_layer: None };
        let Ok(Answer::Values { blankets, .. }) = fixture.hive.answer(&query) else { panic!() };
        assert_eq!(blankets.len(), 1);
        assert_eq!((&blankets[0].layer, blankets[0].sequence), (&name("Role"), 2));
        let clear = Mutation::ClearBlanket { key: root, layer: "role".into() };
        fixture.step(vec![clear.clone(), clear]).unwrap();
        let Ok(Answer::Values { blankets, .. }) = fixture.hive.answer(&query) else { panic!() };
        assert!(blankets.is_empty());
    });
}

#[test]
fn values_and_entries_are_replaced_and_deleted_layer_by_layer() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_key(1, root, "A");
        fixture
            .step(vec![
                set_value(key, "V", "base", b"1"),
                set_value(key, "v", "Role", b"2"),
                set_value(key, "v", "base", b"3"),
                Mutation::SetEntry {
                    parent: root,
                    name: name("a"),
                    layer: name("Role"),
                    target: Target::Hidden,
                },
            ])
            .unwrap();
        let layers: Vec<_> = fixture
            .values(key)
            .into_iter()
            .map(|it| (it.layer.display, it.name.display, it.data))
            .collect();
        assert_eq!(
            layers,
            [
                ("base".into(), "v".into(), b"3".to_vec()),
                ("Role".into(), "v".into(), b"2".to_vec()),
            ]
        );
        assert_eq!(fixture.entries(root, "A").len(), 2);
        let delete_value = Mutation::DeleteValue { key, name: "v".into(), layer: "base".into() };
        let delete_entry =
            Mutation::DeleteEntry { parent: root, name: "a".into(), layer: "role".into() };
        fixture.step(vec![delete_value.clone(), delete_entry.clone()]).unwrap();
        fixture.step(vec![delete_value, delete_entry]).unwrap();
        assert_eq!(fixture.values(key).len(), 1);
        assert_eq!(fixture.entries(root, "A").len(), 1);
    });
}

#[test]
fn dropping_an_orphan_takes_what_is_its_own_and_tells_who_is_orphaned_by_it() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let a = fixture.make_key(1, root, "A");
        let b = fixture.make_key(2, a, "B");
        fixture
            .step(vec![set_value(a, "v", "base", b"1"), set_value(b, "v", "base", b"2")])
            .unwrap();
        let drop_a = Request::DropKey { key: a };
        assert_eq!(fixture.hive.answer(&drop_a), Err(SourceError::Invalid), "it has an entry");
        fixture
            .step(vec![Mutation::DeleteEntry {
                parent: root,
                name: "a".into(),
                layer: "base".into(),
            }])
            .unwrap();
        assert!(fixture.exists(a));
        assert_eq!(fixture.hive.answer(&drop_a), Ok(Answer::Orphans(vec![b])));
        assert!(!fixture.exists(a));
        assert_eq!(fixture.values(b).len(), 1);
        assert_eq!(fixture.hive.answer(&drop_a), Ok(Answer::Orphans(vec![])));
        assert_eq!(fixture.hive.answer(&Request::DropKey { key: root }), Err(SourceError::Invalid));
    });
}

#[test]
fn orphans_are_purged_at_start_with_those_that_they_leave() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let a = fixture.make_key(1, root, "A");
        let b = fixture.make_key(2, a, "B");
        let c = fixture.make_key(3, b, "C");
        let kept = fixture.make_key(4, root, "Kept");
        let never_named = record(5, kept, "x");
        fixture
            .step(vec![
                Mutation::CreateKey(never_named.clone()),
                Mutation::DeleteEntry { parent: root, name: "a".into(), layer: "base".into() },
            ])
            .unwrap();
        let before = fixture.hive.max_sequence();
        let mut fixture = fixture.restart();
        for gone in [a, b, c, never_named.key] {
            assert!(!fixture.exists(gone));
        }
        assert!(fixture.exists(kept));
        assert_eq!(fixture.hive.max_sequence(), before, "the highest number never falls");
    });
}

#[test]
fn remove_subtree_leaves_the_key_itself() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let a = fixture.make_key(1, root, "A");
        let b = fixture.make_key(2, a, "B");
        let c = fixture.make_key(3, b, "C");
        fixture
            .step(vec![
                set_value(a, "v", "base", b"1"),
                set_value(c, "v", "base", b"1"),
                Mutation::SetBlanket { key: a, layer: name("base") },
                name_key(b, a, "B", "role"),
            ])
            .unwrap();
        fixture.step(vec![Mutation::RemoveSubtree { key: a }]).unwrap();
        assert!(fixture.exists(a) && !fixture.exists(b) && !fixture.exists(c));
        assert!(fixture.values(a).is_empty());
        assert_eq!(fixture.entries(root, "A").len(), 1);
    });
}

#[test]
fn deleting_a_layer_removes_all_of_it_and_tells_the_orphans() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let base_key = fixture.make_key(1, root, "A");
        let role_key = record(2, base_key, "R");
        let deeper = record(3, role_key.key, "D");
        fixture
            .step(vec![
                Mutation::CreateKey(role_key.clone()),
                Mutation::CreateKey(deeper.clone()),
                name_key(role_key.key, base_key, "R", "Role"),
                name_key(deeper.key, role_key.key, "D", "Role"),
                name_key(base_key, root, "A", "Role"),
                set_value(base_key, "v", "Role", b"1"),
                set_value(base_key, "v", "base", b"2"),
                set_value(base_key, "v", "Role2", b"3"),
                Mutation::SetBlanket { key: base_key, layer: name("Role") },
            ])
            .unwrap();
        let deletion = Request::DeleteLayer { layer: "role".into() };
        let orphans = Answer::Orphans(vec![role_key.key, deeper.key]);
        assert_eq!(fixture.hive.answer(&deletion), Ok(orphans));
        let left = Request::EnumLayer { layer: "role".into(), after: None, bytes: 1000 };
        assert_eq!(
            fixture.hive.answer(&left),
            Ok(Answer::Layer { entries: vec![], values: vec![], blankets: vec![], next: None })
        );
        let layers: Vec<_> =
            fixture.values(base_key).into_iter().map(|it| it.layer.folded).collect();
        assert_eq!(layers, ["base", "role2"]);
        assert!(fixture.exists(role_key.key), "open handles may hold it");
    });
}

#[test]
fn outcomes_of_the_last_8192_steps_are_known_also_after_a_restart() {
    let mut fixture = Fixture::on_disk();
    let root = fixture.root();
    let steps: Vec<Request> = (0..8200)
        .map(|n| apply(10 + 2 * n, vec![], vec![set_value(root, "v", "base", b"")]))
        .collect();
    for group in steps.chunks(1000) {
        let group: Vec<&Request> = group.iter().collect();
        assert!(fixture.hive.writer.commit(&group).iter().all(Result::is_ok));
    }
    for mut fixture in [fixture].into_iter().flat_map(|fixture| [fixture.restart().restart()]) {
        let known: Vec<u64> =
            (0..8200).map(|n| 10 + 2 * n).filter(|&n| fixture.happened(n)).collect();
        assert_eq!(known.len(), 8192);
        assert_eq!(known[0], 10 + 2 * 8);
        assert!(!fixture.happened(11));
        assert_eq!(fixture.hive.max_sequence(), 10 + 2 * 8199);
    }
}

#[test]
fn one_commit_takes_many_steps_and_a_failing_one_disturbs_none() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let commits = fixture.hive.writer.commits();
        let group = [
            apply(
                1,
                vec![],
                vec![
                    Mutation::CreateKey(record(1, root, "A")),
                    name_key(guid(1), root, "A", "base"),
                ],
            ),
            apply(
                3,
                vec![],
                vec![set_value(guid(1), "v", "base", b"1"), set_value(guid(9), "v", "base", b"1")],
            ),
            Request::Outcome { first_sequence: 1 },
            Request::Outcome { first_sequence: 3 },
            apply(
                3,
                vec![Condition::KeyExists { key: guid(1) }],
                vec![set_value(guid(1), "w", "base", b"2")],
            ),
            Request::DropKey { key: guid(7) },
            apply(
                4,
                vec![Condition::ValueIs {
                    key: guid(1),
                    name: "w".into(),
                    layer: "base".into(),
                    sequence: Some(3),
                }],
                vec![],
            ),
        ];
        let group: Vec<&Request> = group.iter().collect();
        let applied = || Ok(Answer::Applied { first_sequence: None });
        assert_eq!(
            fixture.hive.writer.commit(&group),
            [
                applied(),
                Err(SourceError::NotFound),
                Ok(Answer::Outcome { took_effect: true }),
                Ok(Answer::Outcome { took_effect: false }),
                applied(),
                Ok(Answer::Orphans(vec![])),
                applied(),
            ]
        );
        assert_eq!(fixture.hive.writer.commits(), commits + 1);
        let values = fixture.values(guid(1));
        assert_eq!(values.len(), 1);
        assert_eq!(values[0].name.folded, "w");
        assert_eq!(fixture.hive.max_sequence(), 4);
    });
}

#[test]
fn a_flush_has_nothing_to_do() {
    on_each_engine(|mut fixture| {
        assert_eq!(fixture.hive.answer(&Request::Flush), Ok(Answer::Done));
    });
}

#[test]
fn a_step_beyond_the_last_sequence_number_is_invalid() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let set = set_value(root, "v", "base", b"");
        let step = apply(u64::MAX, vec![], vec![set.clone(), set]);
        assert_eq!(fixture.hive.answer(&step), Err(SourceError::Invalid));
    });
}
