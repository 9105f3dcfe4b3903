//! Security descriptors and tokens at random. Most are about few accounts, so that ACEs concern tokens.

use lcs_abi::security::Access;
use lcs_core::security::{
    ACE_RIGHTS, Account, Ace, AceFlags, AceKind, Acl, AclKind, AclPart, Control,
    SecurityDescriptor, Sid, Token,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const UIDS: [u32; 3] = [0, 1000, 1001];
const GIDS: [u32; 3] = [0, 50, 100];

fn known_sid() -> impl Strategy<Value = Sid> {
    let known = [
        Sid::EVERYONE,
        Sid::AUTHENTICATED_USERS,
        Sid::ADMINISTRATORS,
        Sid::SYSTEM,
        Sid::OWNER_RIGHTS,
        Sid::CREATOR_OWNER,
        Sid::CREATOR_GROUP,
    ];
    let users = UIDS.map(Sid::user);
    select([&known[..], &users, &GIDS.map(Sid::group)].concat())
}

fn any_sid() -> impl Strategy<Value = Sid> {
    (any::<[u8; 6]>(), vec(any::<u32>(), 0..=15)).prop_map(|(authority, sub_authorities)| {
        let mut bytes = vec![1, sub_authorities.len() as u8];
        bytes.extend(authority);
        bytes.extend(sub_authorities.iter().flat_map(|value| value.to_le_bytes()));
        Sid::from_bytes(&bytes).unwrap()
    })
}

pub fn sid() -> impl Strategy<Value = Sid> {
    prop_oneof![9 => known_sid(), 1 => any_sid()]
}

/// One right of a key.
pub fn right() -> impl Strategy<Value = Access> {
    select(lcs_core::security::rights().map(|(right, _)| right).collect::<Vec<_>>())
}

/// A mask that an ACE can have.
fn mask() -> impl Strategy<Value = Access> {
    prop_oneof![
        vec(right(), 0..4).prop_map(|rights| rights.into_iter().collect()),
        any::<u32>().prop_map(|bits| Access::from_bits_truncate(bits) & ACE_RIGHTS),
        select(vec![Access::KEY_READ, Access::KEY_WRITE, Access::KEY_ALL_ACCESS]),
    ]
}

pub fn ace(kinds: &'static [AceKind]) -> impl Strategy<Value = Ace> {
    (select(kinds), any::<u8>(), mask(), sid()).prop_map(|(kind, flags, mask, sid)| Ace {
        kind,
        flags: AceFlags::from_bits_truncate(flags),
        mask,
        sid,
    })
}

pub const DACL_KINDS: &[AceKind] = &[AceKind::Allow, AceKind::Deny];

pub fn aces(kinds: &'static [AceKind]) -> impl Strategy<Value = Vec<Ace>> {
    vec(ace(kinds), 0..8)
}

fn acl(kind: AclKind, kinds: &'static [AceKind]) -> impl Strategy<Value = AclPart> {
    prop_oneof![
        1 => Just(AclPart::Absent),
        1 => Just(AclPart::Null),
        6 => aces(kinds).prop_map(move |aces| AclPart::List(Acl::new(kind, aces).unwrap())),
    ]
}

pub fn sd() -> impl Strategy<Value = SecurityDescriptor> {
    let sid = || proptest::option::weighted(0.9, sid());
    let dacl = acl(AclKind::Dacl, DACL_KINDS);
    let sacl = acl(AclKind::Sacl, &[AceKind::Audit]);
    (sid(), sid(), any::<u16>(), dacl, sacl).prop_map(|(owner, group, control, dacl, sacl)| {
        let control = Control::from_bits_truncate(control);
        SecurityDescriptor::new(owner, group, control, dacl, sacl).unwrap()
    })
}

pub fn token() -> impl Strategy<Value = Token> {
    let account = (select(&UIDS), select(&GIDS), vec(select(&GIDS), 0..3));
    let kind = (prop::bool::weighted(0.1), prop::bool::weighted(0.3), any::<bool>());
    (account, kind).prop_map(|((uid, gid, groups), (system, administrator, unprivileged))| {
        let token = Token::new(Account { uid, gid, groups: &groups, system, administrator });
        if unprivileged { token.without_privileges() } else { token }
    })
}

/// The descriptor with these ACEs for a DACL.
pub fn with_dacl(sd: &SecurityDescriptor, aces: Vec<Ace>) -> SecurityDescriptor {
    let dacl = AclPart::List(Acl::new(AclKind::Dacl, aces).unwrap());
    SecurityDescriptor::new(sd.owner, sd.group, sd.control, dacl, sd.sacl().clone()).unwrap()
}
