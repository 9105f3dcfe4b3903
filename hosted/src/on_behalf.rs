//! Files of a scheme, opened and used on behalf of somebody else.
//!
//! A daemon believes who is named only from its own user and from root, who are SYSTEM to it anyway: nobody gains
//! by it. The FUSE door is made of this: it says for whom the kernel asks it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use libc::c_int;
use syscall::data::{Stat, TimeSpec};
use syscall::dirent::{DirentHeader, DirentIter};
use syscall::flag::{EventFlags, StdFsCallKind};
use syscall::schemev2::Opcode;

use crate::client::{self, Handle, Payload};
use crate::errno::{Errno, Result};
use crate::wire::{INLINE_MAX, Someone};
use crate::{flags, paths};

/// Who asks, as the system numbers them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The process; 0 if it is not known.
    pub pid: u32,
}

impl From<Caller> for Someone {
    fn from(Caller { uid, gid, pid }: Caller) -> Someone {
        Someone { uid, gid, pid }
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is: `syscall::dirent::DirentKind`.
    pub kind: u8,
    /// Where the list goes on behind it.
    pub next: u64,
}

/// An open file of a scheme, which belongs to whom it was opened for.
#[derive(Debug)]
pub struct File(OwnedFd);

impl File {
    /// Opens `path` of a scheme for somebody, with Linux' open flags.
    ///
    /// # Errors
    ///
    /// The scheme's; EPERM if its daemon does not believe this process; ENODEV if there is none.
    pub fn open(caller: Caller, scheme: &str, path: &str, open_flags: c_int) -> io::Result<File> {
        let args = [flags::open_flags_to_redox(open_flags) as u64, 0, 0];
        let mut answer = paths::with_root(scheme, |root| {
            let payload = Payload::In(path.as_bytes());
            Handle::of(root)?.request_for(caller.into(), Opcode::OpenAt, args, false, payload)
        })?;
        Ok(File(client::one_fd(&mut answer)?))
    }

    fn handle(&self) -> Result<Handle> {
        Handle::of(self.0.as_raw_fd())
    }

    /// A std-fs call: it acts for whom the file was opened for.
    fn call(&self, kind: StdFsCallKind, args: [u64; 2], payload: Payload<'_>) -> Result<usize> {
        let words = [kind as u64, args[0], args[1]];
        Ok(self.handle()?.request(Opcode::StdFsCall as u8, words, payload)?.value)
    }

    /// What is known of it.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn stat(&self) -> io::Result<Stat> {
        let mut stat = Stat::default();
        self.call(StdFsCallKind::Fstat, [0; 2], Payload::Out(&mut stat))?;
        Ok(stat)
    }

    /// Reads at a place.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn read_at(&self, caller: Caller, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let room = buffer.len();
        let payload = Payload::Out(buffer);
        let answer = self.handle()?.request_for(
            caller.into(),
            Opcode::Read,
            [offset, 0, 0],
            true,
            payload,
        )?;
        Ok(answer.value.min(room))
    }

    /// Writes at a place.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn write_at(&self, caller: Caller, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let payload = Payload::In(bytes);
        let args = [offset, 0, 0];
        Ok(self.handle()?.request_for(caller.into(), Opcode::Write, args, true, payload)?.value)
    }

    /// Makes it so long.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn truncate(&self, length: u64) -> io::Result<()> {
        self.call(StdFsCallKind::Ftruncate, [length, 0], Payload::None)?;
        Ok(())
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn sync(&self) -> io::Result<()> {
        self.call(StdFsCallKind::Fsync, [0; 2], Payload::None)?;
        Ok(())
    }

    /// Changes permission bits.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn set_mode(&self, mode: u16) -> io::Result<()> {
        self.call(StdFsCallKind::Fchmod, [mode.into(), 0], Payload::None)?;
        Ok(())
    }

    /// Changes owner and group; `None` leaves one as it is.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let word = |id: Option<u32>| u64::from(id.unwrap_or(u32::MAX));
        self.handle()?.request(Opcode::Fchown as u8, [word(uid), word(gid), 0], Payload::None)?;
        Ok(())
    }

    /// Asks for other times of access and modification.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn set_times(&self, times: [(i64, i32); 2]) -> io::Result<()> {
        let mut bytes = [0; 2 * size_of::<TimeSpec>()];
        for (chunk, (tv_sec, tv_nsec)) in bytes.chunks_exact_mut(size_of::<TimeSpec>()).zip(times) {
            chunk.copy_from_slice(&TimeSpec { tv_sec, tv_nsec });
        }
        self.call(StdFsCallKind::Futimens, [0; 2], Payload::In(&bytes))?;
        Ok(())
    }

    /// What of a directory comes next; nothing at its end.
    ///
    /// # Errors
    ///
    /// The scheme's; EIO if what it lists is no list.
    pub fn list(&self, offset: u64) -> io::Result<Vec<Entry>> {
        let mut buffer = vec![0; INLINE_MAX];
        let args = [offset, size_of::<DirentHeader>() as u64];
        let length = self.call(StdFsCallKind::Getdents, args, Payload::Out(&mut buffer))?;
        let listed = buffer.get(..length).ok_or(Errno(libc::EIO))?;
        DirentIter::new(listed)
            .map(|entry| {
                let (header, name) = entry.map_err(|_| Errno(libc::EIO))?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                let name = String::from_utf8(name.to_owned()).map_err(|_| Errno(libc::EIO))?;
                Ok(Entry { name, kind: header.kind, next: header.next_opaque_id })
            })
            .collect()
    }

    /// Whether there is something to read; if not, the descriptor becomes readable when that changes.
    ///
    /// # Errors
    ///
    /// The scheme's.
    pub fn is_readable(&self) -> io::Result<bool> {
        let handle = self.handle()?;
        // What they told of is asked for now.
        handle.drain_tokens()?;
        let read = EventFlags::EVENT_READ;
        let ready = EventFlags::from_bits_truncate(handle.fevent(read.bits() as u64)?);
        Ok(ready.contains(read))
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Removes a file of a scheme for somebody, or a directory (`libc::AT_REMOVEDIR`).
///
/// # Errors
///
/// As for [`File::open`].
pub fn unlink(caller: Caller, scheme: &str, path: &str, unlink_flags: c_int) -> io::Result<()> {
    let args = [unlink_flags as u64, 0, 0];
    paths::with_root(scheme, |root| {
        let payload = Payload::In(path.as_bytes());
        Handle::of(root)?.request_for(caller.into(), Opcode::UnlinkAt, args, false, payload)
    })?;
    Ok(())
}
