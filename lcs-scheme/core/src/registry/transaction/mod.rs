//! Transactions: write sets that block nobody, and become one step of their hive (DESIGN §10).

mod by_layer;
mod commit;
mod overlay;
mod touches;
mod writes;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::call::TransactionState;
use lcs_abi::rsi::{Condition, FRAME_OVERHEAD, Mutation};

use super::backend::Backend;
use super::chain::Chain;
use super::effects::Writes;
use super::error::{Error, NotFound};
use super::handles::{Handle, HandleId};
use super::hives::SlotId;
use super::locks::Guard;
use super::reading::Site;
use super::security::Caller;
use super::settings::Setting;
use super::{Registry, State};
use crate::model::{Layer, View};
use crate::security::{Parts, SecurityDescriptor, Sid};
pub(super) use commit::STAGE_BYTES;
pub(super) use touches::{Touch, Touched};
use writes::{KeyIsGone, Needed};
pub(super) use writes::{WriteSet, mutation_size};

/// How long the conditions of a transaction can be in bytes, so that they fit into every source's frames
/// together with what belongs to them.
const MAX_CONDITIONS: usize = FRAME_OVERHEAD as usize - (64 << 10);

/// A transaction; a number is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TransactionId(u64);

/// A transaction.
#[derive(Debug)]
struct Transaction {
    /// Whose it is.
    user: Sid,
    /// The layers that it makes, as they will be.
    made_layers: Vec<Layer>,
    stage: Stage,
    /// When it was last used, in time since the machine started.
    last_used: Duration,
    /// Its place in the order of uses.
    listed: Duration,
    /// Its own handle, until that is closed.
    handle: Option<HandleId>,
    /// Handles of it and in it.
    handles: usize,
}

/// How far a transaction has come.
#[derive(Debug)]
enum Stage {
    /// Nothing was written.
    Unbound,
    /// What was written, and to which hive.
    Bound(SlotId, Box<WriteSet>),
    /// Its step was sent.
    Committing(SlotId),
    /// Its step was sent, and whether it took effect is not known.
    Unknown(SlotId, u64),
    /// It took effect.
    Committed,
    /// It did not.
    Aborted,
    /// Nobody used it for too long.
    TimedOut,
    /// The hive that it was bound to went out of service.
    SourceDown,
}

impl Stage {
    fn state(&self) -> TransactionState {
        match self {
            Stage::Unbound => TransactionState::ActiveUnbound,
            Stage::Bound(..) => TransactionState::ActiveBound,
            Stage::Committing(_) => TransactionState::Committing,
            Stage::Unknown(..) => TransactionState::Unknown,
            Stage::Committed => TransactionState::Committed,
            Stage::Aborted => TransactionState::Aborted,
            Stage::TimedOut => TransactionState::TimedOut,
            Stage::SourceDown => TransactionState::SourceDown,
        }
    }

    /// Nothing more will become of it.
    fn is_terminal(&self) -> bool {
        matches!(self, Stage::Committed | Stage::Aborted | Stage::TimedOut | Stage::SourceDown)
    }

    /// Operations go on in it.
    fn is_open(&self) -> bool {
        matches!(self, Stage::Unbound | Stage::Bound(..))
    }

    fn bound_to(&self) -> Option<SlotId> {
        match self {
            Stage::Bound(slot, _) | Stage::Committing(slot) | Stage::Unknown(slot, _) => {
                Some(*slot)
            }
            _ => None,
        }
    }
}

/// What a transaction counts for against limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weight {
    /// It has not come to its end.
    active: bool,
    /// The hive that it is bound to.
    bound_to: Option<SlotId>,
    /// About how much memory its write set takes.
    bytes: usize,
}

impl Transaction {
    fn weight(&self) -> Weight {
        let bytes = match &self.stage {
            Stage::Bound(_, writes) => writes.bytes(),
            _ => 0,
        };
        Weight { active: !self.stage.is_terminal(), bound_to: self.stage.bound_to(), bytes }
    }
}

/// What all transactions of a user count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    active: usize,
    pub(super) bytes: usize,
}

/// All transactions that somebody has a handle of.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    transactions: BTreeMap<TransactionId, Transaction>,
    of_users: HashMap<Sid, Usage>,
    /// How many are bound to each hive.
    bound: HashMap<SlotId, usize>,
    last: u64,
    /// When each open one was used, as far as has been looked at; it may have been used since.
    uses: BTreeSet<(Duration, TransactionId)>,
    /// Handles of transactions that came to their end since somebody asked.
    readable: Vec<HandleId>,
}

impl Transactions {
    /// The write set of an open transaction that is bound to this hive.
    pub(super) fn writes(&self, site: Site) -> Option<&WriteSet> {
        match &self.transactions.get(&site.transaction?)?.stage {
            Stage::Bound(slot, writes) if *slot == site.slot => Some(writes),
            _ => None,
        }
    }

