//! Daemons without descriptors: LCS tells new clients so, and goes on when there are some again; loregd, which
//! needs a few from the start, says so and ends.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use hosted as _;
use libredox::errno::EMFILE;
use libreg::{Access, Key, Registry, SetValue, ValueType};
use registry_tests::daemons::{check_hives, data_directory, loregd, machine_is_up, root_directory};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_in};
use registry_tests::registry::{create, registry};
use registry_tests::users::{as_user, can_become_others};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

const ALICE: u32 = 2_000_001;
const BOB: u32 = 2_000_002;

/// How many descriptors the daemons have in these tests.
const FEW: u32 = 100;

/// A daemon that has so many descriptors.
fn limited(descriptors: u32, daemon: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(binary(daemon));
    command
}

fn with_few_descriptors(root: &Root) -> Process {
    let mut command = limited(FEW, "lcs-scheme");
    Process::spawn_ready(command.env("REDOX_HOSTED", root.path()))
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

fn log(daemon: &str) -> String {
    fs::read_to_string(root_directory().join("var/log").join(daemon)).expect("the log")
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
            let log = log("lcs-scheme.log");
            let lines = log.lines().filter(|line| line.contains("no descriptors left")).count();
            (lines > 0).then_some(lines)
        });
        assert!(lines <= 3, "{}", log("lcs-scheme.log"));
    });
}

#[test]
fn one_user_cannot_have_all_descriptors_of_lcs() {
    if !can_become_others() {
        return;
    }
    session_in(with_few_descriptors, |_| {
        let _loregd = loregd(&[]);
        create(r"Machine\Key");
        let address = SocketAddrUnix::new(root_directory().join("scheme/reg")).expect("an address");
        // Connections that say nothing, and as many as there are to be had.
        let connections = (0..FEW).map(|_| {
            let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
            let socket = socket_with(AddressFamily::UNIX, kind, flags, None).expect("a socket");
            as_user(ALICE, ALICE, || connect(&socket, &address)).map(|()| socket)
        });
        let held: Vec<_> = connections.collect();
        assert_eq!(as_user(ALICE, ALICE, newcomer), Some(EMFILE));
        as_user(BOB, BOB, || {
            let key = registry().open_key(r"Machine\Key", Access::KEY_READ);
            key.expect("another user's key").info().expect("its details");
        });
        drop(held);
        eventually("service", || as_user(ALICE, ALICE, newcomer).is_none().then_some(()));
    });
}

#[test]
fn loregd_serves_or_ends_with_the_reason_in_its_log_however_few_descriptors_it_has() {
    session_in(Root::lcs, |_| {
        let (mut served, mut ended) = (0, 0);
        for descriptors in 5..=24 {
            let mut command = limited(descriptors, "loregd");
            let mut source = Process::spawn(command.arg("--data").arg(data_directory()));
            let end = eventually("service or an end", || {
                let end = source.wait(Duration::ZERO);
                (end.is_some() || machine_is_up()).then_some(end)
            });
            match end {
                None => {
                    served += 1;
                    source.kill();
                    eventually("its end", || (!machine_is_up()).then_some(()));
                }
                Some(status) => {
                    ended += 1;
                    assert!(!status.success(), "{descriptors}: {status}");
                }
            }
        }
        assert!(served > 0 && ended > 0, "served {served} times, ended {ended} times");
        let log = log("loregd.log");
        assert!(log.contains("Too many open files"), "{log}");
        check_hives();
        let _loregd = loregd(&[]);
        put(&create(r"Machine\Key"), &[1]);
    });
}
