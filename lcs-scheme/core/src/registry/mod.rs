//! The operations of the registry, as futures over sources that may be slow, die, or lie.
//!
//! All state is in one [`State`] behind one lock, reached through [`Registry::with`] and never across an
//! await. What must not change while an operation waits is held by [`locks`].

mod backend;
mod backup;
mod cache;
mod chain;
mod effects;
mod error;
mod explain;
mod files;
mod generations;
mod handles;
mod hives;
mod keys;
mod known;
mod layers;
mod links;
mod locks;
mod open;
mod own;
mod queued;
mod reading;
mod restore;
mod security;
mod settings;
mod status;
mod structure;
mod transaction;
mod values;
mod views;
mod watches;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashSet;
use lcs_abi::Guid;
use lcs_abi::call::RejectedSetting;
use lcs_abi::rsi::{
    Answer, Changes, ClaimedHive, Condition, Mutation, Recovery, Refusal, RegisteredHive, Request,
    SourceError,
};
use spin::Mutex;

pub use backend::{
    Address, AuditEvent, Backend, ConnectionId, Fault, KeyOpen, NotRecorded, StreamEnd,
};
pub use error::{Error, NotFound};
pub use files::{Directory, DirectoryEntry, FileKind, FileStat, OpenFlags, SCHEME_PATH};
pub use handles::HandleId;
pub use security::Caller;
pub use settings::{Definition, Setting, Settings};

use crate::model::View;
use crate::model::layer::LayerTable;
use crate::model::name::{KeyName, ValueName};
use crate::model::resolve::{PENDING, Rules};
use backup::Backups;
use cache::{Cache, OnItsWay, Touched};
use files::Files;
use handles::Handles;
use hives::{Hives, SlotId};
use known::{LayeredValues, Listings};
use locks::Locks;
use own::OwnKeys;
use reading::Site;
use restore::Restores;
use transaction::{TransactionId, Transactions};
use watches::Watches;

/// The highest sequence number that any source may bring: half of all, which a million steps a second reach in
/// 146,000 years.
const MAX_SEQUENCE_BROUGHT: u64 = PENDING / 2;

/// How far beyond the newest number, should that be higher, a source may be: another one's numbers may have
/// been the newest when it wrote last, and that one be away.
const MAX_SEQUENCES_AHEAD: u64 = 1 << 32;

/// The registry.
pub struct Registry<B> {
    backend: B,
    state: Mutex<State>,
    locks: Locks,
    cache: Cache,
    listings: Mutex<Listings>,
    layered: Mutex<LayeredValues>,
    /// Held while the own configuration is read, so that the newest reading is the last to come into force.
    reading_settings: async_lock::Mutex<()>,
    /// Held while the layer table is read and published, and everybody told.
    changing_layers: async_lock::Mutex<()>,
    /// Held while the list of deletions is written.
    striking_out: async_lock::Mutex<()>,
}

struct State {
    settings: Settings,
    rejected_settings: Vec<RejectedSetting>,
    layers: Rc<LayerTable>,
    /// The next sequence number to be given out.
    next_sequence: u64,
    hives: Hives,
    handles: Handles,
    transactions: Transactions,
    watches: Watches,
    backups: Backups,
    restores: Restores,
    files: Files,
    /// LCS's own keys, once `Machine` was in service.
    own: Option<Rc<OwnKeys>>,
    /// The folded names of layers whose entries some hive may still have.
    pending_deletion: HashSet<String>,
    /// Metadata of layers that are invalid, and not in force.
    rejected_metadata: Vec<RejectedSetting>,
}

/// A step on its way to a source.
struct SentStep<'a, A> {
    on_its_way: OnItsWay<'a>,
    /// The first of the sequence numbers that it reserved.
    first_sequence: u64,
    /// How many mutations it has.
    count: usize,
    answer: A,
}

impl State {
    /// By which rules entries are resolved in this view, and in this transaction.
    fn rules<'a>(&'a self, transaction: Option<TransactionId>, view: &'a View) -> Rules<'a> {
        Rules {
            layers: &self.layers,
            made: transaction.map_or(&[], |id| self.transactions.made_layers(id)),
            private_layers: &view.private_layers,
            next_sequence: self.next_sequence,
        }
    }

    /// Whether a source can have come to this sequence number. All hives take their numbers from one counter,
    /// and a single source that lies must not use it up for the others: only that of `Machine`, without
    /// which there is no registry, is believed whatever it says below [`PENDING`].
    fn can_have_reached(&self, sequence: u64, brings_machine: bool) -> bool {
        let far = MAX_SEQUENCE_BROUGHT.max(self.next_sequence.saturating_add(MAX_SEQUENCES_AHEAD));
        sequence < PENDING && (brings_machine || sequence <= far)
    }

