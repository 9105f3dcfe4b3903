//! Keys, by the names of `winreg`.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::{ControlFlow, Deref};

use super::enumerate::{EnumKeys, EnumKeysOsString, EnumValues, EnumValuesOsString};
use super::enums::*;
use super::metadata::{FileTime, RegKeyMetadata};
use super::transaction::Transaction;
use super::tree::{self, Tree};
use super::types::{FromRegValue, ToRegValue};
use super::value::RegValue;
use super::{io_error, text};
use crate::windows::{self, Value, names};
use crate::{Access, CreateKey, Key, NamedValueRef, Registry, SetValue};

/// What [`RegKey::predef`] takes: one of the constants in [`enums`](super::enums) that begin with `HKEY_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HKEY(pub(super) u32);

/// [`HKEY_CLASSES_ROOT`].
pub const HKCR: &RegKey = &RegKey::predef(HKEY_CLASSES_ROOT);
/// [`HKEY_CURRENT_USER`].
pub const HKCU: &RegKey = &RegKey::predef(HKEY_CURRENT_USER);
/// [`HKEY_LOCAL_MACHINE`].
pub const HKLM: &RegKey = &RegKey::predef(HKEY_LOCAL_MACHINE);
/// [`HKEY_USERS`].
pub const HKU: &RegKey = &RegKey::predef(HKEY_USERS);
/// [`HKEY_CURRENT_CONFIG`].
pub const HKCC: &RegKey = &RegKey::predef(HKEY_CURRENT_CONFIG);

/// What the flags of Windows mean that mean nothing here.
const IGNORED: u32 = KEY_WOW64_RES;

/// A key that is open, or one of those that need not be opened.
pub struct RegKey {
    place: Place,
}

enum Place {
    Predefined(HKEY),
    Open(Key),
}

/// A handle that can be used.
enum Opened<'a> {
    Borrowed(&'a Key),
    Own(Key),
}

impl Deref for Opened<'_> {
    type Target = Key;

    fn deref(&self) -> &Key {
        match self {
            Opened::Borrowed(key) => key,
            Opened::Own(key) => key,
        }
    }
}

impl HKEY {
    /// Where it is.
    fn path(self) -> &'static str {
        match self {
            HKEY_LOCAL_MACHINE => "Machine",
            HKEY_USERS => "Users",
            HKEY_CLASSES_ROOT => "Machine\\Software\\Classes",
            HKEY_CURRENT_CONFIG => "Machine\\System\\CurrentControlSet\\Hardware Profiles\\Current",
            _ => "CurrentUser",
        }
    }
}

/// A key of ours, with all that `winreg` lacks: layers, watches, explanations, rights, backups.
impl From<Key> for RegKey {
    fn from(key: Key) -> RegKey {
        RegKey { place: Place::Open(key) }
    }
}

impl RegKey {
    /// A key that is always open.
    pub const fn predef(hkey: HKEY) -> RegKey {
        RegKey { place: Place::Predefined(hkey) }
    }

    /// The key as ours, with these rights, and so with all that `winreg` lacks.
    ///
    /// # Errors
    /// `PermissionDenied`: a right is missing.
    pub fn key(&self, access: Access) -> io::Result<Key> {
        self.open("", access, 0).map_err(io_error)
    }

