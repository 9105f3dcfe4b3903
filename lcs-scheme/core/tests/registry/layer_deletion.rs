//! The end of a layer, also in hives whose sources are away, and in the middle of other things.

use futures_util::future::join;
use lcs_abi::call::TransactionState;
use lcs_abi::rsi::{Answer, Request, SourceError};
use lcs_core::registry::{AuditEvent, Error, HandleId, NotFound};

use crate::common::client::{MACHINE, create_key, in_layer, layer, system};
use crate::common::world::Source;
use crate::common::{Client, Failure};

const LAYERS: &str = "Machine\\System\\Registry\\Layers";
const PENDING: &str = "Machine\\System\\Registry\\PendingDeletion";

/// A registry with the layer `Role`, which has a value of `Test\k` and a key `Test\r`.
fn with_role() -> (Client, Source, HandleId) {
    let (client, source) = Client::with_hive([layer("Role", 0, true)]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"role", Some("role")).unwrap();
    let made = client.create_in("Test\\r", Some("ROLE")).unwrap();
    client.close(made);
    (client, source, key)
}

fn delete_role(client: &Client) -> Result<(), Error> {
    let metadata = client.open(&format!("{LAYERS}\\role"))?;
    let deleted = client.delete(metadata, None);
    client.close(metadata);
    deleted
}

/// How many entries of the layer a source has.
fn entries(source: &Source) -> usize {
    let request = Request::EnumLayer { layer: "role".into(), after: None, bytes: 1 << 20 };
    match source.ask(&request) {
        Ok(Answer::Layer { entries, values, blankets, .. }) => {
            entries.len() + values.len() + blankets.len()
        }
        other => panic!("no layer: {other:?}"),
    }
}

fn no_value() -> Error {
    Error::NotFound(NotFound::Value)
}

#[test]
fn with_its_key_go_all_entries_of_a_layer_and_the_keys_that_only_it_named() {
    let (client, source, key) = with_role();
    client.world.take_audit();
    delete_role(&client).unwrap();
    assert_eq!(entries(&source), 0);
    assert_eq!(client.query(key, "v").unwrap_err(), no_value());
    assert_eq!(client.open("Test\\r").unwrap_err(), Error::NotFound(NotFound::Key));
    assert_eq!(
        client.open(&format!("{PENDING}\\Role")).unwrap_err(),
        Error::NotFound(NotFound::Key)
    );
    let (layer, user) = ("Role".to_string(), system().token.user());
    assert_eq!(client.world.take_audit(), [AuditEvent::LayerDeleted { layer, user }]);
    assert_eq!(
        client.set(key, "v", 1, b"", Some("role")).unwrap_err(),
        Error::NotFound(NotFound::Layer)
    );
}

#[test]
fn a_hive_that_is_away_drops_the_entries_before_it_is_in_service_again_and_meanwhile_the_name_is_taken()
 {
    let (client, source, key) = with_role();
    client.disconnect(1);
    delete_role(&client).unwrap();
    let pending = client.open(&format!("{PENDING}\\Role")).unwrap();
    let marked = client.values(pending, 1 << 16).unwrap();
    assert_eq!(marked.iter().map(|value| value.name.as_str()).collect::<Vec<_>>(), ["Test"]);
    let anew = || client.create(&format!("{LAYERS}\\ROLE"));
    assert!(matches!(anew(), Err(Error::Busy(_))));
    assert_eq!(entries(&source), 2);
    client.serve(3, &[("Test", &source)]).unwrap();
    assert_eq!(entries(&source), 0);
    assert!(client.open(&format!("{PENDING}\\Role")).is_err(), "the last hive took the key along");
    anew().unwrap();
    assert_eq!(client.query(key, "v").unwrap_err(), no_value());
}

