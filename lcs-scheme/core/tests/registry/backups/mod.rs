//! Backup and restore (DESIGN §13).

mod lifetimes;
mod own_keys;
mod racing;
mod rules;
mod watching;

use lcs_abi::backup::Record;
use lcs_abi::call::{CREATE_LINK, Derive, SetTombstone};
use lcs_core::registry::{Error, HandleId, NotFound};

use crate::common::Client;
use crate::common::client::{ALL, create_key, in_layer, layer};
use crate::common::streams::{
    back_up, back_up_in_pieces, comparable, records, restore, sequence, stream,
};
use crate::common::world::Source;

/// A registry in which there is something of everything below `Test\k`.
fn with_everything() -> (Client, Source, HandleId) {
    let layers = [layer("Role", 0, true), layer("Policy", 7, true), layer("Off", 3, false)];
    let (client, source) = Client::with_hive(layers);
    let key = client.create("Test\\k").unwrap();
    fill(&client, key);
    (client, source, key)
}

/// Puts something of everything below a key.
fn fill(client: &Client, key: HandleId) {
    let run = |made: Result<HandleId, Error>| client.close(made.unwrap());
    let below = |path: &str, layer, volatile| {
        client.derive(Some(key), create_key(path, layer, volatile)).unwrap()
    };
    client.set(key, "v", 1, b"base", None).unwrap();
    client.set(key, "V", 4, &[1, 0, 0, 0], Some("policy")).unwrap();
    client.set(key, "w", 1, b"off", Some("off")).unwrap();
    client.set(key, "", 3, &[0; 300], Some("role")).unwrap();
    let a = below("Alpha", None, false);
    let deep = client.derive(Some(a), create_key("deep", Some("role"), false)).unwrap();
    client.set(deep, "x", 11, &[7; 8], None).unwrap();
    let tombstone = SetTombstone { name: "x".into(), layer: Some("policy".into()) };
    client.run(client.registry.set_tombstone(deep, tombstone)).unwrap();
    client.run(client.registry.set_blanket(a, in_layer(Some("role")))).unwrap();
    client.set(a, "after", 1, b"", Some("role")).unwrap();
    let hidden = below("hidden", None, false);
    client.hide(hidden, Some("policy")).unwrap();
    let volatile = below("volatile", None, true);
    client.set(volatile, "gone", 1, b"after a restart", None).unwrap();
    run(client.derive(Some(volatile), create_key("too", None, true)));
    run(client.derive(
        Some(key),
        Derive::CreateKey {
            path: "link".into(),
            access: ALL,
            layer: None,
            flags: CREATE_LINK,
            link_target: Some("Test\\k\\Alpha".into()),
        },
    ));
    for handle in [a, deep, hidden, volatile] {
        client.close(handle);
    }
}

/// Changes what there is below the key, in every way.
fn change(client: &Client, key: HandleId) {
    client.set(key, "v", 1, b"other", None).unwrap();
    client.set(key, "new", 1, b"new", Some("role")).unwrap();
    let open = |path: &str| {
        let open = Derive::OpenKey { path: path.into(), access: ALL, flags: 0 };
        client.derive(Some(key), open).unwrap()
    };
    let deep = open("alpha\\deep");
    client.delete(deep, Some("role")).unwrap();
    client.close(deep);
    let made = client.derive(Some(key), create_key("alpha\\DEEP", None, false)).unwrap();
    client.close(made);
    let made = client.derive(Some(key), create_key("more", Some("policy"), false)).unwrap();
    client.close(made);
}

#[test]
fn a_backup_has_all_layers_in_the_order_of_the_format() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    let records = records(&stream);
    let names: Vec<String> = records
        .iter()
        .map(|record| match record {
            Record::Header(header) => format!("header {}", header.hive),
            Record::Layer(layer) => {
                format!("layer {} {} {}", layer.name, layer.precedence, layer.enabled)
            }
            Record::Key(key) => format!("key {} {}", key.volatile, key.link),
            Record::PathEntry(entry) if entry.child.is_none() => {
                format!("hidden {} {}", entry.name, entry.layer)
            }
            Record::PathEntry(entry) => format!("entry {} {}", entry.name, entry.layer),
            Record::Value(value) => {
                format!("value {} {} {:x}", value.name, value.layer, value.value_type)
            }
            Record::Blanket(blanket) => format!("blanket {}", blanket.layer),
            Record::Unknown { .. } => "unknown".into(),
        })
        .collect();
    let expected = [
        "header Test",
        "layer base 0 true",
        "layer Off 3 false",
        "layer Policy 7 true",
        "layer Role 0 true",
        "key false false",
        "hidden hidden Policy",
        "value  Role 3",
        "value v base 1",
        "value V Policy 4",
        "value w Off 1",
        "key false false",
        "entry Alpha base",
        "value after Role 1",
        "blanket Role",
        "key false false",
        "entry deep Role",
        "value x base b",
        "value x Policy ffff",
        "key false false",
        "entry hidden base",
        "key false true",
        "entry link base",
        "value  base 6",
        "key true false",
        "entry volatile base",
        "value gone base 1",
        "key true false",
        "entry too base",
    ];
    assert_eq!(names, expected);
    for size in [1, 7, 100] {
        let pieces = back_up_in_pieces(&client, key, size).unwrap();
        assert_eq!(comparable(&pieces), comparable(&stream), "in pieces of {size}");
    }
}