    /// The key as ours: this handle with the rights that it has, or, of a key that is always open, a new one with these
    /// rights.
    ///
    /// # Errors
    /// `PermissionDenied`: a right is missing.
    pub fn opened(&self, access: Access) -> io::Result<impl Deref<Target = Key> + '_> {
        match &self.place {
            Place::Open(key) => Ok(Opened::Borrowed(key)),
            Place::Predefined(_) => self.key(access).map(Opened::Own),
        }
    }

    fn open(&self, path: &str, access: Access, options: u32) -> Result<Key, crate::Error> {
        let link = options & REG_OPTION_OPEN_LINK != 0;
        match &self.place {
            Place::Open(key) if link => key.open_link(path, access),
            Place::Open(key) => key.open_key(path, access),
            Place::Predefined(_) => {
                let (registry, path) = (Registry::open()?, self.path_of(path));
                if link {
                    registry.open_link(&path, access)
                } else {
                    registry.open_key(&path, access)
                }
            }
        }
    }

    /// The whole path of a key below this one.
    fn path_of(&self, below: &str) -> String {
        let above = match &self.place {
            Place::Open(key) => key.path(),
            Place::Predefined(hkey) => hkey.path(),
        };
        if below.is_empty() { above.to_owned() } else { format!("{above}\\{below}") }
    }

    /// Opens a key below this one, for reading.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    pub fn open_subkey<P: AsRef<OsStr>>(&self, path: P) -> io::Result<RegKey> {
        self.open_subkey_with_flags(path, KEY_READ)
    }

    /// Opens a key below this one with these rights (`KEY_…`).
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    pub fn open_subkey_with_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        perms: u32,
    ) -> io::Result<RegKey> {
        self.open_subkey_with_options_flags(path, 0, perms)
    }

    /// Opens a key below this one with options (`REG_OPTION_OPEN_LINK`) and rights.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    pub fn open_subkey_with_options_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        options: u32,
        perms: u32,
    ) -> io::Result<RegKey> {
        let opened = self.open(&super::path(path.as_ref())?, access(perms), options);
        let key = opened.map_err(io_error)?;
        Ok(key.into())
    }

    /// Opens a key below this one in a transaction, for reading.
    ///
    /// # Errors
    /// As of [`RegKey::open_subkey`].
    pub fn open_subkey_transacted<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
    ) -> io::Result<RegKey> {
        self.open_subkey_transacted_with_flags(path, t, KEY_READ)
    }

    /// Opens a key below this one in a transaction, with these rights.
    ///
    /// # Errors
    /// As of [`RegKey::open_subkey`].
    pub fn open_subkey_transacted_with_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
        perms: u32,
    ) -> io::Result<RegKey> {
        self.open_subkey_transacted_with_options_flags(path, t, 0, perms)
    }

    /// Opens a key below this one in a transaction, with options and rights.
    ///
    /// # Errors
    /// As of [`RegKey::open_subkey`].
    pub fn open_subkey_transacted_with_options_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
        options: u32,
        perms: u32,
    ) -> io::Result<RegKey> {
        let path = self.path_of(&super::path(path.as_ref())?);
        let registry = t.inside.registry();
        let opened = if options & REG_OPTION_OPEN_LINK == 0 {
            registry.open_key(&path, access(perms))
        } else {
            registry.open_link(&path, access(perms))
        };
        opened.map(RegKey::from).map_err(io_error)
    }

    /// Makes a key below this one, with those that lead to it, or opens it if it is there, with all rights.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub fn create_subkey<P: AsRef<OsStr>>(&self, path: P) -> io::Result<(RegKey, RegDisposition)> {
        self.create_subkey_with_flags(path, KEY_ALL_ACCESS)
    }

    /// Makes or opens a key below this one, with these rights.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub fn create_subkey_with_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        perms: u32,
    ) -> io::Result<(RegKey, RegDisposition)> {
        self.create_subkey_with_options_flags(path, REG_OPTION_NON_VOLATILE, perms)
    }

    /// Makes or opens a key below this one, with options (`REG_OPTION_VOLATILE`) and rights.
    ///
    /// # Errors
    /// `PermissionDenied`; `Unsupported`: `REG_OPTION_CREATE_LINK`.
    pub fn create_subkey_with_options_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        options: u32,
        perms: u32,
    ) -> io::Result<(RegKey, RegDisposition)> {
        let below = super::path(path.as_ref())?;
        match &self.place {
            Place::Open(key) if below.is_empty() => {
                let opened = key.open_key("", access(perms)).map_err(io_error)?;
                Ok((opened.into(), REG_OPENED_EXISTING_KEY))
            }
            Place::Open(key) => {
                let create =
                    |path: &str, access, how: &CreateKey| key.create_key(path, access, how);
                created(&below, options, perms, create)
            }
            Place::Predefined(_) => {
                let registry = Registry::open().map_err(io_error)?;
                created(&self.path_of(&below), options, perms, |path, access, how| {
                    registry.create_key(path, access, how)
                })
            }
        }
    }

    /// Makes or opens a key below this one in a transaction, with all rights.
    ///
    /// # Errors
    /// As of [`RegKey::create_subkey`].
    pub fn create_subkey_transacted<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
    ) -> io::Result<(RegKey, RegDisposition)> {
        self.create_subkey_transacted_with_flags(path, t, KEY_ALL_ACCESS)
    }

    /// Makes or opens a key below this one in a transaction, with these rights.
    ///
    /// # Errors
    /// As of [`RegKey::create_subkey`].
    pub fn create_subkey_transacted_with_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
        perms: u32,
    ) -> io::Result<(RegKey, RegDisposition)> {
        self.create_subkey_transacted_with_options_flags(path, t, REG_OPTION_NON_VOLATILE, perms)
    }

    /// Makes or opens a key below this one in a transaction, with options and rights.
    ///
    /// # Errors
    /// As of [`RegKey::create_subkey_with_options_flags`].
    pub fn create_subkey_transacted_with_options_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
        options: u32,
        perms: u32,
    ) -> io::Result<(RegKey, RegDisposition)> {
        let path = self.path_of(&super::path(path.as_ref())?);
        let registry = t.inside.registry();
        created(&path, options, perms, |path, access, how| registry.create_key(path, access, how))
    }

    /// Writes the values and keys of a key below this one, or of this one, into another key: all or nothing, if that is
    /// not in a transaction already. What is there when this begins is copied, also where the other key is below the first.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`; `InvalidInput`: the other key is volatile and something copied is not.
    pub fn copy_tree<P: AsRef<OsStr>>(&self, path: P, dest: &RegKey) -> io::Result<()> {
        let reads = Access::ENUMERATE_SUB_KEYS | Access::QUERY_VALUE;
        let from = self.open(&super::path(path.as_ref())?, reads, 0).map_err(io_error)?;
        let writes = Access::SET_VALUE | Access::CREATE_SUB_KEY;
        let tree = Tree::of(&from).map_err(io_error)?;
        dest.at_once("", writes, |to| tree.write(to))
    }

    /// How much there is in the key, and when it was written last.
    ///
    /// # Errors
    /// `PermissionDenied`: it takes KEY_READ.
    pub fn query_info(&self) -> io::Result<RegKeyMetadata> {
        let key = self.opened(Access::KEY_READ)?;
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let details = key.info().map_err(io_error)?.details.ok_or_else(denied)?;
        let mut info = RegKeyMetadata {
            last_write_time: FileTime::of_nanoseconds(details.last_write),
            ..RegKeyMetadata::default()
        };
        let units = |name: &str| name.encode_utf16().count() as u32;
        for subkey in key.subkeys(false) {
            let name = names::to_windows(&subkey.map_err(io_error)?.name);
            info.sub_keys += 1;
            info.max_sub_key_len = info.max_sub_key_len.max(units(&name));
        }
        let all = key.each_value(|NamedValueRef { name, value }| {
            let data = Value { value_type: value.value_type, data: value.data.to_vec() };
            let (_, bytes, _) = windows::to_windows(&data);
            info.values += 1;
            info.max_value_name_len = info.max_value_name_len.max(units(name));
            info.max_value_len = info.max_value_len.max(bytes.len() as u32);
            ControlFlow::<()>::Continue(())
        });
        all.map_err(io_error)?;
        Ok(info)
    }

    /// The names of the subkeys, in their order.
    pub const fn enum_keys(&self) -> EnumKeys<'_> {
        EnumKeys::of(self)
    }

    /// The names of the subkeys, in their order.
    pub const fn enum_keys_os_string(&self) -> EnumKeysOsString<'_> {
        EnumKeysOsString::of(self)
    }

    /// The values with their names, in the order of these.
    pub const fn enum_values(&self) -> EnumValues<'_> {
        EnumValues::of(self)
    }

    /// The values with their names, in the order of these.
    pub const fn enum_values_os_string(&self) -> EnumValuesOsString<'_> {
        EnumValuesOsString::of(self)
    }

    /// Deletes a key below this one, which must have no subkeys.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `DirectoryNotEmpty`.
    pub fn delete_subkey<P: AsRef<OsStr>>(&self, path: P) -> io::Result<()> {
        self.delete_subkey_with_flags(path, 0)
    }

    /// As [`RegKey::delete_subkey`]; the flags mean nothing.
    ///
    /// # Errors
    /// As of [`RegKey::delete_subkey`].
    pub fn delete_subkey_with_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        _perms: u32,
    ) -> io::Result<()> {
        let path = super::path(path.as_ref())?;
        let key = self.open(&path, Access::DELETE, REG_OPTION_OPEN_LINK);
        key.and_then(|key| key.delete(None)).map_err(io_error)
    }

    /// Deletes a key below this one in a transaction.
    ///
    /// # Errors
    /// As of [`RegKey::delete_subkey`].
    pub fn delete_subkey_transacted<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
    ) -> io::Result<()> {
        self.delete_subkey_transacted_with_flags(path, t, 0)
    }

    /// As [`RegKey::delete_subkey_transacted`]; the flags mean nothing.
    ///
    /// # Errors
    /// As of [`RegKey::delete_subkey`].
    pub fn delete_subkey_transacted_with_flags<P: AsRef<OsStr>>(
        &self,
        path: P,
        t: &Transaction,
        _perms: u32,
    ) -> io::Result<()> {
        let path = self.path_of(&super::path(path.as_ref())?);
        let key = t.inside.registry().open_link(&path, Access::DELETE);
        key.and_then(|key| key.delete(None)).map_err(io_error)
    }

    /// Deletes a key below this one and all below it; with an empty path, what is in this key. All or nothing, if this key
    /// is not in a transaction already.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    pub fn delete_subkey_all<P: AsRef<OsStr>>(&self, path: P) -> io::Result<()> {
        let path = super::path(path.as_ref())?;
        if !path.is_empty() {
            // A link is deleted, and not what it leads to.
            let access = Access::DELETE | Access::READ_CONTROL;
            let key = self.open(&path, access, REG_OPTION_OPEN_LINK).map_err(io_error)?;
            if key.info().map_err(io_error)?.details.is_some_and(|details| details.link) {
                return key.delete(None).map_err(io_error);
            }
        }
        let mut access = Access::ENUMERATE_SUB_KEYS | Access::QUERY_VALUE | Access::SET_VALUE;
        access.set(Access::DELETE, !path.is_empty());
        self.at_once(&path, access, |key| {
            tree::empty(key)?;
            if path.is_empty() { Ok(()) } else { key.delete(None) }
        })
    }

    /// Does something with a key below this one, in a transaction if it is in none.
    fn at_once(
        &self,
        path: &str,
        access: Access,
        work: impl FnOnce(&Key) -> Result<(), crate::Error>,
    ) -> io::Result<()> {
        if matches!(&self.place, Place::Open(key) if key.is_in_transaction()) {
            return self.open(path, access, 0).and_then(|key| work(&key)).map_err(io_error);
        }
        let transaction = Transaction::new()?;
        let key = transaction.inside.registry().open_key(&self.path_of(path), access);
        key.and_then(|key| work(&key)).map_err(io_error)?;
        transaction.commit()
    }

    /// The value of a name, as a type that it can be read as; the empty name is the default value.
    ///
    /// # Errors
    /// `NotFound`; `InvalidData`: it is of another type.
    pub fn get_value<T: FromRegValue, N: AsRef<OsStr>>(&self, name: N) -> io::Result<T> {
        T::from_reg_value(&self.get_raw_value(name)?)
    }

    /// The value of a name, with its bytes.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    pub fn get_raw_value<N: AsRef<OsStr>>(&self, name: N) -> io::Result<RegValue<'static>> {
        let key = self.opened(Access::QUERY_VALUE)?;
        let value = key.value(text(name.as_ref())?).map_err(io_error)?;
        Ok(RegValue::of_ours(value.value_type, value.data))
    }

    /// Writes a value, durably.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub fn set_value<T: ToRegValue, N: AsRef<OsStr>>(&self, name: N, value: &T) -> io::Result<()> {
        self.set_raw_value(name, &value.to_reg_value())
    }

    /// Writes a value, durably.
    ///
    /// # Errors
    /// `PermissionDenied`; `InvalidInput`: text of an odd number of bytes.
    pub fn set_raw_value<N: AsRef<OsStr>>(&self, name: N, value: &RegValue<'_>) -> io::Result<()> {
        let Value { value_type, data } = value.ours()?;
        let key = self.opened(Access::SET_VALUE)?;
        let written = key.set_value(text(name.as_ref())?, value_type, &data, &SetValue::default());
        written.map(drop).map_err(io_error)
    }

    /// Deletes a value.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`.
    pub fn delete_value<N: AsRef<OsStr>>(&self, name: N) -> io::Result<()> {
        let key = self.opened(Access::SET_VALUE | Access::QUERY_VALUE)?;
        let name = text(name.as_ref())?;
        // For the registry itself, to delete what is not there is no error. Who may not look is not told.
        match key.value(name) {
            Err(error) if error.is_not_found() => return Err(io_error(error)),
            _ => {}
        }
        key.delete_value(name, None).map_err(io_error)
    }

    /// Writes a structure: fields are values, structures in it are subkeys. All or nothing.
    ///
    /// # Errors
    /// What a value cannot be, and those of the registry.
    #[cfg(feature = "serialization-serde")]
    pub fn encode<T: serde::Serialize>(&self, value: &T) -> super::encoder::EncodeResult<()> {
        let transaction = Transaction::new()?;
        self.encode_transacted(value, &transaction)?;
        Ok(transaction.commit()?)
    }

    /// As [`RegKey::encode`], in the place of all that was in the key.
    ///
    /// # Errors
    /// As of [`RegKey::encode`].
    #[cfg(feature = "serialization-serde")]
    pub fn encode_destructive<T: serde::Serialize>(
        &self,
        value: &T,
    ) -> super::encoder::EncodeResult<()> {
        let transaction = Transaction::new()?;
        self.encode_destructive_transacted(value, &transaction)?;
        Ok(transaction.commit()?)
    }

    /// As [`RegKey::encode`], in a transaction.
    ///
    /// # Errors
    /// As of [`RegKey::encode`].
    #[cfg(feature = "serialization-serde")]
    pub fn encode_transacted<T: serde::Serialize>(
        &self,
        value: &T,
        tr: &Transaction,
    ) -> super::encoder::EncodeResult<()> {
        super::encoder::encode(&self.in_transaction(tr)?, value)
    }

    /// As [`RegKey::encode_destructive`], in a transaction.
    ///
    /// # Errors
    /// As of [`RegKey::encode`].
    #[cfg(feature = "serialization-serde")]
    pub fn encode_destructive_transacted<T: serde::Serialize>(
        &self,
        value: &T,
        tr: &Transaction,
    ) -> super::encoder::EncodeResult<()> {
        let inside = self.in_transaction(tr)?;
        inside.delete_subkey_all("")?;
        super::encoder::encode(&inside, value)
    }

    #[cfg(feature = "serialization-serde")]
    fn in_transaction(&self, transaction: &Transaction) -> io::Result<RegKey> {
        let perms = KEY_CREATE_SUB_KEY | KEY_SET_VALUE | KEY_ENUMERATE_SUB_KEYS | KEY_QUERY_VALUE;
        self.open_subkey_transacted_with_flags("", transaction, perms)
    }

    /// Reads a structure that [`RegKey::encode`] wrote.
    ///
    /// # Errors
    /// What is missing or of another type, and those of the registry.
    #[cfg(feature = "serialization-serde")]
    pub fn decode<'de, T: serde::Deserialize<'de>>(&self) -> super::decoder::DecodeResult<T> {
        let mut decoder = super::decoder::Decoder::from_key(self)?;
        T::deserialize(&mut decoder)
    }
}

