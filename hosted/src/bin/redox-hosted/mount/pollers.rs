//! Programs that wait until a file has something to read.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use fuser::{FileHandle, PollNotifier};
use hosted::on_behalf::File;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

/// Who is to be told, by the open file's number, which no later one has.
type Waiting = Arc<Mutex<HashMap<u64, PollNotifier>>>;

/// Waits for all files that somebody polls, in a thread of its own.
pub struct Pollers {
    waiting: Waiting,
    epoll: Arc<OwnedFd>,
}

impl Pollers {
    /// Nobody waits yet.
    pub fn new() -> io::Result<Pollers> {
        let epoll = Arc::new(epoll::create(CreateFlags::CLOEXEC)?);
        let waiting = Waiting::default();
        let (watched, told) = (Arc::clone(&epoll), Arc::clone(&waiting));
        thread::Builder::new().name("pollers".to_owned()).spawn(move || tell(&watched, &told))?;
        Ok(Pollers { waiting, epoll })
    }

    /// Tells this one, once, when the file has something to read; in the place of whoever was to be told before,
    /// for the kernel asks for one of them at a time.
    pub fn wait(&self, handle: FileHandle, file: &File, notifier: PollNotifier) -> io::Result<()> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.0, notifier);
        // SAFETY: the file is open during this call.
        let watched = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
        let (data, once) = (EventData::new_u64(handle.0), EventFlags::IN | EventFlags::ONESHOT);
        match epoll::add(&self.epoll, watched, data, once) {
            Err(Errno::EXIST) => Ok(epoll::modify(&self.epoll, watched, data, once)?),
            added => Ok(added?),
        }
    }

    /// A file is closed: nobody waits for it any more.
    pub fn closed(&self, handle: FileHandle) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&handle.0);
    }
}

fn tell(epoll: &OwnedFd, waiting: &Waiting) {
    let mut events = Vec::with_capacity(64);
    loop {
        match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                eprintln!("redox-hosted: whoever polls is told nothing from now on: {error}");
                return;
            }
        }
        for event in events.drain(..) {
            let handle = event.data.u64();
            let notifier = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle);
            // Whoever no longer waits need not be told.
            let _ = notifier.map(PollNotifier::notify);
        }
    }
}
