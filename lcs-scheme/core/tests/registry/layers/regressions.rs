//! What random histories have found, one by one.

use lcs_abi::call::{Derive, TransactionState};
use lcs_abi::watch::{EventKind, Notify, decode_events};
use lcs_core::registry::Error;

use crate::common::Client;
use crate::common::client::{ROOM, create_key, in_layer, layer, open_key, system};

#[test]
fn a_transaction_that_deletes_a_key_that_is_gone_meanwhile_is_aborted() {
    let client = Client::new([layer("Role", 0, true)]);
    for path in ["Machine\\a", "Machine\\System\\Registry\\Layers\\Role"] {
        let made = client.create(path).unwrap();
        client.close(made);
        let transaction = client.begin();
        let inside = client.derive(Some(transaction), open_key(path)).unwrap();
        client.delete(inside, None).unwrap();
        client.close(inside);
        let outside = client.open(path).unwrap();
        client.delete(outside, None).unwrap();
        client.close(outside);
        assert_eq!(client.commit(transaction), Err(Error::ConditionFailed));
        assert_eq!(client.state(transaction), TransactionState::Aborted);
    }
}

#[test]
fn a_transaction_that_writes_into_a_layer_of_a_key_that_is_gone_meanwhile_is_aborted() {
    let client = Client::new([layer("Role", 0, true)]);
    let made = client.create("Machine\\a").unwrap();
    client.close(made);
    let transaction = client.begin();
    let inside = client.derive(Some(transaction), open_key("Machine\\a")).unwrap();
    client.set(inside, "v", 3, &[1], Some("Role")).unwrap();
    client.close(inside);
    let outside = client.open("Machine\\a").unwrap();
    client.delete(outside, None).unwrap();
    client.close(outside);
    assert_eq!(client.commit(transaction), Err(Error::ConditionFailed));
    assert_eq!(client.state(transaction), TransactionState::Aborted);
}

#[test]
fn who_watches_from_above_a_key_that_is_gone_learns_nothing_of_an_orphan_below_it() {
    let (client, _) = Client::with_hive([layer("Role", 0, true)]);
    let root = client.open("Test").unwrap();
    let above = client.create_in("Test\\a", Some("Role")).unwrap();
    let orphan = client.create_in("Test\\a\\b", Some("Role")).unwrap();
    client.close(above);
    let role = client.open("Machine\\System\\Registry\\Layers\\Role").unwrap();
    client.delete(role, None).unwrap();
    client.run(client.registry.notify(root, Notify { filter: 7, subtree: true })).unwrap();
    client.set(orphan, "v", 3, &[1], None).unwrap();
    let events = client.registry.read_events(root, ROOM).unwrap();
    assert_eq!(decode_events(&events), Ok(Vec::new()));
}

#[test]
fn who_watches_an_orphan_is_told_what_the_end_of_a_layer_changes_there() {
    let (client, _) = Client::with_hive([layer("Role", 0, true), layer("Other", 0, true)]);
    let root = client.open("Test").unwrap();
    let above = client.create_in("Test\\a", Some("Role")).unwrap();
    let orphan = client.create_in("Test\\a\\b", Some("Role")).unwrap();
    client.close(above);
    client.run(client.registry.notify(root, Notify { filter: 7, subtree: true })).unwrap();
    client.run(client.registry.notify(orphan, Notify { filter: 7, subtree: false })).unwrap();
    let role = client.open("Machine\\System\\Registry\\Layers\\Role").unwrap();
    client.delete(role, None).unwrap();
    client.set(orphan, "v", 3, &[1], Some("Other")).unwrap();
    let events = client.registry.read_events(orphan, ROOM).unwrap();
    let kinds = |events: &[u8]| {
        decode_events(events).unwrap().into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&events), [6, 1]);
    let other = client.open("Machine\\System\\Registry\\Layers\\Other").unwrap();
    client.delete(other, None).unwrap();
    let events = client.registry.read_events(orphan, ROOM).unwrap();
    assert_eq!(kinds(&events), [2]);
}

#[test]
fn a_rank_that_the_same_commit_lets_another_layer_mask_does_not_count() {
    let (client, _) = Client::with_hive([layer("Role", 0, true), layer("Policy", 0, true)]);
    let layers = "Machine\\System\\Registry\\Layers";
    let role = client.open(&format!("{layers}\\Role")).unwrap();
    client.run(client.registry.set_blanket(role, in_layer(Some("Policy")))).unwrap();
    let transaction = client.begin();
    for (name, precedence) in [("Role", 1_u32), ("Policy", 3)] {
        let open = open_key(&format!("{layers}\\{name}"));
        let key = client.derive(Some(transaction), open).unwrap();
        client.set(key, "Precedence", 4, &precedence.to_le_bytes(), None).unwrap();
    }
    client.commit(transaction).unwrap();
    let root = client.registry.open_root(None, system().token).unwrap();
    let table = client.registry.status(root, "", []).unwrap().details.unwrap().layers;
    let ranks: Vec<(&str, u32)> =
        table.iter().map(|layer| (layer.name.as_str(), layer.precedence)).collect();
    assert_eq!(ranks, [("Role", 0), ("base", 0), ("Policy", 3)]);
}

#[test]
fn who_watches_a_key_below_that_of_a_layer_is_told_that_it_goes_with_the_layer() {
    // It is visible in a view alone, so that it does not keep the layer's key from being deleted.
    let (client, _) = Client::with_hive([layer("Role", 0, false)]);
    let path = "Machine\\System\\Registry\\Layers\\Role";
    let (scopes, private_layers, sealed) = (Vec::new(), vec!["Role".into()], false);
    let root = client.registry.open_root(None, system().token).unwrap();
    let view = client.derive(Some(root), Derive::View { scopes, private_layers, sealed }).unwrap();
    let below = create_key(&format!("{path}\\a"), Some("Role"), false);
    let key = client.derive(Some(view), below).unwrap();
    client.set(key, "v", 3, &[1], Some("Role")).unwrap();
    client.run(client.registry.notify(key, Notify { filter: 7, subtree: false })).unwrap();
    let transaction = client.begin();
    let inside = client.derive(Some(transaction), open_key(path)).unwrap();
    client.delete(inside, None).unwrap();
    client.close(inside);
    client.commit(transaction).unwrap();
    let events = decode_events(&client.registry.read_events(key, ROOM).unwrap()).unwrap();
    let mut kinds: Vec<u32> = events.iter().map(|event| event.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [EventKind::ValueDeleted, EventKind::KeyDeleted].map(EventKind::code));
}
