//! How much is kept, and for whom.

use lcs_abi::call::{CacheStatus, QueryValue};
use lcs_core::registry::HandleId;

use crate::common::Client;
use crate::common::client::{layer, system};
use crate::common::streams::back_up;

const MIB: usize = 1 << 20;

/// A registry whose settings can be written, a key in its hive `Test`, and a root.
fn with_settings() -> (Client, HandleId, HandleId) {
    let (client, _source) = Client::with_hive([layer("role", 0, true)]);
    let key = client.create("Test\\k").unwrap();
    let root = client.registry.open_root(None, system().token).unwrap();
    (client, key, root)
}

fn limit(client: &Client, bytes: usize) {
    let settings = client.open("Machine\\System\\Registry").unwrap();
    client.set(settings, "CacheBytes", 11, &(bytes as u64).to_le_bytes(), None).unwrap();
}

fn status(client: &Client, root: HandleId) -> CacheStatus {
    let status = client.registry.status(root, "", []).unwrap();
    status.details.expect("SYSTEM sees it").cache
}

fn fill(client: &Client, key: HandleId, count: usize, size: usize) {
    for number in 0..count {
        let name = format!("v{number}");
        client.set(key, &name, 3, &vec![number as u8; size], None).unwrap();
        client.query(key, &name).unwrap();
    }
}

fn is_known(client: &Client, key: HandleId, name: &str) -> bool {
    client.world.take_requests();
    client.query(key, name).unwrap();
    client.world.take_requests().is_empty()
}

#[test]
fn never_more_is_kept_than_cache_bytes_and_what_was_used_last_stays() {
    let (client, key, root) = with_settings();
    limit(&client, MIB);
    for number in 0..100 {
        let name = format!("v{number}");
        client.set(key, &name, 3, &vec![7; 50_000], None).unwrap();
        client.query(key, &name).unwrap();
        client.query(key, "v0").unwrap();
        let CacheStatus { bytes, limit, .. } = status(&client, root);
        assert_eq!(limit, MIB as u64);
        assert!(bytes <= limit, "{bytes}");
    }
    assert!(status(&client, root).bytes > MIB as u64 / 2, "it is used");
    assert!(is_known(&client, key, "v0"), "it was used all the time");
    assert!(is_known(&client, key, "v99"));
    assert!(!is_known(&client, key, "v1"));
}

#[test]
fn a_lower_limit_takes_effect_at_once_and_a_higher_one_lets_more_be_kept() {
    let (client, key, root) = with_settings();
    fill(&client, key, 40, 100_000);
    let before = status(&client, root).bytes;
    assert!(before > 3_900_000, "{before}");
    limit(&client, MIB);
    let after = status(&client, root);
    assert_eq!(after.limit, MIB as u64);
    assert!(after.bytes <= after.limit, "{}", after.bytes);
    limit(&client, 32 * MIB);
    fill(&client, key, 40, 100_000);
    assert!(status(&client, root).bytes > 3_900_000);
}

#[test]
fn what_is_more_than_an_eighth_of_the_limit_is_not_kept() {
    let (client, key, _root) = with_settings();
    limit(&client, MIB);
    for (size, kept) in [(100_000, true), (125_000, true), (140_000, false), (900_000, false)] {
        client.set(key, "v", 3, &vec![7; size], None).unwrap();
        client.query(key, "v").unwrap();
        assert_eq!(is_known(&client, key, "v"), kept, "{size}");
    }
}

#[test]
fn a_backup_neither_uses_what_is_kept_nor_adds_to_it() {
    let (client, key, root) = with_settings();
    fill(&client, key, 10, 1000);
    client.create("Test\\k\\sub").unwrap();
    client.forget(1);
    let before = status(&client, root);
    back_up(&client, key).unwrap();
    let cold = status(&client, root);
    assert_eq!(cold.entries, before.entries);
    fill(&client, key, 10, 1000);
    client.subkeys(key, true, MIB).unwrap();
    let before = status(&client, root);
    client.world.take_requests();
    back_up(&client, key).unwrap();
    assert!(client.world.take_requests().len() > 2, "all of it is asked for");
    let warm = status(&client, root);
    assert_eq!((warm.entries, warm.bytes), (before.entries, before.bytes));
}

#[test]
fn hits_and_misses_are_counted() {
    let (client, key, root) = with_settings();
    client.set(key, "v", 3, b"x", None).unwrap();
    client.forget(1);
    let before = status(&client, root);
    let request = QueryValue { name: "v".into() };
    client.run(client.registry.query_value(key, request.clone())).unwrap();
    let missed = status(&client, root);
    assert_eq!((missed.hits, missed.misses), (before.hits, before.misses + 1));
    client.run(client.registry.query_value(key, request.clone())).unwrap();
    assert!(client.registry.known_value(key, &request).is_some());
    let hit = status(&client, root);
    assert_eq!((hit.hits, hit.misses), (missed.hits + 2, missed.misses));
}
