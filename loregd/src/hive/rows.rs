//! The format of a hive: which rows it consists of. The first byte of a row's key is its kind.
//!
//! | kind | rest of the key | value |
//! |---|---|---|
//! | 0 hive | | [`HiveRow`] |
//! | 1 ledger | | [`LedgerRow`] |
//! | 2 step | slot, u16 big-endian | `first_sequence` of a step, u64 little-endian |
//! | 3 key | GUID | [`KeyRow`] |
//! | 4 descriptor | GUID | the key's security descriptor |
//! | 5 entry | parent's GUID, name, NUL, layer | [`EntryRow`] |
//! | 6 value | key's GUID, name, NUL, layer | [`ValueRow`], then the data |
//! | 7 blanket | key's GUID, NUL, layer | [`BlanketRow`] |
//! | 8 layer | layer, NUL, kind of what is in it (5, 6 or 7), GUID, name | nothing |
//! | 9 orphan | GUID | nothing |
//!
//! Names in keys are folded; no name holds a NUL, so rows are in the order of (GUID, name, layer). Structs
//! are postcard. The security descriptor has a row of its own because the time of the last write changes
//! far more often. Every entry, value and blanket has its row of kind 8. A key that no entry names, except
//! the root, has one of kind 9.

use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, KeyRecord, Name, PathEntry, SourceError, Target, ValueEntry};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Version of this format.
pub(super) const FORMAT: u32 = 1;

/// The kind of a row: the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Hive = 0,
    Ledger = 1,
    Step = 2,
    Key = 3,
    Descriptor = 4,
    Entry = 5,
    Value = 6,
    Blanket = 7,
    Layer = 8,
    Orphan = 9,
}

/// What a hive is.
#[derive(Serialize, Deserialize)]
pub(super) struct HiveRow {
    pub(super) format: u32,
    pub(super) root: Guid,
}

/// What was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LedgerRow {
    /// The highest sequence number that a step had reserved.
    pub(super) max_sequence: u64,
    /// How many steps there were; step n has the slot n modulo the number of slots.
    pub(super) steps: u64,
    /// How many commits there were.
    pub(super) commits: u64,
}

/// A key object, without its GUID and its security descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyRow {
    pub(super) parent: Guid,
    pub(super) name: Name,
    pub(super) volatile: bool,
    pub(super) link: bool,
    pub(super) last_write: i64,
    /// How many entries name it.
    pub(super) entries: u32,
}

impl KeyRow {
    pub(super) fn into_record(self, key: Guid, sd: Vec<u8>) -> KeyRecord {
        KeyRecord {
            key,
            parent: self.parent,
            name: self.name,
            sd,
            volatile: self.volatile,
            link: self.link,
            last_write: self.last_write,
        }
    }
}

/// A path entry, without what its row's key says.
#[derive(Serialize, Deserialize)]
pub(super) struct EntryRow<'a> {
    pub(super) name: &'a str,
    pub(super) layer: &'a str,
    pub(super) target: Target,
    pub(super) sequence: u64,
}

/// A value, without what its row's key says and its data.
#[derive(Serialize, Deserialize)]
pub(super) struct ValueRow<'a> {
    pub(super) name: &'a str,
    pub(super) layer: &'a str,
    pub(super) value_type: u32,
    pub(super) sequence: u64,
}

/// A blanket tombstone, without what its row's key says.
#[derive(Serialize, Deserialize)]
pub(super) struct BlanketRow<'a> {
    pub(super) layer: &'a str,
    pub(super) sequence: u64,
}

/// The key of a row that there is once.
pub(super) fn single(kind: Kind) -> Vec<u8> {
    vec![kind as u8]
}

/// The key of a row of kind step.
pub(super) fn step(slot: u16) -> Vec<u8> {
    let [high, low] = slot.to_be_bytes();
    vec![Kind::Step as u8, high, low]
}

/// The key of a row that belongs to one GUID, and the prefix of those that begin with one.
pub(super) fn of_guid(kind: Kind, guid: Guid) -> Vec<u8> {
    let mut row = Vec::with_capacity(64);
    row.push(kind as u8);
    row.extend(guid.0);
    row
}

/// The prefix of the rows of one name under a GUID.
pub(super) fn of_name(kind: Kind, guid: Guid, name: &str) -> Vec<u8> {
    let mut row = of_guid(kind, guid);
    row.extend(name.as_bytes());
    row.push(0);
    row
}

/// Below every row of a later name under the GUID, above all of this one: no name has a NUL.
pub(super) fn after_name(kind: Kind, guid: Guid, name: &str) -> Vec<u8> {
    let mut row = of_guid(kind, guid);
    row.extend(name.as_bytes());
    row.push(1);
    row
}

/// The key of an entry or value, or, with the empty name, of a blanket.
pub(super) fn of_layer(kind: Kind, guid: Guid, name: &str, layer: &str) -> Vec<u8> {
    let mut row = of_name(kind, guid, name);
    row.extend(layer.as_bytes());
    row
}

/// The lowest key above this one.
pub(super) fn after(mut row: Vec<u8>) -> Vec<u8> {
    row.push(0);
    row
}

/// The prefix of the rows of kind layer of one layer.
pub(super) fn index(layer: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(64);
    row.push(Kind::Layer as u8);
    row.extend(layer.as_bytes());
    row.push(0);
    row
}

