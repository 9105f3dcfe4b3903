use lcs_core::registry::{Error, FileKind, NotFound};

use super::{LOOK, READ, WRITE, types, with_limit};
use crate::common::Client;

#[test]
fn a_read_goes_on_in_the_text_that_it_began_with() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"0123456789", None).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    assert_eq!(client.read_at(file, 0, 4), Ok(b"0123".into()));
    client.set(key, "v", types::SZ, b"abcdefghijklmnopqrstuvwxyz", None).unwrap();
    assert_eq!(client.read_at(file, 4, 4), Ok(b"4567".into()));
    assert_eq!(client.read_at(file, 8, 4), Ok(b"89\n".into()));
    // Here it ended, whatever the value is now.
    assert_eq!(client.read_at(file, 11, 4), Ok(b"".into()));
    assert_eq!(client.read_at(file, 0, 4), Ok(b"abcd".into()));
    assert_eq!(client.read_at(file, 25, 4), Ok(b"z\n".into()));
    assert_eq!(client.read_at(file, 27, 4), Ok(b"".into()));
    assert_eq!(client.read_at(file, u64::MAX, 4), Ok(b"".into()));
}

#[test]
fn who_reads_in_the_middle_first_gets_what_is_there() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"0123456789", None).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    assert_eq!(client.read_at(file, 8, 4), Ok(b"89\n".into()));
    assert_eq!(client.read_at(file, 5, 2), Ok(b"56".into()));
    assert_eq!(client.read_at(file, 99, 2), Ok(b"".into()));
}

#[test]
fn a_file_stays_open_when_its_value_goes() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::SZ, b"tea", None).unwrap();
    let file = client.file("Test/k/v", READ).unwrap();
    client.rm("Test/k/v").unwrap();
    assert_eq!(client.read_at(file, 0, 9), Err(Error::NotFound(NotFound::Value)));
    client.set(key, "v", types::SZ, b"again", None).unwrap();
    assert_eq!(client.read_at(file, 0, 9), Ok(b"again\n".into()));
    client.rm("Test/k/v").unwrap();
    client.rmdir("Test/k").unwrap();
    assert_eq!(client.read_at(file, 0, 9), Err(Error::NotFound(NotFound::Value)));
    client.close(key);
    // The file's is the last handle of the key, which goes with it.
    client.set(file, "v", types::SZ, b"", None).unwrap_err();
    client.close(file);
    assert_eq!(client.read_at(file, 0, 9), Err(Error::BadHandle));
}

#[test]
fn stat_tells_the_size_of_the_text_and_when_the_key_was_written_last() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "number", types::DWORD, &[255, 255, 0, 0], None).unwrap();
    client.set(key, "list", types::MULTI_SZ, b"a\0b\0", None).unwrap();
    let last_write = client.details(key).unwrap().last_write;
    for (name, size) in [("number", 6), ("list", 4)] {
        let file = client.file(&format!("Test/k/{name}"), LOOK).unwrap();
        let stat = client.stat(file).unwrap();
        assert_eq!((stat.kind, stat.size, stat.last_write), (FileKind::Value, size, last_write));
        assert_eq!((stat.readable, stat.writable), (true, true));
        assert_eq!(client.read_at(file, 0, 9), Err(Error::BadHandle), "only looked at");
    }
    let directory = client.file("Test/k", LOOK).unwrap();
    let stat = client.stat(directory).unwrap();
    assert_eq!((stat.kind, stat.size, stat.last_write), (FileKind::Directory, 0, last_write));
    assert_eq!(client.stat(client.file("", LOOK).unwrap()).unwrap().kind, FileKind::Directory);
}

#[test]
fn half_read_texts_count_for_their_user_until_they_are_read_or_closed() {
    let client = with_limit(2 << 20);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::BINARY, &vec![7; 1 << 20], None).unwrap();
    let half = || {
        let file = client.file("Test/k/v", READ).unwrap();
        client.read_at(file, 0, 100).map(|_| file)
    };
    let (first, _second) = (half().unwrap(), half().unwrap());
    assert_eq!(half(), Err(Error::LimitExceeded("MaxQueuedBytesPerUser")));
    client.read_at(first, 0, 1 << 20).unwrap();
    let third = half().unwrap();
    assert!(half().is_err());
    client.close(third);
    half().unwrap();
}

#[test]
fn only_what_was_opened_to_be_read_is_read() {
    let (client, _source) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", types::NONE, b"", None).unwrap();
    let file = client.file("Test/k/v", WRITE).unwrap();
    assert_eq!(client.read_at(file, 0, 1), Err(Error::BadHandle));
    assert_eq!(client.read_at(key, 0, 1), Err(Error::BadHandle));
    assert!(client.query(file, "v").is_err(), "a file is no key");
}
