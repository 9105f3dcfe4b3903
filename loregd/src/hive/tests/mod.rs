//! The same tests on every engine.

mod check;
mod damage;
mod history;
mod listing;
mod requests;
mod restore;
mod snapshots;
mod stages;
mod volatile;

use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, Changes, Condition, KeyRecord, Mutation, Name, PathEntry, Request, SourceError, Target,
    ValueEntry,
};
use lcs_abi::security::MACHINE_ROOT_SD;

use super::Hive;
use crate::store::{MemoryStore, RedbStore, Store};

/// A hive and the way to start it anew.
struct Fixture {
    hive: Hive,
    directory: Option<tempfile::TempDir>,
    next_sequence: u64,
}

impl Fixture {
    fn in_memory() -> Self {
        Self::new(Box::new(MemoryStore::default()), None)
    }

    fn on_disk() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&directory.path().join("Machine.redb")).unwrap();
        Self::new(Box::new(store), Some(directory))
    }

    fn new(store: Box<dyn Store>, directory: Option<tempfile::TempDir>) -> Self {
        let root = KeyRecord { sd: MACHINE_ROOT_SD.to_vec(), ..record(200, guid(200), "Machine") };
        let hive = Hive::open_or_make("Machine", store, &root).unwrap();
        Fixture { hive, directory, next_sequence: 1 }
    }

    /// Ends the hive and opens it again as a new process would.
    fn restart(self) -> Self {
        let Fixture { hive, directory, next_sequence } = self;
        let store = match &directory {
            Some(directory) => {
                drop(hive);
                Box::new(RedbStore::open(&directory.path().join("Machine.redb")).unwrap())
            }
            None => hive.writer.store,
        };
        let hive = Hive::open("Machine", store).unwrap();
        Fixture { hive, directory, next_sequence }
    }

    fn root(&self) -> Guid {
        self.hive.root()
    }

    /// One step. Its numbers are reserved if it happens.
    fn step(&mut self, mutations: Vec<Mutation>) -> Result<Answer, SourceError> {
        self.step_if(Vec::new(), mutations)
    }

    fn step_if(
        &mut self,
        conditions: Vec<Condition>,
        mutations: Vec<Mutation>,
    ) -> Result<Answer, SourceError> {
        let reserves = mutations.len().max(1) as u64;
        let answer = self.hive.answer(&apply(self.next_sequence, conditions, mutations))?;
        self.next_sequence += reserves;
        Ok(answer)
    }

    /// Makes a key under `parent` in layer base.
    fn make_key(&mut self, number: u8, parent: Guid, name: &str) -> Guid {
        let record = record(number, parent, name);
        let key = record.key;
        self.step(vec![Mutation::CreateKey(record), name_key(key, parent, name, "base")]).unwrap();
        key
    }

    fn make_volatile_key(&mut self, number: u8, parent: Guid, name: &str) -> Guid {
        let record = KeyRecord { volatile: true, ..record(number, parent, name) };
        let key = record.key;
        self.step(vec![Mutation::CreateKey(record), name_key(key, parent, name, "base")]).unwrap();
        key
    }

    fn entries(&mut self, parent: Guid, name: &str) -> Vec<PathEntry> {
        match self.hive.answer(&Request::Lookup { parent, name: name.to_lowercase() }) {
            Ok(Answer::Entries { entries, .. }) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn values(&mut self, key: Guid) -> Vec<ValueEntry> {
        match self.hive.answer(&Request::QueryValues { key, after: None, bytes: u32::MAX }) {
            Ok(Answer::Values { entries, more: false, .. }) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn exists(&mut self, key: Guid) -> bool {
        match self.hive.answer(&Request::ReadKey { key }) {
            Ok(_) => true,
            Err(SourceError::NotFound) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn happened(&mut self, first_sequence: u64) -> bool {
        match self.hive.answer(&Request::Outcome { first_sequence }) {
            Ok(Answer::Outcome { took_effect }) => took_effect,
            other => panic!("{other:?}"),
        }
    }
}

fn on_each_engine(test: impl Fn(Fixture)) {
    test(Fixture::in_memory());
    test(Fixture::on_disk());
}

fn guid(number: u8) -> Guid {
    Guid([number; 16])
}

fn name(display: &str) -> Name {
    Name { display: display.to_owned(), folded: display.to_lowercase() }
}

fn record(number: u8, parent: Guid, display: &str) -> KeyRecord {
    KeyRecord {
        key: guid(number),
        parent,
        name: name(display),
        sd: MACHINE_ROOT_SD.to_vec(),
        volatile: false,
        link: false,
        last_write: 5,
    }
}

fn apply(first_sequence: u64, conditions: Vec<Condition>, mutations: Vec<Mutation>) -> Request {
    let changes = Changes::Mutations(mutations);
    Request::Apply { conditions, changes, first_sequence }
}

fn name_key(key: Guid, parent: Guid, display: &str, layer: &str) -> Mutation {
    let target = Target::Key(key);
    Mutation::SetEntry { parent, name: name(display), layer: name(layer), target }
}

fn set_value(key: Guid, display: &str, layer: &str, data: &[u8]) -> Mutation {
    Mutation::SetValue {
        key,
        name: name(display),
        layer: name(layer),
        value_type: 3,
        data: data.to_vec(),
    }
}
