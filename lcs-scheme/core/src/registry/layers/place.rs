//! What is different where layers are kept: under `Layers` and `PendingDeletion`.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use lcs_abi::rsi::{BlanketEntry, Mutation, Name, PathEntry, ValueEntry};
use lcs_abi::value::ValueType;
use lcs_abi::{BASE_LAYER, Guid};

use super::super::backend::{AuditEvent, Backend};
use super::super::chain::Chain;
use super::super::error::{Error, NotFound};
use super::super::handles::KeyHandle;
use super::super::locks::Guard;
use super::super::open::Place;
use super::super::reading::Site;
use super::super::settings::Setting;
use super::super::structure::{Maker, More, NewKey};
use super::super::transaction::{TransactionId, WriteSet};
use super::super::{Registry, State};
use super::metadata::{Metadata, PRECEDENCE, dword};
use crate::model::View;
use crate::model::layer::Layer;
use crate::model::name::{KeyName, ValueName, fold};
use crate::security::{Privileges, SecurityDescriptor, Sid, Token};

impl State {
    /// Whether this key's children are layers.
    fn has_layers(&self, key: Guid) -> bool {
        self.own.as_ref().is_some_and(|own| own.layers.key == key)
    }

    /// Whether a key is a layer's metadata key.
    fn is_metadata(&self, chain: &Chain) -> bool {
        chain.above.as_ref().is_some_and(|above| self.has_layers(above.key))
    }

    /// Whether a key is the list of deletions or below it.
    fn is_pending_deletion(&self, chain: &Rc<Chain>) -> bool {
        let list = self.own.as_ref().map(|own| own.pending_deletion.key);
        list.is_some_and(|list| chain.upward().any(|at| at.key == list))
    }

    /// Fails where LCS alone writes values.
    pub(in super::super) fn may_touch_values(&self, chain: &Rc<Chain>) -> Result<(), Error> {
        if self.is_pending_deletion(chain) {
            return Err(Error::Invalid("only LCS writes here"));
        }
        Ok(())
    }

    /// The names, folded, of layers that a transaction will delete.
    fn deleted_by(&self, id: TransactionId) -> Vec<String> {
        let Some(own) = &self.own else { return Vec::new() };
        let site = Site::written_in(id, own.layers.site.slot);
        let deleted = |writes: &WriteSet| writes.deleted_children(own.layers.key);
        self.transactions.writes(site).map(deleted).unwrap_or_default()
    }

    /// Fails if a transaction may not write into the layers of these mutations: one is gone, or goes with the
    /// transaction.
    pub(in super::super) fn may_write_layers(
        &self,
        id: TransactionId,
        mutations: &[Mutation],
    ) -> Result<(), Error> {
        let mut layers = mutations.iter().filter_map(layer_of).filter(|layer| *layer != BASE_LAYER);
        let Some(first) = layers.next() else { return Ok(()) };
        let (deleted, view) = (self.deleted_by(id), View::default());
        for layer in [first].into_iter().chain(layers) {
            if deleted.iter().any(|deleted| deleted == layer) {
                return Err(Error::Invalid("the transaction deletes the layer"));
            }
            if self.rules(Some(id), &view).layer(layer).is_none() {
                return Err(Error::NotFound(NotFound::Layer));
            }
        }
        Ok(())
    }

    /// Finds out which layers a transaction makes, after it has written to the last keys of these chains.
    pub(in super::super) fn find_made_layers(&mut self, id: TransactionId, chains: &[&Rc<Chain>]) {
        let concerns = |chain: &&Rc<Chain>| self.has_layers(chain.key) || self.is_metadata(chain);
        if !chains.iter().any(concerns) {
            return;
        }
        let Some(own) = &self.own else { return };
        let site = Site::written_in(id, own.layers.site.slot);
        let made = self.transactions.writes(site).map(|writes| {
            let records = writes.made_children(own.layers.key);
            records.filter_map(|record| self.made_layer(id, writes, record)).collect()
        });
        self.transactions.set_made_layers(id, made.unwrap_or_default());
    }

    /// A layer whose metadata key a transaction makes, as far as it has written it.
    fn made_layer(
        &self,
        id: TransactionId,
        writes: &WriteSet,
        record: &lcs_abi::rsi::KeyRecord,
    ) -> Option<Layer> {
        let name = KeyName::new(&record.name.display, usize::MAX).ok()?;
        let sd = SecurityDescriptor::from_bytes(&record.sd).ok()?;
        let view = View::default();
        let rules = self.rules(Some(id), &view);
        let mut metadata = Metadata::default();
        for value in writes.value_names(record.key) {
            let mut found = super::super::reading::Values::default();
            writes.lay_over_value(record.key, &value, &mut found);
            if let Ok(Some(value)) = rules.resolve_value(found.entries, &found.blankets) {
                metadata.take(&value);
            }
        }
        Some(metadata.layer(name, record, sd, None))
    }
}

