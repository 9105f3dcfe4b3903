//! A request that is being worked on. Whatever happens it gets exactly one answer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use async_executor::Task;
use redox_scheme::{OpenResult, Response};
use syscall::error::{ECANCELED, EIO, ETIMEDOUT, Error};
use syscall::schemev2::NewFdFlags;

use crate::clock::{Alarm, Clock};
use crate::deadlines::Moment;
use crate::outbox::Outbox;
use crate::payloads::Room;
use crate::raw::Incoming;

/// What to answer.
pub enum Reply {
    /// A number, or an errno.
    Status(Result<usize, i32>),
    /// A new handle's number and what the kernel does for it, or an errno.
    Opened(Result<(usize, NewFdFlags), i32>),
    /// Bytes for the request's buffer, and their count.
    Bytes(Vec<u8>),
    /// Bytes for the request's buffer, and 0.
    Filled(Vec<u8>),
    /// ERANGE, with the length needed in the first bytes of the buffer.
    TooSmall(usize),
}

/// A request under way.
pub struct Call {
    outbox: Rc<Outbox>,
    incoming: RefCell<Option<Incoming>>,
    /// A source was asked something for it, which may have an effect.
    asked: Cell<bool>,
    /// A step of it took effect, and what follows from that is still to be done.
    took_effect: Cell<bool>,
    /// Requests that were sent for it and not answered yet.
    in_flight: Cell<usize>,
    last_progress: Cell<Moment>,
    /// Where its patience is kept, once it has to wait.
    alarm: Cell<Option<Alarm>>,
    clock: Rc<Clock>,
    cancelled: Cell<bool>,
    task: RefCell<Option<Task<()>>>,
    /// What its buffer takes of its user's share.
    room: RefCell<Option<Room>>,
}

impl Call {
    /// Takes on a request, whose answer goes to `outbox`.
    pub fn new(incoming: Incoming, outbox: &Rc<Outbox>, clock: &Rc<Clock>) -> Rc<Call> {
        let id = incoming.id();
        let call = Rc::new(Call {
            outbox: Rc::clone(outbox),
            incoming: RefCell::new(Some(incoming)),
            asked: Cell::new(false),
            took_effect: Cell::new(false),
            in_flight: Cell::new(0),
            last_progress: Cell::new(Moment::default()),
            alarm: Cell::new(None),
            clock: Rc::clone(clock),
            cancelled: Cell::new(false),
            task: RefCell::new(None),
            room: RefCell::new(None),
        });
        call.outbox.opened(id, &call);
        call
    }

    /// Answers, and tells whether it was the answer: not if the caller was told something else before.
    pub fn answer(&self, reply: Reply) -> bool {
        let Some(mut incoming) = self.incoming.take() else {
            return false;
        };
        if let Some(alarm) = self.alarm.take() {
            self.clock.stop(alarm);
        }
        drop(self.room.take());
        let id = incoming.id();
        let status = |result: Result<usize, i32>| result.map_err(Error::new);
        let response = match reply {
            Reply::Status(result) => Response::new(status(result), incoming.into_request()),
            Reply::Opened(Ok((number, flags))) => {
                let opened = OpenResult::ThisScheme { number, flags };
                Response::open_dup_like(Ok(opened), incoming.into_request())
            }
            Reply::Opened(Err(error)) => Response::err(error, incoming.into_request()),
            Reply::Bytes(bytes) => {
                incoming.copy_out(&bytes);
                Response::ok(bytes.len(), incoming.into_request())
            }
            Reply::Filled(bytes) => {
                incoming.copy_out(&bytes);
                Response::ok(0, incoming.into_request())
            }
            Reply::TooSmall(needed) => {
                incoming.copy_out(&(needed as u64).to_le_bytes());
                Response::err(syscall::error::ERANGE, incoming.into_request())
            }
        };
        self.outbox.answered(id, response);
        true
    }

    /// Length of the request's buffer, while it waits for its answer.
    pub fn buffer_len(&self) -> usize {
        self.incoming.borrow().as_ref().map_or(0, Incoming::buffer_len)
    }

    /// Copies the start of the request's buffer, while it waits for its answer.
    pub fn copy_in_at_most(&self, length: usize) -> Option<Vec<u8>> {
        self.incoming.borrow().as_ref().map(|incoming| incoming.copy_in_at_most(length))
    }

    /// Still waits for its answer.
    pub fn is_open(&self) -> bool {
        self.incoming.borrow().is_some()
    }

    /// Was cancelled, and what it opens nobody will get.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Keeps this room until it is answered.
    pub fn keep(&self, room: Room) {
        *self.room.borrow_mut() = Some(room);
    }

    /// The task that works on it.
    pub fn set_task(&self, task: Task<()>) {
        *self.task.borrow_mut() = Some(task);
    }

    /// A source is to be asked something for it, now (`sent`) or when its turn comes.
    pub fn asks(&self, sent: bool) {
        self.asked.set(true);
        if sent {
            self.sent();
        }
    }

    /// A request for it was sent.
    pub fn sent(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// A request that was sent for it has its answer, or will have none.
    pub fn progressed(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.last_progress.set(Moment::now());
    }

    /// A step of it took effect.
    pub fn took_effect(&self) {
        self.took_effect.set(true);
    }

    /// When it last came further.
    pub fn last_progress(&self) -> Moment {
        self.last_progress.get()
    }

    /// It has to wait: from now on its patience counts.
    fn waits(self: &Rc<Self>) {
        if self.alarm.get().is_none() && self.is_open() {
            self.last_progress.set(Moment::now());
            self.alarm.set(Some(self.clock.start(self)));
        }
    }

    /// Its patience was renewed.
    pub fn set_alarm(&self, alarm: Alarm) {
        self.alarm.set(Some(alarm));
    }

    /// It takes too long, and the caller is told. The work goes on where a source has a request of it, for
    /// that may yet have its effect, and where something had its effect: those who watch are still to be told, and
    /// layers to be read. What waits for something else is given up.
    pub fn expire(&self) {
        self.answer(Reply::Status(Err(ETIMEDOUT)));
        if self.in_flight.get() == 0 && !self.took_effect.get() {
            drop(self.task.take());
        }
    }

    /// The caller no longer wants it. If nothing happened yet nothing will; else the true answer is awaited.
    pub fn cancel(&self) {
        self.cancelled.set(true);
        if !self.asked.get() {
            // Dropping the task ends the work on it.
            drop(self.task.take());
            self.answer(Reply::Status(Err(ECANCELED)));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // An unanswered caller would hang for ever.
        self.answer(Reply::Status(Err(EIO)));
    }
}

/// The call whose work is going on just now, so that what it asks of sources is known to be for it.
#[derive(Clone, Default)]
pub struct Current(Rc<RefCell<Option<Rc<Call>>>>);

impl Current {
    /// The call.
    pub fn get(&self) -> Option<Rc<Call>> {
        self.0.borrow().clone()
    }
}

/// Work on a call.
pub struct Work<F> {
    work: Pin<Box<F>>,
    call: Rc<Call>,
    current: Current,
}

impl<F> Work<F> {
    /// `work` is work on `call`.
    pub fn new(work: F, call: Rc<Call>, current: Current) -> Work<F> {
        Work { work: Box::pin(work), call, current }
    }
}

impl<F: Future<Output = ()>> Future for Work<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let call = Rc::clone(&self.call);
        self.current.0.replace(Some(call));
        let polled = self.work.as_mut().poll(context);
        self.current.0.replace(None);
        if polled.is_pending() {
            self.call.waits();
        }
        polled
    }
}
