//! Random histories of writes in several layers and of reads: registry and model say the same.

pub mod operations;

use std::collections::BTreeMap;

use lcs_abi::Guid;
use lcs_abi::call::{Counts, DeleteValue, NamedValue, SetTombstone, SetValue, Unhide};
use lcs_abi::rsi::{Answer, Changes, Mutation, Name as RsiName, Request, SourceError, Target};
use lcs_core::registry::{Error, HandleId, NotFound};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{ROOM, create_key, in_layer, open_key};
use crate::common::names::NAMES;
use crate::common::world::Source;
use crate::model::{self, Entry, Failure, Key, Model, ROOT, TOMBSTONE, Value};
use operations::{Expected, GHOST, LAYER_NAMES, LAYERS, Op, Pick, op, rules, table, table_name};

/// What the errors that a history can meet are in the model.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::NotFound(NotFound::Key) => Failure::NoKey,
        Error::NotFound(NotFound::Value) => Failure::NoValue,
        Error::NotFound(NotFound::Layer) => Failure::NoLayer,
        Error::Invalid(_) => Failure::Invalid,
        Error::AlreadyExists => Failure::AlreadyExists,
        Error::NotEmpty => Failure::NotEmpty,
        Error::ConditionFailed => Failure::ConditionFailed,
        Error::LimitExceeded(_) => Failure::LimitExceeded,
        other => panic!("not an error that can come here: {other:?}"),
    }
}

pub fn path_text(path: &[model::Name]) -> String {
    let names: Vec<&str> = path.iter().map(|name| name.display.as_str()).collect();
    names.join("\\")
}

struct OpenKey {
    id: HandleId,
    key: Key,
    created: bool,
    /// The folded name of its key.
    folded: String,
    /// The path by which it was opened.
    path: String,
}

/// Plays a history on both.
struct Player {
    client: Client,
    source: Source,
    model: Model,
    handles: Vec<OpenKey>,
    guids: BTreeMap<Key, Guid>,
    /// The sequence numbers of value entries, by the model's order.
    sequences: BTreeMap<u64, u64>,
    last_sequence: u64,
    first_generation: u64,
}

impl Player {
    fn new(max_layers: Option<u8>, ghosts: &[u8]) -> Player {
        let client = Client::new(table());
        let mut model = Model::new(&rules());
        if let Some(max_layers) = max_layers {
            let key = client.open("Machine\\System\\Registry").unwrap();
            let data = u32::from(max_layers).to_le_bytes();
            client.set(key, "MaxLayersPerValue", 4, &data, None).unwrap();
            model.max_layers_per_value = max_layers.into();
        }
        let source = Source::new("Test");
        let root = source.root();
        for number in ghosts {
            haunt(&source, &mut model, *number);
        }
        client.serve(2, &[("Test", &source)]).unwrap();
        let id = client.open("test").unwrap();
        let details = client.details(id).unwrap();
        assert_eq!((details.guid, details.path.as_str()), (root, "Test"));
        model.records.get_mut(&ROOT).unwrap().last_write = details.last_write;
        let opened =
            OpenKey { id, key: ROOT, created: false, folded: String::new(), path: "Test".into() };
        Player {
            client,
            source,
            model,
            handles: vec![opened],
            guids: [(ROOT, root)].into(),
            sequences: BTreeMap::new(),
            last_sequence: 0,
            first_generation: details.generation,
        }
    }

