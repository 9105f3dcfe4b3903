//! Looking at keys: their children, and what is known of them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use futures_util::StreamExt;
use futures_util::stream;
use lcs_abi::Guid;
use lcs_abi::call::{
    Counts, EnumSubkeys, EnumSubkeysAnswer, Guarded, KeyDetails, KeyInfoAnswer, Subkey,
};
use lcs_abi::rsi::{KeyRecord, Request};
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::error::Error;
use super::generations::{Made, unguarded};
use super::handles::HandleId;
use super::reading::Site;
use super::structure::by_name;
use super::values::ValueListing;
use crate::model::View;

/// How many subkeys are looked into at once when their contents are counted.
const COUNTED_AT_ONCE: usize = 16;

/// A list of as many items as fit into an answer.
pub(super) struct Page<T> {
    items: Vec<T>,
    size: usize,
    budget: usize,
    /// The cursor behind the last item.
    last: String,
    full: bool,
}

/// What an answer needs beside the items and the text of the cursor: their lengths, a generation and a guard.
pub(super) const PAGE_OVERHEAD: usize = 48;

impl<T: serde::Serialize> Page<T> {
    /// An empty page for an answer of at most `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Page { items: Vec::new(), size: PAGE_OVERHEAD, budget, last: String::new(), full: false }
    }

    /// Puts an item on the page if there is room for it, and tells whether there was. `cursor` leads on
    /// behind it.
    pub(super) fn push(&mut self, item: T, cursor: &str) -> Result<bool, Error> {
        let size = lcs_abi::encode(&item).len();
        let needed = self.size + size + cursor.len();
        if needed > self.budget {
            if self.items.is_empty() {
                return Err(Error::BufferTooSmall { needed });
            }
            self.full = true;
            return Ok(false);
        }
        self.size += size;
        self.items.push(item);
        self.last = cursor.to_string();
        Ok(true)
    }

    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, and the cursor of the next page if this one had no room for more.
    pub(super) fn finish(self) -> (Vec<T>, Option<String>) {
        (self.items, self.full.then_some(self.last))
    }
}

/// A walk over the visible children of a key, in the order of their folded names.
pub(super) struct ChildListing<'v> {
    site: Site,
    view: &'v View,
    key: Guid,
    after: Option<String>,
    more: bool,
}

impl<'v> ChildListing<'v> {
    pub(super) fn new(
        site: Site,
        view: &'v View,
        key: Guid,
        after: Option<String>,
    ) -> ChildListing<'v> {
        ChildListing { site, view, key, after, more: true }
    }
}

/// How much a key holds, and how long the longest of it is.
#[derive(Default)]
struct Summary {
    counts: Counts,
    max_subkey_name: u64,
    max_value_name: u64,
    max_value_data: u64,
}

