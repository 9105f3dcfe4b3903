//! Security descriptors as text: [MS-DTYP] 2.5.1.1 (the grammar, in ABNF, so that case does not matter), 2.4.2.4
//! (the SIDs) and 2.4.4.1 (the flags).

use lcs_abi::security::Access;
use lcs_core::security::sddl::{MaskText, Problem, SddlError, SidText, parse, parse_mask};
use lcs_core::security::{
    Ace, AceFlags, AceKind, Acl, AclKind, AclPart, Control, SecurityDescriptor, Sid,
};

use crate::table::each;

fn list(kind: AclKind, aces: &[Ace]) -> AclPart {
    AclPart::List(Acl::new(kind, aces.to_vec()).unwrap())
}

fn only_dacl(control: Control, dacl: AclPart) -> SecurityDescriptor {
    SecurityDescriptor::new(None, None, control, dacl, AclPart::Absent).unwrap()
}

// 2.5.1.1: sddl, owner-string, group-string, dacl-string, sacl-string, ace. Put together in types and not by
// reading.
#[test]
fn every_part_is_read_as_what_it_is_and_written_as_it_was_read() {
    let all = Access::KEY_ALL_ACCESS;
    let allow = |sid| Ace::allow(AceFlags::empty(), all, sid);
    let deny = Ace {
        kind: AceKind::Deny,
        flags: AceFlags::CONTAINER_INHERIT | AceFlags::INHERIT_ONLY,
        mask: Access::SET_VALUE | Access::DELETE,
        sid: Sid::user(1000),
    };
    let audit = Ace {
        kind: AceKind::Audit,
        flags: AceFlags::SUCCESSFUL_ACCESS | AceFlags::FAILED_ACCESS,
        mask: Access::KEY_WRITE,
        sid: Sid::EVERYONE,
    };
    let none = Control::empty();
    let whole = |owner, group, dacl: &[Ace], sacl: &[Ace]| {
        let (dacl, sacl) = (list(AclKind::Dacl, dacl), list(AclKind::Sacl, sacl));
        SecurityDescriptor::new(owner, group, none, dacl, sacl).unwrap()
    };
    let sids = |owner, group| {
        SecurityDescriptor::new(owner, group, none, AclPart::Absent, AclPart::Absent).unwrap()
    };
    let rows = [
        ("", SecurityDescriptor::default()),
        ("O:SY", sids(Some(Sid::SYSTEM), None)),
        ("G:BA", sids(None, Some(Sid::ADMINISTRATORS))),
        ("O:S-1-22-1-7", sids(Some(Sid::user(7)), None)),
        ("D:", only_dacl(none, list(AclKind::Dacl, &[]))),
        ("D:NO_ACCESS_CONTROL", only_dacl(none, AclPart::Null)),
        ("D:PNO_ACCESS_CONTROL", only_dacl(Control::DACL_PROTECTED, AclPart::Null)),
        ("D:(A;;KA;;;SY)", only_dacl(none, list(AclKind::Dacl, &[allow(Sid::SYSTEM)]))),
        (
            "D:(D;CIIO;DCSD;;;S-1-22-1-1000)(A;;KA;;;WD)",
            only_dacl(none, list(AclKind::Dacl, &[deny, allow(Sid::EVERYONE)])),
        ),
        (
            "O:SYG:S-1-22-2-50D:(A;;KA;;;CO)S:(AU;SAFA;KW;;;WD)",
            whole(Some(Sid::SYSTEM), Some(Sid::group(50)), &[allow(Sid::CREATOR_OWNER)], &[audit]),
        ),
        ("D:S:", whole(None, None, &[], &[])),
    ];
    each(&rows, |(text, sd)| ((parse(text), sd.to_string()), (Ok(sd.clone()), text.to_string())));
}

