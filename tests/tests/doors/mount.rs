//! A mount point of the registry, while a process keeps it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use registry_tests::daemons::root_directory;
use registry_tests::harness::{binary, skipped};
use rustix::process::{Pid, Signal, kill_process};

/// Where the registry is mounted; it is there no more when this is dropped.
pub struct Mount {
    point: PathBuf,
    process: Child,
}

impl Mount {
    /// Mounts the registry of this root. `None`, which is said, where that is not to be had.
    pub fn start() -> Option<Mount> {
        let mut builder = tempfile::Builder::new();
        // Other users have to get there.
        let builder = builder.prefix("redox-mount-").permissions(fs::Permissions::from_mode(0o755));
        let point = builder.tempdir().expect("a directory").keep();
        let mut command = Command::new(binary("redox-hosted"));
        command.arg("--root").arg(root_directory()).arg("mount").arg(&point);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut mount = Mount { point, process: command.spawn().expect("redox-hosted runs") };
        // It says that it is there, or ends.
        let mut line = String::new();
        let output = mount.process.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("text");
        if line.is_empty() {
            skipped("the registry cannot be mounted here");
            return None;
        }
        Some(mount)
    }

    /// The root of the registry there.
    pub fn registry(&self) -> PathBuf {
        self.point.clone()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // It unmounts what it mounted; if it has ended there is nothing to end.
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        }
        let _ = self.process.wait();
        // Nothing but an empty directory: what is mounted is not for removing.
        let _ = fs::remove_dir(&self.point);
    }
}
