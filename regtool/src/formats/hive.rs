//! Hives of Windows (`regf`), the files in which its registry lies.
//!
//! The crate `regf` knows the structures; here they are walked from the root, and what cannot be read is told and
//! passed over, where the crate's own reader refuses a hive as a whole. Security descriptors, classes and times are
//! not taken over.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use libreg::windows::{self, Inexact, UnknownType, Value, names};
use regf::structures::{BASE_BLOCK_SIZE, INVALID_OFFSET, MAX_DATA_SEGMENT_SIZE};
use regf::structures::{
    BaseBlock, BigData, DataSegmentsList, KeyNode, KeyValue, RawCell, SubkeysList,
};

/// The first version whose large values lie in segments.
const BIG_DATA_SINCE: u32 = 4;

/// Deeper than any registry allows, so that a hive whose keys lead in a circle has an end.
const MAX_DEPTH: usize = 512;

/// How many bytes may be taken out of a hive for each one that it has, and how many in any case. A sound one has each
/// cell in one place, and only the names above a key more than once; without a limit a small file whose keys share
/// their cells would fill the memory.
const MOST_PER_BYTE: usize = 16;
const MOST_IN_ANY_CASE: usize = 16 << 20;

/// What a hive holds.
#[derive(Debug, Default)]
pub struct Hive {
    /// Keys from the root down, parents first.
    pub keys: Vec<HiveKey>,
    /// What was taken over, but not exactly.
    pub notes: Vec<(Place, Inexact)>,
    /// What is whole, but nothing that this registry can keep.
    pub left_out: Vec<(Place, LeftOut)>,
    /// What cannot be read, and what that says of the rest.
    pub damage: Vec<Damage>,
}

/// A key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HiveKey {
    /// The names below the root; none for the root itself.
    pub path: Vec<String>,
    /// Its values, in the order of the hive.
    pub values: Vec<(String, Value)>,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The names below the root.
    pub key: Vec<String>,
    /// The name of a value.
    pub value: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.key.is_empty() { "the root" } else { "" })?;
        f.write_str(&self.key.join("\\"))?;
        match self.value.as_deref() {
            None => Ok(()),
            Some("") => f.write_str("  @"),
            Some(name) => write!(f, "  {name}"),
        }
    }
}

/// Why something is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A type that the registry does not have.
    Type(u32),
    /// A name that contains NUL or a separator.
    Name,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::Type(code) => write!(f, "a type that the registry does not have, {code:#x}"),
            LeftOut::Name => f.write_str("a name that is empty, or contains NUL or \\"),
        }
    }
}

/// Something that is wrong with a hive.
#[derive(Debug)]
pub enum Damage {
    /// It was not written to its end; the rest is in a log, which is not read.
    Dirty {
        /// How often a writing was begun.
        begun: u32,
        /// And ended.
        ended: u32,
    },
    /// The checksum of its header is wrong.
    Checksum,
    /// It is shorter than its header says.
    Cut {
        /// How long it should be, in bytes.
        expected: u64,
        /// And is.
        actual: u64,
    },
    /// Something there cannot be read, nor what is below it.
    Unreadable(Place, Part, regf::Error),
    /// The same cells occur in so many places that it is given up.
    Shared,
}

/// A part of a key or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A key below it.
    Subkey,
    /// The list of these.
    Subkeys,
    /// A value, not even its name.
    Value,
    /// The list of these.
    Values,
    /// The data of a value.
    Data,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Dirty { begun, ended } => write!(
                f,
                "not written to its end (sequence numbers {begun} and {ended}): what is in its log is missing"
            ),
            Damage::Checksum => f.write_str("the checksum of its header is wrong"),
            Damage::Cut { expected, actual } => {
                write!(f, "cut off: {actual} bytes of {expected}")
            }
            Damage::Shared => {
                f.write_str("it uses the same cells again and again: the rest is not read")
            }
            Damage::Unreadable(place, part, error) => write!(
                f,
                "{place}: {} cannot be read: {error}",
                match part {
                    Part::Subkey => "a key below it",
                    Part::Subkeys => "the list of the keys below it",
                    Part::Value => "one of its values",
                    Part::Values => "the list of its values",
                    Part::Data => "the data",
                }
            ),
        }
    }
}

