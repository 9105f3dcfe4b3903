//! Transactions.

use libredox::errno::{EAGAIN, EINVAL, ENOENT};
use libreg::{Access, CreateKey, SetValue, TransactionState, ValueType};

use super::expect::{Outcome, refused, same};
use super::ground::{Ground, set_text, text};

const ALL: Access = Access::KEY_ALL_ACCESS;

pub fn commit(ground: &Ground) -> Outcome {
    let key = ground.key("commit")?;
    let transaction = ground.registry.begin()?;
    let inside = transaction.registry().open_key(key.path(), ALL)?;
    set_text(&inside, "value", "text", None)?;
    inside.create_key("Child", ALL, &CreateKey::default())?;
    same("a value in its transaction", text(&inside, "value")?, "text")?;
    refused("a value that is not committed", key.value("value"), ENOENT)?;
    refused("a key that is not committed", key.open_key("Child", ALL), ENOENT)?;
    transaction.commit()?;
    same("the transaction", transaction.status()?.state, TransactionState::Committed)?;
    same("a committed value", text(&key, "value")?, "text")?;
    key.open_key("Child", ALL)?;
    refused("a second commit", transaction.commit(), EINVAL)
}

pub fn abort(ground: &Ground) -> Outcome {
    let key = ground.key("abort")?;
    set_text(&key, "value", "before", None)?;
    let transaction = ground.registry.begin()?;
    let inside = transaction.registry().open_key(key.path(), ALL)?;
    set_text(&inside, "value", "never", None)?;
    drop(inside);
    drop(transaction);
    same("a value after an abort", text(&key, "value")?, "before")
}

pub fn conflict(ground: &Ground) -> Outcome {
    let key = ground.key("conflict")?;
    let sequence = set_text(&key, "value", "before", None)?;
    let transaction = ground.registry.begin()?;
    let inside = transaction.registry().open_key(key.path(), ALL)?;
    let how = SetValue { layer: None, expected_sequence: Some(sequence) };
    inside.set_value("value", ValueType::Sz.code(), b"never", &how)?;
    set_text(&inside, "other", "never", None)?;
    // Nobody waits for an open transaction.
    set_text(&key, "value", "somebody else's", None)?;
    refused("a commit on what was", transaction.commit(), EAGAIN)?;
    same("the value", text(&key, "value")?, "somebody else's")?;
    refused("another value of the transaction", key.value("other"), ENOENT)
}
