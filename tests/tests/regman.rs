//! The manual: what it says of our own settings is so, `regman` shows it, `regtool` warns and looks by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lcs_core::registry::Settings;
use libreg::data::{Data, interpret};
use registry_tests::harness::{System, binary};
use regman::entry::{Applies, Valid};
use regman::file::File;
use serde_json::{Value, json};

const SETTINGS: &str = "Machine\\System\\Registry";

/// A manual of a program that is not ours.
const EDITOR: &str = r#"
reader = "editor"
[[key]]
path = 'HKCU\Software\Editor'
summary = "How the editor looks"
[[value]]
path = 'HKCU\Software\Editor'
name = "Theme"
type = "sz"
default = "light"
set = ["light", "dark"]
applies = "restart"
summary = "Light or dark"
"#;

/// The manual files of this project.
fn shipped() -> [PathBuf; 3] {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder in it");
    ["lcs-scheme/manual/lcs.toml", "lcs-scheme/manual/layers.toml", "loregd/manual/loregd.toml"]
        .map(|file| project.join(file))
}

fn parsed(file: &Path) -> File {
    let text = fs::read_to_string(file).expect("text");
    File::parse(&text).unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display()))
}

/// Runs `regman` without a terminal. Where `root` is no hosted system needs to run.
fn regman(root: &Path, arguments: &[&str]) -> Output {
    regman_with(root, None, arguments)
}

/// As [`regman`], with a folder of manual files beside.
fn regman_with(root: &Path, folder: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("regman"));
    command.args(arguments).env("REDOX_HOSTED", root).stdin(Stdio::null());
    match folder {
        Some(folder) => command.env("REGMAN_PATH", folder),
        None => command.env_remove("REGMAN_PATH"),
    };
    command.output().expect("regman runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// The output of a command that must succeed and have nothing to tell.
fn printed(output: &Output) -> &str {
    assert_eq!((output.status.code(), stderr(output)), (Some(0), ""), "{}", stdout(output));
    stdout(output)
}

/// A root with the shipped manual, in which nothing runs.
fn quiet_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("usr/share/regman");
    fs::create_dir_all(&folder).expect("a folder");
    for file in shipped() {
        fs::copy(&file, folder.join(file.file_name().expect("a name"))).expect("a copy");
    }
    root
}

#[test]
fn each_setting_of_lcs_is_in_the_manual_with_the_default_and_range_that_are_compiled_in() {
    let file = parsed(&shipped()[0]);
    for setting in Settings::definitions() {
        let name = setting.name;
        let entry = file.values.iter().find(|entry| entry.name == name);
        let entry = entry.unwrap_or_else(|| panic!("{name} is not in the manual"));
        assert_eq!(entry.path(), SETTINGS);
        assert_eq!(entry.value_type, setting.value_type, "{name}");
        let default = entry.default.as_deref().expect("a default");
        let default = interpret(entry.value_type.code(), default);
        assert_eq!(default, Data::Number(setting.default), "{name}");
        let Valid::Range { min, max } = entry.valid else { panic!("{name} has no range") };
        assert_eq!((min, max), (setting.min, setting.max), "{name}");
        assert_eq!((entry.applies, entry.about.reader.as_str()), (Applies::Live, "lcs-scheme"));
        assert!(entry.unit.is_some() && !entry.about.description.is_empty(), "{name}");
    }
    assert_eq!(file.values.len(), Settings::definitions().len(), "no setting that is not there");
}

#[test]
fn the_options_of_loregd_are_told_where_its_settings_would_be_looked_for() {
    let output = Command::new(binary("loregd")).arg("--help").output().expect("loregd runs");
    let help = printed(&output);
    // What both daemons have is no setting of loregd's own.
    let both = ["--supervise", "--log", "--help", "--version"];
    let file = parsed(&shipped()[2]);
    let text = &file.keys.iter().find(|key| key.path() == "Machine").expect("a key").about;
    let mut told = 0;
    for line in help.lines() {
        let Some(at) = line.find("--").filter(|_| line.trim_start().starts_with('-')) else {
            continue;
        };
        let words: Vec<&str> = line[at..].split_whitespace().collect();
        if !both.contains(&words[0]) {
            let option = words.first().expect("an option");
            assert!(text.description.contains(option), "{option}");
            told += 1;
        }
    }
    assert_eq!(told, 3, "{help}");
    let default = help.split("[default: ").filter_map(|text| text.split(']').next());
    let number = default.into_iter().find(|text| text.parse::<u32>().is_ok()).expect("a number");
    assert!(text.description.contains(&format!("{number} without it")), "{number}");
}

