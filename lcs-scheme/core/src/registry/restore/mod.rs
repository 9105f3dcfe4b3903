//! Restores: a stream that replaces what is under a key, in one step, or leaves all as it is (DESIGN §13).

mod finish;
mod intake;
mod role;
mod tell;

use alloc::rc::Rc;
use alloc::vec::Vec;

use lcs_abi::rsi::Request;
use spin::Mutex;

use super::backend::{AuditEvent, Backend, ConnectionId, StreamEnd};
use super::error::Error;
use super::handles::{Handle, HandleId, KeyHandle};
use super::hives::SlotId;
use super::queued::Queued;
use super::security::{Asking, Caller};
use super::transaction::STAGE_BYTES;
use super::{Registry, State};
use crate::model::View;
use crate::security::{Privileges, Sid, Token};
use intake::Intake;
use role::Role;

/// Stages of restores have numbers from here on; below are those of transactions.
const FIRST_STAGE: u64 = 1 << 63;

/// A restore that somebody has a handle of.
pub(super) struct Restore {
    /// Whose it is.
    pub(super) token: Rc<Token>,
    /// What is restored.
    target: Rc<KeyHandle>,
    role: Role,
    /// Where what has come is kept, as long as this connection lasts.
    stage: u64,
    connection: ConnectionId,
    /// What has come; nothing when it has come to its end. Held by whoever writes.
    intake: async_lock::Mutex<Option<Intake>>,
    /// What it counts for among what is kept for its user, in bytes.
    counted: Mutex<usize>,
}

impl Restore {
    /// What its handle sees.
    pub(super) fn view(&self) -> &Rc<View> {
        &self.target.view
    }

    fn slot(&self) -> SlotId {
        self.target.site.slot
    }
}

impl core::fmt::Debug for Restore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Restore").field("target", &self.target.path).finish_non_exhaustive()
    }
}

/// The restores under way.
#[derive(Debug, Default)]
pub(super) struct Restores {
    /// Stages given out.
    last: u64,
    /// How much is kept for each user, in bytes.
    queued: Queued,
    /// Their handles were closed, and it is not known yet whether they had come to their end.
    closed: Vec<Rc<Restore>>,
}

impl Restores {
    /// How much is kept for a user, in bytes.
    pub(super) fn bytes_of(&self, user: &Sid) -> usize {
        self.queued.of(user)
    }

    /// Whether some were closed that may not have come to their end.
    pub(super) fn some_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Counts what is kept for a restore now.
    fn count(&mut self, restore: &Restore, bytes: usize) {
        let before = core::mem::replace(&mut *restore.counted.lock(), bytes);
        self.queued.replace(restore.token.user(), before, bytes);
    }
}

impl State {
    /// Nobody has the handle of a restore any more.
    pub(super) fn lost_restore(&mut self, restore: &Rc<Restore>) {
        self.restores.closed.push(Rc::clone(restore));
    }
}

impl<B: Backend> Registry<B> {
    /// A restore of what is under a key.
    ///
    /// # Errors
    /// `PrivilegeMissing`: the caller, or what the restricted handle leaves of it, does not hold SeRestore.
    /// `Invalid`: the key's handle is in a transaction, or only LCS writes there. `NotFound`: no entry names the
    /// key any more. `NotRecorded`.
    pub(super) async fn restore(
        &self,
        base: Rc<KeyHandle>,
        caller: &Caller,
    ) -> Result<HandleId, Error> {
        let token = Asking::token_below(&base, caller);
        if !token.holds(Privileges::RESTORE) {
            return Err(Error::PrivilegeMissing);
        }
        if base.site.transaction.is_some() {
            return Err(Error::Invalid("no restore in a transaction"));
        }
        self.require_named(base.site, base.key)?;
        let record = self.read_key(base.site, base.key).await?;
        let (address, _) = self.address(base.site.slot)?;
        let restore = self.with(|state| {
            let role = state.role_of(base.site.slot, &base.chain);
            if matches!(role, Role::PendingDeletion | Role::Deletion) {
                return Err(Error::Invalid("only LCS writes here"));
            }
            state.restores.last += 1;
            let target = Rc::clone(&base);
            let intake = Intake::new(target, (record.volatile, record.link), role, &state.settings);
            Ok(Rc::new(Restore {
                token,
                role,
                stage: FIRST_STAGE + state.restores.last,
                connection: address.connection,
                intake: async_lock::Mutex::new(Some(intake)),
                counted: Mutex::new(0),
                target: base,
            }))
        })?;
        let (key, user) = (restore.target.path.clone(), restore.token.user());
        let started = AuditEvent::RestoreStarted { key, user };
        self.backend.record(started).await.map_err(|_| Error::NotRecorded)?;
        self.with(|state| state.insert(Handle::Restore(restore)))
    }

