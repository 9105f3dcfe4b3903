//! What streams hold, compared without what may differ.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lcs_abi::Guid;
use lcs_abi::backup::{Decoder, MAX_RECORD, Record};

/// The records of a whole stream.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut decoder = Decoder::new(MAX_RECORD);
    let mut records = Vec::new();
    decoder.push(bytes);
    while let Some(record) = decoder.next().expect("a well-formed stream") {
        records.push(record);
    }
    decoder.finish().expect("a whole stream");
    records
}

/// The sequence numbers that a stream uses.
fn sequences(records: &[Record]) -> BTreeSet<u64> {
    let mut records = records.to_vec();
    records.iter_mut().filter_map(sequence_of).map(|sequence| *sequence).collect()
}

fn sequence_of(record: &mut Record) -> Option<&mut u64> {
    match record {
        Record::PathEntry(entry) => Some(&mut entry.sequence),
        Record::Value(value) => Some(&mut value.sequence),
        Record::Blanket(blanket) => Some(&mut blanket.sequence),
        _ => None,
    }
}

/// A stream without what a restore may change: when it was made, which key is at its top, and the sequence numbers,
/// of which only the order counts.
pub fn content(records: &[Record]) -> Vec<Record> {
    let ranks: Vec<u64> = sequences(records).into_iter().collect();
    let root = match &records[0] {
        Record::Header(header) => header.root,
        other => panic!("a stream begins with {other:?}"),
    };
    let mut records = records.to_vec();
    for record in &mut records {
        if let Some(sequence) = sequence_of(record) {
            *sequence = ranks.binary_search(sequence).expect("one of them") as u64;
        }
        let key = match record {
            Record::Header(header) => {
                header.time = 0;
                &mut header.root
            }
            Record::Key(key) => &mut key.key,
            Record::PathEntry(entry) => &mut entry.parent,
            Record::Value(value) => &mut value.key,
            Record::Blanket(blanket) => &mut blanket.key,
            Record::Layer(_) | Record::Unknown { .. } => continue,
        };
        if *key == root {
            *key = Guid::default();
        }
    }
    records
}

/// As [`content`], of a file.
pub fn content_of(file: &Path) -> Vec<Record> {
    content(&records(&fs::read(file).expect("a backup")))
}

/// Fails with the first difference: whole streams are no help.
pub fn assert_same(found: &[Record], expected: &[Record]) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "record {index}");
    }
    assert_eq!(found.len(), expected.len(), "records");
}
