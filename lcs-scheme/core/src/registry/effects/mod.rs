//! What a commit changes for those who watch (DESIGN §7).
//!
//! Before a step is sent that somebody may want to know of, the entries of the names that it touches are read,
//! as they are and as the step will make them: a [`Plan`]. When the source has carried it out, the winners of
//! both are compared in each watcher's view, at once, so that events come in the order of the commits.
//! Meanwhile nobody else changes these names: [`Watched`] holds locks. Steps that nobody watches have neither
//! plan nor locks; a watch is armed when those that were under way before have come to their end.

mod image;
mod plan;
mod steps;
mod tell;

pub(super) use plan::{Change, Of, Plan, Writes};
pub(super) use steps::Steps;
pub(super) use tell::Deliveries;
