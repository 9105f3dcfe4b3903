//! From paths to handles.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::Guid;
use lcs_abi::call::{CREATE_VOLATILE, Derive, OPEN_LINK};
use lcs_abi::rsi::KeyRecord;
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::error::{Error, NotFound};
use super::handles::{Handle, HandleId, KeyHandle};
use super::hives::SlotId;
use super::reading::Entries;
use super::settings::Setting;
use super::structure::NewKey;
use crate::model::name::KeyName;
use crate::model::path::{CURRENT_USER, KeyPath, join};
use crate::security::Token;

/// A key on the way along a path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) slot: SlotId,
    pub(super) key: Guid,
    /// The path so far, as the keys' creators spelled it.
    pub(super) path: String,
    /// Components of that path.
    pub(super) depth: usize,
}

/// Where a path leads.
struct Reached {
    place: Place,
    record: KeyRecord,
    created: bool,
}

impl<B: Backend> Registry<B> {
    /// A handle to the registry as a whole, for the caller with this token.
    pub fn open_root(&self, token: Token) -> Result<HandleId, Error> {
        self.with(|state| state.handles.insert(Handle::Root(token)))
    }

    /// A handle derived from another, or from the registry as a whole, for the caller with this token.
    ///
    /// # Errors
    /// Nothing was made, and for a caller without the right no source was asked.
    pub async fn derive(
        &self,
        base: Option<HandleId>,
        token: Token,
        derive: Derive,
    ) -> Result<HandleId, Error> {
        let base = match base {
            Some(base) => self.with(|state| state.handles.get(base))?,
            None => Handle::Root(token),
        };
        let (access, reached) = match derive {
            Derive::OpenKey { path, access, flags } => {
                if flags & !OPEN_LINK != 0 {
                    return Err(Error::Invalid("unknown flag"));
                }
                let access = token.check(access)?;
                (access, self.open(&base, token, &path).await?)
            }
            Derive::CreateKey { path, access, layer, flags, link_target } => {
                if flags & !CREATE_VOLATILE != 0 || link_target.is_some() {
                    return Err(Error::NotSupported);
                }
                let access = token.check(access)?;
                let volatile = flags & CREATE_VOLATILE != 0;
                (access, self.open_new(&base, token, &path, layer.as_deref(), volatile).await?)
            }
            _ => return Err(Error::NotSupported),
        };
        self.admit(reached, access)
    }

    /// Closes a handle. The key of the last one of an orphan is dropped.
    pub async fn close(&self, handle: HandleId) {
        if let Some((slot, key)) = self.with(|state| state.handles.remove(handle)) {
            self.drop_orphans(slot, [key].into()).await;
        }
    }

    fn admit(&self, reached: Reached, access: Access) -> Result<HandleId, Error> {
        let Reached { place, record, created } = reached;
        let name = KeyName::new(&record.name.display, usize::MAX)?;
        let handle = KeyHandle {
            slot: place.slot,
            key: record.key,
            parent: record.parent,
            name,
            path: place.path,
            depth: place.depth,
            access,
            created,
        };
        self.with(|state| state.handles.insert(Handle::Key(Rc::new(handle))))
    }

    async fn open(&self, base: &Handle, token: Token, path: &str) -> Result<Reached, Error> {
        let (start, path) = self.start(base, token, path).await?;
        self.follow(start, path.components()).await
    }

    async fn open_new(
        &self,
        base: &Handle,
        token: Token,
        path: &str,
        layer: Option<&str>,
        volatile: bool,
    ) -> Result<Reached, Error> {
        let (start, path) = self.start(base, token, path).await?;
        let Some((name, parents)) = path.components().split_last() else {
            // A hive's root, which is there; a key cannot be created over itself.
            return match base {
                Handle::Root(_) => self.follow(start, &[]).await,
                Handle::Key(_) => Err(Error::Invalid("empty path")),
            };
        };
        let parent = self.follow(start, parents).await?;
        // A key that is visible is opened, and the layer not looked at.
        let layer = self.layer(layer);
        let new = NewKey { name, layer, volatile, token };
        let (record, created) = self.create_child(&parent.place, &parent.record, new).await?;
        Ok(Reached { place: parent.place.child(&record), record, created })
    }