/// Reads a hive, as far as it can be read.
///
/// # Errors
/// It is no hive, or one of a version whose structures are others.
pub fn parse(bytes: &[u8]) -> Result<Hive, regf::Error> {
    let header = BaseBlock::parse(bytes)?;
    let (major, minor) = (header.major_version, header.minor_version);
    if major != 1 || !(3..=6).contains(&minor) {
        return Err(regf::Error::UnsupportedVersion { major, minor });
    }
    let mut hive = Hive::default();
    if header.primary_sequence != header.secondary_sequence {
        let (begun, ended) = (header.primary_sequence, header.secondary_sequence);
        hive.damage.push(Damage::Dirty { begun, ended });
    }
    if !header.checksum_valid {
        hive.damage.push(Damage::Checksum);
    }
    let expected = BASE_BLOCK_SIZE as u64 + u64::from(header.hive_bins_data_size);
    let actual = bytes.len() as u64;
    if actual < expected {
        hive.damage.push(Damage::Cut { expected, actual });
    }
    let most = bytes.len().saturating_mul(MOST_PER_BYTE).saturating_add(MOST_IN_ANY_CASE);
    let cells = Cells {
        bytes: bytes.get(BASE_BLOCK_SIZE..).unwrap_or_default(),
        minor,
        left: Cell::new(Some(most)),
    };
    let mut walk = Walk { cells, hive, seen: HashSet::new() };
    let mut pending = vec![(Rc::default(), header.root_cell_offset)];
    while let Some((above, offset)) = pending.pop() {
        let (path, below) = walk.key(&above, offset);
        pending.extend(below.into_iter().rev().map(|offset| (Rc::clone(&path), offset)));
        if walk.cells.left.get().is_none() {
            walk.hive.damage.push(Damage::Shared);
            break;
        }
    }
    Ok(walk.hive)
}

/// Where the structures are.
struct Cells<'a> {
    bytes: &'a [u8],
    minor: u32,
    /// How many bytes may still be taken out; `None` once that was too little.
    left: Cell<Option<usize>>,
}

impl Cells<'_> {
    fn spend(&self, length: usize) -> Result<(), regf::Error> {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(length)));
        let spent = || regf::Error::CorruptHive("cells that are used again and again".to_owned());
        self.left.get().map(drop).ok_or_else(spent)
    }

    fn data(&self, offset: u32) -> Result<Vec<u8>, regf::Error> {
        let rest = self.bytes.get(offset as usize..).filter(|_| offset != INVALID_OFFSET);
        let rest = rest.ok_or(regf::Error::InvalidCellOffset(offset))?;
        // It is copied only where all of it is there.
        let says = rest.first_chunk::<4>().map_or(0, |size| i32::from_le_bytes(*size));
        self.spend(
            Some(says.unsigned_abs() as usize).filter(|size| *size <= rest.len()).unwrap_or(0),
        )?;
        let cell = RawCell::parse(rest, offset)?;
        if cell.is_allocated() { Ok(cell.data) } else { Err(regf::Error::UnallocatedCell(offset)) }
    }

    /// The keys below a key.
    fn subkeys(&self, key: &KeyNode) -> Result<Vec<u32>, regf::Error> {
        if key.num_subkeys == 0 {
            return Ok(Vec::new());
        }
        let list = SubkeysList::parse(&self.data(key.subkeys_list_offset)?)?;
        let SubkeysList::IndexRoot(root) = list else {
            return Ok(list.get_offsets());
        };
        let mut offsets = Vec::new();
        for element in &root.elements {
            let list = SubkeysList::parse(&self.data(element.subkeys_list_offset)?)?;
            offsets.extend(list.get_offsets());
        }
        Ok(offsets)
    }

    fn values(&self, key: &KeyNode) -> Result<Vec<u32>, regf::Error> {
        if key.num_values == 0 || key.is_predef_handle() {
            return Ok(Vec::new());
        }
        let list = self.data(key.values_list_offset)?;
        let (offsets, _) = list.as_chunks::<4>();
        let count = key.num_values as usize;
        let listed = offsets.get(..count).ok_or(regf::Error::BufferTooSmall {
            needed: count.saturating_mul(4),
            available: list.len(),
        })?;
        Ok(listed.iter().map(|offset| u32::from_le_bytes(*offset)).collect())
    }

    fn value_data(&self, value: &KeyValue) -> Result<Vec<u8>, regf::Error> {
        if value.is_data_resident() {
            let corrupt = || regf::Error::CorruptHive("a value that should be in place".to_owned());
            return value.get_resident_data().ok_or_else(corrupt);
        }
        let size = value.actual_data_size() as usize;
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut data = self.data(value.data_offset)?;
        if size > MAX_DATA_SEGMENT_SIZE && self.minor >= BIG_DATA_SINCE {
            data = self.segments(&BigData::parse(&data)?, size)?;
        }
        if data.len() < size {
            return Err(regf::Error::BufferTooSmall { needed: size, available: data.len() });
        }
        data.truncate(size);
        Ok(data)
    }

    fn segments(&self, big: &BigData, size: usize) -> Result<Vec<u8>, regf::Error> {
        let list = self.data(big.segments_list_offset)?;
        let mut data = Vec::new();
        for offset in DataSegmentsList::parse(&list, big.num_segments)?.offsets {
            let segment = self.data(offset)?;
            let length = MAX_DATA_SEGMENT_SIZE.min(size - data.len()).min(segment.len());
            data.extend_from_slice(&segment[..length]);
        }
        Ok(data)
    }
}

