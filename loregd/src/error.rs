use std::io;
use std::path::PathBuf;

use lcs_abi::rsi::{Refusal, SourceError};

/// What can go wrong in loregd.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request can't be granted, and nothing is wrong with the hive.
    #[error(transparent)]
    Refused(#[from] SourceError),
    /// A row of the database that loregd did not write so.
    #[error("corrupt row {row}: {what}")]
    Corrupt {
        /// The row's key, in hexadecimal.
        row: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The database was written by a later loregd.
    #[error("format {0} of the hive is not known to this loregd")]
    Format(u32),
    /// The database could not read or write.
    #[error(transparent)]
    Database(Box<redb::Error>),
    /// The database's engine gave up on what it found in the file.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The hive's database is closed after an error.
    #[error("the database is closed after an error")]
    Closed,
    /// A file or directory.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Another loregd works on the data directory.
    #[error("{0}: another loregd works on this directory")]
    Guarded(PathBuf),
    /// There is no hive in the directory.
    #[error("{0}: no hive is here")]
    NoHives(PathBuf),
    /// There is neither a hive nor a copy of one with this name in the directory.
    #[error("{0}: no hive {1:?} is here, and no copy of one")]
    NoSuchHive(PathBuf, String),
    /// The result of a check or restore could not be printed.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// A hive's database is there under a name that differs in the case of letters only.
    #[error("{wanted}: this hive is kept as {present}; name it so")]
    OtherCase {
        /// The file that was asked for.
        wanted: PathBuf,
        /// The file that is there.
        present: PathBuf,
    },
    /// A system call on a scheme's handle.
    #[error("{what}: {error}")]
    Scheme {
        /// The scheme or handle.
        what: &'static str,
        /// The error.
        error: io::Error,
    },
    /// A thread, a pipe or a signal's handler could not be made.
    #[error("{what}: {error}")]
    System {
        /// What was being made.
        what: &'static str,
        /// The error.
        error: io::Error,
    },
    /// What every daemon needs.
    #[error(transparent)]
    Daemon(#[from] lcs_daemon::Error),
    /// LCS does not take the hives.
    #[error("LCS refuses: {0}")]
    NotAccepted(Refusal),
    /// LCS sent what this interface does not allow.
    #[error("protocol error of LCS: {0}")]
    Protocol(&'static str),
    /// LCS closed the connection.
    #[error("LCS is gone")]
    Gone,
    /// A hive that is in service was found to be damaged. The next start puts it aside.
    #[error("hive {hive} is damaged: {reason}")]
    FoundDamaged {
        /// Which.
        hive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This process was told to end.
    #[error("told to end")]
    ToldToEnd,
    /// A hive's writer thread ended, which it never does by itself.
    #[error("the writer of hive {0} has died")]
    WriterDied(String),
}

impl Error {
    /// The row with this key is not what it should be.
    pub(crate) fn corrupt(row: &[u8], what: &'static str) -> Self {
        let row = row.iter().map(|byte| format!("{byte:02x}")).collect();
        Error::Corrupt { row, what }
    }

    /// Whether the options can't be right, so that starting again with the same ones is no use.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::OtherCase { .. } | Error::NotAccepted(Refusal::Invalid))
    }

    /// Whether a process that ends for this reason leaves its hives in order.
    pub(crate) fn is_orderly_end(&self) -> bool {
        matches!(self, Error::ToldToEnd | Error::Gone)
    }

    /// Whether the store is to be opened again before anything else can be had of it.
    pub(crate) fn is_of_store(&self) -> bool {
        matches!(self, Error::Database(_) | Error::Closed)
    }

    /// Whether the system could not read or write, which may be otherwise later.
    pub(crate) fn is_of_disk(&self) -> bool {
        matches!(self, Error::Database(error) if matches!(**error, redb::Error::Io(_)))
    }

    /// Whether this process, or the system, has no descriptor left: it is better started again than at work
    /// without what it could not open.
    pub(crate) fn is_of_descriptors(&self) -> bool {
        use libredox::errno::{EMFILE, ENFILE};

        let Error::File { error, .. } = self else { return false };
        matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
    }

    /// Whether what was read is not what was written; not what keeps this process from reading it.
    pub(crate) fn is_damage(&self) -> bool {
        use redb::Error as Engine;

        match self {
            Error::Corrupt { .. } | Error::Damaged(_) => true,
            Error::Database(error) => match &**error {
                // What the system says has a number. Without one, the file ends too early.
                Engine::Io(error) => error.raw_os_error().is_none(),
                Engine::Corrupted(_)
                | Engine::UpgradeRequired(_)
                | Engine::TableDoesNotExist(_)
                | Engine::TableTypeMismatch { .. }
                | Engine::TableIsMultimap(_)
                | Engine::TypeDefinitionChanged { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a database is whole, and has no table for the rows of a hive.
    pub(crate) fn is_absent_table(&self) -> bool {
        matches!(self, Error::Database(error) if matches!(**error, redb::Error::TableDoesNotExist(_)))
    }

    /// What LCS is told: anything but a refusal is a storage error.
    pub fn to_source_error(&self) -> SourceError {
        match self {
            Error::Refused(error) => *error,
            _ => SourceError::StorageError,
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Error::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);
