//! `regtool selftest`: it says whether all works, and leaves nothing behind.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use hosted as _;
use lcs_abi::rsi::{self, Answer, FromSource, Request, RequestHeader};
use registry_tests::daemons::root_directory;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, System, binary, session_in};
use registry_tests::puppet::{Decision, Puppet, Truth};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

const UID: u32 = 61_236;
const GID: u32 = 61_237;

/// What takes more than an ordinary user may.
const ADMINISTRATORS_CHECKS: [&str; 7] = [
    "layers",
    "hidden keys",
    "private layers",
    "scopes",
    "links",
    "backup and restore",
    "damaged backups",
];

/// The exit code and the lines on stdout; there must be nothing on stderr.
fn said(output: &Output) -> (Option<i32>, Vec<String>) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8_lossy(&output.stdout);
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

/// All that the registry holds and a self test could leave there.
fn all(system: &System) -> Vec<String> {
    ["Machine", "Users"]
        .map(|hive| {
            let file = system.file("all.json");
            let name = file.to_str().expect("UTF-8");
            system.output(&["export", hive, "--format", "json", "-o", name]);
            let exported = fs::read_to_string(&file).expect("an export");
            fs::remove_file(&file).expect("an export");
            exported
        })
        .into()
}

fn key_of(json: &Json) -> &str {
    json["key"].as_str().expect("the scratch key")
}

#[test]
fn everything_works_for_the_owner_and_nothing_is_left_behind() {
    let system = System::start();
    let before = all(&system);
    let (code, lines) = said(&system.run(&["selftest"]));
    assert_eq!(code, Some(0), "{lines:#?}");
    let (last, checks) = lines.split_last().expect("lines");
    assert!(checks.iter().all(|line| line.starts_with("ok ")), "{checks:#?}");
    assert!(ADMINISTRATORS_CHECKS.iter().all(|name| checks.contains(&format!("ok {name}"))));
    assert_eq!(*last, format!("{} passed, 0 failed", checks.len()));
    assert_eq!(all(&system), before);
    assert_eq!(system.output(&["layer", "list"]).lines().count(), 2, "base alone");

    // Where there is a place for programs, it is there.
    system.output(&["create", "HKLM/Software"]);
    let before = all(&system);
    let json: Json = serde_json::from_str(&system.output(&["selftest", "--json"])).expect("JSON");
    assert!(key_of(&json).starts_with("Machine\\Software\\selftest-"), "{json:#}");
    assert_eq!(json["passed"], checks.len());
    assert_eq!((json["failed"].as_u64(), json["skipped"].as_u64()), (Some(0), Some(0)));
    let told = json["checks"].as_array().expect("the checks");
    assert!(told.iter().all(|check| check["outcome"] == "ok" && check["what"].is_null()));
    assert_eq!(told.len(), checks.len());
    assert_eq!(all(&system), before);
}

#[test]
fn an_ordinary_user_is_told_what_was_skipped_and_that_the_rest_works() {
    let system = System::start();
    let Some(user) = system.user(UID, GID) else { return };
    // This makes the user's key, which stays.
    user.output(&["list", "HKCU"]);
    let before = all(&system);
    let (code, lines) = said(&user.run(&["selftest"]));
    assert_eq!(code, Some(0), "{lines:#?}");
    for name in ADMINISTRATORS_CHECKS {
        let skipped = format!("skipped {name}: you ");
        assert!(lines.iter().any(|line| line.starts_with(&skipped)), "{name}: {lines:#?}");
    }
    let skipped = lines.iter().filter(|line| line.starts_with("skipped ")).count();
    assert_eq!(skipped, ADMINISTRATORS_CHECKS.len(), "{lines:#?}");
    let passed = lines.iter().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(lines.last(), Some(&format!("{passed} passed, 0 failed, {skipped} skipped")));
    assert!(passed > 2 * skipped, "{lines:#?}");
    assert_eq!(all(&system), before);
}

