//! Operations on files, by the numbers that Linux has for them, for whoever asks.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, INodeNo, PollEvents, PollNotifier,
    ReplyDirectory, TimeOrNow,
};
use hosted::on_behalf::{Caller, File, unlink};
use libc::{
    O_ACCMODE, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_TRUNC,
    O_WRONLY,
};
use syscall::data::Stat;
use syscall::dirent::DirentKind;
use syscall::flag::{MODE_DIR, MODE_FILE, MODE_SYMLINK, MODE_TYPE, O_SYMLINK};

use super::nodes::{Nodes, Place, ROOT};
use super::pollers::Pollers;

/// What a request comes to; the error is the one that Linux is told.
pub type Answer<T> = Result<T, Errno>;

/// The scheme that is shown.
const SCHEME: &str = "reg";

/// How the targets of links begin that lead into it.
const TARGETS: &str = "/scheme/reg/";

/// How long Linux may believe what it is told: the next one who looks is another, and what he sees may be another.
pub const NEVER: Duration = Duration::ZERO;

/// Where a listing goes on behind `.`, `..` and the entry that the scheme calls 0.
const LISTED: u64 = 2;

/// The largest target of a link, in bytes.
const MAX_TARGET: usize = 1 << 17;

/// The bits of open flags that are the scheme's. That a path may end at a link, Linux has looked after.
const OPEN: i32 = O_ACCMODE | O_APPEND | O_TRUNC;

/// What is to be changed of what is known of a file.
pub struct Changes {
    /// Permissions.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The length, in bytes.
    pub size: Option<u64>,
    /// When it was read.
    pub accessed: Option<TimeOrNow>,
    /// When it was written.
    pub modified: Option<TimeOrNow>,
}

/// The files of the scheme.
pub struct Files {
    nodes: Nodes,
    open: Mutex<HashMap<u64, Arc<File>>>,
    last: AtomicU64,
    pollers: Pollers,
}

