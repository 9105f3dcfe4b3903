//! Hives whose files are not what they were.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use lcs_abi::rsi::{Changes, ClaimedHive, Mutation, Name, Request};

use super::*;
use crate::directory::Directory;
use crate::restore::restore;

pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn claimed(name: &str) -> ClaimedHive {
    ClaimedHive { name: name.to_owned(), scope: None }
}

pub(super) fn try_open(directory: &Path) -> Result<Opened, Error> {
    Directory::open(directory).unwrap().open_hive(&claimed("Machine"))
}

pub(super) fn open(directory: &Path) -> Opened {
    try_open(directory).unwrap()
}

pub(super) fn files(directory: &Path) -> HiveFiles {
    HiveFiles::new(directory, "Machine")
}

/// One step: values of `count` names with this number in them.
pub(super) fn set(hive: &mut Hive, count: u64, number: u8) {
    let name = |text: String| Name { display: text.clone(), folded: text };
    let key = hive.root();
    let set = |value| Mutation::SetValue {
        key,
        name: name(format!("v{value}")),
        layer: name("base".to_owned()),
        value_type: 3,
        data: vec![number; 1000],
    };
    let changes = Changes::Mutations((0..count).map(set).collect());
    let first_sequence = hive.max_sequence() + 1;
    hive.answer(&Request::Apply { conditions: Vec::new(), changes, first_sequence }).unwrap();
}

