//! One source's connection.

use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use lcs_abi::call::SourceStatus;
use lcs_abi::rsi::{
    self, Answer, FRAME_HEADER, FromSource, Request, RequestHeader, SourceError, split_frame,
};
use lcs_core::registry::{Address, Fault};
use syscall::error::{EIO, EMSGSIZE};
use syscall::flag::EventFlags;

use super::kind::Kind;
use crate::call::{Call, Reply};

/// A message of a source.
pub type Message = FromSource;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It is open.
    #[default]
    Open,
    /// Its claim was accepted.
    Claimed,
    /// It registered, and is asked.
    Registered,
    /// It has broken the protocol, or was refused; what it was told can still be read.
    Ended,
}

/// A source's connection.
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// The longest frame either side may write.
    pub(super) max_frame: u32,
    /// Reads that wait for frames.
    pub(super) readers: VecDeque<Rc<Call>>,
    /// Frames that wait for a read.
    frames: VecDeque<Vec<u8>>,
    /// The source wants to be told of new frames.
    subscribed: bool,
    /// There are new frames, or the end, of which the source was not told.
    news: bool,
    requests: HashMap<u64, Pending>,
    /// Requests that wait for a place among those in flight, with their frames, in order.
    waiting: VecDeque<(u64, Vec<u8>)>,
    in_flight: usize,
    last_request: u64,
    late_answers: u64,
}

impl Default for Connection {
    fn default() -> Self {
        Connection {
            phase: Phase::Open,
            max_frame: rsi::FRAME_OVERHEAD,
            readers: VecDeque::new(),
            frames: VecDeque::new(),
            subscribed: false,
            news: false,
            requests: HashMap::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
            last_request: 0,
            late_answers: 0,
        }
    }
}

/// A request without an answer.
pub(super) struct Pending {
    kind: Kind,
    answer: oneshot::Sender<Result<Answer, Fault>>,
    call: Weak<Call>,
    sent: bool,
}

impl Pending {
    /// Tells the call that it is for, if there is one.
    fn tell(&self, what: impl FnOnce(&Call)) {
        if let Some(call) = self.call.upgrade() {
            what(&call);
        }
    }
}

type Asked = oneshot::Receiver<Result<Answer, Fault>>;

