//! Handles: capabilities whose rights were decided when they were made (DESIGN §6).

use alloc::rc::Rc;
use alloc::string::String;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::security::Access;
use slab::Slab;

use super::backend::Backend;
use super::backup::Backup;
use super::chain::Chain;
use super::error::{Error, NotFound};
use super::files::File;
use super::hives::SlotId;
use super::open::Place;
use super::reading::Site;
use super::restore::Restore;
use super::settings::Setting;
use super::transaction::TransactionId;
use super::{Registry, State};
use crate::model::View;
use crate::model::name::KeyName;
use crate::security::{Sid, Token};

/// A handle's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(pub usize);

/// The most handles there can be: their numbers must be below 2^31, because a scheme's answers carry them
/// in 32 signed bits.
const MAX_HANDLES: usize = 1 << 30;

/// A handle.
#[derive(Clone, Debug)]
pub(super) enum Handle {
    /// The registry as a whole, for whoever has this token, in this view.
    Root(Rc<Token>, Rc<View>),
    /// A key.
    Key(Rc<KeyHandle>),
    /// A value, or a link itself, of this key, as a file.
    File(Rc<KeyHandle>, Rc<File>),
    /// A transaction of whoever has this token, in this view.
    Transaction(TransactionId, Rc<Token>, Rc<View>),
    /// A backup, to read.
    Backup(Rc<Backup>),
    /// A restore, to write.
    Restore(Rc<Restore>),
}

impl Handle {
    /// Whom it acts for.
    fn token(&self) -> &Token {
        match self {
            Handle::Root(token, _) | Handle::Transaction(_, token, _) => token,
            Handle::Key(handle) | Handle::File(handle, _) => &handle.token,
            Handle::Backup(backup) => &backup.token,
            Handle::Restore(restore) => &restore.token,
        }
    }

    /// What it sees.
    fn view(&self) -> &Rc<View> {
        match self {
            Handle::Root(_, view) | Handle::Transaction(_, _, view) => view,
            Handle::Key(handle) | Handle::File(handle, _) => &handle.view,
            Handle::Backup(backup) => &backup.view,
            Handle::Restore(restore) => restore.view(),
        }
    }

    /// The key that it is of.
    fn key(&self) -> Option<&Rc<KeyHandle>> {
        match self {
            Handle::Key(key) | Handle::File(key, _) => Some(key),
            _ => None,
        }
    }

    /// The transaction that it is, or that it is in.
    pub(super) fn transaction(&self) -> Option<TransactionId> {
        match self {
            Handle::Root(..) | Handle::Backup(_) | Handle::Restore(_) => None,
            Handle::Key(handle) | Handle::File(handle, _) => handle.site.transaction,
            Handle::Transaction(id, ..) => Some(*id),
        }
    }
}

/// An open key. Holding one proves that its token was granted `access` when it was opened.
#[derive(Clone, Debug)]
pub(super) struct KeyHandle {
    /// Whom it acts for.
    pub(super) token: Rc<Token>,
    pub(super) site: Site,
    /// What it sees.
    pub(super) view: Rc<View>,
    pub(super) key: Guid,
    /// The key's parent; its own for a hive's root.
    pub(super) parent: Guid,
    /// The key's name, as created.
    pub(super) name: KeyName,
    /// The way to the key from its hive's root.
    pub(super) chain: Rc<Chain>,
    /// The path by which it was opened.
    pub(super) path: String,
    /// Components of that path.
    pub(super) depth: usize,
    /// The granted mask.
    pub(super) access: Access,
    /// Opening it created the key.
    pub(super) created: bool,
    /// It, or one that it was derived from, was restricted: what is derived from it has no right, no layer
    /// and no privilege beyond its own.
    pub(super) restricted: bool,
    /// The folded names of the layers that it can write into; `None`: all.
    pub(super) layers: Option<Rc<[String]>>,
}

