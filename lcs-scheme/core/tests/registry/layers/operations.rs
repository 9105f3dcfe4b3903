//! What can happen in a history. Handles, views, transactions and layers are given by number, modulo what
//! there is.

use lcs_abi::security::Access;
use proptest::collection::vec;
use proptest::prelude::*;

use super::contents::{DWORD, Hive, LINK, TOMBSTONE};
use super::names::{LAYERS, Layer, Name, Spelled, TARGETS};

/// Where a path starts.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    Root(u8),
    Handle(u8),
    Transaction(u8),
}

#[derive(Clone, Debug)]
pub struct Way {
    pub start: Start,
    pub user: bool,
    /// With the hive, if it starts at a root or a transaction.
    pub path: Vec<Spelled>,
}

#[derive(Clone, Copy, Debug)]
pub enum Expected {
    Anything,
    Nothing,
    WhatIsThere,
    WhatWasThere,
}

/// What is done to the key of a layer.
#[derive(Clone, Debug)]
pub enum Metadata {
    Make { spelling: u8 },
    Delete,
    Write { name: Name, layer: Layer, value_type: u32, data: Vec<u8> },
    Clear { name: Name, layer: Layer },
    Secure { rights: Access },
}

/// What becomes of a step whose answer is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// It took effect as soon as it was sent.
    Done,
    /// It takes effect when it is answered.
    Idle,
    /// The source dies and never answers.
    Dies { takes_effect: bool },
}

#[derive(Clone, Debug)]
pub enum Op {
    Open {
        way: Way,
        open_link: bool,
    },
    Create {
        way: Way,
        layer: Layer,
        volatile: bool,
        link: Option<Option<&'static str>>,
    },
    Close {
        handle: u8,
    },
    Delete {
        handle: u8,
        layer: Layer,
    },
    Hide {
        handle: u8,
        layer: Layer,
    },
    Unhide {
        handle: u8,
        child: Spelled,
        layer: Layer,
    },
    Set {
        handle: u8,
        name: Spelled,
        layer: Layer,
        value_type: u32,
        data: Vec<u8>,
        expected: Expected,
    },
    DeleteValue {
        handle: u8,
        name: Spelled,
        layer: Layer,
    },
    SetBlanket {
        handle: u8,
        layer: Layer,
    },
    ClearBlanket {
        handle: u8,
        layer: Layer,
    },
    Secure {
        handle: u8,
        rights: Access,
    },
    Watch {
        handle: u8,
        filter: u32,
        subtree: bool,
    },
    ReadEvents {
        handle: u8,
    },
    /// A write whose answer is late, and what others look at meanwhile.
    Late {
        what: Box<Op>,
        lateness: Lateness,
        looks: Vec<Op>,
    },
    /// A look into whose middle something else falls.
    Overtaken {
        look: Box<Op>,
        by: Box<Op>,
    },
    Backup {
        handle: u8,
    },
    Restore {
        handle: u8,
    },
    Layer {
        layer: Layer,
        what: Metadata,
        transaction: Option<u8>,
    },
    Begin {
        view: u8,
    },
    Commit {
        transaction: u8,
    },
    Abort {
        transaction: u8,
    },
    Down {
        hive: Hive,
    },
    Up,
    /// Makes a view anew, with the layers that there are now.
    Look {
        view: u8,
    },
    Query {
        handle: u8,
        name: Spelled,
    },
    Values {
        handle: u8,
        budget: usize,
    },
    Subkeys {
        handle: u8,
        counts: bool,
        budget: usize,
    },
    Info {
        handle: u8,
    },
    Explain {
        handle: u8,
        child: bool,
        name: Spelled,
    },
}

fn spelled(names: &'static [Name]) -> impl Strategy<Value = Spelled> + Clone {
    (prop::sample::select(names), any::<u8>()).prop_map(|(name, spelling)| name.spelled(spelling))
}

fn key_name() -> impl Strategy<Value = Spelled> + Clone {
    spelled(&[Name::A, Name::A, Name::B, Name::C, Name::Kelvin])
}

fn value_name() -> impl Strategy<Value = Spelled> + Clone {
    spelled(&[Name::Default, Name::Default, Name::A, Name::A, Name::B, Name::Kelvin])
}

fn layer() -> impl Strategy<Value = Layer> + Clone {
    prop_oneof![2 => Just(Layer::Base), 5 => prop::sample::select(&LAYERS[..])]
}

