//! The schemes that Redox' own kernel and base system serve, as far as daemons use them: `time`,
//! `rand`, `log`, `null`, `zero`, and the right to create schemes.

use std::fs::OpenOptions;
use std::mem;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::errno::{Errno, Result, check, check_len};
use crate::locals::{self, Local};
use crate::{flags, root, sys};

/// Bytes of Redox' `TimeSpec`: seconds (i64), nanoseconds (i32), padding.
const TIMESPEC_SIZE: usize = 16;

/// Opens a path of a kernel scheme; `None` if `scheme` is not one.
pub(crate) fn open(scheme: &str, rest: &str, linux_flags: libc::c_int) -> Option<Result<RawFd>> {
    Some(match scheme {
        "namespace" if rest == "scheme-creation-cap" => open_creation_right(),
        "time" => open_timer(rest),
        "rand" => open_device("/dev/urandom", linux_flags),
        "null" => open_device("/dev/null", linux_flags),
        "zero" => open_device("/dev/zero", linux_flags),
        "log" => open_log(rest),
        _ => return None,
    })
}

fn open_creation_right() -> Result<RawFd> {
    root::check_may_create()?;
    let fd = sys::event_fd()?.into_raw_fd();
    locals::insert(fd, Local::SchemeCreation);
    Ok(fd)
}

fn open_device(path: &str, linux_flags: libc::c_int) -> Result<RawFd> {
    let access = linux_flags & libc::O_ACCMODE;
    let file = OpenOptions::new()
        .read(access != libc::O_WRONLY)
        .write(access != libc::O_RDONLY)
        .custom_flags(linux_flags & libc::O_NONBLOCK)
        .open(path)?;
    Ok(file.into_raw_fd())
}

/// A log is a file of the root directory that lines are added to; others cannot read it.
fn open_log(name: &str) -> Result<RawFd> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(Errno(libc::EINVAL));
    }
    let path = root::root()?.join("var/log").join(format!("{name}.log"));
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    Ok(file.into_raw_fd())
}

fn open_timer(clock: &str) -> Result<RawFd> {
    let clock = clock.parse().ok().and_then(flags::clock_of_path).ok_or(Errno(libc::ENOENT))?;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::timerfd_create(clock, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) })?;
    locals::insert(fd, Local::Timer(clock));
    Ok(fd)
}

/// Reading a timer answers its clock's time and makes it unready; it never waits.
pub(crate) fn read_timer(fd: RawFd, clock: libc::clockid_t, buffer: &mut [u8]) -> Result<usize> {
    if buffer.len() < TIMESPEC_SIZE {
        return Err(Errno(libc::EINVAL));
    }
    let mut expirations = [0_u8; 8];
    // SAFETY: eight bytes are written to `expirations`. EAGAIN says that the time has not come.
    unsafe { libc::read(fd, expirations.as_mut_ptr().cast(), expirations.len()) };
    let now = clock_gettime(clock)?;
    buffer[..8].copy_from_slice(&now.tv_sec.to_ne_bytes());
    buffer[8..TIMESPEC_SIZE].copy_from_slice(&now.tv_nsec.to_ne_bytes());
    Ok(TIMESPEC_SIZE)
}

/// Writing a `TimeSpec` arms a timer: it becomes readable once, at that time on its clock.
pub(crate) fn write_timer(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    if bytes.len() < TIMESPEC_SIZE {
        return Err(Errno(libc::EINVAL));
    }
    let (mut seconds, mut nanoseconds) = ([0; 8], [0; 4]);
    seconds.copy_from_slice(&bytes[..8]);
    // Redox' nanoseconds are an i32, the rest is padding; a libc::timespec begins alike.
    nanoseconds.copy_from_slice(&bytes[8..12]);
    // SAFETY: itimerspec is plain data, for which all zeros are valid.
    let mut timer: libc::itimerspec = unsafe { mem::zeroed() };
    timer.it_value.tv_sec = i64::from_ne_bytes(seconds);
    timer.it_value.tv_nsec = i64::from(i32::from_ne_bytes(nanoseconds));
    if timer.it_value.tv_sec <= 0 && timer.it_value.tv_nsec <= 0 {
        // Linux takes zero for "disarm"; the first nanosecond is as much in the past.
        timer.it_value = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    }
    let absolute = libc::TFD_TIMER_ABSTIME;
    // SAFETY: `timer` outlives the call, and no old value is asked for.
    check(unsafe { libc::timerfd_settime(fd, absolute, &timer, std::ptr::null_mut()) })?;
    Ok(TIMESPEC_SIZE)
}

/// A clock's time.
pub(crate) fn clock_gettime(clock: libc::clockid_t) -> Result<libc::timespec> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call.
    check(unsafe { libc::clock_gettime(clock, &mut now) })?;
    Ok(now)
}

/// Reads an ordinary Linux file.
pub(crate) fn read_file(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: at most `buffer.len()` bytes are written to it.
    check_len(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// Writes an ordinary Linux file.
pub(crate) fn write_file(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: at most `bytes.len()` bytes are read from it.
    check_len(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
}
