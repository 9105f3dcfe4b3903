//! The registry as a whole.

use std::sync::Arc;

use lcs_abi::call::{ChangeKeys, Derive, KeyChange, OPEN_LINK, Op};
use lcs_abi::security::Access;
use libredox::Fd;
use libredox::flag::{O_CLOEXEC, O_RDONLY};

use crate::Status;
use crate::call;
use crate::connection::Connection;
use crate::error::{Attempt, Cause, Error};
use crate::key::{CreateKey, Key};

/// A root handle: where paths begin.
pub struct Registry {
    connection: Arc<Connection>,
}

impl Registry {
    /// Opens the registry of this system, as the calling user sees it.
    pub fn open() -> Result<Registry, Error> {
        let root = Fd::open("/scheme/reg", O_RDONLY | O_CLOEXEC, 0)
            .map_err(|error| failed("", Attempt::Connect, Cause::Errno(error.errno())))?;
        Ok(Registry::with_root(root))
    }

    pub(crate) fn with_root(root: Fd) -> Registry {
        Registry { connection: Connection::new(root, false) }
    }

    pub(crate) fn of_transaction(root: Fd) -> Registry {
        Registry { connection: Connection::new(root, true) }
    }

    pub(crate) fn root(&self) -> &Fd {
        &self.connection.root
    }

    /// Whether [`Key::value`] and [`Key::info`] of keys that are opened from here give an answer again as long as it is
    /// true, without asking; they do unless they are told not to. It is what asking would give all the same: the
    /// registry shows in memory of its own that nothing has changed. Little is kept, up to 1 MiB.
    pub fn keep_answers(&self, keep: bool) {
        self.connection.keep_answers(keep);
    }

    /// Opens the key at an absolute path; links are followed. All rights of `access` are granted, or none.
    pub fn open_key(&self, path: &str, access: Access) -> Result<Key, Error> {
        self.open_with(path, access, 0)
    }

    /// Opens the key at an absolute path, and if that is a link, the link and not its target.
    pub fn open_link(&self, path: &str, access: Access) -> Result<Key, Error> {
        self.open_with(path, access, OPEN_LINK)
    }

    /// Creates the key at an absolute path, or opens it if it is there. Its parent must be there.
    pub fn create_key(&self, path: &str, access: Access, how: &CreateKey) -> Result<Key, Error> {
        let derive = how.derive(path, access);
        self.connection
            .ask(|| call::derive(self.root(), &derive))
            .map(|handle| Key::new(handle, path, &self.connection))
            .map_err(|cause| failed(path, how.attempt(access), cause))
    }

    /// Makes keys, or finds those that are there, and changes their values, in one layer: what
    /// [`create_key`](Self::create_key) and [`Key::change_values`] do, with one request for all of them. Only in a
    /// transaction, for it ends at the first key that cannot be, and those before it are in the transaction.
    ///
    /// ```no_run
    /// use libreg::{Becomes, KeyChange, Registry, ValueChange, ValueType};
    ///
    /// # fn main() -> Result<(), libreg::Error> {
    /// let transaction = Registry::open()?.begin()?;
    /// let to = Becomes::Value { value_type: ValueType::Dword.code(), data: vec![1, 0, 0, 0] };
    /// let key = |path: &str| KeyChange {
    ///     path: path.to_owned(),
    ///     values: vec![ValueChange { name: "On".to_owned(), to: to.clone() }],
    ///     ..KeyChange::default()
    /// };
    /// transaction.registry().change_keys(vec![key(r"Machine\A"), key(r"Machine\A\B")], None)?;
    /// transaction.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the first key that cannot be; the error does not say which one that is. EINVAL: no keys, more than 256,
    /// more than 256 KiB, or not in a transaction.
    pub fn change_keys(&self, keys: Vec<KeyChange>, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let derive = Derive::ChangeKeys(ChangeKeys { keys, layer: layer.clone() });
        // The handle of the last key is of no use to somebody who makes many.
        self.connection
            .ask(|| call::derive(self.root(), &derive))
            .map(drop)
            .map_err(|cause| failed("", Attempt::ChangeKeys { layer }, cause))
    }

    /// How the registry is: the hives of this view and, for administrators, sources, layers and queues.
    pub fn status(&self) -> Result<Status, Error> {
        call::call(self.root(), Op::Status, &(), call::PAGE)
            .map_err(|cause| failed("", Attempt::Status, cause))
    }

    fn open_with(&self, path: &str, access: Access, flags: u32) -> Result<Key, Error> {
        let derive = Derive::OpenKey { path: path.to_owned(), access: access.bits(), flags };
        self.connection
            .ask(|| call::derive(self.root(), &derive))
            .map(|handle| Key::new(handle, path, &self.connection))
            .map_err(|cause| failed(path, Attempt::open(access, flags), cause))
    }
}

pub(crate) fn failed(path: &str, attempt: Attempt, cause: Cause) -> Error {
    Error { path: path.to_owned(), attempt, cause }
}
