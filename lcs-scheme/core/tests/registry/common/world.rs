//! The registry's backend in tests.
//!
//! Sources are loregd's engine over memory. Requests are answered at once, or, with delays, after some
//! polls; a step then takes its effect when its answer or that of a later one is due, and a read sees the
//! state of some moment between question and answer. One answer can be held back, so that its caller waits for
//! it while others go on.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, Request, SourceError};
use lcs_core::registry::{Address, AuditEvent, Backend, ConnectionId, Fault, NotRecorded};
use loregd::hive::{Hive, is_step};

pub type Outcome = Result<Answer, Fault>;

/// How a request fails.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub fault: Fault,
    /// The source carries the request out all the same.
    pub takes_effect: bool,
}

impl Failure {
    /// The source says no, and nothing happens.
    pub fn refused(error: SourceError) -> Failure {
        Failure { fault: Fault::Refused(error), takes_effect: false }
    }
}

type FailWhen = Box<dyn FnMut(&Request) -> Option<Failure>>;

/// What a lying source makes of the true answer.
type Lie = Box<dyn FnMut(&Request, Outcome) -> Outcome>;

/// Which answer is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// That to a read, which says what was so when it was asked.
    Read,
    /// That to a step which is carried out at once.
    Step,
    /// That to a step which is carried out at the latest when it is answered; a later step carries it out before.
    IdleStep,
}

/// An answer that is held back.
enum Held {
    /// The next one of this kind will be.
    Next(Hold),
    /// This one is, until it is let go.
    Back(Rc<Gate>),
}

/// Whether an answer may go, and who waits until it may.
#[derive(Default)]
struct Gate {
    is_shut: Cell<bool>,
    waits: RefCell<Option<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.is_shut.set(false);
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }
}

/// Whether somebody who waits was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A hive, and the steps that it was sent and has not carried out yet.
struct Served {
    hive: Hive,
    waiting: VecDeque<(Request, Rc<RefCell<Option<Outcome>>>)>,
}

impl Served {
    fn carry_out_next(&mut self) -> bool {
        let Some((step, outcome)) = self.waiting.pop_front() else {
            return false;
        };
        outcome.replace(Some(self.hive.answer(&step).map_err(Fault::Refused)));
        true
    }

    /// Carries steps out until this one is.
    fn carry_out(&mut self, outcome: &RefCell<Option<Outcome>>) {
        while outcome.borrow().is_none() && self.carry_out_next() {}
    }
}

/// A hive that can be connected, disconnected and looked into.
#[derive(Clone)]
pub struct Source(Rc<RefCell<Served>>);

impl Source {
    /// A new hive.
    pub fn new(name: &str) -> Source {
        let hive = Hive::in_memory(name).expect("memory has room");
        Source(Rc::new(RefCell::new(Served { hive, waiting: VecDeque::new() })))
    }

    pub fn root(&self) -> Guid {
        self.0.borrow().hive.root()
    }

    pub fn max_sequence(&self) -> u64 {
        self.0.borrow().hive.max_sequence()
    }

    /// Asks the hive behind the registry's back, when it has done all it was sent.
    pub fn ask(&self, request: &Request) -> Result<Answer, SourceError> {
        let mut served = self.0.borrow_mut();
        while served.carry_out_next() {}
        served.hive.answer(request)
    }
}

struct Inner {
    sources: HashMap<ConnectionId, Vec<Source>>,
    now: i64,
    uptime: Duration,
    guids: u128,
    audit: Vec<AuditEvent>,
    log_is_full: bool,
    requests: Vec<Request>,
    fail_when: Option<FailWhen>,
    lie: Option<Lie>,
    /// How many polls the next requests take, over and over; none: all are answered at once.
    delays: Vec<u8>,
    next_delay: usize,
    held: Option<Held>,
    /// Who waits for the answer that is held back.
    late: Option<LocalBoxFuture<'static, ()>>,
}

/// The world; clones are the same one.
#[derive(Clone)]
pub struct World(Rc<RefCell<Inner>>, Rc<[AtomicU64; WORDS]>);

/// Words of the generation page: the one for everything, one for a hive, and one that is not enough for more.
const WORDS: usize = 3;

impl World {
    pub fn new() -> World {
        let inner = RefCell::new(Inner {
            sources: HashMap::new(),
            now: 0,
            uptime: Duration::ZERO,
            guids: 0,
            audit: Vec::new(),
            log_is_full: false,
            requests: Vec::new(),
            fail_when: None,
            lie: None,
            delays: Vec::new(),
            next_delay: 0,
            held: None,
            late: None,
        });
        World(Rc::new(inner), Rc::default())
    }