    fn play(&mut self, step: usize, op: &Op) {
        let now = 1000 + step as i64;
        self.model.now = now;
        self.client.world.set_now(now);
        match op {
            Op::Create { start, path, layer, volatile } => {
                self.create(*start, path, LAYER_NAMES[usize::from(*layer)], *volatile);
            }
            Op::Open { start, path } => self.open(*start, path),
            Op::Close { handle } => self.close(*handle),
            Op::Delete { .. } | Op::Hide { .. } | Op::Unhide { .. } => self.restructure(op),
            Op::Set { handle, name, value_type, data, layer, expected } => {
                let layer = LAYER_NAMES[usize::from(*layer)];
                self.set(*handle, &name.value(), (*value_type, data), layer, *expected);
            }
            Op::SetTombstone { .. }
            | Op::DeleteValue { .. }
            | Op::SetBlanket { .. }
            | Op::ClearBlanket { .. } => self.mask(op),
            Op::Query { handle, name } => self.query(*handle, &name.value()),
            Op::Values { handle, budget } => self.list_values(*handle, *budget),
            Op::Subkeys { handle, counts, budget } => self.list_subkeys(*handle, *counts, *budget),
            Op::Info { handle } => self.info(*handle),
        }
    }

    fn handle(&self, number: u8) -> &OpenKey {
        &self.handles[usize::from(number) % self.handles.len()]
    }

    fn create(&mut self, start: u8, path: &[Pick], layer: (Option<&str>, &str), volatile: bool) {
        let path: Vec<model::Name> = path.iter().map(|name| name.key()).collect();
        let (id, key) = (self.handle(start).id, self.handle(start).key);
        let derive = create_key(&path_text(&path), layer.0, volatile);
        let made = self.client.derive(Some(id), derive).map_err(failure);
        let expected = self.model.create(key, &path, layer.1, volatile);
        assert_eq!(made.is_ok(), expected.is_ok(), "{made:?}, {expected:?}");
        match (made, expected) {
            (Ok(id), Ok((key, created))) => self.opened(start, id, key, created, &path),
            (made, expected) => assert_eq!(made.err(), expected.err()),
        }
    }

    fn open(&mut self, start: u8, path: &[Pick]) {
        let path: Vec<model::Name> = path.iter().map(|name| name.key()).collect();
        let (id, key) = (self.handle(start).id, self.handle(start).key);
        let opened = self.client.derive(Some(id), open_key(&path_text(&path))).map_err(failure);
        let expected = self.model.open(key, &path);
        assert_eq!(opened.is_ok(), expected.is_ok(), "{opened:?}, {expected:?}");
        match (opened, expected) {
            (Ok(id), Ok(key)) => self.opened(start, id, key, false, &path),
            (opened, expected) => assert_eq!(opened.err(), expected.err()),
        }
    }

    fn opened(&mut self, start: u8, id: HandleId, key: Key, created: bool, path: &[model::Name]) {
        let guid = self.client.details(id).unwrap().guid;
        let fresh = !self.guids.values().any(|known| *known == guid);
        assert_eq!(fresh, created, "a new key has a new GUID");
        assert_eq!(*self.guids.entry(key).or_insert(guid), guid);
        let start = self.handle(start);
        let folded = path.last().map_or(start.folded.clone(), |name| name.folded.clone());
        // The names as their creators spelled them: the last so many on the way up.
        let mut names = Vec::new();
        let mut on_the_way = key;
        for _ in path {
            let record = &self.model.records[&on_the_way];
            names.insert(0, record.name.clone());
            on_the_way = record.parent;
        }
        names.insert(0, start.path.clone());
        let path = names.join("\\");
        self.handles.push(OpenKey { id, key, created, folded, path });
    }

    fn close(&mut self, handle: u8) {
        // The root's first handle stays, so that there is one.
        let handle = usize::from(handle) % self.handles.len();
        if handle > 0 {
            let closed = self.handles.remove(handle);
            self.client.close(closed.id);
            self.model.close(closed.key);
        }
    }

