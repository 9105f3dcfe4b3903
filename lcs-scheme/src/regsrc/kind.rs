//! Which answer belongs to which request.

use lcs_abi::rsi::{Answer, Request};

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Entries,
    Key,
    Values,
    Layer,
    Applied,
    Outcome,
    Done,
    Snapshot,
    Orphans,
    Copied,
}

impl Kind {
    /// The kind that answers a request.
    pub(super) fn expected(request: &Request) -> Kind {
        match request {
            Request::Lookup { .. } | Request::EnumChildren { .. } => Kind::Entries,
            Request::ReadKey { .. } => Kind::Key,
            Request::QueryValue { .. } | Request::QueryValues { .. } => Kind::Values,
            Request::EnumLayer { .. } => Kind::Layer,
            Request::Apply { .. } => Kind::Applied,
            Request::Outcome { .. } => Kind::Outcome,
            Request::Stage { .. }
            | Request::DropStage { .. }
            | Request::Release { .. }
            | Request::Flush => Kind::Done,
            Request::Snapshot => Kind::Snapshot,
            Request::DropKey { .. } | Request::DeleteLayer { .. } => Kind::Orphans,
            Request::Copy => Kind::Copied,
        }
    }

    /// The kind of an answer.
    pub(super) fn of(answer: &Answer) -> Kind {
        match answer {
            Answer::Entries { .. } => Kind::Entries,
            Answer::Key(_) => Kind::Key,
            Answer::Values { .. } => Kind::Values,
            Answer::Layer { .. } => Kind::Layer,
            Answer::Applied { .. } => Kind::Applied,
            Answer::Outcome { .. } => Kind::Outcome,
            Answer::Done => Kind::Done,
            Answer::Snapshot { .. } => Kind::Snapshot,
            Answer::Orphans(_) => Kind::Orphans,
            Answer::Copied { .. } => Kind::Copied,
        }
    }
}
