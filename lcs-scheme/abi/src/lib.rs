//! What crosses a boundary: the one place in code that defines it. INTERFACES.md is its specification.
//!
//! Three languages are spoken here, all of them postcard-encoded structs and enums:
//!
//! - [`call`]: clients to LCS, over handles of the scheme `reg:` (`dup` with a payload, and `call`), with
//!   [`explain`], and [`watch`] for what is read from them,
//! - [`rsi`]: LCS to a source and back, in frames over the scheme `regsrc:`,
//! - [`security`]: the access rights and the few security descriptors that a source must know as bytes.
//!
//! A fourth one, [`backup`], has a layout of its own: it is written down in files, and other registries read it.
//!
//! The order of fields and variants is part of the interface. Additions go at the end of the outermost
//! struct; whoever decodes ignores trailing bytes, so both ends of one version can differ by an addition.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod backup;
pub mod call;
pub mod explain;
pub mod rsi;
pub mod security;
pub mod value;
pub mod watch;

use serde::{Deserialize, Serialize};

/// Version of the calls and derivations on `reg:` handles; sent as the second metadata word of a call.
pub const ABI_VERSION: u64 = 1;

/// The name of the layer that always exists, has precedence 0, and takes the writes that name no layer.
pub const BASE_LAYER: &str = "base";

/// The identity of a key, a scope or a hive's root: a version 4 UUID in the byte order of RFC 9562.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Guid(pub [u8; 16]);

impl core::fmt::Display for Guid {
    /// The usual text form: `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, lower case, no braces.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Bytes that are not what their reader expects: truncated, an unknown variant, not UTF-8, too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("malformed message")
    }
}

impl core::error::Error for Malformed {}

/// How much room an encoding gets at first, in bytes. Most fit; one that begins without any grows four times before.
const ROOM: usize = 128;

/// Encodes one message.
pub fn encode<T: Serialize>(message: &T) -> alloc::vec::Vec<u8> {
    encode_onto(alloc::vec::Vec::with_capacity(ROOM), message)
}

/// Encodes one message behind what is there.
pub fn encode_onto<T: Serialize>(bytes: alloc::vec::Vec<u8>, message: &T) -> alloc::vec::Vec<u8> {
    // The only errors of postcard's writer are a full buffer, which a Vec has not, and sequences of
    // unknown length, which no type here contains.
    postcard::to_extend(message, bytes).unwrap_or_default()
}

/// Decodes one message from the start of `bytes`, and gives what follows it.
pub fn decode_first<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Malformed> {
    postcard::take_from_bytes(bytes).map_err(|_| Malformed)
}

/// Decodes one message from the start of `bytes` and ignores what follows it.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    postcard::take_from_bytes(bytes).map(|(message, _)| message).map_err(|_| Malformed)
}