    /// The layers that one makes, while it is open.
    pub(super) fn made_layers(&self, id: TransactionId) -> &[Layer] {
        let transaction = self.transactions.get(&id).filter(|one| one.stage.is_open());
        transaction.map_or(&[], |transaction| &transaction.made_layers)
    }

    /// These are the layers that one makes.
    pub(super) fn set_made_layers(&mut self, id: TransactionId, layers: Vec<Layer>) {
        if let Some(transaction) = self.transactions.get_mut(&id) {
            transaction.made_layers = layers;
        }
    }

    /// Whether an open one has written into this layer.
    pub(super) fn has_written_into(&self, id: TransactionId, layer: &str) -> bool {
        match self.transactions.get(&id).map(|transaction| &transaction.stage) {
            Some(Stage::Bound(_, writes)) => writes.writes_into(layer),
            _ => false,
        }
    }

    /// Changes one, and what it counts for.
    fn change<R>(
        &mut self,
        id: TransactionId,
        change: impl FnOnce(&mut Transaction) -> R,
    ) -> Option<R> {
        let transaction = self.transactions.get_mut(&id)?;
        let before = transaction.weight();
        let changed = change(transaction);
        let (user, after) = (transaction.user, transaction.weight());
        self.weigh(user, before, after);
        Some(changed)
    }

    fn add(&mut self, id: TransactionId, transaction: Transaction) {
        self.weigh(transaction.user, Weight::default(), transaction.weight());
        self.uses.insert((transaction.listed, id));
        self.transactions.insert(id, transaction);
    }

    fn remove(&mut self, id: TransactionId) {
        if let Some(transaction) = self.transactions.remove(&id) {
            self.uses.remove(&(transaction.listed, id));
            self.weigh(transaction.user, transaction.weight(), Weight::default());
        }
    }

    fn weigh(&mut self, user: Sid, before: Weight, after: Weight) {
        if before == after {
            return;
        }
        let usage = self.of_users.entry(user).or_default();
        usage.active = usage.active + usize::from(after.active) - usize::from(before.active);
        usage.bytes = usage.bytes + after.bytes - before.bytes;
        if *usage == Usage::default() {
            self.of_users.remove(&user);
        }
        if before.bound_to == after.bound_to {
            return;
        }
        if let Some(slot) = after.bound_to {
            *self.bound.entry(slot).or_default() += 1;
        }
        if let Some(slot) = before.bound_to {
            let bound = self.bound.entry(slot).or_default();
            *bound -= 1;
            if *bound == 0 {
                self.bound.remove(&slot);
            }
        }
    }

    /// Notes that one more handle belongs to it.
    pub(super) fn has_handle(&mut self, id: TransactionId) {
        if let Some(transaction) = self.transactions.get_mut(&id) {
            transaction.handles += 1;
        }
    }

    /// Notes that a handle is gone; if it was its own, and its step was not sent, it is aborted.
    pub(super) fn lost_handle(&mut self, id: TransactionId, handle: HandleId) {
        let left = self.change(id, |transaction| {
            transaction.handles -= 1;
            if transaction.handle == Some(handle) {
                transaction.handle = None;
                if transaction.stage.is_open() {
                    transaction.stage = Stage::Aborted;
                }
            }
            transaction.handles
        });
        if left == Some(0) {
            self.remove(id);
        }
    }

    pub(super) fn of_user(&self, user: &Sid) -> Usage {
        self.of_users.get(user).copied().unwrap_or_default()
    }

    /// Moves one on to this stage, if it has not come to its end. Where that is its end, whoever waits for it is
    /// to be woken.
    fn moves_on(&mut self, id: TransactionId, stage: Stage) {
        let (ends, goes_on) = (stage.is_terminal(), stage.is_open());
        if self.transactions.get(&id).is_none_or(|known| known.stage.is_terminal()) {
            return;
        }
        let moved = self.change(id, |transaction| {
            transaction.stage = stage;
            (transaction.handle, transaction.listed)
        });
        if let Some((handle, listed)) = moved {
            if ends {
                self.readable.extend(handle);
            }
            if goes_on {
                self.uses.insert((listed, id));
            }
        }
    }

    /// A hive went out of service: what is bound to it cannot be committed.
    pub(super) fn source_down(&mut self, slot: SlotId) {
        let bound = |transaction: &Transaction| matches!(&transaction.stage, Stage::Bound(other, _) if *other == slot);
        let ended: Vec<_> =
            self.transactions.iter().filter(|(_, one)| bound(one)).map(|(id, _)| *id).collect();
        for id in ended {
            self.moves_on(id, Stage::SourceDown);
        }
    }

