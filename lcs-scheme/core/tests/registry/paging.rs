//! Listings in pages: of the answer, of the source, and both at once.

use lcs_abi::call::{NamedValue, QueryValues};
use lcs_abi::rsi::{Answer, Changes, KeyRecord, Mutation, Name, Request, Target};
use lcs_abi::security::MACHINE_ROOT_SD;
use lcs_abi::{BASE_LAYER, Guid};
use lcs_core::registry::Error;

use crate::common::Client;
use crate::common::client::{ROOM, layer};
use crate::common::world::Source;

/// How many bytes a source is asked for at once, and more than it gives.
const MORE_THAN_A_PAGE: usize = 300 << 10;

fn same(name: &str) -> Name {
    Name { display: name.into(), folded: name.into() }
}

fn key_record(parent: Guid, key: Guid, name: &str) -> KeyRecord {
    let sd = MACHINE_ROOT_SD.to_vec();
    KeyRecord { key, parent, name: same(name), sd, volatile: false, link: false, last_write: 7 }
}

/// Fills a source behind the registry's back, before it is connected.
fn apply(source: &Source, mutations: Vec<Mutation>) {
    let first_sequence = source.max_sequence() + 1;
    let changes = Changes::Mutations(mutations);
    let step = Request::Apply { conditions: Vec::new(), changes, first_sequence };
    assert_eq!(source.ask(&step), Ok(Answer::Applied { first_sequence: None }));
}

/// How many requests of a kind the sources were asked since the last look.
fn asked(client: &Client, kind: fn(&Request) -> bool) -> usize {
    client.world.take_requests().iter().filter(|request| kind(request)).count()
}

#[test]
fn thousands_of_children_are_listed_over_several_pages_of_the_source() {
    let source = Source::new("Test");
    let names: Vec<String> = (0..3000).map(|number| format!("child {number:05}")).collect();
    let mut mutations = Vec::new();
    for (number, name) in (1_u128..).zip(&names) {
        let (parent, key) = (source.root(), Guid((number << 64).to_be_bytes()));
        mutations.push(Mutation::CreateKey(key_record(parent, key, name)));
        let target = Target::Key(key);
        let (name, layer) = (same(name), same(BASE_LAYER));
        mutations.push(Mutation::SetEntry { parent, name, layer, target });
    }
    apply(&source, mutations);
    let client = Client::new([]);
    client.serve(1, &[("Test", &source)]).unwrap();
    let root = client.open("Test").unwrap();
    client.world.take_requests();
    let all = client.subkeys(root, false, ROOM).unwrap();
    assert!(all.iter().map(|subkey| &subkey.name).eq(&names));
    let pages = asked(&client, |request| matches!(request, Request::EnumChildren { .. }));
    assert!(pages > 2, "{pages} pages of the source");
    assert_eq!(client.subkeys(root, false, 5000).unwrap(), all);
    assert_eq!(client.subkeys(root, true, ROOM).unwrap().len(), all.len());
    assert_eq!(client.details(root).unwrap().counts.subkeys, 3000);
}

#[test]
fn children_hidden_over_whole_pages_are_passed_over() {
    let source = Source::new("Test");
    let root = source.root();
    let mut mutations = Vec::new();
    let mut hide = |name: &str| {
        let (name, layer) = (same(name), same(BASE_LAYER));
        mutations.push(Mutation::SetEntry { parent: root, name, layer, target: Target::Hidden });
    };
    for number in 0..4000 {
        hide(&format!("hidden {number:05} {}", "x".repeat(100)));
    }
    let key = Guid([9; 16]);
    mutations.push(Mutation::CreateKey(key_record(root, key, "seen")));
    let (name, layer) = (same("seen"), same(BASE_LAYER));
    mutations.push(Mutation::SetEntry { parent: root, name, layer, target: Target::Key(key) });
    apply(&source, mutations);
    let client = Client::new([]);
    client.serve(1, &[("Test", &source)]).unwrap();
    let root = client.open("Test").unwrap();
    client.world.take_requests();
    let found = client.subkeys(root, false, 64).unwrap();
    assert_eq!(found.iter().map(|subkey| subkey.name.as_str()).collect::<Vec<_>>(), ["seen"]);
    let pages = asked(&client, |request| matches!(request, Request::EnumChildren { .. }));
    assert!(pages > 2, "{pages} pages of the source");
}