    /// Takes the next piece of a restore's stream. Nothing changes before [`Registry::finish`].
    ///
    /// # Errors
    /// `BadHandle`: the handle is none of a restore. All others are final: the stream cannot be restored here, and
    /// nothing of it will be.
    pub async fn write_restore(&self, id: HandleId, piece: &[u8]) -> Result<(), Error> {
        let restore = self.restore_of(id)?;
        let mut intake = restore.intake.lock().await;
        let Some(taken) = intake.as_mut() else {
            return Err(Error::Invalid("the restore is over"));
        };
        let taken_in = match self.take_in(&restore, taken, piece) {
            Ok(()) if taken.waiting() >= STAGE_BYTES => self.stage_restore(&restore, taken).await,
            taken_in => taken_in,
        };
        if let Err(error) = &taken_in {
            self.end_restore(&restore, intake.take(), StreamEnd::Failed(error.clone())).await;
        }
        taken_in
    }

    fn restore_of(&self, id: HandleId) -> Result<Rc<Restore>, Error> {
        self.with(|state| match state.handles.get(id)? {
            Handle::Restore(restore) => Ok(restore),
            _ => Err(Error::BadHandle),
        })
    }

    fn take_in(&self, restore: &Restore, intake: &mut Intake, piece: &[u8]) -> Result<(), Error> {
        self.with(|state| {
            intake.push(piece, &state.settings)?;
            state.restores.count(restore, intake.memory());
            state.require_room(&restore.token.user(), 0)
        })
    }

    /// Has the source keep what has come.
    async fn stage_restore(&self, restore: &Restore, intake: &mut Intake) -> Result<(), Error> {
        self.require_connection(restore)?;
        let mutations = intake.take();
        let stage = Request::Stage { stage: restore.stage, mutations };
        self.ask_done(restore.slot(), stage).await?;
        self.with(|state| state.restores.count(restore, intake.memory()));
        Ok(())
    }

    /// Fails if what was staged went with its connection.
    fn require_connection(&self, restore: &Restore) -> Result<(), Error> {
        let (address, _) = self.address(restore.slot())?;
        if address.connection == restore.connection { Ok(()) } else { Err(Error::SourceDown) }
    }

    /// A restore came to its end. What is staged is dropped, unless the source has taken it.
    async fn end_restore(&self, restore: &Restore, intake: Option<Intake>, end: StreamEnd) {
        if intake.is_none() {
            return;
        }
        self.with(|state| state.restores.count(restore, 0));
        let (key, user) = (restore.target.path.clone(), restore.token.user());
        let is_complete = matches!(end, StreamEnd::Complete { .. });
        self.backend.audit(AuditEvent::RestoreEnded { key, user, end });
        if !is_complete && self.require_connection(restore).is_ok() {
            self.drop_stage(restore.slot(), restore.stage).await;
        }
    }

    /// Drops what was staged for restores whose handles were closed.
    pub(super) async fn end_closed_restores(&self) {
        let closed = self.with(|state| core::mem::take(&mut state.restores.closed));
        for restore in closed {
            let intake = restore.intake.lock().await.take();
            self.end_restore(&restore, intake, StreamEnd::GivenUp).await;
        }
    }
}
