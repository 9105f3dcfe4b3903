//! What takes more than a right on the key: links, precedences, private layers, scopes.

use lcs_abi::Guid;
use lcs_abi::call::{CREATE_LINK, Derive, SetSecurity};
use lcs_abi::security::Access;
use lcs_core::registry::{Caller, Error, HandleId, NotFound};

use crate::common::Client;
use crate::common::client::{ALL, create_key, layer, open_key, user};

const REGISTRY: &str = "Machine\\System\\Registry";

/// Everybody may do everything with it.
const OPEN: &str = "O:SYG:SYD:(A;CI;KA;;;WD)";

fn alice() -> Caller {
    user(1000, &[])
}

/// Lets everybody do everything with a key, and with what is made below it from now on.
fn open_up(client: &Client, path: &str) {
    let key = client.open(path).unwrap();
    let sd: lcs_core::security::SecurityDescriptor = OPEN.parse().unwrap();
    let request = SetSecurity { parts: 4, sd: sd.to_bytes() };
    client.run(client.registry.set_security(key, request)).unwrap();
    client.close(key);
}

fn link(path: &str, target: &str) -> Derive {
    Derive::CreateKey {
        path: path.into(),
        access: ALL,
        layer: None,
        flags: CREATE_LINK,
        link_target: Some(target.into()),
    }
}

fn view(scopes: &[Guid], private_layers: &[&str]) -> Derive {
    let private_layers = private_layers.iter().map(|layer| (*layer).into()).collect();
    Derive::View { scopes: scopes.into(), private_layers, sealed: false }
}

fn denied(missing: Access) -> Result<HandleId, Error> {
    Err(Error::AccessDenied { missing })
}

#[test]
fn only_administrators_make_links_and_only_where_both_rights_are_granted() {
    let (client, _) = Client::with_hive([]);
    open_up(&client, "Test");
    let made = client.derive_as(&alice(), None, link("Test\\l", "Test"));
    assert_eq!(made, Err(Error::PrivilegeMissing));
    client.derive_as(&alice(), None, create_key("Test\\k", None, false)).unwrap();
    for target in ["", "Test\\", "\\Test", "a\\\\b"] {
        let made = client.derive(None, link("Test\\l", target));
        assert!(matches!(made, Err(Error::Invalid(_))), "{target:?}");
    }
    client.derive(None, link("Test\\l", "Test\\k")).unwrap();
    let opened = client.derive_as(&alice(), None, open_key("Test\\l")).unwrap();
    assert_eq!(client.details(opened).unwrap().path, "Test\\k");
}

#[test]
fn an_open_follows_so_many_links_and_no_more_and_current_user_is_no_target() {
    let (client, _) = Client::with_hive([]);
    for number in 1..=17_u8 {
        let target = format!("Test\\{}", number - 1);
        client.derive(None, link(&format!("Test\\{number}"), &target)).unwrap();
    }
    client.create("Test\\0").unwrap();
    assert!(client.open("Test\\16").is_ok());
    assert_eq!(client.open("Test\\17"), Err(Error::LinkLoop));
    client.derive(None, link("Test\\me", "Test\\me")).unwrap();
    assert_eq!(client.open("Test\\me"), Err(Error::LinkLoop));
    client.derive(None, link("Test\\mine", "CurrentUser\\k")).unwrap();
    assert_eq!(client.open("Test\\mine"), Err(Error::NotFound(NotFound::Hive)));
}

#[test]
fn a_precedence_above_zero_takes_the_privilege_wherever_it_is_written() {
    let client = Client::new([layer("Role", 0, true)]);
    open_up(&client, &format!("{REGISTRY}\\Layers"));
    open_up(&client, &format!("{REGISTRY}\\Layers\\Role"));
    let role = open_key(&format!("{REGISTRY}\\Layers\\Role"));
    let key = client.derive_as(&alice(), None, role).unwrap();
    let set = |key, number: u32| client.set(key, "precedence", 4, &number.to_le_bytes(), None);
    assert_eq!(set(key, 1), Err(Error::PrivilegeMissing));
    set(key, 0).unwrap();
    // What is no precedence gives none.
    client.set(key, "Precedence", 1, b"1", None).unwrap();

    let transaction = client.derive_as(&alice(), None, Derive::BeginTransaction).unwrap();
    let own = create_key(&format!("{REGISTRY}\\Layers\\Own"), None, false);
    let own = client.derive_as(&alice(), Some(transaction), own).unwrap();
    assert_eq!(set(own, 1), Err(Error::PrivilegeMissing));
    // SYSTEM writes it in Alice's transaction; it is she who would publish it.
    let by_system = open_key(&format!("{REGISTRY}\\Layers\\Own"));
    let by_system = client.derive(Some(transaction), by_system).unwrap();
    set(by_system, 1).unwrap();
    assert_eq!(client.commit(transaction), Err(Error::PrivilegeMissing));
    set(by_system, 0).unwrap();
    client.commit(transaction).unwrap();
}

#[test]
fn a_private_layer_is_attached_by_whom_its_key_lets_and_a_policy_only_with_the_privilege() {
    let client = Client::new([layer("Role", 0, false), layer("Policy", 1, false)]);
    let attach = |layer| client.derive_as(&alice(), None, view(&[], &[layer]));
    assert!(attach("role").is_ok(), "its descriptor has no DACL");
    assert!(attach("base").is_ok());
    assert_eq!(attach("policy"), Err(Error::PrivilegeMissing));
    assert_eq!(attach("none"), Err(Error::NotFound(NotFound::Layer)));
    let made = client.create(&format!("{REGISTRY}\\Layers\\Closed")).unwrap();
    client.close(made);
    let sd: lcs_core::security::SecurityDescriptor = "O:SYG:SYD:(A;;KR;;;WD)".parse().unwrap();
    let key = client.open(&format!("{REGISTRY}\\Layers\\Closed")).unwrap();
    let request = SetSecurity { parts: 4, sd: sd.to_bytes() };
    client.run(client.registry.set_security(key, request)).unwrap();
    assert_eq!(attach("closed"), denied(Access::CREATE_SUB_KEY));
    assert!(client.derive(None, view(&[], &["policy", "closed"])).is_err(), "not for SYSTEM, too");
}

#[test]
fn a_scope_is_joined_by_whom_its_key_lets_and_others_do_not_learn_whether_it_is_there() {
    let client = Client::new([layer("Role", 0, true)]);
    let (there, absent) = (Guid([7; 16]), Guid([8; 16]));
    let scope = client.create(&format!("{REGISTRY}\\Scopes\\{there}")).unwrap();
    let join = |scope| client.derive_as(&alice(), None, view(&[scope], &[]));
    assert_eq!(join(there), denied(Access::CREATE_SUB_KEY));
    assert_eq!(join(absent), denied(Access::CREATE_SUB_KEY));
    let sd: lcs_core::security::SecurityDescriptor = OPEN.parse().unwrap();
    let request = SetSecurity { parts: 4, sd: sd.to_bytes() };
    client.run(client.registry.set_security(scope, request)).unwrap();
    let joined = join(there).unwrap();
    // A view only grows, and only from roots.
    assert!(client.derive_as(&alice(), Some(joined), view(&[there], &["role"])).is_ok());
    let key = client.open("Machine").unwrap();
    assert_eq!(client.derive(Some(key), view(&[there], &[])), Err(Error::BadHandle));
    let many: Vec<Guid> = (0..9).map(|number| Guid([number; 16])).collect();
    let too_many = client.derive(None, view(&many, &[]));
    assert_eq!(too_many, Err(Error::LimitExceeded("MaxScopeGUIDsPerToken")));
}
