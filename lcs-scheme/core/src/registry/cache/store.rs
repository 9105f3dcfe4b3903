//! Where what is kept stands, and what goes when there is too much of it.
//!
//! Eviction is CLOCK: a hand goes round, passes by what was used since it was here last, and takes away what
//! was not. What is new counts as unused, so a walk over a large hive takes the places of what was read once,
//! and not of what is read again and again.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::mem::size_of;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use lcs_abi::Guid;

use super::super::hives::SlotId;
use super::parts::Object;

/// What is larger than this part of the limit is not kept: it would take the place of too much else.
const LARGEST_PART: usize = 8;

/// The share of an entry in the list of places and in the index, both of which can be half empty.
const IN_TABLES: usize = 40;

/// The share of a key in the table of keys, which can be half empty.
const OF_KEY: usize = 80;

/// Fewer places than this are not worth being moved together.
const FEW_PLACES: usize = 1024;

/// Stands for "no place".
const NOWHERE: u32 = u32::MAX;

struct Entry {
    object: Object<Box<str>>,
    contents: Box<[u8]>,
    /// It was used since the hand was here last.
    used: bool,
    /// The places of the neighbours in the list of what is kept of the key.
    previous: u32,
    next: u32,
}

/// What is kept, as encoded bytes.
pub(super) struct Store {
    places: Vec<Option<Box<Entry>>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// The first place of each key's list.
    keys: HashMap<(SlotId, Guid), u32>,
    hashes: DefaultHashBuilder,
    hand: usize,
    bytes: usize,
    limit: usize,
}

/// What a piece of memory of this length takes of the allocator.
fn allocated(length: usize) -> usize {
    if length == 0 { 0 } else { (length + size_of::<usize>()).next_multiple_of(16).max(32) }
}

impl Entry {
    fn cost(&self) -> usize {
        let pieces = [size_of::<Entry>(), self.object.name_len(), self.contents.len()];
        IN_TABLES + pieces.into_iter().map(allocated).sum::<usize>()
    }
}

impl Store {
    pub(super) fn new(limit: usize) -> Store {
        Store {
            places: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            keys: HashMap::new(),
            hashes: DefaultHashBuilder::default(),
            hand: 0,
            bytes: 0,
            limit,
        }
    }

    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How much memory they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much they may take.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// They may take so much from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink();
    }

    /// What is kept of an object, which is thereby used.
    pub(super) fn get(&mut self, object: Object<&str>) -> Option<&[u8]> {
        let place = self.find(object)?;
        let entry = self.places.get_mut(place as usize)?.as_mut()?;
        entry.used = true;
        Some(&entry.contents)
    }

    pub(super) fn contains(&self, object: Object<&str>) -> bool {
        self.find(object).is_some()
    }

    /// Takes an object away.
    pub(super) fn take(&mut self, object: Object<&str>) -> Option<Box<[u8]>> {
        let taken = self.find(object).and_then(|place| self.remove(place));
        self.move_together();
        taken.map(|entry| entry.contents)
    }

    /// Keeps an object, if it is not too large.
    pub(super) fn put(&mut self, object: Object<&str>, contents: Vec<u8>) {
        if let Some(place) = self.find(object) {
            self.remove(place);
        }
        let object = object.owned();
        let contents = contents.into_boxed_slice();
        let entry = Entry { object, contents, used: false, previous: NOWHERE, next: NOWHERE };
        if entry.cost() <= self.limit / LARGEST_PART {
            self.add(Box::new(entry));
        }
        self.shrink();
    }

    /// Takes away all that is kept of a key.
    pub(super) fn remove_key(&mut self, slot: SlotId, key: Guid) {
        while let Some(place) = self.keys.get(&(slot, key)) {
            self.remove(*place);
        }
        self.move_together();
    }

    /// Takes away all that is kept of a hive.
    pub(super) fn remove_hive(&mut self, slot: SlotId) {
        for place in 0..self.places.len() {
            if self.places[place].as_ref().is_some_and(|entry| entry.object.slot == slot) {
                self.remove(place as u32);
            }
        }
        self.move_together();
    }

    fn find(&self, object: Object<&str>) -> Option<u32> {
        let is_it = |place: &u32| {
            let entry = self.places.get(*place as usize).and_then(Option::as_ref);
            entry.is_some_and(|entry| entry.object.borrowed() == object)
        };
        self.index.find(self.hashes.hash_one(object), is_it).copied()
    }

    fn entry(&mut self, place: u32) -> Option<&mut Entry> {
        self.places.get_mut(place as usize)?.as_deref_mut()
    }

    fn add(&mut self, mut entry: Box<Entry>) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let Ok(place) = u32::try_from(self.places.len()) else { return };
                self.places.push(None);
                place
            }
        };
        self.bytes += entry.cost();
        let key = (entry.object.slot, entry.object.key);
        match self.keys.insert(key, place) {
            None => self.bytes += OF_KEY,
            Some(first) => {
                entry.next = first;
                if let Some(first) = self.entry(first) {
                    first.previous = place;
                }
            }
        }
        let hash = self.hashes.hash_one(entry.object.borrowed());
        self.places[place as usize] = Some(entry);
        let (places, hashes) = (&self.places, &self.hashes);
        self.index.insert_unique(hash, place, |place| {
            let entry = places[*place as usize].as_ref();
            entry.map_or(0, |entry| hashes.hash_one(entry.object.borrowed()))
        });
    }

    fn remove(&mut self, place: u32) -> Option<Box<Entry>> {
        let entry = self.places.get_mut(place as usize)?.take()?;
        let hash = self.hashes.hash_one(entry.object.borrowed());
        if let Ok(found) = self.index.find_entry(hash, |other| *other == place) {
            found.remove();
        }
        self.bytes -= entry.cost();
        let key = (entry.object.slot, entry.object.key);
        if let Some(next) = self.entry(entry.next) {
            next.previous = entry.previous;
        }
        if let Some(previous) = self.entry(entry.previous) {
            previous.next = entry.next;
        } else if entry.next != NOWHERE {
            self.keys.insert(key, entry.next);
        } else {
            self.keys.remove(&key);
            self.bytes -= OF_KEY;
        }
        self.free.push(place);
        Some(entry)
    }

    fn shrink(&mut self) {
        while self.bytes > self.limit && self.len() > 0 {
            self.hand = (self.hand + 1) % self.places.len();
            let Some(entry) = &mut self.places[self.hand] else { continue };
            if !core::mem::take(&mut entry.used) {
                self.remove(self.hand as u32);
            }
        }
        self.move_together();
    }

    /// Gives the tables' memory back when most of them is empty.
    fn move_together(&mut self) {
        let (places, len) = (self.places.len(), self.len());
        if places < FEW_PLACES || len >= places / 4 {
            return;
        }
        let entries = core::mem::take(&mut self.places).into_iter().flatten();
        let entries: Vec<Box<Entry>> = entries.collect();
        let (limit, hashes) = (self.limit, self.hashes.clone());
        *self = Store {
            places: Vec::with_capacity(len),
            index: HashTable::with_capacity(len),
            hashes,
            ..Store::new(limit)
        };
        for mut entry in entries {
            (entry.previous, entry.next) = (NOWHERE, NOWHERE);
            self.add(entry);
        }
    }
}
