//! From what clients sent to the requests that a scheme reads.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};

use syscall::error::{EINVAL, EMFILE, EMSGSIZE, ENAMETOOLONG, ENOMEM, ENOSYS, EPERM};
use syscall::schemev2::{Opcode, Sqe};

use crate::errno::Result;
use crate::server::buffer::Buffer;
use crate::server::{Call, Daemon, Member, calm, signal};
use crate::sys::{self, Mapping, Received};
use crate::wire::{
    AT, Cancel, GREETING, INLINE_MAX, MEMFD, ON_BEHALF, PAYLOAD_MAX, READ, Request, WRITE,
};

/// How many sockets are looked at per turn.
const BATCH: usize = 256;
/// How many turns may pass without a request, in hang-ups and rubbish, before others get the lock.
const TURNS: usize = 16;
const HANG_UP: u32 = (libc::EPOLLHUP | libc::EPOLLRDHUP) as u32;

/// An error number of Redox, for the caller of one request.
type Refused<T> = std::result::Result<T, i32>;

impl Daemon {
    /// Gives `put` up to `capacity` requests. 0 means there are none now.
    pub(super) fn collect(
        &mut self,
        socket: usize,
        capacity: usize,
        mut put: impl FnMut(usize, Sqe),
    ) -> Result<usize> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let mut count = 0;
        for _ in 0..TURNS {
            let Some(epoll) = self.sockets.get(socket).map(|entry| entry.epoll.as_raw_fd()) else {
                return Err(crate::errno::Errno(libc::EBADF));
            };
            count += self.take_pending(socket, capacity - count, |i, sqe| put(count + i, sqe));
            if count == capacity {
                return Ok(count);
            }
            // Each event gives one request at most, so that what is read always fits.
            let room = BATCH.min(capacity - count);
            let ready = sys::epoll_wait(epoll, &mut events[..room], 0)?;
            for event in &events[..ready] {
                if let Some(sqe) = self.handle_event(socket, event.events, event.u64) {
                    put(count, sqe);
                    count += 1;
                }
            }
            if ready == 0 || count > 0 && self.sockets[socket].pending.is_empty() {
                return Ok(count);
            }
        }
        // An edge-triggered waiter sees no new edge for what still lies there: give it one.
        signal(self.sockets[socket].wake.as_raw_fd());
        Ok(count)
    }

    fn take_pending(
        &mut self,
        socket: usize,
        capacity: usize,
        mut put: impl FnMut(usize, Sqe),
    ) -> usize {
        let entry = &mut self.sockets[socket];
        if entry.pending.is_empty() {
            return 0;
        }
        let count = entry.pending.len().min(capacity);
        for (index, sqe) in entry.pending.drain(..count).enumerate() {
            put(index, sqe);
        }
        if entry.pending.is_empty() {
            calm(entry.wake.as_raw_fd());
        }
        count
    }

    fn handle_event(&mut self, socket: usize, events: u32, data: u64) -> Option<Sqe> {
        let (member, serial) = Member::unpack(data);
        match member {
            Member::Wake => {
                let entry = &self.sockets[socket];
                if entry.pending.is_empty() {
                    calm(entry.wake.as_raw_fd());
                }
                None
            }
            Member::Listener(index) => {
                self.accept(socket, index as usize, serial);
                None
            }
            Member::Connection(index) => {
                let index = index as usize;
                let connection = self.connections.get(index)?;
                if connection.serial != serial || connection.fd.is_none() {
                    return None;
                }
                self.receive_request(index, events)
            }
            Member::Channel(index) => {
                let index = index as usize;
                if self.channels.get(index)?.serial == serial {
                    self.receive_cancel(index);
                }
                None
            }
        }
    }

    /// Takes one connection to a name.
    fn accept(&mut self, socket: usize, index: usize, serial: u32) {
        let Some(listener) = self.sockets[socket].listeners.get(index) else { return };
        if listener.serial != serial {
            return;
        }
        let (number, listener) = (listener.number, listener.fd.as_raw_fd());
        let fd = match sys::accept(listener) {
            Ok(fd) => fd,
            Err(error) if error.0 == libc::EMFILE || error.0 == libc::ENFILE => {
                // Whoever would wait for ever, and the listener stay ready, is turned away.
                self.reserve = None;
                if let Ok(fd) = sys::accept(listener) {
                    self.refuse(fd.as_raw_fd());
                }
                self.turns_away();
                self.reserve = sys::event_fd().ok();
                return;
            }
            Err(_) => return,
        };
        let peer = sys::peer_credentials(fd.as_raw_fd());
        let Ok(share) = peer.and_then(|peer| self.shares.take(peer.uid)) else {
            self.refuse(fd.as_raw_fd());
            self.turns_away();
            return;
        };
        if sys::pass_credentials(fd.as_raw_fd()).is_ok() {
            // On failure the connection closes, which is all there is to tell the client.
            let _ = self.add_connection(socket, fd, number, true, share);
        }
    }

    /// Takes one message from a handle. What is no request is dropped: others may share the handle.
    fn receive_request(&mut self, index: usize, events: u32) -> Option<Sqe> {
        let fd = self.connections[index].fd.as_ref()?.as_raw_fd();
        let mut header = [0; Request::SIZE];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(self.pool.scratch())];
        let received = match sys::receive(fd, &mut parts, libc::MSG_DONTWAIT) {
            Ok(received) => received,
            Err(error) if error.0 == libc::EAGAIN || error.0 == libc::EINTR => return None,
            Err(_) => {
                self.hang_up(index);
                return None;
            }
        };
        if received.len == 0 && events & HANG_UP != 0 {
            self.hang_up(index);
            return None;
        }
        if received.truncated || received.len < Request::SIZE {
            return None;
        }
        let request = Request::from_bytes(&header)?;
        let uid = received.credentials?.uid;
        for _ in 0..request.stolen_welcomes {
            self.welcome(index, uid);
        }
        if request.opcode == GREETING {
            self.welcome(index, uid);
            return None;
        }
        self.admit(index, &request, received)
    }

    /// Finds who asks, and makes the request one that a scheme reads or answers its refusal.
    fn admit(&mut self, connection: usize, request: &Request, received: Received) -> Option<Sqe> {
        let sender = received.credentials?;
        let index = request.channel.index as usize;
        let channel = self.channels.get_mut(index)?;
        if channel.nonce != request.channel.nonce
            || *channel.pid.get_or_insert(sender.pid) != sender.pid
        {
            return None;
        }
        if channel.call.is_some() {
            // A thread waits for its answer before it asks again; this one is not ours.
            self.drop_channel(index);
            return None;
        }
        let decoded = asking(request, sender)
            .and_then(|asking| self.decode(connection, request, received, asking));
        match decoded {
            Ok(sqe) => Some(sqe),
            Err(errno) => {
                self.reply(index, request.seq, -i64::from(errno), &[], &[]);
                None
            }
        }
    }

    fn decode(
        &mut self,
        connection: usize,
        request: &Request,
        received: Received,
        sender: libc::ucred,
    ) -> Refused<Sqe> {
        let opcode = Opcode::try_from_raw(request.opcode).ok_or(ENOSYS)?;
        let data = received.len - Request::SIZE;
        let takes_fds = matches!(opcode, Opcode::Sendfd);
        let mut fds = received.fds;
        let mut buffer = if request.flags & MEMFD != 0 {
            if data != 0 || fds.len() != 1 {
                return Err(EINVAL);
            }
            map_payload(opcode, request.len, fds.remove(0))?
        } else {
            if !takes_fds && !fds.is_empty() {
                return Err(EINVAL);
            }
            self.inline_payload(request, data)?
        };
        if takes_path(opcode) && std::str::from_utf8(buffer.answer(buffer.len())).is_err() {
            // redox-scheme trusts the kernel with this check.
            self.pool.give_back(buffer);
            return Err(EINVAL);
        }
        let Some(args) = self.sqe_args(connection, opcode, request, &mut buffer, fds.len(), sender)
        else {
            self.pool.give_back(buffer);
            return Err(ENOSYS);
        };
        if matches!(opcode, Opcode::Fevent) {
            self.connections[connection].interest = request.args[0] != 0;
        }
        if matches!(opcode, Opcode::Read) {
            self.connections[connection].tokens = 0;
        }
        let channel = request.channel.index as usize;
        let tag = self.calls.insert(Call {
            socket: self.connections[connection].socket,
            connection,
            channel: Some(channel),
            seq: request.seq,
            uid: sender.uid,
            opcode,
            flags: request.flags,
            args: request.args,
            buffer,
            fds,
            cancelled: false,
        });
        self.channels[channel].call = Some(tag);
        self.connections[connection].calls += 1;
        Ok(Sqe {
            opcode: request.opcode,
            tag: tag as u32,
            args,
            caller: sender.pid as u64,
            ..Sqe::default()
        })
    }

    /// The bytes that came with a request, or room for those that it asks for.
    fn inline_payload(&mut self, request: &Request, data: usize) -> Refused<Buffer> {
        let len = usize::try_from(request.len).map_err(|_| EMSGSIZE)?;
        if len > INLINE_MAX {
            return Err(EMSGSIZE);
        }
        if request.flags & WRITE != 0 {
            if data != len {
                return Err(EINVAL);
            }
            return Ok(self.pool.received(len));
        }
        if data != 0 {
            return Err(EINVAL);
        }
        if request.flags & READ == 0 {
            return Ok(Buffer::Empty);
        }
        Ok(self.pool.zeroed(len))
    }

    /// The words of a request as Redox' kernel writes them; `None` for what a client cannot ask.
    ///
    /// uid and gid are the kernel's word in open, unlink, dup, read, write and in passing
    /// descriptors. In call and std-fs calls the client's own third metadata word stands in their
    /// place, and elsewhere nothing.
    fn sqe_args(
        &self,
        connection: usize,
        opcode: Opcode,
        request: &Request,
        buffer: &mut Buffer,
        num_fds: usize,
        sender: libc::ucred,
    ) -> Option<[u64; 6]> {
        let connection = &self.connections[connection];
        let id = connection.number as u64;
        let (at, len) = (buffer.address(), buffer.len() as u64);
        let identity = u64::from(sender.uid) | u64::from(sender.gid) << 32;
        let [a, b, c] = request.args;
        let offset = match request.flags & AT {
            0 => connection.offset.unwrap_or(u64::MAX),
            _ => a,
        };
        let flags = u64::from(connection.flags);
        Some(match opcode {
            Opcode::OpenAt => [id, at, len, a, b, identity],
            Opcode::UnlinkAt => [id, at, len, a, 0, identity],
            Opcode::Dup => [id, at, len, 0, 0, identity],
            Opcode::Read | Opcode::Write => [id, at, len, offset, flags, identity],
            Opcode::Call | Opcode::StdFsCall => [id, at, len, a, b, c],
            Opcode::Sendfd => [id, a, b, num_fds as u64, 0, identity],
            Opcode::Recvfd => [id, a, request.len, b, c, identity],
            Opcode::Fcntl | Opcode::Fchown => [id, a, b, 0, 0, 0],
            Opcode::Fevent | Opcode::Fchmod | Opcode::Ftruncate => [id, a, 0, 0, 0, 0],
            Opcode::MmapPrep => [id, a, b, c, 0, 0],
            Opcode::Fsize | Opcode::Fsync => [id, 0, 0, 0, 0, 0],
            Opcode::Getdents => [id, at, len, a, b, 0],
            Opcode::Fpath
            | Opcode::Fstat
            | Opcode::Fstatvfs
            | Opcode::Futimens
            | Opcode::Frename
            | Opcode::Flink => [id, at, len, 0, 0, 0],
            _ => return None,
        })
    }

    /// Takes what came back over a reply channel: a cancellation, or the end.
    fn receive_cancel(&mut self, index: usize) {
        let mut bytes = [0; Cancel::SIZE];
        let fd = self.channels[index].fd.as_raw_fd();
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = match sys::receive(fd, &mut parts, libc::MSG_DONTWAIT) {
            Ok(received) => received,
            Err(error) if error.0 == libc::EAGAIN || error.0 == libc::EINTR => return,
            Err(_) => return self.drop_channel(index),
        };
        let cancel = Cancel::from_bytes(&bytes).filter(|_| received.len == Cancel::SIZE);
        let Some(cancel) = cancel else { return self.drop_channel(index) };
        // A cancellation may cross the answer; then there is nothing left to cancel.
        if let Some(tag) = self.channels[index].call
            && self.calls[tag].seq == cancel.seq
        {
            self.cancel(tag);
        }
    }
}