impl Files {
    /// The files of the scheme, if that is there.
    ///
    /// # Errors
    ///
    /// Why it is not, or the system's.
    pub fn new() -> io::Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let own = Caller { uid, gid, pid: std::process::id() };
        File::open(own, SCHEME, "", O_PATH)?;
        let (nodes, open) = (Nodes::new(), Mutex::default());
        Ok(Self { nodes, open, last: AtomicU64::new(0), pollers: Pollers::new()? })
    }

    fn place(&self, node: INodeNo) -> Answer<Place> {
        self.nodes.place(node.0).ok_or(Errno::ESTALE)
    }

    fn path(&self, node: INodeNo) -> Answer<Arc<str>> {
        Ok(self.place(node)?.path)
    }

    fn path_in(&self, parent: INodeNo, name: &str) -> Answer<String> {
        Ok(below(&self.path(parent)?, name))
    }

    /// Tells Linux of a file.
    fn tell(&self, path: &str, stat: &Stat, caller: Caller) -> Answer<FileAttr> {
        let mut attributes = attributes(stat)?;
        measure(path, &mut attributes, caller);
        let place = place_of(path, attributes.kind, caller);
        attributes.ino = INodeNo(self.nodes.tell(place));
        Ok(attributes)
    }

    /// What a name leads to.
    pub fn look_up(&self, parent: INodeNo, name: &str, caller: Caller) -> Answer<FileAttr> {
        let path = self.path_in(parent, name)?;
        self.tell(&path, &stat(&path, caller)?, caller)
    }

    /// Linux has forgotten a file that it was told of so often.
    pub fn forget(&self, node: INodeNo, told: u64) {
        self.nodes.forget(node.0, told);
    }

    /// What is known of a file; ESTALE if its path leads to one of another kind by now.
    pub fn attributes(
        &self,
        node: INodeNo,
        handle: Option<FileHandle>,
        caller: Caller,
    ) -> Answer<FileAttr> {
        let place = self.place(node)?;
        let stat = match handle {
            Some(handle) => self.opened(handle)?.stat()?,
            None => stat(&place.path, caller)?,
        };
        let mut attributes = attributes(&stat)?;
        if (attributes.kind == FileType::Directory) != place.user.is_none() {
            return Err(Errno::ESTALE);
        }
        measure(&place.path, &mut attributes, caller);
        attributes.ino = node;
        Ok(attributes)
    }

    /// Changes what is known of a file: first what may be refused, last what cannot be taken back.
    pub fn change(
        &self,
        node: INodeNo,
        handle: Option<FileHandle>,
        changes: &Changes,
        caller: Caller,
    ) -> Answer<FileAttr> {
        let path = self.path(node)?;
        let Changes { mode, uid, gid, size, accessed, modified } = changes;
        if let Some(mode) = mode {
            look_at(&path, caller)?.set_mode((mode & 0o7777) as u16)?;
        }
        if uid.is_some() || gid.is_some() {
            look_at(&path, caller)?.set_owner(*uid, *gid)?;
        }
        if accessed.is_some() || modified.is_some() {
            look_at(&path, caller)?.set_times([time(accessed), time(modified)])?;
        }
        match (size, handle) {
            (None, _) => {}
            (Some(size), Some(handle)) => self.opened(handle)?.truncate(*size)?,
            (Some(size), None) => {
                let file = open(&path, O_WRONLY, caller)?;
                file.truncate(*size)?;
                // Closing it would not say whether that worked.
                file.sync()?;
            }
        }
        self.attributes(node, handle, caller)
    }

    /// Where a link leads.
    pub fn target(&self, node: INodeNo, caller: Caller) -> Answer<Vec<u8>> {
        target(&self.path(node)?, caller)
    }

    /// Makes a directory.
    pub fn make_directory(&self, parent: INodeNo, name: &str, caller: Caller) -> Answer<FileAttr> {
        let path = self.path_in(parent, name)?;
        open(&path, O_RDONLY | O_CREAT | O_EXCL | O_DIRECTORY, caller)?;
        self.tell(&path, &stat(&path, caller)?, caller)
    }

    /// Removes a file, or with `AT_REMOVEDIR` a directory.
    pub fn remove(&self, parent: INodeNo, name: &str, flags: i32, caller: Caller) -> Answer<()> {
        Ok(unlink(caller, SCHEME, &self.path_in(parent, name)?, flags)?)
    }

    fn keep(&self, file: File) -> FileHandle {
        let handle = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.all_open().insert(handle, Arc::new(file));
        FileHandle(handle)
    }

    fn all_open(&self) -> MutexGuard<'_, HashMap<u64, Arc<File>>> {
        // Nothing panics between two consistent states of a map.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, handle: FileHandle) -> Answer<Arc<File>> {
        self.all_open().get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    /// Opens a file.
    pub fn open(&self, node: INodeNo, flags: i32, caller: Caller) -> Answer<FileHandle> {
        let file = open(&self.path(node)?, flags & OPEN, caller)?;
        Ok(self.keep(file))
    }

    /// Opens a file, and makes it if it is not there.
    pub fn create(
        &self,
        parent: INodeNo,
        name: &str,
        flags: i32,
        caller: Caller,
    ) -> Answer<(FileAttr, FileHandle)> {
        let path = self.path_in(parent, name)?;
        let file = open(&path, flags & (OPEN | O_EXCL) | O_CREAT, caller)?;
        let attributes = self.tell(&path, &file.stat()?, caller)?;
        Ok((attributes, self.keep(file)))
    }

    /// Opens a directory to list it.
    pub fn open_directory(&self, node: INodeNo, caller: Caller) -> Answer<FileHandle> {
        let file = open(&self.path(node)?, O_RDONLY | O_DIRECTORY, caller)?;
        Ok(self.keep(file))
    }

    /// The last descriptor of an open file is closed.
    pub fn close(&self, handle: FileHandle) {
        self.pollers.closed(handle);
        let closed = self.all_open().remove(&handle.0);
        // Not under the lock.
        drop(closed);
    }

    /// What stands from `offset` on: as much of `room` bytes as one read gives.
    pub fn read(
        &self,
        handle: FileHandle,
        offset: u64,
        room: usize,
        caller: Caller,
    ) -> Answer<Vec<u8>> {
        let mut piece = vec![0; room];
        let length = self.opened(handle)?.read_at(caller, &mut piece, offset)?;
        piece.truncate(length);
        Ok(piece)
    }

    /// Writes to `offset`; answers how many bytes were taken.
    pub fn write(
        &self,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        caller: Caller,
    ) -> Answer<usize> {
        Ok(self.opened(handle)?.write_at(caller, bytes, offset)?)
    }

    /// Writes what is not written yet.
    pub fn sync(&self, handle: FileHandle) -> Answer<()> {
        Ok(self.opened(handle)?.sync()?)
    }

    /// Fills a listing from an entry on.
    pub fn list(
        &self,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        caller: Caller,
        reply: &mut ReplyDirectory,
    ) -> Answer<()> {
        let (path, opened) = (self.path(node)?, self.opened(handle)?);
        for (at, name) in [(1, "."), (LISTED, "..")] {
            let number = if name == "." { node.0 } else { self.above(&path) };
            if offset < at && reply.add(INodeNo(number), at, FileType::Directory, name) {
                return Ok(());
            }
        }
        let mut next = offset.saturating_sub(LISTED);
        loop {
            let entries = opened.list(next)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                let kind = kind_of_entry(entry.kind);
                let place = place_of(&below(&path, &entry.name), kind, caller);
                let number = INodeNo(self.nodes.number(&place));
                next = entry.next;
                let behind = next.checked_add(LISTED).ok_or(Errno::EOVERFLOW)?;
                if reply.add(number, behind, kind, &entry.name) {
                    return Ok(());
                }
            }
        }
    }

    /// The number of the directory that a directory is in.
    fn above(&self, path: &str) -> u64 {
        let place = |(above, _): (&str, &str)| Place { path: above.into(), user: None };
        path.rsplit_once('/').map(place).map_or(ROOT, |place| self.nodes.number(&place))
    }

    /// Whether who asks may use a file so: EACCES if not.
    pub fn may(&self, node: INodeNo, mask: AccessFlags, caller: Caller) -> Answer<()> {
        let stat = stat(&self.path(node)?, caller)?;
        // Who opens it sees what it may do with it, as its owner.
        let granted = i32::from(stat.st_mode >> 6 & 7);
        if mask.bits() & !granted == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// What of `wanted` an open file is ready for. Linux is told through `waiting`, once, when there is more.
    pub fn poll(
        &self,
        handle: FileHandle,
        wanted: PollEvents,
        waiting: Option<PollNotifier>,
    ) -> Answer<PollEvents> {
        let readable = PollEvents::POLLIN | PollEvents::POLLRDNORM;
        // A file never keeps its writer waiting.
        let mut ready = PollEvents::POLLOUT | PollEvents::POLLWRNORM;
        if wanted.intersects(readable) {
            let opened = self.opened(handle)?;
            if let Some(waiting) = waiting {
                self.pollers.wait(handle, &opened, waiting)?;
            }
            if opened.is_readable()? {
                ready |= readable;
            }
        }
        Ok(ready & wanted)
    }
}

