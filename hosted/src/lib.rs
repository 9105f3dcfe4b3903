//! Redox' C ABI on Linux: the `redox_*` symbols that `libredox` and `redox_event` declare and that
//! relibc provides on Redox.
//!
//! An unmodified `redox-scheme` daemon and unmodified `libredox` clients, linked with this crate,
//! work as separate Linux processes. A scheme name is a Unix socket below the [root] directory,
//! each open file is a socket of its own to the daemon, and the Linux kernel says who is calling.
//! Link it with `use hosted as _;` under `cfg(not(target_os = "redox"))`.
//!
//! | room | what is in it |
//! |---|---|
//! | `abi` | the exported symbols, and nothing but the way from C to Rust |
//! | `client` | a request on an open file and its answer |
//! | `on_behalf` | files of a scheme for somebody else, which the FUSE door is made of |
//! | `server` | the scheme socket: what a daemon reads and writes |
//! | `wire` | the messages between the two |
//! | `paths`, `namespace`, `root` | from a path to a scheme, a kernel scheme or a Linux file |
//! | `kernel_schemes`, `event` | what Redox' kernel serves itself: `time`, `rand`, `event`, … |
//! | `mappings` | memory that a scheme shares with its clients |
//! | `flags` | Linux' numbers and Redox' numbers, translated here and nowhere else |
//! | `sys` | Linux system calls with descriptors and credentials in messages |
//!
//! On Redox this crate is empty.
//!
//! A program finds other schemes than the root directory's under names that [`NAMES`] in its environment
//! binds to handles that it inherited. That confines nobody who does not wish to be: where that is wanted, a
//! mount namespace hides the root directory.
//!
//! # Rules for users
//!
//! Descriptors that `libredox` gave are closed through `libredox`. They may be inherited, passed
//! with `SCM_RIGHTS` and polled; a scheme learns of a poller's interest when the descriptor is
//! subscribed to an event queue, made non-blocking through `libredox`, or read while nothing is
//! there. Readiness to write is not reported by schemes: a handle always looks writable.
#![cfg(not(target_os = "redox"))]

mod abi;
mod client;
mod errno;
mod event;
mod flags;
mod kernel_schemes;
mod locals;
mod mappings;
mod namespace;
pub mod on_behalf;
mod paths;
mod raw;
mod root;
mod server;
mod sys;
mod wire;

pub use namespace::NAMES;
pub use raw::{raw_request, raw_request_in_memory, unlink};
pub use root::root;
