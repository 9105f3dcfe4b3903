//! `backup` and `restore`.

mod contents;
mod file;
mod progress;
mod restore;

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path as FilePath;

use libreg::{Access, Key, Registry};
use serde_json::json;

use super::Session;
use crate::cli::Backup;
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::path::Path;
use contents::{Contents, Reader};
use file::{NewFile, STDIN, STDOUT};
use progress::Progress;

pub use restore::restore;

/// How much of a stream is read at once, in bytes.
const PIECE: usize = 256 << 10;

pub fn backup(session: &mut Session, options: &Backup) -> Result<(), Failure> {
    if let Some(file) = &options.verify {
        return verify(file, options.output.json);
    }
    let path = session.path(options.path.as_deref().unwrap_or_default())?;
    // What is written in the shell's transaction is not there yet.
    let key = open(session.outside()?, &path)?;
    match options.file.as_deref() {
        None => store(&key, &path, options.output.json),
        Some(file) if file.as_os_str() == "-" => to_stdout(&key, &path, options.output.json),
        Some(file) => to_file(&key, &path, file, options.output.json),
    }
}

/// Opens a key for what takes a privilege and no right: with whatever right is to be had.
fn open(registry: &Registry, path: &Path) -> Result<Key, Failure> {
    let path = path.key()?;
    let error = match registry.open_key(&path, Access::MAXIMUM_ALLOWED) {
        Err(error) if error.is_access_denied() => error,
        outcome => return Ok(outcome?),
    };
    // Whoever has the other privilege has this one, too, and gets this right by it, but only by name.
    registry.open_key(&path, Access::ACCESS_SYSTEM_SECURITY).map_err(|_| error.into())
}

fn store(key: &Key, path: &Path, json: bool) -> Result<(), Failure> {
    let number = key.store_copy()?;
    let mut out = Out::stdout();
    if json {
        out.json(&json!({ "path": path.to_string(), "copy": number }))?;
    } else {
        out.line(number)?;
    }
    out.finish()
}

fn to_file(key: &Key, path: &Path, name: &FilePath, json: bool) -> Result<(), Failure> {
    let failed = |error| Failure::File { name: name.display().to_string(), error };
    let mut file = NewFile::create(name).map_err(failed)?;
    let contents = copy(key, &mut file, failed)?;
    file.complete().map_err(failed)?;
    let mut out = Out::stdout();
    if json {
        let mut json = contents.json();
        json["path"] = json!(path.to_string());
        json["file"] = json!(name.display().to_string());
        out.json(&json)?;
    } else {
        let name = name.display().to_string();
        out.line(format_args!("{}: {contents}", crate::output::one_line(&name)))?;
    }
    out.finish()?;
    sound(key, &contents)
}

fn to_stdout(key: &Key, path: &Path, json: bool) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        let what = "a backup is nothing for a terminal; give it a file or a pipe".to_owned();
        return Err(Failure::Usage { subject: STDOUT.to_owned(), what });
    }
    // Unlike other output, half of a backup is of no use to whoever had enough of it.
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => {
            let what = "whoever reads the backup stopped before its end";
            Failure::File { name: STDOUT.to_owned(), error: io::Error::other(what) }
        }
        _ => Failure::output(error),
    };
    let contents = copy(key, &mut stdout, failed)?;
    stdout.flush().map_err(failed)?;
    if json {
        let mut json = contents.json();
        json["path"] = json!(path.to_string());
        // The standard output has the backup. If nobody takes this there is nobody to tell.
        let _ = writeln!(io::stderr(), "{json:#}");
    }
    sound(key, &contents)
}

/// Fails if a backup that was made cannot be restored. It is kept all the same: nothing better is to be had.
fn sound(key: &Key, contents: &Contents) -> Result<(), Failure> {
    let Some(unsound) = contents.unsound else { return Ok(()) };
    let what = format!("the backup is complete, but cannot be restored as it is: {unsound}");
    Err(Failure::Partial { subject: key.path().to_owned(), what, code: Code::Other })
}

/// Copies a key's backup and looks whether it is whole.
fn copy(
    key: &Key,
    to: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Contents, Failure> {
    let mut backup = key.backup()?;
    let mut reader = Reader::new();
    let progress = Progress::of_unknown_length();
    let mut piece = vec![0; PIECE];
    loop {
        let length = match backup.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) => return Err(Failure::of_stream(key.path(), error)),
        };
        reader.take(&piece[..length]).map_err(|error| of_registry(key, error))?;
        to.write_all(&piece[..length]).map_err(&failed)?;
        progress.at(reader.bytes(), reader.records());
    }
    reader.finish().map_err(|error| of_registry(key, error))
}

/// The registry gave a stream that is none.
fn of_registry(key: &Key, error: impl std::fmt::Display) -> Failure {
    let what = format!("the registry's backup cannot be understood: {error}");
    Failure::Partial { subject: key.path().to_owned(), what, code: Code::Other }
}

fn verify(name: &FilePath, json: bool) -> Result<(), Failure> {
    let (input, length) = file::open(name)?;
    let progress = Progress::of(length);
    let contents = read(name, input, |_, reader| {
        progress.at(reader.bytes(), reader.records());
        Ok(())
    })?;
    drop(progress);
    let mut out = Out::stdout();
    if json {
        let mut json = contents.json();
        json["file"] = json!(name.display().to_string());
        out.json(&json)?;
    } else {
        for (what, text) in contents.lines() {
            out.line(format_args!("{what:<8} {text}"))?;
        }
    }
    out.finish()
}

/// Reads a backup from a file, and hands on each piece in which nothing wrong was found.
fn read(
    name: &FilePath,
    mut input: impl Read,
    mut take: impl FnMut(&[u8], &Reader) -> Result<(), Failure>,
) -> Result<Contents, Failure> {
    let name = if name.as_os_str() == "-" { STDIN.to_owned() } else { name.display().to_string() };
    let wrong = |error| Failure::File { name: name.clone(), error };
    let mut reader = Reader::new();
    let mut piece = vec![0; PIECE];
    loop {
        let length = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(wrong(error)),
        };
        reader.take(&piece[..length]).map_err(|error| wrong(error.into()))?;
        if let Some(unsound) = reader.unsound() {
            return Err(wrong(unsound.into()));
        }
        take(&piece[..length], &reader)?;
    }
    let contents = reader.finish().map_err(|error| wrong(error.into()))?;
    contents.unsound.map_or(Ok(contents), |unsound| Err(wrong(unsound.into())))
}
