//! Views: what a handle sees of the registry (DESIGN §9).

use alloc::vec::Vec;

use lcs_abi::Guid;

/// What a handle sees. The default is the global view: every global hive, and the layers that are enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// Scopes whose private hives come before the global ones, in this order.
    pub scopes: Vec<Guid>,
    /// The metadata keys of layers that count although they are not enabled, in order.
    pub private_layers: Vec<Guid>,
    /// It has no global hive.
    pub sealed: bool,
}

impl View {
    /// This view with a scope more, behind those that it has.
    pub fn join(&mut self, scope: Guid) {
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
    }

    /// This view with a private layer more.
    pub fn attach(&mut self, layer: Guid) {
        if let Err(place) = self.private_layers.binary_search(&layer) {
            self.private_layers.insert(place, layer);
        }
    }
}
