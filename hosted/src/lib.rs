//! `hosted`.
