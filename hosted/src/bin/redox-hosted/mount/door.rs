//! Linux' requests on files, each asked of the scheme for whoever makes it.
//!
//! Nothing is kept between two requests, neither names nor attributes nor contents: what one user may see another
//! may not, and schemes change by themselves.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use hosted::on_behalf::Caller;

use super::files::{Answer, Changes, Files, NEVER};
use super::workers::Workers;

/// The most that one write brings, in bytes.
const MAX_WRITE: u32 = 1 << 20;

/// What is told of a file system without blocks of its own.
const BLOCK: u32 = 4096;
/// The longest name, in bytes: three for each of the longest that a key can have by default.
const MAX_NAME: u32 = 765;

/// The mount, as Linux asks it.
pub struct Door {
    files: Arc<Files>,
    workers: Workers,
}

impl Door {
    /// Through it these files are seen.
    pub fn new(files: Files) -> Self {
        Self { files: Arc::new(files), workers: Workers::default() }
    }

    /// Has a request answered, asking for whoever made it.
    fn serve(&self, request: &Request, answer: impl FnOnce(&Files, Caller) + Send + 'static) {
        let caller = Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() };
        let files = Arc::clone(&self.files);
        self.workers.run(caller.uid, move || answer(&files, caller));
    }

    /// As [`Self::serve`], for what answers nothing but whether it worked.
    fn carry_out(
        &self,
        request: &Request,
        reply: ReplyEmpty,
        act: impl FnOnce(&Files, Caller) -> Answer<()> + Send + 'static,
    ) {
        self.serve(request, move |files, caller| match act(files, caller) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        });
    }

    /// As [`Self::serve`], for what a name below a directory comes to; the name is UTF-8 by then.
    fn on_entry(
        &self,
        request: &Request,
        name: &OsStr,
        reply: ReplyEntry,
        act: impl FnOnce(&Files, Caller, &str) -> Answer<fuser::FileAttr> + Send + 'static,
    ) {
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::EINVAL);
        };
        self.serve(request, move |files, caller| match act(files, caller, &name) {
            Ok(attributes) => reply.entry(&NEVER, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        });
    }

    /// As [`Self::carry_out`], for what is to be removed.
    fn remove(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        flags: i32,
        reply: ReplyEmpty,
    ) {
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::EINVAL);
        };
        self.carry_out(request, reply, move |files, caller| {
            files.remove(parent, &name, flags, caller)
        });
    }
}

impl Filesystem for Door {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What a kernel lacks of these it does in more steps, or one after the other.
        for wish in [InitFlags::FUSE_ATOMIC_O_TRUNC, InitFlags::FUSE_PARALLEL_DIROPS] {
            let _ = config.add_capabilities(wish);
        }
        // It cannot be too much: fuser's own buffer is larger.
        let _ = config.set_max_write(MAX_WRITE);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.on_entry(request, name, reply, move |files, caller, name| {
            files.look_up(parent, name, caller)
        });
    }

    fn forget(&self, _: &Request, node: INodeNo, times: u64) {
        self.files.forget(node, times);
    }

    fn getattr(
        &self,
        request: &Request,
        node: INodeNo,
        file: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        self.serve(request, move |files, caller| match files.attributes(node, file, caller) {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(error) => reply.error(error),
        });
    }

    fn setattr(
        &self,
        request: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        file: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes { mode, uid, gid, size, accessed, modified };
        self.serve(request, move |files, caller| {
            match files.change(node, file, &changes, caller) {
                Ok(attributes) => reply.attr(&NEVER, &attributes),
                Err(error) => reply.error(error),
            }
        });
    }

    fn readlink(&self, request: &Request, node: INodeNo, reply: ReplyData) {
        self.serve(request, move |files, caller| match files.target(node, caller) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        });
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        self.on_entry(request, name, reply, move |files, caller, name| {
            files.make_directory(parent, name, caller)
        });
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(request, parent, name, 0, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(request, parent, name, libc::AT_REMOVEDIR, reply);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn open(&self, request: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.serve(request, move |files, caller| match files.open(node, flags.0, caller) {
            Ok(file) => reply.opened(file, uncached()),
            Err(error) => reply.error(error),
        });
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::EINVAL);
        };
        self.serve(request, move |files, caller| {
            match files.create(parent, &name, flags, caller) {
                Ok((attributes, file)) => {
                    reply.created(&NEVER, &attributes, Generation(0), file, uncached());
                }
                Err(error) => reply.error(error),
            }
        });
    }

    fn read(
        &self,
        request: &Request,
        _: INodeNo,
        file: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.serve(request, move |files, caller| {
            match files.read(file, offset, size as usize, caller) {
                Ok(bytes) => reply.data(&bytes),
                Err(error) => reply.error(error),
            }
        });
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        file: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let data = data.to_vec();
        self.serve(request, move |files, caller| match files.write(file, offset, &data, caller) {
            Ok(count) => reply.written(u32::try_from(count).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Each write is done when it is answered. What is only emptied waits for more: a shell closes what it opened
        // for `>` before anything is written, and the text is to be replaced at once.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        file: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files.close(file);
        reply.ok();
    }

    fn fsync(&self, request: &Request, _: INodeNo, file: FileHandle, _: bool, reply: ReplyEmpty) {
        self.carry_out(request, reply, move |files, _| files.sync(file));
    }

    fn opendir(&self, request: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.serve(request, move |files, caller| match files.open_directory(node, caller) {
            Ok(file) => reply.opened(file, FopenFlags::empty()),
            Err(error) => reply.error(error),
        });
    }

    fn readdir(
        &self,
        request: &Request,
        node: INodeNo,
        file: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.serve(request, move |files, caller| {
            match files.list(node, file, offset, caller, &mut reply) {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
        });
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        file: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.files.close(file);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        request: &Request,
        _: INodeNo,
        file: FileHandle,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.carry_out(request, reply, move |files, _| files.sync(file));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, BLOCK, MAX_NAME, BLOCK);
    }

    fn access(&self, request: &Request, node: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        self.carry_out(request, reply, move |files, caller| files.may(node, mask, caller));
    }

    fn poll(
        &self,
        request: &Request,
        _: INodeNo,
        file: FileHandle,
        notifier: PollNotifier,
        wanted: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        let notifier = flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY).then_some(notifier);
        self.serve(request, move |files, _| match files.poll(file, wanted, notifier) {
            Ok(ready) => reply.poll(ready),
            Err(error) => reply.error(error),
        });
    }
}

/// How files are opened: each read and each write is the scheme's.
fn uncached() -> FopenFlags {
    FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
}
