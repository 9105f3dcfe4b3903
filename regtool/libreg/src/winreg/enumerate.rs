//! What there is below a key. All of it is read when the first one is asked for, so that it does not matter what is
//! written or deleted meanwhile.

use std::ffi::OsString;
use std::io;
use std::vec::IntoIter;

use super::reg_key::RegKey;
use super::value::RegValue;
use crate::{Access, windows::names};

/// Items of a key; an error is the last of them.
struct Read<T> {
    items: Option<IntoIter<io::Result<T>>>,
}

impl<T> Read<T> {
    const fn new() -> Read<T> {
        Read { items: None }
    }

    fn next(
        &mut self,
        read: impl FnOnce() -> io::Result<Vec<io::Result<T>>>,
    ) -> Option<io::Result<T>> {
        let items = self
            .items
            .get_or_insert_with(|| read().unwrap_or_else(|error| vec![Err(error)]).into_iter());
        items.next()
    }
}

fn subkeys(key: &RegKey) -> io::Result<Vec<io::Result<String>>> {
    let key = key.opened(Access::ENUMERATE_SUB_KEYS)?;
    let names = key.subkeys(false).map(|subkey| match subkey {
        Ok(subkey) => Ok(names::to_windows(&subkey.name)),
        Err(error) => Err(super::io_error(error)),
    });
    Ok(names.collect())
}

fn values(key: &RegKey) -> io::Result<Vec<io::Result<(String, RegValue<'static>)>>> {
    let key = key.opened(Access::QUERY_VALUE)?;
    let values = key.values().map(|value| match value {
        Ok(value) => Ok((value.name, RegValue::of_ours(value.value_type, value.data))),
        Err(error) => Err(super::io_error(error)),
    });
    Ok(values.collect())
}

macro_rules! enumeration {
    ($(#[$doc:meta])+ $name:ident, $inner:ty, $item:ty, $read:ident, $convert:expr) => {
        $(#[$doc])+
        pub struct $name<'key> {
            key: &'key RegKey,
            read: Read<$inner>,
        }

        impl<'key> $name<'key> {
            pub(super) const fn of(key: &'key RegKey) -> $name<'key> {
                $name { key, read: Read::new() }
            }
        }

        impl Iterator for $name<'_> {
            type Item = io::Result<$item>;

            fn next(&mut self) -> Option<Self::Item> {
                self.read.next(|| $read(self.key)).map(|item| item.map($convert))
            }
        }
    };
}

enumeration! {
    /// The names of the subkeys of a key.
    EnumKeys, String, String, subkeys, |name| name
}
enumeration! {
    /// The names of the subkeys of a key.
    EnumKeysOsString, String, OsString, subkeys, OsString::from
}
enumeration! {
    /// The values of a key, with their names.
    EnumValues, (String, RegValue<'static>), (String, RegValue<'static>), values, |value| value
}
enumeration! {
    /// The values of a key, with their names.
    EnumValuesOsString, (String, RegValue<'static>), (OsString, RegValue<'static>), values,
    |(name, value)| (OsString::from(name), value)
}
