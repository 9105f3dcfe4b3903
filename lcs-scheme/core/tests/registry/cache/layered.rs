//! Answers about values of which many layers say something, which are kept as they were given.

use lcs_abi::call::{Derive, QueryValue};
use lcs_abi::value::ValueType;
use lcs_core::registry::HandleId;

use crate::common::Client;
use crate::common::client::{layer, open_key};

const LAYERS: u8 = 20;

/// What a value is, asked three times: the second answer and the third one are what was kept, if anything was.
fn found(client: &Client, key: HandleId, name: &str) -> Option<u8> {
    let answers = [(); 3].map(|()| client.query(key, name).ok().map(|answer| answer.data[0]));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0]
}

#[test]
fn what_is_kept_of_a_value_of_many_layers_is_what_is_there() {
    let names: Vec<String> = (0..LAYERS).map(|number| format!("layer {number:02}")).collect();
    let with_rank = (0..).zip(&names).map(|(rank, name)| layer(name, rank, name != "layer 19"));
    let (client, _) = Client::with_hive(with_rank);
    let [one, other] = ["Test\\one", "Test\\other"].map(|path| client.create(path).unwrap());
    for (number, layer) in (0..).zip(&names) {
        for (key, more) in [(one, 0), (other, 100)] {
            client.set(key, "v", 3, &[number + more; 8], Some(layer)).unwrap();
            client.set(key, "w", 3, &[number + more + 40; 8], Some(layer)).unwrap();
        }
    }
    let all = || [(one, "v"), (one, "w"), (other, "v"), (other, "w")];
    let values = || all().map(|(key, name)| found(&client, key, name).unwrap());
    // The last layer is disabled.
    assert_eq!(values(), [18, 58, 118, 158]);
    let request = QueryValue { name: "V".into() };
    assert!(client.registry.known_value(one, &request).is_some());

    // In a view that has the disabled layer, and beside it.
    let attached = vec!["layer 19".to_owned()];
    let view = Derive::View { scopes: Vec::new(), private_layers: attached, sealed: false };
    let root = client.registry.open_root(None, crate::common::client::system().token).unwrap();
    let view = client.derive(Some(root), view).unwrap();
    let through = client.derive(Some(view), open_key("Test\\one")).unwrap();
    for _ in 0..2 {
        assert_eq!(found(&client, through, "v"), Some(19));
        assert_eq!(found(&client, one, "v"), Some(18));
    }

    // A write, a mask, and a layer's rules.
    client.set(one, "v", 3, &[77; 8], Some("layer 18")).unwrap();
    assert_eq!(values(), [77, 58, 118, 158]);
    let tombstone =
        lcs_abi::call::SetTombstone { name: "w".into(), layer: Some(names[18].clone()) };
    client.run(client.registry.set_tombstone(other, tombstone)).unwrap();
    assert_eq!(found(&client, other, "w"), None);
    let last = client.open("Machine\\System\\Registry\\Layers\\layer 19").unwrap();
    let enabled = 1_u32.to_le_bytes();
    client.set(last, "Enabled", ValueType::Dword.code(), &enabled, None).unwrap();
    assert_eq!(values(), [19, 59, 119, 159]);
    let rank = 1000_u32.to_le_bytes();
    let first = client.open("Machine\\System\\Registry\\Layers\\layer 00").unwrap();
    client.set(first, "Precedence", ValueType::Dword.code(), &rank, None).unwrap();
    assert_eq!(values(), [0, 40, 100, 140]);
    client.delete(first, None).unwrap();
    assert_eq!(values(), [19, 59, 119, 159]);

    // A transaction sees what it writes, and nobody else does before its commit.
    let transaction = client.begin();
    let within = client.derive(Some(transaction), open_key("Test\\one")).unwrap();
    client.set(within, "v", 3, &[5; 8], Some("layer 19")).unwrap();
    assert_eq!((found(&client, within, "v"), found(&client, one, "v")), (Some(5), Some(19)));
    client.commit(transaction).unwrap();
    assert_eq!(found(&client, one, "v"), Some(5));
}
