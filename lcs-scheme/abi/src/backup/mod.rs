//! The backup stream: a subtree of a hive with all its layers, as a `Backup` handle gives it and a `Restore`
//! handle takes it.
//!
//! The layout is that of PSD-005 §9, so that streams travel between registries. All numbers are
//! little-endian; a string is a u32 length and so many bytes of UTF-8. A record is a u16 type, a u32 length
//! that includes these six bytes, and its payload. The first record is a HEADER; then come LAYER records, one
//! per layer used; then the keys in depth-first pre-order, each followed by its path entries, values and
//! blanket tombstones; the last record is the TRAILER, with the number of records (itself and the HEADER
//! included) and the SHA-256 of all bytes before that hash.
//!
//! [`Encoder`] and [`Decoder`] know this layout and nothing more. What the records must say of each other
//! (which key comes first, which entries may stand where) is for whoever restores them.

mod decode;
mod encode;
mod error;

pub use decode::Decoder;
pub use encode::Encoder;
pub use error::{Problem, StreamError};

use alloc::string::String;
use alloc::vec::Vec;

use crate::Guid;

/// The first eight bytes of a HEADER's payload.
pub const MAGIC: [u8; 8] = *b"PEIOSREG";
/// The version of the format that [`Encoder`] writes, and the newest that [`Decoder`] reads.
pub const FORMAT_VERSION: u32 = 1;
/// No registry's settings allow a longer record, in bytes: 64 MiB of data, names and numbers. It is for
/// decoders that know of no registry.
pub const MAX_RECORD: usize = 65 << 20;

/// Size of the type and length that a record begins with, in bytes.
const RECORD_HEADER: usize = 6;
/// Size of a SHA-256, in bytes.
const HASH: usize = 32;
/// [`Key`]'s flag bits.
const FLAG_VOLATILE: u32 = 1;
const FLAG_LINK: u32 = 2;

/// Types of records.
mod record_type {
    pub const HEADER: u16 = 0x01;
    pub const LAYER: u16 = 0x02;
    pub const KEY: u16 = 0x03;
    pub const PATH_ENTRY: u16 = 0x04;
    pub const VALUE: u16 = 0x05;
    pub const BLANKET: u16 = 0x06;
    pub const TRAILER: u16 = 0xFF;
}

/// HEADER: what the stream is a backup of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// When the backup was made, in nanoseconds since 1970 (UTC).
    pub time: i64,
    /// The key at the top of the stream.
    pub root: Guid,
    /// The name of its hive.
    pub hive: String,
}

/// LAYER: a layer that the stream uses, as the layer table had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The layer's name.
    pub name: String,
    /// Its precedence.
    pub precedence: u32,
    /// Whether it counted.
    pub enabled: bool,
    /// The SID of its owner, in the binary form of [MS-DTYP] 2.4.2.
    pub owner: Vec<u8>,
}

/// KEY: what belongs to a key whatever its layers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key's identity.
    pub key: Guid,
    /// It is volatile.
    pub volatile: bool,
    /// It is a link.
    pub link: bool,
    /// Its security descriptor, self-relative ([MS-DTYP] 2.4.6).
    pub sd: Vec<u8>,
    /// Last write, in nanoseconds since 1970 (UTC).
    pub last_write: i64,
}

/// PATH_ENTRY: what one layer says of one name under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathEntry {
    /// The parent key.
    pub parent: Guid,
    /// The child's name.
    pub name: String,
    /// The key that the name leads to; `None` is HIDDEN, and the stream has zeros for it.
    pub child: Option<Guid>,
    /// The layer.
    pub layer: String,
    /// Its sequence number.
    pub sequence: u64,
}

/// VALUE: what one layer says of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The key.
    pub key: Guid,
    /// The value's name; empty for the default value.
    pub name: String,
    /// The type's code ([`crate::value::TOMBSTONE`] for one).
    pub value_type: u32,
    /// The data.
    pub data: Vec<u8>,
    /// The layer.
    pub layer: String,
    /// Its sequence number.
    pub sequence: u64,
}

/// BLANKET: a layer's tombstone for every value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blanket {
    /// The key.
    pub key: Guid,
    /// The layer.
    pub layer: String,
    /// Its sequence number.
    pub sequence: u64,
}

/// A record of a stream. TRAILER is none of them: [`Encoder::finish`] writes it, [`Decoder::finish`] has
/// checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first one.
    Header(Header),
    /// A layer.
    Layer(Layer),
    /// A key.
    Key(Key),
    /// A path entry.
    PathEntry(PathEntry),
    /// A value.
    Value(Value),
    /// A blanket tombstone.
    Blanket(Blanket),
    /// One of a type that this version of the format does not have. It counts, and whoever restores skips it.
    Unknown {
        /// Its type.
        record_type: u16,
        /// Its payload.
        payload: Vec<u8>,
    },
}

impl Record {
    /// The name of the record's type, as the format's description has it.
    pub fn type_name(&self) -> &'static str {
        type_name(match self {
            Record::Header(_) => record_type::HEADER,
            Record::Layer(_) => record_type::LAYER,
            Record::Key(_) => record_type::KEY,
            Record::PathEntry(_) => record_type::PATH_ENTRY,
            Record::Value(_) => record_type::VALUE,
            Record::Blanket(_) => record_type::BLANKET,
            Record::Unknown { record_type, .. } => *record_type,
        })
    }
}

/// The name of a type of records.
fn type_name(code: u16) -> &'static str {
    match code {
        record_type::HEADER => "HEADER",
        record_type::LAYER => "LAYER",
        record_type::KEY => "KEY",
        record_type::PATH_ENTRY => "PATH_ENTRY",
        record_type::VALUE => "VALUE",
        record_type::BLANKET => "BLANKET",
        record_type::TRAILER => "TRAILER",
        _ => "unknown",
    }
}

/// What a whole stream amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its records, HEADER and TRAILER included.
    pub records: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The hash in its TRAILER: the SHA-256 of all bytes before it.
    pub sha256: [u8; HASH],
}
