//! Answers on their way to a scheme's socket, and the requests that still wait for one.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use redox_scheme::{Id, Response, SignalBehavior, Socket};

use crate::call::Call;

/// What one scheme has still to answer.
#[derive(Default)]
pub struct Outbox {
    responses: RefCell<VecDeque<Response>>,
    open: RefCell<HashMap<Id, Weak<Call>>>,
}

impl Outbox {
    /// Adds an answer, or an event.
    pub fn push(&self, response: Response) {
        self.responses.borrow_mut().push_back(response);
    }

    /// A request waits for its answer.
    pub fn opened(&self, id: Id, call: &Rc<Call>) {
        self.open.borrow_mut().insert(id, Rc::downgrade(call));
    }

    /// A request has its answer.
    pub fn answered(&self, id: Id, response: Response) {
        self.open.borrow_mut().remove(&id);
        self.push(response);
    }

    /// A request's caller no longer wants the answer.
    pub fn cancel(&self, id: Id) {
        let call = self.open.borrow().get(&id).and_then(Weak::upgrade);
        if let Some(call) = call {
            call.cancel();
        }
    }

    /// Writes all answers.
    pub fn flush(&self, socket: &Socket) -> syscall::error::Result<()> {
        let mut responses = self.responses.take();
        // One write takes only what lies in one piece of the deque.
        while !responses.is_empty() {
            socket.write_responses(&mut responses, SignalBehavior::Restart)?;
        }
        Ok(())
    }
}
