use lcs_abi::call::Derive;
use lcs_abi::security::Access;
use lcs_core::registry::{Error, NotFound, OpenFlags};

use super::{LOOK, NEW, NEW_DIRECTORY, READ, REPLACE, WRITE, allow, types};
use crate::common::Client;
use crate::common::client::{layer, open_key, system, user};

#[test]
fn a_key_is_a_directory_and_a_value_is_a_file() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"tea", None).unwrap();
    assert_eq!(client.cat("Test/k/v"), Ok("tea\n".into()));
    assert_eq!(client.cat("Test\\k\\V"), Ok("tea\n".into()));
    assert_eq!(client.file("Test/k", WRITE), Err(Error::IsADirectory));
    assert_eq!(client.file("Test/k/v", READ | OpenFlags::DIRECTORY), Err(Error::NotADirectory));
    assert_eq!(client.file("Test/k/w", READ), Err(Error::NotFound(NotFound::Value)));
    assert_eq!(client.file("Test/x/v", READ), Err(Error::NotFound(NotFound::Key)));
    assert_eq!(client.file("Test/k/v/x", READ), Err(Error::NotADirectory));
    assert_eq!(client.file("Other/k", READ), Err(Error::NotFound(NotFound::Hive)));
}

#[test]
fn a_directory_handle_is_one_to_read_the_key_with_and_nothing_else() {
    let (client, _source) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let directory = client.file("Test/k", READ).unwrap();
    let info = client.info(directory).unwrap();
    assert_eq!(info.access, Access::KEY_READ.bits());
    assert!(client.set(directory, "v", types::SZ, b"", None).is_err());
}

#[test]
fn a_relative_path_never_leads_up_or_out() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k\\below");
    assert!(key.is_err(), "parents are not made");
    client.create("Test\\k").unwrap();
    client.create("Test\\k\\below").unwrap();
    let base = client.file("Test/k", READ).unwrap();
    let open = |path| client.file_as(&system(), Some(base), path, READ);
    for path in ["..", "../k", "below/..", "/Test", "\\Test", "below//", "below/", "a/../below"] {
        assert!(matches!(open(path), Err(Error::Invalid(_))), "{path}");
    }
    for path in ["below", "./below", "below/.", "././below", "BELOW"] {
        let found = open(path).unwrap();
        assert_eq!(client.registry.file_path(found).unwrap(), "/scheme/reg/Test/k/below", "{path}");
    }
    assert_eq!(client.registry.file_path(open(".").unwrap()).unwrap(), "/scheme/reg/Test/k");
    assert_eq!(client.registry.file_path(open("").unwrap()).unwrap(), "/scheme/reg/Test/k");
}

#[test]
fn the_empty_path_is_the_registry_as_a_whole() {
    let (client, _source) = Client::with_hive([]);
    let root = client.file("", READ).unwrap();
    assert_eq!(client.registry.file_path(root).unwrap(), "/scheme/reg");
    let key = client.file_as(&system(), Some(root), "Test", READ).unwrap();
    assert_eq!(client.registry.file_path(key).unwrap(), "/scheme/reg/Test");
    assert_eq!(client.file("", WRITE), Err(Error::IsADirectory));
    assert_eq!(client.file(".", NEW_DIRECTORY), Err(Error::AlreadyExists));
}

#[test]
fn every_name_of_a_value_can_be_opened() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    let names = [
        "",
        "@",
        ".",
        "..",
        "a/b",
        "a\\b",
        "50%",
        "with space",
        "\"q\"",
        "a\nb",
        "x%val",
        &"ä".repeat(127),
    ];
    for (number, name) in names.iter().enumerate() {
        client.set(key, name, types::SZ, number.to_string().as_bytes(), None).unwrap();
    }
    let files = client.ls("Test/k").unwrap();
    assert_eq!(files.len(), names.len());
    for file in &files {
        assert!(!file.contains(['/', '\\', '\0']) && file != "." && file != "..", "{file}");
        let path = format!("Test/k/{file}");
        let number: usize = client.cat(&path).unwrap().trim_end().parse().unwrap();
        let handle = client.file(&path, READ).unwrap();
        let canonical = client.registry.file_path(handle).unwrap();
        assert_eq!(canonical, format!("/scheme/reg/{path}"), "{:?}", names[number]);
    }
    assert_eq!(client.cat("Test/k/@"), Ok("0\n".into()));
    assert_eq!(client.cat("Test/k/%40"), Ok("1\n".into()));
    assert!(matches!(client.file("Test/k/50%", READ), Err(Error::Invalid(_))));
}

