//! Listing a key as a directory.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashSet;
use lcs_abi::Guid;
use lcs_abi::security::Access;

use super::super::backend::Backend;
use super::super::error::Error;
use super::super::handles::{Handle, HandleId, KeyHandle};
use super::super::keys::ChildListing;
use super::super::values::ValueListing;
use super::super::{Registry, State};
use super::stat::{FileKind, inode_of_key, inode_of_value};
use crate::model::View;
use crate::model::file_name::{key_file_name, value_file_name};

/// What an entry is reckoned to take beside its name, in bytes.
const OVERHEAD: usize = 48;

/// The name of the alias for the caller's own part of `Users`, as it is listed.
const CURRENT_USER: &str = "CurrentUser";

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name as a file's.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its number, which `stat` tells, too.
    pub inode: u64,
}

/// All that is in a directory, as it was when it was listed.
#[derive(Clone, Debug)]
pub struct Directory {
    entries: Rc<[DirectoryEntry]>,
    /// About how much memory they take.
    bytes: usize,
}

impl Directory {
    /// The entries: subkeys, then values.
    pub fn entries(&self) -> &[DirectoryEntry] {
        &self.entries
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    entries: Vec<DirectoryEntry>,
    bytes: usize,
}

impl Found {
    fn push(&mut self, entry: DirectoryEntry) {
        self.bytes += OVERHEAD + entry.name.len();
        self.entries.push(entry);
    }
}

impl<B: Backend> Registry<B> {
    /// What is in a directory: `anew`, or as it was when it was listed last through this handle.
    ///
    /// # Errors
    /// `AccessDenied`: of a key without ENUMERATE_SUB_KEYS. `NotADirectory`: it is a file. `LimitExceeded`: it is
    /// more than there is room for.
    pub async fn list_directory(&self, id: HandleId, anew: bool) -> Result<Directory, Error> {
        let handle = self.with(|state| state.handles.get(id))?;
        self.used(handle.transaction())?;
        let listed = self.with(|state| state.files.listings.get(&id).cloned());
        if let Some(listed) = listed.filter(|_| !anew) {
            return Ok(listed);
        }
        let (Found { entries, bytes }, user) = match &handle {
            Handle::Root(token, view) => {
                (self.with(|state| state.hive_entries(view)), token.user())
            }
            Handle::Key(key) => (self.key_entries(key).await?, key.token.user()),
            Handle::File(..) => return Err(Error::NotADirectory),
            Handle::Transaction(..) | Handle::Backup(_) | Handle::Restore(_) => {
                return Err(Error::BadHandle);
            }
        };
        let directory = Directory { entries: entries.into(), bytes };
        self.with(|state| {
            // It may have been closed meanwhile.
            state.handles.get(id)?;
            state.files.forget_listing(id, user);
            state.require_room(&user, bytes)?;
            state.files.queued.replace(user, 0, bytes);
            state.files.listings.insert(id, directory.clone());
            Ok(directory)
        })
    }

    async fn key_entries(&self, key: &KeyHandle) -> Result<Found, Error> {
        key.require(Access::ENUMERATE_SUB_KEYS)?;
        let mut found = Found::default();
        let mut subkeys = HashSet::new();
        let mut children = ChildListing::new(key.site, &key.view, key.key, None);
        while let Some(page) = self.next_children(&mut children).await? {
            for child in page {
                let kind = if child.link { FileKind::Link } else { FileKind::Directory };
                let (name, inode) = (key_file_name(&child.name.display), inode_of_key(child.key));
                self.add(key, &mut found, DirectoryEntry { name, kind, inode })?;
                subkeys.insert(child.name.folded);
            }
        }
        if key.access.contains(Access::QUERY_VALUE) {
            let mut values = ValueListing::new(key.site, &key.view, key.key, None);
            while let Some(value) = self.next_value(&mut values).await? {
                let beside_key = subkeys.contains(&value.name.folded);
                let name = value_file_name(&value.name.display, beside_key);
                let inode = inode_of_value(key.key, &value.name.folded);
                self.add(key, &mut found, DirectoryEntry { name, kind: FileKind::Value, inode })?;
            }
        }
        if found.entries.is_empty() {
            // A key that is gone has nothing; say that it is gone.
            self.read_key(key.site, key.key).await?;
        }
        Ok(found)
    }

    fn add(&self, key: &KeyHandle, found: &mut Found, entry: DirectoryEntry) -> Result<(), Error> {
        found.push(entry);
        self.with(|state| state.require_room(&key.token.user(), found.bytes))
    }
}

impl State {
    /// The hives that a view shows, and the alias.
    fn hive_entries(&self, view: &View) -> Found {
        let shown = self.hives.iter().filter(|slot| slot.known && self.hives.shows(view, slot));
        let hives = shown.map(|slot| {
            let root: Guid = slot.root.unwrap_or_default();
            let name = key_file_name(slot.name.display());
            DirectoryEntry { name, kind: FileKind::Directory, inode: inode_of_key(root) }
        });
        let mut entries: Vec<DirectoryEntry> = hives.collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let users = self.hives.route(view, "users").is_some();
        entries.extend(users.then(|| DirectoryEntry {
            name: CURRENT_USER.into(),
            kind: FileKind::Directory,
            inode: 2,
        }));
        let mut found = Found::default();
        entries.into_iter().for_each(|entry| found.push(entry));
        found
    }
}
