//! Limits, rights and what else a caller may not.

use lcs_abi::call::{DeleteValue, Derive, OPEN_LINK, Op, SetValue, Unhide};
use lcs_abi::rsi::Request;
use lcs_abi::security::Access;
use lcs_core::registry::{Error, HandleId, NotFound, Setting};

use crate::common::Client;
use crate::common::client::{ALL, ROOM, create_key, in_layer, layer, system};
use crate::common::world::Source;

fn with_machine() -> (Client, HandleId) {
    let (client, _) = Client::with_hive([layer("r1", 0, true), layer("r2", 0, true)]);
    let settings = client.open("Machine\\System\\Registry").unwrap();
    (client, settings)
}

fn limit(client: &Client, settings: HandleId, name: &str, value: u32) {
    client.set(settings, name, 4, &value.to_le_bytes(), None).unwrap();
}

#[test]
fn a_path_is_no_deeper_than_max_key_depth() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxKeyDepth", 32);
    let mut path = String::from("Test");
    for _ in 1..32 {
        path.push_str("\\k");
        client.create(&path).unwrap();
    }
    let deepest = client.open(&path).unwrap();
    path.push_str("\\k");
    assert!(matches!(client.create(&path), Err(Error::Invalid(_))));
    let relative = client.derive(Some(deepest), create_key("k", None, false));
    assert!(matches!(relative, Err(Error::Invalid(_))), "a relative path is no way round");
}

#[test]
fn names_and_paths_have_a_greatest_length() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxPathComponentLength", 64);
    limit(&client, settings, "MaxTotalPathLength", 1024);
    let (fits, too_long) = ("n".repeat(64), "n".repeat(65));
    let mut path = format!("Test\\{fits}");
    let key = client.create(&path).unwrap();
    assert_eq!(client.create(&format!("Test\\{too_long}")), Err(Error::NameTooLong));
    client.set(key, &fits, 1, b"", None).unwrap();
    assert_eq!(client.set(key, &too_long, 1, b"", None), Err(Error::NameTooLong));
    assert_eq!(client.query(key, &too_long), Err(Error::NameTooLong));
    assert_eq!(client.set(key, "v", 1, b"", Some(&too_long)), Err(Error::NameTooLong));
    // 4 + 15 * 65 = 979 bytes, and 45 more are too many by one.
    for _ in 1..15 {
        path = format!("{path}\\{fits}");
        client.create(&path).unwrap();
    }
    let parent = client.open(&path).unwrap();
    let too_long = "n".repeat(45);
    assert_eq!(client.create(&format!("{path}\\{too_long}")), Err(Error::NameTooLong));
    let relative = client.derive(Some(parent), create_key(&too_long, None, false));
    assert_eq!(relative, Err(Error::NameTooLong));
    client.derive(Some(parent), create_key(&too_long[1..], None, false)).unwrap();
}

#[test]
fn a_value_is_no_larger_than_max_value_size() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxValueSize", 4096);
    let root = client.open("Test").unwrap();
    client.set(root, "v", 3, &[0; 4096], None).unwrap();
    let refused = client.set(root, "v", 3, &[0; 4097], None);
    assert_eq!(refused, Err(Error::LimitExceeded("MaxValueSize")));
    limit(&client, settings, "MaxValueSize", 8192);
    client.set(root, "v", 3, &[0; 4097], None).unwrap();
    limit(&client, settings, "MaxValueSize", 4096);
    assert_eq!(client.query(root, "v").unwrap().data.len(), 4097, "what is there can be read");
}

#[test]
fn a_layer_that_has_its_place_keeps_it_when_the_limit_falls() {
    let (client, settings) = with_machine();
    let root = client.open("Test").unwrap();
    client.set(root, "v", 1, b"old", Some("r1")).unwrap();
    limit(&client, settings, "MaxLayersPerValue", 1);
    client.set(root, "v", 1, b"new", Some("r1")).unwrap();
    let refused = client.set(root, "v", 1, b"new", Some("r2"));
    assert_eq!(refused, Err(Error::LimitExceeded("MaxLayersPerValue")));
}

