//! Writes a stream.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::{
    FLAG_LINK, FLAG_VOLATILE, FORMAT_VERSION, HASH, MAGIC, RECORD_HEADER, Record, Summary,
    record_type,
};
use crate::Guid;

/// Writes a stream record by record: a [`Record::Header`] first, and [`Encoder::finish`] at the end.
#[derive(Default)]
pub struct Encoder {
    /// Records written.
    records: u64,
    /// Bytes written.
    bytes: u64,
    /// Of all bytes written.
    hash: Sha256,
}

impl Encoder {
    /// An encoder at the start of a stream.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// Appends a record to `out`.
    ///
    /// # Panics
    /// The record would be 4 GiB or longer, which no setting of a registry allows.
    pub fn record(&mut self, record: &Record, out: &mut Vec<u8>) {
        let start = out.len();
        match record {
            Record::Header(header) => {
                begin(record_type::HEADER, out);
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
                // A reader of the first version understands all that this one writes.
                out.extend_from_slice(&1_u32.to_le_bytes());
                out.extend_from_slice(&header.time.to_le_bytes());
                guid(header.root, out);
                bytes(header.hive.as_bytes(), out);
            }
            Record::Layer(layer) => {
                begin(record_type::LAYER, out);
                bytes(layer.name.as_bytes(), out);
                out.extend_from_slice(&layer.precedence.to_le_bytes());
                out.push(layer.enabled.into());
                bytes(&layer.owner, out);
            }
            Record::Key(key) => {
                begin(record_type::KEY, out);
                guid(key.key, out);
                let volatile = if key.volatile { FLAG_VOLATILE } else { 0 };
                let link = if key.link { FLAG_LINK } else { 0 };
                out.extend_from_slice(&(volatile | link).to_le_bytes());
                bytes(&key.sd, out);
                out.extend_from_slice(&key.last_write.to_le_bytes());
            }
            Record::PathEntry(entry) => {
                begin(record_type::PATH_ENTRY, out);
                guid(entry.parent, out);
                bytes(entry.name.as_bytes(), out);
                guid(entry.child.unwrap_or_default(), out);
                bytes(entry.layer.as_bytes(), out);
                out.extend_from_slice(&entry.sequence.to_le_bytes());
            }
            Record::Value(value) => {
                begin(record_type::VALUE, out);
                guid(value.key, out);
                bytes(value.name.as_bytes(), out);
                out.extend_from_slice(&value.value_type.to_le_bytes());
                bytes(&value.data, out);
                bytes(value.layer.as_bytes(), out);
                out.extend_from_slice(&value.sequence.to_le_bytes());
            }
            Record::Blanket(blanket) => {
                begin(record_type::BLANKET, out);
                guid(blanket.key, out);
                bytes(blanket.layer.as_bytes(), out);
                out.extend_from_slice(&blanket.sequence.to_le_bytes());
            }
            Record::Unknown { record_type, payload } => {
                begin(*record_type, out);
                out.extend_from_slice(payload);
            }
        }
        end(start, out);
        self.count(&out[start..]);
    }

    /// Appends the TRAILER to `out`: the stream is whole.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Summary {
        let start = out.len();
        begin(record_type::TRAILER, out);
        out.extend_from_slice(&(self.records + 1).to_le_bytes());
        out.extend_from_slice(&[0; HASH]);
        end(start, out);
        let hash = out.len() - HASH;
        self.count(&out[start..hash]);
        let sha256: [u8; HASH] = self.hash.finalize().into();
        out[hash..].copy_from_slice(&sha256);
        Summary { records: self.records, bytes: self.bytes + HASH as u64, sha256 }
    }

    /// Takes note of one record's bytes.
    fn count(&mut self, record: &[u8]) {
        self.records += 1;
        self.bytes += record.len() as u64;
        self.hash.update(record);
    }
}

/// A record's type, and room for its length.
fn begin(record_type: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&record_type.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Fills in the length of the record that begins at `start`.
fn end(start: usize, out: &mut [u8]) {
    let length = u32::try_from(out.len() - start).expect("a record is shorter than 4 GiB");
    out[start + 2..start + RECORD_HEADER].copy_from_slice(&length.to_le_bytes());
}

fn guid(guid: Guid, out: &mut Vec<u8>) {
    out.extend_from_slice(&guid.0);
}

/// A length, and so many bytes. One that does not fit makes the record too long, which `end` finds.
fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}
