//! What random histories have found, one by one.

use lcs_abi::call::TransactionState;
use lcs_core::registry::Error;

use crate::common::Client;
use crate::common::client::{layer, open_key};

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
