//! What `lcs-core` needs from outside.

use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_channel::oneshot;
use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, Request};
use lcs_core::registry::{Address, AuditEvent, Backend, Fault, KeyOpen, NotRecorded, StreamEnd};
use lcs_core::security::Sid;
use lcs_daemon::logging;
use serde::Serialize;
use uuid::Uuid;

use crate::deadlines::Moment;
use crate::generations::{Generations, OldAnswers};
use crate::regsrc::Sources;
use crate::wake::LoopWaker;

/// Sources, the clock, randomness, and the audit log.
pub struct World {
    sources: Rc<Sources>,
    /// For the log's thread, when a record that somebody waits for is written.
    waker: LoopWaker,
    generations: Generations,
    old_answers: Rc<OldAnswers>,
}

impl World {
    /// The world in which these sources are; `waker` wakes the loop in which it is asked.
    pub fn new(
        sources: Rc<Sources>,
        waker: LoopWaker,
        generations: Generations,
        old_answers: Rc<OldAnswers>,
    ) -> World {
        World { sources, waker, generations, old_answers }
    }
}

impl Backend for World {
    fn request(
        &self,
        to: Address,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Fault>> + 'static {
        self.sources.request(to, &request)
    }

    fn now(&self) -> i64 {
        // The clock of a machine that has just started can stand before 1970.
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_nanos().try_into().unwrap_or(i64::MAX),
            Err(before) => {
                before.duration().as_nanos().try_into().map_or(i64::MIN, |nanos: i64| -nanos)
            }
        }
    }

    fn uptime(&self) -> Duration {
        Moment::now().uptime()
    }

    fn new_guid(&self) -> Guid {
        Guid(Uuid::new_v4().into_bytes())
    }

    fn generation_words(&self) -> &[AtomicU64] {
        self.generations.words()
    }

    fn no_old_answers(&self) -> impl Future<Output = ()> + 'static {
        self.old_answers.end()
    }

    fn audit(&self, event: AuditEvent) {
        if let Some(line) = line(&event) {
            log::info!(target: logging::AUDIT, "{line}");
        }
    }

    fn record(&self, event: AuditEvent) -> impl Future<Output = Result<(), NotRecorded>> + 'static {
        let (taken, outcome) = oneshot::channel();
        let waker = self.waker.clone();
        if let Some(line) = line(&event) {
            logging::audit(line, move |written| {
                // Whoever asked may have been told something else meanwhile.
                let _ = taken.send(written.is_ok());
                waker.wake();
            });
        }
        async move { if outcome.await == Ok(true) { Ok(()) } else { Err(NotRecorded) } }
    }
}

/// An event as a line of the audit log.
fn line(event: &AuditEvent) -> Option<String> {
    let now = SystemTime::now().max(UNIX_EPOCH);
    let time = humantime::format_rfc3339_nanos(now).to_string();
    let line = serde_json::to_string(&Record { time, event: Event::from(event) });
    line.inspect_err(|error| log::error!("not a line of the audit log: {error}: {event:?}")).ok()
}

/// A line of the audit log.
#[derive(Serialize)]
struct Record<'a> {
    time: String,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    SourceUp { hive: &'a str },
    SourceDown { hive: &'a str },
    HiveRecovered { hive: &'a str, reason: &'a str, set_aside: Option<&'a str>, copy: Option<u32> },
    SourceDataRejected { hive: &'a str, reason: &'a str },
    SettingRejected { name: &'a str, reason: &'a str },
    LayerCreated { layer: &'a str, user: String },
    LayerDeleted { layer: &'a str, user: String },
    BackupStarted { key: &'a str, user: String },
    BackupEnded(Ended<'a>),
    RestoreStarted { key: &'a str, user: String },
    RestoreEnded(Ended<'a>),
    KeyOpen(Access<'a>),
}

/// The end of a backup or a restore.
#[derive(Serialize)]
struct Ended<'a> {
    key: &'a str,
    user: String,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'a> Ended<'a> {
    fn new(key: &'a str, user: &Sid, end: &StreamEnd) -> Ended<'a> {
        let (outcome, keys, reason) = match end {
            StreamEnd::Complete { keys } => ("complete", Some(*keys), None),
            StreamEnd::TimedOut => ("timed-out", None, None),
            StreamEnd::GivenUp => ("given-up", None, None),
            StreamEnd::Failed(error) => ("failed", None, Some(error.to_string())),
        };
        Ended { key, user: user.to_string(), outcome, keys, reason }
    }
}

/// An access to a key. Rights are numbers, as in calls.
#[derive(Serialize)]
struct Access<'a> {
    user: String,
    sids: Vec<String>,
    uid: u32,
    pid: u32,
    key: &'a str,
    requested: u32,
    granted: u32,
    decision: &'a str,
}

impl<'a> From<&'a KeyOpen> for Access<'a> {
    fn from(open: &'a KeyOpen) -> Self {
        Access {
            user: open.user.to_string(),
            sids: open.sids.iter().map(ToString::to_string).collect(),
            uid: open.uid,
            pid: open.pid,
            key: &open.key,
            requested: open.requested.bits(),
            granted: open.granted.map_or(0, |rights| rights.bits()),
            decision: if open.granted.is_some() { "granted" } else { "denied" },
        }
    }
}

impl<'a> From<&'a AuditEvent> for Event<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        match event {
            AuditEvent::SourceUp { hive } => Event::SourceUp { hive },
            AuditEvent::SourceDown { hive } => Event::SourceDown { hive },
            AuditEvent::HiveRecovered { hive, recovery } => Event::HiveRecovered {
                hive,
                reason: &recovery.reason,
                set_aside: recovery.set_aside.as_deref(),
                copy: recovery.copy,
            },
            AuditEvent::SourceDataRejected { hive, reason } => {
                Event::SourceDataRejected { hive, reason }
            }
            AuditEvent::SettingRejected { name, reason } => Event::SettingRejected { name, reason },
            AuditEvent::LayerCreated { layer, user } => {
                Event::LayerCreated { layer, user: user.to_string() }
            }
            AuditEvent::LayerDeleted { layer, user } => {
                Event::LayerDeleted { layer, user: user.to_string() }
            }
            AuditEvent::BackupStarted { key, user } => {
                Event::BackupStarted { key, user: user.to_string() }
            }
            AuditEvent::BackupEnded { key, user, end } => {
                Event::BackupEnded(Ended::new(key, user, end))
            }
            AuditEvent::RestoreStarted { key, user } => {
                Event::RestoreStarted { key, user: user.to_string() }
            }
            AuditEvent::RestoreEnded { key, user, end } => {
                Event::RestoreEnded(Ended::new(key, user, end))
            }
            AuditEvent::KeyOpen(open) => Event::KeyOpen(open.into()),
        }
    }
}
