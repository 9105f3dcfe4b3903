//! A request on an open handle, and its answer.
//!
//! A handle is a socket to its daemon, known as such by what the kernel says of the descriptor and
//! not by where it came from. The answer comes over a reply channel that belongs to the calling
//! thread: threads and processes that share a handle would steal each other's answers.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use syscall::flag::EventFlags;
use syscall::schemev2::Opcode;

use crate::errno::{Errno, Result};
use crate::flags;
use crate::sys::{self, Mapping};
use crate::wire::{
    AT, Cancel, ChannelId, FDS_MAX, GREETING, INLINE_MAX, MEMFD, ON_BEHALF, PAYLOAD_MAX, READ,
    Reply, Request, Someone, WRITE, Welcome,
};

/// How long a greeting waits before it is sent again, in milliseconds. Only a process that took the
/// answer from a shared handle and died makes anyone wait so long.
const GREETING_PATIENCE: libc::c_int = 100;

/// The bytes of a request, seen from the client.
pub(crate) enum Payload<'a> {
    None,
    /// Go to the scheme.
    In(&'a [u8]),
    /// Come from the scheme.
    Out(&'a mut [u8]),
    /// Both.
    InOut(&'a mut [u8]),
}

impl Payload<'_> {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::In(bytes) => bytes.len(),
            Self::Out(bytes) | Self::InOut(bytes) => bytes.len(),
        }
    }

    fn wire_flags(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::In(_) => WRITE,
            Self::Out(_) => READ,
            Self::InOut(_) => READ | WRITE,
        }
    }

    fn sent_to_scheme(&self) -> &[u8] {
        match self {
            Self::None | Self::Out(_) => &[],
            Self::In(bytes) => bytes,
            Self::InOut(bytes) => bytes,
        }
    }

    fn filled_by_scheme(&mut self) -> &mut [u8] {
        match self {
            Self::None | Self::In(_) => &mut [],
            Self::Out(bytes) | Self::InOut(bytes) => bytes,
        }
    }
}

/// What a scheme answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: usize,
    /// New descriptors, close-on-exec.
    pub(crate) fds: Vec<OwnedFd>,
}

/// This thread's way back from one daemon.
struct Channel {
    fd: OwnedFd,
    id: ChannelId,
    /// Which daemon: its random id, and its process as this one sees it (0: not at all).
    daemon: u64,
    pid: libc::pid_t,
    seq: u64,
}

/// Which daemon a descriptor leads to, as long as it is the socket with this cookie.
#[derive(Clone, Copy, Default)]
struct Binding {
    cookie: u64,
    daemon: u64,
}

#[derive(Default)]
struct ThreadState {
    /// The value of [`FORKS`] when the channels were made.
    forks: u32,
    channels: Vec<Channel>,
    /// By descriptor.
    bindings: Vec<Binding>,
    /// Connections to names, so that an open by path need not connect again.
    roots: Vec<(RootKey, OwnedFd)>,
}

/// What a connection to a name depends on: the socket's file, and who was allowed to connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RootKey {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Change time in nanoseconds; inode numbers are used again.
    pub(crate) changed: i64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Connections that a thread keeps.
const ROOTS_MAX: usize = 8;

/// Takes this thread's connection to a name, if its daemon still lives.
pub(crate) fn take_root(key: RootKey) -> Result<Option<OwnedFd>> {
    let root = with_state(|state| {
        let index = state.roots.iter().position(|(known, _)| *known == key)?;
        Some(state.roots.swap_remove(index).1)
    })?;
    // Nothing is ever sent over it unasked: what makes it readable is its end.
    Ok(root.filter(|fd| sys::poll(fd.as_raw_fd(), libc::POLLIN, 0) == Ok(false)))
}

/// Keeps a connection for this thread's next open by path.
pub(crate) fn keep_root(key: RootKey, fd: OwnedFd) -> Result<()> {
    with_state(|state| {
        if state.roots.len() == ROOTS_MAX {
            state.roots.remove(0);
        }
        state.roots.push((key, fd));
    })
}