#[test]
fn a_value_beside_a_subkey_of_its_name_has_a_name_of_its_own() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "Both", types::SZ, b"value", None).unwrap();
    assert_eq!(client.ls("Test/k"), Ok(vec!["Both".into()]));
    client.create("Test\\k\\both").unwrap();
    assert_eq!(client.ls("Test/k"), Ok(vec!["both".into(), "Both%val".into()]));
    assert_eq!(client.cat("Test/k/both%val"), Ok("value\n".into()));
    let file = client.file("Test/k/both%val", READ).unwrap();
    assert_eq!(client.registry.file_path(file).unwrap(), "/scheme/reg/Test/k/Both%val");
    assert!(client.stat(client.file("Test/k/both", LOOK).unwrap()).is_ok());
    client.rm("Test/k/both%val").unwrap();
    client.echo("again", "Test/k/both%val").unwrap();
    client.rmdir("Test/k/both").unwrap();
    assert_eq!(client.cat("Test/k/both"), Ok("again\n".into()));
    let file = client.file("Test/k/both%val", READ).unwrap();
    assert_eq!(client.registry.file_path(file).unwrap(), "/scheme/reg/Test/k/both");
}

#[test]
fn what_is_not_there_is_made_by_the_open() {
    let (client, _source) = Client::with_hive([]);
    client.file("Test/k", NEW_DIRECTORY).unwrap();
    assert_eq!(client.file("Test/k", NEW_DIRECTORY), Err(Error::AlreadyExists));
    assert!(client.file("Test/k", READ | OpenFlags::CREATE | OpenFlags::DIRECTORY).is_ok());
    client.file("Test/k/v", WRITE | NEW | OpenFlags::TRUNCATE).unwrap();
    let key = client.open("Test\\k").unwrap();
    let made = client.query(key, "v").unwrap();
    assert_eq!((made.value_type, made.data), (types::SZ, Vec::new()));
    for flags in [READ | NEW, NEW_DIRECTORY] {
        assert_eq!(client.file("Test/k/v", flags), Err(Error::AlreadyExists));
        assert_eq!(client.file("Test/k", flags), Err(Error::AlreadyExists));
    }
    assert_eq!(
        client.file("Test/k/v", OpenFlags::CREATE | OpenFlags::DIRECTORY),
        Err(Error::NotADirectory)
    );
    client.set(key, "v", types::SZ, b"stays", None).unwrap();
    client.file("Test/k/v", READ | OpenFlags::CREATE).unwrap();
    assert_eq!(client.cat("Test/k/v"), Ok("stays\n".into()));
    assert!(matches!(client.file("New", NEW_DIRECTORY), Err(Error::AccessDenied { .. })));
    assert!(matches!(client.file("New", REPLACE), Err(Error::AccessDenied { .. })));
}

#[test]
fn a_value_that_another_layer_masks_is_not_made_again() {
    let (client, _source) = Client::with_hive([layer("policy", 5, true)]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"masked", None).unwrap();
    client.set(key, "v", lcs_abi::value::TOMBSTONE, b"", Some("policy")).unwrap();
    assert_eq!(client.file("Test/k/v", READ), Err(Error::NotFound(NotFound::Value)));
    assert_eq!(client.file("Test/k/v", REPLACE), Err(Error::AlreadyExists));
}

#[test]
fn links_are_followed_unless_they_are_wanted_themselves() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"tea", None).unwrap();
    client.link("Test\\link", "Test\\k");
    client.link("Test\\dangling", "Test\\nowhere");
    client.link("Test\\odd", "Test\\50% @");
    assert_eq!(client.cat("Test/link/v"), Ok("tea\n".into()));
    let through = client.file("Test/link", READ).unwrap();
    assert_eq!(client.registry.file_path(through).unwrap(), "/scheme/reg/Test/k");
    let itself = READ | OpenFlags::LINK_ITSELF;
    for (path, target) in
        [("Test/link", "Test/k"), ("Test/dangling", "Test/nowhere"), ("Test/odd", "Test/50%25 @")]
    {
        let link = client.file(path, itself).unwrap();
        let text = client.read_at(link, 0, 100).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), format!("/scheme/reg/{target}"));
        let stat = client.stat(link).unwrap();
        assert_eq!(stat.kind, lcs_core::registry::FileKind::Link);
        assert_eq!(stat.size as usize, "/scheme/reg/".len() + target.len());
        assert_eq!(client.registry.file_path(link).unwrap(), format!("/scheme/reg/{path}"));
    }
    assert_eq!(client.file("Test/link", READ | OpenFlags::NO_FOLLOW), Err(Error::LinkLoop));
    assert_eq!(client.file("Test/dangling", READ), Err(Error::NotFound(NotFound::Key)));
    assert_eq!(client.file("Test/dangling", NEW_DIRECTORY), Err(Error::AlreadyExists));
    assert_eq!(client.file("Test/link", itself | OpenFlags::DIRECTORY), Err(Error::NotADirectory));
    client.file("Test/k/v", itself).unwrap();
}

