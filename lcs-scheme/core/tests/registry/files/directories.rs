use lcs_core::registry::{Error, FileKind};

use super::{READ, types, with_limit};
use crate::common::Client;

#[test]
fn a_directory_lists_subkeys_and_then_values() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "a value", types::SZ, b"", None).unwrap();
    client.set(key, "", types::SZ, b"", None).unwrap();
    client.create("Test\\k\\sub").unwrap();
    client.link("Test\\k\\link", "Test");
    let directory = client.file("Test/k", READ).unwrap();
    let listed = client.run(client.registry.list_directory(directory, true)).unwrap();
    let listed: Vec<(&str, FileKind)> =
        listed.entries().iter().map(|entry| (&*entry.name, entry.kind)).collect();
    let expected = [
        ("link", FileKind::Link),
        ("sub", FileKind::Directory),
        ("@", FileKind::Value),
        ("a value", FileKind::Value),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn the_root_lists_the_hives_and_the_alias_for_ones_own() {
    let (client, _source) = Client::with_hive([]);
    assert_eq!(client.ls(""), Ok(vec!["Test".into()]));
    let users = crate::common::world::Source::new("Users");
    client.serve(2, &[("Users", &users)]).unwrap();
    assert_eq!(client.ls(""), Ok(vec!["Test".into(), "Users".into(), "CurrentUser".into()]));
    client.echo("mine\n", "CurrentUser/v").unwrap();
    assert_eq!(client.cat("Users/S-1-5-18/v"), Ok("mine\n".into()));
    client.disconnect(1);
    assert_eq!(client.ls("").unwrap().len(), 3, "a hive whose source is away is listed");
    assert_eq!(client.ls("Test"), Err(Error::SourceDown));
}

#[test]
fn a_listing_stays_as_it_was_when_it_began() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    for name in ["a", "b", "c"] {
        client.set(key, name, types::SZ, b"", None).unwrap();
    }
    let directory = client.file("Test/k", READ).unwrap();
    let list = |anew| {
        let listed = client.run(client.registry.list_directory(directory, anew)).unwrap();
        listed.entries().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(list(true), ["a", "b", "c"]);
    client.rm("Test/k/a").unwrap();
    assert_eq!(list(false), ["a", "b", "c"]);
    assert_eq!(list(true), ["b", "c"]);
}

#[test]
fn every_entry_has_the_number_that_stat_tells_and_keys_come_first_by_it() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    for number in 0..20 {
        client.create(&format!("Test\\k\\key{number}")).unwrap();
        client.set(key, &format!("value{number}"), types::SZ, b"", None).unwrap();
    }
    let directory = client.file("Test/k", READ).unwrap();
    let listed = client.run(client.registry.list_directory(directory, true)).unwrap();
    let mut entries = listed.entries().to_vec();
    assert_eq!(entries.len(), 40);
    for entry in &entries {
        let file = client.file(&format!("Test/k/{}", entry.name), READ).unwrap();
        let stat = client.stat(file).unwrap();
        assert_eq!((stat.inode, stat.kind), (entry.inode, entry.kind));
    }
    entries.sort_by_key(|entry| entry.inode);
    assert!(entries[..20].iter().all(|entry| entry.kind == FileKind::Directory));
}

#[test]
fn listings_count_for_their_user_until_they_are_closed() {
    let client = with_limit(1 << 20);
    let key = client.create("Test\\k").unwrap();
    for number in 0..100 {
        let name = format!("{number}{}", "x".repeat(200));
        client.set(key, &name, types::SZ, b"", None).unwrap();
    }
    let mut open = Vec::new();
    let list = || {
        let directory = client.file("Test/k", READ)?;
        client.run(client.registry.list_directory(directory, true)).map(|_| directory)
    };
    let refused = loop {
        match list() {
            Ok(directory) => open.push(directory),
            Err(error) => break error,
        }
        assert!(open.len() < 1000);
    };
    assert_eq!(refused, Error::LimitExceeded("MaxQueuedBytesPerUser"));
    assert!(open.len() > 30, "{}", open.len());
    client.close(open.pop().unwrap());
    list().unwrap();
}

#[test]
fn a_file_is_no_directory() {
    let (client, _source) = Client::with_hive([]);
    client.echo("x", "Test/v").unwrap();
    let file = client.file("Test/v", READ).unwrap();
    let listed = client.run(client.registry.list_directory(file, true)).map(drop);
    assert_eq!(listed, Err(Error::NotADirectory));
}
