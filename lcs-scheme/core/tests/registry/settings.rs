//! LCS's own configuration, written like any other values.

use futures_util::future::join_all;
use lcs_abi::Guid;
use lcs_abi::call::{DeleteValue, LayerOnly, RejectedSetting, SetValue};
use lcs_abi::rsi::{Answer, Changes, Mutation, Request};
use lcs_core::registry::{AuditEvent, Error, HandleId, Setting};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{ROOM, layer, machine, system};
use crate::common::world::Source;

const REGISTRY: &str = "Machine\\System\\Registry";

fn with_machine() -> (Client, HandleId, Source) {
    let client = Client::new([]);
    let machine =
        machine([layer("role", 0, true), layer("policy", 5, true), layer("off", 9, false)]);
    client.serve(1, &[("Machine", &machine)]).unwrap();
    let key = client.open(REGISTRY).unwrap();
    client.world.take_audit();
    (client, key, machine)
}

fn depth(client: &Client) -> u64 {
    client.registry.setting(Setting::MaxKeyDepth)
}

fn set_depth(client: &Client, key: HandleId, depth: u32, layer: Option<&str>) {
    client.set(key, "maxKEYdepth", 4, &depth.to_le_bytes(), layer).unwrap();
}

fn unset(client: &Client, key: HandleId, name: &str, layer: Option<&str>) {
    let request = DeleteValue { name: name.into(), layer: layer.map(Into::into) };
    client.run(client.registry.delete_value(key, request)).unwrap();
}

fn rejected(client: &Client) -> Vec<RejectedSetting> {
    let root = client.registry.open_root(None, system().token).unwrap();
    let status = client.registry.status(root, "test", []).unwrap();
    client.close(root);
    status.details.unwrap().rejected_settings
}

#[test]
fn its_own_keys_are_made_when_machine_arrives_and_found_when_it_returns() {
    let (client, key, machine) = with_machine();
    let names = |client: &Client| -> Vec<String> {
        let subkeys = client.subkeys(key, false, ROOM).unwrap();
        subkeys.into_iter().map(|subkey| subkey.name).collect()
    };
    assert_eq!(names(&client), ["Layers", "PendingDeletion", "Scopes"]);
    let before = machine.max_sequence();
    client.disconnect(1);
    client.serve(2, &[("MACHINE", &machine)]).unwrap();
    assert_eq!(machine.max_sequence(), before, "nothing was missing");
    assert_eq!(names(&client), ["Layers", "PendingDeletion", "Scopes"]);
}

/// The parent of a key, as the source has it.
fn parent_of(source: &Source, key: Guid) -> Guid {
    match source.ask(&Request::ReadKey { key }) {
        Ok(Answer::Key(record)) => record.parent,
        other => panic!("no key: {other:?}"),
    }
}

#[test]
fn only_what_is_missing_is_made() {
    let (client, key, machine) = with_machine();
    let scopes = client.open("Machine\\System\\Registry\\Scopes").unwrap();
    let scopes = client.details(scopes).unwrap().guid;
    let layers = client.open("Machine\\System\\Registry\\Layers").unwrap();
    let layers = client.details(layers).unwrap().guid;
    client.disconnect(1);
    let parent = parent_of(&machine, layers);
    let entry = Mutation::DeleteEntry { parent, name: "scopes".into(), layer: "base".into() };
    let step = Request::Apply {
        conditions: Vec::new(),
        changes: Changes::Mutations(vec![entry]),
        first_sequence: machine.max_sequence() + 1,
    };
    machine.ask(&step).unwrap();
    machine.ask(&Request::DropKey { key: scopes }).unwrap();
    client.serve(2, &[("Machine", &machine)]).unwrap();
    assert_eq!(client.subkeys(key, false, ROOM).unwrap().len(), 3);
    let kept = client.open("Machine\\System\\Registry\\Layers").unwrap();
    assert_eq!(client.details(kept).unwrap().guid, layers);
}

#[test]
fn a_written_setting_is_in_force_when_the_write_is_answered() {
    let (client, key, _machine) = with_machine();
    assert_eq!(depth(&client), 512);
    set_depth(&client, key, 64, None);
    assert_eq!(depth(&client), 64);
    set_depth(&client, key, 100, Some("policy"));
    assert_eq!(depth(&client), 100);
    set_depth(&client, key, 65, None);
    assert_eq!(depth(&client), 100, "the policy wins");
    set_depth(&client, key, 66, Some("off"));
    assert_eq!(depth(&client), 100, "a disabled layer does not count");
    unset(&client, key, "MaxKeyDepth", Some("policy"));
    assert_eq!(depth(&client), 65);
    unset(&client, key, "MAXKEYDEPTH", None);
    assert_eq!(depth(&client), 512);
    assert_eq!(client.world.take_audit(), []);
}

