//! Access rights, and the security descriptors of hive roots as bytes, so that a source can store them
//! without understanding them.

bitflags::bitflags! {
    /// Rights on a registry key, with the bits of Windows ([MS-DTYP] 2.4.3, `KEY_*` of winnt.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Access: u32 {
        /// Read values.
        const QUERY_VALUE = 0x1;
        /// Write values.
        const SET_VALUE = 0x2;
        /// Create subkeys.
        const CREATE_SUB_KEY = 0x4;
        /// List subkeys.
        const ENUMERATE_SUB_KEYS = 0x8;
        /// Watch for changes.
        const NOTIFY = 0x10;
        /// Create links.
        const CREATE_LINK = 0x20;
        /// Delete or hide the key.
        const DELETE = 0x1_0000;
        /// Read the security descriptor (without its SACL) and the key's metadata.
        const READ_CONTROL = 0x2_0000;
        /// Change the DACL.
        const WRITE_DAC = 0x4_0000;
        /// Change the owner.
        const WRITE_OWNER = 0x8_0000;
        /// Read and change the SACL.
        const ACCESS_SYSTEM_SECURITY = 0x100_0000;
        /// In a request: everything that the caller can have.
        const MAXIMUM_ALLOWED = 0x200_0000;
        /// In a request: KEY_ALL_ACCESS.
        const GENERIC_ALL = 0x1000_0000;
        /// In a request: nothing.
        const GENERIC_EXECUTE = 0x2000_0000;
        /// In a request: KEY_WRITE.
        const GENERIC_WRITE = 0x4000_0000;
        /// In a request: KEY_READ.
        const GENERIC_READ = 0x8000_0000;
        /// READ_CONTROL, QUERY_VALUE, ENUMERATE_SUB_KEYS, NOTIFY.
        const KEY_READ = 0x2_0019;
        /// READ_CONTROL, SET_VALUE, CREATE_SUB_KEY.
        const KEY_WRITE = 0x2_0006;
        /// Every right of a key.
        const KEY_ALL_ACCESS = 0xF_003F;
    }
}

/// The security descriptor of the root of `Machine`, in the self-relative form of [MS-DTYP] 2.4.6:
/// `O:SYG:SYD:(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;AU)`.
#[rustfmt::skip]
pub const MACHINE_ROOT_SD: [u8; 116] = [
    // Revision 1, DACL present and self-relative; offsets of owner, group, SACL, DACL.
    1, 0, 0x04, 0x80,  20, 0, 0, 0,  32, 0, 0, 0,  0, 0, 0, 0,  44, 0, 0, 0,
    // Owner S-1-5-18
    1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
    // Group S-1-5-18
    1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
    // DACL: revision 2, 72 bytes, 3 ACEs
    2, 0, 72, 0, 3, 0, 0, 0,
    // Allow, container-inherit, 20 bytes, KEY_ALL_ACCESS, S-1-5-18 (SYSTEM)
    0, 2, 20, 0, 0x3F, 0x00, 0x0F, 0x00, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
    // Allow, container-inherit, 24 bytes, KEY_ALL_ACCESS, S-1-5-32-544 (Administrators)
    0, 2, 24, 0, 0x3F, 0x00, 0x0F, 0x00, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 0x02, 0, 0,
    // Allow, container-inherit, 20 bytes, KEY_READ, S-1-5-11 (Authenticated Users)
    0, 2, 20, 0, 0x19, 0x00, 0x02, 0x00, 1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0,
];

/// The security descriptor of the root of `Users`: the same as that of `Machine`.
pub const USERS_ROOT_SD: [u8; 116] = MACHINE_ROOT_SD;