    /// Whether a source that gives out sequence numbers itself can have come to this one.
    fn can_have_assigned(&self, slot: SlotId, sequence: u64) -> bool {
        let machine = self.hives.global("machine");
        let brings_machine = machine.is_some_and(|machine| self.hives.same_source(machine, slot));
        self.can_have_reached(sequence, brings_machine)
    }

    /// Reserves sequence numbers for a step, and returns the first.
    fn reserve(&mut self, count: usize) -> Result<u64, Error> {
        let first = self.next_sequence;
        let count = u64::try_from(count.max(1)).map_err(|_| Error::SequencesExhausted)?;
        let next = first.checked_add(count).filter(|next| *next <= PENDING);
        self.next_sequence = next.ok_or(Error::SequencesExhausted)?;
        Ok(first)
    }
}

impl<B: Backend> Registry<B> {
    /// A registry without any hive, and with no layer but `base`. `None`: not possible, `base` is a name.
    pub fn new(backend: B) -> Option<Registry<B>> {
        let settings = Settings::default();
        let cache = Cache::new(settings.size(Setting::CacheBytes));
        let state = State {
            settings,
            rejected_settings: Vec::new(),
            layers: Rc::new(LayerTable::new([])?),
            // 0 stands for "no entry" in `expected_sequence`, so no entry has it.
            next_sequence: 1,
            hives: Hives::default(),
            handles: Handles::default(),
            transactions: Transactions::default(),
            watches: Watches::default(),
            backups: Backups::default(),
            restores: Restores::default(),
            files: Files::default(),
            own: None,
            pending_deletion: HashSet::new(),
            rejected_metadata: Vec::new(),
        };
        Some(Registry {
            backend,
            state: Mutex::new(state),
            locks: Locks::default(),
            cache,
            listings: Mutex::default(),
            layered: Mutex::default(),
            reading_settings: async_lock::Mutex::new(()),
            changing_layers: async_lock::Mutex::new(()),
            striking_out: async_lock::Mutex::new(()),
        })
    }