impl<B: Backend> Registry<B> {
    /// Keeps a layer from being deleted while it is written into. What a transaction writes is looked at when it
    /// commits, and `base` stays.
    pub(in super::super) async fn keep_layer(
        &self,
        site: Site,
        layer: Option<&str>,
    ) -> Option<Guard<'_>> {
        let folded = fold(layer?);
        if site.transaction.is_some() || folded == BASE_LAYER {
            return None;
        }
        Some(self.locks.layer_stays(&folded).await)
    }

    /// Fails if a key may not be made here, although its maker has the rights.
    pub(in super::super) fn may_create_here(
        &self,
        parent: &Place,
        new: &NewKey<'_>,
        layer: &Name,
    ) -> Result<(), Error> {
        let Maker::Client(..) = new.maker else { return Ok(()) };
        self.with(|state| {
            if state.is_pending_deletion(&parent.chain) {
                return Err(Error::Invalid("only LCS writes here"));
            }
            if !state.has_layers(parent.key) {
                return Ok(());
            }
            if layer.folded != BASE_LAYER || new.volatile || new.link.is_some() {
                return Err(Error::Invalid("a layer is an ordinary key in base"));
            }
            let name = new.name.folded();
            if name == BASE_LAYER {
                return Err(Error::Invalid("the layer base is always there"));
            }
            let transaction = parent.site.transaction;
            let goes = transaction
                .is_some_and(|id| state.deleted_by(id).iter().any(|deleted| deleted == name));
            if goes || state.pending_deletion.contains(name) {
                return Err(Error::Busy("layer pending deletion"));
            }
            let made = transaction.map_or(0, |id| state.transactions.made_layers(id).len());
            let layers = state.layers.iter().count() + made;
            if layers >= state.settings.size(Setting::MaxTotalLayers) {
                return Err(Error::LimitExceeded("MaxTotalLayers"));
            }
            Ok(())
        })
    }

    /// Fails if a handle's key may not be deleted from this layer. Gives the name of the layer that ends with it,
    /// if one does.
    pub(in super::super) fn may_delete_here(
        &self,
        handle: &KeyHandle,
        layer: &Name,
    ) -> Result<Option<KeyName>, Error> {
        self.with(|state| {
            if state.is_own(handle.key) {
                return Err(Error::Invalid("LCS needs this key"));
            }
            if state.is_pending_deletion(&handle.chain) && layer.folded != BASE_LAYER {
                return Err(Error::Invalid("only LCS writes here"));
            }
            if !state.is_metadata(&handle.chain) {
                return Ok(None);
            }
            if layer.folded != BASE_LAYER {
                return Err(Error::Invalid("a layer's key is in base alone"));
            }
            let name = handle.name.folded();
            if let Some(id) = handle.site.transaction
                && state.transactions.has_written_into(id, name)
            {
                return Err(Error::Invalid("the transaction wrote into the layer"));
            }
            Ok(Some(handle.name.clone()))
        })
    }

    /// Fails if a handle's key may not be hidden.
    pub(in super::super) fn may_hide_here(&self, handle: &KeyHandle) -> Result<(), Error> {
        self.with(|state| {
            let stays = state.is_own(handle.key)
                || state.is_metadata(&handle.chain)
                || state.is_pending_deletion(&handle.chain);
            if stays { Err(Error::Invalid("this key is never hidden")) } else { Ok(()) }
        })
    }

    /// Fails if a value may not be written although its key grants it: who gives a layer a precedence above 0
    /// needs SeTcb.
    pub(in super::super) fn may_write_here(
        &self,
        handle: &KeyHandle,
        name: &ValueName,
        value_type: u32,
        data: &[u8],
    ) -> Result<(), Error> {
        let above = dword(ValueType::from_code(value_type), data).is_ok_and(|number| number > 0);
        if !above || name.folded() != PRECEDENCE || handle.token.holds(Privileges::TCB) {
            return Ok(());
        }
        let metadata = self.with(|state| state.is_metadata(&handle.chain));
        if metadata { Err(Error::PrivilegeMissing) } else { Ok(()) }
    }

    /// Records that a user made a layer, if what was made under `parent` is one.
    pub(in super::super) fn layer_created(&self, parent: &Place, name: &str, user: Sid) {
        let made =
            parent.site.transaction.is_none() && self.with(|state| state.has_layers(parent.key));
        if made {
            self.backend.audit(AuditEvent::LayerCreated { layer: name.to_string(), user });
        }
    }
}

impl<B: Backend> Registry<B> {
    /// The layers that a transaction will delete.
    pub(in super::super) fn deleted_layers(&self, id: TransactionId) -> Vec<KeyName> {
        self.with(|state| {
            let names = state.deleted_by(id).into_iter().filter_map(|folded| {
                let known = state.layers.get(&folded).map(|layer| layer.name.clone());
                known.or_else(|| KeyName::new(&folded, usize::MAX).ok())
            });
            names.collect()
        })
    }

