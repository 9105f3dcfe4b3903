//! The self-relative form, byte for byte: [MS-DTYP] 2.4.2.2 (SID), 2.4.4 (ACEs), 2.4.5 (ACL), 2.4.6 (security
//! descriptor). Rows are in hexadecimal, part after part; numbers are little-endian but for a SID's authority.

use lcs_abi::security::{Access, MACHINE_ROOT_SD, USERS_ROOT_SD};
use lcs_core::security::{Ace, Acl, AclKind, Malformed, SecurityDescriptor};

use crate::table::{each, sd};

/// 12 bytes, S-1-5-18.
const SY: &str = "01 01 000000000005 12000000";
/// 16 bytes, S-1-5-32-544.
const BA: &str = "01 02 000000000005 20000000 20020000";
/// 12 bytes, S-1-1-0.
const WD: &str = "01 01 000000000001 00000000";
/// 8 bytes, an ACL without ACEs.
const EMPTY: &str = "02 00 0800 0000 0000";

/// 64 bytes of sub-authorities.
const SIXTEEN: &str = concat!(
    "00000000000000000000000000000000",
    "00000000000000000000000000000000",
    "00000000000000000000000000000000",
    "00000000000000000000000000000000",
);

/// Headers: revision, Sbz1, control; offsets of owner, group, SACL, DACL.
const OWNER_ONLY: &str = "01 00 0080 14000000 00000000 00000000 00000000";
const DACL_ONLY: &str = "01 00 0480 00000000 00000000 00000000 14000000";
const SACL_ONLY: &str = "01 00 1080 00000000 00000000 14000000 00000000";

