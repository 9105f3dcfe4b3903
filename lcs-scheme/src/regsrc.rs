//! Connections of sources over `regsrc:`, and the requests that they have not answered yet (DESIGN §11).

mod connection;
mod kind;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use lcs_abi::call::SourceStatus;
use lcs_abi::rsi::{Answer, Request, SourceError};
use lcs_core::registry::{Address, ConnectionId, Fault};
use redox_scheme::Response;
use syscall::error::{EAGAIN, EBADF};
use syscall::flag::EventFlags;

use crate::call::{Call, Current, Reply};
use crate::clock::Clock;
use crate::outbox::Outbox;
use crate::raw::Incoming;
use connection::Connection;
pub use connection::{Message, Phase};

/// All connections of sources.
pub struct Sources {
    connections: RefCell<BTreeMap<ConnectionId, Connection>>,
    last: Cell<u64>,
    /// How many requests a source has at once (MaxConcurrentRSIRequests).
    in_flight: Cell<usize>,
    current: Current,
    outbox: Rc<Outbox>,
    clock: Rc<Clock>,
}

impl Sources {
    /// No connection yet. Answers to sources go to `outbox`; `current` tells whom requests are for.
    pub fn new(
        current: Current,
        outbox: Rc<Outbox>,
        clock: Rc<Clock>,
        in_flight: usize,
    ) -> Sources {
        Sources {
            connections: RefCell::default(),
            last: Cell::new(0),
            in_flight: Cell::new(in_flight),
            current,
            outbox,
            clock,
        }
    }

    /// How many requests a source has at once from now on (MaxConcurrentRSIRequests).
    pub fn set_in_flight(&self, in_flight: usize) {
        self.in_flight.set(in_flight);
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
        let in_flight = self.in_flight.get();
        self.with(id, |connection| connection.answered(request, result, in_flight)).unwrap_or(false)
    }

    /// Whatever a source was asked it will not answer; it is told nothing more beside what waits to be
    /// read.
    pub fn end(&self, id: ConnectionId) {
        self.with(id, Connection::end);
    }

    /// Asks a source.
    pub fn request(
        &self,
        to: Address,
        request: &Request,
    ) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let (call, in_flight) = (self.current.get(), self.in_flight.get());
        let sent = self.with(to.connection, |connection| {
            connection.request(to, request, call.as_ref(), in_flight)
        });
        let sent = sent.unwrap_or(Err(Fault::Down));
        async move {
            match sent {
                // A connection that ends drops the sender.
                Ok(answer) => answer.await.unwrap_or(Err(Fault::Down)),
                Err(fault) => Err(fault),
            }
        }
    }

    /// Forgets the requests that were not sent yet and that nobody waits for any more.
    pub fn forget_abandoned(&self) {
        for connection in self.connections.borrow_mut().values_mut() {
            connection.forget_abandoned();
        }
    }

    /// A source reads: it gets whole frames, or waits for them.
    pub fn read(&self, id: ConnectionId, incoming: Incoming, nonblock: bool) {
        let call = Call::new(incoming, &self.outbox, &self.clock);
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
