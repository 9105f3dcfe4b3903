//! `libreg`.
