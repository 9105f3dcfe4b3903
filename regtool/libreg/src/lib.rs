//! The registry for programs.
//!
//! Programs that are written for the crate `winreg` (0.56) find its names here: [`RegKey`], [`enums`], [`types`],
//! [`transaction`] and, with the feature `serialization-serde`, `RegKey::encode` and `RegKey::decode`. Such a program
//! needs one other line in its Cargo.toml, `winreg = { package = "libreg", … }`.
//!
//! ```
//! use libreg::HKCU;
//!
//! # fn main() -> std::io::Result<()> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let (key, _) = HKCU.create_subkey(r"Software\Editor")?;
//! key.set_value("Tabs", &4u32)?;
//! key.set_value("Greeting", &"Hello, Redox")?;
//! let tabs: u32 = key.get_value("Tabs")?;
//! assert_eq!(tabs, 4);
//! for value in key.enum_values() {
//!     let (name, value) = value?;
//!     println!("{name} = {value}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What Windows does not have is in an interface of its own, which begins with a [`Registry`] and its [`Key`]s;
//! [`RegKey::key`] leads there, and every [`Key`] can be a [`RegKey`]. It has paths with `\` or `/`, text as it is kept
//! (UTF-8), rights, and the layer into which is written:
//!
//! ```
//! use libreg::{Access, CreateKey, Registry, SetValue, ValueType};
//!
//! # fn main() -> Result<(), libreg::Error> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let registry = Registry::open()?;
//! let everything = (Access::KEY_ALL_ACCESS, CreateKey::default());
//! let key = registry.create_key("Machine/Editor", everything.0, &everything.1)?;
//! key.set_value("Greeting", ValueType::Sz.code(), b"Hello", &SetValue::default())?;
//!
//! // A layer lies over what is there, and is taken off again.
//! let layer = registry.create_key("Machine/System/Registry/Layers/site", everything.0, &everything.1)?;
//! let site = SetValue { layer: Some("site"), ..SetValue::default() };
//! key.set_value("Greeting", ValueType::Sz.code(), b"Welcome", &site)?;
//! assert_eq!(key.value("Greeting")?.data, b"Welcome");
//! let why = key.explain_value("Greeting")?;
//! assert_eq!(why.candidates[0].layer, "site");
//! layer.delete(None)?;
//! assert_eq!(key.value("Greeting")?.data, b"Hello");
//! # Ok(())
//! # }
//! ```
//!
//! A [`Watch`] tells what changes, as an iterator that waits, or without waiting, by a descriptor that becomes readable:
//!
//! ```
//! use std::os::fd::AsRawFd;
//!
//! use libreg::{EventKind, HKCU, WatchFilter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let (key, _) = HKCU.create_subkey(r"Software\Editor")?;
//! let mut watch = key.key(libreg::Access::NOTIFY)?.watch(WatchFilter::all(), true)?;
//! assert!(watch.as_raw_fd() >= 0, "it can be polled");
//! assert!(watch.try_next()?.is_none());
//! key.set_value("Tabs", &8u32)?;
//! let event = watch.next().expect("a watch does not end")?;
//! assert_eq!((event.kind, event.name.as_str()), (EventKind::ValueSet, "Tabs"));
//! # Ok(())
//! # }
//! ```
//!
//! Many changes of one hive are one [`Transaction`]; a [view](Registry::view) has private layers and private hives in it;
//! [`security`] is who may do what, and [`Key::security`] and [`Key::set_security`] read and write it; [`backup`] saves a key
//! with all below it. What the types of values mean is in [`data`], what Windows has instead in [`windows`], and the same
//! registry as files in [`files`]. A handle can be used by several threads at once; each waits for its own answers only.
#![deny(unsafe_code)]

pub mod backup;
mod call;
mod commit;
mod connection;
pub mod data;
mod denial;
mod error;
pub mod files;
mod generations;
mod key;
mod layers;
mod registry;
pub mod security;
mod view;
mod watch;
pub mod windows;
mod winreg;

pub use commit::Transaction;
pub use denial::MissingRights;
pub use error::{Attempt, Cause, Error};
pub use key::{CreateKey, Key, SetValue, Subkeys, Values};
pub use layers::{Candidate, CandidateContent, EXPLAINED_DATA, Explanation, Verdict};
pub use lcs_abi::Guid;
pub use lcs_abi::call::{
    Becomes, Counts, HiveState, HiveStatus, KeyChange, KeyDetails, KeyInfoAnswer as KeyInfo,
    LayerStatus, NamedValue, NamedValueRef, QueryValueAnswer as Value, RejectedSetting,
    SourceStatus, StatusAnswer as Status, StatusDetails, Subkey, TransactionState,
    TransactionStatusAnswer as TransactionStatus, ValueChange, ValueRef,
};
pub use lcs_abi::security::Access;
pub use lcs_abi::value::{TOMBSTONE, ValueType};
pub use lcs_abi::{ABI_VERSION, BASE_LAYER};
/// Folds a name as the registry does: two names are the same if they fold to the same.
pub use lcs_core::model::fold;
pub use registry::Registry;
pub use view::ViewOptions;
pub use watch::{Event, EventKind, Watch, WatchFilter};
pub use winreg::*;

// Linking it is all: it defines the functions that libredox calls.
#[cfg(not(target_os = "redox"))]
use hosted as _;
