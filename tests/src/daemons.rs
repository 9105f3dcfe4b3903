//! Daemons in the hands of a session's body.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use libreg::{HiveState, Registry};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Process, binary};

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

/// Sends a signal to a supervised daemon.
///
/// # Panics
///
/// If it does not run.
pub fn signal(name: &str, signal: Signal) {
    let file = root_directory().join("run").join(format!("{name}.pid"));
    let pid =
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let pid = Pid::from_raw(pid.trim().parse().expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("a signal to a daemon");
}

/// Whether the hive Machine is in service.
pub fn machine_is_up() -> bool {
    Registry::open().and_then(|registry| registry.status()).is_ok_and(|status| {
        status.hives.iter().any(|hive| hive.name == "Machine" && hive.state == HiveState::Up)
    })
}
