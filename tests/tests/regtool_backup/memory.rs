//! What a backup and a restore of much take of LCS and of `regtool`: about as much as one of little.

use std::process::Stdio;
use std::thread;

use registry_tests::daemons::{loregd, root_directory};
use registry_tests::harness::{Process, Root, Session, binary, session_in};
use registry_tests::memory::Memory;
use registry_tests::registry::create;

/// So many values of this size, in bytes: more than is allowed by far.
const VALUES: usize = 192;
const SIZE: usize = 1_000_000;

/// By how much LCS may grow, in bytes: what it may keep in its cache (CacheBytes, 32 MiB), and as much again.
const ALLOWED: u64 = 64 << 20;
/// What regtool may take in all.
const ALLOWED_REGTOOL: u64 = 32 << 20;

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// Runs `regtool`, and gives the most memory that it was seen to take.
fn peak_of(arguments: &[&str]) -> u64 {
    let mut command = std::process::Command::new(binary("regtool"));
    command.args(arguments).stdout(Stdio::null());
    let mut child = command.spawn().expect("regtool runs");
    let mut peak = 0;
    loop {
        if let Some(memory) = Memory::while_it_lives(child.id()) {
            peak = peak.max(memory.peak);
        }
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{arguments:?}: {status}");
            return peak;
        }
        thread::yield_now();
    }
}

#[test]
fn neither_a_backup_nor_a_restore_takes_memory_for_all_of_a_stream() {
    let lcs = |root: &Root| -> Process { root.daemon("lcs-scheme", &[]) };
    session_in(lcs, |Session { daemon: lcs }| {
        let _loregd = loregd(&[]);
        let key = create("Machine\\Large");
        let data = vec![b'x'; SIZE];
        for number in 0..VALUES {
            let name = number.to_string();
            key.set_value(&name, 3, &data, &Default::default()).expect("a value");
        }
        let file = root_directory().join("large");
        let file = file.to_str().expect("UTF-8");
        let start = Memory::of(lcs).peak;
        let backup = peak_of(&["backup", "HKLM/Large", "-o", file]);
        let backed_up = Memory::of(lcs).peak;
        let restore = peak_of(&["restore", "HKLM/Large", "-i", file]);
        let restored = Memory::of(lcs).peak;
        eprintln!(
            "{} MiB of backup; LCS {} MiB, then at most {}, then {}; regtool {} and {}",
            mib((VALUES * SIZE) as u64),
            mib(start),
            mib(backed_up),
            mib(restored),
            mib(backup),
            mib(restore),
        );
        let (by_backup, by_restore) = (backed_up - start, restored - backed_up);
        assert!(by_backup < ALLOWED, "LCS grew by {} MiB for a backup", mib(by_backup));
        assert!(by_restore < ALLOWED, "LCS grew by {} MiB for a restore", mib(by_restore));
        assert!(backup.max(restore) < ALLOWED_REGTOOL, "regtool: {backup} and {restore} bytes");
    });
}
