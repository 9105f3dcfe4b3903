//! Backup streams: made by a registry, taken apart, made by hand.

use lcs_abi::backup::{Decoder, Encoder, MAX_RECORD, Record};
use lcs_abi::call::Derive;
use lcs_core::registry::{Caller, Error, HandleId};

use super::Client;
use super::client::system;

/// A backup of a key, read in pieces of this size.
pub fn back_up_in_pieces(client: &Client, key: HandleId, size: usize) -> Result<Vec<u8>, Error> {
    let backup = client.derive(Some(key), Derive::Backup)?;
    let stream = read_all(client, backup, size);
    client.close(backup);
    stream
}

/// A backup of a key.
pub fn back_up(client: &Client, key: HandleId) -> Result<Vec<u8>, Error> {
    back_up_in_pieces(client, key, 1 << 16)
}

/// All that is left of a backup.
pub fn read_all(client: &Client, backup: HandleId, size: usize) -> Result<Vec<u8>, Error> {
    let mut stream = Vec::new();
    loop {
        let piece = client.run(client.registry.read_backup(backup, size, || true))?;
        if piece.is_empty() {
            return Ok(stream);
        }
        assert!(piece.len() <= size);
        stream.extend(piece);
    }
}

/// Restores a key from a stream.
pub fn restore(client: &Client, key: HandleId, stream: &[u8]) -> Result<(), Error> {
    restore_as(client, &system(), key, stream)
}

/// The same for this caller.
pub fn restore_as(
    client: &Client,
    caller: &Caller,
    key: HandleId,
    stream: &[u8],
) -> Result<(), Error> {
    let restore = client.derive_as(caller, Some(key), Derive::Restore)?;
    let write = |piece: &&[u8]| client.run(client.registry.write_restore(restore, piece)).err();
    let outcome = match stream.chunks(1000).find_map(|piece| write(&piece)) {
        Some(error) => Err(error),
        None => client.run(client.registry.finish(restore)),
    };
    client.close(restore);
    outcome
}

/// The records of a whole stream.
pub fn records(stream: &[u8]) -> Vec<Record> {
    let mut decoder = Decoder::new(MAX_RECORD);
    decoder.push(stream);
    let mut records = Vec::new();
    while let Some(record) = decoder.next().expect("a sound stream") {
        records.push(record);
    }
    decoder.finish().expect("a whole stream");
    records
}

/// The stream of these records.
pub fn stream(records: &[Record]) -> Vec<u8> {
    let (mut encoder, mut stream) = (Encoder::new(), Vec::new());
    for record in records {
        encoder.record(record, &mut stream);
    }
    encoder.finish(&mut stream);
    stream
}

/// The records with the numbers from 1 on in the place of their distinct sequence numbers, in their order, and
/// without the time.
pub fn comparable(stream: &[u8]) -> Vec<Record> {
    let mut records = records(stream);
    let mut numbers: Vec<u64> = records.iter_mut().filter_map(sequence).map(|it| *it).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for record in &mut records {
        if let Record::Header(header) = record {
            header.time = 0;
        }
        if let Some(sequence) = sequence(record) {
            *sequence = 1 + numbers.binary_search(sequence).expect("it is one of them") as u64;
        }
    }
    records
}

/// The sequence number of a record that has one.
pub fn sequence(record: &mut Record) -> Option<&mut u64> {
    match record {
        Record::PathEntry(entry) => Some(&mut entry.sequence),
        Record::Value(value) => Some(&mut value.sequence),
        Record::Blanket(blanket) => Some(&mut blanket.sequence),
        _ => None,
    }
}
