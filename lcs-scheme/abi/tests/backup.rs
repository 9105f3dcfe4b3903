//! The backup stream: what is written is read again, what was written by hand from the description is read
//! and written alike, and nothing that is damaged is taken for whole.

use lcs_abi::Guid;
use lcs_abi::backup::{
    Blanket, Decoder, Encoder, Header, Key, Layer, MAX_RECORD, PathEntry, Problem, Record,
    StreamError, Summary, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;

const ROOT: Guid = Guid([0xA1; 16]);
const SUB: Guid = Guid([0xB2; 16]);

/// The bytes of [`records`], put down by hand from the description of the format.
#[rustfmt::skip]
const GOLDEN: [u8; 427] = [
    // HEADER, 57 bytes: magic, version 1, minimum 1, time -2, root, hive "Machine"
    0x01, 0x00, 57, 0, 0, 0,
    0x50, 0x45, 0x49, 0x4F, 0x53, 0x52, 0x45, 0x47, 1, 0, 0, 0, 1, 0, 0, 0,
    0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1,
    7, 0, 0, 0, 0x4D, 0x61, 0x63, 0x68, 0x69, 0x6E, 0x65,
    // LAYER, 36 bytes: "rôle" (five bytes), precedence 7, enabled, owner S-1-5-18
    0x02, 0x00, 36, 0, 0, 0,
    5, 0, 0, 0, 0x72, 0xC3, 0xB4, 0x6C, 0x65, 7, 0, 0, 0, 1,
    12, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
    // KEY, 42 bytes: the root, no flags, an SD of four bytes, last write 3
    0x03, 0x00, 42, 0, 0, 0,
    0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1,
    0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 4, 0x80, 3, 0, 0, 0, 0, 0, 0, 0,
    // PATH_ENTRY, 61 bytes: under the root "Sub" is B2…, in "base", sequence 9
    0x04, 0x00, 61, 0, 0, 0,
    0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1,
    3, 0, 0, 0, 0x53, 0x75, 0x62,
    0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2,
    4, 0, 0, 0, 0x62, 0x61, 0x73, 0x65, 9, 0, 0, 0, 0, 0, 0, 0,
    // PATH_ENTRY, 58 bytes: "Hid" is HIDDEN in "x", sequence 10
    0x04, 0x00, 58, 0, 0, 0,
    0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1,
    3, 0, 0, 0, 0x48, 0x69, 0x64,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 0, 0, 0, 0x78, 10, 0, 0, 0, 0, 0, 0, 0,
    // VALUE, 47 bytes: the root's default value is a tombstone in "x", sequence 11
    0x05, 0x00, 47, 0, 0, 0,
    0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1,
    0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x78, 11, 0, 0, 0, 0, 0, 0, 0,
    // BLANKET, 35 bytes: the root's in "x", sequence 12
    0x06, 0x00, 35, 0, 0, 0,
    0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1, 0xA1,
    1, 0, 0, 0, 0x78, 12, 0, 0, 0, 0, 0, 0, 0,
    // of a type that does not exist, 7 bytes
    0x77, 0x77, 7, 0, 0, 0, 0x3F,
    // KEY, 38 bytes: B2…, volatile and a link, no SD, last write 0x0102030405060708
    0x03, 0x00, 38, 0, 0, 0,
    0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2, 0xB2,
    3, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1,
    // TRAILER, 46 bytes: 10 records, and the SHA-256 of the 395 bytes up to here (by Python's hashlib)
    0xFF, 0x00, 46, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0,
    0x58, 0xE6, 0x57, 0xFD, 0xA6, 0x81, 0xC4, 0xC4, 0x4C, 0x29, 0x55, 0x06, 0x13, 0xEE, 0x1F, 0xF0,
    0xA8, 0x4C, 0x64, 0x6E, 0xFB, 0xB7, 0x3B, 0xC3, 0x4D, 0x73, 0x20, 0x43, 0x66, 0x75, 0xD8, 0x83,
];

fn records() -> Vec<Record> {
    let layer = || "x".to_owned();
    let system = vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    vec![
        Record::Header(Header { time: -2, root: ROOT, hive: "Machine".into() }),
        Record::Layer(Layer {
            name: "r\u{f4}le".into(),
            precedence: 7,
            enabled: true,
            owner: system,
        }),
        Record::Key(Key {
            key: ROOT,
            volatile: false,
            link: false,
            sd: vec![1, 0, 4, 0x80],
            last_write: 3,
        }),
        Record::PathEntry(PathEntry {
            parent: ROOT,
            name: "Sub".into(),
            child: Some(SUB),
            layer: "base".into(),
            sequence: 9,
        }),
        Record::PathEntry(PathEntry {
            parent: ROOT,
            name: "Hid".into(),
            child: None,
            layer: layer(),
            sequence: 10,
        }),
        Record::Value(Value {
            key: ROOT,
            name: "".into(),
            value_type: 0xFFFF,
            data: vec![],
            layer: layer(),
            sequence: 11,
        }),
        Record::Blanket(Blanket { key: ROOT, layer: layer(), sequence: 12 }),
        Record::Unknown { record_type: 0x7777, payload: vec![b'?'] },
        Record::Key(Key {
            key: SUB,
            volatile: true,
            link: true,
            sd: vec![],
            last_write: 0x0102_0304_0506_0708,
        }),
    ]
}

fn encode(records: &[Record]) -> (Vec<u8>, Summary) {
    let mut encoder = Encoder::new();
    let mut bytes = Vec::new();
    for record in records {
        encoder.record(record, &mut bytes);
    }
    let summary = encoder.finish(&mut bytes);
    (bytes, summary)
}

/// Decodes a stream that comes in pieces of `size` bytes.
fn decode(bytes: &[u8], size: usize) -> Result<(Vec<Record>, Summary), StreamError> {
    decode_up_to(bytes, size, MAX_RECORD)
}

fn decode_up_to(
    bytes: &[u8],
    size: usize,
    max_record: usize,
) -> Result<(Vec<Record>, Summary), StreamError> {
    let mut decoder = Decoder::new(max_record);
    let mut records = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece);
        while let Some(record) = decoder.next()? {
            records.push(record);
        }
    }
    Ok((records, decoder.finish()?))
}

