//! The registry by the names of the crate `winreg` (0.56): a program that is written for it needs one other line in
//! its Cargo.toml, `winreg = { package = "libreg", … }`.
//!
//! What differs from Windows:
//!
//! - `HKEY_LOCAL_MACHINE` is the hive `Machine`, `HKEY_USERS` is `Users`, and `HKEY_CURRENT_USER` is `CurrentUser`, which
//!   for each user is another key of `Users`. `HKEY_CLASSES_ROOT` is `Machine\Software\Classes`, without what a user has
//!   of his own, and `HKEY_CURRENT_CONFIG` is `Machine\System\CurrentControlSet\Hardware Profiles\Current`.
//! - The registry keeps text as UTF-8; a [`RegValue`] has it as on Windows, in UTF-16LE with terminators.
//! - `/` separates names in the registry and not on Windows, where it may be part of a name: `TCP/IP` is the key
//!   `TCP%2FIP` here ([`crate::windows::names`]). Through these names it is `TCP/IP`.
//! - Errors are of the kinds that [`std::io::ErrorKind`] has, and have [`crate::Error`] as their source, which says what
//!   was not done and where; there are no numbers of Windows in them.
//! - The flags `KEY_WOW64_…` are accepted and mean nothing.
//! - Left out are `load_app_key` (there is no file to load), `rename_subkey` (a copy under another name is another key,
//!   with another identity), `raw_handle`, and raw handles of transactions.

pub mod decoder;
pub mod encoder;
mod enumerate;
pub mod enums;
mod metadata;
pub mod reg_key;
pub mod transaction;
mod tree;
pub mod types;
mod value;

pub use enumerate::{EnumKeys, EnumKeysOsString, EnumValues, EnumValuesOsString};
pub use metadata::{FILETIME, FileTime, RegKeyMetadata, SYSTEMTIME};
pub use reg_key::{HKCC, HKCR, HKCU, HKEY, HKLM, HKU, RegKey};
pub use value::RegValue;

use std::ffi::OsStr;
use std::io;

use crate::error::{Cause, Error};
use crate::windows::names;

/// An error as programs expect it, with ours as its source.
fn io_error(error: Error) -> io::Error {
    let kind = match error.cause {
        Cause::Errno(errno) => io::Error::from_raw_os_error(errno).kind(),
        Cause::Malformed => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// The text of a name.
fn text(name: &OsStr) -> io::Result<&str> {
    let what = "a name is Unicode";
    name.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// The path that the registry has for one of Windows.
fn path(path: &OsStr) -> io::Result<String> {
    let names = text(path)?.split('\\').filter(|name| !name.is_empty());
    Ok(names.map(names::from_windows).collect::<Vec<_>>().join("\\"))
}
