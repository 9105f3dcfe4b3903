//! Operations that change which keys there are: create, delete, hide, unhide.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::vec::Vec;

use futures_util::StreamExt;
use futures_util::stream;
use hashbrown::HashSet;
use lcs_abi::Guid;
use lcs_abi::call;
use lcs_abi::rsi::{Answer, Condition, KeyRecord, Mutation, Name, PathEntry, Request, Target};
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;

use super::Registry;
use super::backend::Backend;
use super::cache::Touched;
use super::chain::Chain;
use super::error::{Error, NotFound};
use super::handles::{HandleId, KeyHandle};
use super::hives::SlotId;
use super::locks::Guard;
use super::open::Place;
use super::reading::{Entries, Site};
use super::security::Asking;
use super::settings::Setting;
use crate::model::View;
use crate::model::name::KeyName;
use crate::model::path::join;
use crate::security::{Privileges, SecurityDescriptor, Token, inherited};

/// How often an operation starts anew when a step that timed out earlier took effect under it after all.
const ATTEMPTS: usize = 3;

/// How many orphaned keys are dropped at once.
const DROPPED_AT_ONCE: usize = 256;

/// A key to be made.
pub(super) struct NewKey<'a> {
    pub(super) name: &'a KeyName,
    pub(super) volatile: bool,
    /// It is a link, and this is its target, if that is known.
    pub(super) link: Option<Option<&'a str>>,
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

