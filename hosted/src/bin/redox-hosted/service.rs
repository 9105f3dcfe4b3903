//! Starting a unit's daemon, knowing when it is ready, and ending it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};

use crate::events::{Event, Events};
use crate::root::Root;
use crate::unit::{Readiness, Service};

/// How long a daemon may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(10);

/// How long the end of a daemon may come after that of its descriptor.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// How many bytes at the end of its log tell why a daemon did not start.
const TAIL: usize = 2000;

/// A daemon that was started.
pub struct Daemon {
    /// Its command's base name.
    pub name: String,
    child: Child,
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The unit's command has no base name.
    #[error("{0:?} is no command")]
    NoCommand(String),
    /// The executable, its log or its pipe can't be opened.
    #[error("cannot start {what}: {error}")]
    Start {
        /// What was to be started or opened.
        what: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// It ended, or closed its descriptor, before it was ready.
    #[error("{name} is not ready: {how}{tail}")]
    NotReady {
        /// The daemon.
        name: String,
        /// How it failed.
        how: String,
        /// The end of its log, on lines of its own.
        tail: String,
    },
    /// A signal told init to end meanwhile.
    #[error("told to end while {0} was starting")]
    Told(String),
}

/// What all services share.
pub struct Launcher<'a> {
    /// The root they run in.
    pub root: &'a Root,
    /// The folder of their executables.
    pub executables: &'a Path,
    /// How long a daemon may take to become ready.
    pub patience: Duration,
}

impl Launcher<'_> {
    /// Starts `service` and waits until it counts as started; `number` tells its readiness from others'.
    /// Returns what is to be ended later.
    pub fn start(
        &self,
        service: &Service,
        number: usize,
        events: &Events,
    ) -> Result<Option<Daemon>, Error> {
        let name = Path::new(&service.cmd)
            .file_name()
            .and_then(OsStr::to_str)
            .ok_or_else(|| Error::NoCommand(service.cmd.clone()))?;
        let executable = self.executables.join(name);
        let failed = |error| Error::Start { what: executable.clone(), error };

        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut command = self.command(service, &executable, name)?;
        command.env("INIT_NOTIFY", writer.as_raw_fd().to_string());
        inherit(&mut command, &[writer.as_raw_fd(), self.root.lock().as_raw_fd()]);
        let child = command.spawn().map_err(failed)?;
        // Only the daemon and its children hold it now, so its end is theirs.
        drop(writer);

        let mut daemon = Daemon { name: name.to_owned(), child };
        let outcome = match service.readiness {
            Readiness::Notify => events
                .await_byte(number, reader)
                .map_err(failed)
                .and_then(|()| self.wait_until_ready(&mut daemon, number, events)),
            Readiness::Oneshot => self.wait_until_ended(&mut daemon, events),
            Readiness::OneshotAsync | Readiness::Scheme(_) => Ok(()),
        };
        match outcome {
            Ok(()) if service.readiness == Readiness::Oneshot => Ok(None),
            Ok(()) => Ok(Some(daemon)),
            Err(error) => {
                daemon.end(events);
                Err(error)
            }
        }
    }

    /// The command of a service with the environment and the descriptors that init gives it.
    fn command(&self, service: &Service, executable: &Path, name: &str) -> Result<Command, Error> {
        let path = self.root.log(name);
        let failed = |error| Error::Start { what: path.clone(), error };
        let log = File::options().append(true).create(true).open(&path).map_err(failed)?;
        let log_for_errors = log.try_clone().map_err(failed)?;

        let inherited = |name| Some((name, std::env::var_os(name)?));
        let mut command = Command::new(executable);
        command
            .args(service.args.iter().map(|argument| self.translate(argument)))
            .env_clear()
            .envs(service.inherit_envs.iter().filter_map(inherited))
            .env("PATH", search_path(self.executables, OsStr::new("/usr/bin:/bin")))
            .env("REDOX_HOSTED", self.root.path())
            .envs(&service.envs)
            .current_dir(self.root.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_for_errors)
            // Ctrl-C at the terminal is for init, which ends them in order.
            .process_group(0);
        die_with_this_process(&mut command, Signal::KILL);
        Ok(command)
    }

    /// An absolute path into `/var` means that of the hosted system.
    fn translate(&self, argument: &str) -> OsString {
        match argument.strip_prefix('/') {
            Some(relative) if argument.starts_with("/var/") => {
                self.root.path().join(relative).into()
            }
            _ => argument.into(),
        }
    }

    fn wait_until_ready(
        &self,
        daemon: &mut Daemon,
        number: usize,
        events: &Events,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.patience;
        loop {
            match events.next_before(deadline) {
                Some(Event::Ready(of, true)) if of == number => return Ok(()),
                Some(Event::Ready(of, false)) if of == number => {
                    // All that held the pipe are gone, so the daemon is about to end if it has not.
                    let how = match daemon.wait_before(Instant::now() + LAST_BREATH, events) {
                        Some(status) => format!("it ended ({status})"),
                        None => "it closed INIT_NOTIFY without a byte".to_owned(),
                    };
                    return Err(self.not_ready(daemon, how));
                }
                Some(Event::End(_)) => return Err(Error::Told(daemon.name.clone())),
                Some(_) => {}
                None => {
                    let how = format!("no word from it for {} s", self.patience.as_secs());
                    return Err(self.not_ready(daemon, how));
                }
            }
        }
    }

    fn wait_until_ended(&self, daemon: &mut Daemon, events: &Events) -> Result<(), Error> {
        let deadline = Instant::now() + self.patience;
        loop {
            match daemon.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.not_ready(daemon, format!("it ended ({status})"))),
                None => {}
            }
            match events.next_before(deadline) {
                Some(Event::End(_)) => return Err(Error::Told(daemon.name.clone())),
                Some(_) => {}
                None => return Err(self.not_ready(daemon, "it does not end".to_owned())),
            }
        }
    }

    fn not_ready(&self, daemon: &Daemon, how: String) -> Error {
        let path = self.root.log(&daemon.name);
        let log = fs::read(&path).unwrap_or_default();
        let tail =
            String::from_utf8_lossy(log.get(log.len().saturating_sub(TAIL)..).unwrap_or(&log));
        let tail = tail.lines().map(|line| format!("\n  {line}")).collect::<String>();
        let tail = format!("; its log is {}{tail}", path.display());
        Error::NotReady { name: daemon.name.clone(), how, tail }
    }
}