    fn restructure(&mut self, op: &Op) {
        let (Op::Delete { handle, layer }
        | Op::Hide { handle, layer }
        | Op::Unhide { handle, layer, .. }) = op
        else {
            unreachable!("another operation");
        };
        let (written, layer) = LAYER_NAMES[usize::from(*layer)];
        let OpenKey { id, key, folded, .. } =
            &self.handles[usize::from(*handle) % self.handles.len()];
        let (done, expected) = match op {
            Op::Delete { .. } => {
                (self.client.delete(*id, written), self.model.delete(*key, folded, layer))
            }
            Op::Hide { .. } => {
                (self.client.hide(*id, written), self.model.hide(*key, folded, layer))
            }
            Op::Unhide { child, .. } => {
                let child = child.key();
                let request = Unhide { child: child.display, layer: written.map(Into::into) };
                let done = self.client.run(self.client.registry.unhide(*id, request));
                (done, self.model.unhide(*key, &child.folded, layer))
            }
            _ => unreachable!("another operation"),
        };
        assert_eq!(done.map_err(failure), expected);
    }

    fn set(
        &mut self,
        handle: u8,
        name: &model::Name,
        (value_type, data): (u32, &[u8]),
        (written, layer): (Option<&str>, &str),
        expected: Expected,
    ) {
        let (id, key) = (self.handle(handle).id, self.handle(handle).key);
        let there = self.model.values.get(&(key, name.folded.clone(), layer.to_string()));
        let known = |order: &u64| self.sequences.get(order).copied();
        let (expected_sequence, expected) = match expected {
            Expected::Anything => (None, None),
            Expected::Nothing => (Some(0), Some(None)),
            // A tombstone's number is not told to anybody.
            Expected::WhatIsThere => match there.map(|there| (known(&there.order), there.order)) {
                Some((Some(sequence), order)) => (Some(sequence), Some(Some(order))),
                Some((None, _)) => (None, None),
                None => (Some(0), Some(None)),
            },
            Expected::What(number) => match self.sequences.iter().nth(number.into()) {
                Some((order, sequence)) => (Some(*sequence), Some(Some(*order))),
                None => (Some(u64::MAX), Some(Some(u64::MAX))),
            },
        };
        let request = SetValue {
            name: name.display.clone(),
            value_type,
            data: data.into(),
            layer: written.map(Into::into),
            expected_sequence,
        };
        let done = self.client.run(self.client.registry.set_value(id, request)).map_err(failure);
        let content = (value_type, data.to_vec());
        let layers = (layer, table_name(layer));
        let expected = self.model.set_value(key, name, layers, content, expected);
        assert_eq!(done.as_ref().map(|_| ()), expected.as_ref().map(|_| ()));
        if let Ok(done) = done {
            assert!(done.sequence > self.last_sequence, "later writes have higher numbers");
            self.last_sequence = done.sequence;
            let order = self.model.values[&(key, name.folded.clone(), layer.to_string())].order;
            self.sequences.insert(order, done.sequence);
        }
    }

    fn mask(&mut self, op: &Op) {
        let (Op::SetTombstone { handle, layer, .. }
        | Op::DeleteValue { handle, layer, .. }
        | Op::SetBlanket { handle, layer }
        | Op::ClearBlanket { handle, layer }) = op
        else {
            unreachable!("another operation");
        };
        let (id, key) = (self.handle(*handle).id, self.handle(*handle).key);
        let (written, folded) = LAYER_NAMES[usize::from(*layer)];
        let layer: Option<String> = written.map(Into::into);
        let (registry, model) = (&self.client.registry, &mut self.model);
        let (done, expected) = match op {
            Op::SetTombstone { name, .. } => {
                let name = name.value();
                let request = SetTombstone { name: name.display.clone(), layer };
                let done = self.client.run(registry.set_tombstone(id, request));
                let layers = (folded, table_name(folded));
                (done, model.set_value(key, &name, layers, (TOMBSTONE, Vec::new()), None))
            }
            Op::DeleteValue { name, .. } => {
                let name = name.value();
                let request = DeleteValue { name: name.display, layer };
                let done = self.client.run(registry.delete_value(id, request));
                (done, model.delete_value(key, &name.folded, folded))
            }
            Op::SetBlanket { .. } => {
                let done = self.client.run(registry.set_blanket(id, in_layer(written)));
                (done, model.set_blanket(key, folded))
            }
            _ => {
                let done = self.client.run(registry.clear_blanket(id, in_layer(written)));
                (done, model.clear_blanket(key, folded))
            }
        };
        assert_eq!(done.map_err(failure), expected);
    }

