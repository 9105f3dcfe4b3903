//! From paths to handles.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use lcs_abi::Guid;
use lcs_abi::call::{
    CREATE_LINK, CREATE_VOLATILE, ChangeKeys, ChangeValues, Derive, KeyChange, MOST_CHANGED_KEYS,
    OPEN_LINK,
};
use lcs_abi::rsi::KeyRecord;
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::chain::Chain;
use super::error::{Error, NotFound};
use super::handles::{Handle, HandleId, KeyHandle};
use super::hives::SlotId;
use super::links::Patience;
use super::reading::{Entries, Site};
use super::security::{Asking, Caller};
use super::settings::Setting;
use super::structure::{Child, Maker, NewKey};
use crate::model::View;
use crate::model::name::KeyName;
use crate::model::path::{CURRENT_USER, KeyPath, join};
use crate::security::Token;

/// A key on the way along a path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) site: Site,
    /// By which names are resolved from here on.
    pub(super) view: Rc<View>,
    pub(super) key: Guid,
    /// The way to it from its hive's root.
    pub(super) chain: Rc<Chain>,
    /// The path so far, as the keys' creators spelled it.
    pub(super) path: String,
    /// Components of that path.
    pub(super) depth: usize,
}

/// Where a path leads.
#[derive(Clone)]
pub(super) struct Reached {
    pub(super) place: Place,
    pub(super) record: KeyRecord,
    /// What its maker is granted on it, if it was made just now.
    pub(super) made: Option<Access>,
}

/// A key to be opened or made.
struct Making<'a> {
    path: &'a str,
    layer: Option<&'a str>,
    volatile: bool,
    link: bool,
    link_target: Option<&'a str>,
}

impl<B: Backend> Registry<B> {
    /// A handle to the registry as a whole, for the caller with this token. It has the view of `base`, which is a
    /// root.
    ///
    /// # Errors
    /// `BadHandle`: `base` is no root.
    pub fn open_root(&self, base: Option<HandleId>, token: Rc<Token>) -> Result<HandleId, Error> {
        self.with(|state| {
            let view = match base.map(|base| state.handles.get(base)).transpose()? {
                None => Rc::default(),
                Some(Handle::Root(_, view)) => view,
                Some(_) => return Err(Error::BadHandle),
            };
            state.insert(Handle::Root(token, view))
        })
    }

    /// The key handle with this number. It is used: a transaction that it is in goes on.
    ///
    /// # Errors
    /// `BadHandle`: it is not a key's. `TransactionEnded`: the transaction that it is in is over.
    pub(super) fn key(&self, id: HandleId) -> Result<Rc<KeyHandle>, Error> {
        let handle = self.with(|state| state.handles.key(id))?;
        self.used(handle.site.transaction).map(|()| handle)
    }

    /// The handle with this number, or the registry as a whole for this caller. It is used: a transaction that it
    /// is in goes on.
    pub(super) fn base(&self, base: Option<HandleId>, caller: &Caller) -> Result<Handle, Error> {
        let base = match base {
            Some(base) => self.with(|state| state.handles.get(base))?,
            None => Handle::Root(Rc::clone(&caller.token), Rc::default()),
        };
        self.used(base.transaction())?;
        Ok(base)
    }

