//! The registry through `regtool`. What a file system has as one operation may be two commands here: first whether
//! something is there, then what is to be done.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use registry_tests::harness::binary;
use rustix::io::Errno;
use serde_json::Value as Json;

use super::door::{Answer, Ask, Door, Got, Kind, OTHER, Place, Who};

/// `regtool`, for somebody.
pub struct Regtool {
    pub who: Who,
}

/// The exit codes (INTERFACES §5).
const DONE: i32 = 0;
const NOT_FOUND: i32 = 1;
const USAGE: i32 = 2;
const DENIED: i32 = 3;

impl Door for Regtool {
    fn ask(&self, scratch: &str, what: Ask) -> Answer {
        let keys = Keys { door: self, scratch };
        match what {
            Ask::Read(place) => keys.read(place),
            Ask::Write(place, text) => keys.write(place, text),
            Ask::List(place) => keys.list(place),
            Ask::Stat(place) => keys.stat(place),
            Ask::MakeKey(place) => keys.make(place),
            Ask::RemoveValue(place) => keys.remove_value(place),
            Ask::RemoveKey(place) => keys.remove_key(place),
        }
    }
}

impl Regtool {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("regtool"));
        if self.who == Who::Other {
            command.uid(OTHER).gid(OTHER);
        }
        command.args(arguments).output().expect("regtool runs")
    }

    /// Its standard output, or what its one line on stderr and its exit code say.
    fn output(&self, arguments: &[&str]) -> Answer<String> {
        let output = self.run(arguments);
        let message = String::from_utf8(output.stderr).expect("text");
        match output.status.code().expect("an exit code") {
            DONE => {
                assert_eq!(message, "", "{arguments:?}");
                Ok(String::from_utf8(output.stdout).expect("text"))
            }
            NOT_FOUND => Err(Errno::NOENT),
            USAGE if message.contains("a value of type ") => Err(Errno::INVAL),
            DENIED => Err(Errno::ACCESS),
            _ if message.ends_with(": has subkeys\n") => Err(Errno::NOTEMPTY),
            _ if message.contains("too long") => Err(Errno::NAMETOOLONG),
            code => panic!("{arguments:?}: exit {code}: {message}"),
        }
    }
}

/// The keys below a scratch key.
struct Keys<'a> {
    door: &'a Regtool,
    scratch: &'a str,
}

