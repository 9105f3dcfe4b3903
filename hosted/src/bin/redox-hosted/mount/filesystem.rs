//! What the kernel asks for, done by the scheme for whom it asks.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags,
    PollNotifier, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use hosted::on_behalf::{Caller, File, unlink};
use syscall::data::Stat;
use syscall::dirent::DirentKind;
use syscall::flag::{MODE_DIR, MODE_SYMLINK, MODE_TYPE};

use super::nodes::{Nodes, ROOT, number};
use super::pollers::Pollers;

/// The scheme that is shown.
const SCHEME: &str = "reg";

/// How the targets of links begin.
const TARGETS: &str = "/scheme/reg/";

/// How long what is told is valid: the next one who looks is another, and what he sees may be another.
const VALID: Duration = Duration::ZERO;

/// Where a listing goes on behind `.`, `..` and the entry that the scheme calls 0.
const LISTED: u64 = 2;

/// To look at a file, or a link itself.
const LOOK: i32 = libc::O_PATH | libc::O_NOFOLLOW;

/// The largest target of a link, in bytes.
const MAX_TARGET: usize = 1 << 17;

/// The longest name, in bytes: three for each of the longest that a key can have by default.
const MAX_NAME: u32 = 765;

/// The scheme as a filesystem.
pub struct Door {
    nodes: Nodes,
    open: Mutex<HashMap<u64, Arc<File>>>,
    last: AtomicU64,
    pollers: Pollers,
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

impl Door {
    /// A door to the scheme, if that is there.
    pub fn new() -> io::Result<Door> {
        let own = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        File::open(Caller { uid: own, gid, pid: std::process::id() }, SCHEME, "", LOOK)?;
        let (nodes, open) = (Nodes::new(), Mutex::default());
        Ok(Door { nodes, open, last: AtomicU64::new(0), pollers: Pollers::new()? })
    }

    fn path(&self, number: INodeNo) -> Result<String, Errno> {
        self.nodes.path(number.0).ok_or(Errno::ESTALE)
    }

    fn path_in(&self, parent: INodeNo, name: &OsStr) -> Result<String, Errno> {
        let name = name.to_str().ok_or(Errno::EINVAL)?;
        Ok(below(&self.path(parent)?, name))
    }

    fn open_path(&self, request: &Request, path: &str, flags: i32) -> Result<File, Errno> {
        Ok(File::open(caller(request), SCHEME, path, flags)?)
    }

    fn file(&self, handle: FileHandle) -> Result<Arc<File>, Errno> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn keep(&self, file: File) -> FileHandle {
        let handle = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, Arc::new(file));
        FileHandle(handle)
    }

    fn close(&self, handle: FileHandle) {
        let closed = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
        if let Some(file) = closed {
            self.pollers.closed(&file);
        }
    }

    /// What a path is now; the kernel is told its number.
    fn look(&self, request: &Request, path: &str) -> Result<FileAttr, Errno> {
        let stat = self.open_path(request, path, LOOK)?.stat()?;
        let number = self.nodes.tell(path, is_directory(&stat));
        Ok(attributes(&stat, number))
    }

    /// Changes what can be changed of a file, and tells what it is then.
    fn change(
        &self,
        request: &Request,
        number: INodeNo,
        change: &Change,
        handle: Option<FileHandle>,
    ) -> Result<FileAttr, Errno> {
        let path = self.path(number)?;
        let looked_at = || self.open_path(request, &path, LOOK);
        if let Some(size) = change.size {
            match handle {
                Some(handle) => self.file(handle)?.truncate(size)?,
                None => {
                    let file = self.open_path(request, &path, libc::O_WRONLY)?;
                    file.truncate(size)?;
                    // Closing it would not say whether that worked.
                    file.sync()?;
                }
            }
        }
        if let Some(mode) = change.mode {
            looked_at()?.set_mode((mode & 0o7777) as u16)?;
        }
        if change.uid.is_some() || change.gid.is_some() {
            looked_at()?.set_owner(change.uid, change.gid)?;
        }
        if change.times {
            looked_at()?.set_times([(0, 0); 2])?;
        }
        let stat = match handle {
            Some(handle) => self.file(handle)?.stat()?,
            None => looked_at()?.stat()?,
        };
        Ok(attributes(&stat, number.0))
    }