// 2.5.1.1, acl-flag; 2.4.6, the bits. The order is P, AR, AI. NO_ACCESS_CONTROL is SDDL_NULL_ACL of sddl.h.
#[test]
fn flags_of_lists_are_control_bits() {
    let rows = [
        ("D:P", 0x1000, "D:P"),
        ("D:AR", 0x0100, "D:AR"),
        ("D:AI", 0x0400, "D:AI"),
        ("S:P", 0x2000, "S:P"),
        ("S:AR", 0x0200, "S:AR"),
        ("S:AI", 0x0800, "S:AI"),
        ("D:PARAI", 0x1500, "D:PARAI"),
        ("D:AIARP", 0x1500, "D:PARAI"),
        ("D:PP", 0x1000, "D:P"),
        ("D: P AI", 0x1400, "D:PAI"),
        ("D:PS:AI", 0x1800, "D:PS:AI"),
        ("D:AINO_ACCESS_CONTROL", 0x0400, "D:AINO_ACCESS_CONTROL"),
        ("S:PNO_ACCESS_CONTROL", 0x2000, "S:PNO_ACCESS_CONTROL"),
        ("d:p", 0x1000, "D:P"),
        ("d:arai", 0x0500, "D:ARAI"),
        ("s:pAi", 0x2800, "S:PAI"),
        ("d:no_access_control", 0, "D:NO_ACCESS_CONTROL"),
    ];
    each(&rows, |(text, bits, canonical)| {
        let sd = parse(text).map(|sd| (sd.control.bits(), sd.to_string()));
        (sd, Ok((*bits, canonical.to_string())))
    });
}

/// 2.4.2.4 and 2.5.1.1, sid-token, of those that mean the same on every system; the last ones are only in sddl.h.
const NAMES: [(&str, &str); 49] = [
    ("AA", "S-1-5-32-579"),
    ("AC", "S-1-15-2-1"),
    ("AN", "S-1-5-7"),
    ("AO", "S-1-5-32-548"),
    ("AU", "S-1-5-11"),
    ("BA", "S-1-5-32-544"),
    ("BG", "S-1-5-32-546"),
    ("BO", "S-1-5-32-551"),
    ("BU", "S-1-5-32-545"),
    ("CD", "S-1-5-32-574"),
    ("CG", "S-1-3-1"),
    ("CO", "S-1-3-0"),
    ("CY", "S-1-5-32-569"),
    ("ED", "S-1-5-9"),
    ("ER", "S-1-5-32-573"),
    ("ES", "S-1-5-32-576"),
    ("HA", "S-1-5-32-578"),
    ("HI", "S-1-16-12288"),
    ("IS", "S-1-5-32-568"),
    ("IU", "S-1-5-4"),
    ("LS", "S-1-5-19"),
    ("LU", "S-1-5-32-559"),
    ("LW", "S-1-16-4096"),
    ("ME", "S-1-16-8192"),
    ("MP", "S-1-16-8448"),
    ("MS", "S-1-5-32-577"),
    ("MU", "S-1-5-32-558"),
    ("NO", "S-1-5-32-556"),
    ("NS", "S-1-5-20"),
    ("NU", "S-1-5-2"),
    ("OW", "S-1-3-4"),
    ("PO", "S-1-5-32-550"),
    ("PS", "S-1-5-10"),
    ("PU", "S-1-5-32-547"),
    ("RA", "S-1-5-32-575"),
    ("RC", "S-1-5-12"),
    ("RD", "S-1-5-32-555"),
    ("RE", "S-1-5-32-552"),
    ("RM", "S-1-5-32-580"),
    ("RU", "S-1-5-32-554"),
    ("SI", "S-1-16-16384"),
    ("SO", "S-1-5-32-549"),
    ("SU", "S-1-5-6"),
    ("SY", "S-1-5-18"),
    ("UD", "S-1-5-84-0-0-0-0-0"),
    ("WD", "S-1-1-0"),
    ("WR", "S-1-5-33"),
    ("AS", "S-1-18-1"),
    ("SS", "S-1-18-2"),
];

