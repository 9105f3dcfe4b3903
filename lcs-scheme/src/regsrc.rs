//! Connections of sources over `regsrc:`, and the requests that they have not answered yet (DESIGN §11).

mod connection;
mod kind;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use lcs_abi::call::SourceStatus;
use lcs_abi::rsi::{Answer, Request, SourceError};
use lcs_core::registry::{Address, ConnectionId, Fault};
use redox_scheme::Response;
use syscall::error::{EAGAIN, EBADF};
use syscall::flag::EventFlags;

use crate::call::{Call, Current, Reply};
use crate::deadlines::{Deadlines, Moment};
use crate::outbox::Outbox;
use crate::raw::Incoming;
use connection::Connection;
pub use connection::{Message, Phase};

/// A request to a source, and the connection that it went to.
type Sent = (ConnectionId, u64);

/// All connections of sources.
pub struct Sources {
    connections: RefCell<BTreeMap<ConnectionId, Connection>>,
    last: Cell<u64>,
    deadlines: RefCell<Deadlines<Sent>>,
    limits: RefCell<Limits>,
    current: Current,
    outbox: Rc<Outbox>,
}

/// The settings that bound what sources are asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a caller waits (RequestTimeoutMs).
    pub timeout: Duration,
    /// How many requests a source has at once (MaxConcurrentRSIRequests).
    pub in_flight: usize,
}

impl Sources {
    /// No connection yet. Answers to sources go to `outbox`; `current` tells whom requests are for.
    pub fn new(
        current: Current,
        outbox: Rc<Outbox>,
        limits: Limits,
    ) -> libredox::error::Result<Sources> {
        Ok(Sources {
            connections: RefCell::default(),
            last: Cell::new(0),
            deadlines: RefCell::new(Deadlines::new()?),
            limits: RefCell::new(limits),
            current,
            outbox,
        })
    }

    /// The limits from now on.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.borrow_mut() = limits;
    }

    /// The clockwork behind the time limits.
    pub fn deadlines(&self) -> &RefCell<Deadlines<Sent>> {
        &self.deadlines
    }

    /// A source connects.
    pub fn connect(&self) -> ConnectionId {
        // Numbers go up, so that none comes back while somebody still thinks of its former bearer. A
        // scheme's handles go to 2^31: a source a second for 68 years.
        let id = ConnectionId(self.last.get() + 1);
        self.last.set(id.0);
        self.connections.borrow_mut().insert(id, Connection::default());
        id
    }

    /// A source's descriptor is closed for good.
    pub fn closed(&self, id: ConnectionId) {
        self.connections.borrow_mut().remove(&id);
    }

    /// How far a connection has come; `None` if there is no such connection.
    pub fn phase(&self, id: ConnectionId) -> Option<Phase> {
        self.with(id, |connection| connection.phase)
    }

    /// A connection has come further.
    pub fn set_phase(&self, id: ConnectionId, phase: Phase) {
        self.with(id, |connection| connection.phase = phase);
    }

    /// Takes the frames that a source writes. `None`: the bytes are no whole frames.
    pub fn received(&self, id: ConnectionId, bytes: &[u8]) -> Option<Vec<Message>> {
        self.with(id, |connection| connection.received(bytes)).flatten()
    }

    /// Tells a source something.
    pub fn tell(&self, id: ConnectionId, frame: Vec<u8>) {
        self.with(id, |connection| connection.put(frame));
    }

    /// Promises the source how long a frame may be.
    pub fn set_max_frame(&self, id: ConnectionId, max_frame: u32) {
        self.with(id, |connection| connection.max_frame = max_frame);
    }

    /// Takes a source's answer. False: it answers no request of its kind that it was sent.
    pub fn answered(
        &self,
        id: ConnectionId,
        request: u64,
        result: Result<Answer, SourceError>,
    ) -> bool {
        let in_flight = self.limits.borrow().in_flight;
        let deadline =
            self.with(id, |connection| connection.answered(request, result, in_flight)).flatten();
        if let Some(at) = deadline {
            self.deadlines.borrow_mut().remove(at, (id, request));
        }
        deadline.is_some()
    }

    /// Whatever a source was asked it will not answer; it is told nothing more beside what waits to be
    /// read.
    pub fn end(&self, id: ConnectionId) {
        let ended = self.with(id, Connection::end).unwrap_or_default();
        let mut deadlines = self.deadlines.borrow_mut();
        for (request, at) in ended {
            deadlines.remove(at, (id, request));
        }
    }

    /// Asks a source.
    pub fn request(
        &self,
        to: Address,
        request: &Request,
    ) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let call = self.current.get();
        let Limits { timeout, in_flight } = *self.limits.borrow();
        let at = Moment::now().after(timeout);
        let sent = self.with(to.connection, |connection| {
            connection.request(to.hive, request, call.as_ref(), at, in_flight)
        });
        let sent = sent.unwrap_or(Err(Fault::Down));
        if let Ok((request, _)) = &sent {
            self.deadlines.borrow_mut().add(at, (to.connection, *request));
        }
        async move {
            match sent {
                // A connection that ends drops the sender.
                Ok((_, answer)) => answer.await.unwrap_or(Err(Fault::Down)),
                Err(fault) => Err(fault),
            }
        }
    }

    /// Tells the callers whose time is up.
    pub fn expire(&self, now: Moment) {
        loop {
            let due = self.deadlines.borrow_mut().due(now);
            let Some((id, request)) = due else { return };
            self.with(id, |connection| connection.expire(request));
        }
    }

    /// A source reads: it gets whole frames, or waits for them.
    pub fn read(&self, id: ConnectionId, incoming: Incoming, nonblock: bool) {
        let call = Call::new(incoming, Rc::clone(&self.outbox));
        let mut connections = self.connections.borrow_mut();
        let Some(connection) = connections.get_mut(&id) else {
            call.answer(Reply::Status(Err(EBADF)));
            return;
        };
        match connection.read(call.buffer_len()) {
            Some(Ok(frames)) => {
                call.answer(Reply::Bytes(frames));
            }
            Some(Err(errno)) => {
                call.answer(Reply::Status(Err(errno)));
            }
            None if nonblock => {
                call.answer(Reply::Status(Err(EAGAIN)));
            }
            None => connection.readers.push_back(call),
        }
    }

    /// A source wants to be told when there is something to read; tells what there is now.
    pub fn subscribe(&self, id: ConnectionId, flags: EventFlags) -> Result<EventFlags, i32> {
        self.with(id, |connection| connection.subscribe(flags)).ok_or(EBADF)
    }

    /// Gives new frames to those who wait for them, and tells those who wanted to be told.
    pub fn deliver(&self) {
        for (id, connection) in self.connections.borrow_mut().iter_mut() {
            connection.serve_readers();
            if connection.takes_event() {
                let flags = EventFlags::EVENT_READ.bits();
                self.outbox.push(Response::post_fevent(id.0 as usize, flags));
            }
        }
    }

    /// How the connections are; their hives are known elsewhere.
    pub fn status(&self) -> Vec<(ConnectionId, SourceStatus)> {
        let connections = self.connections.borrow();
        let registered =
            connections.iter().filter(|(_, connection)| connection.phase == Phase::Registered);
        registered.map(|(id, connection)| (*id, connection.status())).collect()
    }

    fn with<R>(&self, id: ConnectionId, f: impl FnOnce(&mut Connection) -> R) -> Option<R> {
        self.connections.borrow_mut().get_mut(&id).map(f)
    }
}
