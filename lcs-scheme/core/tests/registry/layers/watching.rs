//! What watchers are told (DESIGN §7): all that counted before a commit against all that counts after it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use lcs_abi::security::Access;
use lcs_abi::watch::{Event, EventKind, NOTIFY_SD, NOTIFY_SUBKEY, NOTIFY_VALUE};

use super::contents::{Attached, Change, Contents, Hive, Key, Who};
use super::names::{Layer, Name};

/// A name of a key: of a value, or of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    Value(Key, Name),
    Child(Key, Name),
}

/// Who wins: for a value the layer and the order of the write, for a child the key. And how it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winner {
    value: Option<(Layer, u64)>,
    key: Option<Key>,
    spelled: &'static str,
}

/// All that counts, for who has these private layers.
pub fn effective(contents: &Contents, attached: &Attached) -> BTreeMap<Named, Winner> {
    let mut all = BTreeMap::new();
    for place in contents.values.keys() {
        let named = Named::Value(place.0, place.1);
        if let Some(value) = contents.value(place.0, place.1, attached) {
            let layer = value.layer.name;
            let spelled = value.name.text;
            all.insert(named, Winner { value: Some((layer, value.order)), key: None, spelled });
        }
    }
    for place in contents.entries.keys() {
        let named = Named::Child(place.0, place.1);
        if let Some(key) = contents.child(place.0, place.1, attached) {
            let spelled = contents.keys[&key].name.text;
            all.insert(named, Winner { value: None, key: Some(key), spelled });
        }
    }
    all
}

/// What bounds watches.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub queue: usize,
    pub burst: usize,
    /// Steps below the watched key; 0 for all.
    pub depth: usize,
}

/// What one commit, or one return of a source, has put into a queue: some events in order, and then some in
/// no order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub ordered: VecDeque<Event>,
    pub loose: Vec<Event>,
    /// How many of the loose ones are left; the others were the oldest when the queue was full.
    pub loose_left: usize,
}

#[derive(Clone, Debug)]
pub struct Watch {
    pub key: Key,
    pub hive: Hive,
    pub who: Who,
    pub attached: Rc<Attached>,
    /// 0: it is not armed.
    pub filter: u32,
    pub subtree: bool,
    /// Events were lost before those in the queue.
    pub overflown: bool,
    pub queue: VecDeque<Batch>,
}

fn event(kind: EventKind, name: &str, path: &str) -> Event {
    Event { kind: kind.code(), name: name.into(), path: path.into() }
}

fn overflow() -> Event {
    event(EventKind::Overflow, "", "")
}

impl Watch {
    fn wants(&self, kind: EventKind) -> bool {
        let bit = match kind {
            EventKind::ValueSet | EventKind::ValueDeleted => NOTIFY_VALUE,
            EventKind::SubkeyCreated | EventKind::SubkeyDeleted => NOTIFY_SUBKEY,
            EventKind::SdChanged => NOTIFY_SD,
            EventKind::KeyDeleted | EventKind::Overflow => return true,
        };
        self.filter & bit != 0
    }

    /// The names from the watched key down to another, if each step is visible and there are not too many.
    fn names_to(&self, changed: Key, after: &Contents, bounds: Bounds) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        let mut key = changed;
        while key != self.key {
            let record = after.keys.get(&key).filter(|record| record.parent != key)?;
            let visible = after.child(record.parent, record.name.name, &self.attached);
            if visible != Some(key) {
                return None;
            }
            names.insert(0, record.name.text);
            key = record.parent;
        }
        let too_deep = bounds.depth > 0 && names.len() > bounds.depth;
        if !names.is_empty() && (!self.subtree || too_deep) { None } else { Some(names) }
    }

    /// Whether something below a key may change what the watch sees.
    pub fn reaches(&self, key: Key, after: &Contents, bounds: Bounds) -> bool {
        self.names_to(key, after, bounds).is_some()
    }

    /// Where a changed key is from the watched one on, if the watch is told of it.
    fn path_to(&self, changed: Key, after: &Contents, bounds: Bounds) -> Option<String> {
        let names = self.names_to(changed, after, bounds)?;
        let may = |key: &Key| after.keys[key].granted(self.who).contains(Access::NOTIFY);
        if !names.is_empty() && !may(&changed) {
            return None;
        }
        Some(names.join("\\"))
    }

    /// Says that something is not known, unless that is what was said last.
    pub fn overflow(&mut self, bounds: Bounds) {
        let newest = self.queue.back();
        let last = match newest {
            Some(batch) if batch.loose_left > 0 => false,
            Some(batch) => batch.ordered.back() == Some(&overflow()),
            None => self.overflown,
        };
        if !last {
            let ordered = [overflow()].into();
            self.push(Batch { ordered, ..Batch::default() }, bounds);
        }
    }

    /// Says something of the watched key itself.
    pub fn tell(&mut self, kind: EventKind, bounds: Bounds) {
        let ordered = [event(kind, "", "")].into();
        self.push(Batch { ordered, ..Batch::default() }, bounds);
    }

    pub fn waiting(&self) -> usize {
        let batches = self.queue.iter().map(|batch| batch.ordered.len() + batch.loose_left);
        usize::from(self.overflown) + batches.sum::<usize>()
    }

    fn push(&mut self, batch: Batch, bounds: Bounds) {
        self.queue.push_back(batch);
        while self.waiting() > bounds.queue {
            let Some(oldest) = self.queue.front_mut() else { return };
            if oldest.ordered.pop_front().is_none() && oldest.loose_left > 0 {
                oldest.loose_left -= 1;
            }
            self.overflown = true;
            self.forget_empty();
            // One that stood behind what is lost stands for that, too.
            if let Some(oldest) = self.queue.front_mut()
                && oldest.ordered.front() == Some(&overflow())
            {
                oldest.ordered.pop_front();
                self.forget_empty();
            }
        }
    }

    fn forget_empty(&mut self) {
        let is_empty = |batch: &Batch| batch.ordered.is_empty() && batch.loose_left == 0;
        while self.queue.front().is_some_and(is_empty) {
            self.queue.pop_front();
        }
    }
}

