//! `lcs-abi`.
