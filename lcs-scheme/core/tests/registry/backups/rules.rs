//! What streams are refused, with nothing changed.

use lcs_abi::Guid;
use lcs_abi::backup::{Blanket, Header, Key, Layer, PathEntry, Record, Value};
use lcs_abi::call::Derive;
use lcs_abi::rsi::SourceError;
use lcs_core::registry::{Error, HandleId};
use lcs_core::security::{SecurityDescriptor, Sid};

use super::with_everything;
use crate::common::Client;
use crate::common::client::{ALL, administrator, create_key, layer, user};
use crate::common::streams::{back_up, comparable, records, restore, restore_as, stream};

const A: Guid = Guid([0xa; 16]);
const B: Guid = Guid([0xb; 16]);
const ROOT: Guid = Guid([1; 16]);

fn header() -> Record {
    Record::Header(Header { time: 1, root: ROOT, hive: "Test".into() })
}

fn used(name: &str) -> Record {
    let mut owner = Vec::new();
    Sid::SYSTEM.write(&mut owner);
    Record::Layer(Layer { name: name.into(), precedence: 0, enabled: true, owner })
}

fn key_with(key: Guid, volatile: bool, link: bool) -> Record {
    let sd: SecurityDescriptor = "O:SYG:SYD:(A;CI;KA;;;SY)".parse().unwrap();
    Record::Key(Key { key, volatile, link, sd: sd.to_bytes(), last_write: 7 })
}

fn key(key: Guid) -> Record {
    key_with(key, false, false)
}

fn entry(parent: Guid, name: &str, child: Option<Guid>, sequence: u64) -> Record {
    let layer = "base".into();
    Record::PathEntry(PathEntry { parent, name: name.into(), child, layer, sequence })
}

fn value_in(key: Guid, name: &str, layer: &str, sequence: u64) -> Record {
    let (name, layer) = (name.into(), layer.into());
    Record::Value(Value { key, name, value_type: 1, data: b"data".into(), layer, sequence })
}

fn blanket(key: Guid, layer: &str, sequence: u64) -> Record {
    Record::Blanket(Blanket { key, layer: layer.into(), sequence })
}

/// A registry with a key into which the streams here may be restored.
fn target() -> (Client, HandleId) {
    let (client, _) = Client::with_hive([layer("role", 0, true), layer("policy", 7, true)]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"stays", None).unwrap();
    client.close(client.derive(Some(key), create_key("below", None, false)).unwrap());
    (client, key)
}

/// Fails unless these records, after those of a sound beginning, are refused, and nothing is changed.
fn refused(what: &str, records: &[Record]) -> Error {
    let (client, target) = target();
    let before = comparable(&back_up(&client, target).unwrap());
    let error = restore(&client, target, &stream(records)).expect_err(what);
    assert_eq!(comparable(&back_up(&client, target).unwrap()), before, "{what}");
    error
}

#[test]
fn the_smallest_stream_makes_a_key_without_anything() {
    let (client, target) = target();
    restore(&client, target, &stream(&[header(), key(ROOT)])).unwrap();
    assert_eq!(client.values(target, 1 << 16).unwrap(), []);
    assert_eq!(client.subkeys(target, false, 1 << 16).unwrap(), []);
    assert_eq!(client.details(target).unwrap().last_write, 7);
}

