//! A hive: what the requests of [`lcs_abi::rsi`] mean, over any [`Store`] and a memory for volatile keys.
//!
//! A [`Reader`] answers from the newest committed state, a [`Writer`] carries out steps, many per commit.
//! They can live in different threads; a [`Hive`] is both in one place, for one caller.
//!
//! A volatile key's record, values, blankets and all entries under it or naming it are rows in memory and
//! gone after a restart; everything else is a row in the store. `rows.rs` describes the rows.

mod both;
mod check;
mod ledger;
mod numbers;
mod page;
mod read;
mod remove;
mod restore;
mod rows;
mod stages;
mod step;
mod views;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, FRAME_OVERHEAD, KeyRecord, Name, RegisteredHive, Request, SourceError};
use lcs_abi::security::{MACHINE_ROOT_SD, USERS_ROOT_SD};

use crate::Error;
use crate::store::{MemoryStore, Store};
use read::Reading;
use views::Views;

pub use check::{Counts, Problem, check};
pub(crate) use stages::{StagedStep, Stages, Turn};
pub use writer::Writer;
use writer::read_hive_row;

/// How much of a frame an answer may fill: the rest is for what is not counted.
const PAGE_MARGIN: u32 = 64 << 10;

/// A hive, for one caller at a time.
pub struct Hive {
    reader: Reader,
    writer: Writer,
    stages: Stages,
}

impl Hive {
    /// Opens the hive in `store`, or makes its root key there, and purges its orphans. `name` is the
    /// hive's, of which only a new root takes notice.
    pub fn open(name: &str, store: Box<dyn Store>) -> Result<Self, Error> {
        Self::open_or_make(name, store, &new_root(name))
    }

    fn open_or_make(
        name: &str,
        store: Box<dyn Store>,
        new_root: &KeyRecord,
    ) -> Result<Self, Error> {
        let mut writer = Writer::open(name, store, new_root)?;
        match writer.purge() {
            Ok(0) => {}
            Ok(purged) => log::info!("{name}: purged {purged} orphaned keys"),
            // Nothing leads to an orphan; the next start purges it.
            Err(error) if error.is_of_store() => {
                log::error!("{name}: orphaned keys cannot be purged: {error}");
            }
            Err(error) => return Err(error),
        }
        let reader = Reader { shared: writer.shared() };
        Ok(Hive { reader, writer, stages: Stages::default() })
    }

    /// A new hive that lives in memory only.
    pub fn in_memory(name: &str) -> Result<Self, Error> {
        Self::open(name, Box::new(MemoryStore::default()))
    }

    /// The root key.
    pub fn root(&self) -> Guid {
        self.writer.root()
    }

    /// The highest sequence number that any step carried out had reserved; 0 before the first.
    pub fn max_sequence(&self) -> u64 {
        self.writer.max_sequence()
    }

    /// What LCS is told of the hive when it is registered.
    pub fn registration(&self) -> RegisteredHive {
        RegisteredHive { root: self.root(), max_sequence: self.max_sequence() }
    }

    /// Answers a request about the newest state.
    pub fn answer(&mut self, request: &Request) -> Result<Answer, SourceError> {
        self.answer_in(None, request)
    }

    /// Answers a request whose header has this snapshot.
    pub fn answer_in(
        &mut self,
        snapshot: Option<u64>,
        request: &Request,
    ) -> Result<Answer, SourceError> {
        if !is_step(request) {
            return self.reader.answer(snapshot, request);
        }
        if snapshot.is_some() {
            return Err(SourceError::Invalid);
        }
        match self.stages.take(request.clone()) {
            Turn::Answered(answer) => answer,
            Turn::Step(step) => {
                let answer = self.writer.commit(&[&step.request]).pop();
                let answer = answer.unwrap_or(Err(SourceError::StorageError));
                self.stages.settle(step, &answer);
                answer
            }
        }
    }

