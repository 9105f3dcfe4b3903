//! A root directory that goes away with its test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::Process;

/// A temporary root directory, with the directories that daemons expect, which every user can enter
/// and only this one change.
#[derive(Debug)]
pub struct Root {
    directory: TempDir,
}

impl Root {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// If the file system refuses.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("redox-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory");
        for below in ["scheme", "run", "var/log", "var/lib/loregd", "usr/lib/init.d"] {
            fs::create_dir_all(directory.path().join(below)).expect("a directory of the root");
        }
        Self { directory }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command that runs in this root. `program` is a binary of this workspace, see [`binary`].
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(binary(program));
        command.env("REDOX_HOSTED", self.path());
        command
    }

    /// Starts a daemon of this workspace and waits until it says, on `INIT_NOTIFY`, that it serves.
    ///
    /// # Panics
    ///
    /// If it dies before, or takes longer than [`PATIENCE`](super::PATIENCE).
    pub fn daemon(&self, program: &str, args: &[&str]) -> Process {
        let mut command = self.command(program);
        command.args(args);
        Process::spawn_ready(&mut command)
    }

    /// Starts LCS, as [`Root::daemon`] does.
    ///
    /// # Panics
    ///
    /// As [`Root::daemon`].
    pub fn lcs(&self) -> Process {
        self.daemon("lcs-scheme", &[])
    }
}

/// A binary of this workspace, built beside the running test.
///
/// # Panics
///
/// If it is not there: `cargo test` builds only the binaries of the tested package.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let beside = test.ancestors().skip(1).find(|directory| !directory.ends_with("deps"));
    let mut path = beside.expect("a target directory").join(name);
    if !path.exists() {
        // Examples of the documentation are built elsewhere.
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target =
            target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
        path = target.join("debug").join(name);
    }
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}
