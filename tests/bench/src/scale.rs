//! Whether it matters how much there is: a system with a thousand keys and one with a million, side by side.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lcs_abi::Guid;
use lcs_abi::rsi::{Changes, KeyRecord, Mutation, Name, PathEntry, Request, Target, ValueEntry};
use lcs_abi::security::{Access, MACHINE_ROOT_SD};
use lcs_abi::value::ValueType;
use libredox::Fd;
use libredox::flag::{O_CLOEXEC, O_RDONLY};
use libreg::Registry;
use loregd::hive::Hive;
use loregd::store::RedbStore;
use registry_tests::eventually::pause;
use registry_tests::handles;
use registry_tests::harness::Root;
use registry_tests::memory::Memory;

use crate::client;
use crate::figures::{Better, Figures, in_turns, nanoseconds, report};
use crate::system::{Cores, System, has_two_cores, this_program};

/// What there is to choose from.
pub const NAMES: [&str; 7] = [
    "scale_read",
    "scale_open_cold",
    "scale_write",
    "scale_layer_deletion",
    "memory",
    "scale_start",
    "scale_start_after_crash",
];

/// How much there is in a system: so many keys below so many, with so many values each.
#[derive(Clone, Copy)]
struct Size {
    above: u64,
    below: u64,
    values: u64,
}

const SMALL: Size = Size { above: 10, below: 100, values: 5 };
const LARGE: Size = Size { above: 1000, below: 1000, values: 5 };
/// As many values as in the large one, of fewer keys: reading them is to take no longer than it must.
const WIDE: Size = Size { above: 10, below: 1000, values: 500 };

/// In a client that is in between: the large system's root directory.
const OTHER: &str = "REGISTRY_BENCH_OTHER";
/// And what it is to be there.
const THERE: &str = "REGISTRY_BENCH_THERE";
/// A client that opens the way from the large system to the small one.
const BETWEEN: &str = "between";
/// A client that reads everything.
const READER: &str = "reader";

/// A client that writes.
const WRITER: &str = "writer";

/// How long loregd may take to read a hive.
const PATIENCE: Duration = Duration::from_secs(120);

/// What CacheBytes is for, besides: handles, buffers, the program itself.
const BESIDE_CACHE: u64 = 24 << 20;

pub fn run(wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    if wanted("memory") {
        memory()?;
    }
    if !NAMES.iter().any(|name| *name != "memory" && wanted(name)) {
        return Ok(());
    }
    let roots = [Root::new(), Root::new()];
    fill(roots[0].path(), SMALL)?;
    fill(roots[1].path(), LARGE)?;
    let [small, large] = roots;
    let mut systems = [System::start_in(small, Cores::One)?, System::start_in(large, Cores::One)?];
    for system in &systems {
        until_copied(system)?;
    }
    for (name, aim) in [
        ("scale_read", 1.05),
        ("scale_open_cold", 2.0),
        ("scale_write", 1.3),
        ("scale_layer_deletion", 1.5),
    ] {
        if wanted(name) {
            let one = side_by_side(&mut systems, name, Cores::One)?;
            let two = has_two_cores().then(|| side_by_side(&mut systems, name, Cores::Two));
            report(name, aim, Better::Less, one, two.transpose()?);
        }
    }
    if wanted("scale_start") {
        report("scale_start", 1.5, Better::Less, start(&mut systems)?, None);
    }
    if wanted("scale_start_after_crash") {
        report(
            "scale_start_after_crash",
            1.5,
            Better::Less,
            start_after_crash(&mut systems)?,
            None,
        );
    }
    Ok(())
}

/// Measures in a client that has both registries.
fn side_by_side(systems: &mut [System; 2], name: &str, cores: Cores) -> anyhow::Result<Figures> {
    for system in &mut *systems {
        system.spread(cores)?;
    }
    let [small, large] = &*systems;
    let mut between = this_program()?;
    between.env(client::NAME, BETWEEN).env(THERE, name).env(OTHER, large.root.path());
    small.run(&mut between).context(name.to_owned())
}

