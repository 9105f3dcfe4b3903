//! Watches: how one is armed, and the events that are read from a key's handle.
//!
//! An armed handle is read like a file. A `read` gives whole records, as many as fit: each a u32
//! little-endian length, then so many bytes of the postcard of an [`Event`].

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Malformed;

/// [`Notify::filter`]: values that are set or deleted.
pub const NOTIFY_VALUE: u32 = 1;
/// [`Notify::filter`]: subkeys that appear or disappear.
pub const NOTIFY_SUBKEY: u32 = 2;
/// [`Notify::filter`]: security descriptors.
pub const NOTIFY_SD: u32 = 4;
/// [`Notify::filter`]: all of them.
pub const NOTIFY_ALL: u32 = NOTIFY_VALUE | NOTIFY_SUBKEY | NOTIFY_SD;

/// Size of the length that precedes each event, in bytes.
pub const EVENT_HEADER: usize = 4;

/// Arms a watch on a key's handle, in the place of the one that it has. Events that wait are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// `NOTIFY_*`; 0 disarms, and forgets what waits.
    pub filter: u32,
    /// Also what changes below the key, where the handle's user may watch (KEY_NOTIFY).
    pub subtree: bool,
}

/// What happened to a key that is watched, or below it, as the handle's view sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The code of an [`EventKind`].
    pub kind: u32,
    /// The name of the value or subkey; empty where the event has none.
    pub name: String,
    /// Where, from the watched key on, components separated by `\`; empty for the watched key itself.
    pub path: String,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum EventKind {
    /// The effective value of a name appeared or was written, whatever the cause.
    ValueSet = 1,
    /// It disappeared.
    ValueDeleted = 2,
    /// A subkey became visible.
    SubkeyCreated = 3,
    /// A subkey became invisible.
    SubkeyDeleted = 4,
    /// The key's security descriptor was written.
    SdChanged = 5,
    /// The watched key is no longer visible by its own name. Comes whatever the filter says.
    KeyDeleted = 6,
    /// Events were lost or cannot be known: read everything again. Comes whatever the filter says.
    Overflow = 7,
}

impl EventKind {
    /// The kind with this code, if there is one.
    pub fn from_code(code: u32) -> Option<EventKind> {
        const ALL: [EventKind; 7] = [
            EventKind::ValueSet,
            EventKind::ValueDeleted,
            EventKind::SubkeyCreated,
            EventKind::SubkeyDeleted,
            EventKind::SdChanged,
            EventKind::KeyDeleted,
            EventKind::Overflow,
        ];
        ALL.get(usize::try_from(code.checked_sub(1)?).ok()?).copied()
    }

    /// Its code.
    pub fn code(self) -> u32 {
        self as u32
    }
}

/// The record of an event, as `read` gives it.
pub fn event_record(event: &Event) -> Vec<u8> {
    let body = crate::encode(event);
    let mut record = Vec::with_capacity(EVENT_HEADER + body.len());
    record.extend_from_slice(&(body.len() as u32).to_le_bytes());
    record.extend_from_slice(&body);
    record
}

/// The events of what a `read` gave.
///
/// # Errors
/// It is no sequence of whole records.
pub fn decode_events(mut bytes: &[u8]) -> Result<Vec<Event>, Malformed> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<EVENT_HEADER>().ok_or(Malformed)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed)?;
        let (body, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        events.push(crate::decode(body)?);
        bytes = rest;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_its_length_the_code_and_two_strings() {
        let event = Event { kind: EventKind::KeyDeleted.code(), name: "n".into(), path: "".into() };
        assert_eq!(event_record(&event), [4, 0, 0, 0, 6, 1, b'n', 0]);
    }

    #[test]
    fn records_are_read_one_after_the_other_and_a_part_of_one_is_malformed() {
        let event = |name: &str| Event { kind: 1, name: name.into(), path: "a\\b".into() };
        let (one, two) = (event("x"), event("y"));
        let bytes = [event_record(&one), event_record(&two)].concat();
        assert_eq!(decode_events(&bytes), Ok([one, two].into()));
        for cut in 1..bytes.len() {
            if cut != bytes.len() / 2 {
                assert_eq!(decode_events(&bytes[..cut]), Err(Malformed), "{cut}");
            }
        }
    }

    #[test]
    fn every_kind_has_its_code() {
        for code in 0..9 {
            let kind = EventKind::from_code(code);
            assert_eq!(kind.map(EventKind::code), (1..=7).contains(&code).then_some(code));
        }
    }
}
