//! Other users, for tests that root runs.

use std::process::Command;
use std::thread;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

use crate::harness::skipped;

/// Whether tests can become other users; if not, that is said.
pub fn can_become_others() -> bool {
    let root = geteuid().is_root();
    if !root {
        skipped("becoming another user needs root");
    }
    root
}

/// Runs `body` as this user, in a thread of its own: on Linux threads have identities, and the kernel's word
/// is about the thread.
///
/// # Panics
///
/// If the body does, or the system does not let this user be another one.
pub fn as_user<T: Send>(uid: u32, gid: u32, body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let user = scope.spawn(|| {
            set_thread_groups(&[]).expect("no supplementary groups");
            set_thread_gid(Gid::from_raw(gid)).expect("another group");
            set_thread_uid(Uid::from_raw(uid)).expect("another user");
            body()
        });
        user.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether tests can give a process its own `/etc/passwd` and `/etc/group`; if not, that is said.
pub fn can_replace_accounts() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skipped("a mount namespace of one's own cannot be had");
    }
    can
}