impl Daemon {
    /// How the daemon ended, if it has. It is reaped by that.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends the daemon: SIGTERM, and SIGKILL if that does not help in time.
    pub fn end(&mut self, events: &Events) {
        if self.ended().is_some() {
            return;
        }
        // Not reaped, so the number is still this child's.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if self.wait_before(Instant::now() + ENDING, events).is_none() {
            eprintln!("redox-hosted: {} does not end, killing it", self.name);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Waits for the end until `deadline`; other events are of no more interest.
    fn wait_before(&mut self, deadline: Instant, events: &Events) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            events.next_before(deadline)?;
        }
    }
}

/// `folder` before the folders of `path`.
pub fn search_path(folder: &Path, path: &OsStr) -> OsString {
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(path));
    // A folder whose name holds a colon can't be in a search path at all.
    std::env::join_paths(folders).unwrap_or_else(|_| path.to_owned())
}

/// Makes the child get `signal` when this process dies, however it dies (Linux' parent-death signal). The
/// child must be spawned by the main thread, for the signal comes with the end of the spawning thread.
pub fn die_with_this_process(command: &mut Command, signal: Signal) {
    let parent = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(signal))?;
        // Who died before the request sends no signal any more.
        if getppid() != Some(parent) {
            return Err(Errno::SRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run: these are two system calls.
    unsafe { command.pre_exec(ask) };
}

/// Leaves `descriptors` open in the child. They must stay open until the command was spawned.
fn inherit(command: &mut Command, descriptors: &[RawFd]) {
    let descriptors = descriptors.to_vec();
    let keep = move || {
        for &descriptor in &descriptors {
            // SAFETY: the caller keeps it open until after the fork, and this is the child's copy.
            let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run: this is a system call.
    unsafe { command.pre_exec(keep) };
}
