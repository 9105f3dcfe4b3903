//! Backups: streams of what is under a key, as it was when the backup began (DESIGN §13).

mod stream;
mod walk;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use lcs_abi::Guid;
use lcs_abi::backup::Header;
use lcs_abi::call::{StoreCopyAnswer, TransactionState};
use lcs_abi::rsi::{Answer, Request};
use spin::Mutex;

use super::backend::{AuditEvent, Backend, StreamEnd};
use super::error::Error;
use super::handles::{Handle, HandleId, KeyHandle};
use super::hives::SlotId;
use super::reading::{Site, Snapshot};
use super::security::{Asking, Caller};
use super::settings::Setting;
use super::{Registry, State};
use crate::model::View;
use crate::security::{Privileges, Token};
use stream::Stream;

/// A backup; a number is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct BackupId(u64);

/// A backup that somebody has a handle of.
pub(super) struct Backup {
    id: BackupId,
    /// Whose it is.
    pub(super) token: Rc<Token>,
    pub(super) view: Rc<View>,
    /// The read view.
    site: Site,
    path: String,
    /// Held by whoever reads.
    stream: async_lock::Mutex<Stream>,
    course: Mutex<Course>,
}

/// How a backup goes.
struct Course {
    /// When somebody read last, in time since the machine started.
    last_used: Duration,
    /// Reads that have not had their answer.
    readers: usize,
    /// Its end, once it has come to one.
    end: Option<StreamEnd>,
}

impl core::fmt::Debug for Backup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Backup").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The backups under way.
#[derive(Debug, Default)]
pub(super) struct Backups {
    under_way: BTreeMap<BackupId, Rc<Backup>>,
    /// How many read views each hive has, those included that are being made.
    snapshots: BTreeMap<SlotId, usize>,
    /// Came to their end, and their read views are still there.
    ended: Vec<Rc<Backup>>,
    last: u64,
}

impl State {
    /// Takes a place among the read views of a hive's source.
    fn begin_snapshot(&mut self, slot: SlotId) -> Result<BackupId, Error> {
        let of_source = self.backups.snapshots.iter();
        let of_source = of_source.filter(|(other, _)| self.hives.same_source(**other, slot));
        let count: usize = of_source.map(|(_, count)| count).sum();
        if count >= self.settings.size(Setting::MaxReadOnlyTransactionsPerSource) {
            return Err(Error::Busy("MaxReadOnlyTransactionsPerSource"));
        }
        *self.backups.snapshots.entry(slot).or_default() += 1;
        self.backups.last += 1;
        Ok(BackupId(self.backups.last))
    }

    /// A read view is gone.
    fn end_snapshot(&mut self, slot: SlotId) {
        if let Some(count) = self.backups.snapshots.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.backups.snapshots.remove(&slot);
            }
        }
    }

    /// A backup comes to its end, if it has not. Its read view is released by
    /// [`Registry::release_streams`].
    fn end_backup(&mut self, id: BackupId, end: StreamEnd) {
        if let Some(backup) = self.backups.under_way.remove(&id) {
            backup.course.lock().end = Some(end);
            self.backups.ended.push(backup);
        }
    }

    /// The source of a hive is gone, and with it its read views.
    pub(super) fn end_backups(&mut self, slot: SlotId) {
        let of_slot = self.backups.under_way.iter().filter(|(_, one)| one.site.slot == slot);
        let ids: Vec<BackupId> = of_slot.map(|(id, _)| *id).collect();
        for id in ids {
            self.end_backup(id, StreamEnd::Failed(Error::SourceDown));
        }
    }

    /// Nobody has the handle of a backup any more.
    pub(super) fn lost_backup(&mut self, backup: &Backup) {
        self.end_backup(backup.id, StreamEnd::GivenUp);
    }
}