#[test]
fn entries_may_stand_with_their_parent_as_well() {
    let (client, target) = target();
    let early = [
        header(),
        used("base"),
        key(ROOT),
        entry(ROOT, "a", Some(A), 1),
        entry(ROOT, "h", None, 2),
        entry(ROOT, "b", Some(B), 3),
        key(A),
        value_in(A, "v", "base", 4),
        key(B),
        // What leads to the key at the top is no concern of the stream.
        entry(Guid([9; 16]), "top", Some(ROOT), 5),
    ];
    restore(&client, target, &stream(&early)).unwrap();
    let names: Vec<String> =
        client.subkeys(target, false, 1 << 16).unwrap().into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn records_that_contradict_each_other_are_invalid() {
    let base = || used("base");
    let sound = || vec![header(), base(), key(ROOT)];
    let with = |more: Vec<Record>| [sound(), more].concat();
    let bad_sd =
        Record::Key(Key { key: A, volatile: false, link: false, sd: vec![1, 2, 3], last_write: 0 });
    let bad_owner = Record::Layer(Layer {
        name: "role".into(),
        precedence: 0,
        enabled: true,
        owner: vec![1, 2, 3],
    });
    let bad_value = |value_type, data: &[u8]| {
        let (name, layer, sequence) = ("v".into(), "base".into(), 1);
        Record::Value(Value { key: ROOT, name, value_type, data: data.into(), layer, sequence })
    };
    let named = |name: &str, record| vec![entry(ROOT, name, Some(A), 1), record];
    let cases: Vec<(&str, Vec<Record>)> = vec![
        ("no key", vec![header(), base()]),
        ("only another key", vec![header(), base(), key(A)]),
        ("the top twice", with(vec![key(ROOT)])),
        ("a key twice", with([named("a", key(A)), vec![key(A)]].concat())),
        ("a key without an entry", with(vec![key(A)])),
        ("a key without an entry before another", with(vec![key(A), key(B)])),
        ("an entry without its key", with(vec![entry(ROOT, "a", Some(A), 1)])),
        ("a parent that is not there", with(vec![key(A), entry(B, "a", Some(A), 1)])),
        ("a parent that comes later", with(vec![key(A), entry(B, "a", Some(A), 1), key(B)])),
        ("its own parent", with(vec![key(A), entry(A, "a", Some(A), 1)])),
        ("hidden under nothing", with(vec![entry(B, "a", None, 1)])),
        (
            "two names",
            with(vec![key(A), entry(ROOT, "a", Some(A), 1), entry(ROOT, "b", Some(A), 2)]),
        ),
        (
            "two parents",
            with(vec![
                key(A),
                entry(ROOT, "a", Some(A), 1),
                key(B),
                entry(A, "b", Some(B), 2),
                entry(ROOT, "b", Some(B), 3),
            ]),
        ),
        ("a value of nothing", with(vec![value_in(B, "v", "base", 1)])),
        ("a blanket of nothing", with(vec![blanket(B, "base", 1)])),
        ("a layer without LAYER", with(vec![value_in(ROOT, "v", "role", 1)])),
        ("a layer after the keys", with(vec![used("role")])),
        ("a layer twice", vec![header(), base(), used("BASE"), key(ROOT)]),
        ("an owner that is no SID", vec![header(), base(), bad_owner, key(ROOT)]),
        ("a separator in a layer's name", vec![header(), used("a\\b"), key(ROOT)]),
        ("a separator in a name", with(named("a\\b", key(A)))),
        ("an empty name", with(named("", key(A)))),
        ("a NUL in a value's name", with(vec![value_in(ROOT, "\0", "base", 1)])),
        ("a descriptor that is none", with(vec![bad_sd, entry(ROOT, "a", Some(A), 1)])),
        ("a type that is none", with(vec![bad_value(77, b"")])),
        ("a tombstone with data", with(vec![bad_value(0xffff, b"x")])),
        ("a volatile top", vec![header(), base(), key_with(ROOT, true, false)]),
        ("a top that is a link", vec![header(), base(), key_with(ROOT, false, true)]),
        ("a key of zeros", with(named("a", key(Guid::default())))),
        (
            "what lasts under what does not",
            with(vec![
                key_with(A, true, false),
                entry(ROOT, "a", Some(A), 1),
                key(B),
                entry(A, "b", Some(B), 2),
            ]),
        ),
    ];
    for (what, records) in cases {
        let error = refused(what, &records);
        assert!(matches!(error, Error::Invalid(_)), "{what}: {error:?}");
    }
}

#[test]
fn entries_that_could_not_be_told_apart_are_invalid() {
    let sound = || vec![header(), used("base"), used("role"), key(ROOT)];
    let with = |more: Vec<Record>| [sound(), more].concat();
    let one_name = |layer: &str, child: Guid, sequence| {
        let (name, layer) = ("a".into(), layer.into());
        Record::PathEntry(PathEntry { parent: ROOT, name, child: Some(child), layer, sequence })
    };
    let cases = [
        ("a value twice", vec![value_in(ROOT, "v", "base", 1), value_in(ROOT, "V", "base", 2)]),
        ("one number", vec![value_in(ROOT, "v", "base", 1), value_in(ROOT, "v", "role", 1)]),
        ("a blanket's number", vec![value_in(ROOT, "v", "base", 1), blanket(ROOT, "role", 1)]),
        ("a blanket twice", vec![blanket(ROOT, "role", 1), blanket(ROOT, "ROLE", 2)]),
        ("a name twice", vec![key(A), one_name("base", A, 1), key(B), one_name("base", B, 2)]),
        (
            "one number for two keys",
            vec![key(A), one_name("base", A, 1), key(B), one_name("role", B, 1)],
        ),
    ];
    for (what, records) in cases {
        let error = refused(what, &with(records));
        assert_eq!(error, Error::Source(SourceError::Invalid), "{what}");
    }
}

#[test]
fn limits_hold_for_what_is_restored() {
    let with = |more: Vec<Record>| [vec![header(), used("base"), key(ROOT)], more].concat();
    let long = "x".repeat(256);
    let named = |name: &str| with(vec![key(A), entry(ROOT, name, Some(A), 1)]);
    assert_eq!(refused("a long name", &named(&long)), Error::NameTooLong);
    let value = with(vec![value_in(ROOT, &long, "base", 1)]);
    assert_eq!(refused("a long value name", &value), Error::NameTooLong);
    let layer = [header(), used(&long), key(ROOT)];
    assert_eq!(refused("a long layer name", &layer), Error::NameTooLong);
    let mut large = value_in(ROOT, "v", "base", 1);
    if let Record::Value(value) = &mut large {
        value.data = vec![0; (1 << 20) + 1];
    }
    assert_eq!(refused("a large value", &with(vec![large])), Error::LimitExceeded("MaxValueSize"));
    let mut deep = vec![header(), used("base"), key(ROOT)];
    let guid = |number: u16| {
        if number == 0 { ROOT } else { Guid(u128::from(number).to_be_bytes()) }
    };
    for number in 1..=511 {
        deep.push(key(guid(number)));
        deep.push(entry(guid(number - 1), "d", Some(guid(number)), number.into()));
    }
    assert!(matches!(refused("too deep", &deep), Error::Invalid(_)));
    let mut layers = vec![header(), used("base")];
    layers.extend((0..129).map(|number| used(&format!("l{number}"))));
    layers.push(key(ROOT));
    layers.extend((0..129).map(|number| value_in(ROOT, "v", &format!("l{number}"), number)));
    assert_eq!(refused("many layers", &layers), Error::LimitExceeded("MaxLayersPerValue"));
}

#[test]
fn no_damage_to_a_stream_gets_through() {
    let (client, target) = target();
    let small = [
        header(),
        used("base"),
        key(ROOT),
        value_in(ROOT, "v", "base", 1),
        key(A),
        entry(ROOT, "a", Some(A), 2),
        blanket(A, "base", 3),
    ];
    let whole = stream(&small);
    let before = comparable(&back_up(&client, target).unwrap());
    let restored = |bytes: &[u8]| restore(&client, target, bytes).is_ok();
    for cut in 0..whole.len() {
        assert!(!restored(&whole[..cut]), "cut at {cut}");
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << bit;
            assert!(!restored(&damaged), "bit {bit} of byte {place}");
        }
    }
    assert!(!restored(&[&whole[..], &[0]].concat()), "something behind it");
    assert_eq!(comparable(&back_up(&client, target).unwrap()), before);
    assert!(restored(&whole));
}

