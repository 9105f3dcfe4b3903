//! From a path to an open file.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use syscall::schemev2::Opcode;

use crate::client::{self, Handle, Payload};
use crate::errno::{Errno, Result, check};
use crate::namespace::{self, Reach};
use crate::{event, flags, kernel_schemes, root};

/// What a path names.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Target<'a> {
    /// `/scheme/NAME/REST`, or in the older spelling `NAME:REST`.
    Scheme { name: &'a str, rest: &'a str },
    /// An ordinary file.
    File,
}

impl<'a> Target<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        if let Some(below) = path.strip_prefix("/scheme/") {
            let (name, rest) = below.split_once('/').unwrap_or((below, ""));
            return Self::Scheme { name, rest };
        }
        match path.split_once(':') {
            Some((name, rest)) if !name.is_empty() && !name.contains('/') => {
                Self::Scheme { name, rest: rest.strip_prefix('/').unwrap_or(rest) }
            }
            _ => Self::File,
        }
    }
}

/// Opens a path.
pub(crate) fn open(path: &str, linux_flags: libc::c_int, mode: u16) -> Result<RawFd> {
    let Target::Scheme { name, rest } = Target::of(path) else {
        namespace::reach(namespace::FILE)?;
        return open_file(libc::AT_FDCWD, path, linux_flags, mode);
    };
    match namespace::reach(name)? {
        Reach::Handle(fd) => return open_below(fd.as_raw_fd(), rest, linux_flags, mode, 0),
        Reach::Root if name == "event" => return event::create(),
        Reach::Root => {
            if let Some(opened) = kernel_schemes::open(name, rest, linux_flags) {
                return opened;
            }
        }
    }
    with_root(name, |root| open_below(root, rest, linux_flags, mode, 0))
}

/// Gives `use_root` a connection to a name, this thread's own or a new one.
pub(crate) fn with_root<T>(name: &str, use_root: impl FnOnce(RawFd) -> Result<T>) -> Result<T> {
    let key = root::scheme_key(name)?;
    let root = match client::take_root(key)? {
        Some(root) => root,
        None => root::connect_scheme(name)?,
    };
    let result = use_root(root.as_raw_fd());
    client::keep_root(key, root)?;
    result
}

/// Opens relative to a descriptor: a handle, whose scheme gets the path as it is, or a directory.
pub(crate) fn open_at(
    fd: RawFd,
    path: &str,
    linux_flags: libc::c_int,
    fcntl_flags: libc::c_int,
) -> Result<RawFd> {
    open_below(fd, path, linux_flags, 0, fcntl_flags)
}

fn open_below(
    fd: RawFd,
    path: &str,
    linux_flags: libc::c_int,
    mode: u16,
    fcntl_flags: libc::c_int,
) -> Result<RawFd> {
    let handle = match Handle::of(fd) {
        Ok(handle) => handle,
        Err(Errno(libc::ENOTSOCK)) => {
            return open_file(fd, path, linux_flags | fcntl_flags, mode);
        }
        Err(error) => return Err(error),
    };
    let open_flags = flags::open_flags_to_redox(linux_flags) | usize::from(mode);
    let status_flags =
        flags::open_flags_to_redox(linux_flags | fcntl_flags) & syscall::flag::O_FCNTL_MASK;
    let args = [open_flags as u64, status_flags as u64, 0];
    let mut answer = handle.request(Opcode::OpenAt as u8, args, Payload::In(path.as_bytes()))?;
    let new: OwnedFd = client::one_fd(&mut answer)?;
    client::hand_out(new, linux_flags & libc::O_CLOEXEC != 0)
}

fn open_file(directory: RawFd, path: &str, linux_flags: libc::c_int, mode: u16) -> Result<RawFd> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the path is a C string; the mode is there for O_CREAT.
    check(unsafe { libc::openat(directory, path.as_ptr(), linux_flags, libc::c_uint::from(mode)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_scheme_path_name_the_same() {
        let expected = Target::Scheme { name: "reg", rest: "Machine/System" };
        assert_eq!(Target::of("/scheme/reg/Machine/System"), expected);
        assert_eq!(Target::of("reg:Machine/System"), expected);
        assert_eq!(Target::of("reg:/Machine/System"), expected);
    }

    #[test]
    fn a_path_without_a_scheme_is_a_file() {
        for path in ["/etc/group", "relative", "./a:b", "/tmp/a:b"] {
            assert_eq!(Target::of(path), Target::File, "{path}");
        }
    }
}
