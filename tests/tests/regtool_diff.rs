//! `regtool diff`: what differs between keys, and between a key and a file.

use std::fs;

use registry_tests::harness::System;
use serde_json::{Value, json};

/// What was printed, and the exit code.
fn diff(system: &System, arguments: &[&str]) -> (String, Option<i32>) {
    let output = system.run(&[&["diff"], arguments].concat());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.code())
}

#[test]
fn two_keys_are_compared_with_all_below_them() {
    let system = System::start();
    for line in [
        ["HKLM/A/same", "v", "1", "dword"],
        ["HKLM/B/Same", "V", "1", "dword"],
        ["HKLM/A/same", "old", "x", "sz"],
        ["HKLM/B/same", "new", "y", "sz"],
        ["HKLM/A", "n", "1", "dword"],
        ["HKLM/B", "n", "2", "dword"],
        ["HKLM/A", "t", "1", "dword"],
        ["HKLM/B", "t", "1", "sz"],
        ["HKLM/A/only/deep", "v", "1", "sz"],
        ["HKLM/B/other", "@", "1", "sz"],
    ] {
        system.output(&["set", "-p", line[0], line[1], line[2], "--type", line[3]]);
    }
    let expected = "\
~ Machine\\A  n = 1 (0x1) -> 2 (0x2)
~ Machine\\A  t = 1 (0x1) (dword) -> 1 (sz)
- Machine\\A\\only
- Machine\\A\\only\\deep
- Machine\\A\\only\\deep  v = 1
+ Machine\\B\\other
+ Machine\\B\\other  @ = 1
+ Machine\\B\\Same  new = y
- Machine\\A\\same  old = x
";
    assert_eq!(diff(&system, &["HKLM/A", "Machine\\B"]), (expected.to_owned(), Some(1)));
    assert_eq!(diff(&system, &["HKLM/A", "machine/a"]), (String::new(), Some(0)));

    let (json, code) = diff(&system, &["HKLM/A", "HKLM/B", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let lines = expected.lines().count();
    assert_eq!((json.as_array().map(Vec::len), code), (Some(lines), Some(1)));
    assert_eq!(
        json[0],
        json!({
            "path": "Machine\\A", "change": "changed", "name": "n",
            "old": { "type": "dword", "data": 1 }, "new": { "type": "dword", "data": 2 },
        })
    );
    assert_eq!(json[2], json!({ "path": "Machine\\A\\only", "change": "removed" }));
    assert_eq!(diff(&system, &["HKLM/A", "HKLM/A", "--json"]), ("[]\n".to_owned(), Some(0)));
}

#[test]
fn a_key_is_compared_with_what_was_exported_of_it() {
    let system = System::start();
    system.output(&["set", "-p", "HKLM/A/b", "v", "1", "--type", "dword"]);
    system.output(&["set", "HKLM/A", "list", "x", "y", "--type", "multi_sz"]);
    let file = system.file("before.REG");
    let name = file.to_str().expect("UTF-8");
    system.output(&["export", "HKLM/A", "-o", name]);
    assert_eq!(diff(&system, &[name, "HKLM/A"]), (String::new(), Some(0)));

    system.output(&["set", "HKLM/A/b", "v", "2"]);
    system.output(&["create", "HKLM/A/c"]);
    let expected = "~ Machine\\A\\b  v = 1 (0x1) -> 2 (0x2)\n+ Machine\\A\\c\n";
    assert_eq!(diff(&system, &[name, "HKLM/A"]), (expected.to_owned(), Some(1)));
    // Imported elsewhere it is the same.
    system.output(&["import", name, "--under", "HKCU/Copy"]);
    assert_eq!(diff(&system, &["HKCU/Copy/A", name]), (String::new(), Some(0)));
}

#[test]
fn what_cannot_be_compared_is_told() {
    let system = System::start();
    let file = system.file("wrong.reg");
    let name = file.to_str().expect("UTF-8");
    let fails = |arguments: &[&str], code, said: &str| {
        let output = system.run(&[&["diff"], arguments].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), errors.as_str()), (Some(code), said));
        assert!(output.stdout.is_empty());
    };
    fails(&["HKLM/System", "HKLM/None"], 1, "regtool: Machine\\None: no such key\n");
    fs::write(&file, "REGEDIT4\n[HKLM\\A]\n\"a\"=dword:x\n").expect("a file");
    fails(
        &["HKLM/System", name],
        5,
        &format!(
            "regtool: {name}:3: dword: needs 1 to 8 hexadecimal digits\n\
             regtool: {name}: 1 errors; nothing was compared\n"
        ),
    );
    fs::write(&file, "REGEDIT4\n[HKLM\\A]\n[HKCU\\A]\n").expect("a file");
    let what = "has no keys, or keys in more than one hive; nothing was compared";
    fails(&["HKLM/System", name], 5, &format!("regtool: {name}: {what}\n"));
    // A key may be called like a file.
    system.output(&["create", "-p", "HKLM/Classes/.reg"]);
    fails(&["HKLM/Classes/.reg", "HKLM/Classes/.REG"], 0, "");
}
