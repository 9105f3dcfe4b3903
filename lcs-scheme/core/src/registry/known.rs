//! Answers that take nothing but what sources have said already, made in one go where it is kept: without a wait, and
//! without copies of anything but the answer. They are what [`values`](super::values) answers, byte by byte; where
//! something is missing, or is to be refused, that is asked.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use lcs_abi::call::{
    AfterValues, Guard, Guarded, NamedValueRef, QueryValue, QueryValues, ValueRef,
};
use lcs_abi::rsi::{BlanketEntryRef, ValueEntryRef};
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::cache::{Object, Part};
use super::generations::Made;
use super::handles::{HandleId, KeyHandle};
use super::keys::PAGE_OVERHEAD;
use crate::model::View;

/// How many answers about values that have many entries are kept, each in the place that its value has.
const LAYERED_PLACES: usize = 256;

/// How large what is kept of a value must be for that, in bytes: a few entries are compared as fast as an answer is found.
const LAYERED_FROM: usize = 512;

/// The largest answer that is kept so, in bytes.
const LARGEST_LAYERED: usize = 512;

/// How many pages are kept as they were answered.
const MOST_LISTINGS: usize = 16;

/// The largest page that is kept, in bytes.
const LARGEST_LISTING: usize = 64 << 10;

/// All entries of a name, or of all names, of a key's values, and its blankets.
type Entries<'a> = (Vec<ValueEntryRef<'a>>, Vec<BlanketEntryRef<'a>>);

fn value<'a>(entry: &ValueEntryRef<'a>) -> ValueRef<'a> {
    let ValueEntryRef { value_type, data, sequence, layer, .. } = *entry;
    ValueRef { value_type, data, sequence, layer: layer.display }
}

impl<B: Backend> Registry<B> {
    /// The encoded answer of [`query_value`](Registry::query_value), if it can be had at once.
    pub fn known_value(&self, id: HandleId, request: &QueryValue) -> Option<Vec<u8>> {
        let handle = self.key_with(id, Access::QUERY_VALUE).ok()?;
        let name = self.value_name(&request.name).ok()?;
        let (slot, key, part) = (handle.site.slot, handle.key, Part::Value(name.folded()));
        let object = Object { slot, key, part };
        let guard = self.guard(handle.site, &Made::Of(object));
        self.known(&handle, object, |contents| {
            let guard_if_layered = guard.filter(|_| contents.len() >= LAYERED_FROM);
            if let Some(guard) = guard_if_layered
                && let Some(same) = self.layered.lock().get(object, &handle.view, guard)
            {
                return Some(same);
            }
            let (entries, blankets): Entries = lcs_abi::decode(contents).ok()?;
            let winner = self
                .with(|state| state.rules(None, &handle.view).winning_value(&entries, &blankets));
            let winner = winner.ok()??;
            let answer: Guarded<ValueRef> = Guarded { answer: value(&winner), guard };
            let answer = lcs_abi::encode(&answer);
            if let Some(guard) = guard_if_layered {
                self.layered.lock().keep(object, &handle.view, guard, &answer);
            }
            Some(answer)
        })
    }

    /// The encoded answer of [`query_values`](Registry::query_values), at most `budget` bytes long, if it can be had
    /// at once.
    pub fn known_values(
        &self,
        id: HandleId,
        request: &QueryValues,
        budget: usize,
    ) -> Option<Vec<u8>> {
        let handle = self.key_with(id, Access::QUERY_VALUE).ok()?;
        let generation = self.generation(handle.site.slot);
        let guard = self.guard(handle.site, &Made::OfHive);
        let object = Object { slot: handle.site.slot, key: handle.key, part: Part::Values };
        let view = Rc::clone(&handle.view);
        let page = PageOf { object, view, cursor: request.cursor.clone(), budget };
        if let Some(same) = guard.and_then(|guard| self.listings.lock().get(&page, guard)) {
            return Some(same);
        }
        let answer = self.known(&handle, object, |contents| {
            let (entries, blankets): Entries = lcs_abi::decode(contents).ok()?;
            let seen = request
                .cursor
                .as_deref()
                .map_or(0, |cursor| entries.partition_point(|entry| entry.name.folded <= cursor));
            let mut page = EncodedPage::new(budget, contents.len());
            self.with(|state| {
                let rules = state.rules(None, &handle.view);
                for same_name in entries[seen..].chunk_by(|a, b| a.name.folded == b.name.folded) {
                    let winner = rules.winning_value(same_name, &blankets).ok()?;
                    if let Some(winner) = winner
                        && !page.push(&winner)
                    {
                        break;
                    }
                }
                Some(())
            })?;
            page.finish(generation, guard)
        })?;
        if let Some(guard) = guard {
            self.listings.lock().keep(page, guard, answer.clone());
        }
        Some(answer)
    }

