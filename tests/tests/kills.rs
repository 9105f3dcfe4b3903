//! Daemons that are killed at any moment: what was acknowledged is there, and nobody hangs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use hosted as _;
use libredox::errno::{EIO, ENODEV};
use libreg::{Key, SetValue, ValueType};
use registry_tests::daemons::{kill, loregd, machine_is_up};
use registry_tests::dice::Dice;
use registry_tests::eventually::eventually;
use registry_tests::harness::{PATIENCE, Root, session_in};
use registry_tests::registry::create;

fn set(key: &Key, name: &str, number: u64) -> Result<(), libreg::Error> {
    let (qword, data) = (ValueType::Qword.code(), number.to_le_bytes());
    key.set_value(name, qword, &data, &SetValue::default()).map(drop)
}

/// What a writer wrote and was acknowledged, and the error that ended it.
type Written = (Vec<(String, u64)>, libreg::Error);

/// Writers that write until an error comes.
struct Writers {
    threads: Vec<thread::JoinHandle<Written>>,
    acknowledged: Arc<AtomicU64>,
}

impl Writers {
    fn start(key: &Arc<Key>, round: u64) -> Writers {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let threads = (0..8).map(|writer| {
            let (key, acknowledged) = (Arc::clone(key), Arc::clone(&acknowledged));
            thread::spawn(move || {
                let mut written = Vec::new();
                loop {
                    // Few names, so that a name is written many times: a lost write would show an old one.
                    let name = format!("{writer}-{}", written.len() % 7);
                    let number = round << 32 | written.len() as u64;
                    match set(&key, &name, number) {
                        Ok(()) => written.push((name, number)),
                        Err(error) => return (written, error),
                    }
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Writers { threads: threads.collect(), acknowledged }
    }

    /// Waits until this many writes are acknowledged.
    fn wait_for(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.acknowledged.load(Ordering::Relaxed) < count {
            assert!(Instant::now() < deadline, "writers stand still");
            thread::yield_now();
        }
    }

    /// What each name was last acknowledged to hold, and the errors that ended the writers.
    fn join(self, last: &mut BTreeMap<String, u64>) -> Vec<libreg::Error> {
        let threads = self.threads.into_iter();
        let ends = threads.map(|thread| {
            let (written, error) = thread.join().expect("a writer");
            last.extend(written);
            error
        });
        ends.collect()
    }
}

/// Every name holds what was acknowledged last, or the one write that was under way when the plug was
/// pulled: the next number.
fn check(key: &Key, last: &BTreeMap<String, u64>) {
    for (name, number) in last {
        let found = key.value(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = u64::from_le_bytes(found.data.try_into().expect("eight bytes"));
        // A writer's numbers of one name are seven apart.
        assert!(
            found == *number || found > *number && found >> 32 >= *number >> 32,
            "{name}: {number:#x} was acknowledged, {found:#x} is there"
        );
    }
}

#[test]
fn every_acknowledged_write_survives_fifty_kills_of_loregd_on_the_same_handle() {
    session_in(Root::lcs, |_| {
        let mut dice = Dice::new();
        let mut source = loregd(&[]);
        let key = Arc::new(create(r"Machine\Kills"));
        let mut last = BTreeMap::new();
        for round in 1..=50 {
            let writers = Writers::start(&key, round);
            writers.wait_for(dice.below(120));
            source.kill();
            for error in writers.join(&mut last) {
                assert_eq!(error.errno(), Some(EIO), "{error}");
            }
            assert_eq!(key.value("0-0").expect_err("no source").errno(), Some(EIO));
            source = loregd(&[]);
            check(&key, &last);
        }
        assert!(!last.is_empty());
    });
}

#[test]
fn every_acknowledged_write_survives_kills_of_lcs() {
    session_in(
        |root| root.daemon("lcs-scheme", &["--supervise"]),
        |_| {
            let mut dice = Dice::new();
            let _source = loregd(&["--supervise"]);
            let mut last = BTreeMap::new();
            for round in 1..=5 {
                let key = Arc::new(create(r"Machine\Kills"));
                check(&key, &last);
                let writers = Writers::start(&key, round);
                writers.wait_for(dice.below(120));
                kill("lcs-scheme");
                for error in writers.join(&mut last) {
                    assert!(matches!(error.errno(), Some(EIO | ENODEV)), "{error}");
                }
                eventually("the registry's return", || machine_is_up().then_some(()));
            }
            check(&create(r"Machine\Kills"), &last);
        },
    );
}