fn bytes(row: &[&str]) -> Vec<u8> {
    let digits: Vec<u8> = row.concat().bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn read(row: &[&str]) -> Result<SecurityDescriptor, Malformed> {
    SecurityDescriptor::from_bytes(&bytes(row))
}

type Row = (&'static [&'static str], &'static str);

const WRITTEN: &[Row] = &[
    (&["01 00 0080 00000000 00000000 00000000 00000000"], ""),
    (&[OWNER_ONLY, SY], "O:SY"),
    (&["01 00 0080 00000000 14000000 00000000 00000000", BA], "G:BA"),
    (&["01 00 0080 14000000 20000000 00000000 00000000", SY, BA], "O:SYG:BA"),
    // A list that is not there, one that is said to be there and is not, one without ACEs.
    (&["01 00 0480 14000000 00000000 00000000 00000000", SY], "O:SYD:NO_ACCESS_CONTROL"),
    (&["01 00 1080 00000000 00000000 00000000 00000000"], "S:NO_ACCESS_CONTROL"),
    (&[DACL_ONLY, EMPTY], "D:"),
    (&[SACL_ONLY, EMPTY], "S:"),
    (&["01 00 1480 00000000 00000000 14000000 1C000000", EMPTY, EMPTY], "D:S:"),
    // SE_DACL_PROTECTED, SE_DACL_AUTO_INHERIT_REQ, SE_DACL_AUTO_INHERITED, and the same of the SACL.
    (&["01 00 0490 00000000 00000000 00000000 14000000", EMPTY], "D:P"),
    (&["01 00 0481 00000000 00000000 00000000 14000000", EMPTY], "D:AR"),
    (&["01 00 0484 00000000 00000000 00000000 14000000", EMPTY], "D:AI"),
    (&["01 00 10A0 00000000 00000000 14000000 00000000", EMPTY], "S:P"),
    (&["01 00 1082 00000000 00000000 14000000 00000000", EMPTY], "S:AR"),
    (&["01 00 1088 00000000 00000000 14000000 00000000", EMPTY], "S:AI"),
    // No sub-authority, and as many as there can be; an authority of six bytes.
    (&[OWNER_ONLY, "01 00 000000000005"], "O:S-1-5"),
    (
        &[
            OWNER_ONLY,
            "01 0F 000000000005 01000000 02000000 03000000 04000000 05000000 06000000 07000000",
            "08000000 09000000 0A000000 0B000000 0C000000 0D000000 0E000000 FFFFFFFF",
        ],
        "O:S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-4294967295",
    ),
    (&[OWNER_ONLY, "01 01 0123456789AB 07000000"], "O:S-1-0x0123456789AB-7"),
    // ACEs: type, flags, size, mask, SID.
    (&[DACL_ONLY, "02 00 1C00 0100 0000", "00 00 1400 3F000F00", SY], "D:(A;;KA;;;SY)"),
    (&[DACL_ONLY, "02 00 2000 0100 0000", "01 02 1800 19000200", BA], "D:(D;CI;KR;;;BA)"),
    (&[SACL_ONLY, "02 00 1C00 0100 0000", "02 C0 1400 06000200", WD], "S:(AU;SAFA;KW;;;WD)"),
    (
        &[DACL_ONLY, "02 00 1C00 0100 0000", "00 DF 1400 00000000", SY],
        "D:(A;OICINPIOIDSAFA;0;;;SY)",
    ),
    (&[DACL_ONLY, "02 00 1C00 0100 0000", "00 00 1400 3F000FF1", SY], "D:(A;;0xF10F003F;;;SY)"),
    // Owner, group, SACL, DACL, each with something in it.
    (
        &[
            "01 00 1494 14000000 20000000 30000000 4C000000",
            SY,
            BA,
            "02 00 1C00 0100 0000",
            "02 40 1400 00000100",
            WD,
            "02 00 3400 0200 0000",
            "01 00 1400 02000000",
            WD,
            "00 12 1800 00000010",
            BA,
        ],
        "O:SYG:BAD:PAI(D;;DC;;;WD)(A;CIID;GA;;;BA)S:(AU;SA;SD;;;WD)",
    ),
];

#[test]
fn what_the_standard_lays_out_is_read_and_written_to_the_byte() {
    each(WRITTEN, |(row, text)| {
        let read = read(row).map(|sd| (sd.to_bytes(), sd));
        (read, Ok((bytes(row), sd(text))))
    });
}

// What another writer may do and this one does not. 2.4.6: Sbz1, the resource manager's bit, SS and DT mean
// nothing here, the parts may stand in any order; 2.4.5: AclRevision 4, AclSize beyond the last ACE, Sbz1 and
// Sbz2 ignored.
const ACCEPTED: &[Row] = &[
    (&["01 5A 0080 14000000 00000000 00000000 00000000", SY], "O:SY"),
    (&["01 5A 00C0 14000000 00000000 00000000 00000000", SY], "O:SY"),
    (&["01 00 C080 14000000 00000000 00000000 00000000", SY], "O:SY"),
    (&["01 00 0080 20000000 14000000 00000000 00000000", SY, BA], "O:BAG:SY"),
    (&["01 00 0480 1C000000 00000000 00000000 14000000", EMPTY, SY], "O:SYD:"),
    (&["01 00 1480 00000000 00000000 1C000000 14000000", EMPTY, EMPTY], "D:S:"),
    // Bytes between the parts and behind them.
    (&["01 00 0080 18000000 00000000 00000000 00000000", "FFFFFFFF", SY], "O:SY"),
    (&[OWNER_ONLY, SY, "00"], "O:SY"),
    (&[DACL_ONLY, EMPTY, "DEADBEEF"], "D:"),
    // AclRevision, reserved bytes.
    (&[DACL_ONLY, "04 00 0800 0000 0000"], "D:"),
    (&[DACL_ONLY, "02 FF 0800 0000 FFFF"], "D:"),
    // Room behind the last ACE.
    (&[DACL_ONLY, "02 00 0C00 0000 0000", "FFFFFFFF"], "D:"),
    (&[DACL_ONLY, "02 00 0900 0000 0000", "FF"], "D:"),
    (&[DACL_ONLY, "02 00 2000 0100 0000", "00 00 1400 3F000F00", SY, "05FFFFFF"], "D:(A;;KA;;;SY)"),
];

#[test]
fn what_others_may_write_differently_is_read_and_written_in_one_way() {
    each(ACCEPTED, |(row, text)| {
        let read = read(row).map(|sd| (sd.to_bytes(), sd));
        (read, Ok((sd(text).to_bytes(), sd(text))))
    });
}

#[test]
fn the_roots_of_hives_are_what_their_comment_says() {
    let text = "O:SYG:SYD:(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;AU)";
    for root in [MACHINE_ROOT_SD, USERS_ROOT_SD] {
        let root_sd = SecurityDescriptor::from_bytes(&root).unwrap();
        assert_eq!(root_sd, sd(text));
        assert_eq!(root_sd.to_bytes(), root);
        assert_eq!(root_sd.to_string(), text);
    }
}

type Refused = (&'static [&'static str], Malformed);

fn check_refused(rows: &[Refused]) {
    each(rows, |(row, problem)| (read(row), Err(*problem)));
}

