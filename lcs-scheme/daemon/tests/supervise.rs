//! Supervision with real processes: the example `smallest`, which prints its process id when it serves.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The example, beside which cargo puts the tests.
fn smallest() -> PathBuf {
    let test = std::env::current_exe().expect("this test's executable");
    let target = test.ancestors().nth(2).expect("target/PROFILE");
    target.join("examples/smallest")
}

/// A hosted root as far as logs and pid files need one.
fn root() -> TempDir {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a root");
    for folder in ["run", "var/log"] {
        fs::create_dir_all(root.path().join(folder)).expect("a folder in the root");
    }
    root
}

/// A supervisor and what it and its children print.
struct Supervisor {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
}

impl Supervisor {
    fn start(root: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(smallest());
        command.arg("--supervise").args(arguments);
        Self::spawn(root, command)
    }

    fn spawn(root: &Path, mut command: Command) -> Self {
        let mut process = command
            .env("REDOX_HOSTED", root)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example is built");
        let output = process.stdout.take().expect("piped");
        let errors = process.stderr.take().expect("piped");
        Supervisor {
            process,
            output: BufReader::new(output).lines(),
            errors: BufReader::new(errors).lines(),
        }
    }

    /// Waits until a child serves, and returns its process id.
    fn serving_child(&mut self) -> Pid {
        let line = self.output.next().expect("the supervisor lives").expect("text");
        Pid::from_raw(line.parse().expect("a process id")).expect("not 0")
    }

    /// Waits until supervisor and children are gone: only then their output ends.
    fn wait_for_silence(&mut self) -> Vec<String> {
        self.output.by_ref().map(|line| line.expect("text")).collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it lives");
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("it lives");
}

#[test]
fn a_killed_child_serves_again_within_100_ms() {
    // The machine may be busy, so the best of some attempts counts.
    let fastest = (0..10)
        .map(|_| {
            let root = root();
            let mut supervisor = Supervisor::start(root.path(), &[]);
            let first = supervisor.serving_child();
            let begin = Instant::now();
            kill(first);
            assert_ne!(supervisor.serving_child(), first);
            begin.elapsed()
        })
        .min();
    assert!(fastest < Some(Duration::from_millis(100)), "{fastest:?}");
}

#[test]
fn delays_grow_while_children_die_at_once() {
    let root = root();
    let mut supervisor = Supervisor::start(root.path(), &["--exit", "1"]);
    for delay in ["10 ms", "30 ms", "90 ms", "270 ms"] {
        let line = supervisor.errors.next().expect("the supervisor lives").expect("text");
        assert!(line.contains("exit status: 1") && line.ends_with(delay), "{line}");
    }
}

#[test]
fn a_child_that_means_to_end_is_not_started_again() {
    for code in [0, 2] {
        let root = root();
        let mut supervisor = Supervisor::start(root.path(), &["--exit", &code.to_string()]);
        assert_eq!(supervisor.wait_for_silence().len(), 1, "one child served");
        assert_eq!(supervisor.process.wait().expect("it ended").code(), Some(code));
    }
}

#[test]
fn sigterm_ends_child_and_supervisor() {
    let root = root();
    let mut supervisor = Supervisor::start(root.path(), &[]);
    supervisor.serving_child();
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait_for_silence().is_empty(), "no other child served");
    assert_eq!(supervisor.process.wait().expect("it ended").code(), Some(0));
}

