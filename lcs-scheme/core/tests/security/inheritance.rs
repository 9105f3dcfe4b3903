//! What a new key inherits, [MS-DTYP] 2.5.3.4 (CreateSecurityDescriptor) and 2.4.4.1 (the flags).

use lcs_abi::security::{Access, MACHINE_ROOT_SD};
use lcs_core::security::{
    Ace, AceFlags, AceKind, Acl, AclKind, AclPart, Control, Denied, DesiredAccess, Malformed,
    SecurityDescriptor, Sid, access_check, inherited, private_to,
};

use crate::table::{each, mask, sd, token};

/// How the descriptors of keys begin that alice made and that inherit a DACL.
const ALICE: &str = "O:{alice}G:{users}D:AI";
/// The token's default.
const DEFAULT: &str = "O:{alice}G:{users}D:(A;;KA;;;{alice})(A;;KA;;;SY)(A;;KA;;;BA)";

/// Rows with the DACLs of parent and child only; `""` for the token's default.
fn dacls_of_alices_keys(rows: &[(&str, &str)]) {
    each(rows, |(parent, child)| {
        let parent = sd(&format!("O:SYG:SYD:{parent}"));
        let child = match *child {
            "" => String::from(DEFAULT),
            aces => format!("{ALICE}{aces}"),
        };
        (inherited(&parent, &token("alice")), Ok(sd(&child)))
    });
}

// 2.4.4.1, CONTAINER_INHERIT_ACE: inherited as an effective ACE, with the flag, unless NO_PROPAGATE_INHERIT_ACE
// takes all flags of inheritance away; INHERITED_ACE says that it was.
#[test]
fn an_ace_for_containers_is_inherited_and_says_so() {
    dacls_of_alices_keys(&[
        ("(A;CI;KR;;;AU)", "(A;CIID;KR;;;AU)"),
        ("(D;CI;KW;;;AU)", "(D;CIID;KW;;;AU)"),
        ("(A;OICI;KR;;;AU)", "(A;OICIID;KR;;;AU)"),
        ("(A;CIID;KR;;;AU)", "(A;CIID;KR;;;AU)"),
        ("(A;CISAFA;KR;;;AU)", "(A;CIIDSAFA;KR;;;AU)"),
        ("(A;CI;0;;;AU)", "(A;CIID;0;;;AU)"),
        ("(A;CI;0x1000000;;;AU)", "(A;CIID;0x1000000;;;AU)"),
        // In the order of the parent, and only those.
        (
            "(A;CI;CC;;;SY)(A;;KA;;;WD)(D;CI;DC;;;AU)(A;CI;KR;;;WD)",
            "(A;CIID;CC;;;SY)(D;CIID;DC;;;AU)(A;CIID;KR;;;WD)",
        ),
        ("(A;CI;KR;;;AU)(A;CI;KR;;;AU)", "(A;CIID;KR;;;AU)(A;CIID;KR;;;AU)"),
    ]);
}

#[test]
fn an_ace_that_does_not_propagate_is_inherited_once() {
    dacls_of_alices_keys(&[
        ("(A;CINP;KR;;;AU)", "(A;ID;KR;;;AU)"),
        ("(A;OICINP;KR;;;AU)", "(A;ID;KR;;;AU)"),
        ("(A;CINPIO;KR;;;AU)", "(A;ID;KR;;;AU)"),
        ("(A;CINPID;KR;;;AU)", "(A;ID;KR;;;AU)"),
    ]);
}

#[test]
fn an_inherit_only_ace_has_its_effect_on_who_inherits_it() {
    dacls_of_alices_keys(&[
        ("(A;CIIO;KR;;;AU)", "(A;CIID;KR;;;AU)"),
        ("(A;OICIIO;KR;;;AU)", "(A;OICIID;KR;;;AU)"),
        ("(D;CIIO;KR;;;AU)", "(D;CIID;KR;;;AU)"),
    ]);
}

