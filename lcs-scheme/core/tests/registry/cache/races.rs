//! Writers and readers at once: who begins to read after a write was answered never sees anything older.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures_executor::block_on;
use futures_util::future::{join, join_all};
use lcs_abi::call::{QueryValue, SetValue};
use lcs_abi::rsi::Request;
use lcs_core::registry::{Fault, HandleId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::world::Failure;

const NAMES: [&str; 2] = ["v", "w"];

/// Drops an operation that is not done after so many polls.
async fn within<T>(mut polls: u8, operation: impl Future<Output = T>) -> Option<T> {
    let mut operation = pin!(operation);
    poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    })
    .await
}

async fn read(client: &Client, key: HandleId, name: &str) -> Option<u64> {
    let answer = client.registry.query_value(key, QueryValue { name: name.into() }).await.ok()?;
    Some(u64::from_le_bytes(answer.data.try_into().expect("a number")))
}

/// Writes the numbers from 1 on, and says which of them were answered.
async fn write(client: &Client, key: HandleId, name: &str, polls: &[u8], answered: &Cell<u64>) {
    for (number, polls) in (1_u64..).zip(polls) {
        let request = SetValue {
            name: name.into(),
            value_type: 11,
            data: number.to_le_bytes().into(),
            layer: None,
            expected_sequence: None,
        };
        let done = within(*polls, client.registry.set_value(key, request)).await;
        if matches!(done, Some(Ok(_))) {
            answered.set(number);
        }
    }
}

fn play(delays: Vec<u8>, failures: Vec<u8>, writes: &[Vec<u8>], reads: usize) {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    for name in NAMES {
        client.set(key, name, 11, &0_u64.to_le_bytes(), None).unwrap();
    }
    client.world.set_delays(delays);
    let mut failures = failures.into_iter().cycle();
    client.world.fail_when(move |request| {
        let dice = matches!(request, Request::Apply { .. }).then(|| failures.next())??;
        // Down: nobody knows whether it was done.
        (dice < 3).then_some(Failure { fault: Fault::Down, takes_effect: dice < 2 })
    });
    let answered = [Cell::new(0), Cell::new(0)];
    let all = (NAMES.iter().zip(&answered)).zip(writes).map(|((name, answered), polls)| {
        let reader = || async {
            for _ in 0..reads {
                let least = answered.get();
                if let Some(seen) = read(&client, key, name).await {
                    assert!(seen >= least, "{seen} was read after {least} was answered");
                }
            }
        };
        join(write(&client, key, name, polls, answered), join(reader(), reader()))
    });
    block_on(join_all(all));
    client.world.fail_no_more();
    source.ask(&Request::ReadKey { key: source.root() }).unwrap();
    let known = NAMES.map(|name| block_on(read(&client, key, name)));
    client.forget(1);
    assert_eq!(known, NAMES.map(|name| block_on(read(&client, key, name))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nobody_reads_what_is_older_than_an_answered_write(
        delays in vec(0..6_u8, 1..12),
        failures in vec(0..12_u8, 1..8),
        writes in vec(vec(0..12_u8, 1..8), 2),
        reads in 1..10_usize,
    ) {
        play(delays, failures, &writes, reads);
    }
}
