//! The generation page (DESIGN §15) in memory that clients can map, and the time after which no answer of an earlier
//! LCS is in use any more.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_channel::oneshot;
use lcs_abi::call::{GENERATION_PAGE, GENERATION_WORDS, GUARD_MS};
use libredox::call::{MmapArgs, mmap};
use libredox::error::Result;
use libredox::flag;
use uuid::Uuid;

use crate::deadlines::Moment;

/// The page. It stays for as long as the process lives.
#[derive(Clone, Copy)]
pub struct Generations(&'static [AtomicU64; GENERATION_WORDS]);

impl Generations {
    /// A page whose words begin at random.
    ///
    /// # Errors
    /// The system has no page to share.
    pub fn new() -> Result<Generations> {
        let page = MmapArgs {
            addr: std::ptr::null_mut(),
            length: GENERATION_PAGE,
            prot: flag::PROT_READ | flag::PROT_WRITE,
            flags: flag::MAP_SHARED,
            // No file: memory of this process's own.
            fd: usize::MAX,
            offset: 0,
        };
        // SAFETY: a new mapping at an address of the system's choice touches nothing that exists.
        let address = unsafe { mmap(page)? }.cast::<[AtomicU64; GENERATION_WORDS]>();
        // SAFETY: the page is that long, begins at a multiple of its length, is all zeros, and is never unmapped.
        // Others can only map it to read.
        let words = unsafe { &*address };
        for pair in words.chunks(2) {
            let random = Uuid::new_v4().as_u128();
            for (word, shift) in pair.iter().zip([0, 64]) {
                word.store((random >> shift) as u64, Ordering::SeqCst);
            }
        }
        Ok(Generations(words))
    }

    /// Its words.
    pub fn words(self) -> &'static [AtomicU64] {
        self.0
    }

    /// Where it is in this process.
    pub fn address(self) -> usize {
        self.0.as_ptr().addr()
    }
}

/// The time in which clients of an earlier LCS, who do not know yet that it is gone, may give its answers again. Who
/// would change something waits for its end.
pub struct OldAnswers {
    end: Moment,
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

impl OldAnswers {
    /// If the earlier LCS is gone by now.
    pub fn from(now: Moment) -> OldAnswers {
        let end = now.after(Duration::from_millis(GUARD_MS));
        OldAnswers { end, waiting: RefCell::default() }
    }

    /// Waits until there are none.
    pub fn end(&self) -> impl Future<Output = ()> + 'static {
        let over = if Moment::now() >= self.end {
            None
        } else {
            let (sender, over) = oneshot::channel();
            self.waiting.borrow_mut().push(sender);
            Some(over)
        };
        async move {
            if let Some(over) = over {
                // LCS keeps its end until it has told it.
                let _ = over.await;
            }
        }
    }

    /// Tells those who wait, if their time has come; else when it will have.
    pub fn tell(&self, now: Moment) -> Option<Moment> {
        let mut waiting = self.waiting.borrow_mut();
        if now >= self.end {
            for waits in waiting.drain(..) {
                // Whoever waited may have given up.
                let _ = waits.send(());
            }
        }
        (!waiting.is_empty()).then_some(self.end)
    }
}