#[test]
fn a_new_lcs_goes_on_where_the_last_one_was_interrupted() {
    let (client, source, _key) = with_role();
    client.world.fail_when(|request| {
        let refused = || Failure::refused(SourceError::StorageError);
        matches!(request, Request::DeleteLayer { .. }).then(refused)
    });
    delete_role(&client).unwrap();
    assert_eq!(entries(&source), 2);
    let anew = Client::new([]);
    let machine = client.machine.clone().unwrap();
    anew.serve(1, &[("Test", &source)]).unwrap();
    assert_eq!(entries(&source), 2, "without Machine nobody knows");
    anew.serve(2, &[("Machine", &machine)]).unwrap();
    assert_eq!(entries(&source), 0);
    assert!(anew.open(&format!("{PENDING}\\Role")).is_err());
}

#[test]
fn an_administrator_gives_a_source_up_that_never_returns() {
    let (client, _source, _key) = with_role();
    client.disconnect(1);
    delete_role(&client).unwrap();
    let pending = client.open(&format!("{PENDING}\\Role")).unwrap();
    assert!(matches!(client.set(pending, "Test", 0, b"", None), Err(Error::Invalid(_))));
    assert!(matches!(client.create(&format!("{PENDING}\\More")), Err(Error::Invalid(_))));
    client.delete(pending, None).unwrap();
    client.create(&format!("{LAYERS}\\Role")).unwrap();
}

#[test]
fn a_step_that_fails_leaves_the_layer_whole() {
    let (client, source, key) = with_role();
    client.world.fail_when(|request| {
        let refused = || Failure::refused(SourceError::StorageError);
        matches!(request, Request::Apply { .. }).then(refused)
    });
    assert_eq!(delete_role(&client).unwrap_err(), Error::Source(SourceError::StorageError));
    client.world.fail_no_more();
    assert_eq!(entries(&source), 2);
    assert_eq!(client.query(key, "v").unwrap().data, b"role");
    client.set(key, "v", 1, b"more", Some("role")).unwrap();
}

#[test]
fn transactions_that_wrote_into_the_layer_end_with_it_and_others_go_on() {
    let (client, _source, _key) = with_role();
    let (wrote, other) = (client.begin(), client.begin());
    for (transaction, layer) in [(wrote, Some("role")), (other, None)] {
        let derive = create_key("Test\\t", layer, false);
        client.derive(Some(transaction), derive).unwrap();
    }
    delete_role(&client).unwrap();
    assert_eq!(client.state(wrote), TransactionState::Aborted);
    client.commit(other).unwrap();
}

#[test]
fn who_writes_into_a_layer_while_it_goes_leaves_nothing_there() {
    for delays in [[0, 3, 1, 0, 2], [2, 0, 0, 4, 1], [1, 1, 5, 0, 0], [4, 2, 3, 1, 5]] {
        let (client, source, key) = with_role();
        let metadata = client.open(&format!("{LAYERS}\\role")).unwrap();
        client.world.set_delays(delays.into());
        let writer = async {
            let blanket = client.registry.set_blanket(key, in_layer(Some("role"))).await;
            let derive = create_key("Test\\w", Some("role"), false);
            let made = client.registry.derive(None, &system(), derive).await;
            for error in [blanket.err(), made.err()].into_iter().flatten() {
                assert_eq!(error, Error::NotFound(NotFound::Layer));
            }
        };
        let deletion = client.registry.delete_key(metadata, in_layer(None));
        let (deleted, ()) = client.run(join(deletion, writer));
        deleted.unwrap();
        assert_eq!(entries(&source), 0, "{delays:?}");
    }
}

#[test]
fn clients_do_not_find_machine_before_its_layers_are_known() {
    let (client, _source, _key) = with_role();
    let machine = client.machine.clone().unwrap();
    client.disconnect(MACHINE);
    let (anew, caller) = (Client::new([]), system());
    anew.world.set_delays(vec![3]);
    let base = || create_key(&format!("{LAYERS}\\base"), None, false);
    let hives = [("Machine", &machine)];
    let serve = anew.serving(1, &hives);
    let early = anew.registry.derive(None, &caller, base());
    let (served, early) = anew.run(join(serve, early));
    served.unwrap();
    assert_eq!(early.unwrap_err(), Error::NotFound(NotFound::Hive));
    assert!(matches!(anew.derive(None, base()), Err(Error::Invalid(_))));
}
