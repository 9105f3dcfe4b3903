use lcs_abi::rsi::{Request, SourceError};
use lcs_core::registry::{Error, OpenFlags};

use super::{NEW, READ, REPLACE, WRITE, types};
use crate::common::Client;
use crate::common::world::Failure;

/// A value of a type, and a file of it.
fn with(value_type: u32, data: &[u8]) -> Client {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", value_type, data, None).unwrap();
    client
}

fn data(client: &Client) -> (u32, Vec<u8>) {
    let key = client.open("Test\\k").unwrap();
    let value = client.query(key, "v").unwrap();
    client.close(key);
    (value.value_type, value.data)
}

#[test]
fn a_write_replaces_the_value_by_a_text_of_its_type() {
    let cases: [(u32, &str, &[u8]); 8] = [
        (types::SZ, "tea\n", b"tea"),
        (types::SZ, "two\nlines", b"two\nlines"),
        (types::MULTI_SZ, "a\nb\n", b"a\0b\0"),
        (types::DWORD, "7\n", &[7, 0, 0, 0]),
        (types::DWORD, "0xff", &[255, 0, 0, 0]),
        (types::QWORD, "256", &[0, 1, 0, 0, 0, 0, 0, 0]),
        (types::BINARY, "raw\n", b"raw\n"),
        (types::NONE, "x", b"x"),
    ];
    for (value_type, text, expected) in cases {
        let client = with(value_type, &[9; 8]);
        client.echo(text, "Test/k/v").unwrap();
        assert_eq!(data(&client), (value_type, expected.into()), "{text:?}");
    }
}

#[test]
fn a_text_that_is_none_of_the_type_changes_nothing_and_the_write_says_so() {
    let client = with(types::DWORD, &[1, 0, 0, 0]);
    for text in ["ten", "", "-1", "4294967296", "1 2"] {
        assert!(matches!(client.echo(text, "Test/k/v"), Err(Error::Invalid(_))), "{text:?}");
        assert_eq!(data(&client), (types::DWORD, vec![1, 0, 0, 0]));
    }
    // What failed is not part of what was written.
    let file = client.file("Test/k/v", WRITE).unwrap();
    client.write(file, "x").unwrap_err();
    client.run(client.registry.write_file(file, b"12", 0, false)).unwrap();
    client.run(client.registry.write_file(file, b"3", 2, false)).unwrap();
    assert_eq!(data(&client).1, [123, 0, 0, 0]);
}

#[test]
fn pieces_are_written_one_behind_the_other() {
    let client = with(types::SZ, b"old text");
    let file = client.file("Test/k/v", WRITE).unwrap();
    for (piece, offset) in [("one ", 0), ("two ", 4), ("three", 8)] {
        client.run(client.registry.write_file(file, piece.as_bytes(), offset, false)).unwrap();
    }
    assert_eq!(data(&client).1, b"one two three");
    client.run(client.registry.write_file(file, b"TWO", 4, false)).unwrap();
    assert_eq!(data(&client).1, b"one TWO three");
    assert_eq!(client.stat(file).unwrap().size, 13);
}

#[test]
fn the_first_piece_takes_the_place_of_all_that_stood_behind_it() {
    let client = with(types::SZ, b"old text");
    client.write(client.file("Test/k/v", WRITE).unwrap(), "new").unwrap();
    assert_eq!(data(&client).1, b"new");
    let file = client.file("Test/k/v", WRITE).unwrap();
    client.run(client.registry.write_file(file, b"t", 2, false)).unwrap();
    assert_eq!(data(&client).1, b"net");
}

#[test]
fn what_is_appended_goes_behind_what_is_there_by_then() {
    let client = with(types::SZ, b"a\nb");
    let file = client.file("Test/k/v", WRITE | OpenFlags::APPEND).unwrap();
    client.write(file, "c\n").unwrap();
    assert_eq!(data(&client).1, b"a\nb\nc");
    client.echo("other\n", "Test/k/v").unwrap();
    client.write(file, "d\n").unwrap();
    assert_eq!(data(&client).1, b"other\nd");
    let file = client.file("Test/k/v", WRITE | OpenFlags::APPEND | OpenFlags::TRUNCATE).unwrap();
    client.write(file, "e\n").unwrap();
    client.write(file, "f\n").unwrap();
    assert_eq!(data(&client).1, b"e\nf");
}

