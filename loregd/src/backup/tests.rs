//! Copies: their names, how many are kept, and the thread that makes them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, UNIX_EPOCH};

use lcs_abi::rsi::{
    Answer, Changes, ClaimedHive, FromSource, Mutation, Name, Request, SourceError, split_frame,
};

use super::copier::{Copier, Work};
use super::*;
use crate::directory::Directory;
use crate::hive::{Hive, Writer};
use crate::outbox::Outbox;
use crate::outbox::tests::outbox;
use crate::recovery::{Opened, examine};
use crate::store::RedbStore;

const MAX_FRAME: u32 = 1 << 20;

fn touch(files: &HiveFiles, number: u32, kind: Kind) -> Copy {
    files.make_backup().unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + u64::from(number));
    let copy = Copy::new(files, number, kind, time);
    fs::write(&copy.path, b"").unwrap();
    copy
}

fn numbers(files: &HiveFiles) -> Vec<u32> {
    copies_of(files).unwrap().into_iter().map(|copy| copy.number).collect()
}

fn files(directory: &Path) -> HiveFiles {
    HiveFiles::new(directory, "a.b{c}")
}

#[test]
fn names_are_read_as_they_are_written_and_other_files_are_nobodys() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    assert!(copies_of(&files).unwrap().is_empty());
    let made: Vec<Copy> =
        Kind::ALL.into_iter().zip(9..).map(|(kind, number)| touch(&files, number, kind)).collect();
    touch(&HiveFiles::new(directory.path(), "a"), 3, Kind::Daily);
    for other in ["x.redb", "a.b{c}.new", "a.b{c}.4.weekly.2026-11-26T08-40-32Z.redb", "...redb"] {
        fs::write(files.backup().join(other), b"").unwrap();
    }
    assert_eq!(copies_of(&files).unwrap(), made);
    assert_eq!(copies_in(&files).unwrap().len(), 4);
}

#[test]
fn so_many_are_kept_and_those_after_unclean_starts_replace_only_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let mut next = 0;
    let mut make = |kind| {
        next += 1;
        let newest = touch(&files, next, kind);
        remove_old(&files, &newest, 3).unwrap();
    };
    for _ in 0..5 {
        make(Kind::Daily);
    }
    assert_eq!(numbers(&files), [3, 4, 5]);
    for _ in 0..3 {
        make(Kind::Unclean);
    }
    assert_eq!(numbers(&files), [3, 4, 5, 8]);
    make(Kind::Requested);
    make(Kind::Daily);
    assert_eq!(numbers(&files), [5, 8, 9, 10]);
}

/// A hive at work with its copying thread.
struct Subject {
    writer: Writer,
    root: lcs_abi::Guid,
    files: HiveFiles,
    copier: Copier,
    outbox: Arc<Outbox>,
    written: Receiver<Vec<u8>>,
    next_sequence: u64,
}

impl Subject {
    fn start(directory: &Path, keep: usize) -> Subject {
        let claimed = ClaimedHive { name: "Machine".to_owned(), scope: None };
        let directory = Directory::open(directory).unwrap();
        let Opened { hive, files, unclean, recovered, unchecked } =
            directory.open_hive(&claimed).unwrap();
        assert_eq!(recovered, None);
        let (root, next_sequence) = (hive.root(), hive.max_sequence() + 1);
        let (reader, writer) = hive.split();
        let (outbox, written) = outbox();
        let outbox = Arc::new(outbox);
        let (files_of_it, to) = (files.clone(), Arc::clone(&outbox));
        let max_frame = MAX_FRAME;
        let work =
            Work { reader, files: files_of_it, keep, unclean, unchecked, outbox: to, max_frame };
        let copier = Copier::start("Machine", work).unwrap();
        Subject { writer, root, files, copier, outbox, written, next_sequence }
    }

    /// One step that gives values of `count` names these bytes.
    fn set(&mut self, count: usize, data: &[u8]) {
        let name = |text: String| Name { display: text.clone(), folded: text };
        let set = |number| Mutation::SetValue {
            key: self.root,
            name: name(format!("v{number}")),
            layer: name("base".to_owned()),
            value_type: 3,
            data: data.to_vec(),
        };
        let changes = Changes::Mutations((0..count).map(set).collect());
        let first_sequence = self.next_sequence;
        self.next_sequence += count as u64;
        let step = Request::Apply { conditions: Vec::new(), changes, first_sequence };
        assert!(self.writer.commit(&[&step]).iter().all(Result::is_ok));
    }

    /// The answers to these requests for copies, when all are there.
    fn answers(&self, count: usize) -> Vec<(u64, Result<Answer, SourceError>)> {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        while frames.len() < count {
            self.outbox.look().unwrap();
            let wait = Duration::from_millis(1);
            let Ok(written) = self.written.recv_timeout(wait) else { continue };
            let mut rest = &written[..];
            while let Some((contents, after)) = split_frame(rest, MAX_FRAME).unwrap() {
                frames.push(contents.to_vec());
                rest = after;
            }
        }
        let answer = |contents: Vec<u8>| match lcs_abi::decode(&contents) {
            Ok(FromSource::Answer { id, result }) => (id, result),
            other => panic!("{other:?}"),
        };
        frames.into_iter().map(answer).collect()
    }

