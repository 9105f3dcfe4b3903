use std::collections::BTreeMap;
use std::io;
use std::sync::{PoisonError, RwLock};

use redb::StorageBackend;

const BLOCK: usize = 4096;

/// A database's file, or what stands for one, that stays as it is: what redb writes to open it, and to
/// recover it after a crash, is kept in memory beside it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: Box<dyn StorageBackend>,
    contents: RwLock<Contents>,
}

#[derive(Debug)]
struct Contents {
    length: u64,
    /// How much of the file is still part of it.
    from_file: u64,
    /// What was written, by the number of the block.
    written: BTreeMap<u64, [u8; BLOCK]>,
}

impl Overlay {
    pub(super) fn new(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let length = file.len()?;
        let contents = Contents { length, from_file: length, written: BTreeMap::new() };
        Ok(Overlay { file, contents: RwLock::new(contents) })
    }
}

impl Contents {
    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// What the file says at `offset`, and zeros behind its end.
    fn read_file(&self, file: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.from_file.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        let (from_file, beyond) = out.split_at_mut(there);
        file.read(offset, from_file)?;
        beyond.fill(0);
        Ok(())
    }

    fn block(&mut self, file: &dyn StorageBackend, number: u64) -> io::Result<&mut [u8; BLOCK]> {
        if !self.written.contains_key(&number) {
            let mut block = [0; BLOCK];
            self.read_file(file, number * BLOCK as u64, &mut block)?;
            self.written.insert(number, block);
        }
        self.written.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The part of `length` bytes at `offset` that is in one block: the block's number, where the part begins in
/// it, and how long it is.
fn part(offset: u64, length: usize) -> (u64, usize, usize) {
    let within = (offset % BLOCK as u64) as usize;
    (offset / BLOCK as u64, within, length.min(BLOCK - within))
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.read().unwrap_or_else(PoisonError::into_inner).length)
    }

    fn read(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        contents.check(offset, out.len())?;
        if contents.written.is_empty() {
            return contents.read_file(&*self.file, offset, out);
        }
        while !out.is_empty() {
            let (number, within, length) = part(offset, out.len());
            let (now, later) = out.split_at_mut(length);
            match contents.written.get(&number).and_then(|block| block.get(within..within + length))
            {
                Some(written) => now.copy_from_slice(written),
                None => contents.read_file(&*self.file, offset, now)?,
            }
            offset += length as u64;
            out = later;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        if length < contents.length {
            // What is cut off reads as zeros when the length grows again.
            let (number, within, _) = part(length, 0);
            if within > 0 && contents.written.contains_key(&number) {
                contents.block(&*self.file, number)?[within..].fill(0);
            }
            contents.written.retain(|number, _| number * (BLOCK as u64) < length);
            contents.from_file = contents.from_file.min(length);
        }
        contents.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, mut offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        contents.check(offset, data.len())?;
        while !data.is_empty() {
            let (number, within, length) = part(offset, data.len());
            let (now, later) = data.split_at(length);
            contents.block(&*self.file, number)?[within..within + length].copy_from_slice(now);
            offset += length as u64;
            data = later;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;

    use proptest::prelude::*;
    use redb::backends::FileBackend;

    use super::*;

    #[derive(Clone, Debug)]
    pub(in super::super) enum Operation {
        SetLength(u64),
        Write(u64, Vec<u8>),
    }

    pub(in super::super) fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            (0..20_000u64).prop_map(Operation::SetLength),
            (0..20_000u64, proptest::collection::vec(any::<u8>(), 0..9000))
                .prop_map(|(offset, data)| Operation::Write(offset, data)),
        ]
    }

    proptest! {
        #[test]
        fn it_reads_as_a_file_would_and_the_file_stays(
            original in proptest::collection::vec(any::<u8>(), 0..12_000),
            operations in proptest::collection::vec(operation(), 0..12),
        ) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &original).unwrap();
            let under = FileBackend::new(File::open(file.path()).unwrap()).unwrap();
            let overlay = Overlay::new(Box::new(under)).unwrap();
            let mut expected = original.clone();
            for operation in operations {
                match operation {
                    Operation::SetLength(length) => {
                        overlay.set_len(length).unwrap();
                        expected.resize(length as usize, 0);
                    }
                    Operation::Write(offset, data) => {
                        let range = offset as usize..offset as usize + data.len();
                        let place = expected.get_mut(range);
                        let fits = place.map(|place| place.copy_from_slice(&data)).is_some();
                        prop_assert_eq!(overlay.write(offset, &data).is_ok(), fits);
                    }
                }
                let mut all = vec![1; expected.len()];
                prop_assert_eq!(overlay.len().unwrap(), expected.len() as u64);
                overlay.read(0, &mut all).unwrap();
                prop_assert_eq!(&all, &expected);
                prop_assert!(overlay.read(1, &mut all).is_err() || all.is_empty());
            }
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), original);
        }
    }
}
