//! Restores of what LCS itself reads: its configuration, the layers, the list of deletions.

use lcs_abi::backup::Record;
use lcs_core::registry::{AuditEvent, Error, NotFound, Setting};

use crate::common::Client;
use crate::common::client::{administrator, layer, machine};
use crate::common::streams::{back_up, records, restore, restore_as, stream};
use crate::common::world::Source;

const REGISTRY: &str = "Machine\\System\\Registry";
const LAYERS: &str = "Machine\\System\\Registry\\Layers";

fn with_machine() -> (Client, Source) {
    let client = Client::new([]);
    let machine = machine([layer("role", 0, true), layer("policy", 5, true)]);
    client.serve(1, &[("Machine", &machine)]).unwrap();
    client.world.take_audit();
    (client, machine)
}

fn precedence(client: &Client, name: &str) -> Option<u32> {
    let root = client.registry.open_root(None, crate::common::client::system().token).unwrap();
    let status = client.registry.status(root, "", []).unwrap();
    client.close(root);
    let layers = status.details.unwrap().layers;
    layers.iter().find(|layer| layer.name == name).map(|layer| layer.precedence)
}

fn set_depth(client: &Client, depth: u32) {
    let key = client.open(REGISTRY).unwrap();
    client.set(key, "MaxKeyDepth", 4, &depth.to_le_bytes(), None).unwrap();
    client.close(key);
}

#[test]
fn configuration_and_layers_come_into_force_with_the_restore() {
    for top in ["Machine", "Machine\\System", REGISTRY] {
        let (client, _) = with_machine();
        set_depth(&client, 100);
        let key = client.open(top).unwrap();
        let before = back_up(&client, key).unwrap();
        set_depth(&client, 200);
        let policy = client.open(&format!("{LAYERS}\\policy")).unwrap();
        client.set(policy, "Precedence", 4, &[9, 0, 0, 0], None).unwrap();
        client.close(client.create(&format!("{LAYERS}\\later")).unwrap());
        client.world.take_audit();
        restore(&client, key, &before).unwrap();
        assert_eq!(client.registry.setting(Setting::MaxKeyDepth), 100, "{top}");
        assert_eq!(precedence(&client, "policy"), Some(5));
        assert_eq!(precedence(&client, "later"), None);
        let deleted = client.world.take_audit().into_iter().any(
            |event| matches!(event, AuditEvent::LayerDeleted { layer, .. } if layer == "later"),
        );
        assert!(deleted);
        // They are watched as before.
        set_depth(&client, 300);
        assert_eq!(client.registry.setting(Setting::MaxKeyDepth), 300);
        client.set(policy, "Precedence", 4, &[7, 0, 0, 0], None).unwrap();
        assert_eq!(precedence(&client, "policy"), Some(7));
        client.close(client.create(&format!("{LAYERS}\\more")).unwrap());
        assert_eq!(precedence(&client, "more"), Some(0));
    }
}

#[test]
fn another_machine_brings_its_layers_with_it() {
    let (client, _) = with_machine();
    let key = client.open("Machine").unwrap();
    let before = back_up(&client, key).unwrap();
    let other = Client::new([]);
    let empty = Source::new("Machine");
    other.serve(1, &[("Machine", &empty)]).unwrap();
    let target = other.open("Machine").unwrap();
    restore(&other, target, &before).unwrap();
    assert_eq!(precedence(&other, "policy"), Some(5));
    let made = other.create(&format!("{LAYERS}\\made")).unwrap();
    assert_eq!(precedence(&other, "made"), Some(0));
    other.close(made);
    set_depth(&other, 77);
    assert_eq!(other.registry.setting(Setting::MaxKeyDepth), 77);
}

#[test]
fn what_lcs_needs_is_made_again_if_the_stream_has_it_not() {
    let (client, _) = with_machine();
    let other = Client::with_hive([]).0;
    let plain = other.create("Test\\plain").unwrap();
    other.set(plain, "v", 1, b"data", None).unwrap();
    let stream = back_up(&other, plain).unwrap();
    let key = client.open("Machine").unwrap();
    restore(&client, key, &stream).unwrap();
    assert_eq!(client.query(key, "v").unwrap().data, b"data");
    assert_eq!(precedence(&client, "policy"), None);
    client.close(client.open(LAYERS).unwrap());
    client.close(client.create(&format!("{LAYERS}\\made")).unwrap());
    assert_eq!(precedence(&client, "made"), Some(0));
}

#[test]
fn below_layers_the_rules_of_layers_hold() {
    let (client, _) = with_machine();
    let layers = client.open(LAYERS).unwrap();
    let sound = back_up(&client, layers).unwrap();
    let change = |change: &dyn Fn(&mut Record)| {
        let mut records = records(&sound);
        records.iter_mut().for_each(change);
        let changed = restore(&client, layers, &stream(&records));
        assert_eq!(precedence(&client, "policy"), Some(5));
        changed
    };
    let in_role = change(&|record| match record {
        Record::PathEntry(entry) if entry.name == "policy" => entry.layer = "role".into(),
        Record::Layer(layer) => layer.name = "base".into(),
        _ => {}
    });
    assert!(matches!(in_role, Err(Error::Invalid(_))), "{in_role:?}");
    let link = change(&|record| {
        if let Record::Key(key) = record {
            key.link = true;
        }
    });
    assert!(matches!(link, Err(Error::Invalid(_))), "{link:?}");
    let base = change(&|record| match record {
        Record::PathEntry(entry) if entry.name == "policy" => entry.name = "BASE".into(),
        _ => {}
    });
    assert!(matches!(base, Err(Error::Invalid(_))), "{base:?}");
    let operator = administrator(1000);
    for path in [LAYERS, REGISTRY, "Machine", &format!("{LAYERS}\\role")] {
        let key = client.open(path).unwrap();
        let sound = back_up(&client, key).unwrap();
        let restored = restore_as(&client, &operator, key, &sound);
        assert_eq!(restored, Err(Error::PrivilegeMissing), "{path}");
        restore(&client, key, &sound).unwrap();
    }
    let scopes = client.open(&format!("{REGISTRY}\\Scopes")).unwrap();
    let sound = back_up(&client, scopes).unwrap();
    restore_as(&client, &operator, scopes, &sound).unwrap();
}

#[test]
fn what_is_pending_deletion_stays_so() {
    let (client, _) = with_machine();
    let source = Source::new("Test");
    client.serve(2, &[("Test", &source)]).unwrap();
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"", Some("role")).unwrap();
    let (with_role, machine) = (back_up(&client, key).unwrap(), client.open("Machine").unwrap());
    let whole = back_up(&client, machine).unwrap();
    client.disconnect(2);
    let role = client.open(&format!("{LAYERS}\\role")).unwrap();
    client.delete(role, None).unwrap();
    client.close(role);
    let busy = |restored| matches!(restored, Err(Error::Busy(_)));
    let users = client.create("Machine\\k").unwrap();
    assert!(busy(restore(&client, users, &with_role)));
    assert!(busy(restore(&client, machine, &whole)));
    let pending = client.open(&format!("{REGISTRY}\\PendingDeletion")).unwrap();
    assert!(matches!(restore(&client, pending, &whole), Err(Error::Invalid(_))));
    client.serve(3, &[("Test", &source)]).unwrap();
    restore(&client, users, &with_role).unwrap();
    restore(&client, machine, &whole).unwrap();
    assert_eq!(precedence(&client, "role"), Some(0));
    assert_eq!(client.query(key, "v"), Err(Error::NotFound(NotFound::Value)));
}
