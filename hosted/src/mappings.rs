//! Memory that a scheme shares with its clients.
//!
//! On Redox a scheme answers a request to map a file with an address of its own, and the kernel maps that memory into
//! the client, too. Here what a daemon maps to share is a memfd that it alone can write, and the answer takes the
//! memfd along.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Bound;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use syscall::schemev2::Opcode;

use crate::client::{self, Handle, Payload};
use crate::errno::{Errno, Result, check};
use crate::flags;
use crate::sys;

/// What this process shares, by address.
static SHARED: Mutex<BTreeMap<usize, Shared>> = Mutex::new(BTreeMap::new());

struct Shared {
    len: usize,
    memory: File,
}

/// A mapping to be made, in Linux' numbers.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) len: usize,
    pub(crate) protection: libc::c_int,
    pub(crate) flags: libc::c_int,
    pub(crate) offset: libc::off_t,
}

fn shared() -> MutexGuard<'static, BTreeMap<usize, Shared>> {
    // No code between two consistent states panics.
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wanted {
    /// Maps it at an address of the kernel's choice, which is the only one that is to be had here.
    fn map(self, fd: RawFd) -> Result<usize> {
        let Wanted { len, protection, flags, offset } = self;
        // SAFETY: a new mapping, not at an address of the caller's, touches nothing that exists.
        let address = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, offset) };
        if address == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(address.addr()) }
    }

    /// Memory without a file; what is shared can be passed on to clients.
    pub(crate) fn map_memory(self) -> Result<usize> {
        if self.flags & libc::MAP_SHARED == 0 {
            return Wanted { flags: self.flags | libc::MAP_ANONYMOUS, offset: 0, ..self }.map(-1);
        }
        let memory = sys::sealed_memory(self.len)?;
        let address = Wanted { offset: 0, ..self }.map(memory.as_raw_fd())?;
        if let Err(error) = sys::seal_for_others(&memory) {
            unmap(address, self.len)?;
            return Err(error);
        }
        shared().insert(address, Shared { len: self.len, memory });
        Ok(address)
    }

    /// A descriptor's file.
    pub(crate) fn map_file(self, fd: RawFd) -> Result<usize> {
        let handle = match Handle::of(fd) {
            Ok(handle) => handle,
            Err(Errno(libc::ENOTSOCK)) => return self.map(fd),
            Err(error) => return Err(error),
        };
        let flags = flags::map_flags_to_redox(self.protection, self.flags);
        let args = [self.len as u64, flags as u64, self.offset as u64];
        let mut answer = handle.request(Opcode::MmapPrep as u8, args, Payload::None)?;
        let offset = answer.value as libc::off_t;
        let memory = client::one_fd(&mut answer)?;
        Wanted { offset, ..self }.map(memory.as_raw_fd())
    }
}

/// Takes a mapping away.
pub(crate) fn unmap(address: usize, len: usize) -> Result<()> {
    shared().remove(&address);
    let address = ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller gives the memory up.
    check(unsafe { libc::munmap(address, len) }).map(drop)
}

/// The memory at an address that a scheme answered, and where in it that is.
pub(crate) fn at(address: usize) -> Result<(OwnedFd, usize)> {
    let shared = shared();
    let upto = (Bound::Unbounded, Bound::Included(address));
    let found = shared.range(upto).next_back();
    let (start, Shared { memory, .. }) =
        found.filter(|(start, found)| address - **start < found.len).ok_or(Errno(libc::EFAULT))?;
    Ok((memory.as_fd().try_clone_to_owned()?, address - start))
}
