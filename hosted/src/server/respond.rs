//! From what a scheme answers to what clients get.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use syscall::error::{EIO, EMFILE};
use syscall::flag::{self, EventFlags};
use syscall::schemev2::{Cqe, CqeOpcode, NewFdFlags, Opcode, Sqe};

use crate::mappings;
use crate::server::{Call, Daemon};
use crate::sys;
use crate::wire::{AT, ChannelId, READ, Reply, Welcome};

/// Readiness tokens that may wait on a handle. One would do for a poller; a few more let an
/// edge-triggered one see that something new came.
const TOKENS_MAX: u8 = 8;

/// The bits of open flags that a file keeps.
const KEPT_FLAGS: usize = flag::O_ACCMODE | flag::O_FCNTL_MASK | flag::O_STAT;

impl Daemon {
    /// Carries out one entry that the scheme wrote. Entries that name no request of this socket are
    /// dropped, as the caller may be gone.
    pub(super) fn respond(&mut self, socket: usize, cqe: &Cqe) {
        let Some(kind) = CqeOpcode::try_from_raw(cqe.flags) else { return };
        if let CqeOpcode::SendFevent = kind {
            self.post_readiness(socket, cqe.result as usize, cqe.tag as usize);
            return;
        }
        let tag = cqe.tag as usize;
        if self.calls.get(tag).is_none_or(|call| call.socket != socket) {
            return;
        }
        let call = self.calls.remove(tag);
        let connection = call.connection;
        if let Some(channel) = call.channel {
            self.channels[channel].call = None;
        }
        match kind {
            CqeOpcode::RespondWithFd => self.answer_with_fd(&call, cqe.result as RawFd),
            CqeOpcode::RespondWithMultipleFds => self.answer_with_fds(&call),
            _ => self.answer(&call, cqe),
        }
        self.pool.give_back(call.buffer);
        let entry = &mut self.connections[connection];
        entry.calls -= 1;
        if entry.calls == 0 && entry.fd.is_none() {
            self.finish_close(connection);
        }
    }

    fn answer(&mut self, call: &Call, cqe: &Cqe) {
        let result = cqe.result as i64;
        if (-4095..0).contains(&result) {
            let back = if returns_all(call) { call.buffer.len() } else { 0 };
            return self.answer_caller(call, result, back, &[]);
        }
        match call.opcode {
            Opcode::OpenAt | Opcode::Dup | Opcode::Recvfd => {
                let internal = NewFdFlags::from_bits_truncate(cqe.extra_raw[0]);
                self.answer_with_handle(call, cqe.result as usize, internal);
            }
            Opcode::Read | Opcode::Write => self.answer_transfer(call, cqe.result as usize),
            Opcode::Fevent => {
                let ready = cqe.result as usize;
                self.send_token(call.connection, ready);
                self.answer_caller(call, result, 0, &[]);
            }
            Opcode::Fcntl => {
                let result = self.after_fcntl(call, result);
                self.answer_caller(call, result, 0, &[]);
            }
            Opcode::Fpath => self.answer_caller(call, result, result as usize, &[]),
            Opcode::MmapPrep => self.answer_with_memory(call, cqe.result as usize),
            _ => {
                let back = if returns_all(call) { call.buffer.len() } else { 0 };
                self.answer_caller(call, result, back, &[]);
            }
        }
    }

    fn answer_with_handle(&mut self, call: &Call, number: usize, internal: NewFdFlags) {
        if call.channel.is_none() {
            // Nobody waits for the handle any more: it was opened and closed.
            return self.tell_closed(call.socket, number);
        }
        let flags = match call.opcode {
            Opcode::OpenAt => {
                let fcntl_flags = call.args[1] as usize & flag::O_FCNTL_MASK;
                (call.args[0] as usize & KEPT_FLAGS | fcntl_flags) as u32
            }
            _ => self.connections[call.connection].flags,
        };
        match self.new_handle(call.socket, number, flags, internal, call.uid) {
            Ok(handle) => self.answer_caller(call, 0, 0, &[handle.as_raw_fd()]),
            Err(_) => {
                self.turns_away();
                self.tell_closed(call.socket, number);
                self.answer_caller(call, -i64::from(EMFILE), 0, &[]);
            }
        }
    }

