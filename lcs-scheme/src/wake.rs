//! How other threads end the sleep of the one thread that does everything.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libredox::flag;
use syscall::flag::F_SETFL;

/// The end of a pipe that the event loop waits for.
pub struct Wakeups {
    reader: PipeReader,
    waker: LoopWaker,
}

/// Ends the event loop's sleep, from any thread: what was made ready before [`LoopWaker::wake`] is seen.
#[derive(Clone)]
pub struct LoopWaker(Arc<Writer>);

struct Writer {
    pipe: PipeWriter,
    /// A byte is in the pipe, or about to be.
    woken: AtomicBool,
}

impl Wakeups {
    /// A pipe with nothing in it.
    pub fn new() -> io::Result<Wakeups> {
        let (reader, pipe) = io::pipe()?;
        let waker = LoopWaker(Arc::new(Writer { pipe, woken: AtomicBool::new(false) }));
        let wakeups = Wakeups { reader, waker };
        libredox::call::fcntl(wakeups.descriptor(), F_SETFL, flag::O_NONBLOCK as usize)
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        Ok(wakeups)
    }

    /// The descriptor that becomes readable.
    pub fn descriptor(&self) -> usize {
        // A descriptor is never negative.
        self.reader.as_raw_fd() as usize
    }

    /// What wakes.
    pub fn waker(&self) -> LoopWaker {
        self.waker.clone()
    }

    /// The loop is awake: empties the pipe, without waiting, before the loop looks at what there is to do.
    pub fn drain(&self) -> io::Result<()> {
        let mut bytes = [0; 16];
        loop {
            match (&self.reader).read(&mut bytes) {
                Ok(count) if count == bytes.len() => {}
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Only now: a byte written after this and read above would leave the flag set over an empty pipe.
        self.waker.0.woken.swap(false, Ordering::AcqRel);
        Ok(())
    }
}

impl LoopWaker {
    /// Ends the sleep, or keeps the next from beginning.
    pub fn wake(&self) {
        if !self.0.woken.swap(true, Ordering::AcqRel) {
            // It fails only when the reader is gone, and then nobody sleeps.
            let _ = (&self.0.pipe).write_all(&[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use event::{EventFlags, EventQueue};

    use super::*;

    #[test]
    fn many_calls_are_one_wake_up_and_each_later_one_another() {
        let wakeups = Wakeups::new().unwrap();
        let events = EventQueue::<usize>::new().unwrap();
        events.subscribe(wakeups.descriptor(), 0, EventFlags::READ).unwrap();
        for _ in 0..3 {
            let waker = wakeups.waker();
            let thread = thread::spawn(move || (0..100).for_each(|_| waker.wake()));
            events.next_event().unwrap();
            thread.join().unwrap();
            wakeups.drain().unwrap();
        }
        let nothing = (&wakeups.reader).read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_wake_up_for_nothing_does_not_hold_the_loop() {
        Wakeups::new().unwrap().drain().unwrap();
    }
}
