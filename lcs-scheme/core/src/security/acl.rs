//! Access control lists and their entries ([MS-DTYP] 2.4.4, 2.4.5).

use alloc::vec::Vec;

use bitflags::bitflags;
use lcs_abi::security::Access;

use super::Malformed;
use super::sid::Sid;

/// Bytes of an ACL before its entries: revision, reserved, size, count, reserved.
const ACL_HEADER: usize = 8;

/// Bytes of an ACE before its SID: type, flags, size, mask.
const ACE_HEADER: usize = 8;

/// The revision of an ACL without object ACEs, which is what is written.
const ACL_REVISION: u8 = 2;

/// The revision of an ACL that may have object ACEs.
const ACL_REVISION_DS: u8 = 4;

/// The rights that an ACE's mask may name: those of a key, and the generic ones.
pub const ACE_RIGHTS: Access = Access::all().difference(Access::MAXIMUM_ALLOWED);

/// What an ACE does. Types for objects, for callbacks, and labels are malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AceKind {
    /// ACCESS_ALLOWED_ACE, in a DACL.
    Allow,
    /// ACCESS_DENIED_ACE, in a DACL.
    Deny,
    /// SYSTEM_AUDIT_ACE, in a SACL.
    Audit,
}

impl AceKind {
    fn code(self) -> u8 {
        match self {
            AceKind::Allow => 0,
            AceKind::Deny => 1,
            AceKind::Audit => 2,
        }
    }

    fn from_code(code: u8) -> Result<AceKind, Malformed> {
        match code {
            0 => Ok(AceKind::Allow),
            1 => Ok(AceKind::Deny),
            2 => Ok(AceKind::Audit),
            other => Err(Malformed::AceType(other)),
        }
    }
}

bitflags! {
    /// Flags of an ACE ([MS-DTYP] 2.4.4.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AceFlags: u8 {
        /// What is not a container inherits it. In a registry everything is a container.
        const OBJECT_INHERIT = 0x01;
        /// Containers, which is keys, inherit it.
        const CONTAINER_INHERIT = 0x02;
        /// Whoever inherits it does not pass it on.
        const NO_PROPAGATE_INHERIT = 0x04;
        /// It has no effect on the key that it is attached to.
        const INHERIT_ONLY = 0x08;
        /// It was inherited.
        const INHERITED = 0x10;
        /// In a SACL: audit what was granted.
        const SUCCESSFUL_ACCESS = 0x40;
        /// In a SACL: audit what was denied.
        const FAILED_ACCESS = 0x80;
    }
}

/// An access control entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ace {
    /// What it does.
    pub kind: AceKind,
    /// How it is inherited, and what is audited.
    pub flags: AceFlags,
    /// The rights concerned, among [`ACE_RIGHTS`].
    pub mask: Access,
    /// Whom it concerns.
    pub sid: Sid,
}

impl Ace {
    /// An ACE that allows.
    pub const fn allow(flags: AceFlags, mask: Access, sid: Sid) -> Ace {
        Ace { kind: AceKind::Allow, flags, mask, sid }
    }

    /// Whether it has an effect on the key that it is attached to.
    pub fn is_effective(&self) -> bool {
        !self.flags.contains(AceFlags::INHERIT_ONLY)
    }

    fn size(&self) -> usize {
        ACE_HEADER + self.sid.size()
    }