/// A client of this module; `None` if it has handed on its task. In the large system the small one is `small`.
pub fn run_client(name: &str) -> anyhow::Result<Option<Figures>> {
    let (small, large) = match name {
        BETWEEN => {
            let small = Fd::open("/scheme/reg", O_RDONLY, 0)?;
            let other = std::env::var_os(OTHER).context("no other system")?;
            let mut command = this_program()?;
            command.env("REDOX_HOSTED", other).env(client::NAME, std::env::var(THERE)?);
            command.env(hosted::NAMES, format!("small={}", small.raw()));
            ensure!(command.status()?.success(), "the client failed");
            return Ok(None);
        }
        READER => return read_all().map(Some),
        WRITER => {
            let key = handles::open(&handles::root(), &path(3, 4), Access::KEY_ALL_ACCESS)?;
            return in_turns(
                1,
                1,
                || Ok(()),
                || {
                    handles::set(&key, None, "Value2", ValueType::Binary, &[7; 32])?;
                    Ok(())
                },
            )
            .map(Some);
        }
        _ => (Fd::open("/scheme/small", O_RDONLY | O_CLOEXEC, 0)?, handles::root()),
    };
    let all = Access::KEY_ALL_ACCESS;
    let opened = |root: &Fd| handles::open(root, &path(3, 4), all);
    let (base, ours) = (opened(&small)?, opened(&large)?);
    let read = |key: &Fd| Ok(handles::value(key, "Value2").map(drop)?);
    let write = |key: &Fd| {
        handles::set(key, None, "Value2", ValueType::Binary, &[7; 32])?;
        anyhow::Ok(())
    };
    match name {
        "scale_read" => in_turns(201, 100, || read(&base), || read(&ours)),
        "scale_write" => in_turns(201, 3, || write(&base), || write(&ours)),
        "scale_open_cold" => open_cold(&small, &large),
        "scale_layer_deletion" => {
            let rounds = (0..11).map(|_| Ok([delete_layer(&small)?, delete_layer(&large)?]));
            Ok(Figures::of_rounds(&rounds.collect::<anyhow::Result<Vec<_>>>()?))
        }
        other => anyhow::bail!("there is no client {other}"),
    }
    .map(Some)
}

/// Where the key with these numbers is.
fn path(above: u64, below: u64) -> String {
    format!(r"Machine\Bulk\Key{above}\Key{below}")
}

/// Keys are opened of which LCS remembers nothing, nor of those that lead to them.
fn open_cold(small: &Fd, large: &Fd) -> anyhow::Result<Figures> {
    const ROUNDS: u64 = 101;
    for root in [small, large] {
        let settings = handles::open(root, r"Machine\System\Registry", Access::KEY_ALL_ACCESS)?;
        let least = (1_u64 << 20).to_le_bytes();
        handles::set(&settings, None, "CacheBytes", ValueType::Qword, &least)?;
        // What takes the place of all else in the cache.
        let other = handles::create(root, r"Machine\Other")?;
        for number in 0..32 {
            let name = format!("Value{number}");
            handles::set(&other, None, &name, ValueType::Binary, &[7; 60_000])?;
        }
    }
    let mut seed = 1_u64;
    let mut time = |root: &Fd, Size { above, below, .. }: Size| {
        let other = handles::open(root, r"Machine\Other", Access::KEY_READ)?;
        for number in 0..32 {
            // Too large for the buffer, which is told when all has been read.
            let _ = handles::value(&other, &format!("Value{number}"));
        }
        let misses =
            || handles::status(root).map(|status| status.details.map(|more| more.cache.misses));
        // As random as it must be: a linear congruential generator, its upper bits.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let path = path((seed >> 33) % above, (seed >> 43) % below);
        let before = misses()?;
        let start = Instant::now();
        let key = handles::open(root, &path, Access::KEY_READ)?;
        let time = nanoseconds(start.elapsed());
        drop(key);
        ensure!(misses()? > before, "{path} was remembered");
        anyhow::Ok(time)
    };
    let rounds = (0..ROUNDS).map(|_| Ok([time(small, SMALL)?, time(large, LARGE)?]));
    Ok(Figures::of_rounds(&rounds.collect::<anyhow::Result<Vec<_>>>()?))
}

