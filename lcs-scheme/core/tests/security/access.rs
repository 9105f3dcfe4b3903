//! The access check, [MS-DTYP] 2.5.3.2. A row: security descriptor, token, what is asked for, and what is
//! granted or what is missing.

use lcs_core::security::{Denied, DesiredAccess, InvalidMask, access_check};

use crate::table::{each, mask, sd, token};

type Row = (&'static str, &'static str, &'static str, Result<&'static str, &'static str>);

fn check(rows: &[Row]) {
    each(rows, |(descriptor, who, asked, expected)| {
        let desired = DesiredAccess::new(mask(asked).bits()).unwrap();
        let expected = expected.map(mask).map_err(|missing| Denied { missing: mask(missing) });
        (access_check(&sd(descriptor), &token(who), &desired), expected)
    });
}

// 2.5.3.2, "FOR each ACE in DACL": bits are taken off RemainingAccess as they are allowed, and a deny ACE that
// names one which remains ends the check.
#[test]
fn for_each_right_the_first_ace_decides_that_names_it_and_the_caller() {
    check(&[
        ("O:SYD:(A;;KR;;;{alice})", "alice", "KR", Ok("KR")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;;KR;;;{alice})", "bob", "KR", Err("KR")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "KA", Ok("KA")),
        // Deny before allow, asked for the denied right, for more, for less.
        ("O:SYD:(D;;CC;;;{alice})(A;;KR;;;{alice})", "alice", "CC", Err("CC")),
        ("O:SYD:(D;;CC;;;{alice})(A;;KR;;;{alice})", "alice", "KR", Err("CC")),
        ("O:SYD:(D;;CC;;;{alice})(A;;KR;;;{alice})", "alice", "SWRPRC", Ok("SWRPRC")),
        ("O:SYD:(D;;CC;;;{alice})(A;;KR;;;WD)", "bob", "KR", Ok("KR")),
        // Allow before deny: the order that is stored counts, not the canonical one.
        ("O:SYD:(A;;KR;;;{alice})(D;;CC;;;{alice})", "alice", "KR", Ok("KR")),
        ("O:SYD:(A;;CC;;;{alice})(D;;KA;;;{alice})(A;;KA;;;WD)", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;;CC;;;{alice})(D;;KA;;;{alice})(A;;KA;;;WD)", "alice", "CCDC", Err("DC")),
        ("O:SYD:(A;;CC;;;{alice})(D;;KA;;;{alice})(A;;KA;;;WD)", "bob", "CCDC", Ok("CCDC")),
        ("O:SYD:(D;;DC;;;WD)(A;;DC;;;WD)(D;;DC;;;WD)", "alice", "DC", Err("DC")),
        ("O:SYD:(A;;DC;;;WD)(D;;DC;;;WD)(A;;DC;;;WD)", "alice", "DC", Ok("DC")),
        // What a group is denied and what it is allowed counts like the user's own.
        ("O:SYD:(D;;DC;;;{staff})(A;;KA;;;{alice})", "alice staff", "DC", Err("DC")),
        ("O:SYD:(D;;DC;;;{staff})(A;;KA;;;{alice})", "alice staff", "CC", Ok("CC")),
        ("O:SYD:(D;;DC;;;{staff})(A;;KA;;;{alice})", "alice", "DC", Ok("DC")),
        ("O:SYD:(A;;DC;;;{staff})(D;;DC;;;{alice})", "alice staff", "DC", Ok("DC")),
        ("O:SYD:(A;;DC;;;{staff})(D;;DC;;;{alice})", "alice", "DC", Err("DC")),
        ("O:SYD:(A;;DC;;;{users})", "alice", "DC", Ok("DC")),
        // Rights from several ACEs add up, and all of them are needed.
        (
            "O:SYD:(A;;CC;;;{alice})(A;;DC;;;{staff})(A;;LC;;;WD)",
            "alice staff",
            "CCDCLC",
            Ok("CCDCLC"),
        ),
        ("O:SYD:(A;;CC;;;{alice})(A;;DC;;;{staff})(A;;LC;;;WD)", "alice", "CCDCLC", Err("DC")),
        ("O:SYD:(A;;CC;;;{alice})(A;;DC;;;{staff})(A;;LC;;;WD)", "bob", "CCDCLC", Err("CCDC")),
        // A deny ACE for what nobody asked for, and ACEs with no right at all.
        ("O:SYD:(D;;DC;;;{alice})(A;;KA;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;;0;;;{alice})", "alice", "CC", Err("CC")),
        ("O:SYD:(D;;0;;;{alice})(A;;CC;;;{alice})", "alice", "CC", Ok("CC")),
    ]);
}

// 2.5.3.1.1, SidInToken: the user and every group; DESIGN §6 says which groups a token has.
#[test]
fn a_token_is_its_user_and_all_its_groups_and_nobody_else() {
    check(&[
        ("O:SYD:(A;;CC;;;WD)", "bob", "CC", Ok("CC")),
        ("O:SYD:(A;;CC;;;AU)", "bob", "CC", Ok("CC")),
        ("O:SYD:(A;;CC;;;BA)", "bob", "CC", Err("CC")),
        ("O:SYD:(A;;CC;;;BA)", "bob administrator", "CC", Ok("CC")),
        ("O:SYD:(A;;CC;;;BA)", "bob administrator unprivileged", "CC", Ok("CC")),
        ("O:SYD:(A;;CC;;;BA)", "system", "CC", Ok("CC")),
        ("O:SYD:(A;;CC;;;SY)", "system", "CC", Ok("CC")),
        ("O:BAD:(A;;CC;;;SY)", "bob administrator", "CC", Err("CC")),
        // A uid and a gid of the same number are not the same account.
        ("O:SYD:(A;;CC;;;S-1-22-2-1000)", "alice", "CC", Err("CC")),
        ("O:SYD:(A;;CC;;;S-1-22-1-100)", "alice", "CC", Err("CC")),
        // Nobody's token has a SID that stands for somebody else at inheritance.
        ("O:{alice}G:{users}D:(A;;KA;;;CO)(A;;KA;;;CG)", "alice", "CC", Err("CC")),
        ("O:{alice}D:(D;;CC;;;CO)(A;;CC;;;WD)", "alice", "CC", Ok("CC")),
        ("O:{alice}G:{users}D:(D;;CC;;;CG)(A;;CC;;;WD)", "alice", "CC", Ok("CC")),
        // The primary group of the descriptor gives nothing.
        ("O:SYG:{users}D:", "alice", "RC", Err("RC")),
    ]);
}

// 2.5.3.2: "the owner of an object is always granted READ_CONTROL and WRITE_DAC", before the first ACE.
#[test]
fn the_owner_may_read_and_change_the_dacl_whatever_it_says() {
    check(&[
        ("O:{alice}D:", "alice", "RC", Ok("RC")),
        ("O:{alice}D:", "alice", "WD", Ok("WD")),
        ("O:{alice}D:", "alice", "RCWD", Ok("RCWD")),
        ("O:{alice}D:", "alice", "MAX", Ok("RCWD")),
        ("O:{alice}D:", "alice", "CC", Err("CC")),
        ("O:{alice}D:", "alice", "RCCC", Err("CC")),
        ("O:{alice}D:", "alice", "WO", Err("WO")),
        ("O:{alice}D:", "alice", "SD", Err("SD")),
        ("O:{alice}D:", "bob", "RC", Err("RC")),
        ("O:{alice}D:(D;;KA;;;{alice})", "alice", "RCWD", Ok("RCWD")),
        ("O:{alice}D:(D;;KA;;;{alice})", "alice", "MAX", Ok("RCWD")),
        ("O:{alice}D:(D;;RCWD;;;WD)(A;;KA;;;WD)", "alice", "KA", Ok("KA")),
        ("O:{alice}D:(D;;RCWD;;;WD)(A;;KA;;;WD)", "bob", "KA", Err("RCWD")),
        ("O:{alice}D:(D;;GA;;;WD)", "alice", "MAX", Ok("RCWD")),
        // An owner that is a group.
        ("O:{staff}D:", "alice staff", "RCWD", Ok("RCWD")),
        ("O:{staff}D:", "alice", "RC", Err("RC")),
        ("O:BAD:", "bob administrator unprivileged", "RCWD", Ok("RCWD")),
        ("O:BAD:", "bob", "RCWD", Err("RCWD")),
        ("O:WDD:", "bob", "RC", Ok("RC")),
        // No owner, no rights of an owner.
        ("D:", "alice", "RC", Err("RC")),
    ]);
}

// 2.4.2.4, OWNER_RIGHTS (S-1-3-4): "When an ACE that carries this SID is applied to an object, the system
// ignores the implicit READ_CONTROL and WRITE_DAC permissions for the object owner"; an inherit-only ACE is
// not applied to the object (2.4.4.1, INHERIT_ONLY_ACE).
#[test]
fn an_ace_for_owner_rights_takes_the_place_of_what_an_owner_may() {
    check(&[
        ("O:{alice}D:(A;;CC;;;OW)", "alice", "CC", Ok("CC")),
        ("O:{alice}D:(A;;CC;;;OW)", "alice", "RC", Err("RC")),
        ("O:{alice}D:(A;;CC;;;OW)", "alice", "WD", Err("WD")),
        ("O:{alice}D:(A;;CC;;;OW)", "alice", "MAX", Ok("CC")),
        ("O:{alice}D:(A;;CC;;;OW)", "bob", "CC", Err("CC")),
        ("O:{alice}D:(A;;RCWD;;;OW)", "alice", "RCWD", Ok("RCWD")),
        ("O:{alice}D:(A;;0;;;OW)", "alice", "RC", Err("RC")),
        ("O:{alice}D:(A;;0;;;OW)", "alice", "MAX", Err("")),
        ("O:{alice}D:(A;;GX;;;OW)", "alice", "RC", Err("RC")),
        // What other ACEs allow stays.
        ("O:{alice}D:(A;;0;;;OW)(A;;RC;;;{alice})", "alice", "RC", Ok("RC")),
        ("O:{alice}D:(D;;WD;;;OW)(A;;RC;;;{alice})", "alice", "RC", Ok("RC")),
        ("O:{alice}D:(D;;WD;;;OW)(A;;RC;;;{alice})", "alice", "RCWD", Err("WD")),
        // It stands in the order like any other.
        ("O:{alice}D:(D;;KA;;;OW)(A;;KA;;;WD)", "alice", "CC", Err("CC")),
        ("O:{alice}D:(D;;KA;;;OW)(A;;KA;;;WD)", "bob", "KA", Ok("KA")),
        ("O:{alice}D:(A;;CC;;;{alice})(D;;CC;;;OW)", "alice", "CC", Ok("CC")),
        ("O:{alice}D:(D;;CC;;;OW)(A;;CC;;;{alice})", "alice", "CC", Err("CC")),
        ("O:{alice}D:(A;;KR;;;WD)(A;;WD;;;OW)", "alice", "MAX", Ok("KRWD")),
        ("O:{alice}D:(D;;CC;;;{alice})(A;;CCDC;;;OW)", "alice", "MAX", Ok("DC")),
        // Inherit-only: as if it were not there.
        ("O:{alice}D:(A;CIIO;CC;;;OW)", "alice", "RCWD", Ok("RCWD")),
        ("O:{alice}D:(A;CIIO;CC;;;OW)", "alice", "CC", Err("CC")),
        ("O:{alice}D:(D;CIIO;KA;;;OW)", "alice", "RCWD", Ok("RCWD")),
        ("O:{alice}D:(D;CIIO;KA;;;OW)(A;;KA;;;WD)", "alice", "KA", Ok("KA")),
        ("O:{alice}D:(A;CIIO;KA;;;OW)(A;;CC;;;OW)", "alice", "MAX", Ok("CC")),
        // Inheritable and inherited ones have an effect.
        ("O:{alice}D:(A;CI;RC;;;OW)", "alice", "MAX", Ok("RC")),
        ("O:{alice}D:(A;ID;RC;;;OW)", "alice", "MAX", Ok("RC")),
        // The owner may be a group; without an owner the ACE concerns nobody.
        ("O:{staff}D:(A;;DC;;;OW)", "alice staff", "DC", Ok("DC")),
        ("O:{staff}D:(A;;DC;;;OW)", "alice staff", "RC", Err("RC")),
        ("O:{staff}D:(A;;DC;;;OW)", "alice", "DC", Err("DC")),
        ("D:(A;;CC;;;OW)", "alice", "CC", Err("CC")),
    ]);
}

// 2.5.3.2: "IF DACL is not present: grant everything"; 2.4.5: a DACL without ACEs grants nothing.
#[test]
fn without_a_dacl_everything_is_granted_and_by_an_empty_one_nothing() {
    check(&[
        ("O:SYD:NO_ACCESS_CONTROL", "bob", "KA", Ok("KA")),
        ("O:SYD:NO_ACCESS_CONTROL", "bob", "DC", Ok("DC")),
        ("O:SYD:NO_ACCESS_CONTROL", "bob", "MAX", Ok("KA")),
        ("O:SYD:NO_ACCESS_CONTROL", "bob", "SACL", Err("SACL")),
        ("O:SYD:PNO_ACCESS_CONTROL", "bob", "KA", Ok("KA")),
        ("O:SY", "bob", "KA", Ok("KA")),
        ("O:SY", "bob", "MAX", Ok("KA")),
        ("O:SY", "bob", "MAX SACL", Err("SACL")),
        ("O:SY", "bob administrator", "MAX", Ok("KA")),
        ("O:SY", "bob administrator", "MAX SACL", Ok("KA SACL")),
        ("O:SYS:(AU;SAFA;KA;;;WD)", "bob", "KA", Ok("KA")),
        ("", "bob", "KA", Ok("KA")),
        ("O:SYD:", "bob", "CC", Err("CC")),
        ("O:SYD:", "bob", "KA", Err("KA")),
        ("O:SYD:", "bob", "MAX", Err("")),
        ("O:SYD:P", "bob", "CC", Err("CC")),
        ("O:BAD:", "system", "CC", Err("CC")),
        ("O:BAD:", "system", "MAX", Ok("RCWD")),
    ]);
}

// 2.4.4.1: INHERIT_ONLY_ACE "does not control access to the object to which it is attached"; all other flags
// leave the effect on the object itself alone.
#[test]
fn an_inherit_only_ace_has_no_effect_and_no_other_flag_matters() {
    check(&[
        ("O:SYD:(A;CIIO;KA;;;{alice})", "alice", "CC", Err("CC")),
        ("O:SYD:(A;OIIO;KA;;;{alice})", "alice", "CC", Err("CC")),
        ("O:SYD:(A;IO;KA;;;{alice})", "alice", "MAX", Err("")),
        ("O:SYD:(A;OICINPIOID;KA;;;{alice})", "alice", "CC", Err("CC")),
        ("O:SYD:(D;CIIO;KA;;;WD)(A;;CC;;;WD)", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;CI;CC;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;OI;CC;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;CINP;CC;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;ID;CC;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(A;OICINPIDSAFA;CC;;;{alice})", "alice", "CC", Ok("CC")),
        ("O:SYD:(D;OICINPIDSAFA;CC;;;{alice})(A;;CC;;;WD)", "alice", "CC", Err("CC")),
    ]);
}

// 2.5.3.2, MaxAllowedMode: all that the ACEs grant; and whatever else is asked for must be granted.
#[test]
fn maximum_allowed_is_all_that_is_granted_of_the_rights_of_a_key() {
    check(&[
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX", Ok("KR")),
        ("O:SYD:(A;;KR;;;{alice})", "bob", "MAX", Err("")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "MAX", Ok("KA")),
        ("O:SYD:(A;;CC;;;{alice})(A;;WO;;;WD)", "alice", "MAX", Ok("CCWO")),
        ("O:SYD:(D;;CC;;;{alice})(A;;KR;;;{alice})", "alice", "MAX", Ok("SWRPRC")),
        ("O:SYD:(A;;KR;;;{alice})(D;;KA;;;{alice})(A;;KA;;;WD)", "alice", "MAX", Ok("KR")),
        ("O:SYD:(D;;KA;;;WD)(A;;KA;;;{alice})", "alice", "MAX", Err("")),
        // With rights: they must be granted, and all others that are granted come with them.
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX CC", Ok("KR")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX KR", Ok("KR")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX DC", Err("DC")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX KA", Err("DCLCWPSDWDWO")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX GW", Err("DCLC")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "MAX GX", Ok("KR")),
        ("O:SYD:(A;;KR;;;{alice})", "bob", "MAX GX", Err("")),
        ("O:{alice}D:(A;;CC;;;WD)", "alice", "MAX", Ok("CCRCWD")),
        ("O:{alice}D:(A;;CC;;;WD)", "alice", "MAX WO", Err("WO")),
        ("O:{alice}D:(A;;CC;;;WD)", "bob", "MAX RC", Err("RC")),
    ]);
}

// 2.5.3.2 looks at privileges only where RemainingAccess names the right: MAXIMUM_ALLOWED does not.
#[test]
fn privileges_do_not_count_for_maximum_allowed_and_do_for_rights_asked_for_with_it() {
    check(&[
        ("O:SYD:", "bob administrator", "MAX", Err("")),
        ("O:SYD:", "bob administrator", "MAX WO", Ok("WO")),
        ("O:SYD:", "bob administrator", "MAX SACL", Ok("SACL")),
        ("O:SYD:(A;;KR;;;WD)", "bob administrator", "MAX", Ok("KR")),
        ("O:SYD:(A;;KR;;;WD)", "bob administrator", "MAX WO", Ok("KRWO")),
        ("O:SYD:(A;;KR;;;WD)", "bob administrator", "MAX SACL", Ok("KR SACL")),
        ("O:SYD:(A;;KR;;;WD)", "bob administrator unprivileged", "MAX SACL", Err("SACL")),
        ("O:SYD:(A;;KR;;;WD)", "bob", "MAX SACL", Err("SACL")),
    ]);
}

// 2.4.3, the generic bits: each is mapped to rights of the object's type before it is compared, in the mask asked
// for as in an ACE's; to which ones is INTERFACES §2's table. GENERIC_EXECUTE means nothing for a key (ours).
#[test]
fn generic_rights_are_asked_for_and_granted_as_what_they_mean_for_a_key() {
    check(&[
        // Asked for.
        ("O:SYD:(A;;KR;;;{alice})", "alice", "GR", Ok("KR")),
        ("O:SYD:(A;;KR;;;{alice})", "alice", "GW", Err("DCLC")),
        ("O:SYD:(A;;KW;;;{alice})", "alice", "GW", Ok("KW")),
        ("O:SYD:(A;;KW;;;{alice})", "alice", "GR", Err("CCSWRP")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "GRGW", Ok("KRKW")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "GRSD", Ok("KRSD")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "GA", Ok("KA")),
        ("O:SYD:(A;;CCDCLCSWRPWPSDRCWD;;;{alice})", "alice", "GA", Err("WO")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "GX", Err("")),
        ("O:SYD:(A;;KA;;;{alice})", "alice", "GXCC", Ok("CC")),
        ("O:SYD:(A;;CC;;;{alice})", "alice", "GXDC", Err("DC")),
        ("O:SYD:(A;;KA;;;WD)", "bob administrator", "GA", Ok("KA")),
        // In ACEs.
        ("O:SYD:(A;;GR;;;{alice})", "alice", "KR", Ok("KR")),
        ("O:SYD:(A;;GR;;;{alice})", "alice", "MAX", Ok("KR")),
        ("O:SYD:(A;;GW;;;{alice})", "alice", "MAX", Ok("KW")),
        ("O:SYD:(A;;GRGW;;;{alice})", "alice", "MAX", Ok("KRKW")),
        ("O:SYD:(A;;GA;;;{alice})", "alice", "MAX", Ok("KA")),
        ("O:SYD:(A;;GA;;;{alice})", "alice", "SACL", Err("SACL")),
        ("O:SYD:(A;;GX;;;{alice})", "alice", "MAX", Err("")),
        ("O:SYD:(A;;GXDC;;;{alice})", "alice", "MAX", Ok("DC")),
        ("O:SYD:(D;;GW;;;WD)(A;;KA;;;WD)", "alice", "MAX", Ok("CCSWRPWPSDWDWO")),
        ("O:SYD:(D;;GR;;;WD)(A;;KA;;;WD)", "alice", "DC", Ok("DC")),
        ("O:SYD:(D;;GA;;;WD)(A;;KA;;;WD)", "alice", "CC", Err("CC")),
        ("O:SYD:(D;;GX;;;WD)(A;;KA;;;WD)", "alice", "KA", Ok("KA")),
        // In both.
        ("O:SYD:(A;;GR;;;{alice})", "alice", "GR", Ok("KR")),
        ("O:SYD:(A;;GR;;;{alice})", "alice", "GA", Err("DCLCWPSDWDWO")),
        ("O:SYD:(A;;GX;;;{alice})", "alice", "GX", Err("")),
    ]);
}

// 2.5.3.2: ACCESS_SYSTEM_SECURITY is for holders of SeSecurityPrivilege; 2.4.3: no ACE grants it.
#[test]
fn access_to_the_sacl_is_by_privilege_and_never_by_a_dacl() {
    check(&[
        ("O:SYD:", "bob administrator", "SACL", Ok("SACL")),
        ("O:SYD:", "system", "SACL", Ok("SACL")),
        ("O:SYD:", "bob administrator unprivileged", "SACL", Err("SACL")),
        ("O:SYD:", "bob", "SACL", Err("SACL")),
        ("O:SYD:(A;;0x1000000;;;WD)", "bob", "SACL", Err("SACL")),
        ("O:SYD:(A;;0x1000000;;;WD)", "bob", "MAX", Err("")),
        ("O:SYD:(A;;0x10F003F;;;WD)", "bob", "KA SACL", Err("SACL")),
        ("O:SYD:(A;;0x10F003F;;;WD)", "bob", "MAX", Ok("KA")),
        ("O:{bob}D:(A;;0x1000000;;;{bob})", "bob", "SACL", Err("SACL")),
        ("O:SYD:(A;;0x1000000;;;BA)", "bob administrator unprivileged", "SACL", Err("SACL")),
        ("O:SYD:(D;;0x1000000;;;WD)", "bob administrator", "SACL", Ok("SACL")),
        ("O:SYD:(D;;GA;;;WD)", "bob administrator", "SACL", Ok("SACL")),
        ("O:SYD:", "bob administrator", "CC SACL", Err("CC")),
        ("O:SYD:(A;;CC;;;WD)", "bob administrator", "CC SACL", Ok("CC SACL")),
        ("O:SYD:(A;;CC;;;WD)", "bob", "CC SACL", Err("SACL")),
        ("O:SYD:", "bob", "CC SACL", Err("CC SACL")),
    ]);
}

/// KEY_ALL_ACCESS without WRITE_OWNER.
const ALL_BUT_OWNER: &str = "CCDCLCSWRPWPSDRCWD";

// 2.5.3.2: WRITE_OWNER is for holders of SeTakeOwnershipPrivilege, before the first ACE. The privileges to back up
// and to restore are for streams and give no right on a handle (ours).
#[test]
fn who_may_take_ownership_may_write_the_owner_and_nothing_else() {
    check(&[
        ("O:SYD:", "bob administrator", "WO", Ok("WO")),
        ("O:BUD:", "system", "WO", Ok("WO")),
        ("O:SYD:", "bob administrator unprivileged", "WO", Err("WO")),
        ("O:SYD:", "bob", "WO", Err("WO")),
        ("O:SYD:(A;;WO;;;WD)", "bob", "WO", Ok("WO")),
        ("O:SYD:(D;;WO;;;WD)", "bob administrator", "WO", Ok("WO")),
        ("O:SYD:(D;;GA;;;WD)", "bob administrator", "WO", Ok("WO")),
        ("O:SYD:", "bob administrator", "WO SACL", Ok("WO SACL")),
        ("O:SYD:", "bob administrator", "WORC", Err("RC")),
        ("O:SYD:(A;;CCDCLCSWRPWPSDRCWD;;;BA)", "bob administrator", "KA", Ok("KA")),
        ("O:SYD:(A;;CCDCLCSWRPWPSDRCWD;;;BA)", "bob administrator", "GA", Ok("KA")),
        ("O:SYD:(A;;CCDCLCSWRPWPSDRCWD;;;BA)", "bob administrator", "MAX", Ok(ALL_BUT_OWNER)),
        ("O:SYD:(A;;CCDCLCSWRPWPSDRCWD;;;BA)", "bob administrator unprivileged", "KA", Err("WO")),
        ("O:BUD:", "system", "KA", Err(ALL_BUT_OWNER)),
        ("O:BUD:", "system", "KR", Err("KR")),
    ]);
}

// DESIGN §6: a restricted handle has "the token without privileges"; who it is stays.
#[test]
fn a_token_without_privileges_is_still_the_same_user_and_groups() {
    check(&[
        ("O:SYD:(A;;KR;;;BA)", "bob administrator unprivileged", "KR", Ok("KR")),
        ("O:SYD:(D;;CC;;;BA)(A;;KR;;;WD)", "bob administrator unprivileged", "CC", Err("CC")),
        ("O:{bob}D:", "bob unprivileged", "MAX", Ok("RCWD")),
        ("O:SYD:(A;;KA;;;{staff})", "alice staff unprivileged", "KA", Ok("KA")),
        ("O:SYD:(A;;DC;;;BA)", "bob administrator unprivileged", "MAX WO", Err("WO")),
    ]);
}

// INTERFACES §2: "Zero or any other bit in a request is EINVAL; SYNCHRONIZE is not a registry right."
#[test]
fn a_request_has_at_least_one_right_and_none_that_keys_do_not_have() {
    let rows = [
        (0x0000_0000, false),
        (0x0000_0001, true),
        (0x0000_0002, true),
        (0x0000_0004, true),
        (0x0000_0008, true),
        (0x0000_0010, true),
        (0x0000_0020, true),
        (0x0000_0040, false),
        (0x0000_0080, false),
        // KEY_WOW64_64KEY and KEY_WOW64_32KEY.
        (0x0000_0100, false),
        (0x0000_0200, false),
        (0x0000_8000, false),
        (0x0001_0000, true),
        (0x0002_0000, true),
        (0x0004_0000, true),
        (0x0008_0000, true),
        // SYNCHRONIZE, alone and beside what is known.
        (0x0010_0000, false),
        (0x0012_0019, false),
        (0x001F_003F, false),
        (0x0020_0000, false),
        (0x0080_0000, false),
        (0x0100_0000, true),
        (0x0200_0000, true),
        (0x0400_0000, false),
        (0x0800_0000, false),
        (0x1000_0000, true),
        (0x2000_0000, true),
        (0x4000_0000, true),
        (0x8000_0000, true),
        (0xF30F_003F, true),
        (0xF30F_007F, false),
        (0xFFFF_FFFF, false),
    ];
    each(&rows, |(bits, valid)| {
        let requested = DesiredAccess::new(*bits).map(|desired| desired.requested().bits());
        (requested, if *valid { Ok(*bits) } else { Err(InvalidMask) })
    });
}

// INTERFACES §2, below a restricted handle: "`access` beyond it is EACCES (MAXIMUM_ALLOWED gives what both
// allow)".
#[test]
fn below_a_restricted_handle_only_what_it_has_is_to_be_had() {
    let rows = [
        ("KR", "KR", Ok("KR")),
        ("CC", "KR", Ok("CC")),
        ("KA", "KR", Err("DCLCWPSDWDWO")),
        ("GR", "KR", Ok("KR")),
        ("GW", "KR", Err("DCLC")),
        ("MAX", "KR", Ok("KR")),
        ("MAX", "DCSD", Ok("DC")),
        ("MAX", "SD", Err("")),
        ("MAX CC", "KR", Ok("KR")),
        ("MAX DC", "KR", Err("DC")),
        ("MAX", "KA SACL", Ok("KRDC")),
        ("SACL", "KA", Err("SACL")),
    ];
    let sd = sd("O:SYD:(A;;KRDC;;;WD)");
    each(&rows, |(asked, limit, expected)| {
        let desired = DesiredAccess::new(mask(asked).bits()).unwrap().within(mask(limit));
        let granted = desired.and_then(|desired| access_check(&sd, &token("alice"), &desired));
        (granted, expected.map(mask).map_err(|missing| Denied { missing: mask(missing) }))
    });
}
