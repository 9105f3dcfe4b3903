//! What threads have to say: to LCS, at once, and to the thread that holds the connection.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// How many bytes of frames are written at once; a longer frame is written alone.
const WRITE_SIZE: usize = 256 << 10;

/// Where frames go.
pub(crate) trait Line: Send + Sync {
    /// Writes whole frames, all of them or none.
    fn write(&self, frames: &[u8]) -> Result<(), Error>;
}

/// A line that any thread may write to, and a pipe that is readable when the thread that reads from LCS should look.
pub(crate) struct Outbox {
    line: Box<dyn Line>,
    left: Mutex<Left>,
    /// Held by whoever writes what was sent: answers of one hive arrive in their order.
    writing: Mutex<()>,
    /// A byte is in the pipe, or about to be.
    woken: AtomicBool,
    pipe: (PipeReader, PipeWriter),
}

/// What is left to the thread that reads from LCS.
#[derive(Default)]
struct Left {
    /// Frames to be written.
    frames: Vec<Vec<u8>>,
    /// Why this process is to end.
    end: Option<Error>,
}

impl Outbox {
    pub(crate) fn new(line: impl Line + 'static) -> Result<Self, Error> {
        let pipe = io::pipe().map_err(|error| Error::System { what: "pipe", error })?;
        let (line, left, writing) = (Box::new(line), Mutex::default(), Mutex::default());
        Ok(Outbox { line, left, writing, woken: AtomicBool::new(false), pipe })
    }

    /// The descriptor to wait for.
    pub(crate) fn descriptor(&self) -> usize {
        // A descriptor is never negative.
        self.pipe.0.as_raw_fd() as usize
    }

    /// Writes whole frames, many at once.
    ///
    /// # Errors
    /// Those of the line.
    pub(crate) fn write(&self, frames: &[Vec<u8>]) -> Result<(), Error> {
        let mut batch: Vec<u8> = Vec::new();
        for frame in frames {
            if !batch.is_empty() && batch.len() + frame.len() > WRITE_SIZE {
                self.line.write(&batch)?;
                batch.clear();
            }
            batch.extend(frame);
        }
        if batch.is_empty() { Ok(()) } else { self.line.write(&batch) }
    }

    /// The same for who can do nothing about an error: this process ends then. LCS takes its time for many, and they
    /// are left to the thread that reads; a single one is written at once, unless others are still to be written.
    pub(crate) fn send(&self, frames: Vec<Vec<u8>>) {
        if let [_] = &frames[..]
            && let Ok(_writing) = self.writing.try_lock()
            && self.left().frames.is_empty()
        {
            self.write(&frames).unwrap_or_else(|error| self.end(error));
        } else if !frames.is_empty() {
            self.left().frames.extend(frames);
            self.wake();
        }
    }

    /// Makes this process end, for this reason, which [`Outbox::look`] gives.
    pub(crate) fn end(&self, reason: Error) {
        self.left().end = Some(reason);
        self.wake();
    }

    /// Makes the descriptor readable.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // It fails only when the reader is gone, and that is a field of the same struct.
            let _ = (&self.pipe.1).write(&[0]);
        }
    }

    /// Does what is left to this thread, which somebody may have woken for it.
    ///
    /// # Errors
    /// Those of the line; why this process is to end.
    pub(crate) fn look(&self) -> Result<(), Error> {
        if self.woken.swap(false, Ordering::AcqRel) {
            // The byte is there, or its writer is between both lines of `wake`.
            (&self.pipe.0)
                .read_exact(&mut [0])
                .map_err(|error| Error::System { what: "pipe", error })?;
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Left { frames, end } = std::mem::take(&mut *self.left());
        self.write(&frames)?;
        end.map_or(Ok(()), Err)
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        // Whoever panicked had no half-made change in hand.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines for tests.
#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use event::{EventFlags, EventQueue};

    use super::*;

    impl Line for Sender<Vec<u8>> {
        fn write(&self, frames: &[u8]) -> Result<(), Error> {
            Sender::send(self, frames.to_vec()).map_err(|_| Error::Gone)
        }
    }

    /// An outbox, and the other end of its line.
    pub(crate) fn outbox() -> (Outbox, Receiver<Vec<u8>>) {
        let (line, other_end) = mpsc::channel();
        (Outbox::new(line).unwrap(), other_end)
    }

    #[test]
    fn many_wake_up_calls_are_one_and_each_later_one_another() {
        let (outbox, _other_end) = outbox();
        let events = EventQueue::<usize>::new().unwrap();
        events.subscribe(outbox.descriptor(), 0, EventFlags::READ).unwrap();
        for _ in 0..3 {
            outbox.wake();
            outbox.wake();
            events.next_event().unwrap();
            outbox.look().unwrap();
            outbox.look().unwrap();
        }
    }

    #[test]
    fn frames_are_written_together_as_far_as_they_fit_and_none_is_cut() {
        let (outbox, other_end) = outbox();
        let written = || other_end.try_iter().map(|write| write.len()).collect::<Vec<_>>();
        outbox.send(vec![vec![1]]);
        assert_eq!(written(), [1]);
        outbox.send(Vec::new());
        outbox.send(vec![vec![1; 10], vec![2; 10]]);
        outbox.send(vec![
            vec![3; WRITE_SIZE / 2],
            vec![4; WRITE_SIZE / 2],
            vec![5; WRITE_SIZE * 2],
        ]);
        // A single one does not overtake them.
        outbox.send(vec![vec![6]]);
        assert!(written().is_empty());
        outbox.look().unwrap();
        assert_eq!(written(), [20 + WRITE_SIZE / 2, WRITE_SIZE / 2, 2 * WRITE_SIZE, 1]);
        outbox.send(vec![vec![7]]);
        assert_eq!(written(), [1]);
    }

    #[test]
    fn what_ends_the_process_is_heard_of() {
        let (outbox, other_end) = outbox();
        outbox.look().unwrap();
        outbox.end(Error::WriterDied("Machine".to_owned()));
        assert!(matches!(outbox.look(), Err(Error::WriterDied(hive)) if hive == "Machine"));
        drop(other_end);
        outbox.send(vec![vec![1]]);
        assert!(matches!(outbox.look(), Err(Error::Gone)));
        outbox.send(vec![vec![1], vec![2]]);
        assert!(matches!(outbox.look(), Err(Error::Gone)));
    }
}
