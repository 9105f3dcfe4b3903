//! The registry of a root as files, as `redox-hosted mount` shows it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process, set_parent_process_death_signal};

use super::{binary, skipped};

/// A mounted registry; it is unmounted when this is dropped.
#[derive(Debug)]
pub struct Mount {
    door: Child,
    point: PathBuf,
}

impl Mount {
    /// Mounts the registry of a root, in a directory there. `None` if this machine cannot, which is told.
    ///
    /// # Panics
    ///
    /// If it can and does not.
    pub fn of(root: &Path) -> Option<Mount> {
        let has_helper = Command::new("fusermount3").arg("--version").output().is_ok();
        if !Path::new("/dev/fuse").exists() || !geteuid().is_root() && !has_helper {
            skipped("nothing can be mounted: no /dev/fuse, or neither root nor fusermount3");
            return None;
        }
        let point = root.join("mount");
        fs::create_dir(&point).expect("a directory");
        fs::set_permissions(&point, fs::Permissions::from_mode(0o755)).expect("one's own");
        let mut command = Command::new(binary("redox-hosted"));
        command.arg("--root").arg(root).arg("mount").arg(&point).stdout(Stdio::piped());
        let bind = || Ok(set_parent_process_death_signal(Some(Signal::TERM))?);
        // SAFETY: between fork and exec, `bind` makes one system call and allocates nothing.
        unsafe { command.pre_exec(bind) };
        let mut door = command.spawn().expect("redox-hosted runs");
        let mut line = String::new();
        let output = door.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert!(line.contains("the registry is at"), "{line:?}");
        Some(Mount { door, point })
    }

    /// The path of a file of the registry.
    pub fn path(&self, file: &str) -> PathBuf {
        self.point.join(file)
    }

    /// A script for `sh`, in a directory of the registry.
    pub fn shell(&self, directory: &str, script: &str) -> Command {
        let mut command = Command::new("sh");
        // Whoever cannot even enter the directory says so as the script would.
        command.arg("-c").arg(format!("cd \"$0\" && {{ {script}\n}}")).arg(self.path(directory));
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// What a script says on both outputs, one after the other, and whether it succeeded.
    ///
    /// # Panics
    ///
    /// If there is no `sh`.
    pub fn run(&self, directory: &str, script: &str) -> (String, bool) {
        let output = self.shell(directory, script).output().expect("sh runs");
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&said).into_owned(), output.status.success())
    }

    /// What a script says that must succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn output(&self, directory: &str, script: &str) -> String {
        let (said, succeeded) = self.run(directory, script);
        assert!(succeeded, "{script}: {said}");
        said
    }

    /// What a script says that must fail.
    ///
    /// # Panics
    ///
    /// If it succeeds.
    pub fn failure(&self, directory: &str, script: &str) -> String {
        let (said, succeeded) = self.run(directory, script);
        assert!(!succeeded, "{script}: {said}");
        said
    }

    /// Unmounts it as a signal does.
    ///
    /// # Panics
    ///
    /// If it does not end well.
    pub fn end(self) {
        self.end_by(Signal::TERM);
    }

    /// Sends the door this signal and waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not end well.
    pub fn end_by(self, signal: Signal) {
        self.signal(signal);
        self.ended();
    }

    /// Waits for the end of the door, which something else has brought about.
    ///
    /// # Panics
    ///
    /// If it does not end well.
    pub fn ended(mut self) {
        let status = self.door.wait().expect("a child");
        assert!(status.success(), "{status}");
    }

    fn signal(&self, signal: Signal) {
        // Not reaped yet, so the number is the child's.
        let _ = kill_process(Pid::from_child(&self.door), signal);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let _ = self.door.wait();
    }
}
