//! A whole registry: `redox-hosted` with LCS and loregd, as `make run` starts it.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::fd::OwnedFd;
use tempfile::TempDir;

use super::process::{kill_and_wait, kill_daemon, pidfd_of};
use super::{binary, skipped};
use crate::users::can_become_others;

/// A registry that runs; all of it ends when this is dropped.
#[derive(Debug)]
pub struct System {
    init: Child,
    directory: TempDir,
}

impl System {
    /// Starts a fresh one and waits until it says that it is up.
    ///
    /// # Panics
    ///
    /// If it does not come up.
    pub fn start() -> System {
        let directory = tempfile::Builder::new()
            .prefix("redox-system-")
            // Other users have to find the schemes.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir();
        let directory = directory.expect("a temporary directory");
        let init = start_init(directory.path());
        System { init, directory }
    }

    /// Starts one for an example of a documentation, whose process then lives in it. Call it first.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn for_an_example() -> System {
        let system = System::start();
        // SAFETY: an example is a process of its own, and nothing else is done in it yet.
        unsafe { std::env::set_var("REDOX_HOSTED", system.path()) };
        system
    }

    /// Its root directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A place for a file of the test's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A command of `regtool` in this system, without a terminal.
    pub fn regtool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("regtool"));
        command.args(arguments).env("REDOX_HOSTED", self.path()).stdin(Stdio::null());
        command
    }

    /// Runs `regtool` to its end.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.regtool(arguments).output().expect("regtool runs")
    }

    /// As [`System::run`], with a text as the standard input.
    ///
    /// # Panics
    ///
    /// If it cannot be started or does not take the text.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.regtool(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("regtool runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("regtool reads");
        drop(stdin);
        child.wait_with_output().expect("regtool ends")
    }

    /// The standard output of a `regtool` that must succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn output(&self, arguments: &[&str]) -> String {
        successful(self.run(arguments), arguments)
    }

    /// Another user of this system, with no groups but this one. `None` if the test cannot become that user,
    /// which is told: only root can, and only where others may run what was built.
    ///
    /// # Panics
    ///
    /// If `regtool` cannot be started for another reason.
    pub fn user(&self, uid: u32, gid: u32) -> Option<User<'_>> {
        if !can_become_others() {
            return None;
        }
        let user = User { system: self, uid, gid };
        match user.regtool(&["--version"]).output() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                skipped(format_args!("user {uid} cannot run {}", binary("regtool").display()));
                None
            }
            output => {
                output.expect("regtool runs");
                Some(user)
            }
        }
    }

    /// `kill -9` of one process, by the name of its file in `run`, and waits until it is dead.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn kill(&self, name: &str) {
        kill_daemon(self.path(), name);
    }

    /// `kill -9` of every process at once, and a new start on the same directory.
    ///
    /// # Panics
    ///
    /// If the old processes do not die, or the new ones do not come up.
    pub fn kill_all_and_restart(&mut self) {
        let run = fs::read_dir(self.path().join("run")).expect("the directory of pid files");
        let processes: Vec<OwnedFd> = run
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
            .map(|path| pidfd_of(&path))
            .collect();
        // init, and a daemon and its supervisor for each of LCS and loregd.
        assert_eq!(processes.len(), 5, "processes in {}", self.path().display());
        kill_and_wait(&processes);
        self.init.wait().expect("waiting for init");
        self.init = start_init(self.directory.path());
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // The daemons die with init. It may be dead already, which is as well.
        let _ = self.init.kill();
        let _ = self.init.wait();
    }
}

/// Another user, see [`System::user`].
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    system: &'a System,
    uid: u32,
    gid: u32,
}

impl User<'_> {
    /// As [`System::regtool`].
    pub fn regtool(&self, arguments: &[&str]) -> Command {
        let mut command = self.system.regtool(arguments);
        // The standard library drops root's supplementary groups.
        command.uid(self.uid).gid(self.gid);
        command
    }

    /// As [`System::run`].
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.regtool(arguments).output().expect("regtool runs")
    }

    /// As [`System::output`].
    ///
    /// # Panics
    ///
    /// If it does not succeed.
    pub fn output(&self, arguments: &[&str]) -> String {
        successful(self.run(arguments), arguments)
    }
}

fn successful(output: Output, arguments: &[&str]) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "regtool {arguments:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn start_init(root: &Path) -> Child {
    let mut init = Command::new(binary("redox-hosted"))
        .arg("--root")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redox-hosted runs");
    let mut line = String::new();
    let output = init.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("text");
    assert_eq!(line, format!("redox-hosted: up, root {}\n", root.display()));
    init
}
