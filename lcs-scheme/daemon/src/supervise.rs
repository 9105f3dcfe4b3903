//! `--supervise`: a small parent that starts the daemon again when it dies.
//!
//! Redox's init restarts nothing, and neither does `redox-hosted`; so there is one way everywhere. The
//! child is this same executable with the same arguments but `--supervise`. It inherits the descriptor of
//! `INIT_NOTIFY`, so the first child that becomes ready tells init itself. (It can't be standard input; init
//! takes none of the first three.)
//!
//! The child's standard input is its lifeline, a pipe whose other end only the supervisor has: when that end
//! is closed, by the supervisor or by its death, the child ends itself. A thread waits for the child's end.
//! So neither needs a signal to learn of the other's end: Redox has no parent-death signal, and nothing
//! depends on SIGCHLD there.
//!
//! Init waits for readiness, and Redox's for ever: a daemon that does not come up must not keep the system from
//! booting. So when the delays between its deaths are at their longest, the supervisor tells init itself.
//!
//! A child that ends with code 0 or [`crate::EXIT_USAGE`] means it: the supervisor ends with
//! the same code. Any other end, by a signal or with another code, is a death. On SIGTERM or SIGINT the
//! supervisor closes the lifeline, waits for the child's end and ends with 0.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::pid_file::{self, Role};
use crate::ready::{NOTIFY, ready};
use crate::{EXIT_USAGE, Error, parent_death};

/// Tells the child its supervisor's process id.
const SUPERVISOR: &str = "LCS_SUPERVISOR";

