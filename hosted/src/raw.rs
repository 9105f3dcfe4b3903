//! What a program does on Redox with relibc or a bare system call, and for which `libredox` has no
//! symbol.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use syscall::schemev2::Opcode;

use crate::client::{Handle, Payload};
use crate::errno::{Errno, Result, check};
use crate::namespace::{self, Reach};
use crate::paths::{self, Target};
use crate::root;

/// Unlinks a path, as `unlink` and (with `AT_REMOVEDIR`) `rmdir` do on Redox: `/scheme/NAME` takes
/// the name itself away, dead or alive; a path below it reaches the scheme as opcode `UnlinkAt` with
/// the kernel's word on who asks; any other path is an ordinary file.
pub fn unlink(path: &str, flags: i32) -> io::Result<()> {
    Ok(unlink_path(path, flags)?)
}

fn unlink_path(path: &str, flags: i32) -> Result<()> {
    match Target::of(path) {
        Target::Scheme { name, rest: "" } => match namespace::reach(name)? {
            Reach::Root => root::unlink_scheme(name),
            // The root directory's name is not this one.
            Reach::Handle(_) => Err(Errno(libc::EPERM)),
        },
        Target::Scheme { name, rest } => {
            let unlink = |fd| {
                let handle = Handle::of(fd)?;
                let args = [flags as u64, 0, 0];
                handle.request(Opcode::UnlinkAt as u8, args, Payload::In(rest.as_bytes()))
            };
            match namespace::reach(name)? {
                Reach::Handle(fd) => unlink(fd.as_raw_fd())?,
                Reach::Root => paths::with_root(name, unlink)?,
            };
            Ok(())
        }
        Target::File => {
            namespace::reach(namespace::FILE)?;
            let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
            // SAFETY: the path is a C string.
            check(unsafe { libc::unlinkat(libc::AT_FDCWD, path.as_ptr(), flags) })?;
            Ok(())
        }
    }
}

/// Sends any request to a scheme, as a program on Redox can with a bare system call: `opcode` is one
/// of `syscall::schemev2::Opcode`, `args` are the words after descriptor, address and length (or
/// after the descriptor, where there is no payload), and the payload goes both ways, whatever its
/// length. Tests send with it what a well-behaved `libredox` never would.
///
/// # Errors
///
/// The scheme's; ENOTSOCK if `fd` is not a scheme's.
pub fn raw_request(fd: usize, opcode: u8, args: [u64; 3], payload: &mut [u8]) -> io::Result<usize> {
    let fd = RawFd::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    let payload = if payload.is_empty() { Payload::None } else { Payload::InOut(payload) };
    Ok(Handle::of(fd)?.request(opcode, args, payload)?.value)
}

/// As [`raw_request`], with `len` bytes of `memory` as the payload in place of bytes: what the
/// daemon then maps is what this caller gave, sealed or not.
///
/// # Errors
///
/// EINVAL if the memory could be taken away from the daemon, else as [`raw_request`].
pub fn raw_request_in_memory(
    fd: usize,
    opcode: u8,
    args: [u64; 3],
    memory: &File,
    len: u64,
) -> io::Result<usize> {
    let fd = RawFd::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    Ok(Handle::of(fd)?.request_in_memory(opcode, args, memory, len)?.value)
}
