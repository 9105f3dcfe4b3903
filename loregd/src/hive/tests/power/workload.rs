//! A random history of a hive, and the state after each commit.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::disk::{Dice, Disk, Log};
use super::*;
use crate::store;

/// How many commits and restarts a history has.
const EVENTS: usize = 120;

/// The rows of a hive that are on its disk.
pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn rows(view: &dyn store::Rows) -> Result<Rows, Error> {
    let mut found = Rows::new();
    view.scan(&[], &[], &mut |row, value| {
        found.insert(row.to_vec(), value.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// What a hive was after something that was acknowledged.
pub(super) struct State {
    /// How many operations of the disk there were when it was.
    pub(super) acknowledged_at: usize,
    pub(super) rows: Rows,
    /// It was opened anew, and its orphans purged.
    pub(super) is_restart: bool,
}

/// A history.
pub(super) struct Record {
    /// When the hive was made; a crash before that costs nobody anything.
    pub(super) made_at: usize,
    pub(super) states: Vec<State>,
}

impl Record {
    /// The last state that was acknowledged before this operation, and the next one, which may be under way.
    pub(super) fn around(&self, operation: usize) -> (&State, Option<&State>) {
        let next = self.states.partition_point(|state| state.acknowledged_at <= operation);
        (&self.states[next - 1], self.states.get(next))
    }
}

/// Runs a history on a disk.
pub(super) fn run(seed: u64, disk: Disk) -> (Log, Record) {
    let mut seeds = [0; 32];
    seeds[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seeds);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut dice = Dice(seed);
    let mut fixture = Fixture::new(Box::new(disk.store().unwrap()), None);
    let made_at = disk.operations();
    let mut record = Record { made_at, states: Vec::new() };
    let mut keep = |fixture: &Fixture, is_restart| {
        let rows = rows(&*fixture.hive.writer.store.view().unwrap()).unwrap();
        record.states.push(State { acknowledged_at: disk.operations(), rows, is_restart });
    };
    keep(&fixture, false);
    for _ in 0..EVENTS {
        let mut group = Vec::new();
        let mut restart = false;
        for _ in 0..1 + dice.below(3) {
            match super::history::any_event().new_tree(&mut runner).unwrap().current() {
                super::history::Event::Request(request) => group.push(request),
                super::history::Event::Restart => restart = true,
            }
        }
        if dice.below(3) == 0 {
            let (root, size) = (fixture.root(), dice.below(20_000));
            let name = format!("v{}", dice.below(6));
            group.push(apply(0, vec![], vec![set_value(root, &name, "base", &vec![7; size])]));
        }
        let mut next = fixture.next_sequence;
        let number = |request: &Request| {
            let (request, reserves) = super::history::numbered(request, next);
            next += reserves;
            request
        };
        let group: Vec<Request> = group.iter().map(number).collect();
        fixture.next_sequence = next;
        let answers = fixture.hive.writer.commit(&group.iter().collect::<Vec<_>>());
        assert!(!answers.contains(&Err(SourceError::StorageError)), "{answers:?}");
        keep(&fixture, false);
        if dice.below(5) == 0 {
            fixture.hive.writer.seal();
        }
        if restart {
            let Fixture { hive, next_sequence, .. } = fixture;
            drop(hive);
            let hive = Hive::open("Machine", Box::new(disk.quick_store().unwrap())).unwrap();
            fixture = Fixture { hive, directory: None, next_sequence };
            keep(&fixture, true);
        }
    }
    (disk.log(), record)
}