/// All rows of a database but those that say which steps there were.
pub(super) fn rows(path: &Path) -> Rows {
    let database = RedbReader::of_file(File::open(path).unwrap()).unwrap();
    let mut rows = Rows::new();
    let view = database.view().unwrap();
    view.scan(&[], &[], &mut |row, value| {
        if !matches!(row[0], 1 | 2) {
            rows.insert(row.to_vec(), value.to_vec());
        }
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    rows
}

/// Makes a copy by hand, as `number`, of a hive that is closed.
pub(super) fn copy(directory: &Path, number: u32) -> std::path::PathBuf {
    let files = files(directory);
    files.make_backup().unwrap();
    let path = files.backup().join(format!("Machine.{number}.daily.2026-11-26T08-40-32Z.redb"));
    fs::copy(files.database(), &path).unwrap();
    path
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    for byte in bytes.iter_mut().skip(4096) {
        *byte ^= 0x55;
    }
    fs::write(path, bytes).unwrap();
}

/// The files that were set aside.
fn set_aside(directory: &Path) -> Vec<std::path::PathBuf> {
    let all = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let is_aside = |path: &std::path::PathBuf| path.to_string_lossy().contains(".redb.");
    all.filter(is_aside).collect()
}

/// A hive with three values and a copy of it, and then more.
fn with_copy(directory: &Path) -> Rows {
    set(&mut open(directory).hive, 3, 1);
    copy(directory, 4);
    let copied = rows(&files(directory).database());
    set(&mut open(directory).hive, 5, 2);
    copied
}

#[test]
fn a_whole_hive_is_opened_as_it_is_whether_it_was_closed_or_not() {
    let (directory, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut opened = open(directory.path());
    assert!(!opened.unclean && opened.recovered.is_none());
    set(&mut opened.hive, 3, 1);
    for file in ["Machine.redb", "Machine.root"] {
        fs::copy(directory.path().join(file), crashed.path().join(file)).unwrap();
    }
    drop(opened);
    for (path, unclean) in [(directory.path(), false), (crashed.path(), true)] {
        let opened = open(path);
        assert_eq!((opened.unclean, opened.recovered), (unclean, None));
        assert_eq!(opened.hive.max_sequence(), 3);
    }
}

#[test]
fn a_damaged_hive_is_set_aside_as_it_is_and_becomes_its_newest_good_copy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let copied = with_copy(path);
    damage(&copy(path, 5));
    let root = open(path).hive.root();
    damage(&files(path).database());
    let damaged = fs::read(files(path).database()).unwrap();
    let opened = open(path);
    let recovered = opened.recovered.unwrap();
    assert_eq!(recovered.copy, Some(4));
    assert_eq!(fs::read(recovered.set_aside.unwrap()).unwrap(), damaged);
    assert_eq!(opened.hive.root(), root);
    drop(opened.hive);
    assert_eq!(rows(&files(path).database()), copied);
    let again = open(path);
    assert_eq!((again.recovered, again.unclean), (None, false));
    let mode = fs::metadata(files(path).database()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_hive_that_is_missing_or_empty_though_there_was_one_becomes_its_copy() {
    for empty in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let copied = with_copy(path);
        match empty {
            true => fs::write(files(path).database(), b"").unwrap(),
            false => fs::remove_file(files(path).database()).unwrap(),
        }
        let opened = open(path);
        let recovered = opened.recovered.unwrap();
        assert_eq!((recovered.copy, recovered.set_aside.is_some()), (Some(4), empty));
        drop(opened.hive);
        assert_eq!(rows(&files(path).database()), copied);
    }
}

#[test]
fn without_a_good_copy_it_is_empty_and_has_the_same_root() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut opened = open(path);
    set(&mut opened.hive, 3, 1);
    let root = opened.hive.root();
    drop(opened);
    damage(&files(path).database());
    let opened = open(path);
    let recovered = opened.recovered.unwrap();
    assert_eq!((recovered.copy, recovered.set_aside.is_some()), (None, true));
    assert_eq!(opened.hive.root(), root);
    drop(opened.hive);
    let names: Vec<u8> = rows(&files(path).database()).keys().map(|row| row[0]).collect();
    assert_eq!(names, [0, 3, 4], "the hive, its root and that one's security descriptor");
}

#[test]
fn sequence_numbers_go_on_above_all_that_the_lost_hive_can_have_reserved() {
    for is_kept in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        with_copy(path);
        let mut opened = open(path);
        let far = apply_at(&mut opened.hive, 1 << 40);
        drop(opened);
        if !is_kept {
            fs::remove_file(files(path).kept()).unwrap();
        }
        damage(&files(path).database());
        let opened = open(path);
        let max_sequence = opened.hive.max_sequence();
        match is_kept {
            true => assert!(max_sequence >= far && max_sequence < far + (1 << 25)),
            false => assert!((JUMP..JUMP + 10).contains(&max_sequence)),
        }
        drop(opened);
        let again = open(path).hive.max_sequence();
        assert_eq!(again, max_sequence, "it is in the file");
    }
}

fn apply_at(hive: &mut Hive, first_sequence: u64) -> u64 {
    let (changes, conditions) = (Changes::Mutations(Vec::new()), Vec::new());
    hive.answer(&Request::Apply { conditions, changes, first_sequence }).unwrap();
    first_sequence
}

#[test]
fn a_hive_whose_rows_do_not_fit_together_is_damaged_and_one_with_odd_names_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    with_copy(path);
    let mut opened = open(path);
    let (root, key) = (opened.hive.root(), Guid([7; 16]));
    let name = |text: &str| Name { display: text.into(), folded: text.into() };
    let record = lcs_abi::rsi::KeyRecord {
        key,
        parent: root,
        name: name("one"),
        sd: vec![1],
        volatile: false,
        link: false,
        last_write: 1,
    };
    let entry = Mutation::SetEntry {
        parent: root,
        name: name("another"),
        layer: name("base"),
        target: lcs_abi::rsi::Target::Key(key),
    };
    let changes = Changes::Mutations(vec![Mutation::CreateKey(record), entry]);
    let first_sequence = opened.hive.max_sequence() + 1;
    let step = Request::Apply { conditions: Vec::new(), changes, first_sequence };
    opened.hive.answer(&step).unwrap();
    drop(opened);
    assert_eq!(open(path).recovered, None);
    let mut store = RedbStore::open(&files(path).database()).unwrap();
    let descriptor = [&[4][..], &key.0].concat();
    let removed = crate::store::Store::commit(&mut store, &mut |rows| {
        rows.remove(&descriptor).map(|it| it.is_some())
    });
    removed.unwrap();
    drop(store);
    let recovered = open(path).recovered.unwrap();
    assert!(recovered.reason.contains("no security descriptor"), "{recovered:?}");
}

