//! Random histories: both engines answer alike, and the rows agree with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use lcs_abi::rsi::{BlanketEntry, LayerPosition};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::both::Home;
use super::super::restore::sequence_of;
use super::super::rows::{self, EntryRow, KeyRow, Kind, Place};
use super::*;

const LAYERS: [&str; 3] = ["base", "role", "role2"];

#[derive(Clone, Debug)]
enum Event {
    Request(Request),
    Restart,
}

fn any_key() -> impl Strategy<Value = Guid> {
    prop_oneof![1 => Just(guid(200)), 4 => (1..7u8).prop_map(guid)]
}

fn any_name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "A", "ab", ""]).prop_map(name)
}

fn any_layer() -> impl Strategy<Value = Name> {
    prop::sample::select(LAYERS.to_vec()).prop_map(name)
}

fn any_mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let folded =
        || (any_key(), any_name(), any_layer()).prop_map(|(k, n, l)| (k, n.folded, l.folded));
    let new_key = (1..7u8, any_key(), any::<bool>(), any_name(), any_layer());
    prop_oneof![
        4 => new_key.prop_map(|(number, parent, volatile, name, layer)| {
            let record = KeyRecord { volatile, name: name.clone(), ..record(number, parent, "") };
            let target = Target::Key(record.key);
            vec![Mutation::CreateKey(record), Mutation::SetEntry { parent, name, layer, target }]
        }),
        1 => (1..7u8, any_key(), any::<bool>()).prop_map(|(number, parent, volatile)| {
            vec![Mutation::CreateKey(KeyRecord { volatile, ..record(number, parent, "x") })]
        }),
        1 => (any_key(), any::<Option<i64>>()).prop_map(|(key, last_write)| {
            vec![Mutation::WriteKey { key, sd: last_write.map(|it| it.to_le_bytes().to_vec()), last_write }]
        }),
        2 => (any_key(), any_name(), any_layer(), any_key()).prop_map(|(parent, name, layer, key)| {
            let target = Target::Key(key);
            vec![Mutation::SetEntry { parent, name, layer, target }]
        }),
        1 => (any_key(), any_name(), any_layer()).prop_map(|(parent, name, layer)| {
            vec![Mutation::SetEntry { parent, name, layer, target: Target::Hidden }]
        }),
        2 => folded().prop_map(|(parent, name, layer)| vec![Mutation::DeleteEntry { parent, name, layer }]),
        3 => (any_key(), any_name(), any_layer(), any::<u8>()).prop_map(|(key, name, layer, byte)| {
            vec![Mutation::SetValue { key, name, layer, value_type: 3, data: vec![byte] }]
        }),
        1 => folded().prop_map(|(key, name, layer)| vec![Mutation::DeleteValue { key, name, layer }]),
        1 => (any_key(), any_layer()).prop_map(|(key, layer)| vec![Mutation::SetBlanket { key, layer }]),
        1 => folded().prop_map(|(key, _, layer)| vec![Mutation::ClearBlanket { key, layer }]),
        1 => any_key().prop_map(|key| vec![Mutation::RemoveSubtree { key }]),
        2 => any_restore(),
    ]
}

