//! The generation page (INTERFACES §1), mapped.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use lcs_abi::call::{GENERATION_PAGE, GENERATION_WORDS};
use libredox::Fd;
use libredox::call::{MmapArgs, mmap, munmap};
use libredox::flag::{MAP_SHARED, PROT_READ};

/// LCS's page, to be read.
pub(crate) struct Page(NonNull<[AtomicU64; GENERATION_WORDS]>);

// SAFETY: the mapping is the process's, not a thread's, and is only ever read, atomically.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// Maps the page of a root handle. `None`: there is none to be had, and LCS has to be asked each time.
    pub(crate) fn map(root: &Fd) -> Option<Page> {
        let page = MmapArgs {
            addr: std::ptr::null_mut(),
            length: GENERATION_PAGE,
            prot: PROT_READ,
            flags: MAP_SHARED,
            fd: root.raw(),
            offset: 0,
        };
        // SAFETY: a new mapping at an address of the system's choice touches nothing that exists.
        let address = unsafe { mmap(page) }.ok()?;
        NonNull::new(address.cast()).map(Page)
    }

    /// A word as it is now. Whatever LCS did before it answered anybody is seen by whoever has that answer.
    pub(crate) fn word(&self, slot: u32) -> Option<u64> {
        // SAFETY: the mapping has that many words, and is there as long as `self` is. LCS steps them atomically.
        let words = unsafe { self.0.as_ref() };
        words.get(slot as usize).map(|word| u64::from_le(word.load(Ordering::SeqCst)))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the address is that of the mapping, and nobody has a reference into it any more. Nothing can be
        // done about a failure, which leaves the page where it is.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), GENERATION_PAGE) };
    }
}
