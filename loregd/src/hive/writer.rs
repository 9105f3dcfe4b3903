//! Steps and their commits.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, Changes, Condition, KeyRecord, Request, SourceError};

use super::both::{Committed, Home, Steps, Working};
use super::ledger::Ledger;
use super::rows::{self, FORMAT, HiveRow, Kind};
use super::stages::{Mutations, Stage, Stages};
use super::step::Step;
use super::{Reader, Shared};
use crate::Error;
use crate::kept::Keeper;
use crate::store::{Memory, Rows, Store};

/// How many orphans one commit of a purge drops.
const PURGE_AT_ONCE: usize = 1024;

type Answers = Vec<Result<Answer, SourceError>>;

/// Carries out steps.
pub struct Writer {
    shared: Arc<Shared>,
    pub(super) store: Box<dyn Store>,
    memory: Memory,
    ledger: Ledger,
    root: Guid,
    /// The store can't be written before it is opened again.
    closed: bool,
    in_doubt: Option<InDoubt>,
    /// What the names of files for large stages begin with.
    stage_files: Option<PathBuf>,
    keeper: Option<Keeper>,
}

/// A commit of which it isn't known whether it happened.
struct InDoubt {
    /// How many commits there are if it did.
    commits: u64,
    /// Memory if it did.
    memory: Memory,
}

impl Writer {
    /// Opens the hive in `store`, or makes it with this root.
    pub(super) fn open(
        name: &str,
        store: Box<dyn Store>,
        new_root: &KeyRecord,
    ) -> Result<Self, Error> {
        let mut writer = Writer {
            shared: Arc::new(Shared::new(name)),
            ledger: Ledger::read(&*store.view()?)?,
            root: new_root.key,
            closed: !store.is_writable(),
            store,
            memory: Memory::default(),
            in_doubt: None,
            stage_files: None,
            keeper: None,
        };
        match read_hive_row(&*writer.store.view()?)? {
            Some(hive) => writer.root = hive.root,
            None => writer.make(new_root)?,
        }
        writer.publish()?;
        Ok(writer)
    }

