//! `reg:` as files (INTERFACES §1): what the kernel and libc ask of files, said as operations of the registry.

use std::rc::Rc;

use lcs_core::registry::{Caller, Directory, Error, FileKind, FileStat, HandleId, OpenFlags};
use redox_scheme::CallerCtx;
use syscall::dirent::{DirEntry, DirentBuf, DirentKind};
use syscall::error::{EBADF, EINVAL, ENAMETOOLONG, EOPNOTSUPP};
use syscall::flag::{
    AT_REMOVEDIR, EventFlags, MODE_DIR, MODE_FILE, MODE_PERM, MODE_SYMLINK, O_APPEND, O_CREAT,
    O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_STAT, O_SYMLINK, O_TRUNC, O_WRONLY, StdFsCallKind,
};
use syscall::schemev2::Opcode;
use syscall::{Stat, StatVfs, TimeSpec};

use crate::call::{Call, Reply};
use crate::errno;
use crate::event_loop::Shared;
use crate::outbox::Outbox;
use crate::raw::Incoming;
use crate::reg::{give, read_bytes, write_bytes};

/// The longest path that is looked at, in bytes: every byte of the longest one that a setting allows may be
/// written as three.
const MAX_PATH: usize = 3 * 65536;

/// The most of a directory that one read gives, in bytes.
const MAX_LISTING: usize = 256 << 10;

/// What is told as the size of a block, in bytes.
const BLOCK: u32 = 4096;

/// The unit in which blocks are counted, in bytes.
const COUNTED: u64 = 512;

const NANOSECONDS: i64 = 1_000_000_000;

/// An operation on a file's or a directory's handle.
enum Operation {
    Stat,
    StatVfs,
    Size,
    Path,
    List {
        offset: u64,
        header_size: u16,
    },
    Sync,
    Truncate(u64),
    /// Sets times; which ones does not matter.
    Times,
    Chmod(u16),
    Chown(u32, u32),
    /// A path below the handle, for whom the handle acts for.
    Unlink {
        flags: usize,
    },
}

/// Which operation a request is; EOPNOTSUPP if it is none of a file.
fn operation(incoming: &Incoming) -> Result<Operation, i32> {
    let arg = |index| incoming.arg(index);
    Ok(match incoming.opcode().ok_or(EOPNOTSUPP)? {
        Opcode::Fstat => Operation::Stat,
        Opcode::Fstatvfs => Operation::StatVfs,
        Opcode::Fsize => Operation::Size,
        Opcode::Fpath => Operation::Path,
        Opcode::Getdents => Operation::List { offset: arg(4), header_size: arg(3) as u16 },
        Opcode::Fsync => Operation::Sync,
        Opcode::Ftruncate => Operation::Truncate(arg(1)),
        Opcode::Futimens => Operation::Times,
        Opcode::Fchmod => Operation::Chmod(arg(1) as u16),
        Opcode::Fchown => Operation::Chown(arg(1) as u32, arg(2) as u32),
        Opcode::StdFsCall => return std_fs_operation(incoming),
        _ => return Err(EOPNOTSUPP),
    })
}

