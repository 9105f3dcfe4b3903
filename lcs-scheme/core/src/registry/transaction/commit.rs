//! The end of a transaction: its write set becomes one step, or nothing of it happens.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use futures_util::StreamExt;
use futures_util::stream;
use hashbrown::HashMap;
use lcs_abi::BASE_LAYER;
use lcs_abi::Guid;
use lcs_abi::call::TransactionStatusAnswer;
use lcs_abi::rsi::{Answer, Changes, Mutation, Request};

use super::super::Registry;
use super::super::backend::{AuditEvent, Backend};
use super::super::cache::Touched;
use super::super::effects::Writes;
use super::super::error::Error;
use super::super::handles::{Handle, HandleId};
use super::super::hives::SlotId;
use super::super::locks::Guard;
use super::super::reading::Site;
use super::super::settings::Setting;
use super::writes::WriteSet;
use super::{Stage, TransactionId};
use crate::model::View;
use crate::model::name::ValueName;
use crate::security::Token;

/// Mutations beyond this many bytes are staged in the source, about so many at a time.
pub(in super::super) const STAGE_BYTES: usize = 2 << 20;

/// How many keys, or values, are looked at at once.
const CHECKED_AT_ONCE: usize = 64;

/// Stages have the numbers of their transactions.
impl From<TransactionId> for u64 {
    fn from(id: TransactionId) -> u64 {
        id.0
    }
}

impl<B: Backend> Registry<B> {
    /// Carries a transaction out: all of it, durably, or nothing.
    ///
    /// # Errors
    /// `Invalid`: nothing was written in it. `ConditionFailed`: something that an operation saw is no longer
    /// so, or what a caller expected is not; the transaction is aborted. `Source`: the source could not; it
    /// can be tried again. `SourceDown`, `SourceData`: whether it took effect is not known, which
    /// [`transaction_status`](Self::transaction_status) finds out when the source is back.
    pub async fn commit(&self, id: HandleId) -> Result<(), Error> {
        let (id, token) = self.transaction(id)?;
        self.used(Some(id))?;
        let slot = self.with(|state| match &state.open_transaction(id)?.stage {
            Stage::Bound(slot, _) => Ok(*slot),
            _ => Err(Error::Invalid("nothing was written in the transaction")),
        })?;
        self.backend.no_old_answers().await;
        let site = Site::written_in(id, slot);
        let _no_steps = self.locks.no_steps(site).await;
        // Another commit of it may have come first.
        self.used(Some(id))?;
        let deleted = self.deleted_layers(id);
        let layers = self.hold_layers(site, &deleted).await;
        // While it waited for others, it may have come to its end.
        self.with(|state| state.open_transaction(id).map(drop))?;
        self.note_deletions(id, site, &deleted).await?;
        let structural = self.with_writes(site, WriteSet::is_structural) == Some(true);
        let hive = if structural { Some(self.locks.no_steps(slot.into()).await) } else { None };
        let layered = self.with_writes(site, |writes| writes.values_beyond(BASE_LAYER));
        let layered = layered.unwrap_or_default();
        let values = self.hold_values(slot, &layered).await;
        self.with(|state| state.open_transaction(id).map(drop))?;
        let made = self.may_change_layers(id, site, &token).await?;
        let outcome = match self.check(site, layered).await {
            Ok(sds) => {
                let watched = self.watched(slot, Writes::Transaction(site)).await;
                let sent = self.carry_out(id, site, sds).await;
                sent.map(|writes| (writes, watched))
            }
            Err(error) => Err(error),
        };
        if matches!(outcome, Err(Error::ConditionFailed)) {
            self.with(|state| state.transactions.moves_on(id, Stage::Aborted));
        }
        let (writes, watched) = outcome?;
        // Who watches is told first: with an orphan go the entries under it.
        self.committed(watched).await;
        self.orphaned(slot, writes.orphans()).await;
        drop((values, hive, layers));
        for layer in made {
            let user = token.user();
            self.backend.audit(AuditEvent::LayerCreated { layer, user });
        }
        for layer in deleted {
            self.layer_deleted(&layer, token.user()).await;
        }
        Ok(())
    }

