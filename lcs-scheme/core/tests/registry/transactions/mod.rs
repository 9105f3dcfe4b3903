//! Transactions: all or nothing, blocking nobody (DESIGN §10).

mod conflicts;
mod differential;
mod endings;
mod limits;

use lcs_abi::call::{GetSecurity, SetSecurity, SetValue, TransactionState, Unhide};
use lcs_abi::rsi::{Answer, Request};
use lcs_core::registry::{Error, HandleId, NotFound};
use lcs_core::security::SecurityDescriptor;

use crate::common::Client;
use crate::common::client::{ROOM, create_key, in_layer, layer, open_key};
use crate::common::world::Source;

const NO_KEY: Error = Error::NotFound(NotFound::Key);
const NO_VALUE: Error = Error::NotFound(NotFound::Value);

/// A transaction's end, as everything in it answers.
fn over<T>(state: TransactionState) -> Result<T, Error> {
    Err(Error::TransactionEnded(state))
}

impl Client {
    fn open_in(&self, transaction: HandleId, path: &str) -> Result<HandleId, Error> {
        self.derive(Some(transaction), open_key(path))
    }

    fn create_in_transaction(&self, transaction: HandleId, path: &str) -> Result<HandleId, Error> {
        self.derive(Some(transaction), create_key(path, None, false))
    }

    fn set_if(
        &self,
        handle: HandleId,
        name: &str,
        data: u8,
        expected_sequence: Option<u64>,
    ) -> Result<u64, Error> {
        let (value_type, data) = (3, [data].into());
        let name = name.into();
        let request = SetValue { name, value_type, data, layer: None, expected_sequence };
        self.run(self.registry.set_value(handle, request)).map(|answer| answer.sequence)
    }

    fn put(&self, handle: HandleId, name: &str, data: u8) {
        self.set(handle, name, 3, &[data], None).expect("it can be written");
    }

    fn data(&self, handle: HandleId, name: &str) -> Result<u8, Error> {
        self.query(handle, name).map(|answer| answer.data[0])
    }

    fn names(&self, handle: HandleId) -> Vec<String> {
        let keys = self.subkeys(handle, false, ROOM).expect("a list");
        keys.into_iter().map(|key| key.name).collect()
    }
}

#[test]
fn nobody_else_sees_what_is_written_before_it_is_committed_and_then_all_see_all() {
    let (client, _) = Client::with_hive([]);
    let root = client.open("Test").unwrap();
    client.put(root, "v", 1);
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    let made = client.create_in_transaction(transaction, "Test\\New").unwrap();
    client.put(inside, "v", 2);
    client.put(made, "w", 3);

    assert_eq!(client.data(root, "v"), Ok(1));
    assert_eq!(client.open("Test\\New"), Err(NO_KEY));
    assert_eq!(client.names(root), [""; 0]);
    assert_eq!(client.data(inside, "v"), Ok(2));
    assert_eq!(client.query(inside, "v").unwrap().sequence, 0);
    assert_eq!(client.names(inside), ["New"]);
    let again = client.open_in(transaction, "test\\new").unwrap();
    assert_eq!(client.data(again, "W"), Ok(3));
    assert_eq!(client.details(again).unwrap().path, "Test\\New");

    client.commit(transaction).unwrap();
    assert_eq!(client.data(root, "v"), Ok(2));
    let new = client.open("Test\\New").unwrap();
    assert_eq!(client.data(new, "w"), Ok(3));
    assert!(client.query(new, "w").unwrap().sequence > client.query(root, "v").unwrap().sequence);
    assert_eq!(client.state(transaction), TransactionState::Committed);
    assert_eq!(client.data(inside, "v"), over(TransactionState::Committed));
}