// 2.5.3.4: without an inheritable ACE the DACL is the token's default (DESIGN §6: owner, SYSTEM and
// Administrators: all), and that is not inherited. OBJECT_INHERIT_ACE alone: [MS-DTYP] passes it on through
// containers as inherit-only, for objects below them. A registry has containers only, where it never has an
// effect: it is dropped (ours).
#[test]
fn where_nothing_is_inheritable_the_dacl_is_the_tokens_default() {
    dacls_of_alices_keys(&[
        ("", ""),
        ("P", ""),
        ("NO_ACCESS_CONTROL", ""),
        ("(A;;KA;;;WD)", ""),
        ("(A;ID;KA;;;WD)", ""),
        ("(A;OI;KA;;;WD)", ""),
        ("(A;OIIO;KA;;;WD)", ""),
        ("(A;OINP;KA;;;WD)", ""),
        ("(A;OI;KA;;;CO)", ""),
        ("(A;NP;KA;;;WD)", ""),
        ("(A;IO;KA;;;WD)", ""),
        ("(A;CINP;GX;;;WD)", ""),
    ]);
}

// 2.5.3.4: CREATOR_OWNER and CREATOR_GROUP become owner and group of the new object; if the ACE is passed on, the
// original is kept beside that, inherit-only.
#[test]
fn the_creators_take_their_places_and_the_places_are_passed_on() {
    dacls_of_alices_keys(&[
        ("(A;CI;KA;;;CO)", "(A;ID;KA;;;{alice})(A;CIIOID;KA;;;CO)"),
        ("(A;CIIO;KA;;;CO)", "(A;ID;KA;;;{alice})(A;CIIOID;KA;;;CO)"),
        ("(A;OICIIO;KA;;;CO)", "(A;ID;KA;;;{alice})(A;OICIIOID;KA;;;CO)"),
        ("(D;CIIO;DC;;;CO)", "(D;ID;DC;;;{alice})(D;CIIOID;DC;;;CO)"),
        ("(A;CIIO;KR;;;CG)", "(A;ID;KR;;;{users})(A;CIIOID;KR;;;CG)"),
        ("(A;CINP;KA;;;CO)", "(A;ID;KA;;;{alice})"),
        ("(A;CINPIO;KA;;;CG)", "(A;ID;KA;;;{users})"),
        ("(A;CI;0;;;CO)", "(A;ID;0;;;{alice})(A;CIIOID;0;;;CO)"),
        (
            "(A;CI;KR;;;CG)(A;CI;KA;;;CO)",
            "(A;ID;KR;;;{users})(A;CIIOID;KR;;;CG)(A;ID;KA;;;{alice})(A;CIIOID;KA;;;CO)",
        ),
        // The owner's rights are not somebody's in particular.
        ("(A;CI;RC;;;OW)", "(A;CIID;RC;;;OW)"),
        ("(A;CI;KA;;;{alice})", "(A;CIID;KA;;;{alice})"),
    ]);
}

// 2.5.3.4: generic rights are mapped in the ACE that has an effect, and kept in the one that is passed on.
#[test]
fn generic_rights_are_mapped_where_they_have_an_effect_and_passed_on_as_they_are() {
    dacls_of_alices_keys(&[
        ("(A;CI;GR;;;AU)", "(A;ID;KR;;;AU)(A;CIIOID;GR;;;AU)"),
        ("(A;CIIO;GW;;;AU)", "(A;ID;KW;;;AU)(A;CIIOID;GW;;;AU)"),
        ("(D;CI;GA;;;AU)", "(D;ID;KA;;;AU)(D;CIIOID;GA;;;AU)"),
        ("(A;CI;GRSD;;;AU)", "(A;ID;KRSD;;;AU)(A;CIIOID;GRSD;;;AU)"),
        ("(A;OICI;GR;;;AU)", "(A;ID;KR;;;AU)(A;OICIIOID;GR;;;AU)"),
        ("(A;CINP;GR;;;AU)", "(A;ID;KR;;;AU)"),
        ("(A;CIIO;GA;;;CO)", "(A;ID;KA;;;{alice})(A;CIIOID;GA;;;CO)"),
        ("(A;CINP;GA;;;CO)", "(A;ID;KA;;;{alice})"),
        // What means nothing for a key leaves no ACE with an effect, but is passed on.
        ("(A;CI;GX;;;AU)", "(A;CIIOID;GX;;;AU)"),
        ("(A;CI;GX;;;CO)", "(A;CIIOID;GX;;;CO)"),
        ("(A;CI;GRGX;;;AU)", "(A;ID;KR;;;AU)(A;CIIOID;GRGX;;;AU)"),
        ("(A;CI;GXCC;;;AU)", "(A;ID;CC;;;AU)(A;CIIOID;GXCC;;;AU)"),
        ("(A;CINP;GX;;;AU)(A;CI;CC;;;WD)", "(A;CIID;CC;;;WD)"),
    ]);
}

