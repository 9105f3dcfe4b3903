//! Reading and writing values.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use lcs_abi::BASE_LAYER;
use lcs_abi::Guid;
use lcs_abi::call::{
    self, Becomes, ChangeValues, DeleteValue, Guarded, NamedValue, QueryValue, QueryValueAnswer,
    QueryValuesAnswer, SetTombstone, SetValue, SetValueAnswer, ValueChange,
};
use lcs_abi::rsi::{BlanketEntry, Condition, Mutation, Name, ValueEntry, ValuePosition};
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::cache::{Object, Part};
use super::error::{Error, NotFound};
use super::generations::Made;
use super::handles::{HandleId, KeyHandle};
use super::keys::Page;
use super::locks::Guard;
use super::reading::Site;
use super::settings::Setting;
use super::structure::touch;
use crate::model::View;
use crate::model::name::ValueName;
use crate::model::resolve::PENDING;
use crate::model::value::Content;

impl<B: Backend> Registry<B> {
    /// The effective value of a name.
    pub async fn query_value(
        &self,
        id: HandleId,
        request: QueryValue,
    ) -> Result<Guarded<QueryValueAnswer>, Error> {
        let handle = self.key_with(id, Access::QUERY_VALUE)?;
        let name = self.value_name(&request.name)?;
        let (slot, key, part) = (handle.site.slot, handle.key, Part::Value(name.folded()));
        let guard = self.guard(handle.site, &Made::Of(Object { slot, key, part }));
        let winner = self.effective_value(&handle, &name).await?;
        let winner = winner.ok_or(Error::NotFound(NotFound::Value))?;
        let answer = QueryValueAnswer {
            value_type: winner.value_type,
            data: winner.data,
            sequence: committed(winner.sequence),
            layer: winner.layer.display,
        };
        Ok(Guarded { answer, guard })
    }

    /// What a name of the values of a key, which is there, stands for in a view.
    pub(super) async fn winning_value(
        &self,
        site: Site,
        view: &View,
        key: Guid,
        name: &ValueName,
    ) -> Result<Option<ValueEntry>, Error> {
        let found = self.value(site, view, key, name).await?;
        self.resolve_value(site, view, found.entries, &found.blankets)
    }

    /// What a name of a key's values stands for.
    pub(super) async fn effective_value(
        &self,
        handle: &KeyHandle,
        name: &ValueName,
    ) -> Result<Option<ValueEntry>, Error> {
        let winner = self.winning_value(handle.site, &handle.view, handle.key, name).await?;
        if winner.is_none() {
            // A key that is gone has no values; say that it is gone.
            self.read_key(handle.site, handle.key).await?;
        }
        Ok(winner)
    }

    /// A page of the effective values, at most `budget` bytes long when encoded.
    pub async fn query_values(
        &self,
        id: HandleId,
        request: call::QueryValues,
        budget: usize,
    ) -> Result<Guarded<QueryValuesAnswer>, Error> {
        let handle = self.key_with(id, Access::QUERY_VALUE)?;
        let guard = self.guard(handle.site, &Made::OfHive);
        let mut listing = ValueListing::new(handle.site, &handle.view, handle.key, request.cursor);
        let mut page = Page::new(budget);
        let generation = self.generation(handle.site.slot);
        while let Some(value) = self.next_value(&mut listing).await? {
            let value = NamedValue {
                name: value.name.display,
                value_type: value.value_type,
                data: value.data,
                sequence: committed(value.sequence),
                layer: value.layer.display,
            };
            if !page.push(value, &listing.last)? {
                break;
            }
        }
        if page.is_empty() {
            self.read_key(handle.site, handle.key).await?;
        }
        let (values, next) = page.finish();
        Ok(Guarded { answer: QueryValuesAnswer { values, next, generation }, guard })
    }

