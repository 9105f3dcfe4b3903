//! What tests do with the registry all the time.

use libreg::{Access, CreateKey, Key, Registry};

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
