//! Whatever is changed: a registry that remembers says afterwards what one says that asks anew.

use lcs_abi::call::{
    CREATE_LINK, DACL_SECURITY_INFORMATION, DeleteValue, Derive, OPEN_LINK, SetSecurity,
    SetTombstone, SetValue, Unhide,
};
use lcs_abi::rsi::{Changes, Mutation, Name, Request, SourceError};
use lcs_core::registry::{Error, Fault, HandleId};
use lcs_core::security::SecurityDescriptor;

use crate::common::client::{ALL, MACHINE, ROOM, in_layer, layer, open_key};
use crate::common::streams::{back_up, restore};
use crate::common::world::{Failure, Source};
use crate::common::{Client, client};

const LAYERS: &str = "Machine\\System\\Registry\\Layers";

/// What is looked at.
const PATHS: [&str; 8] = [
    "Test",
    "Test\\k",
    "Test\\k\\sub",
    "Test\\k\\masked",
    "Test\\k\\roles",
    "Test\\k\\missing",
    "Test\\link",
    "Test\\link\\sub",
];

/// The values that are looked at, of each key.
const NAMES: [&str; 4] = ["", "v", "w", "missing"];

/// What nobody changes, six names deep.
const ELSEWHERE: &str = "Test\\other\\a\\b\\c\\d";

struct Fixture {
    client: Client,
    source: Source,
    /// A root in whose view there is a private layer.
    view: HandleId,
    /// A key with values in several layers.
    key: HandleId,
}

impl Fixture {
    fn new() -> Fixture {
        let layers = [layer("role", 0, true), layer("policy", 5, true), layer("private", 0, false)];
        let (client, source) = Client::with_hive(layers);
        let view = Derive::View {
            scopes: Vec::new(),
            private_layers: vec!["private".into()],
            sealed: false,
        };
        let root = client.registry.open_root(None, client::system().token).unwrap();
        let view = client.derive(Some(root), view).unwrap();
        let key = client.create("Test\\k").unwrap();
        for name in ["sub", "masked"] {
            client.close(client.create(&format!("Test\\k\\{name}")).unwrap());
        }
        client.close(client.create_in("Test\\k\\roles", Some("role")).unwrap());
        let masked = client.open("Test\\k\\masked").unwrap();
        client.hide(masked, Some("policy")).unwrap();
        client.close(masked);
        for (name, layer) in [
            ("v", None),
            ("v", Some("role")),
            ("v", Some("private")),
            ("w", Some("policy")),
            ("", None),
        ] {
            client.set(key, name, 1, layer.unwrap_or("base").as_bytes(), layer).unwrap();
        }
        client.link("Test\\link", "Test\\k");
        let mut path = String::from("Test");
        for name in ["other", "a", "b", "c", "d"] {
            path = format!("{path}\\{name}");
            client.close(client.create(&path).unwrap());
        }
        let other = client.open(ELSEWHERE).unwrap();
        client.set(other, "v", 1, b"other", None).unwrap();
        client.close(other);
        Fixture { client, source, view, key }
    }

    /// All that clients can see, in two views.
    fn look(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for root in [None, Some(self.view)] {
            for path in PATHS {
                for flags in [0, OPEN_LINK] {
                    let open = Derive::OpenKey { path: path.into(), access: ALL, flags };
                    let opened = self.client.derive(root, open);
                    seen.push(format!("{root:?} {path} {flags}: {}", opened.is_ok()));
                    match opened {
                        Ok(key) => self.look_at(key, &mut seen),
                        Err(error) => seen.push(format!("{error:?}")),
                    }
                }
            }
        }
        seen
    }

    fn look_at(&self, key: HandleId, seen: &mut Vec<String>) {
        let client = &self.client;
        for name in NAMES {
            seen.push(format!("{name}: {:?}", client.query(key, name)));
        }
        seen.push(format!("{:?}", client.values(key, ROOM)));
        seen.push(format!("{:?}", client.subkeys(key, true, ROOM)));
        let mut details = client.details(key).expect("an open key");
        details.generation = 0;
        seen.push(format!("{details:?}"));
        let security = lcs_abi::call::GetSecurity { parts: DACL_SECURITY_INFORMATION };
        let security = client.run(client.registry.get_security(key, security));
        seen.push(format!("{:?}", security.expect("an open key").sd));
        client.close(key);
    }

