//! The way through a subtree as a read view shows it: depth first, each key before what is under it.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, KeyRecord, PathEntry, Target, ValueEntry, ValuePosition};

use super::super::Registry;
use super::super::backend::Backend;
use super::super::chain::MAX_DEPTH;
use super::super::error::Error;
use super::super::reading::{Entries, Site};

/// What the way leads past.
#[derive(Debug)]
pub(super) enum Stop {
    /// A key, with the entries that name it; the first one's are left out.
    Key(KeyRecord, Vec<PathEntry>),
    /// Names that are hidden under the last key.
    Hidden(Vec<PathEntry>),
    /// Values of the last key.
    Values(Vec<ValueEntry>),
    /// Blanket tombstones of the last key.
    Blankets(Vec<BlanketEntry>),
}

/// Somewhere on the way. It holds a page of children for each level; so it is as small for a large subtree as for a
/// small one.
pub(super) struct Walk {
    site: Site,
    next: Next,
    /// What came together with the last stop, and comes before anything else.
    passed: Option<Stop>,
    levels: Vec<Level>,
}

/// What comes next.
enum Next {
    /// The key at the top.
    Top(Guid),
    /// The hidden names under a key, after this folded name.
    Hidden(Guid, Option<String>),
    /// The values of a key, after this position.
    Values(Guid, Option<ValuePosition>),
    /// The children of the lowest level.
    Child,
}

/// A key whose children come.
struct Level {
    key: Guid,
    /// Those that are known.
    children: VecDeque<(KeyRecord, Vec<PathEntry>)>,
    /// Where there are more of them.
    more: More,
}

/// Where a listing goes on.
enum More {
    /// After this folded name; from the start if there is none.
    After(Option<String>),
    Nowhere,
}

impl Level {
    /// Nothing is known of the key's children.
    fn unknown(key: Guid) -> Level {
        Level { key, children: VecDeque::new(), more: More::After(None) }
    }

    /// Takes the next page.
    fn take(&mut self, page: Entries) {
        let Entries { entries, mut keys, next } = page;
        let mut named: HashMap<Guid, Vec<PathEntry>> = HashMap::new();
        let mut order = Vec::new();
        for entry in entries {
            let Target::Key(key) = entry.target else { continue };
            let of_key = named.entry(key).or_default();
            if of_key.is_empty() {
                order.push(key);
            }
            of_key.push(entry);
        }
        for key in order {
            if let (Some(record), Some(entries)) = (keys.remove(&key), named.remove(&key)) {
                self.children.push_back((record, entries));
            }
        }
        self.more = next.map_or(More::Nowhere, |next| More::After(Some(next)));
    }
}

impl Walk {
    /// A way that begins at this key.
    pub(super) fn new(site: Site, top: Guid) -> Walk {
        Walk { site, next: Next::Top(top), passed: None, levels: Vec::new() }
    }

    /// The next stop; `None` at the end. Whoever does not wait for it has not come further.
    pub(super) async fn next<B: Backend>(
        &mut self,
        registry: &Registry<B>,
    ) -> Result<Option<Stop>, Error> {
        let site = self.site;
        loop {
            if let Some(stop) = self.passed.take() {
                return Ok(Some(stop));
            }
            match &self.next {
                Next::Top(key) => {
                    let record = registry.read_key(site, *key).await?;
                    self.next = Next::Hidden(record.key, None);
                    return Ok(Some(Stop::Key(record, Vec::new())));
                }
                Next::Hidden(key, after) => {
                    let (key, first) = (*key, after.is_none());
                    let page = registry.children(site, key, after.as_deref()).await?;
                    let is_hidden = |entry: &&PathEntry| entry.target == Target::Hidden;
                    let hidden: Vec<_> = page.entries.iter().filter(is_hidden).cloned().collect();
                    self.next = match &page.next {
                        Some(next) => Next::Hidden(key, Some(next.clone())),
                        None => Next::Values(key, None),
                    };
                    if first {
                        let mut level = Level::unknown(key);
                        if page.next.is_none() {
                            level.take(page);
                        }
                        self.levels.push(level);
                    }
                    if self.levels.len() > MAX_DEPTH {
                        return Err(registry.malformed(site.slot, "keys that contain each other"));
                    }
                    if !hidden.is_empty() {
                        return Ok(Some(Stop::Hidden(hidden)));
                    }
                }
                Next::Values(key, after) => {
                    let page = registry.values_page(site, *key, after.clone()).await?;
                    if page.next.is_none() && !page.blankets.is_empty() {
                        self.passed = Some(Stop::Blankets(page.blankets));
                    }
                    self.next = match page.next {
                        Some(next) => Next::Values(*key, Some(next)),
                        None => Next::Child,
                    };
                    if !page.entries.is_empty() {
                        return Ok(Some(Stop::Values(page.entries)));
                    }
                }
                Next::Child => {
                    let Some(level) = self.levels.last_mut() else { return Ok(None) };
                    if let Some((record, entries)) = level.children.pop_front() {
                        self.next = Next::Hidden(record.key, None);
                        return Ok(Some(Stop::Key(record, entries)));
                    }
                    match &level.more {
                        More::After(after) => {
                            let page = registry.children(site, level.key, after.as_deref()).await?;
                            level.take(page);
                        }
                        More::Nowhere => drop(self.levels.pop()),
                    }
                }
            }
        }
    }
}
