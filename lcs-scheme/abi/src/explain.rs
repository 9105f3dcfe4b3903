//! Why a value is what it is, and why a name leads where it does.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Guid;

/// How much of a value's data an explanation shows, in bytes.
pub const EXPLAINED_DATA: usize = 4096;

/// Asks for every candidate of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Explain {
    /// A value of the key, by its name.
    Value(String),
    /// A child of the key, by its name.
    Child(String),
}

/// What a candidate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CandidateContent {
    /// A value.
    Value {
        /// The type's code ([`crate::value::ValueType`]).
        value_type: u32,
        /// The data, or its first [`EXPLAINED_DATA`] bytes.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
        /// How long the data is, in bytes.
        size: u64,
    },
    /// The value is not there, and nothing that ranks below counts.
    Tombstone,
    /// The same for every value of the key.
    Blanket,
    /// The name leads to this key.
    Key(Guid),
    /// The name is hidden.
    Hidden,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// It wins. Where it is a tombstone, a blanket or HIDDEN, that means: not there.
    Wins,
    /// A layer of higher precedence has an entry.
    LowerPrecedence,
    /// A layer of the same precedence has a later entry.
    Older,
    /// It is latent: its layer is not enabled, and not attached to the view.
    LayerDisabled,
    /// It is latent: there is no such layer.
    LayerUnknown,
}

/// An entry that a layer has for a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The layer's name.
    pub layer: String,
    /// The layer's precedence; `None` if there is no such layer.
    pub precedence: Option<u32>,
    /// The entry's sequence number; 0 for what the handle's transaction has written.
    pub sequence: u64,
    /// What it says.
    pub content: CandidateContent,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// The answer to an [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainAnswer {
    /// The candidates: those that count from the winner down, then the latent ones. For others than
    /// Administrators only those that count.
    pub candidates: Vec<Candidate>,
}
