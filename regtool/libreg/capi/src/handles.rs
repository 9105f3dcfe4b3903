//! Handles that C programs hold. They are numbers and never addresses: one that was closed is found out, also when its
//! place is used again.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use libreg::enums::{
    HKEY_CLASSES_ROOT, HKEY_CURRENT_CONFIG, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, HKEY_USERS,
};
use libreg::{HKEY, NamedValue, RegKey, Subkey, Watch};

use crate::codes::{Code, Outcome};

/// A handle as C has it.
pub type Number = usize;

/// Numbers below this are never handles, so that nothing is mistaken for one.
const FIRST: Number = 0x1_0000;

/// An open key.
pub struct Handle {
    /// The key.
    pub key: RegKey,
    /// What was listed at index 0, for the indices after it.
    pub subkeys: Mutex<Option<Arc<Vec<Subkey>>>>,
    /// The same of values.
    pub values: Mutex<Option<Arc<Vec<NamedValue>>>>,
    /// From the first time on that it is watched.
    pub watch: Mutex<Option<Watch>>,
}

struct Table {
    next: Number,
    handles: HashMap<Number, Arc<Handle>>,
}

static TABLE: LazyLock<Mutex<Table>> =
    LazyLock::new(|| Mutex::new(Table { next: FIRST, handles: HashMap::new() }));

/// What a lock guards is whole whoever panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    fn of(key: RegKey) -> Arc<Handle> {
        let (subkeys, values, watch) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Handle { key, subkeys, values, watch })
    }
}

/// Gives a key a number. No number is given twice.
pub fn insert(key: RegKey) -> Number {
    let mut table = lock(&TABLE);
    let mut number = table.next;
    // These are others'.
    if hkey(number).is_some() {
        number += 0x100;
    }
    table.next = number + 4;
    table.handles.insert(number, Handle::of(key));
    number
}

/// The key of a number: an open one, or one of those that are always open.
pub fn find(number: Number) -> Outcome<Arc<Handle>> {
    let mut table = lock(&TABLE);
    if let Some(hkey) = hkey(number) {
        let always = || Handle::of(RegKey::predef(hkey));
        // In one of its two spellings.
        return Ok(table.handles.entry(number as u32 as Number).or_insert_with(always).clone());
    }
    table.handles.get(&number).cloned().ok_or(Code::InvalidHandle)
}

/// Closes a key. Calls that are under way in it come to their end.
pub fn close(number: Number) -> Outcome {
    if hkey(number).is_some() {
        return Ok(());
    }
    lock(&TABLE).handles.remove(&number).map(drop).ok_or(Code::InvalidHandle)
}

/// Which of the keys that are always open it is.
fn hkey(number: Number) -> Option<HKEY> {
    // Windows' headers extend the sign of a number of 32 bits.
    let upper = number as u64 >> 32;
    if upper != 0 && upper != u64::from(u32::MAX) {
        return None;
    }
    Some(match number as u32 {
        0x8000_0000 => HKEY_CLASSES_ROOT,
        0x8000_0001 => HKEY_CURRENT_USER,
        0x8000_0002 => HKEY_LOCAL_MACHINE,
        0x8000_0003 => HKEY_USERS,
        0x8000_0005 => HKEY_CURRENT_CONFIG,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_is_never_another_one() {
        let first = insert(RegKey::predef(HKEY_USERS));
        assert!(find(first).is_ok());
        assert_eq!(close(first), Ok(()));
        let second = insert(RegKey::predef(HKEY_USERS));
        assert_ne!(first, second);
        assert_eq!(find(first).err(), Some(Code::InvalidHandle));
        assert_eq!(close(first), Err(Code::InvalidHandle));
        assert_eq!(close(second), Ok(()));
    }

    #[test]
    fn predefined_keys_are_always_open() {
        for number in [0x8000_0002_usize, 0xFFFF_FFFF_8000_0002] {
            assert!(find(number).is_ok());
            assert_eq!(close(number), Ok(()));
            assert!(find(number).is_ok());
        }
        for number in [0, 1, 0x8000_0004, 0x1_8000_0002, usize::MAX] {
            assert_eq!(find(number).err(), Some(Code::InvalidHandle));
        }
    }
}
