//! Hives and the sources behind them: who claims, who serves, who comes back (DESIGN §11).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::call::{GENERATION_WORDS, HiveState};
use lcs_abi::rsi::{ClaimedHive, Refusal, RegisteredHive};

use super::backend::{Address, ConnectionId};
use super::effects::Steps;
use super::generations::EVERYTHING;
use super::settings::{Setting, Settings};
use crate::model::{CURRENT_USER, KeyName, View};

/// A hive's place in the registry. It outlives the source; a number is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SlotId(u64);

/// A hive.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: KeyName,
    pub(super) scope: Option<Guid>,
    /// Known since the first registration; a source that resumes the hive must bring the same.
    pub(super) root: Option<Guid>,
    pub(super) state: HiveState,
    /// LCS has found or made there what it needs itself. Until then it is shown as starting.
    ready: bool,
    /// It was ready once: what LCS knows of it, of layers above all, is in force also while its source is away.
    pub(super) known: bool,
    /// Its word of the generation page.
    pub(super) word: u32,
    /// +1 for each committed change. Starts anew with each LCS.
    pub(super) generation: u64,
    /// Steps under way.
    pub(super) steps: Steps,
    /// How many changes of the layer table it has seen: +1 when one is in force, +1 when everybody is told.
    pub(super) table_epoch: u64,
    /// A change of the layer table is in force, and not everybody is told yet.
    pub(super) table_changing: bool,
    /// The source that serves it, or did.
    source: u64,
    /// Its number in the source's claim.
    index: u32,
}

impl Slot {
    /// The hive's state as clients see it.
    pub(super) fn visible_state(&self) -> HiveState {
        match self.state {
            HiveState::Up if !self.ready => HiveState::Starting,
            state => state,
        }
    }

    /// Whether the hive was ever in service, for its source: what LCS needs in it may still be missing.
    pub(super) fn was_registered(&self) -> bool {
        self.root.is_some()
    }
}

/// A source: the hives that it brings, together and always the same ones.
#[derive(Debug)]
struct Source {
    /// In the order of the newest claim.
    slots: Vec<SlotId>,
    connection: Option<ConnectionId>,
    /// It gives out sequence numbers itself.
    assigns_sequences: bool,
}

/// All hives.
#[derive(Debug, Default)]
pub(super) struct Hives {
    slots: BTreeMap<SlotId, Slot>,
    by_name: HashMap<(String, Option<Guid>), SlotId>,
    sources: BTreeMap<u64, Source>,
    next: u64,
}

impl Hives {
    /// Takes a source's claim.
    pub(super) fn claim(
        &mut self,
        connection: ConnectionId,
        hives: &[ClaimedHive],
        settings: &Settings,
    ) -> Result<(), Refusal> {
        let max_name = settings.size(Setting::MaxPathComponentLength);
        let names = claimed_names(hives, max_name)?;
        if hives.len() > settings.size(Setting::MaxHivesPerSource)
            || self.connected().count() >= settings.size(Setting::MaxRegisteredSources)
        {
            return Err(Refusal::TooMany);
        }
        if self.of_connection(connection).is_some() {
            return Err(Refusal::Invalid);
        }
        let known: Vec<Option<SlotId>> = names
            .iter()
            .map(|(name, scope)| self.by_name.get(&(name.folded().to_string(), *scope)).copied())
            .collect();
        match known.iter().flatten().next().and_then(|slot| self.slots.get(slot)) {
            Some(slot) => self.resume(connection, slot.source, &known),
            None => {
                self.add(connection, names);
                Ok(())
            }
        }
    }

