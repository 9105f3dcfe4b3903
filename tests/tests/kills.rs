//! Daemons that are killed at any moment: what was acknowledged is there, and nobody hangs.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

use hosted as _;
use libredox::errno::{EIO, ENODEV};
use libreg::{Access, Key, Registry, SetValue, ValueType};
use registry_tests::daemons::{loregd, machine_is_up, root_directory, signal};
use registry_tests::dice::Dice;
use registry_tests::eventually::eventually;
use registry_tests::harness::{PATIENCE, Process, Root, binary, session_in};
use registry_tests::registry::create;
use rustix::process::Signal;

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
    session_in(
        |root| root.daemon("lcs-scheme", &[]),
        |_| {
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
        },
    );
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
                signal("lcs-scheme", Signal::KILL);
                for error in writers.join(&mut last) {
                    assert!(matches!(error.errno(), Some(EIO | ENODEV)), "{error}");
                }
                eventually("the registry's return", || machine_is_up().then_some(()));
            }
            check(&create(r"Machine\Kills"), &last);
        },
    );
}

#[test]
fn fifty_interrupted_imports_say_so_and_what_they_say_is_imported_is_there() {
    session_in(
        |root| root.daemon("lcs-scheme", &[]),
        |_| {
            let mut dice = Dice::new();
            let mut source = loregd(&[]);
            let file = root_directory().join("some.reg");
            write_reg_file(&file, 600);
            let registry = Registry::open().expect("the registry");
            let mut interrupted = 0;
            for round in 1..=50 {
                let path = format!(r"Machine\Round{round}");
                let handle = create(&path);
                let before = generation(&registry);
                let mut regtool = Command::new(binary("regtool"));
                regtool.args(["import", "--json", "--under", &path]).arg(&file);
                let mut regtool = regtool
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("an import");
                // A moment at which this many of its 1,800 steps are done, or a little later.
                let some = dice.below(1500);
                let deadline = Instant::now() + PATIENCE;
                while generation(&registry) < before + some {
                    assert!(Instant::now() < deadline, "the import stands still");
                }
                source.kill();
                assert_eq!(handle.info().expect_err("no source").errno(), Some(EIO));
                let mut report = String::new();
                let stdout = regtool.stdout.as_mut().expect("its output");
                stdout.read_to_string(&mut report).expect("its report");
                let status = regtool.wait().expect("its end");
                source = loregd(&[]);
                let report: serde_json::Value =
                    serde_json::from_str(&report).expect("a report in JSON");
                let report = report.get(0).unwrap_or(&report);
                if report["complete"] != true {
                    assert_eq!(status.code(), Some(4), "{report}");
                    interrupted += 1;
                }
                let below: Vec<_> = handle
                    .subkeys(true)
                    .map(|subkey| subkey.expect("a subkey").counts.expect("its counts"))
                    .collect();
                let values: u64 = below.iter().map(|counts| counts.values).sum();
                // The key that all are under, and its parent, are among the reported ones.
                let keys = below.len() as u64 + 2;
                assert!(report["keys"].as_u64().expect("a count") <= keys, "{keys} keys: {report}");
                assert!(
                    report["values"].as_u64().expect("a count") <= values,
                    "{values}: {report}"
                );
            }
            assert!(interrupted >= 25, "only {interrupted} imports were interrupted");
        },
    );
}

fn generation(registry: &Registry) -> u64 {
    registry.status().expect("a status").hives[0].generation
}

#[test]
fn an_import_says_that_loregd_died_and_can_be_done_again_under_supervision() {
    const INSIDE: &str = "REGISTRY_TEST_INSIDE";
    if env::var_os(INSIDE).is_some() {
        return import_while_loregd_is_killed();
    }
    let root = Root::new();
    let mut init = Command::new(binary("redox-hosted"));
    init.arg("--root").arg(root.path()).arg("--").arg(env::current_exe().expect("this test"));
    let this = "an_import_says_that_loregd_died_and_can_be_done_again_under_supervision";
    init.args([this, "--exact", "--nocapture"]).env(INSIDE, "1").stdout(Stdio::null());
    Process::spawn(&mut init).succeed();
}

/// Inside the registry that the test starts.
fn import_while_loregd_is_killed() {
    let mut dice = Dice::new();
    let file = root_directory().join("many.reg");
    write_reg_file(&file, 4000);
    let registry = Registry::open().expect("the registry");
    let handle = create(r"Machine\Import");
    let mut interrupted = 0;
    for _ in 0..2 {
        let import = || {
            let mut regtool = Command::new(binary("regtool"));
            regtool.args(["import", "--under", r"Machine\Import"]).arg(&file);
            regtool
        };
        let mut running = Process::spawn(&mut import());
        let before = generation(&registry);
        let some = 1 + dice.below(3000);
        let finished = AtomicBool::new(false);
        eventually("the import's progress", || {
            let generation = generation(&registry);
            finished.store(running.wait(std::time::Duration::ZERO).is_some(), Ordering::Relaxed);
            (generation >= before + some || finished.load(Ordering::Relaxed)).then_some(())
        });
        if finished.load(Ordering::Relaxed) {
            continue;
        }
        signal("loregd", Signal::KILL);
        let status = running.wait(PATIENCE).expect("an end of the import");
        // It may have ended just before.
        if status.code() != Some(0) {
            assert_eq!(status.code(), Some(4));
            interrupted += 1;
        }
        eventually("the registry's return", || machine_is_up().then_some(()));
        handle.info().expect("the handle works again");
    }
    assert!(interrupted > 0, "no import was interrupted");
    let mut again = Command::new(binary("regtool"));
    again.args(["import", "--under", r"Machine\Import"]).arg(&file);
    Process::spawn(&mut again).succeed();
    let key = registry.open_key(r"Machine\Import\Key3999", Access::KEY_READ).expect("the last key");
    assert_eq!(key.value("Number").expect("its value").data, 3999_u32.to_le_bytes());
}

fn write_reg_file(path: &Path, keys: u32) {
    let mut text = String::from("Windows Registry Editor Version 5.00\n\n");
    for number in 0..keys {
        text.push_str(&format!(
            "[HKEY_LOCAL_MACHINE\\Key{number}]\n\"Number\"=dword:{number:08x}\n\"Text\"=\"some text\"\n\n"
        ));
    }
    fs::write(path, text).expect("a .reg file");
}
