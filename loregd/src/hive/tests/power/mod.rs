//! The power fails at any moment, and a disk has written what it likes of what it was not told to have
//! written: a hive opens with what was acknowledged, and perhaps the commit under way, whole.
//!
//! Histories are random (`SEED` has the same again) and recorded, write by write. Then the disk is cut at each
//! write, in several ways, and the hive opened from what is left.

mod disk;
mod workload;

use std::thread;

use disk::{Cut, Disk, Log};
use workload::{Record, Rows, rows};

use super::*;
use crate::Error;
use crate::directory::caught;
use crate::store::RedbStore;

/// At how many cuts a hive is opened at least, in all.
const CUTS: usize = 10_000;

/// Histories that are cut at the same time.
const THREADS: u64 = 2;

#[test]
fn wherever_the_power_fails_a_hive_has_what_was_acknowledged_and_no_half_of_a_step() {
    let seed = seed();
    println!("SEED={seed}");
    let workers = (0..THREADS).map(|worker| {
        thread::spawn(move || {
            let (mut cuts, mut histories) = (0, 0);
            while cuts < CUTS.div_ceil(THREADS as usize) {
                let seed = seed.wrapping_add(worker + THREADS * histories);
                let (log, record) = workload::run(seed, Disk::default());
                let found =
                    try_cuts(seed, &log, &record, Disk::quick_store, |finding| panic!("{finding}"));
                cuts += found;
                histories += 1;
            }
            (cuts, histories)
        })
    });
    let workers: Vec<_> = workers.collect();
    let ends = workers.into_iter().map(|worker| worker.join().expect("no finding"));
    let (cuts, histories) = ends.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    println!("{cuts} cuts in {histories} histories");
    assert!(cuts >= CUTS);
}

#[test]
fn a_disk_that_says_it_has_written_what_it_has_not_is_found_out() {
    let mut findings = 0;
    let (log, record) = workload::run(7, Disk::lying());
    try_cuts(7, &log, &record, Disk::store, |_| findings += 1);
    assert!(findings > 0, "or this test finds nothing at all");
}

#[test]
fn half_of_a_step_is_found_out() {
    let mut findings = 0;
    let (log, mut record) = workload::run(8, Disk::default());
    // As if each second state were one that nobody could have seen.
    let odd: Vec<usize> = (0..record.states.len()).filter(|index| index % 2 == 1).collect();
    for index in odd {
        record.states[index].rows.insert(vec![9; 17], Vec::new());
    }
    try_cuts(8, &log, &record, Disk::quick_store, |_| findings += 1);
    assert!(findings > 0);
}

fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| u64::from(now.subsec_nanos()))
        }
    }
}

/// How a store is opened.
type Opener = fn(&Disk) -> Result<RedbStore, Error>;

/// Opens the hive at every cut, tells what is not as it must be, and returns how many cuts there were.
fn try_cuts(
    seed: u64,
    log: &Log,
    record: &Record,
    opener: Opener,
    mut tell: impl FnMut(String),
) -> usize {
    let mut cuts = 0;
    log.cut(seed, record.made_at, &mut |cut: Cut| {
        cuts += 1;
        let (before, next) = record.around(cut.operation);
        let opened = open(opener, cut.image, next.is_some_and(|next| next.is_restart));
        let place = || format!("SEED={seed}, operation {}, {}", cut.operation, cut.how);
        match opened {
            Err(error) => tell(format!("{}: {error}", place())),
            Ok(found) if found == before.rows => {}
            Ok(found) if next.is_some_and(|next| next.rows == found) => {}
            Ok(found) => {
                let missing = before.rows.keys().filter(|row| !found.contains_key(*row)).count();
                tell(format!("{}: {missing} rows are missing, or others there", place()));
            }
        }
    });
    cuts
}

/// Opens a hive from what is left of its disk, and returns its rows; those after orphans were purged, as a
/// start does in several commits, if one was under way.
fn open(opener: Opener, disk: Disk, purged: bool) -> Result<Rows, Error> {
    caught(|| {
        let store = opener(&disk)?;
        let found = rows(&*store.view()?)?;
        let hive = Hive::open("Machine", Box::new(store))?;
        let view = hive.writer.store.view()?;
        let mut problem = None;
        super::super::check(&*view, &mut |found| {
            if found.is_damage {
                problem = Some(found.to_string());
            }
        })?;
        match problem {
            Some(problem) => Err(Error::Damaged(problem)),
            None if purged => rows(&*view),
            None => Ok(found),
        }
    })
}