#[test]
fn masks_bring_the_default_back() {
    let (client, key, _machine) = with_machine();
    set_depth(&client, key, 64, None);
    client.set(key, "MaxKeyDepth", 0xFFFF, &[], Some("policy")).unwrap();
    assert_eq!(depth(&client), 512);
    unset(&client, key, "MaxKeyDepth", Some("policy"));
    assert_eq!(depth(&client), 64);
    let role = || LayerOnly { layer: Some("role".into()) };
    client.run(client.registry.set_blanket(key, role())).unwrap();
    assert_eq!(depth(&client), 512);
    client.run(client.registry.clear_blanket(key, role())).unwrap();
    assert_eq!(depth(&client), 64);
}

#[test]
fn the_keys_that_lcs_stands_on_are_neither_deleted_nor_hidden() {
    let (client, _key, _machine) = with_machine();
    for path in ["", "\\Layers", "\\Scopes", "\\PendingDeletion"] {
        let key = client.open(&format!("{REGISTRY}{path}")).unwrap();
        for layer in [None, Some("policy")] {
            assert!(matches!(client.delete(key, layer), Err(Error::Invalid(_))), "{path}");
            assert!(matches!(client.hide(key, layer), Err(Error::Invalid(_))), "{path}");
        }
    }
    let system = client.open("Machine\\System").unwrap();
    assert!(matches!(client.hide(system, Some("policy")), Err(Error::Invalid(_))));
    assert!(matches!(client.delete(system, None), Err(Error::Invalid(_))));
}

#[test]
fn a_bad_setting_keeps_the_last_good_one_is_recorded_once_and_shown() {
    let (client, key, _machine) = with_machine();
    set_depth(&client, key, 64, None);
    let bad =
        RejectedSetting { name: "MaxKeyDepth".into(), reason: "31 is not in 32..=4096".into() };
    let record = AuditEvent::SettingRejected { name: bad.name.clone(), reason: bad.reason.clone() };
    set_depth(&client, key, 31, None);
    assert_eq!((depth(&client), client.world.take_audit()), (64, vec![record.clone()]));
    assert_eq!(rejected(&client), [bad]);
    client.set(key, "SymlinkDepthLimit", 4, &[8, 0, 0, 0], None).unwrap();
    assert_eq!(client.registry.setting(Setting::SymlinkDepthLimit), 8, "others are still read");
    set_depth(&client, key, 31, None);
    assert_eq!(client.world.take_audit(), [], "it is known");
    client.set(key, "MaxKeyDepth", 11, &[64, 0, 0, 0, 0, 0, 0, 0], None).unwrap();
    let another =
        AuditEvent::SettingRejected { name: "MaxKeyDepth".into(), reason: "not a DWORD".into() };
    assert_eq!((depth(&client), client.world.take_audit()), (64, vec![another]));
    unset(&client, key, "MaxKeyDepth", None);
    assert_eq!((depth(&client), rejected(&client)), (512, Vec::new()));
    set_depth(&client, key, 31, None);
    assert_eq!((depth(&client), client.world.take_audit()), (512, vec![record]));
}

#[test]
fn settings_outlive_the_absence_of_machine_and_are_read_anew_at_its_return() {
    let (client, key, machine) = with_machine();
    set_depth(&client, key, 64, None);
    client.disconnect(1);
    assert_eq!(depth(&client), 64);
    client.serve(2, &[("Machine", &machine)]).unwrap();
    assert_eq!(depth(&client), 64);
    let fresh = Client::new([]);
    assert_eq!(depth(&fresh), 512);
    fresh.serve(1, &[("Machine", &machine)]).unwrap();
    assert_eq!(depth(&fresh), 64, "another LCS reads the same");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn of_concurrent_writes_the_last_one_is_in_force(
        delays in vec(prop_oneof![3 => Just(0), 1 => 0..16_u8], 1..40),
        writers in 2..12_u32,
    ) {
        let (client, key, _machine) = with_machine();
        client.world.set_delays(delays);
        let writes = (0..writers).map(|number| {
            let request = SetValue {
                name: "MaxKeyDepth".into(),
                value_type: 4,
                data: (32 + number).to_le_bytes().into(),
                layer: ["base", "role"].get(number as usize % 2).map(|layer| (*layer).into()),
                expected_sequence: None,
            };
            client.registry.set_value(key, request)
        });
        let written: Vec<u64> =
            client.run(join_all(writes)).into_iter().map(|it| it.unwrap().sequence).collect();
        let last = (0..writers).max_by_key(|number| written[*number as usize]).unwrap();
        prop_assert_eq!(depth(&client), u64::from(32 + last));
    }
}
