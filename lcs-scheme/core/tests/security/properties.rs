//! What holds for all security descriptors, tokens and requests.

use lcs_abi::security::Access;
use lcs_core::security::{
    Ace, AceFlags, AceKind, Acl, AclPart, Control, DesiredAccess, Privileges, SecurityDescriptor,
    Sid, Token, access_check, inherited, map_generic, rights, sddl,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::generate::{DACL_KINDS, ace, aces, right, sd, token, with_dacl};

fn maximum(sd: &SecurityDescriptor, token: &Token) -> Access {
    let desired = DesiredAccess::new(Access::MAXIMUM_ALLOWED.bits()).unwrap();
    access_check(sd, token, &desired).unwrap_or(Access::empty())
}

fn is_granted(sd: &SecurityDescriptor, token: &Token, asked: Access) -> bool {
    access_check(sd, token, &DesiredAccess::from(asked)).is_ok()
}

fn effective_aces(sd: &SecurityDescriptor) -> impl Iterator<Item = &Ace> {
    sd.dacl().list().into_iter().flat_map(Acl::aces).filter(|ace| ace.is_effective())
}

/// [MS-DTYP] 2.5.3.2 as it is written there, step after step, without MAXIMUM_ALLOWED and object trees.
fn standard(sd: &SecurityDescriptor, token: &Token, asked: Access) -> bool {
    let mut remaining = asked;
    if remaining.contains(Access::ACCESS_SYSTEM_SECURITY) {
        if !token.holds(Privileges::SECURITY) {
            return false;
        }
        remaining -= Access::ACCESS_SYSTEM_SECURITY;
    }
    if token.holds(Privileges::TAKE_OWNERSHIP) {
        remaining -= Access::WRITE_OWNER;
    }
    let Some(dacl) = sd.dacl().list() else {
        return true;
    };
    let is_owner = sd.owner.is_some_and(|owner| token.is(&owner));
    if is_owner && !effective_aces(sd).any(|ace| ace.sid == Sid::OWNER_RIGHTS) {
        remaining -= Access::READ_CONTROL | Access::WRITE_DAC;
    }
    for ace in dacl.aces() {
        let concerned = token.is(&ace.sid) || (is_owner && ace.sid == Sid::OWNER_RIGHTS);
        if ace.flags.contains(AceFlags::INHERIT_ONLY) || !concerned {
            continue;
        }
        match ace.kind {
            AceKind::Allow => remaining -= map_generic(ace.mask),
            AceKind::Deny if remaining.intersects(map_generic(ace.mask)) => return false,
            AceKind::Deny | AceKind::Audit => {}
        }
    }
    remaining.is_empty()
}

/// What SDDL can say of it: not which parts came from a default, and no flags of a list that is not there.
fn as_text_has_it(mut sd: SecurityDescriptor) -> SecurityDescriptor {
    sd.control -= Control::OWNER_DEFAULTED | Control::GROUP_DEFAULTED;
    sd.control -= Control::DACL_DEFAULTED | Control::SACL_DEFAULTED;
    if *sd.dacl() == AclPart::Absent {
        sd.control -= Control::DACL;
    }
    if *sd.sacl() == AclPart::Absent {
        sd.control -= Control::SACL;
    }
    sd
}

/// Texts made of what SDDL is made of.
fn almost_sddl() -> impl Strategy<Value = String> {
    let words = "O: G: D: S: P AR AI NO_ACCESS_CONTROL ( ) ; ;;; A D AU OA CI IO SA KA KR GR 0x 17 \
                 SY BA OW S-1- - 5 \n é (A;CI;KA;;;SY) (D;;DC;;;S-1-22-1-1000) (AU;SA;KA;;;WD)";
    let words: Vec<&str> = words.split(' ').chain([" "]).collect();
    vec(select(words), 0..24).prop_map(|words| words.concat())
}

fn assert_text_survives(text: &str) -> Result<(), TestCaseError> {
    if let Ok(sd) = sddl::parse(text) {
        prop_assert_eq!(sddl::parse(&sd.to_string()), Ok(sd));
    }
    Ok(())
}

fn assert_bytes_survive(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(sd) = SecurityDescriptor::from_bytes(bytes) {
        prop_assert_eq!(SecurityDescriptor::from_bytes(&sd.to_bytes()), Ok(sd));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_in_bytes_is_read_alike(sd in sd()) {
        let bytes = sd.to_bytes();
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(SecurityDescriptor::from_bytes(&bytes), Ok(sd));
    }

    #[test]
    fn what_is_written_as_text_is_read_alike_as_far_as_text_can_say_it(sd in sd()) {
        prop_assert_eq!(sddl::parse(&sd.to_string()), Ok(as_text_has_it(sd)));
    }

    #[test]
    fn any_bytes_are_malformed_or_read_alike_once_written(
        sd in sd(),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        length in any::<Index>(),
        noise in vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = sd.to_bytes();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        assert_bytes_survive(&bytes)?;
        bytes.truncate(length.index(bytes.len() + 1));
        bytes.extend(&noise);
        assert_bytes_survive(&bytes)?;
        assert_bytes_survive(&noise)?;
    }

    #[test]
    fn any_text_is_refused_or_read_alike_once_written(text in any::<String>(), near in almost_sddl()) {
        assert_text_survives(&text)?;
        assert_text_survives(&near)?;
    }

    #[test]
    fn access_is_decided_as_the_steps_of_the_standard_do(
        sd in sd(),
        token in token(),
        asked in vec(right(), 1..5),
    ) {
        let asked: Access = asked.into_iter().collect();
        let decided = access_check(&sd, &token, &DesiredAccess::from(asked));
        prop_assert_eq!(decided.is_ok(), standard(&sd, &token, asked));
        prop_assert_eq!(decided.unwrap_or(asked), asked);
    }

    // Of a token without privileges: those count for rights by name only.
    #[test]
    fn maximum_allowed_is_the_union_of_all_rights_that_are_granted_alone(
        sd in sd(),
        token in token(),
    ) {
        let token = token.without_privileges();
        let alone = rights().map(|(right, _)| right).filter(|right| is_granted(&sd, &token, *right));
        prop_assert_eq!(maximum(&sd, &token), alone.collect());
    }

    #[test]
    fn privileges_add_access_to_the_sacl_and_the_writing_of_the_owner_at_most(
        sd in sd(),
        token in token(),
        right in right(),
    ) {
        let without = token.without_privileges();
        prop_assert_eq!(maximum(&sd, &token), maximum(&sd, &without));
        let by_privilege = match right {
            Access::ACCESS_SYSTEM_SECURITY => token.holds(Privileges::SECURITY),
            Access::WRITE_OWNER => token.holds(Privileges::TAKE_OWNERSHIP),
            _ => false,
        };
        let granted = is_granted(&sd, &without, right) || by_privilege;
        prop_assert_eq!(is_granted(&sd, &token, right), granted);
    }

    // An ACE for OWNER RIGHTS takes the place of what an owner may by itself. Without the last one that has an
    // effect the owner has that again: READ_CONTROL and WRITE_DAC, and nothing else.
    #[test]
    fn without_an_ace_that_allows_no_more_is_granted(
        sd in sd(),
        allowing in ace(&[AceKind::Allow]),
        rest in aces(DACL_KINDS),
        place in any::<Index>(),
        token in token(),
    ) {
        let without = with_dacl(&sd, rest.clone());
        let mut aces = rest;
        aces.insert(place.index(aces.len() + 1), allowing);
        let with = with_dacl(&sd, aces);
        let mut may_be_more = Access::empty();
        let was_the_last_for_the_owner = allowing.is_effective()
            && allowing.sid == Sid::OWNER_RIGHTS
            && !effective_aces(&without).any(|ace| ace.sid == Sid::OWNER_RIGHTS);
        if was_the_last_for_the_owner && sd.owner.is_some_and(|owner| token.is(&owner)) {
            may_be_more = Access::READ_CONTROL | Access::WRITE_DAC;
        }
        let more = maximum(&without, &token) - maximum(&with, &token);
        prop_assert!(may_be_more.contains(more), "{more:?} more");
    }

    // For OWNER RIGHTS, too: what an owner may by itself is not decided before the ACE any more, and no ACE behind
    // it allows more of that than all.
    #[test]
    fn with_a_denying_ace_in_front_no_more_is_granted(
        sd in sd(),
        denying in ace(&[AceKind::Deny]),
        rest in aces(DACL_KINDS),
        token in token(),
    ) {
        let without = with_dacl(&sd, rest.clone());
        let with = with_dacl(&sd, [vec![denying], rest].concat());
        let more = maximum(&with, &token) - maximum(&without, &token);
        prop_assert!(more.is_empty(), "{more:?} more");
        if denying.is_effective() && token.is(&denying.sid) {
            let by_itself = Access::READ_CONTROL | Access::WRITE_DAC;
            let denied = map_generic(denying.mask) - by_itself;
            prop_assert!(!maximum(&with, &token).intersects(denied));
        }
    }

    #[test]
    fn inherit_only_aces_and_the_names_of_generic_rights_change_no_access(
        sd in sd(),
        aces in aces(DACL_KINDS),
        token in token(),
    ) {
        let mapped = |ace: &Ace| Ace { mask: map_generic(ace.mask), ..*ace };
        let effective = aces.iter().filter(|ace| ace.is_effective()).map(mapped).collect();
        let granted = maximum(&with_dacl(&sd, aces), &token);
        prop_assert_eq!(granted, maximum(&with_dacl(&sd, effective), &token));
    }

    #[test]
    fn every_ace_of_a_new_key_is_inherited_or_the_tokens_default(parent in sd(), token in token()) {
        let child = inherited(&parent, &token).unwrap();
        prop_assert_eq!(child.owner, Some(token.user()));
        prop_assert_eq!(child.group, Some(token.primary_group()));
        let default = inherited(&SecurityDescriptor::default(), &token).unwrap();
        for (part, auto_inherited, default) in [
            (child.dacl(), Control::DACL_AUTO_INHERITED, default.dacl()),
            (child.sacl(), Control::SACL_AUTO_INHERITED, default.sacl()),
        ] {
            if !child.control.contains(auto_inherited) {
                prop_assert_eq!(part, default);
                continue;
            }
            for ace in part.list().unwrap().aces() {
                prop_assert!(ace.flags.contains(AceFlags::INHERITED));
                let is_place = [Sid::CREATOR_OWNER, Sid::CREATOR_GROUP].contains(&ace.sid);
                prop_assert!(!(ace.is_effective() && is_place), "{ace} is nobody's");
                prop_assert!(!ace.is_effective() || ace.mask == map_generic(ace.mask));
            }
        }
        prop_assert_eq!(SecurityDescriptor::from_bytes(&child.to_bytes()), Ok(child));
    }

    #[test]
    fn what_all_generations_inherit_is_the_same_for_children_and_grandchildren(
        parent in sd(),
        aces in aces(DACL_KINDS),
        token in token(),
    ) {
        let propagates = |ace: &Ace| !ace.flags.contains(AceFlags::NO_PROPAGATE_INHERIT);
        let parent = with_dacl(&parent, aces.into_iter().filter(propagates).collect());
        let parent = SecurityDescriptor::new(
            parent.owner, parent.group, parent.control, parent.dacl().clone(), AclPart::Absent,
        ).unwrap();
        let child = inherited(&parent, &token).unwrap();
        prop_assert_eq!(inherited(&child, &token), Ok(child));
    }
}
