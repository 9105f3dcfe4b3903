//! Many operations at once, on few names, with answers that come late and out of order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use futures_executor::block_on;
use futures_util::future::{join, join_all, join3};
use lcs_abi::Guid;
use lcs_abi::call::{EnumSubkeys, QueryValue, SetValue, Unhide};
use lcs_abi::rsi::{Answer, Request, Target};
use lcs_core::registry::{Error, HandleId, NotFound};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{ROOM, create_key, in_layer, open_key, system};
use crate::common::world::Source;
use crate::histories::failure;
use crate::histories::operations::{Pick, pick, rules, table};
use crate::model::{Failure, Key, Model, ROOT};

/// The layers that are written, as the table spells them and folded.
const LAYERS: [(&str, &str); 3] = [("base", "base"), ("R1", "r1"), ("Policy", "policy")];

/// What a client does. Handles and layers are given by number, modulo what there is.
#[derive(Clone, Debug)]
enum Act {
    Create { on: u8, name: Pick, layer: u8 },
    Open { on: u8, name: Pick },
    Close { handle: u8 },
    Delete { handle: u8, layer: u8 },
    Hide { handle: u8, layer: u8 },
    Unhide { handle: u8, child: Pick, layer: u8 },
    Set { handle: u8, data: u8, layer: u8 },
    Query { handle: u8 },
    List { handle: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    let number = any::<u8>;
    let layer = || 0..LAYERS.len() as u8;
    // Three names, so that clients meet.
    prop_oneof![
        5 => (number(), pick(), layer()).prop_map(|(on, name, layer)| Act::Create { on, name, layer }),
        3 => (number(), pick()).prop_map(|(on, name)| Act::Open { on, name }),
        2 => number().prop_map(|handle| Act::Close { handle }),
        4 => (number(), layer()).prop_map(|(handle, layer)| Act::Delete { handle, layer }),
        2 => (number(), layer()).prop_map(|(handle, layer)| Act::Hide { handle, layer }),
        1 => (number(), pick(), layer())
            .prop_map(|(handle, child, layer)| Act::Unhide { handle, child, layer }),
        2 => (number(), number(), layer())
            .prop_map(|(handle, data, layer)| Act::Set { handle, data, layer }),
        1 => number().prop_map(|handle| Act::Query { handle }),
        2 => number().prop_map(|handle| Act::List { handle }),
    ]
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Opened { created: bool },
    Done,
    Data(Vec<u8>),
    Names(Vec<String>),
    Failed(Failure),
}

/// An act as it was seen to happen: somewhere between two moments.
#[derive(Clone, Debug)]
struct Happened {
    began: u64,
    ended: u64,
    act: Act,
    outcome: Outcome,
}

/// The clients' common registry: a hive with a key `p`.
struct Stage {
    client: Client,
    source: Source,
    /// The hive's root and `p`; every client has them open from the beginning.
    common: [HandleId; 2],
    moment: Cell<u64>,
}

impl Stage {
    fn new(delays: Vec<u8>) -> Stage {
        let (client, source) = Client::with_hive(table());
        let common = [client.open("Test").unwrap(), client.create("Test\\p").unwrap()];
        client.world.set_delays(delays);
        Stage { client, source, common, moment: Cell::new(0) }
    }

    fn tick(&self) -> u64 {
        self.moment.set(self.moment.get() + 1);
        self.moment.get()
    }

    async fn do_all(&self, acts: &[Act], handles: &RefCell<Vec<HandleId>>) -> Vec<Happened> {
        let mut happened = Vec::new();
        for act in acts {
            let began = self.tick();
            let outcome = self.do_one(act, handles).await;
            let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(failure(error)));
            happened.push(Happened { began, ended: self.tick(), act: act.clone(), outcome });
        }
        happened
    }