#[test]
fn concurrent_writers_do_not_exceed_max_layers_per_value() {
    let (client, settings) = with_machine();
    limit(&client, settings, "MaxLayersPerValue", 2);
    let root = client.open("Test").unwrap();
    client.world.set_delays(vec![2, 0, 3]);
    let write = |layer: &str| {
        let request = SetValue {
            name: "v".into(),
            value_type: 1,
            data: Vec::new(),
            layer: Some(layer.into()),
            expected_sequence: None,
        };
        client.registry.set_value(root, request)
    };
    let all = futures_util::future::join_all([write("r1"), write("r2"), write("base")]);
    let done = client.run(all);
    assert!(done[0].is_ok() && done[2].is_ok());
    assert_eq!(done[1], Err(Error::LimitExceeded("MaxLayersPerValue")));
}

#[test]
fn a_key_under_a_volatile_one_is_volatile() {
    let (client, _) = Client::with_hive([]);
    client.derive(None, create_key("Test\\v", None, true)).unwrap();
    assert!(matches!(client.create("Test\\v\\k"), Err(Error::Invalid(_))));
    client.derive(None, create_key("Test\\v\\k", None, true)).unwrap();
}

#[test]
fn paths_that_lead_nowhere() {
    let (client, _) = Client::with_hive([]);
    let no_hive = Err(Error::NotFound(NotFound::Hive));
    assert_eq!(client.open("Elsewhere\\k"), no_hive);
    assert_eq!(client.create("Elsewhere"), no_hive);
    assert_eq!(client.open("CurrentUser"), no_hive, "there is no Users");
    assert_eq!(client.create("Test\\no\\k"), Err(Error::NotFound(NotFound::Key)));
    for path in ["", "\\Test", "Test\\", "Test\\\\k", "Test/", "Test\\a\0b"] {
        assert!(matches!(client.open(path), Err(Error::Invalid(_))), "{path:?}");
        assert!(matches!(client.create(path), Err(Error::Invalid(_))), "{path:?}");
    }
    let root = client.open("Test").unwrap();
    let on_itself = client.derive(Some(root), create_key("", None, false));
    assert!(matches!(on_itself, Err(Error::Invalid(_))));
    assert_eq!(client.details(client.create("TEST").unwrap()).unwrap().path, "Test");
}

#[test]
fn the_current_users_key_is_made_when_it_is_first_used() {
    let client = Client::new([]);
    client.serve(1, &[("Users", &Source::new("Users"))]).unwrap();
    let made = client.create("currentUSER\\Software").unwrap();
    assert_eq!(client.details(made).unwrap().path, "Users\\S-1-5-18\\Software");
    let own = client.open("CurrentUser").unwrap();
    assert_eq!(client.details(own).unwrap().path, "Users\\S-1-5-18");
    let users = client.open("Users").unwrap();
    let literal = client.derive(Some(users), create_key("CurrentUser", None, false)).unwrap();
    assert_eq!(client.details(literal).unwrap().path, "Users\\CurrentUser");
}

