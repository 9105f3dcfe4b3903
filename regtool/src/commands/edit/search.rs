//! Searching below all hives, one key after the other, so that it can be given up at any moment.

use std::ops::ControlFlow;

use libreg::data::interpret;
use libreg::{Access, Error, NamedValueRef, Registry, fold};

use super::draft::is_at_or_below;
use crate::path::Path;

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub key: Path,
    /// The value's name; none: it is the key.
    pub value: Option<String>,
}

/// What a step comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to look at.
    Going,
    Found(Place),
    /// It is nowhere.
    Nowhere,
}

/// A search.
pub struct Search {
    part: String,
    hives: Vec<Path>,
    /// What is to be looked at, the next last.
    pending: Vec<Path>,
    /// What is found up to there does not count. Without it, all does: the search goes round once.
    after: Option<Place>,
    /// Where it began.
    began: Place,
    /// How many keys were looked at.
    pub looked_at: usize,
}

impl Search {
    /// A search for this part of a name or of data, whatever its case, from behind this place on and round.
    pub fn new(part: &str, mut hives: Vec<Path>, from: Place) -> Search {
        hives.sort_by_cached_key(order);
        let pending = hives.iter().rev().cloned().collect();
        let (part, after) = (fold(part), Some(from.clone()));
        Search { part, hives, pending, after, began: from, looked_at: 0 }
    }

    /// Looks at one key more.
    ///
    /// # Errors
    /// The registry's, but for keys that are gone or that one may not read.
    pub fn step(&mut self, registry: &Registry) -> Result<Step, Error> {
        let Some(path) = self.pending.pop() else {
            if self.after.take().is_none() {
                return Ok(Step::Nowhere);
            }
            self.pending = self.hives.iter().rev().cloned().collect();
            return Ok(Step::Going);
        };
        // All below a key comes directly behind it.
        let is_past =
            |from: &Place| order(&path) < order(&from.key) && !is_at_or_below(&from.key, &path);
        if self.after.as_ref().is_some_and(is_past) {
            return Ok(Step::Going);
        }
        self.looked_at += 1;
        match self.look_at(registry, &path) {
            Ok(Some(place)) => Ok(Step::Found(place)),
            Ok(None) => Ok(Step::Going),
            Err(error) if error.is_not_found() || error.is_access_denied() => Ok(Step::Going),
            Err(error) => Err(error),
        }
    }

    fn look_at(&mut self, registry: &Registry, path: &Path) -> Result<Option<Place>, Error> {
        if self.counts(path, None) && path.names().last().is_some_and(|name| self.matches(name)) {
            return Ok(Some(Place { key: path.clone(), value: None }));
        }
        let access = Access::QUERY_VALUE | Access::ENUMERATE_SUB_KEYS;
        let key = registry.open_link(&path.to_string(), access)?;
        let subkeys: Vec<_> = key.subkeys(false).collect::<Result<_, _>>()?;
        let found = key.each_value(|NamedValueRef { name, value }| {
            let data = interpret(value.value_type, value.data).to_string();
            if self.counts(path, Some(name)) && (self.matches(name) || self.matches(&data)) {
                ControlFlow::Break(Place { key: path.clone(), value: Some(name.to_owned()) })
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
        self.pending.extend(subkeys.iter().rev().map(|subkey| path.join(&subkey.name)));
        Ok(None)
    }

    /// Whether a place is behind where the search began, or, after a round, before it.
    fn counts(&self, path: &Path, value: Option<&str>) -> bool {
        let place = (order(path), value.map(fold));
        let began = (order(&self.began.key), self.began.value.as_deref().map(fold));
        if self.after.is_some() { place > began } else { place <= began }
    }

    fn matches(&self, text: &str) -> bool {
        fold(text).contains(&self.part)
    }
}

/// Keys are looked at in the order of these.
fn order(path: &Path) -> Vec<String> {
    path.names().iter().map(|name| fold(name)).collect()
}
