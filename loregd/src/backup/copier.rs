//! The thread of a hive that copies it: daily, after an unclean start, and when somebody asks. Before the first copy it
//! reads a hive that was not checked at the start.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lcs_abi::rsi::{Answer, SourceError};

use super::due::until_daily;
use super::{Copy, Kind, copies_of, remove_old, write};
use crate::Error;
use crate::committer::answer_frame;
use crate::directory::caught;
use crate::files::HiveFiles;
use crate::hive::Reader;
use crate::outbox::Outbox;
use crate::recovery::{Found, Unchecked};

/// How often to look at the clock, which may jump.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// How long to wait after a copy that failed.
const RETRY: Duration = Duration::from_secs(60 * 60);

/// How long after the start an unchecked hive is read as a whole: a system that has just begun has other things to do.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// How long to wait after a check during which too much was written.
const CHECK_AGAIN: Duration = Duration::from_secs(60);

/// What the thread is told.
enum Order {
    /// The hive is in service: what is due may be made from now on.
    InService,
    /// Somebody asks, with this id of a request.
    Copy(u64),
}

/// The way to a hive's copying thread.
pub(crate) struct Copier {
    hive: String,
    orders: Sender<Order>,
}

/// What a copying thread works with.
pub(crate) struct Work {
    pub(crate) reader: Reader,
    pub(crate) files: HiveFiles,
    /// How many daily and requested copies there may be; at least one.
    pub(crate) keep: usize,
    /// The hive was not closed by the process before.
    pub(crate) unclean: bool,
    /// It was not read as a whole when it was opened, and is before the first copy.
    pub(crate) unchecked: Option<Unchecked>,
    /// Where answers go, in frames of at most so many bytes.
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) max_frame: u32,
}

impl Copier {
    /// Starts the thread, which does nothing before it is told to.
    pub(crate) fn start(hive: &str, work: Work) -> Result<Self, Error> {
        let (orders, receiver) = mpsc::channel();
        let thread = Copying { hive: hive.to_owned(), work, daily_since: Instant::now() };
        thread::Builder::new()
            .name(format!("copies of {hive}"))
            .spawn(move || thread.run(&receiver))
            .map_err(|error| Error::System { what: "thread of copies", error })?;
        Ok(Copier { hive: hive.to_owned(), orders })
    }

    /// The hive is in service.
    pub(crate) fn in_service(&self) -> Result<(), Error> {
        self.tell(Order::InService)
    }

    /// Makes a copy of all that was answered before; the request is answered, through the outbox, when it is
    /// there.
    pub(crate) fn copy(&self, id: u64) -> Result<(), Error> {
        self.tell(Order::Copy(id))
    }

    fn tell(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).map_err(|_| Error::WriterDied(self.hive.clone()))
    }
}

struct Copying {
    hive: String,
    work: Work,
    /// Since when this process knows of no other daily copy than those that were there.
    daily_since: Instant,
}

impl Copying {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut wait = None;
        loop {
            let order = match wait {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => orders.recv_timeout(wait),
            };
            match order {
                Ok(Order::Copy(id)) => {
                    // Those who ask meanwhile are served by one copy.
                    let others: Vec<Order> = orders.try_iter().collect();
                    if others.iter().any(|order| matches!(order, Order::InService)) {
                        wait = Some(Duration::ZERO);
                    }
                    let others = others.into_iter().filter_map(|order| match order {
                        Order::Copy(id) => Some(id),
                        Order::InService => None,
                    });
                    let ids: Vec<u64> = std::iter::once(id).chain(others).collect();
                    self.answer(&ids);
                }
                Ok(Order::InService) if self.work.unchecked.is_some() => wait = Some(CHECK_AFTER),
                Ok(Order::InService) | Err(RecvTimeoutError::Timeout) => {
                    wait = Some(match self.check() {
                        Ok(()) => self.make_what_is_due(),
                        Err(wait) => wait,
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn answer(&mut self, ids: &[u64]) {
        let copy = self.check().ok().and_then(|()| self.make(Kind::Requested).ok());
        let answer =
            copy.map(|it| Answer::Copied { number: it.number }).ok_or(SourceError::StorageError);
        let frame = |id: &u64| answer_frame(*id, answer.clone(), self.work.max_frame);
        self.work.outbox.send(ids.iter().map(frame).collect());
    }

    /// Reads all of a hive that was not checked yet. If it is damaged, this process ends, and the next start has a good
    /// copy take the hive's place.
    ///
    /// # Errors
    /// How long to wait before this is called again.
    fn check(&mut self) -> Result<(), Duration> {
        let Some(unchecked) = &self.work.unchecked else { return Ok(()) };
        match unchecked.check() {
            Ok(Found::Sound) => {
                log::info!("{}: checked", self.hive);
                self.work.unchecked = None;
                Ok(())
            }
            Ok(Found::Damaged(reason)) => {
                let hive = self.hive.clone();
                self.work.outbox.end(Error::FoundDamaged { hive, reason });
                Err(RETRY)
            }
            Ok(Found::Nothing) => {
                log::info!("{}: too much was written to check it meanwhile", self.hive);
                Err(CHECK_AGAIN)
            }
            Err(error) => {
                log::error!("{}: cannot be checked: {error}", self.hive);
                Err(RETRY)
            }
        }
    }

    /// Makes a daily copy, or one after an unclean start, if it is due; one of both is enough. Returns how long
    /// to wait before this is called again.
    fn make_what_is_due(&mut self) -> Duration {
        match self.what_is_due() {
            Ok(None) => {}
            Ok(Some(kind)) if self.make(kind).is_ok() => self.work.unclean = false,
            Ok(Some(_)) => return RETRY,
            Err(error) => {
                log::error!("{}: {error}", self.hive);
                return RETRY;
            }
        }
        LOOK
    }

    fn what_is_due(&self) -> Result<Option<Kind>, Error> {
        // A hive in which nothing ever happened has its root, and that is kept anyway.
        if self.work.reader.max_sequence()? == 0 {
            return Ok(None);
        }
        let copies = copies_of(&self.work.files)?;
        let newest = copies.iter().rev().find(|copy| copy.kind == Kind::Daily);
        let newest = newest.map(|copy| copy.time);
        let wait = until_daily(newest, SystemTime::now(), self.daily_since.elapsed());
        Ok(match wait.is_zero() {
            true => Some(Kind::Daily),
            false => self.work.unclean.then_some(Kind::Unclean),
        })
    }

    fn make(&mut self, kind: Kind) -> Result<Copy, Error> {
        let Work { reader, files, keep, .. } = &self.work;
        let made = caught(|| write::write(reader, files, kind));
        match &made {
            Ok(copy) => {
                log::info!("{}: made {copy}", self.hive);
                if kind == Kind::Daily {
                    self.daily_since = Instant::now();
                }
                if let Err(error) = remove_old(files, copy, *keep) {
                    log::error!("{}: old copies stay: {error}", self.hive);
                }
            }
            Err(error) => log::error!("{}: no copy was made: {error}", self.hive),
        }
        made
    }
}
