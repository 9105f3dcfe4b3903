//! Random questions, of a kind where a mistake would show: few SIDs and few rights, so that they meet often.

use std::fmt;
use std::ops::RangeInclusive;

use lcs_core::security::{
    Account, Ace, AceFlags, AceKind, Acl, AclKind, AclPart, Control, DesiredAccess, Privileges,
    SecurityDescriptor, Sid, Token, access_check,
};
use libreg::Access;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::judge::Outcome;

/// The user of tokens that are not the system's.
const USER: u32 = 1000;

/// The primary group of all tokens.
const PRIMARY: u32 = 100;

/// Groups of which a token has some.
const GROUPS: [u32; 4] = [200, 201, 202, 203];

/// A right that no key has: LIST_OBJECT of a directory, SYNCHRONIZE, one of those that are reserved.
const UNKNOWN: [u32; 3] = [0x80, 0x10_0000, 0x400_0000];

pub const GENERIC: Access = Access::GENERIC_ALL
    .union(Access::GENERIC_EXECUTE)
    .union(Access::GENERIC_READ)
    .union(Access::GENERIC_WRITE);

/// A question: may this token do that there?
#[derive(Clone)]
pub struct Case {
    pub sd: SecurityDescriptor,
    pub token: Token,
    pub mask: u32,
}

impl Case {
    /// What we say.
    pub fn outcome(&self) -> Outcome {
        let Ok(desired) = DesiredAccess::new(self.mask) else { return Outcome::Invalid };
        match access_check(&self.sd, &self.token, &desired) {
            Ok(granted) => Outcome::Granted(granted.bits()),
            Err(denied) => Outcome::Denied(denied.missing.bits()),
        }
    }

    /// The same with another DACL.
    pub fn with_dacl(&self, dacl: AclPart) -> Case {
        let SecurityDescriptor { owner, group, control, .. } = self.sd;
        let sacl = self.sd.sacl().clone();
        let sd = SecurityDescriptor::new(owner, group, control, dacl, sacl).expect("a DACL");
        Case { sd, ..self.clone() }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { sd, token, mask } = self;
        let held = Privileges::all().iter_names().filter(|(_, one)| token.holds(*one));
        let held: Vec<&str> = held.map(|(name, _)| name).collect();
        let (control, sids) = (sd.control, token.sids());
        write!(f, "mask {mask:#x} on {sd} ({control:?}) for {sids:?} with {held:?}")
    }
}

pub fn case() -> impl Strategy<Value = Case> {
    (descriptor(), token(), mask()).prop_map(|(sd, token, mask)| Case { sd, token, mask })
}

fn token() -> impl Strategy<Value = Token> {
    let kind =
        prop_oneof![6 => Just((false, false)), 2 => Just((false, true)), 1 => Just((true, true))];
    let groups = subsequence(GROUPS.to_vec(), 0..=GROUPS.len());
    (kind, groups, prop::bool::weighted(0.2)).prop_map(
        |((system, administrator), groups, restricted)| {
            let account =
                Account { uid: USER, gid: PRIMARY, groups: &groups, system, administrator };
            let token = Token::new(account);
            if restricted { token.without_privileges() } else { token }
        },
    )
}

fn mask() -> impl Strategy<Value = u32> {
    const KEYS: Access = Access::KEY_ALL_ACCESS;
    let maximum = |rights: Access| rights | Access::MAXIMUM_ALLOWED;
    let known = prop_oneof![
        6 => some(KEYS, 1..=1),
        6 => some(KEYS, 2..=3),
        2 => taken_together(),
        2 => (some(GENERIC, 1..=2), some(KEYS, 0..=1)).prop_map(|(a, b)| a | b),
        3 => Just(Access::MAXIMUM_ALLOWED),
        3 => some(KEYS | GENERIC | Access::ACCESS_SYSTEM_SECURITY, 1..=2).prop_map(maximum),
        2 => some(KEYS, 0..=1).prop_map(|rights| rights | Access::ACCESS_SYSTEM_SECURITY),
        1 => Just(Access::empty()),
    ];
    let unknown = (some(KEYS | Access::MAXIMUM_ALLOWED, 0..=2), select(UNKNOWN.to_vec()));
    prop_oneof![
        24 => known.prop_map(|rights| rights.bits()),
        1 => unknown.prop_map(|(rights, unknown)| rights.bits() | unknown),
    ]
}