/// The same operations as the standard library's calls: kind and arguments are the client's words, as is who it
/// says it is, which is not looked at.
fn std_fs_operation(incoming: &Incoming) -> Result<Operation, i32> {
    if incoming.names_several_handles() {
        return Err(EOPNOTSUPP);
    }
    let kind = u8::try_from(incoming.arg(3)).ok().and_then(StdFsCallKind::try_from_raw);
    let (first, second, length) = (incoming.arg(4), incoming.arg(5), incoming.buffer_len());
    let of_length = |operation, expected| {
        if length == expected { Ok(operation) } else { Err(EINVAL) }
    };
    match kind.ok_or(EOPNOTSUPP)? {
        StdFsCallKind::Fstat => of_length(Operation::Stat, size_of::<Stat>()),
        StdFsCallKind::Fstatvfs => of_length(Operation::StatVfs, size_of::<StatVfs>()),
        StdFsCallKind::Futimens => of_length(Operation::Times, 2 * size_of::<TimeSpec>()),
        StdFsCallKind::Getdents => {
            Ok(Operation::List { offset: first, header_size: second as u16 })
        }
        StdFsCallKind::Fsync => Ok(Operation::Sync),
        StdFsCallKind::Ftruncate => Ok(Operation::Truncate(first)),
        StdFsCallKind::Fchmod => Ok(Operation::Chmod(first as u16)),
        StdFsCallKind::Fchown => Ok(Operation::Chown(first as u32, (first >> 32) as u32)),
        StdFsCallKind::Unlinkat => Ok(Operation::Unlink { flags: first as usize }),
        _ => Err(EOPNOTSUPP),
    }
}

/// How a file is to be opened.
fn open_flags(flags: usize) -> OpenFlags {
    let of =
        |bit: usize, flag: OpenFlags| if flags & bit == bit { flag } else { OpenFlags::empty() };
    let mut open = of(O_APPEND, OpenFlags::APPEND)
        | of(O_TRUNC, OpenFlags::TRUNCATE)
        | of(O_CREAT, OpenFlags::CREATE)
        | of(O_EXCL, OpenFlags::EXCLUSIVE)
        | of(O_DIRECTORY, OpenFlags::DIRECTORY)
        | of(O_SYMLINK, OpenFlags::LINK_ITSELF)
        | of(O_NOFOLLOW, OpenFlags::NO_FOLLOW);
    // Only to be looked at: neither read nor written.
    if flags & O_STAT == 0 {
        open |= of(O_RDONLY, OpenFlags::READ) | of(O_WRONLY, OpenFlags::WRITE);
    }
    open
}

/// The path of a request that has one.
fn path(incoming: &Incoming) -> Result<String, i32> {
    if incoming.buffer_len() > MAX_PATH {
        return Err(ENAMETOOLONG);
    }
    String::from_utf8(incoming.copy_in()).map_err(|_| EINVAL)
}

/// Opens what a path leads to from `base`, for whom the kernel says.
pub fn open_at(
    shared: &Rc<Shared>,
    outbox: &Rc<Outbox>,
    incoming: Incoming,
    base: Option<HandleId>,
) {
    let (context, path) = (incoming.caller(), path(&incoming));
    let flags = open_flags((incoming.arg(3) | incoming.arg(4)) as usize);
    let call = Call::new(incoming, outbox, &shared.clock);
    let path = match path {
        Ok(path) => path,
        Err(errno) => {
            call.answer(Reply::Opened(Err(errno)));
            return;
        }
    };
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        let opened = match own.identity.caller(&context).await {
            Ok(caller) => {
                own.registry.open_file(base, &caller, &path, flags).await.map_err(|error| {
                    log::debug!("{}: {path}: {error}", caller.token.user());
                    errno::of(&error)
                })
            }
            Err(errno) => Err(errno),
        };
        give(&own, &answered, opened);
    });
}

/// Removes what a path leads to from `base`, for whom the kernel says.
pub fn unlink_at(
    shared: &Rc<Shared>,
    outbox: &Rc<Outbox>,
    incoming: Incoming,
    base: Option<HandleId>,
) {
    let (context, path) = (incoming.caller(), path(&incoming));
    let flags = incoming.arg(3) as usize;
    let call = Call::new(incoming, outbox, &shared.clock);
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        let removed = async {
            let caller = own.identity.caller(&context as &CallerCtx).await?;
            unlink(&own, base, Some(&caller), &path?, flags).await
        };
        answered.answer(Reply::Status(removed.await));
    });
}

