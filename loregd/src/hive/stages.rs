//! Mutations that wait for their step: what LCS sends ahead because it fits no frame.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lcs_abi::rsi::{Answer, Changes, Mutation, Request, SourceError};

use super::numbers::Numbering;
use crate::Error;

/// How much of a stage is in memory before it goes to a file, in bytes.
const IN_MEMORY: usize = 4 << 20;

/// What the names of the files of stages have after that of their hive.
const SUFFIX: &str = ".stage-";

/// The stages of a hive. They end with the connection over which they came.
#[derive(Default)]
pub(crate) struct Stages {
    /// What the names of files for large stages begin with; `None`: all are in memory.
    files: Option<PathBuf>,
    stages: BTreeMap<u64, Stage>,
}

/// What is to be done about a request.
pub(crate) enum Turn {
    /// Nothing more: this is its answer.
    Answered(Result<Answer, SourceError>),
    /// It is for the [`super::Writer`].
    Step(StagedStep),
}

/// A request for the [`super::Writer`], with the stage that has its mutations, if one has.
pub(crate) struct StagedStep {
    pub(crate) request: Request,
    stage: Option<(u64, Stage)>,
}

impl StagedStep {
    /// The request, and where its mutations are if they are not in it.
    pub(crate) fn parts(&self) -> (&Request, Option<&Stage>) {
        (&self.request, self.stage.as_ref().map(|(_, stage)| stage))
    }

    /// Whether the step may be so large that it should not wait for others, nor be undone without them: its
    /// mutations come from a stage, or it removes what nobody has counted.
    pub(crate) fn is_large(&self) -> bool {
        match &self.request {
            Request::Apply { changes: Changes::Stage(_), .. } | Request::DeleteLayer { .. } => true,
            Request::Apply { changes: Changes::Mutations(mutations), .. } => {
                let removes = |it: &Mutation| {
                    matches!(it, Mutation::RemoveSubtree { .. } | Mutation::RestoreKey(_))
                };
                mutations.iter().any(removes)
            }
            _ => false,
        }
    }
}

impl Stages {
    /// Stages that go to files, when they are large, whose names begin with `files`.
    pub(crate) fn in_files(files: &Path) -> Self {
        Stages { files: Some(files.to_owned()), stages: BTreeMap::new() }
    }

    /// Takes the next request: keeps what it stages, and gives a step what was staged for it.
    pub(crate) fn take(&mut self, request: Request) -> Turn {
        match request {
            Request::Stage { stage, mutations } => {
                Turn::Answered(self.append(stage, &mutations).map(|()| Answer::Done))
            }
            Request::DropStage { stage } => {
                self.stages.remove(&stage);
                Turn::Answered(Ok(Answer::Done))
            }
            Request::Apply { changes: Changes::Stage(number), .. } => {
                match self.stages.remove(&number) {
                    None => Turn::Answered(Err(SourceError::NotFound)),
                    Some(stage) => Turn::Step(StagedStep { request, stage: Some((number, stage)) }),
                }
            }
            request => Turn::Step(StagedStep { request, stage: None }),
        }
    }

    /// A step was answered. After a storage error LCS may try again: the stage is there as before. Any
    /// other answer is final, and the stage is gone.
    pub(crate) fn settle(&mut self, step: StagedStep, answer: &Result<Answer, SourceError>) {
        if let (Some((number, stage)), Err(SourceError::StorageError)) = (step.stage, answer) {
            self.stages.insert(number, stage);
        }
    }

    fn append(&mut self, number: u64, mutations: &Vec<Mutation>) -> Result<(), SourceError> {
        let stage = self.stages.entry(number).or_default();
        let file = || {
            let mut name = self.files.clone()?.into_os_string();
            name.push(format!("{SUFFIX}{number}"));
            Some(PathBuf::from(name))
        };
        stage.append(mutations, file).map_err(|error| {
            // What is left of it is no step.
            *stage = Stage { is_broken: true, ..Stage::default() };
            log::error!("mutations sent ahead cannot be kept: {error}");
            error.to_source_error()
        })
    }
}

