//! Linux' numbers and Redox' numbers. Clients speak Linux' (`libredox::flag` is `libc` there),
//! schemes speak Redox' (`syscall::flag`); the wire carries Redox'.

use libc::c_int;
use syscall::flag as redox;

/// Redox' close-on-exec bit in open flags.
const REDOX_O_CLOEXEC: usize = 0x0100_0000;

/// The flags that have a counterpart one to one.
const PAIRS: [(c_int, usize); 8] = [
    (libc::O_NONBLOCK, redox::O_NONBLOCK),
    (libc::O_APPEND, redox::O_APPEND),
    (libc::O_ASYNC, redox::O_ASYNC),
    (libc::O_CREAT, redox::O_CREAT),
    (libc::O_TRUNC, redox::O_TRUNC),
    (libc::O_EXCL, redox::O_EXCL),
    (libc::O_DIRECTORY, redox::O_DIRECTORY),
    (libc::O_NOFOLLOW, redox::O_NOFOLLOW),
];

/// Open flags for a scheme.
///
/// `O_PATH` is Redox' `O_STAT` (its Linux number is Redox' `O_EXLOCK`), and `O_PATH | O_NOFOLLOW`,
/// Linux' way of opening a link itself, is `O_SYMLINK` too. `O_SYMLINK` has no Linux number; its
/// Redox number is free in Linux' flags and passes unchanged.
pub(crate) fn open_flags_to_redox(linux: c_int) -> usize {
    let mut flags = fcntl_flags_to_redox(linux) | linux as usize & redox::O_SYMLINK;
    if linux & libc::O_CLOEXEC != 0 {
        flags |= REDOX_O_CLOEXEC;
    }
    if linux & libc::O_PATH != 0 {
        flags = flags & !redox::O_ACCMODE | redox::O_STAT;
        if linux & libc::O_NOFOLLOW != 0 {
            flags |= redox::O_SYMLINK;
        }
    }
    flags
}

/// The flags of a mapping, for a scheme.
pub(crate) fn map_flags_to_redox(protection: c_int, flags: c_int) -> usize {
    let pairs = [
        (protection, libc::PROT_READ, redox::MapFlags::PROT_READ),
        (protection, libc::PROT_WRITE, redox::MapFlags::PROT_WRITE),
        (protection, libc::PROT_EXEC, redox::MapFlags::PROT_EXEC),
        (flags, libc::MAP_SHARED, redox::MapFlags::MAP_SHARED),
        (flags, libc::MAP_PRIVATE, redox::MapFlags::MAP_PRIVATE),
        (flags, libc::MAP_FIXED, redox::MapFlags::MAP_FIXED),
    ];
    let set = pairs.into_iter().filter(|(of, linux, _)| of & linux != 0);
    set.fold(0, |all, (_, _, redox)| all | redox.bits())
}

/// The flags of an open file, as `F_SETFL` takes them.
pub(crate) fn fcntl_flags_to_redox(linux: c_int) -> usize {
    let mut flags = match linux & libc::O_ACCMODE {
        libc::O_RDONLY => redox::O_RDONLY,
        libc::O_WRONLY => redox::O_WRONLY,
        _ => redox::O_RDWR,
    };
    for (from, to) in PAIRS {
        if linux & from != 0 {
            flags |= to;
        }
    }
    if linux & libc::O_SYNC != 0 {
        flags |= redox::O_FSYNC;
    }
    flags
}

/// The flags of an open file, as `F_GETFL` answers them.
pub(crate) fn fcntl_flags_to_linux(flags: usize) -> c_int {
    let mut linux = match flags & redox::O_ACCMODE {
        redox::O_WRONLY => libc::O_WRONLY,
        redox::O_RDWR => libc::O_RDWR,
        _ => libc::O_RDONLY,
    };
    for (to, from) in PAIRS {
        if flags & from != 0 {
            linux |= to;
        }
    }
    if flags & redox::O_FSYNC != 0 {
        linux |= libc::O_SYNC;
    }
    if flags & redox::O_STAT != 0 {
        linux |= libc::O_PATH;
    }
    linux
}

/// A scheme's error number as a Linux program knows it.
pub(crate) fn errno_to_linux(redox: i32) -> i32 {
    match redox {
        syscall::error::EWOULDBLOCK => libc::EWOULDBLOCK,
        syscall::error::EDEADLOCK => libc::EDEADLOCK,
        other => other,
    }
}

/// The clock that `clock_gettime` is asked for: `libredox::flag`'s number, and Redox' number of the
/// monotonic clock, which Linux uses for a clock of the same kind.
pub(crate) fn clock(number: usize) -> Option<libc::clockid_t> {
    match number {
        0 => Some(libc::CLOCK_REALTIME),
        1 | redox::CLOCK_MONOTONIC => Some(libc::CLOCK_MONOTONIC),
        _ => None,
    }
}

/// The clock that a path below `/scheme/time` names, with Redox' number.
pub(crate) fn clock_of_path(number: usize) -> Option<libc::clockid_t> {
    match number {
        redox::CLOCK_REALTIME => Some(libc::CLOCK_REALTIME),
        redox::CLOCK_MONOTONIC => Some(libc::CLOCK_MONOTONIC),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linux_number_of_o_path_never_reaches_a_scheme_as_o_exlock() {
        let flags = open_flags_to_redox(libc::O_PATH);
        assert_eq!(flags, redox::O_STAT);
    }

    #[test]
    fn o_rdonly_is_zero_on_linux_and_a_bit_on_redox() {
        assert_eq!(open_flags_to_redox(libc::O_RDONLY), redox::O_RDONLY);
        assert_eq!(
            open_flags_to_redox(libc::O_RDWR | libc::O_CREAT),
            redox::O_RDWR | redox::O_CREAT
        );
    }

    #[test]
    fn status_flags_survive_the_way_to_redox_and_back() {
        let linux = libc::O_RDWR | libc::O_NONBLOCK | libc::O_APPEND | libc::O_SYNC;
        assert_eq!(fcntl_flags_to_linux(fcntl_flags_to_redox(linux)), linux);
    }

    #[test]
    fn the_two_error_numbers_that_differ_are_translated() {
        assert_eq!(errno_to_linux(41), libc::EAGAIN);
        assert_eq!(errno_to_linux(58), libc::EDEADLK);
        assert_eq!(errno_to_linux(34), libc::ERANGE);
    }
}
