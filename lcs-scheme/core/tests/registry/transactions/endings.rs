//! How transactions end that are not committed, and those of which it is not known.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use lcs_abi::call::TransactionState;
use lcs_abi::rsi::{Request, SourceError};
use lcs_core::registry::{Error, Fault, HandleId};

use super::{NO_VALUE, over};
use crate::common::Client;
use crate::common::world::{Failure, Source};

/// A transaction in which something was written, and a key handle in it.
fn written(client: &Client) -> (HandleId, HandleId) {
    let transaction = client.begin();
    let inside = client.open_in(transaction, "Test").unwrap();
    client.put(inside, "v", 1);
    (transaction, inside)
}

/// Works on a future once, and tells whether it has to wait.
fn waits(future: &mut (impl Future + Unpin)) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn closing_without_a_commit_undoes_all() {
    let (client, _) = Client::with_hive([]);
    let (transaction, inside) = written(&client);
    client.close(transaction);
    assert_eq!(client.data(inside, "v"), over(TransactionState::Aborted));
    let root = client.open("Test").unwrap();
    assert_eq!(client.data(root, "v"), Err(NO_VALUE));
}

#[test]
fn one_in_which_nothing_was_written_cannot_be_committed_and_stays() {
    let (client, _) = Client::with_hive([]);
    let transaction = client.begin();
    assert_eq!(client.state(transaction), TransactionState::ActiveUnbound);
    assert!(matches!(client.commit(transaction), Err(Error::Invalid(_))));
    let inside = client.open_in(transaction, "Test").unwrap();
    client.put(inside, "v", 1);
    assert_eq!(client.state(transaction), TransactionState::ActiveBound);
    client.commit(transaction).unwrap();
}

#[test]
fn one_that_nobody_uses_ends_and_whoever_waits_for_it_is_woken() {
    let (client, _) = Client::with_hive([]);
    let (transaction, inside) = written(&client);
    let second = Duration::from_secs(1);
    assert_eq!(client.registry.expire_transactions(), Some(30 * second));
    client.world.pass(29 * second);
    assert_eq!(client.data(inside, "v"), Ok(1));
    client.world.pass(29 * second);
    assert_eq!(client.registry.expire_transactions(), Some(59 * second));
    assert_eq!(client.registry.is_readable(transaction), Ok(false));
    assert_eq!(client.registry.take_readable(), []);
    client.world.pass(second);
    assert_eq!(client.registry.expire_transactions(), None);
    assert_eq!(client.registry.is_readable(transaction), Ok(true));
    assert_eq!(client.registry.take_readable(), [transaction]);
    assert_eq!(client.registry.take_readable(), []);
    assert_eq!(client.data(inside, "v"), over(TransactionState::TimedOut));
    assert_eq!(client.commit(transaction), over(TransactionState::TimedOut));
    assert_eq!(client.state(transaction), TransactionState::TimedOut);
}

#[test]
fn one_ends_with_its_source() {
    let (client, source) = Client::with_hive([]);
    let (transaction, inside) = written(&client);
    let unbound = client.begin();
    client.disconnect(1);
    assert_eq!(client.registry.take_readable(), [transaction]);
    assert_eq!(client.state(transaction), TransactionState::SourceDown);
    client.serve(2, &[("Test", &source)]).unwrap();
    assert_eq!(client.data(inside, "v"), over(TransactionState::SourceDown));
    assert_eq!(client.state(unbound), TransactionState::ActiveUnbound);
}

#[test]
fn what_the_source_could_not_do_can_be_tried_again() {
    let (client, _) = Client::with_hive([]);
    for error in [SourceError::StorageError, SourceError::Busy] {
        let (transaction, inside) = written(&client);
        client.world.fail_when(move |request| {
            matches!(request, Request::Apply { .. }).then(|| Failure::refused(error))
        });
        assert_eq!(client.commit(transaction), Err(Error::Source(error)));
        assert_eq!(client.state(transaction), TransactionState::ActiveBound);
        client.world.fail_no_more();
        assert_eq!(client.data(inside, "v"), Ok(1));
        client.commit(transaction).unwrap();
    }
}

#[test]
fn whether_one_took_effect_is_found_out_when_the_source_is_back() {
    for takes_effect in [false, true] {
        let (client, source) = Client::with_hive([]);
        let (transaction, _) = written(&client);
        client.world.fail_when(move |request| {
            let fails = matches!(request, Request::Apply { .. } | Request::Outcome { .. });
            fails.then_some(Failure { fault: Fault::Down, takes_effect })
        });
        assert_eq!(client.commit(transaction), Err(Error::SourceDown));
        client.disconnect(1);
        assert_eq!(client.state(transaction), TransactionState::Unknown);
        assert_eq!(client.commit(transaction), over(TransactionState::Unknown));
        assert_eq!(client.registry.take_readable(), []);
        client.world.fail_no_more();
        client.serve(2, &[("Test", &source)]).unwrap();
        assert_eq!(client.registry.take_readable(), [transaction]);
        let root = client.open("Test").unwrap();
        let (state, data) = if takes_effect {
            (TransactionState::Committed, Ok(1))
        } else {
            (TransactionState::Aborted, Err(NO_VALUE))
        };
        assert_eq!(client.state(transaction), state);
        assert_eq!(client.data(root, "v"), data);
    }
}