#[test]
fn the_shipped_manual_is_without_fault() {
    let files = shipped();
    let names = files.each_ref().map(|file| file.to_str().expect("UTF-8"));
    let root = tempfile::tempdir().expect("a folder");
    assert_eq!(printed(&regman(root.path(), &[&["--check"], &names[..]].concat())), "");
    assert_eq!(printed(&regman(quiet_root().path(), &["--check"])), "");
}

#[test]
fn a_hosted_system_has_the_manual_and_a_card_says_what_a_value_is() {
    let system = System::start();
    let card = "\
Machine\\System\\Registry  MaxHandlesPerUser
  How many handles one user can have open

  Type     dword
  Default  65536
  Valid    64 to 1048576
  Unit     handles
  Applies  at once
  Read by  lcs-scheme

  One more fails with EMFILE. Handles are open keys, roots, transactions,
  backups and restores. SYSTEM has no limit.
";
    let root = system.path();
    assert_eq!(printed(&regman(root, &["HKLM/System/Registry", "maxhandlesperuser"])), card);
    assert_eq!(printed(&regman(root, &["hklm\\system/registry\\MaxHandlesPerUser"])), card);
    let json = regman(root, &["HKLM/System/Registry", "CacheBytes", "--json"]);
    let json: Value = serde_json::from_str(printed(&json)).expect("JSON");
    assert_eq!(json["valid"], json!({ "range": [1_048_576, 4_294_967_296_u64] }));
    assert_eq!((&json["type"], &json["default"]), (&json!("qword"), &json!(33_554_432)));
}

#[test]
fn a_card_of_a_key_has_an_index_and_no_registry_is_needed() {
    let root = quiet_root();
    let card = regman(root.path(), &[SETTINGS]);
    let card = printed(&card);
    assert!(card.starts_with("Machine\\System\\Registry\n  The settings of LCS"), "{card}");
    assert!(card.lines().all(|line| line.chars().count() <= 80), "{card}");
    let indexed = |name: &str| card.lines().any(|line| line.trim_start().starts_with(name));
    assert!(Settings::definitions().iter().all(|setting| indexed(setting.name)), "{card}");
    assert!(["Layers ", "Scopes ", "PendingDeletion "].iter().all(|name| indexed(name)), "{card}");

    let layer = regman(root.path(), &["HKLM/System/Registry/Layers/policy", "enabled"]);
    assert!(printed(&layer).contains("  Valid    0, 1\n"));
    let json = regman(root.path(), &["HKLM/System/Registry/Layers/policy", "--json"]);
    let json: Value = serde_json::from_str(printed(&json)).expect("JSON");
    assert_eq!(json["path"], "Machine\\System\\Registry\\Layers\\*");
    assert_eq!(json["values"].as_array().map(Vec::len), Some(3));
}

#[test]
fn entries_are_found_by_word_and_listed_below_a_key() {
    let root = quiet_root();
    let found = regman(root.path(), &["-k", "TIMEOUTms", "--json"]);
    let found: Value = serde_json::from_str(printed(&found)).expect("JSON");
    let names: Vec<_> = found.as_array().expect("a list").iter().map(|e| &e["name"]).collect();
    assert_eq!(names, ["RequestTimeoutMs", "TransactionTimeoutMs"]);
    let scopes = "\
Machine\\System\\Registry\\Scopes
  The scopes of private hives: each key below is one
Machine\\System\\Registry\\Scopes\\*
  A scope of private hives; its name is a GUID
";
    assert_eq!(printed(&regman(root.path(), &["--list", "HKLM/System/Registry/Scopes"])), scopes);
}

