//! Symbols that work on open files.

use std::os::fd::{IntoRawFd, RawFd};

use syscall::flag as redox;
use syscall::schemev2::Opcode;

use super::{raw_fd, slice, slice_mut, text};
use crate::client::{self, Handle, Payload};
use crate::errno::{Errno, Result, check, mux};
use crate::locals::{self, Local};
use crate::mappings::{self, Wanted};
use crate::wire::PAYLOAD_MAX;
use crate::{flags, kernel_schemes, paths, server};

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_open_v1(
    path_base: *const u8,
    path_len: usize,
    flags: u32,
    mode: u16,
) -> usize {
    // SAFETY: see the module `abi`.
    let path = unsafe { text(path_base, path_len) };
    mux(path.and_then(|path| Ok(paths::open(path, flags as i32, mode)? as usize)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_openat_v1(
    fd: usize,
    path_base: *const u8,
    path_len: usize,
    flags: u32,
    fcntl_flags: u32,
) -> usize {
    // SAFETY: see the module `abi`.
    let path = unsafe { text(path_base, path_len) };
    mux(path.and_then(|path| {
        Ok(paths::open_at(raw_fd(fd)?, path, flags as i32, fcntl_flags as i32)? as usize)
    }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_dup_v1(fd: usize, buf: *const u8, len: usize) -> usize {
    // SAFETY: see the module `abi`.
    let payload = unsafe { slice(buf, len) };
    mux(raw_fd(fd).and_then(|fd| Ok(dup(fd, payload)? as usize)))
}

/// An empty payload never reaches a scheme: it is one more descriptor of the same open file.
fn dup(fd: RawFd, payload: &[u8]) -> Result<RawFd> {
    match locals::get(fd) {
        Some(Local::SchemeCreation) if payload == b"create-scheme" => {
            let (socket, fd) = server::create()?;
            locals::insert(fd, Local::SchemeSocket(socket));
            return Ok(fd);
        }
        Some(Local::SchemeSocket(socket)) => {
            let (handle, number) = server::create_handle(socket, payload)?;
            let fd = handle.into_raw_fd();
            locals::insert(fd, Local::SchemeRoot { socket, number });
            return Ok(fd);
        }
        _ => {}
    }
    if payload.is_empty() {
        // SAFETY: takes no pointers.
        return check(unsafe { libc::dup(fd) });
    }
    let mut answer = Handle::of(fd).map_err(not_a_scheme)?.request(
        Opcode::Dup as u8,
        [0; 3],
        Payload::In(payload),
    )?;
    client::hand_out(client::one_fd(&mut answer)?, false)
}

/// What a scheme's operation answers on an ordinary file.
pub(super) fn not_a_scheme(error: Errno) -> Errno {
    if error.0 == libc::ENOTSOCK { Errno(libc::EOPNOTSUPP) } else { error }
}

#[unsafe(no_mangle)]
extern "C" fn redox_mmap_v1(
    _address: *mut (),
    len: usize,
    protection: u32,
    flags: u32,
    fd: usize,
    offset: u64,
) -> usize {
    mux((|| {
        if flags as libc::c_int & libc::MAP_FIXED != 0 {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let wanted = Wanted {
            len,
            protection: protection as libc::c_int,
            flags: flags as libc::c_int,
            offset: libc::off_t::try_from(offset).map_err(|_| Errno(libc::EINVAL))?,
        };
        if fd == usize::MAX { wanted.map_memory() } else { wanted.map_file(raw_fd(fd)?) }
    })())
}

#[unsafe(no_mangle)]
extern "C" fn redox_munmap_v1(address: *mut (), len: usize) -> usize {
    mux(mappings::unmap(address.addr(), len).map(|()| 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_dup2_v1(
    old_fd: usize,
    new_fd: usize,
    buf: *const u8,
    len: usize,
) -> usize {
    // SAFETY: see the module `abi`.
    let payload = unsafe { slice(buf, len) };
    mux((|| {
        let (old, new) = (raw_fd(old_fd)?, raw_fd(new_fd)?);
        if payload.is_empty() {
            locals::remove(new);
            // SAFETY: takes no pointers.
            return Ok(check(unsafe { libc::dup2(old, new) })? as usize);
        }
        let made = dup(old, payload)?;
        locals::remove(new);
        // SAFETY: takes no pointers.
        let moved = check(unsafe { libc::dup2(made, new) });
        close(made)?;
        Ok(moved? as usize)
    })())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_close_v1(fd: usize) -> usize {
    mux(raw_fd(fd).and_then(|fd| close(fd).map(|()| 0)))
}

pub(super) fn close(fd: RawFd) -> Result<()> {
    if let Some(Local::SchemeSocket(socket)) = locals::remove(fd) {
        server::close(socket);
        return Ok(());
    }
    // SAFETY: the caller gives the descriptor up.
    check(unsafe { libc::close(fd) })?;
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_read_v1(fd: usize, dst_base: *mut u8, dst_len: usize) -> usize {
    // SAFETY: see the module `abi`.
    let buffer = unsafe { slice_mut(dst_base, dst_len) };
    mux(raw_fd(fd).and_then(|fd| read(fd, buffer)))
}

fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    match locals::get(fd) {
        Some(Local::SchemeSocket(socket)) => return server::read(socket, buffer),
        Some(Local::Timer(clock)) => return kernel_schemes::read_timer(fd, clock, buffer),
        _ => {}
    }
    match Handle::of(fd) {
        Ok(handle) => {
            let len = buffer.len().min(PAYLOAD_MAX);
            let payload = Payload::Out(&mut buffer[..len]);
            Ok(handle.request(Opcode::Read as u8, [0; 3], payload)?.value.min(len))
        }
        Err(Errno(libc::ENOTSOCK)) => kernel_schemes::read_file(fd, buffer),
        Err(error) => Err(error),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_write_v1(fd: usize, src_base: *const u8, src_len: usize) -> usize {
    // SAFETY: see the module `abi`.
    let bytes = unsafe { slice(src_base, src_len) };
    mux(raw_fd(fd).and_then(|fd| write(fd, bytes)))
}

fn write(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    match locals::get(fd) {
        Some(Local::SchemeSocket(socket)) => return server::write(socket, bytes),
        Some(Local::Timer(_)) => return kernel_schemes::write_timer(fd, bytes),
        _ => {}
    }
    match Handle::of(fd) {
        Ok(handle) => {
            let payload = Payload::In(&bytes[..bytes.len().min(PAYLOAD_MAX)]);
            Ok(handle.request(Opcode::Write as u8, [0; 3], payload)?.value)
        }
        Err(Errno(libc::ENOTSOCK)) => kernel_schemes::write_file(fd, bytes),
        Err(error) => Err(error),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fpath_v1(fd: usize, dst_base: *mut u8, dst_len: usize) -> usize {
    // SAFETY: see the module `abi`.
    let buffer = unsafe { slice_mut(dst_base, dst_len) };
    mux(raw_fd(fd).and_then(|fd| match Handle::of(fd) {
        Ok(handle) => {
            let answer = handle.request(Opcode::Fpath as u8, [0; 3], Payload::Out(buffer))?;
            Ok(answer.value)
        }
        Err(Errno(libc::ENOTSOCK)) => file_path(fd, buffer),
        Err(error) => Err(error),
    }))
}

fn file_path(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}"))?;
    let path = path.as_os_str().as_encoded_bytes();
    let len = path.len().min(buffer.len());
    buffer[..len].copy_from_slice(&path[..len]);
    Ok(len)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fcntl_v0(fd: usize, cmd: usize, arg: usize) -> usize {
    mux(raw_fd(fd).and_then(|fd| fcntl(fd, cmd, arg)))
}

fn fcntl(fd: RawFd, cmd: usize, arg: usize) -> Result<usize> {
    if let Some(Local::SchemeSocket(socket)) = locals::get(fd) {
        return fcntl_scheme_socket(fd, socket, cmd, arg);
    }
    let command = cmd as libc::c_int;
    match command {
        // On Redox the argument is O_CLOEXEC itself.
        libc::F_SETFD => {
            let on = arg & (libc::O_CLOEXEC | libc::FD_CLOEXEC) as usize != 0;
            return fcntl_linux(fd, command, if on { libc::FD_CLOEXEC as usize } else { 0 });
        }
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC | libc::F_GETFD => {
            return fcntl_linux(fd, command, arg);
        }
        _ => {}
    }
    let handle = match Handle::of(fd) {
        Ok(handle) => handle,
        Err(Errno(libc::ENOTSOCK)) => return fcntl_linux(fd, command, arg),
        Err(error) => return Err(error),
    };
    let arg = match cmd {
        redox::F_SETFL => flags::fcntl_flags_to_redox(arg as libc::c_int),
        _ => arg,
    };
    let args = [cmd as u64, arg as u64, 0];
    let value = handle.request(Opcode::Fcntl as u8, args, Payload::None)?.value;
    Ok(match cmd {
        redox::F_GETFL => flags::fcntl_flags_to_linux(value) as usize,
        _ => value,
    })
}

fn fcntl_scheme_socket(
    fd: RawFd,
    socket: server::SocketId,
    cmd: usize,
    arg: usize,
) -> Result<usize> {
    match cmd as libc::c_int {
        libc::F_SETFL => {
            let nonblocking = arg & libc::O_NONBLOCK as usize != 0;
            server::set_nonblocking(socket, nonblocking).map(|()| 0)
        }
        libc::F_GETFL => {
            let nonblocking = server::is_nonblocking(socket)?;
            Ok((libc::O_RDWR | if nonblocking { libc::O_NONBLOCK } else { 0 }) as usize)
        }
        // It stays close-on-exec: another program could not serve it.
        libc::F_SETFD => Ok(0),
        libc::F_GETFD => fcntl_linux(fd, libc::F_GETFD, 0),
        _ => Err(Errno(libc::EINVAL)),
    }
}

fn fcntl_linux(fd: RawFd, command: libc::c_int, arg: usize) -> Result<usize> {
    // SAFETY: the commands that take a pointer are not among those that libredox can mean.
    Ok(check(unsafe { libc::fcntl(fd, command, arg) })? as usize)
}
