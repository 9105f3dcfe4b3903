//! Who a caller is, and what it may do (DESIGN §6).
//!
//! SIDs, security descriptors, ACLs and ACEs are those of Windows ([MS-DTYP] 2.4), in their binary
//! self-relative form and as SDDL text:
//!
//! - [`Sid`], [`Ace`], [`Acl`], [`SecurityDescriptor`]: what is written down. Bytes and texts from outside
//!   become these, or are refused; they cannot hold what must not be stored.
//! - [`sddl`]: the text form, both ways.
//! - [`Token`]: whom a handle acts for.
//! - [`access_check`]: the one place that decides; [`is_audited`]: whether what it decided is recorded.
//! - [`inherited`]: the security descriptor of a new key.

mod acl;
mod check;
mod descriptor;
mod inherit;
pub mod sddl;
mod sid;
mod token;

use core::fmt;

use lcs_abi::security::Access;

pub use acl::{ACE_RIGHTS, Ace, AceFlags, AceKind, Acl, AclKind};
pub use check::{Denied, DesiredAccess, InvalidMask, access_check, is_audited, map_generic};
pub use descriptor::{AclPart, Control, Parts, SecurityDescriptor};
pub use inherit::{inherited, private_to};
pub use sid::{NotASid, Sid};
pub use token::{Account, Privileges, Token};

/// Why bytes are no security descriptor, or ACEs no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end before what they begin with does.
    Truncated,
    /// A revision that nobody knows.
    Revision,
    /// A security descriptor with pointers in it.
    NotSelfRelative,
    /// An offset that leads into the header, to no multiple of 4, behind the end, or to what is said not to
    /// be there.
    Offset,
    /// Two parts share bytes.
    Overlap,
    /// A SID with more than 15 sub-authorities.
    TooManySubAuthorities,
    /// An ACL shorter than its header.
    AclSize,
    /// An ACL of more than 65,535 bytes.
    AclTooLong,
    /// An ACE that does not end where its SID does.
    AceSize,
    /// A type of ACE that has no place in this list, or none in a registry.
    AceType(u8),
    /// A flag of an ACE that nobody knows.
    AceFlags(u8),
    /// A right in an ACE that a key does not have, or that only a request can have.
    AceMask(u32),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated => f.write_str("cut off"),
            Malformed::Revision => f.write_str("unknown revision"),
            Malformed::NotSelfRelative => f.write_str("not self-relative"),
            Malformed::Offset => f.write_str("impossible offset"),
            Malformed::Overlap => f.write_str("overlapping parts"),
            Malformed::TooManySubAuthorities => f.write_str("SID with too many sub-authorities"),
            Malformed::AclSize => f.write_str("ACL shorter than its header"),
            Malformed::AclTooLong => f.write_str("ACL longer than 65535 bytes"),
            Malformed::AceSize => f.write_str("ACE of the wrong length"),
            Malformed::AceType(code) => write!(f, "ACE of type {code}, which is not for this list"),
            Malformed::AceFlags(flags) => write!(f, "unknown flags of an ACE: {flags:#04x}"),
            Malformed::AceMask(mask) => {
                let unknown = mask & !ACE_RIGHTS.bits();
                write!(f, "an ACE with rights that keys do not have: {unknown:#x}")
            }
        }
    }
}

impl core::error::Error for Malformed {}

/// The rights that a handle can have, with their names, in the order of their bits.
pub fn rights() -> impl Iterator<Item = (Access, &'static str)> {
    let of_keys = Access::KEY_ALL_ACCESS | Access::ACCESS_SYSTEM_SECURITY;
    of_keys.iter_names().map(|(name, right)| (right, name))
}
