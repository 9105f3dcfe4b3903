//! `regtool watch`: what it prints while others change the registry.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use registry_tests::harness::{PATIENCE, Process, System};
use rustix::process::Signal;
use serde_json::Value;

/// How long a watcher is given to say something before it is given more to tell.
const BRIEFLY: Duration = Duration::from_millis(50);

/// A `regtool watch` that runs.
struct Watcher {
    lines: Receiver<String>,
    _process: Process,
}

impl Watcher {
    /// Starts it, and waits until it watches: it is made to tell of something with a number, which `prod`
    /// does, until it tells of the last one.
    fn start(system: &System, arguments: &[&str], prod: impl Fn(&str)) -> Watcher {
        let watcher = Watcher::unarmed(system.regtool(&[&["watch"], arguments].concat()));
        let mut number = 1000;
        loop {
            prod(&number.to_string());
            match watcher.lines.recv_timeout(BRIEFLY) {
                Ok(line) => {
                    let told = |line: &str| line.contains(&number.to_string());
                    if !told(&line) {
                        while !told(&watcher.line()) {}
                    }
                    return watcher;
                }
                Err(RecvTimeoutError::Timeout) => number += 1,
                Err(RecvTimeoutError::Disconnected) => panic!("the watcher has ended"),
            }
        }
    }

