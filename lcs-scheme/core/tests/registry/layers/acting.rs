//! What is done with open keys, layers, transactions and sources.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, DeleteValue, Derive, LayerOnly, SetSecurity, SetTombstone, SetValue,
    TransactionState, Unhide,
};
use lcs_abi::rsi::{Answer, Request};
use lcs_abi::security::Access;
use lcs_abi::watch::Notify;
use lcs_core::registry::Error;
use lcs_core::security::sddl;

use super::contents::{Change, DWORD, Hive, LAYERS, LINK, REGISTRY, TOMBSTONE, Value};
use super::model::Making;
use super::names::{Layer, NAMES, Name, Spelled};
use super::operations::{Expected, Metadata, Op, Start, Way};
use super::player::{Handle, Player, SCOPE, UID, failure, layer_text};
use super::transactions::{Transaction, TransactionId};
use super::watching::Watch;
use crate::common::client::in_layer;

/// How much larger values are where more is to be said than LCS may remember, in bytes.
const LARGE: usize = 40 << 10;

/// The type of a QWORD.
const QWORD: u32 = 11;

/// The transactions that are open at once at most.
const MAX_TRANSACTIONS: usize = 3;

/// A change of an open key that the registry is asked for.
pub type Asking = LocalBoxFuture<'static, Result<Option<u64>, Error>>;

fn in_that(layer: Layer) -> LayerOnly {
    in_layer(layer_text(layer).as_deref())
}

/// A descriptor that gives SYSTEM all, and the user this.
fn descriptor(rights: Access) -> Vec<u8> {
    let user = format!("(A;CI;{:#x};;;S-1-22-1-{UID})", rights.bits());
    let user = if rights.is_empty() { String::new() } else { user };
    let text = format!("D:P(A;CI;KA;;;SY){user}");
    sddl::parse(&text).expect("a descriptor").to_bytes()
}

impl Player {
    /// Does something with an open key.
    pub fn write(&mut self, op: &Op) {
        let Some(place) = self.place_of(op) else { return };
        match op {
            Op::Watch { filter, subtree, .. } => self.watch(place, *filter, *subtree),
            Op::ReadEvents { .. } => self.read_events(place),
            Op::Query { .. }
            | Op::Values { .. }
            | Op::Subkeys { .. }
            | Op::Info { .. }
            | Op::Explain { .. } => self.look_at(place, op),
            Op::SetBlanket { layer, .. } if !self.may_mask(place, *layer) => {}
            _ => self.change(place, op),
        }
    }

    /// Where the open key is with which something is done, if there is one.
    pub fn place_of(&self, op: &Op) -> Option<usize> {
        match op {
            Op::Delete { handle, .. }
            | Op::Hide { handle, .. }
            | Op::Unhide { handle, .. }
            | Op::Set { handle, .. }
            | Op::DeleteValue { handle, .. }
            | Op::SetBlanket { handle, .. }
            | Op::ClearBlanket { handle, .. }
            | Op::Secure { handle, .. }
            | Op::Watch { handle, .. }
            | Op::ReadEvents { handle }
            | Op::Query { handle, .. }
            | Op::Values { handle, .. }
            | Op::Subkeys { handle, .. }
            | Op::Info { handle }
            | Op::Explain { handle, .. } => self.place(*handle),
            _ => None,
        }
    }

    /// Whether a layer may say something of all values of a key: of LCS's settings none does, for they are set
    /// once; and of the metadata of layers only one that comes before them, so that no layer says anything of
    /// itself.
    pub fn may_mask(&self, place: usize, layer: Layer) -> bool {
        let contents = self.model.seen(self.handles[place].through.transaction);
        let key = self.handles[place].key;
        let record = &contents.keys[&key];
        key != REGISTRY && (record.parent != LAYERS || self.may_say(place, record.name.name, layer))
    }

    /// Whether a layer may say something of the metadata of another.
    fn may_say(&self, place: usize, of: Layer, layer: Layer) -> bool {
        let is_there = self.model.committed.keys.contains_key(&self.handles[place].key);
        layer == Layer::Base || is_there && layer < of
    }

