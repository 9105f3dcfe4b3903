//! What is known of a file.

use lcs_abi::Guid;
use lcs_abi::security::Access;

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::Error;
use super::super::handles::{Handle, HandleId, KeyHandle};
use super::Content;
use crate::security::{DesiredAccess, access_check};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A key, or the registry as a whole.
    Directory,
    /// A link itself.
    Link,
    /// A value.
    Value,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// A number that nothing else has, but by chance.
    pub inode: u64,
    /// Whoever opened it could be granted to read it.
    pub readable: bool,
    /// Whoever opened it could be granted to write it.
    pub writable: bool,
    /// The user who opened it.
    pub uid: u32,
    /// That user's group.
    pub gid: u32,
    /// Length of the text, in bytes; 0 for a directory.
    pub size: u64,
    /// The key's last write, in nanoseconds since the epoch, UTC.
    pub last_write: i64,
}

/// The number of a directory: of a hundred that are listed, keys come before values by their numbers, for some
/// programs go by these; and a value whose name a subkey has, too, is to be copied after that.
pub(super) fn inode_of_key(key: Guid) -> u64 {
    u64::from_be_bytes(first_half(key)) >> 2 | 1
}

/// The number of a value's file.
pub(super) fn inode_of_value(key: Guid, folded: &str) -> u64 {
    // FNV-1a
    let bytes = key.0.iter().copied().chain(folded.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash >> 2 | 1 << 62
}

fn first_half(key: Guid) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&key.0[..8]);
    half
}

impl<B: Backend> Registry<B> {
    /// What is known of a file or a directory.
    ///
    /// # Errors
    /// `AccessDenied`: of a key without READ_CONTROL. `NotFound`: it is gone. `BadHandle`: it is neither.
    pub async fn stat_file(&self, id: HandleId) -> Result<FileStat, Error> {
        let handle = self.with(|state| state.handles.get(id))?;
        self.used(handle.transaction())?;
        match handle {
            Handle::Root(token, _) => Ok(FileStat {
                kind: FileKind::Directory,
                inode: 1,
                readable: true,
                writable: false,
                uid: token.uid(),
                gid: token.gid(),
                size: 0,
                last_write: 0,
            }),
            Handle::Key(key) => {
                key.require(Access::READ_CONTROL)?;
                self.stat_key(&key, FileKind::Directory, inode_of_key(key.key), 0).await
            }
            Handle::File(key, file) => match &file.content {
                Content::Link => {
                    key.require(Access::READ_CONTROL)?;
                    // One that leads nowhere is a link all the same.
                    let text = self.link_text(&key).await.unwrap_or_default();
                    let size = text.len() as u64;
                    self.stat_key(&key, FileKind::Link, inode_of_key(key.key), size).await
                }
                Content::Value(name) => {
                    let written = file.texts.lock().written.as_ref().map(alloc::vec::Vec::len);
                    let size = match written {
                        Some(length) => length,
                        None => {
                            key.require(Access::QUERY_VALUE)?;
                            self.text(&key, name, &file).await?.len()
                        }
                    };
                    let inode = inode_of_value(key.key, name.folded());
                    self.stat_key(&key, FileKind::Value, inode, size as u64).await
                }
            },
            Handle::Transaction(..) | Handle::Backup(_) | Handle::Restore(_) => {
                Err(Error::BadHandle)
            }
        }
    }

    async fn stat_key(
        &self,
        key: &KeyHandle,
        kind: FileKind,
        inode: u64,
        size: u64,
    ) -> Result<FileStat, Error> {
        let record = self.read_key(key.site, key.key).await?;
        let sd = self.descriptor(key.site.slot, &record)?;
        let token = &key.token;
        let all = DesiredAccess::new(Access::MAXIMUM_ALLOWED.bits())?;
        let mut granted = access_check(&sd, token, &all).unwrap_or(Access::empty());
        if key.restricted {
            granted &= key.access;
        }
        let (read, write) = match kind {
            FileKind::Directory => {
                (Access::ENUMERATE_SUB_KEYS, Access::SET_VALUE | Access::CREATE_SUB_KEY)
            }
            FileKind::Value | FileKind::Link => (Access::QUERY_VALUE, Access::SET_VALUE),
        };
        Ok(FileStat {
            kind,
            inode,
            readable: granted.intersects(read),
            writable: granted.intersects(write),
            uid: token.uid(),
            gid: token.gid(),
            size,
            last_write: record.last_write,
        })
    }
}
