//! Hives of a real Windows system, as .reg files: what is imported is what is exported, compared by a
//! reader that shares nothing with regtool's.
//!
//! The data is not part of this repository; where it is not there, the test says so and does nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use registry_tests::harness::{System, skipped};

#[test]
fn real_hives_come_out_as_they_went_in_also_after_kill_9_of_everything() {
    let (Some(system_hive), Some(user_hive)) = (real_file("SYSTEM"), real_file("NTUSER")) else {
        return;
    };
    let mut expected = read(&system_hive);
    assert_eq!((expected.len(), count_values(&expected)), (30_756, 73_456));
    expected.append(&mut read(&user_hive));

    let mut system = System::start();
    for (name, text) in [("SYSTEM.reg", &system_hive), ("NTUSER.reg", &user_hive)] {
        let file = system.file(name);
        fs::write(&file, text).expect("a file");
        system.output(&["import", file.to_str().expect("UTF-8")]);
    }
    compare(&exported_to_files(&system), &expected);

    system.kill_all_and_restart();
    let on_stdout =
        ["Machine/SYSTEM", "Machine/NTUSER.DAT"].map(|path| system.output(&["export", path]));
    compare(&on_stdout.concat(), &expected);
}

/// `../shared/data/NAME.reg.xz` beside the checkout, unpacked.
fn real_file(name: &str) -> Option<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let file = data.join(format!("{name}.reg.xz"));
    if !file.exists() {
        skipped(format_args!("{} is not there", file.display()));
        return None;
    }
    let Ok(output) = Command::new("xz").arg("-dc").arg(&file).output() else {
        skipped("there is no xz");
        return None;
    };
    assert!(output.status.success(), "{} cannot be unpacked", file.display());
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Both hives, exported as regedit writes files: UTF-16LE with a byte order mark.
fn exported_to_files(system: &System) -> String {
    let export = |path: &str, file: PathBuf| {
        system.output(&["export", path, "-o", file.to_str().expect("UTF-8")]);
        let bytes = fs::read(file).expect("the exported file");
        let (mark, text) = bytes.split_at(2);
        assert_eq!(mark, b"\xFF\xFE");
        let units: Vec<_> = text
            .chunks(2)
            .map(|unit| u16::from_le_bytes(unit.try_into().expect("two bytes")))
            .collect();
        String::from_utf16(&units).expect("UTF-16")
    };
    export("HKLM\\SYSTEM", system.file("out1.reg"))
        + &export("HKEY_LOCAL_MACHINE/NTUSER.DAT/", system.file("out2.reg"))
}

/// Keys by path, values by name; both in lower case, for names that differ in case only are one.
type Keys = BTreeMap<String, BTreeMap<String, Value>>;

/// A type's number, and the data as its readers see it.
#[derive(Debug, PartialEq)]
struct Value(u32, Decoded);

#[derive(Debug, PartialEq)]
enum Decoded {
    /// UTF-16, without the NULs at its end.
    Text(Vec<u16>),
    Bytes(Vec<u8>),
}

fn count_values(keys: &Keys) -> usize {
    keys.values().map(BTreeMap::len).sum()
}

fn compare(exported: &str, expected: &Keys) {
    let mut found = read(exported);
    // LCS' own settings, which lie in the middle of the hive.
    found.retain(|path, _| !path.starts_with("hkey_local_machine\\system\\registry"));
    for (path, values) in expected {
        assert_eq!(found.get(path), Some(values), "{path}");
    }
    assert_eq!(found.len(), expected.len(), "keys that were not in the input");
}

/// Reads version 5, as far as the data and `regtool export` use it.
fn read(text: &str) -> Keys {
    let unfolded = text.replace("\r\n", "\n").replace("\\\n  ", "");
    let mut keys = Keys::new();
    let mut path = String::new();
    for line in unfolded.lines() {
        if let Some(key) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            path = key.trim_end_matches('\\').to_lowercase();
            keys.entry(path.clone()).or_default();
        } else if line.starts_with(['"', '@']) {
            let (name, data) = name_and_data(line);
            let values = keys.get_mut(&path).expect("a key before its values");
            values.insert(name.to_lowercase(), value(data));
        } else {
            assert!(line.is_empty() || line.starts_with("Windows Registry"), "{line}");
        }
    }
    keys
}

fn name_and_data(line: &str) -> (String, &str) {
    if let Some(data) = line.strip_prefix("@=") {
        return (String::new(), data);
    }
    let (name, rest) = unquote(line);
    (name, rest.strip_prefix('=').expect("= after a name"))
}

/// What stands between quotes, and what follows.
fn unquote(text: &str) -> (String, &str) {
    let mut unquoted = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (unquoted, &text[at + 1..]),
            '\\' => unquoted.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => unquoted.push(character),
        }
    }
    panic!("an open quote: {text}");
}

fn value(data: &str) -> Value {
    if data.starts_with('"') {
        let (text, rest) = unquote(data);
        assert_eq!(rest, "");
        return Value(1, Decoded::Text(text.encode_utf16().collect()));
    }
    let (form, digits) = data.split_once(':').expect("a colon");
    if form == "dword" {
        let number = u32::from_str_radix(digits, 16).expect("a number");
        return Value(4, Decoded::Bytes(number.to_le_bytes().to_vec()));
    }
    let value_type = match form.strip_prefix("hex").expect("hex") {
        "" => 3,
        number => u32::from_str_radix(&number[1..number.len() - 1], 16).expect("a type"),
    };
    let pairs = digits.split(',').filter(|pair| !pair.is_empty());
    let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")).collect();
    match value_type {
        1 | 2 | 7 if bytes.len().is_multiple_of(2) => {
            let mut units: Vec<_> = bytes
                .chunks(2)
                .map(|unit| u16::from_le_bytes(unit.try_into().expect("two bytes")))
                .collect();
            while units.last() == Some(&0) {
                units.pop();
            }
            Value(value_type, Decoded::Text(units))
        }
        // Text of an odd number of bytes is none.
        1 | 2 | 7 => Value(3, Decoded::Bytes(bytes)),
        _ => Value(value_type, Decoded::Bytes(bytes)),
    }
}
