//! Transactions, by the names of `winreg`.
//!
//! ```
//! use libreg::{HKCU, transaction::Transaction};
//!
//! # fn main() -> std::io::Result<()> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let transaction = Transaction::new()?;
//! let (key, _) = HKCU.create_subkey_transacted(r"Software\Editor", &transaction)?;
//! key.set_value("Tabs", &4u32)?;
//! assert!(HKCU.open_subkey(r"Software\Editor").is_err());
//! transaction.commit()?;
//! assert!(HKCU.open_subkey(r"Software\Editor").is_ok());
//! # Ok(())
//! # }
//! ```

use std::io;

use super::io_error;
use crate::Registry;

/// A transaction: what is written through keys that are opened in it is seen by others when it is committed. It is for one
/// hive. Dropped before, it has no effect.
pub struct Transaction {
    pub(super) inside: crate::Transaction,
}

impl Transaction {
    /// Begins one.
    ///
    /// # Errors
    /// `ResourceBusy`: the user has too many of them.
    pub fn new() -> io::Result<Transaction> {
        let begun = Registry::open().and_then(|registry| registry.begin());
        begun.map(|inside| Transaction { inside }).map_err(io_error)
    }

    /// Makes everything durable, at once.
    ///
    /// # Errors
    /// `WouldBlock`: somebody changed what it relies on, and nothing was done. Where nothing was written in it there is
    /// nothing to commit, which is no error here.
    pub fn commit(self) -> io::Result<()> {
        let is_unbound = |status: crate::TransactionStatus| {
            status.state == crate::TransactionState::ActiveUnbound
        };
        match self.inside.commit() {
            Err(_) if self.inside.status().is_ok_and(is_unbound) => Ok(()),
            outcome => outcome.map_err(io_error),
        }
    }

    /// Gives it up.
    ///
    /// # Errors
    /// None; it is as if it had never been.
    pub fn rollback(self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRef<Transaction> for Transaction {
    fn as_ref(&self) -> &Transaction {
        self
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
