//! Who is told what of a commit.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::security::Access;
use lcs_abi::watch::{Event, EventKind, NOTIFY_SD, NOTIFY_SUBKEY, NOTIFY_VALUE};

use super::super::backend::Backend;
use super::super::chain::Chain;
use super::super::hives::SlotId;
use super::super::settings::Setting;
use super::super::watches::{Watcher, WatcherId, nameless};
use super::super::{Registry, State};
use super::image::{Candidate, Image};
use super::plan::{Of, Plan};
use super::steps::Watched;
use crate::model::layer::LayerTable;
use crate::model::path::join;
use crate::model::resolve::{ImpossibleSequence, Rules};
use crate::security::access_check;

/// The layer tables before a commit and after it.
#[derive(Clone, Copy)]
struct Tables<'a> {
    before: &'a LayerTable,
    after: &'a LayerTable,
    next_sequence: u64,
}

/// The winners of a name before a commit and after it.
type Winners<'c> = Result<(Option<&'c Candidate>, Option<&'c Candidate>), ImpossibleSequence>;

/// What one commit has to tell, watcher by watcher.
#[derive(Default)]
pub(in super::super) struct Deliveries {
    of_watchers: HashMap<WatcherId, Vec<Event>>,
}

impl Deliveries {
    fn add(&mut self, id: WatcherId, event: Event) {
        self.of_watchers.entry(id).or_default().push(event);
    }

    /// What is for this watcher alone.
    pub(in super::super) fn take(&mut self, id: WatcherId) -> Vec<Event> {
        self.of_watchers.remove(&id).unwrap_or_default()
    }
}

impl Tables<'_> {
    fn winners<'c>(&self, image: &'c Image, private_layers: &[Guid]) -> Winners<'c> {
        let next_sequence = self.next_sequence;
        let rules = |layers| Rules { layers, made: &[], private_layers, next_sequence };
        let before = Candidate::winner(&image.before, &rules(self.before))?;
        Ok((before, Candidate::winner(&image.after, &rules(self.after))?))
    }
}

impl State {
    /// Adds what a commit that was carried out has to tell. The layer table was this one before; now it is the
    /// one in force. If the hive has seen other changes of it than up to `epoch`, nobody can say what was so when.
    pub(in super::super) fn add_deliveries(
        &self,
        deliveries: &mut Deliveries,
        plan: &Plan,
        before: &LayerTable,
        epoch: u64,
    ) {
        let tables = Tables { before, after: &self.layers, next_sequence: self.next_sequence };
        let seen = self.hives.get(plan.slot).map_or(0, |slot| slot.table_epoch);
        let uncertain = seen != epoch;
        for change in &plan.changes {
            // Once per set of private layers.
            let mut known: Vec<(&[Guid], Winners<'_>)> = Vec::new();
            for (id, watcher, at) in self.watches.above(plan.slot, &change.chain) {
                let Some(path) = self.reaches(plan, &tables, id, watcher, at, &change.chain) else {
                    continue;
                };
                let event = |kind: EventKind, name: &str| Event {
                    kind: kind.code(),
                    name: name.into(),
                    path: path.clone(),
                };
                let (image, filter) = match &change.of {
                    Of::Security if watcher.filter & NOTIFY_SD != 0 => {
                        deliveries.add(id, event(EventKind::SdChanged, ""));
                        continue;
                    }
                    Of::Security => continue,
                    Of::TooMuch => {
                        deliveries.add(id, nameless(EventKind::Overflow));
                        continue;
                    }
                    Of::Value(image) => (image, NOTIFY_VALUE),
                    Of::Child(image) => (image, NOTIFY_SUBKEY),
                };
                if watcher.filter & filter == 0 {
                    continue;
                }
                if uncertain {
                    deliveries.add(id, nameless(EventKind::Overflow));
                    // Keys of LCS's own are in base alone, so that the table makes no difference to them.
                    if id != WatcherId::Own || filter != NOTIFY_SUBKEY {
                        continue;
                    }
                }
                let private = watcher.view.private_layers.as_slice();
                let winners = match known.iter().find(|(other, _)| *other == private) {
                    Some((_, winners)) => *winners,
                    None => {
                        let winners = tables.winners(image, private);
                        known.push((private, winners));
                        winners
                    }
                };
                let Ok((before, after)) = winners else {
                    deliveries.add(id, nameless(EventKind::Overflow));
                    continue;
                };
                for (kind, name) in told(&change.of, before, after) {
                    deliveries.add(id, event(kind, name));
                }
            }
            if let Of::Child(image) = &change.of {
                self.add_deleted(deliveries, plan.slot, image, &tables, uncertain);
            }
        }
    }

    /// Tells those who watch a key to which its name does not lead any more.
    fn add_deleted(
        &self,
        deliveries: &mut Deliveries,
        slot: SlotId,
        image: &Image,
        tables: &Tables<'_>,
        uncertain: bool,
    ) {
        let mut keys: Vec<Guid> = image.keys_before().collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            for id in self.watches.on(slot, key) {
                let Some(watcher) = self.watches.get(*id) else { continue };
                let winners = tables.winners(image, &watcher.view.private_layers);
                match winners {
                    Ok(_) if uncertain => deliveries.add(*id, nameless(EventKind::Overflow)),
                    Err(ImpossibleSequence) => deliveries.add(*id, nameless(EventKind::Overflow)),
                    Ok((before, after)) => {
                        let leads = |winner: Option<&Candidate>| {
                            winner.and_then(Candidate::key) == Some(key)
                        };
                        if leads(before) && !leads(after) {
                            deliveries.add(*id, nameless(EventKind::KeyDeleted));
                        }
                    }
                }
            }
        }
    }