    fn unarmed(mut command: Command) -> Watcher {
        let mut watcher = Process::spawn(command.stdout(Stdio::piped()));
        let output = BufReader::new(watcher.output());
        let (tell, lines) = channel();
        thread::spawn(move || {
            // It ends with the watcher, or with the test.
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Watcher { lines, _process: watcher }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    fn lines<const N: usize>(&self) -> [String; N] {
        std::array::from_fn(|_| self.line())
    }
}

#[test]
fn each_change_is_told_in_a_line() {
    let system = System::start();
    system.output(&["create", "HKLM/A"]);
    let prod = |number: &str| drop(system.output(&["set", "HKLM/A", "sync", number]));
    let watcher = Watcher::start(&system, &["HKLM/A"], prod);
    system.output(&["set", "HKLM/A", "Colour", "blue"]);
    system.output(&["set", "HKLM/A", "@", "7", "--type", "dword"]);
    system.output(&["unset", "HKLM/A", "colour"]);
    system.output(&["create", "HKLM/A/b"]);
    system.output(&["set", "HKLM/A/b", "not", "told"]);
    system.output(&["delete", "HKLM/A/b"]);
    system.output(&["acl", "set", "HKLM/A", "D:(A;CI;KA;;;SY)(A;CI;KR;;;AU)"]);
    assert_eq!(
        watcher.lines(),
        [
            "set             Machine\\A  Colour = blue",
            "set             Machine\\A  @ = 7 (0x7)",
            "deleted         Machine\\A  Colour",
            "subkey created  Machine\\A\\b",
            "subkey deleted  Machine\\A\\b",
            "sd changed      Machine\\A",
        ]
    );
    system.output(&["delete", "HKLM/A"]);
    assert_eq!(watcher.line(), "key deleted     Machine\\A");
}

#[test]
fn what_is_below_is_told_with_its_path_as_json_too() {
    let system = System::start();
    system.output(&["create", "-p", "HKLM/A/b/c"]);
    let prod = |number: &str| drop(system.output(&["set", "HKLM/A", "sync", number]));
    let watcher = Watcher::start(&system, &["HKLM/A", "--subtree", "--json"], prod);
    system.output(&["set", "HKLM/A/b/c", "v", "1"]);
    system.output(&["create", "HKLM/A/b/d"]);
    let [set, created] = watcher.lines::<2>().map(|line| {
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    });
    assert_eq!((&set["event"], &set["name"]), (&"value_set".into(), &"v".into()));
    assert_eq!(set["path"], "Machine\\A\\b\\c");
    assert_eq!((&set["value"]["data"], &set["value"]["type"]), (&"1".into(), &"sz".into()));
    assert_eq!((&created["event"], &created["name"]), (&"subkey_created".into(), &"d".into()));
    assert_eq!(created["path"], "Machine\\A\\b");
    assert_eq!(created.get("value"), None);
}

#[test]
fn only_what_was_asked_for_is_told() {
    let system = System::start();
    system.output(&["create", "HKLM/A"]);
    let prod = |number: &str| drop(system.output(&["create", &format!("HKLM/A/{number}")]));
    let watcher = Watcher::start(&system, &["HKLM/A", "--only", "subkey,sd"], prod);
    system.output(&["set", "HKLM/A", "v", "1"]);
    system.output(&["create", "HKLM/A/last"]);
    assert_eq!(watcher.line(), "subkey created  Machine\\A\\last");
}

#[test]
fn a_layer_that_comes_or_goes_is_told_by_what_it_changes() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A", "same", "1"]);
    system.output(&["layer", "create", "trial", "--precedence", "1", "--disabled"]);
    for (name, data) in [("new", "2"), ("same", "3")] {
        system.output(&["set", "HKLM/A", name, data, "--layer", "trial"]);
    }
    let prod = |number: &str| drop(system.output(&["set", "HKLM/A", "sync", number]));
    let watcher = Watcher::start(&system, &["HKLM/A"], prod);
    let both = || {
        let mut lines = watcher.lines::<2>();
        lines.sort();
        lines
    };
    system.output(&["layer", "enable", "trial"]);
    assert_eq!(
        both(),
        ["set             Machine\\A  new = 2", "set             Machine\\A  same = 3"]
    );
    // What loses against it is no change.
    system.output(&["set", "HKLM/A", "same", "4"]);
    system.output(&["layer", "delete", "trial"]);
    assert_eq!(both(), ["deleted         Machine\\A  new", "set             Machine\\A  same = 4"]);
}

#[test]
fn a_watch_ends_by_itself_after_so_many_lines() {
    let system = System::start();
    system.output(&["create", "HKLM/A"]);
    let watcher =
        Watcher::unarmed(system.regtool(&["watch", "HKLM/A", "--only", "value", "--count", "3"]));
    let Watcher { lines, _process: mut process } = watcher;
    while process.wait(BRIEFLY).is_none() {
        system.output(&["set", "HKLM/A", "v", "1"]);
    }
    process.succeed();
    let told: Vec<String> = lines.iter().collect();
    assert_eq!(told, ["set             Machine\\A  v = 1"; 3]);
}

#[test]
fn in_the_shell_ctrl_c_ends_a_watch_and_nothing_else() {
    let system = System::start();
    system.output(&["create", "HKLM/A"]);
    let mut shell = system.regtool(&["shell"]);
    let mut shell = Process::spawn(shell.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdin = shell.input();
    let mut lines = BufReader::new(shell.output()).lines().map_while(Result::ok);
    stdin.write_all(b"watch \\Machine\\A\npwd\n").expect("the shell reads");
    drop(stdin);
    let prod = || drop(system.output(&["set", "HKLM/A", "v", "1"]));
    let (tell, told) = channel();
    let reader = thread::spawn(move || {
        let first = lines.next();
        // The test may have given up.
        let _ = tell.send(first);
        lines.last()
    });
    let first = loop {
        prod();
        if let Ok(first) = told.recv_timeout(BRIEFLY) {
            break first;
        }
    };
    assert_eq!(first.as_deref(), Some("set             Machine\\A  v = 1"));
    shell.signal(Signal::INT);
    shell.succeed();
    assert_eq!(reader.join().expect("lines").as_deref(), Some("\\"));
}

#[test]
fn a_source_that_was_away_is_told_and_the_watch_goes_on() {
    let system = System::start();
    system.output(&["create", "HKLM/A"]);
    let prod = |number: &str| drop(system.output(&["set", "HKLM/A", "sync", number]));
    let watcher = Watcher::start(&system, &["HKLM/A"], prod);
    system.kill("loregd.pid");
    assert_eq!(watcher.line(), "events lost     Machine\\A: read again what you need");
    system.output(&["set", "HKLM/A", "v", "1"]);
    assert_eq!(watcher.line(), "set             Machine\\A  v = 1");
}

#[test]
fn what_cannot_be_watched_is_told_at_once() {
    let system = System::start();
    let run = |arguments: &[&str]| {
        let output = system.run(arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let missing = run(&["watch", "HKLM/None"]);
    assert_eq!(missing, (Some(1), "regtool: Machine\\None: no such key\n".to_owned()));
    let Some(user) = system.user(3001, 3001) else { return };
    let output = user.run(&["watch", "HKLM/System/Registry/Scopes"]);
    let message = "regtool: Machine\\System\\Registry\\Scopes: access denied: NOTIFY is missing\n";
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stderr), message);
}
