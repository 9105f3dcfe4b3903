//! Backup and restore: a key with all below it, in all layers, as a stream of bytes.
//!
//! ```
//! use libreg::{Access, CreateKey, Registry, SetValue, ValueType};
//!
//! # fn main() -> std::io::Result<()> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let registry = Registry::open()?;
//! let key = registry.create_key("Machine/Editor", Access::KEY_ALL_ACCESS, &CreateKey::default())?;
//! key.set_value("Tabs", ValueType::Sz.code(), b"4", &SetValue::default())?;
//! let mut stream = Vec::new();
//! std::io::copy(&mut key.backup()?, &mut stream)?;
//!
//! key.set_value("Tabs", ValueType::Sz.code(), b"8", &SetValue::default())?;
//! let mut restore = key.restore()?;
//! std::io::copy(&mut stream.as_slice(), &mut restore)?;
//! restore.finish()?;
//! assert_eq!(key.value("Tabs")?.data, b"4");
//! # Ok(())
//! # }
//! ```
//!
//! A stream can be read without a registry: [`Decoder`] takes it apart and tells whether it is whole, and
//! [`Checker`] whether its records agree with each other, as they must to be restored.

use std::io::{self, Read, Write};

use lcs_abi::call::{Derive, Op, StoreCopyAnswer};
use libredox::Fd;
use libredox::errno::*;

use crate::call;
use crate::error::{Attempt, Cause, Error};
use crate::key::Key;
use crate::registry::failed;

pub use lcs_abi::backup::{
    Blanket, Decoder, Encoder, Header, Key as KeyRecord, Layer, MAX_RECORD, PathEntry, Problem,
    Record, StreamError, Summary, Value,
};
pub use lcs_core::model::backup::{Checker, Item, Unsound};

/// The most that one request of a restore takes with it, in bytes.
const PIECE: usize = 1 << 20;

/// A backup on its way: its stream is read from this. It shows the hive at the moment when it was begun,
/// whatever is written meanwhile, and ends the backup when it is dropped.
///
/// A stream that is not read to its end is no backup; nor is one that is not read for a long time
/// (TransactionTimeoutMs), which the registry gives up. Errors that [`Read`] gives have an [`Error`] in them.
pub struct Backup {
    handle: Fd,
    path: String,
}

/// A restore on its way: a stream is written to this, and takes effect with [`Restore::finish`]. If it is
/// dropped before, nothing has happened.
///
/// What is written at once goes at once, up to 1 MiB; so many small pieces take long. An error ends the
/// restore, and every later attempt has the same. Errors that [`Write`] gives have an [`Error`] in them.
pub struct Restore {
    handle: Fd,
    path: String,
    /// Why it has ended.
    failed: Option<Error>,
}

impl Key {
    /// Begins a backup of the key and all below it, in all layers. No right is needed, neither on the key nor
    /// on those below, but the privilege SeBackup.
    ///
    /// # Errors
    /// EPERM: the caller does not have the privilege. ENOENT: the key is no longer there. EBUSY: too many
    /// backups and listings at once (MaxReadOnlyTransactionsPerSource). EIO: the hive's source is down.
    pub fn backup(&self) -> Result<Backup, Error> {
        match call::derive(self.handle(), &Derive::Backup) {
            Ok(handle) => Ok(Backup { handle, path: self.path().to_owned() }),
            Err(cause) => Err(failed(self.path(), Attempt::Backup, cause)),
        }
    }

