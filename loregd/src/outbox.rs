//! What threads have to say to LCS, until the thread that holds the connection takes it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// Frames that wait to be written, and a pipe that is readable when somebody should look.
pub(crate) struct Outbox {
    contents: Mutex<Contents>,
    /// A byte is in the pipe, or about to be.
    woken: AtomicBool,
    pipe: (PipeReader, PipeWriter),
}

#[derive(Default)]
struct Contents {
    frames: Vec<Vec<u8>>,
    /// Why this process is to end.
    end: Option<Error>,
}

impl Outbox {
    pub(crate) fn new() -> Result<Self, Error> {
        let pipe = io::pipe().map_err(|error| Error::System { what: "pipe", error })?;
        Ok(Outbox { contents: Mutex::default(), woken: AtomicBool::new(false), pipe })
    }

    /// The descriptor to wait for.
    pub(crate) fn descriptor(&self) -> usize {
        // A descriptor is never negative.
        self.pipe.0.as_raw_fd() as usize
    }

    /// Adds whole frames, which are then written together as far as they fit.
    pub(crate) fn push(&self, frames: Vec<Vec<u8>>) {
        if frames.is_empty() {
            return;
        }
        self.with(|contents| contents.frames.extend(frames));
        self.wake();
    }

    /// Makes this process end, for this reason, which [`Outbox::take`] gives.
    pub(crate) fn end(&self, reason: Error) {
        self.with(|contents| contents.end = Some(reason));
        self.wake();
    }

    /// Makes the descriptor readable.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // It fails only when the reader is gone, and that is a field of the same struct.
            let _ = (&self.pipe.1).write(&[0]);
        }
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> Result<Vec<Vec<u8>>, Error> {
        if self.woken.swap(false, Ordering::AcqRel) {
            // The byte is there, or its writer is between both lines of `wake`.
            (&self.pipe.0)
                .read_exact(&mut [0])
                .map_err(|error| Error::System { what: "pipe", error })?;
        }
        self.with(|contents| match contents.end.take() {
            Some(reason) => Err(reason),
            None => Ok(std::mem::take(&mut contents.frames)),
        })
    }

    fn with<R>(&self, work: impl FnOnce(&mut Contents) -> R) -> R {
        // Whoever panicked had no half-made change in hand.
        work(&mut self.contents.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use event::{EventFlags, EventQueue};

    use super::*;

    #[test]
    fn many_pushes_make_one_wake_up_and_each_later_one_another() {
        let outbox = Outbox::new().unwrap();
        let events = EventQueue::<usize>::new().unwrap();
        events.subscribe(outbox.descriptor(), 0, EventFlags::READ).unwrap();
        for round in 0..3 {
            outbox.push(vec![vec![round]]);
            outbox.push(vec![vec![round], vec![round]]);
            events.next_event().unwrap();
            assert_eq!(outbox.take().unwrap(), vec![vec![round]; 3]);
            assert!(outbox.take().unwrap().is_empty());
        }
    }

    #[test]
    fn what_ends_the_process_is_heard_of() {
        let outbox = Outbox::new().unwrap();
        outbox.push(vec![vec![1]]);
        outbox.end(Error::WriterDied("Machine".to_owned()));
        assert!(matches!(outbox.take(), Err(Error::WriterDied(hive)) if hive == "Machine"));
    }
}