    /// The path from a watched key to a changed one, if the watcher is to learn of changes there.
    fn reaches(
        &self,
        plan: &Plan,
        tables: &Tables<'_>,
        id: WatcherId,
        watcher: &Watcher,
        at: &Rc<Chain>,
        changed: &Rc<Chain>,
    ) -> Option<String> {
        let below = changed.depth - at.depth;
        let mut way: Vec<&Rc<Chain>> = changed.upward().take(below).collect();
        way.reverse();
        let path = way.iter().fold(String::new(), |path, step| join(&path, &step.name.display));
        if below == 0 || id == WatcherId::Own {
            return Some(path);
        }
        let most = self.settings.size(Setting::MaxSubtreeWatchDepth);
        if most > 0 && below > most {
            return None;
        }
        let rules = Rules {
            layers: tables.after,
            made: &[],
            private_layers: &watcher.view.private_layers,
            next_sequence: tables.next_sequence,
        };
        let visible = |step: &&Rc<Chain>| {
            let candidates = plan.steps.get(&step.key)?;
            let winner = Candidate::winner(candidates, &rules).ok()??;
            (winner.key() == Some(step.key)).then_some(())
        };
        if !way.iter().all(|step| visible(step).is_some()) {
            return None;
        }
        let sd = plan.descriptors.get(&changed.key)?;
        access_check(sd, &watcher.token, &Access::NOTIFY.into()).ok().map(|_| path)
    }

    /// What a commit that was carried out, and left the layer table as it is, has to tell.
    pub(in super::super) fn deliveries(&self, plan: &Plan) -> Deliveries {
        let mut deliveries = Deliveries::default();
        let changing = self.hives.get(plan.slot).is_some_and(|slot| slot.table_changing);
        let epoch = if changing { u64::MAX } else { plan.epoch };
        self.add_deliveries(&mut deliveries, plan, &self.layers, epoch);
        deliveries
    }

    /// Hands over what one commit has to tell. What is too much for one watcher becomes one OVERFLOW.
    pub(in super::super) fn deliver(&mut self, deliveries: Deliveries) {
        let burst = self.settings.size(Setting::MaxTransactionWatchEventBurst);
        for (id, events) in deliveries.of_watchers {
            if events.len() > burst {
                self.tell(id, nameless(EventKind::Overflow));
            } else {
                events.into_iter().for_each(|event| self.tell(id, event));
            }
        }
    }
}

impl<B: Backend> Registry<B> {
    /// Tells those who watch of a commit that was carried out, and acts on what it changes for LCS itself.
    pub(in super::super) async fn committed(&self, watched: Watched<'_>) {
        let Watched { plan, _locks, _under_way } = watched;
        let Some(plan) = plan else { return };
        let own = self.with(|state| {
            let mut deliveries = state.deliveries(&plan);
            let own = deliveries.take(WatcherId::Own);
            if own.is_empty() {
                state.deliver(deliveries);
            }
            own
        });
        if !own.is_empty() {
            // Boxed, because this can lead to commits of LCS's own.
            alloc::boxed::Box::pin(self.own_changed(own, plan)).await;
        }
    }

    /// Tells those who watch of a commit that was carried out.
    pub(in super::super) fn tell(&self, plan: &Plan) {
        self.with(|state| {
            let mut deliveries = state.deliveries(plan);
            deliveries.take(WatcherId::Own);
            state.deliver(deliveries);
        });
    }
}

/// What is to be said of a name whose winners were and are these.
fn told<'c>(
    of: &Of,
    before: Option<&'c Candidate>,
    after: Option<&'c Candidate>,
) -> Vec<(EventKind, &'c str)> {
    let mut told = Vec::new();
    match of {
        Of::Value(_) => match (before, after) {
            (Some(before), Some(after)) if before.is_same(after) => {}
            (_, Some(after)) => told.push((EventKind::ValueSet, after.name())),
            (Some(before), None) => told.push((EventKind::ValueDeleted, before.name())),
            (None, None) => {}
        },
        Of::Child(_) => {
            if before.and_then(Candidate::key) != after.and_then(Candidate::key) {
                told.extend(before.map(|before| (EventKind::SubkeyDeleted, before.name())));
                told.extend(after.map(|after| (EventKind::SubkeyCreated, after.name())));
            }
        }
        Of::Security | Of::TooMuch => {}
    }
    told
}
