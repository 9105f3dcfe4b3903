//! An ordinary `redox-scheme` daemon for tests: `echo-scheme NAME…` serves the names from one event
//! loop and says on `INIT_NOTIFY` when they are there. What it does is in `registry_tests::echo`.

use std::collections::{HashMap, VecDeque};
use std::process::ExitCode;

use event::{EventFlags as QueueFlags, EventQueue};
use hosted as _;
use libredox::error::Error as LError;
use redox_scheme::scheme::{Op, SchemeResponse, SchemeState, SchemeSync, register_scheme_inner};
use redox_scheme::{
    CallerCtx, Id, OpenResult, Request, RequestKind, Response, SendFdRequest, SignalBehavior,
    Socket,
};
use registry_tests::daemons;
use registry_tests::echo::{self, Verb};
use syscall::dirent::{DirEntry, DirentBuf, DirentKind};
use syscall::error::{
    EAGAIN, EBADF, ECANCELED, EINVAL, ENOSYS, EOPNOTSUPP, ERANGE, EWOULDBLOCK, Error, Result,
};
use syscall::flag::{EventFlags, F_GETFL, F_SETFL, O_NONBLOCK};
use syscall::schemev2::{NewFdFlags, Opcode, Sqe};
use syscall::{Stat, StatVfs, TimeSpec};

const ROOT: usize = 0;

/// An open file.
#[derive(Default)]
struct File {
    path: String,
    opener: [u64; 3],
    flags: [u64; 2],
    /// What `read` gives.
    data: VecDeque<u8>,
    len: u64,
    times: [u64; 2],
    watched: bool,
    positioned: bool,
}

#[derive(Default)]
struct Echo {
    files: HashMap<usize, File>,
    next: usize,
    /// Handles made, closed, and requests cancelled.
    counters: [u64; 3],
    last_unlinked: [u64; 3],
    received: Vec<usize>,
    posts: Vec<Response>,
}

fn identity(ctx: &CallerCtx) -> [u64; 3] {
    [u64::from(ctx.uid), u64::from(ctx.gid), ctx.pid as u64]
}

fn put(words: &[u64], payload: &mut [u8]) -> Result<usize> {
    let len = words.len() * 8;
    let target = payload.get_mut(..len).ok_or(Error::new(EINVAL))?;
    for (chunk, word) in target.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    Ok(len)
}

impl Echo {
    fn file(&mut self, id: usize) -> Result<&mut File> {
        self.files.get_mut(&id).ok_or(Error::new(EBADF))
    }

    fn add(&mut self, file: File) -> OpenResult {
        self.next += 1;
        self.counters[0] += 1;
        let flags = if file.positioned { NewFdFlags::POSITIONED } else { NewFdFlags::empty() };
        self.files.insert(self.next, file);
        OpenResult::ThisScheme { number: self.next, flags }
    }
}

impl SchemeSync for Echo {
    fn openat(
        &mut self,
        _dir: usize,
        path: &str,
        flags: usize,
        fcntl_flags: u32,
        ctx: &CallerCtx,
    ) -> Result<OpenResult> {
        let file = File {
            path: path.to_owned(),
            opener: identity(ctx),
            flags: [flags as u64, u64::from(fcntl_flags)],
            positioned: path == echo::POSITIONED,
            ..File::default()
        };
        Ok(self.add(file))
    }

    fn dup(&mut self, old: usize, payload: &[u8], ctx: &CallerCtx) -> Result<OpenResult> {
        let path = self.files.get(&old).map(|file| file.path.clone()).unwrap_or_default();
        let data = payload.iter().copied().collect();
        Ok(self.add(File { path, opener: identity(ctx), data, ..File::default() }))
    }

    fn unlinkat(&mut self, _dir: usize, _path: &str, _flags: usize, ctx: &CallerCtx) -> Result<()> {
        self.last_unlinked = identity(ctx);
        Ok(())
    }

    fn read(
        &mut self,
        id: usize,
        buf: &mut [u8],
        offset: u64,
        flags: u32,
        _ctx: &CallerCtx,
    ) -> Result<usize> {
        let file = self.file(id)?;
        if file.positioned {
            // Each byte is its offset, to the end at 300.
            let left = 300_u64.saturating_sub(offset).min(buf.len() as u64) as usize;
            for (i, byte) in buf[..left].iter_mut().enumerate() {
                *byte = (offset as usize + i) as u8;
            }
            return Ok(left);
        }
        if file.data.is_empty() {
            let nonblocking = flags as usize & O_NONBLOCK != 0;
            return Err(Error::new(if nonblocking { EAGAIN } else { EWOULDBLOCK }));
        }
        let len = buf.len().min(file.data.len());
        for (to, from) in buf.iter_mut().zip(file.data.drain(..len)) {
            *to = from;
        }
        Ok(len)
    }