/// What a restore of a tree of one to three keys would be, if this were one.
fn any_restore() -> impl Strategy<Value = Vec<Mutation>> {
    let key = (any_key(), 1..7u8, any::<bool>(), any_name(), any_layer(), 0..4u64);
    let value = (any_name(), any_layer(), 0..4u64);
    let restored = (key, vec(value, 0..3), prop::option::of((any_layer(), 0..4u64)));
    (any::<bool>(), any_key(), vec(restored, 1..4)).prop_map(|(empties, target, restored)| {
        let mut mutations = Vec::new();
        if empties {
            mutations.push(Mutation::RemoveSubtree { key: target });
        }
        for ((parent, number, volatile, name, layer, sequence), values, blanket) in restored {
            let key = guid(number);
            let record = KeyRecord { volatile, name: name.clone(), ..record(number, parent, "") };
            mutations.push(Mutation::RestoreKey(record));
            let target = Target::Key(key);
            mutations.push(Mutation::RestoreEntry(PathEntry {
                parent,
                name,
                layer,
                target,
                sequence,
            }));
            for (name, layer, sequence) in values {
                let (value_type, data) = (3, vec![number]);
                let value = ValueEntry { key, name, layer, value_type, data, sequence };
                mutations.push(Mutation::RestoreValue(value));
            }
            if let Some((layer, sequence)) = blanket {
                mutations.push(Mutation::RestoreBlanket(BlanketEntry { key, layer, sequence }));
            }
        }
        mutations
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (any_mutations(), prop::option::weighted(0.2, any_mutations())).prop_map(|(mut mutations, more)| {
            mutations.extend(more.into_iter().flatten());
            Event::Request(apply(0, vec![], mutations))
        }),
        2 => any_key().prop_map(|key| Event::Request(Request::DropKey { key })),
        1 => any_layer().prop_map(|layer| Event::Request(Request::DeleteLayer { layer: layer.folded })),
        1 => Just(Event::Restart),
    ]
}

/// Every row with its home.
pub(super) fn rows_of(hive: &Hive) -> Vec<(Home, Vec<u8>, Vec<u8>)> {
    rows_in(hive, None)
}

fn rows_in(hive: &Hive, snapshot: Option<u64>) -> Vec<(Home, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut collect = |home, rows: &dyn crate::store::Rows| {
        rows.scan(&[], &[], &mut |row, value| {
            found.push((home, row.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })
    };
    let looked = hive.reader.shared.views.look(snapshot, |committed| {
        collect(Home::Store, &*committed.store)?;
        collect(Home::Memory, &committed.memory)
    });
    looked.unwrap();
    found
}

/// What must be true of the rows at any time.
pub(super) fn check(hive: &mut Hive) {
    let all = rows_of(hive);
    let map: BTreeMap<&[u8], (Home, &[u8])> =
        all.iter().map(|(home, row, value)| (&row[..], (*home, &value[..]))).collect();
    assert_eq!(map.len(), all.len(), "a row is on disk and in memory");
    let of_kind = |kind: Kind| map.iter().filter(move |(row, _)| row[0] == kind as u8);
    let key_row = |key: Guid| -> (Home, KeyRow) {
        let row = rows::of_guid(Kind::Key, key);
        let (home, value) = map.get(&row[..]).expect("the key is there");
        (*home, rows::decode(&row, value).unwrap())
    };

    let mut numbers: BTreeSet<(Kind, Guid, &str, u64)> = BTreeSet::new();
    for kind in [Kind::Entry, Kind::Value, Kind::Blanket] {
        for (row, (_, value)) in of_kind(kind) {
            let place = Place::of_row(row).unwrap();
            let sequence = sequence_of(row, value).unwrap();
            let is_new = numbers.insert((kind, place.guid, place.name, sequence));
            assert!(is_new, "two entries of one name have one number");
        }
    }
    for (kind, key, _, number) in &numbers {
        let is_blanket =
            *kind == Kind::Value && numbers.contains(&(Kind::Blanket, *key, "", *number));
        assert!(!is_blanket, "a value and a blanket have one number");
    }

    let mut named: BTreeMap<Guid, u32> = BTreeMap::new();
    let mut indexed = 0;
    for kind in [Kind::Entry, Kind::Value, Kind::Blanket] {
        for (row, (home, value)) in of_kind(kind) {
            let place = Place::of_row(row).unwrap();
            let index = map.get(&place.index_row()[..]).expect("it is in the index by layer");
            assert_eq!(index.0, *home);
            indexed += 1;
            let mut expected = key_row(place.guid).0;
            if kind == Kind::Entry
                && let Target::Key(child) = rows::decode::<EntryRow>(row, value).unwrap().target
            {
                *named.entry(child).or_default() += 1;
                let (child_home, child) = key_row(child);
                assert_eq!(child.parent, place.guid);
                expected = child_home;
            }
            assert_eq!(*home, expected);
        }
    }
    assert_eq!(of_kind(Kind::Layer).count(), indexed);

    let mut orphans = 0;
    for (row, (home, _)) in of_kind(Kind::Key) {
        let key = rows::guid_of(row).unwrap();
        let (_, found) = key_row(key);
        assert_eq!(*home, Home::of(found.volatile));
        assert_eq!(found.entries, named.get(&key).copied().unwrap_or(0));
        assert_eq!(map.get(&rows::of_guid(Kind::Descriptor, key)[..]).map(|it| it.0), Some(*home));
        let orphan = map.get(&rows::of_guid(Kind::Orphan, key)[..]).map(|it| it.0);
        let is_orphan = found.entries == 0 && key != hive.root();
        assert_eq!(orphan, is_orphan.then_some(*home));
        orphans += usize::from(is_orphan);
    }
    assert_eq!(of_kind(Kind::Orphan).count(), orphans);
    assert_eq!(of_kind(Kind::Descriptor).count(), of_kind(Kind::Key).count());

    for layer in LAYERS {
        let mut scanned: Vec<LayerPosition> = Vec::new();
        for kind in [Kind::Entry, Kind::Value, Kind::Blanket] {
            for place in of_kind(kind).map(|(row, _)| Place::of_row(row).unwrap()) {
                if place.layer == layer {
                    scanned.push(match kind {
                        Kind::Entry => LayerPosition::Entry(place.guid, place.name.into()),
                        Kind::Value => LayerPosition::Value(place.guid, place.name.into()),
                        _ => LayerPosition::Blanket(place.guid),
                    });
                }
            }
        }
        let request = Request::EnumLayer { layer: layer.into(), after: None, bytes: u32::MAX };
        let Ok(Answer::Layer { entries, values, blankets, next: None }) = hive.answer(&request)
        else {
            panic!("no listing of {layer}")
        };
        let mut listed: Vec<LayerPosition> = Vec::new();
        listed
            .extend(entries.into_iter().map(|it| LayerPosition::Entry(it.parent, it.name.folded)));
        listed.extend(values.into_iter().map(|it| LayerPosition::Value(it.key, it.name.folded)));
        listed.extend(blankets.into_iter().map(|it| LayerPosition::Blanket(it.key)));
        assert_eq!(listed, scanned);
    }
}

/// The request with the next numbers in it, and how many it reserves.
fn numbered(request: &Request, next: u64) -> (Request, u64) {
    match request {
        Request::Apply { conditions, changes: Changes::Mutations(mutations), .. } => {
            let restored: BTreeSet<u64> = mutations
                .iter()
                .filter_map(|mutation| match mutation {
                    Mutation::RestoreEntry(entry) => Some(entry.sequence),
                    Mutation::RestoreValue(value) => Some(value.sequence),
                    Mutation::RestoreBlanket(blanket) => Some(blanket.sequence),
                    _ => None,
                })
                .collect();
            let reserves = if restored.is_empty() { mutations.len() } else { restored.len() };
            let reserves = reserves.max(1) as u64;
            (apply(next, conditions.clone(), mutations.clone()), reserves)
        }
        other => (other.clone(), 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_engines_agree_with_each_other_and_with_themselves(history in vec(any_event(), 1..60)) {
        let (mut memory, mut disk) = (Fixture::in_memory(), Fixture::on_disk());
        let mut next = 1;
        for event in history {
            match event {
                Event::Request(request) => {
                    let (request, reserves) = numbered(&request, next);
                    let before = rows_of(&disk.hive);
                    let answer = memory.hive.answer(&request);
                    prop_assert_eq!(&disk.hive.answer(&request), &answer);
                    match answer {
                        Ok(_) => next += reserves,
                        Err(_) => prop_assert_eq!(before, rows_of(&disk.hive)),
                    }
                }
                Event::Restart => {
                    memory = memory.restart();
                    disk = disk.restart();
                    let left = rows_of(&disk.hive);
                    prop_assert!(left.iter().all(|(home, _, _)| *home == Home::Store));
                    prop_assert!(left.iter().all(|(_, row, _)| row[0] != Kind::Orphan as u8));
                }
            }
            check(&mut disk.hive);
            let view = disk.hive.writer.store.view().unwrap();
            super::super::check(&*view, &mut |problem| {
                // LCS names a key by its own name only; these histories do otherwise.
                assert!(problem.what.contains("and its name is"), "{problem}");
            })
            .unwrap();
            prop_assert_eq!(rows_of(&disk.hive), rows_of(&memory.hive));
            prop_assert_eq!(disk.hive.max_sequence(), next - 1);
        }
    }

    #[test]
    fn any_bytes_in_place_of_a_row_are_an_error_at_most(
        which in any::<prop::sample::Index>(),
        bytes in vec(any::<u8>(), 0..40),
    ) {
        let mut fixture = Fixture::in_memory();
        let root = fixture.root();
        let key = fixture.make_key(1, root, "a");
        fixture.step(vec![set_value(key, "a", "role", b"1"), Mutation::SetBlanket { key, layer: name("role") }]).unwrap();
        let (_, row, _) = which.get(&rows_of(&fixture.hive)).clone();
        let mut store = fixture.hive.writer.store;
        store.commit(&mut |rows| rows.put(&row, &bytes).map(|_| true)).unwrap();
        // Whatever it says, it says it.
        let _ = super::super::check(&*store.view().unwrap(), &mut |_| {});
        let Ok(mut hive) = Hive::open("Machine", store) else { return Ok(()) };
        for request in [
            Request::Lookup { parent: root, name: "a".into() },
            Request::EnumChildren { parent: root, after: None, bytes: 100 },
            Request::ReadKey { key },
            Request::QueryValues { key, after: None, bytes: 100 },
            Request::EnumLayer { layer: "role".into(), after: None, bytes: 100 },
            apply(9, vec![], vec![name_key(key, root, "a", "role"), Mutation::RemoveSubtree { key: root }]),
            Request::DeleteLayer { layer: "role".into() },
            Request::DropKey { key },
        ] {
            let _ = hive.answer(&request);
        }
    }
}
