//! `lcs-core`.