    /// A handle derived from another, or from the registry as a whole, for this caller.
    ///
    /// # Errors
    /// Nothing was made, but for keys of a transaction before the one that cannot be (`ChangeKeys`). For what is not granted
    /// no source was asked to change anything.
    pub async fn derive(
        &self,
        base: Option<HandleId>,
        caller: &Caller,
        derive: Derive,
    ) -> Result<HandleId, Error> {
        let base = self.base(base, caller)?;
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
                if flags & !(CREATE_VOLATILE | CREATE_LINK) != 0 {
                    return Err(Error::Invalid("unknown flag"));
                }
                let making = Making {
                    path: &path,
                    layer: layer.as_deref(),
                    volatile: flags & CREATE_VOLATILE != 0,
                    link: flags & CREATE_LINK != 0,
                    link_target: link_target.as_deref(),
                };
                if link_target.is_some() && !making.link {
                    return Err(Error::Invalid("a target of what is no link"));
                }
                let asking = Asking::new(&base, caller, access)?;
                let reached = self.open_new(&base, &asking, &making).await?;
                self.admit(reached, asking).await
            }
            Derive::Restrict { access, layers } => self.restrict(&base, access, layers.as_deref()),
            Derive::BeginTransaction => match base {
                Handle::Root(_, view) => self.begin(caller, view),
                _ => Err(Error::BadHandle),
            },
            Derive::View { scopes, private_layers, sealed } => match base {
                Handle::Root(_, view) => {
                    self.join(caller, &view, &scopes, &private_layers, sealed).await
                }
                _ => Err(Error::BadHandle),
            },
            Derive::Backup => match base {
                Handle::Key(base) => self.back_up(&base, caller).await,
                _ => Err(Error::BadHandle),
            },
            Derive::Restore => match base {
                Handle::Key(base) => self.restore(base, caller).await,
                _ => Err(Error::BadHandle),
            },
            Derive::ChangeKeys(request) => self.change_keys(&base, caller, request).await,
        }
    }

    /// Makes keys, and changes their values, in a transaction, and gives the last one's handle. What comes before one that
    /// cannot be is in the transaction.
    async fn change_keys(
        &self,
        base: &Handle,
        caller: &Caller,
        request: ChangeKeys,
    ) -> Result<HandleId, Error> {
        let ChangeKeys { keys, layer } = request;
        if base.transaction().is_none() {
            return Err(Error::Invalid("several keys are changed in a transaction only"));
        }
        // Nobody else is served while nothing has to be asked for.
        if keys.len() > MOST_CHANGED_KEYS {
            return Err(Error::Invalid("too many keys"));
        }
        let mut last = None;
        for KeyChange { path, volatile, values } in keys {
            let access =
                if values.is_empty() { Access::MAXIMUM_ALLOWED } else { Access::SET_VALUE };
            let asking = Asking::new(base, caller, access.bits())?;
            let layer = layer.as_deref();
            let making = Making { path: &path, layer, volatile, link: false, link_target: None };
            let reached = self.open_new(base, &asking, &making).await?;
            let handle = self.granted(reached, &asking).await?;
            if !values.is_empty() {
                let layer = layer.map(String::from);
                self.change_several_of(&handle, ChangeValues { changes: values, layer }).await?;
            }
            last = Some(handle);
        }
        let last = last.ok_or(Error::Invalid("no keys"))?;
        self.with(|state| state.insert(Handle::Key(Rc::new(last))))
    }

    /// Closes a handle. The key of the last one of an orphan is dropped.
    pub async fn close(&self, handle: HandleId) {
        self.before_close(handle).await;
        if let Some((slot, key)) = self.with(|state| state.remove(handle)) {
            self.drop_orphans(slot, [key].into()).await;
        }
        self.release_streams().await;
    }

    /// The handle of a key that a path led to, if all that is asked for is granted.
    pub(super) async fn admit(&self, reached: Reached, asking: Asking) -> Result<HandleId, Error> {
        let handle = self.granted(reached, &asking).await?;
        self.with(|state| state.insert(Handle::Key(Rc::new(handle))))
    }

    /// The key that a path led to, if all that is asked for is granted.
    pub(super) async fn granted(
        &self,
        reached: Reached,
        asking: &Asking,
    ) -> Result<KeyHandle, Error> {
        let Reached { place, record, made } = reached;
        let access = match made {
            Some(access) => access,
            None => {
                let sd = self.descriptor(place.site.slot, &record)?;
                self.grant(&sd, &place.path, &asking.caller, &asking.desired).await?
            }
        };
        let name = KeyName::new(&record.name.display, usize::MAX)?;
        Ok(KeyHandle {
            token: Rc::clone(asking.token()),
            site: place.site,
            view: place.view,
            key: record.key,
            parent: record.parent,
            name,
            chain: place.chain,
            path: place.path,
            depth: place.depth,
            access,
            created: made.is_some(),
            restricted: asking.bounds.is_some(),
            layers: asking.layers().cloned(),
        })
    }

    async fn open(
        &self,
        base: &Handle,
        asking: &Asking,
        path: &str,
        open_link: bool,
    ) -> Result<Reached, Error> {
        let (start, path) = self.start(base, asking.token(), self.key_path(path)?).await?;
        self.follow(start, path.components(), open_link, &mut self.patience()).await
    }

    async fn open_new(
        &self,
        base: &Handle,
        asking: &Asking,
        making: &Making<'_>,
    ) -> Result<Reached, Error> {
        let (start, path) = self.start(base, asking.token(), self.key_path(making.path)?).await?;
        let mut patience = self.patience();
        let Some((name, parents)) = path.components().split_last() else {
            // A hive's root, which is there; a key cannot be created over itself.
            return match base {
                Handle::Root(..) | Handle::Transaction(..) => {
                    self.follow(start, &[], true, &mut patience).await
                }
                _ => Err(Error::Invalid("empty path")),
            };
        };
        let parent = self.follow(start, parents, false, &mut patience).await?;
        if parent.record.link {
            return Err(Error::Invalid("a link has no subkeys"));
        }
        let link = match (making.link, making.link_target) {
            (true, Some(target)) => {
                self.target_path(target)?;
                Some(Some(target))
            }
            (link, _) => link.then_some(None),
        };
        let volatile = making.volatile;
        let new = NewKey { name, volatile, link, maker: Maker::Client(asking, making.layer) };
        let (record, made) = match self.create_child(&parent.place, new).await? {
            Child::Found(record) => (record, None),
            Child::Made(record, access) => (record, Some(access)),
        };
        let place = parent.place.child(&record);
        if record.link && made.is_none() && !making.link {
            return self.follow_link(&place, &mut patience).await;
        }
        Ok(Reached { place, record, made })
    }

    /// A path as a client writes it.
    pub(super) fn key_path(&self, path: &str) -> Result<KeyPath, Error> {
        let (max_component, max_length) = self.with(|state| {
            let size = |setting| state.settings.size(setting);
            (size(Setting::MaxPathComponentLength), size(Setting::MaxTotalPathLength))
        });
        Ok(KeyPath::parse(path, max_component, max_length)?)
    }

    /// Where a path starts, and what of it remains to be followed.
    pub(super) async fn start(
        &self,
        base: &Handle,
        token: &Token,
        path: KeyPath,
    ) -> Result<(Place, KeyPath), Error> {
        match base {
            Handle::Key(handle) => {
                self.require_named(handle.site, handle.key)?;
                Ok((handle.place(), path))
            }
            Handle::Root(_, view) | Handle::Transaction(_, _, view) => {
                let (mut place, path) = self.start_at_root(view, token, path).await?;
                place.site.transaction = base.transaction();
                Ok((place, path))
            }
            Handle::File(..) | Handle::Backup(_) | Handle::Restore(_) => Err(Error::BadHandle),
        }
    }

    async fn start_at_root(
        &self,
        view: &Rc<View>,
        token: &Token,
        path: KeyPath,
    ) -> Result<(Place, KeyPath), Error> {
        let Some((hive, rest)) = path.components().split_first() else {
            return Err(Error::Invalid("empty path"));
        };
        if hive.folded() != CURRENT_USER {
            return Ok((self.hive_root(view, hive)?, KeyPath::from(rest.to_vec())));
        }
        let user = self.key_name(&token.user().to_string())?;
        let users = self.hive_root(view, &self.key_name("Users")?)?;
        self.user_key(&users, &user, token).await?;
        let rest = [user].into_iter().chain(rest.iter().cloned()).collect::<Vec<_>>();
        Ok((users, KeyPath::from(rest)))
    }

    /// The root of the hive that a view has under this name.
    pub(super) fn hive_root(&self, view: &Rc<View>, hive: &KeyName) -> Result<Place, Error> {
        let slot = self.with(|state| state.hives.route(view, hive.folded()));
        self.root_of(slot.ok_or(Error::NotFound(NotFound::Hive))?, view)
    }

    /// The root of a hive.
    pub(super) fn root_of(&self, slot: SlotId, view: &Rc<View>) -> Result<Place, Error> {
        self.with(|state| {
            let (_, root) = state.hives.address(slot).ok_or(Error::SourceDown)?;
            let name = state.hives.get(slot).map(|slot| slot.name.to_rsi()).unwrap_or_default();
            Ok(Place {
                site: slot.into(),
                view: Rc::clone(view),
                key: root,
                path: name.display.clone(),
                chain: Chain::root(root, name),
                depth: 1,
            })
        })
    }

    /// Follows names, and the links that they lead to; one at the end only if not `open_link`.
    pub(super) async fn follow(
        &self,
        start: Place,
        names: &[KeyName],
        open_link: bool,
        patience: &mut Patience,
    ) -> Result<Reached, Error> {
        let mut place = start;
        let mut record = None;
        let mut names: VecDeque<KeyName> = names.iter().cloned().collect();
        while let Some(name) = names.pop_front() {
            let found = self.child(&place, &name).await?.ok_or(Error::NotFound(NotFound::Key))?;
            place = place.child(&found);
            if found.link && !(open_link && names.is_empty()) {
                let (root, target) = self.enter_link(&place, patience).await?;
                (place, record) = (root, None);
                target.into_iter().rev().for_each(|name| names.push_front(name));
            } else {
                record = Some(found);
            }
        }
        let record = match record {
            Some(record) => record,
            None => self.read_key(place.site, place.key).await?,
        };
        Ok(Reached { place, record, made: None })
    }

    /// What a link leads to.
    pub(super) async fn follow_link(
        &self,
        link: &Place,
        patience: &mut Patience,
    ) -> Result<Reached, Error> {
        let (root, names) = self.enter_link(link, patience).await?;
        self.follow(root, &names, false, patience).await
    }

    /// Where the path of a link's target starts, and what of it remains to be followed.
    async fn enter_link(
        &self,
        link: &Place,
        patience: &mut Patience,
    ) -> Result<(Place, Vec<KeyName>), Error> {
        patience.follow()?;
        let target = self.link_target(link).await?;
        let Some((hive, rest)) = target.components().split_first() else {
            return Err(Error::Invalid("the link's target is empty"));
        };
        let mut root = self.hive_root(&link.view, hive)?;
        root.site.transaction = link.site.transaction;
        Ok((root, rest.to_vec()))
    }

    /// The child of this name, if one is visible.
    pub(super) async fn child(
        &self,
        parent: &Place,
        name: &KeyName,
    ) -> Result<Option<KeyRecord>, Error> {
        let mut found = self.lookup(parent.site, parent.key, name).await?;
        self.visible_child(parent, &mut found)
    }

    /// The key that these entries of one name lead to.
    pub(super) fn visible_child(
        &self,
        parent: &Place,
        found: &mut Entries,
    ) -> Result<Option<KeyRecord>, Error> {
        let key = self.resolve_name(parent.site, &parent.view, &found.entries)?;
        Ok(key.and_then(|key| found.keys.remove(&key)))
    }
}

impl Place {
    /// The place of a child.
    pub(super) fn child(&self, record: &KeyRecord) -> Place {
        Place {
            site: self.site,
            view: Rc::clone(&self.view),
            key: record.key,
            chain: self.chain.child(record.key, record.name.clone()),
            path: join(&self.path, &record.name.display),
            depth: self.depth + 1,
        }
    }
}
