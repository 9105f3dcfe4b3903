//! A world for the registry: sources in memory, a clock that stands still, GUIDs that are counted.

pub mod client;
pub mod kept;
pub mod names;
pub mod streams;
pub mod world;

pub use client::Client;
pub use world::Failure;
