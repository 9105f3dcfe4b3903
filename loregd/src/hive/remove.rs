//! What removes more than one thing at a time: subtrees, orphans, layers.

use std::ops::ControlFlow;

use lcs_abi::Guid;
use lcs_abi::rsi::{SourceError, Target};

use super::rows::{self, Kind, Place};
use super::step::Step;
use crate::Error;
use crate::store::Rows;

/// How many rows are looked for before they are removed.
const ROWS_AT_ONCE: usize = 1024;

impl Step<'_, '_> {
    /// Removes all that is under a key: values, blankets, entries, and the keys that these lead to.
    pub(super) fn remove_subtree(&mut self, top: Guid) -> Result<(), Error> {
        // The way down from the top, with the siblings on it that are still to come.
        let mut keys = vec![top];
        while let Some(&key) = keys.last() {
            if let Some(named) = self.clear_some(key)? {
                for child in named {
                    if child != top && self.find(child)?.is_some_and(|row| row.entries == 0) {
                        keys.push(child);
                    }
                }
                continue;
            }
            keys.pop();
            if key != top && self.find(key)?.is_some() {
                self.remove_record(key)?;
            }
        }
        Ok(())
    }

    /// Removes an orphan and what belongs to it. Keys that only entries under it named are orphans then.
    ///
    /// # Errors
    /// `Invalid` if the key is the root or an entry names it. One that is not there is no error.
    pub(super) fn drop_key(&mut self, key: Guid) -> Result<(), Error> {
        let is_root = key == self.root;
        match self.find(key)? {
            None => return Ok(()),
            Some(row) if row.entries > 0 || is_root => return Err(SourceError::Invalid.into()),
            Some(_) => {}
        }
        while self.clear_some(key)?.is_some() {}
        self.remove_record(key)
    }

    /// Removes a key that has a row of kind orphan, and that row in any case: else a wrong one would be
    /// found again for ever.
    pub(super) fn purge_orphan(&mut self, key: Guid) -> Result<(), Error> {
        let row = rows::of_guid(Kind::Orphan, key);
        self.rows.remove(&row)?;
        match self.find(key)? {
            Some(found) if found.entries == 0 => self.drop_key(key),
            _ => {
                log::warn!("{}", Error::corrupt(&row, "not an orphan"));
                Ok(())
            }
        }
    }

    /// Removes values, blankets and entries of a key, some of many. Returns the keys that these entries named,
    /// or `None` if there was nothing left.
    fn clear_some(&mut self, key: Guid) -> Result<Option<Vec<Guid>>, Error> {
        let (mut found, mut named) = (Vec::new(), Vec::new());
        for kind in [Kind::Value, Kind::Blanket, Kind::Entry] {
            let prefix = rows::of_guid(kind, key);
            self.rows.scan(&prefix, &prefix, &mut |row, value| {
                if found.len() == ROWS_AT_ONCE {
                    return Ok(ControlFlow::Break(()));
                }
                if kind == Kind::Entry
                    && let Target::Key(child) = rows::entry(row, value)?.target
                {
                    named.push(child);
                }
                found.push(row.to_vec());
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for row in &found {
            self.remove(&Place::of_row(row)?)?;
        }
        self.make_room()?;
        Ok((!found.is_empty()).then_some(named))
    }

    /// Removes all that a layer says in this hive, found by the rows of kind layer.
    pub(super) fn delete_layer(&mut self, layer: &str) -> Result<(), Error> {
        rows::check_name(layer)?;
        let prefix = rows::index(layer);
        let mut from = prefix.clone();
        loop {
            let mut found = Vec::new();
            self.rows.scan(&prefix, &from, &mut |row, _| {
                found.push(row.to_vec());
                Ok(match found.len() {
                    ROWS_AT_ONCE => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
            })?;
            for row in &found {
                self.remove(&Place::of_index(row, layer)?)?;
            }
            self.make_room()?;
            match found.pop() {
                Some(last) => from = rows::after(last),
                None => return Ok(()),
            }
        }
    }
}
