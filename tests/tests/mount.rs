//! Programs that know nothing of a registry, in a mounted one.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use registry_tests::harness::{Mount, System, skipped};
use registry_tests::users::can_become_others;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const ALICE: u32 = 2_000_001;
const BOB: u32 = 2_000_002;

/// Everything that files can be named here, but for what `/` and NUL are in any name.
const NAMES: [&str; 9] =
    ["plain", "with space", "quote\"d", "it's", "new\nline", "percent%25", "%2E", "%40", "dash-"];

/// The key of these tests.
const KEY: &str = "Machine/Files";

/// A registry with an empty key for the test, and its mount.
fn mounted() -> Option<(System, Mount)> {
    let system = System::start();
    let mount = Mount::of(&system)?;
    mount.output("Machine", "mkdir Files");
    Some((system, mount))
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").arg("-c").arg(format!("command -v {program}")).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        skipped(format_args!("{program} is not installed"));
    }
    found
}

#[test]
fn values_are_read_and_written_with_cat_and_echo() {
    let Some((system, mount)) = mounted() else { return };
    system.output(&["set", "Machine/Files", "Number", "42", "--type", "dword"]);
    assert_eq!(mount.output(KEY, "cat Number"), "42\n");
    mount.output(KEY, "echo 0x10 > Number");
    assert_eq!(system.output(&["get", "Machine/Files", "Number"]), "16\n");
    let said = mount.failure(KEY, "echo ten > Number");
    assert!(said.contains("Invalid argument"), "{said}");
    assert_eq!(mount.output(KEY, "cat number"), "16\n");
    mount.output(KEY, "echo one > Text; echo two >> Text; printf x > @");
    assert_eq!(system.output(&["get", "Machine/Files", "Text"]), "one\ntwo\n");
    assert_eq!(mount.output(KEY, "cat Text @"), "one\ntwo\nx\n");
    mount.output(KEY, ": > Text");
    assert_eq!(mount.output(KEY, "cat Text"), "\n");
    let large = "0123456789".repeat(60_000);
    fs::write(mount.path("Machine/Files/Large"), &large).expect("a write");
    assert_eq!(
        fs::read_to_string(mount.path("Machine/Files/Large")).expect("a read"),
        large + "\n"
    );
    let too_large = fs::write(mount.path("Machine/Files/Large"), vec![b'x'; 2 << 20]);
    assert_eq!(too_large.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    mount.end();
}

#[test]
fn keys_are_made_looked_at_and_removed_as_directories() {
    let Some((system, mount)) = mounted() else { return };
    mount.output(KEY, "mkdir -p a/b/c && touch a/file a/b/file && ls -lR . > /dev/null");
    assert_eq!(mount.output(KEY, "ls -A a"), "b\nfile\n");
    assert_eq!(
        mount.output(KEY, "find . | sort"),
        ".\n./a\n./a/b\n./a/b/c\n./a/b/file\n./a/file\n"
    );
    assert_eq!(mount.output(KEY, "stat -c '%F %s' a a/file"), "directory 0\nregular file 1\n");
    let messages = [
        ("rmdir a", "Directory not empty"),
        ("rm a/b", "Is a directory"),
        ("rmdir a/file", "Not a directory"),
        ("cat a", "Is a directory"),
        ("cat nothing", "No such file or directory"),
        ("mkdir a", "File exists"),
        ("cat a/file/x", "Not a directory"),
        ("mv a/file a/other", "Operation not supported"),
        ("ln -s a link", "Operation not supported"),
        ("ln a/file other", "Operation not supported"),
        ("chmod 644 a/file", "Operation not supported"),
        ("mkfifo pipe", "Operation not supported"),
        ("touch 50%", "Invalid argument"),
    ];
    for (script, message) in messages {
        let said = mount.failure(KEY, script);
        assert!(said.contains(message), "{script}: {said}");
    }
    mount.output(KEY, "chmod 600 a/file && touch -d yesterday a/file && rm -r a");
    assert_eq!(mount.output(KEY, "ls -A"), "");
    let said = mount.failure("", "mkdir Hive");
    assert!(said.contains("Permission denied"), "{said}");
    assert!(system.output(&["list", "Machine/Files"]).is_empty());
}

#[test]
fn a_tree_goes_out_and_comes_back_the_same() {
    let Some((system, mount)) = mounted() else { return };
    for (number, name) in NAMES.iter().enumerate() {
        fs::write(mount.path(&format!("{KEY}/{name}")), format!("{number}")).expect(name);
        fs::create_dir(mount.path(&format!("{KEY}/key {name}"))).expect(name);
    }
    fs::create_dir(mount.path(&format!("{KEY}/both"))).expect("a key");
    fs::write(mount.path(&format!("{KEY}/both%val")), "a value beside it").expect("a value");
    fs::write(mount.path(&format!("{KEY}/both/@")), "the default").expect("a value");
    let long = "ä".repeat(127);
    fs::write(mount.path(&format!("{KEY}/{long}")), "long").expect("255 bytes");
    let before = system.output(&["export", "Machine/Files"]);

    let outside = system.file("outside").into_os_string().into_string().expect("UTF-8");
    mount.output("Machine", &format!("mkdir {outside} && cp -r Files {outside}/cp"));
    mount.output("Machine", &format!("cp -r {outside}/cp Copy && diff -r Files Copy"));
    let copied = system.output(&["export", "Machine/Copy"]);
    assert_eq!(copied.replace(r"\Machine\Copy", r"\Machine\Files"), before);

    mount.output("Machine", &format!("tar cf {outside}/tar Files && rm -r Files"));
    let untar = format!("tar xf {outside}/tar --no-same-owner --no-same-permissions");
    mount.output("Machine", &untar);
    assert_eq!(system.output(&["export", "Machine/Files"]), before);
    assert_eq!(mount.output(KEY, "grep -rl 'beside it' . "), "./both%val\n");
}

#[test]
fn python_reads_and_writes_files() {
    if !has("python3") {
        return;
    }
    let Some((_system, mount)) = mounted() else { return };
    let script = "python3 -c '
with open(\"value\", \"w\") as file:
    file.write(\"first\")
with open(\"value\", \"a\") as file:
    file.write(\"\\nsecond\")
with open(\"value\") as file:
    assert file.read() == \"first\\nsecond\\n\"
with open(\"value\", \"r+\") as file:
    file.seek(6)
    file.write(\"third\")
print(open(\"value\").read(), end=\"\")
import os
try:
    open(\"value\", \"x\")
except FileExistsError:
    print(\"exists\")
os.makedirs(\"a/b\")
print(sorted(os.listdir(\".\")), os.path.isdir(\"a\"), os.access(\"value\", os.X_OK))
'";
    let said = mount.output(KEY, script);
    assert_eq!(said, "first\nthird\nexists\n['a', 'value'] True False\n");
}

#[test]
fn links_lead_where_they_lead_inside_the_mount() {
    let Some((system, mount)) = mounted() else { return };
    mount.output(KEY, "mkdir -p deep/er && echo tea > deep/er/value");
    system.output(&["create", r"Machine\Files\link", "--link", r"Machine\Files\deep\er"]);
    assert_eq!(mount.output(KEY, "readlink link"), "../../Machine/Files/deep/er\n");
    assert_eq!(mount.output(KEY, "cat link/value"), "tea\n");
    assert_eq!(
        mount.output(KEY, "stat -c %F link; stat -L -c %F link"),
        "symbolic link\ndirectory\n"
    );
    mount.output(KEY, "rm link && cat deep/er/value");
}

#[test]
fn whoever_polls_a_value_wakes_when_it_changed() {
    let Some((system, mount)) = mounted() else { return };
    mount.output(KEY, "echo one > value; echo other > other");
    let mut file = File::open(mount.path("Machine/Files/value")).expect("a file");
    let is_readable = |file: &File, seconds: i64| {
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&timeout)).expect("an answer") > 0
    };
    let mut text = String::new();
    assert!(is_readable(&file, 0), "nobody has read it");
    file.read_to_string(&mut text).expect("a text");
    assert!(!is_readable(&file, 0), "it was read");
    system.output(&["set", "Machine/Files", "other", "new"]);
    assert!(!is_readable(&file, 0), "another value");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| is_readable(&file, 60));
        system.output(&["set", "Machine/Files", "value", "two"]);
        assert!(waits.join().expect("a thread"), "it changed");
    });
    text.clear();
    file.rewind().expect("a file");
    file.read_to_string(&mut text).expect("a text");
    assert_eq!(text, "two\n");
    assert!(!is_readable(&file, 0));
}

#[test]
fn nobody_sees_what_was_there_before() {
    let Some((system, mount)) = mounted() else { return };
    let path = mount.path("Machine/Files/value");
    for number in 0..20 {
        let text = "x".repeat(number);
        system.output(&["set", "Machine/Files", "value", &text]);
        assert_eq!(fs::read_to_string(&path).expect("a value"), format!("{text}\n"));
        assert_eq!(fs::metadata(&path).expect("a value").len() as usize, number + 1);
        system.output(&["unset", "Machine/Files", "value"]);
        assert!(!path.exists());
    }
    let mut open = OpenOptions::new().write(true).create_new(true).open(&path).expect("a value");
    system.output(&["delete", "-r", "Machine/Files"]);
    let written = open.write(b"x");
    assert!(written.is_ok() || !path.exists(), "{written:?}");
    assert!(!path.exists());
}

#[test]
fn two_users_of_one_mount_see_only_what_each_may() {
    if !can_become_others() {
        return;
    }
    let Some((system, mount)) = mounted() else { return };
    mount.output(KEY, "echo all > all; mkdir alices");
    let sddl = format!("D:P(A;CI;KA;;;SY)(A;CI;KA;;;S-1-22-1-{ALICE})");
    system.output(&["acl", "set", "Machine/Files/alices", &sddl]);
    let as_user = |uid: u32, directory: &str, script: &str| {
        let mut command = mount.shell(directory, script);
        let output = command.uid(uid).gid(uid).output().expect("sh runs");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    };
    as_user(ALICE, "Machine/Files/alices", "echo secret > value");
    assert_eq!(as_user(ALICE, "Machine/Files/alices", "cat value; ls"), "secret\nvalue\n");
    for script in
        ["cat alices/value", "ls alices", "echo x > alices/value", "rm alices/value", "cd alices"]
    {
        let said = as_user(BOB, KEY, script);
        assert!(said.contains("Permission denied"), "{script}: {said}");
    }
    // What one has just looked at, the other does not see for it.
    assert_eq!(as_user(ALICE, KEY, "cat alices/value"), "secret\n");
    assert_eq!(as_user(BOB, KEY, "cat all; stat -c '%a %u' all"), format!("all\n400 {BOB}\n"));
    assert!(as_user(BOB, KEY, "echo x > all").contains("Permission denied"));
    assert!(as_user(BOB, KEY, "test -w all && echo writable").is_empty());
    as_user(BOB, "CurrentUser", "echo bobs > mine");
    assert_eq!(as_user(BOB, "CurrentUser", "cat mine"), "bobs\n");
    assert_eq!(as_user(ALICE, "CurrentUser", "ls"), "");
    let own = system.output(&["get", &format!("Users/S-1-22-1-{BOB}"), "mine"]);
    assert_eq!(own, "bobs\n");
}

#[test]
fn only_the_owner_mounts_a_registry() {
    if !can_become_others() {
        return;
    }
    let system = System::start();
    let Some(alice) = system.user(ALICE, ALICE) else { return };
    drop(alice);
    let mut command = Command::new(registry_tests::harness::binary("redox-hosted"));
    command.arg("--root").arg(system.path()).args(["mount", "/mnt"]).uid(ALICE).gid(ALICE);
    let output = command.output().expect("redox-hosted runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("only the owner of"), "{said}");
}