    async fn do_one(&self, act: &Act, handles: &RefCell<Vec<HandleId>>) -> Result<Outcome, Error> {
        let registry = &self.client.registry;
        let handle = |number: u8| {
            let handles = handles.borrow();
            handles[usize::from(number) % handles.len()]
        };
        let layer = |number: u8| Some(LAYERS[usize::from(number)].0);
        match act {
            Act::Create { on, name, layer: number } => {
                let derive = create_key(&name.key().display, layer(*number), false);
                let made = registry.derive(Some(handle(*on)), &system(), derive).await?;
                handles.borrow_mut().push(made);
                let created =
                    registry.key_info(made).await.expect("an open key is there").answer.created;
                Ok(Outcome::Opened { created })
            }
            Act::Open { on, name } => {
                let derive = open_key(&name.key().display);
                let made = registry.derive(Some(handle(*on)), &system(), derive).await?;
                handles.borrow_mut().push(made);
                Ok(Outcome::Opened { created: false })
            }
            Act::Close { handle } => {
                let closed = closable(*handle, handles.borrow().len());
                if let Some(closed) = closed {
                    let closed = handles.borrow_mut().remove(closed);
                    registry.close(closed).await;
                }
                Ok(Outcome::Done)
            }
            Act::Delete { handle: number, layer: in_ } => {
                let done = registry.delete_key(handle(*number), in_layer(layer(*in_))).await;
                done.map(|()| Outcome::Done)
            }
            Act::Hide { handle: number, layer: in_ } => {
                let done = registry.hide_key(handle(*number), in_layer(layer(*in_))).await;
                done.map(|()| Outcome::Done)
            }
            Act::Unhide { handle: number, child, layer: in_ } => {
                let layer = layer(*in_).map(Into::into);
                let request = Unhide { child: child.key().display, layer };
                registry.unhide(handle(*number), request).await.map(|()| Outcome::Done)
            }
            Act::Set { handle: number, data, layer: in_ } => {
                let request = SetValue {
                    name: "v".into(),
                    value_type: 3,
                    data: vec![*data],
                    layer: layer(*in_).map(Into::into),
                    expected_sequence: None,
                };
                registry.set_value(handle(*number), request).await.map(|_| Outcome::Done)
            }
            Act::Query { handle: number } => {
                let request = QueryValue { name: "V".into() };
                let found = registry.query_value(handle(*number), request).await?;
                Ok(Outcome::Data(found.answer.data))
            }
            Act::List { handle: number } => {
                let request = EnumSubkeys::default();
                let page = registry.enum_subkeys(handle(*number), request, ROOM).await?;
                Ok(Outcome::Names(
                    page.answer.subkeys.into_iter().map(|subkey| subkey.name).collect(),
                ))
            }
        }
    }
}

/// Which handle a client closes: none of the common ones.
fn closable(number: u8, handles: usize) -> Option<usize> {
    Some(usize::from(number) % handles).filter(|handle| *handle > 1)
}

/// A sequential order under construction.
#[derive(Clone)]
struct Order {
    model: Model,
    /// Each client's open keys and their folded names.
    handles: Vec<Vec<(Key, String)>>,
    /// How many of its acts each client has done.
    done: Vec<usize>,
}

impl Order {
    fn new(clients: usize) -> Order {
        let mut model = Model::new(&rules());
        let name = crate::model::Name { display: "p".into(), folded: "p".into() };
        let (p, _) = model.create(ROOT, &[name], "base", false).unwrap();
        let common = vec![(ROOT, String::new()), (p, "p".to_string())];
        Order { model, handles: vec![common; clients], done: vec![0; clients] }
    }

    /// What the act gives when it is this client's turn.
    fn act(&mut self, client: usize, act: &Act) -> Result<Outcome, Failure> {
        let (model, handles) = (&mut self.model, &mut self.handles[client]);
        let handle = |number: u8| handles[usize::from(number) % handles.len()].clone();
        let layer = |number: u8| LAYERS[usize::from(number)].1;
        match act {
            Act::Create { on, name, layer: number } => {
                let name = name.key();
                let made =
                    model.create(handle(*on).0, std::slice::from_ref(&name), layer(*number), false);
                let (key, created) = made?;
                handles.push((key, name.folded));
                Ok(Outcome::Opened { created })
            }
            Act::Open { on, name } => {
                let name = name.key();
                let key = model.open(handle(*on).0, std::slice::from_ref(&name))?;
                handles.push((key, name.folded));
                Ok(Outcome::Opened { created: false })
            }
            Act::Close { handle } => {
                if let Some(closed) = closable(*handle, handles.len()) {
                    let (key, _) = handles.remove(closed);
                    model.close(key);
                }
                Ok(Outcome::Done)
            }
            Act::Delete { handle: number, layer: in_ } => {
                let (key, folded) = handle(*number);
                model.delete(key, &folded, layer(*in_)).map(|()| Outcome::Done)
            }
            Act::Hide { handle: number, layer: in_ } => {
                let (key, folded) = handle(*number);
                model.hide(key, &folded, layer(*in_)).map(|()| Outcome::Done)
            }
            Act::Unhide { handle: number, child, layer: in_ } => {
                let key = handle(*number).0;
                model.unhide(key, &child.key().folded, layer(*in_)).map(|()| Outcome::Done)
            }
            Act::Set { handle: number, data, layer: in_ } => {
                let name = crate::model::Name { display: "v".into(), folded: "v".into() };
                let layers = (layer(*in_), "");
                let content = (3, vec![*data]);
                let done = model.set_value(handle(*number).0, &name, layers, content, None);
                done.map(|()| Outcome::Done)
            }
            Act::Query { handle: number } => {
                let value = model.value(handle(*number).0, "v").ok_or(Failure::NoValue)?;
                Ok(Outcome::Data(value.data.clone()))
            }
            Act::List { handle: number } => {
                let children = model.children(handle(*number).0);
                let names = children.iter().map(|key| model.records[key].name.clone());
                Ok(Outcome::Names(names.collect()))
            }
        }
    }

