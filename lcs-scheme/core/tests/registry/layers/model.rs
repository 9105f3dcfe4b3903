//! The registry as DESIGN.md describes it, in maps and loops: what the operations do, and what commits change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lcs_abi::call::TransactionState;
use lcs_abi::security::Access;

use super::contents::{
    Attached, Change, Contents, DWORD, Hive, Key, LAYERS, LINK, Place, Record, Rules, SKELETON, Who,
};
use super::names::{Layer, Name, Spelled, TARGETS};
use super::transactions::{Transaction, TransactionId};
use super::watching::{self, Bounds, Watch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    NoKey,
    NoValue,
    NoLayer,
    Invalid,
    AlreadyExists,
    NotEmpty,
    ConditionFailed,
    Denied,
    PrivilegeMissing,
    LinkLoop,
    Busy,
    OtherHive,
    SourceDown,
    Ended(TransactionState),
}

/// What a handle sees.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub scoped: bool,
    pub sealed: bool,
    pub attached: Rc<Attached>,
}

/// Through what something is done: whose handle, its view, its transaction.
#[derive(Clone, Debug)]
pub struct Through {
    pub who: Who,
    pub view: Rc<View>,
    pub transaction: Option<TransactionId>,
}

/// A key that was reached, and the path to it.
#[derive(Clone, Debug)]
pub struct Reached {
    pub key: Key,
    pub path: String,
}

/// How a key is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Making {
    pub layer: Layer,
    pub volatile: bool,
    /// It is a link, with this default value.
    pub link: Option<Option<&'static str>>,
}

pub struct Model {
    pub committed: Contents,
    pub transactions: BTreeMap<TransactionId, Transaction>,
    /// How many handles a key has.
    pub open: BTreeMap<Key, usize>,
    /// By the handles' own numbers.
    pub watches: BTreeMap<usize, Watch>,
    pub bounds: Bounds,
    pub down: BTreeSet<Hive>,
    /// The hives that are yet to drop a layer, which was deleted while they were down.
    pub pending: BTreeMap<Layer, BTreeSet<Hive>>,
    pub now: i64,
    /// Hives that something was committed in, or for, since somebody looked.
    pub changed: BTreeSet<Hive>,
    pub keys: usize,
}

const MAX_LINKS: usize = 16;

impl Model {
    pub fn new() -> Model {
        let committed = Contents::new();
        let keys = committed.keys.len();
        Model {
            committed,
            transactions: BTreeMap::new(),
            open: BTreeMap::new(),
            watches: BTreeMap::new(),
            bounds: Bounds { queue: 256, burst: 4096, depth: 0 },
            down: BTreeSet::new(),
            pending: BTreeMap::new(),
            now: 0,
            changed: BTreeSet::new(),
            keys,
        }
    }

