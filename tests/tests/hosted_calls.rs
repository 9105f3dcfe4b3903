//! Requests and answers between two processes.

use hosted as _;
use libredox::Fd;
use libredox::flag::{O_RDONLY, O_RDWR};
use registry_tests::echo::Verb;
use registry_tests::harness::session;
use syscall::CallFlags;

fn open(path: &str) -> Fd {
    Fd::open(path, O_RDWR, 0).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_file_reads_back_what_was_written() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/some/file");
        assert_eq!(file.write(b"hello").unwrap(), 5);
        let mut buffer = [0; 16];
        assert_eq!(file.read(&mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        file.close().unwrap();
    });
}

#[test]
fn a_handle_made_by_dup_reads_the_payload() {
    session(&["echo"], |_| {
        let file = open("echo:older/spelling");
        let derived = Fd::new(file.dup(b"a payload").unwrap());
        let mut buffer = [0; 16];
        assert_eq!(derived.read(&mut buffer).unwrap(), 9);
        assert_eq!(&buffer[..9], b"a payload");
    });
}

#[test]
fn a_call_writes_into_the_callers_payload() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let mut payload = [0x0f; 64];
        let verb = [Verb::Invert as u64];
        assert_eq!(file.call_rw(&mut payload, CallFlags::empty(), &verb).unwrap(), 64);
        assert_eq!(payload, [0xf0; 64]);
    });
}

#[test]
fn an_openat_starts_from_the_handle() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let below = file.openat("../../etc", O_RDONLY, 0).unwrap();
        let mut buffer = [0; 64];
        let len = below.fpath(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"/scheme/echo/../../etc");
    });
}
