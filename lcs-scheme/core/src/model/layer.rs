//! Layers: configuration that can be put on and taken off.

use alloc::rc::Rc;
use alloc::string::String;

use hashbrown::HashMap;
use lcs_abi::{BASE_LAYER, Guid};

use super::name::KeyName;
use crate::security::{SecurityDescriptor, Sid};

/// A layer of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: KeyName,
    /// Between layers the higher precedence wins, within one precedence the later write.
    pub precedence: u32,
    /// Whether its entries count; in views that it is attached to they always do.
    pub enabled: bool,
    /// Who answers for it.
    pub owner: Sid,
    /// Its metadata key; that of `base`, which has none, is all zeros.
    pub key: Guid,
    /// That of the layer's metadata key: who has SET_VALUE there may write into the layer. `base` has no such
    /// key; its descriptor has no DACL, so that rights on the key that is written to are all it takes.
    pub sd: Rc<SecurityDescriptor>,
}

impl Layer {
    /// Whether its entries count in a view with these private layers.
    pub fn counts(&self, private_layers: &[Guid]) -> bool {
        self.enabled || private_layers.binary_search(&self.key).is_ok()
    }
}

/// The layers there are, `base` always among them with precedence 0 and enabled. Entries of a layer that
/// is not in the table are latent: kept and ignored.
#[derive(Clone, Debug)]
pub struct LayerTable(HashMap<String, Layer>);

impl LayerTable {
    /// A table of these layers and `base`. Of two with one name the later counts; a `base` among them
    /// does not.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Option<LayerTable> {
        let base = KeyName::new(BASE_LAYER, usize::MAX).ok()?;
        let (owner, key) = (Sid::SYSTEM, Guid::default());
        let base =
            Layer { name: base, precedence: 0, enabled: true, owner, key, sd: Rc::default() };
        let layers = layers.into_iter().chain([base]);
        Some(LayerTable(layers.map(|layer| (layer.name.folded().into(), layer)).collect()))
    }

    /// The layer of this folded name.
    pub fn get(&self, folded: &str) -> Option<&Layer> {
        self.0.get(folded)
    }

    /// All layers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Layer> {
        self.0.values()
    }
}