// 2.5.3.4: owner and group come from the token, not from the parent; SE_DACL_PROTECTED (2.4.6) keeps inheritance
// out of an object, and does not keep it from what is below; DACL_AUTO_INHERIT_REQ was for one request.
#[test]
fn owner_group_and_control_are_those_of_a_new_key() {
    let rows = [
        ("O:BAG:BAD:P(A;CI;KR;;;AU)", "alice", "O:{alice}G:{users}D:AI(A;CIID;KR;;;AU)"),
        ("O:BAG:BAD:PARAI(A;CI;KR;;;AU)", "alice", "O:{alice}G:{users}D:AI(A;CIID;KR;;;AU)"),
        ("D:(A;CI;KR;;;AU)", "alice", "O:{alice}G:{users}D:AI(A;CIID;KR;;;AU)"),
        ("", "alice", DEFAULT),
        ("O:BAG:BAD:PAIS:PAI", "alice", DEFAULT),
        ("O:BAG:BA", "system", "O:SYG:SYD:(A;;KA;;;SY)(A;;KA;;;BA)"),
        (
            "O:BAG:BA",
            "bob administrator",
            "O:{bob}G:{users}D:(A;;KA;;;{bob})(A;;KA;;;SY)(A;;KA;;;BA)",
        ),
        ("D:(A;CI;KA;;;CO)", "system", "O:SYG:SYD:AI(A;ID;KA;;;SY)(A;CIIOID;KA;;;CO)"),
        ("D:(A;CINP;KA;;;CG)", "system", "O:SYG:SYD:AI(A;ID;KA;;;SY)"),
    ];
    each(&rows, |(parent, who, child)| (inherited(&sd(parent), &token(who)), Ok(sd(child))));
}

// 2.5.3.4: the SACL by the same rules, but there is no default for it.
#[test]
fn the_sacl_is_inherited_like_the_dacl_and_has_no_default() {
    let rows = [
        ("S:(AU;CISA;KW;;;WD)", "S:AI(AU;CIIDSA;KW;;;WD)"),
        ("S:P(AU;CIFA;KW;;;WD)", "S:AI(AU;CIIDFA;KW;;;WD)"),
        ("S:(AU;CISAFA;KA;;;CO)", "S:AI(AU;IDSAFA;KA;;;{alice})(AU;CIIOIDSAFA;KA;;;CO)"),
        ("S:(AU;CIFA;GA;;;WD)", "S:AI(AU;IDFA;KA;;;WD)(AU;CIIOIDFA;GA;;;WD)"),
        ("S:(AU;CINPSA;KA;;;WD)", "S:AI(AU;IDSA;KA;;;WD)"),
        ("S:(AU;CIIOSA;KA;;;WD)", "S:AI(AU;CIIDSA;KA;;;WD)"),
        ("S:(AU;SA;KA;;;WD)(AU;CISA;SD;;;WD)", "S:AI(AU;CIIDSA;SD;;;WD)"),
        ("S:(AU;SA;KA;;;WD)", ""),
        ("S:(AU;OISA;KA;;;WD)", ""),
        ("S:", ""),
        ("S:NO_ACCESS_CONTROL", ""),
    ];
    each(&rows, |(parent, sacl)| {
        let child = inherited(&sd(parent), &token("alice"));
        (child, Ok(sd(&format!("{DEFAULT}{sacl}"))))
    });
    let both = inherited(&sd("D:(A;CI;KR;;;AU)S:(AU;CISA;KW;;;WD)"), &token("alice"));
    assert_eq!(both, Ok(sd(&format!("{ALICE}(A;CIID;KR;;;AU)S:AI(AU;CIIDSA;KW;;;WD)"))));
}

