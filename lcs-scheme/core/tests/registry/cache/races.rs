//! Writers and readers at once, with answers that come late, never, or say that it failed, and a source that goes
//! and comes back: who begins to read after a change was answered never sees anything older, and nobody sees
//! what was never written.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_executor::block_on;
use futures_util::future::join_all;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, EnumSubkeys, GetSecurity, QueryValue, QueryValueAnswer, QueryValues,
    SetSecurity, SetValue,
};
use lcs_abi::rsi::Request;
use lcs_core::registry::{Error, Fault, HandleId};
use lcs_core::security::{SecurityDescriptor, Sid};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::common::Client;
use crate::common::client::{ROOM, create_key, in_layer, open_key, system};
use crate::common::kept::Kept;
use crate::common::world::{Failure, Source};

type Actor<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

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

/// Lets the others go on.
async fn pause(mut polls: u8) {
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What is written again and again, by one writer: the versions 1, 2, 3, …
#[derive(Clone, Copy, Debug)]
enum Register {
    /// The value of a name.
    Value(&'static str),
    /// Whether there is a subkey of a name: in the odd versions.
    Name(&'static str),
    /// Who is in the key's DACL.
    Security,
}

const REGISTERS: [Register; 5] = [
    Register::Value("v"),
    Register::Value("w"),
    Register::Name("one"),
    Register::Name("other"),
    Register::Security,
];

/// A value that two write.
const SHARED: &str = "shared";

struct Race {
    client: Client,
    source: Source,
    key: HandleId,
    reads: Cell<usize>,
    /// What was told of values.
    kept: Kept<String, QueryValueAnswer>,
}

impl Race {
    /// Writes a version.
    async fn write(&self, register: Register, version: u64) -> Result<(), Error> {
        let registry = &self.client.registry;
        match register {
            Register::Value(name) => {
                self.set(name, version).await?;
            }
            Register::Name(name) if version % 2 == 1 => {
                let made = create_key(name, None, false);
                let made = registry.derive(Some(self.key), &system(), made).await?;
                registry.close(made).await;
            }
            Register::Name(name) => {
                let subkey = registry.derive(Some(self.key), &system(), open_key(name)).await?;
                let deleted = registry.delete_key(subkey, in_layer(None)).await;
                registry.close(subkey).await;
                deleted?;
            }
            Register::Security => {
                let who = Sid::user(u32::try_from(version).expect("few versions"));
                let sd: SecurityDescriptor =
                    format!("D:(A;;KA;;;SY)(A;;KR;;;{who})").parse().expect("a descriptor");
                let request = SetSecurity { parts: DACL_SECURITY_INFORMATION, sd: sd.to_bytes() };
                registry.set_security(self.key, request).await?;
            }
        }
        Ok(())
    }

    async fn set(&self, name: &str, number: u64) -> Result<u64, Error> {
        let request = SetValue {
            name: name.into(),
            value_type: 11,
            data: number.to_le_bytes().into(),
            layer: None,
            expected_sequence: None,
        };
        Ok(self.client.registry.set_value(self.key, request).await?.sequence)
    }

    /// Whether what is read, by itself or in a list of all, can be one of these versions.
    async fn reads_one_of(
        &self,
        register: Register,
        in_list: bool,
        versions: impl FnOnce() -> RangeInclusive<u64>,
    ) -> Result<(), Error> {
        let registry = &self.client.registry;
        let possible = match register {
            Register::Value(name) => {
                let (number, _) = self.value(name, in_list).await?;
                versions().contains(&number)
            }
            Register::Name(name) => {
                let is_there = if in_list {
                    let request = EnumSubkeys { cursor: None, counts: true };
                    let listed = registry.enum_subkeys(self.key, request, ROOM).await?.answer;
                    listed.subkeys.iter().any(|subkey| subkey.name == name)
                } else {
                    match registry.derive(Some(self.key), &system(), open_key(name)).await {
                        Ok(subkey) => {
                            registry.close(subkey).await;
                            true
                        }
                        Err(Error::NotFound(_)) => false,
                        Err(error) => return Err(error),
                    }
                };
                versions().any(|version| (version % 2 == 1) == is_there)
            }
            Register::Security => {
                let request = GetSecurity { parts: DACL_SECURITY_INFORMATION };
                let sd = registry.get_security(self.key, request).await?.sd;
                let sd = SecurityDescriptor::from_bytes(&sd).expect("a descriptor").to_string();
                versions().any(|version| {
                    let who = Sid::user(u32::try_from(version).expect("few versions"));
                    sd.contains(&format!("{who})"))
                })
            }
        };
        assert!(possible, "{register:?}, in a list: {in_list}");
        self.reads.set(self.reads.get() + 1);
        Ok(())
    }

    /// The number in a value, and the value's sequence number.
    async fn value(&self, name: &str, in_list: bool) -> Result<(u64, u64), Error> {
        let registry = &self.client.registry;
        let (data, sequence) = if in_list {
            let request = QueryValues { cursor: None };
            let mut listed = registry.query_values(self.key, request, ROOM).await?.answer;
            let at = listed.values.iter().position(|value| value.name == name);
            let value = listed.values.swap_remove(at.expect("nobody deletes it"));
            (value.data, value.sequence)
        } else {
            // Half of the reads give again what was told before, if that may be.
            let kept = self.kept.good(&self.client.world, &name.to_owned());
            let value = match kept.filter(|_| self.reads.get().is_multiple_of(2)) {
                Some(kept) => kept,
                None => {
                    let request = QueryValue { name: name.into() };
                    let told = registry.query_value(self.key, request).await?;
                    self.kept.keep(name.to_owned(), told)
                }
            };
            (value.data, value.sequence)
        };
        Ok((u64::from_le_bytes(data.try_into().expect("a number")), sequence))
    }

    /// The writer and the readers of one register.
    fn actors<'a>(
        &'a self,
        register: Register,
        course: &'a Course,
        (sent, answered): (&'a Cell<u64>, &'a Cell<u64>),
    ) -> [Actor<'a>; 3] {
        let writer = async move {
            for polls in &course.writes {
                sent.set(sent.get() + 1);
                let version = sent.get();
                match within(*polls, self.write(register, version)).await {
                    Some(Ok(())) => answered.set(version),
                    // A key that is there need not be made, and nothing is sent. So that this is not answered before
                    // a removal that was given up, which comes first for this test, that is carried out now.
                    None if matches!(register, Register::Name(_)) => self.settle(),
                    _ => {}
                }
            }
        };
        let reader = |in_list: bool| async move {
            for polls in &course.reads {
                let least = answered.get();
                let read = self.reads_one_of(register, in_list, || least..=sent.get());
                let _ = within(*polls, read).await;
            }
        };
        [Box::pin(writer), Box::pin(reader(false)), Box::pin(reader(true))]
    }

    /// Two writers of one value, and readers of it. What was answered has sequence numbers.
    fn rivals<'a>(&'a self, course: &'a Course, newest: &'a Cell<u64>) -> [Actor<'a>; 4] {
        let writer = move || async move {
            for polls in &course.writes {
                if let Some(Ok(sequence)) = within(*polls, self.set(SHARED, 1)).await {
                    newest.set(newest.get().max(sequence));
                }
            }
        };
        let reader = |in_list: bool| async move {
            for polls in &course.reads {
                let least = newest.get();
                let read = within(*polls, self.value(SHARED, in_list)).await;
                if let Some(Ok((_, sequence))) = read {
                    assert!(sequence >= least, "{sequence} was read after {least} was answered");
                    self.reads.set(self.reads.get() + 1);
                }
            }
        };
        [Box::pin(writer()), Box::pin(writer()), Box::pin(reader(false)), Box::pin(reader(true))]
    }

    /// The source does what it was sent, as late as that is.
    fn settle(&self) {
        self.source.ask(&Request::ReadKey { key: self.source.root() }).expect("the root");
    }

    /// The source goes and comes back, each time after so long.
    async fn reconnect(&self, after: &[u8]) {
        for (number, polls) in (1..).zip(after) {
            pause(*polls).await;
            self.client.disconnect(number);
            // Before it registers again.
            self.settle();
            self.client
                .serving(number + 1, &[("Test", &self.source)])
                .await
                .expect("the same hive");
        }
    }
}

/// What happens when.
#[derive(Clone, Debug)]
struct Course {
    delays: Vec<u8>,
    failures: Vec<u8>,
    /// After how many polls each write, and each read, is given up.
    writes: Vec<u8>,
    reads: Vec<u8>,
    reconnects: Vec<u8>,
}

fn courses() -> impl Strategy<Value = Course> {
    (
        vec(0..6_u8, 1..12),
        vec(0..12_u8, 1..8),
        vec(0..24_u8, 1..8),
        vec(0..24_u8, 1..10),
        vec(0..40_u8, 0..3),
    )
        .prop_map(|(delays, failures, writes, reads, reconnects)| Course {
            delays,
            failures,
            writes,
            reads,
            reconnects,
        })
}

/// Plays it, and tells how many reads were answered, and how many answers could have been given again.
fn play(course: &Course) -> [usize; 2] {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let race = Race { client, source, key, reads: Cell::new(0), kept: Kept::default() };
    for name in ["v", "w", SHARED] {
        block_on(race.set(name, 0)).unwrap();
    }
    block_on(race.write(Register::Security, 0)).unwrap();
    race.client.world.set_delays(course.delays.clone());
    let mut failures = course.failures.clone().into_iter().cycle();
    race.client.world.fail_when(move |request| {
        let dice = matches!(request, Request::Apply { .. }).then(|| failures.next())??;
        // Down: nobody knows whether it was done.
        (dice < 3).then_some(Failure { fault: Fault::Down, takes_effect: dice < 2 })
    });
    let versions: Vec<(Cell<u64>, Cell<u64>)> =
        REGISTERS.iter().map(|_| Default::default()).collect();
    let newest = Cell::new(0);
    let actors = REGISTERS.iter().zip(&versions);
    let mut actors: Vec<Actor<'_>> = actors
        .flat_map(|(register, (sent, answered))| race.actors(*register, course, (sent, answered)))
        .collect();
    actors.extend(race.rivals(course, &newest));
    actors.push(Box::pin(race.reconnect(&course.reconnects)));
    block_on(join_all(actors));
    race.client.world.fail_no_more();
    race.settle();
    same_when_forgotten(&race, 1 + course.reconnects.len() as u64);
    [race.reads.get(), race.kept.count()]
}

/// What is known is what the source has.
fn same_when_forgotten(race: &Race, connection: u64) {
    let look = || {
        let values = block_on(race.client.registry.query_values(
            race.key,
            QueryValues { cursor: None },
            ROOM,
        ));
        let values = values.expect("the source is there").answer.values;
        let single =
            ["v", "w", SHARED].map(|name| race.client.query(race.key, name).expect("a value"));
        let subkeys = race.client.subkeys(race.key, true, ROOM).expect("the source is there");
        let opened =
            ["one", "other"].map(|name| race.client.derive(Some(race.key), open_key(name)).is_ok());
        let request = GetSecurity { parts: DACL_SECURITY_INFORMATION };
        let sd = block_on(race.client.registry.get_security(race.key, request)).expect("an SD");
        format!("{values:?} {single:?} {subkeys:?} {opened:?} {sd:?}")
    };
    let known = look();
    race.client.forget(connection);
    assert_eq!(known, look());
}

#[test]
fn nobody_reads_what_is_older_than_an_answered_change() {
    const CASES: u32 = 3000;
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let counts = Cell::new([0, 0]);
    TestRunner::new(config)
        .run(&courses(), |course| {
            let ([answered, kept], [more, more_kept]) = (counts.get(), play(&course));
            counts.set([answered + more, kept + more_kept]);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let [answered, kept] = counts.get();
    assert!(answered > 20 * CASES as usize, "{answered} reads were answered");
    assert!(kept > CASES as usize, "{kept} answers could be given again");
}
