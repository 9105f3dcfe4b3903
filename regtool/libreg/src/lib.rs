//! The registry for programs: keys and values over handles of the scheme `reg:`.
//!
//! ```no_run
//! use libreg::{Access, Registry};
//!
//! # fn main() -> Result<(), libreg::Error> {
//! let registry = Registry::open()?;
//! let key = registry.open_key(r"Machine\System\Registry", Access::KEY_READ)?;
//! for value in key.values() {
//!     let value = value?;
//!     println!("{} = {}", value.name, libreg::data::interpret(value.value_type, &value.data));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Names in paths are separated by `\` or `/`. A handle can be used by several threads at once; each waits
//! for its own answers only. What the types of values mean is in [`data`], who may do what in [`security`],
//! how a key is saved with all below it in [`backup`], and the same registry as files in [`files`].
#![deny(unsafe_code)]

pub mod backup;
mod call;
pub mod data;
mod denial;
mod error;
pub mod files;
mod key;
mod layers;
mod registry;
pub mod security;
mod transaction;
mod view;
mod watch;
pub mod windows;

pub use denial::MissingRights;
pub use error::{Attempt, Cause, Error};
pub use key::{CreateKey, Key, SetValue, Subkeys, Values};
pub use layers::{Candidate, CandidateContent, EXPLAINED_DATA, Explanation, Verdict};
pub use lcs_abi::Guid;
pub use lcs_abi::call::{
    Counts, HiveState, HiveStatus, KeyDetails, KeyInfoAnswer as KeyInfo, LayerStatus, NamedValue,
    QueryValueAnswer as Value, RejectedSetting, SourceStatus, StatusAnswer as Status,
    StatusDetails, Subkey, TransactionState, TransactionStatusAnswer as TransactionStatus,
};
pub use lcs_abi::security::Access;
pub use lcs_abi::value::{TOMBSTONE, ValueType};
pub use lcs_abi::{ABI_VERSION, BASE_LAYER};
/// Folds a name as the registry does: two names are the same if they fold to the same.
pub use lcs_core::model::fold;
pub use registry::Registry;
pub use transaction::Transaction;
pub use view::ViewOptions;
pub use watch::{Event, EventKind, Watch, WatchFilter};

// Linking it is all: it defines the functions that libredox calls.
#[cfg(not(target_os = "redox"))]
use hosted as _;