#[test]
fn a_file_takes_just_the_rights_that_its_use_takes() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::DWORD, &[1, 0, 0, 0], None).unwrap();
    let alice = user(1000, &[]);
    let truncating = WRITE | OpenFlags::TRUNCATE;
    let cases: [(OpenFlags, &str, Access); 7] = [
        (READ, "v", Access::QUERY_VALUE),
        (LOOK, "v", Access::QUERY_VALUE),
        (WRITE, "v", Access::SET_VALUE | Access::QUERY_VALUE),
        (WRITE | OpenFlags::APPEND, "v", Access::SET_VALUE | Access::QUERY_VALUE),
        (truncating, "v", Access::SET_VALUE),
        (READ | truncating, "v", Access::SET_VALUE | Access::QUERY_VALUE),
        (REPLACE, "new", Access::SET_VALUE),
    ];
    for (flags, name, needed) in cases {
        for missing in needed.iter().map(|right| needed - right) {
            allow(&client, key, &alice, missing | Access::READ_CONTROL);
            let opened = client.file_as(&alice, None, &format!("Test/k/{name}"), flags);
            assert!(matches!(opened, Err(Error::AccessDenied { .. })), "{flags:?} {missing:?}");
        }
        allow(&client, key, &alice, needed);
        assert!(
            client.file_as(&alice, None, &format!("Test/k/{name}"), flags).is_ok(),
            "{flags:?}"
        );
    }
    allow(&client, key, &alice, Access::SET_VALUE);
    let file = client.file_as(&alice, None, "Test/k/v", truncating).unwrap();
    assert_eq!(client.read_at(file, 0, 9), Err(Error::BadHandle));
    client.write(file, "7").unwrap();
    assert_eq!(client.query(key, "v").unwrap().data, [7, 0, 0, 0]);
}

#[test]
fn a_directory_is_listed_and_looked_at_with_the_rights_that_this_takes() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.create("Test\\k\\sub").unwrap();
    client.set(key, "v", types::SZ, b"", None).unwrap();
    let alice = user(1000, &[]);
    let list = |rights: Access| {
        allow(&client, key, &alice, rights);
        let directory = client.file_as(&alice, None, "Test/k", READ)?;
        let listed = client.run(client.registry.list_directory(directory, true))?;
        Ok::<usize, Error>(listed.entries().len())
    };
    assert_eq!(list(Access::ENUMERATE_SUB_KEYS), Ok(1));
    assert_eq!(list(Access::ENUMERATE_SUB_KEYS | Access::QUERY_VALUE), Ok(2));
    assert!(matches!(list(Access::QUERY_VALUE), Err(Error::AccessDenied { .. })));
    let look = |rights: Access| {
        allow(&client, key, &alice, rights);
        let directory = client.file_as(&alice, None, "Test/k", LOOK)?;
        client.stat(directory)
    };
    let stat = look(Access::READ_CONTROL).unwrap();
    assert_eq!((stat.readable, stat.writable), (false, false));
    assert_eq!((stat.uid, stat.gid), (1000, 1000));
    let stat = look(Access::READ_CONTROL | Access::ENUMERATE_SUB_KEYS | Access::SET_VALUE).unwrap();
    assert_eq!((stat.readable, stat.writable), (true, true));
    assert!(matches!(look(Access::ENUMERATE_SUB_KEYS), Err(Error::AccessDenied { .. })));
    assert!(matches!(look(Access::empty()), Err(Error::AccessDenied { .. })));
    // No right on the way is needed.
    let sub = client.open("Test\\k\\sub").unwrap();
    allow(&client, sub, &alice, Access::empty());
    assert!(client.file_as(&alice, None, "Test/k/sub", READ).is_err());
    allow(&client, sub, &alice, Access::ENUMERATE_SUB_KEYS);
    assert!(client.file_as(&alice, None, "Test/k/sub", READ).is_ok());
}

#[test]
fn below_a_restricted_handle_there_is_nothing_beyond_it() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"tea", None).unwrap();
    let restrict = Derive::Restrict { access: Access::KEY_READ.bits(), layers: None };
    let restricted = client.derive(Some(key), restrict).unwrap();
    let open = |path, flags| client.file_as(&system(), Some(restricted), path, flags);
    assert!(open("v", READ).is_ok());
    for (path, flags) in [("v", WRITE), ("new", REPLACE), ("sub", NEW_DIRECTORY)] {
        assert!(matches!(open(path, flags), Err(Error::AccessDenied { .. })), "{path}");
    }
    let removed =
        client.run(client.registry.unlink_file(Some(restricted), Some(&system()), "v", false));
    assert!(matches!(removed, Err(Error::AccessDenied { .. })));
    assert_eq!(client.cat("Test/k/v"), Ok("tea\n".into()));
}

#[test]
fn a_file_below_a_handle_in_a_transaction_is_in_it() {
    let (client, _source) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let transaction = client.begin();
    let key = client.derive(Some(transaction), open_key("Test\\k")).unwrap();
    let file = client.file_as(&system(), Some(key), "v", REPLACE).unwrap();
    client.write(file, "pending").unwrap();
    assert!(client.cat("Test/k/v").is_err());
    let inside = client.file_as(&system(), Some(transaction), "Test/k/v", READ).unwrap();
    assert_eq!(client.read_at(inside, 0, 99), Ok(b"pending\n".into()));
    client.commit(transaction).unwrap();
    assert_eq!(client.cat("Test/k/v"), Ok("pending\n".into()));
    assert!(matches!(client.read_at(inside, 0, 99), Err(Error::TransactionEnded(_))));
}
