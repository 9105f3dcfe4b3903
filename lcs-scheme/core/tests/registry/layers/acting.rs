//! What is done with open keys, layers, transactions and sources.

use std::rc::Rc;

use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, DeleteValue, Derive, SetSecurity, SetTombstone, SetValue,
    TransactionState, Unhide,
};
use lcs_abi::rsi::{Answer, Request};
use lcs_abi::security::Access;
use lcs_abi::watch::Notify;
use lcs_core::registry::{Error, Fault};
use lcs_core::security::sddl;

use super::contents::{Change, DWORD, Hive, LAYERS, LINK, REGISTRY, TOMBSTONE, Value};
use super::model::Making;
use super::names::{Layer, NAMES, Name, Spelled};
use super::operations::{Expected, Metadata, Op, Start, Way};
use super::player::{Handle, Player, SCOPE, UID, failure, layer_text};
use super::transactions::{Transaction, TransactionId};
use super::watching::Watch;
use crate::common::Failure;
use crate::common::client::in_layer;

/// How much larger values are where more is to be said than LCS may remember, in bytes.
const LARGE: usize = 40 << 10;

/// The type of a QWORD.
const QWORD: u32 = 11;

/// The transactions that are open at once at most.
const MAX_TRANSACTIONS: usize = 3;

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
        let (Op::Delete { handle, .. }
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
        | Op::Explain { handle, .. }) = op
        else {
            unreachable!("not with an open key")
        };
        let Some(place) = self.place(*handle) else { return };
        match op {
            Op::Set { name, layer, value_type, data, expected, .. } => {
                self.set(place, *name, *layer, (*value_type, data), *expected);
            }
            Op::Delete { .. } | Op::Hide { .. } | Op::Unhide { .. } => self.restructure(place, op),
            Op::SetBlanket { layer, .. } if !self.may_mask(place, *layer) => {}
            Op::DeleteValue { .. } | Op::SetBlanket { .. } | Op::ClearBlanket { .. } => {
                self.mask(place, op);
            }
            Op::Secure { rights, .. } => self.secure(place, *rights),
            Op::Watch { filter, subtree, .. } => self.watch(place, *filter, *subtree),
            Op::ReadEvents { .. } => self.read_events(place),
            _ => self.look_at(place, op),
        }
    }

    /// Whether a layer may say something of all values of a key: of LCS's settings none does, for they are set
    /// once; and of the metadata of layers only one that comes before them, so that no layer says anything of
    /// itself.
    fn may_mask(&self, place: usize, layer: Layer) -> bool {
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

    fn restructure(&mut self, place: usize, op: &Op) {
        let Handle { id, key, through, .. } = &self.handles[place];
        let must_have = |rights| self.handles[place].must_have(rights);
        let (client, model) = (&self.client, &mut self.model);
        let (done, expected) = match op {
            Op::Delete { layer, .. } => (
                client.delete(*id, layer_text(*layer).as_deref()),
                must_have(Access::DELETE).and_then(|()| model.delete(through, *key, *layer)),
            ),
            Op::Hide { layer, .. } => (
                client.hide(*id, layer_text(*layer).as_deref()),
                must_have(Access::DELETE).and_then(|()| model.hide(through, *key, *layer)),
            ),
            Op::Unhide { child, layer, .. } => {
                let request = Unhide { child: child.text.into(), layer: layer_text(*layer) };
                let done = client.run(client.registry.unhide(*id, request));
                let may = must_have(Access::CREATE_SUB_KEY);
                (done, may.and_then(|()| model.unhide(through, *key, child.name, *layer)))
            }
            _ => unreachable!("another operation"),
        };
        self.agree(place, done, expected);
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

    fn set(
        &mut self,
        place: usize,
        name: Spelled,
        layer: Layer,
        (value_type, data): (u32, &[u8]),
        expected: Expected,
    ) {
        let Handle { id, key, through, .. } = &self.handles[place];
        let at = (*key, name.name, layer);
        let padded = self.padded(place, value_type, data);
        let data = padded.as_deref().unwrap_or(data);
        let there = self.model.committed.values.get(&at).map(|value| value.order);
        let known = |order| Some((*self.sequences.get(&order)?, order));
        let expected = match expected {
            Expected::Anything => None,
            Expected::Nothing => Some(None),
            Expected::WhatIsThere => match there {
                None => Some(None),
                Some(order) => known(order).map(Some),
            },
            Expected::WhatWasThere => {
                self.sequences.iter().next().map(|(order, sequence)| Some((*sequence, *order)))
            }
        };
        let sequence = expected.map(|expected| expected.map_or(0, |(sequence, _)| sequence));
        let order = expected.map(|expected| expected.map(|(_, order)| order));
        let (client, model) = (&self.client, &mut self.model);
        let done = if value_type == TOMBSTONE && sequence.is_none() {
            let request = SetTombstone { name: name.text.into(), layer: layer_text(layer) };
            client.run(client.registry.set_tombstone(*id, request)).map(|()| None)
        } else {
            let request = SetValue {
                name: name.text.into(),
                value_type,
                data: data.into(),
                layer: layer_text(layer),
                expected_sequence: sequence,
            };
            client.run(client.registry.set_value(*id, request)).map(|done| Some(done.sequence))
        };
        let value = Value { name, layer: name, value_type, data: data.into(), order: 0 };
        let change = Change::Value(at, value);
        let may = self.handles[place].must_have(Access::SET_VALUE);
        let wanted = may.and_then(|()| model.write(through, change, layer, order));
        if let Ok(Some(sequence)) = done
            && through.transaction.is_none()
            && let Some(value) = self.model.committed.values.get(&at)
        {
            self.sequences.insert(value.order, sequence);
        }
        self.agree(place, done.map(drop), wanted);
    }

    /// Data that is large, where more is to be said than LCS may remember; not of what LCS reads itself.
    fn padded(&self, place: usize, value_type: u32, data: &[u8]) -> Option<Vec<u8>> {
        let Handle { key, through, .. } = &self.handles[place];
        let contents = self.model.seen(through.transaction);
        let own = *key == REGISTRY || contents.keys.get(key).is_none_or(|it| it.parent == LAYERS);
        let large = self.setting.forgetful && value_type < LINK && !own;
        large.then(|| data.iter().copied().chain([0; LARGE]).collect())
    }

    /// Writes a value with a step in whose middle the source dies: whether it takes effect or not, nothing that is no
    /// longer so is read afterwards, before the source is back and then.
    pub fn set_and_lose(&mut self, place: usize, name: Spelled, layer: Layer, takes_effect: bool) {
        let hive = self.hive(place);
        let Handle { id, key, through, .. } = &self.handles[place];
        let (id, key, through) = (*id, *key, through.clone());
        let may = self.handles[place].must_have(Access::SET_VALUE).is_ok()
            && self.model.writable_layer(&through, layer).is_ok()
            && self.model.committed.keys.contains_key(&key);
        let apart = hive != Hive::Machine && through.transaction.is_none();
        if !may || !apart || !self.model.down.is_empty() {
            return;
        }
        let down = Failure { fault: Fault::Down, takes_effect };
        self.client
            .world
            .fail_when(move |request| matches!(request, Request::Apply { .. }).then_some(down));
        let done = self.client.set(id, name.text, 1, b"lost", layer_text(layer).as_deref());
        assert_eq!(done, Err(Error::SourceDown));
        self.client.world.fail_no_more();
        if takes_effect {
            // Who watches is told nothing of it, but when the source is back.
            let watches = self.model.watches.clone();
            let data = b"lost"[..].into();
            let value = Value { name, layer: name, value_type: 1, data, order: 0 };
            let change = Change::Value((key, name.name, layer), value);
            self.model.write(&through, change, layer, None).expect("a write");
            self.model.watches = watches;
        }
        self.look_at(place, &Op::Query { handle: 0, name });
        self.down(hive);
        self.up();
        self.look_at(place, &Op::Query { handle: 0, name });
    }

    fn mask(&mut self, place: usize, op: &Op) {
        let Handle { id, key, through, .. } = &self.handles[place];
        let registry = &self.client.registry;
        let (done, layer, change) = match op {
            Op::DeleteValue { name, layer, .. } => {
                let request = DeleteValue { name: name.text.into(), layer: layer_text(*layer) };
                let done = self.client.run(registry.delete_value(*id, request));
                (done, *layer, Change::NoValue((*key, name.name, *layer)))
            }
            Op::SetBlanket { layer, .. } => {
                let request = in_layer(layer_text(*layer).as_deref());
                let done = self.client.run(registry.set_blanket(*id, request));
                (done, *layer, Change::Blanket(*key, *layer))
            }
            Op::ClearBlanket { layer, .. } => {
                let request = in_layer(layer_text(*layer).as_deref());
                let done = self.client.run(registry.clear_blanket(*id, request));
                (done, *layer, Change::NoBlanket(*key, *layer))
            }
            _ => unreachable!("another operation"),
        };
        let may = self.handles[place].must_have(Access::SET_VALUE);
        let expected = may.and_then(|()| self.model.write(through, change, layer, None));
        self.agree(place, done, expected);
    }

    fn secure(&mut self, place: usize, rights: Access) {
        let handle = &self.handles[place];
        let sd = descriptor(rights);
        let request = SetSecurity { parts: DACL_SECURITY_INFORMATION, sd };
        let done = self.client.run(self.client.registry.set_security(handle.id, request));
        let may = handle.must_have(Access::WRITE_DAC);
        let expected =
            may.and_then(|()| self.model.set_security(&handle.through, handle.key, rights));
        self.agree(place, done, expected);
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
            self.set(place, Name::Cache.usual(), Layer::Base, (QWORD, &least), Expected::Anything);
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
            self.set(place, name.usual(), Layer::Base, content, Expected::Anything);
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
                self.set(place, name, Layer::Role1, (1, b"much"), Expected::Anything);
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
                self.set(place, name.usual(), *layer, content, Expected::Anything);
            }
            Metadata::Clear { name, layer } => {
                self.write(&Op::DeleteValue { handle, name: name.usual(), layer: *layer });
            }
            Metadata::Secure { rights } => self.secure(place, *rights),
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
            let found = self.client.run(self.client.registry.key_info(handle.id)).map_err(failure);
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