fn access(perms: u32) -> Access {
    Access::from_bits_retain(perms & !IGNORED)
}

/// Makes or opens a key, and before it those that lead to it.
fn created(
    path: &str,
    options: u32,
    perms: u32,
    create: impl Fn(&str, Access, &CreateKey) -> Result<Key, crate::Error>,
) -> io::Result<(RegKey, RegDisposition)> {
    if options & REG_OPTION_CREATE_LINK != 0 {
        let what = "a link is made by Key::create_key, which is told where it leads";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    let how = CreateKey { volatile: options & REG_OPTION_VOLATILE != 0, ..CreateKey::default() };
    let key = match create(path, access(perms), &how) {
        Err(error) if error.is_not_found() && path.contains('\\') => {
            for (end, _) in path.match_indices('\\') {
                // A hive, and what is there already, need not be one's own.
                match create(&path[..end], Access::MAXIMUM_ALLOWED, &how) {
                    Ok(_) => {}
                    Err(error) if error.is_access_denied() => {}
                    Err(error) => return Err(io_error(error)),
                }
            }
            create(path, access(perms), &how)
        }
        outcome => outcome,
    };
    let key = key.map_err(io_error)?;
    let created = key.info().map_err(io_error)?.created;
    let disposition = if created { REG_CREATED_NEW_KEY } else { REG_OPENED_EXISTING_KEY };
    Ok((key.into(), disposition))
}

impl fmt::Debug for RegKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegKey({:?})", self.path_of(""))
    }
}
