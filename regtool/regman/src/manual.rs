//! All manual files together, and how to find an entry.
//!
//! Files are those whose names end in `.toml`, in the folders of `$REGMAN_PATH`, in its order, and after them in
//! `/usr/share/regman`; in a hosted system that is `$REDOX_HOSTED/usr/share/regman`. In a folder they are read
//! by name. What was said first counts.

use std::collections::HashSet;
use std::path::PathBuf;
use std::{env, fmt, fs, io};

use libreg::fold;

use crate::entry::{KeyEntry, ValueEntry};
use crate::file::File;
use crate::path::Path;
use crate::place::Place;

/// What all files say that could be read.
#[derive(Debug, Default)]
pub struct Manual {
    keys: Vec<KeyEntry>,
    values: Vec<ValueEntry>,
}

/// Something is wrong with a file or a folder. It says nothing; the others count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which one.
    pub file: PathBuf,
    /// What is wrong, on one line.
    pub what: String,
}

/// An entry of either kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    Key(&'a KeyEntry),
    Value(&'a ValueEntry),
}

/// A folder that may have manual files in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Somebody asked for it, so it is wrong if it is not there.
    named: bool,
}

impl Manual {
    /// Reads the files of this machine.
    pub fn of_this_machine() -> (Manual, Vec<Trouble>) {
        Manual::read(&folders())
    }

    /// Reads the files of these folders.
    pub(crate) fn read(folders: &[Folder]) -> (Manual, Vec<Trouble>) {
        let (files, mut troubles) = files(folders);
        let mut manual = Manual::default();
        for path in files {
            match read_file(&path) {
                Ok(file) => {
                    manual.keys.extend(file.keys);
                    manual.values.extend(file.values);
                }
                Err(problems) => troubles.extend(problems),
            }
        }
        manual.keep_first();
        (manual, troubles)
    }

    /// Drops what was said before.
    fn keep_first(&mut self) {
        let mut seen = HashSet::new();
        self.keys.retain(|key| seen.insert(key.place.folded().to_vec()));
        let mut seen = HashSet::new();
        self.values.retain(|value| seen.insert((value.place.folded().to_vec(), fold(&value.name))));
    }

    /// Whether nothing is said at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.values.is_empty()
    }

    /// What is said of a key: the entry with the fewest `*` from the hive down.
    pub fn key(&self, path: &Path) -> Option<&KeyEntry> {
        let place = Place::from(path.clone());
        let entries = self.keys.iter().filter(|entry| entry.place.covers(&place));
        entries.min_by_key(|entry| entry.place.rank())
    }

    /// What is said of a key's value: an entry for its name before one for any name, else as for keys. The name
    /// of the default value is empty.
    pub fn value(&self, path: &Path, name: &str) -> Option<&ValueEntry> {
        let place = Place::from(path.clone());
        let name = fold(name);
        let entries = self.values.iter().filter(|entry| entry.place.covers(&place));
        entries
            .filter(|entry| is_any(&entry.name) || fold(&entry.name) == name)
            .min_by_key(|entry| (is_any(&entry.name), entry.place.rank()))
    }

    /// What is said of a key's values, in the order of the files.
    pub(crate) fn values_of(&self, place: &Place) -> Vec<&ValueEntry> {
        self.values.iter().filter(|entry| entry.place.covers(place)).collect()
    }

    /// What is said of the keys right below a key, in the order of the files.
    pub(crate) fn children_of(&self, place: &Place) -> Vec<&KeyEntry> {
        self.keys.iter().filter(|entry| entry.place.is_child_of(place)).collect()
    }

    /// Everything that is said of a key and of what is below it, by path; keys before their values.
    pub(crate) fn below(&self, place: &Place) -> Vec<Entry<'_>> {
        self.sorted(|entry| entry.place().is_at_or_below(place))
    }

    /// The entries that have a word in their path, name or text, whatever its case.
    pub(crate) fn search(&self, word: &str) -> Vec<Entry<'_>> {
        let word = fold(word);
        self.sorted(|entry| {
            let about = entry.about();
            let path = entry.place().to_string();
            [path.as_str(), entry.name().unwrap_or_default(), &about.summary, &about.description]
                .iter()
                .any(|text| fold(text).contains(&word))
        })
    }

    fn sorted<'a>(&'a self, wanted: impl Fn(&Entry<'a>) -> bool) -> Vec<Entry<'a>> {
        let keys = self.keys.iter().map(Entry::Key);
        let values = self.values.iter().map(Entry::Value);
        let mut entries: Vec<Entry<'_>> = keys.chain(values).filter(wanted).collect();
        entries
            .sort_by_cached_key(|entry| (entry.place().folded().to_vec(), entry.name().map(fold)));
        entries
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn place(self) -> &'a Place {
        match self {
            Entry::Key(key) => &key.place,
            Entry::Value(value) => &value.place,
        }
    }

    /// The name of a value; `None` for a key.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Entry::Key(_) => None,
            Entry::Value(value) => Some(&value.name),
        }
    }

    pub(crate) fn about(self) -> &'a crate::entry::About {
        match self {
            Entry::Key(key) => &key.about,
            Entry::Value(value) => &value.about,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Whether a name in the manual stands for any one.
fn is_any(name: &str) -> bool {
    name == "*"
}

/// A folder that somebody named.
#[cfg(test)]
pub(crate) fn folder(path: &std::path::Path) -> Folder {
    Folder { path: path.to_owned(), named: true }
}

/// Where this machine's files are.
pub(crate) fn folders() -> Vec<Folder> {
    let named = env::var_os("REGMAN_PATH").unwrap_or_default();
    let named = env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
    let mut folders: Vec<Folder> = named.map(|path| Folder { path, named: true }).collect();
    let root = env::var_os("REDOX_HOSTED").unwrap_or_else(|| "/".into());
    folders.push(Folder { path: PathBuf::from(root).join("usr/share/regman"), named: false });
    folders
}

/// The manual files in folders, and what is wrong with the folders.
pub(crate) fn files(folders: &[Folder]) -> (Vec<PathBuf>, Vec<Trouble>) {
    let (mut files, mut troubles) = (Vec::new(), Vec::new());
    for folder in folders {
        match files_in(&folder.path) {
            Ok(found) => files.extend(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.named => {}
            Err(error) => {
                troubles.push(Trouble { file: folder.path.clone(), what: error.to_string() });
            }
        }
    }
    (files, troubles)
}

fn files_in(folder: &std::path::Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one file.
pub(crate) fn read_file(path: &std::path::Path) -> Result<File, Vec<Trouble>> {
    let trouble = |what: String| Trouble { file: path.to_owned(), what };
    let text = fs::read_to_string(path).map_err(|error| vec![trouble(error.to_string())])?;
    File::parse(&text).map_err(|problems| problems.into_iter().map(trouble).collect())
}

#[cfg(test)]
mod tests;
