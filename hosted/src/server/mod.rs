//! The scheme socket: what a daemon reads requests from and writes answers to.
//!
//! To the daemon it is one descriptor, an epoll set over the listeners of its names, one connection
//! per open handle and the reply channels. All of a process's sockets share one lock and one table
//! of reply channels, because a client thread has one channel per daemon process.
//!
//! A client is trusted with nothing: what does not parse is dropped message by message, a channel
//! whose reader does not read is closed, and only sockets made here are ever written to.

mod buffer;
mod receive;
mod respond;
mod shares;

pub(crate) use respond::duplicate;

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use syscall::data::NewFdParams;
use syscall::schemev2::{Cqe, NewFdFlags, Opcode, Sqe, SqeFlags};

use crate::errno::{Errno, Result};
use crate::server::buffer::{Buffer, Pool};
use crate::server::shares::{Share, Shares};
use crate::wire::ChannelId;
use crate::{root, sys};

/// A scheme socket of this process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct SocketId(usize);

/// Everything that this process serves.
struct Daemon {
    /// Random; tells clients which handles share their reply channel.
    id: u64,
    sockets: Slab<SchemeSocket>,
    connections: Slab<Connection>,
    channels: Slab<Channel>,
    /// Requests that the scheme has and did not answer; the key is the tag.
    calls: Slab<Call>,
    /// Distinguishes an entry of an epoll set from an earlier one with the same index.
    serial: u32,
    pool: Pool,
    shares: Shares,
    /// Given up for a moment when there is no descriptor left, to turn a client away.
    reserve: Option<OwnedFd>,
    /// How often there was no descriptor for a client, and when that was logged.
    turned_away: u64,
    complained: Option<Instant>,
}

/// How long nothing is logged of what was logged just now.
const QUIET: Duration = Duration::from_secs(10);

static DAEMON: LazyLock<Mutex<Daemon>> = LazyLock::new(|| {
    Mutex::new(Daemon {
        // Without randomness the id is the same for all daemons, and clients tell them by pid.
        id: sys::random_u64().unwrap_or(0),
        sockets: Slab::new(),
        connections: Slab::new(),
        channels: Slab::new(),
        calls: Slab::new(),
        serial: 0,
        pool: Pool::default(),
        shares: Shares::new(),
        reserve: sys::event_fd().ok(),
        turned_away: 0,
        complained: None,
    })
});

fn daemon() -> MutexGuard<'static, Daemon> {
    // No code between two consistent states panics, so a poisoned lock's data is whole.
    DAEMON.lock().unwrap_or_else(PoisonError::into_inner)
}

struct SchemeSocket {
    epoll: OwnedFd,
    /// In the epoll set; readable while `pending` holds what no socket announces.
    wake: OwnedFd,
    /// Requests that no client sent: Cancel, CloseMsg, our own Fevent.
    pending: VecDeque<Sqe>,
    listeners: Vec<Listener>,
    /// The open handles of each number that the scheme gave.
    by_number: HashMap<usize, Vec<usize>>,
    nonblocking: bool,
}

/// A name in the root directory.
struct Listener {
    fd: OwnedFd,
    serial: u32,
    /// What the scheme calls its root.
    number: usize,
    /// Keeps the root's handle open, as the namespace manager does on Redox.
    _root: OwnedFd,
}

/// An open file description.
struct Connection {
    /// `None` when the last descriptor is closed and answers are still owed.
    fd: Option<OwnedFd>,
    serial: u32,
    socket: usize,
    number: usize,
    /// Came through a listener: shares the scheme's root, whose close nobody is told of.
    root: bool,
    /// Redox open flags.
    flags: u32,
    /// The kernel's file offset, if the scheme wants one.
    offset: Option<u64>,
    calls: u32,
    /// Readiness tokens sent since the last read.
    tokens: u8,
    /// Somebody waits for the handle to become ready.
    interest: bool,
    _share: Share,
}

/// A way back to one thread of one client.
struct Channel {
    fd: OwnedFd,
    serial: u32,
    socket: usize,
    nonce: u64,
    /// Who used it first; nobody else may.
    pid: Option<libc::pid_t>,
    /// The tag of its one outstanding call.
    call: Option<usize>,
    _share: Share,
}

/// A request that the scheme has.
struct Call {
    socket: usize,
    connection: usize,
    /// `None` for our own requests and when the caller is gone.
    channel: Option<usize>,
    seq: u64,
    /// The caller's.
    uid: u32,
    opcode: Opcode,
    /// Bits of [`crate::wire`].
    flags: u8,
    args: [u64; 3],
    buffer: Buffer,
    /// Descriptors that came with Sendfd and were not obtained yet, or that `move_fd` will send.
    fds: Vec<OwnedFd>,
    cancelled: bool,
}

