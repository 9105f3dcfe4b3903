//! What random histories have found, one by one.

use lcs_abi::call::TransactionState;
use lcs_core::registry::Error;

use crate::common::Client;
use crate::common::client::{layer, open_key};

const LAYER: &str = "Machine\\System\\Registry\\Layers\\Role";

#[test]
fn a_transaction_that_deletes_a_layer_that_is_gone_meanwhile_is_aborted() {
    let client = Client::new([layer("Role", 0, true)]);
    let transaction = client.begin();
    let inside = client.derive(Some(transaction), open_key(LAYER)).unwrap();
    client.delete(inside, None).unwrap();
    client.close(inside);
    let outside = client.open(LAYER).unwrap();
    client.delete(outside, None).unwrap();
    client.close(outside);
    assert_eq!(client.commit(transaction), Err(Error::ConditionFailed));
    assert_eq!(client.state(transaction), TransactionState::Aborted);
}
