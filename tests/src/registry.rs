//! What tests do with the registry all the time.

use lcs_abi::call::{Derive, Op};
use libredox::Fd;
use libreg::{Access, CreateKey, Key, Registry, Transaction, TransactionState};
use serde::Serialize;
use serde::de::DeserializeOwned;
use syscall::CallFlags;

use crate::eventually::eventually;

/// The registry of this process's root.
///
/// # Panics
///
/// If it is not there.
pub fn registry() -> Registry {
    Registry::open().expect("the registry")
}

/// The key at a path, with every right, made if it is not there.
///
/// # Panics
///
/// If it cannot be had.
pub fn create(path: &str) -> Key {
    registry()
        .create_key(path, Access::KEY_ALL_ACCESS, &CreateKey::default())
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a commit took effect whose caller was told that it is not known.
///
/// # Panics
///
/// If it does not become known.
pub fn took_effect(transaction: &Transaction) -> bool {
    eventually("what came of a transaction", || {
        match transaction.status().expect("a state").state {
            TransactionState::Unknown | TransactionState::Committing => None,
            TransactionState::Committed => Some(true),
            // The last: nothing was sent, and it could be tried again.
            TransactionState::Aborted
            | TransactionState::SourceDown
            | TransactionState::ActiveBound => Some(false),
            state => panic!("a commit made a transaction {state:?}"),
        }
    })
}

/// Carries out an operation of a handle, with more metadata behind that of a good client.
///
/// # Errors
///
/// LCS's.
///
/// # Panics
///
/// If the answer is malformed.
pub fn call<Q: Serialize, A: DeserializeOwned>(
    handle: &Fd,
    op: Op,
    request: &Q,
    more: &[u64],
) -> libredox::error::Result<A> {
    let mut payload = lcs_abi::encode(request);
    payload.resize(payload.len().max(4096), 0);
    let metadata = [&[op as u64, lcs_abi::ABI_VERSION], more].concat();
    let length = handle.call_rw(&mut payload, CallFlags::empty(), &metadata)?;
    Ok(lcs_abi::decode(&payload[..length]).expect("a well-formed answer"))
}

/// Derives a handle.
///
/// # Errors
///
/// LCS's.
pub fn derive(from: &Fd, derive: &Derive) -> libredox::error::Result<Fd> {
    from.dup(&lcs_abi::encode(derive)).map(Fd::new)
}