/// What an entry in an epoll set stands for, packed into its 64 bits.
#[derive(Clone, Copy)]
enum Member {
    Wake,
    Listener(u32),
    Connection(u32),
    Channel(u32),
}

impl Member {
    fn pack(self, serial: u32) -> u64 {
        let (kind, index) = match self {
            Self::Wake => (0, 0),
            Self::Listener(index) => (1, index),
            Self::Connection(index) => (2, index),
            Self::Channel(index) => (3, index),
        };
        kind << 62 | u64::from(serial & SERIAL_MASK) << 32 | u64::from(index)
    }

    fn unpack(data: u64) -> (Self, u32) {
        let index = data as u32;
        let member = match data >> 62 {
            0 => Self::Wake,
            1 => Self::Listener(index),
            2 => Self::Connection(index),
            _ => Self::Channel(index),
        };
        (member, (data >> 32) as u32 & SERIAL_MASK)
    }
}

const SERIAL_MASK: u32 = (1 << 30) - 1;

impl Daemon {
    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1) & SERIAL_MASK;
        self.serial
    }

    /// Makes a handle of a number that the scheme gave; answers the client's end.
    fn new_handle(
        &mut self,
        socket: usize,
        number: usize,
        flags: u32,
        internal: NewFdFlags,
        uid: u32,
    ) -> Result<OwnedFd> {
        let share = self.shares.take(uid)?;
        let (ours, theirs) = sys::socket_pair()?;
        let index = self.add_connection(socket, ours, number, false, share)?;
        let connection = &mut self.connections[index];
        connection.flags = flags;
        connection.offset = internal.contains(NewFdFlags::POSITIONED).then_some(0);
        let by_number = &mut self.sockets[socket].by_number;
        by_number.entry(number).or_default().push(index);
        Ok(theirs)
    }

    fn add_connection(
        &mut self,
        socket: usize,
        fd: OwnedFd,
        number: usize,
        root: bool,
        share: Share,
    ) -> Result<usize> {
        let serial = self.next_serial();
        let raw = fd.as_raw_fd();
        let epoll = self.sockets[socket].epoll.as_raw_fd();
        let connection = Connection {
            fd: Some(fd),
            serial,
            socket,
            number,
            root,
            flags: 0,
            offset: None,
            calls: 0,
            tokens: 0,
            interest: false,
            _share: share,
        };
        let index = self.connections.insert(connection);
        let data = Member::Connection(index as u32).pack(serial);
        let events = libc::EPOLLIN | libc::EPOLLRDHUP;
        if let Err(error) = sys::epoll_control(epoll, libc::EPOLL_CTL_ADD, raw, events, data) {
            self.connections.remove(index);
            return Err(error);
        }
        Ok(index)
    }

    /// Makes a reply channel; answers its id and the client's end.
    fn new_channel(&mut self, socket: usize, uid: u32) -> Result<(ChannelId, OwnedFd)> {
        let share = self.shares.take(uid)?;
        let (ours, theirs) = sys::socket_pair()?;
        let nonce = sys::random_u64()?;
        let serial = self.next_serial();
        let epoll = self.sockets[socket].epoll.as_raw_fd();
        let raw = ours.as_raw_fd();
        let (pid, call) = (None, None);
        let channel = Channel { fd: ours, serial, socket, nonce, pid, call, _share: share };
        let index = self.channels.insert(channel);
        let data = Member::Channel(index as u32).pack(serial);
        let events = libc::EPOLLIN | libc::EPOLLRDHUP;
        if let Err(error) = sys::epoll_control(epoll, libc::EPOLL_CTL_ADD, raw, events, data) {
            self.channels.remove(index);
            return Err(error);
        }
        Ok((ChannelId { index: index as u32, nonce }, theirs))
    }

    /// Notes that a client was turned away because there are no descriptors left, or none for its user. Now and
    /// then that is logged.
    fn turns_away(&mut self) {
        self.turned_away += 1;
        if self.complained.is_none_or(|last| last.elapsed() >= QUIET) {
            self.complained = Some(Instant::now());
            let count = self.turned_away;
            log::error!(
                "no descriptors left (RLIMIT_NOFILE, of which a user has a part): {count} times a client \
                 got none"
            );
        }
    }

    /// Closes a reply channel: its thread is gone, or broke the rules. What it asked is cancelled.
    fn drop_channel(&mut self, index: usize) {
        let Some(channel) = self.channels.try_remove(index) else { return };
        if let Some(tag) = channel.call {
            self.cancel(tag);
            if let Some(call) = self.calls.get_mut(tag) {
                call.channel = None;
            }
        }
    }

    /// Tells the scheme that nobody waits for an answer any more; the answer is still owed.
    fn cancel(&mut self, tag: usize) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        if call.cancelled {
            return;
        }
        call.cancelled = true;
        let sqe = Sqe {
            opcode: Opcode::Cancel as u8,
            sqe_flags: SqeFlags::ONEWAY,
            tag: tag as u32,
            ..Sqe::default()
        };
        let socket = call.socket;
        self.push_pending(socket, sqe);
    }

    /// The last descriptor of a handle is closed.
    fn hang_up(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.fd = None;
        connection.interest = false;
        if connection.calls == 0 {
            self.finish_close(index);
            return;
        }
        if connection.root {
            // The callers of opens by path may close the root's connection and wait on.
            return;
        }
        let owed: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, call)| call.connection == index)
            .map(|(t, _)| t)
            .collect();
        for tag in owed {
            self.cancel(tag);
        }
    }

    /// Forgets a handle that is closed and owed nothing, and tells the scheme.
    fn finish_close(&mut self, index: usize) {
        let Connection { socket, number, root, .. } = self.connections.remove(index);
        if root {
            return;
        }
        if let Some(handles) = self.sockets[socket].by_number.get_mut(&number) {
            handles.retain(|handle| *handle != index);
            if handles.is_empty() {
                self.sockets[socket].by_number.remove(&number);
            }
        }
        self.tell_closed(socket, number);
    }

    fn tell_closed(&mut self, socket: usize, number: usize) {
        let mut sqe =
            Sqe { opcode: Opcode::CloseMsg as u8, sqe_flags: SqeFlags::ONEWAY, ..Sqe::default() };
        sqe.args[0] = number as u64;
        self.push_pending(socket, sqe);
    }

    fn push_pending(&mut self, socket: usize, sqe: Sqe) {
        let Some(socket) = self.sockets.get_mut(socket) else { return };
        if socket.pending.is_empty() {
            signal(socket.wake.as_raw_fd());
        }
        socket.pending.push_back(sqe);
    }
}

