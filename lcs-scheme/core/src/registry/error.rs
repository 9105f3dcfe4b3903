//! What can come of an operation that does not succeed.

use alloc::string::String;

use lcs_abi::call::TransactionState;
use lcs_abi::rsi::SourceError;
use lcs_abi::security::Access;

use crate::model::name::NameError;
use crate::model::path::PathError;
use crate::model::value::ValueError;
use crate::security::{Denied, InvalidMask, Malformed};

/// Why an operation failed. Its errno is decided where the scheme answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such key, value, hive or layer, or the key is orphaned or gone.
    NotFound(NotFound),
    /// Rights were not granted; where nothing is left of what was asked for, none is named.
    AccessDenied {
        /// The rights that are missing.
        missing: Access,
    },
    /// A layer may not be written to by whom the handle acts for, or by nobody with this handle.
    LayerDenied {
        /// The layer's name.
        layer: String,
    },
    /// It takes a privilege.
    PrivilegeMissing,
    /// What must be recorded could not be; the caller got nothing.
    NotRecorded,
    /// The request makes no sense; says what does not.
    Invalid(&'static str),
    /// A name or a path is too long.
    NameTooLong,
    /// A limit of size or number is exceeded.
    LimitExceeded(&'static str),
    /// The table of handles is full, or the user has too many.
    TooManyHandles,
    /// There is too much of something for now.
    Busy(&'static str),
    /// The transaction came to its end, or its end has begun.
    TransactionEnded(TransactionState),
    /// The transaction is bound to another hive.
    OtherHive,
    /// The caller's condition does not hold, or something was changed under the operation.
    ConditionFailed,
    /// The key has visible children.
    NotEmpty,
    /// Something is there already.
    AlreadyExists,
    /// One open led over more links than SymlinkDepthLimit allows.
    LinkLoop,
    /// The answer does not fit; it needs this many bytes.
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
    },
    /// The source is gone; the step, if it was one, may or may not have happened.
    SourceDown,
    /// The source could not do it.
    Source(SourceError),
    /// What the source says makes no sense.
    SourceData,
    /// There is no sequence number left.
    SequencesExhausted,
    /// A value where a key is wanted.
    NotADirectory,
    /// A key where a value is wanted.
    IsADirectory,
    /// Not known here.
    NotSupported,
    /// Not a handle, or not that kind of handle.
    BadHandle,
}

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// A key, or one on the way to it.
    Key,
    /// A value.
    Value,
    /// A hive.
    Hive,
    /// A layer.
    Layer,
    /// A scope.
    Scope,
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        match error {
            NameError::Empty => Error::Invalid("empty name"),
            NameError::Nul => Error::Invalid("NUL in a name"),
            NameError::Separator => Error::Invalid("separator in a name"),
            NameError::TooLong => Error::NameTooLong,
        }
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Component(name) => name.into(),
            PathError::TooLong => Error::NameTooLong,
        }
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::UnknownType => Error::Invalid("unknown value type"),
            ValueError::TombstoneWithData => Error::Invalid("a tombstone has no data"),
            ValueError::TooLarge => Error::LimitExceeded("MaxValueSize"),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Error::AccessDenied { missing: denied.missing }
    }
}

impl From<InvalidMask> for Error {
    fn from(_: InvalidMask) -> Self {
        Error::Invalid("invalid access mask")
    }
}

impl From<Malformed> for Error {
    /// Of what came from a caller.
    fn from(_: Malformed) -> Self {
        Error::Invalid("invalid security descriptor")
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::NotFound(NotFound::Key) => f.write_str("no such key"),
            Error::NotFound(NotFound::Value) => f.write_str("no such value"),
            Error::NotFound(NotFound::Hive) => f.write_str("no such hive"),
            Error::NotFound(NotFound::Layer) => f.write_str("no such layer"),
            Error::NotFound(NotFound::Scope) => f.write_str("no such scope"),
            Error::AccessDenied { missing } if missing.is_empty() => {
                f.write_str("access denied: no right at all")
            }
            Error::AccessDenied { missing } => {
                f.write_str("access denied: ")?;
                bitflags::parser::to_writer(missing, &mut *f)?;
                f.write_str(" missing")
            }
            Error::LayerDenied { layer } => write!(f, "access denied: layer {layer}"),
            Error::PrivilegeMissing => f.write_str("access denied: privilege missing"),
            Error::NotRecorded => f.write_str("the audit record could not be written"),
            Error::Invalid(what) => f.write_str(what),
            Error::NameTooLong => f.write_str("name too long"),
            Error::LimitExceeded(limit) => write!(f, "{limit} exceeded"),
            Error::TooManyHandles => f.write_str("too many handles"),
            Error::Busy(limit) => write!(f, "{limit} reached"),
            Error::TransactionEnded(state) => write!(f, "the transaction is over: {state:?}"),
            Error::OtherHive => f.write_str("the transaction is bound to another hive"),
            Error::ConditionFailed => f.write_str("condition failed"),
            Error::NotEmpty => f.write_str("key has subkeys"),
            Error::AlreadyExists => f.write_str("already exists"),
            Error::LinkLoop => f.write_str("too many links"),
            Error::BufferTooSmall { needed } => write!(f, "answer needs {needed} bytes"),
            Error::SourceDown => f.write_str("source is down"),
            Error::Source(error) => write!(f, "source: {error}"),
            Error::SourceData => f.write_str("malformed data from the source"),
            Error::SequencesExhausted => f.write_str("sequence numbers exhausted"),
            Error::NotADirectory => f.write_str("a value is no key"),
            Error::IsADirectory => f.write_str("a key is no value"),
            Error::NotSupported => f.write_str("not supported"),
            Error::BadHandle => f.write_str("bad handle"),
        }
    }
}

impl core::error::Error for Error {}
