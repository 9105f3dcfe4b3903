use std::ops::{Bound, ControlFlow};

use rpds::RedBlackTreeMapSync;

use super::{Rows, RowsMut, Store, View, Visit, Work};
use crate::Error;

/// Rows in memory. A clone costs nothing and does not change with its original, so it serves as view, as
/// savepoint and as a commit under way.
#[derive(Clone, Default)]
pub struct Memory {
    rows: RedBlackTreeMapSync<Vec<u8>, Vec<u8>>,
}

impl Memory {
    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows whose key begins with `prefix` and is not below `from`.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        from: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.rows
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .map(|(row, value)| (row.as_slice(), value.as_slice()))
            .take_while(move |(row, _)| row.starts_with(prefix))
    }
}

impl Rows for Memory {
    fn get(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rows.get(row).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        for (row, value) in self.range(prefix, from) {
            if let ControlFlow::Break(()) = visit(row, value)? {
                break;
            }
        }
        Ok(())
    }
}

impl RowsMut for Memory {
    fn put(&mut self, row: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let before = self.get(row)?;
        self.rows.insert_mut(row.to_vec(), value.to_vec());
        Ok(before)
    }

    fn remove(&mut self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let before = self.get(row)?;
        if before.is_some() {
            self.rows.remove_mut(row);
        }
        Ok(before)
    }
}

/// A store that forgets everything when its process ends.
#[derive(Default)]
pub struct MemoryStore {
    committed: Memory,
}

impl Store for MemoryStore {
    fn view(&self) -> Result<View, Error> {
        Ok(Box::new(self.committed.clone()))
    }

    fn commit(&mut self, work: &mut Work) -> Result<(), Error> {
        let mut changed = self.committed.clone();
        if work(&mut changed)? {
            self.committed = changed;
        }
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn reopen(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