    fn look_elsewhere(&self) {
        let key = self.client.open(ELSEWHERE).expect("nobody changes it");
        assert_eq!(self.client.query(key, "V").unwrap().data, b"other");
        assert!(self.client.query(key, "missing").is_err());
        assert!(self.client.open(&format!("{ELSEWHERE}\\missing")).is_err());
        self.client.close(key);
    }

    /// How many requests an operation takes.
    fn requests<T>(&self, operation: impl FnOnce() -> T) -> usize {
        self.client.world.take_requests();
        operation();
        self.client.world.take_requests().len()
    }

    fn forget(&self) {
        self.client.forget(1);
        self.client.forget(MACHINE);
    }

    fn set(&self, name: &str, data: &[u8], layer: Option<&str>) -> Result<u64, Error> {
        self.client.set(self.key, name, 1, data, layer)
    }

    /// An operation on a key that is opened for it.
    fn at<T>(
        &self,
        path: &str,
        operation: impl FnOnce(&Client, HandleId) -> Result<T, Error>,
    ) -> T {
        let key = self.client.open(path).expect("a key");
        let done = operation(&self.client, key).expect("SYSTEM may");
        self.client.close(key);
        done
    }

    /// Has the source answer the next step so.
    fn fail_once(&self, failure: Failure) {
        let mut failure = Some(failure);
        self.client.world.fail_when(move |request| {
            if matches!(request, Request::Apply { .. }) { failure.take() } else { None }
        });
    }
}

/// What an act does to what is seen.
#[derive(Clone, Copy, PartialEq)]
enum Effect {
    /// It changes something.
    Some,
    /// The same, and what is known of the whole hive goes.
    Much,
    /// It changes nothing.
    None,
}

/// Does something with a warm registry.
fn try_one(effect: Effect, act: impl FnOnce(&Fixture)) {
    let fixture = Fixture::new();
    let before = fixture.look();
    fixture.look_elsewhere();
    assert_eq!(fixture.look(), before);
    assert_eq!(fixture.requests(|| fixture.look()), 0, "all of it is known");
    assert_eq!(fixture.requests(|| fixture.look_elsewhere()), 0, "all of it is known");
    act(&fixture);
    fixture.client.world.fail_no_more();
    let elsewhere = fixture.requests(|| fixture.look_elsewhere());
    let warm = fixture.look();
    fixture.forget();
    let cold = fixture.look();
    for (warm, cold) in warm.iter().zip(&cold) {
        assert_eq!(warm, cold);
    }
    assert_eq!(warm.len(), cold.len());
    assert_eq!(warm != before, effect != Effect::None, "whether it changed anything");
    if effect != Effect::Much {
        assert_eq!(elsewhere, 0, "what is known elsewhere stays");
    }
}

/// Tests of one act each.
macro_rules! acts {
    ($($name:ident: $effect:ident, |$fixture:ident| $act:expr;)*) => {
        $(#[test]
        fn $name() {
            try_one(Effect::$effect, |$fixture| {
                $act;
            });
        })*
    };
}