    /// Takes the ACE at the start of `bytes`; what follows it is returned.
    fn take(bytes: &[u8]) -> Result<(Ace, &[u8]), Malformed> {
        let Some((&[kind, flags, size_low, size_high, ref mask @ ..], _)) =
            bytes.split_first_chunk::<ACE_HEADER>()
        else {
            return Err(Malformed::Truncated);
        };
        let size = usize::from(u16::from_le_bytes([size_low, size_high]));
        let (ace, rest) = bytes.split_at_checked(size).ok_or(Malformed::AceSize)?;
        let kind = AceKind::from_code(kind)?;
        let flags = AceFlags::from_bits(flags).ok_or(Malformed::AceFlags(flags))?;
        let mask = u32::from_le_bytes(*mask);
        let mask = Access::from_bits(mask)
            .filter(|rights| ACE_RIGHTS.contains(*rights))
            .ok_or(Malformed::AceMask(mask))?;
        let sid = Sid::from_bytes(ace.get(ACE_HEADER..).ok_or(Malformed::AceSize)?)?;
        let ace = Ace { kind, flags, mask, sid };
        if ace.size() == size { Ok((ace, rest)) } else { Err(Malformed::AceSize) }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        // A SID has at most 68 bytes.
        let [size_low, size_high] = (self.size() as u16).to_le_bytes();
        bytes.extend([self.kind.code(), self.flags.bits(), size_low, size_high]);
        bytes.extend(self.mask.bits().to_le_bytes());
        self.sid.write(bytes);
    }
}

/// Which of the two lists of a security descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AclKind {
    /// The discretionary list: who may.
    Dacl,
    /// The system list: what is audited.
    Sacl,
}

/// An access control list.
///
/// Holding one proves that all its ACEs belong into a list of its kind, that their masks are among
/// [`ACE_RIGHTS`], and that its binary form is not longer than its length can say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    kind: AclKind,
    aces: Vec<Ace>,
}

impl Acl {
    /// A list of these ACEs, in this order.
    pub fn new(kind: AclKind, aces: Vec<Ace>) -> Result<Acl, Malformed> {
        for ace in &aces {
            if (ace.kind == AceKind::Audit) != (kind == AclKind::Sacl) {
                return Err(Malformed::AceType(ace.kind.code()));
            }
            if !ACE_RIGHTS.contains(ace.mask) {
                return Err(Malformed::AceMask(ace.mask.bits()));
            }
        }
        let acl = Acl { kind, aces };
        if acl.size() > usize::from(u16::MAX) { Err(Malformed::AclTooLong) } else { Ok(acl) }
    }

    /// Which list it is.
    pub fn kind(&self) -> AclKind {
        self.kind
    }

    /// The ACEs, in the order in which they count.
    pub fn aces(&self) -> &[Ace] {
        &self.aces
    }

    /// Reads the list at the start of `bytes`, and tells how many of them it takes up, some of which may
    /// stand unused behind its last ACE.
    pub(super) fn from_bytes(kind: AclKind, bytes: &[u8]) -> Result<(Acl, usize), Malformed> {
        let Some((&[revision, _, size_low, size_high, count_low, count_high, _, _], _)) =
            bytes.split_first_chunk::<ACL_HEADER>()
        else {
            return Err(Malformed::Truncated);
        };
        if !matches!(revision, ACL_REVISION | ACL_REVISION_DS) {
            return Err(Malformed::Revision);
        }
        let size = usize::from(u16::from_le_bytes([size_low, size_high]));
        let list = bytes.get(..size).ok_or(Malformed::Truncated)?;
        let mut rest = list.get(ACL_HEADER..).ok_or(Malformed::AclSize)?;
        let mut aces = Vec::new();
        for _ in 0..u16::from_le_bytes([count_low, count_high]) {
            let (ace, more) = Ace::take(rest)?;
            aces.push(ace);
            rest = more;
        }
        Ok((Acl::new(kind, aces)?, size))
    }

    /// Length of the binary form, in bytes.
    pub(super) fn size(&self) -> usize {
        ACL_HEADER + self.aces.iter().map(Ace::size).sum::<usize>()
    }

    /// Appends the binary form.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        // Both fit: an ACL was checked when it was made, and an ACE has more bytes than one.
        let [size_low, size_high] = (self.size() as u16).to_le_bytes();
        let [count_low, count_high] = (self.aces.len() as u16).to_le_bytes();
        bytes.extend([ACL_REVISION, 0, size_low, size_high, count_low, count_high, 0, 0]);
        self.aces.iter().for_each(|ace| ace.write(bytes));
    }
}
