//! The mutations of one entry, value or blanket, by layer.

use alloc::string::String;
use alloc::vec::Vec;

use super::writes::Pending;

/// The last mutation of each layer's entry, in the order of the folded layers. It is hardly ever of more than one, so
/// it takes no more room than that one.
#[derive(Debug, Default)]
pub(super) struct ByLayer(Vec<(String, Pending)>);

impl ByLayer {
    fn find(&self, layer: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(layer))
    }

    /// Adds a layer's mutation; gives the one whose place it takes.
    pub(super) fn insert(&mut self, layer: String, pending: Pending) -> Option<Pending> {
        match self.find(&layer) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| core::mem::replace(old, pending)),
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (layer, pending));
                None
            }
        }
    }

    /// A layer's mutation.
    pub(super) fn get(&self, layer: &str) -> Option<&Pending> {
        let at = self.find(layer).ok()?;
        self.0.get(at).map(|(_, pending)| pending)
    }

    /// Whether there is one of a layer.
    pub(super) fn contains_key(&self, layer: &str) -> bool {
        self.find(layer).is_ok()
    }

    /// The folded layers.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(layer, _)| layer)
    }

    /// The mutations.
    pub(super) fn values(&self) -> impl Iterator<Item = &Pending> + Clone {
        self.0.iter().map(|(_, pending)| pending)
    }

    /// The mutations with their layers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Pending)> {
        self.0.iter().map(|(layer, pending)| (layer.as_str(), pending))
    }
}