thread_local! {
    static STATE: RefCell<ThreadState> = RefCell::default();
}

/// How often this process was forked off: a child must not use its parent's reply channels.
static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

fn watch_forks() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
    });
}

/// Gives `use_state` this thread's state; EDEADLK inside a signal handler that interrupted another
/// use, EIO while the thread ends.
fn with_state<T>(use_state: impl FnOnce(&mut ThreadState) -> T) -> Result<T> {
    STATE
        .try_with(|state| {
            let mut state = state.try_borrow_mut().map_err(|_| Errno(libc::EDEADLK))?;
            let forks = FORKS.load(Ordering::Relaxed);
            if state.forks != forks {
                *state = ThreadState { forks, ..ThreadState::default() };
            }
            Ok(use_state(&mut state))
        })
        .unwrap_or(Err(Errno(libc::EIO)))
}

/// An open file of a scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle {
    fd: RawFd,
    cookie: u64,
}

impl Handle {
    /// ENOTSOCK if the descriptor is some other file.
    pub(crate) fn of(fd: RawFd) -> Result<Self> {
        let cookie = sys::socket_cookie(fd)?;
        let bound = with_state(|state| state.binding(fd, cookie).is_some())?;
        if !bound && !sys::is_local_seqpacket(fd)? {
            return Err(Errno(libc::ENOTSOCK));
        }
        Ok(Self { fd, cookie })
    }