async fn unlink(
    shared: &Shared,
    base: Option<HandleId>,
    caller: Option<&Caller>,
    path: &str,
    flags: usize,
) -> Result<usize, i32> {
    let directory = match flags {
        0 => false,
        AT_REMOVEDIR => true,
        _ => return Err(EINVAL),
    };
    let removed = shared.registry.unlink_file(base, caller, path, directory).await;
    removed.map(|()| 0).map_err(|error| errno::of(&error))
}

/// Reads from a file.
pub fn read(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, handle: HandleId) {
    let offset = incoming.arg(3);
    read_bytes(shared, outbox, incoming, handle, async move |shared, _, bytes| {
        shared.registry.read_file(handle, offset, bytes).await
    });
}

/// Writes to a file.
pub fn write(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, handle: HandleId) {
    let (offset, append) = (incoming.arg(3), incoming.arg(4) as usize & O_APPEND != 0);
    write_bytes(shared, outbox, incoming, handle, async move |shared, piece| {
        shared.registry.write_file(handle, piece, offset, append).await
    });
}

/// Tells what a file is ready for; later, when its value has changed, it is told again.
pub fn poll(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, handle: HandleId) {
    let asked = EventFlags::from_bits_truncate(incoming.arg(1) as usize);
    let call = Call::new(incoming, outbox, &shared.clock);
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        // A file never keeps its writer waiting.
        let mut ready = asked & EventFlags::EVENT_WRITE;
        let polled = match own.registry.poll_file(handle).await {
            Ok(true) => {
                ready |= asked & EventFlags::EVENT_READ;
                Ok(ready.bits())
            }
            Ok(false) | Err(Error::BadHandle) => Ok(ready.bits()),
            Err(error) => Err(errno::of(&error)),
        };
        answered.answer(Reply::Status(polled));
    });
}

/// Carries out another operation of files, if it is one.
pub fn request(shared: &Rc<Shared>, outbox: &Rc<Outbox>, incoming: Incoming, handle: HandleId) {
    let operation = operation(&incoming);
    // Only operations with a path, or a buffer to be filled, have one.
    let length = match &operation {
        Ok(
            Operation::Path
            | Operation::List { .. }
            | Operation::Stat
            | Operation::StatVfs
            | Operation::Unlink { .. },
        ) => incoming.buffer_len(),
        _ => 0,
    };
    let call = Call::new(incoming, outbox, &shared.clock);
    let (own, answered) = (Rc::clone(shared), Rc::clone(&call));
    shared.start(call, async move {
        let done = match operation {
            Ok(operation) => operate(&own, handle, operation, length, &answered).await,
            Err(errno) => Err(errno),
        };
        answered.answer(done.unwrap_or_else(|errno| Reply::Status(Err(errno))));
    });
}

