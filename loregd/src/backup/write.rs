//! One copy: from a snapshot into a file, which gets its name when it has been checked.

use std::fs;
use std::time::SystemTime;

use super::{Copy, Kind, copies_of};
use crate::Error;
use crate::directory::caught;
use crate::files::{self, HiveFiles};
use crate::hive::Reader;
use crate::recovery::examine;
use crate::store::{RedbStore, Store};

/// How much of a hive is read at once, in bytes; a row that is larger is read whole.
const READ_AT_ONCE: usize = 256 << 10;

/// Makes a copy of what the hive is now: all that was acknowledged before is in it.
///
/// # Errors
/// Those of the hive and of the disk, and [`Error::Damaged`] if what was written is not what can be read.
/// There is no copy then, nor a part of one.
pub(super) fn write(reader: &Reader, files: &HiveFiles, kind: Kind) -> Result<Copy, Error> {
    let snapshot = reader.keep()?;
    let written = write_snapshot(reader, snapshot, files);
    // One that is gone was what made the copy fail.
    let _ = reader.release(snapshot);
    let named = written.and_then(|()| name(files, kind));
    if named.is_err()
        && let Err(error) = files::remove_if_there(&files.new_copy())
    {
        log::error!("{error}");
    }
    named
}

fn write_snapshot(reader: &Reader, snapshot: u64, files: &HiveFiles) -> Result<(), Error> {
    files.make_backup()?;
    let path = files.new_copy();
    drop(files::create(&path)?);
    caught(|| {
        let mut store = RedbStore::open(&path)?;
        store.commit(&mut |rows| {
            let mut last: Option<Vec<u8>> = None;
            loop {
                let found = reader.rows_after(snapshot, last.as_deref(), READ_AT_ONCE)?;
                for (row, value) in &found {
                    rows.put(row, value)?;
                }
                match found.into_iter().next_back() {
                    Some((row, _)) => last = Some(row),
                    None => return Ok(true),
                }
            }
        })
    })?;
    files::sync_file(&path)?;
    examine(&path)?.sound()?;
    Ok(())
}

fn name(files: &HiveFiles, kind: Kind) -> Result<Copy, Error> {
    let newest = copies_of(files)?.last().map_or(0, |copy| copy.number);
    let number = newest.checked_add(1).ok_or(Error::Damaged("no number is left".to_owned()))?;
    let copy = Copy::new(files, number, kind, SystemTime::now());
    let failed = |error| Error::File { path: copy.path.clone(), error };
    fs::rename(files.new_copy(), &copy.path).map_err(failed)?;
    files::sync_directory(&files.backup())?;
    Ok(copy)
}
