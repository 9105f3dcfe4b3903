//! The stream of a backup as it is written: two ways through the subtree, one to see which layers it uses, one for
//! all that it holds.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::Guid;
use lcs_abi::backup::{Blanket, Encoder, Header, Key, Layer, PathEntry, Record, Value};
use lcs_abi::rsi::{self, Name, Target};

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::Error;
use super::super::reading::Site;
use super::walk::{Stop, Walk};
use crate::model::layer::LayerTable;
use crate::security::Sid;

/// A stream under way.
pub(super) struct Stream {
    encoder: Encoder,
    /// What was written and not taken yet; up to `taken` it was.
    out: Vec<u8>,
    taken: usize,
    /// Where both ways begin.
    site: Site,
    top: Guid,
    phase: Phase,
    /// The layer table when the read view was made.
    table: Rc<LayerTable>,
    keys: u64,
}

enum Phase {
    /// Which layers are used: as spelled by their first use, by folded name.
    Layers(Walk, BTreeMap<String, String>),
    /// All that is there.
    Keys(Walk),
    /// The TRAILER is written.
    Whole,
}

impl Stream {
    /// The stream of all that is here at the header's root and below.
    pub(super) fn new(header: Header, site: Site, table: Rc<LayerTable>) -> Stream {
        let top = header.root;
        let (mut encoder, mut out) = (Encoder::new(), Vec::new());
        encoder.record(&Record::Header(header), &mut out);
        let phase = Phase::Layers(Walk::new(site, top), BTreeMap::new());
        Stream { encoder, out, taken: 0, site, top, phase, table, keys: 0 }
    }

    /// Whether all of it is written.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.phase, Phase::Whole)
    }

    /// How many keys were written.
    pub(super) fn keys(&self) -> u64 {
        self.keys
    }

    /// Writes until so many bytes wait to be taken, or all is written.
    pub(super) async fn fill<B: Backend>(
        &mut self,
        registry: &Registry<B>,
        bytes: usize,
    ) -> Result<(), Error> {
        // What was taken is not kept: there is nearly always a rest that is not.
        self.out.drain(..core::mem::take(&mut self.taken));
        while self.out.len() - self.taken < bytes && !self.is_whole() {
            self.write_more(registry).await?;
        }
        Ok(())
    }

    /// Takes at most so many bytes of what waits.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let end = self.out.len().min(self.taken + bytes);
        let taken = self.out[self.taken..end].to_vec();
        self.taken = end;
        if self.taken == self.out.len() {
            // A large value leaves no large buffer behind.
            self.out = Vec::new();
            self.taken = 0;
        }
        taken
    }

    /// Goes on to the next stop.
    async fn write_more<B: Backend>(&mut self, registry: &Registry<B>) -> Result<(), Error> {
        match &mut self.phase {
            Phase::Layers(walk, used) => match walk.next(registry).await? {
                Some(stop) => note_layers(&stop, used),
                None => self.write_layers(),
            },
            Phase::Keys(walk) => match walk.next(registry).await? {
                Some(stop) => self.write(stop),
                None => {
                    core::mem::take(&mut self.encoder).finish(&mut self.out);
                    self.phase = Phase::Whole;
                }
            },
            Phase::Whole => {}
        }
        Ok(())
    }

    /// Writes the layers that are used. One that is not in the table is disabled.
    fn write_layers(&mut self) {
        let keys = Phase::Keys(Walk::new(self.site, self.top));
        let Phase::Layers(_, used) = core::mem::replace(&mut self.phase, keys) else { return };
        for (folded, display) in used {
            let known = self.table.get(&folded);
            let mut owner = Vec::new();
            known.map_or(Sid::SYSTEM, |layer| layer.owner).write(&mut owner);
            self.put(Record::Layer(Layer {
                name: known.map_or(display, |layer| layer.name.display().into()),
                precedence: known.map_or(0, |layer| layer.precedence),
                enabled: known.is_some_and(|layer| layer.enabled),
                owner,
            }));
        }
    }

    fn write(&mut self, stop: Stop) {
        match stop {
            Stop::Key(record, entries) => {
                self.keys += 1;
                self.put(Record::Key(Key {
                    key: record.key,
                    volatile: record.volatile,
                    link: record.link,
                    sd: record.sd,
                    last_write: record.last_write,
                }));
                self.put_entries(entries);
            }
            Stop::Hidden(entries) => self.put_entries(entries),
            Stop::Values(values) => {
                for value in values {
                    self.put(Record::Value(Value {
                        key: value.key,
                        name: value.name.display,
                        value_type: value.value_type,
                        data: value.data,
                        layer: value.layer.display,
                        sequence: value.sequence,
                    }));
                }
            }
            Stop::Blankets(blankets) => {
                for blanket in blankets {
                    self.put(Record::Blanket(Blanket {
                        key: blanket.key,
                        layer: blanket.layer.display,
                        sequence: blanket.sequence,
                    }));
                }
            }
        }
    }

    fn put_entries(&mut self, entries: Vec<rsi::PathEntry>) {
        for entry in entries {
            let child = match entry.target {
                Target::Key(key) => Some(key),
                Target::Hidden => None,
            };
            self.put(Record::PathEntry(PathEntry {
                parent: entry.parent,
                name: entry.name.display,
                child,
                layer: entry.layer.display,
                sequence: entry.sequence,
            }));
        }
    }

    fn put(&mut self, record: Record) {
        self.encoder.record(&record, &mut self.out);
    }
}

/// Notes which layers are used here.
fn note_layers(stop: &Stop, used: &mut BTreeMap<String, String>) {
    let mut note = |layer: &Name| {
        if !used.contains_key(&layer.folded) {
            used.insert(layer.folded.clone(), layer.display.clone());
        }
    };
    match stop {
        Stop::Key(_, entries) | Stop::Hidden(entries) => {
            entries.iter().for_each(|entry| note(&entry.layer));
        }
        Stop::Values(values) => values.iter().for_each(|value| note(&value.layer)),
        Stop::Blankets(blankets) => blankets.iter().for_each(|blanket| note(&blanket.layer)),
    }
}
