//! The registry as files: through libredox, and through a mount point with the standard library.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use libredox::flag::{O_DIRECTORY, O_PATH, O_RDONLY};
use registry_tests::files as scheme;
use registry_tests::users::as_user;
use rustix::io::Errno;
use syscall::dirent::DirentKind;
use syscall::flag::{MODE_DIR, MODE_TYPE};

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

/// `/scheme/reg` through libredox.
pub struct Libredox;

fn said<T>(outcome: libredox::error::Result<T>) -> Answer<T> {
    outcome.map_err(|error| Errno::from_raw_os_error(error.errno()))
}

impl FileSystem for Libredox {
    fn read(&self, path: &str) -> Answer<Vec<u8>> {
        said(scheme::read(path))
    }

    fn write(&self, path: &str, text: &[u8]) -> Answer<()> {
        said(scheme::write(path, text))
    }

    fn list(&self, path: &str) -> Answer<Vec<(String, Kind)>> {
        let directory = said(scheme::open(path, O_RDONLY | O_DIRECTORY))?;
        let kind = |kind| {
            if kind == DirentKind::Directory as u8 { Kind::Key } else { Kind::Value }
        };
        let listed = said(scheme::list_with(&directory, 4096))?.into_iter();
        Ok(listed.map(|(name, of, _)| (name, kind(of))).collect())
    }

    fn stat(&self, path: &str) -> Answer<Got> {
        let file = said(scheme::open(path, O_PATH))?;
        let stat = said(libredox::call::fstat(file.raw()))?;
        let is_key = stat.st_mode as u16 & MODE_TYPE == MODE_DIR;
        Ok(if is_key { Got::Key } else { Got::Value(stat.st_size as u64) })
    }

    fn make_directory(&self, path: &str) -> Answer<()> {
        said(scheme::make_directory(path))
    }

    fn unlink(&self, path: &str) -> Answer<()> {
        said(scheme::unlink(path))
    }

    fn remove_directory(&self, path: &str) -> Answer<()> {
        said(scheme::remove_directory(path))
    }
}

/// A directory in which the registry is mounted, through the standard library.
pub struct Mounted(pub PathBuf);

fn told<T>(outcome: io::Result<T>) -> Answer<T> {
    outcome.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

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
