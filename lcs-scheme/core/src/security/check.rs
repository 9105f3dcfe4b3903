//! The access check ([MS-DTYP] 2.5.3.2), and what of it is audited.

use lcs_abi::security::Access;

use super::acl::{Ace, AceFlags, AceKind};
use super::descriptor::SecurityDescriptor;
use super::sid::Sid;
use super::token::{Privileges, Token};

/// What a key's owner may do without being told so.
const RIGHTS_OF_OWNER: Access = Access::READ_CONTROL.union(Access::WRITE_DAC);

/// Replaces the generic rights by what they mean for a key.
pub fn map_generic(rights: Access) -> Access {
    let meanings = [
        (Access::GENERIC_READ, Access::KEY_READ),
        (Access::GENERIC_WRITE, Access::KEY_WRITE),
        (Access::GENERIC_EXECUTE, Access::empty()),
        (Access::GENERIC_ALL, Access::KEY_ALL_ACCESS),
    ];
    let mut mapped = rights;
    for (generic, meaning) in meanings {
        mapped.remove(generic);
        if rights.contains(generic) {
            mapped.insert(meaning);
        }
    }
    mapped
}

/// A request's mask is 0, or has a bit that is no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMask;

/// Rights that were asked for and are not granted. Empty where everything was asked for that can be had
/// (MAXIMUM_ALLOWED), and that is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The rights that are missing.
    pub missing: Access,
}

/// The rights that a request asks for: known ones, at least one, the generic ones replaced by their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredAccess {
    /// What must be granted.
    rights: Access,
    /// With MAXIMUM_ALLOWED: of what else all that is allowed is granted.
    maximum: Access,
    /// The mask as it was.
    requested: Access,
}

impl DesiredAccess {
    /// Checks a request's mask.
    pub fn new(mask: u32) -> Result<DesiredAccess, InvalidMask> {
        let requested = Access::from_bits(mask).filter(|rights| !rights.is_empty());
        let requested = requested.ok_or(InvalidMask)?;
        let mut maximum = Access::empty();
        if requested.contains(Access::MAXIMUM_ALLOWED) {
            maximum = Access::KEY_ALL_ACCESS | Access::ACCESS_SYSTEM_SECURITY;
        }
        let rights = map_generic(requested - Access::MAXIMUM_ALLOWED);
        Ok(DesiredAccess { rights, maximum, requested })
    }

    /// The mask as it was asked for.
    pub fn requested(&self) -> Access {
        self.requested
    }

    /// The same, where nothing beyond `limit` is to be had.
    pub fn within(self, limit: Access) -> Result<DesiredAccess, Denied> {
        let missing = self.rights - limit;
        if !missing.is_empty() {
            return Err(Denied { missing });
        }
        Ok(DesiredAccess { maximum: self.maximum & limit, ..self })
    }

    /// What of these rights this asks for. It must be all of what was demanded, and something.
    pub fn select(&self, granted: Access) -> Result<Access, Denied> {
        let missing = self.rights - granted;
        let selected = granted & (self.rights | self.maximum);
        if missing.is_empty() && !selected.is_empty() {
            Ok(selected)
        } else {
            Err(Denied { missing })
        }
    }
}

impl From<Access> for DesiredAccess {
    /// Exactly these rights, none of which may be generic.
    fn from(rights: Access) -> DesiredAccess {
        DesiredAccess { rights, maximum: Access::empty(), requested: rights }
    }
}

/// Whether a token is granted what it asks for, and what that is: all of it, or nothing.
///
/// For each right the first ACE decides that names it and whom the token is; where there is no DACL
/// everything is granted. The owner has READ_CONTROL and WRITE_DAC before any ACE, unless one for OWNER
/// RIGHTS is there. Beyond the DACL SeSecurity grants ACCESS_SYSTEM_SECURITY, which nothing else does, and
/// SeTakeOwnership WRITE_OWNER, both only to those who ask for them by name.
pub fn access_check(
    sd: &SecurityDescriptor,
    token: &Token,
    desired: &DesiredAccess,
) -> Result<Access, Denied> {
    let mut granted = granted_by_dacl(sd, token, desired.rights | desired.maximum);
    let by_privilege = [
        (Privileges::SECURITY, Access::ACCESS_SYSTEM_SECURITY),
        (Privileges::TAKE_OWNERSHIP, Access::WRITE_OWNER),
    ];
    for (privilege, right) in by_privilege {
        if token.holds(privilege) {
            granted |= desired.rights & right;
        }
    }
    desired.select(granted)
}

