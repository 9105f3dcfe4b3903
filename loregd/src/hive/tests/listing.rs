//! Listings in pages.

use lcs_abi::rsi::{LayerPosition, ValuePosition};

use super::*;

/// Keys a to j, each named in three layers, and values in three layers on the root.
fn full(mut fixture: Fixture) -> Fixture {
    let root = fixture.root();
    for number in 1..=10 {
        let display = format!("Key{number:02}");
        let key = fixture.make_key(number, root, &display);
        let value = format!("Value{number:02}");
        let mut mutations = vec![set_value(root, &value, "base", &[number; 50])];
        for layer in ["One", "Two"] {
            mutations.push(name_key(key, root, &display, layer));
            mutations.push(set_value(root, &value, layer, &[number; 50]));
        }
        mutations.push(Mutation::SetBlanket { key, layer: name("One") });
        fixture.step(mutations).unwrap();
    }
    fixture
}

#[test]
fn children_come_in_pages_that_split_no_name() {
    on_each_engine(|fixture| {
        let mut fixture = full(fixture);
        let root = fixture.root();
        for bytes in [0, 1, 500, 1000, 2500, u32::MAX] {
            let (mut names, mut after) = (Vec::new(), None);
            loop {
                let request = Request::EnumChildren { parent: root, after, bytes };
                let answer = fixture.hive.answer(&request).unwrap();
                let size = lcs_abi::encode(&answer).len();
                let Answer::Entries { entries, keys, more } = answer else { panic!() };
                assert_eq!(entries.len(), 3 * keys.len(), "each name has its three entries");
                assert!(keys.len() == 1 || size <= bytes as usize);
                after = entries.last().map(|last| last.name.folded.clone());
                names.extend(entries.into_iter().step_by(3).map(|entry| entry.name.folded));
                if !more {
                    break;
                }
            }
            let expected: Vec<_> = (1..=10).map(|number| format!("key{number:02}")).collect();
            assert_eq!(names, expected, "pages of {bytes} bytes");
        }
    });
}

#[test]
fn a_name_is_not_taken_for_one_that_begins_with_it() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        for (number, display) in [(1, "a"), (2, "a b"), (3, "ab"), (4, "a\u{1}")] {
            fixture.make_key(number, root, display);
            fixture.step(vec![set_value(root, display, "base", &[number])]).unwrap();
        }
        assert_eq!(fixture.entries(root, "a").len(), 1);
        let query = Request::QueryValue { key: root, name: "a".into(), after_layer: None };
        let Ok(Answer::Values { entries, .. }) = fixture.hive.answer(&query) else { panic!() };
        assert_eq!(entries.len(), 1);
        let rest = Request::EnumChildren { parent: root, after: Some("a".into()), bytes: 9999 };
        let Ok(Answer::Entries { entries, .. }) = fixture.hive.answer(&rest) else { panic!() };
        let names: Vec<_> = entries.iter().map(|entry| entry.name.display.as_str()).collect();
        assert_eq!(names, ["a\u{1}", "a b", "ab"]);
    });
}

#[test]
fn values_come_in_pages_with_the_blankets_on_each() {
    on_each_engine(|fixture| {
        let mut fixture = full(fixture);
        let root = fixture.root();
        fixture.step(vec![Mutation::SetBlanket { key: root, layer: name("Two") }]).unwrap();
        for bytes in [0, 1, 700, 2000, u32::MAX] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let request = Request::QueryValues { key: root, after, bytes };
                let answer = fixture.hive.answer(&request).unwrap();
                let size = lcs_abi::encode(&answer).len();
                let Answer::Values { entries, blankets, more } = answer else { panic!() };
                assert_eq!(blankets.len(), 1);
                assert!(entries.len() == 1 || size <= bytes as usize);
                after = entries.last().map(|last| ValuePosition {
                    name: last.name.folded.clone(),
                    layer: Some(last.layer.folded.clone()),
                });
                found.extend(entries.into_iter().map(|it| (it.name.folded, it.layer.folded)));
                if !more {
                    break;
                }
            }
            assert_eq!(found.len(), 30, "pages of {bytes} bytes");
            assert!(found.is_sorted());
        }
        let after = Some(ValuePosition { name: "value09".into(), layer: None });
        let request = Request::QueryValues { key: root, after, bytes: u32::MAX };
        let Ok(Answer::Values { entries, .. }) = fixture.hive.answer(&request) else { panic!() };
        assert!(entries.iter().all(|entry| entry.name.folded == "value10"));
        assert_eq!(entries.len(), 3);
    });
}

