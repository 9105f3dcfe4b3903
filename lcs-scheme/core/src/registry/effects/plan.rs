//! What a step is about to change for those who watch.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;

use super::super::backend::Backend;
use super::super::chain::Chain;
use super::super::error::Error;
use super::super::hives::SlotId;
use super::super::reading::{Entries, Site, Values};
use super::super::transaction::{Touch, Touched, WriteSet};
use super::super::watches::WatcherId;
use super::super::{Registry, State};
use super::image::{Candidate, Image};
use super::steps::Watched;
use crate::security::SecurityDescriptor;

/// How many names of values under one blanket are looked at. Nobody is told of more changes at once.
const MOST_NAMES: usize = 1 << 16;

/// What of a key a commit changes.
#[derive(Clone, Debug)]
pub(in super::super) enum Of {
    /// A value's name.
    Value(Image),
    /// A child's name.
    Child(Image),
    /// Its security descriptor.
    Security,
    /// More than can be told.
    TooMuch,
}

/// What a commit changes of a key.
#[derive(Clone, Debug)]
pub(in super::super) struct Change {
    pub(in super::super) chain: Rc<Chain>,
    /// The name, folded.
    pub(in super::super) name: String,
    pub(in super::super) of: Of,
}

/// What a commit changes for those who watch, in the order of the last operations.
#[derive(Debug)]
pub(in super::super) struct Plan {
    pub(in super::super) slot: SlotId,
    /// The changes of the layer table that the hive had seen.
    pub(in super::super) epoch: u64,
    pub(in super::super) changes: Vec<Change>,
    /// The entries, after the commit, of the names of keys on the way from a watched key to a changed one.
    pub(in super::super) steps: HashMap<Guid, Vec<Candidate>>,
    /// The security descriptors, after the commit, of keys that change below a watched one.
    pub(in super::super) descriptors: HashMap<Guid, Rc<SecurityDescriptor>>,
}

impl Plan {
    /// Nothing changes yet.
    pub(in super::super) fn new(slot: SlotId, epoch: u64) -> Plan {
        let (changes, steps, descriptors) = (Vec::new(), HashMap::new(), HashMap::new());
        Plan { slot, epoch, changes, steps, descriptors }
    }
}

/// What is going to be written.
#[derive(Clone, Copy)]
pub(in super::super) enum Writes<'a> {
    /// A step of its own.
    Step(&'a WriteSet),
    /// What a transaction has written.
    Transaction(Site),
    /// Nothing.
    Nothing,
}

impl Writes<'_> {
    fn with<B: Backend, R: Default>(
        self,
        registry: &Registry<B>,
        f: impl FnOnce(&WriteSet) -> R,
    ) -> R {
        registry.with(|state| state.writes(self).map(f)).unwrap_or_default()
    }
}

impl State {
    /// Whether somebody may want to know that this is touched.
    pub(in super::super) fn concerns(&self, slot: SlotId, chain: &Rc<Chain>, child: bool) -> bool {
        self.watches.above(slot, chain).next().is_some()
            || child && self.watches.some_on_children(slot, chain.key)
    }

    fn writes<'a>(&'a self, writes: Writes<'a>) -> Option<&'a WriteSet> {
        match writes {
            Writes::Step(writes) => Some(writes),
            Writes::Transaction(site) => self.transactions.writes(site),
            Writes::Nothing => None,
        }
    }

    /// What of all that is going to be touched somebody may want to know.
    fn touches(&self, slot: SlotId, writes: Writes<'_>) -> Vec<Touch> {
        match self.writes(writes).filter(|_| self.watches.some_in(slot)) {
            Some(writes) => writes.touches(|chain, child| self.concerns(slot, chain, child)),
            None => Vec::new(),
        }
    }
}