    /// Whether what happened can be put in an order that keeps to the moments and in which the model gives
    /// the same outcomes.
    fn explains(&self, happened: &[Vec<Happened>]) -> bool {
        let next = |client: usize| happened[client].get(self.done[client]);
        let clients = 0..happened.len();
        let Some(first_end) = clients.clone().filter_map(next).map(|next| next.ended).min() else {
            return true;
        };
        clients.into_iter().any(|client| {
            let Some(Happened { began, act, outcome, .. }) = next(client) else {
                return false;
            };
            if *began > first_end {
                return false;
            }
            let mut order = self.clone();
            order.done[client] += 1;
            order.act(client, act).unwrap_or_else(Outcome::Failed) == *outcome
                && order.explains(happened)
        })
    }
}

fn delays() -> impl Strategy<Value = Vec<u8>> {
    vec(0..7_u8, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn concurrent_operations_have_the_outcomes_of_some_sequential_order(
        delays in delays(),
        clients in vec(vec(act(), 1..6), 2..4),
    ) {
        let stage = Stage::new(delays);
        let handles: Vec<RefCell<Vec<HandleId>>> =
            clients.iter().map(|_| RefCell::new(stage.common.to_vec())).collect();
        let all = clients.iter().zip(&handles).map(|(acts, handles)| stage.do_all(acts, handles));
        let mut happened = block_on(join_all(all));
        // What is left is looked at by every client.
        stage.client.world.set_delays(Vec::new());
        for (handles, happened) in handles.iter().zip(&mut happened) {
            for handle in 0..handles.borrow().len() as u8 {
                let looks = [Act::List { handle }, Act::Query { handle }];
                happened.extend(block_on(stage.do_all(&looks, handles)));
            }
        }
        prop_assert!(Order::new(clients.len()).explains(&happened), "{happened:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn after_many_operations_at_once_the_tree_is_whole(
        delays in delays(),
        clients in vec(vec(act(), 10..30), 20..30),
    ) {
        let stage = Stage::new(delays);
        let handles: Vec<RefCell<Vec<HandleId>>> =
            clients.iter().map(|_| RefCell::new(stage.common.to_vec())).collect();
        let all = clients.iter().zip(&handles).map(|(acts, handles)| stage.do_all(acts, handles));
        block_on(join_all(all));
        stage.client.world.set_delays(Vec::new());
        let open = handles.iter().flat_map(|handles| handles.borrow().clone());
        let open: BTreeSet<HandleId> = open.collect();
        stage.check_tree(&open);
        for handle in open {
            stage.client.close(handle);
        }
        stage.check_tree(&BTreeSet::new());
    }
}

impl Stage {
    /// Every record in the source has one entry or somebody who has it open; every entry's parent and
    /// target are there.
    fn check_tree(&self, open: &BTreeSet<HandleId>) {
        let open: BTreeSet<Guid> = open
            .iter()
            .filter_map(|handle| self.client.details(*handle).ok())
            .map(|it| it.guid)
            .collect();
        let exists = |key: Guid| self.source.ask(&Request::ReadKey { key }).is_ok();
        let mut named = BTreeSet::new();
        for (_, layer) in LAYERS {
            let request =
                Request::EnumLayer { layer: layer.into(), after: None, bytes: ROOM as u32 };
            let Ok(Answer::Layer { entries, values, .. }) = self.source.ask(&request) else {
                panic!("not a whole layer");
            };
            for entry in entries {
                assert!(exists(entry.parent), "the parent of {entry:?}");
                if let Target::Key(key) = entry.target {
                    assert!(exists(key), "the target of {entry:?}");
                    assert!(named.insert(key), "{key} has two entries");
                }
            }
            for value in values {
                assert!(exists(value.key), "the key of {value:?}");
            }
        }
        for key in self.client.world.made_guids().filter(|key| exists(*key)) {
            assert!(named.contains(&key) || open.contains(&key), "{key} is left over");
        }
    }
}

#[test]
fn of_many_who_create_one_key_at_once_one_does() {
    let stage = Stage::new(vec![3, 0, 5, 1, 2]);
    let handles: Vec<RefCell<Vec<HandleId>>> =
        (0..100).map(|_| RefCell::new(stage.common.to_vec())).collect();
    let system = system();
    let create = |layer| {
        let derive = create_key("p\\New", Some(layer), false);
        stage.client.registry.derive(Some(stage.common[0]), &system, derive)
    };
    let layers = ["base", "R1", "Policy"];
    let made = block_on(join_all((0..handles.len()).map(|number| create(layers[number % 3]))));
    let made: Vec<HandleId> = made.into_iter().map(|made| made.unwrap()).collect();
    let infos = made.iter().map(|handle| stage.client.registry.key_info(*handle));
    let infos = block_on(join_all(infos));
    assert_eq!(infos.iter().flatten().filter(|info| info.answer.created).count(), 1);
    let guids: BTreeSet<Guid> =
        made.iter().map(|handle| stage.client.details(*handle).unwrap().guid).collect();
    assert_eq!(guids.len(), 1);
}

/// All ways in which the first five answers can be late by up to two polls.
fn all_delays() -> impl Iterator<Item = Vec<u8>> {
    (0..3_usize.pow(5)).map(|number| {
        (0..5).map(|place| (number / 3_usize.pow(place) % 3) as u8).chain([0; 20]).collect()
    })
}

#[test]
fn a_key_that_somebody_has_open_is_deleted_or_gets_a_child_but_not_both() {
    for delays in all_delays() {
        let stage = Stage::new(delays.clone());
        let registry = &stage.client.registry;
        let derive = create_key("Test\\p\\child", None, false);
        let (deleted, created) = block_on(join(
            registry.delete_key(stage.common[1], in_layer(None)),
            registry.derive(None, &system(), derive),
        ));
        match (deleted, created.map(drop)) {
            (Ok(()), Err(Error::NotFound(NotFound::Key))) | (Err(Error::NotEmpty), Ok(())) => {}
            both => panic!("{both:?} with {delays:?}"),
        }
    }
}

#[test]
fn who_waited_for_a_deletion_changes_nothing_of_the_orphan() {
    let gone = Err(Error::NotFound(NotFound::Key));
    for delays in all_delays() {
        let stage = Stage::new(delays);
        let (registry, p) = (&stage.client.registry, stage.common[1]);
        let (deleted, hidden, again) = block_on(join3(
            registry.delete_key(p, in_layer(None)),
            registry.hide_key(p, in_layer(Some("Policy"))),
            registry.delete_key(p, in_layer(None)),
        ));
        assert_eq!((deleted, hidden, again), (Ok(()), gone.clone(), gone.clone()));
    }
}

#[test]
fn a_child_is_unhidden_or_its_parent_deleted_but_not_both() {
    for delays in all_delays() {
        let stage = Stage::new(Vec::new());
        let (client, registry, p) = (&stage.client, &stage.client.registry, stage.common[1]);
        let child = client.create("Test\\p\\c").unwrap();
        client.hide(child, Some("R1")).unwrap();
        client.world.set_delays(delays.clone());
        let unhide = Unhide { child: "c".into(), layer: Some("R1".into()) };
        let done =
            block_on(join(registry.delete_key(p, in_layer(None)), registry.unhide(p, unhide)));
        match done {
            (Ok(()), Err(Error::NotFound(NotFound::Key))) | (Err(Error::NotEmpty), Ok(())) => {}
            both => panic!("{both:?} with {delays:?}"),
        }
    }
}
