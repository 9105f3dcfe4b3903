//! `loregd check`, as somebody types it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use registry_tests::harness::{System, binary};

fn check(directory: &Path) -> Output {
    Command::new(binary("loregd")).arg("check").arg(directory).output().expect("loregd runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_directory_in_use_is_refused_a_copy_of_it_is_whole_and_a_damaged_one_is_not() {
    let system = System::start();
    system.output(&["create", r"Machine\Check"]);
    let data = system.path().join("var/lib/loregd");

    let refused = check(&data);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(text(&refused.stderr).contains("another loregd works on this directory"));
    assert!(refused.stdout.is_empty());

    let copy = system.file("copy");
    fs::create_dir(&copy).expect("a directory");
    for name in ["Machine.redb", "Users.redb"] {
        fs::copy(data.join(name), copy.join(name)).expect("a copy of a hive");
    }
    let whole = check(&copy);
    let lines = text(&whole.stdout);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.starts_with("Machine: ok, ") && lines.contains("\nUsers: ok, 1 keys"), "{lines}");

    let bytes = fs::read(copy.join("Machine.redb")).expect("a copy of a hive");
    fs::write(copy.join("Machine.redb"), &bytes[..bytes.len() / 2]).expect("a shorter one");
    let damaged = check(&copy);
    let lines = text(&damaged.stdout);
    assert_eq!(damaged.status.code(), Some(1), "{damaged:?}");
    assert!(lines.starts_with("Machine: ") && !lines.contains("Machine: ok"), "{lines}");
    assert!(lines.contains("\nUsers: ok, 1 keys"), "{lines}");
}

#[test]
fn what_cannot_be_checked_and_what_makes_no_sense_have_codes_of_their_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let nothing = check(directory.path());
    assert_eq!(nothing.status.code(), Some(3), "{nothing:?}");
    assert!(text(&nothing.stderr).contains("no hive is here"), "{nothing:?}");
    let loregd = |arguments: &[&str]| {
        Command::new(binary("loregd")).args(arguments).output().expect("loregd runs")
    };
    assert_eq!(loregd(&["check", "a", "b"]).status.code(), Some(2));
    assert_eq!(loregd(&["--data", "a", "check"]).status.code(), Some(2));
    let help = text(&loregd(&["--help"]).stdout);
    assert!(help.contains("check") && help.contains("--data"), "{help}");
    assert!(text(&loregd(&["check", "--help"]).stdout).contains("Exit codes"));
}