#[test]
fn who_may_only_read_is_told_so_and_it_is_a_failure() {
    let system = System::start();
    let Some(user) = system.user(UID, GID) else { return };
    user.output(&["list", "HKCU"]);
    let own = format!("Users\\S-1-22-1-{UID}");
    system.output(&["acl", "set", &own, "D:P(A;CI;KA;;;SY)(A;CI;KR;;;WD)"]);
    let (code, lines) = said(&user.run(&["selftest"]));
    assert_eq!((code, lines.len()), (Some(5), 2), "{lines:#?}");
    assert!(lines[0].starts_with("failed scratch key: CurrentUser\\selftest-"), "{lines:#?}");
    assert!(lines[0].contains("access denied: CREATE_SUB_KEY is missing"), "{lines:#?}");
    assert_eq!(lines[1], "0 passed, 1 failed");
}

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// Answers as a good source does, but whoever reads a snapshot finds no values there.
fn forgets_in_snapshots(header: RequestHeader, request: &Request) -> Decision {
    if header.snapshot.is_none() || !matches!(request, Request::QueryValues { .. }) {
        return Decision::Answer;
    }
    Decision::Bent(Box::new(move |truth: Truth| {
        let result = truth.map(|answer| match answer {
            Answer::Values { blankets, more, .. } => {
                Answer::Values { entries: Vec::new(), blankets, more }
            }
            other => other,
        });
        vec![rsi::frame(&FromSource::Answer { id: header.id, result })]
    }))
}

#[test]
fn a_source_that_lies_is_found_out() {
    session_in(lcs, |_| {
        let _source = Puppet::in_service(&["Machine", "Users"]).serve(forgets_in_snapshots);
        let run = |arguments: &[&str]| {
            Command::new(binary("regtool")).args(arguments).output().expect("regtool runs")
        };
        let before = said(&run(&["tree", "--values"]));
        let (code, lines) = said(&run(&["selftest"]));
        assert_eq!(code, Some(5), "{lines:#?}");
        let failed: Vec<_> = lines.iter().filter(|line| line.starts_with("failed ")).collect();
        let [line] = failed.as_slice() else { panic!("one failed check: {lines:#?}") };
        assert!(line.starts_with("failed backup and restore: Machine\\selftest-"), "{line}");
        assert!(line.ends_with("\\backup: no such value: value"), "{line}");
        assert_eq!(lines.last(), Some(&format!("{} passed, 1 failed", lines.len() - 2)));
        let (code, text) = said(&run(&["selftest", "--json"]));
        assert_eq!(code, Some(5));
        let json: Json = serde_json::from_str(&text.concat()).expect("JSON");
        assert_eq!(json["failed"], 1);
        assert_eq!(said(&run(&["tree", "--values"])), before, "nothing is left behind");
    });
}

/// A pipe that is full but for nothing, so that who writes to it stands still until somebody reads.
fn full_pipe() -> (fs::File, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let mut filler = fs::File::from(writer.try_clone().expect("a descriptor"));
    let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    filler.write_all(&vec![b'.'; size]).expect("room for this");
    (reader.into(), writer)
}

#[test]
fn ctrl_c_ends_it_and_nothing_is_left_behind() {
    let system = System::start();
    let before = all(&system);
    for signal in [Signal::INT, Signal::TERM] {
        let (mut reader, writer) = full_pipe();
        let mut command = system.regtool(&["selftest"]);
        let mut selftest = command.stdout(writer).spawn().expect("regtool runs");
        // The pipe's other end is regtool's alone.
        drop(command);
        let there = || {
            let keys = system.output(&["list", "HKLM"]);
            keys.contains("selftest-").then_some(())
        };
        eventually("the scratch key", there);
        kill_process(Pid::from_child(&selftest), signal).expect("a signal");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        let status = selftest.wait().expect("an end");
        assert_eq!(status.signal(), Some(signal.as_raw()), "{text}");
        let checks = text.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(checks <= 2, "what was under way, and the clean-up: {text}");
        assert_eq!(all(&system), before);
    }
}

#[test]
fn nothing_is_left_behind_where_nobody_reads_on() {
    let system = System::start();
    let before = all(&system);
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    drop(reader);
    let output = system.regtool(&["selftest"]).stdout(writer).output().expect("regtool runs");
    assert_eq!(said(&output), (Some(0), Vec::new()));
    assert_eq!(all(&system), before);
}

#[test]
fn without_a_registry_it_says_so() {
    session_in(lcs, |session| {
        let nowhere = root_directory().join("nowhere");
        let mut command = Command::new(binary("regtool"));
        let output = command.arg("selftest").env("REDOX_HOSTED", nowhere).stdin(Stdio::null());
        let output = output.output().expect("regtool runs");
        assert_eq!(output.status.code(), Some(4), "beside {}", session.daemon);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(error, "regtool: the registry is not running\n");
        // And where no source serves, the first thing that is tried fails.
        let output = Command::new(binary("regtool")).arg("selftest").output();
        let (code, lines) = said(&output.expect("regtool runs"));
        assert_eq!((code, lines[1].as_str()), (Some(5), "0 passed, 1 failed"));
        assert!(lines[0].starts_with("failed scratch key: "), "{lines:#?}");
    });
}
