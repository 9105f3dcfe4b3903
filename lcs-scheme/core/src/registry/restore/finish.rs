//! The step of a restore, and what follows from it.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::BASE_LAYER;
use lcs_abi::rsi::{Changes, Condition};

use super::super::backend::{AuditEvent, Backend, StreamEnd};
use super::super::cache::Touched;
use super::super::error::{Error, NotFound};
use super::super::handles::HandleId;
use super::super::locks::Guard;
use super::super::settings::Setting;
use super::super::{Registry, State};
use super::Restore;
use super::intake::Intake;
use crate::model::layer::LayerTable;
use crate::security::Privileges;

impl<B: Backend> Registry<B> {
    /// Carries a restore out: all of it, durably, or nothing.
    ///
    /// # Errors
    /// Nothing has changed. `Busy`: a layer of the stream is pending deletion; it can be tried again.
    /// `PrivilegeMissing`: a named layer has a precedence above 0, or the restore has to do with layers, and its
    /// user does not hold SeTcb. `BadHandle`: the handle is none of a restore. `Invalid`: the stream is not
    /// whole, contradicts itself, or does not belong here. `Source(AlreadyExists)`: a key of the stream lives
    /// elsewhere in the hive. `NotFound`: the key to restore is no more. After `SourceDown` and `SourceData` it
    /// is not known whether it took effect.
    pub async fn finish(&self, id: HandleId) -> Result<(), Error> {
        let restore = self.restore_of(id)?;
        let mut intake = restore.intake.lock().await;
        let Some(taken) = intake.as_mut() else {
            return Err(Error::Invalid("the restore is over"));
        };
        let _layers = self.keep_layers(taken).await;
        let hive = self.locks.no_steps(restore.slot().into()).await;
        let outcome = match taken.finish() {
            Ok(()) => {
                // What may not be now may be later.
                self.with(|state| state.may_restore(&restore, taken))?;
                self.carry_out_restore(&restore, taken).await
            }
            Err(error) => Err(error),
        };
        let end = match &outcome {
            Ok(()) => StreamEnd::Complete { keys: taken.keys() },
            Err(error) => StreamEnd::Failed(error.clone()),
        };
        let concerns_own = outcome.is_ok() && restore.role.concerns_own_keys();
        let own_missing = concerns_own && !self.own_restored(&restore).await;
        drop(hive);
        if own_missing {
            self.machine_arrived().await;
        }
        self.end_restore(&restore, intake.take(), end).await;
        outcome
    }

    /// Keeps the layers of a stream from being deleted meanwhile.
    async fn keep_layers(&self, intake: &Intake) -> Vec<Guard<'_>> {
        let mut names: Vec<&str> = intake.layers().map(|(folded, _)| folded).collect();
        names.sort_unstable();
        let mut held = Vec::new();
        for name in names {
            if name != BASE_LAYER {
                held.push(self.locks.layer_stays(name).await);
            }
        }
        held
    }

    /// Sends the step and tells those who watch. Nobody else changes which keys the hive has meanwhile.
    async fn carry_out_restore(&self, restore: &Restore, intake: &mut Intake) -> Result<(), Error> {
        self.stage_restore(restore, intake).await?;
        self.backend.no_old_answers().await;
        let (slot, key) = (restore.slot(), restore.target.key);
        let under_way = self.step_alone(slot).await;
        self.require_named(restore.target.site, key)?;
        let watching = self.watching_below(restore).await;
        self.require_connection(restore)?;
        let conditions = Vec::from([Condition::KeyExists { key }]);
        let changes = Changes::Stage(restore.stage);
        let sent = self.send(slot, conditions, changes, intake.entries(), Touched::hive(slot))?;
        match self.applied(slot, sent).await {
            Ok(_) => {}
            Err(Error::ConditionFailed) => return Err(Error::NotFound(NotFound::Key)),
            Err(error) => return Err(error),
        }
        self.restored(restore, intake, watching).await;
        drop(under_way);
        Ok(())
    }

    /// LCS's own keys may be others now, and say something else. False: some are missing, and have to be made.
    async fn own_restored(&self, restore: &Restore) -> bool {
        let before = self.with(|state| Rc::clone(&state.layers));
        let found = self.find_own_keys(false).await;
        if found {
            self.read_own_keys().await;
        }
        let after = self.with(|state| Rc::clone(&state.layers));
        let user = restore.token.user();
        for layer in only_in(&after, &before) {
            self.backend.audit(AuditEvent::LayerCreated { layer, user });
        }
        for layer in only_in(&before, &after) {
            self.backend.audit(AuditEvent::LayerDeleted { layer, user });
        }
        found
    }
}

impl State {
    /// Fails if a stream may not be restored for what its layers are.
    fn may_restore(&self, restore: &Restore, intake: &Intake) -> Result<(), Error> {
        let above_base = intake.layers().any(|(folded, precedence)| {
            let known = self.layers.get(folded).map_or(0, |layer| layer.precedence);
            folded != BASE_LAYER && (precedence > 0 || known > 0)
        });
        if (above_base || restore.role.concerns_layers()) && !restore.token.holds(Privileges::TCB) {
            return Err(Error::PrivilegeMissing);
        }
        let pending = |folded: &str| self.pending_deletion.contains(folded);
        let uses_pending = intake.layers().any(|(folded, _)| pending(folded));
        let makes_pending = intake.made.iter().any(|layer| pending(layer));
        let forgets = restore.role.contains_deletions() && !self.pending_deletion.is_empty();
        if uses_pending || makes_pending || forgets {
            return Err(Error::Busy("layer pending deletion"));
        }
        if intake.made.len() > self.settings.size(Setting::MaxTotalLayers) {
            return Err(Error::LimitExceeded("MaxTotalLayers"));
        }
        Ok(())
    }
}

/// The names of the layers that one table has and the other has not.
fn only_in(table: &LayerTable, other: &LayerTable) -> Vec<String> {
    let missing = table.iter().filter(|layer| other.get(layer.name.folded()).is_none());
    missing.map(|layer| layer.name.display().into()).collect()
}
