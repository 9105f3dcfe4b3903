//! The one thread that does everything: it takes requests of both schemes in batches, works on each until
//! it has to wait, and writes the answers in batches. Nothing in it waits for anything but events.

use std::rc::Rc;
use std::time::Duration;

use async_executor::LocalExecutor;
use event::{EventFlags, EventQueue};
use lcs_core::registry::{Registry, Setting};
use redox_scheme::{Request, RequestKind, Response, SignalBehavior, Socket};
use syscall::error::{EAGAIN, EINTR, EOPNOTSUPP};

use crate::call::{Call, Current, Work};
use crate::clock::Clock;
use crate::deadlines::Moment;
use crate::generations::{Generations, OldAnswers};
use crate::identity::Identity;
use crate::outbox::Outbox;
use crate::payloads::Payloads;
use crate::raw::Incoming;
use crate::readers::Readers;
use crate::regsrc::Sources;
use crate::start::Error;
use crate::wake::Wakeups;
use crate::world::World;
use crate::{reg, source_handles};

event::user_data! {
    enum Wake {
        Reg,
        RegSrc,
        Timer,
        Thread,
    }
}

/// How many requests are taken from a scheme's socket at once.
const BATCH: usize = 256;

/// After how many passes both schemes are looked at, whatever events said.
const PASSES: usize = 16;

/// What requests work with.
pub struct Shared {
    /// What the registry means.
    pub registry: Registry<World>,
    /// The connections of sources.
    pub sources: Rc<Sources>,
    /// How long callers wait.
    pub clock: Rc<Clock>,
    /// Who is who.
    pub identity: Identity,
    /// How much of large requests is held for each user.
    pub payloads: Rc<Payloads>,
    /// Who waits for events of a watch.
    pub readers: Readers,
    /// What clients map.
    pub generations: Generations,
    /// How long answers of an earlier LCS are in use.
    pub old_answers: Rc<OldAnswers>,
    current: Current,
    executor: LocalExecutor<'static>,
}

impl Shared {
    /// Everything that requests work with.
    pub fn new(
        registry: Registry<World>,
        sources: Rc<Sources>,
        clock: Rc<Clock>,
        identity: Identity,
        current: Current,
        (generations, old_answers): (Generations, Rc<OldAnswers>),
    ) -> Shared {
        let (executor, payloads) = (LocalExecutor::new(), Rc::default());
        let readers = Readers::default();
        Shared {
            registry,
            sources,
            clock,
            identity,
            payloads,
            readers,
            generations,
            old_answers,
            current,
            executor,
        }
    }

    /// Starts the work on a call, up to where it has to wait.
    pub fn start(&self, call: Rc<Call>, work: impl Future<Output = ()> + 'static) {
        let task = self.executor.spawn(Work::new(work, Rc::clone(&call), self.current.clone()));
        call.set_task(task);
    }

    /// Starts work that answers nobody.
    pub fn start_own(&self, work: impl Future<Output = ()> + 'static) {
        self.executor.spawn(work).detach();
    }

    /// The value of a setting that is a size.
    pub fn setting(&self, setting: Setting) -> usize {
        self.registry.setting(setting).try_into().unwrap_or(usize::MAX)
    }

    /// Brings the settings that bound waiting into force.
    fn apply_settings(&self) {
        self.sources.set_in_flight(self.setting(Setting::MaxConcurrentRSIRequests));
        let timeout = self.registry.setting(Setting::RequestTimeoutMs);
        self.clock.set_timeout(Duration::from_millis(timeout));
    }
}

/// A scheme: its socket and the answers that are on their way to it.
pub struct Scheme {
    socket: Socket,
    outbox: Rc<Outbox>,
    /// There may be requests. Events tell only of what comes, so it stays true until a look found none.
    ready: bool,
}

impl Scheme {
    /// The scheme of this socket.
    pub fn new(socket: Socket, outbox: Rc<Outbox>) -> Scheme {
        Scheme { socket, outbox, ready: true }
    }

