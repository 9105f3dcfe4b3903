//! What the benchmarks share: cores and medians.

use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Rounds of a measurement, of which the median counts.
const ROUNDS: usize = 101;

/// Binds a process, or the calling thread, to one core.
///
/// # Errors
///
/// The system's: there is no such core.
pub fn pin(pid: Option<Pid>, core: usize) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(pid, &set)
}

/// The median time of an operation in nanoseconds, done `per_round` times in each of many rounds.
///
/// # Errors
///
/// The operation's.
pub fn median<E>(per_round: u32, mut operation: impl FnMut() -> Result<(), E>) -> Result<u128, E> {
    medians(per_round, [&mut operation]).map(|[median]| median)
}

/// The same for several operations that take turns, round by round: whatever else the machine is doing meets
/// all of them.
///
/// # Errors
///
/// That of the first operation that fails.
pub fn medians<E, const N: usize>(
    per_round: u32,
    mut operations: [&mut dyn FnMut() -> Result<(), E>; N],
) -> Result<[u128; N], E> {
    let mut rounds = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (operation, rounds) in operations.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            for _ in 0..per_round {
                operation()?;
            }
            rounds.push(start.elapsed().as_nanos() / u128::from(per_round));
        }
    }
    Ok(rounds.map(|mut rounds| {
        rounds.sort_unstable();
        rounds[ROUNDS / 2]
    }))
}

/// How long it takes.
///
/// # Errors
///
/// Its own.
pub fn timed<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    work().map(|()| start.elapsed())
}

/// The median.
pub fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
