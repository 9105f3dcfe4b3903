//! What removes more than one thing at a time: subtrees, orphans, layers.

use std::ops::ControlFlow;

use lcs_abi::Guid;
use lcs_abi::rsi::{SourceError, Target};

use super::rows::{self, Kind, Place};
use super::step::Step;
use crate::Error;
use crate::store::Rows;

impl Step<'_, '_> {
    /// Removes all that is under a key: values, blankets, entries, and the keys that these lead to.
    pub(super) fn remove_subtree(&mut self, key: Guid) -> Result<(), Error> {
        let mut found = self.clear(key)?;
        while let Some(child) = found.pop() {
            if child == key || self.find(child)?.is_none_or(|row| row.entries > 0) {
                continue;
            }
            found.extend(self.clear(child)?);
            self.remove_record(child)?;
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
        self.clear(key)?;
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

    /// Removes the values, blankets and entries of a key. Returns the keys that the entries named.
    fn clear(&mut self, key: Guid) -> Result<Vec<Guid>, Error> {
        let mut named = Vec::new();
        for kind in [Kind::Value, Kind::Blanket, Kind::Entry] {
            let prefix = rows::of_guid(kind, key);
            let mut found = Vec::new();
            self.rows.scan(&prefix, &prefix, &mut |row, value| {
                if kind == Kind::Entry
                    && let Target::Key(child) = rows::entry(row, value)?.target
                {
                    named.push(child);
                }
                found.push(row.to_vec());
                Ok(ControlFlow::Continue(()))
            })?;
            for row in found {
                self.remove(&Place::of_row(&row)?)?;
            }
        }
        Ok(named)
    }

    /// Removes all that a layer says in this hive, found by the rows of kind layer.
    pub(super) fn delete_layer(&mut self, layer: &str) -> Result<(), Error> {
        rows::check_name(layer)?;
        let prefix = rows::index(layer);
        let mut found = Vec::new();
        self.rows.scan(&prefix, &prefix, &mut |row, _| {
            found.push(row.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        for row in found {
            self.remove(&Place::of_index(&row, layer)?)?;
        }
        Ok(())
    }
}