    /// Connects a source that serves these hives.
    pub fn connect(&self, connection: ConnectionId, hives: Vec<Source>) {
        self.0.borrow_mut().sources.insert(connection, hives);
    }

    /// The source is gone.
    pub fn disconnect(&self, connection: ConnectionId) {
        self.0.borrow_mut().sources.remove(&connection);
    }

    /// From now on answers take this many polls, in turn.
    pub fn set_delays(&self, delays: Vec<u8>) {
        self.0.borrow_mut().delays = delays;
    }

    /// Begins an operation, in which such an answer is held back until somebody needs it or `finish_late`. Tells
    /// whether it waits for that; it has ended else.
    pub fn begin_late(&self, hold: Hold, operation: LocalBoxFuture<'static, ()>) -> bool {
        let mut inner = self.0.borrow_mut();
        assert!(inner.late.is_none(), "one at a time");
        inner.held = Some(Held::Next(hold));
        inner.late = Some(operation);
        drop(inner);
        let (woken, waker) = woken();
        while self.poll_late(&waker) && woken.take() {}
        let mut inner = self.0.borrow_mut();
        if inner.late.is_none() {
            inner.held = None;
        }
        inner.late.is_some()
    }

    /// Lets the answer go that is held back, and carries the late operation through.
    pub fn finish_late(&self) {
        self.let_go();
        let (woken, waker) = woken();
        while self.poll_late(&waker) {
            assert!(woken.take(), "the late operation waits for nothing");
        }
    }

    fn let_go(&self) {
        let held = self.0.borrow_mut().held.take();
        if let Some(Held::Back(gate)) = held {
            gate.open();
        }
    }

    /// Whether the late operation still waits.
    fn poll_late(&self, waker: &Waker) -> bool {
        let Some(mut late) = self.0.borrow_mut().late.take() else { return false };
        let waits = late.as_mut().poll(&mut Context::from_waker(waker)).is_pending();
        if waits {
            self.0.borrow_mut().late = Some(late);
        }
        waits
    }

    /// Carries an operation through. If it waits for what the late one has, that one's answer is let go.
    pub fn run<T>(&self, operation: impl Future<Output = T>) -> T {
        let mut operation = std::pin::pin!(operation);
        let (woken, waker) = woken();
        loop {
            if let Poll::Ready(done) = operation.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done;
            }
            if !woken.take() {
                self.let_go();
                self.poll_late(&waker);
                assert!(woken.take(), "an operation waits for nothing");
            }
        }
    }

    /// What the answer to a request goes through, which is shut if one of its kind is to be held back.
    fn gate(&self, request: &Request) -> (Rc<Gate>, Option<Hold>) {
        let gate = Rc::new(Gate::default());
        let mut inner = self.0.borrow_mut();
        match inner.held {
            Some(Held::Next(hold)) if (hold == Hold::Read) != is_step(request) => {
                gate.is_shut.set(true);
                inner.held = Some(Held::Back(Rc::clone(&gate)));
                (gate, Some(hold))
            }
            _ => (gate, None),
        }
    }

    pub fn set_now(&self, now: i64) {
        self.0.borrow_mut().now = now;
    }

    /// Time goes by.
    pub fn pass(&self, time: Duration) {
        self.0.borrow_mut().uptime += time;
    }

    /// Requests for which `fail_when` gives a failure fail so.
    pub fn fail_when(&self, fail_when: impl FnMut(&Request) -> Option<Failure> + 'static) {
        self.0.borrow_mut().fail_when = Some(Box::new(fail_when));
    }

    pub fn fail_no_more(&self) {
        self.0.borrow_mut().fail_when = None;
    }

    /// From now on sources answer what `lie` makes of the truth.
    pub fn lie(&self, lie: impl FnMut(&Request, Outcome) -> Outcome + 'static) {
        self.0.borrow_mut().lie = Some(Box::new(lie));
    }

    pub fn lie_no_more(&self) {
        self.0.borrow_mut().lie = None;
    }

    /// What was recorded since the last call.
    pub fn take_audit(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut self.0.borrow_mut().audit)
    }

    /// From now on records that somebody waits for are taken, or not.
    pub fn set_log_full(&self, full: bool) {
        self.0.borrow_mut().log_is_full = full;
    }

    /// What sources were asked since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.borrow_mut().requests)
    }

    /// The GUIDs that were given out.
    pub fn made_guids(&self) -> impl Iterator<Item = Guid> + use<> {
        let last = self.0.borrow().guids;
        (1..=last).map(|number| Guid(number.to_be_bytes()))
    }

    fn source(&self, to: Address) -> Option<Source> {
        let inner = self.0.borrow();
        inner.sources.get(&to.connection)?.get(to.hive as usize).cloned()
    }

    fn next_delay(&self) -> u8 {
        let mut inner = self.0.borrow_mut();
        let delay = inner.delays.get(inner.next_delay).copied().unwrap_or(0);
        inner.next_delay = (inner.next_delay + 1) % inner.delays.len().max(1);
        delay
    }

    fn failure(&self, request: &Request) -> Option<Failure> {
        self.0.borrow_mut().fail_when.as_mut().and_then(|fail_when| fail_when(request))
    }
}

