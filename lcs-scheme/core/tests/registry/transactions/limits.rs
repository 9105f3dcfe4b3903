//! How many, how large, and whose.

use std::task::{Context, Waker};

use lcs_abi::call::{Derive, TransactionState};
use lcs_abi::rsi::Request;
use lcs_abi::security::Access;
use lcs_core::registry::{Caller, Error, HandleId};

use crate::common::Client;
use crate::common::client::{open_key, user};
use crate::common::world::Source;

fn with_machine() -> (Client, HandleId) {
    let (client, _) = Client::with_hive([]);
    client.serve(2, &[("Machine", &Source::new("Machine"))]).unwrap();
    let settings = client.open("Machine\\System\\Registry").unwrap();
    (client, settings)
}

fn limit(client: &Client, settings: HandleId, name: &str, value: u32) {
    client.set(settings, name, 4, &value.to_le_bytes(), None).unwrap();
}

fn begin_as(client: &Client, caller: &Caller) -> Result<HandleId, Error> {
    client.derive_as(caller, None, Derive::BeginTransaction)
}

#[test]
fn a_write_set_that_is_full_takes_no_more_and_can_be_committed() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxTransactionBytes", 65_536);
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    client.set(inside, "a", 3, &[1; 40_000], None).unwrap();
    let full = client.set(inside, "b", 3, &[1; 40_000], None);
    assert_eq!(full, Err(Error::LimitExceeded("MaxTransactionBytes")));
    client.put(inside, "b", 2);
    // What is replaced makes room.
    client.put(inside, "a", 1);
    client.set(inside, "c", 3, &[1; 40_000], None).unwrap();
    client.commit(transaction).unwrap();
    let root = client.open("Test").unwrap();
    assert_eq!([client.data(root, "a"), client.data(root, "b")], [Ok(1), Ok(2)]);
}

#[test]
fn a_large_write_set_is_staged_and_takes_effect_at_once() {
    let (client, source) = Client::with_hive([]);
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    for number in 0..200 {
        client.set(inside, &format!("{number}"), 3, &[1; 100_000], None).unwrap();
    }
    client.world.take_requests();
    client.commit(transaction).unwrap();
    let requests = client.world.take_requests();
    let stages = requests.iter().filter(|one| matches!(one, Request::Stage { .. })).count();
    let steps = requests.iter().filter(|one| matches!(one, Request::Apply { .. })).count();
    assert!(stages > 5 && steps == 1, "{stages} stages, {steps} steps");
    let largest = requests.iter().map(|one| lcs_abi::encode(one).len()).max().unwrap();
    assert!(largest < 4 << 20, "{largest}");
    let root = client.open("Test").unwrap();
    assert_eq!(client.values(root, crate::common::client::ROOM).unwrap().len(), 200);
    assert!(source.max_sequence() >= 200);
}

#[test]
fn what_an_attempt_that_was_given_up_has_staged_is_not_done_with_the_next() {
    let (client, _) = Client::with_hive([]);
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    for number in 0..100 {
        client.set(inside, &format!("{number}"), 3, &[1; 100_000], None).unwrap();
    }
    client.world.set_delays(vec![1]);
    client.run(async {
        let mut commit = Box::pin(client.registry.commit(transaction));
        for _ in 0..4 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(commit.as_mut().poll(&mut context).is_pending());
        }
    });
    client.world.set_delays(Vec::new());
    client.commit(transaction).unwrap();
    // A step of more mutations than LCS knows of would have numbers that were never given out.
    let root = client.open("Test").unwrap();
    let values = client.values(root, crate::common::client::ROOM);
    assert_eq!(values.map(|values| values.len()), Ok(100));
}