/// Makes an eventfd readable.
fn signal(event_fd: RawFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes are read from `one`. The only failure is a counter that is full, and then
    // the descriptor is readable already.
    unsafe { libc::write(event_fd, one.as_ptr().cast(), one.len()) };
}

/// Makes an eventfd unreadable.
fn calm(event_fd: RawFd) {
    let mut counter = [0_u8; 8];
    // SAFETY: eight bytes are written to `counter`. Failure means that it was zero already.
    unsafe { libc::read(event_fd, counter.as_mut_ptr().cast(), counter.len()) };
}

/// Makes a scheme socket; answers it and the descriptor by which the daemon knows it.
pub(crate) fn create() -> Result<(SocketId, RawFd)> {
    sys::raise_file_limit();
    let epoll = sys::epoll()?;
    let wake = sys::event_fd()?;
    let data = Member::Wake.pack(0);
    sys::epoll_control(
        epoll.as_raw_fd(),
        libc::EPOLL_CTL_ADD,
        wake.as_raw_fd(),
        libc::EPOLLIN,
        data,
    )?;
    let fd = epoll.as_raw_fd();
    let index = daemon().sockets.insert(SchemeSocket {
        epoll,
        wake,
        pending: VecDeque::new(),
        listeners: Vec::new(),
        by_number: HashMap::new(),
        nonblocking: false,
    });
    Ok((SocketId(index), fd))
}

/// Closes a scheme socket with all its handles; the names stay, as on Redox.
pub(crate) fn close(socket: SocketId) {
    let mut daemon = daemon();
    if daemon.sockets.try_remove(socket.0).is_none() {
        return;
    }
    let channels: Vec<usize> = daemon
        .channels
        .iter()
        .filter(|(_, channel)| channel.socket == socket.0)
        .map(|(index, _)| index)
        .collect();
    for channel in channels {
        daemon.drop_channel(channel);
    }
    let calls: Vec<usize> = daemon
        .calls
        .iter()
        .filter(|(_, call)| call.socket == socket.0)
        .map(|(tag, _)| tag)
        .collect();
    for tag in calls {
        // Its caller cannot be answered any more: it sees its channel end.
        if let Some(channel) = daemon.calls.remove(tag).channel {
            daemon.channels.remove(channel);
        }
    }
    daemon.connections.retain(|_, connection| connection.socket != socket.0);
}

/// Whether reading a scheme socket waits.
pub(crate) fn set_nonblocking(socket: SocketId, on: bool) -> Result<()> {
    let mut daemon = daemon();
    let socket = daemon.sockets.get_mut(socket.0).ok_or(Errno(libc::EBADF))?;
    socket.nonblocking = on;
    Ok(())
}