acts! {
    a_value_is_set: Some, |it| it.set("v", b"new", None).unwrap();
    a_value_is_set_that_is_masked: None, |it| it.set("w", b"masked", None).unwrap();
    a_value_is_set_in_a_private_layer: Some, |it| it.set("v", b"new", Some("private")).unwrap();
    a_value_is_set_that_was_missing: Some, |it| it.set("missing", b"here", None).unwrap();
    a_value_of_a_key_is_deleted: Some, |it| {
        let request = DeleteValue { name: "V".into(), layer: Some("role".into()) };
        it.client.run(it.client.registry.delete_value(it.key, request)).unwrap()
    };
    a_value_is_masked: Some, |it| {
        let request = SetTombstone { name: "v".into(), layer: Some("policy".into()) };
        it.client.run(it.client.registry.set_tombstone(it.key, request)).unwrap()
    };
    all_values_are_masked_and_shown_again: Some, |it| {
        let (registry, policy) = (&it.client.registry, || in_layer(Some("policy")));
        it.client.run(registry.set_blanket(it.key, policy())).unwrap();
        let masked = it.look();
        it.client.run(registry.clear_blanket(it.key, policy())).unwrap();
        assert_ne!(it.look(), masked);
        it.client.run(registry.set_blanket(it.key, in_layer(None))).unwrap()
    };
    a_key_is_created_that_was_missing: Some, |it| it.client.create("Test\\k\\missing").unwrap();
    a_key_is_deleted: Some, |it| it.at("Test\\k\\sub", |client, key| client.delete(key, None));
    a_key_is_deleted_in_one_layer: Some, |it| {
        it.at("Test\\k\\roles", |client, key| client.delete(key, Some("role")))
    };
    a_key_is_deleted_and_another_made_in_its_place: Some, |it| {
        it.at("Test\\k\\sub", |client, key| client.delete(key, None));
        it.client.create("Test\\k\\SUB").unwrap()
    };
    a_key_is_hidden: Some, |it| it.at("Test\\k\\sub", |client, key| client.hide(key, Some("role")));
    a_key_is_hidden_in_a_private_layer: Some, |it| {
        it.at("Test\\k\\sub", |client, key| client.hide(key, Some("private")))
    };
    a_key_is_unhidden: Some, |it| {
        let request = Unhide { child: "Masked".into(), layer: Some("policy".into()) };
        it.client.run(it.client.registry.unhide(it.key, request)).unwrap()
    };
    security_is_changed: Some, |it| {
        let sd: SecurityDescriptor = "D:(A;;KA;;;SY)(A;;KR;;;WD)".parse().unwrap();
        let request = SetSecurity { parts: DACL_SECURITY_INFORMATION, sd: sd.to_bytes() };
        it.client.run(it.client.registry.set_security(it.key, request)).unwrap()
    };
    a_layer_is_ranked_anew: Some, |it| it.at(&format!("{LAYERS}\\policy"), |client, key| {
        client.set(key, "Precedence", 4, &0_u32.to_le_bytes(), None)?;
        client.set(it.key, "w", 1, b"newest", None)
    });
    a_layer_is_disabled: Some, |it| it.at(&format!("{LAYERS}\\policy"), |client, key| {
        client.set(key, "Enabled", 4, &0_u32.to_le_bytes(), None)
    });
    a_layer_is_deleted: Much, |it| {
        it.at(&format!("{LAYERS}\\role"), |client, key| client.delete(key, None))
    };
    a_transaction_is_committed: Some, |it| {
        let transaction = it.client.begin();
        let inside = it.client.derive(Some(transaction), open_key("Test\\k")).unwrap();
        it.client.set(inside, "v", 1, b"committed", Some("policy")).unwrap();
        let made = it.client.derive(Some(inside), client::create_key("missing", None, false)).unwrap();
        it.client.set(made, "v", 1, b"in it", None).unwrap();
        let gone = it.client.derive(Some(inside), open_key("sub")).unwrap();
        it.client.delete(gone, None).unwrap();
        it.client.commit(transaction).unwrap()
    };
    a_transaction_is_given_up: None, |it| {
        let transaction = it.client.begin();
        let inside = it.client.derive(Some(transaction), open_key("Test\\k")).unwrap();
        it.client.set(inside, "v", 1, b"never", Some("policy")).unwrap();
        it.client.close(inside);
        it.client.close(transaction)
    };
    a_transaction_too_large_for_one_request_is_committed: Much, |it| {
        let transaction = it.client.begin();
        let inside = it.client.derive(Some(transaction), open_key("Test\\k")).unwrap();
        for number in 0..5 {
            it.client.set(inside, &format!("big{number}"), 3, &vec![number; 900_000], None).unwrap();
        }
        it.client.set(inside, "v", 1, b"with large ones", Some("policy")).unwrap();
        it.client.world.take_requests();
        it.client.commit(transaction).unwrap();
        let requests = it.client.world.take_requests();
        let stages = requests.iter().filter(|request| matches!(request, Request::Stage { .. }));
        assert!(stages.count() > 1, "it goes in pieces");
    };
    a_key_is_restored: Much, |it| {
        let stream = back_up(&it.client, it.key).unwrap();
        it.set("v", b"after the backup", Some("policy")).unwrap();
        it.look();
        restore(&it.client, it.key, &stream).unwrap()
    };
    a_link_leads_elsewhere: Some, |it| {
        let itself = Derive::OpenKey { path: "Test\\link".into(), access: ALL, flags: OPEN_LINK };
        let link = it.client.derive(None, itself).unwrap();
        it.client.set(link, "", 6, b"Test\\k\\sub", Some("policy")).unwrap()
    };
    a_link_is_made_in_the_place_of_a_key: Some, |it| {
        it.at("Test\\k\\sub", |client, key| client.delete(key, None));
        let link = Derive::CreateKey {
            path: "Test\\k\\sub".into(),
            access: ALL,
            layer: None,
            flags: CREATE_LINK,
            link_target: Some("Test\\other".into()),
        };
        it.client.derive(None, link).unwrap()
    };
    a_condition_does_not_hold: None, |it| {
        let request = SetValue {
            name: "v".into(),
            value_type: 1,
            data: b"never".into(),
            layer: None,
            expected_sequence: Some(0),
        };
        it.client.run(it.client.registry.set_value(it.key, request)).unwrap_err()
    };
    a_step_is_refused: None, |it| {
        it.fail_once(Failure::refused(SourceError::TooLarge));
        it.set("v", b"never", None).unwrap_err()
    };
    storage_fails: None, |it| {
        it.fail_once(Failure::refused(SourceError::StorageError));
        it.set("v", b"never", None).unwrap_err()
    };
    the_answer_to_a_step_with_an_effect_is_lost: Some, |it| {
        it.fail_once(Failure { fault: Fault::Down, takes_effect: true });
        it.set("v", b"there", None).unwrap_err()
    };
    the_answer_to_a_step_without_effect_is_lost: None, |it| {
        it.fail_once(Failure { fault: Fault::Down, takes_effect: false });
        it.set("v", b"never", None).unwrap_err()
    };
    the_answer_that_a_key_was_made_is_lost: Some, |it| {
        it.fail_once(Failure { fault: Fault::Down, takes_effect: true });
        it.client.create("Test\\k\\missing").unwrap_err()
    };
    a_source_comes_back_with_other_contents: Much, |it| {
        it.client.disconnect(1);
        assert_eq!(it.client.query(it.key, "v"), Err(Error::SourceDown), "what it said is not known");
        change_behind(it);
        it.client.serve(1, &[("Test", &it.source)]).unwrap()
    };
    a_source_says_that_something_changed: Much, |it| {
        change_behind(it);
        it.client.forget(1)
    };
    a_source_says_that_a_key_changed: Some, |it| {
        let key = it.client.details(it.key).unwrap().guid;
        change_behind(it);
        let said = it.client.registry.invalidated(lcs_core::registry::ConnectionId(1), 0, Some(vec![key]));
        it.client.run(said)
    };
}

/// Changes a value without LCS.
fn change_behind(fixture: &Fixture) {
    // Its number is one that LCS has given out by then.
    fixture.at("Machine", |client, key| client.set(key, "v", 1, b"", None));
    let name = |text: &str| Name { display: text.into(), folded: text.into() };
    let key = match fixture
        .source
        .ask(&Request::Lookup { parent: fixture.source.root(), name: "k".into() })
    {
        Ok(lcs_abi::rsi::Answer::Entries { keys, .. }) => keys[0].key,
        other => panic!("no key: {other:?}"),
    };
    let write = Mutation::SetValue {
        key,
        name: name("v"),
        layer: name("policy"),
        value_type: 1,
        data: b"behind".into(),
    };
    let first_sequence = fixture.source.max_sequence() + 1;
    let changes = Changes::Mutations([write].into());
    let step = Request::Apply { conditions: Vec::new(), changes, first_sequence };
    fixture.source.ask(&step).unwrap();
}