/// How long it takes to delete a layer with some values.
fn delete_layer(root: &Fd) -> anyhow::Result<f64> {
    const VALUES: usize = 100;
    let name = "Bench";
    let layer = handles::create(root, &format!(r"Machine\System\Registry\Layers\{name}"))?;
    let key = handles::open(root, &path(1, 1), Access::KEY_ALL_ACCESS)?;
    for number in 0..VALUES {
        let value = format!("Layered{number}");
        handles::set(&key, Some(name), &value, ValueType::Binary, &[7; 32])?;
    }
    let start = Instant::now();
    handles::delete(&layer)?;
    Ok(nanoseconds(start.elapsed()))
}

/// loregd from its start until its hives are in service, after it was told to end.
fn start(systems: &mut [System; 2]) -> anyhow::Result<Figures> {
    const ROUNDS: usize = 3;
    for system in &mut *systems {
        end_and_start(system)?;
    }
    let time = |system: &mut System| {
        until_checked(system)?;
        end_and_start(system)
    };
    let [small, large] = systems;
    let rounds = (0..ROUNDS).map(|_| Ok([time(small)?, time(large)?]));
    Ok(Figures::of_rounds(&rounds.collect::<anyhow::Result<Vec<_>>>()?))
}

/// The same after it was killed in the middle of writing.
fn start_after_crash(systems: &mut [System; 2]) -> anyhow::Result<Figures> {
    let time = |system: &mut System| {
        until_checked(system)?;
        let mut writer = this_program()?;
        writer.env(client::NAME, WRITER);
        system.run(&mut writer)?;
        system.loregd.kill();
        start_loregd(system)
    };
    let [small, large] = systems;
    Ok(Figures::of_rounds(&[[time(small)?, time(large)?]]))
}

fn end_and_start(system: &mut System) -> anyhow::Result<f64> {
    system.loregd.end();
    start_loregd(system)
}

fn start_loregd(system: &mut System) -> anyhow::Result<f64> {
    let data = system.root.path().join("var/lib/loregd").display().to_string();
    let start = Instant::now();
    system.loregd = system.root.daemon("loregd", &["--data", &data]);
    Ok(nanoseconds(start.elapsed()))
}

/// Waits until loregd has made its first copy of the hive, which would take its share of the core and of the disk.
fn until_copied(system: &System) -> anyhow::Result<()> {
    let is_copy = |name: &str| name.starts_with("Machine.") && name.ends_with(".redb");
    until("a copy of the hive", || {
        let backup = fs::read_dir(system.root.path().join("var/lib/loregd/backup"));
        let mut names = backup.into_iter().flatten().flatten().map(|file| file.file_name());
        Ok(names.any(|name| is_copy(&name.to_string_lossy())))
    })
}

/// Waits until loregd has read as a whole what it did not read at its start: a second start would do that first.
fn until_checked(system: &System) -> anyhow::Result<()> {
    let unchecked = system.root.path().join("var/lib/loregd/Machine.unchecked");
    until("a hive that is checked", || Ok(!unchecked.try_exists()?))
}

fn until(what: &str, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < end, "no {what} after {PATIENCE:?}");
        pause(Duration::from_millis(50));
    }
    Ok(())
}

/// What LCS keeps of five million values that were read.
fn memory() -> anyhow::Result<()> {
    let root = Root::new();
    fill(root.path(), WIDE)?;
    let system = System::start_in(root, Cores::Two)?;
    let mut reader = this_program()?;
    reader.env(client::NAME, READER);
    let allowed = system.run(&mut reader)?.ours;
    let resident = Memory::of(system.lcs.id()).resident;
    let ratio = resident as f64 / allowed;
    println!(
        r#"{{"bench": "memory", "unit": "bytes", "ours": {resident}, "base": {allowed}, "ratio": {ratio:.3}, "aim": 1}}"#
    );
    Ok(())
}

