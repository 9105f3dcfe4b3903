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
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        pause(Duration::from_millis(5));
    }
}

/// Lets less than a second go by: for what is to be done at many moments, and waits for none of them.
///
/// # Panics
///
/// If a signal comes.
pub fn pause(time: Duration) {
    let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    poll(&mut [], Some(&time)).expect("waiting");
}
