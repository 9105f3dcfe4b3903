//! Deadlines, in order, over one descriptor of the `time` scheme, on the monotonic clock.

use std::collections::BTreeSet;
use std::time::Duration;

use libredox::data::TimeSpec;
use libredox::error::Result;
use libredox::{Fd, flag};

/// A point on the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        // The clock is there; if a kernel had none, deadlines would never come, and nothing else fails.
        let time = libredox::call::clock_gettime(flag::CLOCK_MONOTONIC);
        Moment(time.map_or(Duration::ZERO, |time| {
            Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
        }))
    }

    /// The moment at which the machine has been running for so long.
    pub fn at(uptime: Duration) -> Moment {
        Moment(uptime)
    }

    /// For how long the machine has been running then.
    pub fn uptime(self) -> Duration {
        self.0
    }

    /// Later by this much.
    pub fn after(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(delay))
    }
}

/// What is due when.
pub struct Deadlines<T> {
    timer: Fd,
    due: BTreeSet<(Moment, T)>,
    armed: Option<Moment>,
}

impl<T: Ord + Copy> Deadlines<T> {
    /// None yet. Opens the timer.
    pub fn new() -> Result<Deadlines<T>> {
        let path = format!("/scheme/time/{}", syscall::flag::CLOCK_MONOTONIC);
        let flags = flag::O_RDWR | flag::O_NONBLOCK | flag::O_CLOEXEC;
        Ok(Deadlines { timer: Fd::open(&path, flags, 0)?, due: BTreeSet::new(), armed: None })
    }

    /// The descriptor that becomes readable when something is due.
    pub fn timer(&self) -> &Fd {
        &self.timer
    }

    /// Adds a deadline.
    pub fn add(&mut self, at: Moment, what: T) {
        self.due.insert((at, what));
    }

    /// Takes back a deadline.
    pub fn remove(&mut self, at: Moment, what: T) {
        self.due.remove(&(at, what));
    }

    /// Takes one of those that are due.
    pub fn due(&mut self, now: Moment) -> Option<T> {
        let first = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&first);
        Some(first.1)
    }

    /// Sees to it that the timer wakes for the next one, before the caller sleeps. A timer that is set for
    /// one that was taken back is left as it is: waking once for nothing costs less than setting it anew
    /// for every request.
    pub fn arm(&mut self) -> Result<()> {
        let Some((next, _)) = self.due.first() else { return Ok(()) };
        if self.armed.is_some_and(|armed| armed <= *next) {
            return Ok(());
        }
        self.timer.write(&bytes_of(next.0))?;
        self.armed = Some(*next);
        Ok(())
    }

    /// The timer woke.
    pub fn woke(&mut self) {
        self.armed = None;
        let mut time = [0; size_of::<TimeSpec>()];
        // Nothing is to be read when the wake-up was spurious.
        let _ = self.timer.read(&mut time);
    }
}

/// A time as the `time` scheme takes it: the `timespec` of C.
fn bytes_of(at: Duration) -> [u8; size_of::<TimeSpec>()] {
    let mut time = TimeSpec { tv_sec: 0, tv_nsec: 0 };
    time.tv_sec = at.as_secs().try_into().unwrap_or(i64::MAX);
    time.tv_nsec = at.subsec_nanos().into();
    let mut bytes = [0; size_of::<TimeSpec>()];
    let (seconds, nanoseconds) = bytes.split_at_mut(size_of_val(&time.tv_sec));
    seconds.copy_from_slice(&time.tv_sec.to_ne_bytes());
    let long = time.tv_nsec.to_ne_bytes();
    nanoseconds[..long.len()].copy_from_slice(&long);
    bytes
}
