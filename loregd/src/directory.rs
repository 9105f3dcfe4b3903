//! The data directory: one database per hive, and the lock that keeps a second loregd out.

use std::any::Any;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use lcs_abi::rsi::ClaimedHive;

use crate::Error;
use crate::files::HiveFiles;
use crate::recovery::{self, Opened};

/// The data directory, held by this process.
///
/// On Linux the lock of a file in it keeps a second loregd out. On Redox files don't lock; there LCS does,
/// of which there is one: it lets nobody else claim the same hives, and a hive's files are its claimant's.
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, readable for its owner only, and locks it.
    ///
    /// # Errors
    /// [`Error::Guarded`] if another loregd holds it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::File { path, error }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .or_else(|error| match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => File::open(&lock_path).map_err(|_| error),
                _ => Err(error),
            })
            .map_err(at(&lock_path))?;
        try_lock(path, &lock)?;
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    /// Locks a directory that is there, and changes nothing in it.
    ///
    /// # Errors
    /// [`Error::Guarded`] if a loregd holds it.
    pub fn guard(path: &Path) -> Result<Guard, Error> {
        let lock_path = path.join("lock");
        match File::open(&lock_path) {
            Ok(lock) => try_lock(path, &lock).map(|()| Guard { _lock: Some(lock) }),
            // A lock that somebody else makes might keep loregd out, as it would be somebody else's.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Guard { _lock: None }),
            Err(error) => Err(Error::File { path: lock_path, error }),
        }
    }

    /// Opens a hive, or makes it, and purges its orphans. One that is damaged is replaced by its newest good
    /// copy, or by an empty one, and set aside.
    ///
    /// # Errors
    /// [`Error::OtherCase`], and what keeps this process from reading the hive, or from writing what is to
    /// replace it.
    pub fn open_hive(&self, hive: &ClaimedHive) -> Result<Opened, Error> {
        let files = HiveFiles::new(&self.path, &file_stem(hive));
        let path = files.database();
        self.refuse_other_case(&path)?;
        recovery::open(&hive.name, files).inspect_err(|error| {
            log::error!("hive {} in {} does not open: {error}", hive.name, path.display());
        })
    }

    /// A hive asked for as `machine` is the one that was made as `Machine`; an empty one beside it would
    /// look like a loss of all data.
    fn refuse_other_case(&self, wanted: &Path) -> Result<(), Error> {
        let failed = |error| Error::File { path: self.path.clone(), error };
        let lower =
            |path: &Path| path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        for file in fs::read_dir(&self.path).map_err(failed)? {
            let present = file.map_err(failed)?.path();
            if present != wanted && lower(&present) == lower(wanted) {
                return Err(Error::OtherCase { wanted: wanted.to_owned(), present });
            }
        }
        Ok(())
    }
}

/// Keeps loregd out of a directory in which there was one before.
pub struct Guard {
    _lock: Option<File>,
}

fn try_lock(directory: &Path, lock: &File) -> Result<(), Error> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Guarded(directory.to_owned())),
        // Redox.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(Error::File { path: directory.join("lock"), error }),
    }
}

/// The name that a hive has as a file, without the extension: `NAME`, or `NAME{SCOPE}` if it is private; and
/// its file. In the order of the names.
///
/// # Errors
/// The directory can't be read.
pub fn hives_in(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let failed = |error| Error::File { path: directory.to_owned(), error };
    let mut hives = Vec::new();
    for file in fs::read_dir(directory).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if let Some(stem) = path.file_stem()
            && path.extension().is_some_and(|extension| extension == "redb")
        {
            hives.push((stem.to_string_lossy().into_owned(), path));
        }
    }
    hives.sort();
    Ok(hives)
}

/// Runs `open`, which opens a database, and makes a panic an error. Opening checks the whole file; still no
/// damage to it may end this process without a word.
pub(crate) fn caught<T>(open: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let opened = panic::catch_unwind(AssertUnwindSafe(open));
    opened.unwrap_or_else(|panic| Err(Error::Damaged(message(&*panic))))
}

/// What the names of a hive's files begin with: `NAME`, or `NAME{SCOPE}` for a private hive. What can't be in
/// a file's name, or would be taken for a scope, is %XX.
pub(crate) fn file_stem(hive: &ClaimedHive) -> String {
    let mut name = String::new();
    for (index, character) in hive.name.char_indices() {
        let plain = character.is_alphanumeric() || matches!(character, ' ' | '_' | '-');
        if plain || (character == '.' && index > 0) {
            name.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    match hive.scope {
        Some(scope) => format!("{name}{{{scope}}}"),
        None => name,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use lcs_abi::Guid;

    use super::*;

    fn hive(name: &str) -> ClaimedHive {
        ClaimedHive { name: name.to_owned(), scope: None }
    }

    #[test]
    fn names_of_hives_become_names_of_files() {
        assert_eq!(file_stem(&hive("Machine")), "Machine");
        assert_eq!(file_stem(&hive("..")), "%2E.");
        assert_eq!(file_stem(&hive("a{b}%:é")), "a%7Bb%7D%25%3Aé");
        let private = ClaimedHive { scope: Some(Guid([0xab; 16])), ..hive("Machine") };
        assert_eq!(file_stem(&private), "Machine{abababab-abab-abab-abab-abababababab}");
    }

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deeper/hives");
        let first = Directory::open(&path).unwrap();
        assert!(matches!(Directory::open(&path), Err(Error::Guarded(_))));
        drop(first);
        Directory::open(&path).unwrap();
    }

    #[test]
    fn hives_have_databases_of_their_own_and_keep_them() {
        let directory = tempfile::tempdir().unwrap();
        let open = || {
            let directory = Directory::open(directory.path()).unwrap();
            let root = |name: &str| directory.open_hive(&hive(name)).unwrap().hive.root();
            (root("Machine"), root("Users"))
        };
        let (machine, users) = open();
        let mode = fs::metadata(directory.path().join("Users.redb")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(machine, users);
        assert_eq!(open(), (machine, users));
    }

    #[test]
    fn another_spelling_of_a_hive_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Directory::open(directory.path()).unwrap();
        directory.open_hive(&hive("Machine")).unwrap();
        let other = directory.open_hive(&hive("machine"));
        assert!(matches!(other, Err(Error::OtherCase { .. })));
    }
}
