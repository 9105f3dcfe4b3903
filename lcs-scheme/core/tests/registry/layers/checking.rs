//! What the registry says, against what the model says.

use std::collections::{BTreeMap, VecDeque};

use lcs_abi::Guid;
use lcs_abi::call::{Counts, NamedValue};
use lcs_abi::explain::{Candidate, CandidateContent, EXPLAINED_DATA, Explain, Verdict};
use lcs_abi::rsi::{Answer, Request, SourceError, Target};
use lcs_abi::security::Access;
use lcs_abi::watch::{Event, decode_events};
use lcs_core::registry::Error;

use super::contents::{
    Attached, Contents, Hive, Key, LAYERS, MACHINE, PENDING_DELETION, REGISTRY, Rank, SYSTEM,
    TOMBSTONE, Value, Who,
};
use super::model::Failure;
use super::names::{LAYERS as NAMED_LAYERS, Layer, NAMES, Name, Spelled};
use super::operations::Op;
use super::player::{Player, failure};
use crate::common::client::ROOM;

impl Player {
    /// Whether a watch of all below a key sees what LCS notes under PendingDeletion.
    pub fn sees_bookkeeping(&self, key: Key) -> bool {
        [MACHINE, SYSTEM, REGISTRY, PENDING_DELETION].contains(&key)
    }

    /// Whether an event is about what LCS notes under PendingDeletion, which is not the model's affair.
    fn is_bookkeeping(&self, watched: Key, event: &Event) -> bool {
        let way = "System\\Registry\\PendingDeletion";
        let way = match watched {
            MACHINE => way,
            SYSTEM => &way[7..],
            REGISTRY => &way[16..],
            _ => return false,
        };
        event.path.starts_with(way)
    }

    /// Reads the events of a watch, and compares them.
    pub fn read_events(&mut self, place: usize) {
        let handle = &self.handles[place];
        let (id, number, key) = (handle.id, handle.number, handle.key);
        let waits = self.model.watches.get(&number).is_some_and(|watch| watch.waiting() > 0);
        let readable = self.client.registry.is_readable(id);
        let read = self.client.registry.read_events(id, ROOM);
        let Some(watch) = self.model.watches.get_mut(&number) else {
            assert!(matches!(read, Err(Error::IsADirectory)), "{read:?}");
            return;
        };
        let overflown = std::mem::take(&mut watch.overflown);
        let batches = std::mem::take(&mut watch.queue);
        let mut found: VecDeque<Event> =
            decode_events(&read.expect("a watch")).expect("whole records").into();
        let whole = found.clone();
        found.retain(|event| !self.is_bookkeeping(key, event));
        if overflown {
            assert_eq!(found.pop_front().map(|event| event.kind), Some(7), "of {whole:?}");
        }
        for batch in &batches {
            for expected in &batch.ordered {
                assert_eq!(found.pop_front().as_ref(), Some(expected), "{whole:?}: {batches:?}");
            }
            let mut possible = batch.loose.clone();
            for _ in 0..batch.loose_left {
                let event = found.pop_front();
                let matching = possible.iter().position(|one| Some(one) == event.as_ref());
                let matching =
                    matching.unwrap_or_else(|| panic!("{event:?} of {whole:?}: {batches:?}"));
                possible.remove(matching);
            }
        }
        assert!(found.is_empty(), "too many: {whole:?}: {batches:?}");
        assert!(readable == Ok(waits) || self.sees_bookkeeping(key), "{readable:?}, not {waits}");
        assert_eq!(self.client.registry.is_readable(id), Ok(false));
    }

    pub fn look_at(&mut self, place: usize, op: &Op) {
        if self.model.down.contains(&self.hive(place)) {
            self.is_down(place);
            return;
        }
        match op {
            Op::Query { name, .. } => self.query(place, *name),
            Op::Values { budget, .. } => self.list_values(place, *budget),
            Op::Subkeys { counts, budget, .. } => self.list_subkeys(place, *counts, *budget),
            Op::Info { .. } => self.info(place),
            Op::Explain { child, name, .. } => self.explain(place, *child, *name),
            _ => unreachable!("another operation"),
        }
    }

    fn is_down(&self, place: usize) {
        let handle = &self.handles[place];
        let found = self.client.query(handle.id, "a").map_err(failure);
        let may = handle.must_have(Access::QUERY_VALUE);
        assert_eq!(found.err(), may.err().or(Some(Failure::SourceDown)));
    }