#[test]
fn a_transaction_is_one_step_of_its_source() {
    let (client, _) = Client::with_hive([]);
    let transaction = client.begin();
    for name in ["a", "b", "c"] {
        let key = client.create_in_transaction(transaction, &format!("Test\\{name}")).unwrap();
        for value in ["x", "y", "z"] {
            client.put(key, value, 1);
        }
    }
    client.world.take_requests();
    client.commit(transaction).unwrap();
    let requests = client.world.take_requests();
    assert!(matches!(requests.as_slice(), [Request::Apply { .. }]), "{requests:?}");
}

#[test]
fn the_last_of_several_writes_counts_and_their_order_does() {
    let (client, _) = Client::with_hive([layer("r", 0, true)]);
    let root = client.open("Test").unwrap();
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    client.put(inside, "v", 1);
    client.set(inside, "w", 3, &[1], Some("r")).unwrap();
    client.put(inside, "w", 2);
    client.put(inside, "v", 3);
    client.run(client.registry.set_blanket(inside, in_layer(Some("r")))).unwrap();
    assert_eq!(client.data(inside, "v"), Err(NO_VALUE));
    client.put(inside, "w", 4);
    assert_eq!(client.data(inside, "w"), Ok(4));
    client.commit(transaction).unwrap();
    assert_eq!(client.data(root, "v"), Err(NO_VALUE));
    assert_eq!(client.data(root, "w"), Ok(4));
}

#[test]
fn keys_are_deleted_hidden_and_made_anew_inside() {
    let (client, source) = Client::with_hive([layer("high", 5, true)]);
    let old = client.create("Test\\k").unwrap();
    client.put(old, "v", 1);
    let old_guid = client.details(old).unwrap().guid;
    let below = client.create("Test\\k\\below").unwrap();
    client.close(old);
    client.close(below);
    let transaction = client.begin();
    let key = client.open_in(transaction, "Test\\k").unwrap();
    assert_eq!(client.delete(key, None), Err(Error::NotEmpty));
    let below = client.open_in(transaction, "Test\\k\\below").unwrap();
    client.delete(below, None).unwrap();
    client.delete(key, None).unwrap();
    assert_eq!(client.open_in(transaction, "Test\\k"), Err(NO_KEY));
    assert_eq!(client.set(key, "v", 3, &[1], None), Err(NO_KEY));
    let under = client.derive(Some(key), create_key("x", None, false));
    assert_eq!(under, Err(NO_KEY));
    let new = client.create_in_transaction(transaction, "Test\\K").unwrap();
    assert_eq!(client.data(new, "v"), Err(NO_VALUE));
    let hidden = client.create_in_transaction(transaction, "Test\\hidden").unwrap();
    client.hide(hidden, Some("high")).unwrap();
    let root = client.open_in(transaction, "Test").unwrap();
    assert_eq!(client.names(root), ["K"]);
    let unhide = Unhide { child: "hidden".into(), layer: Some("high".into()) };
    client.run(client.registry.unhide(root, unhide)).unwrap();
    assert_eq!(client.names(root), ["hidden", "K"]);

    client.commit(transaction).unwrap();
    for handle in [key, below, new, hidden, root, transaction] {
        client.close(handle);
    }
    let root = client.open("Test").unwrap();
    assert_eq!(client.names(root), ["hidden", "K"]);
    let new = client.open("Test\\K").unwrap();
    assert_ne!(client.details(new).unwrap().guid, old_guid);
    let gone = source.ask(&Request::ReadKey { key: old_guid });
    assert!(gone.is_err(), "the deleted key is dropped");
}

#[test]
fn a_key_that_is_made_and_deleted_inside_never_was() {
    let (client, source) = Client::with_hive([]);
    let transaction = client.begin();
    let key = client.create_in_transaction(transaction, "Test\\k").unwrap();
    client.put(key, "v", 1);
    let guid = client.details(key).unwrap().guid;
    client.delete(key, None).unwrap();
    assert_eq!(client.data(key, "v"), Err(NO_KEY));
    client.commit(transaction).unwrap();
    assert!(source.ask(&Request::ReadKey { key: guid }).is_err());
    let values = source.ask(&Request::QueryValues { key: guid, after: None, bytes: 1000 });
    assert!(!matches!(values, Ok(Answer::Values { entries, .. }) if !entries.is_empty()));
}

