//! What watches cost a writer who is not watched, or whose watcher does not read; and what deleting a layer costs
//! in a large hive and in a small one.
//!
//! `VALUES` in the environment says how many values the large hive has.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use hosted as _;
use lcs_abi::call::{Derive, Guarded, KeyInfoAnswer, Op};
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use lcs_abi::watch::NOTIFY_ALL;
use libredox::Fd;
use libredox::error::Result;
use libredox::flag::{O_CLOEXEC, O_RDONLY};
use registry_tests::bench::{middle, timed};
use registry_tests::dice::setting;
use registry_tests::handles::{create, delete, open, root, set, watch};
use registry_tests::harness::{Process, Root, binary};
use registry_tests::registry::{call, derive};

/// In a client: what it measures.
const PART: &str = "BENCH_WATCHES_PART";

/// In a client: the other system's root directory.
const OTHER: &str = "BENCH_WATCHES_OTHER";

/// Watches that are armed on other keys than the one that is written.
const WATCHES: usize = 10_000;

/// How often watches are armed and disarmed, and how often it is written each time.
const ROUNDS: (usize, usize) = (9, 200);

/// How often it is written before that counts: the daemons come from other work.
const WARMING: usize = 200;

/// Values of the layers that are deleted, how many layers are, and values of the small hive.
const IN_LAYER: usize = 1000;
const LAYERS: usize = 15;
const SMALL: usize = 10_000;
const LARGE: u64 = 1_000_000;

/// Values of a key, and keys of a transaction, when a hive is filled.
const IN_KEY: usize = 1000;
const IN_TRANSACTION: usize = 20;

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(1800);

fn write(key: &Fd, layer: Option<&str>, name: &str) -> Result<()> {
    set(key, layer, name, ValueType::Binary, &[7; 32]).map(drop)
}

/// Says what two things cost of which each round has a figure, and how much dearer the second is: the median of
/// the rounds' ratios, for the machine is not the same in all rounds.
fn says(what: &str, rounds: &[[Duration; 2]]) {
    let ratios = rounds.iter().map(|[base, figure]| figure.as_secs_f64() / base.as_secs_f64());
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let [base, figure] = [0, 1].map(|one| middle(rounds.iter().map(|round| round[one]).collect()));
    println!("{what} {figure:?} to {base:?}, {:.3} times as long", ratios[ratios.len() / 2]);
}

/// Durable writes while these keys are not watched, and while they are; they take turns.
fn beside(watched: &[Fd], key: &Fd) -> Result<Vec<[Duration; 2]>> {
    let (rounds, writes) = ROUNDS;
    let write_while = |filter| {
        watched.iter().try_for_each(|key| watch(key, filter, false))?;
        // Whether they are watched or not, the source comes from the same work: that alone makes 20 %.
        for key in watched {
            let _: Guarded<KeyInfoAnswer> = call(key, Op::KeyInfo, &(), &[])?;
        }
        (0..WARMING).try_for_each(|_| write(key, None, "Value"))?;
        let times = (0..writes).map(|_| timed(|| write(key, None, "Value")));
        times.collect::<Result<Vec<_>>>().map(middle)
    };
    let round = |number: usize| {
        // Whoever is first in a round is second in the next.
        if number.is_multiple_of(2) {
            let alone = write_while(0)?;
            Ok([alone, write_while(NOTIFY_ALL)?])
        } else {
            let beside = write_while(NOTIFY_ALL)?;
            Ok([write_while(0)?, beside])
        }
    };
    (0..rounds).map(round).collect()
}

fn writes() -> anyhow::Result<()> {
    let root = root();
    let key = create(&root, r"Machine\Key")?;
    let others = create(&root, r"Machine\Others")?;
    let others = (0..WATCHES).map(|number| create(&others, &number.to_string()));
    let others = others.collect::<Result<Vec<_>>>()?;
    let what = format!("durable write, {WATCHES} watches on other keys:");
    says(&what, &beside(&others, &key)?);
    drop(others);
    let sleeper = [open(&root, r"Machine\Key", Access::NOTIFY)?];
    says("durable write, a watcher of the key that never reads:", &beside(&sleeper, &key)?);
    Ok(())
}

/// Writes values into a key, in one transaction with others.
fn fill_key(transaction: &Fd, layer: Option<&str>, path: &str, values: usize) -> Result<()> {
    let key = open(transaction, path, Access::SET_VALUE)?;
    (0..values).try_for_each(|number| write(&key, layer, &format!("Value{number}")))
}

fn fill(root: &Fd, values: usize) -> Result<()> {
    create(root, r"Machine\Bulk")?;
    let keys = values.div_ceil(IN_KEY);
    for first in (0..keys).step_by(IN_TRANSACTION) {
        let transaction = derive(root, &Derive::BeginTransaction)?;
        for number in first..keys.min(first + IN_TRANSACTION) {
            let path = format!(r"Machine\Bulk\{number}");
            create(&transaction, &path)?;
            fill_key(&transaction, None, &path, IN_KEY.min(values - number * IN_KEY))?;
        }
        call::<_, ()>(&transaction, Op::Commit, &(), &[])?;
    }
    Ok(())
}

/// Makes a layer with values, and tells how long it takes to delete it.
fn delete_layer(root: &Fd) -> Result<Duration> {
    let name = "Bench";
    let layer = create(root, &format!(r"Machine\System\Registry\Layers\{name}"))?;
    let transaction = derive(root, &Derive::BeginTransaction)?;
    fill_key(&transaction, Some(name), r"Machine\Bulk\0", IN_LAYER)?;
    call::<_, ()>(&transaction, Op::Commit, &(), &[])?;
    timed(|| delete(&layer))
}

fn layers() -> anyhow::Result<()> {
    let values = usize::try_from(setting("VALUES").unwrap_or(LARGE))?;
    let small = Fd::open("/scheme/small", O_RDONLY | O_CLOEXEC, 0)?;
    let large = root();
    fill(&small, SMALL)?;
    fill(&large, values)?;
    let rounds = (0..LAYERS).map(|_| Ok([delete_layer(&small)?, delete_layer(&large)?]));
    let rounds = rounds.collect::<Result<Vec<_>>>()?;
    let what = format!(
        "deleting a layer of {IN_LAYER} values, in a hive of {values} values instead of {SMALL}:"
    );
    says(&what, &rounds);
    Ok(())
}

/// The same program in the other system, with this one's registry as `small`.
fn in_both() -> anyhow::Result<()> {
    let small = Fd::open("/scheme/reg", O_RDONLY, 0)?;
    let other = std::env::var_os(OTHER).context("no other system")?;
    let mut command = Command::new(binary("bench-watches"));
    command.env("REDOX_HOSTED", other).env(PART, "layers");
    command.env(hosted::NAMES, format!("small={}", small.raw()));
    Process::spawn(&mut command).succeed_within(PATIENCE);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    match std::env::var(PART).as_deref() {
        Ok("writes") => return writes(),
        Ok("both") => return in_both(),
        Ok(_) => return layers(),
        Err(_) => {}
    }
    let systems = [Root::new(), Root::new()];
    let _daemons = systems.each_ref().map(|root| {
        let data = root.path().join("var/lib/loregd").display().to_string();
        [root.daemon("lcs-scheme", &[]), root.daemon("loregd", &["--data", &data])]
    });
    let [small, other] = systems.each_ref().map(Root::path);
    for part in ["writes", "both"] {
        let mut command = Command::new(binary("bench-watches"));
        command.env("REDOX_HOSTED", small).env(OTHER, other).env(PART, part);
        Process::spawn(&mut command).succeed_within(PATIENCE);
    }
    Ok(())
}
