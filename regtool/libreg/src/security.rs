//! Who may do what with a key: SIDs, security descriptors and their text form, SDDL.
//!
//! ```
//! use libreg::security::{Parts, SecurityDescriptor, Sid};
//!
//! let sd: SecurityDescriptor = "O:SYD:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)".parse()?;
//! assert_eq!(sd.owner, Some(Sid::SYSTEM));
//! assert_eq!(sd.only(Parts::DACL).to_string(), "D:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)");
//! # Ok::<(), libreg::security::SddlError>(())
//! ```

pub use lcs_core::security::sddl::{MaskText, SddlError, SidText, parse_mask};
pub use lcs_core::security::{
    ACE_RIGHTS, Ace, AceFlags, AceKind, Acl, AclKind, AclPart, Control, Malformed, NotASid, Parts,
    SecurityDescriptor, Sid, map_generic, rights,
};
