//! `loregd`, the first source of the registry: it keeps hives in redb databases and answers LCS.
//!
//! It stores and hands back; it knows nothing of names' folding, of rights or of which layer wins.
//!
//! - [`store`]: an ordered map of bytes that survives (redb), or does not (memory). Another engine is
//!   another implementation of [`store::Store`].
//! - [`hive`]: what a request of [`lcs_abi::rsi`] means, written once over such a map; the format of the
//!   rows; volatile keys; group commit.
#![forbid(unsafe_code)]

mod error;
pub mod hive;
pub mod store;

pub use error::Error;
