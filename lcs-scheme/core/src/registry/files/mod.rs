//! `reg:` as files: keys are directories, values are files (INTERFACES §1).
//!
//! The handle of a directory is a key's. The handle of a file is one of the key that has the value, with the
//! rights that its opening asked for, and what is being read and written through it.

mod directory;
mod open;
mod poll;
mod read;
mod stat;
mod unlink;
mod write;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use bitflags::bitflags;
use hashbrown::HashMap;
use lcs_abi::rsi::ValueEntry;
use lcs_abi::security::Access;
use spin::Mutex;

use super::backend::Backend;
use super::error::Error;
use super::handles::{Handle, HandleId, KeyHandle};
use super::queued::Queued;
use super::{Registry, State};
use crate::model::file_name::{FilePathError, key_file_path};
use crate::model::name::ValueName;
use crate::security::Sid;

pub use directory::{Directory, DirectoryEntry};
pub use stat::{FileKind, FileStat};

/// What the paths of all files begin with.
pub const SCHEME_PATH: &str = "/scheme/reg";

bitflags! {
    /// How a file is opened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// To be read.
        const READ = 1;
        /// To be written.
        const WRITE = 2;
        /// Whatever is written goes to the end.
        const APPEND = 4;
        /// Its text is empty from the start.
        const TRUNCATE = 8;
        /// It is made if it is not there.
        const CREATE = 16;
        /// With CREATE: nothing of this name may be there.
        const EXCLUSIVE = 32;
        /// It is, or becomes, a key.
        const DIRECTORY = 64;
        /// A link at the end is opened itself.
        const LINK_ITSELF = 128;
        /// A link at the end is an error.
        const NO_FOLLOW = 256;
        /// It is made, and nothing may be there.
        const NEW = Self::CREATE.bits() | Self::EXCLUSIVE.bits();
        /// What of a key as a directory is not to be had.
        const CHANGE = Self::WRITE.bits() | Self::TRUNCATE.bits();
    }
}

/// What a file is of.
#[derive(Debug)]
enum Content {
    /// The text form of a value.
    Value(ValueName),
    /// Where a link leads; its key is the handle's.
    Link,
}

/// An open file.
#[derive(Debug)]
pub(super) struct File {
    content: Content,
    flags: OpenFlags,
    /// Its name in the directory.
    name: String,
    /// Held by whoever writes, for as long as it takes.
    writing: async_lock::Mutex<()>,
    texts: Mutex<Texts>,
}

impl File {
    /// The name of the value that is to be written through this handle of its key.
    fn to_write(&self, key: &KeyHandle) -> Result<&ValueName, Error> {
        match &self.content {
            Content::Value(name) if self.flags.contains(OpenFlags::WRITE) => {
                key.require(Access::SET_VALUE).map(|()| name)
            }
            _ => Err(Error::BadHandle),
        }
    }
}

/// Which entry a value was: its sequence number and its layer.
type Version = (u64, String);

fn version(value: &ValueEntry) -> Version {
    (value.sequence, value.layer.folded.clone())
}

/// What is being read and written.
#[derive(Debug, Default)]
struct Texts {
    /// What a read that has not come to the end goes on with.
    reading: Option<Vec<u8>>,
    /// The length of the text whose end was read.
    ended: Option<u64>,
    /// What was read last, once something was: the value, or that there was none.
    seen: Option<Option<Version>>,
    /// The type that the value had last.
    value_type: Option<u32>,
    /// What was written since the file was opened, or truncated.
    written: Option<Vec<u8>>,
    /// The text was made empty, and nobody has written that yet.
    truncated: bool,
}

impl Texts {
    fn bytes(&self) -> usize {
        let length = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
        length(&self.reading) + length(&self.written)
    }
}

/// What is kept for files and directories.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// What those who read a directory go on with.
    listings: HashMap<HandleId, Directory>,
    queued: Queued,
}

impl Files {
    /// How much is kept for a user, in bytes.
    pub(super) fn bytes_of(&self, user: &Sid) -> usize {
        self.queued.of(user)
    }

    /// A handle is gone, or its directory is read anew.
    pub(super) fn forget_listing(&mut self, id: HandleId, user: Sid) {
        if let Some(listing) = self.listings.remove(&id) {
            self.queued.replace(user, listing.bytes(), 0);
        }
    }
}

impl State {
    /// Nobody has the handle of a file any more.
    pub(super) fn lost_file(&mut self, key: &KeyHandle, file: &File) {
        let mut texts = file.texts.lock();
        let before = texts.bytes();
        *texts = Texts::default();
        self.files.queued.replace(key.token.user(), before, 0);
    }

    /// Changes what is kept for a file.
    ///
    /// # Errors
    /// `LimitExceeded`: its user has no room for it, and nothing was changed.
    fn change_texts(
        &mut self,
        key: &KeyHandle,
        file: &File,
        change: impl FnOnce(&mut Texts),
        more: usize,
    ) -> Result<(), Error> {
        let user = key.token.user();
        if more > 0 {
            self.require_room(&user, more)?;
        }
        let mut texts = file.texts.lock();
        let before = texts.bytes();
        change(&mut texts);
        self.files.queued.replace(user, before, texts.bytes());
        Ok(())
    }
}

impl From<FilePathError> for Error {
    fn from(error: FilePathError) -> Self {
        match error {
            FilePathError::Component => Error::Invalid("a path leads neither up nor out"),
            FilePathError::Encoding => Error::Invalid("% without two hexadecimal digits"),
        }
    }
}

impl<B: Backend> Registry<B> {
    /// The file with this number, and the key that it is of. It is used: a transaction that it is in goes on.
    fn file(&self, id: HandleId) -> Result<(Rc<KeyHandle>, Rc<File>), Error> {
        let Handle::File(key, file) = self.with(|state| state.handles.get(id))? else {
            return Err(Error::BadHandle);
        };
        self.used(key.site.transaction)?;
        Ok((key, file))
    }

    /// Whether a handle is a file's.
    pub fn is_file(&self, id: HandleId) -> bool {
        self.with(|state| matches!(state.handles.get(id), Ok(Handle::File(..))))
    }

    /// The path of a handle as a file's: of a directory or a value.
    ///
    /// # Errors
    /// `BadHandle`: it is neither.
    pub fn file_path(&self, id: HandleId) -> Result<String, Error> {
        let mut path = String::from(SCHEME_PATH);
        match self.with(|state| state.handles.get(id))? {
            Handle::Root(..) => {}
            Handle::Key(key) => push(&mut path, &key_file_path(&key.path)),
            Handle::File(key, file) => {
                push(&mut path, &key_file_path(&key.path));
                if let Content::Value(_) = file.content {
                    push(&mut path, &file.name);
                }
            }
            Handle::Transaction(..) | Handle::Backup(_) | Handle::Restore(_) => {
                return Err(Error::BadHandle);
            }
        }
        Ok(path)
    }
}

fn push(path: &mut String, rest: &str) {
    path.push('/');
    path.push_str(rest);
}
