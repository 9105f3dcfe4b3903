//! Who may (DESIGN §6): what each operation asks for, and that a denial has no effect.

use std::rc::Rc;

use futures_util::future::join;
use lcs_abi::Guid;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, DeleteValue, Derive, GROUP_SECURITY_INFORMATION, GetSecurity,
    OPEN_LINK, OWNER_SECURITY_INFORMATION, SACL_SECURITY_INFORMATION, SetSecurity, SetTombstone,
    Unhide,
};
use lcs_abi::rsi::{Answer, Changes, KeyRecord, Mutation, Name, Request, Target};
use lcs_abi::security::Access;
use lcs_core::model::Layer;
use lcs_core::registry::{AuditEvent, Caller, Error, HandleId, KeyOpen, NotFound};
use lcs_core::security::{Account, SecurityDescriptor, Sid, Token};

use crate::common::Client;
use crate::common::client::{ALL, create_key, in_layer, layer, system, user};
use crate::common::world::Source;

const ALICE: u32 = 1001;
const BOB: u32 = 1002;
const ALL_PARTS: u32 =
    OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;

fn alice() -> Caller {
    user(ALICE, &[])
}

fn bob() -> Caller {
    user(BOB, &[])
}

fn administrator() -> Caller {
    let account = Account { uid: 500, gid: 500, groups: &[27], system: false, administrator: true };
    Caller { token: Rc::new(Token::new(account)), pid: 3 }
}

fn open(path: &str, access: Access) -> Derive {
    Derive::OpenKey { path: path.into(), access: access.bits(), flags: 0 }
}

fn create(path: &str, access: Access, layer: Option<&str>) -> Derive {
    Derive::CreateKey {
        path: path.into(),
        access: access.bits(),
        layer: layer.map(Into::into),
        flags: 0,
        link_target: None,
    }
}

fn restrict(access: Access, layers: Option<&[&str]>) -> Derive {
    let layers = layers.map(|layers| layers.iter().map(|name| (*name).into()).collect());
    Derive::Restrict { access: access.bits(), layers }
}

fn denied<T>(missing: Access) -> Result<T, Error> {
    Err(Error::AccessDenied { missing })
}

fn refused<T>(layer: &str) -> Result<T, Error> {
    Err(Error::LayerDenied { layer: layer.into() })
}

fn sd(sddl: &str) -> SecurityDescriptor {
    sddl.parse().unwrap_or_else(|error| panic!("{sddl}: {error}"))
}

impl Client {
    /// Replaces the parts that the text has.
    fn set_sd(&self, handle: HandleId, sddl: &str) -> Result<(), Error> {
        let present = |part: &str, bit| if sddl.contains(part) { bit } else { 0 };
        let parts = present("O:", OWNER_SECURITY_INFORMATION)
            | present("G:", GROUP_SECURITY_INFORMATION)
            | present("D:", DACL_SECURITY_INFORMATION)
            | present("S:", SACL_SECURITY_INFORMATION);
        let request = SetSecurity { parts, sd: sd(sddl).to_bytes() };
        self.run(self.registry.set_security(handle, request))
    }

    /// A key of SYSTEM's with this security descriptor.
    fn key_with_sd(&self, path: &str, sddl: &str) -> HandleId {
        let access = Access::KEY_ALL_ACCESS | Access::ACCESS_SYSTEM_SECURITY;
        let handle = self.derive(None, create(path, access, None)).unwrap();
        self.set_sd(handle, sddl).unwrap();
        handle
    }

    fn sd_of(&self, handle: HandleId, parts: u32) -> Result<String, Error> {
        let answer = self.run(self.registry.get_security(handle, GetSecurity { parts }))?;
        Ok(SecurityDescriptor::from_bytes(&answer.sd).unwrap().to_string())
    }

    fn granted(&self, handle: HandleId) -> Access {
        let info = self.run(self.registry.key_info(handle)).unwrap();
        Access::from_bits(info.access).unwrap()
    }

    /// Fails if a source was asked to change anything since the last look.
    fn assert_unchanged(&self, what: &str) {
        let requests = self.world.take_requests();
        let changing = requests.iter().find(|request| {
            matches!(request, Request::Apply { .. } | Request::DropKey { .. } | Request::Flush)
        });
        assert_eq!(changing, None, "{what}");
    }
}

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
    assert!(!client.run(client.registry.key_info(found)).unwrap().created);
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

