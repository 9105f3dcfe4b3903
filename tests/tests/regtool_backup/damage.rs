//! Streams that are damaged change nothing, wherever the damage is.

use std::io::{Read, Write};

use libreg::{Access, Error, Key};
use registry_tests::daemons::loregd;
use registry_tests::dice::Dice;
use registry_tests::harness::{Root, session_in};
use registry_tests::registry::{create, registry};

use crate::stream::{assert_same, content, records};

fn set(key: &Key, name: &str, data: &[u8]) {
    key.set_value(name, 1, data, &Default::default()).expect("a value");
}

fn back_up(key: &Key) -> Vec<u8> {
    let mut stream = Vec::new();
    key.backup().expect("a backup").read_to_end(&mut stream).expect("a stream");
    stream
}

/// Restores a stream in pieces of this size.
fn restore(key: &Key, stream: &[u8], size: usize) -> Result<(), Error> {
    let mut restore = key.restore().expect("a restore");
    for piece in stream.chunks(size) {
        if let Err(error) = restore.write_all(piece) {
            let error = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            return Err(error.expect("an error of the registry").clone());
        }
    }
    restore.finish()
}

/// How often the hive has changed.
fn generation() -> u64 {
    let hives = registry().status().expect("a status").hives;
    hives.iter().find(|hive| hive.name == "Machine").expect("a hive").generation
}

/// Fails unless a stream is refused for what is in it, with nothing changed.
fn is_refused(key: &Key, stream: &[u8], what: std::fmt::Arguments) {
    let before = generation();
    let Err(error) = restore(key, stream, 64 << 10) else { panic!("{what}: it was restored") };
    // Mostly it is invalid; but a length, a GUID or a precedence that is another one can be found out first.
    let refused = !error.is_unavailable() && !error.is_not_found();
    assert!(refused && error.cause != libreg::Cause::Malformed, "{what}: {error}");
    assert_eq!(generation(), before, "{what}");
}

/// A key with something of most things, whose stream is small.
fn small() -> Key {
    create("Machine\\System\\Registry\\Layers\\role");
    let key = create("Machine\\Small");
    set(&key, "v", b"x");
    key.set_tombstone("w", Some("role")).expect("a tombstone");
    key.set_blanket(Some("role")).expect("a blanket");
    set(&create("Machine\\Small\\a"), "", b"y");
    key
}

#[test]
fn every_damaged_byte_of_a_small_stream_is_refused() {
    session_in(Root::lcs, |_| {
        let _loregd = loregd(&[]);
        let key = small();
        let stream = back_up(&key);
        set(&key, "later", b"is still there");
        for position in 0..stream.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = stream.clone();
                damaged[position] ^= flip;
                is_refused(&key, &damaged, format_args!("byte {position} ^ {flip:#x}"));
            }
        }
        assert_eq!(key.value("later").expect("a value").data, b"is still there");
        restore(&key, &stream, usize::MAX).expect("a whole stream");
        assert!(key.value("later").is_err_and(|error| error.is_not_found()));
        assert_same(&content(&records(&back_up(&key))), &content(&records(&stream)));
    });
}

#[test]
fn every_part_of_a_small_stream_is_refused_and_so_is_more_than_one() {
    session_in(Root::lcs, |_| {
        let _loregd = loregd(&[]);
        let key = small();
        let stream = back_up(&key);
        set(&key, "later", b"is still there");
        for length in 0..stream.len() {
            is_refused(&key, &stream[..length], format_args!("{length} bytes"));
        }
        is_refused(&key, &[&stream[..], &[0]].concat(), format_args!("a byte more"));
        is_refused(&key, &stream.repeat(2), format_args!("twice"));
        assert_eq!(key.value("later").expect("a value").data, b"is still there");
        // Nor does anything happen without the end.
        let mut unfinished = key.restore().expect("a restore");
        unfinished.write_all(&stream).expect("a whole stream");
        let before = generation();
        drop(unfinished);
        assert_eq!(generation(), before);
        restore(&key, &stream, 1).expect("byte by byte");
        assert!(key.value("later").is_err_and(|error| error.is_not_found()));
    });
}

#[test]
fn damage_anywhere_in_a_large_stream_is_refused() {
    session_in(Root::lcs, |_| {
        let _loregd = loregd(&[]);
        let mut dice = Dice::new();
        let key = create("Machine\\Large");
        for number in 0..1500 {
            let below = create(&format!("Machine\\Large\\{number}"));
            set(&below, "v", &vec![b'x'; 1 + number]);
        }
        let stream = back_up(&key);
        assert!(stream.len() > 1 << 20);
        let saved = content(&records(&stream));
        set(&key, "later", b"is still there");
        for _ in 0..40 {
            let position = dice.below(stream.len() as u64) as usize;
            let mut damaged = stream.clone();
            damaged[position] ^= 1 << dice.below(8);
            is_refused(&key, &damaged, format_args!("byte {position}"));
            is_refused(&key, &stream[..position], format_args!("{position} bytes"));
        }
        assert_eq!(key.value("later").expect("a value").data, b"is still there");
        restore(&key, &stream, 100_000).expect("a whole stream");
        assert_same(&content(&records(&back_up(&key))), &saved);
    });
}

#[test]
fn an_error_ends_a_restore() {
    session_in(Root::lcs, |_| {
        let _loregd = loregd(&[]);
        let key = small();
        let stream = back_up(&key);
        let mut restore = key.restore().expect("a restore");
        restore.write_all(b"something else").expect_err("no backup");
        restore.write_all(&stream).expect_err("the restore is over");
        let error = restore.finish().expect_err("the restore is over");
        assert_eq!(error.errno(), Some(libredox::errno::EINVAL));

        let transaction = registry().begin().expect("a transaction");
        let inside = transaction.registry().open_key("Machine\\Small", Access::MAXIMUM_ALLOWED);
        let error = inside.expect("a key").restore().err().expect("no restore in a transaction");
        assert_eq!(error.errno(), Some(libredox::errno::EINVAL));
    });
}
