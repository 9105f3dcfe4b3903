//! Operations that change which keys there are: create, delete, hide, unhide.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use futures_util::StreamExt;
use futures_util::stream;
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
use super::locks::Guard;
use super::open::Place;
use super::reading::{Entries, Site};
use super::security::Asking;
use super::settings::Setting;
use crate::model::name::KeyName;
use crate::model::path::join;
use crate::security::{SecurityDescriptor, Token, inherited};

/// How often an operation starts anew when a step that timed out earlier took effect under it after all.
const ATTEMPTS: usize = 3;

/// How many orphaned keys are dropped at once.
const DROPPED_AT_ONCE: usize = 256;

/// A key to be made.
pub(super) struct NewKey<'a> {
    pub(super) name: &'a KeyName,
    pub(super) volatile: bool,
    pub(super) maker: Maker<'a>,
}

/// Who makes a key.
pub(super) enum Maker<'a> {
    /// LCS itself, in `base`, with this security descriptor, or what is inherited.
    Lcs(Option<&'a SecurityDescriptor>),
    /// A client, in this layer, if it may.
    Client(&'a Asking, Option<&'a str>),
}

/// What came of making a key.
pub(super) enum Child {
    /// It is visible already; whether it may be opened is to be seen.
    Found(KeyRecord),
    /// It was made, and its maker is granted this on it.
    Made(KeyRecord, Access),
}

impl Child {
    /// The key's record.
    pub(super) fn into_record(self) -> KeyRecord {
        match self {
            Child::Found(record) | Child::Made(record, _) => record,
        }
    }
}

/// A key that may be made.
struct Admitted<'a> {
    /// The layer of its entry.
    layer: Name,
    sd: Cow<'a, SecurityDescriptor>,
    /// What its maker is granted on it.
    access: Access,
}

/// A name under a parent, held so that nobody else changes what its entries say, and that the parent stays:
/// nobody at all, or, in a transaction, nobody else in it.
struct HeldName<'a> {
    site: Site,
    parent: Guid,
    name: &'a KeyName,
    /// What the entries say.
    found: Entries,
    _guards: [Guard<'a>; 3],
}

impl HeldName<'_> {
    /// What a layer's entry says.
    fn target(&self, layer: &Name) -> Option<Target> {
        let entry = self.found.entries.iter().find(|entry| entry.layer.folded == layer.folded);
        entry.map(|entry| entry.target)
    }
}

