//! What a restore tells those who watch (DESIGN §7).

use lcs_abi::watch::{EventKind, NOTIFY_ALL, NOTIFY_SD, Notify, decode_events};
use lcs_core::registry::HandleId;

use super::with_everything;
use crate::common::Client;
use crate::common::client::{ROOM, layer};
use crate::common::streams::{back_up, restore};

fn watch(client: &Client, path: &str, filter: u32, subtree: bool) -> HandleId {
    let handle = client.open(path).unwrap();
    client.run(client.registry.notify(handle, Notify { filter, subtree })).unwrap();
    handle
}

fn told(client: &Client, handle: HandleId) -> Vec<EventKind> {
    let events = client.registry.read_events(handle, ROOM).unwrap();
    let events = decode_events(&events).unwrap();
    events.iter().map(|event| EventKind::from_code(event.kind).unwrap()).collect()
}

#[test]
fn it_is_overflow_at_the_target_and_above_and_the_end_for_keys_that_go() {
    let (client, _, key) = with_everything();
    let other = client.create("Test\\other").unwrap();
    let stream = back_up(&client, key).unwrap();
    for path in ["Test\\k\\new", "Test\\k\\new\\below", "Test\\k\\unseen"] {
        client.close(client.create(path).unwrap());
    }
    let unseen = watch(&client, "Test\\k\\unseen", NOTIFY_ALL, false);
    client.hide(unseen, Some("role")).unwrap();
    assert_eq!(told(&client, unseen), [EventKind::KeyDeleted]);
    let target = watch(&client, "Test\\k", NOTIFY_SD, false);
    let root = watch(&client, "Test", NOTIFY_ALL, true);
    let only_root = watch(&client, "Test", NOTIFY_ALL, false);
    let stays = watch(&client, "Test\\k\\Alpha\\deep", NOTIFY_ALL, false);
    let goes = watch(&client, "Test\\k\\new", NOTIFY_SD, false);
    let below = watch(&client, "Test\\k\\new\\below", NOTIFY_ALL, true);
    let elsewhere = watch(&client, "Test\\other", NOTIFY_ALL, true);
    restore(&client, key, &stream).unwrap();
    assert_eq!(told(&client, target), [EventKind::Overflow]);
    assert_eq!(told(&client, root), [EventKind::Overflow]);
    assert_eq!(told(&client, only_root), []);
    assert_eq!(told(&client, stays), [EventKind::Overflow]);
    assert_eq!(told(&client, goes), [EventKind::KeyDeleted]);
    assert_eq!(told(&client, below), [EventKind::KeyDeleted]);
    assert_eq!(told(&client, unseen), [], "it was gone before, for whoever watches");
    assert_eq!(told(&client, elsewhere), []);
    // Watches on what stays go on.
    client.set(stays, "y", 1, b"", None).unwrap();
    assert_eq!(told(&client, stays), [EventKind::ValueSet]);
    assert_eq!(told(&client, root), [EventKind::ValueSet]);
    client.close(other);
}

#[test]
fn a_key_that_is_hidden_after_a_restore_is_deleted_for_whoever_watches_it() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    let unhide = lcs_abi::call::Unhide { child: "hidden".into(), layer: Some("policy".into()) };
    client.run(client.registry.unhide(key, unhide)).unwrap();
    let hidden = watch(&client, "Test\\k\\hidden", NOTIFY_ALL, false);
    restore(&client, key, &stream).unwrap();
    assert_eq!(told(&client, hidden), [EventKind::KeyDeleted, EventKind::Overflow]);
}

#[test]
fn a_key_that_comes_back_tells_whoever_watched_it() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    let deep = watch(&client, "Test\\k\\Alpha\\deep", NOTIFY_ALL, false);
    client.delete(deep, Some("role")).unwrap();
    assert_eq!(told(&client, deep), [EventKind::KeyDeleted]);
    let above = watch(&client, "Test\\k\\Alpha", NOTIFY_ALL, true);
    restore(&client, key, &stream).unwrap();
    assert_eq!(told(&client, deep), [EventKind::Overflow]);
    assert_eq!(told(&client, above), [EventKind::Overflow]);
    client.set(deep, "y", 1, b"", None).unwrap();
    assert_eq!(told(&client, above), [EventKind::ValueSet]);
    assert_eq!(told(&client, deep), [EventKind::ValueSet]);
}

#[test]
fn whoever_does_not_see_the_target_from_above_is_told_nothing() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    let above = watch(&client, "Test", NOTIFY_ALL, true);
    client.hide(key, Some("policy")).unwrap();
    assert_eq!(told(&client, above), [EventKind::SubkeyDeleted]);
    restore(&client, key, &stream).unwrap();
    assert_eq!(told(&client, above), []);
}

#[test]
fn a_key_below_one_that_is_gone_is_where_it_was_after_a_restore() {
    let (client, _) = Client::with_hive([layer("Role", 0, true)]);
    let above = client.create_in("Test\\a", Some("Role")).unwrap();
    let below = client.create_in("Test\\a\\b", Some("Role")).unwrap();
    let deep = client.create("Test\\a\\b\\c").unwrap();
    client.close(above);
    let role = client.open("Machine\\System\\Registry\\Layers\\Role").unwrap();
    client.delete(role, None).unwrap();
    let stream = back_up(&client, deep).unwrap();
    restore(&client, deep, &stream).unwrap();
    assert_eq!(client.details(deep).unwrap().path, "Test\\a\\b\\c");
    client.close(below);
}
