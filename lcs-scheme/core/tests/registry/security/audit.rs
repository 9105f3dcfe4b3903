//! What is recorded before it is answered.

use lcs_abi::security::Access;
use lcs_core::registry::{AuditEvent, Caller, Error, HandleId, KeyOpen};
use lcs_core::security::Sid;

use super::{ALICE, BOB, alice, bob, create, open};
use crate::common::Client;
use crate::common::client::create_key;

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
