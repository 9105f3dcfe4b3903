//! `--supervise`: a small parent that starts the daemon again when it dies.
//!
//! Redox's init restarts nothing, and neither does `redox-hosted`; so there is one way everywhere. The
//! child is this same executable with the same arguments but `--supervise`. It inherits the descriptor of
//! `INIT_NOTIFY`, so the first child that becomes ready tells init itself.
//!
//! A child that ends with code 0 or [`EXIT_USAGE`](crate::EXIT_USAGE) means it: the supervisor ends with
//! the same code. Any other end, by a signal or with another code, is a death. On SIGTERM or SIGINT the
//! supervisor ends its child with SIGTERM, waits for it and ends with 0.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::pid_file::{self, Role};
use crate::{EXIT_USAGE, Error};

/// Tells the child its supervisor's process id.
const SUPERVISOR: &str = "LCS_SUPERVISOR";

/// Supervises the daemon `name` until it ends by itself or a signal ends both.
///
/// Call it from the main thread: on Linux a child dies when the thread that started it does.
pub fn run(name: &str) -> Result<ExitCode, Error> {
    pid_file::write(name, Role::Supervisor, std::process::id());
    let executable = env::current_exe().map_err(Error::Executable)?;
    let arguments: Vec<OsString> =
        env::args_os().skip(1).filter(|argument| argument != "--supervise").collect();
    let signals = receive_signals().map_err(Error::Signals)?;
    let mut delays = Delays::default();
    loop {
        let begin = Instant::now();
        let started = Command::new(&executable)
            .args(&arguments)
            .env(SUPERVISOR, std::process::id().to_string())
            .spawn();
        let end = match started {
            Ok(mut child) => {
                pid_file::write(name, Role::Daemon, child.id());
                match watch(&mut child, &signals).map_err(Error::Wait)? {
                    End::Told => return Ok(ExitCode::SUCCESS),
                    End::Alone(status) => match final_code(status) {
                        Some(code) => return Ok(ExitCode::from(code)),
                        None => format!("process {} died ({status})", child.id()),
                    },
                }
            }
            Err(error) => format!("cannot start {}: {error}", executable.display()),
        };
        let delay = delays.next(begin.elapsed());
        eprintln!("{name}: supervisor: {end}; next start in {} ms", delay.as_millis());
        if told_to_end_within(delay, &signals) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// How a child came to its end.
enum End {
    /// A signal to the supervisor ended it.
    Told,
    /// It ended by itself, or something else ended it.
    Alone(ExitStatus),
}

/// Waits for the end of `child`, passing on what ends both.
fn watch(child: &mut Child, signals: &Receiver<i32>) -> io::Result<End> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if told { End::Told } else { End::Alone(status) });
        }
        // Each SIGCHLD that comes after the look above is in the channel; its sender never ends.
        if let Ok(SIGTERM | SIGINT) = signals.recv() {
            told = true;
            // Not reaped yet, so the number is still this child's.
            kill_process(Pid::from_child(child), Signal::TERM)?;
        }
    }
}

/// The code with which a child ended that is not to be started again.
fn final_code(status: ExitStatus) -> Option<u8> {
    match status.code() {
        Some(0) => Some(0),
        Some(code) if code == i32::from(EXIT_USAGE) => Some(EXIT_USAGE),
        _ => None,
    }
}

/// Whether a signal to end comes before `delay` is over.
fn told_to_end_within(delay: Duration, signals: &Receiver<i32>) -> bool {
    let deadline = Instant::now() + delay;
    loop {
        match signals.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(SIGTERM | SIGINT) => return true,
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// The signals a supervisor acts on, through a thread: only so can one wait for them with a limit.
fn receive_signals() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT])?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The growing delays before starts.
///
/// The first is short, for a daemon that died once should be missed by nobody. They grow only while the
/// children die young: one that lived longer than [`Delays::MATURE`] can't make the machine spin.
#[derive(Default)]
struct Delays {
    young_deaths: u32,
}

impl Delays {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(5);
    const MATURE: Duration = Duration::from_secs(1);
    const GROWTH: u32 = 3;

    /// The delay after the death of a child that lived for `life`.
    fn next(&mut self, life: Duration) -> Duration {
        if life >= Self::MATURE {
            self.young_deaths = 0;
        }
        let factor = Self::GROWTH.saturating_pow(self.young_deaths);
        self.young_deaths = self.young_deaths.saturating_add(1);
        Self::FIRST.saturating_mul(factor).min(Self::LONGEST)
    }
}

/// Under a supervisor, makes this process die with it where the system can do that (Linux). Returns whether
/// there is a supervisor.
///
/// Call it from the main thread before others start.
pub fn bind_to_supervisor() -> Result<bool, Error> {
    let Some(supervisor) = env::var_os(SUPERVISOR) else {
        return Ok(false);
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getppid, set_parent_process_death_signal};

        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Error::ParentDeath(error.into()))?;
        // Who died before the request above sends no signal any more.
        let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        if supervisor.to_str() != Some(parent.to_string().as_str()) {
            return Err(Error::Orphaned);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = supervisor;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_while_children_die_young_and_begin_anew_after_a_long_life() {
        let young = Duration::from_millis(5);
        let mut delays = Delays::default();
        let grown: Vec<u128> = (0..8).map(|_| delays.next(young).as_millis()).collect();
        assert_eq!(grown, [10, 30, 90, 270, 810, 2430, 5000, 5000]);
        assert_eq!(delays.next(Delays::MATURE).as_millis(), 10);
        assert_eq!(delays.next(young).as_millis(), 30);
    }

    #[test]
    fn delays_stay_at_the_longest_however_often_a_child_dies() {
        let mut delays = Delays { young_deaths: u32::MAX };
        assert_eq!(delays.next(Duration::ZERO), Delays::LONGEST);
        assert_eq!(delays.next(Duration::ZERO), Delays::LONGEST);
    }
}
