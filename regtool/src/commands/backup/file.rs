//! Files that a backup is written to and read from.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path as FilePath, PathBuf};

use tempfile::NamedTempFile;

use crate::exit::Failure;
use crate::interrupt::Litter;

/// What messages call `-`.
pub const STDIN: &str = "standard input";
pub const STDOUT: &str = "standard output";

/// A file that gets its name when it is complete. If it does not become that nothing is left of it, also when a
/// signal ends the process, and what has the name stays.
///
/// Only its owner can read it: it holds what others may not read in the registry.
pub struct NewFile {
    /// Where it will be.
    path: PathBuf,
    file: NamedTempFile,
    _litter: Litter,
}

impl NewFile {
    /// Begins a file.
    ///
    /// # Errors
    /// There is something of that name that is no ordinary file; or the system's.
    pub fn create(path: &FilePath) -> io::Result<NewFile> {
        let path = replaced(path)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => FilePath::new("."),
        };
        // `tempfile` would name a file in it that nobody knows.
        fs::metadata(directory)?;
        let (litter, file) = Litter::create(|| {
            // Beside it, for a name cannot move from one file system to another.
            let file = tempfile::Builder::new().prefix(".regtool-").tempfile_in(directory);
            let file = file.map_err(without_path)?;
            Ok((file.path().to_owned(), file))
        })?;
        Ok(NewFile { path, file, _litter: litter })
    }

    /// Gives it its name, durably.
    pub fn complete(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let file = self.file.persist(&self.path).map_err(|error| error.error)?;
        drop(file);
        if let Some(directory) = self.path.parent().filter(|parent| parent.is_dir()) {
            // Where the system cannot do this for a directory there is nothing more to be done.
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

/// An error of the temporary file without its name, which nobody has heard of.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|named| named.source());
    let number = cause.and_then(|cause| cause.downcast_ref()).and_then(io::Error::raw_os_error);
    number.map_or(error, io::Error::from_raw_os_error)
}

/// What is to be replaced: behind symbolic links, an ordinary file or nothing.
fn replaced(path: &FilePath) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path),
        Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(_) => Err(io::Error::other("not an ordinary file")),
        // A link that leads nowhere is not what somebody means to replace.
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            Ok(path.to_owned())
        }
        Err(error) => Err(error),
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a file, or for `-` the standard input; with its length, if that is known.
pub fn open(path: &FilePath) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (found, file) =
        opened.map_err(|error| Failure::File { name: path.display().to_string(), error })?;
    Ok((Box::new(file), found.is_file().then_some(found.len())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(directory: &FilePath) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        file.complete().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(directory.path()), ["b"]);
    }

    #[test]
    fn what_does_not_become_complete_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b");
        fs::write(&path, "old").unwrap();
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(directory.path()), ["b"]);
        NewFile::create(&path).unwrap().complete().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn only_ordinary_files_are_replaced_and_links_to_them_stay() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let error = |path: &FilePath| NewFile::create(path).err().unwrap().kind();
        assert_eq!(error(directory.path()), ErrorKind::IsADirectory);
        assert_eq!(error(FilePath::new("/dev/null")), ErrorKind::Other);
        symlink(at("nothing"), at("dangling")).unwrap();
        assert_eq!(error(&at("dangling")), ErrorKind::NotFound);
        assert_eq!(error(&at("no directory/b")), ErrorKind::NotFound);

        fs::write(at("b"), "old").unwrap();
        symlink("b", at("link")).unwrap();
        let mut file = NewFile::create(&at("link")).unwrap();
        file.write_all(b"new").unwrap();
        file.complete().unwrap();
        assert_eq!(fs::read(at("b")).unwrap(), b"new");
        assert!(at("link").is_symlink());
        assert_eq!(names(directory.path()), ["b", "dangling", "link"]);
    }
}