/// What is wrong with a stream, which is the same however it is cut.
fn problem(bytes: &[u8]) -> StreamError {
    let error = decode(bytes, usize::MAX).expect_err("this is no whole stream");
    for size in [1, 7, 64] {
        assert_eq!(decode(bytes, size), Err(error), "in pieces of {size}");
    }
    error
}

/// What is wrong with a stream of these records.
fn problem_of(records: &[Record]) -> StreamError {
    problem(&encode(records).0)
}

#[test]
fn the_stream_of_the_description_is_read_and_written() {
    let (bytes, summary) = encode(&records());
    assert_eq!(bytes, GOLDEN);
    assert_eq!((summary.records, summary.bytes), (10, 427));
    assert_eq!(summary.sha256, GOLDEN[395..]);
    for size in 1..=GOLDEN.len() {
        assert_eq!(decode(&GOLDEN, size), Ok((records(), summary)), "in pieces of {size}");
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    for position in 0..GOLDEN.len() {
        for bit in 0..8 {
            let mut bytes = GOLDEN;
            bytes[position] ^= 1 << bit;
            problem(&bytes);
        }
        for other in [0x00, 0x01, 0x7F, 0xFF] {
            let mut bytes = GOLDEN;
            bytes[position] = other;
            if bytes != GOLDEN {
                problem(&bytes);
            }
        }
    }
}

#[test]
fn every_truncation_is_noticed_and_so_is_what_follows_the_end() {
    for length in 0..GOLDEN.len() {
        assert_eq!(problem(&GOLDEN[..length]).problem, Problem::Truncated, "{length}");
    }
    let mut longer = GOLDEN.to_vec();
    longer.push(0);
    assert_eq!(problem(&longer), StreamError { offset: 427, problem: Problem::AfterTrailer });
    // That is known as soon as it is there, and not only when the input ends.
    let mut decoder = Decoder::new(MAX_RECORD);
    decoder.push(&longer);
    while let Ok(Some(_)) = decoder.next() {}
    assert!(!decoder.is_whole());
    longer.extend_from_slice(&GOLDEN);
    assert_eq!(problem(&longer), StreamError { offset: 427, problem: Problem::AfterTrailer });
}

#[test]
fn a_file_of_another_kind_is_said_to_be_one_at_once() {
    for other in [&b"Windows Registry Editor Version 5.00"[..], &b"regf\0\0\0\0"[..], &[0; 64]] {
        assert_eq!(problem(other), StreamError { offset: 0, problem: Problem::NotABackup });
    }
    let mut magic = GOLDEN;
    magic[6] = b'p';
    assert_eq!(problem(&magic).problem, Problem::NotABackup);
    assert_eq!(problem_of(&records()[1..]).problem, Problem::NotABackup);
    assert_eq!(problem_of(&[]).problem, Problem::NotABackup);
}

#[test]
fn a_later_version_is_read_unless_it_says_that_it_cannot_be() {
    let mut later = GOLDEN;
    later[14] = 2;
    // The hash is wrong then; but that is known at the end only, and all records before it are read.
    assert_eq!(problem(&later), StreamError { offset: 381, problem: Problem::WrongHash });
    later[18] = 2;
    assert_eq!(problem(&later), StreamError { offset: 0, problem: Problem::TooNew { minimum: 2 } });
}

#[test]
fn records_that_cannot_be_are_refused_where_they_stand() {
    let header = || records()[0].clone();
    let raw = |record_type, payload: &[u8]| {
        let unknown = Record::Unknown { record_type, payload: payload.into() };
        let error = problem_of(&[header(), unknown]);
        assert_eq!(error.offset, 57);
        error.problem
    };
    assert_eq!(problem_of(&[header(), header()]).problem, Problem::SecondHeader);
    // A LAYER "a", of precedence 0, without an owner; then with what is wrong.
    let layer = [1, 0, 0, 0, b'a', 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let mut other = layer;
    other[9] = 2;
    assert_eq!(raw(2, &other), Problem::BadEnabled { enabled: 2 });
    other = layer;
    other[4] = 0x80;
    assert_eq!(raw(2, &other), Problem::NotUtf8 { record_type: 2 });
    assert_eq!(raw(2, &layer[..13]), Problem::FieldTooLong { record_type: 2 });
    assert_eq!(raw(2, &[&layer[..], &[0]].concat()), Problem::Excess { record_type: 2 });
    other = layer;
    other[..4].copy_from_slice(&[0xFF; 4]);
    assert_eq!(raw(2, &other), Problem::FieldTooLong { record_type: 2 });
    let mut key = [0; 32];
    key[16] = 4;
    assert_eq!(raw(3, &key), Problem::BadFlags { flags: 4 });
    // Every known type with nothing in it, and with too much.
    for record_type in 2..=6 {
        assert_eq!(raw(record_type, &[]), Problem::FieldTooLong { record_type });
    }
    assert_eq!(raw(0xFF, &[0; 41]), Problem::Excess { record_type: 0xFF });
    assert_eq!(raw(0xFF, &[0; 39]), Problem::FieldTooLong { record_type: 0xFF });
}

#[test]
fn a_trailer_must_count_and_hash_what_there_is() {
    let mut dropped = GOLDEN.to_vec();
    // The record of the unknown type is gone.
    dropped.drain(336..343);
    assert_eq!(problem(&dropped).problem, Problem::WrongHash);
    // The count is checked also where the hash is right, for which a writer must be wrong.
    let error = decode(&stream_with_count(9), usize::MAX).expect_err("nine of ten");
    assert_eq!(error.problem, Problem::WrongCount { stated: 9, counted: 10 });
    decode(&stream_with_count(10), usize::MAX).expect("ten of ten");
}

/// The golden stream with this count, and the hash that it then must have.
fn stream_with_count(count: u64) -> Vec<u8> {
    use sha2::Digest;
    let mut bytes = GOLDEN[..395].to_vec();
    bytes[387..].copy_from_slice(&count.to_le_bytes());
    let hash = sha2::Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

#[test]
fn lengths_are_believed_only_within_bounds() {
    let with_length = |length: u32| {
        let mut bytes = GOLDEN;
        bytes[59..63].copy_from_slice(&length.to_le_bytes());
        problem(&bytes)
    };
    for length in 0..6 {
        let problem = Problem::LengthTooSmall { length };
        assert_eq!(with_length(length), StreamError { offset: 57, problem });
    }
    let problem = Problem::LengthTooLarge { length: u32::MAX, max: MAX_RECORD };
    assert_eq!(with_length(u32::MAX), StreamError { offset: 57, problem });

    // The longest record of the stream has 61 bytes.
    decode_up_to(&GOLDEN, 1, 61).expect("no record is longer");
    let error = decode_up_to(&GOLDEN, 1, 60).expect_err("one record is longer");
    let problem = Problem::LengthTooLarge { length: 61, max: 60 };
    assert_eq!(error, StreamError { offset: 135, problem });
    // It is refused as soon as its length is there.
    let mut decoder = Decoder::new(60);
    decoder.push(&GOLDEN[..141]);
    while !matches!(decoder.next(), Ok(None) | Err(_)) {}
    assert_eq!(decoder.next(), Err(error));
}

#[test]
fn an_error_is_final() {
    let mut decoder = Decoder::new(MAX_RECORD);
    decoder.push(b"something else");
    let error = decoder.next().expect_err("no backup");
    decoder.push(&GOLDEN);
    assert_eq!(decoder.next(), Err(error));
    assert!(!decoder.is_whole());
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
fn a_decoder_knows_where_it_is() {
    let mut decoder = Decoder::new(MAX_RECORD);
    decoder.push(&GOLDEN[..100]);
    let mut offsets = Vec::new();
    while let Ok(Some(_)) = decoder.next() {
        offsets.push(decoder.offset());
    }
    assert_eq!(offsets, [57, 93]);
    assert!(!decoder.is_whole());
    decoder.push(&GOLDEN[100..]);
    while let Ok(Some(_)) = decoder.next() {}
    assert!(decoder.is_whole());
    assert_eq!(decoder.offset(), 427);
}

fn any_guid() -> impl Strategy<Value = Guid> {
    // Zeros are no key's identity.
    any::<[u8; 16]>().prop_filter("zeros", |bytes| *bytes != [0; 16]).prop_map(Guid)
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || vec(any::<u8>(), 0..300);
    prop_oneof![
        (".{0,20}", any::<u32>(), any::<bool>(), bytes()).prop_map(
            |(name, precedence, enabled, owner)| Record::Layer(Layer {
                name,
                precedence,
                enabled,
                owner
            })
        ),
        (any_guid(), any::<bool>(), any::<bool>(), bytes(), any::<i64>()).prop_map(
            |(key, volatile, link, sd, last_write)| Record::Key(Key {
                key,
                volatile,
                link,
                sd,
                last_write
            })
        ),
        (any_guid(), ".{0,20}", proptest::option::of(any_guid()), ".{0,9}", any::<u64>()).prop_map(
            |(parent, name, child, layer, sequence)| {
                Record::PathEntry(PathEntry { parent, name, child, layer, sequence })
            }
        ),
        (any_guid(), ".{0,20}", any::<u32>(), bytes(), ".{0,9}", any::<u64>()).prop_map(
            |(key, name, value_type, data, layer, sequence)| Record::Value(Value {
                key,
                name,
                value_type,
                data,
                layer,
                sequence
            })
        ),
        (any_guid(), ".{0,9}", any::<u64>())
            .prop_map(|(key, layer, sequence)| Record::Blanket(Blanket { key, layer, sequence })),
        (0x100..=u16::MAX, bytes())
            .prop_map(|(record_type, payload)| Record::Unknown { record_type, payload }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        header in (any::<i64>(), any_guid(), ".{0,20}"),
        rest in vec(any_record(), 0..20),
        size in 1_usize..700,
    ) {
        let (time, root, hive) = header;
        let mut records = vec![Record::Header(Header { time, root, hive })];
        records.extend(rest);
        let (bytes, summary) = encode(&records);
        prop_assert_eq!(summary.bytes, bytes.len() as u64);
        prop_assert_eq!(summary.records, records.len() as u64 + 1);
        prop_assert_eq!(decode(&bytes, size), Ok((records, summary)));
    }

    #[test]
    fn any_bytes_are_refused_alike_in_any_pieces(
        start in 0..=GOLDEN.len(),
        noise in vec(any::<u8>(), 0..200),
        size in 1_usize..100,
    ) {
        let mut bytes = GOLDEN[..start].to_vec();
        bytes.extend_from_slice(&noise);
        prop_assume!(bytes != GOLDEN);
        prop_assert_eq!(
            decode_up_to(&bytes, size, 100).map(|_| ()),
            decode_up_to(&bytes, usize::MAX, 100).map(|_| ())
        );
        prop_assert!(decode_up_to(&bytes, size, 100).is_err());
    }
}
