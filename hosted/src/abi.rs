//! The exported symbols. Each turns C arguments into Rust's, and the result into the ABI's number.
//!
//! `libredox` guarantees that pointers and lengths describe memory of the caller's that is valid
//! during the call: it makes them from slices and references.

mod calls;
mod files;
mod process;

use std::os::fd::RawFd;

use crate::errno::{Errno, Result};

/// A descriptor as Linux counts them.
fn raw_fd(fd: usize) -> Result<RawFd> {
    RawFd::try_from(fd).map_err(|_| Errno(libc::EBADF))
}

/// The caller's bytes.
///
/// # Safety
///
/// `base` points to `len` bytes that nobody changes during `'a`, or `len` is 0.
unsafe fn slice<'a>(base: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(base, len) }
}

/// The caller's buffer.
///
/// # Safety
///
/// `base` points to `len` bytes that nobody else uses during `'a`, or `len` is 0.
unsafe fn slice_mut<'a>(base: *mut u8, len: usize) -> &'a mut [u8] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(base, len) }
}

/// The caller's text.
///
/// # Safety
///
/// As [`slice`].
unsafe fn text<'a>(base: *const u8, len: usize) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { slice(base, len) }).map_err(|_| Errno(libc::EINVAL))
}