    fn write(
        &mut self,
        id: usize,
        buf: &[u8],
        _offset: u64,
        _flags: u32,
        ctx: &CallerCtx,
    ) -> Result<usize> {
        let file = self.file(id)?;
        if file.path == echo::WHO_WRITES {
            let words = identity(ctx);
            file.data.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        } else {
            file.data.extend(buf);
        }
        file.len += buf.len() as u64;
        if file.watched {
            self.posts.push(Response::post_fevent(id, EventFlags::EVENT_READ.bits()));
        }
        Ok(buf.len())
    }

    fn fcntl(&mut self, id: usize, cmd: usize, _arg: usize, _ctx: &CallerCtx) -> Result<usize> {
        self.file(id)?;
        match cmd {
            F_GETFL | F_SETFL => Ok(0),
            _ => Err(Error::new(EINVAL)),
        }
    }

    fn fevent(&mut self, id: usize, flags: EventFlags, _ctx: &CallerCtx) -> Result<EventFlags> {
        let file = self.file(id)?;
        file.watched = flags.contains(EventFlags::EVENT_READ);
        let ready = if file.data.is_empty() { EventFlags::empty() } else { EventFlags::EVENT_READ };
        Ok(ready & flags)
    }

    fn fpath(&mut self, id: usize, buf: &mut [u8], _ctx: &CallerCtx) -> Result<usize> {
        let path = format!("/scheme/echo/{}", self.file(id)?.path);
        let len = path.len().min(buf.len());
        buf[..len].copy_from_slice(&path.as_bytes()[..len]);
        Ok(len)
    }

    fn fstat(&mut self, id: usize, stat: &mut Stat, _ctx: &CallerCtx) -> Result<()> {
        let file = self.file(id)?;
        *stat = Stat {
            st_mode: 0o100_640,
            st_size: file.len,
            st_atime: file.times[0],
            st_mtime: file.times[1],
            ..Stat::default()
        };
        Ok(())
    }

    fn fsync(&mut self, id: usize, _ctx: &CallerCtx) -> Result<()> {
        self.file(id).map(|_| ())
    }

    fn ftruncate(&mut self, id: usize, len: u64, _ctx: &CallerCtx) -> Result<()> {
        self.file(id)?.len = len;
        Ok(())
    }

    fn futimens(&mut self, id: usize, times: &[TimeSpec], _ctx: &CallerCtx) -> Result<()> {
        let [access, change] = times else { return Err(Error::new(EINVAL)) };
        self.file(id)?.times = [access.tv_sec as u64, change.tv_sec as u64];
        Ok(())
    }

    fn getdents<'buf>(
        &mut self,
        _id: usize,
        mut buf: DirentBuf<&'buf mut [u8]>,
        opaque: u64,
    ) -> Result<DirentBuf<&'buf mut [u8]>> {
        for (index, name) in echo::ENTRIES.iter().enumerate().skip(opaque as usize) {
            buf.entry(DirEntry {
                inode: 0,
                next_opaque_id: index as u64 + 1,
                name,
                kind: DirentKind::Regular,
            })?;
        }
        Ok(buf)
    }

    fn call(
        &mut self,
        id: usize,
        payload: &mut [u8],
        metadata: &[u64],
        ctx: &CallerCtx,
    ) -> Result<usize> {
        match Verb::from_word(metadata[0]).ok_or(Error::new(EINVAL))? {
            Verb::Echo => match metadata.get(1) {
                None | Some(0) => Ok(payload.len()),
                Some(length) => Ok(*length as usize),
            },
            Verb::Invert => {
                payload.iter_mut().for_each(|byte| *byte = !*byte);
                Ok(payload.len())
            }
            Verb::TooSmall => {
                put(&[echo::LENGTH_NEEDED], payload)?;
                Err(Error::new(ERANGE))
            }
            Verb::Fail => Err(Error::new(metadata[1] as i32)),
            // The driver keeps the request until it is cancelled.
            Verb::Block => Err(Error::new(EWOULDBLOCK)),
            Verb::Die => std::process::abort(),
            Verb::WhoCalls => put(&identity(ctx), payload),
            Verb::WhoOpened => put(&self.file(id)?.opener.clone(), payload),
            Verb::WhoUnlinked => put(&self.last_unlinked, payload),
            Verb::OpenFlags => put(&self.file(id)?.flags.clone(), payload),
            Verb::Counters => put(&self.counters, payload),
            Verb::TakeReceived => {
                let fd = self.received.pop().ok_or(Error::new(EBADF))?;
                let result = libredox::call::read(fd, payload);
                libredox::call::close(fd)?;
                Ok(result?)
            }
        }
    }

    fn on_close(&mut self, id: usize) {
        if self.files.remove(&id).is_some() {
            self.counters[1] += 1;
        }
    }
}

