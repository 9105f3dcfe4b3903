//! Files of all formats, through a real system: policies, Windows hives, TOML, and what an import would make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libreg::windows::utf16::le_of_units;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use registry_tests::harness::{System, skipped};

fn wide(text: &str) -> Vec<u8> {
    le_of_units(&text.encode_utf16().collect::<Vec<_>>())
}

/// A policy of these settings: key, value, type, data.
fn policy(settings: &[(&str, &str, u32, &[u8])]) -> Vec<u8> {
    let mut file = b"PReg\x01\0\0\0".to_vec();
    for (key, value, value_type, data) in settings {
        file.extend(wide(&format!("[{key}\0;{value}\0;")));
        file.extend(value_type.to_le_bytes());
        file.extend(wide(";"));
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(wide(";"));
        file.extend(*data);
        file.extend(wide("]"));
    }
    file
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(system: &System, name: &str, bytes: &[u8]) -> String {
    let file = system.file(name);
    fs::write(&file, bytes).expect("a file");
    file.to_str().expect("UTF-8").to_owned()
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_policy_is_a_layer_that_masks_and_hides_and_can_be_taken_off() {
    let system = System::start();
    for (key, name) in [("A", "kept"), ("A", "gone"), ("A", "one"), ("B", "x"), ("B\\Sub", "y")] {
        system.output(&["set", "-p", &format!("Machine\\Software\\{key}"), name, "before"]);
    }
    system.output(&[
        "export",
        "Machine/Software",
        "-o",
        system.file("before.reg").to_str().unwrap(),
    ]);
    let hello = wide("Hello\0");
    let settings: [(&str, &str, u32, &[u8]); 9] = [
        ("A", "**Del.gone", 1, &wide(" \0")),
        ("A", "**DeleteValues", 1, &wide("ONE;nothing\0")),
        ("A", "new", 1, &hello),
        ("A", "**soft.kept", 1, &hello),
        ("A", "**soft.other", 1, &hello),
        ("B", "mine", 4, &[7, 0, 0, 0]),
        ("B", "**delvals.", 1, &wide(" \0")),
        ("B", "**DeleteKeys", 1, &wide("Sub;Nowhere\0")),
        ("C", "**SecureKey", 4, &[1, 0, 0, 0]),
    ];
    let file = write(&system, "registry.pol", &policy(&settings));

    // It says nowhere where it belongs.
    let told = failed(&system.run(&["import", &file]), 2);
    assert!(told.contains("--under PATH"), "{told}");

    let before = system.output(&["export", "Machine", "--format", "json"]);
    let preview = system.run(&["import", &file, "--under", "Machine/Software", "--dry-run"]);
    let shown = text(&preview.stdout);
    for line in [
        "+ Machine\\System\\Registry\\Layers\\policy  Precedence = 1 (0x1)",
        "- Machine\\Software\\A  gone = before",
        "- Machine\\Software\\A  one = before",
        "+ Machine\\Software\\A  new = Hello",
        "+ Machine\\Software\\A  other = Hello",
        "+ Machine\\Software\\B  mine = 7 (0x7)",
        "- Machine\\Software\\B  x = before",
        "- Machine\\Software\\B\\Sub",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("kept"), "{shown}");
    assert_eq!(system.output(&["export", "Machine", "--format", "json"]), before);

    let imported = system.run(&["import", &file, "--under", "Machine/Software"]);
    let told = failed(&imported, 5);
    assert!(told.contains(":9: **SecureKey of C: rights are not taken over"), "{told}");
    assert_eq!(system.output(&["get", "Machine/Software/A", "new"]), "Hello\n");
    assert_eq!(system.output(&["get", "Machine/Software/A", "kept"]), "before\n");
    assert_eq!(system.output(&["get", "Machine/Software/B", "mine"]), "7\n");
    for (key, name) in [("A", "gone"), ("A", "one"), ("B", "x"), ("B/Sub", "y")] {
        failed(&system.run(&["get", &format!("Machine/Software/{key}"), name]), 1);
    }
    let explained = system.output(&["explain", "Machine/Software/A", "new"]);
    assert!(explained.contains("policy"), "{explained}");

    // Once more it says the same.
    failed(&system.run(&["import", &file, "--under", "Machine/Software", "--precedence", "2"]), 5);
    assert_eq!(system.output(&["get", "Machine/Software/B", "mine"]), "7\n");

    system.output(&["layer", "delete", "policy"]);
    system.output(&["diff", system.file("before.reg").to_str().unwrap(), "Machine/Software"]);
}

#[test]
fn a_users_policy_goes_into_the_layer_that_is_named_or_nowhere() {
    let system = System::start();
    let file = write(&system, "user.pol", &policy(&[("A", "v", 4, &[1, 0, 0, 0])]));
    let import = ["import", &file, "--under", "HKCU/Software", "--layer", "site"];
    failed(&system.run(&[&import[..], &["--dry-run"]].concat()), 5);
    system.output(&[&import[..], &["--precedence", "7"]].concat());
    let layers = system.output(&["layer", "list"]);
    let site = layers.lines().find(|line| line.starts_with("site")).expect("the layer");
    assert_eq!(site.split_whitespace().nth(1), Some("7"), "{layers}");
    assert_eq!(system.output(&["get", "HKCU/Software/A", "v"]), "1\n");
    // Then a dry run can be made.
    assert_eq!(system.output(&[&import[..], &["--dry-run"]].concat()), "");

    // What cannot be imported leaves no layer.
    let name = "x".repeat(3000);
    let file = write(&system, "bad.pol", &policy(&[("A", &name, 4, &[1, 0, 0, 0])]));
    failed(&system.run(&["import", &file, "--under", "HKCU", "--layer", "other"]), 5);
    assert!(!system.output(&["layer", "list"]).contains("other"));
    let file = write(&system, "damaged.pol", b"PReg\x01\0\0\0[");
    let told = failed(&system.run(&["import", &file, "--under", "HKCU"]), 5);
    assert!(told.contains("damaged.pol:1: byte "), "{told}");
    let reg = write(&system, "x.reg", b"REGEDIT4\n");
    let told = failed(&system.run(&["import", &reg, "--precedence", "1"]), 2);
    assert!(told.contains("is no policy"), "{told}");
}

#[test]
fn real_policies_are_imported() {
    let system = System::start();
    for (name, value) in [
        ("Machine-Registry.pol", Some(("Explorer", "NoDriveTypeAutorun", "158\n"))),
        ("User-Registry.pol", None),
        ("Empty.pol", None),
    ] {
        let Some(file) = real_file(name) else { continue };
        system.output(&["import", file.to_str().expect("UTF-8"), "--under", "HKLM"]);
        if let Some((key, name, data)) = value {
            let key = format!("HKLM/Software/Microsoft/Windows/CurrentVersion/Policies/{key}");
            assert_eq!(system.output(&["get", &key, name]), data);
        }
    }
}

/// A file of the shared data.
fn real_file(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if !file.exists() {
        skipped(format_args!("{} is not there", file.display()));
        return None;
    }
    Some(file)
}

fn unpacked(system: &System, name: &str) -> Option<String> {
    let file = real_file(&format!("{name}.xz"))?;
    let output = Command::new("xz").arg("-dc").arg(&file).output();
    let Ok(output) = output else {
        skipped("there is no xz");
        return None;
    };
    assert!(output.status.success(), "{} cannot be unpacked", file.display());
    Some(write(system, name, &output.stdout))
}

#[test]
fn a_windows_hive_is_the_same_as_its_reg_export() {
    let system = System::start();
    for (hive, export) in [("SYSTEM.regf", "SYSTEM.reg"), ("NTUSER.DAT.regf", "NTUSER.reg")] {
        let (Some(hive), Some(export)) = (unpacked(&system, hive), unpacked(&system, export))
        else {
            return;
        };
        system.output(&["create", "Machine/A"]);
        let from_hive = system.run(&["import", &hive, "--under", "Machine/A/Root"]);
        let from_reg = system.run(&["import", &export, "--under", "Machine/B"]);
        // Types that the registry does not have are left out of both.
        let codes = [from_hive.status.code(), from_reg.status.code()];
        assert!(
            codes.iter().all(|code| matches!(code, Some(0 | 5))),
            "{}",
            text(&from_hive.stderr)
        );
        let below = system.output(&["list", "Machine/B", "--json"]);
        let root: serde_json::Value = serde_json::from_str(&below).expect("JSON");
        let root = root["subkeys"][0]["name"].as_str().or(root["subkeys"][0].as_str());
        let b = format!("Machine/B/{}", root.expect("the root of the export"));
        let differs = system.run(&["diff", "Machine/A/Root", &b]);
        assert_eq!(text(&differs.stdout), "");
        assert_eq!(differs.status.code(), Some(0), "{}", text(&differs.stderr));
        let size = system.output(&["tree", "Machine/A/Root"]).lines().count();
        assert!(size > 1000, "{size} keys");
        for key in ["Machine/A", "Machine/B"] {
            system.output(&["delete", "-r", key]);
        }
    }
}

#[test]
fn a_damaged_hive_is_refused_and_what_can_be_read_is_offered() {
    let system = System::start();
    let Some(file) = unpacked(&system, "BCD.regf") else { return };
    system.output(&["import", &file, "--under", "Machine/BCD"]);
    let whole = system.output(&["tree", "Machine/BCD"]).lines().count();
    let told = failed(&system.run(&["import", &file]), 2);
    assert!(told.contains("--under PATH"), "{told}");

    let mut bytes = fs::read(&file).expect("the file");
    bytes[4] ^= 1;
    // In the middle of what it holds, where keys are.
    let keys: Vec<_> = bytes.windows(2).enumerate().filter(|(_, two)| two == b"nk").collect();
    let (at, _) = keys[keys.len() / 2];
    bytes[at] = b'x';
    let damaged = write(&system, "damaged", &bytes);
    let import = ["import", &damaged, "--under", "Machine/Damaged"];
    let told = failed(&system.run(&import), 5);
    assert!(told.contains("not written to its end"), "{told}");
    assert!(told.contains("nothing was imported (--damaged imports what can be read)"), "{told}");
    failed(&system.run(&["check", "Machine/Damaged"]), 1);
    let told = failed(&system.run(&[&import[..], &["--damaged"]].concat()), 5);
    assert!(told.contains("Invalid signature"), "{told}");
    let rest = system.output(&["tree", "Machine/Damaged"]).lines().count();
    assert!((whole / 2..whole).contains(&rest), "{rest} of {whole} keys");
}

/// Something of everything, to go out and come back.
fn fill(system: &System, key: &str) {
    let set = |name: &str, value_type: &str, data: &[&str]| {
        let line = [&["set", "-p", key, name][..], data, &["--type", value_type]].concat();
        system.output(&line);
    };
    set("@", "sz", &["the default"]);
    system.output(&["set", key, "@", "literal", "--literal"]);
    set("sz", "sz", &["Grüße, \"Redox\" \\ 'x' \n\t\u{1}"]);
    set("empty", "sz", &[""]);
    set("a.b = c\n", "expand_sz", &["%PATH%"]);
    set("multi", "multi_sz", &["a", "", "b c"]);
    set("multi empty", "multi_sz", &[]);
    set("dword", "dword", &["4294967295"]);
    set("be", "dword_be", &["7"]);
    set("qword", "qword", &["18446744073709551615"]);
    set("small qword", "qword", &["1"]);
    set("binary", "binary", &["00ff"]);
    set("none", "none", &[""]);
    system.output(&["create", &format!("{key}\\Sub key.with 'all' \"of it\"")]);
    system.output(&["create", &format!("{key}\\Live"), "--volatile"]);
    system.output(&["create", &format!("{key}\\Link"), "--link", "Machine\\System"]);
}

#[test]
fn toml_holds_everything_and_reg_says_what_it_cannot_hold() {
    let system = System::start();
    fill(&system, "Machine\\Software\\All");
    let file = write(&system, "all.toml", b"");
    system.output(&["export", "Machine/Software/All", "--format", "toml", "-o", &file]);
    let exported = system.output(&["export", "Machine/Software/All", "--format", "toml"]);
    assert_eq!(exported, fs::read_to_string(&file).expect("UTF-8"));
    system.output(&["import", &file, "--under", "Machine/Copy"]);
    system.output(&["diff", "Machine/Software/All", "Machine/Copy/Software/All"]);
    let again = system.output(&["export", "Machine/Copy/Software/All", "--format", "toml"]);
    assert_eq!(again.replace("Machine\\Copy\\", "Machine\\"), exported);
    assert_eq!(system.output(&["import", &file, "--dry-run"]), "");

    let told = failed(&system.run(&["import", "-", "--dry-run"]), 5);
    assert!(told.contains("error"), "{told}");
    let bad = write(&system, "bad.toml", b"[[key]]\npath = 'Machine\\A'\nvalues = { x = 1.5 }\n");
    let told = failed(&system.run(&["import", &bad]), 5);
    assert!(told.contains("bad.toml:3: x: a number with a fraction"), "{told}");
}

#[test]
fn what_a_dry_run_shows_is_what_the_import_then_does() {
    let system = System::start();
    system.output(&["set", "-p", "Machine/Software/A", "x", "1"]);
    system.output(&["set", "-p", "Machine/Software/Old/Sub", "y", "2"]);
    let reg = "Windows Registry Editor Version 5.00\n\n[-HKEY_LOCAL_MACHINE\\Software\\Old]\n\
               [HKEY_LOCAL_MACHINE\\Software\\A]\n\"x\"=dword:00000002\n\"z\"=\"new\"\n\
               [HKEY_CURRENT_USER\\New\\Key]\n";
    let file = write(&system, "x.reg", reg.as_bytes());
    system.output(&["export", "Machine/Software", "-o", system.file("old.reg").to_str().unwrap()]);
    let shown = system.output(&["import", &file, "--dry-run"]);
    let expected = [
        "+ CurrentUser\\New",
        "+ CurrentUser\\New\\Key",
        "~ Machine\\Software\\A  x = 1 (sz) -> 2 (0x2) (dword)",
        "+ Machine\\Software\\A  z = new",
        "- Machine\\Software\\Old",
        "- Machine\\Software\\Old\\Sub",
        "- Machine\\Software\\Old\\Sub  y = 2",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    let json = system.output(&["import", &file, "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(expected.len()));
    system.output(&["import", &file]);
    assert_eq!(system.output(&["import", &file, "--dry-run"]), "");
    let differs =
        system.run(&["diff", system.file("old.reg").to_str().unwrap(), "Machine/Software"]);
    assert_eq!(text(&differs.stdout).lines().collect::<Vec<_>>(), expected[2..]);
}

/// A value of any type, with data that fits its type or not.
fn any_value() -> impl Strategy<Value = (u32, Vec<u8>)> {
    prop_oneof![
        (0..12_u32, prop::collection::vec(any::<u8>(), 0..12)),
        (prop_oneof![Just(1_u32), Just(2)], "[^\0]{0,12}".prop_map(String::into_bytes)),
        prop::collection::vec("[^\0]{0,6}", 0..4).prop_map(|strings| {
            (7, strings.iter().flat_map(|string| [string.as_bytes(), b"\0"].concat()).collect())
        }),
        any::<u32>().prop_map(|number| (4, number.to_le_bytes().to_vec())),
        any::<u64>().prop_map(|number| (11, number.to_le_bytes().to_vec())),
        Just((3, vec![0xA5; 1 << 20])),
    ]
}

type Trees = Vec<(Vec<String>, Vec<(String, (u32, Vec<u8>))>)>;

fn any_tree() -> impl Strategy<Value = Trees> {
    let name = "[^\0\\\\/]{1,10}";
    let values = prop::collection::vec(("[^\0]{0,8}", any_value()), 0..4);
    prop::collection::vec((prop::collection::vec(name, 1..3), values), 1..6)
}

#[test]
fn what_goes_out_as_toml_or_reg_comes_back_as_it_was() {
    let system = System::start();
    let toml = system.file("x.toml");
    let reg = system.file("x.reg");
    let (toml, reg) = (toml.to_str().unwrap(), reg.to_str().unwrap());
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&any_tree(), |tree| {
        system.run(&["delete", "-r", "Machine/T"]);
        system.run(&["delete", "-r", "Machine/C"]);
        // They come in as TOML, in bytes, which has its own tests.
        let mut file = "[[key]]\npath = 'Machine\\T'\n".to_owned();
        let mut seen = std::collections::HashSet::new();
        for (path, values) in &tree {
            let path = format!("Machine\\T\\{}", path.join("\\"));
            if !seen.insert(libreg::fold(&path)) {
                continue;
            }
            file += &format!("[[key]]\npath = {}\n", quoted(&path));
            let mut names = std::collections::HashSet::new();
            for (name, (value_type, data)) in values {
                if names.insert(libreg::fold(name)) {
                    let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                    file += &format!(
                        "[[key.value]]\nname = {}\ntype = {value_type}\nhex = \"{hex}\"\n",
                        quoted(name)
                    );
                }
            }
        }
        fs::write(toml, &file).expect("a file");
        system.output(&["import", toml]);
        system.output(&["export", "Machine/T", "--format", "toml", "-o", toml]);
        system.output(&["import", toml, "--under", "Machine/C"]);
        let differs = system.run(&["diff", "Machine/T", "Machine/C/T"]);
        prop_assert_eq!(text(&differs.stdout), "");
        prop_assert_eq!(differs.status.code(), Some(0), "{}", text(&differs.stderr));

        // What .reg cannot hold exactly is told, and then it need not come back.
        system.output(&["delete", "-r", "Machine/C"]);
        let exported = system.run(&["export", "Machine/T", "-o", reg]);
        if exported.status.success() && exported.stderr.is_empty() {
            let imported = system.run(&["import", reg, "--under", "Machine/C"]);
            if imported.stderr.is_empty() {
                let differs = system.run(&["diff", "Machine/T", "Machine/C/T"]);
                prop_assert_eq!(text(&differs.stdout), "");
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Text in a TOML file.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