    /// Changes something in an open key, on both sides.
    fn change(&mut self, place: usize, op: &Op) {
        let done = self.client.run(self.asking(place, op));
        let expected = self.expect(place, op);
        self.learn(place, op, &done);
        self.agree(place, done.map(drop), expected);
    }

    /// A change of an open key, as the registry is asked for it; it tells the sequence number of a value.
    pub fn asking(&self, place: usize, op: &Op) -> Asking {
        let (registry, id) = (Rc::clone(&self.client.registry), self.handles[place].id);
        let expected_sequence =
            self.condition(place, op).map(|of| of.map_or(0, |(number, _)| number));
        let mut op = op.clone();
        if let Op::Set { value_type, data, .. } = &mut op {
            *data = self.padded(place, *value_type, data);
        }
        Box::pin(async move {
            let done = match op {
                Op::Set { name, layer, value_type: TOMBSTONE, .. }
                    if expected_sequence.is_none() =>
                {
                    let request = SetTombstone { name: name.text.into(), layer: layer_text(layer) };
                    registry.set_tombstone(id, request).await
                }
                Op::Set { name, layer, value_type, data, .. } => {
                    let (name, layer) = (name.text.into(), layer_text(layer));
                    let request = SetValue { name, value_type, data, layer, expected_sequence };
                    return Ok(Some(registry.set_value(id, request).await?.sequence));
                }
                Op::DeleteValue { name, layer, .. } => {
                    let request = DeleteValue { name: name.text.into(), layer: layer_text(layer) };
                    registry.delete_value(id, request).await
                }
                Op::SetBlanket { layer, .. } => registry.set_blanket(id, in_that(layer)).await,
                Op::ClearBlanket { layer, .. } => registry.clear_blanket(id, in_that(layer)).await,
                Op::Delete { layer, .. } => registry.delete_key(id, in_that(layer)).await,
                Op::Hide { layer, .. } => registry.hide_key(id, in_that(layer)).await,
                Op::Unhide { child, layer, .. } => {
                    let request = Unhide { child: child.text.into(), layer: layer_text(layer) };
                    registry.unhide(id, request).await
                }
                Op::Secure { rights, .. } => {
                    let (parts, sd) = (DACL_SECURITY_INFORMATION, descriptor(rights));
                    registry.set_security(id, SetSecurity { parts, sd }).await
                }
                _ => unreachable!("another operation"),
            };
            done.map(|()| None)
        })
    }

    /// The change on the model, and what the registry has to say of it.
    pub fn expect(&mut self, place: usize, op: &Op) -> Result<(), super::model::Failure> {
        let condition = self.condition(place, op).map(|of| of.map(|(_, order)| order));
        let handle = &self.handles[place];
        let key = handle.key;
        let (layer, change) = match op {
            Op::Set { name, layer, value_type, data, .. } => {
                let (name, value_type) = (*name, *value_type);
                let data = self.padded(place, value_type, data)[..].into();
                let value = Value { name, layer: name, value_type, data, order: 0 };
                (*layer, Change::Value((key, name.name, *layer), value))
            }
            Op::DeleteValue { name, layer, .. } => {
                (*layer, Change::NoValue((key, name.name, *layer)))
            }
            Op::SetBlanket { layer, .. } => (*layer, Change::Blanket(key, *layer)),
            Op::ClearBlanket { layer, .. } => (*layer, Change::NoBlanket(key, *layer)),
            Op::Delete { layer, .. } => {
                handle.must_have(Access::DELETE)?;
                return self.model.delete(&handle.through, key, *layer);
            }
            Op::Hide { layer, .. } => {
                handle.must_have(Access::DELETE)?;
                return self.model.hide(&handle.through, key, *layer);
            }
            Op::Unhide { child, layer, .. } => {
                handle.must_have(Access::CREATE_SUB_KEY)?;
                return self.model.unhide(&handle.through, key, child.name, *layer);
            }
            Op::Secure { rights, .. } => {
                handle.must_have(Access::WRITE_DAC)?;
                return self.model.set_security(&handle.through, key, *rights);
            }
            _ => unreachable!("another operation"),
        };
        handle.must_have(Access::SET_VALUE)?;
        self.model.write(&handle.through, change, layer, condition)
    }