    /// The scheme says where in its memory is what the caller maps.
    fn answer_with_memory(&mut self, call: &Call, address: usize) {
        match mappings::at(address) {
            Ok((memory, offset)) => {
                self.answer_caller(call, offset as i64, 0, &[memory.as_raw_fd()]);
            }
            // It is no memory that the scheme mapped to share.
            Err(_) => self.answer_caller(call, -i64::from(EIO), 0, &[]),
        }
    }

    fn answer_transfer(&mut self, call: &Call, len: usize) {
        let connection = &mut self.connections[call.connection];
        let len = len.min(call.buffer.len());
        if let Some(offset) = &mut connection.offset
            && call.flags & AT == 0
        {
            *offset = offset.saturating_add(len as u64);
        }
        let is_read = matches!(call.opcode, Opcode::Read);
        let ask_again = is_read && len > 0 && connection.interest;
        self.answer_caller(call, len as i64, if is_read { len } else { 0 }, &[]);
        if ask_again {
            // The read took the tokens; if it left something, a poller must be told again.
            self.ask_readiness(call.connection);
        }
    }

    /// `F_GETFL` and `F_SETFL` are the kernel's, once the scheme agreed.
    fn after_fcntl(&mut self, call: &Call, result: i64) -> i64 {
        let connection = &mut self.connections[call.connection];
        match call.args[0] as usize {
            flag::F_GETFL => i64::from(connection.flags),
            flag::F_SETFL => {
                let settable = flag::O_FCNTL_MASK as u32;
                connection.flags = connection.flags & !settable | call.args[1] as u32 & settable;
                0
            }
            _ => result,
        }
    }

    fn answer_with_fd(&mut self, call: &Call, fd: RawFd) {
        if fd < 0 || !may_return_fds(call.opcode) {
            return self.answer_caller(call, -i64::from(EIO), 0, &[]);
        }
        self.answer_caller(call, 0, 0, &[fd]);
    }

    fn answer_with_fds(&mut self, call: &Call) {
        if !may_return_fds(call.opcode) {
            return self.answer_caller(call, -i64::from(EIO), 0, &[]);
        }
        let fds: Vec<RawFd> = call.fds.iter().map(AsRawFd::as_raw_fd).collect();
        self.answer_caller(call, fds.len() as i64, 0, &fds);
    }

    /// Sends an answer with the first `back` bytes of the payload, and notes an interest in
    /// readiness that the request showed.
    fn answer_caller(&mut self, call: &Call, result: i64, back: usize, fds: &[RawFd]) {
        if let Some(channel) = call.channel {
            self.reply(channel, call.seq, result, call.buffer.answer(back), fds);
        }
        let would_block = result == -i64::from(syscall::error::EAGAIN)
            || result == -i64::from(syscall::error::EWOULDBLOCK);
        let made_nonblocking = matches!(call.opcode, Opcode::Fcntl)
            && call.args[0] as usize == flag::F_SETFL
            && call.args[1] as usize & flag::O_NONBLOCK != 0
            && result >= 0;
        let found_nothing = matches!(call.opcode, Opcode::Read) && would_block;
        let connection = &mut self.connections[call.connection];
        if (made_nonblocking || found_nothing) && !connection.interest && connection.fd.is_some() {
            connection.interest = true;
            self.ask_readiness(call.connection);
        }
    }

    /// Sends over a reply channel. One whose reader leaves answers lying is closed: the scheme
    /// never waits for a client.
    pub(super) fn reply(
        &mut self,
        channel: usize,
        seq: u64,
        result: i64,
        data: &[u8],
        fds: &[RawFd],
    ) {
        let Some(entry) = self.channels.get(channel) else { return };
        let header = Reply { seq, result }.to_bytes();
        let parts = [IoSlice::new(&header), IoSlice::new(data)];
        let parts = if data.is_empty() { &parts[..1] } else { &parts[..] };
        if sys::send(entry.fd.as_raw_fd(), parts, None, fds, libc::MSG_DONTWAIT).is_err() {
            self.drop_channel(channel);
        }
    }