impl<B: Backend> Registry<B> {
    /// Finds out what a step, about to be sent, changes for those who watch, and holds still what it touches.
    pub(in super::super) async fn watched<'a>(
        &'a self,
        slot: SlotId,
        writes: Writes<'_>,
    ) -> Watched<'a> {
        let (under_way, earlier) = self.begin_step(slot);
        let touches = self.with(|state| state.touches(slot, writes));
        let mut watched = Watched { _under_way: under_way, ..Watched::default() };
        if touches.is_empty() {
            return watched;
        }
        // In this order: an earlier step may wait for the same names.
        self.wait_for(earlier).await;
        watched._locks = self.hold_names(slot, &touches).await;
        let epoch = self.with(|state| state.hives.get(slot).map_or(0, |slot| slot.table_epoch));
        watched.plan = Some(self.plan(Plan::new(slot, epoch), writes, touches).await);
        watched
    }

    /// What is going to change. Where that cannot be found out, whoever watches is told so.
    async fn plan(&self, plan: Plan, writes: Writes<'_>, touches: Vec<Touch>) -> Plan {
        let (slot, epoch) = (plan.slot, plan.epoch);
        let chains: Vec<Rc<Chain>> = touches.iter().map(|touch| Rc::clone(&touch.chain)).collect();
        let mut plan = plan;
        let found = match self.add_changes(&mut plan, writes, touches).await {
            Ok(()) => self.add_surroundings(&mut plan, writes).await,
            Err(error) => Err(error),
        };
        let Err(error) = found else { return plan };
        log::warn!("what a step changes could not be found out: {error}");
        let unknown = |chain| Change { chain, name: String::new(), of: Of::TooMuch };
        Plan { changes: chains.into_iter().map(unknown).collect(), ..Plan::new(slot, epoch) }
    }

    /// Keeps others from writing what is touched. The names of children are held by whoever changes them.
    async fn hold_names<'a>(
        &'a self,
        slot: SlotId,
        touches: &[Touch],
    ) -> Vec<super::super::locks::Guard<'a>> {
        let site = Site::from(slot);
        let mut keys: Vec<Guid> = touches
            .iter()
            .filter(|touch| matches!(touch.of, Touched::Value(_) | Touched::Values))
            .map(|touch| touch.chain.key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let mut held = Vec::new();
        match (&keys[..], touches) {
            ([key], [Touch { of: Touched::Value(name), .. }]) => {
                held.push(self.locks.some_values(site, *key).await);
                held.push(self.locks.watched_value(site, *key, name).await);
            }
            _ => {
                for key in keys {
                    held.push(self.locks.all_values(site, key).await);
                }
            }
        }
        held
    }

    async fn add_changes(
        &self,
        plan: &mut Plan,
        writes: Writes<'_>,
        touches: Vec<Touch>,
    ) -> Result<(), Error> {
        let mut blankets: HashMap<Guid, u64> = HashMap::new();
        for touch in &touches {
            if touch.of == Touched::Values {
                blankets.insert(touch.chain.key, touch.order);
            }
        }
        let mut changes: Vec<(u64, Change)> = Vec::new();
        let mut own_orders: HashMap<(Guid, String), u64> = HashMap::new();
        for touch in &touches {
            if let Touched::Value(name) = &touch.of {
                own_orders.insert((touch.chain.key, name.clone()), touch.order);
            }
        }
        for Touch { order, chain, of } in touches {
            let key = chain.key;
            match of {
                Touched::Child(name) => {
                    let image = self.child_image(plan.slot, writes, key, &name).await?;
                    changes.push((order, Change { chain, name, of: Of::Child(image) }));
                }
                Touched::Value(_) if blankets.contains_key(&key) => {}
                Touched::Value(name) => {
                    let image = self.value_image(plan.slot, writes, key, &name).await?;
                    changes.push((order, Change { chain, name, of: Of::Value(image) }));
                }
                Touched::Values => {
                    let images = self.value_images(plan.slot, writes, key).await?;
                    let Some(images) = images else {
                        let name = String::new();
                        changes.push((order, Change { chain, name, of: Of::TooMuch }));
                        continue;
                    };
                    for (name, image) in images {
                        let own = own_orders.get(&(key, name.clone())).copied();
                        let order = own.map_or(order, |own| own.max(order));
                        let chain = Rc::clone(&chain);
                        changes.push((order, Change { chain, name, of: Of::Value(image) }));
                    }
                }
                Touched::Security => {
                    let name = String::new();
                    changes.push((order, Change { chain, name, of: Of::Security }));
                }
            }
        }
        changes.sort_by(|(order, change), (other_order, other)| {
            (order, &change.name).cmp(&(other_order, &other.name))
        });
        plan.changes.extend(changes.into_iter().map(|(_, change)| change));
        Ok(())
    }

    /// The entries of a child's name.
    pub(in super::super) async fn child_image(
        &self,
        slot: SlotId,
        writes: Writes<'_>,
        parent: Guid,
        name: &str,
    ) -> Result<Image, Error> {
        let mut found = Entries::default();
        if !writes.with(self, |writes| writes.makes(parent)) {
            found = self.lookup_folded(slot.into(), parent, name).await?;
        }
        let before = Candidate::of_child(&found.entries);
        writes.with(self, |writes| writes.lay_over_name(parent, name, &mut found));
        Ok(Image { before, after: Candidate::of_child(&found.entries) })
    }

    /// The entries of a value's name, and the blankets of its key.
    pub(in super::super) async fn value_image(
        &self,
        slot: SlotId,
        writes: Writes<'_>,
        key: Guid,
        name: &str,
    ) -> Result<Image, Error> {
        let mut found = Values::default();
        if !writes.with(self, |writes| writes.makes(key)) {
            found = self.value_without_data(slot.into(), key, name).await?;
        }
        let before = Candidate::of_value(&found.entries, &found.blankets);
        writes.with(self, |writes| writes.lay_over_value(key, name, &mut found));
        Ok(Image { before, after: Candidate::of_value(&found.entries, &found.blankets) })
    }

    /// The entries of all names of a key's values, by folded name; nothing if these are too many.
    pub(in super::super) async fn value_images(
        &self,
        slot: SlotId,
        writes: Writes<'_>,
        key: Guid,
    ) -> Result<Option<Vec<(String, Image)>>, Error> {
        let mut names: HashMap<String, Values> = HashMap::new();
        let mut blankets = Vec::new();
        let (mut after, mut more) = (None, !writes.with(self, |writes| writes.makes(key)));
        while more {
            let page = self.values_page(slot.into(), key, after).await?;
            for mut entry in page.entries {
                entry.data = Vec::new();
                names.entry(entry.name.folded.clone()).or_default().entries.push(entry);
            }
            blankets = page.blankets;
            (more, after) = (page.next.is_some(), page.next);
            if names.len() > MOST_NAMES {
                return Ok(None);
            }
        }
        for name in writes.with(self, |writes| writes.value_names(key)) {
            names.entry(name).or_default();
        }
        let images = names.into_iter().map(|(name, mut found)| {
            found.blankets = blankets.clone();
            let before = Candidate::of_value(&found.entries, &found.blankets);
            writes.with(self, |writes| writes.lay_over_value(key, &name, &mut found));
            let after = Candidate::of_value(&found.entries, &found.blankets);
            (name, Image { before, after })
        });
        Ok(Some(images.collect()))
    }

    /// Reads what decides whether those who watch a key learn of changes below it.
    pub(in super::super) async fn add_surroundings(
        &self,
        plan: &mut Plan,
        writes: Writes<'_>,
    ) -> Result<(), Error> {
        let changed: Vec<Rc<Chain>> =
            plan.changes.iter().map(|change| Rc::clone(&change.chain)).collect();
        for chain in changed {
            if plan.descriptors.contains_key(&chain.key) {
                continue;
            }
            // How far up somebody watches, and whether one of them is a client.
            let (reach, client) = self.with(|state| {
                let above = state.watches.above(plan.slot, &chain);
                let above = above.filter(|(_, _, at)| at.key != chain.key);
                above.fold((chain.depth, false), |(reach, client), (id, _, at)| {
                    (reach.min(at.depth), client || id != WatcherId::Own)
                })
            });
            let way = chain.upward().take(chain.depth - reach);
            for step in way.take(if client { usize::MAX } else { 0 }) {
                let Some(above) = &step.above else { break };
                if plan.steps.contains_key(&step.key) {
                    continue;
                }
                let name = &step.name.folded;
                let after = match self.child_image(plan.slot, writes, above.key, name).await {
                    // The way is no more, and so nobody sees what is at its end.
                    Err(Error::NotFound(_)) => Vec::new(),
                    image => image?.after,
                };
                plan.steps.insert(step.key, after);
            }
            if client && let Some(sd) = self.descriptor_after(plan.slot, writes, chain.key).await? {
                plan.descriptors.insert(chain.key, Rc::new(sd));
            }
        }
        Ok(())
    }

    /// A key's security descriptor; none if the key is gone.
    async fn descriptor_after(
        &self,
        slot: SlotId,
        writes: Writes<'_>,
        key: Guid,
    ) -> Result<Option<SecurityDescriptor>, Error> {
        let made = writes.with(self, |writes| writes.made(key));
        let record = match made {
            Some(record) => record,
            None => {
                let mut record = match self.read_key(slot.into(), key).await {
                    Err(Error::NotFound(_)) => return Ok(None),
                    record => record?,
                };
                writes.with(self, |writes| writes.lay_over_key(&mut record));
                record
            }
        };
        self.descriptor(slot, &record).map(Some)
    }
}
