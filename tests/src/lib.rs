//! `registry-tests`.
