//! Backups as files: whole or not there, and what `--verify` says of them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lcs_abi::Guid;
use lcs_abi::backup::{Encoder, Header, Key, Layer, Record};
use lcs_abi::security::MACHINE_ROOT_SD;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, System, binary};
use rustix::process::{Pid, Signal, kill_process};

use crate::{back_up, fails, failure, json, text};

/// `regtool` where there is no registry.
fn alone(arguments: &[&str]) -> Output {
    let mut regtool = Command::new(binary("regtool"));
    regtool.args(arguments).env("REDOX_HOSTED", "/no/such/root").stdin(Stdio::null());
    regtool.output().expect("regtool runs")
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect()
}

#[test]
fn a_backup_is_looked_at_without_a_registry() {
    let system = System::start();
    system.output(&["layer", "create", "policy", "--precedence", "10"]);
    system.output(&["set", "-p", "HKLM/A/b", "v", "1"]);
    system.output(&["set", "HKLM/A", "v", "2", "--layer", "policy"]);
    let made = json(&system.output(&["backup", "HKLM/A", "-o", text(&system.file("a")), "--json"]));
    let file = system.file("a");
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o7777, 0o600);
    let bytes = fs::read(&file).expect("a backup");

    let output = alone(&["backup", "--verify", text(&file), "--json"]);
    assert_eq!(failure(&output), (Some(0), String::new()));
    let mut told = json(std::str::from_utf8(&output.stdout).expect("UTF-8"));
    for (name, expected) in [("keys", 2), ("values", 2), ("records", 9), ("path_entries", 1)] {
        assert_eq!(told[name], expected, "{name}");
    }
    assert_eq!(told["bytes"], bytes.len());
    assert_eq!(told["hive"], "Machine");
    assert_eq!(told["layers"][1]["name"], "policy");
    assert_eq!(told["layers"][1]["precedence"], 10);
    let hash: String = bytes[bytes.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told["sha256"], hash.as_str());
    // Making it said the same.
    told["path"] = "Machine\\A".into();
    assert_eq!(told, made);

    let lines = String::from_utf8(alone(&["backup", "--verify", text(&file)]).stdout);
    let lines = lines.expect("UTF-8");
    assert!(lines.starts_with("Hive     Machine\nTime     20"), "{lines}");
    assert!(lines.contains("\nLayers   base, policy (precedence 10)\n"), "{lines}");
    let mut verify = system.regtool(&["backup", "--verify", "-"]);
    let verify = verify.stdin(fs::File::open(&file).expect("a file")).output().expect("regtool");
    assert_eq!(String::from_utf8_lossy(&verify.stdout), lines);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A", "v", "1"]);
    let whole = fs::read(back_up(&system, "HKLM/A", "a")).expect("a backup");
    let file = system.file("b");
    let says = |bytes: &[u8], what: &str| {
        fs::write(&file, bytes).expect("a file");
        let message = format!("{}: {what}", file.display());
        fails(&alone(&["backup", "--verify", text(&file)]), 5, &message);
        // Restoring says the same, and does nothing.
        fails(&system.run(&["restore", "HKLM/A", "-i", text(&file)]), 5, &message);
        assert_eq!(system.output(&["get", "HKLM/A", "v"]), "2\n");
    };
    system.output(&["set", "HKLM/A", "v", "2"]);
    let trailer = whole.len() - 46;
    let mut damaged = whole.clone();
    damaged[30] ^= 1;
    let hash = "the checksum is wrong: the backup was damaged after it was made";
    says(&damaged, &format!("at byte {trailer}: {hash}"));
    says(&whole[..trailer + 7], &format!("at byte {trailer}: the backup ends too early"));
    says(&whole[..60], "at byte 57: the backup ends too early");
    says(b"", "at byte 0: the backup ends too early");
    says(b"REGEDIT4\n", "at byte 0: this is no backup of a registry");
    let more = [&whole[..], b"x"].concat();
    says(&more, &format!("at byte {}: something follows the end of the backup", whole.len()));

    // Whole, and yet it contradicts itself.
    let root = Guid([1; 16]);
    let (volatile, link, sd, last_write) = (false, false, MACHINE_ROOT_SD.to_vec(), 0);
    let key = Record::Key(Key { key: root, volatile, link, sd, last_write });
    let owner = vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    let records = [
        Record::Header(Header { time: 0, root, hive: "Machine".into() }),
        Record::Layer(Layer { name: "base".into(), precedence: 0, enabled: true, owner }),
        key.clone(),
        key,
    ];
    let (mut encoder, mut bytes, mut starts) = (Encoder::new(), Vec::new(), Vec::new());
    for record in &records {
        starts.push(bytes.len());
        encoder.record(record, &mut bytes);
    }
    encoder.finish(&mut bytes);
    says(&bytes, &format!("at byte {}: two KEYs of one GUID", starts[3]));

    let none = system.file("none");
    let message = format!("{}: No such file or directory (os error 2)", none.display());
    fails(&alone(&["backup", "--verify", text(&none)]), 5, &message);
    fails(&system.run(&["restore", "HKLM/A", "-i", text(&none)]), 5, &message);
}

