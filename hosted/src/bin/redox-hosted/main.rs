//! `redox-hosted`: the little on Linux that stands in for a Redox system (INTERFACES §6).
//!
//! A directory with the names of schemes, and an init that starts the units of Redox: in order, each when
//! the one before is ready, as processes that die with it. It restarts nothing; `--supervise` does.
//!
//! `mount` is another program: a FUSE door to the registry of a root that runs.

mod events;
mod manual;
mod mount;
mod root;
mod service;
mod unit;

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use events::{Event, Events, Stop};
use root::Root;
use service::{Daemon, Launcher};

/// Runs Redox's services on Linux: a directory for the names of schemes, and a small init
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The directory that the system lives in [default: $REDOX_HOSTED, else $XDG_RUNTIME_DIR/redox, else
    /// /tmp/redox-UID]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// How long a daemon may take to become ready
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    start_timeout: u64,
    /// Run this in the system, end everything, and exit as it did
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the registry of a root that runs as files under a directory, until it is unmounted
    ///
    /// Each program there acts as its own user. Mounted by root, it is for all users; else for who mounts it.
    Mount {
        /// An empty directory
        point: PathBuf,
    },
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    DefaultRoot(io::Error),
    #[error("{0}")]
    Root(#[from] root::Error),
    #[error("{0}")]
    Mount(#[from] mount::Error),
    #[error("{0}")]
    Unit(#[from] unit::Error),
    #[error("cannot install the manual: {0}")]
    Manual(io::Error),
    #[error("{id}: {error}")]
    Service { id: String, error: service::Error },
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
    #[error("cannot find this program's own executable: {0}")]
    Executable(io::Error),
    #[error("cannot wait for the command: {0}")]
    Wait(io::Error),
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("redox-hosted: {error}");
        ExitCode::FAILURE
    })
}

/// Takes the root for as long as the system lives; or shows the registry of one.
fn run(args: &Args) -> Result<ExitCode, Error> {
    raise_descriptor_limit();
    let path = match &args.root {
        Some(path) => path.clone(),
        None => hosted::root().map_err(Error::DefaultRoot)?,
    };
    if let Some(Action::Mount { point }) = &args.action {
        mount::serve(&path, point)?;
        return Ok(ExitCode::SUCCESS);
    }
    let events = Events::new().map_err(Error::Signals)?;
    let root = Root::take(&path)?;
    let outcome = live(args, &root, &events);
    let left = root.leave();
    let code = outcome?;
    left?;
    Ok(code)
}

/// Start-up, life and end, in that order.
fn live(args: &Args, root: &Root, events: &Events) -> Result<ExitCode, Error> {
    let executable = env::current_exe().map_err(Error::Executable)?;
    let executables = executable.parent().unwrap_or(Path::new("/"));
    unit::install(&root.units())?;
    manual::install(&root.manual()).map_err(Error::Manual)?;
    let units = unit::load(&root.units())?;

    let patience = Duration::from_secs(args.start_timeout);
    let launcher = Launcher { root, executables, patience };
    let mut daemons = Vec::new();
    let started = start(&launcher, &units, &mut daemons, events);
    let outcome = started.and_then(|()| match args.command.split_first() {
        Some((command, arguments)) => {
            run_command(&launcher, command, arguments, &mut daemons, events)
        }
        None => {
            announce(root);
            stay(&mut daemons, events);
            Ok(ExitCode::SUCCESS)
        }
    });
    for daemon in daemons.iter_mut().rev() {
        daemon.end(events);
    }
    outcome
}

/// Starts the units one after the other; `daemons` holds what is to be ended, also after an error.
fn start(
    launcher: &Launcher,
    units: &[unit::Unit],
    daemons: &mut Vec<Daemon>,
    events: &Events,
) -> Result<(), Error> {
    for (number, unit) in units.iter().enumerate() {
        let Some(service) = &unit.service else {
            continue;
        };
        let daemon = launcher
            .start(service, number, events)
            .map_err(|error| Error::Service { id: unit.id.clone(), error })?;
        daemons.extend(daemon);
    }
    Ok(())
}

/// Says that all units are up. Who no longer listens need not hear it.
fn announce(root: &Root) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "redox-hosted: up, root {}", root.path().display());
    let _ = output.flush();
}

/// Waits until told to end.
fn stay(daemons: &mut Vec<Daemon>, events: &Events) {
    loop {
        // Before the first event too: one may have died while another was starting.
        report_deaths(daemons);
        if let Event::End(_) = events.next() {
            return;
        }
    }
}

/// Tells of daemons that ended by themselves. As on Redox init does no more than that.
fn report_deaths(daemons: &mut Vec<Daemon>) {
    daemons.retain_mut(|daemon| match daemon.ended() {
        Some(status) => {
            eprintln!("redox-hosted: {} ended ({status})", daemon.name);
            false
        }
        None => true,
    });
}

/// Runs a command in the system and waits for its end. Returns how this program is to exit.
fn run_command(
    launcher: &Launcher,
    command: &OsString,
    arguments: &[OsString],
    daemons: &mut Vec<Daemon>,
    events: &Events,
) -> Result<ExitCode, Error> {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let path = service::search_path(launcher.executables, &path);
    let mut process = Command::new(command);
    process.args(arguments).env("PATH", path).env("REDOX_HOSTED", launcher.root.path());
    // They led into the system that this program was started in.
    process.env_remove(hosted::NAMES);
    service::die_with_this_process(&mut process, Signal::TERM);
    let mut child = match process.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("redox-hosted: {}: {error}", command.display());
            // As shells answer.
            let absent = error.kind() == io::ErrorKind::NotFound;
            return Ok(ExitCode::from(if absent { 127 } else { 126 }));
        }
    };
    loop {
        if let Some(status) = child.try_wait().map_err(Error::Wait)? {
            return Ok(exit_code(status));
        }
        report_deaths(daemons);
        match events.next() {
            // Ctrl-C reaches the command from the terminal, and what it means is the command's to say.
            Event::End(Stop::Interrupt) if io::stdin().is_terminal() => {}
            Event::End(Stop::Interrupt) => forward(&child, Signal::INT),
            Event::End(Stop::Terminate) => forward(&child, Signal::TERM),
            Event::Child | Event::Ready(..) => {}
        }
    }
}

fn forward(child: &Child, signal: Signal) {
    // Not reaped, so the number is the child's; one that has just ended needs no signal.
    let _ = kill_process(Pid::from_child(child), signal);
}

/// How a command ended, as shells put it into one byte.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Each handle of a scheme is a descriptor in the daemon too (HOSTED.md), so the usual 1,024 are few.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("redox-hosted: cannot raise the limit of open files: {error}");
    }
}