/// What belongs to the same step as a change of an entry.
#[derive(Default)]
pub(super) struct More {
    pub(super) conditions: Vec<Condition>,
    pub(super) mutations: Vec<Mutation>,
    /// The way to a key that it writes to.
    pub(super) chain: Option<Rc<Chain>>,
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
    parent: Rc<Chain>,
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
        let _layer = match new.maker {
            Maker::Client(_, layer) => self.keep_layer(parent.site, layer).await,
            Maker::Lcs(_) => None,
        };
        for _ in 0..ATTEMPTS {
            match self.open_or_create(parent, &new).await {
                Err(Error::ConditionFailed) => {}
                child => return child,
            }
        }
        Err(Error::ConditionFailed)
    }

    async fn open_or_create(&self, parent: &Place, new: &NewKey<'_>) -> Result<Child, Error> {
        let mut held = self.hold(parent.site, &parent.chain, new.name, parent.key).await?;
        if let Some(record) = self.visible_child(parent, &mut held.found)? {
            return Ok(Child::Found(record));
        }
        // What it says of its security stays so while the lock on the parent is held.
        let parent_record = self.read_key(parent.site, parent.key).await?;
        let parent_sd = self.descriptor(parent.site.slot, &parent_record)?;
        let Admitted { layer, sd, access } = self.may_create(parent, &parent_sd, new).await?;
        self.check_place(parent, new.name)?;
        self.may_create_here(parent, new, &layer)?;
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
            link: new.link.is_some(),
            last_write: self.backend.now(),
        };
        let mut more = More::default();
        more.mutations.push(Mutation::CreateKey(record.clone()));
        if let Some(Some(target)) = new.link {
            more.mutations.push(Mutation::SetValue {
                key: record.key,
                name: Name::default(),
                layer: layer.clone(),
                value_type: ValueType::Link.code(),
                data: target.as_bytes().into(),
            });
        }
        let target = Some(Target::Key(record.key));
        self.write_entry(&held, layer, target, more).await?;
        drop(held);
        if let Maker::Client(asking, _) = new.maker {
            self.layer_created(parent, &record.name.display, asking.token().user());
        }
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
                let layer = self.writable_layer(None, &token, None, None)?;
                return Ok(Admitted { layer, sd, access: Access::KEY_ALL_ACCESS });
            }
            Maker::Client(asking, layer) => (asking, layer),
        };
        if let Some(bounds) = &asking.bounds {
            bounds.require(Access::CREATE_SUB_KEY)?;
        }
        let mut create = Access::CREATE_SUB_KEY;
        if new.link.is_some() {
            create |= Access::CREATE_LINK;
            asking.bounds.as_ref().map_or(Ok(()), |bounds| bounds.require(Access::CREATE_LINK))?;
        }
        self.grant(parent_sd, &parent.path, &asking.caller, &create.into()).await?;
        let token = asking.token();
        if new.link.is_some() && !token.is_administrator() && !token.holds(Privileges::TCB) {
            return Err(Error::PrivilegeMissing);
        }
        let transaction = parent.site.transaction;
        let layer = self.writable_layer(transaction, asking.token(), asking.layers(), *layer)?;
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
        self.delete_key_of(&*self.key(id)?, request).await
    }

    /// Removes a layer's entry for a key.
    pub(super) async fn delete_key_of(
        &self,
        handle: &KeyHandle,
        request: call::LayerOnly,
    ) -> Result<(), Error> {
        self.require_structural(handle)?;
        let site = handle.site;
        let _layer = self.keep_layer(site, request.layer.as_deref()).await;
        let layer = self.layer_for(handle, request.layer.as_deref())?;
        let deleted_layer = self.may_delete_here(handle, &layer)?;
        let goes = match &deleted_layer {
            Some(layer) if site.transaction.is_none() => {
                Some(self.locks.layer_goes(layer.folded()).await)
            }
            _ => None,
        };
        let (parent, name) = handle.named()?;
        let held = self.hold(site, parent, name, handle.key).await?;
        let Some(Target::Key(victim)) = held.target(&layer) else {
            return Err(Error::NotFound(NotFound::Key));
        };
        if victim != handle.key {
            let record = held.found.keys.get(&victim);
            let record =
                record.ok_or_else(|| self.malformed(site.slot, "impossible path entries"))?;
            self.require_on(site.slot, record, &handle.token, Access::DELETE)?;
        }
        let victim_goes = self.locks.key_goes(site, victim).await;
        if self.has_visible_children(site, victim).await? {
            return Err(Error::NotEmpty);
        }
        let mut others =
            held.found.entries.iter().filter(|entry| entry.layer.folded != layer.folded);
        let still_named = others.any(|entry| entry.target == Target::Key(victim));
        let more = match &deleted_layer {
            Some(layer) if site.transaction.is_none() => self.note_deletion(layer).await?,
            _ => More::default(),
        };
        self.write_entry(&held, layer, None, more).await?;
        match site.transaction {
            Some(id) if !still_named => self.deleted_in(id, site.slot, victim)?,
            None if !still_named => self.orphaned(site.slot, [victim].into()).await,
            _ => {}
        }
        if let Some(layer) = deleted_layer
            && site.transaction.is_none()
        {
            drop((victim_goes, held, goes));
            self.layer_deleted(&layer, handle.token.user()).await;
        }
        Ok(())
    }

    /// Writes a HIDDEN entry over the handle's key, in a layer that does not name a key there itself: its
    /// entry would be lost, and with it the key.
    pub async fn hide_key(&self, id: HandleId, request: call::LayerOnly) -> Result<(), Error> {
        let handle = self.key(id)?;
        self.require_structural(&handle)?;
        let _layer = self.keep_layer(handle.site, request.layer.as_deref()).await;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        self.may_hide_here(&handle)?;
        let (parent, name) = handle.named()?;
        let held = self.hold(handle.site, parent, name, handle.key).await?;
        if let Some(Target::Key(_)) = held.target(&layer) {
            return Err(Error::AlreadyExists);
        }
        self.write_entry(&held, layer, Some(Target::Hidden), More::default()).await
    }

    /// Removes a HIDDEN entry under the handle's key.
    ///
    /// # Errors
    /// `Invalid` unless the layer's entry is HIDDEN.
    pub async fn unhide(&self, id: HandleId, request: call::Unhide) -> Result<(), Error> {
        let handle = self.key_with(id, Access::CREATE_SUB_KEY)?;
        self.require_named(handle.site, handle.key)?;
        let child = self.key_name(&request.child)?;
        let _layer = self.keep_layer(handle.site, request.layer.as_deref()).await;
        let layer = self.layer_for(&handle, request.layer.as_deref())?;
        let held = self.hold(handle.site, &handle.chain, &child, handle.key).await?;
        if held.target(&layer) != Some(Target::Hidden) {
            return Err(Error::Invalid("the layer does not hide this name"));
        }
        self.write_entry(&held, layer, None, More::default()).await
    }

    /// Holds a name under a parent. `named` is the key that the operation is about: it may have been
    /// deleted while the locks were waited for.
    async fn hold<'a>(
        &'a self,
        site: Site,
        parent: &Rc<Chain>,
        name: &'a KeyName,
        named: Guid,
    ) -> Result<HeldName<'a>, Error> {
        let step = self.locks.steps(site).await;
        let parent_stays = self.locks.key_stays(site, parent.key).await;
        let name_stays = self.locks.name(site, parent.key, name.folded()).await;
        self.require_named(site, named)?;
        let found = self.lookup(site, parent.key, name).await?;
        let parent = Rc::clone(parent);
        Ok(HeldName { site, parent, name, found, _guards: [step, parent_stays, name_stays] })
    }

    /// Makes a layer's entry for a held name say this (`None`: nothing), together with more that belongs to the
    /// same step.
    async fn write_entry(
        &self,
        held: &HeldName<'_>,
        layer: Name,
        target: Option<Target>,
        more: More,
    ) -> Result<(), Error> {
        let (parent, name) = (held.parent.key, held.name.to_rsi());
        let mut conditions = Vec::from([
            Condition::KeyExists { key: parent },
            Condition::EntryIs {
                parent,
                name: name.folded.clone(),
                layer: layer.folded.clone(),
                target: held.target(&layer),
            },
        ]);
        conditions.extend(more.conditions);
        let entry = match target {
            Some(target) => Mutation::SetEntry { parent, name, layer, target },
            None => Mutation::DeleteEntry { parent, name: name.folded, layer: layer.folded },
        };
        // A key is made before anything names it or belongs to it.
        let (mut mutations, others): (Vec<Mutation>, Vec<Mutation>) = more
            .mutations
            .into_iter()
            .partition(|mutation| matches!(mutation, Mutation::CreateKey(_)));
        mutations.push(entry);
        mutations.extend(others);
        mutations.push(touch(parent, self.backend.now()));
        let chains: Vec<&Rc<Chain>> =
            [&held.parent].into_iter().chain(more.chain.as_ref()).collect();
        self.change(held.site, &chains, conditions, mutations).await?;
        Ok(())
    }

    /// Fails unless the entries of the handle's own key may be changed: it has DELETE, and its key is named and
    /// no root.
    fn require_structural(&self, handle: &KeyHandle) -> Result<(), Error> {
        handle.require(Access::DELETE)?;
        if handle.is_hive_root() {
            return Err(Error::Invalid("a hive's root stays"));
        }
        self.require_named(handle.site, handle.key)
    }

    /// Whether a key has children that the global view shows.
    pub(super) async fn has_visible_children(&self, site: Site, key: Guid) -> Result<bool, Error> {
        let view = View::default();
        let mut page = self.children(site, key, None).await?;
        loop {
            for same_name in by_name(&page.entries) {
                if self.resolve_name(site, &view, same_name)?.is_some() {
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
        let touched = Touched::key(slot, key);
        match self.ask_to_change(slot, Request::DropKey { key }, touched).await {
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