/// A key with values larger than a page, small ones, masked ones and the default one.
fn filled() -> (Client, Vec<NamedValue>) {
    let (client, _) = Client::with_hive([layer("policy", 5, true)]);
    let root = client.open("Test").unwrap();
    let mut expected = Vec::new();
    for number in 0..40_usize {
        let name = if number == 0 { String::new() } else { format!("value {number:02}") };
        let size = if number % 8 == 3 { MORE_THAN_A_PAGE } else { number * 100 };
        let data = vec![number as u8; size];
        let mut sequence = client.set(root, &name, 3, &data, None).unwrap();
        let (mut layer, mut data) = ("base", data);
        if number % 5 == 1 {
            (layer, data) = ("policy", vec![1]);
            sequence = client.set(root, &name, 3, &data, Some(layer)).unwrap();
        }
        if number % 5 == 2 {
            client.set(root, &name, 0xFFFF, &[], Some("policy")).unwrap();
        } else {
            let layer = layer.into();
            expected.push(NamedValue { name, value_type: 3, data, sequence, layer });
        }
    }
    (client, expected)
}

#[test]
fn values_are_the_same_in_pages_of_any_size() {
    let (client, expected) = filled();
    let root = client.open("Test").unwrap();
    for budget in [ROOM, 400 << 10, 10_000, 1000, 64, 0] {
        assert!(client.values(root, budget).unwrap() == expected, "in pages of {budget} bytes");
    }
}

#[test]
fn an_answer_without_room_says_how_much_it_needs() {
    let (client, expected) = filled();
    let root = client.open("Test").unwrap();
    let first = |cursor: Option<&str>, budget| {
        let request = QueryValues { cursor: cursor.map(Into::into) };
        client.run(client.registry.query_values(root, request, budget))
    };
    // The third value but one masked: 300 KiB, and the cursor stands before it.
    let large = expected.iter().position(|value| value.data.len() == MORE_THAN_A_PAGE).unwrap();
    let before = expected[large - 1].name.as_str();
    let Err(Error::BufferTooSmall { needed }) = first(Some(before), 4096) else {
        panic!("a value of {MORE_THAN_A_PAGE} bytes in 4096");
    };
    assert!((MORE_THAN_A_PAGE..MORE_THAN_A_PAGE + 200).contains(&needed));
    assert!(matches!(first(Some(before), needed - 1), Err(Error::BufferTooSmall { .. })));
    let page = first(Some(before), needed).unwrap();
    assert_eq!(page.answer.values, expected[large..=large]);
}

#[test]
fn a_value_with_entries_of_many_layers_is_one_value_in_every_listing() {
    let names: Vec<String> = (0..100).map(|number| format!("layer {number:03}")).collect();
    let (client, _) =
        Client::with_hive((0..).zip(&names).map(|(rank, name)| layer(name, rank, true)));
    let root = client.open("Test").unwrap();
    // 100 entries of 8 KiB: no page of a source holds them all.
    for name in ["a", "b", "c"] {
        for (number, layer) in (0_u8..).zip(&names) {
            client.set(root, name, 3, &[number; 8192], Some(layer)).unwrap();
        }
    }
    client.world.take_requests();
    for budget in [ROOM, 8300] {
        let values = client.values(root, budget).unwrap();
        let found: Vec<_> = values
            .iter()
            .map(|value| (value.name.as_str(), value.data[0], &*value.layer))
            .collect();
        assert_eq!(found, [("a", 99, "layer 099"), ("b", 99, "layer 099"), ("c", 99, "layer 099")]);
    }
    assert!(asked(&client, |request| matches!(request, Request::QueryValues { .. })) > 2 * 9);
    assert_eq!(client.query(root, "b").unwrap().data, vec![99; 8192]);
}

#[test]
fn a_value_larger_than_the_sources_frames_is_read_in_several_answers() {
    let (client, _) = Client::with_hive([layer("a", 1, true), layer("b", 2, true)]);
    let root = client.open("Test").unwrap();
    let settings = client.open("Machine\\System\\Registry").unwrap();
    client.set(settings, "MaxValueSize", 4, &(8_u32 << 20).to_le_bytes(), None).unwrap();
    for (number, layer) in (0_u8..).zip(["base", "a", "b"]) {
        client.set(root, "v", 3, &vec![number; 8 << 20], Some(layer)).unwrap();
    }
    client.world.take_requests();
    let found = client.query(root, "v").unwrap();
    assert_eq!((found.data.len(), found.data[0]), (8 << 20, 2));
    assert!(asked(&client, |request| matches!(request, Request::QueryValue { .. })) > 1);
}
