use lcs_core::registry::{Error, NotFound};

use super::{READ, types};
use crate::common::Client;
use crate::common::client::{in_layer, layer, system, user};

#[test]
fn values_are_unlinked_and_keys_are_removed_as_directories() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.create("Test\\k\\sub").unwrap();
    client.set(key, "v", types::SZ, b"", None).unwrap();
    assert_eq!(client.rm("Test/k"), Err(Error::IsADirectory));
    assert_eq!(client.rmdir("Test/k/v"), Err(Error::NotADirectory));
    assert_eq!(client.rmdir("Test/k"), Err(Error::NotEmpty));
    assert_eq!(client.rm("Test/k/w"), Err(Error::NotFound(NotFound::Value)));
    client.rm("Test/k/v").unwrap();
    client.rmdir("Test/k/sub").unwrap();
    client.rmdir("Test/k").unwrap();
    assert_eq!(client.ls("Test"), Ok(vec![]));
    assert!(matches!(client.rmdir("Test"), Err(Error::Invalid(_))));
    assert!(matches!(client.rmdir(""), Err(Error::Invalid(_))));
}

#[test]
fn a_link_is_unlinked_itself() {
    let (client, _source) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    client.link("Test\\link", "Test\\k");
    assert_eq!(client.rmdir("Test/link"), Err(Error::NotADirectory));
    client.rm("Test/link").unwrap();
    assert_eq!(client.ls("Test"), Ok(vec!["k".into()]));
}

#[test]
fn what_another_layer_gives_is_not_bases_to_remove() {
    let (client, _source) = Client::with_hive([layer("role", 0, true)]);
    let key = client.create("Test\\k").unwrap();
    client.create_in("Test\\k\\roles", Some("role")).unwrap();
    client.set(key, "v", types::SZ, b"role", Some("role")).unwrap();
    assert_eq!(client.rm("Test/k/v"), Err(Error::PrivilegeMissing));
    assert_eq!(client.rmdir("Test/k/roles"), Err(Error::PrivilegeMissing));
    client.set(key, "v", types::SZ, b"base", None).unwrap();
    client.rm("Test/k/v").unwrap();
    assert_eq!(client.cat("Test/k/v"), Ok("role\n".into()));
    assert_eq!(client.rm("Test/k/v"), Err(Error::PrivilegeMissing));
    client
        .run(client.registry.hide_key(client.open("Test\\k\\roles").unwrap(), in_layer(None)))
        .unwrap();
    assert_eq!(client.rmdir("Test/k/roles"), Err(Error::NotFound(NotFound::Value)));
}

#[test]
fn a_handle_removes_for_whom_it_acts_and_the_shared_root_for_nobody() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"", None).unwrap();
    let alices = client.file_as(&user(1000, &[]), None, "", READ).unwrap();
    let unlink = |base, caller: Option<&_>| {
        client.run(client.registry.unlink_file(base, caller, "Test/k/v", false))
    };
    assert!(matches!(unlink(Some(alices), None), Err(Error::AccessDenied { .. })));
    assert_eq!(unlink(None, None), Err(Error::BadHandle));
    // Whoever is vouched for acts for itself, whatever handle it comes with.
    unlink(Some(alices), Some(&system())).unwrap();
}

#[test]
fn a_key_of_which_somebody_has_a_file_open_goes_when_that_is_closed() {
    let (client, source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"tea", None).unwrap();
    let guid = client.details(key).unwrap().guid;
    let file = client.file("Test/k/v", READ).unwrap();
    client.close(key);
    client.rmdir("Test/k").unwrap();
    assert_eq!(client.read_at(file, 0, 9), Ok(b"tea\n".into()));
    let read = lcs_abi::rsi::Request::ReadKey { key: guid };
    assert!(source.ask(&read).is_ok());
    client.close(file);
    assert!(source.ask(&read).is_err());
}