    fn query(&self, place: usize, name: Spelled) {
        let handle = &self.handles[place];
        let found = self.client.query(handle.id, name.text).map_err(failure);
        let contents = self.model.seen(handle.through.transaction);
        let value = contents.value(handle.key, name.name, &handle.through.view.attached);
        let expected = handle.must_have(Access::QUERY_VALUE);
        let expected = expected.and_then(|()| value.ok_or(Failure::NoValue));
        match (found, expected) {
            (Ok(found), Ok(value)) => {
                let NamedValue { value_type, data, sequence, layer, .. } =
                    self.named(value, found.sequence);
                assert_eq!(
                    (found.value_type, found.data, found.sequence, found.layer),
                    (value_type, data, sequence, layer)
                );
            }
            (found, expected) => assert_eq!(found.map(drop), expected.map(drop)),
        }
    }

    /// A value of the model as a listing gives it. The sequence number may not be known.
    fn named(&self, value: &Value, found: u64) -> NamedValue {
        let committed = self.model.committed.values.values().any(|other| other == value);
        let known = self.sequences.get(&value.order).copied().unwrap_or(found);
        NamedValue {
            name: value.name.text.into(),
            value_type: value.value_type,
            data: value.data.to_vec(),
            sequence: if committed { known } else { 0 },
            layer: value.layer.text.into(),
        }
    }

    fn list_values(&self, place: usize, budget: usize) {
        let handle = &self.handles[place];
        let found = self.client.values(handle.id, budget).map_err(failure);
        let contents = self.model.seen(handle.through.transaction);
        let expected = handle.must_have(Access::QUERY_VALUE).map(|()| {
            let values = contents.effective_values(handle.key, &handle.through.view.attached);
            let sequences =
                found.iter().flatten().map(|value| value.sequence).chain([0].into_iter().cycle());
            values
                .into_iter()
                .zip(sequences)
                .map(|(value, found)| self.named(value, found))
                .collect::<Vec<_>>()
        });
        assert_eq!(found, expected);
    }

    fn counts(&self, contents: &Contents, key: Key, attached: &Attached) -> Counts {
        let subkeys = contents.children(key, attached).len();
        let subkeys = if key == PENDING_DELETION { self.model.pending.len() } else { subkeys };
        let values = contents.effective_values(key, attached).len();
        Counts { subkeys: subkeys as u64, values: values as u64 }
    }

    fn list_subkeys(&self, place: usize, counts: bool, budget: usize) {
        let handle = &self.handles[place];
        let attached = &handle.through.view.attached;
        let found = self.client.subkeys(handle.id, counts, budget).map_err(failure);
        let contents = self.model.seen(handle.through.transaction);
        let may = handle.must_have(Access::ENUMERATE_SUB_KEYS);
        let (found, expected) = match (found, may) {
            (Ok(found), Ok(())) => (found, contents.children(handle.key, attached)),
            (found, may) => return assert_eq!(found.map(drop), may),
        };
        assert_eq!(found.len(), expected.len(), "{found:?}: {expected:?}");
        for (found, key) in found.iter().zip(expected) {
            let record = &contents.keys[&key];
            assert_eq!(found.name, record.name.text);
            if key != PENDING_DELETION {
                assert_eq!(found.last_write, record.last_write, "{record:?}");
            }
            assert_eq!((found.volatile, found.link), (record.volatile, record.link));
            assert_eq!(found.counts, counts.then(|| self.counts(&contents, key, attached)));
        }
    }

    pub fn info(&mut self, place: usize) {
        let hive = self.hive(place);
        let handle = &self.handles[place];
        let info = self.client.info(handle.id).unwrap();
        assert_eq!(info.created, handle.created);
        assert_eq!(info.access, handle.access.bits());
        let may = handle.access.contains(Access::READ_CONTROL);
        assert_eq!(info.details.is_some(), may);
        let Some(found) = info.details else { return };
        let contents = self.model.seen(handle.through.transaction);
        let attached = &handle.through.view.attached;
        let record = &contents.keys[&handle.key];
        assert_eq!(found.name, record.name.text);
        assert_eq!(found.path, handle.path);
        assert_eq!(found.guid, self.guids[&handle.key]);
        if handle.key != PENDING_DELETION {
            assert_eq!(found.last_write, record.last_write);
        }
        assert_eq!((found.volatile, found.link), (record.volatile, record.link));
        assert_eq!(found.counts, self.counts(&contents, handle.key, attached));
        let names = contents.children(handle.key, attached);
        let longest = names.iter().map(|key| contents.keys[key].name.text.len()).max();
        assert_eq!(found.max_subkey_name, longest.unwrap_or(0) as u64);
        let values = contents.effective_values(handle.key, attached);
        let longest = values.iter().map(|value| value.name.text.len()).max();
        assert_eq!(found.max_value_name, longest.unwrap_or(0) as u64);
        let largest = values.iter().map(|value| value.data.len()).max();
        assert_eq!(found.max_value_data, largest.unwrap_or(0) as u64);
        let known = self.generations.insert(hive, found.generation);
        let changed = self.model.changed.remove(&hive);
        if let Some(known) = known {
            assert_eq!(found.generation > known, changed, "{known}, then {}", found.generation);
        }
    }