// 2.4.6. That parts must not overlap, that offsets are multiples of 4, and that there is no offset without its flag
// is ours: readers that disagree about one of these would not see the same descriptor.
#[test]
fn headers_and_offsets_that_are_wrong_are_refused() {
    check_refused(&[
        (&[], Malformed::Truncated),
        (&["01 00 0080 00000000 00000000 00000000 000000"], Malformed::Truncated),
        (&["00 00 0080 00000000 00000000 00000000 00000000"], Malformed::Revision),
        (&["02 00 0080 00000000 00000000 00000000 00000000"], Malformed::Revision),
        (&["01 00 0000 14000000 00000000 00000000 00000000", SY], Malformed::NotSelfRelative),
        (&["01 00 0400 00000000 00000000 00000000 14000000", EMPTY], Malformed::NotSelfRelative),
        // Into the header.
        (&["01 00 0080 01000000 00000000 00000000 00000000", SY], Malformed::Offset),
        (&["01 00 0080 04000000 00000000 00000000 00000000", SY], Malformed::Offset),
        (&["01 00 0080 00000000 10000000 00000000 00000000", SY], Malformed::Offset),
        (&["01 00 0480 00000000 00000000 00000000 13000000", EMPTY], Malformed::Offset),
        // To no multiple of 4.
        (&["01 00 0080 15000000 00000000 00000000 00000000", "00", SY], Malformed::Offset),
        (&["01 00 0080 16000000 00000000 00000000 00000000", "0000", SY], Malformed::Offset),
        (&["01 00 1080 00000000 00000000 17000000 00000000", "000000", EMPTY], Malformed::Offset),
        // To the end, and beyond.
        (&["01 00 0080 14000000 00000000 00000000 00000000"], Malformed::Offset),
        (&["01 00 0080 20000000 00000000 00000000 00000000", SY], Malformed::Offset),
        (&["01 00 0080 00000000 24000000 00000000 00000000", SY], Malformed::Offset),
        (&["01 00 0480 00000000 00000000 00000000 FCFFFFFF", EMPTY], Malformed::Offset),
        (&["01 00 1080 00000000 00000000 00000080 00000000", EMPTY], Malformed::Offset),
        // To a list that is not there.
        (&["01 00 0080 00000000 00000000 00000000 14000000", EMPTY], Malformed::Offset),
        (&["01 00 0480 00000000 00000000 14000000 00000000", EMPTY], Malformed::Offset),
        // Two to one place, and one into the other, or into the room behind its last ACE.
        (&["01 00 0080 14000000 14000000 00000000 00000000", SY], Malformed::Overlap),
        (&["01 00 1480 00000000 00000000 14000000 14000000", EMPTY], Malformed::Overlap),
        (
            &[
                "01 00 0080 14000000 18000000 00000000 00000000",
                "01 02 0000 01000000 00000000 12000000",
            ],
            Malformed::Overlap,
        ),
        (
            &["01 00 0480 1C000000 00000000 00000000 14000000", "02 00 1400 0000 0000", SY],
            Malformed::Overlap,
        ),
        (
            &[
                "01 00 0480 24000000 00000000 00000000 14000000",
                "02 00 1C00 0100 0000",
                "00 00 1400 3F000F00",
                SY,
            ],
            Malformed::Overlap,
        ),
    ]);
}

// 2.4.2.2: Revision 1; at most 15 sub-authorities.
#[test]
fn sids_that_are_wrong_are_refused() {
    check_refused(&[
        (&[OWNER_ONLY, "01"], Malformed::Truncated),
        (&[OWNER_ONLY, "01 00 0000000000"], Malformed::Truncated),
        (&[OWNER_ONLY, "01 01 000000000005"], Malformed::Truncated),
        (&[OWNER_ONLY, "01 01 000000000005 120000"], Malformed::Truncated),
        (&[OWNER_ONLY, "01 02 000000000005 12000000"], Malformed::Truncated),
        (&[OWNER_ONLY, "00 01 000000000005 12000000"], Malformed::Revision),
        (&[OWNER_ONLY, "02 01 000000000005 12000000"], Malformed::Revision),
        (&[OWNER_ONLY, "01 10 000000000005", SIXTEEN], Malformed::TooManySubAuthorities),
        (&[OWNER_ONLY, "01 FF 000000000005"], Malformed::TooManySubAuthorities),
        (
            &[
                DACL_ONLY,
                "02 00 1C00 0100 0000",
                "00 00 1400 3F000F00",
                "01 10 000000000005 12000000",
            ],
            Malformed::TooManySubAuthorities,
        ),
        (
            &[
                DACL_ONLY,
                "02 00 1C00 0100 0000",
                "00 00 1400 3F000F00",
                "03 01 000000000005 12000000",
            ],
            Malformed::Revision,
        ),
    ]);
}