    /// Which value a write wants to find, if it wants something: its sequence number, and the model's.
    fn condition(&self, place: usize, op: &Op) -> Option<Option<(u64, u64)>> {
        let Op::Set { name, layer, expected, .. } = op else { return None };
        let at = (self.handles[place].key, name.name, *layer);
        let there = self.model.committed.values.get(&at).map(|value| value.order);
        match expected {
            Expected::Anything => None,
            Expected::Nothing => Some(None),
            Expected::WhatIsThere => match there {
                None => Some(None),
                Some(order) => self.sequences.get(&order).map(|sequence| Some((*sequence, order))),
            },
            Expected::WhatWasThere => {
                self.sequences.first_key_value().map(|(order, sequence)| Some((*sequence, *order)))
            }
        }
    }

    /// Notes the sequence number of a value that was written, when the model has it, too.
    pub fn learn(&mut self, place: usize, op: &Op, done: &Result<Option<u64>, Error>) {
        let Handle { key, through, .. } = &self.handles[place];
        if let (Op::Set { name, layer, .. }, Ok(Some(sequence))) = (op, done)
            && through.transaction.is_none()
            && let Some(value) = self.model.committed.values.get(&(*key, name.name, *layer))
        {
            self.sequences.insert(value.order, *sequence);
        }
    }

    /// The same has come of it on both sides. Of a hive that is away the model knows at once what is gone with a
    /// layer, and the registry when it comes back.
    fn agree(
        &self,
        place: usize,
        done: Result<(), Error>,
        expected: Result<(), super::model::Failure>,
    ) {
        if done.is_err() && expected.is_err() && self.model.down.contains(&self.hive(place)) {
            return;
        }
        assert_eq!(done.map_err(failure), expected);
    }

    fn set(&mut self, place: usize, name: Spelled, layer: Layer, (value_type, data): (u32, &[u8])) {
        let (handle, data) = (place as u8, data.to_vec());
        let expected = Expected::Anything;
        self.change(place, &Op::Set { handle, name, layer, value_type, data, expected });
    }

    /// Data that is large, where more is to be said than LCS may remember; not of what LCS reads itself.
    fn padded(&self, place: usize, value_type: u32, data: &[u8]) -> Vec<u8> {
        let Handle { key, through, .. } = &self.handles[place];
        let contents = self.model.seen(through.transaction);
        let own = *key == REGISTRY || contents.keys.get(key).is_none_or(|it| it.parent == LAYERS);
        let large = self.setting.forgetful && value_type < LINK && !own;
        data.iter()
            .copied()
            .chain([0; LARGE].into_iter().take(if large { LARGE } else { 0 }))
            .collect()
    }

    fn watch(&mut self, place: usize, filter: u32, subtree: bool) {
        let hive = self.hive(place);
        let handle = &self.handles[place];
        let contents = self.model.seen(handle.through.transaction);
        if self.model.down.contains(&hive) {
            return;
        }
        // What LCS notes under PendingDeletion fills queues in a way that is not compared.
        let subtree = subtree && (self.setting.reads_events || !self.sees_bookkeeping(handle.key));
        let expected = handle.must_have(Access::NOTIFY).and_then(|()| {
            if filter == 0 { Ok(()) } else { self.model.must_be_named(&contents, handle.key) }
        });
        drop(contents);
        let request = Notify { filter, subtree };
        let done = self.client.run(self.client.registry.notify(handle.id, request));
        assert_eq!(done.map_err(failure), expected);
        if expected.is_err() {
            return;
        }
        if filter == 0 {
            self.model.watches.remove(&handle.number);
            return;
        }
        let new = Watch {
            key: handle.key,
            hive,
            who: handle.through.who,
            attached: Rc::clone(&handle.through.view.attached),
            filter,
            subtree,
            overflown: false,
            queue: Default::default(),
        };
        let watch = self.model.watches.entry(handle.number).or_insert(new);
        (watch.filter, watch.subtree) = (filter, subtree);
    }

