//! Handles: capabilities whose rights were decided when they were made (DESIGN §6).

use alloc::rc::Rc;
use alloc::string::String;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::security::Access;
use slab::Slab;

use super::error::{Error, NotFound};
use super::hives::SlotId;
use crate::model::name::KeyName;
use crate::security::Token;

/// A handle's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(pub usize);

/// The most handles there can be: their numbers must be below 2^31, because a scheme's answers carry them
/// in 32 signed bits.
const MAX_HANDLES: usize = 1 << 30;

/// A handle.
#[derive(Clone, Debug)]
pub(super) enum Handle {
    /// The registry as a whole, for whoever has this token.
    Root(Rc<Token>),
    /// A key.
    Key(Rc<KeyHandle>),
}

/// An open key. Holding one proves that its token was granted `access` when it was opened.
#[derive(Clone, Debug)]
pub(super) struct KeyHandle {
    /// Whom it acts for.
    pub(super) token: Rc<Token>,
    pub(super) slot: SlotId,
    pub(super) key: Guid,
    /// The key's parent; its own for a hive's root.
    pub(super) parent: Guid,
    /// The key's name, as created.
    pub(super) name: KeyName,
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
}

impl Handles {
    pub(super) fn insert(&mut self, handle: Handle) -> Result<HandleId, Error> {
        if self.handles.len() >= MAX_HANDLES {
            return Err(Error::TooManyHandles);
        }
        if let Handle::Key(key) = &handle {
            self.keys.entry((key.slot, key.key)).or_default().handles += 1;
        }
        Ok(HandleId(self.handles.insert(handle)))
    }

    pub(super) fn get(&self, id: HandleId) -> Result<Handle, Error> {
        self.handles.get(id.0).cloned().ok_or(Error::BadHandle)
    }

    pub(super) fn key(&self, id: HandleId) -> Result<Rc<KeyHandle>, Error> {
        match self.get(id)? {
            Handle::Key(key) => Ok(key),
            Handle::Root(_) => Err(Error::BadHandle),
        }
    }

    /// Takes a handle away. Returns the key that it was the last one of, if that is orphaned and so to be
    /// dropped.
    pub(super) fn remove(&mut self, id: HandleId) -> Option<(SlotId, Guid)> {
        let Handle::Key(handle) = self.handles.try_remove(id.0)? else {
            return None;
        };
        let place = (handle.slot, handle.key);
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
