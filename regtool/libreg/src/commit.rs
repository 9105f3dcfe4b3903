//! Transactions: many changes of one hive, all at once or not at all.

use std::os::fd::{AsRawFd, RawFd};

use lcs_abi::call::{Derive, Op};

use crate::TransactionStatus;
use crate::call;
use crate::error::{Attempt, Error};
use crate::registry::{Registry, failed};

/// A transaction. What is written through [`registry`](Transaction::registry) is seen through it, and by
/// others when [`commit`](Transaction::commit) has succeeded. Dropped before, it has no effect.
///
/// It is for one hive, that of the first change, and can read all. It ends when it is not used for
/// TransactionTimeoutMs. It blocks nobody; if others change what it relies on, its commit fails.
pub struct Transaction {
    inside: Registry,
}

impl Registry {
    /// Begins a transaction.
    ///
    /// # Errors
    /// EBUSY: the user has MaxTransactionsPerUser of them.
    pub fn begin(&self) -> Result<Transaction, Error> {
        call::derive(self.root(), &Derive::BeginTransaction)
            .map(|handle| Transaction { inside: Registry::of_transaction(handle) })
            .map_err(|cause| failed("", Attempt::Begin, cause))
    }
}

impl Transaction {
    /// The registry as it will be: keys that are opened through it are in the transaction.
    pub fn registry(&self) -> &Registry {
        &self.inside
    }

    /// Makes everything durable, at once. All handles of the transaction are of no use then.
    ///
    /// # Errors
    /// EAGAIN: somebody changed what the transaction relies on, or an expected sequence number is another;
    /// nothing was done, and the transaction is over. EINVAL: nothing was written in it. EBUSY, or EIO of a
    /// source that is up: it can be tried again. EIO, ETIMEDOUT: it may or may not have happened;
    /// [`status`](Transaction::status) tells, if need be later.
    pub fn commit(&self) -> Result<(), Error> {
        call::call(self.inside.root(), Op::Commit, &(), 0)
            .map_err(|cause| failed("", Attempt::Commit, cause))
    }

    /// How far it has come.
    pub fn status(&self) -> Result<TransactionStatus, Error> {
        call::call(self.inside.root(), Op::TransactionStatus, &(), call::ANSWER)
            .map_err(|cause| failed("", Attempt::TransactionStatus, cause))
    }
}

impl AsRawFd for Transaction {
    /// A descriptor that becomes readable when the transaction is over.
    fn as_raw_fd(&self) -> RawFd {
        self.inside.root().raw() as RawFd
    }
}
