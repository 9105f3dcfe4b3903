//! What the registry means: names, layers, keys, values, who may, and the operations on them.
//!
//! Nothing here does I/O, knows the time or makes random numbers: all that comes from outside through
//! [`registry::Backend`]. DESIGN.md is the specification.
//!
//! - [`model`]: names and folding, paths, values, layers, resolution. Pure data and functions.
//! - [`security`]: who a caller is and what it may do.
//! - [`registry`]: the operations, as futures over sources that may be slow, die, or lie.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod model;
pub mod registry;
pub mod security;
