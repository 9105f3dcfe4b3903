//! A mounted registry from its beginning to its end, and what becomes of it when others end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use hosted as _;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Mount, System, binary};
use registry_tests::users::can_become_others;
use rustix::process::Signal;

const ALICE: u32 = 2_000_001;

fn is_mounted(point: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("what is mounted");
    let point = point.to_str().expect("UTF-8").trim_end_matches('/');
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(point))
}

#[test]
fn a_signal_ends_the_mount_and_leaves_nothing() {
    let system = System::start();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let Some(mount) = Mount::of(system.path()) else { return };
        let point = mount.path("");
        assert!(is_mounted(&point));
        mount.output("Machine", "ls > /dev/null");
        mount.end_by(signal);
        assert!(!is_mounted(&point), "{signal:?}");
        // What was the mount point is an empty directory, and nothing more.
        fs::remove_dir(&point).expect("an empty directory");
    }
}

#[test]
fn a_signal_ends_the_mount_also_while_somebody_is_inside() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    let point = mount.path("");
    let mut inside = mount.shell("Machine", "echo inside; read line; ls");
    inside.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut inside = inside.spawn().expect("sh runs");
    let mut line = String::new();
    BufReader::new(inside.stdout.as_mut().expect("piped")).read_line(&mut line).expect("text");
    assert_eq!(line, "inside\n");
    mount.end();
    assert!(!is_mounted(&point));
    drop(inside.stdin.take());
    let output = inside.wait_with_output().expect("a shell that ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("not connected"), "{said}");
}

#[test]
fn whoever_unmounts_it_ends_it() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    let program = if rustix::process::geteuid().is_root() { "umount" } else { "fusermount3" };
    let mut unmount = Command::new(program);
    if program == "fusermount3" {
        unmount.arg("-u");
    }
    assert!(unmount.arg(mount.path("")).status().expect("it runs").success());
    mount.ended();
}

#[test]
fn the_mount_outlives_daemons_that_die() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    mount.output("Machine", "mkdir Kept && echo tea > Kept/value");
    for daemon in ["loregd.pid", "lcs-scheme.pid"] {
        system.kill(daemon);
        let text = eventually("a registry", || {
            let (text, succeeded) = mount.run("", "cat Machine/Kept/value");
            succeeded.then_some(text)
        });
        assert_eq!(text, "tea\n", "{daemon}");
    }
}

#[test]
fn what_cannot_be_mounted_is_told() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    let refused = |root: &Path, point: &Path| {
        let mut command = Command::new(binary("redox-hosted"));
        let output = command.arg("--root").arg(root).arg("mount").arg(point).output();
        let output = output.expect("redox-hosted runs");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let said = refused(system.path(), &system.file("nowhere"));
    assert!(said.contains("cannot mount at") && said.contains("No such file"), "{said}");
    let empty = system.file("empty");
    fs::create_dir(&empty).expect("a directory");
    let said = refused(&empty, &empty);
    assert!(said.contains("no registry runs in"), "{said}");
    assert!(!is_mounted(&empty));
    mount.output("", "ls > /dev/null");
}

#[test]
fn what_is_done_in_the_mount_is_recorded_of_whoever_did_it() {
    if !can_become_others() {
        return;
    }
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    mount.output("Machine", "mkdir Watched");
    system.output(&["acl", "set", "Machine/Watched", "S:(AU;SAFA;KA;;;WD)"]);
    let mut reader = mount.shell("", "exec cat Machine/Watched/nothing");
    reader.uid(ALICE).gid(ALICE).stderr(Stdio::null());
    let mut reader = reader.spawn().expect("sh runs");
    let pid = reader.id();
    reader.wait().expect("a child");
    let log = fs::read_to_string(system.file("var/log/audit.log")).expect("a log");
    let opened: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .filter(|line: &serde_json::Value| line["event"] == "key-open" && line["uid"] == ALICE)
        .collect();
    assert!(!opened.is_empty(), "{log}");
    assert!(opened.iter().all(|line| line["pid"] == pid), "{pid}: {opened:?}");
}

#[test]
fn a_large_key_is_listed_whole_and_in_order() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    let names: Vec<String> = (0..5_000).map(|number| format!("value {number:05}")).collect();
    let values: String = names.iter().map(|name| format!("\"{name}\"=\"\"\n")).collect();
    let text =
        format!("Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\Many]\n{values}");
    let file = system.file("many.reg");
    fs::write(&file, text).expect("a file");
    system.output(&["import", file.to_str().expect("UTF-8")]);
    let listed = mount.output("Machine/Many", "ls -U");
    assert!(listed.lines().eq(names.iter().map(String::as_str)), "{}", listed.lines().count());
    // A program that stops in the middle and goes on there misses nothing either.
    let counted = mount.output("Machine/Many", "find . -type f -size +0 | wc -l");
    assert_eq!(counted.trim(), "5000");
}