impl Connection {
    pub(super) fn received(&self, mut bytes: &[u8]) -> Option<Vec<Message>> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let (contents, rest) = split_frame(bytes, self.max_frame).ok().flatten()?;
            messages.push(lcs_abi::decode(contents).ok()?);
            bytes = rest;
        }
        Some(messages)
    }

    pub(super) fn put(&mut self, frame: Vec<u8>) {
        self.frames.push_back(frame);
        self.news = true;
    }

    pub(super) fn request(
        &mut self,
        to: Address,
        request: &Request,
        call: Option<&Rc<Call>>,
        limit: usize,
    ) -> Result<Asked, Fault> {
        if self.phase != Phase::Registered {
            return Err(Fault::Down);
        }
        let id = self.last_request + 1;
        let header = RequestHeader { id, hive: to.hive, snapshot: to.snapshot };
        let frame = rsi::request_frame(header, request);
        if frame.len() - FRAME_HEADER > self.max_frame as usize {
            return Err(Fault::Refused(SourceError::TooLarge));
        }
        self.last_request = id;
        let (sender, receiver) = oneshot::channel();
        let sent = self.waiting.is_empty() && self.in_flight < limit;
        if let Some(call) = call {
            call.asks(sent);
        }
        self.requests.insert(
            id,
            Pending {
                kind: Kind::expected(request),
                answer: sender,
                call: call.map(Rc::downgrade).unwrap_or_default(),
                sent,
            },
        );
        if sent {
            self.in_flight += 1;
            self.put(frame);
        } else {
            self.waiting.push_back((id, frame));
        }
        Ok(receiver)
    }

    /// False: no request of this kind was sent.
    pub(super) fn answered(
        &mut self,
        id: u64,
        result: Result<Answer, SourceError>,
        limit: usize,
    ) -> bool {
        let fits = |pending: &Pending| {
            pending.sent && result.as_ref().map_or(true, |answer| Kind::of(answer) == pending.kind)
        };
        if !self.requests.get(&id).is_some_and(fits) {
            return false;
        }
        let Some(pending) = self.requests.remove(&id) else {
            return false;
        };
        let applied = pending.kind == Kind::Applied && result.is_ok();
        pending.tell(|call| {
            call.progressed();
            if applied {
                call.took_effect();
            }
            if !call.is_open() {
                self.late_answers += 1;
            }
        });
        // Nobody waits any more for a request whose caller gave up before anything depended on it.
        let _ = pending.answer.send(result.map_err(Fault::Refused));
        self.in_flight -= 1;
        self.send_waiting(limit);
        true
    }

    /// Sends what has waited for a place, as far as there are places.
    fn send_waiting(&mut self, limit: usize) {
        while self.in_flight < limit {
            let Some((id, frame)) = self.waiting.pop_front() else { break };
            if let Some(next) = self.requests.get_mut(&id) {
                next.sent = true;
                next.tell(Call::sent);
                self.in_flight += 1;
                self.put(frame);
            }
        }
    }

    /// Forgets the requests that were not sent yet and that nobody waits for any more.
    pub(super) fn forget_abandoned(&mut self) {
        let requests = &mut self.requests;
        self.waiting.retain(|(id, _)| {
            let abandoned = requests.get(id).is_none_or(|next| next.answer.is_canceled());
            if abandoned {
                requests.remove(id);
            }
            !abandoned
        });
    }

    /// Whoever waits for an answer learns that none comes.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Ended;
        self.news = true;
        self.in_flight = 0;
        self.waiting.clear();
        for (_, pending) in self.requests.drain().filter(|(_, pending)| pending.sent) {
            pending.tell(Call::progressed);
        }
    }

    /// Frames for a read of this length, an errno, or nothing yet.
    pub(super) fn read(&mut self, length: usize) -> Option<Result<Vec<u8>, i32>> {
        let Some(first) = self.frames.front() else {
            return (self.phase == Phase::Ended).then_some(Err(EIO));
        };
        if first.len() > length {
            return Some(Err(EMSGSIZE));
        }
        let mut taken = Vec::new();
        while let Some(frame) = self.frames.pop_front() {
            if taken.len() + frame.len() > length {
                self.frames.push_front(frame);
                break;
            }
            taken.extend(frame);
        }
        // An edge-triggered reader that leaves something is told again.
        self.news |= !self.frames.is_empty();
        Some(Ok(taken))
    }

    pub(super) fn serve_readers(&mut self) {
        while let Some(reader) = self.readers.pop_front() {
            if !reader.is_open() {
                continue;
            }
            match self.read(reader.buffer_len()) {
                None => {
                    self.readers.push_front(reader);
                    return;
                }
                Some(Ok(frames)) => reader.answer(Reply::Bytes(frames)),
                Some(Err(errno)) => reader.answer(Reply::Status(Err(errno))),
            };
        }
    }

    pub(super) fn subscribe(&mut self, flags: EventFlags) -> EventFlags {
        self.subscribed = flags.contains(EventFlags::EVENT_READ);
        let mut ready = EventFlags::EVENT_WRITE;
        ready.set(EventFlags::EVENT_READ, self.readable());
        ready & flags
    }

    /// Whether the source is to be told now that it can read.
    pub(super) fn takes_event(&mut self) -> bool {
        std::mem::take(&mut self.news) && self.subscribed && self.readable()
    }

    fn readable(&self) -> bool {
        !self.frames.is_empty() || self.phase == Phase::Ended
    }

    pub(super) fn status(&self) -> SourceStatus {
        SourceStatus {
            hives: Vec::new(),
            in_flight: self.in_flight as u64,
            waiting: self.waiting.len() as u64,
            late_answers: self.late_answers,
        }
    }
}
