//! Opening a hive, whatever has become of its file.
//!
//! A file is looked at without a change to it. If it is damaged, or gone though there was one, the newest good
//! copy takes its place, or an empty hive with the same root; what was there is set aside. What only keeps
//! this process from reading it, now or here, is no damage: then nothing is touched.
//!
//! A large file that the process before closed, or sealed, is trusted at first, and looked at when it is in service
//! ([`Unchecked`]). Until that is done `HIVE.unchecked` stands beside it, so that the next start, also one because
//! damage was found, looks first.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use lcs_abi::Guid;

use crate::Error;
use crate::backup::{Copy, copies_of};
use crate::directory::caught;
use crate::files::{self, Aside, HiveFiles};
use crate::hive::{self, Hive};
use crate::kept::{Keeper, Kept};
use crate::store::{LARGE, RedbReader, RedbStore, Snapshots, Store, was_closed};

/// How far the sequence numbers of a recovered hive jump where nobody knows how many the lost one had reserved
/// since its copy. LCS accepts twice as much.
pub(crate) const JUMP: u64 = 1 << 31;

/// A hive that is open, and how that came.
pub struct Opened {
    /// The hive.
    pub hive: Hive,
    /// Its files.
    pub files: HiveFiles,
    /// The process before had not closed it.
    pub unclean: bool,
    /// It was damaged.
    pub recovered: Option<Recovered>,
    /// It was not looked at.
    pub(crate) unchecked: Option<Unchecked>,
}

/// What was done about a damaged hive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What was wrong with it.
    pub reason: String,
    /// Where the damaged file is now; `None`: there was none.
    pub set_aside: Option<PathBuf>,
    /// The copy whose contents the hive has now; `None`: there was no good one, and it is empty.
    pub copy: Option<u32>,
}

/// Opens the hive with this name and these files, or makes it, or what is left of it.
///
/// # Errors
/// What keeps this process from reading or writing it.
pub(crate) fn open(name: &str, files: HiveFiles) -> Result<Opened, Error> {
    files.remove_unfinished().unwrap_or_else(|error| log::warn!("{error}"));
    let kept = Kept::read(&files.kept())?;
    if let Some(kept) = kept
        && may_be_trusted(&files)
    {
        match trust(name, &files, kept) {
            Ok(opened) => return Ok(opened),
            Err(error) => log::info!("{name}: is read as a whole before it is served: {error}"),
        }
    }
    let (mut recovered, mut unclean) = (None, false);
    match look(&files)? {
        Look::Good { closed } => unclean = !closed,
        Look::New => {
            let path = files.database();
            if !path.try_exists().map_err(|error| Error::File { path: path.clone(), error })? {
                drop(files::create(&path)?);
                files::sync_directory(files.directory())?;
            }
        }
        Look::Damaged(reason) => recovered = Some(recover(name, &files, kept, reason)?),
    }
    files::remove_if_there(&files.unchecked()).unwrap_or_else(|error| log::warn!("{error}"));
    // Whatever stands there was read from its beginning to its end, or is new.
    let store = || RedbStore::open_examined(&files.database());
    let hive = caught(|| Hive::open(name, Box::new(store()?)))?;
    let hive = beside_files(name, hive, &files, kept)?;
    Ok(Opened { hive, files, unclean, recovered, unchecked: None })
}

fn beside_files(
    name: &str,
    hive: Hive,
    files: &HiveFiles,
    kept: Option<Kept>,
) -> Result<Hive, Error> {
    let keeper = Keeper::new(files.kept(), kept, hive.root(), hive.max_sequence())?;
    if kept.is_some_and(|kept| kept.root != hive.root()) {
        log::warn!("{name}: another hive than before: its root is {}", hive.root());
    }
    Ok(hive.staging_in(&files.stages())?.keeping(keeper))
}

/// Whether the hive is to be served before all of it was read: it is large, and no process before this one left that
/// undone.
fn may_be_trusted(files: &HiveFiles) -> bool {
    let is_large = fs::metadata(files.database()).is_ok_and(|file| file.len() >= LARGE);
    is_large && matches!(files.unchecked().try_exists(), Ok(false))
}

