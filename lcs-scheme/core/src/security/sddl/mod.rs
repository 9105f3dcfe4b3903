//! The security descriptor definition language ([MS-DTYP] 2.5.1): security descriptors as text.
//!
//! `O:SYG:SYD:P(A;CI;KA;;;SY)(A;CI;KR;;;AU)S:(AU;FA;KW;;;WD)`: an owner, a primary group, a DACL and a SACL,
//! each of which may be left out. `D:NO_ACCESS_CONTROL` is a DACL that is said to be there and is not.
//! Masks are names of rights or a number. ACEs for objects, with conditions and labels are refused, as in
//! the binary form.

mod names;
mod parse;

use core::fmt;

use lcs_abi::security::Access;

use super::acl::{Ace, AceFlags, AceKind};
use super::descriptor::{AclPart, Control, SecurityDescriptor};
use super::sid::Sid;
use names::{ACE_FLAGS, MASKS, RIGHTS, SIDS};
pub use parse::{Problem, SddlError, parse};

/// What stands for a list that is said to be there and is not.
const NO_LIST: &str = "NO_ACCESS_CONTROL";

/// A SID as SDDL writes it: by its name, if it has one.
pub struct SidText<'a>(pub &'a Sid);

impl fmt::Display for SidText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIDS.iter().find(|(_, sid)| sid == self.0) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// A mask as SDDL writes it: by names, or as a hexadecimal number if a bit has none.
pub struct MaskText(pub Access);

impl fmt::Display for MaskText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = MASKS.iter().find(|(_, mask)| *mask == self.0) {
            return f.write_str(name);
        }
        let named = RIGHTS.iter().fold(Access::empty(), |all, (_, right)| all | *right);
        if self.0.is_empty() || !named.contains(self.0) {
            return write!(f, "{:#x}", self.0.bits());
        }
        RIGHTS
            .iter()
            .filter(|(_, right)| self.0.contains(*right))
            .try_for_each(|(name, _)| f.write_str(name))
    }
}

/// A mask from the text that SDDL has for it.
pub fn parse_mask(text: &str) -> Option<Access> {
    parse::mask(text)
}

impl fmt::Display for AceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ACE_FLAGS
            .iter()
            .filter(|(_, flag)| self.contains(*flag))
            .try_for_each(|(name, _)| f.write_str(name))
    }
}

impl fmt::Display for Ace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            AceKind::Allow => "A",
            AceKind::Deny => "D",
            AceKind::Audit => "AU",
        };
        let (flags, mask, sid) = (self.flags, MaskText(self.mask), SidText(&self.sid));
        write!(f, "({kind};{flags};{mask};;;{sid})")
    }
}

impl fmt::Display for SecurityDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, sid) in [('O', &self.owner), ('G', &self.group)] {
            if let Some(sid) = sid {
                write!(f, "{letter}:{}", SidText(sid))?;
            }
        }
        for (letter, part, flags) in
            [('D', self.dacl(), &DACL_FLAGS), ('S', self.sacl(), &SACL_FLAGS)]
        {
            if *part == AclPart::Absent {
                continue;
            }
            write!(f, "{letter}:")?;
            for (name, flag) in flags {
                if self.control.contains(*flag) {
                    f.write_str(name)?;
                }
            }
            match part {
                AclPart::List(acl) => acl.aces().iter().try_for_each(|ace| ace.fmt(f))?,
                AclPart::Null | AclPart::Absent => f.write_str(NO_LIST)?,
            }
        }
        Ok(())
    }
}

/// Control bits of a DACL that have a name.
const DACL_FLAGS: [(&str, Control); 3] = [
    ("P", Control::DACL_PROTECTED),
    ("AR", Control::DACL_AUTO_INHERIT_REQ),
    ("AI", Control::DACL_AUTO_INHERITED),
];

/// Control bits of a SACL that have a name.
const SACL_FLAGS: [(&str, Control); 3] = [
    ("P", Control::SACL_PROTECTED),
    ("AR", Control::SACL_AUTO_INHERIT_REQ),
    ("AI", Control::SACL_AUTO_INHERITED),
];
