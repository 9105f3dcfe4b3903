//! Descriptors that are read, changed, and impossible.

use futures_util::future::join;
use lcs_abi::Guid;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, Derive, GROUP_SECURITY_INFORMATION, OPEN_LINK,
    OWNER_SECURITY_INFORMATION, SACL_SECURITY_INFORMATION, SetSecurity,
};
use lcs_abi::rsi::{Answer, Changes, KeyRecord, Mutation, Name, Request, Target};
use lcs_abi::security::Access;
use lcs_core::registry::{AuditEvent, Caller, Error, NotFound};
use lcs_core::security::SecurityDescriptor;

use super::{ALICE, ALL_PARTS, administrator, alice, bob, denied, open, sd};
use crate::common::Client;
use crate::common::client::{create_key, user};
use crate::common::world::Source;

#[test]
fn parts_of_a_descriptor_are_replaced_and_the_others_stay() {
    let (client, _) = Client::with_hive([]);
    let whole = "O:SYG:BAD:P(A;CI;KA;;;SY)(A;;KR;;;WD)S:(AU;FA;KW;;;WD)";
    let handle = client.key_with_sd("Test\\k", whole);
    let all = ALL_PARTS | SACL_SECURITY_INFORMATION;
    assert_eq!(client.sd_of(handle, all).unwrap(), whole);
    client.set_sd(handle, "D:AI(A;;KR;;;BA)").unwrap();
    assert_eq!(client.sd_of(handle, all).unwrap(), "O:SYG:BAD:AI(A;;KR;;;BA)S:(AU;FA;KW;;;WD)");
    client.set_sd(handle, "O:BAS:P").unwrap();
    assert_eq!(client.sd_of(handle, all).unwrap(), "O:BAG:BAD:AI(A;;KR;;;BA)S:P");
    assert_eq!(client.sd_of(handle, GROUP_SECURITY_INFORMATION).unwrap(), "G:BA");
    let set = |parts, sd: &[u8]| {
        client.run(client.registry.set_security(handle, SetSecurity { parts, sd: sd.into() }))
    };
    let empty = SecurityDescriptor::default().to_bytes();
    client.world.take_requests();
    for (parts, bytes) in [
        (OWNER_SECURITY_INFORMATION, &empty[..]),
        (GROUP_SECURITY_INFORMATION, &empty),
        (0, &empty),
        (16, &empty),
        (DACL_SECURITY_INFORMATION, &empty[..19]),
        (DACL_SECURITY_INFORMATION, b""),
    ] {
        assert!(matches!(set(parts, bytes), Err(Error::Invalid(_))), "{parts} {bytes:?}");
    }
    client.assert_unchanged("nothing of this can be stored");
}

#[test]
fn who_owns_a_key_can_give_it_to_its_groups_and_others_only_with_serestore() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\k", "O:S-1-22-1-1001G:SYD:(A;;KA;;;WD)");
    let as_caller = |caller: &Caller| {
        client.derive_as(caller, None, open("Test\\k", Access::WRITE_OWNER)).unwrap()
    };
    let member = user(ALICE, &[77]);
    let handle = as_caller(&member);
    assert_eq!(client.set_sd(handle, "O:S-1-22-1-1002"), Err(Error::PrivilegeMissing));
    assert_eq!(client.set_sd(handle, "O:BA"), Err(Error::PrivilegeMissing));
    client.set_sd(handle, "O:S-1-22-2-77").unwrap();
    client.set_sd(handle, "O:S-1-22-1-1001").unwrap();
    client.set_sd(as_caller(&administrator()), "O:S-1-22-1-1002").unwrap();
}

#[test]
fn privileges_open_what_descriptors_do_not() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\k", "O:SYG:SYD:P(A;;KA;;;SY)");
    let attempt = |caller: &Caller, access| client.derive_as(caller, None, open("Test\\k", access));
    for right in [Access::WRITE_OWNER, Access::ACCESS_SYSTEM_SECURITY] {
        assert!(attempt(&administrator(), right).is_ok(), "{right:?}");
        assert_eq!(attempt(&alice(), right), denied(right));
    }
    // An administrator takes it, and then opens it.
    let handle = attempt(&administrator(), Access::WRITE_OWNER).unwrap();
    assert_eq!(attempt(&administrator(), Access::WRITE_DAC), denied(Access::WRITE_DAC));
    client.set_sd(handle, "O:BA").unwrap();
    assert!(attempt(&administrator(), Access::WRITE_DAC).is_ok());
}

#[test]
fn a_change_of_a_descriptor_does_not_touch_open_handles() {
    let (client, _) = Client::with_hive([]);
    let of_system = client.key_with_sd("Test\\k", "O:SYG:SYD:(A;;KA;;;SY)(A;;KA;;;S-1-22-1-1001)");
    let opened = client.derive_as(&alice(), None, open("Test\\k", Access::KEY_WRITE)).unwrap();
    client.world.set_now(77);
    client.set_sd(of_system, "D:(A;;KA;;;SY)").unwrap();
    assert_eq!(client.details(of_system).unwrap().last_write, 77);
    assert!(client.set(opened, "v", 1, b"", None).is_ok());
    let again = client.derive_as(&alice(), None, open("Test\\k", Access::KEY_WRITE));
    assert_eq!(again, denied(Access::KEY_WRITE));
}

/// All ways in which the first answers can be late by up to two polls.
fn some_delays() -> impl Iterator<Item = Vec<u8>> {
    (0..3_usize.pow(5)).map(|number| {
        (0..5).map(|place| (number / 3_usize.pow(place) % 3) as u8).chain([0; 20]).collect()
    })
}