    /// Holds the layers of a transaction that is about to be committed: those that it writes into stay, and
    /// nobody writes into those that it deletes.
    pub(in super::super) async fn hold_layers(
        &self,
        site: Site,
        deleted: &[KeyName],
    ) -> Vec<Guard<'_>> {
        let mut layers = self.with_writes(site, WriteSet::layers).unwrap_or_default();
        layers.extend(deleted.iter().map(|layer| String::from(layer.folded())));
        let mut held = Vec::new();
        for layer in layers {
            held.push(if deleted.iter().any(|deleted| deleted.folded() == layer) {
                self.locks.layer_goes(&layer).await
            } else {
                self.locks.layer_stays(&layer).await
            });
        }
        held
    }

    /// Adds to a transaction what notes that the entries of the layers that it deletes are to go.
    pub(in super::super) async fn note_deletions(
        &self,
        id: TransactionId,
        site: Site,
        deleted: &[KeyName],
    ) -> Result<(), Error> {
        for layer in deleted {
            let list = self.with(|state| state.own_keys().map(|own| own.pending_deletion.key))?;
            // An attempt that failed may have left it there.
            let noted = self.with_writes(site, |writes| {
                writes.made_children(list).any(|record| record.name.folded == layer.folded())
            });
            if noted == Some(true) {
                continue;
            }
            let More { conditions, mut mutations, chain } = self.note_deletion(layer).await?;
            mutations.sort_by_key(|mutation| !matches!(mutation, Mutation::CreateKey(_)));
            let chains: Vec<&Rc<Chain>> = chain.as_ref().into_iter().collect();
            let needed = WriteSet::needed(&conditions, &mutations);
            let write = |writes: &mut WriteSet| writes.add(&chains, conditions, mutations);
            self.with(|state| state.write_in(id, site.slot, needed, write))?;
        }
        Ok(())
    }

    /// Fails if a commit would make layers that there may not be, or give a layer a precedence above 0 for
    /// somebody who may not. Gives the names of the layers that it makes.
    pub(in super::super) async fn may_change_layers(
        &self,
        id: TransactionId,
        site: Site,
        token: &Token,
    ) -> Result<Vec<String>, Error> {
        let Ok(layers) = self.with(|state| state.own_keys().map(|own| own.layers.clone())) else {
            return Ok(Vec::new());
        };
        if layers.site.slot != site.slot {
            return Ok(Vec::new());
        }
        let made = self.with(|state| {
            let made = state.transactions.made_layers(id).to_vec();
            let pending = made.iter().any(|l| state.pending_deletion.contains(l.name.folded()));
            let total = state.layers.iter().count() + made.len();
            if pending {
                Err(Error::Busy("layer pending deletion"))
            } else if !made.is_empty() && total > state.settings.size(Setting::MaxTotalLayers) {
                Err(Error::LimitExceeded("MaxTotalLayers"))
            } else {
                Ok(made)
            }
        })?;
        if !token.holds(Privileges::TCB) {
            let written = self.with_writes(site, |writes| writes.keys_with_value(PRECEDENCE));
            for key in written.unwrap_or_default() {
                let known = self.with(|state| {
                    let mut layers = state.layers.iter();
                    layers.find(|layer| layer.key == key).map(|layer| layer.precedence)
                });
                let made = made.iter().find(|layer| layer.key == key);
                let precedence = match (known, made) {
                    (_, Some(made)) => Some(made.precedence),
                    (Some(_), None) => {
                        let record = self.read_key(site, key).await?;
                        self.metadata(site, &layers, &record).await?.precedence()
                    }
                    (None, None) => None,
                };
                if precedence.is_some_and(|new| new > 0 && Some(new) != known) {
                    return Err(Error::PrivilegeMissing);
                }
            }
        }
        Ok(made.iter().map(|layer| layer.name.display().to_string()).collect())
    }
}

/// The folded layer that a mutation writes into.
fn layer_of(mutation: &Mutation) -> Option<&str> {
    match mutation {
        Mutation::SetEntry { layer, .. }
        | Mutation::SetValue { layer, .. }
        | Mutation::SetBlanket { layer, .. } => Some(&layer.folded),
        Mutation::DeleteEntry { layer, .. }
        | Mutation::DeleteValue { layer, .. }
        | Mutation::ClearBlanket { layer, .. } => Some(layer),
        Mutation::RestoreEntry(PathEntry { layer, .. })
        | Mutation::RestoreValue(ValueEntry { layer, .. })
        | Mutation::RestoreBlanket(BlanketEntry { layer, .. }) => Some(&layer.folded),
        Mutation::CreateKey(_)
        | Mutation::RestoreKey(_)
        | Mutation::WriteKey { .. }
        | Mutation::RemoveSubtree { .. } => None,
    }
}