#[test]
fn names_of_sids_are_those_of_the_standard_in_all_places_and_in_either_case() {
    each(&NAMES, |(name, text)| {
        let sid: Sid = text.parse().unwrap();
        let descriptor = format!("O:{name}G:{name}D:(A;;KA;;;{name})");
        let read = [&descriptor, &descriptor.to_lowercase(), &descriptor.replace(name, text)].map(
            |written| {
                let sd = parse(written).unwrap();
                let ace = sd.dacl().list().unwrap().aces()[0].sid;
                (sd.owner, sd.group, ace, sd.to_string())
            },
        );
        let expected = [(); 3].map(|()| (Some(sid), Some(sid), sid, descriptor.clone()));
        ((read, SidText(&sid).to_string()), (expected, name.to_string()))
    });
}

// 2.4.2.1: the authority is decimal below 2^32, else hexadecimal; each sub-authority decimal.
#[test]
fn sids_without_a_name_are_written_in_numbers() {
    let rows = [
        ("O:S-1-22-1-1000", "O:S-1-22-1-1000"),
        ("O:s-1-22-1-1000", "O:S-1-22-1-1000"),
        ("O:S-1-5-21-1-2-3-500", "O:S-1-5-21-1-2-3-500"),
        ("O:S-1-0x5-18", "O:SY"),
        ("O:S-1-0x000000000005-0x20-0x220", "O:BA"),
        ("O:S-1-4294967295-1", "O:S-1-4294967295-1"),
        ("O:S-1-4294967296-1", "O:S-1-0x000100000000-1"),
        ("O:S-1-0x0123456789ABD:", "O:S-1-0x0123456789ABD:"),
        ("O:S-1-5-1G:S-1-5-1D:S:", "O:S-1-5-1G:S-1-5-1D:S:"),
        ("O:S-1-5", "O:S-1-5"),
    ];
    each(&rows, |(text, canonical)| {
        (parse(text).map(|sd| sd.to_string()), Ok(canonical.to_string()))
    });
}

// 2.5.1.1, ace-rights; 2.4.3 and winnt.h, the bits. What has a name together is written by it, the rest in the order
// of the names, and in hexadecimal what has none.
#[test]
fn masks_are_names_or_numbers() {
    let rows = [
        ("KA", 0x000F_003F, "KA"),
        ("KR", 0x0002_0019, "KR"),
        ("KW", 0x0002_0006, "KW"),
        ("KX", 0x0002_0019, "KR"),
        ("GA", 0x1000_0000, "GA"),
        ("GX", 0x2000_0000, "GX"),
        ("GW", 0x4000_0000, "GW"),
        ("GR", 0x8000_0000, "GR"),
        ("SD", 0x0001_0000, "SD"),
        ("RC", 0x0002_0000, "RC"),
        ("WD", 0x0004_0000, "WD"),
        ("WO", 0x0008_0000, "WO"),
        ("CC", 0x0000_0001, "CC"),
        ("DC", 0x0000_0002, "DC"),
        ("LC", 0x0000_0004, "LC"),
        ("SW", 0x0000_0008, "SW"),
        ("RP", 0x0000_0010, "RP"),
        ("WP", 0x0000_0020, "WP"),
        ("ka", 0x000F_003F, "KA"),
        ("kRsD", 0x0003_0019, "CCSWRPSDRC"),
        // Together, in any order, more than once.
        ("CCDC", 0x0000_0003, "CCDC"),
        ("DCCC", 0x0000_0003, "CCDC"),
        ("CCCC", 0x0000_0001, "CC"),
        ("KRKW", 0x0002_001F, "CCDCLCSWRPRC"),
        ("RCCCSWRP", 0x0002_0019, "KR"),
        ("RCDCLC", 0x0002_0006, "KW"),
        ("CCDCLCSWRPWPSDRCWDWO", 0x000F_003F, "KA"),
        ("GAKA", 0x100F_003F, "CCDCLCSWRPWPSDRCWDWOGA"),
        ("GRGW", 0xC000_0000, "GRGW"),
        ("", 0, "0x0"),
        // Hexadecimal, octal, decimal.
        ("0", 0, "0x0"),
        ("0x0", 0, "0x0"),
        ("0x1", 1, "CC"),
        ("0XF003f", 0x000F_003F, "KA"),
        ("0x00020019", 0x0002_0019, "KR"),
        ("0x1000000", 0x0100_0000, "0x1000000"),
        ("0x10f003f", 0x010F_003F, "0x10f003f"),
        ("0xF10F003F", 0xF10F_003F, "0xf10f003f"),
        ("017", 0x0000_000F, "CCDCLCSW"),
        ("00", 0, "0x0"),
        ("983103", 0x000F_003F, "KA"),
        ("2147483648", 0x8000_0000, "GR"),
    ];
    each(&rows, |(text, bits, canonical)| {
        let read = parse_mask(text).map(|mask| mask.bits());
        let written = MaskText(Access::from_bits_retain(*bits)).to_string();
        let ace = parse(&format!("D:(A;;{text};;;SY)")).map(|sd| sd.to_string());
        let canonical_ace = format!("D:(A;;{canonical};;;SY)");
        ((read, written, ace), (Some(*bits), canonical.to_string(), Ok(canonical_ace)))
    });
}