/// Opens a file for somebody. A link is not followed: Linux has done that, where it was wanted.
fn open(path: &str, flags: i32, caller: Caller) -> Answer<File> {
    Ok(File::open(caller, SCHEME, path, flags | O_NOFOLLOW)?)
}

/// Opens a file, or a link itself, only to look at it or to change what is known of it.
fn look_at(path: &str, caller: Caller) -> Answer<File> {
    open(path, O_PATH, caller)
}

/// What is known of a file.
///
/// Of a directory that may not be looked at it is only told that it is one: below it there may be what the caller has
/// every right to, and Linux asks for each directory on the way.
fn stat(path: &str, caller: Caller) -> Answer<Stat> {
    match look_at(path, caller)?.stat() {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            open(path, O_PATH | O_DIRECTORY, caller).map_err(|_| Errno::EACCES)?;
            Ok(Stat { st_mode: MODE_DIR | 0o100, st_nlink: 1, ..Stat::default() })
        }
        stat => Ok(stat?),
    }
}

/// What a link says, as the way from the directory that it is in if it leads into the scheme: so it holds wherever the
/// mount is.
fn target(path: &str, caller: Caller) -> Answer<Vec<u8>> {
    let link = File::open(caller, SCHEME, path, O_RDONLY | O_SYMLINK as i32)?;
    let mut target = vec![0; MAX_TARGET];
    let length = link.read_at(caller, &mut target, 0)?;
    target.truncate(length);
    let Some(below) = target.strip_prefix(TARGETS.as_bytes()) else { return Ok(target) };
    let mut relative = "../".repeat(path.matches('/').count()).into_bytes();
    relative.extend_from_slice(below);
    Ok(relative)
}

/// A link is as long as what is told of its target; that of one that may not be read is not told.
fn measure(path: &str, attributes: &mut FileAttr, caller: Caller) {
    if attributes.kind == FileType::Symlink {
        attributes.size = target(path, caller).map_or(0, |target| target.len() as u64);
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn place_of(path: &str, kind: FileType, caller: Caller) -> Place {
    Place { path: path.into(), user: (kind != FileType::Directory).then_some(caller.uid) }
}

fn kind_of_entry(kind: u8) -> FileType {
    match DirentKind::try_from_raw(kind) {
        Some(DirentKind::Directory) => FileType::Directory,
        Some(DirentKind::Symlink) => FileType::Symlink,
        _ => FileType::RegularFile,
    }
}

/// A time in seconds and nanoseconds, or Linux' words for now and for never mind.
fn time(time: &Option<TimeOrNow>) -> (i64, i32) {
    match time {
        None => (0, libc::UTIME_OMIT as i32),
        Some(TimeOrNow::Now) => (0, libc::UTIME_NOW as i32),
        Some(TimeOrNow::SpecificTime(time)) => {
            // Redox has no time before 1970.
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            (seconds, since.subsec_nanos().cast_signed())
        }
    }
}

/// What is known of a file, in fuser's words; its number is still to be found.
fn attributes(stat: &Stat) -> Answer<FileAttr> {
    let kind = match stat.st_mode & MODE_TYPE {
        MODE_DIR => FileType::Directory,
        MODE_SYMLINK => FileType::Symlink,
        MODE_FILE => FileType::RegularFile,
        // Nothing that leads to a device or a socket of Linux.
        _ => return Err(Errno::EOPNOTSUPP),
    };
    let time = Duration::new(stat.st_mtime, stat.st_mtime_nsec.min(999_999_999));
    let time = UNIX_EPOCH.checked_add(time).unwrap_or(UNIX_EPOCH);
    Ok(FileAttr {
        ino: INodeNo(0),
        size: stat.st_size,
        blocks: stat.st_blocks,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: stat.st_mode & 0o777,
        nlink: stat.st_nlink,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: 0,
        blksize: stat.st_blksize,
        flags: 0,
    })
}