    /// Writes the root key of a new hive.
    fn make(&mut self, root: &KeyRecord) -> Result<(), Error> {
        self.transact(Steps::One, |rows, _| {
            let hive = HiveRow { format: FORMAT, root: root.key };
            rows.put(Home::Store, &rows::single(Kind::Hive), &lcs_abi::encode(&hive))?;
            let mut step = Step::new(rows, root.key);
            step.insert_key(root)?;
            step.finish()?;
            Ok(true)
        })
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn keep(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    /// Reserves all sequence numbers up to this one, durably.
    pub(crate) fn raise_max_sequence(&mut self, to: u64) -> Result<(), Error> {
        if to <= self.max_sequence() {
            return Ok(());
        }
        self.transact(Steps::One, |_, ledger| {
            ledger.reserve(to);
            Ok(true)
        })?;
        self.publish()
    }

    pub(super) fn stage_in(&mut self, files: &Path) {
        self.stage_files = Some(files.to_owned());
    }

    /// Stages for the steps of this hive; none yet.
    pub(crate) fn stages(&self) -> Stages {
        self.stage_files.as_deref().map(Stages::in_files).unwrap_or_default()
    }

    pub(super) fn root(&self) -> Guid {
        self.root
    }

    /// How many commits there were.
    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.ledger.commits()
    }

    pub(super) fn max_sequence(&self) -> u64 {
        self.ledger.max_sequence()
    }

    /// Drops the keys that no entry names, and those that thereby lose their last entry, and so on. Costs
    /// what the orphans hold, whatever the hive holds. Returns how many there were.
    pub(super) fn purge(&mut self) -> Result<usize, Error> {
        let mut purged = 0;
        loop {
            let orphans = first_orphans(&*self.store.view()?)?;
            if orphans.is_empty() {
                return Ok(purged);
            }
            purged += orphans.len();
            let root = self.root;
            self.transact(Steps::One, |rows, _| {
                let mut step = Step::new(rows, root);
                for orphan in &orphans {
                    step.purge_orphan(*orphan)?;
                }
                step.finish()?;
                Ok(true)
            })?;
            self.publish()?;
        }
    }

    /// Carries out these requests, in order and each atomically, in one commit. Returns the answers in the
    /// same order when the commit is durable. One that fails does not disturb the others; if the commit
    /// fails, all do.
    pub fn commit(&mut self, requests: &[&Request]) -> Answers {
        let steps: Vec<_> = requests.iter().map(|request| (*request, None)).collect();
        self.commit_staged(&steps)
    }

    /// The same, where some have their mutations in a stage. What one alone takes of memory does not grow with
    /// it.
    pub(crate) fn commit_staged(&mut self, requests: &[(&Request, Option<&Stage>)]) -> Answers {
        let failed = |error: SourceError| requests.iter().map(|_| Err(error)).collect();
        if self.closed {
            match self.reopen() {
                Ok(()) => log::warn!("{}: can be written again", self.shared.name),
                Err(error) => return failed(self.shared.tell(&error)),
            }
        }
        if requests.is_empty() {
            return Answers::new();
        }
        let (shared, root) = (self.shared(), self.root);
        let mut answers = Answers::new();
        let how_many = if requests.len() == 1 { Steps::One } else { Steps::Many };
        let done = self.transact(how_many, |rows, ledger| {
            let mut changed = false;
            for (request, stage) in requests {
                answers.push(match carry_out(rows, ledger, root, request, *stage) {
                    Ok(answer) => {
                        changed |= !matches!(request, Request::Outcome { .. });
                        rows.keep_step();
                        Ok(answer)
                    }
                    // A file is one that holds a stage.
                    Err(
                        error @ (Error::Refused(_) | Error::Corrupt { .. } | Error::File { .. }),
                    ) => {
                        rows.undo_step()?;
                        Err(shared.tell(&error))
                    }
                    Err(error) => return Err(error),
                });
            }
            Ok(changed)
        });
        match done.and_then(|()| self.publish()) {
            Ok(()) => answers,
            Err(error) => failed(shared.tell(&error)),
        }
    }

    /// Answers requests that read, from the newest state or a snapshot, and that a [`super::Reader`] could
    /// not answer for an error of the store: it is opened again first, unless that has happened meanwhile.
    pub(crate) fn read(&mut self, requests: &[(Option<u64>, &Request)]) -> Answers {
        let reader = Reader { shared: self.shared() };
        let mut reopened = false;
        let mut read = |snapshot, request| match reader.ask(snapshot, request) {
            Err(error) if error.is_of_store() && !reopened => {
                reopened = true;
                self.reopen_after(&error);
                reader.ask(snapshot, request)
            }
            answer => answer,
        };
        let answers: Vec<_> =
            requests.iter().map(|(snapshot, request)| read(*snapshot, request)).collect();
        answers.into_iter().map(|answer| answer.map_err(|error| reader.tell(&error))).collect()
    }

    /// Whether [`Writer::seal`] is worth its time, once nothing else is to be done.
    pub(crate) fn is_to_be_sealed(&self) -> bool {
        !self.closed && self.store.is_to_be_sealed()
    }

    /// Makes sure that the next start need not read the whole store, should this process be killed.
    pub(crate) fn seal(&mut self) {
        if let Err(error) = self.store.seal() {
            self.reopen_after(&error);
        }
    }

    /// Runs one commit, with the ledger's rows in it. After an error the store is open again if it can be.
    fn transact(
        &mut self,
        steps: Steps,
        mut work: impl FnMut(&mut Working, &mut Ledger) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let (ledger, mut memory) = (&mut self.ledger, self.memory.clone());
        let keeper = &mut self.keeper;
        let mut stays = false;
        let outcome = self.store.commit(&mut |store| {
            let mut rows = Working::new(store, &mut memory, steps);
            stays = work(&mut rows, ledger)?;
            if stays {
                if let Some(keeper) = keeper {
                    keeper.reserve(ledger.max_sequence_after())?;
                }
                ledger.write(&mut rows)?;
            }
            Ok(stays)
        });
        match outcome {
            Ok(()) if stays => {
                self.ledger.committed();
                self.memory = memory;
            }
            Ok(()) => self.ledger.forget(),
            Err(error) => {
                let commits = self.ledger.commits() + 1;
                self.in_doubt = stays.then_some(InDoubt { commits, memory });
                self.reopen_after(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens the store again after an error, which is logged elsewhere unless nobody will hear of it.
    fn reopen_after(&mut self, error: &Error) {
        let name = self.shared.name.clone();
        match self.reopen() {
            Ok(()) => log::warn!("{name}: opened again after an error: {error}"),
            Err(again) => log::error!("{name}: cannot be written: {again}; first error: {error}"),
        }
    }

    /// Opens the store again, so that it says what it holds, and makes memory follow it. The callers of a
    /// commit in doubt hear of an error in any case: what can be read now may still not be on the disk.
    ///
    /// # Errors
    /// It can't be written yet. What is there is published all the same if it can be read; whether a commit
    /// in doubt happened is settled only when it can be written again.
    fn reopen(&mut self) -> Result<(), Error> {
        self.closed = true;
        self.ledger.forget();
        // Also because no view may be held while the store opens.
        self.shared.views.close();
        let opened = self.store.reopen();
        let store = match self.store.view() {
            Ok(view) => view,
            Err(error) => return opened.and(Err(error)),
        };
        self.ledger = Ledger::read(&*store)?;
        let happened = |in_doubt: &&InDoubt| in_doubt.commits == self.ledger.commits();
        let memory = match self.in_doubt.as_ref().filter(happened) {
            Some(in_doubt) => in_doubt.memory.clone(),
            None => self.memory.clone(),
        };
        self.shared.views.publish(Committed { store, memory: memory.clone() });
        opened?;
        self.memory = memory;
        self.in_doubt = None;
        self.closed = false;
        Ok(())
    }

    fn publish(&self) -> Result<(), Error> {
        let store = self.store.view()?;
        let memory = self.memory.clone();
        self.shared.views.publish(Committed { store, memory });
        Ok(())
    }
}

fn carry_out(
    rows: &mut Working,
    ledger: &mut Ledger,
    root: Guid,
    request: &Request,
    stage: Option<&Stage>,
) -> Result<Answer, Error> {
    match request {
        Request::Apply { conditions, changes, first_sequence } => {
            let mutations = match (changes, stage) {
                (Changes::Mutations(mutations), _) => Mutations::Here(mutations),
                (Changes::Stage(_), Some(stage)) => Mutations::Staged(stage),
                (Changes::Stage(_), None) => return Err(SourceError::NotFound.into()),
            };
            let step = Step::new(rows, root);
            let last_sequence = apply(step, conditions, mutations, *first_sequence)?;
            ledger.add(*first_sequence, last_sequence);
            Ok(Answer::Applied { first_sequence: None })
        }
        Request::DropKey { key } => {
            let mut step = Step::telling_orphans(rows, root);
            step.drop_key(*key)?;
            Ok(Answer::Orphans(step.finish()?))
        }
        Request::DeleteLayer { layer } => {
            let mut step = Step::telling_orphans(rows, root);
            step.delete_layer(layer)?;
            Ok(Answer::Orphans(step.finish()?))
        }
        Request::Outcome { first_sequence } => {
            let took_effect = ledger.knows(*first_sequence);
            Ok(Answer::Outcome { took_effect })
        }
        _ => Err(SourceError::NotSupported.into()),
    }
}

/// Returns the highest sequence number that the step reserves.
fn apply(
    mut step: Step,
    conditions: &[Condition],
    mutations: Mutations,
    first_sequence: u64,
) -> Result<u64, Error> {
    let numbers = mutations.numbering().from(first_sequence)?;
    for (index, condition) in (0..).zip(conditions) {
        if !step.holds(condition)? {
            return Err(SourceError::ConditionFailed(index).into());
        }
    }
    let mut index = 0;
    mutations.each(&mut |mutation| {
        let number = numbers.number(index, mutation)?;
        index += 1;
        step.mutate(mutation, number)
    })?;
    step.finish()?;
    Ok(numbers.last())
}

pub(super) fn read_hive_row(rows: &dyn Rows) -> Result<Option<HiveRow>, Error> {
    let row = rows::single(Kind::Hive);
    let Some(value) = rows.get(&row)? else {
        return Ok(None);
    };
    let hive: HiveRow = rows::decode(&row, &value)?;
    if hive.format != FORMAT {
        return Err(Error::Format(hive.format));
    }
    Ok(Some(hive))
}

fn first_orphans(rows: &dyn Rows) -> Result<Vec<Guid>, Error> {
    let prefix = rows::single(Kind::Orphan);
    let mut orphans = Vec::new();
    rows.scan(&prefix, &prefix, &mut |row, _| {
        orphans.push(rows::guid_of(row)?);
        Ok(match orphans.len() {
            PURGE_AT_ONCE.. => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    })?;
    Ok(orphans)
}
