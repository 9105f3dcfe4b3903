//! A bounded queue between those who log and the thread that writes.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bounded queue of lines for one writer. Putting a line in never waits for the writer: the lock is held
/// for moves only.
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
    lines: VecDeque<String>,
    /// Lines that found no room since the writer last looked.
    dropped: u64,
    /// The writer took lines and has not come back yet.
    writing: bool,
}

/// What the writer takes at once.
pub(crate) struct Batch {
    pub(crate) lines: VecDeque<String>,
    /// How many lines were lost after these.
    pub(crate) dropped: u64,
}

/// The queue is full and the line is not in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Queue { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), capacity }
    }

    /// Adds a line, or counts it as lost.
    pub(crate) fn push(&self, line: String) -> Result<(), Full> {
        let mut state = self.lock();
        if state.lines.len() >= self.capacity {
            state.dropped += 1;
            return Err(Full);
        }
        state.lines.push_back(line);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Everything there is, waiting for the first line. What was taken before counts as written now.
    pub(crate) fn take(&self) -> Batch {
        let mut state = self.lock();
        state.writing = false;
        if state.lines.is_empty() {
            self.drained.notify_all();
        }
        while state.lines.is_empty() {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writing = true;
        Batch { lines: mem::take(&mut state.lines), dropped: mem::take(&mut state.dropped) }
    }

    /// Waits until all lines are written, at most for `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        while state.writing || !state.lines.is_empty() {
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

    #[test]
    fn a_full_queue_refuses_and_counts_instead_of_waiting() {
        let queue = Queue::new(2);
        for line in ["a", "b"] {
            queue.push(line.to_owned()).expect("there is room");
        }
        assert_eq!(queue.push("c".to_owned()), Err(Full));
        assert_eq!(queue.push("d".to_owned()), Err(Full));

        let batch = queue.take();
        assert_eq!(batch.lines, ["a", "b"]);
        assert_eq!(batch.dropped, 2);

        queue.push("e".to_owned()).expect("there is room again");
        let batch = queue.take();
        assert_eq!(batch.lines, ["e"]);
        assert_eq!(batch.dropped, 0);
    }

    #[test]
    fn flush_returns_when_the_writer_has_come_back() {
        let queue = Arc::new(Queue::new(2));
        queue.push("a".to_owned()).expect("there is room");
        let (written, lines) = mpsc::channel();
        let writer = Arc::clone(&queue);
        thread::spawn(move || {
            loop {
                for line in writer.take().lines {
                    if written.send(line).is_err() {
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
        queue.push("a".to_owned()).expect("there is room");
        let _never_written = queue.take();
        let begin = Instant::now();
        queue.flush(Duration::from_millis(20));
        assert!(begin.elapsed() >= Duration::from_millis(20));
    }
}
