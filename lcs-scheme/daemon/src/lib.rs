//! `lcs-daemon`.
