//! A mount point of the registry, while a process keeps it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use registry_tests::daemons::root_directory;
use registry_tests::eventually::eventually;
use registry_tests::harness::{binary, skipped};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Where the registry is mounted; it is there no more when this is dropped.
pub struct Mount {
    point: TempDir,
    process: Child,
}

impl Mount {
    /// Mounts the registry of this root. `None`, which is said, where that is not to be had.
    pub fn start() -> Option<Mount> {
        let point = tempfile::Builder::new().prefix("redox-mount-").tempdir().expect("a directory");
        let mut command = Command::new(binary("redox-hosted"));
        command.arg("--root").arg(root_directory()).arg("mount").arg(point.path());
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut mount = Mount { point, process: process.expect("redox-hosted runs") };
        let up = eventually("a mount, or why not", || {
            let ended = mount.process.try_wait().expect("a child").is_some();
            let there = mount.registry().join("Machine").is_dir();
            (ended || there).then_some(there)
        });
        if !up {
            skipped("the registry cannot be mounted here");
        }
        up.then_some(mount)
    }

    /// The root of the registry there.
    pub fn registry(&self) -> std::path::PathBuf {
        self.path().join("reg")
    }

    fn path(&self) -> &Path {
        self.point.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // It unmounts what it mounted; if it has ended there is nothing to end.
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir(self.path());
    }
}