/// Who asks: the sender, or whom it asks for. Only those may ask for others who can be anybody to this daemon
/// anyway: root, and its own user.
fn asking(request: &Request, sender: libc::ucred) -> Refused<libc::ucred> {
    if request.flags & ON_BEHALF == 0 {
        return Ok(sender);
    }
    if sender.uid != 0 && sender.uid != sys::own_credentials().uid {
        return Err(EPERM);
    }
    let someone = request.someone;
    let pid = libc::pid_t::try_from(someone.pid).unwrap_or_default();
    Ok(libc::ucred { pid, uid: someone.uid, gid: someone.gid })
}

/// Whether a request's payload is a path.
fn takes_path(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::OpenAt | Opcode::UnlinkAt | Opcode::Flink | Opcode::Frename)
}

/// Maps the memfd that a client sent as payload. Opcodes whose payload is decoded in place, as text
/// or as a structure, may not live in memory that the client can still change.
fn map_payload(opcode: Opcode, len: u64, fd: OwnedFd) -> Refused<Buffer> {
    if takes_path(opcode) {
        // Redox' kernel takes no path beyond a page.
        return Err(ENAMETOOLONG);
    }
    let live = matches!(opcode, Opcode::Call | Opcode::Read | Opcode::Write | Opcode::Dup);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if !live || len == 0 || len > PAYLOAD_MAX {
        return Err(EMSGSIZE);
    }
    let file = File::from(fd);
    if !sys::keeps_its_size(&file, len) {
        return Err(EINVAL);
    }
    let mapping = Mapping::new(&file, len)
        .map_err(|error| if error.0 == libc::EMFILE { EMFILE } else { ENOMEM })?;
    Ok(Buffer::Mapped { mapping, len })
}
