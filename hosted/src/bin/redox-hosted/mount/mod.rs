//! The registry as files for any program: a FUSE door to the scheme `reg` of a root that runs.
//!
//! It knows nothing of the registry: paths below the mount point are paths below the scheme, and each operation is
//! asked for on behalf of the process that the kernel names. Nothing is kept between two operations that one user
//! could see of another, or anybody of the past: entries and attributes are valid for no time, and what is read and
//! written passes by the page cache.

mod filesystem;
mod nodes;
mod pollers;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::thread;

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::geteuid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use filesystem::Door;

/// How many operations can be under way. One that waits for a source keeps the others from nothing.
const THREADS: usize = 16;

/// Why a registry cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not there.
    #[error("{path}: {error}")]
    Root {
        /// The root.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// LCS would not believe this process.
    #[error("only the owner of {0}, or root, can mount it")]
    NotOwner(PathBuf),
    /// No registry answers.
    #[error("no registry runs in {path}: {error}")]
    NoRegistry {
        /// The root.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The system does not mount it there.
    #[error("cannot mount at {point}: {error}{}", advice(.error))]
    Mount {
        /// Where.
        point: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Signals cannot be received, or no thread started.
    #[error("cannot serve the mount: {0}")]
    Serve(io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (is fusermount3, Debian's package fuse3, installed?)",
        _ => "",
    }
}

/// Shows the registry of the root at `root` under `point`, until it is unmounted or a signal ends it.
pub fn serve(root: &Path, point: &Path) -> Result<(), Error> {
    let at = |error| Error::Root { path: root.to_owned(), error };
    let root = fs::canonicalize(root).map_err(at)?;
    let owner = fs::metadata(&root).map_err(at)?.uid();
    let own = geteuid().as_raw();
    if own != owner && own != 0 {
        return Err(Error::NotOwner(root));
    }
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("REDOX_HOSTED", &root) };
    let door = Door::new().map_err(|error| Error::NoRegistry { path: root, error })?;
    let mut session = mount(door, point)?;
    end_at_a_signal(session.unmount_callable(), point).map_err(Error::Serve)?;
    announce(point);
    session.run().map_err(Error::Serve)
}

fn mount(door: Door, point: &Path) -> Result<Session<Door>, Error> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("reg".to_owned()),
        MountOption::Subtype("redox".to_owned()),
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::NoExec,
    ];
    config.n_threads = Some(THREADS);
    config.acl = if geteuid().is_root() { SessionACL::All } else { SessionACL::Owner };
    let failed = |error| Error::Mount { point: point.to_owned(), error };
    Session::new(door, point, &config).map_err(failed)
}

/// Says that it is there. Who no longer listens need not hear it.
fn announce(point: &Path) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "redox-hosted: the registry is at {}", point.display());
    let _ = output.flush();
}

/// Unmounts it at the first signal that says that this is to be done. Where somebody is inside it only goes out of
/// sight, and what he does there fails (ENOTCONN) when this process ends: at once, or where that could not be told
/// (fusermount3) at the second signal.
fn end_at_a_signal(mut mounted: SessionUnmounter, point: &Path) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let point = point.to_owned();
    let wait = move || {
        let mut signals = signals.forever();
        if signals.next().is_some()
            && let Err(busy) = mounted.unmount()
        {
            if let Err(error) = unmount(&point, UnmountFlags::DETACH) {
                eprintln!("redox-hosted: cannot unmount {}: {busy}, {error}", point.display());
                exit(1);
            }
            exit(0);
        }
        // Without a second one the process ends when the last one has left.
        if signals.next().is_some() {
            exit(0);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
