//! What `lcs-core` needs from outside.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, Request};
use lcs_core::registry::{Address, AuditEvent, Backend, Fault};
use serde::Serialize;
use uuid::Uuid;

use crate::regsrc::Sources;

/// Sources, the clock, randomness, and the audit log.
pub struct World {
    sources: Rc<Sources>,
}

impl World {
    /// The world in which these sources are.
    pub fn new(sources: Rc<Sources>) -> World {
        World { sources }
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

    fn new_guid(&self) -> Guid {
        Guid(Uuid::new_v4().into_bytes())
    }

    fn audit(&self, event: AuditEvent) {
        let now = SystemTime::now().max(UNIX_EPOCH);
        let record = Record {
            time: humantime::format_rfc3339_nanos(now).to_string(),
            event: Event::from(&event),
        };
        match serde_json::to_string(&record) {
            Ok(line) => log::info!(target: lcs_daemon::logging::AUDIT, "{line}"),
            Err(error) => log::error!("an audit record cannot be written: {error}: {event:?}"),
        }
    }
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
    SourceDataRejected { hive: &'a str, reason: &'a str },
    SettingRejected { name: &'a str, reason: &'a str },
}

impl<'a> From<&'a AuditEvent> for Event<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        match event {
            AuditEvent::SourceUp { hive } => Event::SourceUp { hive },
            AuditEvent::SourceDown { hive } => Event::SourceDown { hive },
            AuditEvent::SourceDataRejected { hive, reason } => {
                Event::SourceDataRejected { hive, reason }
            }
            AuditEvent::SettingRejected { name, reason } => Event::SettingRejected { name, reason },
        }
    }
}