struct Walk<'a> {
    cells: Cells<'a>,
    hive: Hive,
    /// Where keys were read: each is in one place.
    seen: HashSet<u32>,
}

impl Walk<'_> {
    /// Where something is; `None` if too much was taken out, and there is nothing more to tell.
    fn place(&self, key: &[String], value: Option<String>) -> Option<Place> {
        self.cells.spend(length_of(key)).ok()?;
        Some(Place { key: key.to_owned(), value })
    }

    fn damaged(&mut self, key: &[String], value: Option<String>, part: Part, error: regf::Error) {
        if let Some(place) = self.place(key, value) {
            self.hive.damage.push(Damage::Unreadable(place, part, error));
        }
    }

    fn left_out(&mut self, key: &[String], value: Option<String>, why: LeftOut) {
        if let Some(place) = self.place(key, value) {
            self.hive.left_out.push((place, why));
        }
    }

    /// Reads a key, which is below a path or the root, and gives its path and the keys below it.
    fn key(&mut self, above: &[String], offset: u32) -> (Rc<[String]>, Vec<u32>) {
        let none = (Rc::default(), Vec::new());
        let is_root = self.seen.is_empty();
        let node = match self.cells.data(offset).and_then(|data| KeyNode::parse(&data)) {
            Ok(node) if self.seen.insert(offset) && above.len() < MAX_DEPTH => node,
            Ok(_) => {
                let error = regf::Error::CorruptHive("a key that is in two places".to_owned());
                self.damaged(above, None, Part::Subkey, error);
                return none;
            }
            Err(error) => {
                self.damaged(above, None, Part::Subkey, error);
                return none;
            }
        };
        let name = node.name();
        if !is_root && (name.is_empty() || name.contains(['\0', '\\'])) {
            self.left_out(above, None, LeftOut::Name);
            return none;
        }
        if self.cells.spend(length_of(above)).is_err() {
            return none;
        }
        let own = (!is_root).then(|| names::from_windows(&name));
        let path: Vec<String> = above.iter().cloned().chain(own).collect();
        let mut key = HiveKey { path, values: Vec::new() };
        match self.cells.values(&node) {
            Ok(offsets) => offsets.into_iter().for_each(|offset| self.value(&mut key, offset)),
            Err(error) => self.damaged(&key.path, None, Part::Values, error),
        }
        let below = self.cells.subkeys(&node).unwrap_or_else(|error| {
            self.damaged(&key.path, None, Part::Subkeys, error);
            Vec::new()
        });
        let path = if below.is_empty() { Rc::default() } else { key.path.as_slice().into() };
        self.hive.keys.push(key);
        (path, below)
    }

    fn value(&mut self, key: &mut HiveKey, offset: u32) {
        let value = match self.cells.data(offset).and_then(|data| KeyValue::parse(&data)) {
            Ok(value) => value,
            Err(error) => return self.damaged(&key.path, None, Part::Value, error),
        };
        let name = value.name();
        let data = match self.cells.value_data(&value) {
            Ok(data) => data,
            Err(error) => return self.damaged(&key.path, Some(name), Part::Data, error),
        };
        if name.contains('\0') {
            return self.left_out(&key.path, Some(name), LeftOut::Name);
        }
        match windows::from_windows(value.data_type, &data) {
            Ok((converted, inexact)) => {
                if let Some(inexact) = inexact {
                    let place = self.place(&key.path, Some(name.clone()));
                    self.hive.notes.extend(place.map(|place| (place, inexact)));
                }
                key.values.push((name, converted));
            }
            Err(UnknownType(code)) => self.left_out(&key.path, Some(name), LeftOut::Type(code)),
        }
    }
}

