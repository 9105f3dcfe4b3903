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
//!
//! Each key has one. `Key::security` and `Key::set_security` read and write it, or parts of it:
//!
//! ```
//! use libreg::security::{Parts, SecurityDescriptor};
//! use libreg::{Access, CreateKey, Registry};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let registry = Registry::open()?;
//! let key = registry.create_key("Machine/Editor", Access::KEY_ALL_ACCESS, &CreateKey::default())?;
//! let dacl: SecurityDescriptor = "D:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)".parse()?;
//! key.set_security(Parts::DACL, &dacl)?;
//! assert_eq!(key.security(Parts::DACL)?.to_string(), "D:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)");
//! # Ok(())
//! # }
//! ```

pub use lcs_core::security::sddl::{MaskText, SddlError, SidText, parse_mask};
pub use lcs_core::security::{
    ACE_RIGHTS, Ace, AceFlags, AceKind, Acl, AclKind, AclPart, Control, Malformed, NotASid, Parts,
    SecurityDescriptor, Sid, map_generic, rights,
};
