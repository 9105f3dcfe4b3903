//! What writes into layers, and what it takes.

use std::rc::Rc;

use lcs_abi::call::{
    DeleteValue, OWNER_SECURITY_INFORMATION, SACL_SECURITY_INFORMATION, SetTombstone, Unhide,
};
use lcs_abi::security::Access;
use lcs_core::model::Layer;
use lcs_core::registry::{Caller, Error, HandleId, NotFound};

use super::{alice, bob, create, denied, open, refused, sd};
use crate::common::Client;
use crate::common::client::{create_key, in_layer, layer};

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