    /// Where a link leads, from the directory that it is in.
    fn target(&self, request: &Request, number: INodeNo) -> Result<Vec<u8>, Errno> {
        let path = self.path(number)?;
        let flags = libc::O_RDONLY | syscall::flag::O_SYMLINK as i32;
        let link = self.open_path(request, &path, flags)?;
        let mut target = vec![0; MAX_TARGET];
        let length = link.read_at(caller(request), &mut target, 0)?;
        target.truncate(length);
        let Some(below) = target.strip_prefix(TARGETS.as_bytes()) else { return Ok(target) };
        let mut relative = "../".repeat(path.matches('/').count()).into_bytes();
        relative.extend_from_slice(below);
        Ok(relative)
    }

    fn list(
        &self,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: &mut ReplyDirectory,
    ) -> Result<(), Errno> {
        let path = self.path(number)?;
        let file = self.file(handle)?;
        for (at, name) in [(1, "."), (LISTED, "..")] {
            let number = if name == "." { number } else { INodeNo(above(&path)) };
            if offset < at && reply.add(number, at, FileType::Directory, name) {
                return Ok(());
            }
        }
        let mut next = offset.saturating_sub(LISTED);
        loop {
            let entries = file.list(next)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                let kind = kind_of(entry.kind);
                let path = below(&path, &entry.name);
                let number = INodeNo(self::number(&path, kind == FileType::Directory));
                if reply.add(number, entry.next + LISTED, kind, &entry.name) {
                    return Ok(());
                }
                next = entry.next;
            }
        }
    }

    fn remove(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        flags: i32,
    ) -> Result<(), Errno> {
        let path = self.path_in(parent, name)?;
        Ok(unlink(caller(request), SCHEME, &path, flags)?)
    }

    /// Whether a file has something to read; if not, and somebody waits for that, he is told later.
    fn poll_file(&self, handle: FileHandle, waiting: Option<PollNotifier>) -> Result<bool, Errno> {
        let file = self.file(handle)?;
        if let Some(waiting) = waiting {
            self.pollers.wait(&file, waiting)?;
        }
        Ok(file.is_readable()?)
    }
}

/// What is to be changed of a file.
struct Change {
    size: Option<u64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    times: bool,
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// The number of the directory that a directory is in.
fn above(path: &str) -> u64 {
    path.rsplit_once('/').map_or(ROOT, |(above, _)| number(above, true))
}

fn is_directory(stat: &Stat) -> bool {
    stat.st_mode & MODE_TYPE == MODE_DIR
}

fn kind_of(kind: u8) -> FileType {
    match DirentKind::try_from_raw(kind) {
        Some(DirentKind::Directory) => FileType::Directory,
        Some(DirentKind::Symlink) => FileType::Symlink,
        _ => FileType::RegularFile,
    }
}

fn attributes(stat: &Stat, number: u64) -> FileAttr {
    let time = UNIX_EPOCH + Duration::new(stat.st_mtime, stat.st_mtime_nsec);
    FileAttr {
        ino: INodeNo(number),
        size: stat.st_size,
        blocks: stat.st_blocks,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: match stat.st_mode & MODE_TYPE {
            MODE_DIR => FileType::Directory,
            MODE_SYMLINK => FileType::Symlink,
            _ => FileType::RegularFile,
        },
        perm: stat.st_mode & 0o7777,
        nlink: stat.st_nlink,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: 0,
        blksize: stat.st_blksize,
        flags: 0,
    }
}

/// Answers with what came of it.
macro_rules! answer {
    ($reply:ident, $result:expr, |$value:pat_param| $answer:expr) => {
        match $result {
            Ok($value) => $answer,
            Err(errno) => $reply.error(errno),
        }
    };
}

impl Filesystem for Door {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // With `>` a file is opened and made empty at once. A kernel without it makes it empty afterwards.
        let _ = config.add_capabilities(InitFlags::FUSE_ATOMIC_O_TRUNC);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.path_in(parent, name).and_then(|path| self.look(request, &path));
        answer!(reply, found, |attributes| reply.entry(&VALID, &attributes, Generation(0)));
    }

    fn forget(&self, _request: &Request, number: INodeNo, told: u64) {
        self.nodes.forget(number.0, told);
    }