    fn query(&self, handle: u8, name: &model::Name) {
        let handle = self.handle(handle);
        let found = self.client.query(handle.id, &name.display).map_err(failure);
        let found = found.map(|found| NamedValue {
            name: String::new(),
            value_type: found.value_type,
            data: found.data,
            sequence: found.sequence,
            layer: found.layer,
        });
        let expected = self.model.value(handle.key, &name.folded).ok_or(Failure::NoValue);
        let expected =
            expected.map(|value| NamedValue { name: String::new(), ..self.named(value) });
        assert_eq!(found, expected);
    }

    /// A value of the model as a listing gives it.
    fn named(&self, value: &Value) -> NamedValue {
        NamedValue {
            name: value.name.clone(),
            value_type: value.value_type,
            data: value.data.clone(),
            sequence: self.sequences[&value.order],
            layer: value.layer.clone(),
        }
    }

    fn list_values(&self, handle: u8, budget: usize) {
        let handle = self.handle(handle);
        let expected: Vec<NamedValue> =
            self.model.values(handle.key).into_iter().map(|value| self.named(value)).collect();
        assert_eq!(self.client.values(handle.id, budget).unwrap(), expected);
    }

    fn counts(&self, key: Key) -> Counts {
        let subkeys = self.model.children(key).len() as u64;
        Counts { subkeys, values: self.model.values(key).len() as u64 }
    }

    fn list_subkeys(&self, handle: u8, counts: bool, budget: usize) {
        let handle = self.handle(handle);
        let found = self.client.subkeys(handle.id, counts, budget).unwrap();
        let expected = self.model.children(handle.key);
        assert_eq!(found.len(), expected.len());
        for (found, key) in found.iter().zip(expected) {
            let record = &self.model.records[&key];
            assert_eq!(found.name, record.name);
            assert_eq!(found.last_write, record.last_write);
            assert_eq!(found.volatile, record.volatile);
            assert_eq!(found.counts, counts.then(|| self.counts(key)));
        }
    }

    fn info(&self, handle: u8) {
        let handle = self.handle(handle);
        let info = self.client.info(handle.id).unwrap();
        assert_eq!(info.created, handle.created);
        let found = info.details.unwrap();
        let record = &self.model.records[&handle.key];
        if handle.key != ROOT {
            assert_eq!(found.name, record.name);
        }
        assert_eq!(found.path, handle.path);
        assert_eq!(found.guid, self.guids[&handle.key]);
        assert_eq!(found.last_write, record.last_write);
        assert_eq!(found.volatile, record.volatile);
        assert_eq!(found.counts, self.counts(handle.key));
        let names = self.model.children(handle.key);
        let longest = names.iter().map(|key| self.model.records[key].name.len()).max();
        assert_eq!(found.max_subkey_name, longest.unwrap_or(0) as u64);
        let values = self.model.values(handle.key);
        let longest = values.iter().map(|value| value.name.len()).max();
        assert_eq!(found.max_value_name, longest.unwrap_or(0) as u64);
        let largest = values.iter().map(|value| value.data.len()).max();
        assert_eq!(found.max_value_data, largest.unwrap_or(0) as u64);
        assert_eq!(found.generation, self.first_generation + self.model.changes);
    }