/// What a path takes, in bytes.
fn length_of(path: &[String]) -> usize {
    path.iter().map(|name| size_of::<String>() + name.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regf::{DataType, HiveBuilder};

    /// A hive with something of everything, and where its root is.
    fn sample() -> Vec<u8> {
        let mut builder = HiveBuilder::new().unwrap();
        let root = builder.root_offset();
        let software = builder.add_key(root, "Software").unwrap();
        let app = builder.add_key(software, "TCP/IP").unwrap();
        let text: Vec<u8> = "Grüße\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        builder.add_value(app, "", DataType::String, &text).unwrap();
        builder.add_value(app, "Größe", DataType::Dword, &7_u32.to_le_bytes()).unwrap();
        builder.add_value(app, "Big", DataType::Binary, &vec![0xA5; 40_000]).unwrap();
        for number in 0..50 {
            builder.add_key(software, &format!("Key{number:02}")).unwrap();
        }
        builder.to_bytes().unwrap()
    }

    fn paths(hive: &Hive) -> Vec<String> {
        hive.keys.iter().map(|key| key.path.join("\\")).collect()
    }

    #[test]
    fn a_hive_is_read_with_all_that_is_in_it() {
        let hive = parse(&sample()).unwrap();
        assert!(hive.damage.is_empty(), "{:?}", hive.damage);
        assert_eq!(hive.keys.len(), 53);
        assert_eq!(paths(&hive)[..2], ["", "Software"]);
        let app =
            hive.keys.iter().find(|key| key.path.ends_with(&["TCP%2FIP".to_owned()])).unwrap();
        let mut values = app.values.clone();
        values.sort_by(|one, other| one.0.cmp(&other.0));
        let value = |value_type, data: &[u8]| Value { value_type, data: data.to_vec() };
        assert_eq!(values[0], (String::new(), value(1, "Grüße".as_bytes())));
        assert_eq!(values[1], ("Big".to_owned(), value(3, &[0xA5; 40_000])));
        assert_eq!(values[2], ("Größe".to_owned(), value(4, &[7, 0, 0, 0])));
    }

    #[test]
    fn what_is_no_hive_is_refused() {
        assert!(parse(b"regf").is_err());
        assert!(parse(&[0; 8192]).is_err());
        let mut other = sample();
        other[24] = 1;
        assert!(matches!(parse(&other), Err(regf::Error::UnsupportedVersion { minor: 1, .. })));
    }

    #[test]
    fn damage_is_told_and_the_rest_is_read() {
        let whole = sample();
        let mut dirty = whole.clone();
        dirty[4] ^= 1;
        let hive = parse(&dirty).unwrap();
        assert!(matches!(hive.damage[..], [Damage::Dirty { .. }, Damage::Checksum]));
        assert_eq!(hive.keys.len(), 53);

        // The last segment of the large value.
        let cut = parse(&whole[..whole.len() - 4096]).unwrap();
        assert!(matches!(cut.damage[0], Damage::Cut { .. }));
        assert!(!cut.keys.is_empty());

        let mut without_name = whole.clone();
        let name = without_name.windows(5).position(|bytes| bytes == b"Key07").unwrap();
        without_name[name - 76..name - 74].copy_from_slice(b"xx");
        let hive = parse(&without_name).unwrap();
        assert_eq!(hive.keys.len(), 52);
        assert_eq!(hive.damage.len(), 1);
        assert!(hive.damage[0].to_string().starts_with("Software: "), "{}", hive.damage[0]);
    }

    #[test]
    fn a_hive_that_uses_its_cells_again_and_again_is_given_up() {
        let mut builder = HiveBuilder::new().unwrap();
        let root = builder.root_offset();
        builder.add_value(root, "Big", DataType::Binary, &vec![0xA5; 40_000]).unwrap();
        for number in 0..1000 {
            builder.add_value(root, &format!("v{number}"), DataType::Dword, &[0; 4]).unwrap();
        }
        let mut bytes = builder.to_bytes().unwrap();
        assert!(parse(&bytes).unwrap().damage.is_empty());

        // All values are the large one.
        let header = BaseBlock::parse(&bytes).unwrap();
        let cell = |bytes: &[u8], offset: u32| bytes[BASE_BLOCK_SIZE + offset as usize..].to_vec();
        let key = RawCell::parse(&cell(&bytes, header.root_cell_offset), 0).unwrap();
        let list = KeyNode::parse(&key.data).unwrap().values_list_offset as usize;
        let first = BASE_BLOCK_SIZE + list + 4;
        let big = bytes[first..first + 4].to_vec();
        bytes[first..first + 4 * 1001].copy_from_slice(&big.repeat(1001));
        let hive = parse(&bytes).unwrap();
        assert!(matches!(hive.damage[..], [Damage::Shared]), "{:?}", hive.damage);
        let taken: usize = hive.keys[0].values.iter().map(|(_, value)| value.data.len()).sum();
        assert!(taken <= bytes.len() * MOST_PER_BYTE + MOST_IN_ANY_CASE, "{taken} bytes");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_damaged_hive_is_read_or_refused(changes in prop::collection::vec((0..60_000_usize, any::<u8>()), 1..20), length in 0..70_000_usize) {
            let mut bytes = sample();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(length.max(4096));
            let _ = parse(&bytes);
        }
    }
}