#[test]
fn what_only_keeps_this_process_from_reading_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    with_copy(path);
    let database = files(path).database();
    let aside = path.join("elsewhere");
    fs::rename(&database, &aside).unwrap();
    // A directory can be opened, and not read: EISDIR, as a bad sector gives EIO.
    fs::create_dir(&database).unwrap();
    fs::write(database.join("x"), b"").unwrap();
    let error = try_open(path).err().unwrap();
    assert!(!error.is_damage(), "{error}");
    fs::remove_dir_all(&database).unwrap();
    // Open elsewhere.
    fs::rename(&aside, &database).unwrap();
    let busy = RedbStore::open(&database).unwrap();
    let error = try_open(path).err().unwrap();
    assert!(!error.is_damage(), "{error}");
    drop(busy);
    assert_eq!(open(path).recovered, None);
    assert!(set_aside(path).is_empty());
    for (number, is_damage) in [(5, false), (13, false), (24, false), (28, false), (30, false)] {
        let error = std::io::Error::from_raw_os_error(number);
        let error = Error::from(redb::StorageError::Io(error));
        assert_eq!(error.is_damage(), is_damage, "{error}");
    }
    let cut = redb::StorageError::Io(std::io::ErrorKind::UnexpectedEof.into());
    assert!(Error::from(cut).is_damage());
}

#[test]
fn copies_that_cannot_be_read_now_are_not_taken_for_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    with_copy(path);
    let copy = files(path).backup().join("Machine.4.daily.2026-11-26T08-40-32Z.redb");
    fs::remove_file(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    damage(&files(path).database());
    let error = try_open(path).err().unwrap();
    assert!(!error.is_damage(), "{error}");
    assert!(set_aside(path).is_empty() && files(path).database().exists());
}

#[test]
fn a_crash_while_a_hive_is_made_or_recovered_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // The file was made, and nothing else.
    fs::write(files(path).database(), b"").unwrap();
    assert_eq!(open(path).recovered, None);
    let copied = with_copy(path);
    // The damaged one has its second name, and nothing else happened.
    damage(&files(path).database());
    fs::write(files(path).new_database(), b"half").unwrap();
    fs::hard_link(files(path).database(), path.join("Machine.redb.damaged-x")).unwrap();
    let opened = open(path);
    assert_eq!(opened.recovered.map(|it| it.copy), Some(Some(4)));
    drop(opened.hive);
    assert_eq!(rows(&files(path).database()), copied);
    assert!(!files(path).new_database().exists());
    // Where there are no links, a crash leaves no database at all for a moment.
    fs::remove_file(files(path).database()).unwrap();
    assert_eq!(open(path).recovered.map(|it| it.copy), Some(Some(4)));
}

#[test]
fn one_damaged_hive_leaves_the_others_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    with_copy(path);
    let users = || Directory::open(path).unwrap().open_hive(&claimed("Users")).unwrap();
    set(&mut users().hive, 3, 9);
    let before = rows(&HiveFiles::new(path, "Users").database());
    damage(&files(path).database());
    assert!(open(path).recovered.is_some());
    assert_eq!(users().recovered, None);
    assert_eq!(rows(&HiveFiles::new(path, "Users").database()), before);
}

fn restored(directory: &Path, hive: &str, copy: Option<u32>) -> (Result<bool, Error>, String) {
    let mut out = Vec::new();
    let done = restore(directory, hive, copy, &mut out);
    (done, String::from_utf8(out).unwrap())
}

#[test]
fn a_copy_is_put_in_the_place_of_a_hive_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let copied = with_copy(path);
    let before = rows(&files(path).database());
    copy(path, 5);
    damage(&copy(path, 6));
    let max_sequence = open(path).hive.max_sequence();
    let (done, text) = restored(path, "Machine", Some(4));
    assert!(done.unwrap() && text.starts_with("Machine: is now what copy 4 ("), "{text}");
    assert_eq!(rows(&files(path).database()), copied);
    assert_eq!(rows(&set_aside(path)[0]), before);
    let opened = open(path);
    assert!(opened.hive.max_sequence() >= max_sequence && opened.recovered.is_none());
    drop(opened);
    let (done, text) = restored(path, "Machine", None);
    assert!(done.unwrap() && text.contains("copy 6 (") && text.contains("is now what copy 5 ("));
    assert_eq!(rows(&files(path).database()), before);
    assert_eq!(set_aside(path).len(), 2);
    for (copy, expected) in [(Some(6), "is damaged"), (Some(7), "there is no copy 7")] {
        let (done, text) = restored(path, "Machine", copy);
        assert!(!done.unwrap() && text.contains(expected), "{text}");
    }
    assert_eq!(rows(&files(path).database()), before);
    assert_eq!(set_aside(path).len(), 2);
}

