//! A hive whose file is damaged or gone at the start of loregd: the newest copy takes its place, and that is said. And
//! copies that are put back by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hosted as _;
use registry_tests::daemons::{
    audited, check_hives, data_directory, loregd, machine_is_up, root_directory,
};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_in};
use registry_tests::registry::{create, registry};

fn set(path: &str, data: &[u8]) {
    create(path).set_value("v", 3, data, &Default::default()).expect("a value");
}

fn get(path: &str) -> Vec<u8> {
    create(path).value("v").unwrap_or_else(|error| panic!("{path}: {error}")).data
}

/// The number that `regtool backup --store` prints.
fn store() -> u32 {
    let mut regtool = Command::new(binary("regtool"));
    let output = regtool.args(["backup", "Machine", "--store"]).output().expect("regtool runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.trim_end().parse().expect("a number")
}

/// Names below the data directory that begin so.
fn files(directory: &Path, beginning: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).expect("a directory");
    let all = all.map(|entry| entry.expect("an entry").path());
    let is = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|it| it.starts_with(beginning))
    };
    all.filter(is).collect()
}

/// What a session of these tests does.
fn damaged_and_started_again(damage: fn(&Path)) {
    let mut source = loregd(&[]);
    set(r"Machine\Kept", b"copied");
    set(r"Users\Kept", b"before");
    let number = store();
    let copies = data_directory().join("backup");
    assert_eq!(files(&copies, &format!("Machine.{number}.requested.")).len(), 1);
    set(r"Machine\Kept", b"lost");
    set(r"Users\Kept", b"not lost");
    source.kill();

    let database = data_directory().join("Machine.redb");
    damage(&database);
    let damaged = fs::read(&database).ok();
    let mut source = loregd(&[]);
    assert_eq!(get(r"Machine\Kept"), b"copied");
    assert_eq!(get(r"Users\Kept"), b"not lost");
    // What is written from now on stays.
    set(r"Machine\Kept", b"after");

    let aside = files(&data_directory(), "Machine.redb.damaged-");
    let aside: Vec<_> = aside.iter().map(|path| fs::read(path).expect("a file")).collect();
    assert!(aside == Vec::from_iter(damaged), "the damaged file is not kept as it was");
    let log = log();
    let said = |what: &str| {
        let is = |line: &str| line.contains("ERROR") && line.contains(what);
        assert!(log.lines().any(is), "no line says {what:?}: {log}");
    };
    said("hive Machine is damaged: ");
    said(&format!("hive Machine: copy {number} ("));
    let events = audited("hive-recovered");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["hive"], "Machine");
    assert_eq!(events[0]["copy"], number);

    source.kill();
    check_hives();
    let _source = loregd(&[]);
    assert_eq!(get(r"Machine\Kept"), b"after");
    assert_eq!(audited("hive-recovered").len(), 1);
}

#[test]
fn a_hive_with_other_bits_in_it_becomes_its_newest_copy() {
    let damage = |database: &Path| {
        let mut bytes = fs::read(database).expect("a hive");
        // From the first page after the header on: wherever the trees are, they are hit.
        bytes.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x10);
        fs::write(database, bytes).expect("a hive");
    };
    session_in(Root::lcs, |_| damaged_and_started_again(damage));
}

#[test]
fn a_hive_that_was_cut_becomes_its_newest_copy() {
    let damage = |database: &Path| {
        let bytes = fs::read(database).expect("a hive");
        fs::write(database, &bytes[..4096]).expect("a hive");
    };
    session_in(Root::lcs, |_| damaged_and_started_again(damage));
}

#[test]
fn a_hive_of_zeros_becomes_its_newest_copy() {
    let damage = |database: &Path| {
        let length = fs::read(database).expect("a hive").len();
        fs::write(database, vec![0; length]).expect("a hive");
    };
    session_in(Root::lcs, |_| damaged_and_started_again(damage));
}

#[test]
fn a_hive_that_is_gone_becomes_its_newest_copy() {
    let damage = |database: &Path| fs::remove_file(database).expect("a hive");
    session_in(Root::lcs, |_| damaged_and_started_again(damage));
}