    /// Writes a value into a layer.
    pub async fn set_value(
        &self,
        id: HandleId,
        request: SetValue,
    ) -> Result<SetValueAnswer, Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        self.set_value_of(&handle, request).await
    }

    /// Writes a value of a key, which the handle may, into a layer.
    pub(super) async fn set_value_of(
        &self,
        handle: &KeyHandle,
        request: SetValue,
    ) -> Result<SetValueAnswer, Error> {
        let SetValue { name, value_type, data, layer, expected_sequence } = request;
        let name = self.value_name(&name)?;
        let max_size = self.with(|state| state.settings.size(Setting::MaxValueSize));
        let content = Content::new(value_type, data, max_size)?;
        let _layer = self.keep_layer(handle.site, layer.as_deref()).await;
        let layer = self.layer_for(handle, layer.as_deref())?;
        let condition = expected_sequence.map(|sequence| Condition::ValueIs {
            key: handle.key,
            name: name.folded().into(),
            layer: layer.folded.clone(),
            sequence: (sequence != 0).then_some(sequence),
        });
        let sequence = self.write_value(handle, &name, layer, content, condition).await?;
        Ok(SetValueAnswer { sequence })
    }

    /// Masks a value name in a layer.
    pub async fn set_tombstone(&self, id: HandleId, request: SetTombstone) -> Result<(), Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        let name = self.value_name(&request.name)?;
        let _layer = self.keep_layer(handle.site, request.layer.as_deref()).await;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        self.write_value(&handle, &name, layer, Content::Tombstone, None).await?;
        Ok(())
    }

    async fn write_value(
        &self,
        handle: &KeyHandle,
        name: &ValueName,
        layer: Name,
        content: Content,
        condition: Option<Condition>,
    ) -> Result<u64, Error> {
        let _in_transaction = self.step_in(handle.site).await;
        let _adding = self.may_add(handle, &layer, [name]).await?;
        let (value_type, data) = content.into_parts();
        self.may_write_here(handle, name, value_type, &data)?;
        let write =
            Mutation::SetValue { key: handle.key, name: name.to_rsi(), layer, value_type, data };
        self.change_values(handle, condition.into_iter().collect(), [write].into()).await
    }

    async fn check_layers_of_value(
        &self,
        handle: &KeyHandle,
        name: &ValueName,
        layer: &Name,
    ) -> Result<(), Error> {
        let found = self.value(handle.site, &handle.view, handle.key, name).await?;
        if found.entries.iter().any(|entry| entry.layer.folded == layer.folded) {
            return Ok(());
        }
        let others = found.entries.iter().filter(|entry| entry.layer.folded != BASE_LAYER);
        let places = self.with(|state| state.settings.size(Setting::MaxLayersPerValue)) - 1;
        if others.count() >= places {
            return Err(Error::LimitExceeded("MaxLayersPerValue"));
        }
        Ok(())
    }

    /// Removes a layer's entry for a value name; one that is not there is no error.
    pub async fn delete_value(&self, id: HandleId, request: DeleteValue) -> Result<(), Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        self.delete_value_of(&handle, request).await
    }

    /// Removes a layer's entry for a value name of a key, which the handle may.
    pub(super) async fn delete_value_of(
        &self,
        handle: &KeyHandle,
        request: DeleteValue,
    ) -> Result<(), Error> {
        let name = self.value_name(&request.name)?;
        let _layer = self.keep_layer(handle.site, request.layer.as_deref()).await;
        let layer = self.layer_for(handle, request.layer.as_deref())?;
        let (name, layer) = (name.folded().into(), layer.folded);
        let _in_transaction = self.step_in(handle.site).await;
        let delete = Mutation::DeleteValue { key: handle.key, name, layer };
        self.change_values(handle, Vec::new(), [delete].into()).await?;
        Ok(())
    }

    /// Masks every value of the key in a layer.
    pub async fn set_blanket(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        let _layer = self.keep_layer(handle.site, request.layer.as_deref()).await;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        let _in_transaction = self.step_in(handle.site).await;
        let set = Mutation::SetBlanket { key: handle.key, layer };
        self.change_values(&handle, Vec::new(), [set].into()).await?;
        Ok(())
    }

    /// Changes several values in a layer, all or none. Gives the sequence number of the first change.
    pub async fn change_several(
        &self,
        id: HandleId,
        request: ChangeValues,
    ) -> Result<SetValueAnswer, Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        self.change_several_of(&handle, request).await
    }

    /// The same by a handle that has SET_VALUE.
    pub(super) async fn change_several_of(
        &self,
        handle: &KeyHandle,
        request: ChangeValues,
    ) -> Result<SetValueAnswer, Error> {
        let ChangeValues { changes, layer } = request;
        if changes.is_empty() {
            return Err(Error::Invalid("no changes"));
        }
        let max_size = self.with(|state| state.settings.size(Setting::MaxValueSize));
        let change = |ValueChange { name, to }| {
            let content = match to {
                Becomes::Value { value_type, data } => {
                    Some(Content::new(value_type, data, max_size)?)
                }
                Becomes::Tombstone => Some(Content::Tombstone),
                Becomes::Absent => None,
            };
            Ok((self.value_name(&name)?, content))
        };
        let changes = changes.into_iter().map(change).collect::<Result<Vec<_>, Error>>()?;
        let _layer = self.keep_layer(handle.site, layer.as_deref()).await;
        let layer = self.layer_for(handle, layer.as_deref())?;
        let _in_transaction = self.step_in(handle.site).await;
        let written = changes.iter().filter(|(_, content)| content.is_some());
        let _adding = self.may_add(handle, &layer, written.map(|(name, _)| name)).await?;
        let mut mutations = Vec::with_capacity(changes.len() + 1);
        for (name, content) in changes {
            mutations.push(match content {
                Some(content) => {
                    let (value_type, data) = content.into_parts();
                    self.may_write_here(handle, &name, value_type, &data)?;
                    let (key, name, layer) = (handle.key, name.to_rsi(), layer.clone());
                    Mutation::SetValue { key, name, layer, value_type, data }
                }
                None => {
                    let (name, layer) = (name.folded().into(), layer.folded.clone());
                    Mutation::DeleteValue { key: handle.key, name, layer }
                }
            });
        }
        let sequence = self.change_values(handle, Vec::new(), mutations).await?;
        Ok(SetValueAnswer { sequence })
    }

    /// Keeps others from adding entries to the values that get some in another layer than `base`, which have room
    /// for them.
    async fn may_add(
        &self,
        handle: &KeyHandle,
        layer: &Name,
        names: impl IntoIterator<Item = &ValueName>,
    ) -> Result<Vec<Guard<'_>>, Error> {
        let mut guards = Vec::new();
        // `base` always has its place; the others share what MaxLayersPerValue leaves. A transaction looks at
        // it again when it commits.
        if layer.folded != BASE_LAYER {
            // In their order, so that nobody waits for somebody who waits for him.
            let names: BTreeMap<&str, &ValueName> =
                names.into_iter().map(|name| (name.folded(), name)).collect();
            for (folded, name) in names {
                guards.push(self.locks.value(handle.site, handle.key, folded).await);
                self.check_layers_of_value(handle, name, layer).await?;
            }
        }
        Ok(guards)
    }

    /// Removes a layer's mask over every value; one that is not there is no error.
    pub async fn clear_blanket(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        let _layer = self.keep_layer(handle.site, request.layer.as_deref()).await;
        let layer = self.layer_for(&handle, request.layer.as_deref())?.folded;
        let _in_transaction = self.step_in(handle.site).await;
        let clear = Mutation::ClearBlanket { key: handle.key, layer };
        self.change_values(&handle, Vec::new(), [clear].into()).await?;
        Ok(())
    }

    /// Changes of a key's values; gives the sequence number of the first.
    async fn change_values(
        &self,
        handle: &KeyHandle,
        conditions: Vec<Condition>,
        mut mutations: Vec<Mutation>,
    ) -> Result<u64, Error> {
        self.with(|state| state.may_touch_values(&handle.chain))?;
        mutations.push(touch(handle.key, self.backend.now()));
        self.change(handle.site, &[&handle.chain], conditions, mutations).await
    }

    /// A key handle that has these rights.
    pub(super) fn key_with(&self, id: HandleId, rights: Access) -> Result<Rc<KeyHandle>, Error> {
        let handle = self.key(id)?;
        handle.require(rights).map(|()| handle)
    }

    /// The next effective value of a listing.
    pub(super) async fn next_value(
        &self,
        listing: &mut ValueListing<'_>,
    ) -> Result<Option<ValueEntry>, Error> {
        loop {
            let Some(entries) = self.next_name(listing).await? else {
                return Ok(None);
            };
            let winner =
                self.resolve_value(listing.site, listing.view, entries, &listing.blankets)?;
            if winner.is_some() {
                return Ok(winner);
            }
        }
    }

    /// All entries of the next name of a listing.
    async fn next_name(
        &self,
        listing: &mut ValueListing<'_>,
    ) -> Result<Option<Vec<ValueEntry>>, Error> {
        while !listing.holds_whole_name() {
            let after = listing.next.take();
            let page = self.values_page(listing.site, listing.key, after).await?;
            listing.pending.extend(page.entries);
            listing.blankets = page.blankets;
            listing.more = page.next.is_some();
            listing.next = page.next;
        }
        let Some(name) = listing.pending.front().map(|entry| entry.name.folded.clone()) else {
            return Ok(None);
        };
        let count = listing.pending.iter().take_while(|entry| entry.name.folded == name).count();
        listing.last = name;
        Ok(Some(listing.pending.drain(..count).collect()))
    }
}

