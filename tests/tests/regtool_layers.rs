//! Layers by `regtool`: what wins, what is hidden or masked, why, and what links show of it.

use std::process::{Output, Stdio};

use registry_tests::harness::System;
use serde_json::Value;

/// The exit code, and what was said on stderr.
fn failure(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn fails(system: &System, arguments: &[&str], code: i32, message: &str) {
    let expected = (Some(code), format!("regtool: {message}\n"));
    assert_eq!(failure(&system.run(arguments)), expected, "{arguments:?}");
}

/// Exit code 1: not there.
fn is_missing(system: &System, arguments: &[&str]) -> bool {
    system.run(arguments).status.code() == Some(1)
}

fn json(system: &System, arguments: &[&str]) -> Value {
    let text = system.output(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).expect("JSON")
}

/// Of each candidate: layer, what it says, what becomes of it.
fn candidates(explained: &Value) -> Vec<[&str; 3]> {
    let candidates = explained["candidates"].as_array().expect("candidates");
    candidates.iter().map(words).collect()
}

fn words(candidate: &Value) -> [&str; 3] {
    ["layer", "content", "verdict"].map(|name| candidate[name].as_str().expect("a word"))
}

#[test]
fn a_layer_covers_what_is_below_it_and_leaves_no_trace() {
    let system = System::start();
    let key = "HKLM/Editor";
    system.output(&["set", "-p", key, "Tabs", "4", "--type", "dword"]);
    system.output(&["layer", "create", "policy", "--precedence", "10"]);
    system.output(&["set", key, "Tabs", "8", "--type", "dword", "--layer", "policy"]);
    system.output(&["create", "HKLM/Editor/Locked", "--layer", "policy"]);
    let tabs = || system.output(&["get", key, "Tabs"]);
    assert_eq!(tabs(), "8\n");
    system.output(&["layer", "disable", "policy"]);
    assert_eq!(tabs(), "4\n");
    assert!(is_missing(&system, &["check", "HKLM/Editor/Locked"]));
    system.output(&["layer", "enable", "POLICY"]);
    assert_eq!(tabs(), "8\n");

    // Between layers of the same precedence the last write wins.
    system.output(&["layer", "precedence", "policy", "0"]);
    system.output(&["set", key, "Tabs", "2", "--type", "dword"]);
    assert_eq!(tabs(), "2\n");

    system.output(&["layer", "precedence", "policy", "10"]);
    system.output(&["layer", "delete", "policy"]);
    assert_eq!(system.output(&["tree", key, "--values"]), "Machine\\Editor\n  Tabs = 2 (0x2)\n");
    system.output(&["layer", "create", "policy", "--precedence", "10"]);
    assert_eq!(tabs(), "2\n");
}

#[test]
fn layers_are_listed_with_the_highest_precedence_first() {
    let system = System::start();
    system.output(&["layer", "create", "role"]);
    system.output(&["layer", "create", "policy", "--precedence", "10", "--disabled"]);
    system.output(&["layer", "create", "Another"]);
    let layers = system.output(&["layer", "list"]);
    assert_eq!(
        layers,
        "NAME     PRECEDENCE  ENABLED  OWNER\n\
         policy   10          no       SYSTEM\n\
         Another  0           yes      SYSTEM\n\
         role     0           yes      SYSTEM\n\
         base     0           yes\n"
    );
    let layers = json(&system, &["layer", "list"]);
    assert_eq!(layers["layers"][0]["name"], "policy");
    assert_eq!(layers["layers"][0]["precedence"], 10);
    assert_eq!(layers["layers"][0]["enabled"], false);
    assert_eq!(layers["pending_deletion"], Value::Array(vec![]));
}

#[test]
fn layers_that_cannot_be_are_refused() {
    let system = System::start();
    system.output(&["layer", "create", "policy"]);
    fails(&system, &["layer", "create", "Policy"], 5, "Policy: there is a layer of this name");
    let stays = "base: this layer is always there, and stays as it is";
    for arguments in [&["create", "base"], &["delete", "base"], &["disable", "base"]] {
        fails(&system, &[&["layer"], arguments.as_slice()].concat(), 5, stays);
    }
    fails(
        &system,
        &["layer", "create", "a/b"],
        2,
        "a/b: a layer's name is not empty, and has no \\ or / in it",
    );
    let none = "Machine\\System\\Registry\\Layers\\none: no such layer";
    for arguments in [["delete", "none"], ["enable", "none"], ["disable", "none"]] {
        fails(&system, &[&["layer"], arguments.as_slice()].concat(), 1, none);
    }
    fails(
        &system,
        &["mask", "HKLM/System", "x", "--layer", "none"],
        1,
        "Machine\\System: no such layer: none",
    );
}

#[test]
fn a_layer_that_is_made_in_a_transaction_is_there_with_it_or_not_at_all() {
    let system = System::start();
    let make =
        "begin\nlayer create role --precedence 3\nset -p HKLM/A v 1 --layer role\nget HKLM/A v\n";
    let output = system.run_with_input(&["shell"], &format!("{make}abort\n"));
    assert_eq!(failure(&output), (Some(0), String::new()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    assert!(is_missing(&system, &["check", "HKLM/A"]));
    let output = system.run_with_input(&["shell"], &format!("{make}commit\n"));
    assert_eq!(failure(&output), (Some(0), String::new()));
    assert_eq!(system.output(&["get", "HKLM/A", "v"]), "1\n");
    assert_eq!(json(&system, &["get", "HKLM/A", "v"])["layer"], "role");
}

#[test]
fn a_hidden_key_is_not_there_with_all_below_it_until_it_is_shown_again() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A/b/c", "v", "1"]);
    system.output(&["layer", "create", "policy", "--precedence", "1"]);
    system.output(&["hide", "HKLM/A/b", "--layer", "policy"]);
    fails(&system, &["get", "HKLM/A/b/c", "v"], 1, "Machine\\A\\b\\c: no such key");
    assert_eq!(system.output(&["tree", "HKLM/A"]), "Machine\\A\n");
    fails(&system, &["hide", "HKLM/A/b"], 1, "Machine\\A\\b: no such key");

    fails(&system, &["unhide", "HKLM/A/b"], 5, "Machine\\A: the layer base does not hide b");
    system.output(&["unhide", "HKLM/A/b", "--layer", "policy"]);
    assert_eq!(system.output(&["get", "HKLM/A/b/c", "v"]), "1\n");
    fails(
        &system,
        &["unhide", "HKLM/A/b", "--layer", "policy"],
        5,
        "Machine\\A: the layer policy does not hide b",
    );
    fails(&system, &["unhide", "HKLM"], 2, "Machine: a hive is never hidden");
    fails(&system, &["hide", "HKLM"], 5, "Machine: cannot be hidden");
}

#[test]
fn masked_values_are_not_there_and_only_what_masks_them_is_taken_away() {
    let system = System::start();
    let key = "HKLM/A";
    system.output(&["set", "-p", key, "one", "1"]);
    system.output(&["set", key, "@", "default"]);
    system.output(&["layer", "create", "policy", "--precedence", "1"]);
    let policy = ["--layer", "policy"];
    let run = |arguments: &[&str]| system.run(&[arguments, &policy].concat());

    assert!(run(&["mask", key, "one"]).status.success());
    assert!(run(&["mask", key, "@"]).status.success());
    assert!(is_missing(&system, &["check", key, "one"]));
    assert!(is_missing(&system, &["check", key, "@"]));
    assert!(run(&["unmask", key, "ONE"]).status.success());
    assert_eq!(system.output(&["get", key, "one"]), "1\n");
    assert!(run(&["unmask", key, "@"]).status.success());
    assert_eq!(system.output(&["get", key, "@"]), "default\n");
    // Where there is nothing, nothing is done.
    assert!(run(&["unmask", key, "one"]).status.success());
    assert!(run(&["unmask", key, "never"]).status.success());
    assert_eq!(system.output(&["get", key, "one"]), "1\n");
    // Data is not taken away.
    let message = "Machine\\A: the layer base has a value one, which unmask does not remove";
    fails(&system, &["unmask", key, "one"], 5, message);
    assert_eq!(system.output(&["get", key, "one"]), "1\n");

    assert!(run(&["mask", key, "--all"]).status.success());
    assert_eq!(system.output(&["list", key]), "");
    assert!(run(&["set", key, "two", "2"]).status.success());
    assert_eq!(system.output(&["list", key]), "NAME  TYPE  DATA\ntwo   sz    2\n");
    assert!(run(&["unmask", key, "--all"]).status.success());
    assert!(run(&["unmask", key, "--all"]).status.success());
    assert_eq!(system.output(&["get", key, "one"]), "1\n");
}

#[test]
fn in_a_transaction_a_mask_comes_and_goes_with_it() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A", "v", "1"]);
    system.output(&["layer", "create", "policy", "--precedence", "1"]);
    system.output(&["mask", "HKLM/A", "v", "--layer", "policy"]);
    let shell = |script: &str| {
        let output = system.run_with_input(&["shell"], script);
        (failure(&output), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let done = || (Some(0), String::new());
    let unmask = "unmask HKLM/A v --layer policy";
    let aborted = shell(&format!("begin\n{unmask}\nget HKLM/A v\nabort\n"));
    assert_eq!(aborted, (done(), "1\n".to_owned()));
    assert!(is_missing(&system, &["check", "HKLM/A", "v"]));
    let own = shell(&format!(
        "begin\nmask HKLM/A w --layer policy\nunmask HKLM/A w --layer policy\n{unmask}\ncommit\n"
    ));
    assert_eq!(own.0, done());
    assert_eq!(system.output(&["get", "HKLM/A", "v"]), "1\n");
}

#[test]
fn whoever_unmasks_a_value_that_is_being_written_does_not_remove_it() {
    let system = System::start();
    let key = "HKLM/A";
    system.output(&["create", key]);
    let spawn = |arguments: &[&str]| {
        system.regtool(arguments).stderr(Stdio::null()).spawn().expect("regtool runs")
    };
    for round in 0..20 {
        system.output(&["mask", key, "v"]);
        let number = round.to_string();
        let unmask = spawn(&["unmask", key, "v"]);
        let set = spawn(&["set", key, "v", &number]);
        let [unmasked, was_set] =
            [unmask, set].map(|mut child| child.wait().expect("regtool ends").code());
        assert_eq!(was_set, Some(0));
        // Data that was there first is not removed, which is told.
        assert!(matches!(unmasked, Some(0 | 5)), "{unmasked:?}");
        assert_eq!(system.output(&["get", key, "v"]), format!("{number}\n"));
    }
}

#[test]
fn it_is_explained_why_a_value_is_what_it_is() {
    let system = System::start();
    let key = "HKLM/Editor";
    system.output(&["set", "-p", key, "Tabs", "4"]);
    for (layer, precedence) in [("role", "0"), ("policy", "10"), ("trial", "20")] {
        system.output(&["layer", "create", layer, "--precedence", precedence]);
        system.output(&["set", key, "Tabs", layer, "--layer", layer]);
    }
    system.output(&["layer", "disable", "trial"]);
    let explained = json(&system, &["explain", key, "tabs"]);
    assert_eq!(explained["there"], true);
    let [wins, value] = ["wins", "value"];
    assert_eq!(
        candidates(&explained),
        [
            ["policy", value, wins],
            ["role", value, "lower_precedence"],
            ["base", value, "lower_precedence"],
            ["trial", value, "layer_disabled"],
        ]
    );
    system.output(&["mask", key, "Tabs", "--layer", "policy"]);
    let text = system.output(&["explain", key, "Tabs"]);
    let mut lines = text.lines();
    let header = "LAYER   PRECEDENCE  SEQUENCE  VERDICT";
    assert!(lines.next().is_some_and(|line| line.starts_with(header)), "{text}");
    assert!(lines.next().is_some_and(|line| line.starts_with("policy  10 ")), "{text}");
    let end = "Machine\\Editor does not have a value Tabs: masked by the layer policy";
    assert_eq!(lines.next_back(), Some(end));

    system.output(&["unmask", key, "Tabs", "--layer", "policy"]);
    system.output(&["layer", "precedence", "policy", "0"]);
    let explained = json(&system, &["explain", key, "Tabs"]);
    assert_eq!(
        candidates(&explained),
        [["role", value, wins], ["base", value, "older"], ["trial", value, "layer_disabled"]]
    );
    fails(&system, &["explain", key, "none"], 1, "Machine\\Editor: no layer has a value none");
}

#[test]
fn a_path_is_explained_where_it_stops() {
    let system = System::start();
    system.output(&["create", "-p", "HKLM/A/b/c"]);
    system.output(&["layer", "create", "policy", "--precedence", "1"]);
    let explained = json(&system, &["explain", "HKLM/A/b"]);
    assert_eq!((&explained["key"], &explained["subkey"]), (&"Machine\\A".into(), &"b".into()));
    assert_eq!(candidates(&explained), [["base", "key", "wins"]]);

    system.output(&["hide", "HKLM/A/b", "--layer", "policy"]);
    for arguments in [&["explain", "HKLM/A/b/c/d"][..], &["explain", "HKLM/A/b/c", "v"]] {
        let explained = json(&system, arguments);
        assert_eq!(explained["subkey"], "b");
        assert_eq!(explained["there"], false);
        assert_eq!(
            candidates(&explained),
            [["policy", "hidden", "wins"], ["base", "key", "lower_precedence"]]
        );
        let text = system.output(arguments);
        let end = "Machine\\A does not have a key b: hidden by the layer policy\n";
        assert!(text.ends_with(end), "{text}");
    }
    fails(&system, &["explain", "HKLM/A/x/y"], 1, "Machine\\A: no layer has a key x");
    fails(&system, &["explain", "None/x"], 1, "None: no such key");
    let hive = "Machine: a hive is in no layer; name a key below it, or a value";
    fails(&system, &["explain", "HKLM"], 2, hive);
}

#[test]
fn links_are_made_shown_followed_and_deleted() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/Version2/Settings", "v", "1"]);
    let link = ["create", "HKLM/Current", "--link", "HKLM/Version2"];
    system.output(&link);
    assert_eq!(system.output(&["get", "HKLM/Current/Settings", "v"]), "1\n");
    assert_eq!(json(&system, &["info", "HKLM/Current"])["target"], "Machine\\Version2");
    let info = system.output(&["info", "HKLM/Current"]);
    assert!(info.contains("Leads to          Machine\\Version2\n"), "{info}");
    let list = system.output(&["list", "HKLM"]);
    assert!(list.contains("Current\\   link  -> Machine\\Version2\n"), "{list}");
    let tree = system.output(&["tree", "HKLM", "--depth", "1"]);
    assert!(tree.contains("├─ Current -> Machine\\Version2\n"), "{tree}");

    // It is there already.
    system.output(&link);
    let other = ["create", "HKLM/Current", "--link", "HKLM/Version3"];
    let message =
        "Machine\\Current: is there, and is no link to Machine\\Version3; nothing was done";
    fails(&system, &other, 5, message);
    let message =
        "Machine\\Version2: is there, and is no link to Machine\\System; nothing was done";
    fails(&system, &["create", "HKLM/Version2", "--link", "HKLM/System"], 5, message);
    let message =
        "CurrentUser\\x: a link leads all users to the same key; name the one below Users";
    fails(&system, &["create", "HKLM/User", "--link", "HKCU/x"], 2, message);

    // A layer leads it elsewhere for a while.
    system.output(&["create", "HKLM/Version3"]);
    system.output(&["layer", "create", "trial"]);
    let elsewhere = ["set", "HKLM/Current", "@", "Machine\\Version3", "--type", "link"];
    system.output(&[&elsewhere[..], &["--layer", "trial"]].concat());
    fails(
        &system,
        &["list", "HKLM/Current/Settings"],
        1,
        "Machine\\Current\\Settings: no such key",
    );
    system.output(&["layer", "delete", "trial"]);
    assert_eq!(system.output(&["get", "HKLM/Current/Settings", "v"]), "1\n");

    // What leads nowhere is explained.
    system.output(&["create", "-p", "HKLM/Links/Lost", "--link", "HKLM/Nowhere"]);
    fails(&system, &["list", "HKLM/Links/Lost"], 1, "Machine\\Links\\Lost: no such key");
    let text = system.output(&["explain", "HKLM/Links/Lost/x"]);
    let end = "Machine\\Links has a key Lost: a link to Machine\\Nowhere, which is not there\n";
    assert!(text.ends_with(end), "{text}");

    system.output(&["delete", "-r", "HKLM/Links"]);
    system.output(&["delete", "HKLM/Current"]);
    assert_eq!(system.output(&["get", "HKLM/Version2/Settings", "v"]), "1\n");
    fails(&system, &["list", "HKLM/Current"], 1, "Machine\\Current: no such key");
}

#[test]
fn whoever_may_not_change_a_layer_is_told_what_is_missing() {
    let system = System::start();
    let Some(user) = system.user(3001, 3001) else { return };
    system.output(&["layer", "create", "policy", "--precedence", "1"]);
    user.output(&["set", "-p", "HKCU/A", "v", "1"]);
    let denied = |arguments: &[&str], message: &str| {
        let expected = (Some(3), format!("regtool: {message}\n"));
        assert_eq!(failure(&user.run(arguments)), expected, "{arguments:?}");
    };
    denied(
        &["mask", "HKCU/A", "v", "--layer", "policy"],
        "CurrentUser\\A: access denied: SET_VALUE is missing on the layer policy \
         (Machine\\System\\Registry\\Layers\\policy)",
    );
    denied(&["hide", "HKLM/System"], "Machine\\System: access denied: DELETE is missing");
    denied(
        &["layer", "create", "mine"],
        "Machine\\System\\Registry\\Layers\\mine: access denied: CREATE_SUB_KEY is missing on \
         Machine\\System\\Registry\\Layers",
    );
    denied(
        &["create", "HKCU/Link", "--link", "HKLM/System"],
        "CurrentUser\\Link: access denied: it takes the privilege SeTcb",
    );
    // In base it is the key that counts.
    user.output(&["mask", "HKCU/A", "v"]);
    assert_eq!(user.run(&["check", "HKCU/A", "v"]).status.code(), Some(1));
    user.output(&["unmask", "HKCU/A", "v"]);
    let layers = user.output(&["layer", "list"]);
    assert!(layers.contains("policy  1           yes      SYSTEM\n"), "{layers}");
}