#[test]
fn sigterm_ends_a_supervisor_between_two_children() {
    let root = root();
    let mut supervisor = Supervisor::start(root.path(), &["--exit", "1"]);
    for _ in 0..6 {
        supervisor.serving_child();
    }
    // The next child is seconds away.
    let begin = Instant::now();
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.process.wait().expect("it ended").code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[test]
fn the_child_dies_with_a_killed_supervisor() {
    let root = root();
    let mut supervisor = Supervisor::start(root.path(), &[]);
    supervisor.serving_child();
    supervisor.signal(Signal::KILL);
    assert!(supervisor.wait_for_silence().is_empty(), "no other child served");
}

#[test]
fn a_child_ends_with_its_lifeline_also_where_no_signal_tells_it() {
    let root = root();
    // As a supervisor would start it, by a parent that goes on living.
    let mut child = Command::new(smallest())
        .env("REDOX_HOSTED", root.path())
        .env("LCS_SUPERVISOR", std::process::id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example is built");
    let mut lifeline = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(output.next().expect("it serves").expect("text"), child.id().to_string());
    // Only its end means something: more than a pipe holds is read, and the child serves on.
    lifeline.write_all(&[b'x'; 1 << 20]).expect("it reads on");
    drop(lifeline);
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_supervisor_to_which_no_sigchld_comes_starts_the_next_child_and_ends_the_last() {
    for how in ["--block-signal=CHLD", "--ignore-signal=CHLD"] {
        let root = root();
        let mut command = Command::new("env");
        command.args([how, "--"]).arg(smallest()).arg("--supervise");
        let mut supervisor = Supervisor::spawn(root.path(), command);
        let first = supervisor.serving_child();
        kill(first);
        assert_ne!(supervisor.serving_child(), first);
        supervisor.signal(Signal::TERM);
        assert!(supervisor.wait_for_silence().is_empty(), "no other child served");
        assert_eq!(supervisor.process.wait().expect("it ended").code(), Some(0));
    }
}

#[test]
fn a_stopped_child_dies_with_a_killed_supervisor() {
    let root = root();
    let mut supervisor = Supervisor::start(root.path(), &[]);
    let child = supervisor.serving_child();
    kill_process(child, Signal::STOP).expect("it lives");
    supervisor.signal(Signal::KILL);
    assert!(supervisor.wait_for_silence().is_empty(), "no other child served");
}

#[test]
fn pid_files_name_the_supervisor_and_each_new_child() {
    let root = root();
    let mut supervisor = Supervisor::start(root.path(), &[]);
    let read = |name: &str| {
        let text = fs::read_to_string(root.path().join("run").join(name)).expect("a pid file");
        Pid::from_raw(text.trim().parse().expect("a process id")).expect("not 0")
    };
    let first = supervisor.serving_child();
    assert_eq!(read("smallest.supervisor.pid"), Pid::from_child(&supervisor.process));
    assert_eq!(read("smallest.pid"), first);
    kill(first);
    let second = supervisor.serving_child();
    assert_eq!(read("smallest.pid"), second);
    let files = fs::read_dir(root.path().join("run")).expect("the folder");
    assert_eq!(files.count(), 2, "drafts are gone");
}

/// A supervisor whose `INIT_NOTIFY` is a fifo in the root, and the end of it that init reads.
fn with_init(root: &Path, arguments: &[&str]) -> (Supervisor, File) {
    let fifo = root.join("notify");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    // The shell opens descriptor 3 as init would hand it on.
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(r#"notify=$1; shift; INIT_NOTIFY=3 exec "$@" 3>"$notify""#)
        .arg("sh")
        .arg(&fifo)
        .arg(smallest())
        .arg("--supervise")
        .args(arguments);
    let supervisor = Supervisor::spawn(root, command);
    let init = File::open(&fifo).expect("the fifo");
    (supervisor, init)
}

#[test]
fn init_waits_no_longer_than_a_few_deaths_for_a_daemon_that_does_not_come_up() {
    let root = root();
    let (mut supervisor, mut init) = with_init(root.path(), &["--panic"]);
    let mut byte = [1; 1];
    init.read_exact(&mut byte).expect("readiness");
    assert_eq!(byte, [0]);
    let deaths = supervisor.errors.by_ref().map(|line| line.expect("text"));
    let last = deaths.filter(|line| line.contains("next start")).nth(6).expect("seven deaths");
    assert!(last.ends_with("in 5000 ms"), "{last}");
    // It goes on trying, and no child has the descriptor.
    assert_eq!(init.read(&mut byte).expect("the end"), 0);
    assert_eq!(supervisor.process.try_wait().expect("its state"), None);
}

#[test]
fn readiness_reaches_init_and_a_later_child_is_not_disturbed() {
    let root = root();
    let (mut supervisor, mut init) = with_init(root.path(), &[]);
    let mut byte = [1; 1];
    init.read_exact(&mut byte).expect("readiness");
    assert_eq!(byte, [0]);
    let first = supervisor.serving_child();

    // Init has heard what it wants and closes its end.
    drop(init);
    kill(first);
    assert_ne!(supervisor.serving_child(), first);
}

#[test]
fn the_log_has_the_wanted_levels_audit_records_and_panics() {
    let root = root();
    let status = Command::new(smallest())
        .args(["--panic", "--log", "info"])
        .env("REDOX_HOSTED", root.path())
        .stderr(Stdio::null())
        .status()
        .expect("the example is built");
    assert!(!status.success());

    let log = fs::read_to_string(root.path().join("var/log/smallest.log")).expect("a log");
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].ends_with("Z INFO smallest: started"), "{log}");
    assert!(lines[1].contains(" ERROR ") && lines[1].contains("panicked"), "{log}");
    assert!(log.contains("asked to panic"), "{log}");
    assert!(!log.contains("with details"), "{log}");

    let audit = fs::read_to_string(root.path().join("var/log/audit.log")).expect("an audit log");
    assert_eq!(audit, "{\"event\":\"started\"}\n");
}

#[test]
fn a_log_that_cannot_be_opened_goes_to_standard_error() {
    let root = root();
    fs::remove_dir(root.path().join("var/log")).expect("an empty folder");
    let output = Command::new(smallest())
        .args(["--exit", "0"])
        .env("REDOX_HOSTED", root.path())
        .output()
        .expect("the example is built");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("INFO smallest: started"), "{errors}");
    assert!(errors.contains(r#"{"event":"started"}"#), "{errors}");
}
