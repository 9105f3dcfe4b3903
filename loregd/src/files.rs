//! The files of one hive in the data directory.
//!
//! | name | what |
//! |---|---|
//! | `HIVE.redb` | the database |
//! | `HIVE.root` | what must outlive it: see [`crate::kept`] |
//! | `HIVE.stage-N` | a large stage of a step ([`crate::hive`]); of no use to the next process |
//! | `HIVE.unchecked` | says that the database is in use and was not read as a whole: see [`crate::recovery`] |
//! | `HIVE.redb.new` | what is about to become the database; of no use to the next process |
//! | `HIVE.redb.damaged-DATE`, `HIVE.redb.replaced-DATE` | what was set aside; nobody deletes it |
//! | `backup/HIVE.NUMBER.KIND.DATE.redb` | a copy: see [`crate::backup`] |
//! | `backup/HIVE.new` | a copy that is being made |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Error;

/// Where copies are, below the data directory.
const BACKUP: &str = "backup";

/// Why a database is set aside; a part of its new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// It is damaged.
    Damaged,
    /// Somebody wants a copy in its place.
    Replaced,
}

/// The files of one hive.
#[derive(Clone, Debug)]
pub struct HiveFiles {
    directory: PathBuf,
    stem: String,
}

impl HiveFiles {
    /// Those of the hive whose database is `STEM.redb`.
    pub(crate) fn new(directory: &Path, stem: &str) -> Self {
        HiveFiles { directory: directory.to_owned(), stem: stem.to_owned() }
    }

    /// What the names of all of them begin with.
    pub(crate) fn stem(&self) -> &str {
        &self.stem
    }

    /// The data directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.join(format!("{}.redb", self.stem))
    }

    /// What is about to become the database.
    pub(crate) fn new_database(&self) -> PathBuf {
        self.directory.join(format!("{}.redb.new", self.stem))
    }

    /// What must outlive the database.
    pub(crate) fn kept(&self) -> PathBuf {
        self.directory.join(format!("{}.root", self.stem))
    }

    /// Is there while the database is in use without having been checked.
    pub(crate) fn unchecked(&self) -> PathBuf {
        self.directory.join(format!("{}.unchecked", self.stem))
    }

    /// What the names of the files of stages begin with.
    pub(crate) fn stages(&self) -> PathBuf {
        self.directory.join(&self.stem)
    }

    /// Where copies are.
    pub(crate) fn backup(&self) -> PathBuf {
        self.directory.join(BACKUP)
    }

    /// A copy that is being made.
    pub(crate) fn new_copy(&self) -> PathBuf {
        self.backup().join(format!("{}.new", self.stem))
    }

    /// Makes the directory of copies if need be.
    pub(crate) fn make_backup(&self) -> Result<(), Error> {
        let path = self.backup();
        let made = DirBuilder::new().mode(0o700).create(&path);
        match made {
            Ok(()) => sync_directory(&self.directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::File { path, error }),
        }
    }

    /// Removes what a process that died was making.
    pub(crate) fn remove_unfinished(&self) -> Result<(), Error> {
        for path in [self.new_database(), self.new_copy()] {
            remove_if_there(&path)?;
        }
        Ok(())
    }

    /// Puts `HIVE.redb.new` in the place of the database, at once, and keeps what was there under another
    /// name, which is returned. A crash leaves the old database or the new one, and perhaps the old one under
    /// both names.
    pub(crate) fn replace_database(&self, why: Aside) -> Result<Option<PathBuf>, Error> {
        let (database, new) = (self.database(), self.new_database());
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::File { path, error }
        };
        let aside = self.unused_name(why)?;
        let kept = match fs::hard_link(&database, &aside) {
            Ok(()) => Some(aside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Where there are no links: the next start finds the copies, should this one not come further.
            Err(_) => {
                fs::rename(&database, &aside).map_err(failed(&database))?;
                Some(aside)
            }
        };
        fs::rename(&new, &database).map_err(failed(&database))?;
        sync_directory(&self.directory)?;
        Ok(kept)
    }

    fn unused_name(&self, why: Aside) -> Result<PathBuf, Error> {
        let why = match why {
            Aside::Damaged => "damaged",
            Aside::Replaced => "replaced",
        };
        let date = date(SystemTime::now());
        for number in 1.. {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let name = format!("{}.redb.{why}-{date}{more}", self.stem);
            let path = self.directory.join(name);
            match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
                Err(error) => return Err(Error::File { path, error }),
                Ok(_) => {}
            }
        }
        Err(Error::File { path: self.database(), error: io::ErrorKind::AlreadyExists.into() })
    }
}

/// A time as it is in the names of files: `2026-11-26T09-20-32Z`. A clock before 1970 is a broken one.
pub(crate) fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(UNIX_EPOCH)).to_string().replace(':', "-")
}

/// The reverse of [`date`].
pub(crate) fn time_of(date: &str) -> Option<SystemTime> {
    let (day, time) = date.split_once('T')?;
    humantime::parse_rfc3339(&format!("{day}T{}", time.replace('-', ":"))).ok()
}

/// Makes an empty file that only its owner may read: rights are LCS's to give. What was there is lost.
pub(crate) fn create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(|error| Error::File { path: path.to_owned(), error })
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(Error::File { path: path.to_owned(), error }),
        _ => Ok(()),
    }
}

/// Whether a file that could not be opened or removed is not there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes new names in a directory durable. Redox can't (REDOX.md: EBADF) and need not be asked to.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    if cfg!(target_os = "redox") {
        return Ok(());
    }
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|error| Error::File { path: path.to_owned(), error })
}

/// Makes the contents of a file durable.
pub(crate) fn sync_file(path: &Path) -> Result<(), Error> {
    let synced = OpenOptions::new().write(true).open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_682_432);
        assert_eq!(date(time), "2026-11-26T08-40-32Z");
        assert_eq!(time_of(&date(time)), Some(time));
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T00-00-00Z");
        for wrong in ["", "T", "2026-11-26", "2026-11-26T08-40", "x-y-zT08-40-32Z"] {
            assert_eq!(time_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_replaced_is_kept_each_time_under_another_name() {
        let directory = tempfile::tempdir().unwrap();
        let files = HiveFiles::new(directory.path(), "Machine");
        fs::write(files.new_database(), b"1").unwrap();
        assert_eq!(files.replace_database(Aside::Damaged).unwrap(), None);
        let mut kept = Vec::new();
        for contents in ["2", "3"] {
            fs::write(files.new_database(), contents).unwrap();
            kept.push(files.replace_database(Aside::Damaged).unwrap().unwrap());
        }
        assert_eq!(fs::read(files.database()).unwrap(), b"3");
        assert_eq!(kept.iter().map(|it| fs::read(it).unwrap()).collect::<Vec<_>>(), [b"1", b"2"]);
        assert!(!files.new_database().exists());
    }
}
