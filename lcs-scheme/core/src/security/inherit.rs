//! The security descriptor of a new key ([MS-DTYP] 2.5.3.4, without a descriptor given by the creator).

use alloc::vec::Vec;

use lcs_abi::security::Access;

use super::Malformed;
use super::acl::{Ace, AceFlags, Acl, AclKind};
use super::check::map_generic;
use super::descriptor::{AclPart, Control, SecurityDescriptor};
use super::sid::Sid;
use super::token::Token;

/// What a flag set loses when its ACE is inherited as one that has an effect.
const HOW_TO_INHERIT: AceFlags = AceFlags::OBJECT_INHERIT
    .union(AceFlags::CONTAINER_INHERIT)
    .union(AceFlags::NO_PROPAGATE_INHERIT)
    .union(AceFlags::INHERIT_ONLY);

/// The security descriptor of a key that is made with this token under a parent with that one: its owner
/// is the token's user, its lists are what can be inherited, and where the DACL inherits nothing it is the
/// token's default, which lets the owner, SYSTEM and Administrators do everything.
///
/// # Errors
/// What is inherited is longer than an ACL can be.
pub fn inherited(
    parent: &SecurityDescriptor,
    token: &Token,
) -> Result<SecurityDescriptor, Malformed> {
    let (owner, group) = (token.user(), token.primary_group());
    let of = |part: &AclPart| -> Vec<Ace> {
        let parents = part.list().into_iter().flat_map(|acl| acl.aces());
        parents.flat_map(|ace| inherited_aces(ace, owner, group)).flatten().collect()
    };
    let (dacl, sacl) = (of(parent.dacl()), of(parent.sacl()));
    let mut control = Control::empty();
    control.set(Control::DACL_AUTO_INHERITED, !dacl.is_empty());
    control.set(Control::SACL_AUTO_INHERITED, !sacl.is_empty());
    let dacl = if dacl.is_empty() { default_dacl(owner) } else { dacl };
    let dacl = AclPart::List(Acl::new(AclKind::Dacl, dacl)?);
    let sacl = match sacl {
        sacl if sacl.is_empty() => AclPart::Absent,
        sacl => AclPart::List(Acl::new(AclKind::Sacl, sacl)?),
    };
    Ok(SecurityDescriptor::of(owner, group, control, dacl, sacl))
}

/// What a key has of an ACE of its parent: an ACE that has an effect on it, and, if that differs from what
/// it is to pass on, another one that is passed on and has none.
fn inherited_aces(ace: &Ace, owner: Sid, group: Sid) -> [Option<Ace>; 2] {
    if !ace.flags.contains(AceFlags::CONTAINER_INHERIT) {
        // One for what is no container never has an effect in a registry.
        return [None, None];
    }
    let sid = match ace.sid {
        Sid::CREATOR_OWNER => owner,
        Sid::CREATOR_GROUP => group,
        other => other,
    };
    let mask = map_generic(ace.mask);
    let inherited = (ace.flags - HOW_TO_INHERIT) | AceFlags::INHERITED;
    // What was nothing but generic rights that mean nothing for a key has no effect.
    let effective = Some(Ace { flags: inherited, mask, sid, ..*ace });
    let effective = effective.filter(|effective| effective.mask.is_empty() == ace.mask.is_empty());
    let passed_on =
        Ace { flags: (ace.flags - AceFlags::INHERIT_ONLY) | AceFlags::INHERITED, ..*ace };
    if ace.flags.contains(AceFlags::NO_PROPAGATE_INHERIT) {
        [effective, None]
    } else if (sid, mask) == (ace.sid, ace.mask) {
        [Some(passed_on), None]
    } else {
        let flags = passed_on.flags | AceFlags::INHERIT_ONLY;
        [effective, Some(Ace { flags, ..passed_on })]
    }
}

fn default_dacl(owner: Sid) -> Vec<Ace> {
    full_access(owner, AceFlags::empty())
}

/// ACEs that let a user, SYSTEM and Administrators do everything.
fn full_access(user: Sid, flags: AceFlags) -> Vec<Ace> {
    let mut sids = Vec::from([user, Sid::SYSTEM, Sid::ADMINISTRATORS]);
    sids.dedup();
    sids.into_iter().map(|sid| Ace::allow(flags, Access::KEY_ALL_ACCESS, sid)).collect()
}

/// The security descriptor of a key that belongs to a user: with it, SYSTEM and Administrators may do
/// everything there and below, and nothing is inherited from above.
pub fn private_to(user: Sid, group: Sid) -> Result<SecurityDescriptor, Malformed> {
    let dacl = full_access(user, AceFlags::CONTAINER_INHERIT);
    let dacl = AclPart::List(Acl::new(AclKind::Dacl, dacl)?);
    let control = Control::DACL_PROTECTED;
    Ok(SecurityDescriptor::of(user, group, control, dacl, AclPart::Absent))
}