    /// The handles of those that came to their end since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<HandleId> {
        core::mem::take(&mut self.readable)
    }

    /// Whether one came to its end.
    pub(super) fn has_ended(&self, id: TransactionId) -> bool {
        self.transactions.get(&id).is_none_or(|transaction| transaction.stage.is_terminal())
    }

    /// Ends those that have written into one of these layers, which are no more.
    pub(super) fn abort_writers(&mut self, layers: &[String]) {
        let wrote = |transaction: &Transaction| match &transaction.stage {
            Stage::Bound(_, writes) => layers.iter().any(|layer| writes.writes_into(layer)),
            _ => false,
        };
        let all = self.transactions.iter();
        let ended: Vec<_> = all.filter(|(_, one)| wrote(one)).map(|(id, _)| *id).collect();
        for id in ended {
            self.moves_on(id, Stage::Aborted);
        }
    }

    /// How many there are, and how many of them are bound to a hive.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.transactions.len(), self.bound.values().sum())
    }
}

impl State {
    /// The transaction, while operations go on in it.
    fn open_transaction(&mut self, id: TransactionId) -> Result<&mut Transaction, Error> {
        let transaction = self.transactions.transactions.get_mut(&id);
        // Nobody has its handle any more, and it came to an end.
        let transaction = transaction.ok_or(Error::TransactionEnded(TransactionState::Aborted))?;
        if transaction.stage.is_open() {
            Ok(transaction)
        } else {
            Err(Error::TransactionEnded(transaction.stage.state()))
        }
    }

    /// Takes mutations into a transaction's write set, and binds it if these are its first.
    pub(super) fn write_in(
        &mut self,
        id: TransactionId,
        slot: SlotId,
        needed: Needed,
        write: impl FnOnce(&mut WriteSet) -> Result<(), KeyIsGone>,
    ) -> Result<(), Error> {
        let max_bytes = self.settings.size(Setting::MaxTransactionBytes);
        let max_bound = self.settings.size(Setting::MaxBoundTransactionsPerSource);
        let transaction = self.open_transaction(id)?;
        let (user, is_bound) = (transaction.user, matches!(transaction.stage, Stage::Bound(..)));
        let on_source = self.transactions.bound.iter();
        let on_source = on_source.filter(|(other, _)| self.hives.same_source(**other, slot));
        if !is_bound && on_source.map(|(_, count)| count).sum::<usize>() >= max_bound {
            return Err(Error::Busy("MaxBoundTransactionsPerSource"));
        }
        self.require_room(&user, needed.bytes)?;
        let written = self.transactions.change(id, |transaction| {
            let (bytes, frame_bytes) = match &transaction.stage {
                Stage::Unbound => (0, 0),
                Stage::Bound(bound_to, _) if *bound_to != slot => return Err(Error::OtherHive),
                Stage::Bound(_, writes) => (writes.bytes(), writes.frame_bytes()),
                ended => return Err(Error::TransactionEnded(ended.state())),
            };
            if bytes + needed.bytes > max_bytes {
                return Err(Error::LimitExceeded("MaxTransactionBytes"));
            }
            if frame_bytes + needed.frame_bytes > MAX_CONDITIONS {
                return Err(Error::LimitExceeded("the conditions of one step"));
            }
            if matches!(transaction.stage, Stage::Unbound) {
                transaction.stage = Stage::Bound(slot, Box::default());
            }
            let Stage::Bound(_, writes) = &mut transaction.stage else {
                return Err(Error::TransactionEnded(transaction.stage.state()));
            };
            write(writes).map_err(|KeyIsGone| Error::NotFound(NotFound::Key))
        });
        written.unwrap_or(Err(Error::TransactionEnded(TransactionState::Aborted)))
    }
}

impl<B: Backend> Registry<B> {
    /// A new transaction of this caller.
    pub(super) fn begin(&self, caller: &Caller, view: Rc<View>) -> Result<HandleId, Error> {
        let user = caller.token.user();
        let now = self.backend.uptime();
        self.with(|state| {
            let most = state.settings.size(Setting::MaxTransactionsPerUser);
            if user != Sid::SYSTEM && state.transactions.of_user(&user).active >= most {
                return Err(Error::Busy("MaxTransactionsPerUser"));
            }
            let id = TransactionId(state.transactions.last + 1);
            let handle = state.insert(Handle::Transaction(id, Rc::clone(&caller.token), view))?;
            state.transactions.last = id.0;
            let transaction = Transaction {
                user,
                made_layers: Vec::new(),
                stage: Stage::Unbound,
                last_used: now,
                listed: now,
                handle: Some(handle),
                handles: 1,
            };
            state.transactions.add(id, transaction);
            Ok(handle)
        })
    }

