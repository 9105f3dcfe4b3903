//! What the registry costs, each time beside something that costs what it must cost at least, in the same run:
//! `make bench`, or `make bench ONLY=name`. docs/performance.md says how to read and extend it.
//!
//! Each benchmark is a line of JSON. It never fails on a number.

mod client;
mod figures;
mod idle;
mod import;
mod layers;
mod reads;
mod scale;
mod system;
mod writes;

use anyhow::Context;

use client::Client;
use figures::{Better, Figures, report};
use system::{Cores, System};

/// A benchmark whose client measures in a system of its own.
struct Bench {
    name: &'static str,
    /// What the ratio should be, at most, or at least where more is better.
    aim: f64,
    better: Better,
    measure: fn(&Client) -> anyhow::Result<Figures>,
}

const fn bench(
    name: &'static str,
    aim: f64,
    measure: fn(&Client) -> anyhow::Result<Figures>,
) -> Bench {
    Bench { name, aim, better: Better::Less, measure }
}

const BENCHES: [Bench; 12] = [
    bench("read_warm", 1.25, reads::read_warm),
    bench("read_repeat", 0.02, reads::read_repeat),
    bench("open_warm", 1.5, reads::open_warm),
    bench("open_20_aces", 1.1, reads::open_20_aces),
    bench("file_read_warm", 1.5, reads::file_read_warm),
    bench("list_1000", 3.0, reads::list_1000),
    bench("write_durable", 1.25, writes::write_durable),
    Bench { name: "write_64", aim: 12.0, better: Better::More, measure: writes::write_64 },
    bench("write_beside_transaction", 1.05, writes::beside_transaction),
    bench("txn_1000", 2.5, writes::txn_1000),
    bench("layers_32", 1.1, layers::layers_32),
    bench("watch_10000", 1.05, layers::watch_10000),
];

fn main() -> anyhow::Result<()> {
    if let Ok(name) = std::env::var(client::NAME) {
        return client::run(&name, |name| {
            BENCHES.iter().find(|bench| bench.name == name).map(|bench| bench.measure)
        });
    }
    let only = std::env::var("ONLY").ok().filter(|only| !only.is_empty());
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut any = false;
    for bench in BENCHES.iter().filter(|bench| wanted(bench.name)) {
        any = true;
        let on = |cores| System::start(cores)?.run_client(bench.name).context(bench.name);
        let one = on(Cores::One)?;
        let two = system::has_two_cores().then(|| on(Cores::Two)).transpose()?;
        report(bench.name, bench.aim, bench.better, one, two);
    }
    for (names, run) in [
        (&["import_system"][..], import::run as fn(&dyn Fn(&str) -> bool) -> anyhow::Result<()>),
        (&scale::NAMES, scale::run),
        (&["idle"], idle::run),
    ] {
        if names.iter().any(|name| wanted(name)) {
            any = true;
            run(&wanted)?;
        }
    }
    anyhow::ensure!(any, "there is no benchmark {}", only.unwrap_or_default());
    Ok(())
}
