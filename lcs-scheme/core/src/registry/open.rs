//! From paths to handles.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
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
use super::reading::{Entries, Site};
use super::security::{Asking, Caller};
use super::settings::Setting;
use super::structure::{Child, Maker, NewKey};
use crate::model::name::KeyName;
use crate::model::path::{CURRENT_USER, KeyPath, join};
use crate::security::Token;

/// A key on the way along a path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) site: Site,
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
    /// What its maker is granted on it, if it was made just now.
    made: Option<Access>,
}

impl<B: Backend> Registry<B> {
    /// A handle to the registry as a whole, for the caller with this token.
    pub fn open_root(&self, token: Rc<Token>) -> Result<HandleId, Error> {
        self.with(|state| state.insert(Handle::Root(token)))
    }

    /// The key handle with this number. It is used: a transaction that it is in goes on.
    ///
    /// # Errors
    /// `BadHandle`: it is not a key's. `TransactionEnded`: the transaction that it is in is over.
    pub(super) fn key(&self, id: HandleId) -> Result<Rc<KeyHandle>, Error> {
        let handle = self.with(|state| state.handles.key(id))?;
        self.used(handle.site.transaction).map(|()| handle)
    }

    /// A handle derived from another, or from the registry as a whole, for this caller.
    ///
    /// # Errors
    /// Nothing was made. For what is not granted no source was asked to change anything.
    pub async fn derive(
        &self,
        base: Option<HandleId>,
        caller: &Caller,
        derive: Derive,
    ) -> Result<HandleId, Error> {
        let base = match base {
            Some(base) => self.with(|state| state.handles.get(base))?,
            None => Handle::Root(Rc::clone(&caller.token)),
        };
        self.used(base.transaction())?;
        match derive {
            Derive::OpenKey { path, access, flags } => {
                if flags & !OPEN_LINK != 0 {
                    return Err(Error::Invalid("unknown flag"));
                }
                let asking = Asking::new(&base, caller, access)?;
                let reached = self.open(&base, &asking, &path, flags & OPEN_LINK != 0).await?;
                self.admit(reached, asking).await
            }
            Derive::CreateKey { path, access, layer, flags, link_target } => {
                if flags & !CREATE_VOLATILE != 0 || link_target.is_some() {
                    return Err(Error::NotSupported);
                }
                let asking = Asking::new(&base, caller, access)?;
                let volatile = flags & CREATE_VOLATILE != 0;
                let layer = layer.as_deref();
                let reached = self.open_new(&base, &asking, &path, layer, volatile).await?;
                self.admit(reached, asking).await
            }
            Derive::Restrict { access, layers } => self.restrict(&base, access, layers.as_deref()),
            Derive::BeginTransaction => match base {
                Handle::Root(_) => self.begin(caller),
                _ => Err(Error::BadHandle),
            },
            _ => Err(Error::NotSupported),
        }
    }

    /// Closes a handle. The key of the last one of an orphan is dropped.
    pub async fn close(&self, handle: HandleId) {
        if let Some((slot, key)) = self.with(|state| state.remove(handle)) {
            self.drop_orphans(slot, [key].into()).await;
        }
    }

    /// The handle of a key that a path led to, if all that is asked for is granted.
    async fn admit(&self, reached: Reached, asking: Asking) -> Result<HandleId, Error> {
        let Reached { place, record, made } = reached;
        let access = match made {
            Some(access) => access,
            None => {
                let sd = self.descriptor(place.site.slot, &record)?;
                self.grant(&sd, &place.path, &asking.caller, &asking.desired).await?
            }
        };
        let name = KeyName::new(&record.name.display, usize::MAX)?;
        let handle = KeyHandle {
            token: Rc::clone(asking.token()),
            site: place.site,
            key: record.key,
            parent: record.parent,
            name,
            path: place.path,
            depth: place.depth,
            access,
            created: made.is_some(),
            restricted: asking.bounds.is_some(),
            layers: asking.layers().cloned(),
        };
        self.with(|state| state.insert(Handle::Key(Rc::new(handle))))
    }

    async fn open(
        &self,
        base: &Handle,
        asking: &Asking,
        path: &str,
        open_link: bool,
    ) -> Result<Reached, Error> {
        let (start, path) = self.start(base, asking.token(), path).await?;
        let reached = self.follow(start, path.components()).await?;
        if !open_link {
            not_a_link(&reached.record)?;
        }
        Ok(reached)
    }