    fn getattr(
        &self,
        request: &Request,
        number: INodeNo,
        handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let stat = || match handle {
            Some(handle) => Ok(self.file(handle)?.stat()?),
            None => Ok(self.open_path(request, &self.path(number)?, LOOK)?.stat()?),
        };
        answer!(reply, stat(), |stat| reply.attr(&VALID, &attributes(&stat, number.0)));
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let times = atime.is_some() || mtime.is_some();
        let change = Change { size, mode, uid, gid, times };
        let changed = self.change(request, number, &change, handle);
        answer!(reply, changed, |attributes| reply.attr(&VALID, &attributes));
    }

    fn readlink(&self, request: &Request, number: INodeNo, reply: ReplyData) {
        answer!(reply, self.target(request, number), |target| reply.data(&target));
    }

    fn mknod(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.path_in(parent, name).and_then(|path| {
            let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL | libc::O_DIRECTORY;
            self.open_path(request, &path, flags)?;
            self.look(request, &path)
        });
        answer!(reply, made, |attributes| reply.entry(&VALID, &attributes, Generation(0)));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.remove(request, parent, name, 0), |()| reply.ok());
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.remove(request, parent, name, libc::AT_REMOVEDIR);
        answer!(reply, removed, |()| reply.ok());
    }

    fn symlink(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn rename(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _to: INodeNo,
        _as: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn link(
        &self,
        _request: &Request,
        _number: INodeNo,
        _to: INodeNo,
        _as: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn open(&self, request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.path(number).and_then(|path| self.open_path(request, &path, flags.0));
        answer!(reply, opened, |file| reply.opened(self.keep(file), FopenFlags::FOPEN_DIRECT_IO));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.path_in(parent, name).and_then(|path| {
            let file = self.open_path(request, &path, flags | libc::O_CREAT)?;
            let stat = file.stat()?;
            let attributes = attributes(&stat, self.nodes.tell(&path, is_directory(&stat)));
            Ok((attributes, self.keep(file)))
        });
        answer!(reply, made, |(attributes, handle)| {
            let direct = FopenFlags::FOPEN_DIRECT_IO;
            reply.created(&VALID, &attributes, Generation(0), handle, direct);
        });
    }

    fn read(
        &self,
        request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = || {
            let mut piece = vec![0; size as usize];
            let length = self.file(handle)?.read_at(caller(request), &mut piece, offset)?;
            piece.truncate(length);
            Ok(piece)
        };
        answer!(reply, read(), |piece| reply.data(&piece));
    }

    fn write(
        &self,
        request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let write = || Ok(self.file(handle)?.write_at(caller(request), data, offset)?);
        answer!(reply, write(), |written| reply.written(written as u32));
    }

    fn flush(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // Each write is done when it is answered.
        reply.ok();
    }

    fn release(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.close(handle);
        reply.ok();
    }

    fn fsync(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let sync = || Ok(self.file(handle)?.sync()?);
        answer!(reply, sync(), |()| reply.ok());
    }

    fn opendir(&self, request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let flags = flags.0 | libc::O_DIRECTORY;
        let opened = self.path(number).and_then(|path| self.open_path(request, &path, flags));
        answer!(reply, opened, |file| reply.opened(self.keep(file), FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        answer!(reply, self.list(number, handle, offset, &mut reply), |()| reply.ok());
    }

    fn releasedir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.close(handle);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        // What is acknowledged is durable.
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _number: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 4096, MAX_NAME, 4096);
    }

    fn access(&self, request: &Request, number: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let looked_at = self.path(number).and_then(|path| {
            let stat = self.open_path(request, &path, LOOK)?.stat()?;
            // Who opens it sees what it may do with it, as its owner.
            let granted = i32::from(stat.st_mode >> 6 & 7);
            if mask.bits() & !granted == 0 { Ok(()) } else { Err(Errno::EACCES) }
        });
        answer!(reply, looked_at, |()| reply.ok());
    }

    fn poll(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        notifier: PollNotifier,
        events: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        let wanted = PollEvents::POLLIN | PollEvents::POLLRDNORM;
        // A file never keeps its writer waiting.
        let mut ready = events & (PollEvents::POLLOUT | PollEvents::POLLWRNORM);
        let waits = flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY);
        if events.intersects(wanted) {
            match self.poll_file(handle, waits.then_some(notifier)) {
                Ok(true) => ready |= events & wanted,
                Ok(false) => {}
                Err(errno) => return reply.error(errno),
            }
        }
        reply.poll(ready);
    }
}