    fn explain(&self, place: usize, child: bool, name: Spelled) {
        let handle = &self.handles[place];
        let contents = self.model.seen(handle.through.transaction);
        // The empty name is no child's.
        let child = child && name.name != Name::Default;
        if child && !contents.is_named(handle.key) {
            return;
        }
        let request =
            if child { Explain::Child(name.text.into()) } else { Explain::Value(name.text.into()) };
        let found = self.client.run(self.client.registry.explain(handle.id, request));
        let found = match (found.map_err(failure), handle.must_have(Access::QUERY_VALUE)) {
            (Ok(found), Ok(())) => found.candidates,
            (found, may) => return assert_eq!(found.map(drop), may),
        };
        let candidates = self.candidates(&contents, handle.key, child, name.name);
        let attached = &handle.through.view.attached;
        let rank =
            |(layer, order, _): &(Spelled, u64, _)| contents.rank(layer.name, *order, attached);
        let mut counting: Vec<_> = candidates.iter().filter(|one| rank(one).is_some()).collect();
        counting.sort_by_key(|one| std::cmp::Reverse(rank(one)));
        let best = counting.first().and_then(|one| rank(one));
        let verdict = |rank: Rank| match best {
            Some(best) if best == rank => Verdict::Wins,
            Some((precedence, _)) if precedence > rank.0 => Verdict::LowerPrecedence,
            _ => Verdict::Older,
        };
        let candidate =
            |(layer, _, content): &(Spelled, u64, CandidateContent), verdict| Candidate {
                layer: layer.text.into(),
                precedence: contents.table.get(&layer.name).map(|rules| rules.precedence),
                sequence: 0,
                content: content.clone(),
                verdict,
            };
        let expected: Vec<Candidate> = counting
            .iter()
            .map(|one| candidate(one, verdict(rank(one).expect("a rank"))))
            .collect();
        let mut latent: Vec<Candidate> = candidates
            .iter()
            .filter(|one| rank(one).is_none() && handle.through.who == Who::System)
            .map(|one| match contents.table.get(&one.0.name) {
                Some(_) => candidate(one, Verdict::LayerDisabled),
                None => candidate(one, Verdict::LayerUnknown),
            })
            .collect();
        let found = found.into_iter().map(|found| Candidate { sequence: 0, ..found });
        let mut found: Vec<Candidate> = found.collect();
        let mut found_latent = found.split_off(expected.len().min(found.len()));
        assert_eq!(found, expected);
        let key = |one: &Candidate| format!("{one:?}");
        latent.sort_by_key(key);
        found_latent.sort_by_key(key);
        assert_eq!(found_latent, latent);
    }

    /// All that layers say of a name.
    fn candidates(
        &self,
        contents: &Contents,
        key: Key,
        child: bool,
        name: Name,
    ) -> Vec<(Spelled, u64, CandidateContent)> {
        if child {
            let entries = contents.entries_of(key, name).map(|(layer, entry)| {
                let content = entry.target.map(|key| CandidateContent::Key(self.guids[&key]));
                let spelled = contents.layer_of_entry(&(key, name, layer));
                (spelled, entry.order, content.unwrap_or(CandidateContent::Hidden))
            });
            return entries.collect();
        }
        let values = contents.values_of(key, name).map(|(_, value)| {
            let content = if value.value_type == TOMBSTONE {
                CandidateContent::Tombstone
            } else {
                let size = value.data.len();
                let shown = value.data[..size.min(EXPLAINED_DATA)].to_vec();
                let (value_type, data, size) = (value.value_type, shown, size as u64);
                CandidateContent::Value { value_type, data, size }
            };
            (value.layer, value.order, content)
        });
        let blankets = contents.blankets_of(key).map(|(layer, order)| {
            (contents.layer_of_blanket(&(key, layer)), order, CandidateContent::Blanket)
        });
        values.chain(blankets).collect()
    }