    /// Asks the scheme what of `events` is ready, and to say when that changes.
    pub(crate) fn fevent(self, events: u64) -> Result<usize> {
        Ok(self.request(Opcode::Fevent as u8, [events, 0, 0], Payload::None)?.value)
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn request(
        self,
        opcode: u8,
        args: [u64; 3],
        payload: Payload<'_>,
    ) -> Result<Answer> {
        let len = payload.len() as u64;
        self.exchange(Request { opcode, args, len, ..Request::default() }, payload, &[])
    }

    /// Sends a request whose payload is `len` bytes of a file of the caller's choice.
    pub(crate) fn request_in_memory(
        self,
        opcode: u8,
        args: [u64; 3],
        memory: &File,
        len: u64,
    ) -> Result<Answer> {
        let request =
            Request { opcode, args, len, flags: READ | WRITE | MEMFD, ..Request::default() };
        self.exchange(request, Payload::None, &[memory.as_raw_fd()])
    }

    /// Moves descriptors to the scheme.
    pub(crate) fn send_fds(self, args: [u64; 3], fds: &[RawFd]) -> Result<Answer> {
        let request = Request { opcode: Opcode::Sendfd as u8, args, ..Request::default() };
        self.exchange(request, Payload::None, fds)
    }

    /// Gets at most `count` descriptors from the scheme.
    pub(crate) fn receive_fds(self, args: [u64; 3], count: usize) -> Result<Answer> {
        let len = count.min(FDS_MAX) as u64;
        let request = Request { opcode: Opcode::Recvfd as u8, args, len, ..Request::default() };
        self.exchange(request, Payload::None, &[])
    }

    /// Sends a request on behalf of somebody; `at`: a read or a write there.
    pub(crate) fn request_for(
        self,
        someone: Someone,
        opcode: Opcode,
        args: [u64; 3],
        at: bool,
        payload: Payload<'_>,
    ) -> Result<Answer> {
        let flags = ON_BEHALF | if at { AT } else { 0 };
        let (opcode, len) = (opcode as u8, payload.len() as u64);
        let request = Request { opcode, flags, args, len, someone, ..Request::default() };
        self.exchange(request, payload, &[])
    }

    fn exchange(self, mut request: Request, payload: Payload<'_>, fds: &[RawFd]) -> Result<Answer> {
        let mut channel = self.take_channel()?;
        if request.opcode == Opcode::Read as u8 {
            request.stolen_welcomes = self.drain_tokens()?;
        }
        request.flags |= payload.wire_flags();
        let answer = if payload.len() > INLINE_MAX {
            self.exchange_memory(&mut channel, request, payload)
        } else {
            self.exchange_inline(&mut channel, request, payload, fds)
        };
        match answer {
            // A channel that broke is not put back: the next request makes another.
            Err(Broken::Channel(error)) => Err(error),
            Err(Broken::Request(error)) => {
                with_state(|state| state.channels.push(channel))?;
                Err(error)
            }
            Ok(answer) => {
                with_state(|state| state.channels.push(channel))?;
                Ok(answer)
            }
        }
    }

    fn exchange_inline(
        self,
        channel: &mut Channel,
        request: Request,
        mut payload: Payload<'_>,
        fds: &[RawFd],
    ) -> Outcome {
        let seq = self.send(channel, request, payload.sent_to_scheme(), fds)?;
        channel.await_answer(seq, payload.filled_by_scheme())
    }

    /// As [`Self::exchange_inline`], with the payload in a memfd that the daemon maps.
    fn exchange_memory(
        self,
        channel: &mut Channel,
        mut request: Request,
        mut payload: Payload<'_>,
    ) -> Outcome {
        let len = payload.len();
        if len > PAYLOAD_MAX {
            return Err(Broken::Request(Errno(libc::EMSGSIZE)));
        }
        let memory = sys::sealed_memory(len).map_err(Broken::Request)?;
        let mut mapping = Mapping::new(&memory, len).map_err(Broken::Request)?;
        mapping.copy_in(payload.sent_to_scheme());
        request.flags |= MEMFD;
        let seq = self.send(channel, request, &[], &[memory.as_raw_fd()])?;
        let answer = channel.await_answer(seq, &mut []);
        let is_read = request.opcode == Opcode::Read as u8;
        let back = payload.filled_by_scheme();
        match &answer {
            Ok(answer) if is_read => {
                let got = answer.value.min(back.len());
                mapping.copy_out(&mut back[..got]);
            }
            Err(Broken::Channel(_)) => {}
            _ if is_read => {}
            // The scheme wrote into the caller's memory, whatever its result.
            _ => mapping.copy_out(back),
        }
        answer
    }

    fn send(
        self,
        channel: &mut Channel,
        mut request: Request,
        data: &[u8],
        fds: &[RawFd],
    ) -> Result<u64, Broken> {
        channel.seq += 1;
        request.seq = channel.seq;
        request.channel = channel.id;
        // In calls the scheme sees none of it, and the kernel adds the process by itself.
        let anonymous =
            request.opcode == Opcode::Call as u8 || request.opcode == Opcode::StdFsCall as u8;
        let credentials = (!anonymous).then(sys::own_credentials);
        let header = request.to_bytes();
        let parts = [IoSlice::new(&header), IoSlice::new(data)];
        let parts = if data.is_empty() { &parts[..1] } else { &parts[..] };
        loop {
            match sys::send(self.fd, parts, credentials, fds, 0) {
                Ok(()) => return Ok(request.seq),
                // Somebody made the socket itself non-blocking, to poll it.
                Err(Errno(libc::EAGAIN)) => {
                    sys::poll(self.fd, libc::POLLOUT, -1).map_err(Broken::Request)?;
                }
                Err(error) => return Err(Broken::Request(gone(error))),
            }
        }
    }

    /// Takes this thread's channel to the handle's daemon, or gets one.
    fn take_channel(self) -> Result<Channel> {
        let known = with_state(|state| {
            let daemon = state.binding(self.fd, self.cookie)?.daemon;
            state.take_channel(|channel| channel.daemon == daemon)
        })?;
        if let Some(channel) = known {
            return Ok(channel);
        }
        let pid = sys::peer_credentials(self.fd)?.pid;
        let by_pid =
            with_state(|state| state.take_channel(|channel| pid != 0 && channel.pid == pid))?;
        let (mut channel, took_token) = match by_pid {
            Some(channel) => (channel, false),
            None => self.greet(pid)?,
        };
        let binding = Binding { cookie: self.cookie, daemon: channel.daemon };
        with_state(|state| state.bind(self.fd, binding))?;
        if took_token {
            self.give_back_token(&mut channel)?;
        }
        Ok(channel)
    }

    /// Asks for a reply channel, over the handle itself. Also answers whether a readiness token was
    /// taken meanwhile.
    fn greet(self, pid: libc::pid_t) -> Result<(Channel, bool)> {
        watch_forks();
        sys::raise_file_limit();
        let greeting = Request { opcode: GREETING, ..Request::default() }.to_bytes();
        let mut took_token = false;
        loop {
            let parts = [IoSlice::new(&greeting)];
            let sent = sys::send(self.fd, &parts, Some(sys::own_credentials()), &[], 0);
            sent.map_err(|error| self.why_gone(error))?;
            loop {
                match sys::poll(self.fd, libc::POLLIN, GREETING_PATIENCE) {
                    Ok(true) | Err(Errno(libc::EINTR)) => {}
                    Ok(false) => break,
                    Err(error) => return Err(error),
                }
                match self.take_message().map_err(|error| self.why_gone(error))? {
                    Message::Refused => return Err(Errno(libc::EMFILE)),
                    Message::Welcome(welcome, fd) => {
                        let Welcome { channel: id, daemon } = welcome;
                        return Ok((Channel { fd, id, daemon, pid, seq: 0 }, took_token));
                    }
                    Message::Token => took_token = true,
                    Message::Nothing => {}
                }
            }
        }
    }

    /// Makes the handle readable again if the scheme still says so.
    fn give_back_token(self, channel: &mut Channel) -> Result<()> {
        let ready = EventFlags::EVENT_READ.bits() as u64;
        let request =
            Request { opcode: Opcode::Fevent as u8, args: [ready, 0, 0], ..Request::default() };
        match self.exchange_inline(channel, request, Payload::None, &[]) {
            Err(Broken::Channel(error)) => Err(error),
            // A scheme without readiness has none to give back.
            _ => Ok(()),
        }
    }

    /// Empties the handle's socket of readiness tokens; answers how many welcomes, meant for others
    /// who share the handle, were among them.
    pub(crate) fn drain_tokens(self) -> Result<u8> {
        let mut stolen = 0_u8;
        loop {
            match self.take_message()? {
                Message::Token => {}
                Message::Welcome(..) | Message::Refused => stolen = stolen.saturating_add(1),
                Message::Nothing => return Ok(stolen),
            }
        }
    }

    /// Takes one message from the handle's socket. ENODEV when the daemon is gone.
    fn take_message(self) -> Result<Message> {
        let mut bytes = [0; Welcome::SIZE];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = match sys::receive(self.fd, &mut parts, libc::MSG_DONTWAIT) {
            Ok(received) => received,
            Err(Errno(libc::EAGAIN | libc::EINTR)) => return Ok(Message::Nothing),
            Err(error) => return Err(gone(error)),
        };
        if received.len == 0 {
            return Err(Errno(libc::ENODEV));
        }
        let fd = received.fds.into_iter().next();
        Ok(match (Welcome::from_bytes(&bytes), fd) {
            (Some(welcome), Some(fd)) if received.len == Welcome::SIZE => {
                Message::Welcome(welcome, fd)
            }
            (Some(_), None) if received.len == Welcome::SIZE => Message::Refused,
            _ => Message::Token,
        })
    }

    /// Why a socket broke: its daemon may have said before that it has no descriptor for this client.
    fn why_gone(self, error: Errno) -> Errno {
        // A broken socket tells its error once before it gives what is left.
        let refused = (0..2).any(|_| matches!(self.take_message(), Ok(Message::Refused)));
        if refused { Errno(libc::EMFILE) } else { gone(error) }
    }
}

/// What comes over a handle's socket.
enum Message {
    Nothing,
    /// The daemon, or this process, has no descriptor left for a reply channel.
    Refused,
    Token,
    Welcome(Welcome, OwnedFd),
}

/// How a request can fail.
enum Broken {
    /// The scheme said so, or nothing was sent; the channel is as it was.
    Request(Errno),
    /// The answer will never come, or came wrong.
    Channel(Errno),
}

type Outcome = Result<Answer, Broken>;

impl Channel {
    /// Waits for the answer. A signal asks the scheme to cancel, and the true answer is awaited.
    fn await_answer(&mut self, seq: u64, back: &mut [u8]) -> Outcome {
        let mut header = [0; Reply::SIZE];
        let mut cancelled = false;
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(back)];
            match sys::receive(self.fd.as_raw_fd(), &mut parts, 0) {
                Ok(received) => break received,
                Err(Errno(libc::EINTR)) if cancelled => {}
                Err(Errno(libc::EINTR)) => {
                    cancelled = true;
                    let cancel = Cancel { seq }.to_bytes();
                    let parts = [IoSlice::new(&cancel)];
                    sys::send(self.fd.as_raw_fd(), &parts, None, &[], 0)
                        .map_err(|error| Broken::Channel(gone(error)))?;
                }
                Err(error) => return Err(Broken::Channel(gone(error))),
            }
        };
        if received.len == 0 {
            return Err(Broken::Channel(Errno(libc::ENODEV)));
        }
        let reply = Reply::from_bytes(&header)
            .filter(|reply| received.len >= Reply::SIZE && reply.seq == seq)
            .filter(|_| !received.truncated)
            .ok_or(Broken::Channel(Errno(libc::EIO)))?;
        match reply.result {
            value if value >= 0 => Ok(Answer { value: value as usize, fds: received.fds }),
            error => Err(Broken::Request(scheme_error(-error as i32, cancelled))),
        }
    }
}

