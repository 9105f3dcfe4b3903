//! The way from a hive's root down to a key.

use alloc::rc::Rc;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::Name;

use super::Registry;
use super::backend::Backend;
use super::error::Error;
use super::hives::SlotId;

/// Who comes so far goes round in circles: no hive is as deep, whatever MaxKeyDepth was.
pub(super) const MAX_DEPTH: usize = 1 << 13;

/// The keys from a hive's root down to this one. A key stays where it was created, so this stays true as long
/// as the key lives.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) key: Guid,
    /// The key's name as created; a root's is the hive's.
    pub(super) name: Name,
    /// How many keys there are above it.
    pub(super) depth: usize,
    pub(super) above: Option<Rc<Chain>>,
}

impl Chain {
    /// A hive's root.
    pub(super) fn root(key: Guid, name: Name) -> Rc<Chain> {
        Rc::new(Chain { key, name, depth: 0, above: None })
    }

    /// A child of this key.
    pub(super) fn child(self: &Rc<Chain>, key: Guid, name: Name) -> Rc<Chain> {
        Rc::new(Chain { key, name, depth: self.depth + 1, above: Some(Rc::clone(self)) })
    }

    /// The key, its parent, and so on up to the root.
    pub(super) fn upward(self: &Rc<Chain>) -> impl Iterator<Item = &Rc<Chain>> {
        core::iter::successors(Some(self), |chain| chain.above.as_ref())
    }
}

impl<B: Backend> Registry<B> {
    /// The way to a key from its hive's root, by the parents that the keys name. It begins below a key that is
    /// gone; none if the key itself is. What is `known` is not asked for, and what is found is known then.
    pub(super) async fn way_to(
        &self,
        slot: SlotId,
        key: Guid,
        known: &mut HashMap<Guid, Option<Rc<Chain>>>,
    ) -> Result<Option<Rc<Chain>>, Error> {
        let mut way = Vec::new();
        let mut at = key;
        let mut chain = loop {
            if let Some(chain) = known.get(&at) {
                break chain.clone();
            }
            let record = match self.read_key(slot.into(), at).await {
                Err(Error::NotFound(_)) => {
                    known.insert(at, None);
                    break None;
                }
                record => record?,
            };
            if record.parent == record.key {
                let hive = self.with(|state| Some(state.hives.get(slot)?.name.to_rsi()));
                let root = Chain::root(record.key, hive.unwrap_or(record.name));
                known.insert(at, Some(Rc::clone(&root)));
                break Some(root);
            }
            at = record.parent;
            way.push(record);
            if way.len() > MAX_DEPTH {
                return Err(self.malformed(slot, "a key without a way to the root"));
            }
        };
        for record in way.into_iter().rev() {
            let (key, name) = (record.key, record.name);
            chain = Some(match chain {
                Some(above) => above.child(key, name),
                // An orphan whose parent is gone: who watches it is told all the same.
                None => Chain::root(key, name),
            });
            known.insert(key, chain.clone());
        }
        Ok(chain)
    }
}
