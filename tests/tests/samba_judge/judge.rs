//! Samba, in a process that answers questions.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fmt};

use lcs_core::security::{Malformed, Privileges, SecurityDescriptor, Token};
use registry_tests::harness::skipped;
use serde::{Deserialize, Serialize};

use crate::cases::Case;

/// Debian's, for which its package python3-samba is. Another one in PATH does not have it.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/judge/samba_judge.py");

/// The domain that Samba is told of, for the SIDs that only a domain has. Ours are in none.
pub const DOMAIN: &str = "S-1-5-21-1-2-3";

/// The outcome of an access check.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// These rights are granted.
    Granted(u32),
    /// These rights are missing. Samba does not tell, but denies each of them when it alone is asked for.
    Denied(u32),
    /// The question is none, whatever the security descriptor. Samba does not know this.
    Invalid,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Granted(rights) => write!(f, "granted {rights:#x}"),
            Outcome::Denied(missing) => write!(f, "denied, missing {missing:#x}"),
            Outcome::Invalid => f.write_str("invalid"),
        }
    }
}

/// Questions about one token, to be answered together.
#[derive(Debug, Default, Serialize)]
pub struct Questions {
    sids: Vec<String>,
    privileges: Vec<&'static str>,
    domain: &'static str,
    checks: Vec<(String, u32)>,
    texts: Vec<String>,
    descriptors: Vec<String>,
}

impl Questions {
    pub fn by(token: &Token) -> Questions {
        let names = Privileges::all().iter_names();
        // Samba has no SeTcb.
        let held = names.filter(|(_, one)| *one != Privileges::TCB && token.holds(*one));
        Questions {
            sids: token.sids().iter().map(ToString::to_string).collect(),
            privileges: held.map(|(name, _)| name).collect(),
            domain: DOMAIN,
            ..Questions::default()
        }
    }

    /// What is granted there.
    pub fn check(mut self, case: &Case) -> Questions {
        self.checks.push((hex(&case.sd.to_bytes()), case.mask));
        self
    }

    /// What a text means.
    pub fn read(mut self, text: &str) -> Questions {
        self.texts.push(text.to_string());
        self
    }

    /// Bytes and text for these bytes.
    pub fn describe(mut self, sd: &SecurityDescriptor) -> Questions {
        self.descriptors.push(hex(&sd.to_bytes()));
        self
    }
}

/// Answers to [`Questions`], each list in their order.
#[derive(Debug, Deserialize)]
pub struct Answers {
    pub verdicts: Vec<Outcome>,
    readings: Vec<Option<String>>,
    described: Vec<Described>,
}

/// What Samba has read, as we understand its bytes.
pub type Reading = Result<SecurityDescriptor, Malformed>;

#[derive(Debug, Deserialize)]
struct Described {
    bytes: String,
    text: String,
}

impl Answers {
    /// What the texts mean; `None` for one that Samba refuses.
    pub fn readings(&self) -> impl Iterator<Item = Option<Reading>> {
        let from_bytes = |bytes: &String| SecurityDescriptor::from_bytes(&from_hex(bytes));
        self.readings.iter().map(move |reading| reading.as_ref().map(from_bytes))
    }

    /// Samba's bytes and texts of what it was to describe.
    pub fn described(&self) -> impl Iterator<Item = (Vec<u8>, &str)> {
        self.described.iter().map(|described| (from_hex(&described.bytes), &*described.text))
    }
}

/// The process; it ends when this is dropped.
pub struct Judge {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Which Samba it is.
    pub version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Greeting {
    Version(String),
    Missing(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Answers(Answers),
    Error(String),
}

impl Judge {
    /// Starts it. `None` if there is no Samba, and it need not be there: the test is skipped.
    pub fn summon() -> Option<Judge> {
        match Judge::try_to_summon() {
            Ok(judge) => Some(judge),
            Err(why) if env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("this needs Debian's package python3-samba: {why}")
            }
            Err(why) => {
                skipped(format_args!("Debian's package python3-samba is not here: {why}"));
                None
            }
        }
    }

    fn try_to_summon() -> Result<Judge, String> {
        let mut command = Command::new(PYTHON);
        command.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(error.to_string()),
            process => process.expect("python starts"),
        };
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut judge = Judge { process, questions, answers, version: String::new() };
        match judge.next_line() {
            Greeting::Version(version) => judge.version = version,
            Greeting::Missing(why) => return Err(why),
        }
        Ok(judge)
    }

    /// Puts questions, and waits for the answers. An error is a question that Samba does not understand.
    pub fn ask(&mut self, questions: &Questions) -> Result<Answers, String> {
        let mut line = serde_json::to_string(questions).expect("questions can be written");
        line.push('\n');
        let pipe = self.questions.as_mut().expect("open until it is dropped");
        pipe.write_all(line.as_bytes()).expect("the judge listens");
        match self.next_line() {
            Reply::Answers(answers) => Ok(answers),
            Reply::Error(why) => Err(why),
        }
    }

    fn next_line<T: for<'a> Deserialize<'a>>(&mut self) -> T {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the judge speaks text");
        assert!(!line.is_empty(), "the judge has died; standard error says of what");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the answer {line}"))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It ends with its questions.
        drop(self.questions.take());
        let _ = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "half a byte in {text}");
    let byte =
        |pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    pairs.iter().map(|pair| byte(pair).unwrap_or_else(|| panic!("not bytes: {text}"))).collect()
}