    /// Where a path starts, and what of it remains to be followed.
    async fn start(
        &self,
        base: &Handle,
        token: Token,
        path: &str,
    ) -> Result<(Place, KeyPath), Error> {
        let (max_component, max_length) = self.with(|state| {
            let size = |setting| state.settings.size(setting);
            (size(Setting::MaxPathComponentLength), size(Setting::MaxTotalPathLength))
        });
        let path = KeyPath::parse(path, max_component, max_length)?;
        match base {
            Handle::Key(handle) => {
                self.with(|state| state.handles.require_named(handle.slot, handle.key))?;
                let (slot, key, depth) = (handle.slot, handle.key, handle.depth);
                Ok((Place { slot, key, path: handle.path.clone(), depth }, path))
            }
            Handle::Root(_) => self.start_at_root(token, path).await,
        }
    }

    async fn start_at_root(&self, token: Token, path: KeyPath) -> Result<(Place, KeyPath), Error> {
        let Some((hive, rest)) = path.components().split_first() else {
            return Err(Error::Invalid("empty path"));
        };
        if hive.folded() != CURRENT_USER {
            return Ok((self.hive_root(hive)?, KeyPath::from(rest.to_vec())));
        }
        let user = self.key_name(&token.user_sid())?;
        let users = self.hive_root(&self.key_name("Users")?)?;
        self.user_key(&users, &user).await?;
        let rest = [user].into_iter().chain(rest.iter().cloned()).collect::<Vec<_>>();
        Ok((users, KeyPath::from(rest)))
    }

    /// A hive's root.
    pub(super) fn hive_root(&self, hive: &KeyName) -> Result<Place, Error> {
        self.with(|state| {
            let slot = state.hives.global(hive.folded());
            let slot = slot
                .filter(|slot| state.hives.get(*slot).is_some_and(|slot| slot.was_registered()));
            let slot = slot.ok_or(Error::NotFound(NotFound::Hive))?;
            let (_, root) = state.hives.address(slot).ok_or(Error::SourceDown)?;
            let name = state.hives.get(slot).map(|slot| slot.name.display().into());
            Ok(Place { slot, key: root, path: name.unwrap_or_default(), depth: 1 })
        })
    }

    async fn follow(&self, start: Place, names: &[KeyName]) -> Result<Reached, Error> {
        let mut place = start;
        let mut record = None;
        for name in names {
            let found = self.child(&place, name).await?.ok_or(Error::NotFound(NotFound::Key))?;
            place = place.child(&found);
            record = Some(found);
        }
        let record = match record {
            Some(record) => record,
            None => self.read_key(place.slot, place.key).await?,
        };
        Ok(Reached { place, record, created: false })
    }

    /// The child of this name, if one is visible.
    pub(super) async fn child(
        &self,
        parent: &Place,
        name: &KeyName,
    ) -> Result<Option<KeyRecord>, Error> {
        let mut found = self.lookup(parent.slot, parent.key, name).await?;
        self.visible_child(parent.slot, &mut found)
    }

    /// The key that these entries of one name lead to.
    pub(super) fn visible_child(
        &self,
        slot: SlotId,
        found: &mut Entries,
    ) -> Result<Option<KeyRecord>, Error> {
        let key = self.resolve_name(slot, &found.entries)?;
        match key.and_then(|key| found.keys.remove(&key)) {
            // Links are not followed yet, and no operation makes one.
            Some(record) if record.link => Err(Error::NotSupported),
            record => Ok(record),
        }
    }
}

impl Place {
    /// The place of a child.
    pub(super) fn child(&self, record: &KeyRecord) -> Place {
        Place {
            slot: self.slot,
            key: record.key,
            path: join(&self.path, &record.name.display),
            depth: self.depth + 1,
        }
    }
}
