//! `regtool view` and `regtool scope`: commands that see another registry than others do.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, System, binary};
use serde_json::Value;

const SCOPE: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// The exit code, and what was said on stderr.
fn failure(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// `regtool` as the command of a view.
fn regtool() -> String {
    binary("regtool").into_os_string().into_string().expect("UTF-8")
}

/// A second loregd, with a Machine of its own for a scope.
fn private_machine(system: &System) -> Process {
    fs::create_dir(system.file("private")).expect("a directory");
    private_again(system)
}

/// The same, on what it left behind.
fn private_again(system: &System) -> Process {
    let data = system.file("private");
    let mut loregd = Command::new(binary("loregd"));
    loregd.env("REDOX_HOSTED", system.path()).arg("--data").arg(data);
    Process::spawn_ready(loregd.arg("--hive").arg(format!("Machine={SCOPE}")))
}

#[test]
fn scopes_are_made_listed_and_deleted() {
    let system = System::start();
    assert_eq!(system.output(&["scope", "list"]), "");
    let braces = format!("{{{}}}", SCOPE.to_uppercase());
    assert_eq!(system.output(&["scope", "create", &braces]), format!("{SCOPE}\n"));
    assert_eq!(system.output(&["scope", "create", SCOPE]), format!("{SCOPE}\n"));
    let new = system.output(&["scope", "create"]);
    let list = system.output(&["scope", "list"]);
    assert!(list.contains(SCOPE) && list.contains(new.trim()), "{list}");
    system.output(&["scope", "delete", new.trim()]);
    assert_eq!(
        system.output(&["scope", "list"]),
        format!("SCOPE{}HIVES\n{SCOPE}\n", " ".repeat(33))
    );
    let (code, message) = failure(&system.run(&["scope", "delete", new.trim()]));
    assert!(code == Some(1) && message.ends_with(": no such scope\n"), "{message}");
    assert_eq!(system.run(&["scope", "create", "Machine"]).status.code(), Some(2));

    let _private = private_machine(&system);
    let list: Value =
        serde_json::from_str(&system.output(&["scope", "list", "--json"])).expect("JSON");
    assert_eq!(list, serde_json::json!([{ "scope": SCOPE, "hives": ["Machine"] }]));
}

#[test]
fn a_command_sees_the_layers_of_its_view_and_others_do_not() {
    let system = System::start();
    let regtool = regtool();
    system.output(&["set", "-p", "HKLM/A", "v", "1"]);
    system.output(&["layer", "create", "trial", "--disabled", "--precedence", "1"]);
    system.output(&["set", "HKLM/A", "v", "2", "--layer", "trial"]);
    let get = [regtool.as_str(), "get", "HKLM/A", "v"];
    assert_eq!(system.output(&["get", "HKLM/A", "v"]), "1\n");
    assert_eq!(system.output(&[&["view", "--layer", "trial", "--"], &get[..]].concat()), "2\n");
    // In a transaction, too, and in what the command starts.
    let shell = format!("printf 'begin\\nget HKLM/A v\\nabort\\n' | {regtool} shell");
    assert_eq!(system.output(&["view", "--layer", "trial", "--", "sh", "-c", &shell]), "2\n");

    // A view within a view has more and not less.
    system.output(&["layer", "create", "second", "--disabled"]);
    system.output(&["set", "HKLM/A", "w", "3", "--layer", "second"]);
    let both = format!("{regtool} get HKLM/A v; {regtool} get HKLM/A w");
    let inner = ["view", "--layer", "second", "--", "sh", "-c", &both];
    let outer = [&["view", "--layer", "trial", "--", &regtool], &inner[..]].concat();
    assert_eq!(system.output(&outer), "2\n3\n");
    // The default is nothing more than there was.
    assert_eq!(system.output(&[&["view", "--"], &get[..]].concat()), "1\n");
}

#[test]
fn a_command_ends_as_regtool_does_then() {
    let system = System::start();
    let view = |command: &[&str]| failure(&system.run(&[&["view", "--"], command].concat()));
    assert_eq!(view(&["true"]), (Some(0), String::new()));
    assert_eq!(view(&["sh", "-c", "exit 7"]), (Some(7), String::new()));
    assert_eq!(view(&["sh", "-c", "kill -9 $$"]), (Some(137), String::new()));
    // Ctrl-C is for the command, which does with it what it likes.
    let interrupted = "trap 'exit 9' INT; kill -INT $PPID; kill -INT $$";
    assert_eq!(view(&["sh", "-c", interrupted]), (Some(9), String::new()));
    let (code, message) = view(&["no-such-command"]);
    assert_eq!(code, Some(127));
    assert!(message.starts_with("regtool: no-such-command: "), "{message}");
    let directory = system.path().to_str().expect("UTF-8");
    let (code, message) = view(&[directory]);
    assert_eq!((code, message.lines().count()), (Some(126), 1), "{message}");
    assert_eq!(system.run(&["view", "--sealed"]).status.code(), Some(2));
}

#[test]
fn what_a_view_cannot_have_is_named() {
    let system = System::start();
    let run = |more: &[&str]| failure(&system.run(&[&["view"], more, &["--", "true"]].concat()));
    system.output(&["layer", "create", "trial", "--disabled"]);
    let none = (Some(1), "regtool: no such layer: none\n".to_owned());
    assert_eq!(run(&["--layer", "trial", "--layer", "none"]), none);
    assert_eq!(run(&["--layer", "trial", "--scope", SCOPE]).0, Some(0), "SeTcb joins any scope");
    let Some(user) = system.user(3001, 3001) else { return };
    let run = |more: &[&str]| failure(&user.run(&[&["view"], more, &["--", "true"]].concat()));
    let scope = format!(
        "regtool: access denied: CREATE_SUB_KEY is missing on Machine\\System\\Registry\\Scopes\\{SCOPE}\n"
    );
    assert_eq!(run(&["--scope", SCOPE]), (Some(3), scope.clone()), "who may not join is not told");
    system.output(&["scope", "create", SCOPE]);
    assert_eq!(run(&["--scope", SCOPE]), (Some(3), scope));
    let layer = "regtool: access denied: CREATE_SUB_KEY is missing on the layer trial \
                 (Machine\\System\\Registry\\Layers\\trial)\n";
    assert_eq!(run(&["--layer", "trial"]), (Some(3), layer.to_owned()));
}

#[test]
fn a_layer_is_being_deleted_until_all_sources_have_taken_part() {
    let system = System::start();
    let mut private = private_machine(&system);
    system.output(&["scope", "create", SCOPE]);
    system.output(&["layer", "create", "policy"]);
    let set = [&regtool(), "set", "-p", "HKLM/A", "v", "1", "--layer", "policy"];
    system.output(&[&["view", "--scope", SCOPE, "--"], &set[..]].concat());

    // A hive of a view is waited for. This view ends with its input.
    let mut view = system.regtool(&["view", "--scope", SCOPE, "--", "sh", "-c", "echo up; cat"]);
    let mut view = view.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("regtool runs");
    let mut line = String::new();
    let stdout = view.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    private.kill();
    eventually("a hive that is down", || {
        let status: Value = serde_json::from_str(&system.output(&["status", "--json"])).ok()?;
        let mut hives = status["hives"].as_array()?.iter();
        hives.any(|hive| hive["state"] == "down").then_some(())
    });
    system.output(&["layer", "delete", "policy"]);
    let list = system.output(&["layer", "list"]);
    let pending = format!("\npolicy is being deleted; it waits for: Machine{{{SCOPE}}}\n");
    assert!(list.ends_with(&pending), "{list}");
    let busy = "regtool: Machine\\System\\Registry\\Layers\\policy: a layer of this name is being deleted\n";
    let create = failure(&system.run(&["layer", "create", "policy"]));
    assert_eq!(create, (Some(5), busy.to_owned()));

    let _private = private_again(&system);
    eventually("the end of a deletion", || {
        (!system.output(&["layer", "list"]).contains("is being deleted")).then_some(())
    });
    system.output(&["layer", "create", "policy"]);
    let check = [&regtool(), "check", "HKLM/A", "v"];
    let output = system.run(&[&["view", "--scope", SCOPE, "--"], &check[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    drop(view.stdin.take());
    view.wait().expect("regtool ends");
}

#[test]
fn a_scope_s_hive_takes_the_place_of_the_one_that_all_have() {
    let system = System::start();
    let regtool = regtool();
    let _private = private_machine(&system);
    system.output(&["scope", "create", SCOPE]);
    system.output(&["set", "-p", "HKLM/A", "v", "everybody's"]);
    let in_view = |more: &[&str], command: &[&str]| {
        let view = [&["view", "--scope", SCOPE], more, &["--", &regtool], command].concat();
        system.run(&view)
    };
    let output = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(in_view(&[], &["get", "HKLM/A", "v"]).status.code(), Some(1));
    output(in_view(&[], &["set", "-p", "HKLM/A", "v", "private"]));
    assert_eq!(output(in_view(&[], &["get", "HKLM/A", "v"])), "private\n");
    assert_eq!(system.output(&["get", "HKLM/A", "v"]), "everybody's\n");
    output(in_view(&[], &["create", "HKCU/Mine"]));

    // Outside, a hive that is not seen is not looked into, though administrators are told of it.
    assert_eq!(system.output(&["find", "everybody*"]), "Machine\\A  v = everybody's\n");
    assert!(!system.output(&["list"]).contains("private"));

    // Sealed, there is nothing else.
    let hives =
        "NAME         TYPE          STATE\nMachine      private hive  up\nCurrentUser  alias\n";
    assert_eq!(output(in_view(&["--sealed"], &["list"])), hives);
    output(in_view(&["--sealed"], &["status"]));
    assert_eq!(output(in_view(&["--sealed"], &["get", "HKLM/A", "v"])), "private\n");
    let sealed = failure(&in_view(&["--sealed"], &["list", "HKU"]));
    assert_eq!(sealed, (Some(1), "regtool: Users: no such key\n".to_owned()));
}
