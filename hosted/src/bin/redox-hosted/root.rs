//! The directory that a hosted system lives in: its tree, who may touch it, and the one init it has.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, geteuid, test_kill_process};

/// The folders under the root and their modes. Hives and logs hold what the registry protects.
const TREE: [(&str, u32); 11] = [
    ("scheme", 0o755),
    ("run", 0o755),
    ("usr", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib/init.d", 0o755),
    ("usr/share", 0o755),
    ("usr/share/regman", 0o755),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/lib/loregd", 0o700),
    ("var/log", 0o700),
];

/// How long the daemons of a killed init may take to die.
const DYING: Duration = Duration::from_secs(10);

/// Why a root can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder can't be made or read.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Someone else could make schemes, units or hives there.
    #[error("{0}: another user can write there")]
    Writable(PathBuf),
    /// The path can't be put into the environment's `REDOX_HOSTED` and messages.
    #[error("{0:?}: the path is not UTF-8")]
    NotText(PathBuf),
    /// There is an init already.
    #[error("{root}: another init (process {pid}) runs there")]
    Busy {
        /// The root.
        root: PathBuf,
        /// What `run/init.pid` says.
        pid: String,
    },
}

/// A prepared root, which belongs to this process as long as the value lives.
///
/// The lock's descriptor is given to every daemon: a lock that can be taken proves that neither an init nor
/// a daemon of one is left, also after `kill -9`.
pub struct Root {
    path: PathBuf,
    lock: File,
}

impl Root {
    /// Makes the tree at `path`, takes its lock and removes what dead daemons left.
    pub fn take(path: &Path) -> Result<Self, Error> {
        make(path, 0o755)?;
        let path = fs::canonicalize(path).map_err(at(path))?;
        if path.to_str().is_none() {
            return Err(Error::NotText(path));
        }
        check_owner(&path)?;
        for (folder, mode) in TREE {
            let folder = path.join(folder);
            make(&folder, mode)?;
            check_owner(&folder)?;
        }
        let lock = lock(&path)?;
        let root = Root { path, lock };
        root.remove_leftovers()?;
        root.write_pid()?;
        Ok(root)
    }

    /// The absolute path, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the units.
    pub fn units(&self) -> PathBuf {
        self.path.join("usr/lib/init.d")
    }

    /// The folder of the manual.
    pub fn manual(&self) -> PathBuf {
        self.path.join("usr/share/regman")
    }

    /// The log of the daemon `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("var/log").join(format!("{name}.log"))
    }

    /// The lock, for daemons to inherit.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Gives the root up when all daemons have ended: removes their sockets and pid files, and our own.
    pub fn leave(self) -> Result<(), Error> {
        self.remove_leftovers()?;
        let path = self.path.join("run/init.pid");
        fs::remove_file(&path).map_err(at(&path))
    }

    /// Removes the sockets that nobody listens to and the pid files of daemons.
    fn remove_leftovers(&self) -> Result<(), Error> {
        for (folder, is_left) in [
            ("scheme", is_dead_socket as fn(&Path) -> io::Result<bool>),
            ("run", is_pid_file_of_a_daemon),
        ] {
            let folder = self.path.join(folder);
            for entry in fs::read_dir(&folder).map_err(at(&folder))? {
                let path = entry.map_err(at(&folder))?.path();
                if is_left(&path).map_err(at(&path))? {
                    fs::remove_file(&path).map_err(at(&path))?;
                }
            }
        }
        Ok(())
    }

    fn write_pid(&self) -> Result<(), Error> {
        let mut file = &self.lock;
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(at(&self.path.join("run/init.pid")))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |error| Error::File { path: path.clone(), error }
}

/// Makes a folder, with those above it, unless it is there; `mode` whatever the umask is.
fn make(path: &Path, mode: u32) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(at(path))?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).map_err(at(path))
}

/// Whoever can write into the root's folders can pose as a scheme or have programs started.
fn check_owner(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(at(path))?;
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(Error::Writable(path.to_owned()));
    }
    Ok(())
}

/// Opens `run/init.pid` and locks it, waiting for the daemons of a dead init to follow it.
fn lock(root: &Path) -> Result<File, Error> {
    let path = root.join("run/init.pid");
    let deadline = Instant::now() + DYING;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at(&path))?;
        match file.try_lock() {
            // An init that was just leaving may have removed the file that we locked.
            Ok(()) if is_same_file(&file, &path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).map_err(at(&path))?.trim().to_owned();
                if is_alive(&pid) || Instant::now() >= deadline {
                    return Err(Error::Busy { root: root.to_owned(), pid });
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(named)) => ours.ino() == named.ino() && ours.dev() == named.dev(),
        _ => false,
    }
}

fn is_alive(pid: &str) -> bool {
    let pid = pid.parse().ok().and_then(Pid::from_raw);
    // An empty file is that of an init that has locked and not yet written.
    pid.is_none_or(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn is_pid_file_of_a_daemon(path: &Path) -> io::Result<bool> {
    let is_pid = path.extension().is_some_and(|extension| extension == "pid");
    Ok(is_pid && path.file_name().is_some_and(|name| name != "init.pid"))
}

fn is_dead_socket(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    // A socket's address holds 108 bytes, and the root's path may be longer (HOSTED.md). Only a dead one
    // refuses; a living one of another type than STREAM answers EPROTOTYPE.
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(false);
    };
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let outcome = UnixStream::connect(short);
    Ok(outcome.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}
