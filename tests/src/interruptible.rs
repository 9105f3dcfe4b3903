//! Work that a signal interrupts.

use std::fs;
use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle, yield_now};

use rustix::thread::gettid;

use crate::eventually::eventually;
use crate::registry::registry;

/// Work in a thread that can be interrupted.
pub struct Interruptible<'scope, T> {
    thread: i32,
    work: ScopedJoinHandle<'scope, T>,
}

extern "C" fn ignore(_signal: libc::c_int) {}

impl<'scope, T: Send + 'scope> Interruptible<'scope, T> {
    /// Begins it.
    ///
    /// # Panics
    ///
    /// If there is no thread to be had.
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> Self {
        // SAFETY: the handler does nothing, and sigaction is plain data.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ignore as *const () as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
        let (sender, receiver) = mpsc::channel();
        let work = scope.spawn(move || {
            sender.send(gettid().as_raw_nonzero().get()).expect("a test");
            work()
        });
        Interruptible { thread: receiver.recv().expect("a thread"), work }
    }

    /// Interrupts it once.
    pub fn interrupt(&self) {
        // SAFETY: takes no pointers. A thread that has ended is no error of ours.
        unsafe {
            libc::syscall(libc::SYS_tgkill, std::process::id(), self.thread, libc::SIGUSR1);
        }
    }

    /// Waits until it waits for the answer of a scheme, which has the request then or will have it before any
    /// later one on the same handle.
    ///
    /// # Panics
    ///
    /// If it ends before.
    pub fn waits(&self) {
        let recvmsg = libc::SYS_recvmsg.to_string();
        let file = format!("/proc/self/task/{}/syscall", self.thread);
        let waits = || {
            let call = fs::read_to_string(&file).unwrap_or_default();
            call.split(' ').next() == Some(&recvmsg)
        };
        while !waits() {
            assert!(!self.work.is_finished(), "it did not wait");
            yield_now();
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.work.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it did.
    pub fn join(self) -> T {
        self.work.join().expect("the work")
    }

    /// Interrupts it until it ends.
    ///
    /// # Panics
    ///
    /// If it did, or does not end.
    pub fn ends(self) -> T {
        eventually("an end", || {
            self.interrupt();
            self.work.is_finished().then_some(())
        });
        self.join()
    }

    /// Interrupts it again and again, while LCS answers others.
    ///
    /// # Panics
    ///
    /// If it ends.
    pub fn goes_on(&self) {
        for _ in 0..50 {
            self.interrupt();
            registry().status().expect("a status");
            assert!(!self.work.is_finished(), "it was given up");
        }
    }
}