    async fn open_new(
        &self,
        base: &Handle,
        asking: &Asking,
        path: &str,
        layer: Option<&str>,
        volatile: bool,
    ) -> Result<Reached, Error> {
        let (start, path) = self.start(base, asking.token(), path).await?;
        let Some((name, parents)) = path.components().split_last() else {
            // A hive's root, which is there; a key cannot be created over itself.
            return match base {
                Handle::Root(_) | Handle::Transaction(..) => self.follow(start, &[]).await,
                Handle::Key(_) => Err(Error::Invalid("empty path")),
            };
        };
        let parent = self.follow(start, parents).await?;
        not_a_link(&parent.record)?;
        let new = NewKey { name, volatile, maker: Maker::Client(asking, layer) };
        let (record, made) = match self.create_child(&parent.place, new).await? {
            Child::Found(record) => (record, None),
            Child::Made(record, access) => (record, Some(access)),
        };
        not_a_link(&record)?;
        Ok(Reached { place: parent.place.child(&record), record, made })
    }

    /// Where a path starts, and what of it remains to be followed.
    async fn start(
        &self,
        base: &Handle,
        token: &Token,
        path: &str,
    ) -> Result<(Place, KeyPath), Error> {
        let (max_component, max_length) = self.with(|state| {
            let size = |setting| state.settings.size(setting);
            (size(Setting::MaxPathComponentLength), size(Setting::MaxTotalPathLength))
        });
        let path = KeyPath::parse(path, max_component, max_length)?;
        match base {
            Handle::Key(handle) => {
                self.require_named(handle.site, handle.key)?;
                let (site, key, depth) = (handle.site, handle.key, handle.depth);
                Ok((Place { site, key, path: handle.path.clone(), depth }, path))
            }
            Handle::Root(_) | Handle::Transaction(..) => {
                let (mut place, path) = self.start_at_root(token, path).await?;
                place.site.transaction = base.transaction();
                Ok((place, path))
            }
        }
    }

    async fn start_at_root(&self, token: &Token, path: KeyPath) -> Result<(Place, KeyPath), Error> {
        let Some((hive, rest)) = path.components().split_first() else {
            return Err(Error::Invalid("empty path"));
        };
        if hive.folded() != CURRENT_USER {
            return Ok((self.hive_root(hive)?, KeyPath::from(rest.to_vec())));
        }
        let user = self.key_name(&token.user().to_string())?;
        let users = self.hive_root(&self.key_name("Users")?)?;
        self.user_key(&users, &user, token).await?;
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
            Ok(Place { site: slot.into(), key: root, path: name.unwrap_or_default(), depth: 1 })
        })
    }

    async fn follow(&self, start: Place, names: &[KeyName]) -> Result<Reached, Error> {
        let mut place = start;
        let mut record = None;
        for name in names {
            if let Some(link) = &record {
                not_a_link(link)?;
            }
            let found = self.child(&place, name).await?.ok_or(Error::NotFound(NotFound::Key))?;
            place = place.child(&found);
            record = Some(found);
        }
        let record = match record {
            Some(record) => record,
            None => self.read_key(place.site, place.key).await?,
        };
        Ok(Reached { place, record, made: None })
    }

    /// The child of this name, if one is visible.
    pub(super) async fn child(
        &self,
        parent: &Place,
        name: &KeyName,
    ) -> Result<Option<KeyRecord>, Error> {
        let mut found = self.lookup(parent.site, parent.key, name).await?;
        self.visible_child(parent.site.slot, &mut found)
    }

    /// The key that these entries of one name lead to.
    pub(super) fn visible_child(
        &self,
        slot: SlotId,
        found: &mut Entries,
    ) -> Result<Option<KeyRecord>, Error> {
        let key = self.resolve_name(slot, &found.entries)?;
        Ok(key.and_then(|key| found.keys.remove(&key)))
    }
}

/// Links are not followed yet, and no operation makes one.
fn not_a_link(record: &KeyRecord) -> Result<(), Error> {
    if record.link { Err(Error::NotSupported) } else { Ok(()) }
}

impl Place {
    /// The place of a child.
    pub(super) fn child(&self, record: &KeyRecord) -> Place {
        Place {
            site: self.site,
            key: record.key,
            path: join(&self.path, &record.name.display),
            depth: self.depth + 1,
        }
    }
}
