//! Linux system calls that the standard library does not have: messages with descriptors and
//! credentials, socket pairs, epoll, sealed memory.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Once;

use crate::errno::{Errno, Result, check, check_len};
use crate::wire::FDS_MAX;

/// Words of control data that a message may bring: credentials and [`FDS_MAX`] descriptors.
const CONTROL_WORDS: usize = 4 + 2 + FDS_MAX.div_ceil(2);

type Control = [u64; CONTROL_WORDS];

/// Who a process says it is: effective ids, which the kernel checks when it takes them.
pub(crate) fn own_credentials() -> libc::ucred {
    // SAFETY: these calls take nothing and cannot fail.
    unsafe { libc::ucred { pid: libc::getpid(), uid: libc::geteuid(), gid: libc::getegid() } }
}

/// Sends one message, whole or not at all; never raises SIGPIPE.
pub(crate) fn send(
    socket: RawFd,
    parts: &[IoSlice<'_>],
    credentials: Option<libc::ucred>,
    fds: &[RawFd],
    flags: libc::c_int,
) -> Result<()> {
    let mut control: Control = [0; CONTROL_WORDS];
    // SAFETY: msghdr is plain data, for which all zeros are valid.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len();
    if credentials.is_some() || !fds.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = write_control(&mut control, credentials, fds)?;
    }
    // SAFETY: the message points to `parts` and `control`, which outlive the call.
    check_len(unsafe { libc::sendmsg(socket, &message, flags | libc::MSG_NOSIGNAL) })?;
    Ok(())
}

fn write_control(
    control: &mut Control,
    credentials: Option<libc::ucred>,
    fds: &[RawFd],
) -> Result<usize> {
    if fds.len() > FDS_MAX {
        return Err(Errno(libc::EINVAL));
    }
    let mut at = control.as_mut_ptr().cast::<u8>();
    let mut total = 0;
    let mut put = |kind: libc::c_int, data: *const u8, len: usize| {
        // SAFETY: CONTROL_WORDS has room for credentials and FDS_MAX descriptors, each with its
        // header, and no more is written; `at` stays aligned because CMSG_SPACE is.
        unsafe {
            let header = at.cast::<libc::cmsghdr>();
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = libc::CMSG_LEN(len as u32) as usize;
            ptr::copy_nonoverlapping(data, libc::CMSG_DATA(header), len);
            let space = libc::CMSG_SPACE(len as u32) as usize;
            at = at.add(space);
            total += space;
        }
    };
    if let Some(credentials) = &credentials {
        let data: *const libc::ucred = credentials;
        put(libc::SCM_CREDENTIALS, data.cast(), mem::size_of::<libc::ucred>());
    }
    if !fds.is_empty() {
        put(libc::SCM_RIGHTS, fds.as_ptr().cast(), mem::size_of_val(fds));
    }
    Ok(total)
}

/// What came with a message.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Bytes, all parts together. 0 is an empty message or the end.
    pub(crate) len: usize,
    /// The kernel's word on the sender, where `SO_PASSCRED` is set.
    pub(crate) credentials: Option<libc::ucred>,
    pub(crate) fds: Vec<OwnedFd>,
    /// Bytes or descriptors did not fit and were dropped.
    pub(crate) truncated: bool,
}

/// Receives one message. Descriptors in it become close-on-exec.
pub(crate) fn receive(
    socket: RawFd,
    parts: &mut [IoSliceMut<'_>],
    flags: libc::c_int,
) -> Result<Received> {
    let mut control: Control = [0; CONTROL_WORDS];
    // SAFETY: msghdr is plain data, for which all zeros are valid.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr().cast();
    message.msg_iovlen = parts.len();
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of::<Control>();
    // SAFETY: the message points to `parts` and `control`, which outlive the call.
    let len =
        check_len(unsafe { libc::recvmsg(socket, &mut message, flags | libc::MSG_CMSG_CLOEXEC) })?;
    let mut received = Received { len, ..Received::default() };
    read_control(&message, &mut received);
    received.truncated = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(received)
}

fn read_control(message: &libc::msghdr, received: &mut Received) {
    // SAFETY: the kernel filled the control data that `message` points to, so that the headers
    // chain within msg_controllen and each is followed by its data; descriptors in it are new and
    // ours alone.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            let len = (*header).cmsg_len - libc::CMSG_LEN(0) as usize;
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    received.credentials = Some(data.cast::<libc::ucred>().read_unaligned());
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let fds = data.cast::<RawFd>();
                    for i in 0..len / mem::size_of::<RawFd>() {
                        let fd = fds.add(i).read_unaligned();
                        received.fds.push(OwnedFd::from_raw_fd(fd));
                    }
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

/// A SEQPACKET pair, close-on-exec, with `SO_PASSCRED` on both ends.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `fds` has room for the two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the kernel just made both, and nobody else has them.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    pass_credentials(ours.as_raw_fd())?;
    pass_credentials(theirs.as_raw_fd())?;
    Ok((ours, theirs))
}

/// An unconnected SEQPACKET socket, close-on-exec, with `SO_PASSCRED`.
pub(crate) fn socket() -> Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the kernel just made it, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    pass_credentials(fd)?;
    Ok(socket)
}

