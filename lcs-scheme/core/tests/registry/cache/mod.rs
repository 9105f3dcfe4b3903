//! What sources said is kept while it is true.

mod limits;
mod mutations;
mod races;
mod warm;
