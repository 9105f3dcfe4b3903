//! How long callers wait: who has seen no progress for RequestTimeoutMs is told ETIMEDOUT.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use libredox::error::Result;

use crate::call::Call;
use crate::deadlines::{Deadlines, Moment};

/// Stands among the numbers of calls for something else that is due.
const NO_CALL: u64 = 0;

/// The calls that wait, and when their callers lose patience.
pub struct Clock {
    deadlines: RefCell<Deadlines<u64>>,
    /// When the loop is to be awake for something else than a call.
    appointment: Cell<Option<Moment>>,
    waiting: RefCell<HashMap<u64, Weak<Call>>>,
    timeout: Cell<Duration>,
    last: Cell<u64>,
}

/// A place in the clock.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    number: u64,
    at: Moment,
}

impl Clock {
    /// Nobody waits yet.
    pub fn new(timeout: Duration) -> Result<Clock> {
        Ok(Clock {
            deadlines: RefCell::new(Deadlines::new()?),
            appointment: Cell::new(None),
            waiting: RefCell::default(),
            timeout: Cell::new(timeout),
            last: Cell::new(0),
        })
    }

    /// The clockwork.
    pub fn deadlines(&self) -> &RefCell<Deadlines<u64>> {
        &self.deadlines
    }

    /// How long callers wait from now on (RequestTimeoutMs).
    pub fn set_timeout(&self, timeout: Duration) {
        self.timeout.set(timeout);
    }

    /// The loop is to be awake at this moment, if there is one, and no longer at the one told before.
    pub fn wake_at(&self, moment: Option<Moment>) {
        let known = self.appointment.replace(moment);
        if known != moment {
            let mut deadlines = self.deadlines.borrow_mut();
            known.into_iter().for_each(|known| deadlines.remove(known, NO_CALL));
            moment.into_iter().for_each(|moment| deadlines.add(moment, NO_CALL));
        }
    }

    /// A call begins to wait.
    pub fn start(&self, call: &Rc<Call>) -> Alarm {
        let number = self.last.get() + 1;
        self.last.set(number);
        self.waiting.borrow_mut().insert(number, Rc::downgrade(call));
        self.set(number, Moment::now())
    }

    /// A call waits no more.
    pub fn stop(&self, alarm: Alarm) {
        self.waiting.borrow_mut().remove(&alarm.number);
        self.deadlines.borrow_mut().remove(alarm.at, alarm.number);
    }

    /// Ends the patience of those who have waited long enough. Tells whether there were some.
    pub fn expire(&self, now: Moment) -> bool {
        let mut some = false;
        loop {
            let due = self.deadlines.borrow_mut().due(now);
            let Some(number) = due else { return some };
            if number == NO_CALL {
                self.appointment.set(None);
            }
            let call = self.waiting.borrow().get(&number).and_then(Weak::upgrade);
            let Some(call) = call else { continue };
            let since = call.last_progress();
            if since.after(self.timeout.get()) > now {
                call.set_alarm(self.set(number, since));
            } else {
                call.expire();
                some = true;
            }
        }
    }

    fn set(&self, number: u64, since: Moment) -> Alarm {
        let at = since.after(self.timeout.get());
        self.deadlines.borrow_mut().add(at, number);
        Alarm { number, at }
    }
}