#[test]
fn a_restore_over_the_changed_original_brings_it_all_back() {
    let (client, _, key) = with_everything();
    let before = back_up(&client, key).unwrap();
    change(&client, key);
    assert_ne!(comparable(&back_up(&client, key).unwrap()), comparable(&before));
    restore(&client, key, &before).unwrap();
    assert_eq!(comparable(&back_up(&client, key).unwrap()), comparable(&before));
    assert_eq!(client.query(key, "v").unwrap().data, [1, 0, 0, 0]);
    assert_eq!(client.query(key, "new"), Err(Error::NotFound(NotFound::Value)));
    // What is written from now on is newer than what was restored.
    client.set(key, "v", 1, b"newest", Some("policy")).unwrap();
    assert_eq!(client.query(key, "v").unwrap().data, b"newest");
}

#[test]
fn a_restore_into_a_key_of_another_registry_makes_an_equal_one() {
    let (client, _, key) = with_everything();
    let before = back_up(&client, key).unwrap();
    let (other, _) = Client::with_hive([layer("role", 0, true), layer("policy", 7, true)]);
    let target = other.create("Test\\elsewhere").unwrap();
    other.set(target, "old", 1, b"", None).unwrap();
    restore(&other, target, &before).unwrap();
    let after = back_up(&other, target).unwrap();
    // The key keeps its GUID; the layer that is not there has lost its rank, and its entries wait for it.
    let own = other.details(target).unwrap().guid;
    let original = client.details(key).unwrap().guid;
    let expected: Vec<Record> = comparable(&before)
        .into_iter()
        .map(|mut record| {
            match &mut record {
                Record::Header(header) => header.root = own,
                Record::Key(key) if key.key == original => key.key = own,
                Record::PathEntry(entry) if entry.parent == original => entry.parent = own,
                Record::Value(value) if value.key == original => value.key = own,
                Record::Layer(layer) if layer.name == "Off" => layer.precedence = 0,
                Record::Layer(layer) => layer.name = layer.name.to_lowercase(),
                _ => {}
            }
            record
        })
        .collect();
    assert_eq!(comparable(&after), expected);
    assert_eq!(other.query(target, "v").unwrap().data, [1, 0, 0, 0]);
    assert_eq!(other.query(target, "w"), Err(Error::NotFound(NotFound::Value)));
    let off = other.create("Machine\\System\\Registry\\Layers\\off").unwrap();
    other.close(off);
    assert_eq!(other.query(target, "w").unwrap().data, b"off");
}

#[test]
fn where_a_key_of_the_stream_lives_elsewhere_in_the_hive_nothing_is_restored() {
    let (client, _, key) = with_everything();
    let before = back_up(&client, key).unwrap();
    let other = client.create("Test\\other").unwrap();
    client.set(other, "v", 1, b"stays", None).unwrap();
    let untouched = comparable(&back_up(&client, other).unwrap());
    let refused = restore(&client, other, &before);
    assert!(
        matches!(refused, Err(Error::Source(lcs_abi::rsi::SourceError::AlreadyExists))),
        "{refused:?}"
    );
    assert_eq!(comparable(&back_up(&client, other).unwrap()), untouched);
    assert_eq!(comparable(&back_up(&client, key).unwrap()), comparable(&before));
    // A key cannot contain itself.
    let alpha = client.open("Test\\k\\Alpha").unwrap();
    assert_eq!(restore(&client, alpha, &before), Err(Error::AlreadyExists));
    assert_eq!(comparable(&back_up(&client, key).unwrap()), comparable(&before));
}

#[test]
fn fifty_rounds_take_no_more_sequence_numbers_than_what_they_restore() {
    let (client, _, key) = with_everything();
    let first = back_up(&client, key).unwrap();
    let entries = records(&first).iter_mut().filter_map(sequence).count() as u64;
    let before = client.set(key, "v", 1, b"base", None).unwrap();
    for _ in 0..50 {
        let stream = back_up(&client, key).unwrap();
        restore(&client, key, &stream).unwrap();
    }
    let after = client.set(key, "v", 1, b"base", None).unwrap();
    // A write of its own takes two: of the value, and of the key's last write.
    assert!(after - before <= 50 * entries + 2, "{before} {after} {entries}");
}

#[test]
fn equal_numbers_stay_equal_and_the_order_of_others_stays() {
    let (client, _, key) = with_everything();
    let mut changed = records(&back_up(&client, key).unwrap());
    let values = changed.iter_mut().filter(|record| matches!(record, Record::Value(_)));
    for (record, number) in values.zip([u64::MAX, 5, 1 << 40, 5, 9]) {
        *sequence(record).unwrap() = number;
    }
    let before = stream(&changed);
    restore(&client, key, &before).unwrap();
    assert_eq!(comparable(&back_up(&client, key).unwrap()), comparable(&before));
}
