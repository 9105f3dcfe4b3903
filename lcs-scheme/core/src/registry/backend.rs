//! What the registry needs from outside: sources, the time, fresh identities, a place for audit records.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::time::Duration;

use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, Recovery, Request, SourceError};
use lcs_abi::security::Access;

use super::error::Error;
use crate::security::Sid;

/// A connected source, numbered by whoever connects it; a number is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Where a request goes: a hive of a connected source, as it is or as a read view shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The source's connection.
    pub connection: ConnectionId,
    /// The hive's number in the source's claim.
    pub hive: u32,
    /// The source's read view; `None`: the hive as it is.
    pub snapshot: Option<u64>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The source is gone. The request may or may not have had its effect.
    Down,
    /// The source said no.
    Refused(SourceError),
}

/// Something to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    /// A source's hive came into service.
    SourceUp {
        /// The hive.
        hive: String,
    },
    /// A source's hive went out of service.
    SourceDown {
        /// The hive.
        hive: String,
    },
    /// A source found a hive damaged and replaced it.
    HiveRecovered {
        /// The hive.
        hive: String,
        /// What the source says of it.
        recovery: Recovery,
    },
    /// A source said what cannot be; the request failed.
    SourceDataRejected {
        /// The hive.
        hive: String,
        /// What was wrong.
        reason: &'static str,
    },
    /// A setting of LCS is invalid; the last good one stays in force.
    SettingRejected {
        /// The value's name.
        name: String,
        /// What was wrong.
        reason: String,
    },
    /// A layer was made.
    LayerCreated {
        /// The layer.
        layer: String,
        /// Who made it.
        user: Sid,
    },
    /// A layer was deleted.
    LayerDeleted {
        /// The layer.
        layer: String,
        /// Who deleted it.
        user: Sid,
    },
    /// A backup of a key began.
    BackupStarted {
        /// The key's path.
        key: String,
        /// Whose backup it is.
        user: Sid,
    },
    /// A backup came to its end.
    BackupEnded {
        /// The key's path.
        key: String,
        /// Whose backup it is.
        user: Sid,
        /// How it ended.
        end: StreamEnd,
    },
    /// A restore of a key began.
    RestoreStarted {
        /// The key's path.
        key: String,
        /// Whose restore it is.
        user: Sid,
    },
    /// A restore came to its end.
    RestoreEnded {
        /// The key's path.
        key: String,
        /// Whose restore it is.
        user: Sid,
        /// How it ended; only after `Complete` anything is otherwise than before.
        end: StreamEnd,
    },
    /// A key was opened, or should have been, and its SACL wants that to be known.
    KeyOpen(KeyOpen),
}

/// How a backup or a restore ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// All of it was read, or carried out.
    Complete {
        /// The keys in the stream.
        keys: u64,
    },
    /// Nobody read for TransactionTimeoutMs.
    TimedOut,
    /// The handle was closed before.
    GivenUp,
    /// It could not be done.
    Failed(Error),
}

/// An access to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOpen {
    /// The caller's user.
    pub user: Sid,
    /// All SIDs of the caller, the user among them.
    pub sids: Vec<Sid>,
    /// The caller's user as the system numbers it.
    pub uid: u32,
    /// The caller's process, as far as it is known.
    pub pid: u32,
    /// The key's path.
    pub key: String,
    /// The rights asked for, as they were asked for.
    pub requested: Access,
    /// The rights granted; `None`: it was denied.
    pub granted: Option<Access>,
}

/// A record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRecorded;

/// The world outside.
pub trait Backend {
    /// Asks a source.
    ///
    /// The request takes its place in the source's queue when this is called, not when the future is
    /// polled: the order of calls is the order in which steps take effect. The future gives the true
    /// answer, however late it comes. Telling a caller that it takes too long is the backend's own affair; it
    /// may then drop the operation's future, as long as no request of it is on its way.
    fn request(
        &self,
        to: Address,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Fault>> + 'static;

    /// The time, in nanoseconds since 1970 (UTC).
    fn now(&self) -> i64;

    /// How long this machine has been running; it never goes back.
    fn uptime(&self) -> Duration;

    /// A fresh version 4 UUID.
    fn new_guid(&self) -> Guid;

    /// The words of the generation page (DESIGN §15), at least two, which clients see as they are. Nobody else
    /// writes them, and they begin at random.
    fn generation_words(&self) -> &[AtomicU64];

    /// Waits until no client gives an answer of an earlier LCS again: whoever has one does not know yet that that
    /// LCS is gone.
    fn no_old_answers(&self) -> impl Future<Output = ()> + 'static;

    /// Records an event.
    fn audit(&self, event: AuditEvent);

    /// Records an event, and tells when the record is where it is kept.
    fn record(&self, event: AuditEvent) -> impl Future<Output = Result<(), NotRecorded>> + 'static;
}