/// Whether reading a scheme socket answers EAGAIN rather than waiting.
pub(crate) fn is_nonblocking(socket: SocketId) -> Result<bool> {
    let daemon = daemon();
    Ok(daemon.sockets.get(socket.0).ok_or(Errno(libc::EBADF))?.nonblocking)
}

/// A handle of the daemon's own scheme, from the bytes of a [`NewFdParams`]. Answers it and its
/// number.
pub(crate) fn create_handle(socket: SocketId, params: &[u8]) -> Result<(OwnedFd, usize)> {
    if params.len() != size_of::<NewFdParams>() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: the length is that of NewFdParams, which is integers only.
    let params = unsafe { params.as_ptr().cast::<NewFdParams>().read_unaligned() };
    let mut daemon = daemon();
    if !daemon.sockets.contains(socket.0) {
        return Err(Errno(libc::EBADF));
    }
    let internal = NewFdFlags::from_bits_truncate(params.internal_flags);
    let own = sys::own_credentials().uid;
    let fd = daemon.new_handle(socket.0, params.number, params.flags as u32, internal, own)?;
    Ok((fd, params.number))
}

/// Gives a scheme socket a name: opens of `/scheme/NAME` reach it from now on. `handle` is the
/// scheme's root, from [`create_handle`], and is kept open.
///
/// EEXIST where the name is taken, also by a daemon that is dead.
pub(crate) fn register(socket: SocketId, name: &str, number: usize, handle: OwnedFd) -> Result<()> {
    let fd = root::bind_scheme(name)?;
    let mut daemon = daemon();
    let serial = daemon.next_serial();
    let entry = daemon.sockets.get_mut(socket.0).ok_or(Errno(libc::EBADF))?;
    let index = entry.listeners.len() as u32;
    let data = Member::Listener(index).pack(serial);
    let epoll = entry.epoll.as_raw_fd();
    sys::epoll_control(epoll, libc::EPOLL_CTL_ADD, fd.as_raw_fd(), libc::EPOLLIN, data)?;
    entry.listeners.push(Listener { fd, serial, number, _root: handle });
    Ok(())
}

/// Reads requests: as many whole `Sqe`s as there are and fit. Waits for one unless non-blocking.
pub(crate) fn read(socket: SocketId, buffer: &mut [u8]) -> Result<usize> {
    let capacity = buffer.len() / size_of::<Sqe>();
    if capacity == 0 {
        return Err(Errno(libc::EINVAL));
    }
    loop {
        let epoll = {
            let mut daemon = daemon();
            let count = daemon.collect(socket.0, capacity, |index, sqe| {
                let at = index * size_of::<Sqe>();
                buffer[at..at + size_of::<Sqe>()].copy_from_slice(&sqe);
            })?;
            if count > 0 {
                return Ok(count * size_of::<Sqe>());
            }
            let socket = &daemon.sockets[socket.0];
            if socket.nonblocking {
                return Err(Errno(libc::EAGAIN));
            }
            socket.epoll.as_raw_fd()
        };
        sys::poll(epoll, libc::POLLIN, -1)?;
    }
}

/// Writes answers and readiness: whole `Cqe`s, all of them.
pub(crate) fn write(socket: SocketId, bytes: &[u8]) -> Result<usize> {
    let mut daemon = daemon();
    if !daemon.sockets.contains(socket.0) {
        return Err(Errno(libc::EBADF));
    }
    let chunks = bytes.chunks_exact(size_of::<Cqe>());
    let written = bytes.len() - chunks.remainder().len();
    for chunk in chunks {
        let mut cqe = Cqe::default();
        cqe.copy_from_slice(chunk);
        daemon.respond(socket.0, &cqe);
    }
    Ok(written)
}

/// Takes the descriptors that came with a Sendfd request, at most `count`.
pub(crate) fn obtain_fds(tag: u64, count: usize) -> Result<Vec<OwnedFd>> {
    let mut daemon = daemon();
    let call = daemon.calls.get_mut(tag as usize).ok_or(Errno(libc::EBADF))?;
    if !matches!(call.opcode, Opcode::Sendfd) || call.fds.len() < count {
        return Err(Errno(libc::EBADF));
    }
    Ok(call.fds.drain(..count).collect())
}

/// Adds descriptors that the answer to a Recvfd request will carry.
pub(crate) fn move_fds(tag: u64, fds: Vec<OwnedFd>) -> Result<()> {
    let mut daemon = daemon();
    let call = daemon.calls.get_mut(tag as usize).ok_or(Errno(libc::EBADF))?;
    if !matches!(call.opcode, Opcode::Recvfd | Opcode::OpenAt | Opcode::Dup) {
        return Err(Errno(libc::EBADF));
    }
    call.fds.extend(fds);
    Ok(())
}
