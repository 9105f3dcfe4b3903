use lcs_core::registry::{Error, HandleId};

use super::{READ, WRITE, types};
use crate::common::Client;
use crate::common::client::layer;

fn poll(client: &Client, file: HandleId) -> bool {
    client.run(client.registry.poll_file(file)).unwrap()
}

fn told(client: &Client) -> Vec<HandleId> {
    client.registry.take_readable()
}

#[test]
fn a_file_is_readable_until_it_was_read_and_again_when_its_value_changed() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"one", None).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    assert!(poll(&client, file));
    client.read_at(file, 0, 99).unwrap();
    assert!(!poll(&client, file));
    assert_eq!(told(&client), []);
    client.set(key, "w", types::SZ, b"other", None).unwrap();
    assert_eq!(told(&client), [], "another value");
    client.set(key, "V", types::SZ, b"two", None).unwrap();
    assert_eq!(told(&client), [file]);
    assert_eq!(client.registry.is_readable(file), Ok(true));
    assert!(poll(&client, file));
    client.read_at(file, 0, 99).unwrap();
    assert!(!poll(&client, file));
    assert_eq!(client.registry.is_readable(file), Ok(false));
    client.rm("Test/k/v").unwrap();
    assert_eq!(told(&client), [file]);
    client.read_at(file, 0, 99).unwrap_err();
    assert!(!poll(&client, file));
    client.set(key, "v", types::SZ, b"three", None).unwrap();
    assert_eq!(told(&client), [file]);
}

#[test]
fn a_change_before_anybody_polled_is_not_missed() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"one", None).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    client.read_at(file, 0, 99).unwrap();
    client.set(key, "v", types::SZ, b"two", None).unwrap();
    assert!(poll(&client, file));
}

#[test]
fn a_change_that_nobody_sees_wakes_nobody() {
    let (client, _source) = Client::with_hive([layer("policy", 5, true)]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"policy", Some("policy")).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    client.read_at(file, 0, 99).unwrap();
    assert!(!poll(&client, file));
    client.set(key, "v", types::SZ, b"masked", None).unwrap();
    assert_eq!(told(&client), []);
    assert!(!poll(&client, file));
}

#[test]
fn a_source_that_comes_back_wakes_whoever_polls() {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"one", None).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    client.read_at(file, 0, 99).unwrap();
    assert!(!poll(&client, file));
    client.disconnect(1);
    assert!(poll(&client, file), "reading says what is the matter");
    client.serve(2, &[("Test", &source)]).unwrap();
    assert_eq!(told(&client), [file]);
}

#[test]
fn only_a_file_to_be_read_is_polled_and_a_closed_one_tells_nobody() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"one", None).unwrap();
    let written = client.file("Test/k/v", WRITE).unwrap();
    assert_eq!(client.run(client.registry.poll_file(written)), Err(Error::BadHandle));
    let file = client.file("Test/k/v", READ).unwrap();
    client.read_at(file, 0, 99).unwrap();
    poll(&client, file);
    client.close(file);
    client.set(key, "v", types::SZ, b"two", None).unwrap();
    assert_eq!(told(&client), []);
}