// 2.4.5: AclRevision is 2 or 4, AclSize includes the header, AceCount ACEs are within it.
#[test]
fn lists_that_are_wrong_are_refused() {
    check_refused(&[
        (&[DACL_ONLY, "02 00 0800 0000 00"], Malformed::Truncated),
        (&[DACL_ONLY, "02 00 0C00 0000 0000"], Malformed::Truncated),
        (&[DACL_ONLY, "02 00 FFFF 0000 0000"], Malformed::Truncated),
        (&[DACL_ONLY, "00 00 0800 0000 0000"], Malformed::Revision),
        (&[DACL_ONLY, "01 00 0800 0000 0000"], Malformed::Revision),
        (&[DACL_ONLY, "03 00 0800 0000 0000"], Malformed::Revision),
        (&[SACL_ONLY, "05 00 0800 0000 0000"], Malformed::Revision),
        (&[DACL_ONLY, "02 00 0000 0000 0000"], Malformed::AclSize),
        (&[DACL_ONLY, "02 00 0700 0000 0000"], Malformed::AclSize),
        (&[SACL_ONLY, "02 00 0400 0100 0000"], Malformed::AclSize),
        // More ACEs than there is room for.
        (&[DACL_ONLY, "02 00 0800 0100 0000"], Malformed::Truncated),
        (&[DACL_ONLY, "02 00 0800 0100 0000", "00 00 1400 3F000F00", SY], Malformed::Truncated),
        (&[DACL_ONLY, "02 00 1C00 0200 0000", "00 00 1400 3F000F00", SY], Malformed::Truncated),
        (&[DACL_ONLY, "02 00 1C00 FFFF 0000", "00 00 1400 3F000F00", SY], Malformed::Truncated),
        (
            &[DACL_ONLY, "02 00 2000 0200 0000", "00 00 1400 3F000F00", SY, "00 00 0400"],
            Malformed::Truncated,
        ),
    ]);
}

/// An ACE of the DACL, or of the SACL, and why it is refused. Its list ends where the row does.
fn check_aces(header: &str, rows: &[(&[&str], Malformed)]) {
    each(rows, |(ace, problem)| {
        let size = (8 + bytes(ace).len() as u16).to_be_bytes();
        let list = format!("02 00 {:02X}{:02X} 0100 0000", size[1], size[0]);
        (read(&[header, &list, &ace.concat()]), Err(*problem))
    });
}

