//! When the next daily copy is due.

use std::time::{Duration, SystemTime};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait for the next daily copy. `newest` is the date of the newest one that there is, `running` how
/// long this process has known of no other.
///
/// The clock may start in 1970 and jump: a date in the future proves nothing, and after a day of running a copy
/// is due whatever the clock says.
pub(super) fn until_daily(
    newest: Option<SystemTime>,
    now: SystemTime,
    running: Duration,
) -> Duration {
    let Some(newest) = newest else {
        return Duration::ZERO;
    };
    let by_running = DAY.saturating_sub(running);
    match now.duration_since(newest) {
        Ok(age) => by_running.min(DAY.saturating_sub(age)),
        Err(_) => by_running,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_copy_is_due_after_a_day_by_the_clock_or_by_running() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let now = UNIX_EPOCH + hours(500_000);
        let wait = |newest: SystemTime, running| until_daily(Some(newest), now, hours(running));
        assert_eq!(until_daily(None, now, Duration::ZERO), Duration::ZERO);
        assert_eq!(wait(now - hours(1), 0), hours(23));
        assert_eq!(wait(now - hours(24), 0), Duration::ZERO);
        assert_eq!(wait(now - hours(240), 0), Duration::ZERO);
        assert_eq!(wait(now - hours(1), 20), hours(4));
        // The clock was, or is, wrong.
        assert_eq!(wait(now + hours(100), 0), hours(24));
        assert_eq!(wait(now + hours(100), 24), Duration::ZERO);
    }
}