/// What the caller is told of a scheme's error. ECANCELED is the answer to a cancellation and means
/// EINTR; an EINTR that nobody asked for is a fault of the scheme's.
fn scheme_error(errno: i32, cancelled: bool) -> Errno {
    Errno(match errno {
        syscall::error::ECANCELED if cancelled => libc::EINTR,
        syscall::error::EINTR if !cancelled => libc::EIO,
        other => flags::errno_to_linux(other),
    })
}

/// The error of a socket whose daemon is dead.
fn gone(error: Errno) -> Errno {
    match error.0 {
        libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN => Errno(libc::ENODEV),
        _ => error,
    }
}

impl ThreadState {
    fn binding(&self, fd: RawFd, cookie: u64) -> Option<Binding> {
        let binding = *self.bindings.get(usize::try_from(fd).ok()?)?;
        (binding.cookie == cookie).then_some(binding)
    }

    fn bind(&mut self, fd: RawFd, binding: Binding) {
        let Ok(fd) = usize::try_from(fd) else { return };
        if self.bindings.len() <= fd {
            self.bindings.resize(fd + 1, Binding::default());
        }
        self.bindings[fd] = binding;
    }

    fn take_channel(&mut self, wanted: impl Fn(&Channel) -> bool) -> Option<Channel> {
        let index = self.channels.iter().position(wanted)?;
        Some(self.channels.swap_remove(index))
    }
}

/// Turns a new handle into a plain descriptor, inherited over exec unless `close_on_exec`.
pub(crate) fn hand_out(fd: OwnedFd, close_on_exec: bool) -> Result<RawFd> {
    use std::os::fd::IntoRawFd;
    if !close_on_exec {
        // SAFETY: takes no pointers.
        crate::errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) })?;
    }
    Ok(fd.into_raw_fd())
}

/// The one descriptor that an answer must have brought.
pub(crate) fn one_fd(answer: &mut Answer) -> Result<OwnedFd> {
    mem::take(&mut answer.fds).into_iter().next().ok_or(Errno(libc::EIO))
}
