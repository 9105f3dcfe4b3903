//! What the whole-system tests share: a root directory, processes in it, and the words of the echo
//! scheme.

pub mod client;
pub mod daemons;
pub mod dice;
pub mod echo;
pub mod eventually;
pub mod files;
pub mod handles;
pub mod harness;
pub mod interruptible;
pub mod memory;
pub mod monotonic;
pub mod puppet;
pub mod registry;
pub mod users;