#[test]
fn nothing_is_restored_where_loregd_works_or_no_hive_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    with_copy(path);
    let guard = Directory::open(path).unwrap();
    assert!(matches!(restored(path, "Machine", None).0, Err(Error::Guarded(_))));
    drop(guard);
    assert!(matches!(restored(path, "Elsewhere", None).0, Err(Error::NoSuchHive(..))));
    assert!(matches!(restored(&path.join("absent"), "Machine", None).0, Err(Error::File { .. })));
    // The database need not be there, and a name is that of a hive, too.
    for file in fs::read_dir(files(path).backup()).unwrap() {
        let from = file.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap().replace("Machine", "a%3Ab");
        fs::copy(&from, from.with_file_name(name)).unwrap();
    }
    assert!(restored(path, "a:b", None).0.unwrap());
    assert!(HiveFiles::new(path, "a%3Ab").database().exists());
}

/// A large hive that is closed.
fn large(directory: &Path) {
    set(&mut open(directory).hive, 9000, 1);
    assert!(fs::metadata(files(directory).database()).unwrap().len() >= LARGE);
}

/// Another directory with what would be found in this one if its process were killed now.
fn killed(directory: &Path) -> tempfile::TempDir {
    let other = tempfile::tempdir().unwrap();
    for file in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), other.path().join(file.file_name())).unwrap();
        }
    }
    other
}

#[test]
fn a_large_hive_that_was_closed_or_sealed_is_opened_first_and_read_as_a_whole_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    large(path);
    let mut opened = open(path);
    assert!(!opened.unclean && opened.hive.max_sequence() == 9000);
    let marker = files(path).unchecked();
    let unchecked = opened.unchecked.take().unwrap();
    assert!(marker.exists());
    // Killed before that is done: the next one is careful.
    let careful = killed(path);
    let after = open(careful.path());
    assert!(after.unclean && after.unchecked.is_none());
    assert!(!files(careful.path()).unchecked().exists());
    assert_eq!(unchecked.check().unwrap(), Found::Sound);
    assert!(!marker.exists());
    // As sealed as it was when it was opened.
    let (_, mut writer) = opened.hive.split();
    assert!(!writer.is_to_be_sealed());
    let after = killed(path);
    let after = open(after.path());
    assert!(after.unclean && after.unchecked.is_some());
    writer.commit(&[&Request::Outcome { first_sequence: 1 }]);
    assert!(!writer.is_to_be_sealed(), "nothing was written");
    writer.raise_max_sequence(20_000).unwrap();
    assert!(writer.is_to_be_sealed());
    let after = killed(path);
    let after = open(after.path());
    assert!(after.unclean && after.unchecked.is_none(), "it was written");
    assert_eq!(after.hive.max_sequence(), 20_000);
    writer.seal();
    assert!(!writer.is_to_be_sealed());
    let after = killed(path);
    let after = open(after.path());
    assert!(after.unclean && after.unchecked.is_some());
    assert_eq!(after.hive.max_sequence(), 20_000);
    assert_eq!(after.unchecked.unwrap().check().unwrap(), Found::Sound);
}

#[test]
fn a_large_hive_is_checked_as_it_was_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    large(path);
    // However few commits a slow disk lets one check see.
    let (mut rounds, mut commits) = (0, 0);
    while rounds < 4 || commits < 50 {
        let mut opened = open(path);
        let unchecked = opened.unchecked.take().unwrap();
        let hive = &mut opened.hive;
        thread::scope(|scope| {
            let check = scope.spawn(|| unchecked.check().unwrap());
            while !check.is_finished() {
                set(hive, 1 + commits % 50, (commits % 200) as u8);
                commits += 1;
            }
            assert_eq!(check.join().unwrap(), Found::Sound);
        });
        rounds += 1;
    }
}

#[test]
fn a_hive_that_is_another_or_has_no_record_of_its_root_is_not_trusted() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    large(directory.path());
    large(other.path());
    fs::copy(files(other.path()).database(), files(directory.path()).database()).unwrap();
    let opened = open(directory.path());
    assert!(opened.unchecked.is_none() && opened.recovered.is_none());
    drop(opened);
    assert!(open(directory.path()).unchecked.is_some());
    fs::remove_file(files(directory.path()).kept()).unwrap();
    assert!(open(directory.path()).unchecked.is_none());
}
