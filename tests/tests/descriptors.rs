//! LCS without descriptors: new clients are told so, and it goes on when there are some again.

use std::fs;
use std::process::Command;
use std::thread;

use hosted as _;
use libredox::errno::EMFILE;
use libreg::{Access, Key, Registry, SetValue, ValueType};
use registry_tests::daemons::{loregd, root_directory};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_in};
use registry_tests::registry::{create, registry};

/// How many descriptors the daemons have in these tests.
const FEW: u32 = 100;

fn with_few_descriptors(root: &Root) -> Process {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {FEW} && exec {}", binary("lcs-scheme").display());
    command.args(["-c", &script]).env("REDOX_HOSTED", root.path());
    Process::spawn_ready(&mut command)
}

fn put(key: &Key, data: &[u8]) {
    let binary = ValueType::Binary.code();
    key.set_value("v", binary, data, &SetValue::default()).expect("a write");
}

/// What a client that comes now is told, if it is an error. Each thread is a client of its own.
fn newcomer() -> Option<i32> {
    let opened = thread::spawn(|| Registry::open().and_then(|registry| registry.status()));
    let opened = opened.join().expect("a client");
    opened.err().map(|error| error.errno().expect("an error of LCS's"))
}

fn log() -> String {
    fs::read_to_string(root_directory().join("var/log/lcs-scheme.log")).expect("the log")
}

#[test]
fn lcs_without_descriptors_says_so_and_serves_again_when_it_has_some() {
    session_in(with_few_descriptors, |_| {
        let _loregd = loregd(&[]);
        let key = create(r"Machine\Key");
        for round in 0..2 {
            let mut held = Vec::new();
            let root = registry();
            let refused = loop {
                match root.open_key(r"Machine\Key", Access::KEY_READ) {
                    Ok(key) => held.push(key),
                    Err(error) => break error.errno(),
                }
                assert!(held.len() < FEW as usize, "the limit is not in force");
            };
            assert_eq!(refused, Some(EMFILE));
            // Others get no further, and quickly; who is there already goes on.
            for _ in 0..20 {
                assert_eq!(newcomer(), Some(EMFILE));
            }
            put(&key, &[round]);
            assert_eq!(key.value("v").expect("the value").data, [round]);
            drop(held);
            eventually("service", || newcomer().is_none().then_some(()));
        }
        let lines = eventually("a line in the log", || {
            let lines = log().lines().filter(|line| line.contains("no descriptors left")).count();
            (lines > 0).then_some(lines)
        });
        assert!(lines <= 3, "{}", log());
    });
}
