//! The registry as files for any program: a FUSE door to the scheme `reg` of a root that runs.
//!
//! It knows nothing of the registry: paths below the mount point are paths below the scheme, and each operation is
//! asked for on behalf of the process that the kernel names. Nothing is kept between two operations that one user
//! could see of another, or anybody of the past: entries and attributes are valid for no time, and what is read and
//! written passes by the page cache.

mod door;
mod files;
mod nodes;
mod pollers;
mod workers;

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

use door::Door;
use files::Files;

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
    let files = Files::new().map_err(|error| Error::NoRegistry { path: root, error })?;
    let failed = |error| Error::Mount { point: point.to_owned(), error };
    let point = fs::canonicalize(point).map_err(failed)?;
    // From here on a signal unmounts, so that none comes in between.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(Error::Serve)?;
    let mut session = mount(Door::new(files), &point)?;
    end_at_a_signal(signals, session.unmount_callable(), &point).map_err(Error::Serve)?;
    announce(&point);
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

/// Unmounts it at the first signal, and ends this process. Where somebody works there the name goes, and what he has
/// open ends with this process.
fn end_at_a_signal(
    mut signals: Signals,
    mut mounted: SessionUnmounter,
    point: &Path,
) -> io::Result<()> {
    let point = point.to_owned();
    let end = move || {
        if signals.forever().next().is_none() {
            return;
        }
        let unmounted = mounted.unmount();
        let unmounted = unmounted.or_else(|_| Ok(unmount(&point, UnmountFlags::DETACH)?));
        if let Err(error) = &unmounted {
            let error: &io::Error = error;
            eprintln!("redox-hosted: cannot unmount {}: {error}", point.display());
        }
        exit(i32::from(unmounted.is_err()));
    };
    thread::Builder::new().name("signals".to_owned()).spawn(end).map(drop)
}
