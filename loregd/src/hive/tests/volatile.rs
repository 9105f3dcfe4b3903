//! Keys that live in memory.

use super::*;

fn delete_entry(parent: Guid, name: &str) -> Mutation {
    Mutation::DeleteEntry { parent, name: name.into(), layer: "base".into() }
}

#[test]
fn volatile_keys_are_gone_after_a_restart_with_all_that_is_theirs() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let kept = fixture.make_key(1, root, "Kept");
        let key = fixture.make_volatile_key(2, kept, "Session");
        let under = fixture.make_volatile_key(3, key, "Under");
        let hidden = Mutation::SetEntry {
            parent: key,
            name: name("h"),
            layer: name("role"),
            target: Target::Hidden,
        };
        fixture
            .step(vec![
                set_value(under, "v", "base", b"1"),
                Mutation::SetBlanket { key, layer: name("role") },
                hidden,
            ])
            .unwrap();
        assert_eq!(fixture.entries(kept, "Session").len(), 1);
        assert_eq!(fixture.values(under).len(), 1);
        let mut fixture = fixture.restart();
        assert!(fixture.exists(kept) && !fixture.exists(key) && !fixture.exists(under));
        assert!(fixture.entries(kept, "Session").is_empty());
        assert_eq!(fixture.hive.max_sequence(), 9);
        let layer = Request::EnumLayer { layer: "role".into(), after: None, bytes: 1000 };
        let Ok(Answer::Layer { entries, values, blankets, next: None }) =
            fixture.hive.answer(&layer)
        else {
            panic!()
        };
        assert!(entries.is_empty() && values.is_empty() && blankets.is_empty());
    });
}

#[test]
fn what_lasts_does_not_stand_under_what_does_not() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_volatile_key(1, root, "V");
        let refused = fixture.step(vec![Mutation::CreateKey(record(2, key, "x"))]);
        assert_eq!(refused, Err(SourceError::Invalid));
    });
}

#[test]
fn volatile_and_lasting_children_are_listed_together_in_order() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        fixture.make_volatile_key(1, root, "a");
        fixture.make_key(2, root, "b");
        fixture.make_volatile_key(3, root, "c");
        fixture.make_key(4, root, "d");
        fixture.make_volatile_key(5, root, "e");
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let page = Request::EnumChildren { parent: root, after, bytes: 1 };
            let Ok(Answer::Entries { entries, keys, more }) = fixture.hive.answer(&page) else {
                panic!()
            };
            assert_eq!((entries.len(), keys.len()), (1, 1));
            after = Some(entries[0].name.folded.clone());
            names.push(entries[0].name.folded.clone());
            if !more {
                break;
            }
        }
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    });
}

#[test]
fn an_entry_moves_between_disk_and_memory_with_what_it_names() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let lasting = fixture.make_key(1, root, "x");
        let volatile = KeyRecord { volatile: true, ..record(2, root, "x") };
        fixture
            .step(vec![
                Mutation::CreateKey(volatile.clone()),
                name_key(volatile.key, root, "x", "base"),
            ])
            .unwrap();
        let entries = fixture.entries(root, "x");
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].target, Target::Key(volatile.key));
        assert!(fixture.exists(lasting), "orphaned, not dropped");
        let hidden = Mutation::SetEntry {
            parent: root,
            name: name("x"),
            layer: name("base"),
            target: Target::Hidden,
        };
        fixture.step(vec![hidden]).unwrap();
        let mut fixture = fixture.restart();
        assert_eq!(fixture.entries(root, "x")[0].target, Target::Hidden);
        assert!(!fixture.exists(lasting) && !fixture.exists(volatile.key));
    });
}

#[test]
fn a_failed_step_leaves_memory_as_it_was() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let key = fixture.make_volatile_key(1, root, "V");
        let refused = fixture.step(vec![
            set_value(key, "v", "base", b"1"),
            delete_entry(root, "v"),
            set_value(guid(9), "v", "base", b"1"),
        ]);
        assert_eq!(refused, Err(SourceError::NotFound));
        assert!(fixture.values(key).is_empty());
        assert_eq!(fixture.entries(root, "V").len(), 1);
    });
}

#[test]
fn dropping_a_lasting_key_takes_the_entries_of_its_volatile_children() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let parent = fixture.make_key(1, root, "P");
        let child = fixture.make_volatile_key(2, parent, "C");
        fixture.step(vec![delete_entry(root, "p")]).unwrap();
        let answer = fixture.hive.answer(&Request::DropKey { key: parent });
        assert_eq!(answer, Ok(Answer::Orphans(vec![child])));
        assert_eq!(
            fixture.hive.answer(&Request::DropKey { key: child }),
            Ok(Answer::Orphans(vec![]))
        );
        assert!(!fixture.exists(child));
    });
}