#[test]
fn a_transaction_has_no_more_conditions_than_fit_into_a_frame() {
    let (client, _) = Client::with_hive([]);
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    let name = |number: u32| format!("{number:0>240}");
    let full = (0..).find(|number| {
        let written = client.set_if(inside, &name(*number), 1, Some(0));
        assert!(matches!(written, Ok(_) | Err(Error::LimitExceeded(_))), "{written:?}");
        written.is_err()
    });
    // Each takes less than half a kilobyte of eight megabytes.
    assert!(full.is_some_and(|full| (16_000..40_000).contains(&full)), "{full:?}");
    client.world.take_requests();
    client.commit(transaction).unwrap();
    let requests = client.world.take_requests();
    let largest = requests.iter().map(|one| lcs_abi::encode(one).len()).max().unwrap();
    assert!((6 << 20..8 << 20).contains(&largest), "{largest}");
}

#[test]
fn each_user_has_so_many_and_system_as_many_as_it_likes() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxTransactionsPerUser", 2);
    let (alice, bob) = (user(1, &[]), user(2, &[]));
    let first = begin_as(&client, &alice).unwrap();
    begin_as(&client, &alice).unwrap();
    let busy = Err(Error::Busy("MaxTransactionsPerUser"));
    assert_eq!(begin_as(&client, &alice), busy);
    begin_as(&client, &bob).unwrap();
    client.close(first);
    begin_as(&client, &alice).unwrap();
    for _ in 0..10 {
        client.begin();
    }
}

#[test]
fn a_source_has_so_many_bound_to_it() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxBoundTransactionsPerSource", 1);
    let [first, second] = [client.begin(), client.begin()];
    let [one, other] = [first, second].map(|one| client.open_in(one, "Test").unwrap());
    client.put(one, "v", 1);
    let busy = Err(Error::Busy("MaxBoundTransactionsPerSource"));
    assert_eq!(client.set(other, "v", 3, &[1], None), busy);
    assert_eq!(client.state(second), TransactionState::ActiveUnbound);
    let elsewhere = client.begin();
    let machine = client.open_in(elsewhere, "Machine").unwrap();
    client.put(machine, "v", 1);
    client.commit(first).unwrap();
    client.put(other, "v", 1);
}

#[test]
fn a_users_write_sets_have_a_size_together() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxQueuedBytesPerUser", 1 << 20);
    let sd = "O:SYG:SYD:(A;;KA;;;WD)".parse::<lcs_core::security::SecurityDescriptor>().unwrap();
    let root = client.open("Test").unwrap();
    let request = lcs_abi::call::SetSecurity { parts: 4, sd: sd.to_bytes() };
    client.run(client.registry.set_security(root, request)).unwrap();
    let alice = user(1, &[]);
    let in_one = |data: &[u8]| {
        let transaction = begin_as(&client, &alice).unwrap();
        let inside = client.derive_as(&alice, Some(transaction), open_key("Test")).unwrap();
        (transaction, client.set(inside, "v", 3, data, None).map(drop))
    };
    let data = vec![1; 600_000];
    let (first, done) = in_one(&data);
    assert_eq!(done, Ok(()));
    assert_eq!(in_one(&data).1, Err(Error::LimitExceeded("MaxQueuedBytesPerUser")));
    assert_eq!(in_one(&[1]).1, Ok(()));
    client.close(first);
    assert_eq!(in_one(&data).1, Ok(()));
}

#[test]
fn each_user_has_so_many_handles_and_system_as_many_as_it_likes() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxHandlesPerUser", 64);
    let alice = user(1, &[]);
    let open = || {
        let read = Access::KEY_READ.bits();
        let open = Derive::OpenKey { path: "Machine".into(), access: read, flags: 0 };
        client.derive_as(&alice, None, open)
    };
    let handles: Vec<_> = (0..64).map(|_| open().unwrap()).collect();
    assert_eq!(open(), Err(Error::TooManyHandles));
    assert_eq!(client.registry.open_root(None, alice.token.clone()), Err(Error::TooManyHandles));
    client.open("Test").unwrap();
    client.close(handles[0]);
    open().unwrap();
}