#[test]
fn two_changes_of_different_parts_at_once_both_last() {
    for delays in some_delays() {
        let (client, _) = Client::with_hive([]);
        let handle = client.key_with_sd("Test\\k", "O:SYG:SYD:(A;;KA;;;SY)");
        client.world.set_delays(delays);
        let set = |parts, sddl| {
            let request = SetSecurity { parts, sd: sd(sddl).to_bytes() };
            client.registry.set_security(handle, request)
        };
        let both = client.run(join(
            set(OWNER_SECURITY_INFORMATION, "O:BA"),
            set(DACL_SECURITY_INFORMATION, "D:(A;;KR;;;WD)"),
        ));
        assert_eq!(both, (Ok(()), Ok(())));
        client.world.set_delays(Vec::new());
        assert_eq!(client.sd_of(handle, ALL_PARTS).unwrap(), "O:BAG:SYD:(A;;KR;;;WD)");
    }
}

#[test]
fn no_key_is_made_by_what_its_parent_no_longer_says() {
    let closed = sd("O:SYG:SYD:P(A;CI;KA;;;SY)").to_bytes();
    let mut made = 0;
    for (delays, create_first) in some_delays().flat_map(|it| [(it.clone(), false), (it, true)]) {
        let (client, _) = Client::with_hive([]);
        let parent = client.key_with_sd("Test\\p", "O:SYG:SYD:(A;CI;KA;;;WD)");
        client.world.set_delays(delays.clone());
        client.world.take_requests();
        let alice = alice();
        let request = SetSecurity { parts: DACL_SECURITY_INFORMATION, sd: closed.clone() };
        let set = client.registry.set_security(parent, request);
        let derive = create_key("Test\\p\\k", None, false);
        let create = client.registry.derive(None, &alice, derive);
        let (set, created) = if create_first {
            let (created, set) = client.run(join(create, set));
            (set, created)
        } else {
            client.run(join(set, create))
        };
        assert_eq!(set, Ok(()));
        // Steps take effect in the order in which they are sent.
        let steps: Vec<bool> = client
            .world
            .take_requests()
            .iter()
            .filter_map(|request| match request {
                Request::Apply { changes: Changes::Mutations(mutations), .. } => Some(mutations),
                _ => None,
            })
            .map(|mutations| matches!(mutations[..], [Mutation::CreateKey(_), ..]))
            .collect();
        match created {
            Ok(_) => {
                assert_eq!(steps, [true, false], "{delays:?}");
                made += 1;
            }
            Err(error) => {
                assert_eq!(steps, [false], "{delays:?}");
                assert_eq!(Err(error), denied::<()>(Access::CREATE_SUB_KEY));
            }
        }
    }
    assert!(made > 0, "the creation never came first");
}

#[test]
fn a_descriptor_that_no_key_can_have_is_malformed_data_of_its_source() {
    let source = Source::new("Test");
    let bad: [&[u8]; 3] = [b"", b"nonsense", &SecurityDescriptor::default().to_bytes()];
    for (number, sd) in (1..).zip(bad) {
        put_key(&source, number, sd, false);
    }
    let client = Client::new([]);
    client.serve(1, &[("Test", &source)]).unwrap();
    for number in 1..4 {
        client.world.take_audit();
        assert_eq!(client.open(&format!("Test\\{number}")), Err(Error::SourceData));
        assert!(matches!(&client.world.take_audit()[..], [AuditEvent::SourceDataRejected { .. }]));
        assert_eq!(client.create(&format!("Test\\{number}\\new")), Err(Error::SourceData));
    }
}

/// Puts a key called by its number under a hive's root, behind the registry's back.
fn put_key(source: &Source, number: u8, sd: &[u8], link: bool) {
    let same = |text: &str| Name { display: text.into(), folded: text.into() };
    let (parent, key, name) = (source.root(), Guid([number; 16]), same(&number.to_string()));
    let (sd, layer) = (sd.to_vec(), same("base"));
    let record =
        KeyRecord { key, parent, name: name.clone(), sd, volatile: false, link, last_write: 0 };
    let entry = Mutation::SetEntry { parent, name, layer, target: Target::Key(key) };
    let step = Request::Apply {
        conditions: Vec::new(),
        changes: Changes::Mutations(vec![Mutation::CreateKey(record), entry]),
        first_sequence: source.max_sequence() + 1,
    };
    assert_eq!(source.ask(&step), Ok(Answer::Applied { first_sequence: None }));
}

#[test]
fn a_link_is_opened_itself_and_checked_itself_where_that_is_asked_for() {
    let source = Source::new("Test");
    put_key(&source, 1, &sd("O:SYG:SYD:(A;;KR;;;WD)").to_bytes(), true);
    let client = Client::new([]);
    client.serve(1, &[("Test", &source)]).unwrap();
    let link = |access: Access, flags| {
        let derive = Derive::OpenKey { path: "Test\\1".into(), access: access.bits(), flags };
        client.derive_as(&bob(), None, derive)
    };
    let opened = link(Access::KEY_READ, OPEN_LINK).unwrap();
    assert!(client.details(opened).unwrap().link);
    assert_eq!(link(Access::SET_VALUE, OPEN_LINK), denied(Access::SET_VALUE));
    // It has no target.
    for created in [link(Access::KEY_READ, 0), client.create("Test\\1\\k")] {
        assert_eq!(created, Err(Error::NotFound(NotFound::Key)));
    }
}