impl<B: Backend> Registry<B> {
    /// A backup of what is under a key, as it is now.
    ///
    /// # Errors
    /// `PrivilegeMissing`: the caller, or what the restricted handle leaves of it, does not hold SeBackup.
    /// `NotFound`: no entry names the key any more. `Busy`: the source has as many read views as
    /// MaxReadOnlyTransactionsPerSource allows. `NotRecorded`.
    pub(super) async fn back_up(
        &self,
        base: &KeyHandle,
        caller: &Caller,
    ) -> Result<HandleId, Error> {
        let token = Asking::token_below(base, caller);
        if !token.holds(Privileges::BACKUP) {
            return Err(Error::PrivilegeMissing);
        }
        self.require_named(base.site, base.key)?;
        let slot = base.site.slot;
        let id = self.with(|state| state.begin_snapshot(slot))?;
        let backup = match self.snapshot(id, base, token).await {
            Ok(backup) => Rc::new(backup),
            Err(error) => {
                self.with(|state| state.end_snapshot(slot));
                return Err(error);
            }
        };
        self.with(|state| state.backups.under_way.insert(id, Rc::clone(&backup)));
        match self.begin_backup(&backup, base.key).await {
            Ok(handle) => Ok(handle),
            Err(error) => {
                self.with(|state| state.end_backup(id, StreamEnd::Failed(error.clone())));
                Err(error)
            }
        }
    }

    /// A backup that shows the hive as it is now.
    async fn snapshot(
        &self,
        id: BackupId,
        base: &KeyHandle,
        token: Rc<Token>,
    ) -> Result<Backup, Error> {
        let slot = base.site.slot;
        let (address, _) = self.address(slot)?;
        let table = self.with(|state| Rc::clone(&state.layers));
        let Answer::Snapshot { snapshot: number } = self.ask(slot, Request::Snapshot).await? else {
            return Err(self.malformed(slot, "answer of another kind"));
        };
        let snapshot = Some(Snapshot { connection: address.connection, number });
        let site = Site { snapshot, ..slot.into() };
        let (time, root, hive) = (self.backend.now(), base.key, self.hive_name(slot));
        let stream = Stream::new(Header { time, root, hive }, site, table);
        let course = Course { last_used: self.backend.uptime(), readers: 0, end: None };
        Ok(Backup {
            id,
            token,
            view: Rc::clone(&base.view),
            site,
            path: base.path.clone(),
            stream: async_lock::Mutex::new(stream),
            course: Mutex::new(course),
        })
    }

    async fn begin_backup(&self, backup: &Rc<Backup>, key: Guid) -> Result<HandleId, Error> {
        // One that was made in a transaction is not there.
        self.read_key(backup.site, key).await?;
        let started =
            AuditEvent::BackupStarted { key: backup.path.clone(), user: backup.token.user() };
        self.backend.record(started).await.map_err(|_| Error::NotRecorded)?;
        self.with(|state| state.insert(Handle::Backup(Rc::clone(backup))))
    }

    /// Has the source of a key's hive make an automatic copy of the hive now; gives the copy's number.
    ///
    /// # Errors
    /// `PrivilegeMissing`: the handle's user does not hold SeBackup. Otherwise the source's: it may keep no copies.
    pub async fn store_copy(&self, id: HandleId) -> Result<StoreCopyAnswer, Error> {
        let handle = self.key(id)?;
        if !handle.token.holds(Privileges::BACKUP) {
            return Err(Error::PrivilegeMissing);
        }
        let slot = handle.site.slot;
        match self.ask(slot, Request::Copy).await? {
            Answer::Copied { number } => Ok(StoreCopyAnswer { number }),
            _ => Err(self.malformed(slot, "answer of another kind")),
        }
    }

    /// Whether a handle is one of a backup or a restore: what is read from it and written to it is a stream.
    pub fn is_stream(&self, id: HandleId) -> bool {
        self.with(|state| {
            matches!(state.handles.get(id), Ok(Handle::Backup(_) | Handle::Restore(_)))
        })
    }

