//! What transactions cost others: a durable write beside one that is left open, many writers at once, and
//! LCS's memory for what clients can hold.

use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use hosted as _;
use libreg::{Access, CreateKey, Key, Registry, SetValue, Transaction, ValueType};
use registry_tests::bench::{middle, timed};
use registry_tests::harness::{Process, Root, binary};

/// In the client: the process of LCS.
const LCS: &str = "BENCH_TRANSACTIONS_LCS";

/// How often a write is timed.
const ROUNDS: usize = 501;

/// How long writers write.
const SPELL: Duration = Duration::from_secs(3);

fn write(key: &Key) -> Result<(), libreg::Error> {
    key.set_value("v", ValueType::Binary.code(), &[7; 32], &SetValue::default()).map(drop)
}

fn key(registry: &Registry, path: &str) -> Result<Key, libreg::Error> {
    registry.create_key(path, Access::KEY_ALL_ACCESS, &CreateKey::default())
}

/// A transaction that wrote to the key.
fn open_transaction(registry: &Registry, path: &str) -> Result<Transaction, libreg::Error> {
    let transaction = registry.begin()?;
    let inside = transaction.registry().open_key(path, Access::SET_VALUE)?;
    write(&inside)?;
    Ok(transaction)
}

/// Durable writes a second of so many threads, each with a key of its own.
fn writes_a_second(registry: &Registry, threads: usize) -> anyhow::Result<f64> {
    let names = (0..threads).map(|number| format!(r"Machine\Writer{number}"));
    let keys = names.map(|path| key(registry, &path)).collect::<Result<Vec<_>, _>>()?;
    let start = Barrier::new(threads);
    let written = thread::scope(|scope| {
        let writers: Vec<_> = keys
            .iter()
            .map(|key| {
                scope.spawn(|| {
                    start.wait();
                    let end = Instant::now() + SPELL;
                    let mut count = 0_u32;
                    while Instant::now() < end {
                        write(key)?;
                        count += 1;
                    }
                    Ok::<_, libreg::Error>(count)
                })
            })
            .collect();
        let counts = writers.into_iter().map(|writer| writer.join().expect("a writer"));
        counts.sum::<Result<u32, _>>()
    })?;
    Ok(f64::from(written) / SPELL.as_secs_f64())
}

/// LCS's resident memory, in KiB.
fn resident(lcs: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{lcs}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(number.parse()?)
}

fn client(lcs: &str) -> anyhow::Result<()> {
    let registry = Registry::open()?;
    let target = key(&registry, r"Machine\Key")?;

    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(timed(|| write(&target))?);
        let _open = open_transaction(&registry, r"Machine\Key")?;
        beside.push(timed(|| write(&target))?);
    }
    let (alone, beside) = (middle(alone), middle(beside));
    let multiple = beside.as_secs_f64() / alone.as_secs_f64();
    println!("durable write: {alone:?}, beside an open transaction {beside:?} = {multiple:.3}");

    let (one, many) = (writes_a_second(&registry, 1)?, writes_a_second(&registry, 64)?);
    println!(
        "durable writes a second: one writer {one:.0}, 64 writers {many:.0} = {:.1}",
        many / one
    );

    println!("LCS: {} KiB", resident(lcs)?);
    let opens = (0..10_000).map(|_| registry.open_key(r"Machine\Key", Access::KEY_READ));
    let handles = opens.collect::<Result<Vec<_>, _>>()?;
    println!("LCS with 10000 handles: {} KiB", resident(lcs)?);
    drop(handles);
    let unbound = (0..10_000).map(|_| registry.begin()).collect::<Result<Vec<_>, _>>()?;
    println!("LCS with 10000 unbound transactions: {} KiB", resident(lcs)?);
    let bound = (0..1000).map(|_| open_transaction(&registry, r"Machine\Key"));
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    println!("LCS with 1000 bound ones beside them: {} KiB", resident(lcs)?);
    drop((unbound, bound));
    registry.status()?;
    println!("LCS when all are closed: {} KiB", resident(lcs)?);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    if let Ok(lcs) = std::env::var(LCS) {
        return client(&lcs);
    }
    let root = Root::new();
    let data = root.path().join("var/lib/loregd").display().to_string();
    let lcs = root.daemon("lcs-scheme", &[]);
    let _loregd = root.daemon("loregd", &["--data", &data]);
    let mut command = Command::new(binary("bench-transactions"));
    command.env("REDOX_HOSTED", root.path()).env(LCS, lcs.id().to_string());
    Process::spawn(&mut command).succeed();
    Ok(())
}
