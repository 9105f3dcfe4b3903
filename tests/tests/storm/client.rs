//! Clients that commit one transaction after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use libreg::{Access, CreateKey, Error, Key, Registry, SetValue, Transaction, ValueType};
use registry_tests::registry::registry;

pub const CLIENTS: usize = 8;

/// Both have the same values, which every transaction writes.
pub const KEYS: [&str; 2] = [r"Machine\StormA", r"Machine\StormB"];

/// The values of each key.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// A key below that of a transaction.
pub const BELOW: &str = "Below";

/// The name of the value of a transaction's own keys.
pub const NUMBER: &str = "Number";

/// A transaction that was tried.
pub struct Attempt {
    pub client: usize,
    /// What it writes; greater than all that the client wrote before.
    pub number: u64,
    /// When its commit was called.
    pub called: u64,
    pub end: End,
    /// If its commit failed: to ask what came of it.
    pub transaction: Option<Transaction>,
}

/// What came of a transaction.
#[derive(Debug)]
pub enum End {
    /// It was acknowledged then.
    Acknowledged(u64),
    /// Its commit failed.
    Unknown(Error),
    /// It was not committed.
    BeforeCommit(Error),
}

/// A client, until it is told an error.
pub struct Client {
    number: usize,
    registry: Registry,
    /// What its next transaction will write.
    next: u64,
    /// What its last transaction that took effect wrote.
    last: Option<u64>,
    /// Told of each acknowledged commit.
    acknowledged: Sender<()>,
}

impl Client {
    /// A client in a storm; `last` is what its last transaction that took effect wrote.
    pub fn new(number: usize, storm: u64, last: Option<u64>, acknowledged: Sender<()>) -> Client {
        let next = (number as u64 + 1) << 32 | storm << 16;
        Client { number, registry: registry(), next, last, acknowledged }
    }

    /// Tries transactions until one fails. The clock has no moment twice.
    pub fn work(mut self, clock: &AtomicU64) -> Vec<Attempt> {
        let now = || clock.fetch_add(1, Ordering::SeqCst);
        let mut attempts = Vec::new();
        loop {
            let number = self.next;
            self.next += 1;
            let transaction = self.registry.begin();
            let ready = transaction.and_then(|transaction| {
                let written = self.write(&transaction, number);
                written.map(|()| transaction)
            });
            let called = now();
            let client = self.number;
            let attempt = |end, transaction| Attempt { client, number, called, end, transaction };
            let transaction = match ready {
                Ok(transaction) => transaction,
                Err(error) => {
                    attempts.push(attempt(End::BeforeCommit(error), None));
                    return attempts;
                }
            };
            if let Err(error) = transaction.commit() {
                attempts.push(attempt(End::Unknown(error), Some(transaction)));
                return attempts;
            }
            attempts.push(attempt(End::Acknowledged(now()), None));
            // Who kills listens no more.
            let _ = self.acknowledged.send(());
            self.last = Some(number);
        }
    }

    /// Writes a number into every value, makes a key of its own for it, and deletes that of the transaction
    /// before.
    fn write(&self, transaction: &Transaction, number: u64) -> Result<(), Error> {
        let inside = transaction.registry();
        let how = CreateKey::default();
        for path in KEYS {
            let key = inside.open_key(path, Access::KEY_ALL_ACCESS)?;
            for name in NAMES {
                set(&key, name, number)?;
            }
            let own = key.create_key(&own_key(number), Access::KEY_ALL_ACCESS, &how)?;
            set(&own, NUMBER, number)?;
            let below = own.create_key(BELOW, Access::KEY_ALL_ACCESS, &how)?;
            set(&below, NUMBER, number)?;
            if let Some(last) = self.last {
                let last = key.open_key(&own_key(last), Access::KEY_ALL_ACCESS)?;
                last.open_key(BELOW, Access::KEY_ALL_ACCESS)?.delete(None)?;
                last.delete(None)?;
            }
        }
        Ok(())
    }
}

/// The name of the key that belongs to the transaction that writes this number.
fn own_key(number: u64) -> String {
    format!("{number:x}")
}

fn set(key: &Key, name: &str, number: u64) -> Result<u64, Error> {
    let data = number.to_le_bytes();
    key.set_value(name, ValueType::Qword.code(), &data, &SetValue::default())
}
