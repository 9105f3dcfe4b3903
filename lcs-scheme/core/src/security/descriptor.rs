//! Security descriptors in their self-relative form ([MS-DTYP] 2.4.6).

use alloc::vec::Vec;
use core::ops::Range;

use bitflags::bitflags;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, GROUP_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION,
    SACL_SECURITY_INFORMATION,
};
use lcs_abi::security::Access;

use super::Malformed;
use super::acl::{Acl, AclKind};
use super::sid::Sid;

/// Bytes of a security descriptor before what its offsets lead to.
const HEADER: usize = 20;

/// The revision of every security descriptor.
const REVISION: u8 = 1;

const DACL_PRESENT: u16 = 0x0004;
const SACL_PRESENT: u16 = 0x0010;
/// The byte behind the revision means something to somebody. It is not kept.
const RM_CONTROL_VALID: u16 = 0x4000;
const SELF_RELATIVE: u16 = 0x8000;

bitflags! {
    /// Control bits, less those that say how the bytes are laid out and which lists are there, and less
    /// those for a server's own use.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Control: u16 {
        /// The owner came from a default.
        const OWNER_DEFAULTED = 0x0001;
        /// The group came from a default.
        const GROUP_DEFAULTED = 0x0002;
        /// The DACL came from a default.
        const DACL_DEFAULTED = 0x0008;
        /// The SACL came from a default.
        const SACL_DEFAULTED = 0x0020;
        /// Whoever set the DACL wants it passed on to what is below.
        const DACL_AUTO_INHERIT_REQ = 0x0100;
        /// The same for the SACL.
        const SACL_AUTO_INHERIT_REQ = 0x0200;
        /// The DACL has what could be inherited.
        const DACL_AUTO_INHERITED = 0x0400;
        /// The SACL has what could be inherited.
        const SACL_AUTO_INHERITED = 0x0800;
        /// The DACL inherits nothing.
        const DACL_PROTECTED = 0x1000;
        /// The SACL inherits nothing.
        const SACL_PROTECTED = 0x2000;

        /// All that is about the DACL.
        const DACL = 0x1508;
        /// All that is about the SACL.
        const SACL = 0x2A20;
    }
}

bitflags! {
    /// Parts of a security descriptor (SECURITY_INFORMATION, [MS-DTYP] 2.4.7).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Parts: u32 {
        /// The owner.
        const OWNER = OWNER_SECURITY_INFORMATION;
        /// The primary group.
        const GROUP = GROUP_SECURITY_INFORMATION;
        /// The DACL.
        const DACL = DACL_SECURITY_INFORMATION;
        /// The SACL.
        const SACL = SACL_SECURITY_INFORMATION;
    }
}

impl Parts {
    /// The rights that it takes to read them.
    pub fn rights_to_read(self) -> Access {
        let mut rights = Access::empty();
        rights.set(Access::READ_CONTROL, self.intersects(Parts::all() - Parts::SACL));
        rights.set(Access::ACCESS_SYSTEM_SECURITY, self.contains(Parts::SACL));
        rights
    }

    /// The rights that it takes to write them.
    pub fn rights_to_write(self) -> Access {
        let mut rights = Access::empty();
        rights.set(Access::WRITE_OWNER, self.intersects(Parts::OWNER | Parts::GROUP));
        rights.set(Access::WRITE_DAC, self.contains(Parts::DACL));
        rights.set(Access::ACCESS_SYSTEM_SECURITY, self.contains(Parts::SACL));
        rights
    }
}

/// One of the two lists of a security descriptor, which need not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum AclPart {
    /// It is not there.
    #[default]
    Absent,
    /// It is said to be there, and there is none.
    Null,
    /// It is there, and may be empty.
    List(Acl),
}

impl AclPart {
    /// The ACEs; `None` where there is no list, and that is not the same as an empty one.
    pub fn list(&self) -> Option<&Acl> {
        match self {
            AclPart::List(acl) => Some(acl),
            AclPart::Absent | AclPart::Null => None,
        }
    }

    fn size(&self) -> usize {
        self.list().map_or(0, Acl::size)
    }
}

/// A security descriptor: who owns a key, who may do what with it, and what of that is recorded.
///
/// The two lists are of their kinds, which is why they are private.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecurityDescriptor {
    /// The owner. Every key's has one.
    pub owner: Option<Sid>,
    /// The primary group.
    pub group: Option<Sid>,
    /// Control bits.
    pub control: Control,
    dacl: AclPart,
    sacl: AclPart,
}

impl SecurityDescriptor {
    /// Puts a security descriptor together. `None` for a list that is of the wrong kind.
    pub fn new(
        owner: Option<Sid>,
        group: Option<Sid>,
        control: Control,
        dacl: AclPart,
        sacl: AclPart,
    ) -> Option<SecurityDescriptor> {
        let is = |part: &AclPart, kind| part.list().is_none_or(|acl| acl.kind() == kind);
        let right = is(&dacl, AclKind::Dacl) && is(&sacl, AclKind::Sacl);
        right.then_some(SecurityDescriptor { owner, group, control, dacl, sacl })
    }

    /// One with lists of which it is known that they are of their kinds.
    pub(super) fn of(
        owner: Sid,
        group: Sid,
        control: Control,
        dacl: AclPart,
        sacl: AclPart,
    ) -> SecurityDescriptor {
        SecurityDescriptor { owner: Some(owner), group: Some(group), control, dacl, sacl }
    }

    /// Who may do what. Where there is no list everybody may do everything.
    pub fn dacl(&self) -> &AclPart {
        &self.dacl
    }

    /// What is recorded.
    pub fn sacl(&self) -> &AclPart {
        &self.sacl
    }

