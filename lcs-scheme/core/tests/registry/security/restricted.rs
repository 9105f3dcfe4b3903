//! Handles with less than their makers have.

use lcs_abi::security::Access;
use lcs_core::registry::{Error, NotFound};

use super::{alice, create, denied, open, refused, restrict};
use crate::common::Client;
use crate::common::client::{create_key, layer};

#[test]
fn a_restricted_handle_has_fewer_rights_and_so_has_what_is_derived_from_it() {
    let (client, _) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    client.create("Test\\k\\c").unwrap();
    let all = Access::KEY_ALL_ACCESS | Access::ACCESS_SYSTEM_SECURITY;
    let handle = client.derive(None, open("Test\\k", all)).unwrap();
    let bounds = Access::KEY_READ | Access::CREATE_SUB_KEY;
    let few = client.derive(Some(handle), restrict(bounds, None)).unwrap();
    assert_eq!(client.granted(few), bounds);
    assert_eq!(client.set(few, "v", 1, b"", None), denied(Access::SET_VALUE));
    // Nothing comes back, by itself or below.
    let below = |path, access| client.derive(Some(few), open(path, access));
    assert_eq!(
        client.derive(Some(few), restrict(Access::KEY_ALL_ACCESS, None)),
        denied(Access::KEY_ALL_ACCESS - bounds)
    );
    assert_eq!(below("", Access::SET_VALUE), denied(Access::SET_VALUE));
    assert_eq!(below("c", Access::DELETE), denied(Access::DELETE));
    let child = below("c", Access::MAXIMUM_ALLOWED).unwrap();
    assert_eq!(client.granted(child), bounds);
    let grandchild = client.derive(Some(child), create("new", Access::MAXIMUM_ALLOWED, None));
    assert_eq!(client.granted(grandchild.unwrap()), bounds);
    // Without CREATE_SUB_KEY nothing is made, with whatever rights on the parent.
    let read = client.derive(Some(few), restrict(Access::KEY_READ, None)).unwrap();
    assert_eq!(
        client.derive(Some(read), create("other", Access::KEY_READ, None)),
        denied(Access::CREATE_SUB_KEY)
    );
    assert!(client.derive(Some(read), create("c", Access::KEY_READ, None)).is_ok(), "it is there");
    // All that the handle has: also what no one has without asking for it.
    let same = client.derive(Some(handle), restrict(Access::MAXIMUM_ALLOWED, None)).unwrap();
    assert_eq!(client.granted(same), all);
    assert!(matches!(
        client.derive(Some(handle), restrict(Access::empty(), None)),
        Err(Error::Invalid(_))
    ));
    assert_eq!(client.derive(None, restrict(all, None)), Err(Error::BadHandle));
}

#[test]
fn a_restricted_handle_writes_into_the_layers_it_names_and_so_does_what_is_derived_from_it() {
    let (client, _) = Client::with_hive([layer("one", 0, true), layer("two", 0, true)]);
    let handle = client.create("Test\\k").unwrap();
    let only = |from, layers: &[&str]| {
        client.derive(Some(from), restrict(Access::MAXIMUM_ALLOWED, Some(layers)))
    };
    let one = only(handle, &["ONE"]).unwrap();
    assert!(client.set(one, "v", 1, b"", Some("one")).is_ok());
    assert_eq!(client.set(one, "v", 1, b"", Some("two")), refused("two"));
    assert_eq!(client.set(one, "v", 1, b"", None), refused("base"), "base only if it is named");
    let made = |layer| client.derive(Some(one), create_key("c", layer, false));
    assert_eq!(made(None), refused("base"));
    let child = made(Some("one")).unwrap();
    assert_eq!(client.set(child, "v", 1, b"", Some("two")), refused("two"));
    assert_eq!(only(child, &["two"]), refused("two"));
    assert_eq!(only(child, &["three"]), Err(Error::NotFound(NotFound::Layer)));
    let none = only(child, &[]).unwrap();
    assert_eq!(client.set(none, "v", 1, b"", Some("one")), refused("one"));
}

#[test]
fn a_restricted_handle_has_no_privileges_and_gives_none() {
    let (client, _) = Client::with_hive([]);
    let handle = client.key_with_sd("Test\\k", "O:SYG:SYD:(A;CI;KA;;;SY)(A;CI;KA;;;S-1-22-1-1001)");
    // SYSTEM may give a key to anybody, by SeRestore.
    client.set_sd(handle, "O:S-1-22-1-7").unwrap();
    let restricted = client.derive(Some(handle), restrict(Access::MAXIMUM_ALLOWED, None)).unwrap();
    assert_eq!(client.set_sd(restricted, "O:S-1-22-1-8"), Err(Error::PrivilegeMissing));
    client.set_sd(restricted, "O:SY").unwrap();
    // Who derives from it acts for itself, and without privileges.
    let derived =
        client.derive_as(&alice(), Some(restricted), open("", Access::WRITE_OWNER)).unwrap();
    assert_eq!(client.set_sd(derived, "O:SY"), Ok(()), "not a new owner");
    client.set_sd(derived, "O:S-1-22-1-1001").unwrap();
    let derived = client.derive(Some(restricted), open("", Access::WRITE_OWNER)).unwrap();
    assert_eq!(client.set_sd(derived, "O:S-1-22-1-9"), Err(Error::PrivilegeMissing));
    let security = open("", Access::ACCESS_SYSTEM_SECURITY);
    assert_eq!(
        client.derive(Some(restricted), security.clone()),
        denied(Access::ACCESS_SYSTEM_SECURITY)
    );
    assert!(client.derive(Some(handle), security).is_ok());
}