#[test]
fn what_is_no_ordinary_file_is_not_replaced() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A", "v", "1"]);
    let directory = system.file("directory");
    fs::create_dir(&directory).expect("a directory");
    let output = system.run(&["backup", "HKLM/A", "-o", text(&directory)]);
    assert_eq!(failure(&output).0, Some(5));
    let device = system.run(&["backup", "HKLM/A", "-o", "/dev/null"]);
    fails(&device, 5, "/dev/null: not an ordinary file");
    let nowhere = system.file("no/such");
    let output = system.run(&["backup", "HKLM/A", "-o", text(&nowhere)]);
    fails(&output, 5, &format!("{}: No such file or directory (os error 2)", nowhere.display()));
    let file = directory.join("b");
    fs::write(&file, "old").expect("a file");
    fails(&system.run(&["backup", "HKLM/No", "-o", text(&file)]), 1, "Machine\\No: no such key");
    assert_eq!(fs::read(&file).expect("a file"), b"old");
    system.output(&["backup", "HKLM/A", "-o", text(&file)]);
    assert!(alone(&["backup", "--verify", text(&file)]).status.success());
    assert_eq!(names(&directory), ["b"]);
    for line in
        [&["backup", "HKLM/A"][..], &["backup", "-o", "x"], &["backup", "A", "--verify", "x"]]
    {
        assert_eq!(system.run(line).status.code(), Some(2), "{line:?}");
    }
}

/// So many values that a backup of them takes more than a pipe holds, and some time.
fn fill(system: &System) {
    let mut lines = "create HKLM/Large\n".to_owned();
    for number in 0..500 {
        lines += &format!("set HKLM/Large {number} {}\n", "x".repeat(2000));
    }
    assert!(system.run_with_input(&["shell"], &lines).status.success());
}

#[test]
fn whoever_stops_reading_has_no_backup_and_that_is_said() {
    let system = System::start();
    fill(&system);
    let mut backup = system.regtool(&["backup", "HKLM/Large", "-o", "-"]);
    backup.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut backup = backup.spawn().expect("regtool runs");
    let mut stdout = backup.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 100]).expect("a stream");
    drop(stdout);
    let output = backup.wait_with_output().expect("an end");
    fails(&output, 5, "standard output: whoever reads the backup stopped before its end");
}

#[test]
fn a_backup_that_a_signal_ends_leaves_nothing_behind() {
    let system = System::start();
    fill(&system);
    let directory = system.file("directory");
    fs::create_dir(&directory).expect("a directory");
    let file = directory.join("b");
    let source = fs::read_to_string(system.file("run/loregd.pid")).expect("a process");
    let source = source.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
    for (signal, before) in [(Signal::INT, None), (Signal::TERM, Some("old"))] {
        if let Some(before) = before {
            fs::write(&file, before).expect("a file");
        }
        let expected: Vec<_> = before.iter().map(|_| "b".to_owned()).collect();
        // Without its source it comes to no end; that it has begun shows its file, which has no name yet. To open
        // the key it takes no source: that is known.
        system.output(&["check", "HKLM/Large"]);
        kill_process(source, Signal::STOP).expect("a signal");
        let mut backup = system.regtool(&["backup", "HKLM/Large", "-o", text(&file)]);
        let mut backup = Process::spawn(backup.stderr(Stdio::null()));
        let begun = || (names(&directory).len() > expected.len()).then_some(());
        eventually("the file of a backup", begun);
        backup.signal(signal);
        let status = backup.wait(registry_tests::harness::PATIENCE).expect("an end");
        kill_process(source, Signal::CONT).expect("a signal");
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert_eq!(names(&directory), expected);
    }
    assert_eq!(fs::read(&file).expect("a file"), b"old");
    system.output(&["backup", "HKLM/Large", "-o", text(&file)]);
    assert_eq!(names(&directory), ["b"]);
}
