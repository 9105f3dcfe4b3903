//! The names that SDDL has for SIDs, rights and flags ([MS-DTYP] 2.5.1.1).

use lcs_abi::security::Access;

use crate::security::acl::AceFlags;
use crate::security::sid::Sid;

/// The authority of NT.
const NT: u64 = 5;

/// The domain of groups that every system has.
const BUILTIN: u32 = 32;

const fn builtin(group: u32) -> Sid {
    Sid::known(NT, &[BUILTIN, group])
}

const fn nt(id: u32) -> Sid {
    Sid::known(NT, &[id])
}

/// The authority of integrity levels.
const fn integrity(level: u32) -> Sid {
    Sid::known(16, &[level])
}

/// SIDs that are the same on every system. Those that belong to a Windows domain (DA, LA, …) have no
/// meaning without one.
pub(super) const SIDS: [(&str, Sid); 49] = [
    ("AA", builtin(579)),
    ("AC", Sid::known(15, &[2, 1])),
    ("AN", nt(7)),
    ("AO", builtin(548)),
    ("AS", Sid::known(18, &[1])),
    ("AU", Sid::AUTHENTICATED_USERS),
    ("BA", Sid::ADMINISTRATORS),
    ("BG", builtin(546)),
    ("BO", builtin(551)),
    ("BU", builtin(545)),
    ("CD", builtin(574)),
    ("CG", Sid::CREATOR_GROUP),
    ("CO", Sid::CREATOR_OWNER),
    ("CY", builtin(569)),
    ("ED", nt(9)),
    ("ER", builtin(573)),
    ("ES", builtin(576)),
    ("HA", builtin(578)),
    ("HI", integrity(12_288)),
    ("IS", builtin(568)),
    ("IU", nt(4)),
    ("LS", nt(19)),
    ("LU", builtin(559)),
    ("LW", integrity(4096)),
    ("ME", integrity(8192)),
    ("MP", integrity(8448)),
    ("MS", builtin(577)),
    ("MU", builtin(558)),
    ("NO", builtin(556)),
    ("NS", nt(20)),
    ("NU", nt(2)),
    ("OW", Sid::OWNER_RIGHTS),
    ("PO", builtin(550)),
    ("PS", nt(10)),
    ("PU", builtin(547)),
    ("RA", builtin(575)),
    ("RC", nt(12)),
    ("RD", builtin(555)),
    ("RE", builtin(552)),
    ("RM", builtin(580)),
    ("RU", builtin(554)),
    ("SI", integrity(16_384)),
    ("SO", builtin(549)),
    ("SS", Sid::known(18, &[2])),
    ("SU", nt(6)),
    ("SY", Sid::SYSTEM),
    ("UD", Sid::known(NT, &[84, 0, 0, 0, 0, 0])),
    ("WD", Sid::EVERYONE),
    ("WR", nt(33)),
];

/// Rights of a key taken together. They are tried first when a mask is written.
pub(super) const MASKS: [(&str, Access); 4] = [
    ("KA", Access::KEY_ALL_ACCESS),
    ("KR", Access::KEY_READ),
    ("KW", Access::KEY_WRITE),
    // KEY_EXECUTE is another name of KEY_READ.
    ("KX", Access::KEY_READ),
];

/// Single rights. The first six have the names of the bits that they share with rights of directory
/// objects; Windows, too, writes a key's rights so.
pub(super) const RIGHTS: [(&str, Access); 14] = [
    ("CC", Access::QUERY_VALUE),
    ("DC", Access::SET_VALUE),
    ("LC", Access::CREATE_SUB_KEY),
    ("SW", Access::ENUMERATE_SUB_KEYS),
    ("RP", Access::NOTIFY),
    ("WP", Access::CREATE_LINK),
    ("SD", Access::DELETE),
    ("RC", Access::READ_CONTROL),
    ("WD", Access::WRITE_DAC),
    ("WO", Access::WRITE_OWNER),
    ("GA", Access::GENERIC_ALL),
    ("GR", Access::GENERIC_READ),
    ("GW", Access::GENERIC_WRITE),
    ("GX", Access::GENERIC_EXECUTE),
];

/// Flags of an ACE.
pub(super) const ACE_FLAGS: [(&str, AceFlags); 7] = [
    ("OI", AceFlags::OBJECT_INHERIT),
    ("CI", AceFlags::CONTAINER_INHERIT),
    ("NP", AceFlags::NO_PROPAGATE_INHERIT),
    ("IO", AceFlags::INHERIT_ONLY),
    ("ID", AceFlags::INHERITED),
    ("SA", AceFlags::SUCCESSFUL_ACCESS),
    ("FA", AceFlags::FAILED_ACCESS),
];