#[test]
fn exit_codes_and_errors_are_those_of_regtool() {
    let root = quiet_root();
    let here = root.path();
    for (arguments, code, what) in [
        (&["HKLM/None"][..], 1, "regman: Machine\\None: the manual has no such key or value\n"),
        (
            &[SETTINGS, "None"],
            1,
            "regman: Machine\\System\\Registry: the manual has no value None\n",
        ),
        (&["-k", "nonsense"], 1, "regman: nonsense: the manual says nothing of it\n"),
        (&["--list", "Users/a/b"], 1, "regman: Users\\a\\b: the manual says nothing of it\n"),
        (&["a//b"], 2, "regman: a//b: an empty name between two separators\n"),
    ] {
        let output = regman(here, arguments);
        assert_eq!((output.status.code(), stderr(&output)), (Some(code), what));
        assert_eq!(stdout(&output), "");
    }
    for usage in
        [&[][..], &["-k"], &["a", "b", "c"], &["a", "-k", "b"], &["--list", "a", "--check"]]
    {
        assert_eq!(regman(here, usage).status.code(), Some(2), "{usage:?}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    let output = regman(empty.path(), &["Machine"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("regman: Machine: there is no manual in "));
}

#[test]
fn a_bad_file_is_told_and_the_others_count() {
    let root = quiet_root();
    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, EDITOR.replace("\"light\", ", "")).expect("a file");
    fs::write(folder.path().join("editor.toml"), EDITOR).expect("a file");
    let told = format!(
        "regman: {}: value \"Theme\" of \"HKCU\\\\Software\\\\Editor\": \
         default: \"light\" is none of dark\n",
        bad.display()
    );
    let output = regman_with(root.path(), Some(folder.path()), &["HKCU/Software/Editor/Theme"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), told.as_str()));
    assert!(stdout(&output).contains("  Valid    light, dark\n  Applies  when editor is"));

    let output = regman_with(root.path(), Some(folder.path()), &["--check"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(5), told.as_str()));
    let output = regman_with(root.path(), Some(folder.path()), &["--check", "--json"]);
    let json: Value = serde_json::from_str(stdout(&output)).expect("JSON");
    assert_eq!((output.status.code(), &json["files"]), (Some(5), &json!(5)));
    assert_eq!(json["faults"][0]["file"], json!(bad));
}

#[test]
fn set_warns_of_what_the_manual_calls_wrong_and_writes_it() {
    let system = System::start();
    let set = |data: &str, value_type: &str| {
        system.run(&["set", SETTINGS, "maxkeydepth", data, "--type", value_type])
    };
    let output = set("7", "dword");
    let warning = "regtool: Machine\\System\\Registry: warning: maxkeydepth: by the manual, \
                   7 is not in 32..=4096\n";
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), warning));
    assert_eq!(system.output(&["get", SETTINGS, "MaxKeyDepth"]), "7\n");
    let output = set("40", "sz");
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).ends_with("by the manual, the type is sz, not dword\n"));
    assert_eq!(printed(&set("40", "dword")), "");
    assert_eq!(printed(&system.run(&["set", SETTINGS, "Unheard", "7"])), "");
}

#[test]
fn doctor_finds_what_contradicts_the_manual_and_what_lcs_rejected() {
    let system = System::start();
    assert_eq!(printed(&system.run(&["doctor"])), "", "a new system is as the manual says");
    fs::write(system.file("usr/share/regman/editor.toml"), EDITOR).expect("a file");
    system.output(&["set", "-p", "HKCU/Software/Editor", "theme", "Dark"]);
    system.output(&["set", SETTINGS, "MaxKeyDepth", "7", "--type", "dword"]);

    let output = system.run(&["doctor"]);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!((output.status.code(), stderr(&output), lines.len()), (Some(5), "", 2));
    let key = "Machine\\System\\Registry  MaxKeyDepth: ";
    assert_eq!(lines[0], format!("{key}not in force: 7 is not in 32..=4096"));
    let theme = "\\Software\\Editor  theme: \"Dark\" is none of light, dark";
    assert!(lines.iter().any(|line| line.starts_with("Users\\") && line.ends_with(theme)));

    let json = system.run(&["doctor", "HKCU", "--json"]);
    let found: Value = serde_json::from_str(stdout(&json)).expect("JSON");
    assert_eq!(json.status.code(), Some(5));
    assert_eq!(
        (found.as_array().map(Vec::len), &found[0]["name"], &found[0]["what"]),
        (Some(1), &json!("theme"), &json!("\"Dark\" is none of light, dark"))
    );
    let json = system.run(&["doctor", "HKLM", "--json"]);
    let found: Value = serde_json::from_str(stdout(&json)).expect("JSON");
    assert_eq!(found[0]["rejected"], json!("7 is not in 32..=4096"));

    system.output(&["set", "HKCU/Software/Editor", "Theme", "dark"]);
    system.output(&["unset", SETTINGS, "MaxKeyDepth"]);
    assert_eq!(printed(&system.run(&["doctor"])), "");
    assert_eq!(printed(&system.run(&["doctor", "--json"])), "[]\n");
}

#[test]
fn doctor_says_that_there_is_no_manual() {
    let system = System::start();
    fs::remove_dir_all(system.file("usr/share/regman")).expect("it was there");
    let output = system.run(&["doctor"]);
    let what = "regtool: the manual: there is none, so nothing was compared\n";
    assert_eq!((output.status.code(), stderr(&output)), (Some(5), what));
}
