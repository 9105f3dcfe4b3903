//! Taking parts of a security descriptor and putting them in the place of another's: SECURITY_INFORMATION,
//! [MS-DTYP] 2.4.7, and the control bits of 2.4.6 that belong to each part.

use lcs_core::security::{AclPart, Control, Parts, SecurityDescriptor};

use crate::table::{each, mask, sd};

/// The letters that the parts have in SDDL.
fn parts(letters: &str) -> Parts {
    let part = |letter| match letter {
        'O' => Parts::OWNER,
        'G' => Parts::GROUP,
        'D' => Parts::DACL,
        'S' => Parts::SACL,
        other => panic!("no part: {other}"),
    };
    letters.chars().map(part).fold(Parts::empty(), |all, part| all | part)
}

const OLD: &str = "O:SYG:SYD:AI(A;CIID;KA;;;SY)S:AI(AU;IDSA;KW;;;WD)";
const NEW: &str = "O:BAG:BUD:P(A;;KR;;;AU)S:PAR(AU;FA;KA;;;BU)";

// 2.4.7: each flag names one part, and the others stay; 2.4.6: SE_DACL_PROTECTED, _AUTO_INHERITED and
// _AUTO_INHERIT_REQ are the list's, so they come and go with it.
#[test]
fn named_parts_are_replaced_with_their_flags_and_all_others_stay() {
    let rows = [
        (OLD, "", NEW, OLD),
        (OLD, "O", NEW, "O:BAG:SYD:AI(A;CIID;KA;;;SY)S:AI(AU;IDSA;KW;;;WD)"),
        (OLD, "G", NEW, "O:SYG:BUD:AI(A;CIID;KA;;;SY)S:AI(AU;IDSA;KW;;;WD)"),
        (OLD, "D", NEW, "O:SYG:SYD:P(A;;KR;;;AU)S:AI(AU;IDSA;KW;;;WD)"),
        (OLD, "S", NEW, "O:SYG:SYD:AI(A;CIID;KA;;;SY)S:PAR(AU;FA;KA;;;BU)"),
        (OLD, "OG", NEW, "O:BAG:BUD:AI(A;CIID;KA;;;SY)S:AI(AU;IDSA;KW;;;WD)"),
        (OLD, "DS", NEW, "O:SYG:SYD:P(A;;KR;;;AU)S:PAR(AU;FA;KA;;;BU)"),
        (OLD, "OGD", NEW, "O:BAG:BUD:P(A;;KR;;;AU)S:AI(AU;IDSA;KW;;;WD)"),
        (OLD, "OGDS", NEW, NEW),
        (OLD, "OGDS", OLD, OLD),
        // To and from protection.
        ("O:SYD:P(A;;KA;;;SY)", "D", "D:(A;;KA;;;SY)", "O:SYD:(A;;KA;;;SY)"),
        ("O:SYD:(A;;KA;;;SY)", "D", "D:P(A;;KA;;;SY)", "O:SYD:P(A;;KA;;;SY)"),
        ("O:SYD:PARAI(A;;KA;;;SY)", "S", "S:PARAI", "O:SYD:PARAI(A;;KA;;;SY)S:PARAI"),
        ("O:SYD:PARAI", "D", "D:", "O:SYD:"),
        // An empty list, none, and a part that is not there are three things.
        ("O:SYD:(A;;KA;;;SY)", "D", "D:", "O:SYD:"),
        ("O:SYD:P(A;;KA;;;SY)", "D", "D:NO_ACCESS_CONTROL", "O:SYD:NO_ACCESS_CONTROL"),
        ("O:SYD:P(A;;KA;;;SY)", "D", "O:BA", "O:SY"),
        ("O:SYS:P(AU;SA;KA;;;SY)", "S", "", "O:SY"),
        ("O:SYG:SY", "G", "O:BA", "O:SY"),
        // An owner that is taken away is for the caller to refuse.
        ("O:SYD:", "O", "G:BA", "D:"),
        ("", "O", "O:BAG:BA", "O:BA"),
    ];
    each(&rows, |(old, names, new, merged)| (sd(old).with(parts(names), &sd(new)), sd(merged)));
}

#[test]
fn only_the_parts_that_are_read_are_shown() {
    let rows = [
        (OLD, "", ""),
        (OLD, "O", "O:SY"),
        (OLD, "G", "G:SY"),
        (OLD, "OG", "O:SYG:SY"),
        (OLD, "D", "D:AI(A;CIID;KA;;;SY)"),
        (OLD, "S", "S:AI(AU;IDSA;KW;;;WD)"),
        (OLD, "OGD", "O:SYG:SYD:AI(A;CIID;KA;;;SY)"),
        (NEW, "D", "D:P(A;;KR;;;AU)"),
        (NEW, "GS", "G:BUS:PAR(AU;FA;KA;;;BU)"),
        (OLD, "OGDS", OLD),
        ("O:SYD:NO_ACCESS_CONTROL", "D", "D:NO_ACCESS_CONTROL"),
        ("O:SY", "DS", ""),
    ];
    each(&rows, |(whole, names, shown)| (sd(whole).only(parts(names)), sd(shown)));
}

// 2.4.6, Control: OD, GD, DD, DC, DI, PD; SD, SC, SI, PS. Each belongs to one part.
#[test]
fn every_control_bit_belongs_to_one_part() {
    let rows = [
        ("O", 0x0001),
        ("G", 0x0002),
        ("D", 0x0008),
        ("S", 0x0020),
        ("D", 0x0100),
        ("S", 0x0200),
        ("D", 0x0400),
        ("S", 0x0800),
        ("D", 0x1000),
        ("S", 0x2000),
    ];
    let with_control = |bits| {
        let control = Control::from_bits(bits).unwrap();
        SecurityDescriptor::new(None, None, control, AclPart::Null, AclPart::Null).unwrap()
    };
    each(&rows, |(part, bit)| {
        let only = with_control(0x3F2B).only(parts(part)).control.bits();
        let without = with_control(0x3F2B).with(parts(part), &with_control(0)).control.bits();
        let from_other = with_control(0).with(parts(part), &with_control(*bit)).control.bits();
        let others = with_control(0).with(!parts(part), &with_control(*bit)).control.bits();
        ((only & bit, without & bit, from_other, others), (*bit, 0, *bit, 0))
    });
}

// INTERFACES §2, and the rights of [MS-DTYP] 2.4.3 as Windows asks for them: WRITE_OWNER covers the group, too.
#[test]
fn each_part_has_its_right_to_read_and_its_right_to_write() {
    let rows = [
        ("", "", ""),
        ("O", "RC", "WO"),
        ("G", "RC", "WO"),
        ("D", "RC", "WD"),
        ("S", "SACL", "SACL"),
        ("OG", "RC", "WO"),
        ("OD", "RC", "WDWO"),
        ("DS", "RC SACL", "WD SACL"),
        ("OGDS", "RC SACL", "WDWO SACL"),
    ];
    each(&rows, |(names, read, write)| {
        let parts = parts(names);
        let rights = [parts.rights_to_read(), parts.rights_to_write()];
        (rights, [mask(read), mask(write)])
    });
}