    /// The next so many bytes of a backup, or fewer at its end, and none after it; none, too, if nobody wants them
    /// any more when they are there: the next read has them then. Reads of one handle follow each other.
    ///
    /// # Errors
    /// `BadHandle`: it is none of a backup. `TransactionEnded`: nobody had read for TransactionTimeoutMs.
    /// Others are final: the stream cannot be finished.
    pub async fn read_backup(
        &self,
        id: HandleId,
        bytes: usize,
        wanted: impl FnOnce() -> bool,
    ) -> Result<Vec<u8>, Error> {
        let backup = self.with(|state| match state.handles.get(id)? {
            Handle::Backup(backup) => Ok(backup),
            _ => Err(Error::BadHandle),
        })?;
        let _reader = self.reader(&backup);
        let mut stream = backup.stream.lock().await;
        match &backup.course.lock().end {
            None | Some(StreamEnd::Complete { .. }) => {}
            Some(StreamEnd::TimedOut) => {
                return Err(Error::TransactionEnded(TransactionState::TimedOut));
            }
            Some(StreamEnd::Failed(error)) => return Err(error.clone()),
            Some(StreamEnd::GivenUp) => return Err(Error::BadHandle),
        }
        match stream.fill(self, bytes).await {
            Ok(()) => {}
            Err(error) => {
                let error = match error {
                    // Whatever the read view showed is there; so the view itself is gone.
                    Error::NotFound(_) => Error::SourceDown,
                    error => error,
                };
                self.with(|state| state.end_backup(backup.id, StreamEnd::Failed(error.clone())));
                return Err(error);
            }
        }
        if stream.is_whole() {
            let keys = stream.keys();
            self.with(|state| state.end_backup(backup.id, StreamEnd::Complete { keys }));
        }
        Ok(if wanted() { stream.take(bytes) } else { Vec::new() })
    }

    /// Somebody reads, until it is dropped.
    fn reader<'a>(&'a self, backup: &'a Rc<Backup>) -> Reader<'a, B> {
        backup.course.lock().readers += 1;
        Reader { registry: self, backup }
    }

    /// Ends the backups that nobody has read for too long (TransactionTimeoutMs), and says when the next one can be
    /// due, in time since the machine started. Whether some ended, [`Registry::has_ended_streams`] says.
    pub fn expire_backups(&self) -> Option<Duration> {
        let now = self.backend.uptime();
        self.with(|state| {
            let timeout = Duration::from_millis(state.settings.get(Setting::TransactionTimeoutMs));
            let (mut due, mut next) = (Vec::new(), None::<Duration>);
            for (id, backup) in &state.backups.under_way {
                let course = backup.course.lock();
                let at = course.last_used + timeout;
                if course.readers > 0 {
                    continue;
                }
                if at <= now {
                    due.push(*id);
                } else {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
            for id in due {
                state.end_backup(id, StreamEnd::TimedOut);
            }
            next
        })
    }

    /// Whether [`Registry::release_streams`] has something to do.
    pub fn has_ended_streams(&self) -> bool {
        self.with(|state| !state.backups.ended.is_empty() || state.restores.some_closed())
    }

    /// Gives back what sources keep for backups and restores that came to their end.
    pub async fn release_streams(&self) {
        self.end_closed_restores().await;
        let ended = self.with(|state| core::mem::take(&mut state.backups.ended));
        for backup in ended {
            // A read under way is the last one.
            let _stream = backup.stream.lock().await;
            let slot = backup.site.slot;
            if let Some(snapshot) = backup.site.snapshot {
                let release = Request::Release { snapshot: snapshot.number };
                let connected = self.address(slot).map(|(address, _)| address.connection);
                if connected == Ok(snapshot.connection)
                    && let Err(error) = self.ask_done(slot, release).await
                {
                    log::warn!("a read view could not be released: {error}");
                }
            }
            self.with(|state| state.end_snapshot(slot));
            let (key, user) = (backup.path.to_string(), backup.token.user());
            let end = backup.course.lock().end.clone().unwrap_or(StreamEnd::GivenUp);
            self.backend.audit(AuditEvent::BackupEnded { key, user, end });
        }
    }
}

/// A read of a backup.
struct Reader<'a, B: Backend> {
    registry: &'a Registry<B>,
    backup: &'a Rc<Backup>,
}

impl<B: Backend> Drop for Reader<'_, B> {
    fn drop(&mut self) {
        let mut course = self.backup.course.lock();
        course.readers -= 1;
        course.last_used = self.registry.backend.uptime();
    }
}
