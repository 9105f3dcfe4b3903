//! Imports that are interrupted at any moment: all of the file is there or nothing, as `regtool` says.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use hosted as _;
use libreg::{Access, Key};
use registry_tests::daemons::{self, check_hives, kill, loregd, machine_is_up, root_directory};
use registry_tests::dice::Dice;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_of_rounds};
use registry_tests::registry::registry;

/// How many imports are killed.
const ROUNDS: u64 = 30;

const GROUPS: usize = 40;

/// With them there are about 2,000 keys.
const KEYS_OF_GROUP: usize = 49;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Regtool,
    Loregd,
    Lcs,
}

/// What happened in all imports.
#[derive(Debug, Default)]
struct Figures {
    complete: u64,
    absent: u64,
    /// Those of which `regtool`, alive or dead, did not say which.
    untold: u64,
}

#[test]
fn an_import_that_is_killed_at_any_moment_is_whole_or_absent() {
    session_of_rounds(ROUNDS, Root::lcs, |_| {
        let mut dice = Dice::new();
        // The first one is not ours.
        let mut lcs = None;
        let mut source = loregd(&[]);
        let file = root_directory().join("some.reg");
        write_reg_file(&file);
        let whole = how_long_it_takes(&file);
        let mut figures = Figures::default();
        for round in 0..ROUNDS {
            // The end is where it is decided.
            let moment = match round % 3 {
                0 => dice.below(whole),
                _ => whole * 8 / 10 + dice.below(whole * 3 / 10),
            };
            let victim = match dice.below(3) {
                0 => Victim::Regtool,
                1 => Victim::Loregd,
                _ => Victim::Lcs,
            };
            let path = format!(r"Machine\Round{round}");
            let mut running = import(&file, &path).spawn().expect("regtool runs");
            wait(moment);
            match victim {
                Victim::Regtool => running.kill().expect("killing a child"),
                Victim::Loregd => {
                    source.kill();
                    check_hives();
                    source = loregd(&[]);
                }
                Victim::Lcs => {
                    kill("lcs-scheme");
                    source.kill();
                    check_hives();
                    lcs = Some(daemons::lcs());
                    source = loregd(&[]);
                }
            }
            let output = running.wait_with_output().expect("regtool ends");
            assert!(machine_is_up(), "loregd is ready and does not serve");
            eventually("the end of what regtool began", || nothing_goes_on().then_some(()));
            let there = is_there(&path);
            let said = what_it_said(&output);
            assert!(
                said.is_none_or(|said| said == there),
                "{victim:?} killed at {moment} of {whole}; it is there: {there}, and {output:?}"
            );
            figures.complete += u64::from(there);
            figures.absent += u64::from(!there);
            figures.untold += u64::from(said.is_none());
            if !there {
                let again = import(&file, &path).output().expect("regtool runs");
                assert_eq!(what_it_said(&again), Some(true), "{again:?}");
                assert!(is_there(&path), "an import that is done again");
            }
        }
        drop(lcs);
        eprintln!("{figures:?}");
    });
}

fn import(file: &Path, under: &str) -> Command {
    let mut regtool = Command::new(binary("regtool"));
    regtool.args(["import", "--under", under]).arg(file);
    regtool.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    regtool
}

/// Waits until LCS has answered so many questions: a clock that runs as fast as the import that it also serves.
fn wait(moment: u64) {
    let registry = registry();
    for _ in 0..moment {
        registry.status().expect("a status");
    }
}

/// How many questions LCS answers while it serves an import.
fn how_long_it_takes(file: &Path) -> u64 {
    let mut running = Process::spawn(&mut import(file, r"Machine\Whole"));
    let mut moment = 0;
    while running.wait(Duration::ZERO).is_none() {
        wait(1);
        moment += 1;
    }
    assert!(is_there(r"Machine\Whole"), "an import that nobody kills");
    moment
}

/// Whether no transaction is there, and no step on its way: that of a dead client may be.
fn nothing_goes_on() -> bool {
    let details = registry().status().expect("a status").details.expect("an administrator");
    details.transactions == 0 && details.sources.iter().all(|source| source.in_flight == 0)
}

/// Whether it said that everything was imported, or that nothing was.
fn what_it_said(output: &Output) -> Option<bool> {
    let nothing = String::from_utf8_lossy(&output.stderr).contains("nothing was imported");
    (output.status.success() || nothing).then_some(!nothing)
}

/// Whether the file's keys and values are there.
///
/// # Panics
///
/// If only some are.
fn is_there(path: &str) -> bool {
    let under = match registry().open_key(path, Access::KEY_READ) {
        Ok(key) => key,
        Err(error) if error.is_not_found() => return false,
        Err(error) => panic!("{path}: {error}"),
    };
    let groups = names(&under);
    assert_eq!(groups.len(), GROUPS, "{path}");
    for group in groups {
        let group = under.open_key(&group, Access::KEY_READ).expect("a group");
        let mut keys = 0;
        for key in group.subkeys(true) {
            let counts = key.expect("a key").counts.expect("its counts");
            assert_eq!(counts.values, 2, "{}", group.path());
            keys += 1;
        }
        assert_eq!(keys, KEYS_OF_GROUP, "{}", group.path());
    }
    true
}

fn names(key: &Key) -> Vec<String> {
    key.subkeys(false).map(|subkey| subkey.expect("a subkey").name).collect()
}

fn write_reg_file(path: &Path) {
    let mut text = String::from("Windows Registry Editor Version 5.00\n\n");
    for group in 0..GROUPS {
        for key in 0..KEYS_OF_GROUP {
            let number = group * KEYS_OF_GROUP + key;
            write!(
                text,
                "[HKEY_LOCAL_MACHINE\\Group{group}\\Key{key}]\n\
                 \"Number\"=dword:{number:08x}\n\"Text\"=\"some text\"\n\n"
            )
            .expect("text takes text");
        }
    }
    fs::write(path, text).expect("a .reg file");
}
