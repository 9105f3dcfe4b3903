//! Daemons in the hands of a session's body.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::process::Command;

use libreg::{HiveState, Registry};

use crate::harness::{Process, binary, bind, kill_daemon};

/// The root that this process lives in.
///
/// # Panics
///
/// If it lives in none.
pub fn root_directory() -> PathBuf {
    env::var_os("REDOX_HOSTED").expect("a root").into()
}

/// Where loregd keeps its hives.
pub fn data_directory() -> PathBuf {
    root_directory().join("var/lib/loregd")
}

/// The lines of the audit log that are about this event.
///
/// # Panics
///
/// If there is no log, or what is in it is no JSON.
pub fn audited(event: &str) -> Vec<serde_json::Value> {
    let log = fs::read_to_string(root_directory().join("var/log/audit.log")).expect("a log");
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line"));
    lines.filter(|line: &serde_json::Value| line["event"] == event).collect()
}

/// Starts LCS, in the place of one that was killed, and waits until it serves. It ends with the thread that
/// calls this, however that ends.
///
/// # Panics
///
/// If it dies before.
pub fn lcs() -> Process {
    Process::spawn_ready(bind(&mut Command::new(binary("lcs-scheme"))))
}

/// Starts loregd, with these arguments too, and waits until it serves.
///
/// # Panics
///
/// If it dies before.
pub fn loregd(arguments: &[&str]) -> Process {
    let mut command = Command::new(binary("loregd"));
    command.args(arguments).arg("--data").arg(data_directory());
    Process::spawn_ready(&mut command)
}

/// Starts a source of private hives, `NAME=SCOPE` each, that live in its memory, and waits until they are in
/// service.
///
/// # Panics
///
/// If it dies before.
pub fn private_hive(hives: &[&str]) -> Process {
    Process::spawn_ready(Command::new(binary("private-hive")).args(hives))
}

/// Tells whoever started this process, if he asked on `INIT_NOTIFY`, that it serves.
///
/// # Panics
///
/// If he does not listen.
pub fn ready() {
    if let Some(fd) = env::var("INIT_NOTIFY").ok().and_then(|fd| fd.parse().ok()) {
        // SAFETY: whoever sets INIT_NOTIFY gives this process the descriptor.
        let mut listener = unsafe { File::from_raw_fd(fd) };
        listener.write_all(&[0]).expect("a listener");
    }
}

/// Checks the hives that a loregd left behind.
///
/// # Panics
///
/// If they are not whole.
pub fn check_hives() {
    let check = Command::new(binary("loregd")).arg("check").arg(data_directory()).output();
    let check = check.expect("loregd runs");
    let problems = String::from_utf8_lossy(&check.stdout);
    let errors = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "loregd check: {}: {problems}{errors}", check.status);
}

/// `kill -9` of a daemon, supervised or not, and waits until it is dead.
///
/// # Panics
///
/// If it does not run.
pub fn kill(name: &str) {
    kill_daemon(&root_directory(), &format!("{name}.pid"));
}

/// Whether the hive Machine is in service.
pub fn machine_is_up() -> bool {
    Registry::open().and_then(|registry| registry.status()).is_ok_and(|status| {
        status.hives.iter().any(|hive| hive.name == "Machine" && hive.state == HiveState::Up)
    })
}
