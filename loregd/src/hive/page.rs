//! How much fits into one answer. Sizes are those of postcard, rounded up.

use lcs_abi::rsi::{BlanketEntry, KeyRecord, Name, PathEntry};

/// What the numbers, GUIDs and lengths of one entry can take at most.
const FIXED: usize = 64;

/// A page that is being filled.
pub(super) struct Page {
    limit: usize,
    size: usize,
}

impl Page {
    pub(super) fn of(limit: u32) -> Self {
        Page { limit: limit as usize, size: 0 }
    }

    /// Makes the page smaller by what every page carries.
    pub(super) fn reserve(&mut self, size: usize) {
        self.limit = self.limit.saturating_sub(size);
    }

    pub(super) fn add(&mut self, size: usize) {
        self.size += size;
    }

    /// Adds something if there is room, and the first thing in any case.
    pub(super) fn takes(&mut self, size: usize) -> bool {
        let room = self.size == 0 || self.size + size <= self.limit;
        if room {
            self.size += size;
        }
        room
    }

    pub(super) fn is_full(&self) -> bool {
        self.size >= self.limit
    }

    pub(super) fn is_over(&self) -> bool {
        self.size > self.limit
    }
}

fn name_size(name: &Name) -> usize {
    name.display.len() + name.folded.len()
}

pub(super) fn entry_size(entry: &PathEntry) -> usize {
    FIXED + name_size(&entry.name) + name_size(&entry.layer)
}

pub(super) fn record_size(record: &KeyRecord) -> usize {
    FIXED + name_size(&record.name) + record.sd.len()
}

pub(super) fn blanket_size(blanket: &BlanketEntry) -> usize {
    FIXED + name_size(&blanket.layer)
}

/// The size of an entry, value or blanket in an answer, from its row: the key has GUID and folded names,
/// the value has the rest.
pub(super) fn value_row_size(row: &[u8], value: &[u8]) -> usize {
    FIXED + row.len() + value.len()
}