/// Every operation that writes into a layer.
type Mutation4 = (&'static str, fn(&Client, HandleId, Option<&str>) -> Result<(), Error>);

const MUTATIONS: [Mutation4; 8] = [
    ("set", |client, key, layer| client.set(key, "v", 1, b"", layer).map(drop)),
    ("unset", |client, key, layer| {
        let request = DeleteValue { name: "v".into(), layer: layer.map(Into::into) };
        client.run(client.registry.delete_value(key, request))
    }),
    ("tombstone", |client, key, layer| {
        let request = SetTombstone { name: "v".into(), layer: layer.map(Into::into) };
        client.run(client.registry.set_tombstone(key, request))
    }),
    ("blanket", |client, key, layer| client.run(client.registry.set_blanket(key, in_layer(layer)))),
    ("clear", |client, key, layer| client.run(client.registry.clear_blanket(key, in_layer(layer)))),
    ("hide", |client, key, layer| client.hide(key, layer)),
    ("unhide", |client, key, layer| {
        let request = Unhide { child: "hidden".into(), layer: layer.map(Into::into) };
        client.run(client.registry.unhide(key, request))
    }),
    ("delete", |client, key, layer| client.delete(key, layer)),
];

fn layer_for_alice(name: &str) -> Layer {
    let sd = sd("O:SYG:SYD:(A;;KA;;;SY)(A;;KW;;;S-1-22-1-1001)(A;;KR;;;WD)");
    Layer { sd: Rc::new(sd), ..layer(name, 0, true) }
}

#[test]
fn writing_into_a_layer_takes_set_value_on_its_metadata_key_beside_the_handles_mask() {
    for (name, mutate) in MUTATIONS {
        let (client, _) = Client::with_hive([layer_for_alice("mine")]);
        client.key_with_sd("Test\\k", "O:SYG:SYD:(A;CI;KA;;;WD)");
        let handle = |caller: &Caller| {
            client.derive_as(caller, None, create_key("Test\\k", None, false)).unwrap()
        };
        let (of_bob, of_alice) = (handle(&bob()), handle(&alice()));
        client.world.take_requests();
        assert_eq!(mutate(&client, of_bob, Some("MINE")), refused("mine"), "{name}");
        assert_eq!(client.world.take_requests(), [], "{name}");
        let unknown = mutate(&client, of_alice, Some("other"));
        assert_eq!(unknown, Err(Error::NotFound(NotFound::Layer)), "{name}");
        // Alice may; what comes of it depends on what is there.
        let allowed = mutate(&client, of_alice, Some("mine"));
        assert!(!matches!(allowed, Err(Error::LayerDenied { .. })), "{name}: {allowed:?}");
        // For `base` the handle's mask alone decides.
        let base = mutate(&client, of_bob, None);
        assert!(!matches!(base, Err(Error::LayerDenied { .. })), "{name}: {base:?}");
    }
}

#[test]
fn creating_in_a_layer_takes_set_value_on_its_metadata_key() {
    let (client, _) = Client::with_hive([layer_for_alice("mine")]);
    client.key_with_sd("Test\\k", "O:SYG:SYD:(A;CI;KA;;;WD)");
    let new = create("Test\\k\\new", Access::KEY_READ, Some("mine"));
    client.world.take_requests();
    assert_eq!(client.derive_as(&bob(), None, new.clone()), refused("mine"));
    client.assert_unchanged("create in a layer");
    assert!(client.derive_as(&alice(), None, new).is_ok());
}

#[test]
fn a_handle_without_the_right_asks_no_source() {
    let (client, _) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let handle = client.derive(None, open("Test\\k", Access::NOTIFY)).unwrap();
    client.world.take_requests();
    for (name, mutate) in MUTATIONS {
        let outcome = mutate(&client, handle, None);
        assert!(matches!(outcome, Err(Error::AccessDenied { .. })), "{name}: {outcome:?}");
    }
    for (parts, right) in [
        (OWNER_SECURITY_INFORMATION, Access::READ_CONTROL),
        (SACL_SECURITY_INFORMATION, Access::ACCESS_SYSTEM_SECURITY),
    ] {
        assert_eq!(client.sd_of(handle, parts), denied(right));
    }
    for (sddl, right) in [
        ("O:SY", Access::WRITE_OWNER),
        ("G:SY", Access::WRITE_OWNER),
        ("D:(A;;KA;;;WD)", Access::WRITE_DAC),
        ("S:", Access::ACCESS_SYSTEM_SECURITY),
        ("O:SYD:", Access::WRITE_OWNER | Access::WRITE_DAC),
    ] {
        assert_eq!(client.set_sd(handle, sddl), denied(right), "{sddl}");
    }
    assert_eq!(client.world.take_requests(), []);
}

#[test]
fn deleting_what_a_layer_has_there_instead_takes_delete_on_that_too() {
    let (client, _) = Client::with_hive([layer("high", 5, true)]);
    client.key_with_sd("Test\\k", "O:SYG:SYD:(A;;KA;;;SY)");
    // Another key under the same name, over the first.
    let first = client.open("Test\\k").unwrap();
    client.hide(first, Some("high")).unwrap();
    let root = client.open("Test").unwrap();
    let unhide = Unhide { child: "k".into(), layer: Some("high".into()) };
    client.run(client.registry.unhide(root, unhide)).unwrap();
    client.delete(first, None).unwrap();
    client.key_with_sd("Test\\k", "O:SYG:SYD:(A;;KA;;;SY)");
    let base = client.open("Test\\k").unwrap();
    client.hide(base, Some("high")).unwrap();
    let over = client.create_in("Test\\k", Some("high"));
    assert!(over.is_ok(), "the hidden name is free in the layer that hides it: {over:?}");
    client.set_sd(over.unwrap(), "D:(A;;KA;;;SY)(A;;KA;;;S-1-22-1-1002)").unwrap();
    let seen = client.derive_as(&bob(), None, open("Test\\k", Access::DELETE)).unwrap();
    client.world.take_requests();
    assert_eq!(client.delete(seen, None), denied(Access::DELETE));
    client.assert_unchanged("the key in base is another one");
    client.delete(seen, Some("high")).unwrap();
}

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

fn opens(client: &Client) -> Vec<KeyOpen> {
    let events = client.world.take_audit();
    let open = |event| match event {
        AuditEvent::KeyOpen(open) => Some(open),
        _ => None,
    };
    events.into_iter().filter_map(open).collect()
}

#[test]
fn an_open_that_the_sacl_names_is_recorded_with_who_what_and_whether() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\k", "O:SYG:SYD:(A;;KR;;;WD)S:(AU;SA;CC;;;WD)(AU;FA;KW;;;WD)");
    client.world.take_audit();
    let attempt = |caller: &Caller, access| client.derive_as(caller, None, open("test\\K", access));
    attempt(&alice(), Access::READ_CONTROL).unwrap();
    assert_eq!(opens(&client), [], "neither audited right was granted");
    attempt(&alice(), Access::KEY_READ).unwrap();
    let success = KeyOpen {
        user: Sid::user(ALICE),
        sids: alice().token.sids().into(),
        uid: ALICE,
        pid: 2,
        key: "Test\\k".into(),
        requested: Access::KEY_READ,
        granted: Some(Access::KEY_READ),
    };
    assert_eq!(opens(&client), std::slice::from_ref(&success));
    attempt(&bob(), Access::SET_VALUE).unwrap_err();
    let [failure] = opens(&client).try_into().unwrap();
    assert_eq!((failure.user, failure.granted), (Sid::user(BOB), None));
    attempt(&bob(), Access::DELETE).unwrap_err();
    assert_eq!(opens(&client), [], "deletion is not audited");
    // Everything was asked for, so what is audited was among it.
    client.key_with_sd("Test\\closed", "O:SYG:SYD:S:(AU;FA;SD;;;WD)");
    client.world.take_audit();
    attempt_on(&client, "Test\\closed").unwrap_err();
    assert_eq!(opens(&client).len(), 1);
}

