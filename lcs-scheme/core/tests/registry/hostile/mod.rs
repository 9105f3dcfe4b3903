//! A source that answers anything that can be said: every operation ends, and what cannot be is not
//! believed.

mod lies;

use std::cell::Cell;
use std::rc::Rc;

use lcs_abi::Guid;
use lcs_abi::call::{DeleteValue, QueryValue, QueryValues, Unhide};
use lcs_abi::rsi::{Answer, Request, ValueEntry};
use lcs_core::registry::{AuditEvent, Error, HandleId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{MACHINE, ROOM, create_key, in_layer, layer, open_key};
use lies::{Bend, Lie, lie};

/// More requests than any operation here makes of an honest source.
const ENDLESS: usize = 2000;

/// A liar with a registry that does not know it yet.
struct Liar {
    client: Client,
    asked: Rc<Cell<usize>>,
    /// Before each operation LCS forgets what the liar has said so far.
    forgets: bool,
}

impl Liar {
    fn new() -> Liar {
        let layers = [layer("r1", 0, true), layer("policy", 5, true)];
        let (client, _) = Client::with_hive(layers);
        let key = client.create("Test\\k").unwrap();
        for name in ["", "a", "v"] {
            client.set(key, name, 3, b"data", None).unwrap();
            client.set(key, name, 3, b"data", Some("policy")).unwrap();
        }
        let hidden = client.create("Test\\k\\hidden").unwrap();
        client.hide(hidden, Some("r1")).unwrap();
        client.create("Test\\k\\c").unwrap();
        Liar { client, asked: Rc::default(), forgets: true }
    }

    /// From now on the source tells these lies, over and over.
    fn lie(&self, lies: Vec<Lie>) {
        let (asked, mut next) = (Rc::clone(&self.asked), 0);
        self.client.world.lie(move |_, truth| {
            asked.set(asked.get() + 1);
            assert!(asked.get() < ENDLESS, "the operation does not end");
            next = (next + 1) % lies.len();
            lies[next].tell(truth)
        });
    }

    /// Tries an operation, and gives what came of it if that is possible at all.
    fn attempt<T>(
        &self,
        what: &str,
        operation: impl FnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.forgets {
            self.client.forget(1);
        }
        self.asked.set(0);
        self.client.world.take_audit();
        let done = operation(&self.client);
        match &done {
            Ok(_) => {}
            Err(Error::SourceData) => {
                let recorded = self.client.world.take_audit();
                let of_test = |event: &AuditEvent| {
                    matches!(event, AuditEvent::SourceDataRejected { hive, .. } if hive == "Test")
                };
                assert!(recorded.iter().any(of_test), "{what}: {recorded:?}");
            }
            Err(
                Error::NotFound(_)
                | Error::Invalid(_)
                | Error::NotEmpty
                | Error::AlreadyExists
                | Error::ConditionFailed
                | Error::Source(_)
                // The record says that it is a link.
                | Error::NotSupported,
            ) => {}
            Err(other) => panic!("{what}: {other:?}"),
        }
        done
    }

    /// Lies to every operation, on handles that were honestly opened.
    fn attempt_all(&self, lies: Vec<Lie>, volatile: bool) {
        let key = self.client.open("Test\\k").expect("the truth so far");
        let child = self.client.open("Test\\k\\c").expect("the truth so far");
        self.lie(lies);
        let named = |name: &str| name.to_string();
        let _ = self.attempt("open", |client| client.open("Test\\k\\c"));
        let _ = self.attempt("open", |client| client.derive(Some(key), open_key("")));
        let _ = self.attempt("create", |client| {
            client.derive(Some(key), create_key("new", Some("r1"), volatile))
        });
        let _ = self.attempt("query", |client| {
            client.run(client.registry.query_value(key, QueryValue { name: named("V") }))
        });
        let _ = self.attempt("values", |client| {
            client.run(client.registry.query_values(key, QueryValues::default(), ROOM))
        });
        let _ = self.attempt("values", |client| {
            let request = QueryValues { cursor: Some(named("a")) };
            client.run(client.registry.query_values(key, request, ROOM))
        });
        let _ = self.attempt("subkeys", |client| client.subkeys(key, true, ROOM));
        let _ = self.attempt("info", |client| client.details(key));
        let _ = self.attempt("set", |client| client.set(key, "v", 1, b"x", Some("r1")));
        let _ = self.attempt("unset", |client| {
            let request = DeleteValue { name: named("v"), layer: None };
            client.run(client.registry.delete_value(key, request))
        });
        let _ = self.attempt("blanket", |client| {
            client.run(client.registry.set_blanket(key, in_layer(None)))
        });
        let _ = self.attempt("hide", |client| client.hide(child, Some("policy")));
        let _ = self.attempt("unhide", |client| {
            let request = Unhide { child: named("hidden"), layer: Some(named("r1")) };
            client.run(client.registry.unhide(key, request))
        });
        let _ = self.attempt("delete", |client| client.delete(child, None));
        let _ = self.attempt("delete", |client| client.delete(key, None));
        let _ = self.attempt("flush", |client| client.run(client.registry.flush(key)));
        self.asked.set(0);
        self.client.close(child);
        self.client.close(key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_operation_ends_whatever_a_source_says(
        lies in vec(lie(), 1..40),
        volatile in any::<bool>(),
        forgets in any::<bool>(),
    ) {
        let liar = Liar { forgets, ..Liar::new() };
        liar.attempt_all(lies, volatile);
        // What was held is free again.
        liar.client.world.lie_no_more();
        liar.client.create("Test\\after").unwrap();
    }

    #[test]
    fn lies_about_machine_stop_neither_its_registration_nor_other_hives(
        lies in vec(lie(), 1..20),
    ) {
        let liar = Liar::new();
        let machine = liar.client.machine.clone().unwrap();
        liar.client.disconnect(MACHINE);
        liar.lie(lies);
        liar.client.serve(2, &[("Machine", &machine)]).unwrap();
        liar.client.world.lie_no_more();
        liar.client.open("Test\\k").unwrap();
        liar.client.disconnect(2);
    }
}

#[test]
fn a_source_that_gives_the_first_page_for_ever_is_found_out() {
    type Case = (fn(&Request) -> bool, fn(&Client, HandleId) -> Result<(), Error>);
    let cases: [Case; 3] = [
        (
            |request| matches!(request, Request::QueryValue { .. }),
            |client, key| client.query(key, "v").map(drop),
        ),
        (
            |request| matches!(request, Request::QueryValues { .. }),
            |client, key| client.values(key, ROOM).map(drop),
        ),
        (
            |request| matches!(request, Request::EnumChildren { .. }),
            |client, key| client.subkeys(key, false, ROOM).map(drop),
        ),
    ];
    for (of, operation) in cases {
        let liar = Liar::new();
        let key = liar.client.open("Test\\k").unwrap();
        let (asked, mut first) = (Rc::clone(&liar.asked), None);
        liar.client.world.lie(move |request, mut truth| {
            if !of(request) {
                return truth;
            }
            asked.set(asked.get() + 1);
            assert!(asked.get() < ENDLESS, "the operation does not end");
            if let Ok(Answer::Entries { more, .. } | Answer::Values { more, .. }) = &mut truth {
                *more = true;
            }
            first.get_or_insert(truth).clone()
        });
        let done = liar.attempt("the first page", |client| operation(client, key));
        assert_eq!(done, Err(Error::SourceData));
        assert_eq!(liar.asked.get(), 2);
    }
}

#[test]
fn a_value_with_layers_without_end_is_found_out() {
    let liar = Liar::new();
    let key = liar.client.open("Test\\k").unwrap();
    let (asked, mut layer, mut entry) = (Rc::clone(&liar.asked), 0, None);
    liar.client.world.lie(move |request, mut truth| {
        if let (Request::QueryValue { .. }, Ok(Answer::Values { entries, more, .. })) =
            (request, &mut truth)
        {
            let entry: &mut ValueEntry = entry.get_or_insert_with(|| entries[0].clone());
            *entries = (layer..layer + 8)
                .map(|number| {
                    entry.layer.display = format!("x{number:08}");
                    entry.layer.folded = entry.layer.display.clone();
                    entry.clone()
                })
                .collect();
            layer += 8;
            *more = true;
            asked.set(asked.get() + 1);
            assert!(asked.get() < ENDLESS, "the operation does not end");
        }
        truth
    });
    let done = liar.attempt("layers", |client| client.query(key, "v").map(drop));
    assert_eq!(done, Err(Error::SourceData));
}

/// Which requests are answered with the lie, the lie, and an operation that makes such a request.
type Case = (fn(&Request) -> bool, Lie, fn(&Client) -> Result<(), Error>);

#[test]
fn what_cannot_be_is_rejected_and_recorded() {
    type Try = fn(&Client) -> Result<(), Error>;
    let open: Try = |client| client.open("Test\\k").map(drop);
    let list: Try = |client| {
        let root = client.open("Test\\k").unwrap();
        client.subkeys(root, false, ROOM).map(drop)
    };
    let query: Try = |client| {
        let key = client.open("Test\\k").unwrap();
        client.query(key, "v").map(drop)
    };
    let values: Try = |client| {
        let key = client.open("Test\\k").unwrap();
        client.values(key, ROOM).map(drop)
    };
    let set: Try = |client| {
        let key = client.open("Test\\k").unwrap();
        client.set(key, "v", 1, b"", None).map(drop)
    };
    let flush: Try = |client| {
        let key = client.open("Test\\k").unwrap();
        client.run(client.registry.flush(key))
    };
    let lookup: fn(&Request) -> bool = |request| matches!(request, Request::Lookup { .. });
    let children: fn(&Request) -> bool = |request| matches!(request, Request::EnumChildren { .. });
    let value: fn(&Request) -> bool = |request| matches!(request, Request::QueryValue { .. });
    let listing: fn(&Request) -> bool = |request| matches!(request, Request::QueryValues { .. });
    let apply: fn(&Request) -> bool = |request| matches!(request, Request::Apply { .. });
    let flushing: fn(&Request) -> bool = |request| matches!(request, Request::Flush);
    let bent = Lie::Bent;
    let cases: Vec<Case> = vec![
        (lookup, Lie::Anything(Answer::Done), open),
        (lookup, bent(Bend::MoreWithoutProgress), open),
        (lookup, bent(Bend::NoRecords), open),
        (lookup, bent(Bend::OtherParent(0)), open),
        (lookup, bent(Bend::OwnParent(0)), open),
        (lookup, bent(Bend::OtherName(0)), open),
        (lookup, bent(Bend::WrongFolding(0)), open),
        (lookup, bent(Bend::NoName(0)), open),
        (lookup, bent(Bend::BadLayer(0)), open),
        (lookup, bent(Bend::LongName(0)), open),
        (lookup, bent(Bend::Sequence(0, u64::MAX)), open),
        (lookup, bent(Bend::Sequence(0, 1000)), open),
        (lookup, bent(Bend::Twice(0)), open),
        (lookup, bent(Bend::Tie(0)), open),
        (lookup, bent(Bend::OtherTarget(0, Guid([7; 16]))), open),
        (children, bent(Bend::Reverse), list),
        (children, bent(Bend::MoreWithoutProgress), list),
        (children, bent(Bend::MoreAndNothing), list),
        (children, bent(Bend::OtherTarget(0, Guid([7; 16]))), list),
        (value, bent(Bend::LongName(0)), query),
        (value, bent(Bend::Reverse), query),
        (value, bent(Bend::MoreWithoutProgress), query),
        (value, bent(Bend::MoreAndNothing), query),
        (value, bent(Bend::OtherParent(0)), query),
        (value, bent(Bend::OtherName(1)), query),
        (value, bent(Bend::Sequence(0, 1000)), query),
        (value, bent(Bend::Twice(0)), query),
        (value, bent(Bend::BadType(0, 12)), query),
        (value, bent(Bend::BadType(0, 0xFFFF)), query),
        (listing, bent(Bend::Reverse), values),
        (listing, bent(Bend::MoreWithoutProgress), values),
        (listing, bent(Bend::MoreAndNothing), values),
        (listing, bent(Bend::NoName(0)), values),
        (listing, bent(Bend::BadLayer(0)), values),
        (listing, bent(Bend::WrongFolding(2)), values),
        (apply, Lie::Anything(Answer::Done), set),
        // This source registered as one that does not give out numbers.
        (apply, Lie::Anything(Answer::Applied { first_sequence: Some(9) }), set),
        (flushing, Lie::Anything(Answer::Copied { number: 1 }), flush),
    ];
    for (of, lie, operation) in cases {
        let liar = Liar::new();
        let told = lie.clone();
        liar.client.world.lie(
            move |request, truth| {
                if of(request) { told.tell(truth) } else { truth }
            },
        );
        let what = format!("{lie:?}");
        assert_eq!(liar.attempt(&what, operation), Err(Error::SourceData), "{what}");
    }
}