impl KeyHandle {
    /// Fails unless the handle has these rights.
    pub(super) fn require(&self, right: Access) -> Result<(), Error> {
        let missing = right - self.access;
        if missing.is_empty() { Ok(()) } else { Err(Error::AccessDenied { missing }) }
    }

    /// Where paths that are relative to it start.
    pub(super) fn place(&self) -> Place {
        Place {
            site: self.site,
            view: Rc::clone(&self.view),
            key: self.key,
            chain: Rc::clone(&self.chain),
            path: self.path.clone(),
            depth: self.depth,
        }
    }

    /// The parent and the name under it, which are the key's own.
    ///
    /// # Errors
    /// `Invalid`: it is a hive's root, which has none.
    pub(super) fn named(&self) -> Result<(&Rc<Chain>, &KeyName), Error> {
        let parent = self.chain.above.as_ref();
        Ok((parent.ok_or(Error::Invalid("a hive's root stays"))?, &self.name))
    }

    /// Whether this is a hive's root.
    pub(super) fn is_hive_root(&self) -> bool {
        self.parent == self.key
    }
}

/// What is known of a key because somebody has it open.
#[derive(Debug, Default)]
struct OpenKey {
    handles: usize,
    /// No entry names the key any more.
    orphaned: bool,
}

/// All handles.
#[derive(Debug, Default)]
pub(super) struct Handles {
    handles: Slab<Handle>,
    keys: HashMap<(SlotId, Guid), OpenKey>,
    /// How many each user has.
    of_users: HashMap<Sid, usize>,
    /// How many see the private hives of each scope.
    of_scopes: HashMap<Guid, usize>,
}

impl Handles {
    /// Adds a handle; of other users than SYSTEM each can have this many.
    fn insert(&mut self, handle: Handle, most_of_user: usize) -> Result<HandleId, Error> {
        let user = handle.token().user();
        let of_user = self.of_users.get(&user).copied().unwrap_or_default();
        let too_many = user != Sid::SYSTEM && of_user >= most_of_user;
        if too_many || self.handles.len() >= MAX_HANDLES {
            return Err(Error::TooManyHandles);
        }
        self.of_users.insert(user, of_user + 1);
        for scope in &handle.view().scopes {
            *self.of_scopes.entry(*scope).or_default() += 1;
        }
        if let Some(key) = handle.key() {
            self.keys.entry((key.site.slot, key.key)).or_default().handles += 1;
        }
        Ok(HandleId(self.handles.insert(handle)))
    }

    pub(super) fn get(&self, id: HandleId) -> Result<Handle, Error> {
        self.handles.get(id.0).cloned().ok_or(Error::BadHandle)
    }

    pub(super) fn key(&self, id: HandleId) -> Result<Rc<KeyHandle>, Error> {
        match self.get(id)? {
            Handle::Key(key) => Ok(key),
            _ => Err(Error::BadHandle),
        }
    }

    /// The key that a handle is of.
    pub(super) fn key_of(&self, id: HandleId) -> Option<Rc<KeyHandle>> {
        self.handles.get(id.0)?.key().cloned()
    }

    /// All handles of keys and their values.
    pub(super) fn keys(&self) -> impl Iterator<Item = (HandleId, Rc<KeyHandle>)> {
        let handles = self.handles.iter();
        handles.filter_map(|(id, handle)| Some((HandleId(id), Rc::clone(handle.key()?))))
    }

    /// A handle's key is elsewhere now.
    pub(super) fn replace(&mut self, id: HandleId, moved: Rc<KeyHandle>) {
        if let Some(Handle::Key(handle) | Handle::File(handle, _)) = self.handles.get_mut(id.0) {
            *handle = moved;
        }
    }

    fn remove(&mut self, id: HandleId) -> Option<Handle> {
        let handle = self.handles.try_remove(id.0)?;
        if let Some(of_user) = self.of_users.get_mut(&handle.token().user()) {
            *of_user -= 1;
            if *of_user == 0 {
                self.of_users.remove(&handle.token().user());
            }
        }
        for scope in &handle.view().scopes {
            if let Some(of_scope) = self.of_scopes.get_mut(scope) {
                *of_scope -= 1;
                if *of_scope == 0 {
                    self.of_scopes.remove(scope);
                }
            }
        }
        Some(handle)
    }

