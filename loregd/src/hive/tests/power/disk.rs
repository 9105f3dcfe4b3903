//! A disk that remembers all that was written to it, in order, and what can be left of that.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::Error;
use crate::store::{RedbStore, builder, trusting_builder};

/// What a disk writes at once, in bytes.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLength(u64),
    /// All before is on the disk.
    Sync,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    operations: Vec<Operation>,
    syncs: usize,
}

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    contents: Arc<Mutex<Contents>>,
    lies: bool,
}

impl Disk {
    /// One that is told to have written everything, and does so only each third time.
    pub(super) fn lying() -> Self {
        Disk { lies: true, ..Disk::default() }
    }

    fn holding(bytes: Vec<u8>) -> Self {
        let contents = Contents { bytes, ..Contents::default() };
        Disk { contents: Arc::new(Mutex::new(contents)), lies: false }
    }

    /// The store on it.
    pub(super) fn store(&self) -> Result<RedbStore, Error> {
        let (writing, reading) = (self.clone(), self.clone());
        RedbStore::with(
            move || builder().create_with_backend(writing.clone()),
            move || Ok(reading.clone()),
        )
    }

    /// The store on it, opened without reading all of it if it was closed or sealed.
    pub(super) fn quick_store(&self) -> Result<RedbStore, Error> {
        let (writing, reading) = (self.clone(), self.clone());
        let trusted = RedbStore::with(
            move || trusting_builder().create_with_backend(writing.clone()),
            move || Ok(reading.clone()),
        );
        trusted.or_else(|_| self.store())
    }

    /// How many operations there were.
    pub(super) fn operations(&self) -> usize {
        self.contents.lock().unwrap().operations.len()
    }

    pub(super) fn log(&self) -> Log {
        Log { operations: self.contents.lock().unwrap().operations.clone() }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.contents.lock().unwrap();
        let range = offset as usize..offset as usize + out.len();
        let bytes = contents.bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut contents = self.contents.lock().unwrap();
        contents.bytes.resize(length as usize, 0);
        contents.operations.push(Operation::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.contents.lock().unwrap();
        contents.syncs += 1;
        if !self.lies || contents.syncs.is_multiple_of(3) {
            contents.operations.push(Operation::Sync);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut contents = self.contents.lock().unwrap();
        let range = offset as usize..offset as usize + data.len();
        let place = contents.bytes.get_mut(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(data);
        contents.operations.push(Operation::Write(offset, data.to_vec()));
        Ok(())
    }
}

/// All that was done to a disk.
pub(super) struct Log {
    operations: Vec<Operation>,
}

/// What a power failure leaves.
pub(super) struct Cut {
    /// How many operations had been begun.
    pub(super) operation: usize,
    /// What became of those after the last sync.
    pub(super) how: How,
    pub(super) image: Disk,
}

/// What became of the writes that were not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// All happened.
    Prefix,
    /// None happened.
    Lost,
    /// Some happened.
    Dropped,
    /// Some happened, in another order.
    Reordered,
    /// Some happened, in another order, and of some only some sectors.
    Torn,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Log {
    /// Shows every cut from operation `from` on, in several ways each.
    pub(super) fn cut(&self, seed: u64, from: usize, show: &mut dyn FnMut(Cut)) {
        let mut dice = Dice(seed);
        // What is on the disk for certain, and what was done since then.
        let (mut durable, mut pending): (Vec<u8>, Vec<&Operation>) = (Vec::new(), Vec::new());
        for operation in 0..=self.operations.len() {
            if operation >= from {
                let mut ways = vec![How::Prefix];
                if !pending.is_empty() {
                    ways.extend([How::Lost, How::Dropped, How::Reordered, How::Torn]);
                }
                for how in ways {
                    let image = Disk::holding(left_of(&durable, &pending, how, &mut dice));
                    show(Cut { operation, how, image });
                }
            }
            match self.operations.get(operation) {
                Some(Operation::Sync) => {
                    durable = left_of(&durable, &pending, How::Prefix, &mut dice);
                    pending.clear();
                }
                Some(other) => pending.push(other),
                None => {}
            }
        }
    }
}

fn left_of(durable: &[u8], pending: &[&Operation], how: How, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = durable.to_vec();
    if matches!(how, How::Prefix) {
        for operation in pending {
            match operation {
                Operation::Write(offset, data) => write(&mut bytes, *offset as usize, data),
                Operation::SetLength(length) => bytes.resize(*length as usize, 0),
                Operation::Sync => {}
            }
        }
        return bytes;
    }
    if matches!(how, How::Lost) {
        return bytes;
    }
    // A file's length is what the file system keeps a journal of: some changes of it, in their order. A write
    // beyond a length that was lost is lost.
    let lengths: Vec<u64> = pending
        .iter()
        .filter_map(|operation| match operation {
            Operation::SetLength(length) => Some(*length),
            _ => None,
        })
        .collect();
    for length in &lengths[..dice.below(lengths.len() + 1)] {
        bytes.resize(*length as usize, 0);
    }
    let mut writes: Vec<(u64, &[u8])> = pending
        .iter()
        .filter_map(|operation| match operation {
            Operation::Write(offset, data) => Some((*offset, &data[..])),
            _ => None,
        })
        .collect();
    if !matches!(how, How::Dropped) {
        for index in (1..writes.len()).rev() {
            writes.swap(index, dice.below(index + 1));
        }
    }
    // From nearly all to nearly none.
    let (of, lost) = (8, 1 + dice.below(7));
    for (offset, data) in writes {
        if dice.below(of) < lost {
            continue;
        }
        if matches!(how, How::Torn) && dice.below(2) == 0 {
            for (sector, part) in data.chunks(SECTOR).enumerate() {
                if dice.below(2) == 0 {
                    write(&mut bytes, offset as usize + sector * SECTOR, part);
                }
            }
        } else {
            write(&mut bytes, offset as usize, data);
        }
    }
    bytes
}

/// Writes as much as fits.
fn write(bytes: &mut [u8], offset: usize, data: &[u8]) {
    let end = (offset + data.len()).min(bytes.len());
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(&data[..place.len()]);
    }
}

/// A linear congruential generator (Knuth's MMIX).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number from 0 up to, and without, `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
