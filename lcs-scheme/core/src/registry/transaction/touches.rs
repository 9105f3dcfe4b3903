//! Which names a write set touches, for those who watch them.

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::rsi::{KeyRecord, Mutation, Target};
use lcs_abi::{BASE_LAYER, Guid};

use super::super::chain::Chain;
use super::by_layer::ByLayer;
use super::writes::WriteSet;
use crate::security::{Parts, SecurityDescriptor};

/// What of a key is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Touched {
    /// The entries of a child's name, folded.
    Child(String),
    /// The entries of a value's name, folded.
    Value(String),
    /// A blanket, and with it all names of values.
    Values,
    /// The security descriptor.
    Security,
}

/// Something that a write set touches.
#[derive(Clone, Debug)]
pub(in super::super) struct Touch {
    /// The place of the last operation on it.
    pub(in super::super) order: u64,
    pub(in super::super) chain: Rc<Chain>,
    pub(in super::super) of: Touched,
}

impl WriteSet {
    /// What a step of its own does, without the data.
    pub(in super::super) fn of_step(mutations: &[Mutation], chains: &[&Rc<Chain>]) -> WriteSet {
        let mut writes = WriteSet::default();
        writes.reach(chains, mutations);
        for mutation in mutations {
            writes.put(match mutation {
                Mutation::SetValue { key, name, layer, value_type, data: _ } => {
                    Mutation::SetValue {
                        key: *key,
                        name: name.clone(),
                        layer: layer.clone(),
                        value_type: *value_type,
                        data: Vec::new(),
                    }
                }
                other => other.clone(),
            });
        }
        writes
    }

    /// A change of a security descriptor, as a step of its own.
    pub(in super::super) fn of_security(
        chain: &Rc<Chain>,
        parts: Parts,
        sd: &SecurityDescriptor,
    ) -> WriteSet {
        let mut writes = WriteSet::default();
        writes.reach(&[chain], &[]);
        writes.security.insert(chain.key, (0, parts, sd.clone()));
        writes
    }

    /// Notes the ways to the keys that mutations write to: the last keys of these chains, and those that are
    /// made below them.
    pub(super) fn reach(&mut self, chains: &[&Rc<Chain>], mutations: &[Mutation]) {
        for chain in chains {
            self.chains.entry(chain.key).or_insert_with(|| Rc::clone(chain));
        }
        for mutation in mutations {
            if let Mutation::CreateKey(record) = mutation
                && let Some(parent) = self.chains.get(&record.parent)
            {
                let made = parent.child(record.key, record.name.clone());
                self.chains.insert(record.key, made);
            }
        }
    }

    /// What it touches, in the order of the last operations: of the keys of which `concerns` says so, given the way to
    /// one, and whether it is about a child.
    pub(in super::super) fn touches(
        &self,
        concerns: impl Fn(&Rc<Chain>, bool) -> bool,
    ) -> Vec<Touch> {
        let mut touches = Vec::new();
        // All of one key stand together.
        let mut last: Option<(Guid, bool, Option<Rc<Chain>>)> = None;
        let mut touch =
            |key: &Guid, is_child, order: &dyn Fn() -> u64, of: &dyn Fn() -> Touched| {
                let chain = match &last {
                    Some((known, child, chain)) if (known, *child) == (key, is_child) => chain,
                    _ => {
                        let chain = self.chains.get(key).filter(|chain| concerns(chain, is_child));
                        &last.insert((*key, is_child, chain.cloned())).2
                    }
                };
                if let Some(chain) = chain {
                    touches.push(Touch { order: order(), chain: Rc::clone(chain), of: of() });
                }
            };
        for ((parent, name), layers) in &self.entries {
            touch(parent, true, &|| last_of(layers), &|| Touched::Child(name.clone()));
        }
        for ((key, name), layers) in &self.values {
            touch(key, false, &|| last_of(layers), &|| Touched::Value(name.clone()));
        }
        for (key, layers) in &self.blankets {
            touch(key, false, &|| last_of(layers), &|| Touched::Values);
        }
        for (key, (order, ..)) in &self.security {
            touch(key, false, &|| *order, &|| Touched::Security);
        }
        touches.sort_by_key(|touch| touch.order);
        touches
    }

    /// The folded names of the layers other than `base` that it writes into.
    pub(in super::super) fn layers(&self) -> BTreeSet<String> {
        let by_layer =
            self.entries.values().chain(self.values.values()).chain(self.blankets.values());
        let layers = by_layer.flat_map(ByLayer::keys).filter(|layer| *layer != BASE_LAYER);
        layers.cloned().collect()
    }

    /// Whether it writes into this layer.
    pub(in super::super) fn writes_into(&self, layer: &str) -> bool {
        let mut by_layer =
            self.entries.values().chain(self.values.values()).chain(self.blankets.values());
        by_layer.any(|layers| layers.contains_key(layer))
    }

    /// The folded names of children of a key whose entry in `base` it removes.
    pub(in super::super) fn deleted_children(&self, parent: Guid) -> Vec<String> {
        let of_parent = self.entries.range((parent, String::new())..);
        let of_parent = of_parent.take_while(|((of, _), _)| *of == parent);
        let deleted = of_parent.filter(|((_, name), layers)| {
            let at = (parent, name.clone(), String::from(BASE_LAYER));
            matches!(self.seen.get(&at), Some(Some(Target::Key(_))))
                && layers
                    .get(BASE_LAYER)
                    .is_some_and(|pending| matches!(pending.mutation, Mutation::DeleteEntry { .. }))
        });
        deleted.map(|((_, name), _)| name.clone()).collect()
    }

    /// The records of keys that it makes under a parent, and names there in `base`.
    pub(in super::super) fn made_children(&self, parent: Guid) -> impl Iterator<Item = &KeyRecord> {
        self.made.values().map(|(_, record)| record).filter(move |record| {
            let layers = self.entries.get(&(parent, record.name.folded.clone()));
            layers.and_then(|layers| layers.get(BASE_LAYER)).is_some_and(|pending| {
                matches!(pending.mutation, Mutation::SetEntry { target, .. }
                    if target == Target::Key(record.key))
            })
        })
    }

    /// The keys whose value of this folded name it writes to.
    pub(in super::super) fn keys_with_value(&self, name: &str) -> Vec<Guid> {
        let of_name = self.values.keys().filter(|(_, other)| other == name);
        of_name.map(|(key, _)| *key).collect()
    }

    /// The folded names of the values of a key that it writes to.
    pub(in super::super) fn value_names(&self, key: Guid) -> Vec<String> {
        let of_key = self.values.range((key, String::new())..);
        let of_key = of_key.take_while(|((of, _), _)| *of == key);
        of_key.map(|((_, name), _)| name.clone()).collect()
    }
}

/// The place of the last of these mutations.
fn last_of(layers: &ByLayer) -> u64 {
    layers.values().map(|pending| pending.order).max().unwrap_or_default()
}
