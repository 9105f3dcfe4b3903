//! What a key is for LCS itself, and what that keeps a restore from doing to it.

use alloc::rc::Rc;

use lcs_abi::Guid;
use lcs_abi::rsi::KeyRecord;

use super::super::State;
use super::super::chain::Chain;
use super::super::error::Error;
use super::super::hives::SlotId;
use super::super::own::{LAYERS, PENDING_DELETION, REGISTRY, SCOPES};
use crate::model::name::fold;

/// What a key is for LCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing, and nothing above or below it either.
    #[default]
    Ordinary,
    /// The root of the global `Machine`.
    Machine,
    /// `Machine\System`.
    System,
    /// `Machine\System\Registry`.
    Registry,
    /// What has the layers below it.
    Layers,
    /// A layer's metadata key.
    Layer,
    /// What has the scopes below it.
    Scopes,
    /// The list of deletions.
    PendingDeletion,
    /// A deletion, or below one.
    Deletion,
    /// Below a layer's metadata key.
    BelowLayer,
    /// Elsewhere below `Machine\System\Registry`.
    BelowRegistry,
}

impl Role {
    /// What the child of this folded name is.
    pub(super) fn child(self, name: &str) -> Role {
        match self {
            Role::Machine if name == fold(REGISTRY[0]) => Role::System,
            Role::System if name == fold(REGISTRY[1]) => Role::Registry,
            Role::Registry if name == fold(LAYERS) => Role::Layers,
            Role::Registry if name == fold(SCOPES) => Role::Scopes,
            Role::Registry if name == fold(PENDING_DELETION) => Role::PendingDeletion,
            Role::Layers => Role::Layer,
            Role::PendingDeletion => Role::Deletion,
            _ => Role::Ordinary,
        }
    }

    /// Fails if this cannot be a key of this role.
    pub(super) fn may_be(self, record: &KeyRecord) -> Result<(), Error> {
        if record.link || record.volatile {
            return Err(Error::Invalid("what LCS needs itself is neither volatile nor a link"));
        }
        if self == Role::Layer && record.name.folded == lcs_abi::BASE_LAYER {
            return Err(Error::Invalid("the layer base is always there"));
        }
        Ok(())
    }

    /// Whether the layers are below it, or it is one of the keys that have to do with them.
    pub(super) fn concerns_layers(self) -> bool {
        matches!(
            self,
            Role::Machine
                | Role::System
                | Role::Registry
                | Role::Layers
                | Role::Layer
                | Role::BelowLayer
        )
    }

    /// Whether a restore of it can change what LCS itself reads.
    pub(super) fn concerns_own_keys(self) -> bool {
        self != Role::Ordinary
    }

    /// Whether the list of deletions is below it.
    pub(super) fn contains_deletions(self) -> bool {
        matches!(self, Role::Machine | Role::System | Role::Registry)
    }
}

impl State {
    /// What a key is for LCS.
    pub(super) fn role_of(&self, slot: SlotId, chain: &Rc<Chain>) -> Role {
        let Some(own) = self.own.as_ref().filter(|own| own.registry.site.slot == slot) else {
            return Role::Ordinary;
        };
        let is_below = |key: Guid| chain.upward().skip(1).any(|at| at.key == key);
        match chain.key {
            key if key == own.system => Role::System,
            key if key == own.registry.key => Role::Registry,
            key if key == own.layers.key => Role::Layers,
            key if key == own.scopes.key => Role::Scopes,
            key if key == own.pending_deletion.key => Role::PendingDeletion,
            _ if chain.above.is_none() => Role::Machine,
            _ if is_below(own.pending_deletion.key) => Role::Deletion,
            _ if chain.above.as_ref().is_some_and(|above| above.key == own.layers.key) => {
                Role::Layer
            }
            _ if is_below(own.layers.key) => Role::BelowLayer,
            _ if is_below(own.registry.key) => Role::BelowRegistry,
            _ => Role::Ordinary,
        }
    }
}
