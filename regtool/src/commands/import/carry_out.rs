//! Carrying out a plan, with many requests in flight.

use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use libreg::windows::Value;
use libreg::{Access, Becomes, CreateKey, Error, Key, KeyChange, SetValue, ValueChange, ValueType};

use super::plan::{Change, Entry, Make, Phase, Plan, PlannedKey};
use crate::commands::changes::Changes;
use crate::commands::delete::delete_tree;
use crate::exit::{Code, Failure};
use crate::parallel::{self, lock};
use crate::path::Path;
use crate::rights::parts_of;

/// How many values of one key one worker writes.
const CHUNK: usize = 256;

/// How much of names and data is written with one request, in bytes, or one value that is larger.
const REQUEST: usize = 128 << 10;

/// How many keys one request makes.
const BATCH: usize = 64;

/// What came of an import.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Keys of the file that are there.
    pub keys: usize,
    /// Values written.
    pub values: usize,
    /// Values deleted or masked.
    pub deleted_values: usize,
    /// Keys deleted or hidden.
    pub deleted_keys: usize,
    /// What failed, by line.
    pub failed: Vec<Failed>,
    /// The registry or a source was lost, and the rest was not tried.
    pub lost: bool,
}

/// Something that could not be done.
#[derive(Debug)]
pub struct Failed {
    /// The line that asks for it.
    pub line: usize,
    /// What happened.
    pub what: String,
    /// As what kind of failure it counts.
    pub code: Code,
}

impl Outcome {
    /// Whether all that the file asks for could be done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && !self.lost
    }
}

impl More<'_> {
    fn chunks(key: &PlannedKey) -> impl Iterator<Item = More<'_>> {
        let count = key.entries.len();
        let starts = (CHUNK..count).step_by(CHUNK);
        starts.map(move |start| More { key, entries: start..(start + CHUNK).min(count) })
    }
}

/// An import on its way.
pub struct Import<'a> {
    changes: &'a Changes<'a>,
    layer: Option<&'a str>,
    progress: ProgressBar,
    keys: AtomicUsize,
    values: AtomicUsize,
    deleted_values: AtomicUsize,
    deleted_keys: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
    lost: AtomicBool,
}

/// How many keys of one parent one worker makes one after the other. The parent is looked up once for
/// them.
const FAMILY: usize = 16;

/// Values of a key beyond its first chunk.
struct More<'a> {
    key: &'a PlannedKey,
    entries: Range<usize>,
}

