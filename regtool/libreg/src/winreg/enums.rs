//! Constants and enumerations: `use winreg::enums::*`.

use super::reg_key::HKEY;

/// The classes of documents.
pub const HKEY_CLASSES_ROOT: HKEY = HKEY(0x8000_0000);
/// What belongs to the user.
pub const HKEY_CURRENT_USER: HKEY = HKEY(0x8000_0001);
/// What belongs to the system.
pub const HKEY_LOCAL_MACHINE: HKEY = HKEY(0x8000_0002);
/// What belongs to each user.
pub const HKEY_USERS: HKEY = HKEY(0x8000_0003);
/// The hardware profile.
pub const HKEY_CURRENT_CONFIG: HKEY = HKEY(0x8000_0005);

/// Delete the key.
pub const DELETE: u32 = 0x0001_0000;
/// Read values.
pub const KEY_QUERY_VALUE: u32 = 0x0001;
/// Write values.
pub const KEY_SET_VALUE: u32 = 0x0002;
/// Make subkeys.
pub const KEY_CREATE_SUB_KEY: u32 = 0x0004;
/// List subkeys.
pub const KEY_ENUMERATE_SUB_KEYS: u32 = 0x0008;
/// Watch.
pub const KEY_NOTIFY: u32 = 0x0010;
/// Make links.
pub const KEY_CREATE_LINK: u32 = 0x0020;
/// Means nothing here.
pub const KEY_WOW64_64KEY: u32 = 0x0100;
/// Means nothing here.
pub const KEY_WOW64_32KEY: u32 = 0x0200;
/// Means nothing here.
pub const KEY_WOW64_RES: u32 = 0x0300;
/// Read values, list subkeys, watch, and read the security descriptor.
pub const KEY_READ: u32 = 0x2_0019;
/// The same.
pub const KEY_EXECUTE: u32 = KEY_READ;
/// Write values, make subkeys, and read the security descriptor.
pub const KEY_WRITE: u32 = 0x2_0006;
/// Everything.
pub const KEY_ALL_ACCESS: u32 = 0xF_003F;

/// Nothing special.
pub const REG_OPTION_RESERVED: u32 = 0;
/// The key stays.
pub const REG_OPTION_NON_VOLATILE: u32 = 0;
/// The key lives as long as its source.
pub const REG_OPTION_VOLATILE: u32 = 1;
/// A link; links are made by [`crate::Key::create_key`], for they need a target.
pub const REG_OPTION_CREATE_LINK: u32 = 2;
/// Means nothing here: SeBackup is a privilege that a user has or has not.
pub const REG_OPTION_BACKUP_RESTORE: u32 = 4;
/// The link itself, and not what it leads to.
pub const REG_OPTION_OPEN_LINK: u32 = 8;
/// Means nothing here.
pub const REG_OPTION_DONT_VIRTUALIZE: u32 = 16;

/// The types of values.
#[allow(non_camel_case_types, reason = "they are Windows' names")]
#[derive(Clone, Debug, PartialEq)]
pub enum RegType {
    /// No type.
    REG_NONE = 0,
    /// Text.
    REG_SZ = 1,
    /// Text with references to environment variables.
    REG_EXPAND_SZ = 2,
    /// Bytes.
    REG_BINARY = 3,
    /// A number of 32 bits, little-endian.
    REG_DWORD = 4,
    /// A number of 32 bits, big-endian.
    REG_DWORD_BIG_ENDIAN = 5,
    /// Where a link leads.
    REG_LINK = 6,
    /// A list of texts.
    REG_MULTI_SZ = 7,
    /// Hardware resources.
    REG_RESOURCE_LIST = 8,
    /// Hardware resources.
    REG_FULL_RESOURCE_DESCRIPTOR = 9,
    /// Hardware resources.
    REG_RESOURCE_REQUIREMENTS_LIST = 10,
    /// A number of 64 bits, little-endian.
    REG_QWORD = 11,
}
pub use self::RegType::*;

impl RegType {
    /// All of them, in the order of their codes.
    pub(super) const ALL: [RegType; 12] = [
        REG_NONE,
        REG_SZ,
        REG_EXPAND_SZ,
        REG_BINARY,
        REG_DWORD,
        REG_DWORD_BIG_ENDIAN,
        REG_LINK,
        REG_MULTI_SZ,
        REG_RESOURCE_LIST,
        REG_FULL_RESOURCE_DESCRIPTOR,
        REG_RESOURCE_REQUIREMENTS_LIST,
        REG_QWORD,
    ];

    pub(super) fn of_code(code: u32) -> Option<RegType> {
        Self::ALL.get(code as usize).cloned()
    }
}

/// Whether a key was there.
#[allow(non_camel_case_types, reason = "they are Windows' names")]
#[derive(Clone, Debug, PartialEq)]
pub enum RegDisposition {
    /// It was made.
    REG_CREATED_NEW_KEY = 1,
    /// It was there.
    REG_OPENED_EXISTING_KEY = 2,
}
pub use self::RegDisposition::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, ValueType};

    #[test]
    fn rights_and_types_have_the_numbers_that_the_registry_has() {
        for (windows, ours) in [
            (KEY_READ, Access::KEY_READ),
            (KEY_WRITE, Access::KEY_WRITE),
            (KEY_ALL_ACCESS, Access::KEY_ALL_ACCESS),
            (KEY_QUERY_VALUE, Access::QUERY_VALUE),
            (KEY_SET_VALUE, Access::SET_VALUE),
            (KEY_CREATE_SUB_KEY, Access::CREATE_SUB_KEY),
            (KEY_ENUMERATE_SUB_KEYS, Access::ENUMERATE_SUB_KEYS),
            (KEY_NOTIFY, Access::NOTIFY),
            (KEY_CREATE_LINK, Access::CREATE_LINK),
            (DELETE, Access::DELETE),
        ] {
            assert_eq!(windows, ours.bits());
        }
        for value_type in ValueType::ALL {
            let code = value_type.code();
            assert_eq!(RegType::of_code(code).map(|found| found as u32), Some(code));
        }
        assert_eq!(RegType::of_code(12), None);
    }
}