/// What changed, by comparison.
pub struct Difference {
    named: Named,
    before: Option<Winner>,
    after: Option<Winner>,
}

pub fn differences(
    before: &BTreeMap<Named, Winner>,
    after: &BTreeMap<Named, Winner>,
) -> Vec<Difference> {
    let mut all = Vec::new();
    for (named, before) in before {
        let after = after.get(named).copied();
        if after.is_none_or(|after| (after.value, after.key) != (before.value, before.key)) {
            all.push(Difference { named: *named, before: Some(*before), after });
        }
    }
    for (named, after) in after {
        if !before.contains_key(named) {
            all.push(Difference { named: *named, before: None, after: Some(*after) });
        }
    }
    all
}

/// When in a commit something was last operated on.
struct Times<'a>(&'a [Change]);

impl Times<'_> {
    fn of(&self, named: Named) -> Option<usize> {
        self.0.iter().rposition(|change| match change {
            Change::Entry((key, name, _), _) | Change::NoEntry((key, name, _)) => {
                Named::Child(*key, *name) == named
            }
            Change::Value((key, name, _), _) | Change::NoValue((key, name, _)) => {
                Named::Value(*key, *name) == named
            }
            Change::Blanket(key, _) | Change::NoBlanket(key, _) => {
                matches!(named, Named::Value(other, _) if other == *key)
            }
            Change::Make(..) | Change::Security(..) => false,
        })
    }

    /// The keys whose security was written, and when last; that of a key that was made is new to all.
    fn security(&self) -> BTreeMap<Key, usize> {
        let made = |key: &Key| {
            self.0.iter().any(|change| matches!(change, Change::Make(made, _) if made == key))
        };
        let written = self.0.iter().enumerate().filter_map(|(time, change)| match change {
            Change::Security(key, _) if !made(key) => Some((*key, time)),
            _ => None,
        });
        written.collect()
    }
}

/// Tells a watcher what a commit of these changes has changed.
pub fn tell(
    watch: &mut Watch,
    changes: &[Change],
    differences: &[Difference],
    after: &Contents,
    bounds: Bounds,
) {
    if watch.filter == 0 {
        return;
    }
    let times = Times(changes);
    // By time, name, and, for a changed GUID, what comes first; the loose ones at the end.
    let mut events: Vec<((usize, Name, u8), Event)> = Vec::new();
    let mut add = |at: (usize, Name, u8), kind, name: &str, path: Option<String>| {
        if let Some(path) = path.filter(|_| watch.wants(kind)) {
            events.push((at, event(kind, name, &path)));
        }
    };
    const LOOSE: usize = usize::MAX;
    for Difference { named, before, after: now } in differences {
        let time = times.of(*named).unwrap_or(LOOSE);
        match *named {
            Named::Value(key, name) => {
                let path = watch.path_to(key, after, bounds);
                match (before, now) {
                    (_, Some(now)) => add((time, name, 0), EventKind::ValueSet, now.spelled, path),
                    (Some(before), None) => {
                        add((time, name, 0), EventKind::ValueDeleted, before.spelled, path);
                    }
                    (None, None) => {}
                }
            }
            Named::Child(parent, name) => {
                let path = watch.path_to(parent, after, bounds);
                if let Some(before) = before {
                    let kind = EventKind::SubkeyDeleted;
                    add((time, name, 0), kind, before.spelled, path.clone());
                    if before.key == Some(watch.key) {
                        add((time, name, 0), EventKind::KeyDeleted, "", Some(String::new()));
                    }
                }
                if let Some(now) = now {
                    add((time, name, 1), EventKind::SubkeyCreated, now.spelled, path);
                }
            }
        }
    }
    for (key, time) in times.security() {
        let path = watch.path_to(key, after, bounds);
        add((time, Name::Default, 0), EventKind::SdChanged, "", path);
    }
    if events.is_empty() {
        return;
    }
    if events.len() > bounds.burst {
        watch.overflow(bounds);
        return;
    }
    events.sort_by_key(|(at, _)| *at);
    let loose = events.iter().position(|((time, _, _), _)| *time == LOOSE).unwrap_or(events.len());
    let mut events = events.into_iter().map(|(_, event)| event);
    let ordered = events.by_ref().take(loose).collect();
    let loose: Vec<Event> = events.collect();
    watch.push(Batch { ordered, loose_left: loose.len(), loose }, bounds);
}
