//! Each kind of damage to a hive's file, at each of many places: the hive that comes up is its newest good copy,
//! or, where the damage hit nothing that matters, what it was.

use std::fs;

use super::tests::{Rows, copy, files, open, rows, set, try_open};
use super::{Found, LARGE, Unchecked};

/// At how many places each kind of damage is done.
const PLACES: usize = 200;

/// What a disk writes at once, in bytes.
const SECTOR: usize = 512;

/// A hive's file, one that it was before, and what is in it and in its copy.
struct Subject {
    directory: tempfile::TempDir,
    before: Vec<u8>,
    whole: Vec<u8>,
    rows: Rows,
    copied: Rows,
}

/// How often what came up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    copies: usize,
    unharmed: usize,
}

impl Subject {
    fn new() -> Subject {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for number in 1..20 {
            set(&mut open(path).hive, 40, number);
        }
        let copied = rows(&copy(path, 1));
        let database = files(path).database();
        for number in 21..30 {
            set(&mut open(path).hive, 60, number);
        }
        let before = fs::read(&database).unwrap();
        for number in 31..40 {
            set(&mut open(path).hive, 80, number);
        }
        let whole = fs::read(&database).unwrap();
        let rows = rows(&database);
        assert_ne!(rows, copied);
        Subject { directory, before, whole, rows, copied }
    }

    /// Opens the hive with this in the place of its file.
    fn outcome(&self, damaged: &[u8], what: &str, outcomes: &mut Outcomes) {
        let path = self.directory.path();
        let database = files(path).database();
        fs::write(&database, damaged).unwrap();
        let opened = try_open(path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let recovered = opened.recovered;
        drop(opened.hive);
        let found = rows(&database);
        match recovered {
            Some(recovered) => {
                assert_eq!(recovered.copy, Some(1), "{what}");
                assert!(found == self.copied, "{what}: not what the copy has");
                let aside = recovered.set_aside.unwrap();
                assert!(fs::read(&aside).unwrap() == damaged, "{what}: it was changed");
                fs::remove_file(aside).unwrap();
                outcomes.copies += 1;
            }
            None => {
                assert!(found == self.rows, "{what}: opened, and not what it was");
                outcomes.unharmed += 1;
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let length = self.whole.len();
        // Not all of them at the beginning of a page.
        (0..PLACES).map(move |place| (length * place / PLACES + place * 37 % 512).min(length - 1))
    }
}

/// Does this damage at each place, and prints what came of it.
fn at_each_place(kind: &str, damage: impl Fn(&Subject, &mut Vec<u8>, usize)) {
    let subject = Subject::new();
    let mut outcomes = Outcomes::default();
    for place in subject.places() {
        let mut damaged = subject.whole.clone();
        damage(&subject, &mut damaged, place);
        subject.outcome(&damaged, &format!("{kind} at {place}"), &mut outcomes);
    }
    println!("{kind}: {outcomes:?} of {} bytes", subject.whole.len());
    assert_eq!(outcomes.copies + outcomes.unharmed, PLACES);
    assert!(outcomes.copies >= PLACES / 20, "some of it hits something: {outcomes:?}");
}

#[test]
fn a_file_that_is_cut() {
    at_each_place("truncated", |_, bytes, place| bytes.truncate(place));
}

#[test]
fn a_stretch_of_zeros() {
    at_each_place("zeroed", |_, bytes, place| {
        let end = (place + 4096).min(bytes.len());
        bytes[place..end].fill(0);
    });
}

#[test]
fn a_bit_that_is_another() {
    at_each_place("bit-flipped", |_, bytes, place| bytes[place] ^= 1 << (place % 8));
}

#[test]
fn sectors_that_were_not_written() {
    at_each_place("torn", |subject, bytes, place| {
        let start = place / SECTOR * SECTOR;
        let end = (start + SECTOR * (1 + place % 16)).min(bytes.len());
        for (at, byte) in bytes[..end].iter_mut().enumerate().skip(start) {
            *byte = subject.before.get(at).copied().unwrap_or_default();
        }
    });
}

#[test]
fn each_bit_of_the_header() {
    let subject = Subject::new();
    let mut outcomes = Outcomes::default();
    for bit in 0..320 * 8 {
        let mut damaged = subject.whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        subject.outcome(&damaged, &format!("bit {} of byte {}", bit % 8, bit / 8), &mut outcomes);
    }
    println!("header: {outcomes:?}");
    assert!(outcomes.copies > 500 && outcomes.unharmed > 0);
}

#[test]
fn a_file_that_is_missing() {
    let subject = Subject::new();
    let path = subject.directory.path();
    fs::remove_file(files(path).database()).unwrap();
    let opened = open(path);
    assert_eq!(opened.recovered.map(|it| (it.copy, it.set_aside)), Some((Some(1), None)));
    drop(opened.hive);
    assert_eq!(rows(&files(path).database()), subject.copied);
}

#[test]
fn damage_to_a_large_hive_is_found_when_it_is_opened_or_when_it_is_in_service() {
    const LARGE_PLACES: usize = 60;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    set(&mut open(path).hive, 200, 1);
    copy(path, 1);
    let database = files(path).database();
    let copied = rows(&database);
    set(&mut open(path).hive, 9000, 2);
    let (whole, all) = (fs::read(&database).unwrap(), rows(&database));
    assert!(whole.len() as u64 >= LARGE);
    let (mut at_once, mut in_service, mut unharmed) = (0, 0, 0);
    for place in 0..LARGE_PLACES {
        // Half of them where there is most to hit: at the beginning.
        let space = if place % 2 == 0 { whole.len() } else { whole.len() / 50 };
        let at = space * place / LARGE_PLACES + place * 37 % 512;
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (place % 8);
        fs::write(&database, &damaged).unwrap();
        let mut opened = open(path);
        let trusted = opened.unchecked.is_some();
        match opened.unchecked.as_ref().map(Unchecked::check).transpose().unwrap() {
            Some(Found::Damaged(_)) => {
                drop(opened);
                opened = open(path);
                assert!(opened.recovered.is_some() && opened.unchecked.is_none(), "{at}");
                in_service += 1;
            }
            Some(Found::Sound) => unharmed += 1,
            Some(Found::Nothing) => panic!("nothing was written: {at}"),
            None if opened.recovered.is_some() => at_once += 1,
            None => unharmed += 1,
        }
        let recovered = opened.recovered;
        drop(opened.hive);
        let found = rows(&database);
        match recovered {
            Some(recovered) => {
                assert!(found == copied, "{at}: not what the copy has");
                fs::remove_file(recovered.set_aside.unwrap()).unwrap();
            }
            None => assert!(found == all, "{at}: opened (trusted: {trusted}), and not what it was"),
        }
    }
    println!("{at_once} at once, {in_service} in service, {unharmed} unharmed");
    assert!(in_service > 5);
}