    /// Begins a restore, which replaces what the key holds (values, keys below, in all layers) and its
    /// security descriptor by those of a stream. No right is needed on the key, but the privilege SeRestore.
    ///
    /// Handles of keys that the stream has, too, go on working; keys that it does not have are deleted. The
    /// layers themselves stay as they are: what the stream has of a layer that is not there counts when the
    /// layer is made.
    ///
    /// # Errors
    /// Of this, of [`Write::write`] and of [`Restore::finish`]: EPERM: the caller does not have the privilege,
    /// or not SeTcb, which it takes where a layer of the stream has a precedence above 0, and where layers
    /// themselves are restored. EINVAL: the stream is damaged, or does not fit the key; or the key is in a
    /// transaction. EEXIST: a key of the stream is elsewhere in the hive. EBUSY: a layer of the stream is being
    /// deleted. ENOSPC: more than a limit allows. ENOENT: the key is no longer there. EIO, ETIMEDOUT: the
    /// hive's source is down or slow; of `finish`, it may or may not have happened.
    pub fn restore(&self) -> Result<Restore, Error> {
        match call::derive(self.handle(), &Derive::Restore) {
            Ok(handle) => Ok(Restore { handle, path: self.path().to_owned(), failed: None }),
            Err(cause) => Err(failed(self.path(), Attempt::Restore, cause)),
        }
    }

    /// Has the source of the key's hive make one of its automatic copies of the hive now, and says its number.
    /// It takes the privilege SeBackup.
    ///
    /// # Errors
    /// EPERM: the caller does not have the privilege. EOPNOTSUPP: the source makes no copies. EIO: it is down,
    /// or the copy failed.
    pub fn store_copy(&self) -> Result<u32, Error> {
        let answer: StoreCopyAnswer =
            self.call(Op::StoreCopy, &(), call::ANSWER, || Attempt::StoreCopy)?;
        Ok(answer.number)
    }
}

impl Read for Backup {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let outcome = match call::without_interruption(|| self.handle.read(buffer)) {
            Ok(length) if length > buffer.len() => Err(Cause::Malformed),
            outcome => outcome,
        };
        outcome.map_err(|cause| failed(&self.path, Attempt::ReadBackup, cause).into())
    }
}

impl Restore {
    /// Carries out the restore, at once and durably: either all of it has happened, or nothing.
    ///
    /// # Errors
    /// As for [`Key::restore`].
    pub fn finish(self) -> Result<(), Error> {
        match self.failed {
            Some(error) => Err(error),
            None => call::call(&self.handle, Op::Finish, &(), 0)
                .map_err(|cause| failed(&self.path, Attempt::FinishRestore, cause)),
        }
    }
}

impl Write for Restore {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(error.clone().into());
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        if piece.is_empty() {
            return Ok(0);
        }
        let cause = match call::without_interruption(|| self.handle.write(piece)) {
            Ok(length) if (1..=piece.len()).contains(&length) => return Ok(length),
            Ok(_) => Cause::Malformed,
            Err(cause) => cause,
        };
        let error = failed(&self.path, Attempt::WriteRestore, cause);
        self.failed = Some(error.clone());
        Err(error.into())
    }

    /// Does nothing: nothing waits here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an error number means, where that is not what it means in general.
pub(crate) fn words(attempt: &Attempt, errno: i32) -> Option<&'static str> {
    use Attempt::{FinishRestore, ReadBackup, Restore, StoreCopy, WriteRestore};
    Some(match (errno, attempt) {
        (EBUSY, Attempt::Backup) => "too many backups and listings at once",
        (ETIMEDOUT, ReadBackup) => {
            "the source did not answer in time, or nobody read the backup for too long"
        }
        (EOPNOTSUPP, StoreCopy) => "the hive's source makes no copies",
        (EIO, StoreCopy) => "the hive's source is down, or could not make the copy",
        (EINVAL, Restore) => {
            "a restore is not possible in a transaction, nor where layers are listed whose deletion is \
             under way"
        }
        (EINVAL, WriteRestore | FinishRestore) => {
            "the backup is damaged, or does not fit this key: one of them is volatile or a link, and \
             the other one is not"
        }
        (EEXIST, WriteRestore | FinishRestore) => {
            "a key of the backup is elsewhere in this hive, and no key can be in two places"
        }
        (EBUSY, WriteRestore | FinishRestore) => "a layer of the backup is being deleted",
        (ENOSPC, WriteRestore | FinishRestore) => {
            "the backup holds more than a limit of the registry allows (MaxValueSize, \
             MaxLayersPerValue, MaxQueuedBytesPerUser, …)"
        }
        (EIO, FinishRestore) => {
            "the hive's source is down or failed; it may or may not have happened"
        }
        _ => return None,
    })
}