    /// The two halves, for two threads. Stages are left behind: they belong to one caller.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

/// Whether the request has its place in the order in which it was sent: it changes the hive, stages a
/// change, or asks whether an earlier one took effect.
pub fn is_step(request: &Request) -> bool {
    matches!(
        request,
        Request::Apply { .. }
            | Request::Outcome { .. }
            | Request::Stage { .. }
            | Request::DropStage { .. }
            | Request::DropKey { .. }
            | Request::DeleteLayer { .. }
    )
}

/// What readers and the writer of a hive share.
pub(crate) struct Shared {
    name: String,
    views: Views,
    page_limit: AtomicU32,
}

impl Shared {
    fn new(name: &str) -> Self {
        let largest_value = 1 << 20;
        Shared {
            name: name.to_owned(),
            views: Views::default(),
            page_limit: AtomicU32::new(FRAME_OVERHEAD + largest_value - PAGE_MARGIN),
        }
    }

    /// Tells what LCS gets for an error, and the log what LCS does not get.
    fn tell(&self, error: &Error) -> SourceError {
        if !matches!(error, Error::Refused(_)) {
            log::error!("{}: {error}", self.name);
        }
        error.to_source_error()
    }
}

/// Answers the requests that read, from the newest committed state or a snapshot.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// Answers a request that [`is_step`] does not claim, and whose header has this snapshot.
    pub fn answer(&self, snapshot: Option<u64>, request: &Request) -> Result<Answer, SourceError> {
        self.ask(snapshot, request).map_err(|error| self.shared.tell(&error))
    }

    /// The same, and an error that LCS and the log were not told of.
    pub(crate) fn ask(&self, snapshot: Option<u64>, request: &Request) -> Result<Answer, Error> {
        let views = &self.shared.views;
        match request {
            Request::Snapshot | Request::Release { .. } | Request::Flush if snapshot.is_some() => {
                Err(SourceError::Invalid.into())
            }
            // Every state is published before anybody is told of it: all that was answered is in it.
            Request::Snapshot => Ok(Answer::Snapshot { snapshot: views.keep()? }),
            Request::Release { snapshot } => views.release(*snapshot).map(|()| Answer::Done),
            // Nothing is answered before it is durable.
            Request::Flush => Ok(Answer::Done),
            request => views.look(snapshot, |committed| {
                let page_limit = self.shared.page_limit.load(Ordering::Relaxed);
                read(&Reading { rows: committed, page_limit }, request)
            }),
        }
    }

    /// What LCS gets for an error, which goes to the log.
    pub(crate) fn tell(&self, error: &Error) -> SourceError {
        self.shared.tell(error)
    }

    /// Makes answers fit into frames of `max_frame` bytes.
    pub fn set_max_frame(&self, max_frame: u32) {
        let limit = max_frame.saturating_sub(PAGE_MARGIN);
        self.shared.page_limit.store(limit, Ordering::Relaxed);
    }
}

fn read(reading: &Reading, request: &Request) -> Result<Answer, Error> {
    match request {
        Request::Lookup { parent, name } => reading.lookup(*parent, name),
        Request::EnumChildren { parent, after, bytes } => {
            reading.enum_children(*parent, after.as_deref(), *bytes)
        }
        Request::ReadKey { key } => reading.read_key(*key),
        Request::QueryValue { key, name, after_layer } => {
            reading.query_value(*key, name, after_layer.as_deref())
        }
        Request::QueryValues { key, after, bytes } => {
            reading.query_values(*key, after.as_ref(), *bytes)
        }
        Request::EnumLayer { layer, after, bytes } => {
            reading.enum_layer(layer, after.as_ref(), *bytes)
        }
        _ => Err(SourceError::NotSupported.into()),
    }
}

/// The root key of a new hive.
fn new_root(hive: &str) -> KeyRecord {
    let guid = Guid(uuid::Uuid::new_v4().into_bytes());
    let sd = if hive == "Users" { USERS_ROOT_SD } else { MACHINE_ROOT_SD };
    // A clock before 1970 is a broken one.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    KeyRecord {
        key: guid,
        parent: guid,
        // LCS finds a hive by its claim. Nobody looks a root up by name, so this needs no folding.
        name: Name { display: hive.to_owned(), folded: hive.to_lowercase() },
        sd: sd.to_vec(),
        volatile: false,
        link: false,
        last_write: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
