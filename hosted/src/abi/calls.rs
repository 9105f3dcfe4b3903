//! Calls with metadata: a scheme's own, the standard library's on files, and those on a scheme
//! socket.

use std::mem;
use std::os::fd::{IntoRawFd, RawFd};

use syscall::data::{Stat, StatVfs, TimeSpec};
use syscall::dirent::DirentHeader;
use syscall::flag::{CallFlags, SchemeSocketCall, SendFdFlags, StdFsCallKind};
use syscall::schemev2::{Cqe, Opcode, Sqe};

use super::files::{close, not_a_scheme};
use super::{raw_fd, slice, slice_mut};
use crate::client::{Handle, Payload};
use crate::errno::{Errno, Result, check, mux};
use crate::locals::{self, Local};
use crate::server::{self, SocketId};
use crate::wire::INLINE_MAX;

/// Words of metadata that a scheme sees.
const METADATA_WORDS: usize = 3;
const FD_SIZE: usize = size_of::<usize>();

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_sys_call_v0(
    fd: usize,
    payload: *mut u8,
    payload_len: usize,
    flags: usize,
    metadata: *const u64,
    metadata_len: usize,
) -> usize {
    let flags = CallFlags::from_bits_retain(flags);
    let mut words = [0; METADATA_WORDS];
    mux((|| {
        if metadata_len > METADATA_WORDS {
            return Err(Errno(libc::EINVAL));
        }
        for (i, word) in words.iter_mut().enumerate().take(metadata_len) {
            // SAFETY: see the module `abi`; `i` is below `metadata_len`.
            *word = unsafe { metadata.add(i).read() };
        }
        let fd = raw_fd(fd)?;
        let read = flags.contains(CallFlags::READ);
        let write = flags.contains(CallFlags::WRITE);
        // SAFETY: see the module `abi`; memory that is not read into is only looked at.
        let payload = unsafe {
            match (read, write) {
                (true, true) => Payload::InOut(slice_mut(payload, payload_len)),
                (true, false) => Payload::Out(slice_mut(payload, payload_len)),
                (false, true) => Payload::In(slice(payload, payload_len)),
                (false, false) => Payload::None,
            }
        };
        if let Some(Local::SchemeSocket(socket)) = locals::get(fd) {
            return call_scheme_socket(socket, flags, words, payload);
        }
        if let Some(Local::Namespace(_)) = locals::get(fd) {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let handle = Handle::of(fd).map_err(not_a_scheme)?;
        let answer = match payload {
            Payload::In(fds) if flags.contains(CallFlags::FD) => {
                send_fds(handle, flags, words, fds)
            }
            Payload::Out(fds) if flags.contains(CallFlags::FD) => {
                receive_fds(handle, flags, words, fds)
            }
            payload => {
                let std_fs = flags.contains(CallFlags::STD_FS);
                let opcode = if std_fs { Opcode::StdFsCall } else { Opcode::Call };
                handle.request(opcode as u8, words, payload).map(|answer| answer.value)
            }
        };
        if flags.contains(CallFlags::CONSUME) {
            close(fd)?;
        }
        answer
    })())
}

/// A list of descriptors, as it lies in a payload.
fn parse_fds(bytes: &[u8]) -> Result<Vec<RawFd>> {
    if !bytes.len().is_multiple_of(FD_SIZE) {
        return Err(Errno(libc::EINVAL));
    }
    bytes
        .chunks_exact(FD_SIZE)
        .map(|chunk| {
            let mut word = [0; FD_SIZE];
            word.copy_from_slice(chunk);
            raw_fd(usize::from_ne_bytes(word))
        })
        .collect()
}

/// Writes descriptors into a payload; they are the caller's from then on.
fn put_fds(fds: Vec<std::os::fd::OwnedFd>, bytes: &mut [u8]) -> usize {
    let count = fds.len().min(bytes.len() / FD_SIZE);
    for (fd, chunk) in fds.into_iter().zip(bytes.chunks_exact_mut(FD_SIZE)) {
        chunk.copy_from_slice(&(fd.into_raw_fd() as usize).to_ne_bytes());
    }
    count
}

/// Without FD_CLONE the descriptors leave the caller.
fn send_fds(
    handle: Handle,
    flags: CallFlags,
    metadata: [u64; METADATA_WORDS],
    fds: &[u8],
) -> Result<usize> {
    let fds = parse_fds(fds)?;
    let mut send = SendFdFlags::empty();
    send.set(SendFdFlags::EXCLUSIVE, flags.contains(CallFlags::FD_EXCLUSIVE));
    send.set(SendFdFlags::CLONE, flags.contains(CallFlags::FD_CLONE));
    let answer = handle.send_fds([send.bits() as u64, metadata[0], 0], &fds)?;
    if !flags.contains(CallFlags::FD_CLONE) {
        for fd in fds {
            close(fd)?;
        }
    }
    Ok(answer.value)
}

fn receive_fds(
    handle: Handle,
    flags: CallFlags,
    metadata: [u64; METADATA_WORDS],
    fds: &mut [u8],
) -> Result<usize> {
    let count = fds.len() / FD_SIZE;
    let answer = handle.receive_fds([0, metadata[0], metadata[1]], count)?;
    if !flags.contains(CallFlags::FD_CLOEXEC) {
        for fd in &answer.fds {
            use std::os::fd::AsRawFd;
            // SAFETY: takes no pointers.
            check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) })?;
        }
    }
    Ok(put_fds(answer.fds, fds))
}

