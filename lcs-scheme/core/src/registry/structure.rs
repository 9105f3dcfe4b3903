//! Operations that change which keys there are: create, delete, hide, unhide.

use alloc::vec::Vec;

use hashbrown::HashSet;
use lcs_abi::Guid;
use lcs_abi::call;
use lcs_abi::rsi::{Answer, Condition, KeyRecord, Mutation, Name, PathEntry, Request, Target};
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::error::{Error, NotFound};
use super::handles::{HandleId, KeyHandle};
use super::hives::SlotId;
use super::open::Place;
use super::settings::Setting;
use crate::model::name::KeyName;
use crate::model::path::join;
use crate::security::Token;

/// How often an operation starts anew when a step that timed out earlier took effect under it after all.
const ATTEMPTS: usize = 3;

/// A key to be made.
pub(super) struct NewKey<'a> {
    pub(super) name: &'a KeyName,
    /// The layer of its entry; an error counts only if there is something to make.
    pub(super) layer: Result<Name, Error>,
    pub(super) volatile: bool,
    pub(super) token: Token,
}

impl<B: Backend> Registry<B> {
    /// The child of this name: the visible one, or a new one. Tells which.
    pub(super) async fn create_child(
        &self,
        parent: &Place,
        parent_record: &KeyRecord,
        new: NewKey<'_>,
    ) -> Result<(KeyRecord, bool), Error> {
        for _ in 0..ATTEMPTS {
            match self.open_or_create(parent, parent_record, &new).await {
                Err(Error::ConditionFailed) => {}
                Ok((record, created)) => {
                    if created {
                        self.structure_changed(parent.slot, parent.depth + 1).await;
                    }
                    return Ok((record, created));
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::ConditionFailed)
    }

    async fn open_or_create(
        &self,
        parent: &Place,
        parent_record: &KeyRecord,
        new: &NewKey<'_>,
    ) -> Result<(KeyRecord, bool), Error> {
        let slot = parent.slot;
        let _parent = self.locks.key_stays(slot, parent.key).await;
        let _name = self.locks.name(slot, parent.key, new.name.folded()).await;
        self.require_named(slot, parent.key)?;
        let mut found = self.lookup(slot, parent.key, new.name).await?;
        if let Some(record) = self.visible_child(slot, &mut found)? {
            return Ok((record, false));
        }
        new.token.check(Access::CREATE_SUB_KEY.bits())?;
        let layer = new.layer.clone()?;
        self.check_place(parent, new.name)?;
        if parent_record.volatile && !new.volatile {
            return Err(Error::Invalid("a key under a volatile one is volatile"));
        }
        let old = found.of_layer(&layer.folded).map(|entry| entry.target);
        if matches!(old, Some(Target::Key(_))) {
            return Err(Error::AlreadyExists);
        }
        let record = self.create(parent, parent_record, new, layer, old).await?;
        Ok((record, true))
    }

    /// Makes a key where the layer's entry is known.
    async fn create(
        &self,
        parent: &Place,
        parent_record: &KeyRecord,
        new: &NewKey<'_>,
        layer: Name,
        old: Option<Target>,
    ) -> Result<KeyRecord, Error> {
        let now = self.backend.now();
        let record = KeyRecord {
            key: self.backend.new_guid(),
            parent: parent.key,
            name: new.name.to_rsi(),
            sd: parent_record.sd.clone(),
            volatile: new.volatile,
            link: false,
            last_write: now,
        };
        let conditions = [
            Condition::KeyExists { key: parent.key },
            entry_is(parent.key, new.name.folded(), &layer.folded, old),
        ];
        let mutations = [
            Mutation::CreateKey(record.clone()),
            Mutation::SetEntry {
                parent: parent.key,
                name: new.name.to_rsi(),
                layer,
                target: Target::Key(record.key),
            },
            touch(parent.key, now),
        ];
        self.step(parent.slot, conditions.into(), mutations.into()).await?;
        Ok(record)
    }

    fn check_place(&self, parent: &Place, name: &KeyName) -> Result<(), Error> {
        let length = join(&parent.path, name.display()).len();
        self.with(|state| {
            if parent.depth >= state.settings.size(Setting::MaxKeyDepth) {
                Err(Error::Invalid("MaxKeyDepth exceeded"))
            } else if length > state.settings.size(Setting::MaxTotalPathLength) {
                Err(Error::NameTooLong)
            } else {
                Ok(())
            }
        })
    }

    /// Removes a layer's entry for the handle's key.
    ///
    /// # Errors
    /// `NotFound` where the layer has no entry or a HIDDEN one, `NotEmpty` where the key that would go has
    /// children visible in the global view, `Invalid` for a hive's root.
    pub async fn delete_key(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.structural(id)?;
        let layer = self.layer(request.layer.as_deref())?;
        let (slot, parent) = (handle.slot, handle.parent);
        let _parent = self.locks.key_stays(slot, parent).await;
        let _name = self.locks.name(slot, parent, handle.name.folded()).await;
        self.require_named(slot, handle.key)?;
        let found = self.lookup(slot, parent, &handle.name).await?;
        let Some(Target::Key(victim)) = found.of_layer(&layer.folded).map(|entry| entry.target)
        else {
            return Err(Error::NotFound(NotFound::Key));
        };
        let _victim = self.locks.key_goes(slot, victim).await;
        if self.has_visible_children(slot, victim).await? {
            return Err(Error::NotEmpty);
        }
        let folded = handle.name.folded();
        let conditions = [entry_is(parent, folded, &layer.folded, Some(Target::Key(victim)))];
        let mutations = [
            Mutation::DeleteEntry { parent, name: folded.into(), layer: layer.folded.clone() },
            touch(parent, self.backend.now()),
        ];
        self.step(slot, conditions.into(), mutations.into()).await?;
        let still_named = found
            .entries
            .iter()
            .any(|entry| entry.layer.folded != layer.folded && entry.target == Target::Key(victim));
        if !still_named {
            self.orphaned(slot, victim).await;
        }
        self.structure_changed(slot, handle.depth).await;
        Ok(())
    }

    /// Writes a HIDDEN entry over the handle's key, in a layer that does not name a key there itself: its
    /// entry would be lost, and with it the key.
    pub async fn hide_key(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.structural(id)?;
        let layer = self.layer(request.layer.as_deref())?;
        let (slot, parent) = (handle.slot, handle.parent);
        let _parent = self.locks.key_stays(slot, parent).await;
        let _name = self.locks.name(slot, parent, handle.name.folded()).await;
        self.require_named(slot, handle.key)?;
        let found = self.lookup(slot, parent, &handle.name).await?;
        let old = found.of_layer(&layer.folded).map(|entry| entry.target);
        if matches!(old, Some(Target::Key(_))) {
            return Err(Error::AlreadyExists);
        }
        let name = handle.name.to_rsi();
        let conditions = [entry_is(parent, &name.folded, &layer.folded, old)];
        let mutations = [
            Mutation::SetEntry { parent, name, layer, target: Target::Hidden },
            touch(parent, self.backend.now()),
        ];
        self.step(slot, conditions.into(), mutations.into()).await?;
        self.structure_changed(slot, handle.depth).await;
        Ok(())
    }

    /// Removes a HIDDEN entry under the handle's key.
    ///
    /// # Errors
    /// `Invalid` unless the layer's entry is HIDDEN.
    pub async fn unhide(&self, id: HandleId, request: call::Unhide) -> Result<(), Error> {
        let handle = self.with(|state| {
            let handle = state.handles.key(id)?;
            handle.require(Access::CREATE_SUB_KEY)?;
            state.handles.require_named(handle.slot, handle.key).map(|()| handle)
        })?;
        let child = self.key_name(&request.child)?;
        let layer = self.layer(request.layer.as_deref())?;
        let (slot, parent) = (handle.slot, handle.key);
        let _parent = self.locks.key_stays(slot, parent).await;
        let _name = self.locks.name(slot, parent, child.folded()).await;
        self.require_named(slot, parent)?;
        let found = self.lookup(slot, parent, &child).await?;
        if found.of_layer(&layer.folded).map(|entry| entry.target) != Some(Target::Hidden) {
            return Err(Error::Invalid("the layer does not hide this name"));
        }
        let (name, layer) = (child.folded(), layer.folded.as_str());
        let conditions = [entry_is(parent, name, layer, Some(Target::Hidden))];
        let mutations = [
            Mutation::DeleteEntry { parent, name: name.into(), layer: layer.into() },
            touch(parent, self.backend.now()),
        ];
        self.step(slot, conditions.into(), mutations.into()).await?;
        self.structure_changed(slot, handle.depth + 1).await;
        Ok(())
    }

    /// A handle whose key's own entries may be changed: it has DELETE, and its key is named and no root.
    fn structural(&self, id: HandleId) -> Result<alloc::rc::Rc<KeyHandle>, Error> {
        self.with(|state| {
            let handle = state.handles.key(id)?;
            handle.require(Access::DELETE)?;
            if handle.is_hive_root() {
                return Err(Error::Invalid("a hive's root stays"));
            }
            state.handles.require_named(handle.slot, handle.key).map(|()| handle)
        })
    }

    /// Fails if the key was deleted. Asked again under a lock, because that may have happened while the lock
    /// was waited for.
    pub(super) fn require_named(&self, slot: SlotId, key: Guid) -> Result<(), Error> {
        self.with(|state| state.handles.require_named(slot, key))
    }

    async fn has_visible_children(&self, slot: SlotId, key: Guid) -> Result<bool, Error> {
        let mut page = self.children(slot, key, None).await?;
        loop {
            for same_name in by_name(&page.entries) {
                if self.resolve_name(slot, same_name)?.is_some() {
                    return Ok(true);
                }
            }
            match page.entries.last() {
                Some(last) if page.more => {
                    page = self.children(slot, key, Some(&last.name.folded)).await?;
                }
                _ => return Ok(false),
            }
        }
    }

    /// No entry names the key any more: it goes now, or with its last handle.
    async fn orphaned(&self, slot: SlotId, key: Guid) {
        if self.with(|state| state.handles.orphan(slot, key)) {
            self.drop_orphans(slot, [key].into()).await;
        }
    }

    /// Drops keys that no entry names and nobody has open, and those that thereby become such. Where the
    /// source fails nothing is lost: it purges orphans itself before it registers again.
    pub(super) async fn drop_orphans(&self, slot: SlotId, mut orphans: Vec<Guid>) {
        let mut dropped = HashSet::new();
        while let Some(key) = orphans.pop() {
            if !dropped.insert(key) {
                continue;
            }
            match self.ask(slot, Request::DropKey { key }).await {
                Ok(Answer::Orphans(keys)) => orphans.extend(self.with(|state| {
                    let unopened = |key: &Guid| state.handles.orphan(slot, *key);
                    keys.into_iter().filter(unopened).collect::<Vec<_>>()
                })),
                Ok(_) => {
                    self.malformed(slot, "answer of another kind");
                }
                Err(error) => log::warn!("orphaned key {key} stays for now: {error}"),
            }
        }
    }
}

/// The entries of a page, name by name.
pub(super) fn by_name(entries: &[PathEntry]) -> impl Iterator<Item = &[PathEntry]> {
    entries.chunk_by(|a, b| a.name.folded == b.name.folded)
}

/// Moves a key's last write.
pub(super) fn touch(key: Guid, now: i64) -> Mutation {
    Mutation::WriteKey { key, sd: None, last_write: Some(now) }
}

fn entry_is(parent: Guid, name: &str, layer: &str, target: Option<Target>) -> Condition {
    Condition::EntryIs { parent, name: name.into(), layer: layer.into(), target }
}
