//! `reg:` as files, as a program has them that knows of no registry: through libredox.

use std::io;

use libredox::Fd;
use libredox::error::{Error, Result};
use libredox::flag::O_CLOEXEC;
use syscall::dirent::DirentIter;

/// The path of a file of the registry, from that of a key or a value.
pub fn path(file: &str) -> String {
    format!("/scheme/reg/{file}")
}

/// Opens a file or a directory.
///
/// # Errors
///
/// LCS's.
pub fn open(file: &str, flags: i32) -> Result<Fd> {
    Fd::open(&path(file), flags | O_CLOEXEC, 0)
}

/// All that stands in an open file from where it is on, in pieces of this size.
///
/// # Errors
///
/// LCS's.
pub fn read_in_pieces(file: &Fd, piece: usize) -> Result<Vec<u8>> {
    let (mut text, mut buffer) = (Vec::new(), vec![0; piece]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(text),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

/// The text of a file.
///
/// # Errors
///
/// LCS's.
pub fn read(file: &str) -> Result<Vec<u8>> {
    said(libreg::files::read(&path(file)))
}

/// Replaces the text of a file, as a shell's `>` does.
///
/// # Errors
///
/// LCS's.
pub fn write(file: &str, text: &[u8]) -> Result<()> {
    said(libreg::files::write(&path(file), text))
}

/// What the system said of an operation.
fn said<T>(outcome: io::Result<T>) -> Result<T> {
    outcome.map_err(|error| Error::new(error.raw_os_error().unwrap_or_default()))
}

/// Writes all of it.
///
/// # Errors
///
/// LCS's.
pub fn write_all(file: &Fd, mut text: &[u8]) -> Result<()> {
    while !text.is_empty() {
        text = &text[file.write(text)?..];
    }
    Ok(())
}

/// Makes a directory.
///
/// # Errors
///
/// LCS's.
pub fn make_directory(file: &str) -> Result<()> {
    said(libreg::files::create_directory(&path(file)))
}

/// Names, kinds (`DirentKind`) and numbers of the entries of an open directory, read with a buffer of this size.
///
/// # Errors
///
/// LCS's.
///
/// # Panics
///
/// If what is read is no list of entries.
pub fn list_with(directory: &Fd, room: usize) -> Result<Vec<(String, u8, u64)>> {
    let (mut entries, mut buffer, mut offset) = (Vec::new(), vec![0; room], 0);
    loop {
        let length = libredox::call::getdents(directory.raw(), &mut buffer, offset)?;
        if length == 0 {
            return Ok(entries);
        }
        for entry in DirentIter::new(&buffer[..length]) {
            let (header, name) = entry.expect("a whole entry");
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8(name.to_owned()).expect("UTF-8");
            entries.push((name, header.kind, header.inode));
            offset = header.next_opaque_id;
        }
    }
}

/// The names of what is in a directory, as they are listed.
///
/// # Errors
///
/// LCS's.
pub fn list(file: &str) -> Result<Vec<String>> {
    let listed = said(libreg::files::list(&path(file)))?;
    Ok(listed.into_iter().map(|(name, _)| name).collect())
}

/// Removes a file.
///
/// # Errors
///
/// LCS's.
pub fn unlink(file: &str) -> Result<()> {
    said(libreg::files::remove_file(&path(file)))
}

/// Removes a directory.
///
/// # Errors
///
/// LCS's.
pub fn remove_directory(file: &str) -> Result<()> {
    said(libreg::files::remove_directory(&path(file)))
}