    /// Takes some requests, if there are any.
    fn take(&mut self, batch: &mut Vec<Request>) -> Result<(), Error> {
        if !self.ready {
            return Ok(());
        }
        match self.socket.read_requests(batch, SignalBehavior::Restart) {
            Ok(()) => self.ready = !batch.is_empty(),
            Err(error) if error.errno == EAGAIN => self.ready = false,
            Err(error) if error.errno == EINTR => {}
            Err(error) => return Err(Error::Socket(error.into())),
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.outbox.flush(&self.socket).map_err(|error| Error::Socket(error.into()))
    }
}

/// The running daemon.
pub struct Daemon {
    shared: Rc<Shared>,
    reg: Scheme,
    regsrc: Scheme,
    wakeups: Wakeups,
    queue: EventQueue<Wake>,
    batch: Vec<Request>,
}

impl Daemon {
    /// A daemon that serves these two schemes, and looks at what there is to do when it is woken.
    pub fn new(
        shared: Shared,
        reg: Scheme,
        regsrc: Scheme,
        wakeups: Wakeups,
    ) -> Result<Daemon, Error> {
        let queue = EventQueue::new().map_err(Error::Events)?;
        let wakes = [
            (reg.socket.inner().raw(), Wake::Reg),
            (regsrc.socket.inner().raw(), Wake::RegSrc),
            (shared.clock.deadlines().borrow().timer().raw(), Wake::Timer),
            (wakeups.descriptor(), Wake::Thread),
        ];
        for (descriptor, wake) in wakes {
            queue.subscribe(descriptor, wake, EventFlags::READ).map_err(Error::Events)?;
        }
        let batch = Vec::with_capacity(BATCH);
        Ok(Daemon { shared: Rc::new(shared), reg, regsrc, wakeups, queue, batch })
    }

    /// Serves until a socket fails.
    pub fn serve(&mut self) -> Result<(), Error> {
        loop {
            for _ in 0..PASSES {
                self.pass()?;
                if !self.reg.ready && !self.regsrc.ready {
                    self.sleep()?;
                }
            }
            // One scheme that is never done with must not keep the other's events from being seen.
            self.reg.ready = true;
            self.regsrc.ready = true;
        }
    }

    /// Does what there is to do, once. Both schemes have their turn in every pass, whatever the other is
    /// asked.
    fn pass(&mut self) -> Result<(), Error> {
        let mut batch = std::mem::take(&mut self.batch);
        self.reg.take(&mut batch)?;
        for request in batch.drain(..) {
            self.reg_request(request);
        }
        self.regsrc.take(&mut batch)?;
        for request in batch.drain(..) {
            self.regsrc_request(request);
        }
        self.batch = batch;

        let now = Moment::now();
        let some_gave_up = self.shared.clock.expire(now);
        self.shared.old_answers.tell(now);
        while self.shared.executor.try_tick() {}
        if some_gave_up {
            self.shared.sources.forget_abandoned();
        }
        self.shared.sources.deliver();
        reg::tell_readable(&self.shared, &self.reg.outbox);
        self.reg.flush()?;
        self.regsrc.flush()?;
        self.shared.apply_settings();
        Ok(())
    }

    /// Waits for an event. What a thread made ready since the last pass has left a byte in the pipe, so that
    /// this ends at once.
    fn sleep(&mut self) -> Result<(), Error> {
        let deadlines = self.shared.clock.deadlines();
        deadlines.borrow_mut().arm().map_err(Error::Timer)?;
        match self.queue.next_event() {
            Ok(event) => match event.user_data {
                Wake::Reg => self.reg.ready = true,
                Wake::RegSrc => self.regsrc.ready = true,
                Wake::Timer => deadlines.borrow_mut().woke(),
                Wake::Thread => self.wakeups.drain().map_err(Error::Wake)?,
            },
            Err(error) if error.is_interrupt() => {}
            Err(error) => return Err(Error::Events(error)),
        }
        Ok(())
    }

    fn reg_request(&self, request: Request) {
        match request.kind() {
            RequestKind::Call(request) => {
                reg::request(&self.shared, &self.reg.outbox, Incoming::new(request));
            }
            RequestKind::OnClose { id } => reg::closed(&self.shared, id),
            other => other_request(&self.reg.outbox, other),
        }
    }

    fn regsrc_request(&self, request: Request) {
        match request.kind() {
            RequestKind::Call(request) => {
                source_handles::request(&self.shared, &self.regsrc.outbox, Incoming::new(request));
            }
            RequestKind::OnClose { id } => source_handles::closed(&self.shared, id),
            other => other_request(&self.regsrc.outbox, other),
        }
    }
}

/// What is the same for both schemes.
fn other_request(outbox: &Outbox, request: RequestKind) {
    match request {
        RequestKind::Cancellation(cancelled) => outbox.cancel(cancelled.id),
        RequestKind::SendFd(request) => outbox.push(Response::err(EOPNOTSUPP, request)),
        RequestKind::RecvFd(request) => outbox.push(Response::err(EOPNOTSUPP, request)),
        // These want no answer; the two with an id are handled before.
        RequestKind::Call(_)
        | RequestKind::OnClose { .. }
        | RequestKind::OnDetach { .. }
        | RequestKind::MsyncMsg
        | RequestKind::MunmapMsg
        | RequestKind::MmapMsg => {}
    }
}
