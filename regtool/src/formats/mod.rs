//! Files that hold registry data, read and written without a registry: pure functions over bytes.

pub mod reg;
pub mod role;