fn way(least: usize) -> impl Strategy<Value = Way> + Clone {
    let from_top = prop_oneof![
        9 => vec(key_name(), least..3).prop_map(|path| top(Name::Test, path)),
        4 => vec(key_name(), least..2).prop_map(|path| top(Name::Machine, path)),
        1 => vec(key_name(), least..2).prop_map(|path| top(Name::CurrentUser, path)),
    ];
    let start = prop_oneof![
        6 => (0..3_u8).prop_map(Start::Root),
        3 => any::<u8>().prop_map(Start::Transaction),
    ];
    let from_handle = (any::<u8>().prop_map(Start::Handle), vec(key_name(), least..3));
    let way = prop_oneof![2 => (start, from_top), 1 => from_handle];
    (way, prop::bool::weighted(0.2)).prop_map(|((start, path), user)| Way { start, user, path })
}

fn top(hive: Name, path: Vec<Spelled>) -> Vec<Spelled> {
    [hive.usual()].into_iter().chain(path).collect()
}

/// To LCS's own keys.
fn own_way() -> impl Strategy<Value = Way> + Clone {
    let whole = [Name::Machine, Name::System, Name::Registry, Name::Layers].map(Name::usual);
    let path = (1..=5_usize, prop::sample::select(&LAYERS[..])).prop_map(move |(length, layer)| {
        whole.into_iter().chain([layer.usual()]).take(length).collect::<Vec<_>>()
    });
    let start = prop_oneof![
        3 => (0..3_u8).prop_map(Start::Root),
        1 => any::<u8>().prop_map(Start::Transaction),
    ];
    (start, path, prop::bool::weighted(0.2)).prop_map(|(start, path, user)| Way {
        start,
        user,
        path,
    })
}

fn rights() -> impl Strategy<Value = Access> + Clone {
    prop::sample::select(vec![
        Access::empty(),
        Access::KEY_READ,
        Access::KEY_READ - Access::NOTIFY,
        Access::NOTIFY,
        Access::KEY_ALL_ACCESS,
        Access::KEY_READ | Access::KEY_WRITE,
    ])
}

