//! Waiting for what no event tells.

use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};

use crate::harness::PATIENCE;

/// Asks again and again, a few milliseconds apart, until there is an answer.
///
/// # Panics
///
/// If there is none after [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let pause = Timespec { tv_sec: 0, tv_nsec: Duration::from_millis(5).subsec_nanos().into() };
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        poll(&mut [], Some(&pause)).expect("waiting");
    }
}
