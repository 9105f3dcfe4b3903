//! What others did meanwhile.

use futures_util::future::join;
use lcs_abi::call::TransactionState;
use lcs_core::registry::Error;

use super::{NO_KEY, over};
use crate::common::Client;
use crate::common::client::{create_key, open_key};
use crate::common::client::{layer, system};

const CONFLICT: Result<(), Error> = Err(Error::ConditionFailed);

#[test]
fn of_two_who_write_the_same_value_both_do_in_the_order_of_their_commits() {
    let (client, _) = Client::with_hive([]);
    let root = client.open("Test").unwrap();
    let [first, second] = [client.begin(), client.begin()];
    for (transaction, data) in [(first, 1), (second, 2)] {
        let inside = client.open_in(transaction, "Test").unwrap();
        client.put(inside, "v", data);
    }
    client.put(root, "v", 3);
    client.commit(second).unwrap();
    assert_eq!(client.data(root, "v"), Ok(2));
    client.commit(first).unwrap();
    assert_eq!(client.data(root, "v"), Ok(1));
}

#[test]
fn an_expectation_is_of_what_is_committed_when_the_transaction_is() {
    let (client, _) = Client::with_hive([]);
    let root = client.open("Test").unwrap();
    let sequence = client.set(root, "v", 3, &[1], None).unwrap();
    let [first, second, third] = [client.begin(), client.begin(), client.begin()];
    for (transaction, expected) in [(first, sequence), (second, sequence), (third, 0)] {
        let inside = client.open_in(transaction, "Test").unwrap();
        client.set_if(inside, "v", 2, Some(expected)).unwrap();
        client.put(inside, "other", 2);
    }
    assert_eq!(client.commit(third), CONFLICT);
    assert_eq!(client.state(third), TransactionState::Aborted);
    client.commit(first).unwrap();
    assert_eq!(client.commit(second), CONFLICT);
    assert_eq!(client.commit(second), over(TransactionState::Aborted));
}

#[test]
fn a_key_that_is_made_inside_has_no_value_yet() {
    let (client, _) = Client::with_hive([]);
    for (expected, outcome) in [(0, Ok(())), (7, CONFLICT)] {
        let transaction = client.begin();
        let made = client.create_in_transaction(transaction, &format!("Test\\{expected}")).unwrap();
        client.set_if(made, "v", 1, Some(expected)).unwrap();
        assert_eq!(client.commit(transaction), outcome);
    }
}

#[test]
fn one_name_is_made_once() {
    let (client, _) = Client::with_hive([]);
    let [first, second] = [client.begin(), client.begin()];
    for transaction in [first, second] {
        let made = client.create_in_transaction(transaction, "Test\\k").unwrap();
        client.put(made, "v", 1);
    }
    client.commit(first).unwrap();
    assert_eq!(client.commit(second), CONFLICT);
    let third = client.begin();
    client.create_in_transaction(third, "Test\\l").unwrap();
    client.create("Test\\L").unwrap();
    assert_eq!(client.commit(third), CONFLICT);
}

#[test]
fn nothing_is_made_or_written_under_a_key_that_is_gone() {
    let (client, _) = Client::with_hive([]);
    let doomed = client.create("Test\\k").unwrap();
    let [first, second] = [client.begin(), client.begin()];
    client.create_in_transaction(first, "Test\\k\\below").unwrap();
    let inside = client.open_in(second, "Test\\k").unwrap();
    client.put(inside, "v", 1);
    client.close(inside);
    client.delete(doomed, None).unwrap();
    client.close(doomed);
    assert_eq!(client.commit(first), CONFLICT);
    assert_eq!(client.commit(second), CONFLICT);
    assert_eq!(client.open("Test\\k"), Err(NO_KEY));
}

#[test]
fn a_key_under_which_others_made_one_is_not_deleted() {
    let (client, _) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test\\k").unwrap();
    client.delete(inside, None).unwrap();
    client.create("Test\\k\\below").unwrap();
    assert_eq!(client.commit(transaction), CONFLICT);
    client.open("Test\\k\\below").unwrap();
}

#[test]
fn a_key_is_deleted_once() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test\\k").unwrap();
    client.delete(inside, None).unwrap();
    client.delete(key, None).unwrap();
    assert_eq!(client.commit(transaction), CONFLICT);
}

#[test]
fn a_plain_write_waits_for_no_open_transaction() {
    let (client, _) = Client::with_hive([]);
    let root = client.open("Test").unwrap();
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    client.put(inside, "v", 1);
    client.create_in_transaction(transaction, "Test\\k").unwrap();
    client.put(root, "v", 2);
    client.create("Test\\l").unwrap();
    assert_eq!(client.data(inside, "v"), Ok(1));
    assert_eq!(client.names(inside), ["k", "l"]);
    client.commit(transaction).unwrap();
    assert_eq!(client.data(root, "v"), Ok(1));
}

#[test]
fn a_plain_creation_and_a_commit_that_meet_come_out_in_one_order_or_the_other() {
    let (mut made, mut found) = (0, 0);
    for number in 0..3_u8.pow(4) {
        let (client, _) = Client::with_hive([]);
        let transaction = client.begin();
        let inside = client.create_in_transaction(transaction, "Test\\k").unwrap();
        client.put(inside, "v", 1);
        client.world.set_delays((0..4).map(|place| number / 3_u8.pow(place) % 3).collect());
        let system = system();
        let plain = client.registry.derive(None, &system, create_key("Test\\k", None, false));
        let commit = client.registry.commit(transaction);
        let (committed, plain) = if number % 2 == 0 {
            client.run(join(commit, plain))
        } else {
            let (plain, committed) = client.run(join(plain, commit));
            (committed, plain)
        };
        client.world.set_delays(Vec::new());
        let plain = plain.unwrap();
        let is_new = !client.info(plain).unwrap().created;
        assert_eq!(committed.is_ok(), is_new, "{number}");
        assert_eq!(client.data(plain, "v").is_ok(), committed.is_ok(), "{number}");
        if is_new { found += 1 } else { made += 1 }
    }
    assert!(made > 0 && found > 0, "{made} {found}");
}

#[test]
fn a_value_has_no_more_layers_after_a_commit_than_it_may_have() {
    let layers = ["a", "b", "c"].map(|name| layer(name, 0, true));
    let (client, _) = Client::with_hive(layers);
    let settings = client.derive(None, open_key("Machine\\System\\Registry")).unwrap();
    client.set(settings, "MaxLayersPerValue", 4, &3_u32.to_le_bytes(), None).unwrap();
    let root = client.open("Test").unwrap();
    let [first, second] = [client.begin(), client.begin()];
    for (transaction, layer) in [(first, "a"), (second, "b")] {
        let inside = client.open_in(transaction, "Test").unwrap();
        client.set(inside, "v", 3, &[1], Some(layer)).unwrap();
    }
    client.set(root, "v", 3, &[1], Some("c")).unwrap();
    client.commit(first).unwrap();
    assert_eq!(client.commit(second), CONFLICT);
}