impl<'a> Import<'a> {
    /// Gets ready. A progress bar appears if stderr is a terminal.
    pub fn new(changes: &'a Changes<'a>, layer: Option<&'a str>, plan: &Plan) -> Import<'a> {
        let style = ProgressStyle::with_template("{bar:40} {percent}%  {pos}/{len}  {eta} left");
        let progress = ProgressBar::new(plan.count().steps as u64);
        if let Ok(style) = style {
            progress.set_style(style);
        }
        Import {
            changes,
            layer,
            progress,
            keys: AtomicUsize::new(0),
            values: AtomicUsize::new(0),
            deleted_values: AtomicUsize::new(0),
            deleted_keys: AtomicUsize::new(0),
            failed: Mutex::new(Vec::new()),
            lost: AtomicBool::new(false),
        }
    }

    /// Does what the plan says, until the registry is lost.
    pub fn carry_out(&self, plan: &Plan) {
        for phase in &plan.phases {
            let go_on = match phase {
                Phase::Delete { line, path } => self.delete(*line, path),
                Phase::Hide { line, path } => self.hide(*line, path),
                Phase::Write(levels) => self.write(levels),
            };
            if go_on.is_break() {
                return;
            }
        }
    }

    /// What came of it.
    pub fn finish(self) -> Outcome {
        self.progress.finish_and_clear();
        let mut failed = parallel::into_inner(self.failed);
        failed.sort_by_key(|failed| failed.line);
        Outcome {
            keys: self.keys.into_inner(),
            values: self.values.into_inner(),
            deleted_values: self.deleted_values.into_inner(),
            deleted_keys: self.deleted_keys.into_inner(),
            failed,
            lost: self.lost.into_inner(),
        }
    }

    fn delete(&self, line: usize, path: &Path) -> ControlFlow<()> {
        self.progress.inc(1);
        let registry = self.changes.registry(&path.to_string());
        match delete_tree(registry, path, self.layer) {
            Ok(()) => {
                self.deleted_keys.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
            // As in regedit: to delete what is not there is no error.
            Err(Failure::Registry(error)) if error.is_not_found() => ControlFlow::Continue(()),
            Err(Failure::Registry(error)) => self.registry_failed(line, error),
            Err(failure) => self.fail(line, &failure),
        }
    }

    fn hide(&self, line: usize, path: &Path) -> ControlFlow<()> {
        self.progress.inc(1);
        let registry = self.changes.registry(&path.to_string());
        let hidden = registry
            .open_link(&path.to_string(), Access::DELETE)
            .and_then(|key| key.hide(self.layer));
        match hidden {
            Ok(()) => {
                self.deleted_keys.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
            // There is nothing to hide.
            Err(error) if error.is_not_found() => ControlFlow::Continue(()),
            Err(error) => self.registry_failed(line, error),
        }
    }

    fn write(&self, levels: &[Vec<PlannedKey>]) -> ControlFlow<()> {
        let mut above = Level { keys: &[], usable: Vec::new() };
        let more = Mutex::new(Vec::new());
        for keys in levels {
            let level =
                Level { keys, usable: keys.iter().map(|_| AtomicBool::new(false)).collect() };
            let families = level.families();
            let complete =
                parallel::for_each(parallel::WRITERS, &level.batches(&families), |batch| {
                    self.batch(&above, &level, batch, &more)
                });
            if !complete {
                return ControlFlow::Break(());
            }
            above = level;
        }
        let more = parallel::into_inner(more);
        let complete = parallel::for_each(parallel::WRITERS, &more, |more: &More| {
            let registry = self.changes.registry(&more.key.path);
            match registry.open_key(&more.key.path, access_for(more.key)) {
                Ok(handle) => self.entries(&handle, &more.key.entries[more.entries.clone()]),
                Err(error) => self.registry_failed(more.key.line, error),
            }
        });
        if complete { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Makes the keys of some families, with one request if that can be. Where it fails, what cannot be is found by
    /// doing one after the other.
    fn batch<'plan>(
        &self,
        above: &Level<'plan>,
        level: &Level<'plan>,
        families: &[Range<usize>],
        more: &Mutex<Vec<More<'plan>>>,
    ) -> ControlFlow<()> {
        let all = families.first().zip(families.last()).map(|(first, last)| first.start..last.end);
        if let Some(all) = all.filter(|all| all.len() > 1) {
            let keys = &level.keys[all.clone()];
            let are_usable = keys.iter().all(|key| above.is_usable(key.parent));
            let fit = keys.iter().map(size).sum::<usize>() <= REQUEST;
            let changes = keys.iter().map(plain).collect::<Option<Vec<KeyChange>>>();
            if let (true, Some(changes), Some(first)) = (are_usable && fit, changes, keys.first())
                && self.changes.registry(&first.path).change_keys(changes, self.layer).is_ok()
            {
                for (key, usable) in keys.iter().zip(&level.usable[all]) {
                    usable.store(true, Ordering::Relaxed);
                    self.progress.inc(1);
                    self.made(key);
                    key.entries.iter().for_each(|entry| self.done(self.counter(entry)));
                }
                return ControlFlow::Continue(());
            }
        }
        families.iter().try_for_each(|family| self.family(above, level, family.clone(), more))
    }

    /// Makes some keys of one parent.
    fn family<'plan>(
        &self,
        above: &Level<'plan>,
        level: &Level<'plan>,
        family: Range<usize>,
        more: &Mutex<Vec<More<'plan>>>,
    ) -> ControlFlow<()> {
        let keys = &level.keys[family.clone()];
        let place = match keys.first().and_then(|key| above.keys.get(key.parent)) {
            // A hive is made by its source, and is there or not.
            None => Place::Hives,
            Some(parent) if keys.iter().all(|key| above.is_usable(key.parent)) => {
                let registry = self.changes.registry(&parent.path);
                match registry.open_key(&parent.path, Access::MAXIMUM_ALLOWED) {
                    Ok(parent) => Place::Below(parent),
                    Err(error) => return self.registry_failed(parent.line, error),
                }
            }
            Some(_) => {
                // The parent's failure has been told, and says enough.
                let steps = keys.iter().map(PlannedKey::steps).sum::<usize>();
                self.progress.inc(steps as u64);
                return ControlFlow::Continue(());
            }
        };
        for (key, usable) in keys.iter().zip(&level.usable[family]) {
            match self.key(&place, key) {
                Ok(handle) => {
                    usable.store(true, Ordering::Relaxed);
                    if let Some(line) = key.masks_all {
                        self.change(line, handle.set_blanket(self.layer), &self.deleted_values)?;
                    }
                    let (first, rest) = key.entries.split_at(key.entries.len().min(CHUNK));
                    if !rest.is_empty() {
                        lock(more).extend(More::chunks(key));
                    }
                    self.entries(&handle, first)?;
                }
                Err(error) => self.registry_failed(key.line, error)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn key(&self, place: &Place, key: &PlannedKey) -> Result<Key, Error> {
        let (access, make) = (access_for(key), &key.make);
        let handle = match place {
            Place::Hives => self.changes.registry(&key.path).open_key(&key.path, access),
            Place::Below(parent) => {
                let (link, volatile) = (make.link.as_deref(), make.volatile);
                let how = CreateKey { layer: self.layer, link, volatile };
                parent.create_key(key.name(), access, &how)
            }
        };
        self.progress.inc(1);
        let handle = handle?;
        if let Some(sd) = &make.sd {
            // Before there are keys below it, which inherit from it.
            handle.set_security(parts_of(sd), sd)?;
        }
        if let Some(target) = &make.link
            && !handle.info()?.created
        {
            let how = SetValue { layer: self.layer, expected_sequence: None };
            handle.set_value("", ValueType::Link.code(), target.as_bytes(), &how)?;
        }
        self.made(key);
        Ok(handle)
    }

    /// A key is there.
    fn made(&self, key: &PlannedKey) {
        if key.named {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As many changes at once as one request takes. Where that fails nothing is done, and what cannot be is found by
    /// doing one after the other.
    fn entries(&self, key: &Key, entries: &[Entry]) -> ControlFlow<()> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (mut changes, mut bytes) = (Vec::new(), 0);
            for entry in rest {
                let Some(to) = becomes(&entry.change) else { break };
                bytes += entry.name.len()
                    + if let Becomes::Value { data, .. } = &to { data.len() } else { 0 };
                if bytes > REQUEST && !changes.is_empty() {
                    break;
                }
                changes.push(ValueChange { name: entry.name.clone(), to });
            }
            let (some, others) = rest.split_at(changes.len().max(1));
            rest = others;
            if changes.len() < 2 {
                self.one_by_one(key, some)?;
                continue;
            }
            match key.change_values(changes, self.layer) {
                Ok(_) => some.iter().for_each(|entry| self.done(self.counter(entry))),
                Err(_) => self.one_by_one(key, some)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn counter(&self, entry: &Entry) -> &AtomicUsize {
        match entry.change {
            Change::Set(_) | Change::SetIfAbsent(_) => &self.values,
            Change::Delete | Change::Mask => &self.deleted_values,
        }
    }

    fn one_by_one(&self, key: &Key, entries: &[Entry]) -> ControlFlow<()> {
        for entry in entries {
            let set = |value: &Value| {
                let how = SetValue { layer: self.layer, expected_sequence: None };
                key.set_value(&entry.name, value.value_type, &value.data, &how).map(drop)
            };
            let outcome = match &entry.change {
                Change::Set(value) => set(value),
                Change::SetIfAbsent(value) => match key.value(&entry.name) {
                    Ok(_) => {
                        self.progress.inc(1);
                        continue;
                    }
                    Err(error) if error.is_not_found() => set(value),
                    Err(error) => Err(error),
                },
                Change::Delete => key.delete_value(&entry.name, self.layer),
                Change::Mask => key.set_tombstone(&entry.name, self.layer),
            };
            self.change(entry.line, outcome, self.counter(entry))?;
        }
        ControlFlow::Continue(())
    }

    fn done(&self, counter: &AtomicUsize) {
        self.progress.inc(1);
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a change, or tells why there is none.
    fn change(
        &self,
        line: usize,
        outcome: Result<(), Error>,
        counter: &AtomicUsize,
    ) -> ControlFlow<()> {
        match outcome {
            Ok(()) => {
                self.done(counter);
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.progress.inc(1);
                self.registry_failed(line, error)
            }
        }
    }

    fn registry_failed(&self, line: usize, error: Error) -> ControlFlow<()> {
        let full = error.is_over_limit();
        let registry = self.changes.registry(&error.path);
        self.fail(line, &Failure::explained(registry, error))?;
        // What is too large for one transaction has no use for the rest of it.
        if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn fail(&self, line: usize, failure: &Failure) -> ControlFlow<()> {
        let code = failure.code();
        lock(&self.failed).push(Failed { line, what: failure.to_string(), code });
        if code == Code::Unavailable {
            self.lost.store(true, Ordering::Relaxed);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// A key of a plan as one of several that are made with one request; nothing if it takes more than that.
fn plain(key: &PlannedKey) -> Option<KeyChange> {
    let Make { link, volatile, sd } = &key.make;
    if link.is_some() || sd.is_some() || key.masks_all.is_some() {
        return None;
    }
    let change =
        |entry: &Entry| Some(ValueChange { name: entry.name.clone(), to: becomes(&entry.change)? });
    let values = key.entries.iter().map(change).collect::<Option<_>>()?;
    Some(KeyChange { path: key.path.clone(), volatile: *volatile, values })
}

/// About how much of a request a key takes, in bytes.
fn size(key: &PlannedKey) -> usize {
    let data = |entry: &Entry| match &entry.change {
        Change::Set(value) | Change::SetIfAbsent(value) => value.data.len(),
        Change::Delete | Change::Mask => 0,
    };
    let values: usize = key.entries.iter().map(|entry| entry.name.len() + data(entry)).sum();
    key.path.len() + values
}

/// What a change makes of its value; nothing if that depends on what is there.
fn becomes(change: &Change) -> Option<Becomes> {
    match change {
        Change::Set(Value { value_type, data }) => {
            Some(Becomes::Value { value_type: *value_type, data: data.clone() })
        }
        Change::SetIfAbsent(_) => None,
        Change::Delete => Some(Becomes::Absent),
        Change::Mask => Some(Becomes::Tombstone),
    }
}

/// What a handle of a key needs. Only what the file changes is asked for: a key that is merely passed may be
/// read-only.
fn access_for(key: &PlannedKey) -> Access {
    let mut access = Access::empty();
    access.set(Access::SET_VALUE, !key.entries.is_empty() || key.masks_all.is_some());
    let reads = key.entries.iter().any(|entry| matches!(entry.change, Change::SetIfAbsent(_)));
    access.set(Access::QUERY_VALUE, reads);
    if key.make.link.is_some() {
        access |= Access::SET_VALUE;
    }
    if let Some(sd) = &key.make.sd {
        access |= parts_of(sd).rights_to_write();
    }
    if access.is_empty() { Access::MAXIMUM_ALLOWED } else { access }
}

/// Where keys are made.
enum Place {
    /// Nowhere: hives are only opened.
    Hives,
    /// Below this one.
    Below(Key),
}

/// The keys of a level, and which of them are there.
struct Level<'a> {
    keys: &'a [PlannedKey],
    usable: Vec<AtomicBool>,
}

impl Level<'_> {
    fn is_usable(&self, index: usize) -> bool {
        self.usable.get(index).is_some_and(|usable| usable.load(Ordering::Relaxed))
    }

    /// Families that one worker takes: as many as one request makes the keys of.
    fn batches<'f>(&self, families: &'f [Range<usize>]) -> Vec<&'f [Range<usize>]> {
        let (mut keys, mut bytes) = (0, 0);
        let mut batches = Vec::new();
        let mut start = 0;
        for (index, family) in families.iter().enumerate() {
            let of_family: usize = self.keys[family.clone()].iter().map(size).sum();
            if index > start && (keys + family.len() > BATCH || bytes + of_family > REQUEST) {
                batches.push(&families[start..index]);
                (start, keys, bytes) = (index, 0, 0);
            }
            keys += family.len();
            bytes += of_family;
        }
        batches.push(&families[start..]);
        batches
    }

    /// Splits the keys into neighbours of one parent.
    fn families(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        let mut families = Vec::new();
        for siblings in self.keys.chunk_by(|one, next| one.parent == next.parent) {
            for family in siblings.chunks(FAMILY) {
                families.push(start..start + family.len());
                start += family.len();
            }
        }
        families
    }
}
