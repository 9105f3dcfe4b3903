//! The end of a layer, in every hive, also in those whose sources are away (DESIGN §4).
//!
//! The step that removes a layer's metadata key also makes `PendingDeletion\<layer>`, with a value for each
//! hive. A hive's source drops the layer's entries at once or before the hive is in service again, and its value
//! goes; the key goes with the last one. While it is there, no layer of that name can be made.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use futures_util::future::join_all;
use lcs_abi::rsi::{Answer, Condition, KeyRecord, Mutation, Name, Request, Target};
use lcs_abi::value::ValueType;
use lcs_abi::{BASE_LAYER, Guid};

use super::super::Registry;
use super::super::backend::{AuditEvent, Backend};
use super::super::cache::Touched;
use super::super::error::Error;
use super::super::hives::{Slot, SlotId};
use super::super::open::Place;
use super::super::reading::Site;
use super::super::structure::{More, touch};
use super::super::values::ValueListing;
use crate::model::name::{KeyName, fold};
use crate::security::{Sid, Token, inherited};

/// The name of the value that stands for a hive in the list of deletions.
fn marker(slot: &Slot) -> String {
    let name = slot.name.display();
    match slot.scope {
        None => name.to_string(),
        Some(scope) => format!("{name}{{{scope}}}"),
    }
}

impl<B: Backend> Registry<B> {
    /// What notes that the entries of a layer are to go from all hives there are.
    pub(in super::super) async fn note_deletion(&self, layer: &KeyName) -> Result<More, Error> {
        let list = self.with(|state| state.own_keys().map(|own| own.pending_deletion.clone()))?;
        let markers = self.with(|state| {
            let known = state.hives.iter().filter(|slot| slot.was_registered());
            known.map(marker).collect::<Vec<_>>()
        });
        let name = layer.to_rsi();
        let base = KeyName::new(BASE_LAYER, usize::MAX)?.to_rsi();
        let found = self.lookup_folded(list.site, list.key, &name.folded).await?;
        let there = found.entries.iter().find(|entry| entry.layer.folded == BASE_LAYER);
        let target = there.map(|entry| entry.target);
        let mut more = More { chain: Some(list.chain.clone()), ..More::default() };
        more.conditions.push(Condition::EntryIs {
            parent: list.key,
            name: name.folded.clone(),
            layer: base.folded.clone(),
            target,
        });
        let key = match target {
            Some(Target::Key(key)) => key,
            _ => {
                let record = self.deletion_record(&list, &name).await?;
                let (key, parent) = (record.key, list.key);
                let (layer, target) = (base.clone(), Target::Key(key));
                more.mutations.push(Mutation::CreateKey(record));
                more.mutations.push(Mutation::SetEntry { parent, name, layer, target });
                more.mutations.push(touch(parent, self.backend.now()));
                key
            }
        };
        for marker in markers {
            let marker = KeyName::new(&marker, usize::MAX)?.to_rsi();
            more.mutations.push(mark(key, marker, base.clone()));
        }
        Ok(more)
    }

    async fn deletion_record(&self, list: &Place, name: &Name) -> Result<KeyRecord, Error> {
        let record = self.read_key(list.site, list.key).await?;
        let sd = inherited(&self.descriptor(list.site.slot, &record)?, &Token::system())?;
        Ok(KeyRecord {
            key: self.backend.new_guid(),
            parent: list.key,
            name: name.clone(),
            sd: sd.to_bytes(),
            volatile: false,
            link: false,
            last_write: self.backend.now(),
        })
    }

    /// A layer's metadata key is gone, and the table knows it: removes the layer's entries from all hives that
    /// are in service.
    pub(in super::super) async fn layer_deleted(&self, layer: &KeyName, user: Sid) {
        self.backend.audit(AuditEvent::LayerDeleted { layer: layer.display().into(), user });
        let slots = self.with(|state| state.hives.ids());
        self.purge(layer.folded(), slots).await;
    }

    /// Removes the entries of layers that were deleted from the hives that are in service and may have some.
    /// It is to be called when a source has registered, and can take as long as any source does.
    pub async fn finish_deletions(&self) {
        let pending = self.with(|state| {
            (state.pending_deletion.iter().cloned().collect::<Vec<_>>(), state.hives.ids())
        });
        let (layers, slots) = pending;
        for layer in layers {
            self.purge(&layer, slots.clone()).await;
        }
    }

    /// Removes from hives that are about to be in service the entries of layers that were deleted.
    pub(in super::super) async fn purge_before_service(&self, slots: &[SlotId]) {
        let layers: Vec<String> =
            self.with(|state| state.pending_deletion.iter().cloned().collect());
        for layer in layers {
            self.purge(&layer, slots.to_vec()).await;
        }
    }

