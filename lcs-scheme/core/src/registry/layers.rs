//! The layer table: read from `Machine\System\Registry\Layers`, published at once, and told to those who watch
//! what it changes (DESIGN §4).

mod deletion;
mod metadata;
mod place;

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, LayerPosition, Name, Request};

use super::backend::Backend;
use super::chain::Chain;
use super::effects::{Change, Deliveries, Of, Plan, Writes};
use super::error::Error;
use super::hives::SlotId;
use super::reading::PAGE_BYTES;
use super::watches::WatcherId;
use super::{Registry, State};
use crate::model::layer::LayerTable;

/// How often one change may lead to another, because layers can hold metadata of layers.
const ROUNDS: usize = 16;

/// More touched names than this in one hive are not looked at one by one: nobody is told of so many changes.
const MOST_NAMES: usize = 1 << 16;

/// A name with entries in some layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Child(Guid, String),
    Value(Guid, String),
    /// A blanket, and with it all names of the key's values.
    Values(Guid),
}

impl Touched {
    fn key(&self) -> Guid {
        match self {
            Touched::Child(key, _) | Touched::Value(key, _) | Touched::Values(key) => *key,
        }
    }
}

impl State {
    /// Brings a table into force. Gives the one that was, and the folded names of the layers whose entries count
    /// otherwise than before.
    fn publish(&mut self, table: LayerTable) -> (Rc<LayerTable>, Vec<String>) {
        let before = core::mem::replace(&mut self.layers, Rc::new(table));
        let rank = |table: &LayerTable, name: &str| {
            table.get(name).map(|layer| (layer.precedence, layer.enabled, layer.key))
        };
        let names = before.iter().chain(self.layers.iter()).map(|layer| layer.name.folded());
        let changed: BTreeSet<&str> =
            names.filter(|name| rank(&before, name) != rank(&self.layers, name)).collect();
        let changed: Vec<String> = changed.into_iter().map(String::from).collect();
        if !changed.is_empty() {
            for slot in self.hives.iter_mut() {
                slot.generation += 1;
                slot.table_epoch += 1;
                slot.table_changing = true;
            }
        }
        let is_gone = |name: &&String| self.layers.get(name).is_none();
        let gone: Vec<String> = changed.iter().filter(is_gone).cloned().collect();
        self.transactions.abort_writers(&gone);
        (before, changed)
    }
}

impl<B: Backend> Registry<B> {
    /// Metadata of these layers changed (`None`: of any): reads them, brings the new table into force, and
    /// tells what that and the commit itself changed. One change at a time.
    pub(super) async fn layers_changed(&self, names: Option<Vec<String>>, plan: Option<Plan>) {
        let _one_at_a_time = self.changing_layers.lock().await;
        let (mut names, mut plan) = (names, plan);
        for _ in 0..ROUNDS {
            let table = match self.read_table(names.as_deref()).await {
                Ok(table) => table,
                Err(error) => {
                    log::error!("the layers could not be read: {error}");
                    plan.iter().for_each(|plan| self.tell(plan));
                    return;
                }
            };
            // Whoever reads on by the old table has to ask from here on.
            self.step_generations();
            let (before, changed) = self.with(|state| state.publish(table));
            if changed.is_empty() {
                plan.iter().for_each(|plan| self.tell(plan));
                return;
            }
            let slots = self.with(|state| state.hives.ids());
            let mut own = Vec::new();
            // The hive of the commit first: who is to be told of it waits for no other.
            let first = plan.as_ref().map(|plan| plan.slot);
            let others = slots.iter().copied().filter(|slot| Some(*slot) != first);
            for slot in first.into_iter().chain(others) {
                let plan = plan.take_if(|plan| plan.slot == slot);
                own.extend(self.tell_of_layers(slot, plan, &changed, &before).await);
            }
            // What was read a moment ago was read by the table before; it may be otherwise by the new one.
            names = match (names, Self::layers_in(&own)) {
                (Some(mut names), Some(more)) => {
                    names.extend(more);
                    names.sort_unstable();
                    names.dedup();
                    Some(names)
                }
                _ => None,
            };
        }
        log::warn!("the layers' metadata depend on each other without end");
    }

    /// Tells those who watch in a hive what a new table changes for them, together with what the commit did
    /// that led to it. Gives what LCS itself is to know.
    async fn tell_of_layers(
        &self,
        slot: SlotId,
        plan: Option<Plan>,
        changed: &[String],
        before: &Rc<LayerTable>,
    ) -> Vec<lcs_abi::watch::Event> {
        let mut deliveries = Deliveries::default();
        if let Some(plan) = &plan {
            let epoch = plan.epoch + 1;
            self.with(|state| state.add_deliveries(&mut deliveries, plan, before, epoch));
        }
        let told: BTreeSet<Touched> = plan.iter().flat_map(touched_by).collect();
        let known = match self.touched_by_layers(slot, changed, &told).await {
            Ok(Some(more)) => {
                let epoch = more.epoch;
                self.with(|state| state.add_deliveries(&mut deliveries, &more, before, epoch));
                true
            }
            Ok(None) => true,
            Err(error) => {
                log::warn!("what a layer changes could not be found out: {error}");
                false
            }
        };
        let own = deliveries.take(WatcherId::Own);
        self.with(|state| {
            state.deliver(deliveries);
            if !known {
                state.watches.overflow(slot, &state.settings);
            }
            if let Some(slot) = state.hives.get_mut(slot) {
                slot.table_epoch += 1;
                slot.table_changing = false;
            }
        });
        own
    }

