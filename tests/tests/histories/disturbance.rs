//! What happens to loregd in the middle of a history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use registry_tests::daemons::{check_hives, loregd};
use registry_tests::harness::{PATIENCE, Process};
use rustix::process::{Pid, Signal, kill_process};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// loregd is killed, and started again.
    Kill,
    /// It stands still until somebody was told that his time was over.
    Freeze,
}

/// What happens to loregd in one history.
#[derive(Debug)]
pub struct Disturbance<'a> {
    source: &'a Mutex<Process>,
    /// What, and before which operation.
    planned: Option<(What, u64)>,
    operations: AtomicU64,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl<'a> Disturbance<'a> {
    pub fn new(source: &'a Mutex<Process>, planned: Option<(What, u64)>) -> Disturbance<'a> {
        let (is_over, over) = (Mutex::new(planned.is_none()), Condvar::new());
        Disturbance { source, planned, operations: AtomicU64::new(0), is_over, over }
    }

    /// A client is about to carry out an operation: perhaps this is the moment.
    pub fn before_operation(&self) {
        let before = self.operations.fetch_add(1, Ordering::SeqCst);
        match self.planned {
            Some((What::Kill, at)) if at == before => {
                let mut source = self.source.lock().expect("no client panicked");
                source.kill();
                check_hives();
                *source = loregd(&[]);
                self.end();
            }
            Some((What::Freeze, at)) if at == before => self.signal(Signal::STOP),
            _ => {}
        }
    }

    /// A client was told that loregd is not there.
    ///
    /// # Panics
    ///
    /// If that cannot be, or if it does not come back.
    pub fn wait_for_return(&self) {
        assert!(matches!(self.planned, Some((What::Kill, _))), "EIO from a source that is up");
        let is_over = self.is_over.lock().expect("no client panicked");
        let waited = self.over.wait_timeout_while(is_over, PATIENCE, |is_over| !*is_over);
        let (is_over, _) = waited.expect("no client panicked");
        assert!(*is_over, "loregd does not come back");
    }

    /// A client was told that its time was over, or no client is at work any more.
    pub fn thaw(&self) {
        if matches!(self.planned, Some((What::Freeze, _))) {
            self.signal(Signal::CONT);
            self.end();
        }
    }

    /// How many operations were begun.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    fn end(&self) {
        *self.is_over.lock().expect("no client panicked") = true;
        self.over.notify_all();
    }

    fn signal(&self, signal: Signal) {
        let source = self.source.lock().expect("no client panicked");
        let pid = Pid::from_raw(source.id() as i32).expect("a process id");
        kill_process(pid, signal).expect("a signal to loregd");
    }
}