/// The sequence number of an entry as clients see it: 0 for what is not committed.
pub(super) fn committed(sequence: u64) -> u64 {
    if sequence < PENDING { sequence } else { 0 }
}

/// A walk over all values of a key, in the order of their folded names, holding about a page at a time.
pub(super) struct ValueListing<'v> {
    site: Site,
    view: &'v View,
    key: Guid,
    pending: alloc::collections::VecDeque<ValueEntry>,
    blankets: Vec<BlanketEntry>,
    /// There is more than what is pending, behind `next`.
    more: bool,
    next: Option<ValuePosition>,
    /// The folded name that was taken last.
    last: alloc::string::String,
}

impl<'v> ValueListing<'v> {
    /// A walk that goes on after a folded name.
    pub(super) fn new(
        site: Site,
        view: &'v View,
        key: Guid,
        cursor: Option<alloc::string::String>,
    ) -> ValueListing<'v> {
        let (pending, blankets) = (Default::default(), Vec::new());
        let last = cursor.clone().unwrap_or_default();
        let next = cursor.map(|name| ValuePosition { name, layer: None });
        ValueListing { site, view, key, pending, blankets, more: true, next, last }
    }

    /// Whether all entries of the next name are here, or there is no next name.
    fn holds_whole_name(&self) -> bool {
        let Some(first) = self.pending.front() else { return !self.more };
        let whole = match &self.next {
            None => true,
            Some(ValuePosition { layer: None, .. }) => true,
            Some(ValuePosition { name, .. }) => *name != first.name.folded,
        };
        !self.more || whole
    }
}
