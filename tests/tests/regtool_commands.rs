//! `regtool` against a registry of real processes: what the commands print, change, and end with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use registry_tests::eventually::eventually;
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

#[test]
fn values_of_every_type_are_written_and_read() {
    let system = System::start();
    let key = "HKLM/Software/Test";
    for (value_type, data, text) in [
        ("sz", vec!["Grüße\\aus"], "Grüße\\aus\n"),
        ("expand_sz", vec!["%PATH%"], "%PATH%\n"),
        ("multi_sz", vec!["a", "b c"], "a\nb c\n"),
        ("multi_sz", vec![], ""),
        ("dword", vec!["0x10"], "16\n"),
        ("dword_be", vec!["258"], "258\n"),
        ("qword", vec!["18446744073709551615"], "18446744073709551615\n"),
        ("binary", vec!["00 ff"], "00ff\n"),
        ("none", vec![""], "\n"),
    ] {
        let mut set = vec!["set", "-p", key, "value", "--type", value_type];
        set.extend(data);
        system.output(&set);
        assert_eq!(
            system.output(&["get", "machine\\software\\TEST\\", "VALUE"]),
            text,
            "{value_type}"
        );
        let json = system.output(&["get", key, "value", "--json"]);
        assert!(json.contains(&format!("\"type\": \"{value_type}\"")), "{json}");
    }
    // Without --type a value keeps the type it has.
    system.output(&["set", key, "number", "1", "--type", "dword"]);
    system.output(&["set", key, "number", "0x20"]);
    assert_eq!(system.output(&["get", key, "number"]), "32\n");
    fails(
        &system,
        &["set", key, "number", "many"],
        2,
        "Machine\\Software\\Test: a value of type dword takes a number of 32 bits, in decimal or \
         hexadecimal with 0x",
    );
    // @ is the default value, unless taken literally.
    system.output(&["set", key, "@", "default"]);
    system.output(&["set", key, "@", "at", "--literal"]);
    assert_eq!(system.output(&["get", key, ""]), "default\n");
    assert_eq!(system.output(&["get", key, "@", "--literal"]), "at\n");
    // Data may begin with a minus after --.
    system.output(&["set", key, "minus", "--", "-1"]);
    assert_eq!(system.output(&["get", key, "minus"]), "-1\n");
}

