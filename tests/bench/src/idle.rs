//! A minute with nothing to do.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::system::{Cores, System};

const MINUTE: Duration = Duration::from_secs(60);

/// What a process has used.
struct Usage {
    /// In ticks of a hundredth of a second.
    ticks: u64,
    /// How often one of its threads began to wait.
    waits: u64,
}

fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which is in parentheses: utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').context("no name")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    let mut waits = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        waits += line.context("no waits")?.trim().parse::<u64>()?;
    }
    Ok(Usage { ticks, waits })
}

pub fn run(_: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    let system = System::start(Cores::One)?;
    let daemons = [("lcs-scheme", &system.lcs), ("loregd", &system.loregd)];
    let now =
        || daemons.iter().map(|(_, daemon)| usage(daemon.id())).collect::<Result<Vec<_>, _>>();
    // What they do after their start is done by then.
    thread::sleep(Duration::from_secs(5));
    let before = now()?;
    thread::sleep(MINUTE);
    let after = now()?;
    let (mut ticks, mut waits, mut each) = (0, 0, String::new());
    for (((name, _), before), after) in daemons.iter().zip(before).zip(after) {
        ticks += after.ticks - before.ticks;
        waits += after.waits - before.waits;
        // Writing to a String cannot fail.
        let _ = write!(each, r#", "{name}": {}"#, after.waits - before.waits);
    }
    let (ours, base) = (ticks * 10_000_000, MINUTE.as_nanos());
    // Its ratio are the wake-ups, whoever they are of.
    println!(
        r#"{{"bench": "idle", "ours": {ours}, "base": {base}, "ratio": {waits}, "aim": 0, "wakeups": {{{}}}}}"#,
        each.trim_start_matches(", ")
    );
    Ok(())
}
