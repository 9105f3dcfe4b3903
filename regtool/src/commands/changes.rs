//! Commands that make more than one change make all of them or none: in a transaction for each hive that
//! they change, or in that of the shell.

use std::thread;
use std::time::{Duration, Instant};

use libreg::{Registry, Transaction, TransactionState, fold};

use super::{CURRENT_USER, Session};
use crate::exit::{Code, Failure};

/// How long to wait until it is known what came of a commit: a source that died is back much sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long between two questions what came of it.
const PAUSE: Duration = Duration::from_millis(50);

/// Changes that belong together.
pub struct Changes<'a> {
    /// Where everything is that is in none of the transactions: all of it, in the shell's transaction.
    registry: &'a Registry,
    /// By hive.
    transactions: Vec<(String, Transaction)>,
}

/// What came of changes.
#[derive(Debug)]
pub struct Failed {
    /// Why not all of them were made.
    pub failure: Failure,
    /// The hives in which they were made all the same.
    pub made_in: Vec<String>,
    /// Whether it is not known if they were made in one more.
    pub unknown: bool,
}

impl<'a> Changes<'a> {
    /// Begins to change what is at these paths.
    pub fn begin<'p>(
        session: &'a mut Session,
        paths: impl IntoIterator<Item = &'p str>,
    ) -> Result<Changes<'a>, Failure> {
        let own = !session.in_transaction();
        let registry = session.registry()?;
        let mut transactions: Vec<(String, Transaction)> = Vec::new();
        for path in paths {
            let hive = hive_of(path);
            if own && transactions.iter().all(|(known, _)| *known != hive) {
                transactions.push((hive, registry.begin()?));
            }
        }
        Ok(Changes { registry, transactions })
    }

    /// The registry in which this path is to be changed.
    pub fn registry(&self, path: &str) -> &Registry {
        let hive = hive_of(path);
        let found = self.transactions.iter().find(|(known, _)| *known == hive);
        found.map_or(self.registry, |(_, transaction)| transaction.registry())
    }

    /// The registry as it is without them; in the shell's transaction, with them.
    pub fn outside(&self) -> &Registry {
        self.registry
    }

    /// Makes the changes; in the shell's transaction they are made with it.
    pub fn commit(self) -> Result<(), Box<Failed>> {
        let mut made_in = Vec::new();
        for (hive, transaction) in self.transactions {
            match commit(&transaction) {
                Ok(()) => made_in.push(hive),
                Err((failure, unknown)) => {
                    return Err(Box::new(Failed { failure, made_in, unknown }));
                }
            }
        }
        Ok(())
    }
}

/// Commits a transaction, if anything was written in it. On failure tells whether it is not known what came
/// of it.
pub fn commit(transaction: &Transaction) -> Result<(), (Failure, bool)> {
    let not_known = |error: libreg::Error| (Failure::from(error), true);
    let error = match transaction.commit() {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let patience = Instant::now() + PATIENCE;
    loop {
        match transaction.status().map_err(not_known)?.state {
            TransactionState::Committed | TransactionState::ActiveUnbound => return Ok(()),
            TransactionState::Unknown | TransactionState::Committing => {
                if Instant::now() >= patience {
                    return Err(not_known(error));
                }
                // Only the source can say, and it is being started.
                thread::sleep(PAUSE);
            }
            TransactionState::Aborted => return Err((error.into(), false)),
            TransactionState::ActiveBound => {
                return Err(not_done("the hive's source could not do it", Code::Unavailable));
            }
            TransactionState::SourceDown => {
                return Err(not_done("the hive's source went away", Code::Unavailable));
            }
            TransactionState::TimedOut => {
                return Err(not_done("it was not used for too long", Code::Other));
            }
        }
    }
}

/// A transaction that had no effect.
fn not_done(why: &str, code: Code) -> (Failure, bool) {
    let what = format!("{why}; nothing was done");
    (Failure::Partial { subject: "transaction".to_owned(), what, code }, false)
}

/// The hive of a path, folded.
pub fn hive_of(path: &str) -> String {
    let first = fold(path.split('\\').next().unwrap_or_default());
    if first == fold(CURRENT_USER) { fold("Users") } else { first }
}

impl From<Box<Failed>> for Failure {
    fn from(failed: Box<Failed>) -> Self {
        failed.failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_key_is_in_the_hive_of_all_users() {
        assert_eq!(hive_of("CurrentUser\\Software"), hive_of("users"));
        assert_eq!(hive_of("Machine"), "machine");
    }
}
