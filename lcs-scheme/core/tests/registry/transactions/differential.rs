//! Two registries: what one is told in a transaction, the other is told step by step. Who reads in the
//! transaction reads what is in the other one; when it is committed both hold the same, and where it is
//! aborted the first holds what it held before.

use std::collections::BTreeMap;

use lcs_abi::Guid;
use lcs_abi::call::{DeleteValue, SetTombstone, Unhide};
use lcs_abi::rsi::{Answer, Request, Target};
use lcs_core::registry::HandleId;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{ROOM, create_key, in_layer, open_key};
use crate::common::world::Source;
use crate::histories::operations::{LAYER_NAMES, LAYERS, Op, Pick, op, table};
use crate::histories::{failure, path_text};
use crate::model::Failure;

/// A registry, and the handles through which it is told what to do.
struct Side {
    client: Client,
    source: Source,
    handles: Vec<HandleId>,
    transaction: Option<HandleId>,
}

fn text(path: &[Pick]) -> String {
    path_text(&path.iter().map(|name| name.key()).collect::<Vec<_>>())
}

impl Side {
    fn new(before: &[Op]) -> Side {
        let (client, source) = (Client::new(table()), Source::new("Test"));
        client.serve(1, &[("Test", &source)]).unwrap();
        let root = client.open("Test").unwrap();
        // The source gave it the time of its own clock.
        client.put(root, "", 0);
        let mut side = Side { client, source, handles: vec![root], transaction: None };
        for (step, op) in before.iter().enumerate() {
            // What comes of it is the affair of others.
            let _ = side.play(step, op);
        }
        side
    }

    /// Goes on with one handle, of the root: in a transaction, or without one.
    fn start(&mut self, in_transaction: bool) {
        self.close_all();
        self.transaction = in_transaction.then(|| self.client.begin());
        let root = self.client.derive(self.transaction, open_key("Test")).unwrap();
        self.handles = vec![root];
    }

    fn close_all(&mut self) {
        for handle in std::mem::take(&mut self.handles) {
            self.client.close(handle);
        }
    }

    fn handle(&self, number: u8) -> HandleId {
        self.handles[usize::from(number) % self.handles.len()]
    }

    /// Does something, and tells what came of it, without sequence numbers and generations.
    fn play(&mut self, step: usize, op: &Op) -> Result<String, Failure> {
        self.client.world.set_now(1000 + step as i64);
        let registry = &self.client.registry;
        let layer_of = |number: &u8| LAYER_NAMES[usize::from(*number)].0;
        let owned = |number: &u8| layer_of(number).map(Into::into);
        let done = match op {
            Op::Create { start, path, layer, volatile } => {
                let derive = create_key(&text(path), layer_of(layer), *volatile);
                self.client.derive(Some(self.handle(*start)), derive).map(|handle| {
                    self.handles.push(handle);
                    String::new()
                })
            }
            Op::Open { start, path } => {
                let derive = open_key(&text(path));
                self.client.derive(Some(self.handle(*start)), derive).map(|handle| {
                    self.handles.push(handle);
                    String::new()
                })
            }
            Op::Close { handle } => {
                let place = usize::from(*handle) % self.handles.len();
                if place > 0 {
                    self.client.close(self.handles.remove(place));
                }
                Ok(String::new())
            }
            Op::Delete { handle, layer } => {
                self.client.delete(self.handle(*handle), layer_of(layer)).map(|()| String::new())
            }
            Op::Hide { handle, layer } => {
                self.client.hide(self.handle(*handle), layer_of(layer)).map(|()| String::new())
            }
            Op::Unhide { handle, child, layer } => {
                let request = Unhide { child: child.key().display, layer: owned(layer) };
                let done = self.client.run(registry.unhide(self.handle(*handle), request));
                done.map(|()| String::new())
            }
            Op::Set { handle, name, value_type, data, layer, .. } => {
                let (handle, name) = (self.handle(*handle), name.value().display);
                let done = self.client.set(handle, &name, *value_type, data, layer_of(layer));
                done.map(|_| String::new())
            }
            Op::SetTombstone { handle, name, layer } => {
                let request = SetTombstone { name: name.value().display, layer: owned(layer) };
                let done = self.client.run(registry.set_tombstone(self.handle(*handle), request));
                done.map(|()| String::new())
            }
            Op::DeleteValue { handle, name, layer } => {
                let request = DeleteValue { name: name.value().display, layer: owned(layer) };
                let done = self.client.run(registry.delete_value(self.handle(*handle), request));
                done.map(|()| String::new())
            }
            Op::SetBlanket { handle, layer } => {
                let request = in_layer(layer_of(layer));
                let done = self.client.run(registry.set_blanket(self.handle(*handle), request));
                done.map(|()| String::new())
            }
            Op::ClearBlanket { handle, layer } => {
                let request = in_layer(layer_of(layer));
                let done = self.client.run(registry.clear_blanket(self.handle(*handle), request));
                done.map(|()| String::new())
            }
            Op::Query { handle, name } => {
                let found = self.client.query(self.handle(*handle), &name.value().display);
                found.map(|found| format!("{:?}", (found.value_type, found.data, found.layer)))
            }
            Op::Values { handle, budget } => {
                self.client.values(self.handle(*handle), *budget).map(|mut values| {
                    values.iter_mut().for_each(|value| value.sequence = 0);
                    format!("{values:?}")
                })
            }
            Op::Subkeys { handle, counts, budget } => {
                let found = self.client.subkeys(self.handle(*handle), *counts, *budget);
                found.map(|found| format!("{found:?}"))
            }
            Op::Info { handle } => self.client.details(self.handle(*handle)).map(|mut details| {
                details.generation = 0;
                details.guid = Guid([0; 16]);
                format!("{details:?}")
            }),
        };
        done.map_err(failure)
    }

