//! What a durable step costs, beside what it costs at least: `cargo bench -p loregd`.
//!
//! Databases are made in TMPDIR; that should be on the disk that is to be measured.

use std::path::Path;
use std::time::{Duration, Instant};

use lcs_abi::Guid;
use lcs_abi::rsi::{Changes, KeyRecord, Mutation, Name, Request, Target};
use lcs_abi::security::MACHINE_ROOT_SD;
use loregd::hive::Hive;
use loregd::store::RedbStore;
use redb::{Database, TableDefinition};

const COMMITS: u32 = 1000;
const GROUP: usize = 64;
const KEYS: usize = 30_000;
const STAGED: usize = 200_000;

fn main() -> Result<(), loregd::Error> {
    let directory = tempfile::tempdir().expect("a directory");
    let bare = bare_redb(&directory.path().join("bare"))?;
    println!("bare redb, one row per commit:       {:>9.1} µs", micros(bare, COMMITS));

    let path = directory.path().join("Machine.redb");
    let hive = Hive::open("Machine", Box::new(RedbStore::open(&path)?))?;
    let root = hive.root();
    let (_, mut writer) = hive.split();
    let mut sequence = 0;
    let mut next = || {
        sequence += 2;
        sequence
    };

    let begin = Instant::now();
    for _ in 0..COMMITS {
        assert!(writer.commit(&[&set_value(root, next())])[0].is_ok());
    }
    println!("one value per commit:                {:>9.1} µs", micros(begin.elapsed(), COMMITS));

    let begin = Instant::now();
    for _ in 0..COMMITS / 10 {
        let steps: Vec<Request> = (0..GROUP).map(|_| set_value(root, next())).collect();
        let steps: Vec<&Request> = steps.iter().collect();
        assert!(writer.commit(&steps).iter().all(Result::is_ok));
    }
    let count = COMMITS / 10 * GROUP as u32;
    println!(
        "{GROUP} values per commit, each:          {:>9.1} µs",
        micros(begin.elapsed(), count)
    );

    let begin = Instant::now();
    let keys: Vec<usize> = (0..KEYS).collect();
    for group in keys.chunks(GROUP) {
        let steps: Vec<Request> =
            group.iter().map(|number| create_key(root, *number, next())).collect();
        let steps: Vec<&Request> = steps.iter().collect();
        assert!(writer.commit(&steps).iter().all(Result::is_ok));
    }
    println!(
        "{GROUP} new keys per commit, each:        {:>9.1} µs",
        micros(begin.elapsed(), KEYS as u32)
    );

    drop(writer);
    let mut hive = Hive::open("Machine", Box::new(RedbStore::open(&path)?))?;
    let staging = Instant::now();
    let root = hive.root();
    for part in 0..STAGED / 1000 {
        let mutations = (0..1000).map(|number| staged_value(root, part * 1000 + number)).collect();
        assert!(hive.answer(&Request::Stage { stage: 1, mutations }).is_ok());
    }
    let staging = staging.elapsed();
    let begin = Instant::now();
    let conditions = Vec::new();
    let step = Request::Apply { conditions, changes: Changes::Stage(1), first_sequence: next() };
    assert!(hive.answer(&step).is_ok());
    println!(
        "one step of 64 MiB in {STAGED} values: {:>9.1} ms (and {:.1} ms to stage it)",
        begin.elapsed().as_secs_f64() * 1e3,
        staging.as_secs_f64() * 1e3
    );
    drop(hive);

    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    let begin = Instant::now();
    RedbStore::open(&path)?;
    println!(
        "opening with a check, {:>4} MiB:       {:>9.1} ms",
        size >> 20,
        begin.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

fn micros(time: Duration, count: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(count)
}

fn bare_redb(path: &Path) -> Result<Duration, loregd::Error> {
    let table: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
    let database = Database::create(path)?;
    let begin = Instant::now();
    for number in 0..COMMITS {
        let transaction = database.begin_write()?;
        transaction.open_table(table)?.insert(&number.to_be_bytes()[..], &[0; 50][..])?;
        transaction.commit()?;
    }
    Ok(begin.elapsed())
}

fn name(text: &str) -> Name {
    Name { display: text.to_owned(), folded: text.to_lowercase() }
}

fn apply(first_sequence: u64, mutations: Vec<Mutation>) -> Request {
    Request::Apply {
        conditions: Vec::new(),
        changes: Changes::Mutations(mutations),
        first_sequence,
    }
}

fn set_value(key: Guid, first_sequence: u64) -> Request {
    let set = Mutation::SetValue {
        key,
        name: name(&format!("Value{}", first_sequence % 1000)),
        layer: name("base"),
        value_type: 3,
        data: vec![0; 50],
    };
    let write = Mutation::WriteKey { key, sd: None, last_write: Some(first_sequence as i64) };
    apply(first_sequence, vec![set, write])
}

/// With names and all else, 64 MiB are 200,000 of these.
fn staged_value(key: Guid, number: usize) -> Mutation {
    Mutation::SetValue {
        key,
        name: name(&format!("Staged{number}")),
        layer: name("base"),
        value_type: 3,
        data: vec![7; 288],
    }
}

fn create_key(parent: Guid, number: usize, first_sequence: u64) -> Request {
    let mut key = [0; 16];
    // As spread as random GUIDs are.
    let spread = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[..8].copy_from_slice(&spread.to_be_bytes());
    let key = Guid(key);
    let its_name = name(&format!("Key{number}"));
    let record = KeyRecord {
        key,
        parent,
        name: its_name.clone(),
        sd: MACHINE_ROOT_SD.to_vec(),
        volatile: false,
        link: false,
        last_write: 1,
    };
    let target = Target::Key(key);
    let entry = Mutation::SetEntry { parent, name: its_name, layer: name("base"), target };
    apply(first_sequence, vec![Mutation::CreateKey(record), entry])
}
