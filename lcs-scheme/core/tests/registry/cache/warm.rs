//! What was read is not asked for again, until it changed.

use lcs_abi::call::DeleteValue;

use crate::common::Client;

#[test]
fn what_was_read_is_not_asked_for_again() {
    let (client, _source) = Client::with_hive([]);
    let mut path = String::from("Test");
    for name in ["a", "b", "c", "d", "e"] {
        path = format!("{path}\\{name}");
        client.create(&path).unwrap();
    }
    let key = client.open(&path).unwrap();
    client.set(key, "v", 3, b"one", None).unwrap();
    client.query(key, "v").unwrap();
    client.world.take_requests();
    let again = client.open(&path).unwrap();
    assert_eq!(client.query(again, "V").unwrap().data, b"one");
    assert_eq!(client.world.take_requests(), []);
}

#[test]
fn a_change_is_seen_by_the_next_read() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    for data in [b"one", b"two"] {
        client.set(key, "v", 3, data, None).unwrap();
        assert_eq!(client.query(key, "v").unwrap().data, data);
        assert_eq!(client.values(key, 1 << 16).unwrap()[0].data, data);
    }
    let request = DeleteValue { name: "v".into(), layer: None };
    client.run(client.registry.delete_value(key, request)).unwrap();
    assert!(client.query(key, "v").is_err());
    assert!(client.values(key, 1 << 16).unwrap().is_empty());
}

#[test]
fn what_was_kept_is_asked_for_again_when_the_source_says_that_it_changed() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 3, b"one", None).unwrap();
    client.query(key, "v").unwrap();
    client.forget(1);
    client.world.take_requests();
    client.query(key, "v").unwrap();
    assert!(!client.world.take_requests().is_empty());
    client.query(key, "v").unwrap();
    assert_eq!(client.world.take_requests(), []);
}