    /// Makes an answer of what is kept of an object, if that is what the handle sees.
    fn known(
        &self,
        handle: &KeyHandle,
        object: Object<&str>,
        make: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let site = handle.site;
        if site.transaction.is_some() || site.snapshot.is_some() {
            return None;
        }
        self.cache.look(object, make)
    }
}

/// An answer about a value.
struct Layered {
    object: Object<Box<str>>,
    view: Rc<View>,
    guard: Guard,
    answer: Vec<u8>,
}

/// The last answers about values that have many entries. Whoever asks again for one, in a hive in which nothing has
/// changed, is told the same, and nothing is compared for that.
#[derive(Default)]
pub(super) struct LayeredValues {
    hashes: DefaultHashBuilder,
    /// By a value's hash; made when there is something to be kept.
    places: Vec<Option<Layered>>,
}

impl LayeredValues {
    fn place(&self, object: Object<&str>) -> usize {
        (self.hashes.hash_one(object) % LAYERED_PLACES as u64) as usize
    }

    fn get(&self, object: Object<&str>, view: &Rc<View>, guard: Guard) -> Option<Vec<u8>> {
        let kept = self.places.get(self.place(object))?.as_ref()?;
        let same = kept.guard == guard && kept.view == *view && kept.object.borrowed() == object;
        same.then(|| kept.answer.clone())
    }

    fn keep(&mut self, object: Object<&str>, view: &Rc<View>, guard: Guard, answer: &[u8]) {
        if answer.len() > LARGEST_LAYERED {
            return;
        }
        self.places.resize_with(LAYERED_PLACES, || None);
        let (place, view) = (self.place(object), Rc::clone(view));
        if let Some(place) = self.places.get_mut(place) {
            *place = Some(Layered { object: object.owned(), view, guard, answer: answer.into() });
        }
    }
}

/// A page that somebody asked for.
#[derive(PartialEq)]
struct PageOf {
    object: Object<&'static str>,
    view: Rc<View>,
    cursor: Option<String>,
    budget: usize,
}

/// A page as it was answered.
struct Listing {
    page: PageOf,
    guard: Guard,
    answer: Vec<u8>,
}

/// The pages that were answered last. Whoever asks again for one, of a hive in which nothing has changed, is told the
/// same.
#[derive(Default)]
pub(super) struct Listings {
    kept: VecDeque<Listing>,
}

impl Listings {
    fn get(&self, page: &PageOf, guard: Guard) -> Option<Vec<u8>> {
        let kept = self.kept.iter().find(|kept| kept.guard == guard && kept.page == *page)?;
        Some(kept.answer.clone())
    }

    fn keep(&mut self, page: PageOf, guard: Guard, answer: Vec<u8>) {
        if answer.len() > LARGEST_LISTING {
            return;
        }
        self.kept.retain(|kept| kept.page != page);
        if self.kept.len() == MOST_LISTINGS {
            self.kept.pop_front();
        }
        self.kept.push_back(Listing { page, guard, answer });
    }
}

/// A page of values that is encoded as it grows.
struct EncodedPage {
    values: Vec<u8>,
    count: usize,
    budget: usize,
    /// The cursor behind the last value.
    last: String,
    full: bool,
}

impl EncodedPage {
    fn new(budget: usize, about: usize) -> EncodedPage {
        let values = Vec::with_capacity(budget.min(about));
        EncodedPage { values, count: 0, budget, last: String::new(), full: false }
    }

    /// Puts a value on the page if there is room for it, and tells whether there was.
    fn push(&mut self, entry: &ValueEntryRef) -> bool {
        let before = self.values.len();
        let value = NamedValueRef { name: entry.name.display, value: value(entry) };
        self.values = lcs_abi::encode_onto(core::mem::take(&mut self.values), &value);
        if PAGE_OVERHEAD + self.values.len() + entry.name.folded.len() > self.budget {
            self.values.truncate(before);
            self.full = true;
            return false;
        }
        self.count += 1;
        self.last.clear();
        self.last.push_str(entry.name.folded);
        true
    }

    /// The whole answer; nothing if nothing is on the page.
    fn finish(self, generation: u64, guard: Option<Guard>) -> Option<Vec<u8>> {
        if self.count == 0 {
            return None;
        }
        let mut answer = Vec::with_capacity(PAGE_OVERHEAD + self.values.len() + self.last.len());
        answer = lcs_abi::encode_onto(answer, &self.count);
        answer.extend_from_slice(&self.values);
        let next = self.full.then_some(self.last);
        Some(lcs_abi::encode_onto(answer, &AfterValues { next, generation, guard }))
    }
}