/// The key of the row of kind layer for something in a layer.
pub(super) fn index_of(layer: &str, kind: Kind, guid: Guid, name: &str) -> Vec<u8> {
    let mut row = index(layer);
    row.push(kind as u8);
    row.extend(guid.0);
    row.extend(name.as_bytes());
    row
}

/// The key of an entry, value or blanket, taken apart.
pub(super) struct Place<'a> {
    pub(super) kind: Kind,
    pub(super) guid: Guid,
    pub(super) name: &'a str,
    pub(super) layer: &'a str,
}

impl<'a> Place<'a> {
    /// Takes apart the key of an entry, value or blanket.
    pub(super) fn of_row(row: &'a [u8]) -> Result<Self, Error> {
        let (kind, guid, rest) = kind_and_guid(row, row)?;
        let nul = rest.bytes().position(|byte| byte == 0);
        let (name, layer) = nul
            .and_then(|nul| Some((rest.get(..nul)?, rest.get(nul + 1..)?)))
            .ok_or_else(|| Error::corrupt(row, "no layer"))?;
        Ok(Place { kind, guid, name, layer })
    }

    /// Takes apart the key of a row of kind layer, which begins with the index prefix of `layer`.
    pub(super) fn of_index(row: &'a [u8], layer: &'a str) -> Result<Self, Error> {
        let rest = row.get(layer.len() + 2..).unwrap_or_default();
        let (kind, guid, name) = kind_and_guid(row, rest)?;
        Ok(Place { kind, guid, name, layer })
    }

    /// The key of the entry, value or blanket.
    pub(super) fn row(&self) -> Vec<u8> {
        of_layer(self.kind, self.guid, self.name, self.layer)
    }

    /// The key of its row of kind layer.
    pub(super) fn index_row(&self) -> Vec<u8> {
        index_of(self.layer, self.kind, self.guid, self.name)
    }
}

fn kind_and_guid<'a>(row: &[u8], bytes: &'a [u8]) -> Result<(Kind, Guid, &'a str), Error> {
    let (&kind, rest) = bytes.split_first().ok_or_else(|| Error::corrupt(row, "cut short"))?;
    let kind = [Kind::Entry, Kind::Value, Kind::Blanket]
        .into_iter()
        .find(|known| *known as u8 == kind)
        .ok_or_else(|| Error::corrupt(row, "nothing that a layer holds"))?;
    let (guid, rest) = rest.split_first_chunk().ok_or_else(|| Error::corrupt(row, "cut short"))?;
    let rest = std::str::from_utf8(rest).map_err(|_| Error::corrupt(row, "not UTF-8"))?;
    Ok((kind, Guid(*guid), rest))
}

/// The GUID in the key of a row of kind key, descriptor or orphan.
pub(super) fn guid_of(row: &[u8]) -> Result<Guid, Error> {
    row.get(1..)
        .and_then(|guid| guid.try_into().ok())
        .map(Guid)
        .ok_or_else(|| Error::corrupt(row, "not one GUID"))
}

/// Decodes the value of a row; trailing bytes are a later format's, or the data of a value.
pub(super) fn decode<'a, T: Deserialize<'a>>(row: &[u8], value: &'a [u8]) -> Result<T, Error> {
    Ok(decode_with_rest(row, value)?.0)
}

fn decode_with_rest<'a, T: Deserialize<'a>>(
    row: &[u8],
    value: &'a [u8],
) -> Result<(T, &'a [u8]), Error> {
    postcard::take_from_bytes(value).map_err(|_| Error::corrupt(row, "its value does not decode"))
}

/// The path entry that a row is.
pub(super) fn entry(row: &[u8], value: &[u8]) -> Result<PathEntry, Error> {
    let place = Place::of_row(row)?;
    let stored: EntryRow = decode(row, value)?;
    Ok(PathEntry {
        parent: place.guid,
        name: name(stored.name, place.name),
        layer: name(stored.layer, place.layer),
        target: stored.target,
        sequence: stored.sequence,
    })
}

/// The value entry that a row is.
pub(super) fn value(row: &[u8], value: &[u8]) -> Result<ValueEntry, Error> {
    let place = Place::of_row(row)?;
    let (stored, data): (ValueRow, _) = decode_with_rest(row, value)?;
    Ok(ValueEntry {
        key: place.guid,
        name: name(stored.name, place.name),
        layer: name(stored.layer, place.layer),
        value_type: stored.value_type,
        data: data.to_vec(),
        sequence: stored.sequence,
    })
}

/// The blanket tombstone that a row is.
pub(super) fn blanket(row: &[u8], value: &[u8]) -> Result<BlanketEntry, Error> {
    let place = Place::of_row(row)?;
    let stored: BlanketRow = decode(row, value)?;
    Ok(BlanketEntry {
        key: place.guid,
        layer: name(stored.layer, place.layer),
        sequence: stored.sequence,
    })
}

fn name(display: &str, folded: &str) -> Name {
    Name { display: display.to_owned(), folded: folded.to_owned() }
}

/// Refuses a name with a NUL, which would run into what follows it in a row's key.
pub(super) fn check_name(folded: &str) -> Result<(), Error> {
    if folded.contains('\0') {
        return Err(SourceError::Invalid.into());
    }
    Ok(())
}
