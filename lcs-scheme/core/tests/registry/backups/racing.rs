//! Restores while others write: whoever watches, and reads again what an event says, knows all in the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use futures_executor::block_on;
use futures_util::future::{join, join_all, join3};
use lcs_abi::call::{DeleteValue, Derive, QueryValue, QueryValues, SetValue};
use lcs_abi::watch::{EventKind, NOTIFY_ALL, Notify, decode_events};
use lcs_core::registry::{ConnectionId, Error, HandleId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{ROOM, layer, system};
use crate::common::streams::back_up;

const KEYS: [&str; 2] = ["Test\\p", "Test\\p\\q"];
const NAMES: [&str; 2] = ["a", "b"];
const LAYERS: [Option<&str>; 2] = [None, Some("policy")];

/// A write: which key, name and layer; a value or its removal.
type Write = (usize, usize, usize, bool);

fn writes() -> impl Strategy<Value = Vec<Write>> {
    vec((0..2_usize, 0..2_usize, 0..2_usize, prop::bool::weighted(0.8)), 1..4)
}

/// Lets the others come further.
async fn let_others() {
    let mut first = true;
    poll_fn(|context| {
        if !std::mem::take(&mut first) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn wait(turns: usize) {
    for _ in 0..turns {
        let_others().await;
    }
}

struct Race {
    client: Client,
    keys: [HandleId; 2],
}

type Values = BTreeMap<String, Vec<u8>>;

impl Race {
    /// Two keys with something in both layers, and the backup of that, which is no longer so.
    fn new(before: &[Write]) -> (Race, Vec<u8>) {
        let (client, _) = Client::with_hive([layer("policy", 7, true)]);
        let keys = KEYS.map(|path| client.create(path).unwrap());
        for key in keys {
            client.set(key, "a", 1, b"masked", None).unwrap();
            client.set(key, "a", 1, b"mask", LAYERS[1]).unwrap();
        }
        let race = Race { client, keys };
        let stream = back_up(&race.client, keys[0]).unwrap();
        for (number, write) in before.iter().enumerate() {
            block_on(race.write(*write, number));
        }
        (race, stream)
    }

    async fn write(&self, (key, name, layer, set): Write, number: usize) {
        let (name, layer) = (NAMES[name].into(), LAYERS[layer].map(Into::into));
        let registry = &self.client.registry;
        let key = self.keys[key];
        let done = if set {
            let data = format!("{number}").into_bytes();
            let expected_sequence = None;
            let request = SetValue { name, value_type: 1, data, layer, expected_sequence };
            registry.set_value(key, request).await.map(drop)
        } else {
            registry.delete_value(key, DeleteValue { name, layer }).await
        };
        done.expect("nothing stands in the way");
    }

    async fn restore(&self, stream: &[u8]) {
        let registry = &self.client.registry;
        let restore = registry.derive(Some(self.keys[0]), &system(), Derive::Restore).await;
        let restore = restore.expect("SYSTEM may");
        registry.write_restore(restore, stream).await.expect("a whole stream");
        registry.finish(restore).await.expect("nothing stands in the way");
        registry.close(restore).await;
    }

    async fn read(&self, key: HandleId) -> Values {
        let request = QueryValues { cursor: None };
        let page = self.client.registry.query_values(key, request, ROOM).await.expect("the key");
        page.answer.values.into_iter().map(|value| (value.name, value.data)).collect()
    }

    /// Watches a key until all is done and said; gives what whoever reads again what it is told of knows then.
    async fn follow(&self, key: HandleId, done: &Cell<bool>) -> Values {
        let registry = &self.client.registry;
        let mut known = self.read(key).await;
        loop {
            let over = done.get();
            let events = registry.read_events(key, ROOM).expect("an armed watch");
            let events = decode_events(&events).expect("whole records");
            if events.is_empty() {
                if over {
                    return known;
                }
                let_others().await;
                continue;
            }
            for event in events {
                if event.kind == EventKind::Overflow.code() {
                    known = self.read(key).await;
                    continue;
                }
                let query = QueryValue { name: event.name.clone() };
                match registry.query_value(key, query).await {
                    Ok(value) => known.insert(event.name, value.answer.data),
                    Err(Error::NotFound(_)) => known.remove(&event.name),
                    Err(error) => panic!("{error}"),
                };
            }
        }
    }
}

/// A write that was found out to be masked is sent before the restore that unmasks it, or found out anew.
#[test]
fn a_restore_does_not_come_between_a_write_and_what_was_found_out_about_it() {
    let (race, stream) = Race::new(&[(0, 1, 1, true)]);
    let (key, registry) = (race.keys[0], &race.client.registry);
    let notify = Notify { filter: NOTIFY_ALL, subtree: false };
    race.client.run(registry.notify(key, notify)).unwrap();
    // Nothing is known at once.
    race.client.run(registry.invalidated(ConnectionId(1), 0, None));
    registry.read_events(key, ROOM).unwrap();
    // An odd delay has the answer made when it is asked for.
    race.client.world.set_delays(vec![99]);
    let restoring = async {
        race.client.world.set_delays(Vec::new());
        race.restore(&stream).await;
        let events = registry.read_events(key, ROOM).unwrap();
        assert!(!events.is_empty(), "OVERFLOW");
        race.read(key).await
    };
    let ((), known) = block_on(join(race.write((0, 1, 0, true), 7), restoring));
    let told = registry.read_events(key, ROOM).unwrap();
    let actual = race.client.run(race.read(key));
    assert!(known == actual || !told.is_empty(), "{known:?}, {actual:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn whoever_watches_knows_all_in_the_end(
        before in vec((0..2_usize, 0..2_usize, 0..2_usize, any::<bool>()), 0..3),
        writers in vec(writes(), 1..6),
        restores in vec(0..40_usize, 1..3),
        invalidations in vec(0..40_usize, 0..6),
        delays in vec(prop_oneof![4 => 0..3_u8, 1 => 10..60_u8], 1..20),
    ) {
        let (race, stream) = Race::new(&before);
        for key in race.keys {
            let notify = Notify { filter: NOTIFY_ALL, subtree: false };
            race.client.run(race.client.registry.notify(key, notify)).unwrap();
        }
        race.client.world.set_delays(delays);
        let done = Cell::new(false);
        let work = async {
            let writing = writers.iter().enumerate().map(async |(writer, writes)| {
                for (number, write) in writes.iter().enumerate() {
                    race.write(*write, 10 * (writer + 1) + number).await;
                }
            });
            let restoring = async {
                for turns in restores {
                    wait(turns).await;
                    race.restore(&stream).await;
                }
            };
            // What LCS remembers makes most of what is to be found out before a write known at once.
            let forgetting = async {
                for turns in invalidations {
                    wait(turns).await;
                    race.client.registry.invalidated(ConnectionId(1), 0, None).await;
                }
            };
            join3(join_all(writing), restoring, forgetting).await;
            done.set(true);
        };
        let following = join_all(race.keys.map(|key| race.follow(key, &done)));
        let ((), known) = block_on(join(work, following));
        race.client.world.set_delays(Vec::new());
        for (key, known) in race.keys.into_iter().zip(known) {
            let actual = race.client.run(race.read(key));
            prop_assert_eq!(known, actual);
        }
    }
}
