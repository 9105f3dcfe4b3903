//! `lcs-scheme`.
