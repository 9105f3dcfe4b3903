//! Symbols that are not about one file: identity, clocks, texts, event queues, namespaces.

use std::os::fd::{FromRawFd, OwnedFd};

use super::{raw_fd, slice_mut, text};
use crate::errno::{Errno, check, mux};
use crate::event::{self, RawEvent};
use crate::locals::{self, Local};
use crate::{flags, kernel_schemes, namespace, server};

#[unsafe(no_mangle)]
extern "C" fn redox_get_pid_v1() -> usize {
    std::process::id() as usize
}

#[unsafe(no_mangle)]
extern "C" fn redox_get_euid_v1() -> usize {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() as usize }
}

#[unsafe(no_mangle)]
extern "C" fn redox_get_ruid_v1() -> usize {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getuid() as usize }
}

#[unsafe(no_mangle)]
extern "C" fn redox_get_egid_v1() -> usize {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getegid() as usize }
}

#[unsafe(no_mangle)]
extern "C" fn redox_get_rgid_v1() -> usize {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getgid() as usize }
}

#[unsafe(no_mangle)]
extern "C" fn redox_kill_v1(pid: usize, signal: u32) -> usize {
    // SAFETY: takes no pointers. A negative pid, a group, keeps its meaning.
    let result = unsafe { libc::kill(pid as isize as libc::pid_t, signal as libc::c_int) };
    mux(check(result).map(|_| 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_waitpid_v1(pid: usize, status: *mut i32, options: u32) -> usize {
    let pid = pid as isize as libc::pid_t;
    // SAFETY: libredox gives a reference for the status.
    mux(check(unsafe { libc::waitpid(pid, status, options as libc::c_int) })
        .map(|pid| pid as usize))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_clock_gettime_v1(clock: usize, ts: *mut libc::timespec) -> usize {
    mux((|| {
        let clock = flags::clock(clock).ok_or(Errno(libc::EINVAL))?;
        let now = kernel_schemes::clock_gettime(clock)?;
        // SAFETY: libredox gives memory for one timespec.
        unsafe { ts.write(now) };
        Ok(0)
    })())
}

/// Copies an error's text; `dst_len` becomes its whole length, the answer what was copied.
#[unsafe(no_mangle)]
unsafe extern "C" fn redox_strerror_v1(dst: *mut u8, dst_len: *mut usize, error: u32) -> usize {
    mux((|| {
        let text = syscall::error::STR_ERROR.get(error as usize).ok_or(Errno(libc::EINVAL))?;
        // SAFETY: libredox gives a buffer and a reference to its length.
        let buffer = unsafe {
            let buffer = slice_mut(dst, dst_len.read());
            dst_len.write(text.len());
            buffer
        };
        // The texts are ASCII: any cut is between characters.
        let len = text.len().min(buffer.len());
        buffer[..len].copy_from_slice(&text.as_bytes()[..len]);
        Ok(len)
    })())
}

#[unsafe(no_mangle)]
extern "C" fn redox_event_queue_create_v1(flags: u32) -> usize {
    if flags != 0 {
        return mux(Err(Errno(libc::EINVAL)));
    }
    mux(event::create().map(|fd| fd as usize))
}

/// A signal set is not taken: `redox_event` has none to give.
#[unsafe(no_mangle)]
unsafe extern "C" fn redox_event_queue_get_events_v1(
    queue: usize,
    buf: *mut RawEvent,
    buf_count: usize,
    flags: u32,
    timeout: *const libc::timespec,
    sigset: *const u64,
) -> usize {
    mux((|| {
        if flags != 0 || !sigset.is_null() {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: null or one timespec.
        let timeout = unsafe { timeout.as_ref() }.copied();
        event::wait(raw_fd(queue)?, buf_count, timeout, |index, event| {
            // SAFETY: `index` is below `buf_count`, for so many the caller gives memory.
            unsafe { buf.add(index).write(event) };
        })
    })())
}

#[unsafe(no_mangle)]
extern "C" fn redox_event_queue_ctl_v1(
    queue: usize,
    fd: usize,
    flags: u32,
    user_data: usize,
) -> usize {
    mux((|| {
        event::control(raw_fd(queue)?, raw_fd(fd)?, flags, user_data)?;
        Ok(0)
    })())
}

#[unsafe(no_mangle)]
extern "C" fn redox_event_queue_destroy_v1(queue: usize) -> usize {
    mux(raw_fd(queue).and_then(|queue| event::destroy(queue).map(|()| 0)))
}

#[unsafe(no_mangle)]
extern "C" fn redox_get_ns_v0() -> usize {
    mux(namespace::current().map(|fd| fd as usize))
}

#[unsafe(no_mangle)]
extern "C" fn redox_get_ens_v0() -> usize {
    redox_get_ns_v0()
}

#[unsafe(no_mangle)]
extern "C" fn redox_setns_v0(fd: usize) -> usize {
    mux(raw_fd(fd).and_then(|fd| Ok(namespace::set(fd)? as usize)))
}

/// Zero is the namespace in which nothing can be opened by path.
#[unsafe(no_mangle)]
extern "C" fn redox_setrens_v1(_rns: usize, ens: usize) -> usize {
    mux((|| {
        let fd = if ens == 0 { namespace::make(&[])? } else { raw_fd(ens)? };
        namespace::set(fd)?;
        Ok(0)
    })())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_mkns_v1(
    names: *const libc::iovec,
    num_names: usize,
    flags: u32,
) -> usize {
    mux((|| {
        if flags != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let names = (0..num_names)
            .map(|i| {
                // SAFETY: libredox gives `num_names` slices of bytes.
                unsafe {
                    let name = names.add(i).read();
                    text(name.iov_base.cast(), name.iov_len)
                }
            })
            .collect::<Result<Vec<&str>, Errno>>()?;
        Ok(namespace::make(&names)? as usize)
    })())
}

/// In the root directory's namespace a name gets a socket, and the descriptor must be a root of one
/// of this process's scheme sockets; in one made by mkns it may be any descriptor.
#[unsafe(no_mangle)]
unsafe extern "C" fn redox_register_scheme_to_ns_v0(
    ns_fd: usize,
    name_base: *const u8,
    name_len: usize,
    cap_fd: usize,
) -> usize {
    mux((|| {
        // SAFETY: libredox gives a string.
        let name = unsafe { text(name_base, name_len)? };
        let Some(Local::Namespace(names)) = locals::get(raw_fd(ns_fd)?) else {
            return Err(Errno(libc::EBADF));
        };
        let fd = raw_fd(cap_fd)?;
        if namespace::bind(&names, name, fd)? {
            locals::remove(fd);
            return Ok(0);
        }
        let Some(Local::SchemeRoot { socket, number }) = locals::get(fd) else {
            return Err(Errno(libc::EBADF));
        };
        locals::remove(fd);
        // SAFETY: the caller gives the descriptor away, as it does to Redox' namespace manager.
        let root = unsafe { OwnedFd::from_raw_fd(fd) };
        server::register(socket, name, number, root)?;
        Ok(0)
    })())
}