    /// Whether some handle sees the private hives of a scope.
    pub(super) fn see(&self, scope: Guid) -> bool {
        self.of_scopes.contains_key(&scope)
    }

    /// Notes that a handle of a key is gone. Returns the key if it was the last one, and the key is orphaned
    /// and so to be dropped.
    fn closed(&mut self, handle: &KeyHandle) -> Option<(SlotId, Guid)> {
        let place = (handle.site.slot, handle.key);
        let key = self.keys.get_mut(&place)?;
        key.handles -= 1;
        if key.handles > 0 {
            return None;
        }
        self.keys.remove(&place).filter(|key| key.orphaned).map(|_| place)
    }

    /// Notes that no entry names a key any more. Returns whether nobody has it open.
    pub(super) fn orphan(&mut self, slot: SlotId, key: Guid) -> bool {
        match self.keys.get_mut(&(slot, key)) {
            Some(open) => {
                open.orphaned = true;
                false
            }
            None => true,
        }
    }

    /// Notes that an entry names a key again.
    pub(super) fn named_again(&mut self, slot: SlotId, key: Guid) {
        if let Some(open) = self.keys.get_mut(&(slot, key)) {
            open.orphaned = false;
        }
    }

    /// Fails if somebody has the key open and no entry names it any more.
    pub(super) fn require_named(&self, slot: SlotId, key: Guid) -> Result<(), Error> {
        match self.keys.get(&(slot, key)) {
            Some(key) if key.orphaned => Err(Error::NotFound(NotFound::Key)),
            _ => Ok(()),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.handles.len()
    }
}

impl<B: Backend> Registry<B> {
    /// Whether a handle is the registry as a whole.
    pub fn is_root(&self, id: HandleId) -> bool {
        matches!(self.with(|state| state.handles.get(id)), Ok(Handle::Root(..)))
    }

    /// Whom a handle acts for.
    ///
    /// # Errors
    /// `BadHandle`: there is no such handle.
    pub fn user_of(&self, id: HandleId) -> Result<Sid, Error> {
        self.with(|state| state.handles.get(id)).map(|handle| handle.token().user())
    }
}

impl State {
    /// Adds a handle.
    ///
    /// # Errors
    /// `TooManyHandles`: its user has as many as MaxHandlesPerUser allows.
    pub(super) fn insert(&mut self, handle: Handle) -> Result<HandleId, Error> {
        let transaction = handle.transaction();
        let id = self.handles.insert(handle, self.settings.size(Setting::MaxHandlesPerUser))?;
        if let Some(transaction) = transaction {
            self.transactions.has_handle(transaction);
        }
        Ok(id)
    }

    /// Forgets the sources that are gone and whose hives nobody can see any more.
    pub(super) fn retire(&mut self) {
        self.hives.retire(|scope| self.handles.see(scope));
    }

    /// Takes a handle away. Returns the key that it was the last one of, if that is orphaned and so to be
    /// dropped.
    pub(super) fn remove(&mut self, id: HandleId) -> Option<(SlotId, Guid)> {
        let handle = self.handles.remove(id)?;
        self.watches.closed(id);
        self.files.forget_listing(id, handle.token().user());
        if !handle.view().scopes.is_empty() {
            self.retire();
        }
        if let Some(transaction) = handle.transaction() {
            self.transactions.lost_handle(transaction, id);
        }
        match handle {
            Handle::Key(handle) => return self.handles.closed(&handle),
            Handle::File(handle, file) => {
                self.lost_file(&handle, &file);
                return self.handles.closed(&handle);
            }
            Handle::Backup(backup) => self.lost_backup(&backup),
            Handle::Restore(restore) => self.lost_restore(&restore),
            Handle::Root(..) | Handle::Transaction(..) => {}
        }
        None
    }
}
