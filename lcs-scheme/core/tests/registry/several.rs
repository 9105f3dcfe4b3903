//! Several values of a key that are changed at once, and several keys of a transaction.

use lcs_abi::call::{
    Becomes, ChangeKeys, ChangeValues, Derive, KeyChange, MOST_CHANGED_KEYS, ValueChange,
};
use lcs_abi::rsi::Request;
use lcs_core::registry::{Error, HandleId, NotFound};

use crate::common::Client;
use crate::common::client::{layer, open_key, system, user};

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

fn key(path: &str, values: &[ValueChange]) -> KeyChange {
    KeyChange { path: path.into(), values: values.into(), ..KeyChange::default() }
}

/// A key's path, and its values with their data.
type Contents = (String, Vec<(String, Vec<u8>)>);

impl Client {
    fn change_keys(
        &self,
        base: HandleId,
        keys: &[KeyChange],
        layer: Option<&str>,
    ) -> Result<(), Error> {
        let keys = ChangeKeys { keys: keys.into(), layer: layer.map(Into::into) };
        let last = self.derive(Some(base), Derive::ChangeKeys(keys))?;
        self.close(last);
        Ok(())
    }

    /// What is there, from a key down.
    fn tree(&self, path: &str) -> Vec<Contents> {
        let handle = self.open(path).unwrap();
        let values = self.values(handle, 4096).unwrap();
        let values = values.into_iter().map(|value| (value.name, value.data)).collect();
        let mut found = vec![(path.to_owned(), values)];
        for child in self.subkeys(handle, false, 4096).unwrap() {
            found.extend(self.tree(&format!("{path}\\{}", child.name)));
        }
        self.close(handle);
        found
    }
}

/// Keys, some of which are there, with a link on the way.
fn some() -> (Client, Vec<KeyChange>) {
    let (client, _) = Client::with_hive([layer("Role", 1, true)]);
    let there = client.create("Test\\There").unwrap();
    client.set(there, "old", 1, b"old", None).unwrap();
    client.link("Test\\Link", "Test\\There");
    let keys = vec![
        key("Test\\A", &[text("a", b"1"), text("b", b"2")]),
        key("Test\\A\\B", &[]),
        key("Test\\A\\B\\C", &[text("", b"3")]),
        key("Test\\There", &[text("new", b"4"), change("old", Becomes::Absent)]),
        key("Test\\Link\\Below", &[text("d", b"5")]),
        KeyChange { volatile: true, ..key("Test\\Volatile", &[text("e", b"6")]) },
    ];
    (client, keys)
}

#[test]
fn several_keys_are_what_they_would_be_one_by_one() {
    for layer in [None, Some("Role")] {
        let (client, keys) = some();
        let transaction = client.begin();
        client.change_keys(transaction, &keys, layer).unwrap();
        assert!(client.open("Test\\A").is_err());
        client.commit(transaction).unwrap();

        let (other, _) = some();
        for KeyChange { path, volatile, values } in &keys {
            let making = crate::common::client::create_key(path, layer, *volatile);
            let made = other.derive(None, making).unwrap();
            if !values.is_empty() {
                other.change(made, values, layer).unwrap();
            }
            other.close(made);
        }
        let found = client.tree("Test");
        assert_eq!(found, other.tree("Test"));
        assert_eq!(found.len(), 9, "{found:?}");
        let volatile = client.open("Test\\Volatile").unwrap();
        assert!(client.details(volatile).unwrap().volatile);
    }
}

#[test]
fn what_comes_before_a_key_that_cannot_be_is_in_the_transaction() {
    let (client, keys) = some();
    let transaction = client.begin();
    let wrong = key("Test\\Nowhere\\Below", &[text("a", b"")]);
    let values = key("Test\\Half", &[text("a", b""), text(&"n".repeat(300), b"")]);
    for wrong in [wrong, values, key("Other\\A", &[]), key("", &[])] {
        let keys = [&keys[..2], &[wrong], &keys[2..]].concat();
        assert!(client.change_keys(transaction, &keys, None).is_err());
    }
    client.commit(transaction).unwrap();
    let paths: Vec<String> = client.tree("Test").into_iter().map(|(path, _)| path).collect();
    let expected = ["", "\\A", "\\A\\B", "\\Half", "\\Link", "\\There"];
    assert_eq!(paths, expected.map(|path| format!("Test{path}")));
    let half = client.open("Test\\Half").unwrap();
    assert!(client.all(half).is_empty());
}

#[test]
fn several_keys_take_a_transaction_and_the_callers_rights() {
    let (client, keys) = some();
    let root = client.registry.open_root(None, system().token).unwrap();
    let there = client.open("Test\\There").unwrap();
    for base in [root, there] {
        let below = [key("Test\\A", &[]), key("A", &[])];
        for keys in [&below[..1], &below[1..]] {
            assert!(matches!(client.change_keys(base, keys, None), Err(Error::Invalid(_))));
        }
    }
    let transaction = client.begin();
    assert!(client.change_keys(transaction, &[], None).is_err());
    let too_many = vec![key("Test\\There", &[]); MOST_CHANGED_KEYS + 1];
    assert!(client.change_keys(transaction, &too_many, None).is_err());
    client.change_keys(transaction, &too_many[1..], None).unwrap();
    // From a key of the transaction, by paths below it.
    let inside = client.derive(Some(transaction), open_key("Test\\There")).unwrap();
    client.change_keys(inside, &[key("X", &[text("x", b"")]), key("X\\Y", &[])], None).unwrap();
    // Another user, and a handle that may do less.
    let derive = Derive::ChangeKeys(ChangeKeys { keys: keys.clone(), layer: None });
    let denied = client.derive_as(&user(4711, &[]), Some(transaction), derive);
    assert!(matches!(denied, Err(Error::AccessDenied { .. })), "{denied:?}");
    let access = lcs_abi::security::Access::QUERY_VALUE.bits();
    let restrict = Derive::Restrict { access, layers: None };
    let less = client.derive(Some(inside), restrict).unwrap();
    let denied = client.change_keys(less, &[key("Z", &[])], None);
    assert!(matches!(denied, Err(Error::AccessDenied { .. })), "{denied:?}");
    client.commit(transaction).unwrap();
    let paths: Vec<String> = client.tree("Test").into_iter().map(|(path, _)| path).collect();
    let expected =
        ["", "\\Link", "\\Link\\X", "\\Link\\X\\Y", "\\There", "\\There\\X", "\\There\\X\\Y"];
    assert_eq!(paths, expected.map(|path| format!("Test{path}")));
}