    /// The source holds what the model holds, and nothing else.
    fn check_source(&self) {
        let keys: BTreeMap<Guid, Key> =
            self.guids.iter().map(|(key, guid)| (*guid, *key)).collect();
        let (mut entries, mut values, mut blankets) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        // By the model's order and by sequence number.
        let mut ranks = Vec::new();
        for layer in LAYERS.iter().map(|(rules, _)| rules.name).chain([GHOST]) {
            let request =
                Request::EnumLayer { layer: layer.into(), after: None, bytes: ROOM as u32 };
            let Ok(Answer::Layer { entries: e, values: v, blankets: b, next: None }) =
                self.source.ask(&request)
            else {
                panic!("not a whole layer");
            };
            for entry in e {
                let target = match entry.target {
                    Target::Key(key) => Some(keys[&key]),
                    Target::Hidden => None,
                };
                entries.insert(
                    (keys[&entry.parent], entry.name.folded, layer.to_string()),
                    (target, entry.sequence),
                );
            }
            for value in v {
                let place = (keys[&value.key], value.name.folded, layer.to_string());
                values.insert(place, (value.value_type, value.data, value.sequence));
            }
            for blanket in b {
                blankets.insert((keys[&blanket.key], layer.to_string()), blanket.sequence);
            }
        }
        assert!(entries.keys().eq(self.model.entries.keys()));
        for ((target, sequence), entry) in entries.into_values().zip(self.model.entries.values()) {
            assert_eq!(target, entry.target);
            ranks.push((entry.order, sequence));
        }
        assert!(values.keys().eq(self.model.values.keys()));
        for ((kind, data, sequence), value) in values.into_values().zip(self.model.values.values())
        {
            assert_eq!((kind, data), (value.value_type, value.data.clone()));
            ranks.push((value.order, sequence));
        }
        assert!(blankets.keys().eq(self.model.blankets.keys()));
        ranks.extend(self.model.blankets.values().copied().zip(blankets.into_values()));
        ranks.sort_unstable();
        assert!(ranks.is_sorted_by(|a, b| a.1 < b.1), "later writes have higher numbers");
        for (key, guid) in &self.guids {
            let found = self.source.ask(&Request::ReadKey { key: *guid });
            match self.model.records.get(key) {
                None => assert_eq!(found, Err(SourceError::NotFound)),
                Some(record) => {
                    let Ok(Answer::Key(found)) = found else { panic!("{key:?} is not there") };
                    assert_eq!(found.parent, self.guids[&record.parent]);
                    assert_eq!(found.volatile, record.volatile);
                    assert_eq!(found.last_write, record.last_write);
                }
            }
        }
    }
}

/// Gives a source an entry of a layer that is in no table.
fn haunt(source: &Source, model: &mut Model, number: u8) {
    let same = |name: &str| RsiName { display: name.into(), folded: name.into() };
    let (parent, layer) = (source.root(), same(GHOST));
    let name = NAMES[usize::from(number) % NAMES.len()].folded;
    let order = model.next_order();
    let place = (ROOT, name.to_string(), GHOST.to_string());
    let change = match number % 3 {
        0 => {
            model.entries.insert(place, Entry { target: None, order });
            Mutation::SetEntry { parent, name: same(name), layer, target: Target::Hidden }
        }
        1 => {
            let (value_type, data) = (3, vec![number]);
            let value = Value {
                name: name.into(),
                layer: GHOST.into(),
                value_type,
                data: data.clone(),
                order,
            };
            model.values.insert(place, value);
            Mutation::SetValue { key: parent, name: same(name), layer, value_type, data }
        }
        _ => {
            model.blankets.insert((ROOT, GHOST.to_string()), order);
            Mutation::SetBlanket { key: parent, layer }
        }
    };
    let changes = Changes::Mutations(vec![change]);
    let step = Request::Apply { conditions: Vec::new(), changes, first_sequence: order };
    source.ask(&step).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_registry_does_what_the_model_does(
        max_layers in prop::option::weighted(0.2, 1..4_u8),
        ghosts in vec(any::<u8>(), 0..4),
        ops in vec(op(), 30..60),
    ) {
        let mut player = Player::new(max_layers, &ghosts);
        for (step, op) in ops.iter().enumerate() {
            player.play(step, op);
        }
        for handle in 0..player.handles.len() as u8 {
            player.list_values(handle, ROOM);
            player.list_subkeys(handle, true, ROOM);
            player.info(handle);
        }
        player.check_source();
        while player.handles.len() > 1 {
            player.close(1);
        }
        player.check_source();
    }
}
