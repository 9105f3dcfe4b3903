//! Several values of a key that are changed at once.

use lcs_abi::call::{Becomes, ChangeValues, ValueChange};
use lcs_abi::rsi::Request;
use lcs_core::registry::{Error, HandleId, NotFound};

use crate::common::Client;
use crate::common::client::{layer, open_key};

fn text(name: &str, data: &[u8]) -> ValueChange {
    ValueChange { name: name.into(), to: Becomes::Value { value_type: 1, data: data.into() } }
}

fn change(name: &str, to: Becomes) -> ValueChange {
    ValueChange { name: name.into(), to }
}

impl Client {
    fn change(
        &self,
        key: HandleId,
        changes: &[ValueChange],
        layer: Option<&str>,
    ) -> Result<u64, Error> {
        let request = ChangeValues { changes: changes.into(), layer: layer.map(Into::into) };
        self.run(self.registry.change_several(key, request)).map(|answer| answer.sequence)
    }

    fn all(&self, key: HandleId) -> Vec<(String, u64)> {
        let values = self.values(key, 4096).unwrap();
        values.into_iter().map(|value| (value.name, value.sequence)).collect()
    }
}

#[test]
fn all_of_them_are_there_with_one_step_and_their_numbers_follow_each_other() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "old", 1, b"", None).unwrap();
    client.world.take_requests();
    let changes =
        [text("a", b"1"), change("old", Becomes::Absent), text("B", b"2"), text("a", b"3")];
    let first = client.change(key, &changes, None).unwrap();
    let steps = client.world.take_requests();
    assert!(matches!(steps[..], [Request::Apply { .. }]), "{steps:?}");
    // Of two changes of one name the later counts.
    assert_eq!(client.all(key), [("a".to_owned(), first + 3), ("B".to_owned(), first + 2)]);
    assert_eq!(client.query(key, "a").unwrap().data, b"3");
}

#[test]
fn if_one_cannot_be_none_is() {
    let (client, _) = Client::with_hive([layer("policy", 5, true), layer("full", 6, true)]);
    let settings = client.open("Machine\\System\\Registry").unwrap();
    client.set(settings, "MaxLayersPerValue", 4, &2_u32.to_le_bytes(), None).unwrap();
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"", Some("full")).unwrap();
    let before = client.all(key);
    // A tombstone has no data.
    let number = Becomes::Value { value_type: 0xFFFF, data: b"some".into() };
    let long = "n".repeat(300);
    for (wrong, layer) in [
        (change("w", number), None),
        (text(&long, b""), None),
        // There is one in another layer already, and there is room for one.
        (text("v", b""), Some("policy")),
        (text("w", b""), Some("unknown")),
    ] {
        let changes = [text("one", b""), wrong.clone(), text("other", b"")];
        assert!(client.change(key, &changes, layer).is_err(), "{wrong:?}");
        assert_eq!(client.all(key), before);
    }
    assert!(client.change(key, &[], None).is_err());
    let blind = client.derive(
        None,
        lcs_abi::call::Derive::OpenKey {
            path: "Test\\k".into(),
            access: lcs_abi::security::Access::QUERY_VALUE.bits(),
            flags: 0,
        },
    );
    let denied = client.change(blind.unwrap(), &[text("one", b"")], None);
    assert!(matches!(denied, Err(Error::AccessDenied { .. })));
}

#[test]
fn a_layer_masks_what_it_is_told_to_and_forgets_it_again() {
    let (client, _) = Client::with_hive([layer("policy", 5, true)]);
    let key = client.create("Test\\k").unwrap();
    client.change(key, &[text("a", b"1"), text("b", b"2")], None).unwrap();
    let masks = [change("a", Becomes::Tombstone), text("b", b"3")];
    client.change(key, &masks, Some("policy")).unwrap();
    assert_eq!(client.query(key, "a"), Err(Error::NotFound(NotFound::Value)));
    assert_eq!(client.query(key, "b").unwrap().data, b"3");
    let gone = [change("a", Becomes::Absent), change("b", Becomes::Absent)];
    client.change(key, &gone, Some("policy")).unwrap();
    assert_eq!(client.query(key, "a").unwrap().data, b"1");
    assert_eq!(client.query(key, "b").unwrap().data, b"2");
}

#[test]
fn in_a_transaction_they_are_seen_in_it_and_then_by_all() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let transaction = client.begin();
    let inside = client.derive(Some(transaction), open_key("Test\\k")).unwrap();
    client.change(inside, &[text("a", b"1"), text("b", b"2")], None).unwrap();
    assert_eq!(client.query(inside, "b").unwrap().data, b"2");
    assert!(client.all(key).is_empty());
    client.commit(transaction).unwrap();
    assert_eq!(client.all(key).len(), 2);
}
