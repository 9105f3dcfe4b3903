//! A database's file while it is written, of which what it was at one moment can be read on: before a block is
//! written, what was in it is kept (copy on write).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

const BLOCK: usize = 4096;

/// How much is kept for one snapshot, in blocks; where more is written meanwhile, the snapshot is lost.
const MOST_KEPT: usize = (64 << 20) / BLOCK;

/// The file, for the database that writes it.
#[derive(Debug)]
pub(super) struct LiveFile(Arc<Shared>);

/// The way to snapshots of the file, one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<Shared>);

/// What the file was when the snapshot was taken, for reading only. Between any two writes a file is as a crash could
/// leave it; so what can be recovered after a crash can be read in a snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: FileBackend,
    before: RwLock<Before>,
}

/// What is known of the time before.
#[derive(Debug, Default)]
enum Before {
    /// Nobody wants to know.
    #[default]
    Unwanted,
    /// How long the file was, and the blocks that have been written since.
    Kept { length: u64, blocks: BTreeMap<u64, Box<[u8; BLOCK]>> },
    /// Too much has changed.
    Lost,
    /// The file is written by somebody else now.
    Ended,
}

impl LiveFile {
    pub(super) fn open(file: File) -> Result<(Self, Snapshots), DatabaseError> {
        let shared = Shared { file: FileBackend::new(file)?, before: RwLock::default() };
        let shared = Arc::new(shared);
        Ok((LiveFile(Arc::clone(&shared)), Snapshots(shared)))
    }
}

impl Snapshots {
    /// Takes a snapshot, in the place of the one before. `None`: there are no more.
    pub(crate) fn take(&self) -> io::Result<Option<Snapshot>> {
        let mut before = self.0.before_mut();
        if let Before::Ended = *before {
            return Ok(None);
        }
        *before = Before::Kept { length: self.0.file.len()?, blocks: BTreeMap::new() };
        Ok(Some(Snapshot(Arc::clone(&self.0))))
    }

    /// Whether the last snapshot could not be kept until nobody needed it.
    pub(crate) fn was_lost(&self) -> bool {
        matches!(*self.0.before(), Before::Lost | Before::Ended)
    }

    /// From now on the file is not written through this.
    pub(super) fn end(&self) {
        *self.0.before_mut() = Before::Ended;
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut before = self.0.before_mut();
        if let Before::Kept { .. } = *before {
            *before = Before::Unwanted;
        }
    }
}

impl Shared {
    fn before(&self) -> RwLockReadGuard<'_, Before> {
        self.before.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn before_mut(&self) -> RwLockWriteGuard<'_, Before> {
        self.before.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, after what it is about to overwrite was kept.
    fn change(
        &self,
        keep: impl FnOnce(&mut Before),
        change: impl FnOnce(&FileBackend) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.before();
        if !matches!(*before, Before::Kept { .. }) {
            return change(&self.file);
        }
        drop(before);
        let mut before = self.before_mut();
        keep(&mut before);
        change(&self.file)
    }

    fn keep(&self, before: &mut Before, offset: u64, written: usize) {
        let Before::Kept { length, blocks } = before else { return };
        let end = offset.saturating_add(written as u64).min(*length);
        for number in offset / BLOCK as u64..end.div_ceil(BLOCK as u64) {
            if blocks.contains_key(&number) {
                continue;
            }
            let start = number * BLOCK as u64;
            let there = usize::try_from(*length - start).unwrap_or(BLOCK).min(BLOCK);
            let mut block = Box::new([0; BLOCK]);
            if blocks.len() >= MOST_KEPT || self.file.read(start, &mut block[..there]).is_err() {
                *before = Before::Lost;
                return;
            }
            blocks.insert(number, block);
        }
    }
}

impl StorageBackend for LiveFile {
    fn len(&self) -> io::Result<u64> {
        self.0.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.file.read(offset, out)
    }