impl Keys<'_> {
    fn path(&self, place: Place) -> String {
        place.iter().fold(self.scratch.to_owned(), |path, name| format!("{path}\\{name}"))
    }

    /// The path of a value's key, and its name, as it stands.
    fn value<'p>(&self, place: Place<'p>) -> (String, &'p str) {
        let (name, key) = place.split_last().expect("a name");
        (self.path(key), name)
    }

    /// A command about a value.
    fn of_value(&self, command: &str, place: Place, more: &[&str]) -> Answer<String> {
        let (path, name) = self.value(place);
        let named = [command, path.as_str(), name, "--literal"];
        self.door.output(&[&named, more].concat())
    }

    fn is_key(&self, place: Place) -> bool {
        is_there(&self.door.output(&["check", &self.path(place)]))
    }

    fn is_value(&self, place: Place) -> bool {
        !place.is_empty() && is_there(&self.of_value("check", place, &[]))
    }

    /// What a file system says of a place where something was looked for that is not there: a value that is in the
    /// way, a key that is there instead, or nothing.
    fn instead(&self, place: Place, other: impl Fn(&Self, Place) -> Option<Errno>) -> Errno {
        for length in 1..place.len() {
            let above = &place[..length];
            if !self.is_key(above) {
                return if self.is_value(above) { Errno::NOTDIR } else { Errno::NOENT };
            }
        }
        other(self, place).unwrap_or(Errno::NOENT)
    }

    fn no_value(&self, place: Place) -> Errno {
        self.instead(place, |keys, place| keys.is_key(place).then_some(Errno::ISDIR))
    }

    fn no_key(&self, place: Place) -> Errno {
        self.instead(place, |keys, place| keys.is_value(place).then_some(Errno::NOTDIR))
    }

    fn json(&self, place: Place) -> Answer<Json> {
        let text = self.of_value("get", place, &["--json"]);
        text.map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    fn read(&self, place: Place) -> Answer {
        match self.json(place) {
            Ok(json) => Ok(Got::Text(text_form(&json))),
            Err(Errno::NOENT) => Err(self.no_value(place)),
            Err(error) => Err(error),
        }
    }

    fn write(&self, place: Place, text: &[u8]) -> Answer {
        let value_type = match self.json(place) {
            Ok(json) => json["type"].as_str().expect("a type").to_owned(),
            Err(_) => "sz".to_owned(),
        };
        let data = data(&value_type, text);
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        let named = ["--type", &value_type, "--"];
        match self.of_value("set", place, &[&named, data.as_slice()].concat()) {
            Ok(_) => Ok(Got::Done),
            Err(Errno::NOENT) => Err(self.no_value(place)),
            Err(error) => Err(error),
        }
    }

    fn list(&self, place: Place) -> Answer {
        let listed = self.door.output(&["list", &self.path(place), "--json"]);
        let listed = match listed {
            Err(Errno::NOENT) => return Err(self.no_key(place)),
            listed => listed?,
        };
        let json: Json = serde_json::from_str(&listed).expect("JSON");
        let names = |list: &str, kind| -> Vec<(String, Kind)> {
            let list = json[list].as_array().expect("a list").iter();
            list.map(|entry| (entry["name"].as_str().expect("a name").to_owned(), kind)).collect()
        };
        let mut entries = [names("subkeys", Kind::Key), names("values", Kind::Value)].concat();
        entries.sort();
        Ok(Got::Entries(entries))
    }

    fn stat(&self, place: Place) -> Answer {
        match self.door.output(&["info", &self.path(place)]) {
            Ok(_) => Ok(Got::Key),
            Err(Errno::NOENT) if !place.is_empty() => match self.read(place)? {
                Got::Text(text) => Ok(Got::Value(text.len() as u64)),
                other => Ok(other),
            },
            Err(error) => Err(error),
        }
    }

    fn make(&self, place: Place) -> Answer {
        if self.is_key(place) || self.is_value(place) {
            return Err(Errno::EXIST);
        }
        match self.door.output(&["create", &self.path(place)]) {
            Ok(_) => Ok(Got::Done),
            Err(Errno::NOENT) => Err(self.no_key(place)),
            Err(error) => Err(error),
        }
    }

    fn remove_value(&self, place: Place) -> Answer {
        if !self.is_value(place) {
            return Err(self.no_value(place));
        }
        self.of_value("unset", place, &[]).map(|_| Got::Done)
    }

    fn remove_key(&self, place: Place) -> Answer {
        match self.door.output(&["delete", &self.path(place)]) {
            Ok(_) => Ok(Got::Done),
            Err(Errno::NOENT) => Err(self.no_key(place)),
            Err(error) => Err(error),
        }
    }
}

/// Whether what a command is about is there, and be it that one may not look at it.
fn is_there(answer: &Answer<String>) -> bool {
    matches!(answer, Ok(_) | Err(Errno::ACCESS))
}

/// The text form of a value (INTERFACES §1), from its JSON.
fn text_form(value: &Json) -> Vec<u8> {
    let is_text = |name: &str| ["sz", "expand_sz", "link"].contains(&name);
    let of_text = is_text(value["type"].as_str().expect("a type"));
    match &value["data"] {
        Json::String(text) if of_text => format!("{text}\n").into_bytes(),
        Json::String(hex) => from_hex(hex),
        Json::Array(lines) => {
            let lines = lines.iter().map(|line| format!("{}\n", line.as_str().expect("text")));
            lines.collect::<String>().into_bytes()
        }
        Json::Number(number) => format!("{number}\n").into_bytes(),
        other => {
            let mut bytes = from_hex(other["hex"].as_str().expect("bytes"));
            // Text that is not UTF-8 is a line all the same.
            bytes.extend(of_text.then_some(b'\n'));
            bytes
        }
    }
}

/// The words that `set` takes for the data that a text form means.
fn data(value_type: &str, text: &[u8]) -> Vec<String> {
    let without_newline = text.strip_suffix(b"\n").unwrap_or(text);
    let words = || String::from_utf8(without_newline.to_owned()).expect("text");
    match value_type {
        "multi_sz" => words().split('\n').map(str::to_owned).collect(),
        "sz" | "expand_sz" | "link" | "dword" | "dword_be" | "qword" => vec![words()],
        _ => vec![text.iter().map(|byte| format!("{byte:02x}")).collect()],
    }
}

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
