//! `loregd`.