// The same once more: alice makes a key, and bob one below it.
#[test]
fn grandchildren_inherit_what_was_passed_on() {
    let bobs = "O:{bob}G:{users}D:(A;;KA;;;{bob})(A;;KA;;;SY)(A;;KA;;;BA)";
    let rows = [
        ("D:(A;CI;KR;;;AU)", "O:{bob}G:{users}D:AI(A;CIID;KR;;;AU)"),
        ("D:(A;CIIO;KR;;;AU)", "O:{bob}G:{users}D:AI(A;CIID;KR;;;AU)"),
        // The second creator's, and nothing for the first.
        ("D:(A;CI;KA;;;CO)", "O:{bob}G:{users}D:AI(A;ID;KA;;;{bob})(A;CIIOID;KA;;;CO)"),
        ("D:(A;CIIO;KR;;;CG)", "O:{bob}G:{users}D:AI(A;ID;KR;;;{users})(A;CIIOID;KR;;;CG)"),
        ("D:(A;CI;GR;;;AU)", "O:{bob}G:{users}D:AI(A;ID;KR;;;AU)(A;CIIOID;GR;;;AU)"),
        ("D:(A;CI;GX;;;AU)", "O:{bob}G:{users}D:AI(A;CIIOID;GX;;;AU)"),
        ("D:(A;CINP;KR;;;AU)", bobs),
        ("D:(A;CINP;KA;;;CO)", bobs),
        ("D:(A;CINP;KR;;;AU)(A;CI;CC;;;WD)", "O:{bob}G:{users}D:AI(A;CIID;CC;;;WD)"),
        // A default is not passed on.
        ("D:", bobs),
    ];
    each(&rows, |(parent, grandchild)| {
        let child = inherited(&sd(parent), &token("alice")).unwrap();
        (inherited(&child, &token("bob")), Ok(sd(grandchild)))
    });
}

#[test]
fn what_is_inherited_decides_who_may() {
    let root = SecurityDescriptor::from_bytes(&MACHINE_ROOT_SD).unwrap();
    let below_root = inherited(&root, &token("system")).unwrap();
    let drop_box = inherited(&sd("D:(A;CI;LC;;;AU)(A;CIIO;GA;;;CO)"), &token("alice")).unwrap();
    let rows = [
        (&below_root, "alice", "KR", Ok("KR")),
        (&below_root, "alice", "KW", Err("DCLC")),
        (&below_root, "alice", "MAX", Ok("KR")),
        (&below_root, "alice administrator", "KA", Ok("KA")),
        (&below_root, "system", "KA", Ok("KA")),
        (&drop_box, "alice", "MAX", Ok("KA")),
        (&drop_box, "bob", "MAX", Ok("LC")),
    ];
    each(&rows, |(sd, who, asked, expected)| {
        let desired = DesiredAccess::new(mask(asked).bits()).unwrap();
        let expected = expected.map(mask).map_err(|missing| Denied { missing: mask(missing) });
        (access_check(sd, &token(who), &desired), expected)
    });
}

// DESIGN §6: "`Users\<SID>` … with that user, SYSTEM and Administrators: all", "with a protected DACL".
#[test]
fn a_private_key_is_its_users_and_protected_and_so_is_what_is_below() {
    let alice = token("alice");
    let private = private_to(alice.user(), alice.primary_group());
    let expected = "O:{alice}G:{users}D:P(A;CI;KA;;;{alice})(A;CI;KA;;;SY)(A;CI;KA;;;BA)";
    assert_eq!(private, Ok(sd(expected)));
    let below = inherited(&private.unwrap(), &token("bob"));
    let expected = "O:{bob}G:{users}D:AI(A;CIID;KA;;;{alice})(A;CIID;KA;;;SY)(A;CIID;KA;;;BA)";
    assert_eq!(below, Ok(sd(expected)));
    let systems = private_to(Sid::SYSTEM, Sid::SYSTEM);
    assert_eq!(systems, Ok(sd("O:SYG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)")));
}

// 2.4.5: AclSize is 16 bits wide. An ACE that is split takes more than twice its room.
#[test]
fn what_would_be_longer_than_an_acl_can_be_is_not_inherited_in_part() {
    let ace = Ace {
        kind: AceKind::Allow,
        flags: AceFlags::CONTAINER_INHERIT,
        mask: Access::GENERIC_READ,
        sid: Sid::EVERYONE,
    };
    // 20 bytes each, behind 8.
    let dacl = |count| AclPart::List(Acl::new(AclKind::Dacl, vec![ace; count]).unwrap());
    let parent = |count| {
        SecurityDescriptor::new(None, None, Control::empty(), dacl(count), AclPart::Absent).unwrap()
    };
    assert!(inherited(&parent(1638), &token("alice")).is_ok());
    assert_eq!(inherited(&parent(1639), &token("alice")), Err(Malformed::AclTooLong));
}