fn call_scheme_socket(
    socket: SocketId,
    flags: CallFlags,
    metadata: [u64; METADATA_WORDS],
    payload: Payload<'_>,
) -> Result<usize> {
    if !flags.contains(CallFlags::FD) {
        let Payload::InOut(buffer) = payload else { return Err(Errno(libc::EINVAL)) };
        return respond_and_read(socket, buffer, metadata);
    }
    match (SchemeSocketCall::try_from_raw(metadata[0] as usize), payload) {
        (Some(SchemeSocketCall::ObtainFd), Payload::Out(fds)) => {
            let obtained = server::obtain_fds(metadata[1], fds.len() / FD_SIZE)?;
            Ok(put_fds(obtained, fds))
        }
        (Some(SchemeSocketCall::MoveFd), Payload::In(fds)) => {
            let fds = parse_fds(fds)?;
            server::move_fds(metadata[1], server::duplicate(&fds)?)?;
            if !flags.contains(CallFlags::FD_CLONE) {
                for fd in &fds {
                    close(*fd)?;
                }
            }
            Ok(fds.len())
        }
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// Writes answers from a buffer and reads requests into it; answers how many of both.
fn respond_and_read(
    socket: SocketId,
    buffer: &mut [u8],
    [verb, writes, reads]: [u64; METADATA_WORDS],
) -> Result<usize> {
    let bytes = |count: u64, size: usize| {
        let bytes = usize::try_from(count).ok()?.checked_mul(size)?;
        (bytes <= buffer.len()).then_some(bytes)
    };
    let (Some(answers), Some(requests), 0) =
        (bytes(writes, size_of::<Cqe>()), bytes(reads, size_of::<Sqe>()), verb)
    else {
        return Err(Errno(libc::EINVAL));
    };
    let written = server::write(socket, &buffer[..answers])? / size_of::<Cqe>();
    if requests == 0 {
        return Ok(written);
    }
    match server::read(socket, &mut buffer[..requests]) {
        Ok(read) => Ok(written + read / size_of::<Sqe>()),
        // What was written is; who asks again must not write it twice.
        Err(Errno(libc::EAGAIN | libc::EINTR)) if written > 0 => Ok(written),
        Err(error) => Err(error),
    }
}

/// A call of the standard library's on a file. `None` if the file is an ordinary one.
fn std_fs(
    fd: RawFd,
    kind: StdFsCallKind,
    args: [u64; 2],
    payload: Payload<'_>,
) -> Result<Option<usize>> {
    match Handle::of(fd) {
        Ok(handle) => {
            let words = [kind as u64, args[0], args[1]];
            Ok(Some(handle.request(Opcode::StdFsCall as u8, words, payload)?.value))
        }
        Err(Errno(libc::ENOTSOCK)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fstat_v1(fd: usize, dst: *mut libc::stat) -> usize {
    mux((|| {
        let fd = raw_fd(fd)?;
        let mut stat = Stat::default();
        match std_fs(fd, StdFsCallKind::Fstat, [0; 2], Payload::Out(&mut stat))? {
            // SAFETY: see the module `abi`; the kernel fills all of it.
            None => check(unsafe { libc::fstat(fd, dst) })?,
            Some(_) => {
                // SAFETY: see the module `abi`.
                unsafe { dst.write(stat_to_linux(&stat)) };
                0
            }
        };
        Ok(0)
    })())
}

fn stat_to_linux(stat: &Stat) -> libc::stat {
    // SAFETY: stat is plain data, for which all zeros are valid.
    let mut linux: libc::stat = unsafe { mem::zeroed() };
    linux.st_dev = stat.st_dev;
    linux.st_ino = stat.st_ino;
    linux.st_mode = u32::from(stat.st_mode);
    linux.st_nlink = u64::from(stat.st_nlink);
    linux.st_uid = stat.st_uid;
    linux.st_gid = stat.st_gid;
    linux.st_size = stat.st_size as i64;
    linux.st_blksize = i64::from(stat.st_blksize);
    linux.st_blocks = stat.st_blocks as i64;
    linux.st_mtime = stat.st_mtime as i64;
    linux.st_mtime_nsec = i64::from(stat.st_mtime_nsec);
    linux.st_atime = stat.st_atime as i64;
    linux.st_atime_nsec = i64::from(stat.st_atime_nsec);
    linux.st_ctime = stat.st_ctime as i64;
    linux.st_ctime_nsec = i64::from(stat.st_ctime_nsec);
    linux
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fstatvfs_v1(fd: usize, dst: *mut libc::statvfs) -> usize {
    mux((|| {
        let fd = raw_fd(fd)?;
        let mut stat = StatVfs::default();
        match std_fs(fd, StdFsCallKind::Fstatvfs, [0; 2], Payload::Out(&mut stat))? {
            // SAFETY: see the module `abi`; the kernel fills all of it.
            None => check(unsafe { libc::fstatvfs(fd, dst) })?,
            Some(_) => {
                // SAFETY: statvfs is plain data, for which all zeros are valid.
                let mut linux: libc::statvfs = unsafe { mem::zeroed() };
                linux.f_bsize = u64::from(stat.f_bsize);
                linux.f_frsize = u64::from(stat.f_bsize);
                linux.f_blocks = stat.f_blocks;
                linux.f_bfree = stat.f_bfree;
                linux.f_bavail = stat.f_bavail;
                // SAFETY: see the module `abi`.
                unsafe { dst.write(linux) };
                0
            }
        };
        Ok(0)
    })())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_getdents_v0(
    fd: usize,
    buf: *mut u8,
    buf_len: usize,
    opaque: u64,
) -> usize {
    // A listing is read in pieces anyway, and std-fs calls travel inline.
    // SAFETY: see the module `abi`.
    let buffer = unsafe { slice_mut(buf, buf_len.min(INLINE_MAX)) };
    mux((|| {
        let args = [opaque, size_of::<DirentHeader>() as u64];
        std_fs(raw_fd(fd)?, StdFsCallKind::Getdents, args, Payload::Out(buffer))?
            .ok_or(Errno(libc::EOPNOTSUPP))
    })())
}

/// A std-fs call without payload, or `linux` on an ordinary file.
fn simple(
    fd: usize,
    kind: StdFsCallKind,
    arg: u64,
    linux: impl FnOnce(RawFd) -> libc::c_int,
) -> usize {
    mux((|| {
        let fd = raw_fd(fd)?;
        match std_fs(fd, kind, [arg, 0], Payload::None)? {
            Some(value) => Ok(value),
            None => Ok(check(linux(fd))? as usize),
        }
    })())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fsync_v1(fd: usize) -> usize {
    // SAFETY: takes no pointers.
    simple(fd, StdFsCallKind::Fsync, 0, |fd| unsafe { libc::fsync(fd) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fdatasync_v1(fd: usize) -> usize {
    // SAFETY: takes no pointers.
    simple(fd, StdFsCallKind::Fsync, 0, |fd| unsafe { libc::fdatasync(fd) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_ftruncate_v0(fd: usize, len: usize) -> usize {
    // SAFETY: takes no pointers.
    simple(fd, StdFsCallKind::Ftruncate, len as u64, |fd| unsafe {
        libc::ftruncate(fd, len as libc::off_t)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fchmod_v1(fd: usize, new_mode: u16) -> usize {
    // SAFETY: takes no pointers.
    simple(fd, StdFsCallKind::Fchmod, u64::from(new_mode), |fd| unsafe {
        libc::fchmod(fd, u32::from(new_mode))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_fchown_v1(fd: usize, new_uid: u32, new_gid: u32) -> usize {
    mux((|| {
        let fd = raw_fd(fd)?;
        // relibc uses the old opcode here, not a std-fs call.
        match Handle::of(fd) {
            Ok(handle) => {
                let args = [u64::from(new_uid), u64::from(new_gid), 0];
                Ok(handle.request(Opcode::Fchown as u8, args, Payload::None)?.value)
            }
            Err(Errno(libc::ENOTSOCK)) => {
                // SAFETY: takes no pointers.
                Ok(check(unsafe { libc::fchown(fd, new_uid, new_gid) })? as usize)
            }
            Err(error) => Err(error),
        }
    })())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn redox_futimens_v1(fd: usize, times: *const libc::timespec) -> usize {
    mux((|| {
        let fd = raw_fd(fd)?;
        let given = if times.is_null() {
            let now = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW };
            [now, now]
        } else {
            // SAFETY: libredox gives two.
            unsafe { times.cast::<[libc::timespec; 2]>().read() }
        };
        let mut bytes = [0; 2 * size_of::<TimeSpec>()];
        for (chunk, time) in bytes.chunks_exact_mut(size_of::<TimeSpec>()).zip(&given) {
            let nanoseconds = time.tv_nsec as i32;
            chunk.copy_from_slice(&TimeSpec { tv_sec: time.tv_sec, tv_nsec: nanoseconds });
        }
        match std_fs(fd, StdFsCallKind::Futimens, [0; 2], Payload::In(&bytes))? {
            Some(value) => Ok(value),
            // SAFETY: two times, as futimens takes them.
            None => Ok(check(unsafe { libc::futimens(fd, given.as_ptr()) })? as usize),
        }
    })())
}
