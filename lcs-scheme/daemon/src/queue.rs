//! A bounded queue between those who log and the thread that writes.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::entry::Entry;

/// A bounded queue of lines for one writer. Putting a line in never waits for the writer: the lock is held
/// for moves only, and never while somebody is told what became of a line.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// There is a line, for the writer.
    filled: Condvar,
    /// All that was put in is written, for those who flush.
    drained: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Lines that found no room since the writer last looked.
    dropped: u64,
    /// The writer took lines and has not come back yet.
    writing: bool,
    /// There is no writer any more.
    closed: bool,
}

/// What the writer takes at once.
pub(crate) struct Batch {
    pub(crate) entries: VecDeque<Entry>,
    /// How many lines were lost after these.
    pub(crate) dropped: u64,
}

/// Why a line is not in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the queue is full")]
    Full,
    #[error("the log's thread is gone")]
    Closed,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Queue { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), capacity }
    }

    /// Adds a line, or counts it as lost and tells who waits for it.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), Refused> {
        let mut state = self.lock();
        let refused = if state.closed {
            Refused::Closed
        } else if state.entries.len() >= self.capacity {
            Refused::Full
        } else {
            state.entries.push_back(entry);
            drop(state);
            self.filled.notify_one();
            return Ok(());
        };
        state.dropped += 1;
        drop(state);
        drop(entry);
        Err(refused)
    }

    /// Everything there is, waiting for the first line. What was taken before counts as written now.
    pub(crate) fn take(&self) -> Batch {
        let mut state = self.lock();
        state.writing = false;
        if state.entries.is_empty() {
            self.drained.notify_all();
        }
        while state.entries.is_empty() {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writing = true;
        Batch { entries: mem::take(&mut state.entries), dropped: mem::take(&mut state.dropped) }
    }

    /// Refuses lines from now on, and gives up those that are in it: their writer is gone.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.writing = false;
        let given_up = mem::take(&mut state.entries);
        self.drained.notify_all();
        drop(state);
        drop(given_up);
    }

    /// Waits until all lines are written, at most for `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        while state.writing || !state.entries.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state =
                self.drained.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    // A panic elsewhere must still be logged, and nothing here can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use crate::logging::NotRecorded;

    fn entry(line: &str) -> Entry {
        Entry::from(line.to_owned())
    }

    fn lines(batch: &Batch) -> Vec<&str> {
        batch.entries.iter().map(Entry::line).collect()
    }

    #[test]
    fn a_full_queue_refuses_and_counts_instead_of_waiting() {
        let queue = Queue::new(2);
        for line in ["a", "b"] {
            queue.push(entry(line)).expect("there is room");
        }
        assert_eq!(queue.push(entry("c")), Err(Refused::Full));
        assert_eq!(queue.push(entry("d")), Err(Refused::Full));

        let batch = queue.take();
        assert_eq!(lines(&batch), ["a", "b"]);
        assert_eq!(batch.dropped, 2);

        queue.push(entry("e")).expect("there is room again");
        let batch = queue.take();
        assert_eq!(lines(&batch), ["e"]);
        assert_eq!(batch.dropped, 0);
    }

    #[test]
    fn a_closed_queue_has_told_of_its_lines_and_refuses_more() {
        let queue = Queue::new(2);
        let (told, outcomes) = mpsc::channel();
        let awaited = |line: &str| {
            let told = told.clone();
            Entry::awaited(line.to_owned(), move |outcome| told.send(outcome).expect("heard"))
        };
        queue.push(awaited("a")).expect("there is room");
        queue.close();
        assert_eq!(outcomes.try_recv(), Ok(Err(NotRecorded)));
        assert_eq!(queue.push(awaited("b")), Err(Refused::Closed));
        assert_eq!(outcomes.try_recv(), Ok(Err(NotRecorded)));
        queue.flush(Duration::from_secs(60));
    }

    #[test]
    fn flush_returns_when_the_writer_has_come_back() {
        let queue = Arc::new(Queue::new(2));
        queue.push(entry("a")).expect("there is room");
        let (written, lines) = mpsc::channel();
        let writer = Arc::clone(&queue);
        thread::spawn(move || {
            loop {
                for entry in writer.take().entries {
                    if written.send(entry.line().to_owned()).is_err() {
                        return;
                    }
                }
            }
        });
        queue.flush(Duration::from_secs(60));
        assert_eq!(lines.try_recv().as_deref(), Ok("a"));
    }

    #[test]
    fn flush_gives_up_on_a_writer_that_hangs() {
        let queue = Queue::new(2);
        queue.push(entry("a")).expect("there is room");
        let _never_written = queue.take();
        let begin = Instant::now();
        queue.flush(Duration::from_millis(20));
        assert!(begin.elapsed() >= Duration::from_millis(20));
    }
}