fn trust(name: &str, files: &HiveFiles, kept: Kept) -> Result<Opened, Error> {
    let path = files.database();
    let failed = |error| Error::File { path: path.clone(), error };
    let unclean = !was_closed(&File::open(&path).map_err(failed)?).map_err(failed)?;
    drop(files::create(&files.unchecked())?);
    let (hive, snapshots) = caught(|| {
        let (store, snapshots) = RedbStore::open_unchecked(&path)?;
        match hive::identity(&*store.view()?)? {
            Some((root, _)) if root == kept.root => {}
            _ => return Err(Error::Damaged("it is another hive than before".to_owned())),
        }
        Ok((Hive::open(name, Box::new(store))?, snapshots))
    })?;
    let hive = beside_files(name, hive, files, Some(kept))?;
    let unchecked = Unchecked { snapshots, marker: files.unchecked() };
    Ok(Opened { hive, files: files.clone(), unclean, recovered: None, unchecked: Some(unchecked) })
}

/// A hive that is in service, and of which it is still to be found out whether it is what was written.
pub(crate) struct Unchecked {
    snapshots: Snapshots,
    /// The file that says so.
    marker: PathBuf,
}

/// What was found out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All is well.
    Sound,
    /// It is damaged, for this reason.
    Damaged(String),
    /// Nothing: too much was written meanwhile.
    Nothing,
}

impl Unchecked {
    /// Reads the whole hive as it is now, while it is written.
    ///
    /// # Errors
    /// What keeps this process from reading it.
    pub(crate) fn check(&self) -> Result<Found, Error> {
        let failed = |error| Error::File { path: self.marker.clone(), error };
        let Some(snapshot) = self.snapshots.take().map_err(failed)? else {
            // It was opened again after an error, and read as a whole for that.
            return Ok(Found::Sound);
        };
        let examined = examine_what(false, || RedbReader::open(snapshot));
        if self.snapshots.was_lost() {
            return Ok(Found::Nothing);
        }
        match examined?.damage {
            Some(damage) => Ok(Found::Damaged(damage)),
            None => files::remove_if_there(&self.marker).map(|()| Found::Sound),
        }
    }
}

/// What is found in the place of a hive.
enum Look {
    /// It is whole.
    Good { closed: bool },
    /// There never was one.
    New,
    /// It is not what it was, for this reason.
    Damaged(String),
}

fn look(files: &HiveFiles) -> Result<Look, Error> {
    let path = files.database();
    let nothing = match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > 0 => None,
        // A crash while it was made leaves such a one too.
        Ok(_) => Some("the file is empty"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("the file is missing"),
        Err(error) => return Err(Error::File { path, error }),
    };
    if let Some(reason) = nothing {
        return Ok(if was_there(files)? { Look::Damaged(reason.to_owned()) } else { Look::New });
    }
    match examine(&path)? {
        Examined { damage: None, closed, .. } => Ok(Look::Good { closed }),
        // As a crash leaves it that comes before the root is written.
        Examined { is_hive: false, .. } if !was_there(files)? => Ok(Look::New),
        Examined { damage: Some(damage), .. } => Ok(Look::Damaged(damage)),
    }
}

/// Whether there was such a hive, though it may not be there any more.
fn was_there(files: &HiveFiles) -> Result<bool, Error> {
    let path = files.kept();
    let kept = path.try_exists().map_err(|error| Error::File { path, error })?;
    Ok(kept || !copies_of(files)?.is_empty())
}

/// What a file was found to be.
pub(crate) struct Examined {
    /// What is wrong with it.
    damage: Option<String>,
    /// It was closed by the process that wrote it.
    closed: bool,
    /// It is a database with a hive in it; unless it is damaged otherwise.
    is_hive: bool,
    /// Its root and its highest sequence number, if it is not damaged.
    identity: Option<(Guid, u64)>,
}

impl Examined {
    /// The root and the highest sequence number of a file that is not damaged.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn sound(self) -> Result<(Guid, u64), Error> {
        match (self.damage, self.identity) {
            (None, Some(identity)) => Ok(identity),
            (damage, _) => Err(Error::Damaged(damage.unwrap_or_default())),
        }
    }
}

/// Reads a whole database, and changes nothing in it.
///
/// # Errors
/// What keeps this process from reading it; damage is none.
pub(crate) fn examine(path: &Path) -> Result<Examined, Error> {
    let failed = |error| Error::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    let closed = was_closed(&file).map_err(failed)?;
    examine_what(closed, || RedbReader::of_file(file))
}

