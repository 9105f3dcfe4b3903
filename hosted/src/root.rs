//! The directory that stands for a Redox system: its scheme names are sockets below `scheme/`.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::client::RootKey;
use crate::errno::{Errno, Result, check};
use crate::sys;

/// Connections that may wait to be accepted.
const BACKLOG: libc::c_int = 4096;

/// The root directory: `$REDOX_HOSTED`, else `$XDG_RUNTIME_DIR/redox`, else `/tmp/redox-UID`.
///
/// # Errors
///
/// `PermissionDenied` if it is one of the latter two, exists, and is not the user's own directory
/// that nobody else can write to. It need not exist.
pub fn root() -> io::Result<PathBuf> {
    if let Some(named) = env::var_os("REDOX_HOSTED").filter(|value| !value.is_empty()) {
        return Ok(named.into());
    }
    let path = match env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        Some(runtime) => Path::new(&runtime).join("redox"),
        None => PathBuf::from(format!("/tmp/redox-{}", sys::own_credentials().uid)),
    };
    match fs::symlink_metadata(&path) {
        Ok(meta) if is_private(&meta) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a directory that only its user can write to", path.display()),
        )),
    }
}

fn is_private(meta: &fs::Metadata) -> bool {
    meta.is_dir() && meta.uid() == sys::own_credentials().uid && meta.mode() & 0o022 == 0
}

/// An open directory of scheme names.
struct SchemeDirectory {
    fd: File,
    /// Who may create schemes here, beside root.
    owner: u32,
}

impl SchemeDirectory {
    /// ENODEV if there is no root directory: nothing was started.
    fn open() -> Result<Self> {
        let root = root()?;
        let directory = |path: &Path| {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
            fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
        };
        let owner = directory(&root).map_err(no_name)?.metadata()?.uid();
        let fd = directory(&root.join("scheme")).map_err(no_name)?;
        Ok(Self { fd, owner })
    }

    /// A path to `name` that is short enough for a socket's address, wherever the root is.
    fn short_path(&self, name: &str) -> Vec<u8> {
        format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()).into_bytes()
    }
}

/// The mode of a scheme's socket: sources' names are for the owner alone, all others for everyone,
/// and the scheme decides.
fn mode_of(name: &str) -> libc::mode_t {
    if name == "regsrc" { 0o600 } else { 0o666 }
}

/// EPERM unless this process may create schemes: it is root, or owns the root directory.
pub(crate) fn check_may_create() -> Result<()> {
    let directory = SchemeDirectory::open()?;
    let uid = sys::own_credentials().uid;
    if uid == 0 || uid == directory.owner { Ok(()) } else { Err(Errno(libc::EPERM)) }
}

/// Makes the listening socket of a new name. EEXIST while the name is there, alive or dead.
pub(crate) fn bind_scheme(name: &str) -> Result<OwnedFd> {
    check_name(name)?;
    check_may_create()?;
    let directory = SchemeDirectory::open()?;
    let socket = sys::socket()?;
    let path = directory.short_path(name);
    sys::with_address(socket.as_raw_fd(), &path, libc::bind).map_err(|error| match error.0 {
        libc::EADDRINUSE => Errno(libc::EEXIST),
        _ => error,
    })?;
    let c_name = std::ffi::CString::new(name).map_err(|_| Errno(libc::EINVAL))?;
    // Nobody can connect before `listen`, so no wider mode is ever in force.
    // SAFETY: the name is a C string; the others are plain numbers.
    unsafe {
        check(libc::fchmodat(directory.fd.as_raw_fd(), c_name.as_ptr(), mode_of(name), 0))?;
        check(libc::listen(socket.as_raw_fd(), BACKLOG))?;
        check(libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK))?;
    }
    Ok(socket)
}

/// Connects to a name. ENODEV if there is no such name or its daemon is dead; EPERM if who listens
/// is neither the root directory's owner nor root.
pub(crate) fn connect_scheme(name: &str) -> Result<OwnedFd> {
    check_name(name).map_err(|_| Errno(libc::ENODEV))?;
    let directory = SchemeDirectory::open()?;
    let socket = sys::socket()?;
    let path = directory.short_path(name);
    loop {
        match sys::with_address(socket.as_raw_fd(), &path, libc::connect) {
            Ok(()) => break,
            Err(Errno(libc::EINTR)) => {}
            Err(Errno(libc::ENOENT | libc::ECONNREFUSED)) => return Err(Errno(libc::ENODEV)),
            Err(error) => return Err(error),
        }
    }
    let peer = sys::peer_credentials(socket.as_raw_fd())?;
    if peer.uid != 0 && peer.uid != directory.owner {
        return Err(Errno(libc::EPERM));
    }
    Ok(socket)
}

/// What a connection to a name, kept for later, depends on.
pub(crate) fn scheme_key(name: &str) -> Result<RootKey> {
    check_name(name).map_err(|_| Errno(libc::ENODEV))?;
    let meta = fs::symlink_metadata(root()?.join("scheme").join(name)).map_err(no_name)?;
    let who = sys::own_credentials();
    Ok(RootKey {
        device: meta.dev(),
        inode: meta.ino(),
        changed: meta.ctime().wrapping_mul(1_000_000_000).wrapping_add(meta.ctime_nsec()),
        uid: who.uid,
        gid: who.gid,
    })
}

/// No name, or no root directory: nobody serves it.
fn no_name(error: io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::NotFound => Errno(libc::ENODEV),
        _ => error.into(),
    }
}

/// Removes a name, as unlinking `/scheme/NAME` does on Redox. Open handles go on working.
pub(crate) fn unlink_scheme(name: &str) -> Result<()> {
    check_name(name)?;
    let directory = SchemeDirectory::open()?;
    let name = std::ffi::CString::new(name).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the name is a C string; the others are plain numbers.
    check(unsafe { libc::unlinkat(directory.fd.as_raw_fd(), name.as_ptr(), 0) })?;
    Ok(())
}

/// A scheme's name is one file name, and short enough for a socket's address.
fn check_name(name: &str) -> Result<()> {
    let wrong = name.is_empty() || name.starts_with('.') || name.contains(['/', ':', '\0']);
    if wrong { Err(Errno(libc::EINVAL)) } else { Ok(()) }
}