/// Whether decoding a request is safe: redox-scheme asserts the lengths of three old operations, and
/// with them any client could end any daemon.
fn lengths_are_sound(request: &Request) -> bool {
    // SAFETY: Request is a transparent wrapper of Sqe.
    let sqe = unsafe { &*std::ptr::from_ref(request).cast::<Sqe>() };
    let len = sqe.args[2] as usize;
    match Opcode::try_from_raw(sqe.opcode) {
        Some(Opcode::Fstat) => len == size_of::<Stat>(),
        Some(Opcode::Fstatvfs) => len == size_of::<StatVfs>(),
        Some(Opcode::Futimens) => len == 2 * size_of::<TimeSpec>(),
        _ => true,
    }
}

/// One scheme name: its socket, and the requests that wait.
struct Served {
    socket: Socket,
    scheme: Echo,
    state: SchemeState,
    waiting: HashMap<Id, (CallerCtx, Op)>,
    responses: VecDeque<Response>,
}

impl Served {
    fn handle(&mut self, request: Request) {
        let sound = lengths_are_sound(&request);
        match request.kind() {
            RequestKind::Call(call) if !sound => {
                self.responses.push_back(Response::err(EINVAL, call));
            }
            RequestKind::Call(call) => {
                let caller = call.caller();
                match call.op() {
                    Ok(op) => self.try_op(caller, op),
                    Err(call) => self.responses.push_back(Response::err(ENOSYS, call)),
                }
            }
            RequestKind::Cancellation(cancel) => {
                self.scheme.counters[2] += 1;
                if let Some((_, op)) = self.waiting.remove(&cancel.id) {
                    self.responses.push_back(Response::err(ECANCELED, op));
                }
            }
            RequestKind::OnClose { id } => self.scheme.on_close(id),
            RequestKind::SendFd(request) => {
                let result = self.obtain(&request);
                self.responses.push_back(Response::new(result, request));
            }
            RequestKind::RecvFd(request) => {
                let fds: Vec<usize> = self.scheme.received.drain(..).collect();
                let flags = syscall::flag::FmoveFdFlags::empty();
                let answer = match request.move_fd(&self.socket, flags, &fds) {
                    Ok(()) => Ok(OpenResult::OtherSchemeMultiple { num_fds: fds.len() }),
                    Err(error) => Err(error),
                };
                self.responses.push_back(Response::open_dup_like(answer, request));
            }
            _ => {}
        }
    }

    fn obtain(&mut self, request: &SendFdRequest) -> Result<usize> {
        let mut fds = vec![usize::MAX; request.num_fds()];
        let flags = syscall::flag::FobtainFdFlags::empty();
        request.obtain_fd(&self.socket, flags, &mut fds)?;
        self.scheme.received.extend(&fds);
        Ok(fds.len())
    }

    fn try_op(&mut self, caller: CallerCtx, mut op: Op) {
        let result = op.handle_sync_dont_consume(&caller, &mut self.scheme, &mut self.state);
        let response = match result {
            SchemeResponse::Regular(Err(Error { errno: EWOULDBLOCK })) => {
                self.waiting.insert(caller.id, (caller, op));
                return;
            }
            SchemeResponse::Regular(result) => Response::new(result, op),
            SchemeResponse::Opened(result) => Response::open_dup_like(result, op),
            SchemeResponse::RegularAndNotifyOnDetach(_) => Response::err(EOPNOTSUPP, op),
        };
        self.responses.push_back(response);
    }

    /// Reads and answers until there is nothing left.
    fn serve(&mut self, requests: &mut Vec<Request>) -> Result<()> {
        loop {
            match self.socket.read_requests(requests, SignalBehavior::Restart) {
                Err(Error { errno: EAGAIN | EWOULDBLOCK }) => return Ok(()),
                other => other?,
            }
            for request in requests.drain(..) {
                self.handle(request);
            }
            let waiting: Vec<Id> = self.waiting.keys().copied().collect();
            for id in waiting {
                if let Some((caller, op)) = self.waiting.remove(&id) {
                    self.try_op(caller, op);
                }
            }
            self.responses.extend(self.scheme.posts.drain(..));
            // One call writes only the first half of a ring that wraps.
            while !self.responses.is_empty() {
                self.socket.write_responses(&mut self.responses, SignalBehavior::Restart)?;
            }
        }
    }
}

fn run() -> anyhow::Result<()> {
    let queue: EventQueue<usize> = EventQueue::new()?;
    let mut served = Vec::new();
    for (index, name) in std::env::args().skip(1).enumerate() {
        let socket = Socket::nonblock().map_err(LError::from)?;
        register_scheme_inner(&socket, &name, ROOT).map_err(LError::from)?;
        queue.subscribe(socket.inner().raw(), index, QueueFlags::READ)?;
        served.push(Served {
            socket,
            scheme: Echo::default(),
            state: SchemeState::new(),
            waiting: HashMap::new(),
            responses: VecDeque::new(),
        });
    }
    daemons::ready();
    let mut requests = Vec::with_capacity(64);
    loop {
        let event = queue.next_event()?;
        served[event.user_data].serve(&mut requests).map_err(LError::from)?;
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo-scheme: {error:#}");
            ExitCode::FAILURE
        }
    }
}