#[test]
fn one_value_goes_on_after_a_layer() {
    on_each_engine(|fixture| {
        let mut fixture = full(fixture);
        let key = fixture.root();
        let after_layer = Some("base".to_owned());
        let query = Request::QueryValue { key, name: "value05".into(), after_layer };
        let Ok(Answer::Values { entries, more: false, .. }) = fixture.hive.answer(&query) else {
            panic!()
        };
        let layers: Vec<_> = entries.iter().map(|entry| entry.layer.display.as_str()).collect();
        assert_eq!(layers, ["One", "Two"]);
    });
}

#[test]
fn answers_fit_the_largest_frame() {
    on_each_engine(|mut fixture| {
        let key = fixture.root();
        let max_frame = 1 << 20;
        fixture.hive.reader.set_max_frame(max_frame);
        let layers: Vec<String> = (0..8).map(|number| format!("layer{number}")).collect();
        for layer in &layers {
            fixture.step(vec![set_value(key, "big", layer, &[7; 300 << 10])]).unwrap();
        }
        let (mut found, mut after_layer) = (Vec::new(), None);
        loop {
            let query = Request::QueryValue { key, name: "big".into(), after_layer };
            let answer = fixture.hive.answer(&query).unwrap();
            assert!(lcs_abi::encode(&answer).len() < max_frame as usize);
            let Answer::Values { entries, more, .. } = answer else { panic!() };
            after_layer = entries.last().map(|last| last.layer.folded.clone());
            found.extend(entries.into_iter().map(|entry| entry.layer.folded));
            if !more {
                break;
            }
        }
        assert_eq!(found, layers);
    });
}

#[test]
fn a_layer_is_listed_in_pages_entries_first() {
    on_each_engine(|fixture| {
        let mut fixture = full(fixture);
        for bytes in [0, 300, 1500, u32::MAX] {
            let (mut positions, mut after) = (Vec::new(), None);
            loop {
                let request = Request::EnumLayer { layer: "one".into(), after, bytes };
                let Ok(Answer::Layer { entries, values, blankets, next }) =
                    fixture.hive.answer(&request)
                else {
                    panic!()
                };
                assert!(entries.iter().all(|it| it.layer == name("One")));
                positions.extend(
                    entries.into_iter().map(|it| LayerPosition::Entry(it.parent, it.name.folded)),
                );
                positions.extend(
                    values.into_iter().map(|it| LayerPosition::Value(it.key, it.name.folded)),
                );
                positions.extend(blankets.into_iter().map(|it| LayerPosition::Blanket(it.key)));
                after = next;
                if after.is_none() {
                    break;
                }
                assert_eq!(after.as_ref(), positions.last());
            }
            assert_eq!(positions.len(), 30);
            assert!(positions.is_sorted());
        }
    });
}

#[test]
fn nothing_is_listed_of_a_key_that_is_not_there() {
    on_each_engine(|mut fixture| {
        let absent = guid(9);
        for request in [
            Request::Lookup { parent: absent, name: "a".into() },
            Request::EnumChildren { parent: absent, after: None, bytes: 100 },
            Request::ReadKey { key: absent },
            Request::QueryValue { key: absent, name: "a".into(), after_layer: None },
            Request::QueryValues { key: absent, after: None, bytes: 100 },
        ] {
            assert_eq!(fixture.hive.answer(&request), Err(SourceError::NotFound), "{request:?}");
        }
    });
}