    /// What a commit adds to values in other layers than `base` is counted with nobody else adding some.
    async fn hold_values(&self, slot: SlotId, values: &[(Guid, String)]) -> Vec<Guard<'_>> {
        let mut guards = Vec::new();
        for (key, name) in values {
            guards.push(self.locks.value(slot.into(), *key, name).await);
        }
        guards
    }

    /// Checks what no condition of a step can say; `layered` are the values that get entries in other layers
    /// than `base`. Gives the security descriptors that keys of others will have.
    async fn check(
        &self,
        site: Site,
        layered: Vec<(Guid, String)>,
    ) -> Result<HashMap<Guid, Vec<u8>>, Error> {
        let unnamed = self.with_writes(site, WriteSet::unnamed).unwrap_or_default();
        none_of(unnamed.into_iter().map(|key| self.has_visible_children(site, key))).await?;
        let layered = layered.into_iter();
        none_of(layered.map(|(key, name)| self.has_too_many_layers(site, key, name))).await?;
        let given = self.with_writes(site, |writes| {
            writes.security().map(|(key, parts, sd)| (key, parts, sd.clone())).collect::<Vec<_>>()
        });
        let mut sds = HashMap::new();
        for (key, parts, given) in given.unwrap_or_default() {
            let record = match self.read_key(site.slot.into(), key).await {
                Err(Error::NotFound(_)) => return Err(Error::ConditionFailed),
                record => record?,
            };
            let old = self.descriptor(site.slot, &record)?;
            sds.insert(key, old.with(parts, &given).to_bytes());
        }
        Ok(sds)
    }

    /// Whether a value will have more layers than MaxLayersPerValue allows.
    async fn has_too_many_layers(
        &self,
        site: Site,
        key: Guid,
        name: String,
    ) -> Result<bool, Error> {
        let name = ValueName::new(&name, usize::MAX)?;
        let found = self.value(site, &View::default(), key, &name).await?;
        let others = found.entries.iter().filter(|entry| entry.layer.folded != BASE_LAYER);
        Ok(others.count() >= self.with(|state| state.settings.size(Setting::MaxLayersPerValue)))
    }

    /// Sends the step. Gives what took effect.
    async fn carry_out(
        &self,
        id: TransactionId,
        site: Site,
        sds: HashMap<Guid, Vec<u8>>,
    ) -> Result<Box<WriteSet>, Error> {
        let slot = site.slot;
        let now = self.backend.now();
        let mutations = self.with_writes(site, |writes| writes.mutations(now, sds));
        let mutations = mutations.unwrap_or_default();
        let (count, touched) = (mutations.len(), Touched::by(slot, &mutations));
        let staged =
            self.with_writes(site, WriteSet::bytes).is_some_and(|bytes| bytes > STAGE_BYTES);
        let changes = if staged {
            self.stage(slot, id, mutations).await?;
            Changes::Stage(id.into())
        } else {
            Changes::Mutations(mutations)
        };
        // From here on nothing but the source's answer ends it.
        let writes = self.with(|state| {
            state.open_transaction(id)?;
            let sent = state.transactions.change(id, |transaction| {
                core::mem::replace(&mut transaction.stage, Stage::Committing(slot))
            });
            match sent {
                Some(Stage::Bound(_, writes)) => Ok(writes),
                // What is bound stays so until it ends, and it is open.
                _ => Err(Error::Invalid("nothing was written in the transaction")),
            }
        });
        let writes = match writes {
            Ok(writes) => writes,
            Err(error) => {
                self.drop_staged(slot, id, staged).await;
                return Err(error);
            }
        };
        let sent = self.send(slot, writes.conditions(), changes, count, touched);
        let (first, outcome) = match sent {
            Ok(sent) => (sent.first_sequence, self.applied(slot, sent).await.map(drop)),
            Err(error) => {
                self.with(|state| state.transactions.moves_on(id, Stage::Bound(slot, writes)));
                self.drop_staged(slot, id, staged).await;
                return Err(error);
            }
        };
        match outcome {
            Ok(()) => {
                self.with(|state| state.transactions.moves_on(id, Stage::Committed));
                Ok(writes)
            }
            Err(Error::ConditionFailed | Error::NotFound(_)) => Err(Error::ConditionFailed),
            Err(error @ (Error::SourceDown | Error::SourceData)) => {
                self.with(|state| state.transactions.moves_on(id, Stage::Unknown(slot, first)));
                Err(error)
            }
            Err(error) => {
                self.with(|state| state.transactions.moves_on(id, Stage::Bound(slot, writes)));
                self.drop_staged(slot, id, staged).await;
                Err(error)
            }
        }
    }

    /// Sends a large write set piece by piece to the source, which keeps it aside.
    async fn stage(
        &self,
        slot: SlotId,
        id: TransactionId,
        mutations: Vec<Mutation>,
    ) -> Result<(), Error> {
        // An attempt that was given up may have left some of them there.
        self.ask_done(slot, Request::DropStage { stage: id.into() }).await?;
        let mut mutations = mutations.into_iter().peekable();
        while mutations.peek().is_some() {
            let mut bytes = 0;
            let mut piece = Vec::new();
            while bytes < STAGE_BYTES
                && let Some(mutation) = mutations.next()
            {
                bytes += WriteSet::needed(&[], core::slice::from_ref(&mutation)).bytes;
                piece.push(mutation);
            }
            let more = Request::Stage { stage: id.into(), mutations: piece };
            if let Err(error) = self.ask_done(slot, more).await {
                self.drop_stage(slot, id.into()).await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn drop_staged(&self, slot: SlotId, id: TransactionId, staged: bool) {
        if staged {
            self.drop_stage(slot, id.into()).await;
        }
    }

    /// Has a source forget what it keeps aside.
    pub(in super::super) async fn drop_stage(&self, slot: SlotId, stage: u64) {
        if let Err(error) = self.ask_done(slot, Request::DropStage { stage }).await {
            log::warn!("a stage could not be dropped: {error}");
        }
    }

    /// How a transaction is. If it is not known whether it took effect, its source is asked.
    pub async fn transaction_status(&self, id: HandleId) -> Result<TransactionStatusAnswer, Error> {
        let (id, _) = self.transaction(id)?;
        self.settle(id).await;
        self.with(|state| {
            let transaction = state.transactions.transactions.get(&id);
            let transaction = transaction.ok_or(Error::BadHandle)?;
            let slot = transaction.stage.bound_to().and_then(|slot| state.hives.get(slot));
            let bytes = match &transaction.stage {
                Stage::Bound(_, writes) => writes.bytes() as u64,
                _ => 0,
            };
            Ok(TransactionStatusAnswer {
                state: transaction.stage.state(),
                hive: slot.map(|slot| slot.name.display().to_string()),
                bytes,
            })
        })
    }

    /// Finds out what became of the transactions whose steps were on their way when these hives went out of
    /// service.
    pub(in super::super) async fn settle_all(&self, slots: &[SlotId]) {
        let unknown: Vec<TransactionId> = self.with(|state| {
            let all = state.transactions.transactions.iter();
            let unknown = all.filter(|(_, transaction)| {
                matches!(&transaction.stage, Stage::Unknown(slot, _) if slots.contains(slot))
            });
            unknown.map(|(id, _)| *id).collect()
        });
        for id in unknown {
            self.settle(id).await;
        }
    }

    async fn settle(&self, id: TransactionId) {
        let unknown = |state: &super::super::State| match state
            .transactions
            .transactions
            .get(&id)
            .map(|transaction| &transaction.stage)
        {
            Some(Stage::Unknown(slot, first)) => Some((*slot, *first)),
            _ => None,
        };
        let Some((slot, first_sequence)) = self.with(|state| unknown(state)) else { return };
        let stage = match self.ask(slot, Request::Outcome { first_sequence }).await {
            Ok(Answer::Outcome { took_effect: true }) => Stage::Committed,
            Ok(Answer::Outcome { took_effect: false }) => Stage::Aborted,
            Ok(_) => {
                self.malformed(slot, "answer of another kind");
                return;
            }
            // It stays unknown until somebody asks again.
            Err(_) => return,
        };
        // The hive's generation is part of answers.
        self.step_generation(slot);
        self.with(|state| {
            if unknown(state).is_some() {
                if let (Stage::Committed, Some(slot)) = (&stage, state.hives.get_mut(slot)) {
                    slot.generation += 1;
                }
                state.transactions.moves_on(id, stage);
            }
        });
    }

    fn transaction(&self, id: HandleId) -> Result<(TransactionId, Rc<Token>), Error> {
        match self.with(|state| state.handles.get(id))? {
            Handle::Transaction(id, token, _) => Ok((id, token)),
            _ => Err(Error::BadHandle),
        }
    }
}

/// Fails if one of these findings is the case, or what it is about is gone.
async fn none_of(
    findings: impl Iterator<Item = impl Future<Output = Result<bool, Error>>>,
) -> Result<(), Error> {
    let mut findings = stream::iter(findings).buffer_unordered(CHECKED_AT_ONCE);
    while let Some(found) = findings.next().await {
        match found {
            Ok(true) | Err(Error::NotFound(_)) => return Err(Error::ConditionFailed),
            found => found?,
        };
    }
    Ok(())
}