/// Takes one connection, close-on-exec, from a listening socket.
pub(crate) fn accept(listener: RawFd) -> Result<OwnedFd> {
    // SAFETY: without an address nothing is written; the descriptor is new and ours alone.
    unsafe {
        let fd = libc::accept4(listener, ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC);
        Ok(OwnedFd::from_raw_fd(check(fd)?))
    }
}

/// Makes received messages carry `SCM_CREDENTIALS`.
pub(crate) fn pass_credentials(socket: RawFd) -> Result<()> {
    let on: libc::c_int = 1;
    let on: *const libc::c_int = &on;
    // SAFETY: the option's value is a c_int, which `on` points to.
    check(unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            on.cast(),
            mem::size_of::<libc::c_int>() as u32,
        )
    })?;
    Ok(())
}

/// Reads a socket option of plain data.
fn socket_option<T: Default + Copy>(socket: RawFd, option: libc::c_int) -> Result<T> {
    let mut value = T::default();
    let mut len = mem::size_of::<T>() as libc::socklen_t;
    let at: *mut T = &mut value;
    // SAFETY: the kernel writes at most `len` bytes to `value`; T is an integer at every call.
    check(unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, option, at.cast(), &mut len) })?;
    Ok(value)
}

/// The kernel's number of a socket, never used again while the machine runs. ENOTSOCK for any other
/// file.
pub(crate) fn socket_cookie(fd: RawFd) -> Result<u64> {
    socket_option(fd, libc::SO_COOKIE)
}

/// Whether a socket is of the kind that handles are.
pub(crate) fn is_local_seqpacket(socket: RawFd) -> Result<bool> {
    Ok(socket_option::<libc::c_int>(socket, libc::SO_TYPE)? == libc::SOCK_SEQPACKET
        && socket_option::<libc::c_int>(socket, libc::SO_DOMAIN)? == libc::AF_UNIX)
}

/// Who made the other end of a pair, or listens on it.
pub(crate) fn peer_credentials(socket: RawFd) -> Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = mem::size_of::<libc::ucred>() as libc::socklen_t;
    let at: *mut libc::ucred = &mut peer;
    // SAFETY: the kernel writes at most `len` bytes to `peer`.
    check(unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, at.cast(), &mut len)
    })?;
    Ok(peer)
}

/// A Unix address from its path.
pub(crate) fn unix_address(path: &[u8]) -> Result<libc::sockaddr_un> {
    // SAFETY: sockaddr_un is plain data, for which all zeros are valid.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if path.len() >= address.sun_path.len() {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    Ok(address)
}

/// Binds or connects a socket.
pub(crate) fn with_address(
    socket: RawFd,
    path: &[u8],
    call: unsafe extern "C" fn(RawFd, *const libc::sockaddr, libc::socklen_t) -> libc::c_int,
) -> Result<()> {
    let address = unix_address(path)?;
    let at: *const libc::sockaddr_un = &address;
    let len = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: `call` is bind or connect, which read `len` bytes of the address.
    check(unsafe { call(socket, at.cast(), len) })?;
    Ok(())
}

/// A new epoll set, close-on-exec.
pub(crate) fn epoll() -> Result<OwnedFd> {
    // SAFETY: takes no pointers; the descriptor is new and ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?)) }
}