    /// Notes that a transaction is used.
    ///
    /// # Errors
    /// `TransactionEnded`: it came to its end, or its end has begun.
    pub(super) fn used(&self, transaction: Option<TransactionId>) -> Result<(), Error> {
        let Some(id) = transaction else { return Ok(()) };
        let now = self.backend.uptime();
        self.with(|state| {
            state.open_transaction(id)?.last_used = now;
            Ok(())
        })
    }

    /// Whether a transaction makes this key, so that no source knows it.
    pub(super) fn is_made_in(&self, site: Site, key: Guid) -> bool {
        self.with_writes(site, |writes| writes.makes(key)) == Some(true)
    }

    /// What a transaction has written to this hive, if anything.
    pub(super) fn with_writes<R>(&self, site: Site, f: impl FnOnce(&WriteSet) -> R) -> Option<R> {
        site.transaction?;
        self.with(|state| state.transactions.writes(site).map(f))
    }

    /// Keeps a transaction from being committed while one writes in it.
    pub(super) async fn step_in(&self, site: Site) -> Option<Guard<'_>> {
        site.transaction?;
        Some(self.locks.steps(site).await)
    }

    /// Carries out mutations as a step of their own, or adds them to a transaction. They write to the last keys of
    /// these chains, and to keys that they make below. Gives the first sequence number; in a transaction 0.
    pub(super) async fn change(
        &self,
        site: Site,
        chains: &[&Rc<Chain>],
        conditions: Vec<Condition>,
        mutations: Vec<Mutation>,
    ) -> Result<u64, Error> {
        let Some(id) = site.transaction else {
            let some = self.with(|state| state.watches.some_in(site.slot));
            let writes =
                if some { WriteSet::of_step(&mutations, chains) } else { WriteSet::default() };
            self.backend.no_old_answers().await;
            let watched = self.watched(site.slot, Writes::Step(&writes)).await;
            let first = self.step(site.slot, conditions, mutations).await?;
            self.committed(watched).await;
            return Ok(first);
        };
        // A hive that is not in service takes no writes, although these would be for later.
        self.address(site.slot)?;
        let needed = WriteSet::needed(&conditions, &mutations);
        self.with(|state| {
            state.may_write_layers(id, &mutations)?;
            let write = |writes: &mut WriteSet| writes.add(chains, conditions, mutations);
            state.write_in(id, site.slot, needed, write)?;
            state.find_made_layers(id, chains);
            Ok(0)
        })
    }

    /// Replaces parts of a security descriptor in a transaction.
    pub(super) fn set_security_in(
        &self,
        id: TransactionId,
        slot: SlotId,
        chain: &Rc<Chain>,
        parts: Parts,
        sd: &SecurityDescriptor,
    ) -> Result<(), Error> {
        self.address(slot)?;
        let now = self.backend.now();
        let needed = WriteSet::needed_for(sd);
        let write = |writes: &mut WriteSet| writes.set_security(chain, parts, sd, now);
        self.with(|state| {
            state.write_in(id, slot, needed, write)?;
            state.find_made_layers(id, &[chain]);
            Ok(())
        })
    }

    /// Notes that, as a transaction sees it, no entry names a key any more.
    pub(super) fn deleted_in(
        &self,
        id: TransactionId,
        slot: SlotId,
        key: Guid,
    ) -> Result<(), Error> {
        let write = |writes: &mut WriteSet| {
            writes.delete(key);
            Ok(())
        };
        let nothing = Needed { bytes: 0, frame_bytes: 0 };
        self.with(|state| state.write_in(id, slot, nothing, write))
    }

    /// Fails if no entry names a key any more.
    pub(super) fn require_named(&self, site: Site, key: Guid) -> Result<(), Error> {
        if self.with_writes(site, |writes| writes.has_deleted(key)) == Some(true) {
            return Err(Error::NotFound(NotFound::Key));
        }
        self.with(|state| state.handles.require_named(site.slot, key))
    }

    /// Ends the transactions that nobody has used for too long (TransactionTimeoutMs), and says when the next
    /// one can be due, in time since the machine started.
    pub fn expire_transactions(&self) -> Option<Duration> {
        let now = self.backend.uptime();
        self.with(|state| {
            let timeout = Duration::from_millis(state.settings.get(Setting::TransactionTimeoutMs));
            loop {
                let (use_known, id) = *state.transactions.uses.first()?;
                let transaction = state.transactions.transactions.get_mut(&id);
                let open = transaction.filter(|transaction| transaction.stage.is_open());
                if open.is_some() && use_known + timeout > now {
                    return Some(use_known + timeout);
                }
                state.transactions.uses.remove(&(use_known, id));
                let Some(open) = open else { continue };
                if open.last_used + timeout > now {
                    open.listed = open.last_used;
                    state.transactions.uses.insert((open.listed, id));
                } else {
                    state.transactions.moves_on(id, Stage::TimedOut);
                }
            }
        })
    }
}