#[test]
fn each_kind_of_failure_has_its_exit_code_and_one_line() {
    let system = System::start();
    fails(&system, &["get", "Machine/No", "x"], 1, "Machine\\No: no such key");
    fails(&system, &["get", "Machine/System", "x"], 1, "Machine\\System: no such value: x");
    fails(&system, &["list", "Nowhere"], 1, "Nowhere: no such key");
    fails(&system, &["create", "Machine/A/B"], 1, "Machine\\A\\B: no such parent key");
    fails(&system, &["list", "a\\\\b"], 2, "a\\\\b: an empty name between two separators");
    fails(&system, &["info", "\\"], 2, "\\: not a key");
    fails(&system, &["delete", "Machine/System"], 5, "Machine\\System: cannot be deleted");
    fails(&system, &["delete", "Machine"], 5, "Machine: cannot be deleted");
    fails(
        &system,
        &["set", "Machine/System", "x", "1", "--layer", "none"],
        1,
        "Machine\\System: no such layer: none",
    );
    assert_eq!(system.run(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(failure(&system.run(&["check", "Machine/No"])), (Some(1), String::new()));
    assert_eq!(failure(&system.run(&["check", "Machine/System", "x"])), (Some(1), String::new()));
    assert_eq!(failure(&system.run(&["check", "Machine/System"])), (Some(0), String::new()));
    assert_eq!(failure(&system.run(&["find", "nothing like it"])), (Some(1), String::new()));

    let mut elsewhere = system.regtool(&["status"]);
    elsewhere.env("REDOX_HOSTED", system.file("empty"));
    let output = elsewhere.output().expect("regtool runs");
    assert_eq!(failure(&output), (Some(4), "regtool: the registry is not running\n".to_owned()));
}

#[test]
fn a_write_can_be_bound_to_a_sequence_number() {
    let system = System::start();
    let set = |number: &str, data: &str| {
        system.run(&["set", "-p", "HKCU/Test", "v", data, "--if-sequence", number, "--json"])
    };
    let output = set("0", "first");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let sequence: String = text.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(failure(&set("0", "again")).0, Some(5));
    assert_eq!(failure(&set(&sequence, "second")).0, Some(0));
    let (code, message) = failure(&set(&sequence, "third"));
    assert_eq!(code, Some(5));
    let expected =
        format!("regtool: CurrentUser\\Test: the sequence number of value v is not {sequence}\n");
    assert_eq!(message, expected);
    assert_eq!(system.output(&["get", "HKCU/Test", "v"]), "second\n");
}

#[test]
fn keys_are_made_shown_searched_and_deleted() {
    let system = System::start();
    system.output(&["create", "-p", "HKLM/A/b/c"]);
    system.output(&["create", "HKLM/A/d", "--volatile"]);
    system.output(&["set", "HKLM/A/b", "Colour", "Light blue"]);
    assert_eq!(
        system.output(&["tree", "Machine/A", "--values"]),
        "Machine\\A\n├─ b\n│  │ Colour = Light blue\n│  └─ c\n└─ d  (volatile)\n"
    );
    assert_eq!(
        system.output(&["tree", "Machine/A", "--depth", "1"]),
        "Machine\\A\n├─ b\n└─ d  (volatile)\n"
    );
    let listed = "NAME    TYPE  DATA\nc\\      key\nColour  sz    Light blue\n";
    assert_eq!(system.output(&["list", "HKLM/A/b"]), listed);
    assert!(system.output(&["list"]).contains("Machine"));
    assert_eq!(system.output(&["find", "BLUE", "HKLM"]), "Machine\\A\\b  Colour = Light blue\n");
    assert_eq!(system.output(&["find", "l*e"]), "Machine\\A\\b  Colour = Light blue\n");
    let info = system.output(&["info", "hklm/a", "--json"]);
    assert!(
        info.contains("\"path\": \"Machine\\\\A\"") && info.contains("\"subkeys\": 2"),
        "{info}"
    );

    system.output(&["unset", "HKLM/A/b", "colour"]);
    system.output(&["unset", "HKLM/A/b", "colour"]);
    fails(&system, &["get", "HKLM/A/b", "Colour"], 1, "Machine\\A\\b: no such value: Colour");
    fails(&system, &["delete", "HKLM/A"], 5, "Machine\\A: has subkeys");
    system.output(&["delete", "-r", "HKLM/A"]);
    fails(&system, &["delete", "-r", "HKLM/A"], 1, "Machine\\A: no such key");
}

#[test]
fn files_are_imported_as_they_say() {
    let system = System::start();
    let file = system.file("in.reg");
    let name = file.to_str().expect("UTF-8");
    let import = |text: &str, more: &[&str]| {
        fs::write(&file, text).expect("a file");
        system.run(&[&["import", name], more].concat())
    };
    let first = "REGEDIT4\n[HKEY_LOCAL_MACHINE\\S\\TCP/IP]\n\"a\"=\"1\"\n\"b\"=hex(7):78,00,79,00,00\n\
                 [HKEY_LOCAL_MACHINE\\S\\old\\older]\n";
    let output = import(first, &[]);
    assert_eq!(
        failure(&output),
        (Some(0), format!("regtool: {name}:2: a key name with /, kept as %2F\n"))
    );
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .starts_with(&format!("{name}: 2 keys, 2 values, 1 not"))
    );
    assert_eq!(system.output(&["get", "HKLM/S/TCP%2FIP", "b"]), "x\ny\n");

    let second = "REGEDIT4\n[HKLM\\S\\TCP/IP]\n\"A\"=-\n@=dword:7\n[-HKLM\\S\\old]\n[-HKLM\\never]\n[HKLM\\S\\old]\n";
    assert_eq!(failure(&import(second, &[])).0, Some(0));
    let expected = "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\S]\n\n\
                    [HKEY_LOCAL_MACHINE\\S\\old]\n\n[HKEY_LOCAL_MACHINE\\S\\TCP/IP]\n@=dword:00000007\n\
                    \"b\"=hex(7):78,00,00,00,79,00,00,00,00,00\n\n";
    assert_eq!(system.output(&["export", "HKLM/S"]), expected);

    // A file with an error in it changes nothing.
    let (code, message) = failure(&import("REGEDIT4\n[HKLM\\S\\new]\n\"a\"=dword:x\n", &[]));
    assert_eq!(code, Some(5));
    assert_eq!(
        message,
        format!(
            "regtool: {name}:3: dword: needs 1 to 8 hexadecimal digits\n\
             regtool: {name}: 1 errors; nothing was imported\n"
        )
    );
    fails(&system, &["get", "HKLM/S/new", "a"], 1, "Machine\\S\\new: no such key");

    // What cannot be done keeps the rest from being done.
    let elsewhere = "REGEDIT4\n[HKLM\\S]\n\"fine\"=\"1\"\n[Elsewhere\\x]\n\"v\"=\"1\"\n";
    assert_eq!(
        failure(&import(elsewhere, &[])),
        (
            Some(1),
            format!(
                "regtool: {name}:4: Elsewhere: no such key\n\
                 regtool: {name}: 1 keys or values cannot be imported; nothing was imported\n"
            )
        )
    );
    assert_eq!(system.run(&["check", "HKLM/S", "fine"]).status.code(), Some(1));

    // What the registry cannot keep is left out, and the rest is kept.
    let odd = "REGEDIT4\n[HKLM\\S]\n\"odd\"=hex(ffff0012):01\n\"fine\"=\"1\"\n";
    assert_eq!(
        failure(&import(odd, &[])),
        (
            Some(5),
            format!(
                "regtool: {name}:3: value left out: the registry has no type 0xffff0012\n\
                 regtool: {name}: 1 keys or values were left out\n"
            )
        )
    );
    assert_eq!(system.output(&["get", "HKLM/S", "fine"]), "1\n");

    // What does not fit into one transaction is not begun.
    let settings = "HKLM/System/Registry";
    system.output(&["set", settings, "MaxTransactionBytes", "65536", "--type", "dword"]);
    let mut large = "REGEDIT4\n[HKLM\\S\\Large]\n".to_owned();
    for number in 0..1000 {
        large.push_str(&format!("\"{number}\"=dword:0\n"));
    }
    let (code, message) = failure(&import(&large, &[]));
    assert_eq!(code, Some(5));
    let limit = "more than a limit of the registry allows (MaxValueSize, MaxTransactionBytes, …)\n";
    assert!(message.contains(limit), "{message}");
    assert!(message.ends_with("cannot be imported; nothing was imported\n"), "{message}");
    system.output(&["unset", settings, "MaxTransactionBytes"]);
    assert_eq!(failure(&import(&large, &[])).0, Some(0));
    system.output(&["delete", "-r", "HKLM/S/Large"]);

    // Several hives, each in a transaction of its own.
    let both = "REGEDIT4\n[HKCU\\S]\n\"v\"=\"1\"\n[HKLM\\S]\n\"v\"=\"2\"\n[HKU\\S]\n\"v\"=\"3\"\n";
    assert_eq!(failure(&import(both, &[])), (Some(0), String::new()));
    let values = ["HKCU/S", "HKLM/S", "HKU/S"].map(|key| system.output(&["get", key, "v"]));
    assert_eq!(values.concat(), "1\n2\n3\n");

    // --under takes the place of the first name.
    assert_eq!(failure(&import(elsewhere, &["--under", "HKCU\\Old"])).0, Some(0));
    assert_eq!(system.output(&["get", "HKCU/Old/x", "v"]), "1\n");
}

#[test]
fn the_shell_reads_a_script_and_has_a_current_key() {
    let system = System::start();
    let script = "create -p \\Machine\\S\\\"with blank\"\ncd /Machine/S\nset 'with blank' v 'a b'\npwd\n\
                  cd \"with blank\"\nget . v\ncd ..\\..\nlist S\nget S v\nexit\nfrobnicate\n";
    let output = system.run_with_input(&["shell"], script);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout, "\\Machine\\S\na b\nNAME         TYPE  DATA\nwith blank\\  key\n");
    let (code, message) = failure(&output);
    assert_eq!(code, Some(1));
    assert!(message.starts_with("regtool: Machine\\S: no such value: v\n"), "{message}");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let system = System::start();
    let mut file = "REGEDIT4\n".to_owned();
    for number in 0..3000 {
        file.push_str(&format!(
            "[HKLM\\S\\some quite long name of a key, so that it fills a pipe {number}]\n"
        ));
    }
    let output = system.run_with_input(&["import", "-"], &file);
    assert_eq!(failure(&output), (Some(0), String::new()));
    let mut tree = system.regtool(&["tree", "Machine/S"]);
    let mut tree =
        tree.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("regtool runs");
    let mut line = String::new();
    let stdout = tree.stdout.take().expect("piped");
    BufReader::with_capacity(64, stdout).read_line(&mut line).expect("a line");
    assert_eq!(line, "Machine\\S\n");
    // The pipe's reading end is closed here; some hundred kilobytes are still to come.
    let output = tree.wait_with_output().expect("regtool ends");
    assert_eq!(failure(&output), (Some(0), String::new()));
}

