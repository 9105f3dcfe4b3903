//! A hive's rows on disk and those in memory, seen as one map. A row is in one of both only.

use std::ops::ControlFlow;

use crate::Error;
use crate::store::{Memory, Rows, RowsMut, View, Visit};

/// Where a row lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In the hive's store.
    Store,
    /// In memory: what belongs to a volatile key, and the entries that name one.
    Memory,
}

impl Home {
    /// The home of the rows of a key.
    pub(super) fn of(volatile: bool) -> Self {
        if volatile { Home::Memory } else { Home::Store }
    }
}

/// A committed state of both.
pub(super) struct Committed {
    pub(super) store: View,
    pub(super) memory: Memory,
}

impl Rows for Committed {
    fn get(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        get(&*self.store, &self.memory, row)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        scan(&*self.store, &self.memory, prefix, from, visit)
    }
}

/// Both while a commit is under way, with the way back to where its present step began.
pub(super) struct Working<'a> {
    store: &'a mut dyn RowsMut,
    memory: &'a mut Memory,
    memory_before: Memory,
    /// Rows of the store that the step changed, with their values before, the first change first. `None`: there
    /// is one step only.
    store_before: Option<Vec<Before>>,
}

/// A row and the value that it had, if it was there.
type Before = (Vec<u8>, Option<Vec<u8>>);

/// How many steps a commit has.
#[derive(Clone, Copy)]
pub(super) enum Steps {
    /// One only, however large: it stays or goes with its commit.
    One,
    /// Several, of which each can be undone without the others.
    Many,
}

/// What a change replaced.
pub(super) struct Replaced {
    pub(super) value: Vec<u8>,
    /// Where it was.
    pub(super) home: Home,
}

impl<'a> Working<'a> {
    pub(super) fn new(store: &'a mut dyn RowsMut, memory: &'a mut Memory, steps: Steps) -> Self {
        let store_before = match steps {
            Steps::One => None,
            Steps::Many => Some(Vec::new()),
        };
        let memory_before = memory.clone();
        Working { store, memory, memory_before, store_before }
    }

    /// What was changed so far stays, whatever the next step does.
    pub(super) fn keep_step(&mut self) {
        self.memory_before = self.memory.clone();
        if let Some(before) = &mut self.store_before {
            before.clear();
        }
    }

    /// Undoes what was changed since the last step that is kept; not what is undone with the commit.
    pub(super) fn undo_step(&mut self) -> Result<(), Error> {
        *self.memory = self.memory_before.clone();
        for (row, before) in self.store_before.iter_mut().flat_map(|it| it.drain(..)).rev() {
            match before {
                Some(value) => self.store.put(&row, &value)?,
                None => self.store.remove(&row)?,
            };
        }
        Ok(())
    }

    pub(super) fn put(
        &mut self,
        home: Home,
        row: &[u8],
        value: &[u8],
    ) -> Result<Option<Replaced>, Error> {
        let moved = match home {
            Home::Store => self.remove_from_memory(row)?,
            Home::Memory => self.remove_from_store(row)?,
        };
        let before = match home {
            Home::Store => {
                let before = self.store.put(row, value)?;
                self.remember(row, &before);
                before
            }
            Home::Memory => self.memory.put(row, value)?,
        };
        Ok(moved.or(before.map(|value| Replaced { value, home })))
    }

    pub(super) fn remove(&mut self, row: &[u8]) -> Result<Option<Replaced>, Error> {
        match self.remove_from_memory(row)? {
            Some(removed) => Ok(Some(removed)),
            None => self.remove_from_store(row),
        }
    }

    fn remove_from_memory(&mut self, row: &[u8]) -> Result<Option<Replaced>, Error> {
        if self.memory.is_empty() {
            return Ok(None);
        }
        let before = self.memory.remove(row)?;
        Ok(before.map(|value| Replaced { value, home: Home::Memory }))
    }

    fn remove_from_store(&mut self, row: &[u8]) -> Result<Option<Replaced>, Error> {
        let before = self.store.remove(row)?;
        if before.is_some() {
            self.remember(row, &before);
        }
        Ok(before.map(|value| Replaced { value, home: Home::Store }))
    }

    fn remember(&mut self, row: &[u8], before: &Option<Vec<u8>>) {
        if let Some(all) = &mut self.store_before {
            all.push((row.to_vec(), before.clone()));
        }
    }
}

impl Rows for Working<'_> {
    fn get(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        get(&*self.store, self.memory, row)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        scan(&*self.store, self.memory, prefix, from, visit)
    }
}

fn get<S: Rows + ?Sized>(store: &S, memory: &Memory, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    match memory.get(row)? {
        Some(value) => Ok(Some(value)),
        None => store.get(row),
    }
}

/// Merges the rows of both in the order of their keys.
fn scan<S: Rows + ?Sized>(
    store: &S,
    memory: &Memory,
    prefix: &[u8],
    from: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
) -> Result<(), Error> {
    let mut in_memory = memory.range(prefix, from).peekable();
    let mut stopped = false;
    store.scan(prefix, from, &mut |row, value| {
        while let Some((earlier, value)) = in_memory.next_if(|(candidate, _)| *candidate < row) {
            if let ControlFlow::Break(()) = visit(earlier, value)? {
                stopped = true;
                return Ok(ControlFlow::Break(()));
            }
        }
        let flow = visit(row, value)?;
        stopped = flow.is_break();
        Ok(flow)
    })?;
    if stopped {
        return Ok(());
    }
    for (row, value) in in_memory {
        if let ControlFlow::Break(()) = visit(row, value)? {
            break;
        }
    }
    Ok(())
}
