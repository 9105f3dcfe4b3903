//! What a hive needs of a storage engine: one ordered map from bytes to bytes, changed in atomic commits.

mod live;
mod memory;
mod overlay;
mod redb;

use std::ops::ControlFlow;

use crate::Error;

pub(crate) use live::Snapshots;
pub use memory::{Memory, MemoryStore};
pub(crate) use redb::{LARGE, was_closed};
pub use redb::{RedbReader, RedbStore};
#[cfg(test)]
pub(crate) use redb::{builder, trusting_builder};

/// What a visitor of rows answers: go on or stop, or why it could not.
pub type Visit = Result<ControlFlow<()>, Error>;

/// Rows as one reader sees them, ordered by their keys' bytes.
pub trait Rows {
    /// The row's value.
    fn get(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Shows `visit` the rows whose key begins with `prefix` and is not below `from`, in order, until it
    /// breaks. `from` begins with `prefix`.
    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error>;
}

/// Rows that a commit under way changes. Both changes answer what was there before.
pub trait RowsMut: Rows {
    /// Makes or replaces a row.
    fn put(&mut self, row: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Removes a row.
    fn remove(&mut self, row: &[u8]) -> Result<Option<Vec<u8>>, Error>;
}

/// A committed state, which does not change any more.
pub type View = Box<dyn Rows + Send + Sync>;

/// The work of one commit: whether its changes are to stay.
pub type Work<'a> = dyn FnMut(&mut dyn RowsMut) -> Result<bool, Error> + 'a;

/// The storage of one hive.
pub trait Store: Send {
    /// The newest committed state.
    fn view(&self) -> Result<View, Error>;

    /// Runs `work` once. If it says so, what it changed is committed, durably where the store is durable at
    /// all, before this returns; else nothing was changed.
    ///
    /// # Errors
    /// Those of `work`, which changed nothing then, and those of the engine. After one of the engine's it
    /// isn't known whether the changes are there; [`Store::reopen`] settles it.
    fn commit(&mut self, work: &mut Work) -> Result<(), Error>;

    /// Whether [`Store::commit`] can do anything: a store whose disk does not let it be written may still be
    /// read. [`Store::reopen`] tries again.
    fn is_writable(&self) -> bool;

    /// Whether [`Store::seal`] is worth its time now.
    fn is_to_be_sealed(&self) -> bool {
        false
    }

    /// Makes sure that what is committed can be opened, after this process is killed, without reading all of it.
    ///
    /// # Errors
    /// As of [`Store::commit`]; nothing is lost.
    fn seal(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Starts anew after an error of the engine. Nobody may hold a view.
    ///
    /// # Errors
    /// It can't be written. [`Store::view`] may show what is there all the same.
    fn reopen(&mut self) -> Result<(), Error>;
}
