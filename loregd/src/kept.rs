//! What must outlive a hive's database: its root's GUID, and up to where sequence numbers may be in use.
//!
//! A small text beside the database, replaced as a whole:
//!
//! ```text
//! loregd hive 1
//! root 5f0e6a0c-7b52-4f0e-9a55-0f4c9d3b2a11
//! sequence 16777216
//! check 8c736521
//! ```
//!
//! `sequence` is a number that no step has reserved a higher one than. It runs ahead, so that it is rarely
//! written. `check` is the CRC-32 (IEEE) of the lines before it, in hexadecimal.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lcs_abi::Guid;

use crate::Error;
use crate::files;

/// How far the number runs ahead.
const AHEAD: u64 = 1 << 24;

/// What is kept of a hive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its root key.
    pub(crate) root: Guid,
    /// No step has reserved a higher sequence number.
    pub(crate) sequence: u64,
}

impl Kept {
    /// Reads what is kept. `None`: there is nothing, or it is damaged, which goes to the log.
    ///
    /// # Errors
    /// [`Error::File`], if the file is there and can't be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::File { path: path.to_owned(), error }),
        };
        let kept = Self::parse(&bytes);
        if kept.is_none() {
            log::error!("{}: damaged; it is written anew", path.display());
        }
        Ok(kept)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let (lines, check) = text.split_once("check ")?;
        let check = u32::from_str_radix(check.strip_suffix('\n')?, 16).ok()?;
        if check != crc32fast::hash(lines.as_bytes()) {
            return None;
        }
        let mut lines = lines.lines();
        if lines.next() != Some("loregd hive 1") {
            return None;
        }
        let root = uuid::Uuid::try_parse(lines.next()?.strip_prefix("root ")?).ok()?;
        let sequence = lines.next()?.strip_prefix("sequence ")?.parse().ok()?;
        Some(Kept { root: Guid(root.into_bytes()), sequence })
    }

    fn text(&self) -> String {
        let Kept { root, sequence } = self;
        let lines = format!("loregd hive 1\nroot {root}\nsequence {sequence}\n");
        let check = crc32fast::hash(lines.as_bytes());
        format!("{lines}check {check:08x}\n")
    }

    /// Replaces what is kept, durably.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let new = path.with_added_extension("new");
        let mut file = files::create(&new)?;
        let failed = |error| Error::File { path: path.to_owned(), error };
        file.write_all(self.text().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&new, path).map_err(failed)?;
        path.parent().map_or(Ok(()), files::sync_directory)
    }
}

/// Keeps the file true while its hive is at work.
pub(crate) struct Keeper {
    path: PathBuf,
    kept: Kept,
}

impl Keeper {
    /// For a hive with this root and highest sequence number, of which so much is kept already.
    ///
    /// # Errors
    /// [`Error::File`]: no descriptor is left.
    pub(crate) fn new(
        path: PathBuf,
        before: Option<Kept>,
        root: Guid,
        max_sequence: u64,
    ) -> Result<Self, Error> {
        let kept = before.filter(|kept| kept.root == root).unwrap_or(Kept { root, sequence: 0 });
        let keeper = Keeper { path, kept };
        let is_near = kept.sequence < max_sequence.saturating_add(AHEAD / 2);
        let mut next = Keeper { kept: kept.ahead_of(max_sequence), ..keeper };
        if (before != Some(kept) || is_near)
            && let Err(error) = next.kept.write(&next.path)
        {
            if error.is_of_descriptors() {
                return Err(error);
            }
            // A disk that is full or read-only now; the first step that needs it tries again.
            log::warn!("{error}");
            next.kept = Kept { sequence: 0, ..kept };
        }
        Ok(next)
    }

    /// To be called before a commit in which a step reserves this number.
    ///
    /// # Errors
    /// [`Error::File`]: it can't be kept, and the commit must not happen.
    pub(crate) fn reserve(&mut self, sequence: u64) -> Result<(), Error> {
        if sequence <= self.kept.sequence {
            return Ok(());
        }
        let kept = self.kept.ahead_of(sequence);
        kept.write(&self.path)?;
        self.kept = kept;
        Ok(())
    }
}

impl Kept {
    fn ahead_of(self, sequence: u64) -> Self {
        let sequence = self.sequence.max(sequence.saturating_add(AHEAD));
        Kept { sequence, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept { root: Guid([7; 16]), sequence: 99 };

    #[test]
    fn it_is_read_as_it_was_written_and_no_byte_of_it_can_be_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Machine.root");
        assert_eq!(Kept::read(&path).unwrap(), None);
        KEPT.write(&path).unwrap();
        assert_eq!(Kept::read(&path).unwrap(), Some(KEPT));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let text = fs::read(&path).unwrap();
        for place in 0..text.len() {
            let mut damaged = text.clone();
            damaged[place] ^= 4;
            assert_eq!(Kept::parse(&damaged), None, "{place}");
            assert_eq!(Kept::parse(&text[..place]), None, "{place}");
        }
    }

    #[test]
    fn the_number_runs_ahead_and_is_never_overtaken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Machine.root");
        let kept = || Kept::read(&path).unwrap().unwrap();
        let mut keeper = Keeper::new(path.clone(), None, KEPT.root, 1000).unwrap();
        assert_eq!(kept(), Kept { root: KEPT.root, sequence: 1000 + AHEAD });
        for reserved in [1001, 1000 + AHEAD, 1001 + AHEAD, 9 * AHEAD, u64::MAX] {
            keeper.reserve(reserved).unwrap();
            assert!(kept().sequence >= reserved);
        }
        let before = Some(kept());
        Keeper::new(path.clone(), before, KEPT.root, 5).unwrap();
        assert_eq!(Some(kept()), before, "it does not fall");
        Keeper::new(path.clone(), before, Guid([8; 16]), 5).unwrap();
        assert_eq!(kept(), Kept { root: Guid([8; 16]), sequence: 5 + AHEAD }, "another hive's");
        fs::remove_dir_all(directory.path()).unwrap();
        let mut keeper = Keeper::new(path, None, KEPT.root, 5).unwrap();
        assert!(matches!(keeper.reserve(6), Err(Error::File { .. })));
    }
}
