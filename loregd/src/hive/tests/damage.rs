//! Rows that do not decode, and disks that fail.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::super::rows::{self, Kind};
use super::*;

#[test]
fn a_corrupt_record_is_a_storage_error_for_those_who_need_it_and_nobody_else() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let bad = fixture.make_key(1, root, "Bad");
        let good = fixture.make_key(2, root, "Good");
        let row = rows::of_guid(Kind::Key, bad);
        let store = &mut fixture.hive.writer.store;
        store.commit(&mut |rows| rows.put(&row, &[0xff]).map(|_| true)).unwrap();
        let mut fixture = fixture.restart();
        let answer = fixture.hive.answer(&Request::ReadKey { key: bad });
        assert_eq!(answer, Err(SourceError::StorageError));
        let both = fixture
            .step(vec![set_value(good, "v", "base", b"1"), set_value(bad, "v", "base", b"1")]);
        assert_eq!(both, Err(SourceError::StorageError));
        assert!(fixture.values(good).is_empty());
        fixture.step(vec![set_value(good, "v", "base", b"1")]).unwrap();
        assert_eq!(fixture.values(good).len(), 1);
    });
}

#[test]
fn a_hive_of_a_later_format_is_not_touched() {
    let mut fixture = Fixture::in_memory();
    let store = &mut fixture.hive.writer.store;
    let row = rows::single(Kind::Hive);
    let later = lcs_abi::encode(&rows::HiveRow { format: 2, root: guid(1) });
    store.commit(&mut |rows| rows.put(&row, &later).map(|_| true)).unwrap();
    let opened = Hive::open("Machine", fixture.hive.writer.store);
    assert!(matches!(opened, Err(crate::Error::Format(2))));
}

/// A disk in memory that can be told to fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    full: Arc<AtomicBool>,
    unsynced: Arc<AtomicBool>,
    unreadable: Arc<AtomicBool>,
}

impl Disk {
    pub(super) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn store(&self) -> Result<RedbStore, crate::Error> {
        let (writing, reading) = (self.clone(), self.clone());
        RedbStore::with(
            move || redb::Database::builder().create_with_backend(writing.clone()),
            move || Ok(reading.clone()),
        )
    }