    /// Tells a client that there is no descriptor for it. If that fails it asks again, or sees the end.
    pub(super) fn refuse(&self, handle: RawFd) {
        let refusal = Welcome { channel: ChannelId::default(), daemon: self.id }.to_bytes();
        let _ = sys::send(handle, &[IoSlice::new(&refusal)], None, &[], libc::MSG_DONTWAIT);
    }

    /// Answers a greeting of this user on the handle that it came over. If that fails the client asks again.
    pub(super) fn welcome(&mut self, connection: usize, uid: u32) {
        let socket = self.connections[connection].socket;
        let Some(fd) = self.connections[connection].fd.as_ref().map(AsRawFd::as_raw_fd) else {
            return;
        };
        let Ok((channel, theirs)) = self.new_channel(socket, uid) else {
            self.turns_away();
            return self.refuse(fd);
        };
        let bytes = Welcome { channel, daemon: self.id }.to_bytes();
        let fds = [theirs.as_raw_fd()];
        if sys::send(fd, &[IoSlice::new(&bytes)], None, &fds, libc::MSG_DONTWAIT).is_err() {
            self.drop_channel(channel.index as usize);
        }
    }

    /// `Response::post_fevent`: every open file with this number becomes readable.
    fn post_readiness(&mut self, socket: usize, number: usize, ready: usize) {
        let Some(handles) = self.sockets[socket].by_number.get(&number) else { return };
        for handle in handles.clone() {
            self.send_token(handle, ready);
        }
    }

    fn send_token(&mut self, connection: usize, ready: usize) {
        let connection = &mut self.connections[connection];
        let Some(fd) = &connection.fd else { return };
        let readable = EventFlags::from_bits_truncate(ready).contains(EventFlags::EVENT_READ);
        if !readable || connection.tokens >= TOKENS_MAX {
            return;
        }
        // A socket that is full is readable already.
        let token = [IoSlice::new(&[1])];
        if sys::send(fd.as_raw_fd(), &token, None, &[], libc::MSG_DONTWAIT).is_ok() {
            connection.tokens += 1;
        }
    }

    /// Asks the scheme what is ready, for pollers of a handle.
    fn ask_readiness(&mut self, connection: usize) {
        let entry = &mut self.connections[connection];
        entry.calls += 1;
        let (socket, number) = (entry.socket, entry.number);
        let ready = EventFlags::EVENT_READ.bits() as u64;
        let tag = self.calls.insert(Call {
            socket,
            connection,
            channel: None,
            seq: 0,
            uid: sys::own_credentials().uid,
            opcode: Opcode::Fevent,
            flags: 0,
            args: [ready, 0, 0],
            buffer: super::Buffer::Empty,
            fds: Vec::new(),
            cancelled: false,
        });
        let mut sqe = Sqe { opcode: Opcode::Fevent as u8, tag: tag as u32, ..Sqe::default() };
        sqe.args[0] = number as u64;
        sqe.args[1] = ready;
        self.push_pending(socket, sqe);
    }
}

/// Whether the whole payload goes back: the scheme wrote into the caller's memory, whatever the
/// result says.
fn returns_all(call: &Call) -> bool {
    call.flags & READ != 0 && !matches!(call.opcode, Opcode::Read | Opcode::Fpath)
}

fn may_return_fds(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::OpenAt | Opcode::Dup | Opcode::Recvfd)
}

/// Duplicates descriptors that a scheme passes on and keeps.
pub(crate) fn duplicate(fds: &[RawFd]) -> crate::errno::Result<Vec<OwnedFd>> {
    fds.iter()
        .map(|fd| {
            if *fd < 0 {
                return Err(crate::errno::Errno(libc::EBADF));
            }
            // SAFETY: the descriptor is only looked at during this call; a stale one gives EBADF.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            Ok(fd.try_clone_to_owned()?)
        })
        .collect()
}