#[test]
fn it_takes_privileges() {
    let (client, key) = target();
    let stream = back_up(&client, key).unwrap();
    let alice = user(1000, &[]);
    let restored = restore_as(&client, &alice, key, &stream);
    assert_eq!(restored, Err(Error::PrivilegeMissing));
    let backup = client.derive_as(&alice, Some(key), Derive::Backup);
    assert_eq!(backup, Err(Error::PrivilegeMissing));
    let restrict = Derive::Restrict { access: ALL, layers: None };
    let restricted = client.derive(Some(key), restrict).unwrap();
    assert_eq!(restore(&client, restricted, &stream), Err(Error::PrivilegeMissing));
    assert_eq!(back_up(&client, restricted), Err(Error::PrivilegeMissing));
    let copy = client.run(client.registry.store_copy(restricted));
    assert_eq!(copy, Err(Error::PrivilegeMissing));
}

#[test]
fn a_layer_above_base_takes_more() {
    let (client, _, everything) = with_everything();
    let backup = back_up(&client, everything).unwrap();
    let operator = administrator(1000);
    let restored = restore_as(&client, &operator, everything, &backup);
    assert_eq!(restored, Err(Error::PrivilegeMissing), "Policy has precedence 7");
    let (client, key) = target();
    let plain = back_up(&client, key).unwrap();
    restore_as(&client, &operator, key, &plain).unwrap();
    // The table counts as well as the stream.
    let mut without = records(&plain);
    without.insert(2, used("POLICY"));
    let restored = restore_as(&client, &operator, key, &stream(&without));
    assert_eq!(restored, Err(Error::PrivilegeMissing));
}