fn log() -> String {
    fs::read_to_string(root_directory().join("var/log/loregd.log")).expect("a log")
}

/// Waits until the log of loregd says this.
fn wait_until_logged(what: &str) {
    eventually(what, || log().contains(what).then_some(()));
}

/// A copy of a hive that is too large to be read whenever loregd starts, and of what is in it the last value, which
/// only the hive has. loregd is told to end.
fn large_hive(source: &mut Process) -> u32 {
    let large = create(r"Machine\Large");
    for number in 0..12 {
        let name = format!("v{number}");
        large.set_value(&name, 3, &[0xd5; 1 << 20], &Default::default()).expect("a value");
    }
    set(r"Machine\Kept", b"copied");
    let number = store();
    set(r"Machine\Kept", b"newest");
    source.end();
    number
}

#[test]
fn a_large_hive_that_was_damaged_while_nobody_had_it_open_becomes_its_newest_copy_by_itself() {
    session_in(Root::lcs, |_| {
        let number = large_hive(&mut loregd(&[]));
        let database = data_directory().join("Machine.redb");
        let mut bytes = fs::read(&database).expect("a hive");
        let place = bytes.windows(100_000).position(|part| part.iter().all(|byte| *byte == 0xd5));
        bytes[place.expect("a large value") + 50_000] = 0xd4;
        fs::write(&database, bytes).expect("a hive");
        let mut source = loregd(&["--supervise"]);
        // It serves what it has, until all of that was read.
        assert_eq!(get(r"Machine\Kept"), b"newest");
        wait_until_logged("serving 2 hives in ");
        wait_until_logged("ERROR loregd: hive Machine is damaged: ");
        wait_until_logged(&format!("hive Machine: copy {number} ("));
        eventually("Machine comes back", || machine_is_up().then_some(()));
        assert_eq!(get(r"Machine\Kept"), b"copied");
        assert_eq!(files(&data_directory(), "Machine.redb.damaged-").len(), 1);
        assert_eq!(audited("hive-recovered").len(), 1);
        source.end();
        check_hives();
    });
}

#[test]
fn a_large_hive_is_checked_in_service_and_before_a_copy_is_made() {
    session_in(Root::lcs, |_| {
        let number = large_hive(&mut loregd(&[]));
        let unchecked = data_directory().join("Machine.unchecked");
        let mut source = loregd(&[]);
        assert!(unchecked.exists() && !data_directory().join("Users.unchecked").exists());
        assert!(!log().contains("Machine: checked"));
        assert_eq!(store(), number + 1);
        assert!(!unchecked.exists() && log().contains("Machine: checked"));
        assert_eq!(get(r"Machine\Kept"), b"newest");
        source.end();
        // By itself, and while it is written.
        let mut source = loregd(&[]);
        let mut number = 0_u64;
        eventually("it is checked", || {
            set(r"Machine\Kept", &number.to_le_bytes());
            number += 1;
            (!unchecked.exists()).then_some(())
        });
        assert!(!log().contains("damaged"), "{}", log());
        source.kill();
        check_hives();
    });
}

fn restore() -> Output {
    let mut loregd = Command::new(binary("loregd"));
    loregd.arg("restore").arg(data_directory()).arg("Machine").output().expect("loregd runs")
}

#[test]
fn a_copy_is_put_back_by_hand_only_where_no_loregd_works() {
    session_in(Root::lcs, |_| {
        let mut source = loregd(&[]);
        set(r"Machine\Kept", b"copied");
        store();
        set(r"Machine\Kept", b"changed");
        let refused = restore();
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("another loregd works on this directory"), "{said}");
        assert_eq!(get(r"Machine\Kept"), b"changed");
        source.kill();

        let done = restore();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert_eq!(files(&data_directory(), "Machine.redb.replaced-").len(), 1);
        check_hives();
        let _source = loregd(&[]);
        assert_eq!(get(r"Machine\Kept"), b"copied");
        // It is no damage, so nobody is told of one.
        assert!(registry().status().is_ok() && audited("hive-recovered").is_empty());
    });
}