/// Reads all values of all keys, by several threads, and gives how much LCS may hold of them.
fn read_all() -> anyhow::Result<Figures> {
    const THREADS: usize = 8;
    let registry = Registry::open()?;
    let bulk = registry.open_key(r"Machine\Bulk", Access::KEY_READ)?;
    let names = bulk.subkeys(false).map(|above| Ok(above?.name));
    let names = names.collect::<anyhow::Result<Vec<_>>>()?;
    let read = |names: &[String]| {
        let mut values = 0;
        for name in names {
            let above = bulk.open_key(name, Access::KEY_READ)?;
            for below in above.subkeys(false) {
                for value in above.open_key(&below?.name, Access::KEY_READ)?.values() {
                    value?;
                    values += 1;
                }
            }
        }
        anyhow::Ok(values)
    };
    let values = thread::scope(|scope| {
        let parts = names.chunks(names.len().div_ceil(THREADS));
        let readers: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
        let counts = readers.into_iter().map(|reader| reader.join().expect("a reader"));
        counts.sum::<anyhow::Result<u64>>()
    })?;
    ensure!(values == WIDE.above * WIDE.below * WIDE.values, "{values} values were read");
    let cache = registry.status()?.details.context("no details")?.cache;
    let allowed = (cache.limit + BESIDE_CACHE) as f64;
    Ok(Figures { ours: allowed, base: allowed, ratio: 1.0 })
}

/// Makes the hive `Machine` of a system that is not yet started, as loregd would have it.
fn fill(root: &Path, Size { above, below, values }: Size) -> anyhow::Result<()> {
    let data = root.join("var/lib/loregd");
    let store = RedbStore::open(&data.join("Machine.redb"))?;
    let mut hive = Hive::open("Machine", Box::new(store))?;
    let (top, bulk) = (hive.root(), guid(0, 0));
    let mut step = |mutations: Vec<Mutation>| {
        let (conditions, changes) = (Vec::new(), Changes::Mutations(mutations));
        let first_sequence = hive.max_sequence() + 1;
        let answer = hive.answer(&Request::Apply { conditions, changes, first_sequence });
        answer.map(drop).map_err(|error| anyhow::anyhow!("a step failed: {error:?}"))
    };
    let mut first = key(top, bulk, "Bulk".to_owned());
    first.extend(
        (1..=above).flat_map(|number| key(bulk, guid(number, 0), format!("Key{}", number - 1))),
    );
    step(first)?;
    for number in 1..=above {
        let parent = guid(number, 0);
        let leaves = (1..=below).collect::<Vec<_>>();
        // A step of a few thousand values, of whichever size they are.
        for some in leaves.chunks(usize::try_from(5000 / values)?.max(1)) {
            let of = |child: &u64| leaf(parent, guid(number, *child), child - 1, values);
            step(some.iter().flat_map(of).collect())?;
        }
    }
    Ok(())
}

/// As spread as random GUIDs are.
fn guid(above: u64, below: u64) -> Guid {
    let number = u128::from(above) << 32 | u128::from(below) | 1 << 100;
    Guid(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
}

fn name(text: String) -> Name {
    Name { folded: text.to_lowercase(), display: text }
}

fn key(parent: Guid, key: Guid, text: String) -> Vec<Mutation> {
    let record = KeyRecord {
        key,
        parent,
        name: name(text.clone()),
        sd: MACHINE_ROOT_SD.to_vec(),
        volatile: false,
        link: false,
        last_write: 1,
    };
    let target = Target::Key(key);
    let entry =
        PathEntry { parent, name: name(text), layer: name("base".to_owned()), target, sequence: 1 };
    vec![Mutation::RestoreKey(record), Mutation::RestoreEntry(entry)]
}

fn leaf(parent: Guid, key: Guid, number: u64, values: u64) -> Vec<Mutation> {
    let mut mutations = self::key(parent, key, format!("Key{number}"));
    mutations.extend((0..values).map(|value| {
        Mutation::RestoreValue(ValueEntry {
            key,
            name: name(format!("Value{value}")),
            layer: name("base".to_owned()),
            value_type: ValueType::Binary.code(),
            data: vec![7; 32],
            sequence: 1,
        })
    }));
    mutations
}
