//! Layers: configuration that can be put on and taken off.

use alloc::rc::Rc;
use alloc::string::String;

use hashbrown::HashMap;
use lcs_abi::BASE_LAYER;

use super::name::KeyName;
use crate::security::SecurityDescriptor;

/// A layer of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: KeyName,
    /// Between layers the higher precedence wins, within one precedence the later write.
    pub precedence: u32,
    /// Whether its entries count.
    pub enabled: bool,
    /// That of the layer's metadata key: who has SET_VALUE there may write into the layer. `base` has no such
    /// key; its descriptor has no DACL, so that rights on the key that is written to are all it takes.
    pub sd: Rc<SecurityDescriptor>,
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
        let base = Layer { name: base, precedence: 0, enabled: true, sd: Rc::default() };
        let layers = layers.into_iter().chain([base]);
        Some(LayerTable(layers.map(|layer| (layer.name.folded().into(), layer)).collect()))
    }

    /// The layer of this folded name.
    pub fn get(&self, folded: &str) -> Option<&Layer> {
        self.0.get(folded)
    }

    /// The precedence of the layer of this folded name, if its entries count.
    pub fn active_precedence(&self, folded: &str) -> Option<u32> {
        self.get(folded).filter(|layer| layer.enabled).map(|layer| layer.precedence)
    }

    /// All layers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Layer> {
        self.0.values()
    }
}