impl Backend for World {
    fn request(&self, to: Address, request: Request) -> impl Future<Output = Outcome> + 'static {
        self.0.borrow_mut().requests.push(request.clone());
        let failure = self.failure(&request);
        let polls = self.next_delay();
        let outcome = Rc::new(RefCell::new(None));
        let (gate, hold) = self.gate(&request);
        let source = self.source(to);
        if let Some(source) = &source
            && failure.is_none_or(|failure| failure.takes_effect)
        {
            let mut served = source.0.borrow_mut();
            if is_step(&request) {
                served.waiting.push_back((request.clone(), Rc::clone(&outcome)));
                if hold == Some(Hold::Step) {
                    served.carry_out(&outcome);
                }
            } else if polls % 2 == 1 || hold.is_some() {
                let answer = served.hive.answer_in(to.snapshot, &request);
                outcome.replace(Some(answer.map_err(Fault::Refused)));
            }
        }
        Waiting { world: self.clone(), to, source, polls, request, outcome, failure, gate }
    }

    fn now(&self) -> i64 {
        self.0.borrow().now
    }

    fn uptime(&self) -> Duration {
        self.0.borrow().uptime
    }

    fn new_guid(&self) -> Guid {
        let mut inner = self.0.borrow_mut();
        inner.guids += 1;
        Guid(inner.guids.to_be_bytes())
    }

    fn generation_words(&self) -> &[AtomicU64] {
        &*self.1
    }

    fn no_old_answers(&self) -> impl Future<Output = ()> + 'static {
        std::future::ready(())
    }

    fn audit(&self, event: AuditEvent) {
        self.0.borrow_mut().audit.push(event);
    }

    fn record(&self, event: AuditEvent) -> impl Future<Output = Result<(), NotRecorded>> + 'static {
        let taken = !self.0.borrow().log_is_full;
        if taken {
            self.audit(event);
        }
        std::future::ready(if taken { Ok(()) } else { Err(NotRecorded) })
    }
}

fn woken() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), Waker::from(woken))
}

/// An answer that is not due yet.
struct Waiting {
    world: World,
    to: Address,
    source: Option<Source>,
    polls: u8,
    request: Request,
    outcome: Rc<RefCell<Option<Outcome>>>,
    failure: Option<Failure>,
    gate: Rc<Gate>,
}

impl Waiting {
    fn due(&self) -> Outcome {
        match self.failure {
            Some(Failure { fault, takes_effect }) => {
                if takes_effect {
                    self.truth()?;
                }
                Err(fault)
            }
            None => self.truth(),
        }
    }

    fn truth(&self) -> Outcome {
        let (Some(source), Some(_)) = (&self.source, self.world.source(self.to)) else {
            return Err(Fault::Down);
        };
        let mut served = source.0.borrow_mut();
        if is_step(&self.request) {
            served.carry_out(&self.outcome);
        }
        let known = self.outcome.borrow_mut().take();
        let snapshot = self.to.snapshot;
        known.unwrap_or_else(|| {
            served.hive.answer_in(snapshot, &self.request).map_err(Fault::Refused)
        })
    }

    fn told(&self) -> Outcome {
        let truth = self.due();
        let lie = self.world.0.borrow_mut().lie.take();
        let Some(mut lie) = lie else {
            return truth;
        };
        let told = lie(&self.request, truth);
        self.world.0.borrow_mut().lie = Some(lie);
        told
    }
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        if self.gate.is_shut.get() {
            self.gate.waits.replace(Some(context.waker().clone()));
            return Poll::Pending;
        }
        if self.polls > 0 {
            self.polls -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.told())
    }
}
