//! `/scheme/reg/…` by the ordinary file API, as any program has it that knows of no registry.
//!
//! On Redox that is `std::fs`, and a program takes that itself. On Linux `std` knows no schemes; what it would
//! ask the kernel for is asked through libredox there. This module is the one place that has the difference.
//! Errors have the [kinds](io::ErrorKind) that `std::fs` gives them on both.

use std::io;

/// What `stat` and a listing tell of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key.
    Directory,
    /// A value.
    File,
    /// A link, where it is not followed.
    Link,
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// The length of a file's text, in bytes.
    pub length: u64,
}

/// The text of a file.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    system::read(path)
}

/// Replaces the text of a file, which is made if it is not there.
pub fn write(path: &str, text: &[u8]) -> io::Result<()> {
    system::write(path, text)
}

/// Adds to the text of a file that is there.
pub fn append(path: &str, text: &[u8]) -> io::Result<()> {
    system::append(path, text)
}

/// Makes an empty file; it is an error if something is there.
pub fn create_new(path: &str) -> io::Result<()> {
    system::create_new(path)
}

/// What is in a directory, in its order.
pub fn list(path: &str) -> io::Result<Vec<(String, Kind)>> {
    system::list(path)
}

/// What a path leads to.
pub fn stat(path: &str) -> io::Result<Stat> {
    system::stat(path)
}

/// Removes a file, or a link and not what it leads to.
pub fn remove_file(path: &str) -> io::Result<()> {
    system::remove_file(path)
}

/// Makes a directory; it is an error if something is there.
pub fn create_directory(path: &str) -> io::Result<()> {
    system::create_directory(path)
}

/// Removes an empty directory.
pub fn remove_directory(path: &str) -> io::Result<()> {
    system::remove_directory(path)
}

#[cfg(target_os = "redox")]
mod system {
    use std::fs::{self, FileType, OpenOptions};
    use std::io::{self, ErrorKind, Write};

    pub use std::fs::{
        create_dir as create_directory, read, remove_dir as remove_directory, remove_file, write,
    };

    use super::{Kind, Stat};

    pub fn append(path: &str, text: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(path)?.write_all(text)
    }

    pub fn create_new(path: &str) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path).map(drop)
    }

    pub fn list(path: &str) -> io::Result<Vec<(String, Kind)>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| ErrorKind::InvalidData)?;
            Ok((name, kind(entry.file_type()?)))
        };
        fs::read_dir(path)?.map(entry).collect()
    }

    pub fn stat(path: &str) -> io::Result<Stat> {
        let metadata = fs::metadata(path)?;
        Ok(Stat { kind: kind(metadata.file_type()), length: metadata.len() })
    }

    fn kind(of: FileType) -> Kind {
        match of {
            of if of.is_dir() => Kind::Directory,
            of if of.is_symlink() => Kind::Link,
            _ => Kind::File,
        }
    }
}

#[cfg(not(target_os = "redox"))]
mod system {
    use std::io::{self, ErrorKind};

    use libredox::Fd;
    use libredox::flag::{
        O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_RDONLY, O_TRUNC, O_WRONLY,
    };
    use syscall::dirent::{DirentIter, DirentKind};
    use syscall::flag::{AT_REMOVEDIR, MODE_DIR, MODE_SYMLINK, MODE_TYPE};

    use super::{Kind, Stat};

    /// The most that one request asks for, in bytes.
    const PIECE: usize = 64 << 10;

    fn done<T>(outcome: libredox::error::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    fn open(path: &str, flags: i32) -> io::Result<Fd> {
        done(Fd::open(path, flags | O_CLOEXEC, 0))
    }

    fn write_all(file: &Fd, mut text: &[u8]) -> io::Result<()> {
        while !text.is_empty() {
            let length = done(file.write(text))?;
            text = text.get(length..).filter(|_| length > 0).ok_or(ErrorKind::WriteZero)?;
        }
        Ok(())
    }

    pub fn read(path: &str) -> io::Result<Vec<u8>> {
        let file = open(path, O_RDONLY)?;
        let (mut text, mut piece) = (Vec::new(), vec![0; PIECE]);
        loop {
            match done(file.read(&mut piece))? {
                0 => return Ok(text),
                length => {
                    text.extend_from_slice(piece.get(..length).ok_or(ErrorKind::InvalidData)?);
                }
            }
        }
    }

    pub fn write(path: &str, text: &[u8]) -> io::Result<()> {
        write_all(&open(path, O_WRONLY | O_CREAT | O_TRUNC)?, text)
    }

    pub fn append(path: &str, text: &[u8]) -> io::Result<()> {
        write_all(&open(path, O_WRONLY | O_APPEND)?, text)
    }

    pub fn create_new(path: &str) -> io::Result<()> {
        open(path, O_WRONLY | O_CREAT | O_EXCL).map(drop)
    }

    pub fn create_directory(path: &str) -> io::Result<()> {
        open(path, O_RDONLY | O_CREAT | O_EXCL | O_DIRECTORY).map(drop)
    }

    pub fn list(path: &str) -> io::Result<Vec<(String, Kind)>> {
        let directory = open(path, O_RDONLY | O_DIRECTORY)?;
        let (mut entries, mut piece, mut offset) = (Vec::new(), vec![0; PIECE], 0);
        loop {
            let length = done(libredox::call::getdents(directory.raw(), &mut piece, offset))?;
            let listed = piece.get(..length).ok_or(ErrorKind::InvalidData)?;
            if listed.is_empty() {
                return Ok(entries);
            }
            for entry in DirentIter::new(listed) {
                let (header, name) = entry.map_err(|_| ErrorKind::InvalidData)?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                let name = std::str::from_utf8(name).map_err(|_| ErrorKind::InvalidData)?;
                let kind = match header.kind {
                    kind if kind == DirentKind::Directory as u8 => Kind::Directory,
                    kind if kind == DirentKind::Symlink as u8 => Kind::Link,
                    _ => Kind::File,
                };
                entries.push((name.to_owned(), kind));
                offset = header.next_opaque_id;
            }
        }
    }

    pub fn stat(path: &str) -> io::Result<Stat> {
        let stat = done(libredox::call::fstat(open(path, O_PATH)?.raw()))?;
        let kind = match stat.st_mode as u16 & MODE_TYPE {
            MODE_DIR => Kind::Directory,
            MODE_SYMLINK => Kind::Link,
            _ => Kind::File,
        };
        Ok(Stat { kind, length: u64::try_from(stat.st_size).unwrap_or_default() })
    }

    pub fn remove_file(path: &str) -> io::Result<()> {
        hosted::unlink(path, 0)
    }

    pub fn remove_directory(path: &str) -> io::Result<()> {
        hosted::unlink(path, AT_REMOVEDIR as i32)
    }
}