    /// Reads all that can be seen in each view.
    pub fn check_views(&mut self) {
        for view in 0..self.views.len() as u8 {
            for hive in [Name::Machine, Name::Test] {
                self.check_below(view, vec![hive.usual()]);
            }
        }
    }

    fn check_below(&mut self, view: u8, path: Vec<Spelled>) {
        use super::operations::{Start, Way};
        let way = Way { start: Start::Root(view), user: false, path };
        if !self.open(&way, true) {
            return;
        }
        let place = self.handles.len() - 1;
        self.list_values(place, ROOM);
        self.list_subkeys(place, true, ROOM);
        let handle = &self.handles[place];
        let attached = &handle.through.view.attached;
        let children = self.model.committed.children(handle.key, attached);
        let names = children.iter().map(|key| self.model.committed.keys[key].name);
        let names: Vec<Spelled> = names.collect();
        self.close(place);
        for name in names {
            let path = way.path.iter().copied().chain([name]).collect();
            self.check_below(view, path);
        }
    }

    /// The sources hold what the model holds, and nothing else.
    pub fn check_sources(&self) {
        for hive in [Hive::Machine, Hive::Test, Hive::Sandbox] {
            self.check_source(hive);
        }
    }

    fn check_source(&self, hive: Hive) {
        let contents = &self.model.committed;
        let source = &self.sources[hive as usize];
        let keys: BTreeMap<Guid, Key> =
            self.guids.iter().map(|(key, guid)| (*guid, *key)).collect();
        let mut ranks = Vec::new();
        let (mut entries, mut values, mut blankets) = (0, 0, 0);
        for layer in NAMED_LAYERS.into_iter().chain([Layer::Base]) {
            let (name, bytes) = (layer.folded().into(), ROOM as u32);
            let request = Request::EnumLayer { layer: name, after: None, bytes };
            let Ok(Answer::Layer { entries: e, values: v, blankets: b, next: None }) =
                source.ask(&request)
            else {
                panic!("not a whole layer");
            };
            let named = |folded: &str| {
                let mut names = NAMES.iter().copied();
                names.find(|name| name.folded() == folded).expect("a name")
            };
            for entry in e {
                let target = match entry.target {
                    Target::Key(key) => Some(keys[&key]),
                    Target::Hidden => None,
                };
                let place = (keys[&entry.parent], named(&entry.name.folded), layer);
                let known = contents.entries[&place];
                assert_eq!(known.target, target, "{place:?}");
                ranks.push((known.order, entry.sequence));
                entries += 1;
            }
            for value in v {
                let place = (keys[&value.key], named(&value.name.folded), layer);
                let known = &contents.values[&place];
                assert_eq!(
                    (value.value_type, &value.data[..]),
                    (known.value_type, &known.data[..])
                );
                ranks.push((known.order, value.sequence));
                values += 1;
            }
            for blanket in b {
                ranks.push((contents.blankets[&(keys[&blanket.key], layer)], blanket.sequence));
                blankets += 1;
            }
        }
        let here = |key: &Key| contents.keys.get(key).is_some_and(|record| record.hive == hive);
        assert_eq!(entries, contents.entries.keys().filter(|place| here(&place.0)).count());
        assert_eq!(values, contents.values.keys().filter(|place| here(&place.0)).count());
        assert_eq!(blankets, contents.blankets.keys().filter(|place| here(&place.0)).count());
        ranks.sort_unstable();
        assert!(ranks.is_sorted_by(|a, b| a.1 < b.1), "later writes have higher numbers");
        for (key, guid) in &self.guids {
            let found = source.ask(&Request::ReadKey { key: *guid });
            match contents.keys.get(key).filter(|record| record.hive == hive) {
                None => assert_eq!(found, Err(SourceError::NotFound), "{key:?}"),
                Some(record) => {
                    let Ok(Answer::Key(found)) = found else { panic!("{key:?} is not there") };
                    assert_eq!(found.parent, self.guids[&record.parent]);
                    if ![PENDING_DELETION, LAYERS].contains(key) {
                        assert_eq!(found.last_write, record.last_write);
                    }
                }
            }
        }
    }
}
