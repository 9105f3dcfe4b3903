//! What is backed up comes back: over what became of it, elsewhere, and again and again.

use std::process::Stdio;

use lcs_abi::backup::Record;
use registry_tests::dice::Dice;
use registry_tests::harness::System;

use crate::stream::{assert_same, content_of};
use crate::tree::{TREE, change, grow, make_layers, shown};
use crate::{back_up, fails, failure, json, restore, text};

/// How many records a stream has of what.
fn count(records: &[Record], is: impl Fn(&Record) -> bool) -> usize {
    records.iter().filter(|record| is(record)).count()
}

#[test]
fn a_tree_comes_back_over_what_became_of_it() {
    let system = System::start();
    let mut dice = Dice::new();
    grow(&system, &mut dice);
    let file = back_up(&system, TREE, "before");
    let (before, saved) = (shown(&system), content_of(&file));
    // It has something of everything in it.
    let keys = count(&saved, |record| matches!(record, Record::Key(_)));
    assert!(keys > 10, "{keys} keys");
    for (what, is) in [
        (
            "volatile",
            (|one| matches!(one, Record::Key(key) if key.volatile)) as fn(&Record) -> bool,
        ),
        ("link", |one| matches!(one, Record::Key(key) if key.link)),
        ("hidden", |one| matches!(one, Record::PathEntry(entry) if entry.child.is_none())),
        ("tombstone", |one| matches!(one, Record::Value(value) if value.value_type == 0xFFFF)),
        ("blanket", |one| matches!(one, Record::Blanket(_))),
    ] {
        assert!(count(&saved, is) > 0, "{what}");
    }
    assert_eq!(count(&saved, |one| matches!(one, Record::Layer(_))), 4);

    change(&system, &mut dice);
    assert_ne!(shown(&system), before);
    assert_eq!(restore(&system, TREE, &file), "");
    assert_eq!(shown(&system), before);
    assert_same(&content_of(&back_up(&system, TREE, "after")), &saved);
}

#[test]
fn a_tree_comes_to_another_registry_and_its_layers_count_when_they_are_made() {
    let (system, other) = (System::start(), System::start());
    grow(&system, &mut Dice::new());
    let file = back_up(&system, TREE, "before");
    other.output(&["create", TREE]);
    let output = other.run(&["restore", TREE, "-i", text(&file), "--json"]);
    let latent = |layer| {
        let what = "what it says here counts when it is made";
        format!("regtool: Machine\\Tree: there is no layer {layer}; {what}\n")
    };
    let said = ["policy", "role", "trial"].map(latent).concat();
    assert_eq!(failure(&output), (Some(0), said));
    let told = json(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert_eq!(told["latent_layers"], serde_json::json!(["policy", "role", "trial"]));

    assert_ne!(shown(&other), shown(&system));
    make_layers(&other);
    assert_eq!(shown(&other), shown(&system));
    assert_same(&content_of(&back_up(&other, TREE, "after")), &content_of(&file));
}

#[test]
fn a_backup_goes_through_a_pipe_into_another_registry() {
    let (system, other) = (System::start(), System::start());
    for system in [&system, &other] {
        system.output(&["create", TREE]);
    }
    let mut lines = String::new();
    for number in 0..300 {
        lines += &format!("create {TREE}/{number}\nset {TREE}/{number} v {}\n", "x".repeat(1000));
    }
    system.run_with_input(&["shell"], &lines);
    let mut backup = system.regtool(&["backup", TREE, "-o", "-"]);
    let mut backup = backup.stdout(Stdio::piped()).spawn().expect("regtool runs");
    let mut restore = other.regtool(&["restore", TREE, "-i", "-"]);
    let output = restore.stdin(backup.stdout.take().expect("piped")).output().expect("regtool");
    assert_eq!(failure(&output), (Some(0), String::new()));
    assert!(backup.wait().expect("an end").success());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(said.starts_with("Machine\\Tree: 301 keys and 300 values in 1 layer, "), "{said}");
    let files = [&system, &other].map(|system| content_of(&back_up(system, TREE, "tree")));
    assert_same(&files[1], &files[0]);
}

#[test]
fn a_key_of_a_backup_is_in_one_place_only() {
    let system = System::start();
    grow(&system, &mut Dice::new());
    system.output(&["set", "-p", "HKLM/Other/below", "v", "1"]);
    let (file, other) = (back_up(&system, TREE, "tree"), back_up(&system, "HKLM/Other", "other"));
    let output = system.run(&["restore", "HKLM/Other", "-i", text(&file)]);
    let elsewhere =
        "a key of the backup is elsewhere in this hive, and no key can be in two places";
    fails(&output, 5, &format!("Machine\\Other: {elsewhere}"));
    assert_same(&content_of(&back_up(&system, "HKLM/Other", "now")), &content_of(&other));
    assert_same(&content_of(&back_up(&system, TREE, "tree now")), &content_of(&file));

    // When the original is gone it can be.
    system.output(&["delete", "-r", "HKLM/Other"]);
    restore(&system, TREE, &file);
    system.output(&["create", "HKLM/Other"]);
    restore(&system, "HKLM/Other", &other);
    assert_eq!(system.output(&["get", "HKLM/Other/below", "v"]), "1\n");
}

#[test]
fn fifty_rounds_use_as_many_sequence_numbers_as_they_restore() {
    let system = System::start();
    grow(&system, &mut Dice::new());
    let file = back_up(&system, TREE, "0");
    let (before, saved) = (shown(&system), content_of(&file));
    let restored = count(&saved, |record| {
        matches!(record, Record::PathEntry(_) | Record::Value(_) | Record::Blanket(_))
    });
    let next = || {
        let status = json(&system.output(&["status", "--json"]));
        status["next_sequence"].as_u64().expect("a number")
    };
    let start = next();
    for _ in 0..50 {
        restore(&system, TREE, &back_up(&system, TREE, "again"));
    }
    let used = next() - start;
    assert!(used <= 50 * restored as u64, "{used} numbers for 50 times {restored} entries");
    assert_eq!(shown(&system), before);
    assert_same(&content_of(&back_up(&system, TREE, "last")), &saved);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/Stays/below", "v", "1"]);
    let file = back_up(&system, "HKLM/Stays", "stays");
    system.output(&["create", "HKLM/Volatile", "--volatile"]);
    system.output(&["set", "HKLM/Volatile", "v", "2"]);
    let output = system.run(&["restore", "HKLM/Volatile", "-i", text(&file)]);
    let (code, said) = failure(&output);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("one of them is volatile or a link"), "{said}");
    assert_eq!(system.output(&["get", "HKLM/Volatile", "v"]), "2\n");

    fails(&system.run(&["restore", "HKLM/No", "-i", text(&file)]), 1, "Machine\\No: no such key");
    let line = format!("begin\nrestore HKLM/Stays -i {}\n", text(&file));
    let output = system.run_with_input(&["shell"], &line);
    let what = "a restore is not possible in a transaction; commit or abort before";
    let (code, said) = failure(&output);
    assert_eq!(code, Some(2));
    assert!(said.starts_with(&format!("regtool: Machine\\Stays: {what}\n")), "{said}");
}