// 2.5.1.1, ace-flag-string; 2.4.4.1, the bits.
#[test]
fn flags_of_aces_are_names() {
    let rows = [
        ("", 0x00, ""),
        ("OI", 0x01, "OI"),
        ("CI", 0x02, "CI"),
        ("NP", 0x04, "NP"),
        ("IO", 0x08, "IO"),
        ("ID", 0x10, "ID"),
        ("SA", 0x40, "SA"),
        ("FA", 0x80, "FA"),
        ("FASAIDIONPCIOI", 0xDF, "OICINPIOIDSAFA"),
        ("IOCI", 0x0A, "CIIO"),
        ("CICI", 0x02, "CI"),
        ("ciSa", 0x42, "CISA"),
    ];
    each(&rows, |(text, bits, canonical)| {
        let sd = parse(&format!("S:(AU;{text};KA;;;SY)")).unwrap();
        let flags = sd.sacl().list().unwrap().aces()[0].flags;
        let expected = (*bits, canonical.to_string(), format!("S:(AU;{canonical};KA;;;SY)"));
        ((flags.bits(), flags.to_string(), sd.to_string()), expected)
    });
}

// Ours: parts in any order, blanks and line breaks between parts, before and between ACEs, and in an ACE around its
// fields, as files of many lines have them.
#[test]
fn order_and_blanks_between_parts_do_not_matter() {
    let canonical = "O:SYG:BAD:P(A;;KA;;;SY)(D;CI;KW;;;WD)S:(AU;FA;KA;;;WD)";
    let rows = [
        canonical,
        "o:syg:bad:p(a;;ka;;;sy)(d;ci;kw;;;wd)s:(au;fa;ka;;;wd)",
        "S:(AU;FA;KA;;;WD)D:P(A;;KA;;;SY)(D;CI;KW;;;WD)G:BAO:SY",
        "G:BAD:P(A;;KA;;;SY)(D;CI;KW;;;WD)O:SYS:(AU;FA;KA;;;WD)",
        "  O:SY G:BA D:P (A;;KA;;;SY) (D;CI;KW;;;WD) S: (AU;FA;KA;;;WD)  ",
        "O:SY\nG:BA\nD:P\n\t(A;;KA;;;SY)\n\t(D;CI;KW;;;WD)\nS:\n\t(AU;FA;KA;;;WD)\n",
        "O:SY\r\nG:BA\r\nD:P(A;;KA;;;SY)\r\n(D;CI;KW;;;WD)\r\nS:(AU;FA;KA;;;WD)\r\n",
        "O:SYG:BAD:P( A ; ; KA ; ; ; SY )(D;CI ;KW;;;WD)S:(AU;FA;KA;;;WD)",
        "O:SYG:BAD:P(A;;KA;;;S-1-5-18)(D;CI;KW;;;S-1-1-0)S:(AU;FA;983103;;;WD)",
    ];
    each(&rows, |text| (parse(text).map(|sd| sd.to_string()), Ok(canonical.to_string())));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    use Problem::{Expected, Flags, Guid, Kind, Mask, Rights, Twice};
    let section = || Expected("O:, G:, D: or S:");
    let sid = |text: &str| Problem::Sid(text.into());
    let unsupported = |kind: &str| Problem::UnsupportedKind(kind.into());
    let rows = [
        // Parts.
        ("X:SY", 0, section()),
        ("SY", 0, section()),
        (" (A;;KA;;;SY)", 1, section()),
        ("ö", 0, section()),
        ("O:SYD", 2, sid("SYD")),
        ("O:SYX:SY", 4, section()),
        ("O:SYO:BA", 4, Twice('O')),
        ("O:SY\no:BA", 5, Twice('O')),
        ("D:S:D:", 4, Twice('D')),
        ("D:X", 2, section()),
        ("D:(A;;KA;;;SY))", 14, section()),
        ("D:(A;;KA;;;SY)P", 14, section()),
        ("D:(A;;KA;;;SY)NO_ACCESS_CONTROL", 14, section()),
        ("D:NO_ACCESS_CONTROL(A;;KA;;;SY)", 19, section()),
        ("D:NO_ACCESS_CONTROLP", 19, section()),
        // SIDs. DA and LA belong to a domain.
        ("O:", 2, sid("")),
        ("O::", 2, sid("")),
        ("O:G:BA", 2, sid("")),
        ("O:XX", 2, sid("XX")),
        ("O:DA", 2, sid("DA")),
        ("O: SY", 2, sid(" SY")),
        ("O:é", 2, sid("é")),
        ("G:éO:SY", 2, sid("é")),
        ("O:S-2-5-18", 2, sid("S-2-5-18")),
        ("O:SYG:S-1-5-4294967296", 6, sid("S-1-5-4294967296")),
        ("D:(A;;KA;;;)", 11, sid("")),
        ("D:(A;;KA;;;LA)", 11, sid("LA")),
        ("D:(A;;KA;;;SY)(A;;KA;;; XX )", 23, sid("XX")),
        // Kinds.
        ("D:(;;KA;;;SY)", 3, Kind("".into())),
        ("D:(X;;KA;;;SY)", 3, Kind("X".into())),
        ("D:()", 3, Expected(";")),
        ("D:(AU;SA;KA;;;SY)", 3, unsupported("AU")),
        ("S:(A;;KA;;;SY)", 3, unsupported("A")),
        ("S:(D;;KA;;;SY)", 3, unsupported("D")),
        ("D:(OA;;KA;;;SY)", 3, unsupported("OA")),
        ("D:(od;;KA;;;SY)", 3, unsupported("od")),
        ("S:(OU;SA;KA;;;SY)", 3, unsupported("OU")),
        ("S:(ML;;NW;;;LW)", 3, unsupported("ML")),
        ("D:(XA;;KA;;;SY;(a==1))", 3, unsupported("XA")),
        ("D:(XD;;KA;;;SY)", 3, unsupported("XD")),
        ("S:(XU;;KA;;;SY)", 3, unsupported("XU")),
        ("D:(ZA;;KA;;;SY)", 3, unsupported("ZA")),
        ("S:(RA;;;;;WD;(\"a\",TI,0,1))", 3, unsupported("RA")),
        ("S:(SP;;;;;S-1-17-1)", 3, unsupported("SP")),
        // Flags and masks.
        ("D:(A;XX;KA;;;SY)", 5, Flags("XX".into())),
        ("D:(A;C;KA;;;SY)", 5, Flags("C".into())),
        ("D:(A;CI,OI;KA;;;SY)", 5, Flags("CI,OI".into())),
        ("D:(A;CIé;KA;;;SY)", 5, Flags("CIé".into())),
        ("D:(A;;XX;;;SY)", 6, Mask("XX".into())),
        ("D:(A;;KAX;;;SY)", 6, Mask("KAX".into())),
        ("D:(A;;KA KR;;;SY)", 6, Mask("KA KR".into())),
        ("D:(A;;é;;;SY)", 6, Mask("é".into())),
        ("D:(A;;-1;;;SY)", 6, Mask("-1".into())),
        ("D:(A;;0x;;;SY)", 6, Mask("0x".into())),
        ("D:(A;;0x+1;;;SY)", 6, Mask("0x+1".into())),
        ("D:(A;;08;;;SY)", 6, Mask("08".into())),
        ("D:(A;;1A;;;SY)", 6, Mask("1A".into())),
        ("D:(A;;4294967296;;;SY)", 6, Mask("4294967296".into())),
        // Rights of other objects: DT, LO, CR, FA.
        ("D:(A;;DT;;;SY)", 6, Mask("DT".into())),
        ("D:(A;;LO;;;SY)", 6, Mask("LO".into())),
        ("D:(A;;CR;;;SY)", 6, Mask("CR".into())),
        ("D:(A;;FA;;;SY)", 6, Mask("FA".into())),
        ("D:(A;;0x40;;;SY)", 6, Rights(0x40)),
        ("D:(A;;0x1F003F;;;SY)", 6, Rights(0x0010_0000)),
        ("D:(A;;0x2000000;;;SY)", 6, Rights(0x0200_0000)),
        ("D:(A;;0xFFFFFFFF;;;SY)", 6, Rights(0x0EF0_FFC0)),
        ("D:(A;;0100;;;SY)", 6, Rights(0x40)),
        // GUIDs.
        ("D:(A;;KA;bf967aba-0de6-11d0-a285-00aa003049e2;;SY)", 9, Guid),
        ("D:(A;;KA;;x;SY)", 10, Guid),
        // Fields that are missing, and too many.
        ("D:(", 3, Expected(";")),
        ("D:(A", 4, Expected(";")),
        ("D:(A)", 4, Expected(";")),
        ("D:(A;;KA", 8, Expected(";")),
        ("D:(A;;KA)", 8, Expected(";")),
        ("D:(A;;KA;;SY)", 12, Expected(";")),
        ("D:(A;;KA;;;SY", 13, Expected(")")),
        ("D:(A;;KA;;;SY;)", 13, Expected(")")),
        ("D:(A;;KA;;;SY(A;;KA;;;WD)", 13, Expected(")")),
    ];
    each(&rows, |(text, position, problem)| {
        let error = SddlError { position: *position, problem: problem.clone() };
        (parse(text), Err(error))
    });
}

// [MS-DTYP] 2.4.5: AclSize is 16 bits wide: 3276 ACEs of 20 bytes fit.
#[test]
fn a_text_for_which_a_list_has_no_room_is_refused() {
    let text = |count| format!("O:SYD:P{}", "(A;;KA;;;SY)".repeat(count));
    assert!(parse(&text(3276)).is_ok());
    let error = SddlError { position: 6, problem: Problem::TooLong };
    assert_eq!(parse(&text(3277)), Err(error));
}

#[test]
fn an_error_is_a_sentence_that_counts_from_one() {
    let rows = [
        ("O:SYX:", "at character 5: O:, G:, D: or S: expected"),
        ("O:SYO:BA", "at character 5: a second O:"),
        ("O:XX", "at character 3: \"XX\" is neither a SID (S-1-…) nor the name of one"),
        ("S:(A;;KA;;;SY)", "at character 4: an ACE of kind A is not for this list"),
        ("D:(A;;0x40;;;SY)", "at character 7: keys do not have the rights 0x40"),
        ("D:(A;;KA;x;;SY)", "at character 10: keys have no ACEs for objects"),
    ];
    each(&rows, |(text, message)| (parse(text).unwrap_err().to_string(), message.to_string()));
}
