//! The way from a hive's root down to a key.

use alloc::rc::Rc;

use lcs_abi::Guid;
use lcs_abi::rsi::Name;

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