    /// The contents as a transaction sees them: its writes above all that is committed.
    pub fn seen(&self, transaction: Option<TransactionId>) -> Cow<'_, Contents> {
        match transaction.and_then(|id| self.transactions.get(&id)) {
            Some(transaction) => transaction.seen(&self.committed),
            None => Cow::Borrowed(&self.committed),
        }
    }

    pub fn must_be_up(&self, hive: Hive) -> Result<(), Failure> {
        if self.down.contains(&hive) { Err(Failure::SourceDown) } else { Ok(()) }
    }

    fn route(&self, hive: Name, view: &View) -> Result<Hive, Failure> {
        let hive = match hive {
            Name::Test if view.scoped => Hive::Sandbox,
            Name::Test if !view.sealed => Hive::Test,
            Name::Machine if !view.sealed => Hive::Machine,
            _ => return Err(Failure::NoKey),
        };
        self.must_be_up(hive).map(|()| hive)
    }

    /// Follows a path from a key, or from the root of the view.
    pub fn follow(
        &self,
        through: &Through,
        start: Option<&Reached>,
        path: &[Name],
        open_link: bool,
    ) -> Result<Reached, Failure> {
        let contents = self.seen(through.transaction);
        if let Some(start) = start {
            self.must_be_named(&contents, start.key)?;
        }
        let mut links = 0;
        self.follow_in(&contents, &through.view, start, path, open_link, &mut links)
    }

    fn follow_in(
        &self,
        contents: &Contents,
        view: &View,
        start: Option<&Reached>,
        path: &[Name],
        open_link: bool,
        links: &mut usize,
    ) -> Result<Reached, Failure> {
        let (mut at, rest) = match start {
            Some(start) => (start.clone(), path),
            None => {
                let (hive, rest) = path.split_first().ok_or(Failure::Invalid)?;
                let root = self.route(*hive, view)?.root();
                (Reached { key: root, path: contents.keys[&root].name.text.into() }, rest)
            }
        };
        self.must_be_up(contents.hive(at.key))?;
        for (place, name) in rest.iter().enumerate() {
            let child = contents.child(at.key, *name, &view.attached).ok_or(Failure::NoKey)?;
            let record = &contents.keys[&child];
            at = Reached { key: child, path: format!("{}\\{}", at.path, record.name.text) };
            if record.link && !(open_link && place + 1 == rest.len()) {
                *links += 1;
                if *links > MAX_LINKS {
                    return Err(Failure::LinkLoop);
                }
                let value = contents.value(child, Name::Default, &view.attached);
                let value = value.ok_or(Failure::NoKey)?;
                let target = TARGETS.iter();
                let target = target.filter(|_| value.value_type == LINK);
                let target = target.filter(|(text, _)| text.as_bytes() == &*value.data);
                let target = target.filter_map(|(_, path)| *path).next();
                let target = target.ok_or(Failure::Invalid)?;
                at = self.follow_in(contents, view, None, target, false, links)?;
            }
        }
        Ok(at)
    }

    pub fn must_be_named(&self, contents: &Contents, key: Key) -> Result<(), Failure> {
        if contents.is_named(key) { Ok(()) } else { Err(Failure::NoKey) }
    }

    /// What a handle to a key is granted: SYSTEM asks for all, the user for whatever there is.
    pub fn admit(&self, through: &Through, key: Key) -> Result<Access, Failure> {
        let granted = self.seen(through.transaction).keys[&key].granted(through.who);
        if granted.is_empty() { Err(Failure::Denied) } else { Ok(granted) }
    }

    /// A layer that may be written into.
    pub fn writable_layer(&self, through: &Through, layer: Layer) -> Result<Spelled, Failure> {
        let contents = self.seen(through.transaction);
        let rules = contents.table.get(&layer).ok_or(Failure::NoLayer)?;
        if let Some(metadata) = rules.metadata {
            let published = self.committed.keys.get(&metadata);
            let record = published.unwrap_or_else(|| &contents.keys[&metadata]);
            if !record.granted(through.who).contains(Access::SET_VALUE) {
                return Err(Failure::Denied);
            }
        }
        Ok(rules.name)
    }

    /// Opens a key, or makes it: says which, and what is granted on it.
    pub fn create(
        &mut self,
        through: &Through,
        start: Option<&Reached>,
        path: &[Spelled],
        making: Making,
    ) -> Result<(Reached, bool, Access), Failure> {
        let (last, parents) = path.split_last().ok_or(Failure::Invalid)?;
        let names = |path: &[Spelled]| path.iter().map(|name| name.name).collect::<Vec<_>>();
        if start.is_none() && parents.is_empty() {
            let reached = self.follow(through, None, &names(path), false)?;
            let access = self.admit(through, reached.key)?;
            return Ok((reached, false, access));
        }
        let parent = self.follow(through, start, &names(parents), false)?;
        let contents = self.seen(through.transaction);
        if contents.keys[&parent.key].link {
            return Err(Failure::Invalid);
        }
        if let Some(Some(target)) = making.link {
            let path = TARGETS.iter().find(|(text, _)| *text == target).and_then(|(_, path)| *path);
            path.filter(|_| !target.contains('\0')).ok_or(Failure::Invalid)?;
        }
        if contents.child(parent.key, last.name, &through.view.attached).is_some() {
            let reached = self.follow(through, Some(&parent), &[last.name], making.link.is_some());
            let reached = reached?;
            let access = self.admit(through, reached.key)?;
            return Ok((reached, false, access));
        }
        let record = self.new_record(through, &contents, parent.key, *last, making)?;
        let layer = self.writable_layer(through, making.layer)?;
        let access = record.granted(through.who);
        let key = Key(self.keys);
        let place = (parent.key, last.name, making.layer);
        let mut changes = vec![Change::Make(key, record), Change::Entry(place, Some(key))];
        if let Some(Some(target)) = making.link {
            let value = super::contents::Value {
                name: Name::Default.spelled(0),
                layer,
                value_type: LINK,
                data: target.as_bytes().into(),
                order: 0,
            };
            changes.push(Change::Value((key, Name::Default, making.layer), value));
        }
        drop(contents);
        self.change(through, changes, making.layer)?;
        self.keys += 1;
        let path = format!("{}\\{}", parent.path, last.text);
        Ok((Reached { key, path }, true, access))
    }

    fn new_record(
        &self,
        through: &Through,
        contents: &Contents,
        parent: Key,
        name: Spelled,
        making: Making,
    ) -> Result<Record, Failure> {
        let above = &contents.keys[&parent];
        let granted = above.granted(through.who);
        let is_link = making.link.is_some();
        if !granted.contains(Access::CREATE_SUB_KEY)
            || is_link && !granted.contains(Access::CREATE_LINK)
        {
            return Err(Failure::Denied);
        }
        if is_link && through.who != Who::System {
            return Err(Failure::PrivilegeMissing);
        }
        self.writable_layer(through, making.layer)?;
        if parent == LAYERS {
            let base_only = making.layer != Layer::Base || name.name == Name::Base;
            if base_only || making.volatile || is_link {
                return Err(Failure::Invalid);
            }
            let transaction = through.transaction.and_then(|id| self.transactions.get(&id));
            let goes = transaction.is_some_and(|one| one.deletes_layer(name.name));
            if goes || self.pending.contains_key(&name.name) {
                return Err(Failure::Busy);
            }
        }
        if above.volatile && !making.volatile {
            return Err(Failure::Invalid);
        }
        let place = (parent, name.name, making.layer);
        if contents.entries.get(&place).is_some_and(|entry| entry.target.is_some()) {
            return Err(Failure::AlreadyExists);
        }
        Ok(Record {
            name,
            hive: above.hive,
            parent,
            volatile: making.volatile,
            link: is_link,
            last_write: self.now,
            for_user: above.for_user,
            user_owns: through.who == Who::User,
        })
    }

    /// The place of a key's own entry in a layer, if its own entries may be changed.
    fn own_place(
        &self,
        through: &Through,
        contents: &Contents,
        key: Key,
        layer: Layer,
    ) -> Result<Place, Failure> {
        let record = &contents.keys[&key];
        if record.parent == key {
            return Err(Failure::Invalid);
        }
        self.must_be_named(contents, key)?;
        self.writable_layer(through, layer)?;
        if SKELETON.contains(&key) || record.parent == LAYERS && layer != Layer::Base {
            return Err(Failure::Invalid);
        }
        Ok((record.parent, record.name.name, layer))
    }

    /// Removes a layer's entry for the name of an open key. Gives the key that it was of.
    pub fn delete(&mut self, through: &Through, key: Key, layer: Layer) -> Result<(), Failure> {
        let contents = self.seen(through.transaction);
        let place = self.own_place(through, &contents, key, layer)?;
        let transaction = through.transaction.and_then(|id| self.transactions.get(&id));
        if place.0 == LAYERS
            && transaction.is_some_and(|one| one.writes_into(&self.committed, place.1))
        {
            return Err(Failure::Invalid);
        }
        self.must_be_up(contents.hive(key))?;
        contents.keys.get(&place.0).ok_or(Failure::NoKey)?;
        let victim = contents.entries.get(&place).and_then(|entry| entry.target);
        let victim = victim.ok_or(Failure::NoKey)?;
        if victim != key && !contents.keys[&victim].granted(through.who).contains(Access::DELETE) {
            return Err(Failure::Denied);
        }
        if !contents.children(victim, &Attached::new()).is_empty() {
            return Err(Failure::NotEmpty);
        }
        drop(contents);
        self.change(through, vec![Change::NoEntry(place)], layer)
    }

    /// Writes a HIDDEN entry over the name of an open key, where the layer names no key itself.
    pub fn hide(&mut self, through: &Through, key: Key, layer: Layer) -> Result<(), Failure> {
        let contents = self.seen(through.transaction);
        let place = self.own_place(through, &contents, key, layer)?;
        if place.0 == LAYERS {
            return Err(Failure::Invalid);
        }
        self.must_be_up(contents.hive(key))?;
        contents.keys.get(&place.0).ok_or(Failure::NoKey)?;
        if contents.entries.get(&place).is_some_and(|entry| entry.target.is_some()) {
            return Err(Failure::AlreadyExists);
        }
        drop(contents);
        self.change(through, vec![Change::Entry(place, None)], layer)
    }

    /// Removes a HIDDEN entry under an open key.
    pub fn unhide(
        &mut self,
        through: &Through,
        parent: Key,
        name: Name,
        layer: Layer,
    ) -> Result<(), Failure> {
        let contents = self.seen(through.transaction);
        self.must_be_named(&contents, parent)?;
        self.writable_layer(through, layer)?;
        self.must_be_up(contents.hive(parent))?;
        let place = (parent, name, layer);
        if contents.entries.get(&place).is_none_or(|entry| entry.target.is_some()) {
            return Err(Failure::Invalid);
        }
        drop(contents);
        self.change(through, vec![Change::NoEntry(place)], layer)
    }

    /// Writes values, tombstones, blankets, or removes them. `expected` is the order that the layer's entry
    /// must have, or `Some(None)` if there must be none.
    pub fn write(
        &mut self,
        through: &Through,
        change: Change,
        layer: Layer,
        expected: Option<Option<u64>>,
    ) -> Result<(), Failure> {
        let key = change.writes_to();
        let layer_name = self.writable_layer(through, layer)?;
        let is_metadata = self.seen(through.transaction).keys[&key].parent == LAYERS;
        let mut change = change;
        if let Change::Value(place, value) = &mut change {
            value.layer = layer_name;
            if is_metadata
                && place.1 == Name::Precedence
                && value.value_type == DWORD
                && value.data.len() == 4
                && value.data.iter().any(|byte| *byte != 0)
                && through.who != Who::System
            {
                return Err(Failure::PrivilegeMissing);
            }
            if let Some(expected) = expected {
                self.expect(through, *place, expected)?;
            }
        }
        self.change(through, vec![change], layer)
    }

    fn expect(
        &mut self,
        through: &Through,
        place: Place,
        expected: Option<u64>,
    ) -> Result<(), Failure> {
        let present = self.committed.values.get(&place).map(|value| value.order);
        let hive = self.seen(through.transaction).hive(place.0);
        match through.transaction.and_then(|id| self.transactions.get_mut(&id)) {
            None => {
                self.must_be_up(hive)?;
                if present == expected { Ok(()) } else { Err(Failure::ConditionFailed) }
            }
            Some(transaction) => {
                if self.down.contains(&hive) {
                    return Err(Failure::SourceDown);
                }
                transaction.must_take(hive, place.2)?;
                transaction.expected.push((place, expected));
                Ok(())
            }
        }
    }

    /// Lets the user have these rights on a key, and nobody but SYSTEM others.
    pub fn set_security(
        &mut self,
        through: &Through,
        key: Key,
        for_user: Access,
    ) -> Result<(), Failure> {
        self.change(through, vec![Change::Security(key, for_user)], Layer::Base)
    }

    /// Changes at once, or in a transaction.
    fn change(
        &mut self,
        through: &Through,
        changes: Vec<Change>,
        layer: Layer,
    ) -> Result<(), Failure> {
        let hive = self.seen(through.transaction).hive(changes[0].writes_to());
        self.must_be_up(hive)?;
        match through.transaction.and_then(|id| self.transactions.get_mut(&id)) {
            Some(transaction) => transaction.write(&self.committed, hive, changes, layer, self.now),
            None => {
                self.commit(hive, &changes);
                Ok(())
            }
        }
    }

    /// Carries changes out, and tells the watchers; then what the new layer table changes of itself.
    pub fn commit(&mut self, hive: Hive, changes: &[Change]) {
        self.changed.insert(hive);
        self.tell_of(changes, |model| {
            for change in changes {
                model.committed.apply(change, model.now);
            }
            model.renew_table();
        });
        while self.committed.read_table() != self.committed.table {
            self.tell_of(&[], Model::renew_table);
        }
        self.drop_orphans();
    }

    /// Tells the watchers how what counts before differs from what counts afterwards.
    fn tell_of(&mut self, changes: &[Change], change: impl FnOnce(&mut Model)) {
        let watchers = self.watches.values().filter(|watch| watch.filter != 0);
        let sets: BTreeSet<Rc<Attached>> =
            watchers.map(|watch| Rc::clone(&watch.attached)).collect();
        let before: BTreeMap<_, _> = sets
            .into_iter()
            .map(|set| (Rc::clone(&set), watching::effective(&self.committed, &set)))
            .collect();
        change(self);
        for (set, before) in before {
            let after = watching::effective(&self.committed, &set);
            let differences = watching::differences(&before, &after);
            for watch in self.watches.values_mut() {
                if watch.attached == set && !self.down.contains(&watch.hive) {
                    let after = &self.committed;
                    watching::tell(watch, changes, &differences, after, self.bounds);
                }
            }
        }
    }

    /// Brings the table into force that the keys and values under `Layers` now are.
    fn renew_table(&mut self) {
        let table = self.committed.read_table();
        let old = std::mem::replace(&mut self.committed.table, table);
        if old != self.committed.table {
            self.changed.extend([Hive::Machine, Hive::Test, Hive::Sandbox]);
        }
        let is_there = |rules: &Rules| {
            let now = self.committed.table.get(&rules.name.name);
            now.is_some_and(|now| now.metadata == rules.metadata)
        };
        let gone: Vec<Layer> =
            old.values().filter(|rules| !is_there(rules)).map(|rules| rules.name.name).collect();
        for layer in gone {
            self.committed.drop_layer(layer);
            let committed = &self.committed;
            self.transactions.values_mut().for_each(|one| one.lost_layer(committed, layer));
            if !self.down.is_empty() {
                self.pending.insert(layer, self.down.clone());
            }
        }
    }

    pub fn drop_orphans(&mut self) {
        self.committed.drop_orphans(|key| self.open.contains_key(&key));
    }

    /// Commits a transaction.
    pub fn commit_transaction(&mut self, id: TransactionId) -> Result<(), Failure> {
        let hive = self.transactions.get_mut(&id).expect("a transaction").ready_in()?;
        let transaction = &self.transactions[&id];
        if self.pending.keys().any(|layer| transaction.makes_layer(&self.committed, *layer)) {
            return Err(Failure::Busy);
        }
        let holds = transaction.holds(&self.committed);
        let changes: Vec<Change> = transaction.changes().cloned().collect();
        let transaction = self.transactions.get_mut(&id).expect("a transaction");
        if !holds {
            transaction.state = TransactionState::Aborted;
            return Err(Failure::ConditionFailed);
        }
        transaction.state = TransactionState::Committed;
        self.commit(hive, &changes);
        Ok(())
    }

    pub fn opened(&mut self, key: Key) {
        *self.open.entry(key).or_default() += 1;
    }

    pub fn close(&mut self, key: Key) {
        let handles = self.open.get_mut(&key).expect("an open key");
        *handles -= 1;
        if *handles == 0 {
            self.open.remove(&key);
            self.drop_orphans();
        }
    }

    /// The source of a hive dies.
    pub fn goes_down(&mut self, hive: Hive) {
        self.down.insert(hive);
        self.transactions.values_mut().for_each(|one| one.lost_hive(hive));
    }

    /// The source of a hive is back: it has dropped what it is to drop, and nobody knows what has happened.
    pub fn comes_up(&mut self, hive: Hive) {
        self.down.remove(&hive);
        self.changed.insert(hive);
        if self.pending.values().any(|hives| hives.contains(&hive)) {
            self.changed.insert(Hive::Machine);
        }
        self.pending.retain(|_, hives| {
            hives.remove(&hive);
            !hives.is_empty()
        });
        let watches = self.watches.values_mut().filter(|watch| watch.filter != 0);
        let bounds = self.bounds;
        watches.filter(|watch| watch.hive == hive).for_each(|watch| watch.overflow(bounds));
    }
}
