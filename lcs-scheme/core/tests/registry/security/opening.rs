//! Opens, creations, and the handles that come of them.

use lcs_abi::call::Derive;
use lcs_abi::security::Access;
use lcs_core::registry::{Caller, Error};

use super::{ALL_PARTS, administrator, alice, bob, create, denied, open};
use crate::common::Client;
use crate::common::client::{ALL, create_key, system};
use crate::common::world::Source;

#[test]
fn an_open_grants_all_that_is_asked_for_or_nothing() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\k", "O:SYG:SYD:(A;;KR;;;AU)(A;;SD;;;S-1-22-1-1001)");
    let attempt = |caller: &Caller, access| {
        let handle = client.derive_as(caller, None, open("Test\\k", access))?;
        Ok(client.granted(handle))
    };
    let (read, delete) = (Access::KEY_READ, Access::DELETE);
    assert_eq!(attempt(&bob(), read), Ok(read));
    assert_eq!(attempt(&bob(), Access::GENERIC_READ), Ok(read));
    assert_eq!(
        attempt(&bob(), read | delete | Access::SET_VALUE),
        denied(delete | Access::SET_VALUE)
    );
    assert_eq!(attempt(&alice(), Access::MAXIMUM_ALLOWED), Ok(read | delete));
    assert_eq!(
        attempt(&alice(), Access::MAXIMUM_ALLOWED | Access::SET_VALUE),
        denied(Access::SET_VALUE)
    );
    let nothing = Access::empty();
    for (sddl, expected) in
        [("D:", denied(nothing)), ("D:NO_ACCESS_CONTROL", Ok(Access::KEY_ALL_ACCESS))]
    {
        let path = format!("Test\\{}", sddl.len());
        client.key_with_sd(&path, sddl);
        let opened = client.derive_as(&alice(), None, open(&path, Access::MAXIMUM_ALLOWED));
        assert_eq!(opened.map(|handle| client.granted(handle)), expected, "{sddl}");
    }
    // What generic execution means for a key is nothing.
    assert_eq!(attempt(&bob(), Access::GENERIC_EXECUTE), denied(nothing));
    for mask in [0, 0x10_0000, 0x40] {
        client.world.take_requests();
        let derive = Derive::OpenKey { path: "Test\\k".into(), access: mask, flags: 0 };
        assert!(matches!(client.derive_as(&bob(), None, derive), Err(Error::Invalid(_))));
        assert_eq!(client.world.take_requests(), [], "no source was asked");
    }
}

#[test]
fn only_the_final_key_is_checked() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\closed", "D:P(A;CI;KA;;;SY)");
    client.key_with_sd("Test\\closed\\open", "D:P(A;;KR;;;WD)");
    assert_eq!(
        client.derive_as(&bob(), None, open("Test\\closed", Access::QUERY_VALUE)),
        denied(Access::QUERY_VALUE)
    );
    let handle = client.derive_as(&bob(), None, open("Test\\closed\\open", Access::QUERY_VALUE));
    assert!(handle.is_ok());
}

#[test]
fn creating_takes_create_sub_key_on_the_parent_and_the_access_asked_for_on_the_new_key() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\p", "O:SYG:SYD:(A;;KR;;;WD)(A;;LC;;;S-1-22-1-1001)(A;CI;KR;;;WD)");
    client.world.take_requests();
    let k = |access| create("Test\\p\\k", access, None);
    assert_eq!(client.derive_as(&bob(), None, k(Access::KEY_READ)), denied(Access::CREATE_SUB_KEY));
    client.assert_unchanged("no right on the parent");
    // The owner has READ_CONTROL and WRITE_DAC, and inherited is KEY_READ.
    assert_eq!(
        client.derive_as(&alice(), None, k(Access::KEY_READ | Access::SET_VALUE)),
        denied(Access::SET_VALUE)
    );
    client.assert_unchanged("not the access asked for");
    let made = client.derive_as(&alice(), None, k(Access::MAXIMUM_ALLOWED)).unwrap();
    assert_eq!(client.granted(made), Access::KEY_READ | Access::WRITE_DAC);
    assert_eq!(
        client.sd_of(made, ALL_PARTS).unwrap(),
        "O:S-1-22-1-1001G:S-1-22-2-1001D:AI(A;CIID;KR;;;WD)"
    );
    // Whoever finds it opens it, and neither the parent nor the layer matters.
    let found = create("Test\\p\\k", Access::KEY_READ, Some("no such layer"));
    let found = client.derive_as(&bob(), None, found).unwrap();
    assert!(!client.info(found).unwrap().created);
    assert_eq!(client.derive_as(&bob(), None, k(Access::SET_VALUE)), denied(Access::SET_VALUE));
}