    /// Whether the key of a handle has been deleted.
    fn is_deleted(&self, number: usize) -> bool {
        match self.client.derive(Some(self.handles[number]), open_key("")) {
            Ok(handle) => {
                self.client.close(handle);
                false
            }
            Err(error) => failure(error) == Failure::NoKey,
        }
    }

    /// A handle of a key that has been deleted.
    fn deleted(&self) -> Option<usize> {
        (1..self.handles.len()).find(|number| self.is_deleted(*number))
    }

    /// All that the source holds, by paths, in the order in which it was written.
    fn contents(&self) -> Vec<String> {
        let mut paths = BTreeMap::from([(self.source.root(), String::from("Test"))]);
        let mut layers = Vec::new();
        for (rules, _) in LAYERS {
            let (layer, bytes) = (rules.name.into(), ROOM as u32);
            let request = Request::EnumLayer { layer, after: None, bytes };
            let Ok(Answer::Layer { entries, values, blankets, next: None }) =
                self.source.ask(&request)
            else {
                panic!("not a whole layer");
            };
            layers.push((rules.name, entries, values, blankets));
        }
        // Parents come to be before their children.
        let mut entries: Vec<_> = layers.iter().flat_map(|(_, entries, _, _)| entries).collect();
        entries.sort_by_key(|entry| entry.sequence);
        for entry in entries {
            if let Target::Key(key) = entry.target {
                let path = format!("{}\\{}", paths[&entry.parent], entry.name.folded);
                paths.insert(key, format!("{path}({})", entry.layer.folded));
            }
        }
        let mut all = Vec::new();
        for (layer, entries, values, blankets) in layers {
            for entry in entries {
                let target = match entry.target {
                    Target::Key(key) => paths[&key].clone(),
                    Target::Hidden => "hidden".into(),
                };
                let at = &paths[&entry.parent];
                let line = format!("{layer}: {at}\\{} = {target}", entry.name.display);
                all.push((entry.sequence, line));
            }
            for value in values {
                let at = &paths[&value.key];
                let (name, kind, data) = (&value.name.display, value.value_type, &value.data);
                all.push((value.sequence, format!("{layer}: {at} {name:?} = {kind} {data:?}")));
            }
            for blanket in blankets {
                all.push((blanket.sequence, format!("{layer}: {} blanket", paths[&blanket.key])));
            }
        }
        all.sort();
        all.into_iter().map(|(_, line)| line).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_transaction_does_what_the_same_steps_do(
        before in vec(op(), 0..30),
        ops in vec(op(), 5..50),
        commits in any::<bool>(),
    ) {
        let (mut inside, mut plain) = (Side::new(&before), Side::new(&before));
        inside.start(true);
        plain.start(false);
        let contents = plain.contents();
        prop_assert_eq!(&inside.contents(), &contents);
        for (step, op) in ops.iter().enumerate() {
            prop_assert_eq!(inside.play(100 + step, op), plain.play(100 + step, op), "{:?}", op);
            // A handle of a deleted key still reads and writes it, which in a transaction it does not; and
            // what was hidden under it goes when the last one is closed, or at the commit.
            while let Some(number) = plain.deleted().or_else(|| inside.deleted()) {
                for side in [&mut inside, &mut plain] {
                    let handle = side.handles.remove(number);
                    side.client.close(handle);
                }
            }
        }
        prop_assert_eq!(&inside.contents(), &contents);
        let transaction = inside.transaction.take().expect("a transaction");
        let written = inside.client.run(inside.client.registry.transaction_status(transaction));
        let bound = written.expect("a state").hive.is_some();
        inside.close_all();
        plain.close_all();
        if commits && bound {
            inside.client.commit(transaction).unwrap();
            prop_assert_eq!(inside.contents(), plain.contents());
        }
        inside.client.close(transaction);
        if !commits {
            prop_assert_eq!(inside.contents(), contents);
        }
        // What nothing names any more is not kept.
        let kept = |side: &Side| {
            let keys = side.client.world.made_guids();
            keys.filter(|key| side.source.ask(&Request::ReadKey { key: *key }).is_ok()).count()
        };
        if commits {
            prop_assert_eq!(kept(&inside), kept(&plain));
        }
    }
}