#[test]
fn an_emptied_file_is_written_by_the_next_write_or_when_it_is_synchronised_or_closed() {
    let sync = |client: &Client, file| client.run(client.registry.sync_file(file));
    let client = with(types::SZ, b"old");
    let file = client.file("Test/k/v", WRITE | OpenFlags::TRUNCATE).unwrap();
    assert_eq!(data(&client).1, b"old", "nothing was written yet");
    assert_eq!(client.stat(file).unwrap().size, 0);
    sync(&client, file).unwrap();
    assert_eq!(data(&client).1, b"");

    let client = with(types::SZ, b"old");
    client.close(client.file("Test/k/v", WRITE | OpenFlags::TRUNCATE).unwrap());
    assert_eq!(data(&client).1, b"");

    let client = with(types::DWORD, &[1, 0, 0, 0]);
    let file = client.file("Test/k/v", WRITE | OpenFlags::TRUNCATE).unwrap();
    assert!(matches!(sync(&client, file), Err(Error::Invalid(_))));
    client.close(file);
    assert_eq!(data(&client).1, [1, 0, 0, 0], "a number has no empty text");

    let client = with(types::SZ, b"old");
    let file = client.file("Test/k/v", READ | WRITE).unwrap();
    client.truncate(file, 0).unwrap();
    client.close(file);
    assert_eq!(data(&client).1, b"");
}

#[test]
fn a_file_can_be_made_shorter_and_longer() {
    let client = with(types::SZ, b"tea time");
    let file = client.file("Test/k/v", WRITE).unwrap();
    client.truncate(file, 3).unwrap();
    assert_eq!(data(&client).1, b"tea");
    client.truncate(file, 5).unwrap();
    assert_eq!(data(&client).1, b"tea\0\0");
    let client = with(types::DWORD, &[123, 0, 0, 0]);
    let file = client.file("Test/k/v", WRITE).unwrap();
    client.truncate(file, 1).unwrap();
    assert_eq!(data(&client).1, [1, 0, 0, 0]);
    assert!(matches!(client.truncate(file, 4), Err(Error::Invalid(_))));
    assert!(matches!(client.truncate(file, u64::MAX), Err(Error::LimitExceeded(_))));
}

#[test]
fn a_value_that_is_too_long_is_refused_and_leaves_what_was_written_before() {
    let client = with(types::BINARY, b"");
    let file = client.file("Test/k/v", WRITE | OpenFlags::TRUNCATE).unwrap();
    let piece = vec![b'x'; 1 << 20];
    client.run(client.registry.write_file(file, &piece, 0, false)).unwrap();
    for offset in [1 << 20, 1 << 30, u64::MAX] {
        let more = client.run(client.registry.write_file(file, b"xx", offset, false));
        assert_eq!(more, Err(Error::LimitExceeded("MaxValueSize")));
    }
    assert_eq!(data(&client).1, piece);
}

#[test]
fn a_write_that_the_source_refuses_fails_and_the_next_one_has_all_of_it() {
    let client = with(types::SZ, b"old");
    let file = client.file("Test/k/v", REPLACE).unwrap();
    client.write(file, "one").unwrap();
    client.world.fail_when(|request| {
        let refused = Failure::refused(SourceError::StorageError);
        matches!(request, Request::Apply { .. }).then_some(refused)
    });
    client.run(client.registry.write_file(file, b"two", 3, false)).unwrap_err();
    assert_eq!(data(&client).1, b"one");
    client.world.fail_no_more();
    client.run(client.registry.write_file(file, b"TWO", 3, false)).unwrap();
    assert_eq!(data(&client).1, b"oneTWO");
}

#[test]
fn whoever_reads_what_it_writes_sees_the_new_text() {
    let client = with(types::SZ, b"old text");
    let file = client.file("Test/k/v", READ | WRITE).unwrap();
    assert_eq!(client.read_at(file, 0, 3), Ok(b"old".into()));
    client.write(file, "new").unwrap();
    assert_eq!(client.read_at(file, 0, 9), Ok(b"new\n".into()));
}

#[test]
fn a_new_file_is_a_text() {
    let (client, _source) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let file = client.file("Test/k/v", WRITE | NEW).unwrap();
    client.write(file, "42\n").unwrap();
    client.close(file);
    assert_eq!(data(&client), (types::SZ, b"42".into()));
    client.echo("", "Test/k/v").unwrap_or_default();
    assert_eq!(client.cat("Test/k/v"), Ok("\n".into()));
}

#[test]
fn the_type_is_the_one_that_the_value_has_by_then() {
    let client = with(types::SZ, b"1");
    let file = client.file("Test/k/v", WRITE).unwrap();
    let key = client.open("Test\\k").unwrap();
    client.set(key, "v", types::DWORD, &[0; 4], None).unwrap();
    client.write(file, "7").unwrap();
    assert_eq!(data(&client), (types::DWORD, vec![7, 0, 0, 0]));
    client.rm("Test/k/v").unwrap();
    client.write(file, "8").unwrap();
    assert_eq!(data(&client), (types::DWORD, vec![8, 0, 0, 0]), "that it had last");
}