impl<B: Backend> Registry<B> {
    /// A page of the visible subkeys, at most `budget` bytes long when encoded.
    pub async fn enum_subkeys(
        &self,
        id: HandleId,
        request: EnumSubkeys,
        budget: usize,
    ) -> Result<Guarded<EnumSubkeysAnswer>, Error> {
        let handle = self.key_with(id, Access::ENUMERATE_SUB_KEYS)?;
        let site = handle.site;
        let guard = self.guard(site, &Made::OfHive);
        let generation = self.generation(site.slot);
        let mut listing = ChildListing::new(site, &handle.view, handle.key, request.cursor);
        let mut page = Page::new(budget);
        'pages: while let Some(children) = self.next_children(&mut listing).await? {
            for some in children.chunks(COUNTED_AT_ONCE) {
                let subkeys =
                    some.iter().map(|child| self.subkey(site, &handle.view, child, request.counts));
                let mut subkeys = stream::iter(subkeys).buffered(COUNTED_AT_ONCE);
                while let Some(subkey) = subkeys.next().await {
                    let (subkey, folded) = subkey?;
                    if !page.push(subkey, folded)? {
                        break 'pages;
                    }
                }
            }
        }
        if page.is_empty() {
            // A key that is gone has no children; say that it is gone.
            self.read_key(site, handle.key).await?;
        }
        let (subkeys, next) = page.finish();
        Ok(Guarded { answer: EnumSubkeysAnswer { subkeys, next, generation }, guard })
    }

    async fn subkey<'r>(
        &self,
        site: Site,
        view: &View,
        child: &'r KeyRecord,
        counts: bool,
    ) -> Result<(Subkey, &'r str), Error> {
        let counts =
            if counts { Some(self.summary(site, view, child.key).await?.counts) } else { None };
        let subkey = Subkey {
            name: child.name.display.clone(),
            last_write: child.last_write,
            counts,
            link: child.link,
            volatile: child.volatile,
        };
        Ok((subkey, &child.name.folded))
    }

    /// The visible ones of the next page of entries.
    pub(super) async fn next_children(
        &self,
        listing: &mut ChildListing<'_>,
    ) -> Result<Option<Vec<KeyRecord>>, Error> {
        if !listing.more {
            return Ok(None);
        }
        let after = listing.after.take();
        let mut found = self.children(listing.site, listing.key, after.as_deref()).await?;
        listing.more = found.next.is_some();
        listing.after = found.next.take();
        let mut visible = Vec::new();
        for same_name in by_name(&found.entries) {
            let key = self.resolve_name(listing.site, listing.view, same_name)?;
            visible.extend(key.and_then(|key| found.keys.remove(&key)));
        }
        Ok(Some(visible))
    }

    async fn summary(&self, site: Site, view: &View, key: Guid) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        let mut children = ChildListing::new(site, view, key, None);
        while let Some(page) = self.next_children(&mut children).await? {
            for child in page {
                summary.counts.subkeys += 1;
                let length = child.name.display.len() as u64;
                summary.max_subkey_name = summary.max_subkey_name.max(length);
            }
        }
        let mut values = ValueListing::new(site, view, key, None);
        while let Some(value) = self.next_value(&mut values).await? {
            summary.counts.values += 1;
            let length = value.name.display.len() as u64;
            summary.max_value_name = summary.max_value_name.max(length);
            summary.max_value_data = summary.max_value_data.max(value.data.len() as u64);
        }
        Ok(summary)
    }

    /// What is known of the handle's key; without READ_CONTROL only what the handle itself knows.
    pub async fn key_info(&self, id: HandleId) -> Result<Guarded<KeyInfoAnswer>, Error> {
        let handle = self.key(id)?;
        let (created, access) = (handle.created, handle.access.bits());
        if handle.require(Access::READ_CONTROL).is_err() {
            return Ok(unguarded(KeyInfoAnswer { created, access, details: None }));
        }
        let guard = self.guard(handle.site, &Made::OfHive);
        let generation = self.generation(handle.site.slot);
        let record = self.read_key(handle.site, handle.key).await?;
        let summary = self.summary(handle.site, &handle.view, handle.key).await?;
        let details = KeyDetails {
            name: record.name.display,
            path: handle.path.clone(),
            guid: handle.key,
            last_write: record.last_write,
            counts: summary.counts,
            max_subkey_name: summary.max_subkey_name,
            max_value_name: summary.max_value_name,
            max_value_data: summary.max_value_data,
            volatile: record.volatile,
            link: record.link,
            sd_size: record.sd.len() as u64,
            generation,
        };
        Ok(Guarded { answer: KeyInfoAnswer { created, access, details: Some(details) }, guard })
    }

    /// Waits until all that was acknowledged in the key's hive is durable.
    pub async fn flush(&self, id: HandleId) -> Result<(), Error> {
        let handle = self.key_with(id, Access::SET_VALUE)?;
        self.ask_done(handle.site.slot, Request::Flush).await
    }
}