#[test]
fn an_import_that_loses_its_source_changes_nothing_and_says_so() {
    let system = System::start();
    let mut file = "REGEDIT4\n".to_owned();
    for number in 0..100_000 {
        file.push_str(&format!("[HKLM\\S\\{number}]\n\"v\"=dword:{number:x}\n"));
    }
    let path = system.file("large.reg");
    fs::write(&path, file).expect("a file");
    let mut import = system.regtool(&["import", path.to_str().expect("UTF-8")]);
    let import =
        import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("regtool runs");
    eventually("an import on its way", || {
        let status = system.output(&["status", "--json"]);
        let status: Value = serde_json::from_str(&status).expect("JSON");
        (status["bound_transactions"] == 1).then_some(())
    });
    system.kill("loregd.pid");
    let (code, message) = failure(&import.wait_with_output().expect("regtool ends"));
    assert_eq!(code, Some(4), "{message}");
    let last = ": the registry or a source was lost; nothing was imported\n";
    assert!(message.ends_with(last), "{message}");
    while system.run(&["status"]).status.code() == Some(4) {}
    assert_eq!(system.run(&["check", "HKLM/S"]).status.code(), Some(1));
}

#[test]
fn the_shell_makes_changes_together_or_not_at_all() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/S/Old", "v", "1"]);
    let shell = |script: &str| {
        let output = system.run_with_input(&["shell"], script);
        let (code, errors) = failure(&output);
        (code, String::from_utf8(output.stdout).expect("UTF-8"), errors)
    };
    let (code, said, errors) = shell(
        "begin\nset -p HKLM/S/New/Below v 2\ndelete -r HKLM/S/Old\nget HKLM/S/New/Below v\n\
         list HKLM/S\ncommit\nlist HKLM/S\n",
    );
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let list = "NAME  TYPE  DATA\nNew\\  key\n";
    assert_eq!(said, format!("2\n{list}{list}"));

    let undone = ["begin\nset HKLM/S/New v 3\nabort\n", "begin\nset HKLM/S/New v 3\n"];
    let [abort, left] = undone.map(shell);
    assert_eq!((abort.0, abort.2.as_str()), (Some(0), ""));
    assert_eq!(
        (left.0, left.2.as_str()),
        (
            Some(5),
            "regtool: the transaction: was not committed; its changes are not made\n\
             regtool: standard input: not every command was done\n"
        )
    );
    assert_eq!(system.run(&["check", "HKLM/S/New", "v"]).status.code(), Some(1));

    let (code, _, errors) =
        shell("commit\nabort\nbegin\nbegin\nbegin now\nset HKLM v 1\nset HKU v 1\nabort\n");
    assert_eq!(code, Some(2));
    assert_eq!(
        errors,
        "regtool: there is no transaction\nregtool: there is no transaction\n\
         regtool: begin: there is a transaction already: commit or abort it\n\
         regtool: begin: takes no arguments\n\
         regtool: Users: a transaction changes one hive, and this is another one\n\
         regtool: standard input: not every command was done\n"
    );

    // What makes many changes is part of the shell's transaction.
    let file = system.file("more.reg");
    fs::write(&file, "REGEDIT4\n[HKLM\\S\\More]\n\"v\"=\"1\"\n[-HKLM\\S\\New]\n").expect("a file");
    let (code, said, errors) =
        shell(&format!("begin\nimport '{}'\nlist HKLM/S\nabort\nlist HKLM/S\n", file.display()));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(said.contains("\nMore\\") && said.ends_with(list), "{said}");
}
