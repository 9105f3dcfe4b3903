//! What can be wrong with a stream.

use core::fmt;

use super::{FORMAT_VERSION, type_name};

/// A stream is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// Where the record in question begins, in bytes from the start of the stream.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The stream does not begin with a HEADER that has the magic bytes.
    NotABackup,
    /// Only a reader of this version or a later one understands the stream.
    TooNew {
        /// The version.
        minimum: u32,
    },
    /// There is a second HEADER.
    SecondHeader,
    /// The record's length does not even include its type and length.
    LengthTooSmall {
        /// The length.
        length: u32,
    },
    /// The record is longer than its reader takes.
    LengthTooLarge {
        /// The length.
        length: u32,
        /// The longest that would be taken.
        max: usize,
    },
    /// A field goes on beyond the end of the record.
    FieldTooLong {
        /// The record's type.
        record_type: u16,
    },
    /// The record goes on after its last field.
    Excess {
        /// The record's type.
        record_type: u16,
    },
    /// A name is not UTF-8.
    NotUtf8 {
        /// The record's type.
        record_type: u16,
    },
    /// A LAYER is neither enabled (1) nor disabled (0).
    BadEnabled {
        /// What stands there.
        enabled: u8,
    },
    /// A KEY has flags that this version of the format does not have.
    BadFlags {
        /// The flags.
        flags: u32,
    },
    /// The TRAILER counts another number of records than there are.
    WrongCount {
        /// What it says.
        stated: u64,
        /// What there is.
        counted: u64,
    },
    /// The bytes are not those that the TRAILER's hash was made of.
    WrongHash,
    /// Something follows the TRAILER.
    AfterTrailer,
    /// The stream ends in the middle of this record, or in its place.
    Truncated,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.problem)
    }
}

impl core::error::Error for StreamError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotABackup => f.write_str("this is no backup of a registry"),
            Problem::TooNew { minimum } => write!(
                f,
                "the backup needs a reader of format version {minimum}, and this one reads up to \
                 {FORMAT_VERSION}"
            ),
            Problem::SecondHeader => f.write_str("there is a second HEADER record"),
            Problem::LengthTooSmall { length } => {
                write!(f, "a record cannot have the length {length}")
            }
            Problem::LengthTooLarge { length, max } => {
                write!(f, "a record of {length} bytes is too long, the most is {max}")
            }
            Problem::FieldTooLong { record_type } => {
                write!(f, "the {} record is shorter than what it holds", type_name(*record_type))
            }
            Problem::Excess { record_type } => {
                write!(f, "the {} record is longer than what it holds", type_name(*record_type))
            }
            Problem::NotUtf8 { record_type } => {
                write!(f, "a name in the {} record is not UTF-8", type_name(*record_type))
            }
            Problem::BadEnabled { enabled } => {
                write!(f, "the LAYER record says {enabled} where 0 or 1 says whether it is enabled")
            }
            Problem::BadFlags { flags } => {
                write!(f, "the KEY record has unknown flags ({flags:#x})")
            }
            Problem::WrongCount { stated, counted } => write!(
                f,
                "the TRAILER record counts {stated} records, and there are {counted}: some were \
                 lost or added"
            ),
            Problem::WrongHash => {
                f.write_str("the checksum is wrong: the backup was damaged after it was made")
            }
            Problem::AfterTrailer => f.write_str("something follows the end of the backup"),
            Problem::Truncated => f.write_str("the backup ends too early"),
        }
    }
}