    fn copy(&self) -> Result<u32, SourceError> {
        self.copier.copy(1).unwrap();
        match self.answers(1).remove(0) {
            (1, Ok(Answer::Copied { number })) => Ok(number),
            (1, Err(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// What was made of itself when the hive came into service.
    fn due(&self) -> Vec<(u32, Kind)> {
        let before = numbers(&self.files);
        self.copier.in_service().unwrap();
        // Orders are carried out one after the other.
        let last = self.copy().unwrap();
        let copies = copies_of(&self.files).unwrap().into_iter();
        let made = copies.filter(|copy| !before.contains(&copy.number) && copy.number != last);
        made.map(|copy| (copy.number, copy.kind)).collect()
    }
}

/// The data of all values of the root in a copy.
fn values(path: &Path) -> Vec<Vec<u8>> {
    examine(path).unwrap().sound().unwrap();
    let mut hive = Hive::open("Machine", Box::new(RedbStore::open(path).unwrap())).unwrap();
    let all = Request::QueryValues { key: hive.root(), after: None, bytes: u32::MAX };
    match hive.answer(&all) {
        Ok(Answer::Values { entries, .. }) => entries.into_iter().map(|it| it.data).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_on_request_has_all_that_was_acknowledged_before_and_rising_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let mut subject = Subject::start(directory.path(), 3);
    assert_eq!(subject.copy(), Ok(1), "also of an empty hive, who wants one");
    subject.set(5, b"1");
    assert_eq!(subject.copy(), Ok(2));
    subject.set(5, b"2");
    let copies = copies_of(&subject.files).unwrap();
    assert!(values(&copies[0].path).is_empty());
    assert_eq!(values(&copies[1].path), vec![b"1"; 5]);
    for _ in 0..3 {
        subject.copy().unwrap();
    }
    assert_eq!(numbers(&subject.files), [3, 4, 5]);
    let names = fs::read_dir(subject.files.backup()).unwrap();
    assert_eq!(names.count(), 3, "nothing else is left there");
}

#[test]
fn those_who_ask_while_a_copy_is_made_are_all_answered() {
    let directory = tempfile::tempdir().unwrap();
    let subject = Subject::start(directory.path(), 100);
    for id in 0..20 {
        subject.copier.copy(id).unwrap();
    }
    let mut answers = subject.answers(20);
    answers.sort_by_key(|(id, _)| *id);
    let mut last = 0;
    for (expected, (id, answer)) in (0..).zip(answers) {
        let Ok(Answer::Copied { number }) = answer else { panic!("{answer:?}") };
        assert!(id == expected && number >= last);
        last = number;
    }
    assert_eq!(numbers(&subject.files).last(), Some(&last));
}

#[test]
fn a_copy_is_of_one_moment_while_steps_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut subject = Subject::start(directory.path(), 7);
    let data = |number: u8| vec![number; 100_000];
    subject.set(20, &data(1));
    for round in 1..=5 {
        subject.copier.copy(1).unwrap();
        let mut number = 0;
        // It has its name before it is answered.
        while numbers(&subject.files).len() < round {
            number = (number + 1) % 100;
            subject.set(20, &data(number));
        }
        subject.answers(1);
        let copies = copies_of(&subject.files).unwrap();
        assert_eq!(copies.len(), round);
        let found = values(&copies[round - 1].path);
        assert!(found.len() == 20 && found.iter().all(|it| *it == found[0]));
    }
}

#[test]
fn a_daily_copy_is_made_when_a_day_has_passed_and_none_of_a_hive_without_contents() {
    let directory = tempfile::tempdir().unwrap();
    let mut subject = Subject::start(directory.path(), 7);
    assert_eq!(subject.due(), [], "there is nothing in it");
    subject.set(1, b"1");
    assert_eq!(subject.due(), [(2, Kind::Daily)]);
    assert_eq!(subject.due(), []);
    for copy in copies_of(&subject.files).unwrap() {
        let day_before = copy.time - Duration::from_secs(25 * 3600);
        let aged = Copy::new(&subject.files, copy.number, copy.kind, day_before);
        fs::rename(copy.path, aged.path).unwrap();
    }
    assert_eq!(subject.due(), [(5, Kind::Daily)]);
}

#[test]
fn an_unclean_start_makes_a_copy_that_replaces_the_one_before() {
    let (clean, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut subject = Subject::start(clean.path(), 7);
    subject.set(1, b"1");
    assert_eq!(subject.due(), [(1, Kind::Daily)]);
    for round in 0..2 {
        // As a process leaves it that is killed.
        for file in ["Machine.redb", "Machine.root"] {
            fs::copy(clean.path().join(file), crashed.path().join(file)).unwrap();
        }
        if round == 0 {
            fs::create_dir(crashed.path().join("backup")).unwrap();
            for copy in copies_of(&subject.files).unwrap() {
                let name = copy.path.file_name().unwrap();
                fs::copy(&copy.path, crashed.path().join("backup").join(name)).unwrap();
            }
        }
        let after = Subject::start(crashed.path(), 7);
        let [(number, Kind::Unclean)] = after.due()[..] else { panic!() };
        let copies = copies_of(&after.files).unwrap();
        let unclean: Vec<&Copy> = copies.iter().filter(|copy| copy.kind == Kind::Unclean).collect();
        assert_eq!(unclean.iter().map(|copy| copy.number).collect::<Vec<_>>(), [number]);
        assert!(copies.iter().any(|copy| copy.number == 1), "the daily one stays");
    }
}

#[test]
fn a_copy_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut subject = Subject::start(directory.path(), 7);
    subject.set(10, &[7; 10_000]);
    fs::write(subject.files.backup(), b"in the way").unwrap();
    assert_eq!(subject.copy(), Err(SourceError::StorageError));
    fs::remove_file(subject.files.backup()).unwrap();
    subject.files.make_backup().unwrap();
    // A disk without room.
    std::os::unix::fs::symlink("/dev/full", subject.files.new_copy()).unwrap();
    assert_eq!(subject.copy(), Err(SourceError::StorageError));
    assert_eq!(fs::read_dir(subject.files.backup()).unwrap().count(), 0);
    assert_eq!(subject.copy(), Ok(1));
}
