//! Lies: answers that are not the truth, but can be said.

use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, BlanketEntry, KeyRecord, LayerPosition, Name, PathEntry, SourceError, Target,
    ValueEntry,
};
use lcs_abi::security::MACHINE_ROOT_SD;
use lcs_core::registry::Fault;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::world::Outcome;

/// What is told instead of the truth.
#[derive(Clone, Debug)]
pub enum Lie {
    Truth,
    Bent(Bend),
    Anything(Answer),
    Refused(SourceError),
}

/// A small change to a true answer. Which of its items it hits is a number, modulo what there is.
#[derive(Clone, Debug)]
pub enum Bend {
    Reverse,
    MoreWithoutProgress,
    MoreAndNothing,
    NoRecords,
    OtherParent(usize),
    OwnParent(usize),
    OtherName(usize),
    WrongFolding(usize),
    NoName(usize),
    BadLayer(usize),
    LongName(usize),
    Sequence(usize, u64),
    Twice(usize),
    Tie(usize),
    OtherTarget(usize, Guid),
    BadType(usize, u32),
}

fn name() -> impl Strategy<Value = Name> {
    const NAMES: &[&str] =
        &["", "k", "K", "v", "c", "hidden", "a\\b", "a\0b", "\u{e9}", "base", "r1"];
    (prop::sample::select(NAMES), prop::sample::select(NAMES), any::<bool>()).prop_map(
        |(display, folded, right)| {
            let folded = if right { display.to_lowercase() } else { folded.into() };
            Name { display: display.into(), folded }
        },
    )
}

/// GUIDs that LCS has given out, and others.
fn guid() -> impl Strategy<Value = Guid> {
    prop_oneof![(0..6_u128).prop_map(|number| Guid(number.to_be_bytes())), Just(Guid([7; 16]))]
}

fn sequence() -> impl Strategy<Value = u64> {
    prop_oneof![0..40_u64, any::<u64>()]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![guid().prop_map(Target::Key), Just(Target::Hidden)]
}

fn path_entry() -> impl Strategy<Value = PathEntry> {
    (guid(), name(), name(), target(), sequence()).prop_map(
        |(parent, name, layer, target, sequence)| PathEntry {
            parent,
            name,
            layer,
            target,
            sequence,
        },
    )
}

fn value_entry() -> impl Strategy<Value = ValueEntry> {
    let value_type = prop_oneof![0..12_u32, Just(0xFFFF), any::<u32>()];
    (guid(), name(), name(), value_type, vec(any::<u8>(), 0..4), sequence()).prop_map(
        |(key, name, layer, value_type, data, sequence)| ValueEntry {
            key,
            name,
            layer,
            value_type,
            data,
            sequence,
        },
    )
}

fn blanket() -> impl Strategy<Value = BlanketEntry> {
    (guid(), name(), sequence()).prop_map(|(key, layer, sequence)| BlanketEntry {
        key,
        layer,
        sequence,
    })
}

fn sd() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(MACHINE_ROOT_SD.to_vec()), vec(any::<u8>(), 0..4)]
}