fn attempt_on(client: &Client, path: &str) -> Result<HandleId, Error> {
    client.derive_as(&bob(), None, open(path, Access::MAXIMUM_ALLOWED))
}

#[test]
fn creations_are_recorded_on_the_parent_and_on_the_new_key() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\p", "O:SYG:SYD:(A;CI;KA;;;S-1-22-1-1001)S:(AU;CISAFA;LC;;;WD)");
    client.world.take_audit();
    let made = create("Test\\p\\k", Access::CREATE_SUB_KEY, None);
    client.derive_as(&bob(), None, made.clone()).unwrap_err();
    let [failure] = opens(&client).try_into().unwrap();
    assert_eq!((failure.key.as_str(), failure.granted), ("Test\\p", None));
    client.derive_as(&alice(), None, made).unwrap();
    let keys: Vec<String> = opens(&client).into_iter().map(|open| open.key).collect();
    assert_eq!(keys, ["Test\\p", "Test\\p\\k"]);
}

#[test]
fn an_audited_open_whose_record_is_not_taken_fails_and_nothing_is_made() {
    let (client, _) = Client::with_hive([]);
    client.key_with_sd("Test\\k", "O:SYG:SYD:(A;CI;KA;;;WD)S:(AU;CISAFA;KA;;;S-1-22-1-1001)");
    client.world.set_log_full(true);
    client.world.take_requests();
    let attempts = [open("Test\\k", Access::KEY_READ), create_key("Test\\k\\new", None, false)];
    for derive in attempts {
        assert_eq!(client.derive_as(&alice(), None, derive.clone()), Err(Error::NotRecorded));
        client.assert_unchanged("not recorded");
        assert!(client.derive_as(&bob(), None, derive).is_ok(), "bob is not audited");
        client.world.take_requests();
    }
    client.world.set_log_full(false);
    assert!(client.derive_as(&alice(), None, open("Test\\k", Access::KEY_READ)).is_ok());
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
    // Links are not followed yet.
    assert_eq!(link(Access::KEY_READ, 0), Err(Error::NotSupported));
    assert_eq!(client.create("Test\\1\\k"), Err(Error::NotSupported));
    assert_eq!(client.create("Test\\1"), Err(Error::NotSupported));
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
        let root = client.registry.open_root(caller.token).unwrap();
        client.registry.status(root, "test", []).unwrap().details.is_some()
    };
    assert!(!details(alice()));
    assert!(details(administrator()) && details(system()));
    assert_eq!(ALL, Access::KEY_ALL_ACCESS.bits());
}
