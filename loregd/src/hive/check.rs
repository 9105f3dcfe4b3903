//! Whether the rows of a hive fit together.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;

use lcs_abi::Guid;
use lcs_abi::rsi::Target;
use serde::Deserialize;

use super::ledger::SLOTS;
use super::read_hive_row;
use super::rows::{self, BlanketRow, EntryRow, KeyRow, Kind, LedgerRow, Place, ValueRow};
use crate::Error;
use crate::store::Rows;

/// Something in a hive that loregd does not leave there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key that it is about.
    pub key: Option<Guid>,
    /// What is wrong.
    pub what: String,
    /// It can't be what anybody asked for. A key may have another name than an entry that leads to it, though
    /// LCS makes none so; that is a problem, and no damage.
    pub is_damage: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "key {key}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// How much there is in a hive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys, orphans among them.
    pub keys: u64,
    /// Values of all layers.
    pub values: u64,
    /// Keys that no entry names, and which the next start of loregd drops. They are no problem.
    pub orphans: u64,
    /// How many problems were told.
    pub problems: u64,
}

/// Looks at every row, and tells each problem as it is found. In memory are the keys' GUIDs and no more of
/// the hive than a row.
///
/// # Errors
/// The store's; and [`Error::Format`] and [`Error::Corrupt`], if it can't be known what the hive is.
pub fn check(rows: &dyn Rows, tell: &mut dyn FnMut(Problem)) -> Result<Counts, Error> {
    let row = rows::single(Kind::Hive);
    let hive = read_hive_row(rows)?.ok_or_else(|| Error::corrupt(&row, "it is not there"))?;
    let mut check = Check {
        rows,
        root: hive.root,
        tell,
        counts: Counts::default(),
        keys: HashMap::new(),
        ledger: None,
        steps: 0,
        hashes: Default::default(),
        in_layers: Tally::default(),
        indexed: Tally::default(),
    };
    rows.scan(&[], &[], &mut |row, value| {
        match check.row(row, value) {
            Err(Error::Corrupt { what, .. }) => check.corrupt(row, what),
            result => result?,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if check.in_layers != check.indexed {
        rows.scan(&[], &[], &mut |row, _| {
            match check.index_of(row) {
                // That was told.
                Ok(()) | Err(Error::Corrupt { .. }) => Ok(ControlFlow::Continue(())),
                Err(error) => Err(error),
            }
        })?;
    }
    check.finish()?;
    Ok(check.counts)
}

struct Check<'a> {
    rows: &'a dyn Rows,
    root: Guid,
    tell: &'a mut dyn FnMut(Problem),
    counts: Counts,
    keys: HashMap<Guid, Key>,
    ledger: Option<LedgerRow>,
    /// How many rows of kind step there are.
    steps: u64,
    hashes: [RandomState; 2],
    /// What has a layer, by its own rows and by those of kind layer.
    in_layers: Tally,
    indexed: Tally,
}

/// Which rows were seen, in whichever order. What two of them say is the same if it was the same rows: that others have
/// the same sum is as likely as a guess of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u128,
}

impl Tally {
    fn add(&mut self, Place { kind, guid, name, layer }: &Place, hashes: &[RandomState; 2]) {
        let place = (*kind as u8, guid.0, name, layer);
        let [high, low] = hashes.each_ref().map(|hash| u128::from(hash.hash_one(place)));
        self.count += 1;
        self.sum = self.sum.wrapping_add(high << 64 | low);
    }
}

/// What is known of a key that has a record.
struct Key {
    parent: Guid,
    /// How many entries name it, as it says and as there are.
    entries: (u32, u32),
    /// It has a row of kind orphan.
    is_marked: bool,
    /// The walk up to the root that came by here: 0 for none yet.
    walk: u64,
}

impl Check<'_> {
    fn problem(&mut self, key: impl Into<Option<Guid>>, what: impl Into<String>) {
        self.tell(key.into(), what.into(), true);
    }

    fn tell(&mut self, key: Option<Guid>, what: String, is_damage: bool) {
        self.counts.problems += 1;
        (self.tell)(Problem { key, what, is_damage });
    }

    /// A row that can't be read. Its key may still say whose it is.
    fn corrupt(&mut self, row: &[u8], what: &'static str) {
        let is_of_key = row.first().is_some_and(|kind| {
            (Kind::Key as u8..=Kind::Blanket as u8).contains(kind) || *kind == Kind::Orphan as u8
        });
        let key = row.get(1..17).and_then(|guid| guid.try_into().ok()).map(Guid);
        self.problem(key.filter(|_| is_of_key), Error::corrupt(row, what).to_string());
    }

    /// Rows come in the order of their kinds, which is that of the numbers: the ledger before what has
    /// sequence numbers, keys before what is theirs, entries before orphans.
    fn row(&mut self, row: &[u8], value: &[u8]) -> Result<(), Error> {
        const KINDS: [Kind; 10] = [
            Kind::Hive,
            Kind::Ledger,
            Kind::Step,
            Kind::Key,
            Kind::Descriptor,
            Kind::Entry,
            Kind::Value,
            Kind::Blanket,
            Kind::Layer,
            Kind::Orphan,
        ];
        let kind = row.first().and_then(|kind| KINDS.get(usize::from(*kind)));
        match kind.ok_or_else(|| Error::corrupt(row, "of an unknown kind"))? {
            Kind::Hive | Kind::Ledger if row.len() > 1 => Err(Error::corrupt(row, "too long")),
            // It was read first.
            Kind::Hive => Ok(()),
            Kind::Ledger => {
                self.ledger = Some(rows::decode(row, value)?);
                Ok(())
            }
            Kind::Step => self.step(row, value),
            Kind::Key => self.key(row, value),
            Kind::Descriptor => self.descriptor(row),
            Kind::Entry => self.entry(row, value),
            Kind::Value => {
                self.counts.values += 1;
                self.of_key(row, value, |value: ValueRow| value.sequence)
            }
            Kind::Blanket => self.of_key(row, value, |blanket: BlanketRow| blanket.sequence),
            Kind::Layer => self.index(row),
            Kind::Orphan => self.orphan(row),
        }
    }

    fn step(&mut self, row: &[u8], value: &[u8]) -> Result<(), Error> {
        let expected = u16::try_from(self.steps).map(rows::step);
        self.steps += 1;
        if expected.is_ok_and(|expected| expected != row) {
            self.corrupt(row, "the slots of steps have a gap");
        }
        let first = value.try_into().map_err(|_| Error::corrupt(row, "not a sequence number"))?;
        self.sequence(None, row, u64::from_le_bytes(first));
        Ok(())
    }

    fn sequence(&mut self, key: Option<Guid>, row: &[u8], sequence: u64) {
        // A ledger that is not there is told once.
        let Some(max_sequence) = self.ledger.map(|ledger| ledger.max_sequence) else {
            return;
        };
        if sequence > max_sequence {
            let what = Error::corrupt(row, "its sequence number is above the highest");
            self.problem(key, format!("{what}: {sequence} above {max_sequence}"));
        }
    }

    fn key(&mut self, row: &[u8], value: &[u8]) -> Result<(), Error> {
        self.counts.keys += 1;
        let guid = rows::guid_of(row)?;
        let stored: KeyRow = rows::decode(row, value)?;
        if stored.volatile {
            self.problem(guid, "it is volatile, and on the disk");
        }
        if self.rows.get(&rows::of_guid(Kind::Descriptor, guid))?.is_none() {
            self.problem(guid, "it has no security descriptor");
        }
        let (parent, entries) = (stored.parent, (stored.entries, 0));
        self.keys.insert(guid, Key { parent, entries, is_marked: false, walk: 0 });
        Ok(())
    }

    fn descriptor(&mut self, row: &[u8]) -> Result<(), Error> {
        let guid = rows::guid_of(row)?;
        if !self.is_there(guid)? {
            self.problem(guid, "it has a security descriptor and no record");
        }
        Ok(())
    }

    /// Whether the key has a record; one that does not decode was told already.
    fn is_there(&self, key: Guid) -> Result<bool, Error> {
        let known = self.keys.contains_key(&key);
        Ok(known || self.rows.get(&rows::of_guid(Kind::Key, key))?.is_some())
    }

    fn entry(&mut self, row: &[u8], value: &[u8]) -> Result<(), Error> {
        self.of_key(row, value, |entry: EntryRow| entry.sequence)?;
        let place = Place::of_row(row)?;
        let entry: EntryRow = rows::decode(row, value)?;
        let Target::Key(key) = entry.target else {
            return Ok(());
        };
        let by = || {
            let Place { guid, name, layer, .. } = &place;
            format!("an entry {name:?} under {guid} in layer {layer:?} names it")
        };
        let key_row = rows::of_guid(Kind::Key, key);
        let Some(stored) = self.rows.get(&key_row)? else {
            self.problem(key, format!("{}, and it has no record", by()));
            return Ok(());
        };
        let Some(known) = self.keys.get_mut(&key) else {
            // Its record does not decode.
            return Ok(());
        };
        known.entries.1 += 1;
        let stored: KeyRow = rows::decode(&key_row, &stored)?;
        if key == self.root {
            self.problem(key, format!("{}, and it is the root", by()));
        } else if stored.parent != place.guid {
            self.problem(key, format!("{}, and its parent is {}", by(), stored.parent));
        } else if stored.name.folded != place.name {
            let what = format!("{}, and its name is {:?}", by(), stored.name.folded);
            self.tell(Some(key), what, false);
        }
        Ok(())
    }

    /// An entry, value or blanket: its key, its sequence number, its row of kind layer.
    fn of_key<'r, R: Deserialize<'r>>(
        &mut self,
        row: &[u8],
        value: &'r [u8],
        sequence: impl FnOnce(R) -> u64,
    ) -> Result<(), Error> {
        let place = Place::of_row(row)?;
        if !self.is_there(place.guid)? {
            let what = Error::corrupt(row, "belongs to a key that is not there").to_string();
            self.problem(place.guid, what);
        }
        self.in_layers.add(&place, &self.hashes);
        self.sequence(Some(place.guid), row, sequence(rows::decode(row, value)?));
        Ok(())
    }

    fn index(&mut self, row: &[u8]) -> Result<(), Error> {
        let place = indexed(row)?;
        self.indexed.add(&place, &self.hashes);
        Ok(())
    }

    /// Whether what has a layer has its row of kind layer, and the reverse: looked at one by one, if it is not so for
    /// all together.
    fn index_of(&mut self, row: &[u8]) -> Result<(), Error> {
        let (place, other, what) = match row.first() {
            Some(kind) if *kind == Kind::Layer as u8 => {
                let place = indexed(row)?;
                let other = place.row();
                (place, other, "leads to nothing")
            }
            Some(kind) if (Kind::Entry as u8..=Kind::Blanket as u8).contains(kind) => {
                let place = Place::of_row(row)?;
                let other = place.index_row();
                (place, other, "not in the index of its layer")
            }
            _ => return Ok(()),
        };
        if self.rows.get(&other)?.is_none() {
            self.problem(place.guid, Error::corrupt(row, what).to_string());
        }
        Ok(())
    }

    fn orphan(&mut self, row: &[u8]) -> Result<(), Error> {
        let guid = rows::guid_of(row)?;
        let root = self.root;
        match self.keys.get_mut(&guid) {
            Some(key) if key.entries.1 == 0 && guid != root => key.is_marked = true,
            Some(_) => self.problem(guid, "it is marked as an orphan, and is none"),
            None => self.problem(guid, "it is marked as an orphan, and is not there"),
        }
        Ok(())
    }

    /// What can be said when all rows were seen.
    fn finish(&mut self) -> Result<(), Error> {
        let steps = self.steps;
        match self.ledger {
            None => self.problem(None, "there is no ledger"),
            Some(ledger) if ledger.steps.min(SLOTS) != steps => {
                let counted = ledger.steps;
                let what = format!("the ledger counts {counted} steps, and {steps} are kept");
                self.problem(None, what);
            }
            Some(_) => {}
        }
        match self.keys.get_mut(&self.root) {
            None => self.problem(self.root, "it is the root, and has no record"),
            Some(root) => {
                root.walk = u64::MAX;
                if root.parent != self.root {
                    self.problem(self.root, "it is the root, and has a parent");
                }
            }
        }
        let mut keys: Vec<Guid> = self.keys.keys().copied().collect();
        keys.sort_unstable();
        for (guid, walk) in keys.into_iter().zip(1..) {
            self.entries_of(guid);
            self.walk_up(guid, walk)?;
        }
        Ok(())
    }

    fn entries_of(&mut self, guid: Guid) {
        let Some(Key { entries: (said, found), is_marked, .. }) = self.keys.get(&guid) else {
            return;
        };
        let is_orphan = *found == 0 && guid != self.root;
        let unmarked = is_orphan && !is_marked;
        self.counts.orphans += u64::from(is_orphan);
        if said != found {
            self.problem(
                guid,
                format!("it counts {said} entries that name it, and there are {found}"),
            );
        }
        if unmarked {
            self.problem(guid, "it is an orphan, and not marked as one: it is never dropped");
        }
    }

    /// Follows a key's parents up to the root, an orphan, or where another walk came by.
    fn walk_up(&mut self, guid: Guid, walk: u64) -> Result<(), Error> {
        let mut next = guid;
        while let Some(key) = self.keys.get_mut(&next) {
            if key.walk == walk {
                self.problem(next, "its parents lead in a circle");
                return Ok(());
            }
            // What is under an orphan is dropped after it, and its parent may have been dropped before it.
            if key.walk != 0 || key.entries.1 == 0 {
                return Ok(());
            }
            key.walk = walk;
            let parent = key.parent;
            if !self.is_there(parent)? {
                self.problem(next, format!("its parent {parent} has no record"));
            }
            next = parent;
        }
        Ok(())
    }
}

/// What a row of kind layer is about.
fn indexed(row: &[u8]) -> Result<Place<'_>, Error> {
    let rest = row.get(1..).unwrap_or_default();
    let nul = rest.iter().position(|byte| *byte == 0);
    let layer = nul
        .and_then(|nul| str::from_utf8(rest.get(..nul)?).ok())
        .ok_or_else(|| Error::corrupt(row, "no layer"))?;
    Place::of_index(row, layer)
}