    /// What of a hive that somebody watches has entries in one of these layers; nothing if that is not known
    /// before and after alike.
    async fn touched_by_layers(
        &self,
        slot: SlotId,
        layers: &[String],
        told: &BTreeSet<Touched>,
    ) -> Result<Option<Plan>, Error> {
        if !self.with(|state| state.watches.some_in(slot) && state.hives.address(slot).is_some()) {
            return Ok(None);
        }
        let mut touched = BTreeSet::new();
        for layer in layers {
            self.entries_of_layer(slot, layer, &mut touched).await?;
        }
        let epoch = self.with(|state| state.hives.get(slot).map_or(0, |slot| slot.table_epoch));
        let mut plan = Plan::new(slot, epoch);
        let mut chains = HashMap::new();
        let touched_names = touched;
        for touched in touched_names.difference(told) {
            let Some(chain) = self.chain(slot, touched.key(), &mut chains).await? else { continue };
            let child = matches!(touched, Touched::Child(..));
            if !self.with(|state| state.concerns(slot, &chain, child)) {
                continue;
            }
            let of = match touched {
                Touched::Child(key, name) => {
                    Of::Child(self.child_image(slot, Writes::Nothing, *key, name).await?)
                }
                Touched::Value(key, name) => {
                    Of::Value(self.value_image(slot, Writes::Nothing, *key, name).await?)
                }
                Touched::Values(key) => {
                    let images = self.value_images(slot, Writes::Nothing, *key).await?;
                    let Some(images) = images else {
                        plan.changes.push(Change { chain, name: String::new(), of: Of::TooMuch });
                        continue;
                    };
                    for (name, image) in images {
                        let once = Touched::Value(*key, name.clone());
                        if !touched_names.contains(&once) && !told.contains(&once) {
                            let (chain, of) = (Rc::clone(&chain), Of::Value(image));
                            plan.changes.push(Change { chain, name, of });
                        }
                    }
                    continue;
                }
            };
            let name = match touched {
                Touched::Child(_, name) | Touched::Value(_, name) => name.clone(),
                Touched::Values(_) => String::new(),
            };
            plan.changes.push(Change { chain, name, of });
        }
        self.add_surroundings(&mut plan, Writes::Nothing).await?;
        Ok(Some(plan))
    }

    /// The names of a hive that have entries in a layer.
    async fn entries_of_layer(
        &self,
        slot: SlotId,
        layer: &str,
        touched: &mut BTreeSet<Touched>,
    ) -> Result<(), Error> {
        let mut after: Option<LayerPosition> = None;
        loop {
            let request =
                Request::EnumLayer { layer: layer.into(), after: after.clone(), bytes: PAGE_BYTES };
            let Answer::Layer { entries, values, blankets, next } = self.ask(slot, request).await?
            else {
                return Err(self.malformed(slot, "answer of another kind"));
            };
            touched.extend(entries.into_iter().map(|e| Touched::Child(e.parent, e.name.folded)));
            touched.extend(values.into_iter().map(|v| Touched::Value(v.key, v.name.folded)));
            touched.extend(blankets.into_iter().map(|b| Touched::Values(b.key)));
            if touched.len() > MOST_NAMES {
                return Err(Error::LimitExceeded("what can be told at once"));
            }
            let Some(next) = next else { return Ok(()) };
            if after.is_some_and(|after| next <= after) {
                return Err(self.malformed(slot, "a page that does not go on"));
            }
            after = Some(next);
        }
    }

    /// The way to a key from its hive's root, by the parents that the keys name; only the key itself if nobody
    /// watches from above. It begins below a key that is gone; none if the key itself is.
    async fn chain(
        &self,
        slot: SlotId,
        key: Guid,
        known: &mut HashMap<Guid, Option<Rc<Chain>>>,
    ) -> Result<Option<Rc<Chain>>, Error> {
        if !self.with(|state| state.watches.some_subtree_in(slot)) {
            return Ok(Some(Chain::root(key, Name::default())));
        }
        self.way_to(slot, key, known).await
    }
}

/// The names that a plan speaks of.
fn touched_by(plan: &Plan) -> impl Iterator<Item = Touched> + '_ {
    plan.changes.iter().filter_map(|change| {
        let (key, name) = (change.chain.key, change.name.clone());
        match &change.of {
            Of::Child(_) => Some(Touched::Child(key, name)),
            Of::Value(_) => Some(Touched::Value(key, name)),
            Of::Security | Of::TooMuch => None,
        }
    })
}
