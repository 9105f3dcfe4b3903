//! Mutations that wait for their step: what LCS sends ahead because it fits no frame.

use std::collections::BTreeMap;

use lcs_abi::rsi::{Answer, Changes, Mutation, Request, SourceError};

/// The stages of a hive. They are in memory only, and end with the connection over which they came.
#[derive(Default)]
pub(crate) struct Stages {
    stages: BTreeMap<u64, Vec<Mutation>>,
}

/// What is to be done about a request.
pub(crate) enum Turn {
    /// Nothing more: this is its answer, whatever the disk does.
    Answered(Result<Answer, SourceError>),
    /// It is for the [`super::Writer`].
    Step(StagedStep),
}

/// A request for the [`super::Writer`] with all of its mutations in it.
pub(crate) struct StagedStep {
    pub(crate) request: Request,
    /// The stage that they came from and may have to go back to.
    stage: Option<u64>,
}

impl StagedStep {
    /// Whether its mutations come from a stage.
    pub(crate) fn is_staged(&self) -> bool {
        self.stage.is_some()
    }
}

impl Stages {
    /// Takes the next request: keeps what it stages, and gives a step what was staged for it.
    pub(crate) fn take(&mut self, request: Request) -> Turn {
        match request {
            Request::Stage { stage, mut mutations } => {
                self.stages.entry(stage).or_default().append(&mut mutations);
                Turn::Answered(Ok(Answer::Done))
            }
            Request::DropStage { stage } => {
                self.stages.remove(&stage);
                Turn::Answered(Ok(Answer::Done))
            }
            Request::Apply { conditions, changes: Changes::Stage(stage), first_sequence } => {
                let Some(mutations) = self.stages.remove(&stage) else {
                    return Turn::Answered(Err(SourceError::NotFound));
                };
                let changes = Changes::Mutations(mutations);
                let request = Request::Apply { conditions, changes, first_sequence };
                Turn::Step(StagedStep { request, stage: Some(stage) })
            }
            request => Turn::Step(StagedStep { request, stage: None }),
        }
    }

    /// A step was answered. After a storage error LCS may try again: the stage is there as before. Any
    /// other answer is final, and the stage is gone.
    pub(crate) fn settle(&mut self, step: StagedStep, answer: &Result<Answer, SourceError>) {
        if let (Some(stage), Err(SourceError::StorageError)) = (step.stage, answer)
            && let Request::Apply { changes: Changes::Mutations(mutations), .. } = step.request
        {
            self.stages.insert(stage, mutations);
        }
    }
}