    fn resume(
        &mut self,
        connection: ConnectionId,
        source: u64,
        known: &[Option<SlotId>],
    ) -> Result<(), Refusal> {
        let Some(claimed) = known.iter().copied().collect::<Option<Vec<SlotId>>>() else {
            return Err(Refusal::AlreadyExists);
        };
        let Some(source) = self.sources.get_mut(&source) else {
            return Err(Refusal::AlreadyExists);
        };
        let same_set = claimed.len() == source.slots.len()
            && claimed.iter().all(|slot| source.slots.contains(slot));
        if source.connection.is_some() || !same_set {
            return Err(Refusal::AlreadyExists);
        }
        source.connection = Some(connection);
        for (index, id) in (0..).zip(&claimed) {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.index = index;
                slot.state = HiveState::Starting;
            }
        }
        source.slots = claimed;
        Ok(())
    }

    fn add(&mut self, connection: ConnectionId, names: Vec<(KeyName, Option<Guid>)>) {
        let source = self.next;
        let mut slots = Vec::with_capacity(names.len());
        for (index, (name, scope)) in (0..).zip(names) {
            self.next += 1;
            let id = SlotId(self.next);
            self.by_name.insert((name.folded().into(), scope), id);
            let state = HiveState::Starting;
            let word = if scope.is_none() { self.free_word() } else { EVERYTHING };
            let slot = Slot {
                name,
                scope,
                root: None,
                state,
                ready: false,
                known: false,
                word,
                generation: 0,
                steps: Steps::default(),
                table_epoch: 0,
                table_changing: false,
                source,
                index,
            };
            self.slots.insert(id, slot);
            slots.push(id);
        }
        self.next += 1;
        let connection = Some(connection);
        self.sources.insert(source, Source { slots, connection, assigns_sequences: false });
    }

    /// A word of the generation page that no hive has.
    fn free_word(&self) -> u32 {
        let taken: BTreeSet<u32> = self.slots.values().map(|slot| slot.word).collect();
        let words = 0..u32::try_from(GENERATION_WORDS).unwrap_or(u32::MAX);
        words.skip(1).find(|word| !taken.contains(word)).unwrap_or(EVERYTHING)
    }

    /// Takes a source's registration: its hives are the ones it claimed, with the roots they always had.
    pub(super) fn register(
        &mut self,
        connection: ConnectionId,
        hives: &[RegisteredHive],
        assigns_sequences: bool,
    ) -> Result<Vec<SlotId>, Refusal> {
        let slots = self.slots_of(connection);
        let starting =
            |id: &SlotId| self.slots.get(id).is_some_and(|slot| slot.state == HiveState::Starting);
        if slots.is_empty() || slots.len() != hives.len() || !slots.iter().all(starting) {
            return Err(Refusal::Invalid);
        }
        for (id, hive) in slots.iter().zip(hives) {
            let root = self.slots.get(id).and_then(|slot| slot.root);
            if root.is_some_and(|root| root != hive.root) {
                return Err(Refusal::Stale);
            }
        }
        for (id, hive) in slots.iter().zip(hives) {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.root = Some(hive.root);
                slot.state = HiveState::Up;
                slot.ready = false;
                slot.generation += 1;
            }
        }
        let source = self.of_connection(connection);
        if let Some(source) = source.and_then(|source| self.sources.get_mut(&source)) {
            source.assigns_sequences = assigns_sequences;
        }
        Ok(slots)
    }

    /// Whether one source serves both hives.
    pub(super) fn same_source(&self, one: SlotId, other: SlotId) -> bool {
        let source = |slot| self.slots.get(&slot).map(|slot: &Slot| slot.source);
        one == other || source(one).is_some_and(|one| Some(one) == source(other))
    }

    /// Whether the hive's source gives out sequence numbers itself.
    pub(super) fn assigns_sequences(&self, id: SlotId) -> bool {
        let source = self.slots.get(&id).and_then(|slot| self.sources.get(&slot.source));
        source.is_some_and(|source| source.assigns_sequences)
    }

    /// LCS has found or made in these hives what it needs itself.
    pub(super) fn made_ready(&mut self, slots: &[SlotId]) {
        for id in slots {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.ready = true;
                slot.known = true;
            }
        }
    }

    /// The source is gone: hives that were in service keep their name and identity for its return, a first
    /// claim is forgotten. Returns the hives that were in service.
    pub(super) fn disconnected(&mut self, connection: ConnectionId) -> Vec<SlotId> {
        let slots = self.slots_of(connection);
        let Some(source) = self.of_connection(connection) else {
            return Vec::new();
        };
        let was_up =
            |id: &&SlotId| self.slots.get(*id).is_some_and(|slot| slot.state == HiveState::Up);
        let served: Vec<SlotId> = slots.iter().filter(was_up).copied().collect();
        if slots.iter().any(|id| self.slots.get(id).is_some_and(|slot| slot.root.is_none())) {
            self.forget(source);
            return Vec::new();
        }
        if let Some(source) = self.sources.get_mut(&source) {
            source.connection = None;
        }
        for id in &slots {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.state = HiveState::Down;
            }
        }
        served
    }

    /// The source gives its hives up: names and identities are free.
    pub(super) fn unregister(&mut self, connection: ConnectionId) -> Vec<Slot> {
        match self.of_connection(connection) {
            Some(source) => self.forget(source),
            None => Vec::new(),
        }
    }

    /// Forgets the sources that are gone and have only private hives, of scopes that nobody sees.
    pub(super) fn retire(&mut self, seen: impl Fn(Guid) -> bool) {
        let is_private = |id: &SlotId| {
            self.slots.get(id).and_then(|slot| slot.scope).is_some_and(|scope| !seen(scope))
        };
        let gone = self.sources.iter().filter(|(_, source)| source.connection.is_none());
        let retired: Vec<u64> = gone
            .filter(|(_, source)| source.slots.iter().all(is_private))
            .map(|(id, _)| *id)
            .collect();
        for source in retired {
            self.forget(source);
        }
    }

    fn forget(&mut self, source: u64) -> Vec<Slot> {
        let slots = self.sources.remove(&source).map(|source| source.slots).unwrap_or_default();
        let forgotten: Vec<Slot> =
            slots.iter().filter_map(|slot| self.slots.remove(slot)).collect();
        for slot in &forgotten {
            self.by_name.remove(&(slot.name.folded().to_string(), slot.scope));
        }
        forgotten
    }

    /// The slot of the hive that a view has under this name: that of the first of its scopes that has one,
    /// else the global one. It was ready at least once.
    pub(super) fn route(&self, view: &View, folded: &str) -> Option<SlotId> {
        let named = |scope| {
            let slot = *self.by_name.get(&(folded.to_string(), scope))?;
            self.get(slot).is_some_and(|slot| slot.known).then_some(slot)
        };
        let private = view.scopes.iter().find_map(|scope| named(Some(*scope)));
        private.or_else(|| if view.sealed { None } else { named(None) })
    }

    /// Whether a view shows a hive: its scopes come in their order, then what is global, and of one name the
    /// first counts.
    pub(super) fn shows(&self, view: &View, slot: &Slot) -> bool {
        let scopes = match slot.scope {
            None if view.sealed => return false,
            None => &view.scopes[..],
            Some(scope) => match view.scopes.iter().position(|other| *other == scope) {
                Some(place) => &view.scopes[..place],
                None => return false,
            },
        };
        let name = slot.name.folded();
        !scopes.iter().any(|scope| self.by_name.contains_key(&(name.to_string(), Some(*scope))))
    }

    /// The slot of a global hive.
    pub(super) fn global(&self, folded: &str) -> Option<SlotId> {
        self.by_name.get(&(folded.to_string(), None)).copied()
    }

    /// A slot.
    pub(super) fn get(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// A slot, to change.
    pub(super) fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }

    /// All slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// All slots, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.values_mut()
    }

    /// The numbers of all slots.
    pub(super) fn ids(&self) -> Vec<SlotId> {
        self.slots.keys().copied().collect()
    }

    /// Where requests for a hive go, and its root, while it is in service.
    pub(super) fn address(&self, id: SlotId) -> Option<(Address, Guid)> {
        let slot = self.slots.get(&id).filter(|slot| slot.state == HiveState::Up)?;
        let connection = self.sources.get(&slot.source)?.connection?;
        let address = Address { connection, hive: slot.index, snapshot: None };
        Some((address, slot.root?))
    }

    /// The hives of a connection, in the order of its claim.
    pub(super) fn slots_of(&self, connection: ConnectionId) -> Vec<SlotId> {
        self.of_connection(connection)
            .and_then(|source| self.sources.get(&source))
            .map(|source| source.slots.clone())
            .unwrap_or_default()
    }

    /// The hive that a connection claimed at this place.
    pub(super) fn slot_of(&self, connection: ConnectionId, hive: u32) -> Option<SlotId> {
        self.slots_of(connection).get(usize::try_from(hive).ok()?).copied()
    }

    fn connected(&self) -> impl Iterator<Item = (u64, ConnectionId)> {
        self.sources.iter().filter_map(|(id, source)| Some((*id, source.connection?)))
    }

    fn of_connection(&self, connection: ConnectionId) -> Option<u64> {
        self.connected().find(|(_, other)| *other == connection).map(|(source, _)| source)
    }
}

