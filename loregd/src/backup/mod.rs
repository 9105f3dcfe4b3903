//! Automatic copies of hives, in `backup/` below the data directory.
//!
//! Each is a database of its own, `HIVE.NUMBER.KIND.DATE.redb`: complete, and checked after it was written.
//! Numbers rise; the date is that of the copy, in UTC. [`copier`] makes them, [`crate::recovery`] uses them.

pub(crate) mod copier;
mod due;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::Error;
use crate::files::{self, HiveFiles};

/// Why a copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A day had passed.
    Daily,
    /// Somebody asked for it.
    Requested,
    /// The process before had not closed the hive. There is one such copy at most.
    Unclean,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Daily, Kind::Requested, Kind::Unclean];

    fn word(self) -> &'static str {
        match self {
            Kind::Daily => "daily",
            Kind::Requested => "requested",
            Kind::Unclean => "unclean",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Daily => "daily",
            Kind::Requested => "on request",
            Kind::Unclean => "after an unclean start",
        })
    }
}

/// A copy that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) time: SystemTime,
    pub(crate) path: PathBuf,
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_seconds(self.time);
        write!(f, "copy {} ({time}, {})", self.number, self.kind)
    }
}

impl Copy {
    /// A copy of this hive that is yet to be made.
    fn new(files: &HiveFiles, number: u32, kind: Kind, time: SystemTime) -> Self {
        let (stem, date) = (files.stem(), files::date(time));
        let name = format!("{stem}.{number}.{}.{date}.redb", kind.word());
        // To the second, as it will be read.
        let time = files::time_of(&date).unwrap_or(time);
        Copy { number, kind, time, path: files.backup().join(name) }
    }

    /// Reads the name of a file: the stem of the hive's files, and the copy without its path.
    fn parse(name: &str) -> Option<(&str, Copy)> {
        let mut parts = name.strip_suffix(".redb")?.rsplitn(4, '.');
        let time = files::time_of(parts.next()?)?;
        let word = parts.next()?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let number = parts.next()?.parse().ok()?;
        Some((parts.next()?, Copy { number, kind, time, path: PathBuf::new() }))
    }
}

/// The copies of a hive, the newest last.
///
/// # Errors
/// [`Error::File`], if the directory can't be read.
pub(crate) fn copies_of(files: &HiveFiles) -> Result<Vec<Copy>, Error> {
    let all = copies_in(files)?.into_iter();
    Ok(all.filter(|(stem, _)| stem == files.stem()).map(|(_, copy)| copy).collect())
}

/// The copies of all hives in a data directory with the stems of their files, the newest of each last.
/// `files` are those of any of them.
pub(crate) fn copies_in(files: &HiveFiles) -> Result<Vec<(String, Copy)>, Error> {
    let directory = files.backup();
    let failed = |error| Error::File { path: directory.clone(), error };
    let found = match fs::read_dir(&directory) {
        Ok(found) => found,
        Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut copies = Vec::new();
    for file in found {
        let path = file.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some((stem, copy)) = Copy::parse(name) {
            copies.push((stem.to_owned(), Copy { path: path.clone(), ..copy }));
        }
    }
    copies.sort_by(|(stem, copy), (other_stem, other)| {
        stem.cmp(other_stem).then(copy.number.cmp(&other.number))
    });
    Ok(copies)
}

/// Removes the copies that are too many now that `newest` is there: all but `keep` daily and requested ones,
/// and all but one that was made after an unclean start. Never the newest.
fn remove_old(files: &HiveFiles, newest: &Copy, keep: usize) -> Result<(), Error> {
    let is_unclean = |copy: &Copy| copy.kind == Kind::Unclean;
    let (unclean, others): (Vec<_>, Vec<_>) = copies_of(files)?.into_iter().partition(is_unclean);
    let of = |mut copies: Vec<Copy>, keep: usize| {
        copies.truncate(copies.len().saturating_sub(keep));
        copies
    };
    for copy in of(unclean, 1).into_iter().chain(of(others, keep)) {
        if copy.number != newest.number {
            files::remove_if_there(&copy.path)?;
            log::info!("{}: removed {copy}", files.stem());
        }
    }
    files::sync_directory(&files.backup())
}
