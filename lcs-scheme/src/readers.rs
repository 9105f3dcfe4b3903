//! Reads of keys' handles that wait for events (INTERFACES §2).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use lcs_core::registry::{Backend, Error, HandleId, Registry, Setting};
use lcs_core::security::Sid;
use syscall::error::{EAGAIN, EBADF, EINVAL, ENOSPC};

use crate::call::{Call, Reply};
use crate::errno;
use crate::payloads::Payloads;

/// What a read takes at least while it waits, in bytes.
const LEAST: usize = 4096;

/// The reads that wait, by handle. Each is a caller that waits for nothing else, and for as long as it likes: it
/// has no alarm in the clock, and whoever interrupts it has lost nothing.
#[derive(Default)]
pub struct Readers {
    waiting: RefCell<HashMap<HandleId, VecDeque<Rc<Call>>>>,
    /// Their buffers. They are not among those of requests that end by themselves.
    payloads: Rc<Payloads>,
}

impl Readers {
    /// A read: it gets what those before it leave, and if that is nothing it waits, or is told so if it is not to
    /// wait. Of other users than SYSTEM those that wait may take MaxQueuedBytesPerUser together; then it is
    /// ENOSPC.
    pub fn read<B: Backend>(
        &self,
        registry: &Registry<B>,
        handle: HandleId,
        call: Rc<Call>,
        nonblock: bool,
    ) {
        let mut waiting = self.waiting.borrow_mut();
        let readers = waiting.entry(handle).or_default();
        if readers.len() == readers.capacity() {
            // Those that were interrupted make room before more is taken.
            readers.retain(|reader| reader.is_open());
        }
        readers.push_back(Rc::clone(&call));
        serve(registry, handle, readers);
        if call.is_open()
            && let Err(errno) = self.may_wait(registry, handle, &call, nonblock)
        {
            readers.pop_back();
            call.answer(Reply::Status(Err(errno)));
        }
        if readers.is_empty() {
            waiting.remove(&handle);
        }
    }

    fn may_wait<B: Backend>(
        &self,
        registry: &Registry<B>,
        handle: HandleId,
        call: &Call,
        nonblock: bool,
    ) -> Result<(), i32> {
        if nonblock {
            return Err(EAGAIN);
        }
        let user = registry.user_of(handle).map_err(|error| errno::of(&error))?;
        if user != Sid::SYSTEM {
            let most = registry.setting(Setting::MaxQueuedBytesPerUser);
            let most = most.try_into().unwrap_or(usize::MAX);
            let bytes = call.buffer_len().max(LEAST);
            call.keep(self.payloads.room_now(user, bytes, most).ok_or(ENOSPC)?);
        }
        Ok(())
    }

    /// Gives events that came to those who wait for them, or tells them that none will come.
    pub fn serve<B: Backend>(&self, registry: &Registry<B>, handle: HandleId) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(readers) = waiting.get_mut(&handle) else { return };
        serve(registry, handle, readers);
        if readers.is_empty() {
            waiting.remove(&handle);
        }
    }

    /// The handle is closed: nobody waits for its events any more.
    pub fn close(&self, handle: HandleId) {
        let readers = self.waiting.borrow_mut().remove(&handle);
        for reader in readers.into_iter().flatten() {
            reader.answer(Reply::Status(Err(EBADF)));
        }
    }
}

/// Answers readers, in the order in which they came, as long as there are events.
fn serve<B: Backend>(registry: &Registry<B>, handle: HandleId, readers: &mut VecDeque<Rc<Call>>) {
    while let Some(reader) = readers.pop_front() {
        if !reader.is_open() {
            continue;
        }
        match registry.read_events(handle, reader.buffer_len()) {
            Ok(events) if events.is_empty() => {
                readers.push_front(reader);
                return;
            }
            Ok(events) => reader.answer(Reply::Bytes(events)),
            Err(Error::BufferTooSmall { .. }) => reader.answer(Reply::Status(Err(EINVAL))),
            Err(error) => reader.answer(Reply::Status(Err(errno::of(&error)))),
        };
    }
}
