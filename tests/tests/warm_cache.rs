//! What LCS remembers, in real processes: what is known is not asked for again, and what a source did late, in
//! silence, or while it came to its end is what everybody reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hosted as _;
use lcs_abi::rsi::{Request, SourceError};
use libredox::errno::{EIO, ETIMEDOUT};
use libreg::security::Parts;
use libreg::{Access, CreateKey, Error, Key, SetValue, ValueType};
use loregd::hive::Hive;
use registry_tests::harness::{Root, System, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};
use serde_json::Value as Json;

/// What becomes of the next steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They are carried out and answered.
    Answered,
    /// They are carried out, and nothing is said.
    DoneInSilence,
    /// They are not carried out, and nothing is said.
    Lost,
    /// They are carried out, and the answer is that they were not.
    DoneAndDenied,
    /// The source's connection ends with the next request.
    Ends,
}

/// A source of `Kept` that counts what it is asked.
struct Source {
    fate: Arc<Mutex<Fate>>,
    requests: Arc<AtomicU64>,
    serving: JoinHandle<Vec<Hive>>,
}

impl Source {
    fn new(hives: Vec<Hive>) -> Source {
        let mut puppet = Puppet::connect_with(&["Kept"], hives);
        puppet.claim().expect("an accepted claim");
        puppet.register().expect("an accepted registration");
        let (fate, requests) = (Arc::new(Mutex::new(Fate::Answered)), Arc::default());
        let (decided, asked) = (Arc::clone(&fate), Arc::<AtomicU64>::clone(&requests));
        let serving = puppet.serve(move |header, request| {
            asked.fetch_add(1, Ordering::SeqCst);
            let is_step = matches!(request, Request::Apply { .. });
            match *decided.lock().expect("no panic") {
                Fate::Ends => Decision::Stop,
                Fate::DoneInSilence if is_step => Decision::Instead(Vec::new()),
                Fate::Lost if is_step => Decision::Silence,
                Fate::DoneAndDenied if is_step => {
                    let result = Err(SourceError::StorageError);
                    let answer = lcs_abi::rsi::FromSource::Answer { id: header.id, result };
                    Decision::Instead(vec![answer])
                }
                _ => Decision::Answer,
            }
        });
        Source { fate, requests, serving }
    }

    fn will(&self, fate: Fate) {
        *self.fate.lock().expect("no panic") = fate;
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Ends it, and starts one that has the same hive.
    fn restart(self) -> Source {
        self.will(Fate::Ends);
        let asked = registry().open_key(r"Kept\Unknown", Access::KEY_READ);
        assert!(asked.is_err());
        Source::new(self.serving.join().expect("a source"))
    }
}

/// A registry whose source `Kept` has a second for an answer.
fn source() -> Source {
    Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
    let settings = create(r"Machine\System\Registry");
    let (dword, second) = (ValueType::Dword.code(), 1000_u32.to_le_bytes());
    let how = SetValue::default();
    settings.set_value("RequestTimeoutMs", dword, &second, &how).expect("a setting");
    Source::new(vec![Hive::in_memory("Kept").expect("a hive in memory")])
}

fn put(key: &Key, data: &[u8]) -> Result<u64, Error> {
    key.set_value("v", ValueType::Binary.code(), data, &SetValue::default())
}

/// All that is to be seen of the key at a path, in all ways.
fn look(path: &str) -> Result<String, Error> {
    let key = registry().open_key(path, Access::KEY_ALL_ACCESS)?;
    let value = key.value("v")?.data;
    let values: Vec<_> = key.values().collect::<Result<_, _>>()?;
    let values: Vec<_> = values.into_iter().map(|value| (value.name, value.data)).collect();
    let subkeys: Vec<_> = key.subkeys(true).collect::<Result<_, _>>()?;
    let subkeys: Vec<_> = subkeys.into_iter().map(|subkey| subkey.name).collect();
    let subkey = match key.open_key("Sub", Access::KEY_READ) {
        Ok(_) => true,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error),
    };
    let sd = key.security(Parts::DACL)?;
    Ok(format!("{value:?} {values:?} {subkeys:?} {subkey} {sd}"))
}

