//! What sources said is kept while it is true.

mod layered;
mod limits;
mod mutations;
mod races;
mod warm;