/// Removes the files of stages that a loregd left behind: those whose names begin with `files`.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn remove_leftovers(files: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::File { path, error }
    };
    let (Some(directory), Some(name)) = (files.parent(), files.file_name()) else {
        return Ok(());
    };
    let begins = format!("{}{SUFFIX}", name.to_string_lossy());
    for file in fs::read_dir(directory).map_err(failed(directory))? {
        let path = file.map_err(failed(directory))?.path();
        let name = path.file_name().unwrap_or_default();
        if name.to_string_lossy().starts_with(&begins) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Mutations sent ahead, as they came: parts of a length (u32, little-endian) and the postcard of so many
/// bytes.
#[derive(Default)]
pub(crate) struct Stage {
    /// The first of them, if there are many.
    file: Option<StageFile>,
    /// The others.
    in_memory: Vec<u8>,
    /// What is known of the numbers of all.
    numbering: Numbering,
    /// Some could not be kept.
    is_broken: bool,
}

impl Stage {
    fn append(
        &mut self,
        mutations: &Vec<Mutation>,
        path: impl Fn() -> Option<PathBuf>,
    ) -> Result<(), Error> {
        self.is_whole()?;
        self.numbering.add(mutations);
        let part = lcs_abi::encode(mutations);
        let length = u32::try_from(part.len()).map_err(|_| SourceError::TooLarge)?;
        self.in_memory.extend(length.to_le_bytes());
        self.in_memory.extend(part);
        if self.in_memory.len() > IN_MEMORY
            && let Some(path) = path()
        {
            let file = match &mut self.file {
                Some(file) => file,
                file => file.insert(StageFile::new(path)?),
            };
            file.append(&self.in_memory)?;
            self.in_memory = Vec::new();
        }
        Ok(())
    }

    fn is_whole(&self) -> Result<(), Error> {
        match self.is_broken {
            true => Err(SourceError::StorageError.into()),
            false => Ok(()),
        }
    }

    fn each(&self, take: &mut dyn FnMut(&Mutation) -> Result<(), Error>) -> Result<(), Error> {
        self.is_whole()?;
        if let Some(file) = &self.file {
            let failed = |error| Error::File { path: file.path.clone(), error };
            (&file.file).rewind().map_err(failed)?;
            each_part(&mut BufReader::with_capacity(64 << 10, &file.file), failed, take)?;
        }
        // Memory does not fail, and holds whole parts.
        let failed = |error| Error::System { what: "a stage in memory", error };
        each_part(&mut &self.in_memory[..], failed, take)
    }
}

fn each_part(
    parts: &mut dyn Read,
    failed: impl Fn(io::Error) -> Error,
    take: &mut dyn FnMut(&Mutation) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        let mut length = [0; 4];
        match parts.read(&mut length[..1]).map_err(&failed)? {
            0 => return Ok(()),
            _ => parts.read_exact(&mut length[1..]).map_err(&failed)?,
        }
        let mut part = vec![0; u32::from_le_bytes(length) as usize];
        parts.read_exact(&mut part).map_err(&failed)?;
        let mutations: Vec<Mutation> =
            lcs_abi::decode(&part).map_err(|_| failed(io::ErrorKind::InvalidData.into()))?;
        drop(part);
        mutations.iter().try_for_each(&mut *take)?;
    }
}

/// A file that is there as long as this is.
struct StageFile {
    path: PathBuf,
    file: File,
}

impl StageFile {
    fn new(path: PathBuf) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => Ok(StageFile { path, file }),
            Err(error) => Err(Error::File { path, error }),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| Error::File { path: self.path.clone(), error })
    }
}

impl Drop for StageFile {
    fn drop(&mut self) {
        // One that stays is removed at the next start.
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("{}: {error}", self.path.display());
        }
    }
}

/// The mutations of a step, wherever they are.
#[derive(Clone, Copy)]
pub(super) enum Mutations<'a> {
    Here(&'a [Mutation]),
    Staged(&'a Stage),
}

impl Mutations<'_> {
    /// A numbering that was shown all of them.
    pub(super) fn numbering(self) -> Numbering {
        match self {
            Mutations::Here(mutations) => {
                let mut numbering = Numbering::default();
                numbering.add(mutations);
                numbering
            }
            Mutations::Staged(stage) => stage.numbering.clone(),
        }
    }

    /// Shows `take` all of them, in order, until it fails.
    pub(super) fn each(
        self,
        take: &mut dyn FnMut(&Mutation) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Mutations::Here(mutations) => mutations.iter().try_for_each(take),
            Mutations::Staged(stage) => stage.each(take),
        }
    }
}