// 2.4.4.1: AceSize, which for these types (2.4.4.2, 2.4.4.4, 2.4.4.10) is where the SID ends, a multiple of 4; the
// flags. DESIGN §6: which types and which rights there are.
#[test]
fn aces_that_are_wrong_are_refused() {
    check_aces(
        DACL_ONLY,
        &[
            (&["00 00 0000 3F000F00", SY], Malformed::AceSize),
            (&["00 00 0400 3F000F00", SY], Malformed::AceSize),
            (&["00 00 0700 3F000F00", SY], Malformed::AceSize),
            (&["00 00 0800 3F000F00", SY], Malformed::Truncated),
            (&["00 00 1000 3F000F00", SY], Malformed::Truncated),
            (&["00 00 1300 3F000F00", SY], Malformed::Truncated),
            (&["00 00 1500 3F000F00", SY, "00"], Malformed::AceSize),
            (&["00 00 1600 3F000F00", SY, "0000"], Malformed::AceSize),
            (&["00 00 1800 3F000F00", SY, "00000000"], Malformed::AceSize),
            (&["00 00 1800 3F000F00", SY], Malformed::AceSize),
            (&["00 00 FFFF 3F000F00", SY], Malformed::AceSize),
            (&["00 00 1400 3F000F"], Malformed::Truncated),
            // Audit, alarm, compound, object, callback, callback object, label.
            (&["02 00 1400 3F000F00", SY], Malformed::AceType(2)),
            (&["03 00 1400 3F000F00", SY], Malformed::AceType(3)),
            (&["04 00 1400 3F000F00", SY], Malformed::AceType(4)),
            (&["05 00 1800 3F000F00 00000000", SY], Malformed::AceType(5)),
            (&["06 00 1800 3F000F00 00000000", SY], Malformed::AceType(6)),
            (&["09 00 1400 3F000F00", SY], Malformed::AceType(9)),
            (&["0A 00 1400 3F000F00", SY], Malformed::AceType(10)),
            (&["0B 00 1800 3F000F00 00000000", SY], Malformed::AceType(11)),
            (&["11 00 1400 01000000", SY], Malformed::AceType(17)),
            (&["FF 00 1400 3F000F00", SY], Malformed::AceType(255)),
            (&["00 20 1400 3F000F00", SY], Malformed::AceFlags(0x20)),
            (&["01 FF 1400 3F000F00", SY], Malformed::AceFlags(0xFF)),
            // MAXIMUM_ALLOWED, SYNCHRONIZE, rights of other objects.
            (&["00 00 1400 00000002", SY], Malformed::AceMask(0x0200_0000)),
            (&["00 00 1400 3F001F00", SY], Malformed::AceMask(0x001F_003F)),
            (&["01 00 1400 40000000", SY], Malformed::AceMask(0x40)),
            (&["01 00 1400 FFFFFFFF", SY], Malformed::AceMask(0xFFFF_FFFF)),
        ],
    );
    check_aces(
        SACL_ONLY,
        &[
            (&["00 C0 1400 3F000F00", SY], Malformed::AceType(0)),
            (&["01 C0 1400 3F000F00", SY], Malformed::AceType(1)),
            (&["03 C0 1400 3F000F00", SY], Malformed::AceType(3)),
            (&["07 C0 1800 3F000F00 00000000", SY], Malformed::AceType(7)),
            (&["0D C0 1400 3F000F00", SY], Malformed::AceType(13)),
            (&["11 00 1400 01000000", SY], Malformed::AceType(17)),
            (&["12 00 1400 00000000", SY], Malformed::AceType(18)),
            (&["02 E0 1400 3F000F00", SY], Malformed::AceFlags(0xE0)),
            (&["02 C0 1400 00001000", SY], Malformed::AceMask(0x0010_0000)),
        ],
    );
}

// 2.4.5: AclSize is 16 bits wide: 8 bytes and 3276 ACEs of 20 are the most.
#[test]
fn a_list_that_is_put_together_is_held_to_the_same() {
    let dacl = sd("D:(A;;KA;;;SY)");
    let ace = dacl.dacl().list().unwrap().aces()[0];
    let audit = sd("S:(AU;SA;KA;;;SY)").sacl().list().unwrap().aces()[0];
    let unknown = Ace { mask: Access::MAXIMUM_ALLOWED, ..ace };
    let rows = [
        (AclKind::Dacl, vec![ace; 3276], Ok(3276)),
        (AclKind::Dacl, vec![ace; 3277], Err(Malformed::AclTooLong)),
        (AclKind::Sacl, vec![audit; 3277], Err(Malformed::AclTooLong)),
        (AclKind::Dacl, vec![ace, audit], Err(Malformed::AceType(2))),
        (AclKind::Sacl, vec![audit, ace], Err(Malformed::AceType(0))),
        (AclKind::Dacl, vec![ace, unknown], Err(Malformed::AceMask(0x0200_0000))),
    ];
    for (kind, aces, expected) in rows {
        assert_eq!(Acl::new(kind, aces).map(|acl| acl.aces().len()), expected);
    }
}

/// With a SACL, and with the DACL last.
fn full() -> Vec<u8> {
    bytes(WRITTEN.last().unwrap().0)
}

#[test]
fn what_is_cut_off_anywhere_is_malformed() {
    for whole in [MACHINE_ROOT_SD.to_vec(), full()] {
        for length in 0..whole.len() {
            let cut = SecurityDescriptor::from_bytes(&whole[..length]);
            assert!(
                matches!(cut, Err(Malformed::Truncated | Malformed::Offset)),
                "{length} bytes: {cut:?}"
            );
        }
    }
}

#[test]
fn whatever_one_byte_is_changed_to_it_is_malformed_or_read_alike_once_written() {
    for whole in [MACHINE_ROOT_SD.to_vec(), full()] {
        for place in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut changed = whole.clone();
                changed[place] = value;
                if let Ok(sd) = SecurityDescriptor::from_bytes(&changed) {
                    assert_eq!(SecurityDescriptor::from_bytes(&sd.to_bytes()), Ok(sd));
                }
            }
        }
    }
}
