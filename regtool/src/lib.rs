//! `regtool`.