fn claimed_names(
    hives: &[ClaimedHive],
    max_name: usize,
) -> Result<Vec<(KeyName, Option<Guid>)>, Refusal> {
    let mut names: Vec<(KeyName, Option<Guid>)> = Vec::with_capacity(hives.len());
    for hive in hives {
        let name = KeyName::new(&hive.name, max_name).map_err(|_| Refusal::Invalid)?;
        let twice = names
            .iter()
            .any(|(other, scope)| other.folded() == name.folded() && *scope == hive.scope);
        if name.folded() == CURRENT_USER || twice {
            return Err(Refusal::Invalid);
        }
        names.push((name, hive.scope));
    }
    if names.is_empty() { Err(Refusal::Invalid) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hives(names: &[&str]) -> Vec<ClaimedHive> {
        names.iter().map(|name| ClaimedHive { name: (*name).into(), scope: None }).collect()
    }

    fn roots(bytes: &[u8]) -> Vec<RegisteredHive> {
        bytes.iter().map(|b| RegisteredHive { root: Guid([*b; 16]), max_sequence: 0 }).collect()
    }

    fn claim(hives: &mut Hives, connection: u64, names: &[&str]) -> Result<(), Refusal> {
        hives.claim(ConnectionId(connection), &self::hives(names), &Settings::default())
    }

    #[test]
    fn a_hive_answers_from_registration_until_its_source_is_gone() {
        let mut hives = Hives::default();
        claim(&mut hives, 1, &["Machine", "Users"]).unwrap();
        let machine = hives.global("machine").unwrap();
        assert_eq!(hives.address(machine), None);
        hives.register(ConnectionId(1), &roots(&[1, 2]), false).unwrap();
        let address = Address { connection: ConnectionId(1), hive: 0, snapshot: None };
        assert_eq!(hives.address(machine), Some((address, Guid([1; 16]))));
        assert_eq!(hives.disconnected(ConnectionId(1)).len(), 2);
        assert_eq!(hives.address(machine), None);
        assert_eq!(hives.global("machine"), Some(machine));
    }

    #[test]
    fn only_the_same_set_with_the_same_roots_resumes() {
        let mut hives = Hives::default();
        claim(&mut hives, 1, &["Machine", "Users"]).unwrap();
        hives.register(ConnectionId(1), &roots(&[1, 2]), false).unwrap();
        assert_eq!(claim(&mut hives, 2, &["Machine", "Users"]), Err(Refusal::AlreadyExists));
        hives.disconnected(ConnectionId(1));
        assert_eq!(claim(&mut hives, 2, &["Machine"]), Err(Refusal::AlreadyExists));
        assert_eq!(
            claim(&mut hives, 2, &["Users", "More", "Machine"]),
            Err(Refusal::AlreadyExists)
        );
        claim(&mut hives, 2, &["users", "MACHINE"]).unwrap();
        assert_eq!(hives.register(ConnectionId(2), &roots(&[1, 2]), false), Err(Refusal::Stale));
        hives.register(ConnectionId(2), &roots(&[2, 1]), false).unwrap();
        let (address, root) = hives.address(hives.global("machine").unwrap()).unwrap();
        assert_eq!((address.hive, root), (1, Guid([1; 16])));
    }

    #[test]
    fn a_claim_that_was_never_registered_is_forgotten_and_a_held_one_is_not() {
        let mut hives = Hives::default();
        claim(&mut hives, 1, &["Machine"]).unwrap();
        assert_eq!(claim(&mut hives, 2, &["machine"]), Err(Refusal::AlreadyExists));
        hives.disconnected(ConnectionId(1));
        claim(&mut hives, 2, &["machine"]).unwrap();
        hives.register(ConnectionId(2), &roots(&[1]), false).unwrap();
        hives.unregister(ConnectionId(2));
        claim(&mut hives, 3, &["machine", "Other"]).unwrap();
    }

    #[test]
    fn claims_that_make_no_sense_are_refused() {
        let mut hives = Hives::default();
        for names in [&["a", "A"][..], &[], &["CurrentUser"], &["a\\b"], &[""]] {
            assert_eq!(claim(&mut hives, 1, names), Err(Refusal::Invalid));
        }
        let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(claim(&mut hives, 1, &many), Err(Refusal::TooMany));
        assert_eq!(hives.register(ConnectionId(1), &[], false), Err(Refusal::Invalid));
    }
}
