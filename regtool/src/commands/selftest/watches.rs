//! Watches: events arrive.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use libreg::{Access, CreateKey, Error, Event, EventKind, Key, WatchFilter};

use super::expect::{Outcome, differs, same};
use super::ground::{Ground, set_text};

/// How long an event may take that is on its way when the change is answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// The events of a watch, which a thread waits for, so that one that does not come is not waited for for ever.
struct Events(Receiver<Result<Event, Error>>);

impl Events {
    fn of(key: &Key, filter: WatchFilter, subtree: bool) -> Outcome<Events> {
        let watch = key.watch(filter, subtree)?;
        let (tell, events) = channel();
        thread::spawn(move || {
            for event in watch {
                // Nobody waits any more.
                if tell.send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Events(events))
    }

    fn expect(&self, kind: EventKind, name: &str, path: &str) -> Outcome {
        let Ok(event) = self.0.recv_timeout(PATIENCE) else {
            let seconds = PATIENCE.as_secs();
            return Err(differs(format_args!("no event {kind:?} within {seconds} s")));
        };
        let expected = Event { kind, name: name.to_owned(), path: path.to_owned() };
        same("the event", event?, expected)
    }
}

pub fn watches(ground: &Ground) -> Outcome {
    let key = ground.key("watches")?;
    let values = Events::of(&key, WatchFilter::VALUE, false)?;
    let all = Events::of(&key, WatchFilter::all(), false)?;
    let how = CreateKey::default();
    let child = key.create_key("Child", Access::KEY_ALL_ACCESS, &how)?;
    set_text(&child, "deep", "text", None)?;
    set_text(&key, "value", "text", None)?;
    key.delete_value("value", None)?;
    child.delete(None)?;
    all.expect(EventKind::SubkeyCreated, "Child", "")?;
    all.expect(EventKind::ValueSet, "value", "")?;
    all.expect(EventKind::ValueDeleted, "value", "")?;
    all.expect(EventKind::SubkeyDeleted, "Child", "")?;
    values.expect(EventKind::ValueSet, "value", "")?;
    values.expect(EventKind::ValueDeleted, "value", "")?;
    key.delete(None)?;
    values.expect(EventKind::KeyDeleted, "", "")
}

pub fn subtrees(ground: &Ground) -> Outcome {
    let key = ground.key("subtrees")?;
    let how = CreateKey::default();
    key.create_key("A", Access::KEY_ALL_ACCESS, &how)?;
    let deep = key.create_key("A\\B", Access::KEY_ALL_ACCESS, &how)?;
    let events = Events::of(&key, WatchFilter::VALUE, true)?;
    set_text(&deep, "value", "text", None)?;
    events.expect(EventKind::ValueSet, "value", "A\\B")
}
