//! How much memory a restore takes: a staged step of about 300 MiB that replaces as much.
//!
//! `cargo bench -p loregd --bench restore` prints the largest resident size before, after the stage was sent,
//! and after the step; `MIB` sets another size.

use std::fs;
use std::time::Instant;

use hosted as _;
use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, Changes, KeyRecord, Mutation, Name, PathEntry, Request, Target, ValueEntry,
};
use loregd::hive::Hive;
use loregd::store::RedbStore;

const VALUE: usize = 700;
const VALUES_PER_KEY: usize = 8;

fn name(text: String) -> Name {
    Name { display: text.clone(), folded: text }
}

fn key(number: u64) -> Guid {
    // As spread as random GUIDs are.
    let spread = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Guid(spread.to_be_bytes())
}

/// A key with its entry and values, as a backup has them.
fn restored(number: u64, parent: Guid) -> Vec<Mutation> {
    let key = key(number);
    let (name, layer) = (name(format!("Key{number}")), || self::name("base".to_owned()));
    let record = KeyRecord {
        key,
        parent,
        name: name.clone(),
        sd: vec![1; 100],
        volatile: false,
        link: false,
        last_write: 5,
    };
    let (target, sequence) = (Target::Key(key), number * 10);
    let entry = PathEntry { parent, name, layer: layer(), target, sequence };
    let mut mutations = vec![Mutation::RestoreKey(record), Mutation::RestoreEntry(entry)];
    mutations.extend((0..VALUES_PER_KEY).map(|value| {
        Mutation::RestoreValue(ValueEntry {
            key,
            name: self::name(format!("value {value}")),
            layer: layer(),
            value_type: 3,
            data: vec![value as u8; VALUE],
            sequence: sequence + 1 + value as u64,
        })
    }));
    mutations
}

/// The largest resident size of this process so far, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

fn main() {
    let mib: u64 = std::env::var("MIB").map_or(300, |text| text.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(&directory.path().join("Machine.redb")).expect("a store");
    let hive = Hive::open("Machine", Box::new(store)).expect("a hive");
    let mut hive = hive.staging_in(&directory.path().join("Machine")).expect("a hive");
    let root = hive.root();
    let keys = (mib << 20) / (VALUE * VALUES_PER_KEY) as u64;
    println!("{keys} keys, {} values of {VALUE} bytes: {mib} MiB", keys * VALUES_PER_KEY as u64);
    println!("at first: {} MiB", peak());
    for round in 0..2 {
        let begin = Instant::now();
        let mut send = |mutations| {
            let answer = hive.answer(&Request::Stage { stage: 1, mutations });
            assert_eq!(answer, Ok(Answer::Done));
        };
        send(vec![Mutation::RemoveSubtree { key: root }]);
        let numbers: Vec<u64> = (0..keys).collect();
        for part in numbers.chunks(100) {
            send(part.iter().flat_map(|number| restored(*number, root)).collect());
        }
        println!("round {round}: staged in {:.1?}, {} MiB", begin.elapsed(), peak());
        let begin = Instant::now();
        let (changes, first_sequence) = (Changes::Stage(1), hive.max_sequence() + 1);
        let step = Request::Apply { conditions: Vec::new(), changes, first_sequence };
        let answer = hive.answer(&step);
        assert!(answer.is_ok(), "{answer:?}");
        println!("round {round}: applied in {:.1?}, {} MiB", begin.elapsed(), peak());
    }
}