fn descriptor() -> impl Strategy<Value = SecurityDescriptor> {
    let control = any::<(u16, u16)>().prop_map(|(a, b)| Control::from_bits_truncate(a & b));
    let dacl = prop_oneof![
        1 => Just(AclPart::Absent),
        1 => Just(AclPart::Null),
        12 => list(AclKind::Dacl, 0..=8),
    ];
    let sacl = prop_oneof![
        8 => Just(AclPart::Absent),
        1 => Just(AclPart::Null),
        3 => list(AclKind::Sacl, 0..=3),
    ];
    let parts = (owner(), prop::option::of(sid()), control, dacl, sacl);
    parts.prop_map(|(owner, group, control, dacl, sacl)| {
        SecurityDescriptor::new(owner, group, control, dacl, sacl).expect("lists of their kinds")
    })
}

fn owner() -> impl Strategy<Value = Option<Sid>> {
    let group = select(GROUPS.to_vec()).prop_map(|gid| Some(Sid::group(gid)));
    prop_oneof![
        3 => Just(Some(Sid::user(USER))),
        2 => group,
        2 => sid().prop_map(Some),
        1 => Just(None),
    ]
}

fn list(kind: AclKind, length: RangeInclusive<usize>) -> impl Strategy<Value = AclPart> {
    vec(ace(kind), length).prop_map(move |aces| {
        AclPart::List(Acl::new(kind, aces).expect("ACEs that may be in this list"))
    })
}

fn ace(list: AclKind) -> impl Strategy<Value = Ace> {
    let (kinds, audit) = match list {
        AclKind::Dacl => (vec![AceKind::Allow, AceKind::Allow, AceKind::Deny], AceFlags::empty()),
        AclKind::Sacl => {
            (vec![AceKind::Audit], AceFlags::SUCCESSFUL_ACCESS | AceFlags::FAILED_ACCESS)
        }
    };
    let flags = prop_oneof![
        2 => Just(AceFlags::empty()),
        1 => subset(AceFlags::all() - AceFlags::SUCCESSFUL_ACCESS - AceFlags::FAILED_ACCESS),
    ];
    (select(kinds), flags, subset(audit), rights(), sid())
        .prop_map(|(kind, flags, audit, mask, sid)| Ace { kind, flags: flags | audit, mask, sid })
}

fn subset(flags: AceFlags) -> impl Strategy<Value = AceFlags> {
    any::<u8>().prop_map(move |bits| AceFlags::from_bits_retain(bits) & flags)
}

/// The mask of an ACE.
fn rights() -> impl Strategy<Value = Access> {
    const KEYS: Access = Access::KEY_ALL_ACCESS;
    prop_oneof![
        3 => some(KEYS, 1..=1),
        4 => some(KEYS, 2..=7),
        4 => taken_together(),
        1 => (some(GENERIC, 1..=2), some(KEYS, 0..=1)).prop_map(|(a, b)| a | b),
        1 => some(KEYS, 0..=2).prop_map(|rights| rights | Access::ACCESS_SYSTEM_SECURITY),
        1 => Just(Access::empty()),
    ]
}

fn taken_together() -> impl Strategy<Value = Access> {
    select(vec![Access::KEY_READ, Access::KEY_WRITE, Access::KEY_ALL_ACCESS])
}

/// That many of these rights.
fn some(of: Access, count: RangeInclusive<usize>) -> impl Strategy<Value = Access> {
    let rights: Vec<Access> = of.iter().collect();
    subsequence(rights, count).prop_map(|rights| rights.into_iter().collect())
}

fn sid() -> impl Strategy<Value = Sid> {
    let odd = [
        "S-1-22-1-4294967295",
        "S-1-5",
        "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15",
        "S-1-0x123456789ABC-7",
        "S-1-0xABCDEF012345",
    ];
    let odd = odd.map(|text| text.parse().expect("a SID"));
    prop_oneof![
        4 => Just(Sid::user(USER)),
        1 => Just(Sid::group(PRIMARY)),
        4 => select(GROUPS.to_vec()).prop_map(Sid::group),
        3 => Just(Sid::EVERYONE),
        2 => Just(Sid::AUTHENTICATED_USERS),
        2 => Just(Sid::ADMINISTRATORS),
        1 => Just(Sid::SYSTEM),
        2 => Just(Sid::OWNER_RIGHTS),
        1 => select(vec![Sid::CREATOR_OWNER, Sid::CREATOR_GROUP]),
        1 => Just(Sid::user(USER + 1)),
        1 => select(odd.to_vec()),
    ]
}