/// Supervises the daemon `name` until it ends by itself or a signal ends both.
///
/// Call it from the main thread: on Linux a child dies when the thread that started it does.
pub fn run(name: &str) -> Result<ExitCode, Error> {
    pid_file::write(name, Role::Supervisor, process::id());
    let executable =
        executable(env::current_exe(), env::args_os().next()).map_err(Error::Executable)?;
    let (happens, events) = mpsc::channel();
    report_signals(happens.clone()).map_err(Error::Signals)?;
    let mut delays = Delays::default();
    let mut given_up = false;
    loop {
        let begin = Instant::now();
        let mut command = command(&executable);
        if given_up {
            // Its descriptor is closed; a child could have a file of its own under that number.
            command.env_remove(NOTIFY);
        }
        let end = match start(&mut command, happens.clone()) {
            Ok((pid, lifeline)) => match watch(lifeline, &events).map_err(Error::Wait)? {
                End::Told => return Ok(ExitCode::SUCCESS),
                End::Alone(status) => match final_code(status) {
                    Some(code) => return Ok(ExitCode::from(code)),
                    None => format!("process {pid} died ({status})"),
                },
            },
            Err(error) => format!("cannot start {}: {error}", executable.display()),
        };
        let delay = delays.next(begin.elapsed());
        eprintln!("{name}: supervisor: {end}; next start in {} ms", delay.as_millis());
        if delay == Delays::LONGEST {
            ready();
            given_up = true;
        }
        if told_to_end_within(delay, &events) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// This program, from what the system says it is and the name it was called by.
///
/// Redox keeps the first 32 bytes of the path that was executed, so of a long one it says what is not there.
/// Then, as when the file was replaced since, what is found by the name is as good.
fn executable(told: io::Result<PathBuf>, called: Option<OsString>) -> io::Result<PathBuf> {
    match (told, called) {
        (Ok(told), _) if told.exists() => Ok(told),
        (_, Some(called)) => Ok(called.into()),
        (told, None) => told,
    }
}

/// What a supervisor acts on.
enum Event {
    /// A signal tells it to end.
    Told,
    /// The child ended.
    Ended(io::Result<ExitStatus>),
}

/// What starts a child.
fn command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        .args(env::args_os().skip(1).filter(|argument| argument != "--supervise"))
        .env(SUPERVISOR, process::id().to_string())
        .stdin(Stdio::piped());
    command
}

/// Starts a child, whose end will be an event, and returns its process id and its lifeline.
fn start(command: &mut Command, happens: Sender<Event>) -> io::Result<(u32, ChildStdin)> {
    let mut child = command.spawn()?;
    let lifeline = child.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
    let pid = child.id();
    thread::Builder::new().name("child".to_owned()).spawn(move || {
        // Without a receiver the supervisor is ending.
        let _ = happens.send(Event::Ended(child.wait()));
    })?;
    Ok((pid, lifeline))
}

/// How a child came to its end.
enum End {
    /// A signal to the supervisor ended it.
    Told,
    /// It ended by itself, or something else ended it.
    Alone(ExitStatus),
}

/// Waits for the end of the child at this lifeline, which is closed if a signal is to end both.
fn watch(lifeline: ChildStdin, events: &Receiver<Event>) -> io::Result<End> {
    let mut lifeline = Some(lifeline);
    loop {
        // The thread of the signals has a sender for ever.
        match events.recv().map_err(io::Error::other)? {
            Event::Told => lifeline = None,
            Event::Ended(_) if lifeline.is_none() => return Ok(End::Told),
            Event::Ended(status) => return status.map(End::Alone),
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
fn told_to_end_within(delay: Duration, events: &Receiver<Event>) -> bool {
    let deadline = Instant::now() + delay;
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Told) => return true,
            // Of a child that could not be watched.
            Ok(Event::Ended(_)) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Makes the signals that end a supervisor events, through a thread: only so can one wait for either.
fn report_signals(happens: Sender<Event>) -> io::Result<()> {
    // SIGCHLD says nothing that the waiting thread doesn't know. But a process that was started with SIGCHLD
    // ignored is not told how its children end, and handling it ends that.
    let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal != SIGCHLD && happens.send(Event::Told).is_err() {
                return;
            }
        }
    })?;
    Ok(())
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

/// Under a supervisor, makes this process end with it.
///
/// Call it from the main thread before others start.
pub fn bind_to_supervisor() -> Result<(), Error> {
    let Some(supervisor) = env::var_os(SUPERVISOR) else {
        return Ok(());
    };
    parent_death::kill_me_with(&supervisor)?;
    thread::Builder::new()
        .name("lifeline".to_owned())
        .spawn(hold_lifeline)
        .map_err(Error::Lifeline)?;
    Ok(())
}

/// What a daemon does to end in order.
static ENDER: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// How long that may take.
const ORDERLY_END: Duration = Duration::from_secs(2);

/// From now on, when its supervisor or a signal (SIGTERM, SIGINT) tells this process to end, `end` is called, which has
/// it end soon. Without this it ends at once.
///
/// Signals arrive through a socket: call this before the process retires to a namespace that has none.
///
/// # Errors
/// [`Error::Signals`].
pub fn when_told_to_end(end: impl Fn() + Send + Sync + 'static) -> Result<(), Error> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(Error::Signals)?;
    let _ = ENDER.set(Box::new(end));
    let waiting = move || {
        if signals.forever().next().is_some() {
            end_in_order(0);
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(waiting).map(drop).map_err(Error::Signals)
}

/// Has this process end in order, or, where that takes too long, with this code.
fn end_in_order(code: i32) {
    if let Some(end) = ENDER.get() {
        end();
        thread::sleep(ORDERLY_END);
    }
    process::exit(code);
}

/// Ends this process when its standard input ends: a supervisor that was told to end waits for this.
fn hold_lifeline() {
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut [0]) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => end_in_order(1),
        }
    }
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
    fn a_path_that_the_system_cut_off_gives_way_to_the_name_of_the_call() {
        let called = || Some(OsString::from("daemon"));
        let there = env::current_exe().unwrap();
        assert_eq!(executable(Ok(there.clone()), called()).unwrap(), there);
        let cut = there.parent().unwrap().join("no such prog");
        assert_eq!(executable(Ok(cut.clone()), called()).unwrap(), Path::new("daemon"));
        let unknown = || Err(ErrorKind::NotFound.into());
        assert_eq!(executable(unknown(), called()).unwrap(), Path::new("daemon"));
        assert_eq!(executable(Ok(cut.clone()), None).unwrap(), cut);
        assert!(executable(unknown(), None).is_err());
    }

    #[test]
    fn delays_stay_at_the_longest_however_often_a_child_dies() {
        let mut delays = Delays { young_deaths: u32::MAX };
        assert_eq!(delays.next(Duration::ZERO), Delays::LONGEST);
        assert_eq!(delays.next(Duration::ZERO), Delays::LONGEST);
    }
}