    /// Makes the layers that there are at first, and the settings.
    pub fn make_layers(&mut self) {
        let all = [
            (Layer::Local, 0, 1),
            (Layer::Policy, 5, 1),
            (Layer::Private, 7, 0),
            (Layer::Role1, 0, 1),
            (Layer::Role2, 2, 0),
        ];
        for (layer, precedence, enabled) in all {
            self.metadata(layer, &Metadata::Make { spelling: 1 }, None);
            for (name, number) in [(Name::Precedence, precedence), (Name::Enabled, enabled)] {
                let data = u32::to_le_bytes(number).into();
                let value_type = DWORD;
                let what = Metadata::Write { name, layer: Layer::Base, value_type, data };
                self.metadata(layer, &what, None);
            }
        }
        let setting = self.setting;
        if setting.forgetful {
            let path = [Name::Machine, Name::System, Name::Registry].map(Name::usual).into();
            let way = Way { start: Start::Root(0), user: false, path };
            self.play(0, &Op::Open { way, open_link: false });
            let place = self.handles.len() - 1;
            let least = (1_u64 << 20).to_le_bytes();
            self.set(place, Name::Cache.usual(), Layer::Base, (QWORD, &least));
            self.close(place);
        }
        for (name, number) in [
            (Name::Queue, setting.queue),
            (Name::Burst, setting.burst),
            (Name::Depth, setting.depth),
        ] {
            let Some(number) = number else { continue };
            let path = [Name::Machine, Name::System, Name::Registry].map(Name::usual).into();
            let way = Way { start: Start::Root(0), user: false, path };
            self.play(0, &Op::Open { way, open_link: false });
            let place = self.handles.len() - 1;
            let content = (DWORD, &number.to_le_bytes()[..]);
            self.set(place, name.usual(), Layer::Base, content);
            self.close(place);
        }
        let number = |setting: Option<u32>, default| setting.map_or(default, |one| one as usize);
        let bounds = &mut self.model.bounds;
        bounds.queue = number(setting.queue, bounds.queue);
        bounds.burst = number(setting.burst, bounds.burst);
        bounds.depth = number(setting.depth, bounds.depth);
    }

    /// Puts much into a layer.
    pub fn crowd(&mut self) {
        let names = [Name::A, Name::B, Name::C, Name::Kelvin].map(Name::usual);
        let above = names.map(|name| vec![name]);
        let below = names.iter().flat_map(|a| names.map(|b| vec![*a, b]));
        for path in above.into_iter().chain(below) {
            let path = [Name::Test.usual()].into_iter().chain(path).collect();
            let way = Way { start: Start::Root(0), user: false, path };
            self.create(&way, Making { layer: Layer::Base, volatile: false, link: None });
            let place = self.handles.len() - 1;
            for name in &NAMES[..16] {
                let name = name.usual();
                self.set(place, name, Layer::Role1, (1, b"much"));
            }
            self.close(place);
        }
    }

    /// Does something to the key of a layer, with a handle for that alone.
    pub fn metadata(&mut self, layer: Layer, what: &Metadata, transaction: Option<u8>) {
        let start = transaction.map_or(Start::Root(0), Start::Transaction);
        let above = [Name::Machine, Name::System, Name::Registry, Name::Layers].map(Name::usual);
        let way = |spelled: Spelled| {
            let path = above.into_iter().chain([spelled]).collect();
            Way { start, user: false, path }
        };
        if let Metadata::Make { spelling } = what {
            let making = Making { layer: Layer::Base, volatile: false, link: None };
            let made = self.create(&way(layer.spelled(*spelling)), making);
            if made && spelling % 2 == 1 {
                self.close(self.handles.len() - 1);
            }
            return;
        }
        if !self.open(&way(layer.usual()), false) {
            return;
        }
        let place = self.handles.len() - 1;
        let handle = place as u8;
        match what {
            Metadata::Make { .. } => unreachable!("that is done"),
            Metadata::Delete => self.write(&Op::Delete { handle, layer: Layer::Base }),
            Metadata::Write { layer: into, .. } if !self.may_say(place, layer, *into) => {}
            Metadata::Write { name, layer, value_type, data } => {
                let content = (*value_type, &data[..]);
                self.set(place, name.usual(), *layer, content);
            }
            Metadata::Clear { name, layer } => {
                self.write(&Op::DeleteValue { handle, name: name.usual(), layer: *layer });
            }
            Metadata::Secure { rights } => self.write(&Op::Secure { handle, rights: *rights }),
        }
        self.close(place);
    }