fn record() -> impl Strategy<Value = KeyRecord> {
    (guid(), guid(), name(), any::<(bool, bool, i64)>(), sd()).prop_map(
        |(key, parent, name, (volatile, link, last_write), sd)| KeyRecord {
            key,
            parent,
            name,
            sd,
            volatile,
            link,
            last_write,
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    let some = || 0..4_usize;
    prop_oneof![
        4 => (vec(path_entry(), some()), vec(record(), some()), any::<bool>())
            .prop_map(|(entries, keys, more)| Answer::Entries { entries, keys, more }),
        2 => record().prop_map(Answer::Key),
        4 => (vec(value_entry(), some()), vec(blanket(), some()), any::<bool>())
            .prop_map(|(entries, blankets, more)| Answer::Values { entries, blankets, more }),
        1 => (vec(path_entry(), some()), guid()).prop_map(|(entries, key)| Answer::Layer {
            entries,
            values: Vec::new(),
            blankets: Vec::new(),
            next: Some(LayerPosition::Blanket(key)),
        }),
        1 => prop::option::of(0..1000_u64)
            .prop_map(|first_sequence| Answer::Applied { first_sequence }),
        1 => any::<bool>().prop_map(|took_effect| Answer::Outcome { took_effect }),
        1 => Just(Answer::Done),
        1 => Just(Answer::Snapshot { snapshot: 3 }),
        2 => vec(guid(), some()).prop_map(Answer::Orphans),
        1 => Just(Answer::Copied { number: 1 }),
    ]
}

fn bend() -> impl Strategy<Value = Bend> {
    let which = || 0..8_usize;
    prop_oneof![
        Just(Bend::Reverse),
        Just(Bend::MoreWithoutProgress),
        Just(Bend::MoreAndNothing),
        Just(Bend::NoRecords),
        which().prop_map(Bend::OtherParent),
        which().prop_map(Bend::OwnParent),
        which().prop_map(Bend::OtherName),
        which().prop_map(Bend::WrongFolding),
        which().prop_map(Bend::NoName),
        which().prop_map(Bend::BadLayer),
        which().prop_map(Bend::LongName),
        (which(), sequence()).prop_map(|(which, sequence)| Bend::Sequence(which, sequence)),
        which().prop_map(Bend::Twice),
        which().prop_map(Bend::Tie),
        (which(), guid()).prop_map(|(which, guid)| Bend::OtherTarget(which, guid)),
        (which(), any::<u32>()).prop_map(|(which, kind)| Bend::BadType(which, kind)),
    ]
}

pub fn lie() -> impl Strategy<Value = Lie> {
    let errors = [
        SourceError::NotFound,
        SourceError::AlreadyExists,
        SourceError::StorageError,
        SourceError::TooLarge,
        SourceError::Invalid,
        SourceError::ConditionFailed(0),
        SourceError::ConditionFailed(u32::MAX),
        SourceError::NotSupported,
        SourceError::Busy,
    ];
    prop_oneof![
        6 => Just(Lie::Truth),
        4 => bend().prop_map(Lie::Bent),
        2 => answer().prop_map(Lie::Anything),
        1 => prop::sample::select(errors.to_vec()).prop_map(Lie::Refused),
    ]
}

fn at<T>(items: &mut [T], number: usize) -> Option<&mut T> {
    let count = items.len().max(1);
    items.get_mut(number % count)
}

impl Bend {
    /// Bends what it applies to, and says whether that was anything.
    fn bend(&self, answer: &mut Answer) -> bool {
        match answer {
            Answer::Entries { entries, keys, more } => self.bend_entries(entries, keys, more),
            Answer::Values { entries, blankets, more } => self.bend_values(entries, blankets, more),
            Answer::Key(record) => self.bend_record(record),
            Answer::Orphans(keys) => {
                keys.push(Guid([7; 16]));
                true
            }
            _ => false,
        }
    }

    fn bend_entries(
        &self,
        entries: &mut Vec<PathEntry>,
        keys: &mut Vec<KeyRecord>,
        more: &mut bool,
    ) -> bool {
        let bent = match self {
            Bend::Reverse => {
                entries.reverse();
                Some(())
            }
            Bend::MoreWithoutProgress => {
                *more = true;
                Some(())
            }
            Bend::MoreAndNothing => {
                entries.clear();
                *more = true;
                Some(())
            }
            Bend::NoRecords => {
                keys.clear();
                Some(())
            }
            Bend::OtherParent(n) => at(entries, *n).map(|entry| entry.parent = Guid([7; 16])),
            Bend::OwnParent(n) => at(keys, *n).map(|record| record.parent = record.key),
            Bend::OtherName(n) => at(entries, *n).map(|entry| entry.name = same("other")),
            Bend::WrongFolding(n) => {
                at(entries, *n).map(|entry| entry.name.folded = entry.name.display.to_uppercase())
            }
            Bend::NoName(n) => at(entries, *n).map(|entry| entry.name = same("")),
            Bend::BadLayer(n) => at(entries, *n).map(|entry| entry.layer = same("a\\b")),
            Bend::LongName(n) => at(entries, *n).map(|entry| entry.layer = same(&"n".repeat(1025))),
            Bend::Sequence(n, sequence) => at(entries, *n).map(|entry| entry.sequence = *sequence),
            Bend::Twice(n) => at(entries, *n).cloned().map(|entry| entries.insert(0, entry)),
            Bend::Tie(n) => at(entries, *n).cloned().map(|entry| {
                entries.push(PathEntry { layer: same("r1"), ..entry });
            }),
            Bend::OtherTarget(n, key) => {
                at(entries, *n).map(|entry| entry.target = Target::Key(*key))
            }
            Bend::BadType(..) => None,
        };
        bent.is_some()
    }

    fn bend_values(
        &self,
        entries: &mut Vec<ValueEntry>,
        blankets: &mut Vec<BlanketEntry>,
        more: &mut bool,
    ) -> bool {
        let bent = match self {
            Bend::Reverse => {
                entries.reverse();
                Some(())
            }
            Bend::MoreWithoutProgress => {
                *more = true;
                Some(())
            }
            Bend::MoreAndNothing => {
                entries.clear();
                *more = true;
                Some(())
            }
            Bend::OtherParent(n) => at(entries, *n).map(|entry| entry.key = Guid([7; 16])),
            Bend::OtherName(n) => at(entries, *n).map(|entry| entry.name = same("other")),
            Bend::WrongFolding(n) => {
                at(entries, *n).map(|entry| entry.name.folded = entry.name.display.to_uppercase())
            }
            Bend::NoName(n) => at(entries, *n).map(|entry| entry.name = same("a\0b")),
            Bend::BadLayer(n) => at(entries, *n).map(|entry| entry.layer = same("")),
            Bend::LongName(n) => at(entries, *n).map(|entry| entry.layer = same(&"n".repeat(1025))),
            Bend::Sequence(n, sequence) => at(entries, *n).map(|entry| entry.sequence = *sequence),
            Bend::Twice(n) => at(entries, *n).cloned().map(|entry| entries.insert(0, entry)),
            Bend::Tie(n) => at(entries, *n).cloned().map(|entry| {
                let ValueEntry { key, sequence, .. } = entry;
                blankets.push(BlanketEntry { key, layer: same("r1"), sequence });
            }),
            Bend::BadType(n, value_type) => {
                at(entries, *n).map(|entry| entry.value_type = *value_type)
            }
            Bend::NoRecords | Bend::OwnParent(_) | Bend::OtherTarget(..) => None,
        };
        bent.is_some()
    }

    fn bend_record(&self, record: &mut KeyRecord) -> bool {
        match self {
            Bend::OtherParent(_) => record.parent = Guid([7; 16]),
            Bend::OwnParent(_) => record.parent = record.key,
            Bend::OtherTarget(_, key) => record.key = *key,
            Bend::OtherName(_) => record.name = same("other"),
            Bend::WrongFolding(_) => record.name.folded = record.name.display.to_uppercase(),
            Bend::NoName(_) => record.name = same(""),
            _ => return false,
        }
        true
    }
}

fn same(name: &str) -> Name {
    Name { display: name.into(), folded: name.into() }
}

impl Lie {
    pub fn tell(&self, truth: Outcome) -> Outcome {
        match self {
            Lie::Truth => truth,
            Lie::Anything(answer) => Ok(answer.clone()),
            Lie::Refused(error) => Err(Fault::Refused(*error)),
            Lie::Bent(bend) => truth.map(|mut answer| {
                bend.bend(&mut answer);
                answer
            }),
        }
    }
}