    /// Reads the self-relative form. Offsets must be multiples of 4, lead behind the header, and to places
    /// that do not overlap; bytes that none of them leads to are not looked at.
    pub fn from_bytes(bytes: &[u8]) -> Result<SecurityDescriptor, Malformed> {
        let header = bytes.first_chunk::<HEADER>().ok_or(Malformed::Truncated)?;
        let [revision, _, control_low, control_high, offsets @ ..] = header;
        if *revision != REVISION {
            return Err(Malformed::Revision);
        }
        let control = u16::from_le_bytes([*control_low, *control_high]);
        if control & SELF_RELATIVE == 0 {
            return Err(Malformed::NotSelfRelative);
        }
        let mut offsets = offsets.as_chunks().0.iter().map(|offset| u32::from_le_bytes(*offset));
        let mut offset = || offsets.next().unwrap_or_default();
        let (owner, group, sacl, dacl) = (offset(), offset(), offset(), offset());

        let mut layout = Layout { bytes, taken: Vec::new() };
        let owner = layout.sid(owner)?;
        let group = layout.sid(group)?;
        let sacl = layout.acl(AclKind::Sacl, control & SACL_PRESENT != 0, sacl)?;
        let dacl = layout.acl(AclKind::Dacl, control & DACL_PRESENT != 0, dacl)?;
        layout.check_overlaps()?;
        let control = Control::from_bits_truncate(control & !RM_CONTROL_VALID);
        Ok(SecurityDescriptor { owner, group, control, dacl, sacl })
    }

    /// The self-relative form: header, owner, group, SACL, DACL.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut control = self.control.bits() | SELF_RELATIVE;
        for (part, present) in [(&self.dacl, DACL_PRESENT), (&self.sacl, SACL_PRESENT)] {
            if *part != AclPart::Absent {
                control |= present;
            }
        }
        let sid_size = |sid: &Option<Sid>| sid.as_ref().map_or(0, Sid::size);
        let sizes =
            [sid_size(&self.owner), sid_size(&self.group), self.sacl.size(), self.dacl.size()];
        let mut bytes = Vec::with_capacity(HEADER + sizes.iter().sum::<usize>());
        bytes.extend([REVISION, 0]);
        bytes.extend(control.to_le_bytes());
        let mut next = HEADER;
        for size in sizes {
            // The lists have at most 64 KiB each.
            let offset = if size == 0 { 0 } else { next as u32 };
            bytes.extend(offset.to_le_bytes());
            next += size;
        }
        self.owner.iter().chain(&self.group).for_each(|sid| sid.write(&mut bytes));
        self.sacl.list().into_iter().chain(self.dacl.list()).for_each(|acl| acl.write(&mut bytes));
        bytes
    }

    /// These parts of it, and nothing else.
    pub fn only(&self, parts: Parts) -> SecurityDescriptor {
        SecurityDescriptor::default().with(parts, self)
    }

    /// The same with these parts of another one in their place.
    pub fn with(&self, parts: Parts, other: &SecurityDescriptor) -> SecurityDescriptor {
        let mut control = Control::empty();
        control.set(Control::OWNER_DEFAULTED, parts.contains(Parts::OWNER));
        control.set(Control::GROUP_DEFAULTED, parts.contains(Parts::GROUP));
        control.set(Control::DACL, parts.contains(Parts::DACL));
        control.set(Control::SACL, parts.contains(Parts::SACL));
        let from = |part| if parts.contains(part) { other } else { self };
        SecurityDescriptor {
            owner: from(Parts::OWNER).owner,
            group: from(Parts::GROUP).group,
            control: (self.control - control) | (other.control & control),
            dacl: from(Parts::DACL).dacl.clone(),
            sacl: from(Parts::SACL).sacl.clone(),
        }
    }
}

/// What is where in the bytes of a security descriptor.
struct Layout<'a> {
    bytes: &'a [u8],
    taken: Vec<Range<usize>>,
}

impl<'a> Layout<'a> {
    /// What an offset leads to; `None` for 0.
    fn at(&self, offset: u32) -> Result<Option<(usize, &'a [u8])>, Malformed> {
        let start = usize::try_from(offset).map_err(|_| Malformed::Offset)?;
        match start {
            0 => Ok(None),
            1..HEADER => Err(Malformed::Offset),
            _ if start % 4 != 0 => Err(Malformed::Offset),
            _ => {
                let bytes = self.bytes.get(start..).filter(|bytes| !bytes.is_empty());
                Ok(Some((start, bytes.ok_or(Malformed::Offset)?)))
            }
        }
    }

    fn sid(&mut self, offset: u32) -> Result<Option<Sid>, Malformed> {
        let Some((start, bytes)) = self.at(offset)? else { return Ok(None) };
        let sid = Sid::from_bytes(bytes)?;
        self.taken.push(start..start + sid.size());
        Ok(Some(sid))
    }

    fn acl(&mut self, kind: AclKind, present: bool, offset: u32) -> Result<AclPart, Malformed> {
        match (present, self.at(offset)?) {
            (false, None) => Ok(AclPart::Absent),
            // A reader that looks at the offset only and one that looks at the flag would not agree.
            (false, Some(_)) => Err(Malformed::Offset),
            (true, None) => Ok(AclPart::Null),
            (true, Some((start, bytes))) => {
                let (acl, size) = Acl::from_bytes(kind, bytes)?;
                self.taken.push(start..start + size);
                Ok(AclPart::List(acl))
            }
        }
    }

    fn check_overlaps(mut self) -> Result<(), Malformed> {
        self.taken.sort_unstable_by_key(|range| range.start);
        let apart = self.taken.is_sorted_by(|a, b| a.end <= b.start);
        if apart { Ok(()) } else { Err(Malformed::Overlap) }
    }
}