fn content() -> impl Strategy<Value = (u32, Vec<u8>)> + Clone {
    let target = prop::sample::select(&TARGETS[..]).prop_map(|(text, _)| (LINK, text.into()));
    prop_oneof![
        5 => (0..4_u32, vec(any::<u8>(), 0..5)),
        3 => target,
        2 => Just((TOMBSTONE, Vec::new())),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> + Clone {
    let number = |most: u32| (0..=most).prop_map(|number| number.to_le_bytes().to_vec());
    let in_layer = prop_oneof![4 => Just(Layer::Base), 1 => prop::sample::select(&LAYERS[..])];
    let write =
        |name, value_type, data| Metadata::Write { name, layer: Layer::Base, value_type, data };
    let good = prop_oneof![
        number(4).prop_map(move |data| write(Name::Precedence, DWORD, data)),
        number(1).prop_map(move |data| write(Name::Enabled, DWORD, data)),
    ];
    let bad = prop_oneof![
        Just(write(Name::Enabled, DWORD, vec![2, 0, 0, 0])),
        Just(write(Name::Enabled, DWORD, vec![])),
        Just(write(Name::Precedence, 3, vec![1, 0, 0, 0])),
        Just(write(Name::Precedence, TOMBSTONE, vec![])),
    ];
    let written = (prop_oneof![6 => good, 1 => bad], in_layer.clone()).prop_map(|(what, into)| {
        let Metadata::Write { name, value_type, data, .. } = what else { return what };
        Metadata::Write { name, layer: into, value_type, data }
    });
    let name = prop_oneof![Just(Name::Precedence), Just(Name::Enabled)];
    prop_oneof![
        6 => any::<u8>().prop_map(|spelling| Metadata::Make { spelling }),
        4 => Just(Metadata::Delete),
        8 => written,
        1 => (name, in_layer).prop_map(|(name, layer)| Metadata::Clear { name, layer }),
        2 => rights().prop_map(|rights| Metadata::Secure { rights }),
    ]
}

/// An operation that changes something.
fn change() -> impl Strategy<Value = Op> {
    let handle = any::<u8>;
    let expected = prop_oneof![
        6 => Just(Expected::Anything),
        1 => Just(Expected::Nothing),
        1 => Just(Expected::WhatIsThere),
        1 => Just(Expected::WhatWasThere),
    ];
    let link = prop_oneof![
        8 => Just(None),
        1 => Just(Some(None)),
        4 => prop::sample::select(&TARGETS[..]).prop_map(|(text, _)| Some(Some(text))),
    ];
    prop_oneof![
        10 => (way(1), layer(), prop::bool::weighted(0.1), link).prop_map(
            |(way, layer, volatile, link)| Op::Create { way, layer, volatile, link }
        ),
        4 => (handle(), layer()).prop_map(|(handle, layer)| Op::Delete { handle, layer }),
        4 => (handle(), layer()).prop_map(|(handle, layer)| Op::Hide { handle, layer }),
        2 => (handle(), key_name(), layer())
            .prop_map(|(handle, child, layer)| Op::Unhide { handle, child, layer }),
        18 => (handle(), value_name(), layer(), content(), expected).prop_map(
            |(handle, name, layer, (value_type, data), expected)| {
                Op::Set { handle, name, layer, value_type, data, expected }
            }
        ),
        4 => (handle(), value_name(), layer())
            .prop_map(|(handle, name, layer)| Op::DeleteValue { handle, name, layer }),
        3 => (handle(), layer()).prop_map(|(handle, layer)| Op::SetBlanket { handle, layer }),
        2 => (handle(), layer()).prop_map(|(handle, layer)| Op::ClearBlanket { handle, layer }),
        3 => (handle(), rights()).prop_map(|(handle, rights)| Op::Secure { handle, rights }),
    ]
}

/// An operation that ends or begins something.
fn turn() -> impl Strategy<Value = Op> {
    let way_somewhere = prop_oneof![5 => way(0), 2 => own_way()];
    let in_transaction = prop::option::weighted(0.25, any::<u8>());
    prop_oneof![
        12 => (way_somewhere, prop::bool::weighted(0.2))
            .prop_map(|(way, open_link)| Op::Open { way, open_link }),
        5 => any::<u8>().prop_map(|handle| Op::Close { handle }),
        8 => (any::<u8>(), 0..8_u32, prop::bool::weighted(0.7))
            .prop_map(|(handle, filter, subtree)| Op::Watch { handle, filter, subtree }),
        12 => (prop::sample::select(&LAYERS[..]), metadata(), in_transaction)
            .prop_map(|(layer, what, transaction)| Op::Layer { layer, what, transaction }),
        2 => any::<u8>().prop_map(|handle| Op::Backup { handle }),
        3 => any::<u8>().prop_map(|handle| Op::Restore { handle }),
        3 => (0..3_u8).prop_map(|view| Op::Begin { view }),
        3 => any::<u8>().prop_map(|transaction| Op::Commit { transaction }),
        1 => any::<u8>().prop_map(|transaction| Op::Abort { transaction }),
        1 => prop_oneof![Just(Hive::Test), Just(Hive::Sandbox)].prop_map(|hive| Op::Down { hive }),
        3 => Just(Op::Up),
        1 => (0..3_u8).prop_map(|view| Op::Look { view }),
    ]
}

/// An operation that only looks.
fn look() -> impl Strategy<Value = Op> {
    let budget = || prop_oneof![Just(1 << 24_usize), 64..300_usize];
    prop_oneof![
        2 => any::<u8>().prop_map(|handle| Op::ReadEvents { handle }),
        3 => (any::<u8>(), value_name()).prop_map(|(handle, name)| Op::Query { handle, name }),
        2 => (any::<u8>(), budget()).prop_map(|(handle, budget)| Op::Values { handle, budget }),
        2 => (any::<u8>(), any::<bool>(), budget())
            .prop_map(|(handle, counts, budget)| Op::Subkeys { handle, counts, budget }),
        2 => any::<u8>().prop_map(|handle| Op::Info { handle }),
        3 => (any::<u8>(), any::<bool>(), value_name())
            .prop_map(|(handle, child, name)| Op::Explain { handle, child, name }),
    ]
}

fn opening() -> impl Strategy<Value = Op> {
    way(0).prop_map(|way| Op::Open { way, open_link: false })
}

/// Something during which something else happens.
fn during() -> impl Strategy<Value = Op> {
    let lateness = prop_oneof![
        3 => Just(Lateness::Done),
        2 => Just(Lateness::Idle),
        2 => any::<bool>().prop_map(|takes_effect| Lateness::Dies { takes_effect }),
    ];
    let commit = any::<u8>().prop_map(|transaction| Op::Commit { transaction });
    let what = prop_oneof![6 => change(), 1 => commit];
    let looks = vec(prop_oneof![4 => look(), 1 => opening()], 0..5);
    let late = (what, lateness, looks).prop_map(|(what, lateness, looks)| Op::Late {
        what: Box::new(what),
        lateness,
        looks,
    });
    let look = prop_oneof![4 => look(), 1 => opening()];
    let overtaken = (look, prop_oneof![2 => change(), 1 => turn()])
        .prop_map(|(look, by)| Op::Overtaken { look: Box::new(look), by: Box::new(by) });
    prop_oneof![late, overtaken]
}

pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![10 => change(), 8 => turn(), 4 => look(), 2 => during()]
}
