//! What can happen in a history: operations on a few names, in layers known, disabled and unknown.

use lcs_core::model::Layer;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::client::{ROOM, layer};
use crate::common::names::NAMES;
use crate::model::{self, LayerRules, TOMBSTONE};

/// The layers in the table: folded spelling, and the one in the table.
pub const LAYERS: [(LayerRules, &str); 6] = [
    (LayerRules { name: "base", precedence: 0, enabled: true }, "base"),
    (LayerRules { name: "r1", precedence: 0, enabled: true }, "R1"),
    (LayerRules { name: "r2", precedence: 0, enabled: true }, "r2"),
    (LayerRules { name: "policy", precedence: 5, enabled: true }, "Policy"),
    (LayerRules { name: "policy \u{e9}", precedence: 5, enabled: true }, "POLICY \u{c9}"),
    (LayerRules { name: "off", precedence: 9, enabled: false }, "off"),
];

/// A layer that the source has entries of and the table has not.
pub const GHOST: &str = "ghost";

/// What writers call a layer, and its folded name.
pub const LAYER_NAMES: [(Option<&str>, &str); 10] = [
    (None, "base"),
    (Some("Base"), "base"),
    (Some("r1"), "r1"),
    (Some("R1"), "r1"),
    (Some("R2"), "r2"),
    (Some("policy"), "policy"),
    (Some("POLICY"), "policy"),
    (Some("policy \u{c9}"), "policy \u{e9}"),
    (Some("OFF"), "off"),
    (Some("Ghost"), GHOST),
];

pub fn table() -> Vec<Layer> {
    let rest = LAYERS.iter().filter(|(rules, _)| rules.name != "base");
    rest.map(|(rules, display)| layer(display, rules.precedence, rules.enabled)).collect()
}

pub fn rules() -> Vec<LayerRules> {
    LAYERS.iter().map(|(rules, _)| *rules).collect()
}

/// How the table spells a layer.
pub fn table_name(folded: &str) -> &'static str {
    LAYERS.iter().find(|(rules, _)| rules.name == folded).map_or("", |(_, display)| display)
}

/// A name, by number, and its spelling.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    name: u8,
    spelling: u8,
}

impl Pick {
    pub fn key(self) -> model::Name {
        let spellings = &NAMES[usize::from(self.name) % NAMES.len()];
        let (display, folded) = (spellings.pick(self.spelling), spellings.folded);
        model::Name { display: display.into(), folded: folded.into() }
    }

    /// Values have two names more: the empty one, and one with separators.
    pub fn value(self) -> model::Name {
        let name = |display: &str, folded: &str| model::Name {
            display: display.into(),
            folded: folded.into(),
        };
        match usize::from(self.name) % (NAMES.len() + 2) {
            0 => name("", ""),
            1 => name(["a\\/b", "A\\/b"][usize::from(self.spelling) % 2], "a\\/b"),
            _ => self.key(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Expected {
    Anything,
    Nothing,
    What(u8),
    WhatIsThere,
}

/// An operation. Handles and layers are given by number, modulo what there is.
#[derive(Clone, Debug)]
pub enum Op {
    Create { start: u8, path: Vec<Pick>, layer: u8, volatile: bool },
    Open { start: u8, path: Vec<Pick> },
    Close { handle: u8 },
    Delete { handle: u8, layer: u8 },
    Hide { handle: u8, layer: u8 },
    Unhide { handle: u8, child: Pick, layer: u8 },
    Set { handle: u8, name: Pick, value_type: u32, data: Vec<u8>, layer: u8, expected: Expected },
    SetTombstone { handle: u8, name: Pick, layer: u8 },
    DeleteValue { handle: u8, name: Pick, layer: u8 },
    SetBlanket { handle: u8, layer: u8 },
    ClearBlanket { handle: u8, layer: u8 },
    Query { handle: u8, name: Pick },
    Values { handle: u8, budget: usize },
    Subkeys { handle: u8, counts: bool, budget: usize },
    Info { handle: u8 },
}

pub fn pick() -> impl Strategy<Value = Pick> {
    // The first names more often than the others, so that operations meet.
    (prop_oneof![3 => 0..3_u8, 1 => any::<u8>()], any::<u8>())
        .prop_map(|(name, spelling)| Pick { name, spelling })
}

pub fn op() -> impl Strategy<Value = Op> {
    let layer = || 0..LAYER_NAMES.len() as u8;
    let handle = any::<u8>;
    let value_type = prop_oneof![8 => 0..12_u32, 1 => Just(TOMBSTONE), 1 => any::<u32>()];
    let data = prop_oneof![3 => vec(any::<u8>(), 0..9), 1 => Just(Vec::new())];
    let expected = prop_oneof![
        4 => Just(Expected::Anything),
        1 => Just(Expected::Nothing),
        1 => any::<u8>().prop_map(Expected::What),
        2 => Just(Expected::WhatIsThere),
    ];
    let budget = || prop_oneof![Just(ROOM), 32..200_usize];
    prop_oneof![
        8 => (handle(), vec(pick(), 1..3), layer(), prop::bool::weighted(0.2)).prop_map(
            |(start, path, layer, volatile)| Op::Create { start, path, layer, volatile }
        ),
        4 => (handle(), vec(pick(), 0..3)).prop_map(|(start, path)| Op::Open { start, path }),
        3 => handle().prop_map(|handle| Op::Close { handle }),
        4 => (handle(), layer()).prop_map(|(handle, layer)| Op::Delete { handle, layer }),
        2 => (handle(), layer()).prop_map(|(handle, layer)| Op::Hide { handle, layer }),
        2 => (handle(), pick(), layer())
            .prop_map(|(handle, child, layer)| Op::Unhide { handle, child, layer }),
        8 => (handle(), pick(), value_type, data, layer(), expected).prop_map(
            |(handle, name, value_type, data, layer, expected)| {
                Op::Set { handle, name, value_type, data, layer, expected }
            }
        ),
        2 => (handle(), pick(), layer())
            .prop_map(|(handle, name, layer)| Op::SetTombstone { handle, name, layer }),
        2 => (handle(), pick(), layer())
            .prop_map(|(handle, name, layer)| Op::DeleteValue { handle, name, layer }),
        1 => (handle(), layer()).prop_map(|(handle, layer)| Op::SetBlanket { handle, layer }),
        1 => (handle(), layer()).prop_map(|(handle, layer)| Op::ClearBlanket { handle, layer }),
        4 => (handle(), pick()).prop_map(|(handle, name)| Op::Query { handle, name }),
        2 => (handle(), budget()).prop_map(|(handle, budget)| Op::Values { handle, budget }),
        2 => (handle(), any::<bool>(), budget())
            .prop_map(|(handle, counts, budget)| Op::Subkeys { handle, counts, budget }),
        2 => handle().prop_map(|handle| Op::Info { handle }),
    ]
}
