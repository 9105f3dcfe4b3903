//! `watch`.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;

use event::{EventFlags, EventQueue};
use libreg::{Access, Event, EventKind, Key, Value};
use serde_json::{Value as Json, json};

use super::Session;
use crate::cli::Watch;
use crate::exit::Failure;
use crate::interrupt::Interrupts;
use crate::output::{self, Out};
use crate::path::{Path, is_separator};

pub fn watch(session: &mut Session, options: &Watch) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    let key = session.registry()?.open_key(&path.key()?, Access::NOTIFY)?;
    let events = key.watch(options.filter(), options.subtree)?;
    let mut out = Out::stdout();
    let mut left = options.count;
    let tell = |event: Event| {
        let value = value_now(&key, &event);
        if options.json {
            out.line(event_json(&path, &event, value.as_ref()))?;
        } else {
            let limit = out.data_limit();
            out.line(event_line(&path, &event, value.as_ref(), limit))?;
        }
        // Whoever reads this waits for it.
        out.flush()?;
        left = left.map(|left| left - 1);
        Ok(if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    // Ctrl-C ends the command, and the shell goes on.
    if session.is_shell() { until_interrupted(events, tell) } else { for_ever(events, tell) }
}

fn for_ever(
    events: libreg::Watch,
    mut tell: impl FnMut(Event) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    for event in events {
        if tell(event?)?.is_break() {
            break;
        }
    }
    Ok(())
}

event::user_data! {
    enum Source {
        Watch,
        Interrupts,
    }
}

fn until_interrupted(
    mut events: libreg::Watch,
    mut tell: impl FnMut(Event) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let waiting = |error| Failure::File { name: "the watch".to_owned(), error };
    let queue_failed =
        |error: libredox::error::Error| waiting(io::Error::from_raw_os_error(error.errno()));
    let mut interrupts = Interrupts::new().map_err(waiting)?;
    let queue = EventQueue::new().map_err(queue_failed)?;
    for (descriptor, source) in
        [(events.as_raw_fd(), Source::Watch), (interrupts.as_raw_fd(), Source::Interrupts)]
    {
        queue.subscribe(descriptor as usize, source, EventFlags::READ).map_err(queue_failed)?;
    }
    loop {
        while let Some(event) = events.try_next()? {
            if tell(event)?.is_break() || interrupts.came() {
                return Ok(());
            }
        }
        match queue.next_event() {
            Err(error) if error.is_interrupt() => {}
            Err(error) => return Err(queue_failed(error)),
            Ok(_) if interrupts.came() => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// The value that was set, as it is now; `None` if it cannot be read, whyever, or has gone again.
fn value_now(key: &Key, event: &Event) -> Option<Value> {
    if event.kind != EventKind::ValueSet {
        return None;
    }
    key.open_link(&event.path, Access::QUERY_VALUE).and_then(|key| key.value(&event.name)).ok()
}

/// The key that changed.
pub fn changed(watched: &Path, event: &Event) -> Path {
    let below = event.path.split(is_separator).filter(|name| !name.is_empty());
    below.fold(watched.clone(), |path, name| path.join(name))
}

fn event_line(watched: &Path, event: &Event, value: Option<&Value>, limit: usize) -> String {
    let key = changed(watched, event);
    let subkey = || output::one_line(&key.join(&event.name).to_string()).into_owned();
    let name = || output::value_name(&event.name);
    let key = output::one_line(&key.to_string()).into_owned();
    match event.kind {
        EventKind::ValueSet => match value {
            Some(value) => {
                let data = output::data_line(value.value_type, &value.data, limit);
                format!("set             {key}  {} = {data}", name())
            }
            None => format!("set             {key}  {}", name()),
        },
        EventKind::ValueDeleted => format!("deleted         {key}  {}", name()),
        EventKind::SubkeyCreated => format!("subkey created  {}", subkey()),
        EventKind::SubkeyDeleted => format!("subkey deleted  {}", subkey()),
        EventKind::SdChanged => format!("sd changed      {key}"),
        EventKind::KeyDeleted => format!("key deleted     {key}"),
        EventKind::Overflow => format!("events lost     {key}: read again what you need"),
    }
}

fn event_json(watched: &Path, event: &Event, value: Option<&Value>) -> Json {
    let name = match event.kind {
        EventKind::ValueSet => "value_set",
        EventKind::ValueDeleted => "value_deleted",
        EventKind::SubkeyCreated => "subkey_created",
        EventKind::SubkeyDeleted => "subkey_deleted",
        EventKind::SdChanged => "sd_changed",
        EventKind::KeyDeleted => "key_deleted",
        EventKind::Overflow => "overflow",
    };
    let path = changed(watched, event).to_string();
    let mut json = json!({ "event": name, "path": path, "name": event.name });
    if let Some(value) = value {
        let value = output::value_json(value.value_type, &value.data, &value.layer, value.sequence);
        json["value"] = value.into();
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, path: &str, name: &str) -> Event {
        Event { kind, path: path.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_line_says_what_happened_and_where() {
        let watched = Path::parse("Machine\\A").unwrap();
        let value =
            Value { value_type: 4, data: vec![4, 0, 0, 0], sequence: 7, layer: "base".to_owned() };
        let line = |kind, path: &str, name: &str| {
            event_line(&watched, &event(kind, path, name), None, 100)
        };
        let set = event(EventKind::ValueSet, "b\\c", "Tabs");
        assert_eq!(
            event_line(&watched, &set, Some(&value), 100),
            "set             Machine\\A\\b\\c  Tabs = 4 (0x4)"
        );
        assert_eq!(line(EventKind::ValueSet, "", ""), "set             Machine\\A  @");
        let created = line(EventKind::SubkeyCreated, "b", "c");
        assert_eq!(created, "subkey created  Machine\\A\\b\\c");
        assert_eq!(line(EventKind::KeyDeleted, "", ""), "key deleted     Machine\\A");
        let lost = "events lost     Machine\\A: read again what you need";
        assert_eq!(line(EventKind::Overflow, "", ""), lost);
        let json = event_json(&watched, &set, Some(&value)).to_string();
        assert!(!json.contains('\n'), "{json}");
        let json: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(json["event"], json!("value_set"));
        assert_eq!(json["path"], json!("Machine\\A\\b\\c"));
        assert_eq!((&json["name"], &json["value"]["data"]), (&json!("Tabs"), &json!(4)));
    }
}
