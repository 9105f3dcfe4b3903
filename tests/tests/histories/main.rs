//! Histories of many clients: whatever they were told, it is as if one operation came after the other.
//!
//! `HISTORIES` in the environment says how many (1,000 if it does not), `SEED` with which dice.

mod client;
mod disturbance;
mod history;
mod reader;
mod spec;
mod verdicts;

use std::sync::Mutex;
use std::thread;

use client::{Client, KEYS};
use disturbance::{Disturbance, What};
use history::{History, Recorder, Verdict};
use hosted as _;
use libreg::{SetValue, ValueType};
use reader::Reader;
use registry_tests::daemons::loregd;
use registry_tests::dice::{Dice, setting};
use registry_tests::harness::{Process, Root, session_of_rounds};
use registry_tests::registry::create;
use spec::Operation;

const CLIENTS: usize = 8;

/// Processes that only read, and give again what they were told as long as they may.
const READERS: usize = 2;

/// What each client does in a history, a transaction being one thing.
const STEPS: usize = 5;

/// What happened in all histories.
#[derive(Debug, Default)]
struct Figures {
    histories: u64,
    /// Also those that are not events of a history: what a transaction does inside, or what failed.
    operations: u64,
    reads: u64,
    /// Of them, those of readers in processes of their own.
    by_readers: u64,
    changes: u64,
    /// Of them, those of more than one value.
    transactions: u64,
    refused: u64,
    unknown: u64,
    kills: u64,
    freezes: u64,
}

impl Figures {
    fn add(&mut self, history: &History) {
        self.histories += 1;
        for event in &history.events {
            match &event.operation {
                Operation::Read(..) => self.reads += 1,
                Operation::Change(change) => {
                    self.changes += 1;
                    self.transactions += u64::from(change.effects.len() > 1);
                }
                Operation::Refused(_) => self.refused += 1,
                Operation::Perhaps(_) => self.unknown += 1,
            }
        }
    }
}

#[test]
fn whatever_clients_are_told_it_is_as_if_one_operation_came_after_the_other() {
    let histories = setting("HISTORIES").unwrap_or(1000);
    session_of_rounds(histories, Root::lcs, |_| {
        let dice = Dice::new();
        let source = Mutex::new(loregd(&[]));
        let settings = create(r"Machine\System\Registry");
        let (dword, second) = (ValueType::Dword.code(), 1000_u32.to_le_bytes());
        let how = SetValue::default();
        settings.set_value("RequestTimeoutMs", dword, &second, &how).expect("a setting");
        create(r"Machine\Histories");
        let mut figures = Figures::default();
        let mut readers: Vec<Reader> = (CLIENTS..CLIENTS + READERS).map(Reader::start).collect();
        for number in 0..histories {
            let history =
                one_history(number, dice.for_number(number), &source, &mut readers, &mut figures);
            let verdict = history.judge();
            assert_eq!(verdict, Verdict::Linearizable, "history {number}:\n{history}");
        }
        eprintln!("{figures:?}");
    });
}

fn one_history(
    number: u64,
    mut dice: Dice,
    source: &Mutex<Process>,
    readers: &mut [Reader],
    figures: &mut Figures,
) -> History {
    let paths: [String; KEYS] =
        std::array::from_fn(|key| format!(r"Machine\Histories\{number}-{key}"));
    paths.iter().for_each(|path| drop(create(path)));
    let at = dice.below((CLIENTS * STEPS) as u64);
    let planned = match dice.below(200) {
        0 => Some((What::Freeze, at)),
        1..25 => Some((What::Kill, at)),
        _ => None,
    };
    let recorder = Recorder::default();
    let disturbance = Disturbance::new(source, planned);
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|client| {
            let dice = dice.for_number(client as u64);
            Client::new(client, dice, &recorder, &disturbance, &paths)
        })
        .collect();
    for (number, reader) in (CLIENTS as u64..).zip(&mut *readers) {
        reader.begin(dice.below(1 << 20) + number, &paths);
    }
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || client.work(STEPS));
        }
    });
    disturbance.thaw();
    for reader in readers {
        figures.by_readers += reader.finish(&recorder);
    }
    figures.operations += disturbance.operations();
    match planned {
        Some((What::Kill, _)) => figures.kills += 1,
        Some((What::Freeze, _)) => figures.freezes += 1,
        None => {}
    }
    let history = recorder.finish();
    figures.add(&history);
    history
}
