//! The registry as files: through libredox, and through a mount point with the standard library.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use libreg::files;
use registry_tests::files as scheme;
use registry_tests::users::as_user;
use rustix::io::Errno;

use super::door::{Answer, Ask, Door, Got, Kind, OTHER, Place, Who};

/// File operations on paths below `reg`, each with the system's own error.
pub trait FileSystem: Sync {
    fn read(&self, path: &str) -> Answer<Vec<u8>>;
    /// As a shell's `>`.
    fn write(&self, path: &str, text: &[u8]) -> Answer<()>;
    fn list(&self, path: &str) -> Answer<Vec<(String, Kind)>>;
    fn stat(&self, path: &str) -> Answer<Got>;
    fn make_directory(&self, path: &str) -> Answer<()>;
    fn unlink(&self, path: &str) -> Answer<()>;
    fn remove_directory(&self, path: &str) -> Answer<()>;
}

/// Files, for somebody.
pub struct Files<F> {
    pub system: F,
    pub who: Who,
}

impl<F: FileSystem> Door for Files<F> {
    fn ask(&self, scratch: &str, what: Ask) -> Answer {
        match self.who {
            Who::Owner => ask(&self.system, scratch, what),
            Who::Other => as_user(OTHER, OTHER, || ask(&self.system, scratch, what)),
        }
    }
}

fn ask(system: &impl FileSystem, scratch: &str, what: Ask) -> Answer {
    let key = |place: Place| path(scratch, place, key_name);
    let value = |place: Place| path(scratch, place, value_name);
    let done = |outcome: Answer<()>| outcome.map(|()| Got::Done);
    match what {
        Ask::Read(place) => beside_key(&value(place), |path| system.read(path)).map(Got::Text),
        Ask::Write(place, text) => done(beside_key(&value(place), |path| system.write(path, text))),
        Ask::RemoveValue(place) => done(beside_key(&value(place), |path| system.unlink(path))),
        Ask::Stat(place) => system.stat(&value(place)),
        Ask::MakeKey(place) => done(system.make_directory(&key(place))),
        Ask::RemoveKey(place) => done(system.remove_directory(&key(place))),
        Ask::List(place) => {
            let listed = system.list(&key(place))?.into_iter();
            let mut entries: Vec<_> =
                listed.map(|(file, kind)| (name_of(&file, kind), kind)).collect();
            entries.sort();
            Ok(Got::Entries(entries))
        }
    }
}

/// Does something to a value, which has another file name if a key has the plain one. Without a value the answer
/// is about the key.
fn beside_key<T>(path: &str, act: impl Fn(&str) -> Answer<T>) -> Answer<T> {
    match act(path) {
        Err(Errno::ISDIR) => match act(&format!("{path}%val")) {
            Err(Errno::NOENT) => Err(Errno::ISDIR),
            outcome => outcome,
        },
        outcome => outcome,
    }
}

fn path(scratch: &str, place: Place, last: fn(&str) -> String) -> String {
    let mut path = scratch.replace('\\', "/");
    for (index, name) in place.iter().enumerate() {
        let spelled = if index + 1 == place.len() { last(name) } else { key_name(name) };
        path.push('/');
        path.push_str(&spelled);
    }
    path
}

/// Written once more than in LCS, from INTERFACES §1.
fn key_name(name: &str) -> String {
    if matches!(name, "." | ".." | "@") {
        return name.replace('.', "%2E").replace('@', "%40");
    }
    name.replace('%', "%25").replace('/', "%2F").replace('\\', "%5C")
}

fn value_name(name: &str) -> String {
    if name.is_empty() { "@".to_owned() } else { key_name(name) }
}

fn name_of(file: &str, kind: Kind) -> String {
    if file == "@" && kind == Kind::Value {
        return String::new();
    }
    let plain = file.strip_suffix("%val").unwrap_or(file);
    [("%2E", "."), ("%40", "@"), ("%2F", "/"), ("%5C", "\\"), ("%25", "%")]
        .iter()
        .fold(plain.to_owned(), |name, (encoded, character)| name.replace(encoded, character))
}

fn told<T>(outcome: io::Result<T>) -> Answer<T> {
    outcome.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// `/scheme/reg` through libredox.
pub struct Libredox;

impl FileSystem for Libredox {
    fn read(&self, path: &str) -> Answer<Vec<u8>> {
        told(files::read(&scheme::path(path)))
    }

    fn write(&self, path: &str, text: &[u8]) -> Answer<()> {
        told(files::write(&scheme::path(path), text))
    }

    fn list(&self, path: &str) -> Answer<Vec<(String, Kind)>> {
        let kind = |kind| {
            if kind == files::Kind::Directory { Kind::Key } else { Kind::Value }
        };
        let listed = told(files::list(&scheme::path(path)))?.into_iter();
        Ok(listed.map(|(name, of)| (name, kind(of))).collect())
    }

    fn stat(&self, path: &str) -> Answer<Got> {
        let stat = told(files::stat(&scheme::path(path)))?;
        let is_key = stat.kind == files::Kind::Directory;
        Ok(if is_key { Got::Key } else { Got::Value(stat.length) })
    }

    fn make_directory(&self, path: &str) -> Answer<()> {
        told(files::create_directory(&scheme::path(path)))
    }

    fn unlink(&self, path: &str) -> Answer<()> {
        told(files::remove_file(&scheme::path(path)))
    }

    fn remove_directory(&self, path: &str) -> Answer<()> {
        told(files::remove_directory(&scheme::path(path)))
    }
}

/// A directory in which the registry is mounted, through the standard library.
pub struct Mounted(pub PathBuf);

impl FileSystem for Mounted {
    fn read(&self, path: &str) -> Answer<Vec<u8>> {
        told(fs::read(self.0.join(path)))
    }

    fn write(&self, path: &str, text: &[u8]) -> Answer<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).open(self.0.join(path));
        told(file.and_then(|mut file| file.write_all(text)))
    }

    fn list(&self, path: &str) -> Answer<Vec<(String, Kind)>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let kind = if entry.file_type()?.is_dir() { Kind::Key } else { Kind::Value };
            Ok((entry.file_name().into_string().expect("UTF-8"), kind))
        };
        let entries = fs::read_dir(self.0.join(path));
        told(entries.and_then(|entries| entries.map(entry).collect()))
    }

    fn stat(&self, path: &str) -> Answer<Got> {
        let metadata = told(fs::metadata(self.0.join(path)))?;
        Ok(if metadata.is_dir() { Got::Key } else { Got::Value(metadata.len()) })
    }

    fn make_directory(&self, path: &str) -> Answer<()> {
        told(fs::create_dir(self.0.join(path)))
    }

    fn unlink(&self, path: &str) -> Answer<()> {
        told(fs::remove_file(self.0.join(path)))
    }

    fn remove_directory(&self, path: &str) -> Answer<()> {
        told(fs::remove_dir(self.0.join(path)))
    }
}