#[test]
fn a_handle_does_what_it_was_granted_and_nothing_else() {
    let (client, _) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let with = |access: Access| {
        let access = access.bits();
        client.derive(None, Derive::OpenKey { path: "Test\\k".into(), access, flags: 0 }).unwrap()
    };
    type Try = fn(&Client, HandleId) -> Result<(), Error>;
    let operations: [(Access, Op, Try); 11] = [
        (Access::QUERY_VALUE, Op::QueryValues, |client, key| client.values(key, ROOM).map(drop)),
        (Access::SET_VALUE, Op::SetValue, |client, key| {
            client.set(key, "v", 1, b"", None).map(drop)
        }),
        (Access::QUERY_VALUE, Op::QueryValue, |client, key| client.query(key, "v").map(drop)),
        (Access::SET_VALUE, Op::DeleteValue, |client, key| {
            let request = DeleteValue { name: "v".into(), layer: None };
            client.run(client.registry.delete_value(key, request))
        }),
        (Access::SET_VALUE, Op::SetBlanket, |client, key| {
            client.run(client.registry.set_blanket(key, in_layer(None)))
        }),
        (Access::SET_VALUE, Op::ClearBlanket, |client, key| {
            client.run(client.registry.clear_blanket(key, in_layer(None)))
        }),
        (Access::SET_VALUE, Op::Flush, |client, key| client.run(client.registry.flush(key))),
        (Access::ENUMERATE_SUB_KEYS, Op::EnumSubkeys, |client, key| {
            client.subkeys(key, false, ROOM).map(drop)
        }),
        (Access::CREATE_SUB_KEY, Op::Unhide, |client, key| {
            let request = Unhide { child: "c".into(), layer: None };
            let done = client.run(client.registry.unhide(key, request));
            // Allowed, and then there is nothing to be unhidden.
            if matches!(done, Err(Error::Invalid(_))) { Ok(()) } else { done }
        }),
        (Access::DELETE, Op::HideKey, |client, key| {
            let done = client.hide(key, None);
            if done == Err(Error::AlreadyExists) { Ok(()) } else { done }
        }),
        (Access::DELETE, Op::DeleteKey, |client, key| client.delete(key, None)),
    ];
    for (right, operation, attempt) in operations {
        let rest = Access::KEY_ALL_ACCESS - right;
        let denied = Err(Error::AccessDenied { missing: right });
        assert_eq!(attempt(&client, with(rest)), denied, "{operation:?}");
        assert_eq!(attempt(&client, with(right)), Ok(()), "{operation:?}");
    }
    client.create("Test\\k").unwrap();
    let blind = with(Access::KEY_ALL_ACCESS - Access::READ_CONTROL);
    let info = client.info(blind).unwrap();
    assert_eq!((info.created, info.details), (false, None));
}

#[test]
fn handles_that_are_closed_or_of_another_kind_are_bad() {
    let (client, _) = Client::with_hive([]);
    let key = client.open("Test").unwrap();
    let root = client.registry.open_root(None, system().token).unwrap();
    assert_eq!(client.query(root, "v"), Err(Error::BadHandle));
    assert_eq!(client.registry.status(key, "", []), Err(Error::BadHandle));
    client.close(key);
    assert_eq!(client.query(key, "v"), Err(Error::BadHandle));
    client.close(key);
}

#[test]
fn what_a_handle_is_not_for_is_a_bad_handle_and_flags_that_are_not_known_are_invalid() {
    let (client, _) = Client::with_hive([]);
    let key = client.open("Test").unwrap();
    let root = client.registry.open_root(None, system().token).unwrap();
    for derive in [Derive::Backup, Derive::Restore] {
        assert_eq!(client.derive(Some(root), derive), Err(Error::BadHandle));
    }
    assert_eq!(client.derive(Some(key), Derive::BeginTransaction), Err(Error::BadHandle));
    let open = |flags| Derive::OpenKey { path: "Test".into(), access: ALL, flags };
    assert!(client.derive(None, open(OPEN_LINK)).is_ok());
    assert!(matches!(client.derive(None, open(2)), Err(Error::Invalid(_))));
}

#[test]
fn a_setting_that_is_not_there_has_its_default() {
    let (client, _) = Client::with_hive([]);
    assert_eq!(client.registry.setting(Setting::MaxValueSize), 1 << 20);
    let root = client.open("Test").unwrap();
    client.set(root, "MaxValueSize", 4, &4096_u32.to_le_bytes(), None).unwrap();
    assert_eq!(client.registry.setting(Setting::MaxValueSize), 1 << 20, "another key's value");
    let flushed = client.run(client.registry.flush(root));
    assert_eq!(flushed, Ok(()));
    assert!(client.world.take_requests().contains(&Request::Flush));
}