async fn operate(
    shared: &Shared,
    handle: HandleId,
    operation: Operation,
    length: usize,
    call: &Call,
) -> Result<Reply, i32> {
    let registry = &shared.registry;
    let errno = |error: Error| errno::of(&error);
    let stat = || async { registry.stat_file(handle).await.map_err(errno) };
    let done = |()| Reply::Status(Ok(0));
    match operation {
        Operation::Stat if length < size_of::<Stat>() => Err(EINVAL),
        Operation::Stat => Ok(Reply::Filled(stat().await.map(stat_of)?.to_vec())),
        Operation::StatVfs if length < size_of::<StatVfs>() => Err(EINVAL),
        Operation::StatVfs => {
            registry.file_path(handle).map_err(errno)?;
            let vfs = StatVfs { f_bsize: BLOCK, ..StatVfs::default() };
            Ok(Reply::Filled(vfs.to_vec()))
        }
        Operation::Size => {
            let size = stat().await?.size;
            Ok(Reply::Status(usize::try_from(size).map_err(|_| EINVAL)))
        }
        Operation::Path => {
            let path = registry.file_path(handle).map_err(errno)?;
            if path.len() > length { Err(ENAMETOOLONG) } else { Ok(Reply::Bytes(path.into())) }
        }
        Operation::List { offset, header_size } => {
            let listed = registry.list_directory(handle, offset == 0).await.map_err(errno)?;
            list(&listed, offset, header_size, length.min(MAX_LISTING)).map(Reply::Bytes)
        }
        Operation::Sync => registry.sync_file(handle).await.map(done).map_err(errno),
        Operation::Truncate(to) => {
            registry.truncate_file(handle, to).await.map(done).map_err(errno)
        }
        // The last write is the registry's; whoever wants to set it is content.
        Operation::Times => registry.file_path(handle).map(|_| done(())).map_err(errno),
        Operation::Chmod(mode) => {
            let same = mode & MODE_PERM == permissions(&stat().await?);
            if same { Ok(done(())) } else { Err(EOPNOTSUPP) }
        }
        Operation::Chown(uid, gid) => {
            let stat = stat().await?;
            let same = |id: u32, is: u32| id == u32::MAX || id == is;
            let same = same(uid, stat.uid) && same(gid, stat.gid);
            if same { Ok(done(())) } else { Err(EOPNOTSUPP) }
        }
        Operation::Unlink { flags } => {
            let path = call.copy_in_at_most(length.min(MAX_PATH)).ok_or(EBADF)?;
            let path = String::from_utf8(path).map_err(|_| EINVAL)?;
            unlink(shared, Some(handle), None, &path, flags).await.map(|_| done(()))
        }
    }
}

/// What of a directory's entries fits, from one on.
fn list(
    directory: &Directory,
    offset: u64,
    header_size: u16,
    length: usize,
) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0; length];
    let mut buffer = DirentBuf::new(&mut bytes[..], header_size).ok_or(EINVAL)?;
    let all = directory.entries();
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
    let mut listed = false;
    for (entry, next_opaque_id) in all[start..].iter().zip(start as u64 + 1..) {
        let kind = match entry.kind {
            FileKind::Directory => DirentKind::Directory,
            FileKind::Link => DirentKind::Symlink,
            FileKind::Value => DirentKind::Regular,
        };
        let entry = DirEntry { inode: entry.inode, next_opaque_id, name: &entry.name, kind };
        match buffer.entry(entry) {
            Ok(()) => listed = true,
            Err(error) if !listed => return Err(error.errno),
            Err(_) => break,
        }
    }
    let written = buffer.finalize();
    bytes.truncate(written);
    Ok(bytes)
}

/// Who opened a file sees what it may do with it, as its owner; nothing is said of others.
fn permissions(stat: &FileStat) -> u16 {
    let bit = |is: bool, bit: u16| if is { bit } else { 0 };
    bit(stat.readable, 0o400)
        | bit(stat.writable, 0o200)
        | bit(stat.kind == FileKind::Directory, 0o100)
}

fn stat_of(stat: FileStat) -> Stat {
    let kind = match stat.kind {
        FileKind::Directory => MODE_DIR,
        FileKind::Link => MODE_SYMLINK,
        FileKind::Value => MODE_FILE,
    };
    let seconds = stat.last_write.div_euclid(NANOSECONDS).max(0) as u64;
    let nanoseconds = stat.last_write.rem_euclid(NANOSECONDS) as u32;
    Stat {
        st_ino: stat.inode,
        st_mode: kind | permissions(&stat),
        // Of a directory, too: nobody is to conclude from it how many subkeys there are.
        st_nlink: 1,
        st_uid: stat.uid,
        st_gid: stat.gid,
        st_size: stat.size,
        st_blksize: BLOCK,
        st_blocks: stat.size.div_ceil(COUNTED),
        st_mtime: seconds,
        st_mtime_nsec: nanoseconds,
        st_atime: seconds,
        st_atime_nsec: nanoseconds,
        st_ctime: seconds,
        st_ctime_nsec: nanoseconds,
        ..Stat::default()
    }
}