    /// The world outside.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The value of a setting of LCS.
    pub fn setting(&self, setting: Setting) -> u64 {
        self.with(|state| state.settings.get(setting))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock())
    }

    /// A source claims hives.
    pub fn claim(&self, connection: ConnectionId, hives: &[ClaimedHive]) -> Result<(), Refusal> {
        self.with(|state| {
            let settings = &state.settings;
            state.hives.claim(connection, hives, settings)
        })
    }

    /// A source brings the hives that it claimed into service. When this is done LCS has made what it
    /// needs in `Machine`, and its configuration is in force.
    pub async fn register(
        &self,
        connection: ConnectionId,
        hives: &[RegisteredHive],
        assigns_sequences: bool,
    ) -> Result<(), Refusal> {
        let slots = self.with(|state| {
            let machine = state.hives.global("machine");
            let brings_machine =
                machine.is_some_and(|slot| state.hives.slots_of(connection).contains(&slot));
            let highest = hives.iter().map(|hive| hive.max_sequence).max().unwrap_or_default();
            if !state.can_have_reached(highest, brings_machine) {
                return Err(Refusal::Invalid);
            }
            let slots = state.hives.register(connection, hives, assigns_sequences)?;
            state.next_sequence = state.next_sequence.max(highest + 1);
            for slot in &slots {
                state.watches.overflow(*slot, &state.settings);
            }
            Ok(slots)
        })?;
        slots.iter().for_each(|slot| self.step_generation(*slot));
        self.cache.connected(connection, &slots);
        for slot in &slots {
            self.backend.audit(AuditEvent::SourceUp { hive: self.hive_name(*slot) });
        }
        if self.machine().is_some_and(|machine| slots.contains(&machine)) {
            self.machine_arrived().await;
        }
        self.purge_before_service(&slots).await;
        self.with(|state| {
            // Without its own keys LCS does not know who may do what in `Machine`.
            let machine = state.hives.global("machine").filter(|_| state.own.is_none());
            let ready = slots.iter().copied().filter(|slot| Some(*slot) != machine);
            let ready: Vec<SlotId> = ready.collect();
            state.hives.made_ready(&ready);
        });
        self.settle_all(&slots).await;
        Ok(())
    }

    /// A source replaced hives that were damaged, before it registers them. False: it did not claim one of them.
    pub fn recovered(&self, connection: ConnectionId, recovered: Vec<Recovery>) -> bool {
        recovered.into_iter().all(|recovery| {
            let slot = self.with(|state| state.hives.slot_of(connection, recovery.hive));
            slot.is_some_and(|slot| {
                let hive = self.hive_name(slot);
                self.backend.audit(AuditEvent::HiveRecovered { hive, recovery });
                true
            })
        })
    }

    /// A source is gone, or what it sent could not be understood.
    pub fn disconnected(&self, connection: ConnectionId) {
        let slots = self.with(|state| state.hives.slots_of(connection));
        slots.iter().for_each(|slot| self.step_generation(*slot));
        self.cache.disconnected(connection, &slots);
        let served = self.with(|state| {
            let served = state.hives.disconnected(connection);
            for slot in &served {
                state.transactions.source_down(*slot);
                state.end_backups(*slot);
            }
            let names = served.iter().filter_map(|slot| state.hives.get(*slot));
            let names: Vec<String> = names.map(|slot| slot.name.display().into()).collect();
            state.retire();
            names
        });
        for hive in served {
            self.backend.audit(AuditEvent::SourceDown { hive });
        }
    }

    /// A source gives up its hives.
    pub fn unregister(&self, connection: ConnectionId) {
        let slots = self.with(|state| state.hives.slots_of(connection));
        slots.iter().for_each(|slot| self.step_generation(*slot));
        self.cache.disconnected(connection, &slots);
        let given_up = self.with(|state| {
            for slot in slots {
                state.transactions.source_down(slot);
                state.end_backups(slot);
                state.watches.overflow(slot, &state.settings);
            }
            state.hives.unregister(connection)
        });
        for slot in given_up {
            self.backend.audit(AuditEvent::SourceDown { hive: slot.name.display().into() });
        }
    }

    /// Whether a connected source brought this hive.
    pub fn has_hive(&self, connection: ConnectionId, hive: u32) -> bool {
        self.with(|state| state.hives.slot_of(connection, hive)).is_some()
    }

    /// A source says that a hive changed without LCS: these keys of it, or (`None`) whatever it has.
    pub async fn invalidated(&self, connection: ConnectionId, hive: u32, keys: Option<Vec<Guid>>) {
        let invalidated = self.with(|state| {
            let id = state.hives.slot_of(connection, hive)?;
            state.hives.get_mut(id)?.generation += 1;
            state.watches.overflow(id, &state.settings);
            Some(id)
        });
        let Some(slot) = invalidated else { return };
        self.step_generation(slot);
        self.cache.changed(match keys {
            Some(keys) => Touched::keys(slot, &keys),
            None => Touched::hive(slot),
        });
        if invalidated == self.machine() {
            self.machine_arrived().await;
        }
    }

    fn hive_name(&self, slot: SlotId) -> String {
        self.with(|state| {
            state.hives.get(slot).map(|slot| slot.name.display().into()).unwrap_or_default()
        })
    }

    fn machine(&self) -> Option<SlotId> {
        self.with(|state| state.hives.global("machine"))
    }

    /// Asks a source. The request takes its place in the queue now.
    fn ask(
        &self,
        slot: SlotId,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Error>> + use<'_, B> {
        self.ask_at(slot.into(), request)
    }

    /// Asks a source, for what its read view shows if the site is one.
    fn ask_at(
        &self,
        site: Site,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Error>> + use<'_, B> {
        let address = match (self.address(site.slot), site.snapshot) {
            (Ok((address, _)), None) => Ok(address),
            (Ok((address, _)), Some(snapshot)) if snapshot.connection == address.connection => {
                Ok(Address { snapshot: Some(snapshot.number), ..address })
            }
            // The read view went with its connection.
            (Ok(_), Some(_)) => Err(Error::SourceDown),
            (Err(error), _) => Err(error),
        };
        let sent = address.map(|address| self.backend.request(address, request));
        async move { sent?.await.map_err(Error::from) }
    }

    /// Asks a source for something that has no answer but that it is done.
    async fn ask_done(&self, slot: SlotId, request: Request) -> Result<(), Error> {
        match self.ask(slot, request).await? {
            Answer::Done => Ok(()),
            _ => Err(self.malformed(slot, "answer of another kind")),
        }
    }

    fn address(&self, slot: SlotId) -> Result<(Address, Guid), Error> {
        self.with(|state| state.hives.address(slot)).ok_or(Error::SourceDown)
    }

    /// One step: atomic and durable. Takes its sequence numbers and its place in the queue now; gives the
    /// first of the numbers.
    fn step(
        &self,
        slot: SlotId,
        conditions: Vec<Condition>,
        mutations: Vec<Mutation>,
    ) -> impl Future<Output = Result<u64, Error>> + use<'_, B> {
        let (count, touched) = (mutations.len(), Touched::by(slot, &mutations));
        let sent = self.send(slot, conditions, Changes::Mutations(mutations), count, touched);
        async move { self.applied(slot, sent?).await }
    }

    /// Sends a step that may change what is touched. It takes its sequence numbers and its place in the queue now.
    fn send(
        &self,
        slot: SlotId,
        conditions: Vec<Condition>,
        changes: Changes,
        count: usize,
        touched: Touched,
    ) -> Result<SentStep<'_, impl Future<Output = Result<Answer, Fault>> + use<'_, B>>, Error> {
        let (address, _root) = self.address(slot)?;
        let first_sequence = self.with(|state| state.reserve(count))?;
        let mutations: &[Mutation] = match &changes {
            Changes::Mutations(mutations) => mutations,
            Changes::Stage(_) => &[],
        };
        let known = (mutations, first_sequence);
        self.step_generation(slot);
        let on_its_way = self.cache.sends(address.connection, slot, touched, known);
        let step = Request::Apply { conditions, changes, first_sequence };
        let answer = self.backend.request(address, step);
        Ok(SentStep { on_its_way, first_sequence, count, answer })
    }

    /// Asks a source for a change of what is touched that is no step of mutations. The request takes its place in
    /// the queue now.
    fn ask_to_change(
        &self,
        slot: SlotId,
        request: Request,
        touched: Touched,
    ) -> impl Future<Output = Result<Answer, Error>> + use<'_, B> {
        let sent = self.address(slot).map(|(address, _root)| {
            self.step_generation(slot);
            let on_its_way = self.cache.sends(address.connection, slot, touched, (&[], 0));
            (on_its_way, self.backend.request(address, request))
        });
        async move {
            let (on_its_way, answer) = sent?;
            let answer = answer.await;
            on_its_way.answered(&answer);
            answer.map_err(Error::from)
        }
    }

    /// Waits until a step is carried out; gives its first sequence number.
    async fn applied(
        &self,
        slot: SlotId,
        sent: SentStep<'_, impl Future<Output = Result<Answer, Fault>>>,
    ) -> Result<u64, Error> {
        let first_sequence = match sent.answer.await {
            Ok(Answer::Applied { first_sequence }) => first_sequence,
            Ok(_) => return Err(self.malformed(slot, "answer of another kind")),
            refused => {
                sent.on_its_way.answered(&refused);
                return refused.map(|_| sent.first_sequence).map_err(Error::from);
            }
        };
        let assigns = self.with(|state| state.hives.assigns_sequences(slot));
        if first_sequence.is_some() != assigns {
            return Err(self.malformed(slot, "sequence numbers of the wrong giver"));
        }
        let first = first_sequence.unwrap_or(sent.first_sequence);
        let next = first.saturating_add(sent.count as u64);
        if assigns && !self.with(|state| state.can_have_assigned(slot, next)) {
            return Err(self.malformed(slot, "impossible sequence number"));
        }
        self.with(|state| {
            state.next_sequence = state.next_sequence.max(next);
            if let Some(slot) = state.hives.get_mut(slot) {
                slot.generation += 1;
            }
        });
        if assigns {
            sent.on_its_way.took_some_effect();
        } else {
            sent.on_its_way.took_effect();
        }
        Ok(first)
    }

    /// Records that a source said what cannot be.
    fn malformed(&self, slot: SlotId, reason: &'static str) -> Error {
        let hive = self.hive_name(slot);
        self.backend.audit(AuditEvent::SourceDataRejected { hive, reason });
        Error::SourceData
    }

    fn key_name(&self, name: &str) -> Result<KeyName, Error> {
        let max = self.with(|state| state.settings.size(Setting::MaxPathComponentLength));
        Ok(KeyName::new(name, max)?)
    }

    fn value_name(&self, name: &str) -> Result<ValueName, Error> {
        let max = self.with(|state| state.settings.size(Setting::MaxPathComponentLength));
        Ok(ValueName::new(name, max)?)
    }

    fn generation(&self, slot: SlotId) -> u64 {
        self.with(|state| state.hives.get(slot).map_or(0, |slot| slot.generation))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Down => Error::SourceDown,
            Fault::Refused(SourceError::NotFound) => Error::NotFound(NotFound::Key),
            Fault::Refused(SourceError::ConditionFailed(_)) => Error::ConditionFailed,
            Fault::Refused(error) => Error::Source(error),
        }
    }
}
