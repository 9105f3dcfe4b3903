//! The one error type of this crate: a Linux error number, as the C ABI carries it.

use std::io;

/// A Linux error number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) type Result<T, E = Errno> = std::result::Result<T, E>;

impl Errno {
    /// The calling thread's `errno`.
    pub(crate) fn last() -> Self {
        io::Error::last_os_error().into()
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

/// A system call's answer: -1 means `errno`.
pub(crate) fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(Errno::last()) } else { Ok(result) }
}

/// As [`check`], for calls that answer a length.
pub(crate) fn check_len(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Errno::last())
}

/// The ABI's form of a result: an error is its negative.
pub(crate) fn mux(result: Result<usize>) -> usize {
    match result {
        Ok(value) => value,
        Err(Errno(errno)) => (errno as usize).wrapping_neg(),
    }
}
