//! `loregd`, the first source of the registry: it keeps hives in redb databases and answers LCS.
//!
//! It stores and hands back; it knows nothing of names' folding, of rights or of which layer wins.
//!
//! - [`store`]: an ordered map of bytes that survives (redb), or does not (memory). Another engine is
//!   another implementation of [`store::Store`].
//! - [`hive`]: what a request of [`lcs_abi::rsi`] means, written once over such a map; the format of the
//!   rows; volatile keys; steps and their commits.
//! - [`directory`]: the data directory, its guard and the databases in it.
//! - [`connection`]: frames to and from LCS.
//! - [`server`]: the loop between LCS and the hives; `committer` is the thread of a hive that commits what
//!   has arrived, `outbox` the way of all threads to LCS.
//! - [`check`]: whether the hives of a directory are whole, without a daemon.
//! - `backup` makes automatic copies of hives, and [`mod@restore`] puts one in the place of a hive, without a
//!   daemon.
//! - `recovery` opens a hive whatever has become of its file; `files` are the names that its files have, `kept`
//!   is what must outlive its database.
//! - [`arguments`]: the options of the daemon.
#![forbid(unsafe_code)]

// The C functions that libredox calls are relibc's on Redox and `hosted`'s elsewhere; unmentioned, rustc
// would drop the crate and the linker would miss them.
#[cfg(not(target_os = "redox"))]
use hosted as _;

pub mod arguments;
mod backup;
pub mod check;
mod committer;
pub mod connection;
pub mod directory;
mod error;
mod files;
pub mod hive;
mod kept;
mod outbox;
mod recovery;
pub mod restore;
pub mod server;
pub mod store;

pub use error::Error;
pub use files::HiveFiles;
pub use recovery::{Opened, Recovered};
