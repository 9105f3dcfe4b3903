//! Carrying out a plan, with many requests in flight.

use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use libreg::{Access, CreateKey, Error, Key, Registry, SetValue};

use super::plan::{Phase, Plan, PlannedKey};
use crate::commands::delete::delete_tree;
use crate::exit::{Code, Failure, code_of};
use crate::formats::reg::Entry;
use crate::parallel::{self, lock};
use crate::path::Path;

/// How many values of one key one worker writes one after the other.
const CHUNK: usize = 8;

/// What came of an import.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Keys of the plan that are there now.
    pub keys: usize,
    /// Values written.
    pub values: usize,
    /// `"name"=-` carried out.
    pub deleted_values: usize,
    /// `[-key]` carried out.
    pub deleted_keys: usize,
    /// What failed, by line.
    pub failed: Vec<Failed>,
    /// The registry or a source was lost, and the rest was not tried.
    pub lost: bool,
}

/// Something that could not be done.
#[derive(Debug)]
pub struct Failed {
    /// The line that asks for it.
    pub line: usize,
    /// What happened.
    pub what: String,
    /// As what kind of failure it counts.
    pub code: Code,
}

/// An import on its way.
pub struct Import<'a> {
    registry: &'a Registry,
    layer: Option<&'a str>,
    progress: ProgressBar,
    keys: AtomicUsize,
    values: AtomicUsize,
    deleted_values: AtomicUsize,
    deleted_keys: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
    lost: AtomicBool,
}

/// Values of a key beyond its first chunk.
struct More<'a> {
    key: &'a PlannedKey,
    entries: Range<usize>,
}

impl<'a> Import<'a> {
    /// Gets ready. A progress bar appears if stderr is a terminal.
    pub fn new(registry: &'a Registry, layer: Option<&'a str>, plan: &Plan) -> Import<'a> {
        let style = ProgressStyle::with_template("{bar:40} {percent}%  {pos}/{len}  {eta} left");
        let progress = ProgressBar::new(plan.steps() as u64);
        if let Ok(style) = style {
            progress.set_style(style);
        }
        Import {
            registry,
            layer,
            progress,
            keys: AtomicUsize::new(0),
            values: AtomicUsize::new(0),
            deleted_values: AtomicUsize::new(0),
            deleted_keys: AtomicUsize::new(0),
            failed: Mutex::new(Vec::new()),
            lost: AtomicBool::new(false),
        }
    }

    /// Does what the plan says, until the registry is lost.
    pub fn carry_out(&self, plan: &Plan) {
        for phase in &plan.phases {
            let go_on = match phase {
                Phase::Delete { line, path } => self.delete(*line, path),
                Phase::Write(levels) => self.write(levels),
            };
            if go_on.is_break() {
                return;
            }
        }
    }

    /// What came of it.
    pub fn finish(self) -> Outcome {
        self.progress.finish_and_clear();
        let mut failed = parallel::into_inner(self.failed);
        failed.sort_by_key(|failed| failed.line);
        Outcome {
            keys: self.keys.into_inner(),
            values: self.values.into_inner(),
            deleted_values: self.deleted_values.into_inner(),
            deleted_keys: self.deleted_keys.into_inner(),
            failed,
            lost: self.lost.into_inner(),
        }
    }

    fn delete(&self, line: usize, path: &Path) -> ControlFlow<()> {
        self.progress.inc(1);
        match delete_tree(self.registry, path, self.layer) {
            Ok(()) => {
                self.deleted_keys.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
            // As in regedit: to delete what is not there is no error.
            Err(Failure::Registry(error)) if error.is_not_found() => ControlFlow::Continue(()),
            Err(failure) => self.fail(line, failure.to_string(), failure.code()),
        }
    }

    fn write(&self, levels: &[Vec<PlannedKey>]) -> ControlFlow<()> {
        let mut above: Vec<AtomicBool> = Vec::new();
        let more = Mutex::new(Vec::new());
        for (depth, keys) in levels.iter().enumerate() {
            let usable: Vec<_> = keys.iter().map(|_| AtomicBool::new(false)).collect();
            let numbers: Vec<usize> = (0..keys.len()).collect();
            let complete = parallel::for_each(&numbers, |number| {
                let key = &keys[*number];
                let parent_usable = depth == 0
                    || above.get(key.parent).is_some_and(|parent| parent.load(Ordering::Relaxed));
                if !parent_usable {
                    // The parent's failure has been told, and says enough.
                    self.progress.inc(1 + key.entries.len() as u64);
                    return ControlFlow::Continue(());
                }
                let made = self.key(depth, key, &more);
                usable[*number].store(made == Made::Usable, Ordering::Relaxed);
                if made == Made::Lost { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if !complete {
                return ControlFlow::Break(());
            }
            above = usable;
        }
        let complete = parallel::for_each(&parallel::into_inner(more), |more: &More| {
            match self.registry.open_key(&more.key.path, Access::SET_VALUE) {
                Ok(handle) => self.entries(&handle, &more.key.entries[more.entries.clone()]),
                Err(error) => self.registry_failed(more.key.line, &error),
            }
        });
        if complete { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn key<'plan>(
        &self,
        depth: usize,
        key: &'plan PlannedKey,
        more: &Mutex<Vec<More<'plan>>>,
    ) -> Made {
        // Only what the file changes is asked for: a key that is merely passed may be read-only.
        let access =
            if key.entries.is_empty() { Access::MAXIMUM_ALLOWED } else { Access::SET_VALUE };
        // A hive is made by its source, and is there or not.
        let handle = if depth == 0 {
            self.registry.open_key(&key.path, access)
        } else {
            let how = CreateKey { layer: self.layer, volatile: false };
            self.registry.create_key(&key.path, access, &how)
        };
        self.progress.inc(1);
        match handle {
            Ok(handle) => {
                self.keys.fetch_add(1, Ordering::Relaxed);
                let (first, rest) = key.entries.split_at(key.entries.len().min(CHUNK));
                if !rest.is_empty() {
                    let chunks = (CHUNK..key.entries.len()).step_by(CHUNK);
                    lock(more).extend(chunks.map(|start| More {
                        key,
                        entries: start..(start + CHUNK).min(key.entries.len()),
                    }));
                }
                if self.entries(&handle, first).is_break() { Made::Lost } else { Made::Usable }
            }
            Err(error) => {
                if self.registry_failed(key.line, &error).is_break() {
                    Made::Lost
                } else {
                    Made::Unusable
                }
            }
        }
    }

    fn entries(&self, key: &Key, entries: &[Entry]) -> ControlFlow<()> {
        for entry in entries {
            let (outcome, counter) = match &entry.value {
                Some(value) => {
                    let how = SetValue { layer: self.layer, expected_sequence: None };
                    let outcome = key.set_value(&entry.name, value.value_type, &value.data, &how);
                    (outcome.map(drop), &self.values)
                }
                None => (key.delete_value(&entry.name, self.layer), &self.deleted_values),
            };
            self.progress.inc(1);
            match outcome {
                Ok(()) => {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => self.registry_failed(entry.line, &error)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn registry_failed(&self, line: usize, error: &Error) -> ControlFlow<()> {
        self.fail(line, error.to_string(), code_of(error))
    }

    fn fail(&self, line: usize, what: String, code: Code) -> ControlFlow<()> {
        lock(&self.failed).push(Failed { line, what, code });
        if code == Code::Unavailable {
            self.lost.store(true, Ordering::Relaxed);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// What came of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It is there.
    Usable,
    /// It is not; what is below it need not be tried.
    Unusable,
    /// Nothing more need be tried at all.
    Lost,
}