#[test]
fn descriptors_keep_at_the_commit_what_they_were_not_given() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let sd = |text: &str| text.parse::<SecurityDescriptor>().unwrap();
    let set = |handle, parts, text: &str| {
        let request = SetSecurity { parts, sd: sd(text).to_bytes() };
        client.run(client.registry.set_security(handle, request))
    };
    let get = |handle| {
        let answer = client.run(client.registry.get_security(handle, GetSecurity { parts: 7 }));
        SecurityDescriptor::from_bytes(&answer.unwrap().sd).unwrap().to_string()
    };
    set(key, 7, "O:SYG:SYD:(A;;KA;;;SY)").unwrap();
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test\\k").unwrap();
    set(inside, 4, "D:(A;CI;KA;;;BA)").unwrap();
    assert_eq!(get(inside), "O:SYG:SYD:(A;CI;KA;;;BA)");
    let below = client.create_in_transaction(transaction, "Test\\k\\below").unwrap();
    assert!(get(below).contains("(A;CIID;KA;;;BA)"), "it inherits what was set inside");
    assert_eq!(get(key), "O:SYG:SYD:(A;;KA;;;SY)");
    set(key, 2, "G:BA").unwrap();
    client.commit(transaction).unwrap();
    assert_eq!(get(key), "O:SYG:BAD:(A;CI;KA;;;BA)");
}

#[test]
fn a_transaction_writes_to_one_hive_and_reads_all() {
    let (client, _) = Client::with_hive([]);
    client.serve(2, &[("Other", &Source::new("Other"))]).unwrap();
    let other = client.open("Other").unwrap();
    client.put(other, "v", 1);
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    let elsewhere = client.open_in(transaction, "Other").unwrap();
    client.put(inside, "v", 2);
    assert_eq!(client.set(elsewhere, "v", 3, &[2], None), Err(Error::OtherHive));
    assert_eq!(client.create_in_transaction(transaction, "Other\\k"), Err(Error::OtherHive));
    assert_eq!(client.data(elsewhere, "v"), Ok(1));
    client.commit(transaction).unwrap();
}

#[test]
fn lists_are_what_they_will_be_over_many_pages() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let name = |number: u32| format!("{number:05}");
    let data = vec![7; 1000];
    for number in (0..1200).step_by(2) {
        client.set(key, &name(number), 3, &data, None).unwrap();
        client.create(&format!("Test\\k\\{}", name(number))).unwrap();
    }
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test\\k").unwrap();
    // Every fourth goes, and every odd one comes.
    for number in 0..3000 {
        let path = format!("Test\\k\\{}", name(number));
        if number % 4 == 0 && number < 1200 {
            let request = lcs_abi::call::DeleteValue { name: name(number), layer: None };
            client.run(client.registry.delete_value(inside, request)).unwrap();
            let doomed = client.open_in(transaction, &path).unwrap();
            client.delete(doomed, None).unwrap();
            client.close(doomed);
        } else if number % 2 == 1 {
            client.put(inside, &name(number), 1);
            let made = client.create_in_transaction(transaction, &path).unwrap();
            client.close(made);
        }
    }
    let expected: Vec<String> =
        (0..3000).filter(|n| n % 2 == 1 || n % 4 == 2 && *n < 1200).map(name).collect();
    for budget in [2000, 10_000, ROOM] {
        let values = client.values(inside, budget).unwrap();
        assert!(values.iter().map(|value| &value.name).eq(&expected));
        let keys = client.subkeys(inside, false, budget).unwrap();
        assert!(keys.iter().map(|key| &key.name).eq(&expected));
    }
    client.commit(transaction).unwrap();
    let values = client.values(key, ROOM).unwrap();
    assert!(values.iter().map(|value| &value.name).eq(&expected));
    assert_eq!(client.names(key), expected);
}
