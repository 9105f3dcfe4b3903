//! The hive SYSTEM of a real Windows, which is not part of this repository: where it is not there, the test says so.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lcs_abi::backup::Record;
use registry_tests::harness::{System, skipped};

use crate::stream::{assert_same, content, content_of, records};
use crate::{back_up, restore, text};

const HIVE: &str = "HKLM/SYSTEM";
/// What somebody writes while the hive is backed up: two values, always equal.
const PAIR: &str = "HKLM/SYSTEM/Pair";

/// `../shared/data/SYSTEM.reg.xz` beside the checkout, unpacked into a file of a system.
fn import(system: &System) -> bool {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/SYSTEM.reg.xz");
    if !data.exists() {
        skipped(format_args!("{} is not there", data.display()));
        return false;
    }
    let Ok(output) = Command::new("xz").arg("-dc").arg(&data).output() else {
        skipped("there is no xz");
        return false;
    };
    assert!(output.status.success(), "{} cannot be unpacked", data.display());
    let file = system.file("SYSTEM.reg");
    fs::write(&file, output.stdout).expect("a file");
    system.output(&["import", text(&file)]);
    true
}

/// Writes the pair again and again, in transactions, until it is told to stop.
fn write_pairs(system: &System, stop: &AtomicBool) {
    let mut shell = system.regtool(&["shell"]);
    let mut shell = shell.stdin(Stdio::piped()).spawn().expect("regtool runs");
    let mut stdin = shell.stdin.take().expect("piped");
    for number in 1.. {
        let set = |name| format!("set {PAIR}/{name} v {number}\n");
        let lines = format!("begin\n{}{}commit\n", set("a"), set("z"));
        stdin.write_all(lines.as_bytes()).expect("the shell reads");
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    drop(stdin);
    assert!(shell.wait().expect("an end").success(), "a transaction failed");
}

fn number(system: &System, name: &str) -> u64 {
    let text = system.output(&["get", &format!("{PAIR}/{name}"), "v"]);
    text.trim().parse().expect("a number")
}

#[test]
fn a_real_hive_is_saved_as_it_was_at_one_moment_while_others_write() {
    let (system, other) = (System::start(), System::start());
    if !import(&system) {
        return;
    }
    for name in ["a", "z"] {
        system.output(&["set", "-p", &format!("{PAIR}/{name}"), "v", "0"]);
    }
    let stop = AtomicBool::new(false);
    let (file, first, last) = thread::scope(|scope| {
        scope.spawn(|| write_pairs(&system, &stop));
        while number(&system, "a") == 0 {
            thread::yield_now();
        }
        let first = number(&system, "a");
        let file = back_up(&system, HIVE, "system");
        let last = number(&system, "a");
        stop.store(true, Ordering::Relaxed);
        (file, first, last)
    });
    let stream = records(&fs::read(&file).expect("a backup"));
    let values = |name: &str| {
        let key = stream.iter().find_map(|record| match record {
            Record::PathEntry(entry) if entry.name == name && is_pair(&stream, entry.parent) => {
                entry.child
            }
            _ => None,
        });
        let value = stream.iter().find_map(|record| match record {
            Record::Value(value) if Some(value.key) == key => Some(value.data.clone()),
            _ => None,
        });
        let text = String::from_utf8(value.expect("a value")).expect("UTF-8");
        text.parse::<u64>().expect("a number")
    };
    let (one, two) = (values("a"), values("z"));
    assert_eq!(one, two, "the backup shows half of a transaction");
    assert!(first <= one && one <= last && first < last, "{first} <= {one} <= {last}");

    // Over the changed original, and into another registry.
    let saved = content(&stream);
    restore(&system, HIVE, &file);
    assert_eq!((number(&system, "a"), number(&system, "z")), (one, one));
    assert_same(&content_of(&back_up(&system, HIVE, "again")), &saved);
    // A key of its own takes what has none of LCS's keys in it.
    other.output(&["create", "HKLM/Copy"]);
    let below = back_up(&system, "HKLM/SYSTEM/ControlSet001", "below");
    restore(&other, "HKLM/Copy", &below);
    let copied = content_of(&back_up(&other, "HKLM/Copy", "copy"));
    assert_same(&copied, &content_of(&below));
    // No key can be in two places, so all of it goes into one that has nothing of it.
    let third = System::start();
    restore(&third, HIVE, &file);
    assert_same(&content_of(&back_up(&third, HIVE, "all")), &saved);
}

/// Whether a key of a stream is the one that has the pair below it.
fn is_pair(stream: &[Record], key: lcs_abi::Guid) -> bool {
    stream.iter().any(|record| {
        matches!(record, Record::PathEntry(entry)
            if entry.child == Some(key) && entry.name == "Pair")
    })
}