/// Adds, changes or removes a member of an epoll set.
pub(crate) fn epoll_control(
    epoll: RawFd,
    operation: libc::c_int,
    fd: RawFd,
    events: libc::c_int,
    data: u64,
) -> Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: data };
    // SAFETY: `event` outlives the call.
    check(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) })?;
    Ok(())
}

/// Waits for events; `timeout` is in milliseconds, -1 for ever.
pub(crate) fn epoll_wait(
    epoll: RawFd,
    events: &mut [libc::epoll_event],
    timeout: libc::c_int,
) -> Result<usize> {
    // SAFETY: the kernel writes at most `events.len()` events.
    let count = check(unsafe {
        libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as libc::c_int, timeout)
    })?;
    Ok(count as usize)
}

/// Waits until a descriptor has one of the events, or `timeout` milliseconds passed (-1: for ever).
/// Whether it has.
pub(crate) fn poll(fd: RawFd, events: libc::c_short, timeout: libc::c_int) -> Result<bool> {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry, which outlives the call.
    Ok(check(unsafe { libc::poll(&mut entry, 1, timeout) })? > 0)
}

/// An eventfd, non-blocking and close-on-exec.
pub(crate) fn event_fd() -> Result<OwnedFd> {
    // SAFETY: takes no pointers; the descriptor is new and ours alone.
    unsafe {
        let fd = check(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Raises the soft limit of open files to the hard one, once. Every handle is a descriptor on both
/// sides, and every calling thread one more.
pub(crate) fn raise_file_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` outlives both calls.
        unsafe {
            if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
                limit.rlim_cur = limit.rlim_max;
                // A refusal leaves the limit as it was, which is no error.
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
            }
        }
    });
}

/// How many files this process may have open.
pub(crate) fn file_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call, which on failure leaves it as it is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Random bytes from the kernel.
pub(crate) fn random_u64() -> Result<u64> {
    let mut bytes = [0_u8; 8];
    // SAFETY: the kernel writes at most 8 bytes; it never gives fewer for requests up to 256.
    check_len(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) })?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Seals that keep mapped memory from being taken away under the one who maps it.
const KEEPS_ITS_SIZE: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

/// Makes a memfd of `len` zero bytes that keeps its size.
pub(crate) fn sealed_memory(len: usize) -> Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; the descriptor is new and ours alone.
    let file = unsafe {
        let fd = check(libc::memfd_create(c"redox-payload".as_ptr(), flags))?;
        File::from_raw_fd(fd)
    };
    file.set_len(len as u64)?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, KEEPS_ITS_SIZE) })?;
    Ok(file)
}

/// Keeps everybody from writing a memfd, but through the mappings that there are already.
pub(crate) fn seal_for_others(memory: &File) -> Result<()> {
    let seals = libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// Whether `fd` is a memfd that has at least `len` bytes for as long as it exists. Mapping anything
/// else that a client sent would let the client end the daemon with SIGBUS.
pub(crate) fn keeps_its_size(fd: &File, len: usize) -> bool {
    // SAFETY: takes no pointers.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0
        && seals & KEEPS_ITS_SIZE == KEEPS_ITS_SIZE
        && fd.metadata().is_ok_and(|meta| meta.len() >= len as u64)
}

/// Shared, writable memory of a memfd, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// From mmap, `len` bytes long, until drop.
    address: *mut u8,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for Mapping {}

impl Mapping {
    pub(crate) fn new(file: &File, len: usize) -> Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing existing.
        let address = unsafe {
            libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Self { address: address.cast(), len })
    }

    pub(crate) fn address(&self) -> *mut u8 {
        self.address
    }

    /// Copies `bytes` to the start.
    pub(crate) fn copy_in(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        // SAFETY: at most `self.len` bytes of the mapping are written, and `bytes` is not in it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.address, len) }
    }

    /// Copies from the start into `bytes`.
    pub(crate) fn copy_out(&self, bytes: &mut [u8]) {
        let len = bytes.len().min(self.len);
        // SAFETY: at most `self.len` bytes of the mapping are read, and `bytes` is not in it.
        unsafe { ptr::copy_nonoverlapping(self.address, bytes.as_mut_ptr(), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and nobody uses it any more.
        unsafe { libc::munmap(self.address.cast(), self.len) };
    }
}
