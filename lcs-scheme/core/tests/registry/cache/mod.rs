//! What sources said is kept while it is true.

mod races;
mod warm;
