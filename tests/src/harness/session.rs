//! A test on two processes: a daemon, and the test's own body as its client in another.

use std::any::type_name_of_val;
use std::env;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{PATIENCE, Process, Root, bind, skipped};

const BODY_OF: &str = "REGISTRY_TEST_BODY";
const DAEMON: &str = "REGISTRY_TEST_DAEMON";

/// What the body of a session knows of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The daemon's process.
    pub daemon: u32,
}

/// Runs `body` in a process of its own, with `echo-scheme` serving `names` in a fresh root. Call it
/// once, from the test function itself.
///
/// # Panics
///
/// If the body does, or does not end.
pub fn session(names: &[&str], body: impl FnOnce(Session)) {
    session_in(|root| root.daemon("echo-scheme", names), body);
}

/// Runs `body` in a process of its own, in a fresh root in which `start` started a daemon. Call it once,
/// from the test function itself.
///
/// # Panics
///
/// If the body does, or does not end within [`PATIENCE`].
pub fn session_in(start: impl FnOnce(&Root) -> Process, body: impl FnOnce(Session)) {
    run(start, None, PATIENCE, body);
}

/// As [`session_in`], with a body that goes through many rounds, and limits itself how long each may take.
///
/// # Panics
///
/// If the body does, or does not end within [`PATIENCE`] for each round.
pub fn session_of_rounds(
    rounds: u64,
    start: impl FnOnce(&Root) -> Process,
    body: impl FnOnce(Session),
) {
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    run(start, None, PATIENCE.saturating_mul(rounds), body);
}

/// As [`session`], with the body as another user. Only root can do that; others are told that the
/// test was skipped.
///
/// # Panics
///
/// As [`session`].
pub fn session_as(uid: u32, gid: u32, names: &[&str], body: impl FnOnce(Session)) {
    let in_body = env::var_os(BODY_OF).is_some();
    if !in_body && !rustix::process::geteuid().is_root() {
        skipped(format_args!("becoming user {uid} needs root"));
        return;
    }
    run(|root| root.daemon("echo-scheme", names), Some((uid, gid)), PATIENCE, body);
}

fn run<F: FnOnce(Session)>(
    start: impl FnOnce(&Root) -> Process,
    user: Option<(u32, u32)>,
    patience: Duration,
    body: F,
) {
    // `crate::path::test_name::{{closure}}`
    let whole = type_name_of_val(&body);
    let name = whole.split("::{{closure}}").next().unwrap_or(whole);
    let (_, test) = name.split_once("::").expect("the path of a test function");
    if env::var(BODY_OF).as_deref() == Ok(test) {
        let daemon = env::var(DAEMON).ok().and_then(|pid| pid.parse().ok());
        return body(Session { daemon: daemon.expect("the daemon's process id") });
    }
    let root = Root::new();
    let daemon = start(&root);
    let mut said = tempfile::tempfile().expect("a file for what it says");
    let program = env::current_exe().expect("the path of this test");
    let mut command = Command::new(&program);
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("REDOX_HOSTED", root.path())
        .env(BODY_OF, test)
        .env(DAEMON, daemon.id().to_string())
        // Its panics are told on standard error; that it is a test of its own is told to us.
        .stdout(Stdio::from(said.try_clone().expect("another descriptor")));
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    match Process::try_spawn(bind(&mut command)) {
        Err(error) if user.is_some() && error.kind() == ErrorKind::PermissionDenied => {
            skipped(format_args!("another user cannot run {}", program.display()));
        }
        Err(error) => panic!("{command:?}: {error}"),
        Ok(mut child) => {
            child.succeed_within(patience);
            let mut text = String::new();
            said.rewind().and_then(|()| said.read_to_string(&mut text)).expect("what it said");
            assert!(text.contains(" 1 passed"), "{test} is no test that has a session: {text}");
        }
    }
}