    /// Reads which layers' entries are still to go.
    pub(in super::super) async fn read_pending_deletions(&self) -> Result<(), Error> {
        let list = self.with(|state| state.own_keys().map(|own| own.pending_deletion.clone()))?;
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = self.children(list.site, list.key, after.as_deref()).await?;
            let there = page.entries.iter().filter(|entry| {
                entry.layer.folded == BASE_LAYER && matches!(entry.target, Target::Key(_))
            });
            names.extend(there.map(|entry| entry.name.folded.clone()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.with(|state| state.pending_deletion = names.into_iter().collect());
        Ok(())
    }

    /// Removes a layer's entries from those of these hives that are in service and listed for it.
    pub(in super::super) async fn purge(&self, layer: &str, slots: Vec<SlotId>) {
        let listed = match self.listed(layer).await {
            Ok(Some((_, listed))) => listed,
            Ok(None) => return,
            Err(error) => {
                log::warn!("the list of deletions could not be read: {error}");
                return;
            }
        };
        let of_hives = self.with(|state| {
            let known = slots.into_iter().filter_map(|id| {
                let marker = fold(&marker(state.hives.get(id)?));
                (listed.contains(&marker) && state.hives.address(id).is_some())
                    .then_some((id, marker))
            });
            known.collect::<Vec<_>>()
        });
        let drops = of_hives.into_iter().map(async |(slot, marker)| {
            match self.drop_layer(slot, layer).await {
                Ok(()) => Some(marker),
                Err(error) => {
                    log::warn!("entries of the layer {layer} stay for now: {error}");
                    None
                }
            }
        });
        let done: Vec<String> = join_all(drops).await.into_iter().flatten().collect();
        if !done.is_empty()
            && let Err(error) = self.strike_out(layer, &done).await
        {
            log::warn!("the list of deletions could not be written: {error}");
        }
    }

    /// Removes a layer's entries from a hive.
    async fn drop_layer(&self, slot: SlotId, layer: &str) -> Result<(), Error> {
        let request = Request::DeleteLayer { layer: layer.into() };
        let Answer::Orphans(orphans) =
            self.ask_to_change(slot, request, Touched::hive(slot)).await?
        else {
            return Err(self.malformed(slot, "answer of another kind"));
        };
        self.with(|state| {
            if let Some(slot) = state.hives.get_mut(slot) {
                slot.generation += 1;
            }
        });
        self.orphaned(slot, orphans).await;
        Ok(())
    }

    /// The key of a layer in the list of deletions, and the folded markers there.
    async fn listed(&self, layer: &str) -> Result<Option<(KeyRecord, Vec<String>)>, Error> {
        let list = self.with(|state| state.own_keys().map(|own| own.pending_deletion.clone()))?;
        let Some(record) = self.layer_record(list.site, &list, layer).await? else {
            return Ok(None);
        };
        let mut listing = ValueListing::new(list.site, &list.view, record.key, None);
        let mut markers = Vec::new();
        while let Some(value) = self.next_value(&mut listing).await? {
            markers.push(value.name.folded);
        }
        Ok(Some((record, markers)))
    }

    /// Removes markers from the list of deletions; with the last one goes the key.
    async fn strike_out(&self, layer: &str, done: &[String]) -> Result<(), Error> {
        let _one_at_a_time = self.striking_out.lock().await;
        let Some((record, markers)) = self.listed(layer).await? else { return Ok(()) };
        let list = self.with(|state| state.own_keys().map(|own| own.pending_deletion.clone()))?;
        let (site, base) = (Site::from(list.site.slot), String::from(BASE_LAYER));
        if markers.iter().all(|marker| done.contains(marker)) {
            let (parent, name) = (list.key, record.name.folded.clone());
            let conditions = [Condition::EntryIs {
                parent,
                name: name.clone(),
                layer: base.clone(),
                target: Some(Target::Key(record.key)),
            }];
            let _step = self.locks.steps(site).await;
            let _name = self.locks.name(site, parent, &name).await;
            let mutations = [
                Mutation::DeleteEntry { parent, name, layer: base },
                touch(parent, self.backend.now()),
            ];
            self.change(site, &[&list.chain], conditions.into(), mutations.into()).await?;
            self.orphaned(site.slot, [record.key].into()).await;
            return Ok(());
        }
        let chain = list.chain.child(record.key, record.name);
        let key = record.key;
        let removals = done.iter().map(|name| Mutation::DeleteValue {
            key,
            name: name.clone(),
            layer: base.clone(),
        });
        let mutations = removals.chain([touch(key, self.backend.now())]).collect();
        self.change(site, &[&chain], Vec::new(), mutations).await?;
        Ok(())
    }
}

/// Notes that a hive may have entries of a layer that is deleted.
fn mark(key: Guid, name: Name, layer: Name) -> Mutation {
    let value_type = ValueType::None.code();
    Mutation::SetValue { key, name, layer, value_type, data: Vec::new() }
}
