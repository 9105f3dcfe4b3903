//! A child process that does not outlive its test.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal,
};

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `kill -9` of a daemon of a root, by the name of its file in `run`, and waits until it is dead.
///
/// # Panics
///
/// If there is no such process.
pub fn kill_daemon(root: &Path, name: &str) {
    kill_and_wait(&[pidfd_of(&root.join("run").join(name))]);
}

/// Has a command's process end with the thread that starts it, however that ends: also where this process is
/// killed, and nothing is dropped.
pub fn bind(command: &mut Command) -> &mut Command {
    let bind = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec, `bind` makes one system call and allocates nothing.
    unsafe { command.pre_exec(bind) }
}

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a command.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Starts a command, if that can be.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn try_spawn(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.spawn()? })
    }

    /// Starts a daemon and waits for its byte on `INIT_NOTIFY`.
    ///
    /// # Panics
    ///
    /// If it dies before, or takes longer than [`PATIENCE`].
    pub fn spawn_ready(command: &mut Command) -> Self {
        let (reader, writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let number = writer.as_raw_fd();
        command.env("INIT_NOTIFY", number.to_string()).stdin(Stdio::null());
        let inherit = move || {
            // SAFETY: the writer is open until after the fork, and this is the child's copy.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            Ok(fcntl_setfd(descriptor, FdFlags::empty())?)
        };
        // SAFETY: between fork and exec only async-signal-safe functions may run: this is a system call.
        unsafe { command.pre_exec(inherit) };
        let process = Self::spawn(command);
        // Without it, a death is seen as the end of the pipe.
        drop(writer);
        assert!(readable(&reader, PATIENCE), "{command:?} is not ready after {PATIENCE:?}");
        let mut byte = [0];
        let count = File::from(reader).read(&mut byte).expect("the readiness pipe");
        assert_eq!(count, 1, "{command:?} died before it was ready");
        process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until it is dead.
    ///
    /// # Panics
    ///
    /// If the system refuses.
    pub fn kill(&mut self) {
        self.child.kill().expect("killing a child");
        self.child.wait().expect("waiting for a child");
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If the system refuses.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Tells it to end (SIGTERM), and waits for a successful end.
    ///
    /// # Panics
    ///
    /// As [`Process::succeed`].
    pub fn end(&mut self) {
        self.signal(Signal::TERM);
        self.succeed();
    }

    /// Its standard input.
    ///
    /// # Panics
    ///
    /// If that is no pipe of ours, or was taken.
    pub fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a piped input")
    }

    /// Its standard output.
    ///
    /// # Panics
    ///
    /// If that is no pipe of ours, or was taken.
    pub fn output(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("a piped output")
    }

    /// Waits for its end; `None` when `patience` ran out.
    ///
    /// # Panics
    ///
    /// If the system refuses.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.child.try_wait().expect("waiting for a child") {
            return Some(status);
        }
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process id");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a descriptor of a child");
        readable(&pidfd, patience).then(|| self.child.wait().expect("waiting for a child"))
    }

    /// Waits for a successful end.
    ///
    /// # Panics
    ///
    /// If it ends otherwise, or not within [`PATIENCE`].
    pub fn succeed(&mut self) {
        self.succeed_within(PATIENCE);
    }

    /// Waits so long for a successful end.
    ///
    /// # Panics
    ///
    /// If it ends otherwise, or not in time.
    pub fn succeed_within(&mut self, patience: Duration) {
        match self.wait(patience) {
            None => panic!("process {} still runs after {patience:?}", self.id()),
            Some(status) => assert!(
                status.success(),
                "process {} failed: {status}, signal {:?}",
                self.id(),
                status.signal()
            ),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a descriptor becomes readable in time.
fn readable(fd: &impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: 0 };
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).expect("waiting for a descriptor") > 0
}

/// The process whose id is in a file.
pub(super) fn pidfd_of(file: &Path) -> OwnedFd {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let pid = text.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
    pidfd_open(pid, PidfdFlags::empty()).expect("a descriptor of the process")
}

/// `kill -9`, and waits until they are dead.
pub(super) fn kill_and_wait(processes: &[OwnedFd]) {
    for process in processes {
        // One that died with its parent meanwhile is as dead as it should be.
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    for process in processes {
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        let ended = poll(&mut fds, Some(&timeout)).expect("waiting for a process");
        assert_eq!(ended, 1, "a process outlives SIGKILL");
    }
}
