//! Watches: what changes of a key, as it happens.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, RawFd};

use bitflags::bitflags;
use lcs_abi::call::{Derive, OPEN_LINK, Op};
use lcs_abi::security::Access;
use lcs_abi::watch::{NOTIFY_SD, NOTIFY_SUBKEY, NOTIFY_VALUE, Notify, decode_events};
use libredox::Fd;
use libredox::errno::{EAGAIN, EINVAL};
use libredox::flag::O_NONBLOCK;
use syscall::flag::F_SETFL;

use crate::call;
use crate::error::{Attempt, Cause, Error};
use crate::key::Key;
use crate::registry::failed;

pub use lcs_abi::watch::EventKind;

/// Room for the events of one read, in bytes: more than the largest takes, with the longest path (65535) and
/// the longest name (1024).
const ROOM: usize = 72 * 1024;

bitflags! {
    /// What to watch for. That the key is deleted, and that events were lost, is told in any case.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct WatchFilter: u32 {
        /// Values that are set or deleted.
        const VALUE = NOTIFY_VALUE;
        /// Subkeys that appear or disappear.
        const SUBKEY = NOTIFY_SUBKEY;
        /// Security descriptors.
        const SD = NOTIFY_SD;
    }
}

/// What happened to a key that is watched, or below it, as the watch's view sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it was.
    pub kind: EventKind,
    /// The name of the value or subkey; empty where the event has none, and for the default value.
    pub name: String,
    /// The key that changed, from the watched one on, separated by `\`; empty for the watched key itself. A
    /// subkey's event is one of its parent.
    pub path: String,
}

/// A watch on a key. It goes on until it is dropped, whatever becomes of the key's name.
///
/// As an iterator it waits for the next event, and only ends after an error. [`Watch::try_next`] does not
/// wait; the descriptor becomes readable when there is something for it.
pub struct Watch {
    handle: Fd,
    path: String,
    nonblocking: bool,
    room: Vec<u8>,
    /// Read, and not yet given.
    events: VecDeque<Event>,
    failed: bool,
}

impl Key {
    /// Watches the key, with `subtree` also what is below it, where the user has NOTIFY. It takes NOTIFY, not
    /// of this handle, but of the user on the key. What a transaction writes is told when it is committed.
    ///
    /// # Errors
    /// EACCES: NOTIFY is not granted. ENOENT: the key is no longer there. EINVAL: an empty filter.
    pub fn watch(&self, filter: WatchFilter, subtree: bool) -> Result<Watch, Error> {
        let error = |cause| failed(self.path(), Attempt::Watch, cause);
        let itself = Derive::OpenKey {
            path: String::new(),
            access: Access::NOTIFY.bits(),
            flags: OPEN_LINK,
        };
        let handle = call::derive(self.handle(), &itself).map_err(error)?;
        if filter.is_empty() {
            return Err(error(Cause::Errno(EINVAL)));
        }
        let request = Notify { filter: filter.bits(), subtree };
        call::call::<_, ()>(&handle, Op::Notify, &request, 0).map_err(error)?;
        Ok(Watch {
            handle,
            path: self.path().to_owned(),
            nonblocking: false,
            room: Vec::new(),
            events: VecDeque::new(),
            failed: false,
        })
    }
}

impl Watch {
    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        if self.events.is_empty() {
            self.fill(true)?;
        }
        Ok(self.events.pop_front())
    }

    /// Reads what waits; if nothing does it waits for that, or leaves it.
    fn fill(&mut self, nonblocking: bool) -> Result<(), Error> {
        match self.read(nonblocking) {
            Ok(events) => {
                self.events.extend(events);
                Ok(())
            }
            Err(cause) => Err(failed(&self.path, Attempt::Watch, cause)),
        }
    }

    fn read(&mut self, nonblocking: bool) -> Result<Vec<Event>, Cause> {
        if self.nonblocking != nonblocking {
            let flags = if nonblocking { O_NONBLOCK } else { 0 };
            let set = || self.handle.fcntl(F_SETFL, flags as usize);
            call::without_interruption(set)?;
            self.nonblocking = nonblocking;
        }
        self.room.resize(ROOM, 0);
        match call::without_interruption(|| self.handle.read(&mut self.room)) {
            // A read that waits waits for something.
            Ok(0) if !nonblocking => Err(Cause::Malformed),
            Ok(length) => events(self.room.get(..length).ok_or(Cause::Malformed)?),
            Err(Cause::Errno(EAGAIN)) if nonblocking => Ok(Vec::new()),
            Err(cause) => Err(cause),
        }
    }
}

impl Iterator for Watch {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.events.is_empty() && !self.failed {
            if let Err(error) = self.fill(false) {
                self.failed = true;
                return Some(Err(error));
            }
        }
        self.events.pop_front().map(Ok)
    }
}

impl AsRawFd for Watch {
    /// A descriptor that is readable when there is something to read. What [`Watch`] has read and not yet
    /// given makes it readable no more: ask [`Watch::try_next`] until it has nothing.
    fn as_raw_fd(&self) -> RawFd {
        self.handle.raw() as RawFd
    }
}

/// The events of what a `read` gave.
fn events(bytes: &[u8]) -> Result<Vec<Event>, Cause> {
    let events = decode_events(bytes).map_err(|_| Cause::Malformed)?;
    // What a later version tells, and this one does not know, may be anything.
    let kind = |code| EventKind::from_code(code).unwrap_or(EventKind::Overflow);
    let event = |event: lcs_abi::watch::Event| Event {
        kind: kind(event.kind),
        name: event.name,
        path: event.path,
    };
    Ok(events.into_iter().map(event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lcs_abi::watch::event_record;

    fn record(kind: u32) -> Vec<u8> {
        event_record(&lcs_abi::watch::Event { kind, name: "n".into(), path: "a\\b".into() })
    }

    #[test]
    fn events_are_read_as_they_come_and_one_of_a_later_version_means_read_again() {
        let bytes = [record(EventKind::SubkeyCreated.code()), record(99)].concat();
        let kinds: Vec<_> = events(&bytes).unwrap().iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::SubkeyCreated, EventKind::Overflow]);
        assert_eq!(events(&bytes[1..]), Err(Cause::Malformed));
        assert_eq!(events(&[]), Ok(Vec::new()));
    }

    #[test]
    fn the_largest_event_fits() {
        let (name, path) = ("n".repeat(1024), "p".repeat(65535));
        assert!(event_record(&lcs_abi::watch::Event { kind: 1, name, path }).len() < ROOM);
    }
}