    fn set_len(&self, new: u64) -> io::Result<()> {
        let keep = |before: &mut Before| {
            if matches!(before, Before::Kept { length, .. } if new < *length) {
                *before = Before::Lost;
            }
        };
        self.0.change(keep, |file| file.set_len(new))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let keep = |before: &mut Before| self.0.keep(before, offset, data.len());
        self.0.change(keep, |file| file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

impl StorageBackend for Snapshot {
    fn len(&self) -> io::Result<u64> {
        match &*self.0.before() {
            Before::Kept { length, .. } => Ok(*length),
            _ => Err(lost()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        // Held while the file is read, so that nothing is written meanwhile.
        let before = self.0.before();
        let Before::Kept { length, blocks } = &*before else { return Err(lost()) };
        let end = offset.checked_add(out.len() as u64).filter(|end| end <= length);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0.file.read(offset, out)?;
        for (number, block) in blocks.range(offset / BLOCK as u64..end.div_ceil(BLOCK as u64)) {
            let start = number * BLOCK as u64;
            let (from, to) = (start.max(offset), (start + BLOCK as u64).min(end));
            let part = |origin: u64| (from - origin) as usize..(to - origin) as usize;
            out[part(offset)].copy_from_slice(&block[part(start)]);
        }
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

fn lost() -> io::Error {
    io::Error::other("too much was written while a snapshot of the file was read")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::overlay::tests::{Operation, operation};
    use super::*;

    fn read(file: &impl StorageBackend) -> io::Result<Vec<u8>> {
        let mut all = vec![1; file.len()? as usize];
        file.read(0, &mut all)?;
        // And in parts.
        for (number, part) in all.chunks(1500).enumerate() {
            let mut again = vec![1; part.len()];
            file.read(number as u64 * 1500, &mut again)?;
            assert_eq!(again, part);
        }
        Ok(all)
    }

    proptest! {
        #[test]
        fn a_snapshot_reads_as_the_file_was_unless_the_file_was_cut(
            original in proptest::collection::vec(any::<u8>(), 0..20_000),
            earlier in proptest::collection::vec(operation(), 0..3),
            operations in proptest::collection::vec(operation(), 0..12),
        ) {
            let file = tempfile::tempfile().unwrap();
            let (live, snapshots) = LiveFile::open(file).unwrap();
            live.set_len(original.len() as u64).unwrap();
            live.write(0, &original).unwrap();
            for operation in earlier {
                carry_out(&live, operation);
            }
            let expected = read(&live).unwrap();
            prop_assert!(!snapshots.was_lost());
            let snapshot = snapshots.take().unwrap().unwrap();
            let mut is_cut = false;
            for operation in operations {
                is_cut |= matches!(operation, Operation::SetLength(it) if it < expected.len() as u64);
                carry_out(&live, operation);
                prop_assert_eq!(snapshots.was_lost(), is_cut);
                match read(&snapshot) {
                    Ok(found) => prop_assert!(found == expected && !is_cut),
                    Err(_) => prop_assert!(is_cut),
                }
            }
            drop(snapshot);
            let snapshot = snapshots.take().unwrap().unwrap();
            prop_assert!(read(&snapshot).unwrap() == read(&live).unwrap());
            snapshots.end();
            prop_assert!(read(&snapshot).is_err() && snapshots.take().unwrap().is_none());
        }
    }

    fn carry_out(live: &LiveFile, operation: Operation) {
        match operation {
            Operation::SetLength(length) => live.set_len(length).unwrap(),
            Operation::Write(offset, data) => {
                let end = offset + data.len() as u64;
                if live.len().unwrap() < end {
                    live.set_len(end).unwrap();
                }
                live.write(offset, &data).unwrap();
            }
        }
    }

    #[test]
    fn a_snapshot_that_would_take_too_much_memory_is_lost() {
        let (live, snapshots) = LiveFile::open(tempfile::tempfile().unwrap()).unwrap();
        let length = (MOST_KEPT as u64 + 2) * BLOCK as u64;
        live.set_len(length).unwrap();
        let snapshot = snapshots.take().unwrap().unwrap();
        for number in 0..MOST_KEPT as u64 {
            live.write(number * BLOCK as u64, &[1]).unwrap();
        }
        assert!(!snapshots.was_lost());
        live.write(length - 1, &[1]).unwrap();
        assert!(snapshots.was_lost() && read(&snapshot).is_err());
    }
}