/// Which of these rights the DACL, or ownership, gives a token.
fn granted_by_dacl(sd: &SecurityDescriptor, token: &Token, rights: Access) -> Access {
    let mut undecided = rights & Access::KEY_ALL_ACCESS;
    let Some(dacl) = sd.dacl().list() else {
        return undecided;
    };
    let effective = || dacl.aces().iter().filter(|ace| ace.is_effective());
    let is_owner = sd.owner.is_some_and(|owner| token.is(&owner));
    let mut granted = Access::empty();
    if is_owner && !effective().any(|ace| ace.sid == Sid::OWNER_RIGHTS) {
        granted = undecided & RIGHTS_OF_OWNER;
        undecided -= RIGHTS_OF_OWNER;
    }
    for ace in effective() {
        if undecided.is_empty() {
            break;
        }
        let concerned = token.is(&ace.sid) || is_owner && ace.sid == Sid::OWNER_RIGHTS;
        if concerned {
            let decided = undecided & map_generic(ace.mask);
            undecided -= decided;
            if ace.kind == AceKind::Allow {
                granted |= decided;
            }
        }
    }
    granted
}

/// Whether the SACL wants the outcome of an access check to be recorded: a success if one of the granted
/// rights is audited, a failure if one of those asked for is.
pub fn is_audited(
    sd: &SecurityDescriptor,
    token: &Token,
    desired: &DesiredAccess,
    outcome: Result<Access, Denied>,
) -> bool {
    let (flag, rights) = match outcome {
        Ok(granted) => (AceFlags::SUCCESSFUL_ACCESS, granted),
        Err(_) => (AceFlags::FAILED_ACCESS, desired.rights | desired.maximum),
    };
    let wanted = |ace: &Ace| {
        ace.is_effective()
            && ace.flags.contains(flag)
            && token.is(&ace.sid)
            && map_generic(ace.mask).intersects(rights)
    };
    sd.sacl().list().is_some_and(|sacl| sacl.aces().iter().any(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_unknown_bits_are_invalid_and_so_is_synchronize() {
        for mask in [0, 0x10_0000, 0x40, 0x8000_0000 | 0x400_0000] {
            assert_eq!(DesiredAccess::new(mask), Err(InvalidMask));
        }
    }

    #[test]
    fn generic_rights_are_mapped() {
        let rights = |mask: Access| DesiredAccess::new(mask.bits()).unwrap().rights;
        assert_eq!(rights(Access::GENERIC_READ), Access::KEY_READ);
        assert_eq!(
            rights(Access::GENERIC_WRITE | Access::DELETE),
            Access::KEY_WRITE | Access::DELETE
        );
        assert_eq!(rights(Access::GENERIC_EXECUTE), Access::empty());
        assert_eq!(rights(Access::GENERIC_ALL), Access::KEY_ALL_ACCESS);
    }

    #[test]
    fn within_a_limit_nothing_beyond_it_is_to_be_had() {
        let limit = Access::KEY_READ;
        let write = DesiredAccess::from(Access::SET_VALUE | Access::QUERY_VALUE);
        assert_eq!(write.within(limit), Err(Denied { missing: Access::SET_VALUE }));
        let maximum = DesiredAccess::new(Access::MAXIMUM_ALLOWED.bits()).unwrap();
        let maximum = maximum.within(limit).unwrap();
        assert_eq!(maximum.select(Access::KEY_ALL_ACCESS), Ok(Access::KEY_READ));
    }
}