/// A change of the key, and how it shows.
type Change = (fn(&Key) -> Result<(), Error>, &'static str);

const CHANGES: [Change; 4] = [
    (|key| put(key, b"\x63").map(drop), "[99]"),
    (|key| key.create_key("Sub", Access::KEY_READ, &CreateKey::default()).map(drop), "true"),
    (
        |key| {
            let sd = "D:(A;;KA;;;SY)(A;;KR;;;WD)".parse().expect("SDDL");
            key.set_security(Parts::DACL, &sd)
        },
        "(A;;KR;;;WD)",
    ),
    (|key| key.open_key("Old", Access::DELETE)?.delete(None), "[] false"),
];

/// The key at a path, with what is to be changed, and what is above it.
fn prepared(path: &str) -> Key {
    for (end, _) in path.match_indices('\\').skip(1) {
        create(&path[..end]);
    }
    let key = create(path);
    put(&key, b"\x01").expect("a write");
    create(&format!(r"{path}\Old"));
    let sd = "D:(A;;KA;;;SY)".parse().expect("SDDL");
    key.set_security(Parts::DACL, &sd).expect("a descriptor");
    key
}

#[test]
fn what_is_known_is_not_asked_for_again() {
    session_in(Root::lcs, |_| {
        let source = source();
        let path = r"Kept\A\B\C\D\Key";
        prepared(path);
        let seen = look(path).expect("a key");
        assert_eq!(look(path), Ok(seen.clone()));
        let asked = source.requests();
        let hits = || registry().status().expect("a status").details.expect("all").cache.hits;
        let before = hits();
        for _ in 0..100 {
            assert_eq!(look(path), Ok(seen.clone()));
        }
        assert_eq!(source.requests(), asked);
        assert!(hits() >= before + 1000, "{before}, then {}", hits());
    });
}

/// Each change, of a warm key, with this fate and error; then it is as `is_done` says, at once, and again when the
/// source was started anew.
fn changes_meet(fate: Fate, errno: i32, is_done: bool) {
    let mut source = source();
    for (number, (change, shows)) in CHANGES.into_iter().enumerate() {
        let path = format!(r"Kept\A\B\C\D\{number}");
        let key = prepared(&path);
        let before = look(&path).expect("a key");
        assert_eq!(look(&path), Ok(before.clone()));
        source.will(fate);
        assert_eq!(change(&key).expect_err("it is late").errno(), Some(errno), "{shows}");
        source.will(Fate::Answered);
        let after = look(&path).expect("a key");
        assert_eq!(after != before, is_done, "{shows}: {before}, then {after}");
        assert!(!is_done || after.contains(shows), "{shows}: {after}");
        assert_eq!(look(&path), Ok(after.clone()));
        source = source.restart();
        assert_eq!(look(&path), Ok(after), "{shows}");
    }
}

#[test]
fn what_a_source_does_in_silence_is_read_at_once() {
    session_in(Root::lcs, |_| changes_meet(Fate::DoneInSilence, ETIMEDOUT, true));
}

#[test]
fn what_a_source_loses_is_not_read() {
    session_in(Root::lcs, |_| changes_meet(Fate::Lost, ETIMEDOUT, false));
}

#[test]
fn what_a_source_says_it_could_not_store_and_did_is_read_at_once() {
    session_in(Root::lcs, |_| changes_meet(Fate::DoneAndDenied, EIO, true));
}

#[test]
fn status_says_how_often_what_was_known_was_enough() {
    let system = System::start();
    let cache = || {
        let status: Json =
            serde_json::from_str(&system.output(&["status", "--json"])).expect("JSON");
        ["hits", "misses", "bytes", "limit"].map(|what| status["cache"][what].as_u64().expect(what))
    };
    system.output(&["set", "-p", r"Machine\Software\Editor", "Tabs", "4", "--type", "dword"]);
    system.output(&["get", r"Machine\Software\Editor", "Tabs"]);
    let [hits, misses, bytes, limit] = cache();
    assert!(bytes > 0 && bytes <= limit && misses > 0, "{bytes} of {limit}, {misses} misses");
    system.output(&["get", r"Machine\Software\Editor", "Tabs"]);
    let [more, as_many, ..] = cache();
    assert!(more > hits, "{hits}, then {more}");
    assert_eq!(as_many, misses, "all was known");
    let text = system.output(&["status"]);
    assert!(text.contains(" hits, "), "{text}");
}