/// The same of what this opens.
fn examine_what(
    closed: bool,
    open: impl FnOnce() -> Result<RedbReader, Error>,
) -> Result<Examined, Error> {
    let damaged = |damage: String| {
        Ok(Examined { damage: Some(damage), closed, is_hive: true, identity: None })
    };
    let mut is_hive = true;
    let mut problems = Vec::new();
    let read = caught(|| {
        let database = open()?;
        let view = match database.view() {
            Ok(view) => view,
            Err(error) => {
                is_hive = !error.is_absent_table();
                return Err(error);
            }
        };
        let Some(identity) = hive::identity(&*view)? else {
            is_hive = false;
            return Err(Error::Damaged("there is no hive in it".to_owned()));
        };
        hive::check(&*view, &mut |problem| {
            if problem.is_damage && problems.len() < 2 {
                problems.push(problem.to_string());
            }
        })?;
        Ok(identity)
    });
    match read {
        Ok(identity) if problems.is_empty() => {
            Ok(Examined { damage: None, closed, is_hive, identity: Some(identity) })
        }
        Ok(_) => damaged(problems.join("; ")),
        Err(error) if error.is_damage() => {
            Ok(Examined { damage: Some(error.to_string()), closed, is_hive, identity: None })
        }
        Err(error) => Err(error),
    }
}

fn recover(
    name: &str,
    files: &HiveFiles,
    kept: Option<Kept>,
    reason: String,
) -> Result<Recovered, Error> {
    log::error!("hive {name} is damaged: {}: {reason}", files.database().display());
    let copy = newest_good_copy(files, kept)?;
    let at_least = match (kept, &copy) {
        (Some(kept), _) => kept.sequence,
        (None, Some((_, max_sequence))) => max_sequence.saturating_add(JUMP),
        (None, None) => JUMP,
    };
    let copy = copy.map(|(copy, _)| copy);
    prepare(name, files, copy.as_ref(), kept.map(|kept| kept.root), at_least)?;
    let set_aside = files.replace_database(Aside::Damaged)?;
    let what = match &copy {
        Some(copy) => format!("{copy} has taken its place; what was written since then is lost"),
        None => "there is no good copy: it is empty now".to_owned(),
    };
    match &set_aside {
        Some(path) => log::error!("hive {name}: {what}; the damaged file is {}", path.display()),
        None => log::error!("hive {name}: {what}"),
    }
    Ok(Recovered { reason, set_aside, copy: copy.map(|copy| copy.number) })
}

/// Makes `HIVE.redb.new`: what the copy has, or an empty hive with this root, and with at least this as the
/// highest sequence number.
pub(crate) fn prepare(
    name: &str,
    files: &HiveFiles,
    copy: Option<&Copy>,
    root: Option<Guid>,
    max_sequence: u64,
) -> Result<(), Error> {
    let path = files.new_database();
    let mut file = files::create(&path)?;
    if let Some(copy) = copy {
        let failed = |error| Error::File { path: copy.path.clone(), error };
        let mut original = File::open(&copy.path).map_err(failed)?;
        let copied = io::copy(&mut original, &mut file);
        copied.map_err(|error| Error::File { path: path.clone(), error })?;
    }
    drop(file);
    caught(|| {
        let store = Box::new(RedbStore::open(&path)?);
        let mut hive = match root {
            Some(root) => Hive::open_with_root(name, store, root)?,
            None => Hive::open(name, store)?,
        };
        hive.raise_max_sequence(max_sequence)
    })?;
    files::sync_file(&path)?;
    examine(&path)?.sound()?;
    Ok(())
}

/// The newest copy that is whole and of this hive, and its highest sequence number.
///
/// # Errors
/// What keeps this process from reading a copy, unless an older one can be had; so that nobody takes a hive for
/// lost whose copies are there.
fn newest_good_copy(files: &HiveFiles, kept: Option<Kept>) -> Result<Option<(Copy, u64)>, Error> {
    let mut unread = None;
    for copy in copies_of(files)?.into_iter().rev() {
        match examine(&copy.path).and_then(Examined::sound) {
            Ok((root, _)) if kept.is_some_and(|kept| kept.root != root) => {
                log::error!("{}: {copy} is of another hive, with root {root}", files.stem());
            }
            Ok((_, max_sequence)) => return Ok(Some((copy, max_sequence))),
            Err(error) => {
                log::error!("{}: {copy} cannot be used: {error}", files.stem());
                if !error.is_damage() {
                    unread = Some(error);
                }
            }
        }
    }
    match unread {
        Some(error) => Err(error),
        None => Ok(None),
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