impl<B: Backend> Registry<B> {
    /// The child of this name: the visible one, or a new one.
    pub(super) async fn create_child(
        &self,
        parent: &Place,
        new: NewKey<'_>,
    ) -> Result<Child, Error> {
        for _ in 0..ATTEMPTS {
            match self.open_or_create(parent, &new).await {
                Err(Error::ConditionFailed) => {}
                Ok(child) => {
                    if let Child::Made(..) = child {
                        self.structure_changed(parent.site, parent.depth + 1).await;
                    }
                    return Ok(child);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::ConditionFailed)
    }

    async fn open_or_create(&self, parent: &Place, new: &NewKey<'_>) -> Result<Child, Error> {
        let mut held = self.hold(parent.site, parent.key, new.name, parent.key).await?;
        if let Some(record) = self.visible_child(parent.site.slot, &mut held.found)? {
            return Ok(Child::Found(record));
        }
        // What it says of its security stays so while the lock on the parent is held.
        let parent_record = self.read_key(parent.site, parent.key).await?;
        let parent_sd = self.descriptor(parent.site.slot, &parent_record)?;
        let Admitted { layer, sd, access } = self.may_create(parent, &parent_sd, new).await?;
        self.check_place(parent, new.name)?;
        if parent_record.volatile && !new.volatile {
            return Err(Error::Invalid("a key under a volatile one is volatile"));
        }
        if let Some(Target::Key(_)) = held.target(&layer) {
            return Err(Error::AlreadyExists);
        }
        let record = KeyRecord {
            key: self.backend.new_guid(),
            parent: parent.key,
            name: new.name.to_rsi(),
            sd: sd.to_bytes(),
            volatile: new.volatile,
            link: false,
            last_write: self.backend.now(),
        };
        let target = Some(Target::Key(record.key));
        self.write_entry(&held, layer, target, Some(record.clone())).await?;
        Ok(Child::Made(record, access))
    }

    /// Whether a key may be made here by whom it is made, and what it is then. Nothing has happened before
    /// all of it is decided.
    async fn may_create<'k>(
        &self,
        parent: &Place,
        parent_sd: &SecurityDescriptor,
        new: &'k NewKey<'_>,
    ) -> Result<Admitted<'k>, Error> {
        let (asking, layer) = match &new.maker {
            Maker::Lcs(sd) => {
                let token = Token::system();
                let sd = match sd {
                    Some(sd) => Cow::Borrowed(*sd),
                    None => Cow::Owned(inherited(parent_sd, &token)?),
                };
                let layer = self.writable_layer(&token, None, None)?;
                return Ok(Admitted { layer, sd, access: Access::KEY_ALL_ACCESS });
            }
            Maker::Client(asking, layer) => (asking, layer),
        };
        if let Some(bounds) = &asking.bounds {
            bounds.require(Access::CREATE_SUB_KEY)?;
        }
        let create = Access::CREATE_SUB_KEY.into();
        self.grant(parent_sd, &parent.path, &asking.caller, &create).await?;
        let layer = self.writable_layer(asking.token(), asking.layers(), *layer)?;
        let sd = inherited(parent_sd, asking.token())?;
        let path = join(&parent.path, new.name.display());
        let access = self.grant(&sd, &path, &asking.caller, &asking.desired).await?;
        Ok(Admitted { layer, sd: Cow::Owned(sd), access })
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

    /// Removes a layer's entry for the handle's key. If that entry names another key, DELETE is needed on
    /// that one, too.
    ///
    /// # Errors
    /// `NotFound` where the layer has no entry or a HIDDEN one, `NotEmpty` where the key that would go has
    /// children visible in the global view, `Invalid` for a hive's root.
    pub async fn delete_key(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.structural(id)?;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        let site = handle.site;
        let held = self.hold(site, handle.parent, &handle.name, handle.key).await?;
        let Some(Target::Key(victim)) = held.target(&layer) else {
            return Err(Error::NotFound(NotFound::Key));
        };
        if victim != handle.key {
            let record = held.found.keys.get(&victim);
            let record =
                record.ok_or_else(|| self.malformed(site.slot, "impossible path entries"))?;
            self.require_on(site.slot, record, &handle.token, Access::DELETE)?;
        }
        let _victim = self.locks.key_goes(site, victim).await;
        if self.has_visible_children(site, victim).await? {
            return Err(Error::NotEmpty);
        }
        let mut others =
            held.found.entries.iter().filter(|entry| entry.layer.folded != layer.folded);
        let still_named = others.any(|entry| entry.target == Target::Key(victim));
        self.write_entry(&held, layer, None, None).await?;
        match site.transaction {
            Some(id) if !still_named => self.deleted_in(id, site.slot, victim)?,
            None if !still_named => self.orphaned(site.slot, [victim].into()).await,
            _ => {}
        }
        self.structure_changed(site, handle.depth).await;
        Ok(())
    }

    /// Writes a HIDDEN entry over the handle's key, in a layer that does not name a key there itself: its
    /// entry would be lost, and with it the key.
    pub async fn hide_key(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.structural(id)?;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        let held = self.hold(handle.site, handle.parent, &handle.name, handle.key).await?;
        if let Some(Target::Key(_)) = held.target(&layer) {
            return Err(Error::AlreadyExists);
        }
        self.write_entry(&held, layer, Some(Target::Hidden), None).await?;
        self.structure_changed(handle.site, handle.depth).await;
        Ok(())
    }

    /// Removes a HIDDEN entry under the handle's key.
    ///
    /// # Errors
    /// `Invalid` unless the layer's entry is HIDDEN.
    pub async fn unhide(&self, id: HandleId, request: call::Unhide) -> Result<(), Error> {
        let handle = self.key_with(id, Access::CREATE_SUB_KEY)?;
        self.require_named(handle.site, handle.key)?;
        let child = self.key_name(&request.child)?;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        let held = self.hold(handle.site, handle.key, &child, handle.key).await?;
        if held.target(&layer) != Some(Target::Hidden) {
            return Err(Error::Invalid("the layer does not hide this name"));
        }
        self.write_entry(&held, layer, None, None).await?;
        self.structure_changed(handle.site, handle.depth + 1).await;
        Ok(())
    }

    /// Holds a name under a parent. `named` is the key that the operation is about: it may have been
    /// deleted while the locks were waited for.
    async fn hold<'a>(
        &'a self,
        site: Site,
        parent: Guid,
        name: &'a KeyName,
        named: Guid,
    ) -> Result<HeldName<'a>, Error> {
        let step = self.locks.steps(site).await;
        let parent_stays = self.locks.key_stays(site, parent).await;
        let name_stays = self.locks.name(site, parent, name.folded()).await;
        self.require_named(site, named)?;
        let found = self.lookup(site, parent, name).await?;
        Ok(HeldName { site, parent, name, found, _guards: [step, parent_stays, name_stays] })
    }

    /// Makes a layer's entry for a held name say this (`None`: nothing), together with the key that it is
    /// about to name.
    async fn write_entry(
        &self,
        held: &HeldName<'_>,
        layer: Name,
        target: Option<Target>,
        new_key: Option<KeyRecord>,
    ) -> Result<(), Error> {
        let (parent, name) = (held.parent, held.name.to_rsi());
        let conditions = [
            Condition::KeyExists { key: parent },
            Condition::EntryIs {
                parent,
                name: name.folded.clone(),
                layer: layer.folded.clone(),
                target: held.target(&layer),
            },
        ];
        let entry = match target {
            Some(target) => Mutation::SetEntry { parent, name, layer, target },
            None => Mutation::DeleteEntry { parent, name: name.folded, layer: layer.folded },
        };
        let mut mutations: Vec<Mutation> = new_key.map(Mutation::CreateKey).into_iter().collect();
        mutations.extend([entry, touch(parent, self.backend.now())]);
        self.change(held.site, conditions.into(), mutations).await?;
        Ok(())
    }

    /// A handle whose key's own entries may be changed: it has DELETE, and its key is named and no root.
    fn structural(&self, id: HandleId) -> Result<alloc::rc::Rc<KeyHandle>, Error> {
        let handle = self.key_with(id, Access::DELETE)?;
        if handle.is_hive_root() {
            return Err(Error::Invalid("a hive's root stays"));
        }
        self.require_named(handle.site, handle.key).map(|()| handle)
    }

    pub(super) async fn has_visible_children(&self, site: Site, key: Guid) -> Result<bool, Error> {
        let mut page = self.children(site, key, None).await?;
        loop {
            for same_name in by_name(&page.entries) {
                if self.resolve_name(site.slot, same_name)?.is_some() {
                    return Ok(true);
                }
            }
            let Some(after) = page.next else { return Ok(false) };
            page = self.children(site, key, Some(&after)).await?;
        }
    }

    /// No entry names these keys any more: they go now, or each with its last handle.
    pub(super) async fn orphaned(&self, slot: SlotId, mut keys: Vec<Guid>) {
        self.with(|state| keys.retain(|key| state.handles.orphan(slot, *key)));
        self.drop_orphans(slot, keys).await;
    }

    /// Drops keys that no entry names and nobody has open, and those that thereby become such. Where the
    /// source fails nothing is lost: it purges orphans itself before it registers again.
    pub(super) async fn drop_orphans(&self, slot: SlotId, mut orphans: Vec<Guid>) {
        let mut dropped = HashSet::new();
        while !orphans.is_empty() {
            orphans.retain(|key| dropped.insert(*key));
            let drops = orphans.into_iter().map(|key| self.drop_key(slot, key));
            let below: Vec<Vec<Guid>> =
                stream::iter(drops).buffer_unordered(DROPPED_AT_ONCE).collect().await;
            orphans = below.concat();
            self.with(|state| orphans.retain(|key| state.handles.orphan(slot, *key)));
        }
    }

    /// Drops a key; gives those that no entry names any more.
    async fn drop_key(&self, slot: SlotId, key: Guid) -> Vec<Guid> {
        match self.ask(slot, Request::DropKey { key }).await {
            Ok(Answer::Orphans(keys)) => return keys,
            Ok(_) => {
                self.malformed(slot, "answer of another kind");
            }
            Err(error) => log::warn!("orphaned key {key} stays for now: {error}"),
        }
        Vec::new()
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
