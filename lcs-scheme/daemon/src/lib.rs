//! What lcs-scheme and loregd need to be daemons: supervision, readiness, a log that never makes them
//! wait, and the namespace they retire to.
//!
//! A daemon's `main` parses its arguments, among them [`Args`], and hands the rest of itself to [`run`]:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! # fn parse() -> lcs_daemon::Args { unimplemented!() }
//! fn main() -> ExitCode {
//!     let args = parse();
//!     lcs_daemon::run("loregd", &args, || {
//!         // open what is needed by path, then:
//!         lcs_daemon::namespace::enter_file_only().expect("a namespace");
//!         lcs_daemon::ready();
//!         ExitCode::SUCCESS
//!     })
//! }
//! ```

#![deny(unsafe_code)]

// The C functions that libredox calls are relibc's on Redox and `hosted`'s elsewhere; unmentioned, rustc
// would drop the crate and the linker would miss them.
#[cfg(not(target_os = "redox"))]
use hosted as _;

mod entry;
pub mod logging;
pub mod namespace;
mod parent_death;
mod pid_file;
mod queue;
mod ready;
pub mod supervise;

use std::io;
use std::process::ExitCode;

use log::LevelFilter;

pub use ready::ready;

/// The exit code for arguments or settings that can't be right, which clap uses too. A supervisor does not
/// start such a daemon again.
pub const EXIT_USAGE: u8 = 2;

/// The options that every daemon has; flatten it into the daemon's own (`#[command(flatten)]`).
#[derive(Clone, Debug, clap::Args)]
// A group would be called Args, as that of the struct it is flattened into.
#[group(skip)]
pub struct Args {
    /// Stay as a small parent that starts the daemon again when it dies
    #[arg(long)]
    pub supervise: bool,
    /// How much to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}

/// What keeps a daemon from starting or going on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The supervisor can't find out which executable it is.
    #[error("cannot find this program's own executable: {0}")]
    Executable(io::Error),
    /// Signals can't be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
    /// The state of the child can't be asked for.
    #[error("cannot wait for the child: {0}")]
    Wait(io::Error),
    /// The parent-death signal can't be set.
    #[error("cannot ask for the parent-death signal: {0}")]
    ParentDeath(io::Error),
    /// The supervisor died before this process could ask to die with it.
    #[error("the supervisor is gone")]
    Orphaned,
    /// The thread that learns of the supervisor's end can't be started.
    #[error("cannot start the lifeline's thread: {0}")]
    Lifeline(io::Error),
    /// The thread that writes the log can't be started.
    #[error("cannot start the log's thread: {0}")]
    LogThread(io::Error),
    /// Another logger was installed first.
    #[error("a logger is installed already")]
    LogTwice,
    /// A namespace with `file` alone can't be made or entered.
    #[error("cannot enter a namespace with file alone: {0}")]
    Namespace(io::Error),
}

/// Runs `body` as the daemon `name`, or, with `--supervise`, the supervisor whose child does.
///
/// `name` is that of the log and of the files in `run/`. Before `body` runs the log works and, under a
/// supervisor, the process is bound to the supervisor's life; when it returns, what was logged is
/// written. Returns `body`'s exit code, or 1 when it could not be run.
pub fn run(name: &str, args: &Args, body: impl FnOnce() -> ExitCode) -> ExitCode {
    let outcome =
        if args.supervise { supervise::run(name) } else { run_daemon(name, args.log, body) };
    outcome.unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

fn run_daemon(
    name: &str,
    level: LevelFilter,
    body: impl FnOnce() -> ExitCode,
) -> Result<ExitCode, Error> {
    supervise::bind_to_supervisor()?;
    // Not by the supervisor: it could be later than the first who is served.
    pid_file::write(name, pid_file::Role::Daemon, std::process::id());
    logging::start(name, level)?;
    let code = body();
    logging::flush();
    Ok(code)
}