    pub fn begin(&mut self, view: u8) {
        if self.transactions.len() >= MAX_TRANSACTIONS {
            return;
        }
        let (root, view) = &self.views[usize::from(view) % self.views.len()];
        let id = self.client.derive(Some(*root), Derive::BeginTransaction).unwrap();
        let transaction = TransactionId(self.numbers);
        self.numbers += 1;
        self.model.transactions.insert(transaction, Transaction::new());
        self.transactions.push((id, transaction, Rc::clone(view)));
    }

    pub fn commit(&mut self, transaction: u8) {
        let Some(place) = usize::from(transaction).checked_rem(self.transactions.len()) else {
            return;
        };
        let (id, transaction, _) = self.transactions[place];
        let done = self.client.commit(id).map_err(failure);
        assert_eq!(done, self.model.commit_transaction(transaction));
    }

    pub fn abort(&mut self, transaction: u8) {
        let Some(place) = usize::from(transaction).checked_rem(self.transactions.len()) else {
            return;
        };
        let (id, transaction, _) = self.transactions.remove(place);
        self.client.close(id);
        let aborted = self.model.transactions.get_mut(&transaction).expect("a transaction");
        aborted.state = TransactionState::Aborted;
        let in_it = |handle: &Handle| handle.through.transaction == Some(transaction);
        if let Some(handle) = self.handles.iter().find(|handle| in_it(handle)) {
            let found = self.client.info(handle.id).map_err(failure);
            assert_eq!(found.err(), Some(super::model::Failure::Ended(TransactionState::Aborted)));
        }
    }

    pub fn down(&mut self, hive: Hive) {
        if !self.model.down.contains(&hive) {
            self.client.disconnect(hive as u64 + 1);
            self.model.goes_down(hive);
        }
    }

    /// Brings a source back.
    pub fn up(&mut self) {
        if let Some(hive) = self.model.down.first().copied() {
            self.connect(hive);
            self.model.comes_up(hive);
            self.purge(hive);
            self.generations.remove(&hive);
        }
    }

    /// Drops what nobody could be asked to drop while the source was away, as a source does before it is back. What
    /// thereby loses its last entry, and somebody has open, LCS will not know to be an orphan.
    fn purge(&mut self, hive: Hive) {
        let source = &self.sources[hive as usize];
        for (key, guid) in &self.guids {
            let is_there = self.model.committed.keys.contains_key(key);
            if !is_there && source.ask(&Request::ReadKey { key: *guid }).is_ok() {
                let dropped = source.ask(&Request::DropKey { key: *guid });
                let Ok(Answer::Orphans(orphans)) = dropped else { panic!("{dropped:?}") };
                self.unknown_orphans.extend(orphans.into_iter().map(|orphan| (hive, orphan)));
            }
        }
    }

    /// Drops the orphans that LCS does not know to be some, now that nobody has a key open.
    pub fn purge_unknown_orphans(&mut self) {
        while let Some((hive, key)) = self.unknown_orphans.pop() {
            let dropped = self.sources[hive as usize].ask(&Request::DropKey { key });
            let Ok(Answer::Orphans(orphans)) = dropped else { panic!("{dropped:?}") };
            self.unknown_orphans.extend(orphans.into_iter().map(|orphan| (hive, orphan)));
        }
    }

    pub fn look(&mut self, view: u8) {
        let attached = |name: &str| vec![name.to_string()];
        let sealed = self.setting.sealed;
        let (number, scopes, private_layers, sealed) = match view {
            1 => (1, Vec::new(), attached("Private"), false),
            2 => (2, vec![SCOPE], attached("Local"), sealed),
            _ => return,
        };
        self.view(number, Derive::View { scopes, private_layers, sealed });
    }
}