    fn fail_if(flag: &AtomicBool) -> io::Result<()> {
        match flag.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Self::fail_if(&self.unreadable)?;
        let offset = offset as usize;
        out.copy_from_slice(&self.bytes.lock().unwrap()[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::fail_if(&self.full)?;
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::fail_if(&self.unsynced)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Self::fail_if(&self.full)?;
        let offset = offset as usize;
        self.bytes.lock().unwrap()[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

pub(super) fn on_failing_disk() -> (Disk, Fixture) {
    let disk = Disk::default();
    let store = disk.store().unwrap();
    (disk, Fixture::new(Box::new(store), None))
}

#[test]
fn a_failing_disk_fails_the_whole_group_and_the_hive_recovers_with_it() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    let volatile = fixture.make_volatile_key(1, root, "V");
    disk.fill(true);
    let group = [
        apply(3, vec![], vec![set_value(root, "v", "base", &[0; 10_000])]),
        apply(4, vec![], vec![set_value(volatile, "v", "base", b"1")]),
        apply(5, vec![Condition::KeyExists { key: guid(9) }], vec![]),
    ];
    let group: Vec<&Request> = group.iter().collect();
    let answers = fixture.hive.writer.commit(&group);
    assert_eq!(answers, [(); 3].map(|()| Err(SourceError::StorageError)));
    disk.fill(false);
    assert_eq!(fixture.hive.writer.commit(&[]), []);
    assert!(fixture.values(root).is_empty());
    assert!(fixture.exists(volatile) && fixture.values(volatile).is_empty());
    assert!(!fixture.happened(3) && !fixture.happened(4));
    fixture.step(vec![set_value(root, "v", "base", b"1")]).unwrap();
    assert_eq!(fixture.values(root).len(), 1);
}

#[test]
fn a_commit_that_may_not_have_reached_the_disk_is_an_error_and_its_outcome_is_the_stores() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    let volatile = fixture.make_volatile_key(1, root, "V");
    disk.unsynced.store(true, Ordering::Relaxed);
    let step = apply(
        3,
        vec![],
        vec![set_value(root, "v", "base", b"1"), set_value(volatile, "v", "base", b"1")],
    );
    assert_eq!(fixture.hive.answer(&step), Err(SourceError::StorageError));
    disk.unsynced.store(false, Ordering::Relaxed);
    fixture.hive.writer.commit(&[]);
    let happened = fixture.happened(3);
    assert_eq!(fixture.values(root).len(), usize::from(happened));
    assert_eq!(fixture.values(volatile).len(), usize::from(happened));
}

#[test]
fn a_full_disk_does_not_keep_anybody_from_reading_and_writes_work_again_with_it() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    let volatile = fixture.make_volatile_key(1, root, "V");
    let set = |key, data: &[u8]| vec![set_value(key, "v", "base", data)];
    fixture.step(set(root, b"1")).unwrap();
    fixture.step(set(volatile, b"1")).unwrap();
    disk.fill(true);
    for _ in 0..3 {
        assert_eq!(fixture.step(set(root, &[0; 10_000])), Err(SourceError::StorageError));
        assert_eq!(fixture.step(set(volatile, b"2")), Err(SourceError::StorageError));
        for key in [root, volatile] {
            assert_eq!(fixture.values(key)[0].data, b"1");
        }
    }
    disk.fill(false);
    fixture.step(set(root, b"3")).unwrap();
    fixture.step(set(volatile, b"3")).unwrap();
    for key in [root, volatile] {
        assert_eq!(fixture.values(key)[0].data, b"3");
    }
}

#[test]
fn a_hive_on_a_full_disk_opens_for_reading_and_is_written_when_that_works_again() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    fixture.step(vec![set_value(root, "v", "base", b"1")]).unwrap();
    fixture.step(vec![Mutation::CreateKey(record(1, root, "orphan"))]).unwrap();
    drop(fixture.hive);
    disk.fill(true);
    let mut hive = Hive::open("Machine", Box::new(disk.store().unwrap())).unwrap();
    let value = Request::QueryValue { key: root, name: "v".into(), after_layer: None };
    let expected = hive.answer(&value);
    assert!(matches!(&expected, Ok(Answer::Values { entries, .. }) if entries.len() == 1));
    let step = apply(3, vec![], vec![set_value(root, "w", "base", b"2")]);
    assert_eq!(hive.answer(&step), Err(SourceError::StorageError));
    assert_eq!(hive.answer(&value), expected);
    disk.fill(false);
    assert_eq!(hive.answer(&step), Ok(Answer::Applied { first_sequence: None }));
}

#[test]
fn no_hive_is_made_up_where_the_disk_cannot_take_one() {
    let disk = Disk::default();
    disk.fill(true);
    assert!(disk.store().is_err());
}

#[test]
fn a_read_that_fails_has_the_store_opened_again() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    let data = vec![7; 100_000];
    fixture.step(vec![set_value(root, "v", "base", &data)]).unwrap();
    // So that the value is not in the cache of redb.
    disk.fill(true);
    fixture.step(vec![set_value(root, "w", "base", &data)]).unwrap_err();
    disk.unreadable.store(true, Ordering::Relaxed);
    let value = Request::QueryValue { key: root, name: "v".into(), after_layer: None };
    assert_eq!(fixture.hive.reader.answer(None, &value), Err(SourceError::StorageError));
    assert_eq!(fixture.hive.writer.read(&[(None, &value)]), [Err(SourceError::StorageError)]);
    disk.fill(false);
    disk.unreadable.store(false, Ordering::Relaxed);
    let answers = fixture.hive.writer.read(&[(None, &value), (None, &value)]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    fixture.hive.reader.answer(None, &value).unwrap();
}