#[test]
fn with_nothing_to_inherit_a_new_key_has_the_default_of_its_maker() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\p", "O:SYG:SYD:(A;;KA;;;WD)");
    let made = client.derive_as(&bob(), None, create_key("Test\\p\\k", None, false)).unwrap();
    assert_eq!(
        client.sd_of(made, ALL_PARTS).unwrap(),
        "O:S-1-22-1-1002G:S-1-22-2-1002D:(A;;KA;;;S-1-22-1-1002)(A;;KA;;;SY)(A;;KA;;;BA)"
    );
    let opened = client.derive_as(&alice(), None, open("Test\\p\\k", Access::QUERY_VALUE));
    assert_eq!(opened, denied(Access::QUERY_VALUE));
}

#[test]
fn the_rights_of_the_handle_that_one_starts_from_play_no_part() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\p", "O:SYG:SYD:(A;CI;KA;;;S-1-22-1-1001)(A;;SD;;;S-1-22-1-1002)");
    let start = client.derive_as(&bob(), None, open("Test\\p", Access::DELETE)).unwrap();
    // The handle is bob's; who makes another one of it is who makes it.
    let made = client.derive_as(&alice(), Some(start), create_key("k", None, false)).unwrap();
    assert_eq!(client.granted(made), Access::KEY_ALL_ACCESS);
    let with_bob = client.derive_as(&bob(), Some(made), open("", Access::QUERY_VALUE));
    assert_eq!(with_bob, denied(Access::QUERY_VALUE));
}

#[test]
fn a_users_own_key_is_made_at_first_use_and_is_that_users() {
    let client = Client::new([]);
    let (machine, users) = (Source::new("Machine"), Source::new("Users"));
    client.serve(1, &[("Machine", &machine), ("Users", &users)]).unwrap();
    let made = client.derive_as(&alice(), None, create_key("CurrentUser\\Software", None, false));
    let made = made.unwrap();
    assert_eq!(client.details(made).unwrap().path, "Users\\S-1-22-1-1001\\Software");
    let own = client.open("Users\\S-1-22-1-1001").unwrap();
    assert_eq!(
        client.sd_of(own, ALL_PARTS).unwrap(),
        "O:S-1-22-1-1001G:S-1-22-2-1001D:P(A;CI;KA;;;S-1-22-1-1001)(A;CI;KA;;;SY)(A;CI;KA;;;BA)"
    );
    let as_other =
        |caller: &Caller, path: &str| client.derive_as(caller, None, open(path, Access::KEY_READ));
    assert_eq!(as_other(&bob(), "Users\\S-1-22-1-1001"), denied(Access::KEY_READ));
    assert_eq!(as_other(&bob(), "Users\\S-1-22-1-1001\\Software"), denied(Access::KEY_READ));
    assert!(as_other(&bob(), "Users").is_ok());
    assert!(as_other(&administrator(), "Users\\S-1-22-1-1001\\Software").is_ok());
    // Nobody makes a key in another one's place beforehand.
    let squat = create("Users\\S-1-22-1-1003", Access::KEY_READ, None);
    assert_eq!(client.derive_as(&bob(), None, squat), denied(Access::CREATE_SUB_KEY));
}

#[test]
fn ordinary_users_read_machine_and_administrators_write_it() {
    let client = Client::new([]);
    client.serve(1, &[("Machine", &Source::new("Machine"))]).unwrap();
    let own = "Machine\\System\\Registry";
    let attempt = |caller: &Caller, path: &str, access| {
        client.derive_as(caller, None, open(path, access)).map(drop)
    };
    for path in ["Machine", own, "Machine\\System\\Registry\\Layers"] {
        assert_eq!(attempt(&alice(), path, Access::KEY_READ), Ok(()));
        assert_eq!(attempt(&alice(), path, Access::SET_VALUE), denied(Access::SET_VALUE));
        assert_eq!(attempt(&administrator(), path, Access::KEY_ALL_ACCESS), Ok(()));
    }
    for path in ["Scopes", "PendingDeletion"] {
        let path = format!("{own}\\{path}");
        assert_eq!(attempt(&alice(), &path, Access::KEY_READ), denied(Access::KEY_READ));
        assert_eq!(attempt(&administrator(), &path, Access::KEY_ALL_ACCESS), Ok(()));
        let key = client.open(&path).unwrap();
        assert_eq!(
            client.sd_of(key, ALL_PARTS).unwrap(),
            "O:SYG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)"
        );
    }
}

#[test]
fn what_is_for_administrators_is_shown_to_them_alone() {
    let (client, _) = Client::with_hive([]);
    let details = |caller: Caller| {
        let root = client.registry.open_root(None, caller.token).unwrap();
        client.registry.status(root, "test", []).unwrap().details.is_some()
    };
    assert!(!details(alice()));
    assert!(details(administrator()) && details(system()));
    assert_eq!(ALL, Access::KEY_ALL_ACCESS.bits());
}
