//! What only makes sense between layers: to hide a key, to mask values, to ask why something is what it is.

use lcs_abi::call::{LayerOnly, Op, SetTombstone, Unhide};
use lcs_abi::explain::Explain;

use crate::call;
use crate::error::{Attempt, Error};
use crate::key::Key;

/// Every candidate of a name, from the winner down, then those that do not count.
pub use lcs_abi::explain::ExplainAnswer as Explanation;
pub use lcs_abi::explain::{Candidate, CandidateContent, EXPLAINED_DATA, Verdict};

impl Key {
    /// Hides the key in a layer: where that layer wins its name leads nowhere, whatever layers below say. Needs
    /// DELETE.
    ///
    /// # Errors
    /// EEXIST: the layer has a key of this name itself, which would be lost. EINVAL: a hive, or a key that the
    /// registry itself needs. ENOENT: no such layer, or an orphan.
    pub fn hide(&self, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = LayerOnly { layer: layer.clone() };
        self.call(Op::HideKey, &request, 0, || Attempt::HideKey { layer })
    }

    /// Takes back that a layer hides a child of this key. Needs CREATE_SUB_KEY.
    ///
    /// # Errors
    /// EINVAL: the layer does not hide it.
    pub fn unhide(&self, child: &str, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = Unhide { child: child.to_owned(), layer: layer.clone() };
        let child = child.to_owned();
        self.call(Op::Unhide, &request, 0, || Attempt::Unhide { child, layer })
    }

    /// Masks a value in a layer: where that layer wins there is no such value, whatever layers below say. What
    /// the layer had of that name is replaced. Needs SET_VALUE.
    pub fn set_tombstone(&self, name: &str, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = SetTombstone { name: name.to_owned(), layer: layer.clone() };
        let name = name.to_owned();
        self.call(Op::SetTombstone, &request, 0, || Attempt::SetTombstone { name, layer })
    }

    /// Masks all values in a layer, but those that are written afterwards. Needs SET_VALUE.
    pub fn set_blanket(&self, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = LayerOnly { layer: layer.clone() };
        self.call(Op::SetBlanket, &request, 0, || Attempt::SetBlanket { layer })
    }

    /// Takes back that a layer masks all values; one that does not is no error. Needs SET_VALUE.
    pub fn clear_blanket(&self, layer: Option<&str>) -> Result<(), Error> {
        let layer = layer.map(str::to_owned);
        let request = LayerOnly { layer: layer.clone() };
        self.call(Op::ClearBlanket, &request, 0, || Attempt::ClearBlanket { layer })
    }

    /// Why a value is what it is, or is not there. Needs QUERY_VALUE.
    pub fn explain_value(&self, name: &str) -> Result<Explanation, Error> {
        self.explain(&Explain::Value(name.to_owned()))
    }

    /// Why the name of a subkey leads where it does, or nowhere. Needs QUERY_VALUE.
    pub fn explain_child(&self, name: &str) -> Result<Explanation, Error> {
        self.explain(&Explain::Child(name.to_owned()))
    }

    fn explain(&self, request: &Explain) -> Result<Explanation, Error> {
        self.call(Op::Explain, request, call::ANSWER, || Attempt::Explain)
    }
}
