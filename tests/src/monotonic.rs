//! The clock that all processes share and that never goes back.

use libredox::call::clock_gettime;
use libredox::flag::CLOCK_MONOTONIC;

/// The present moment, in nanoseconds.
///
/// # Panics
///
/// If there is no such clock.
pub fn nanoseconds() -> u64 {
    let now = clock_gettime(CLOCK_MONOTONIC).expect("a monotonic clock");
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