#[test]
fn a_source_that_cannot_say_leaves_it_unknown() {
    let (client, source) = Client::with_hive([]);
    let (transaction, _) = written(&client);
    client.world.fail_when(|request| match request {
        Request::Apply { .. } => Some(Failure { fault: Fault::Down, takes_effect: false }),
        Request::Outcome { .. } => Some(Failure::refused(SourceError::NotSupported)),
        _ => None,
    });
    assert_eq!(client.commit(transaction), Err(Error::SourceDown));
    client.disconnect(1);
    client.serve(2, &[("Test", &source)]).unwrap();
    assert_eq!(client.state(transaction), TransactionState::Unknown);
    assert_eq!(client.registry.is_readable(transaction), Ok(false));
}

/// Two transactions that each make a key, and a source that takes its time.
fn that_exclude_each_other(client: &Client) -> [HandleId; 2] {
    let transactions = [client.begin(), client.begin()];
    for (transaction, path) in transactions.into_iter().zip(["Test\\a", "Test\\b"]) {
        client.create_in_transaction(transaction, path).unwrap();
    }
    client.world.set_delays(vec![3]);
    transactions
}

#[test]
fn one_that_is_given_up_while_it_waits_for_another_one_can_be_committed_later() {
    let (client, _) = Client::with_hive([]);
    let [first, second] = that_exclude_each_other(&client);
    client.run(async {
        let mut waiting = Box::pin(client.registry.commit(second));
        let mut runs = Box::pin(client.registry.commit(first));
        assert!(waits(&mut runs));
        assert!(waits(&mut waiting));
        drop(waiting);
        runs.await.unwrap();
    });
    assert_eq!(client.state(second), TransactionState::ActiveBound);
    client.commit(second).unwrap();
    client.open("Test\\b").unwrap();
}

#[test]
fn one_that_waits_for_another_one_when_its_source_dies_ends_with_its_source() {
    let (client, _) = Client::with_hive([]);
    let [first, second] = that_exclude_each_other(&client);
    client.run(async {
        let mut runs = Box::pin(client.registry.commit(first));
        let mut waiting = Box::pin(client.registry.commit(second));
        assert!(waits(&mut runs));
        assert!(waits(&mut waiting));
        client.disconnect(1);
        drop(runs);
        assert_eq!(waiting.await, over(TransactionState::SourceDown));
    });
    assert_eq!(client.state(second), TransactionState::SourceDown);
}

#[test]
fn one_that_ends_while_it_is_looked_at_stays_as_it_ended() {
    let (client, _) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    client.create("Test\\k\\below").unwrap();
    let transaction = client.begin();
    for path in ["Test\\k\\below", "Test\\k"] {
        let key = client.open_in(transaction, path).unwrap();
        client.delete(key, None).unwrap();
        client.close(key);
    }
    client.forget(1);
    client.world.set_delays(vec![3]);
    client.run(async {
        let mut commit = Box::pin(client.registry.commit(transaction));
        assert!(waits(&mut commit));
        client.world.pass(Duration::from_secs(60));
        client.registry.expire_transactions();
        assert!(commit.await.is_err());
    });
    client.world.set_delays(Vec::new());
    assert_eq!(client.state(transaction), TransactionState::TimedOut);
    client.open("Test\\k\\below").unwrap();
}

#[test]
fn a_step_that_was_sent_is_not_undone_by_closing() {
    let (client, _) = Client::with_hive([]);
    let (transaction, _) = written(&client);
    client.world.set_delays(vec![3]);
    client.run(async {
        let mut commit = Box::pin(client.registry.commit(transaction));
        assert!(waits(&mut commit));
        let status = client.registry.transaction_status(transaction).await.unwrap();
        assert_eq!(status.state, TransactionState::Committing);
        client.registry.close(transaction).await;
        commit.await.unwrap();
    });
    client.world.set_delays(Vec::new());
    let root = client.open("Test").unwrap();
    assert_eq!(client.data(root, "v"), Ok(1));
}

#[test]
fn settings_written_in_a_transaction_come_into_force_with_it() {
    use lcs_core::registry::Setting;
    let client = Client::new([]);
    client.serve(1, &[("Machine", &Source::new("Machine"))]).unwrap();
    let transaction = client.begin();
    let settings = client.open_in(transaction, "Machine\\System\\Registry").unwrap();
    client.set(settings, "MaxKeyDepth", 4, &64_u32.to_le_bytes(), None).unwrap();
    assert_eq!(client.registry.setting(Setting::MaxKeyDepth), 512);
    client.commit(transaction).unwrap();
    assert_eq!(client.registry.setting(Setting::MaxKeyDepth), 64);
}
