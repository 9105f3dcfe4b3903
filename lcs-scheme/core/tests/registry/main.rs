//! What the registry promises, tried with real, slow, failing and lying sources.

mod backups;
mod cache;
mod common;
mod concurrency;
mod files;
mod generations;
mod histories;
mod hostile;
mod layer_deletion;
mod layers;
mod limits;
mod model;
mod paging;
mod privileges;
mod security;
mod settings;
mod several;
mod sources;
mod transactions;
mod watches;
