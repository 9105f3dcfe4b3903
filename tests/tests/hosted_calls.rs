//! Requests and answers between two processes.

use hosted as _;
use libredox::Fd;
use libredox::errno::{EAGAIN, EDEADLK, EIO, ERANGE};
use libredox::flag::{O_APPEND, O_CREAT, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_WRONLY};
use registry_tests::client::{call, open, words, words_with};
use registry_tests::echo::{self, Verb};
use registry_tests::harness::session;
use syscall::dirent::{DirentHeader, DirentIter};
use syscall::{CallFlags, flag as redox};

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
fn an_empty_dup_never_reaches_the_scheme() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let [made, ..] = words::<3>(&file, Verb::Counters);
        let again = Fd::new(file.dup(b"").unwrap());
        assert_eq!(words::<3>(&again, Verb::Counters)[0], made);
    });
}

#[test]
fn an_openat_reaches_the_scheme_with_its_path_raw() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let below = file.openat("../../etc", O_RDONLY, 0).unwrap();
        let mut buffer = [0; 64];
        let len = below.fpath(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"/scheme/echo/../../etc");
    });
}

#[test]
fn payloads_of_every_size_class_come_back_whole() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let inline = 160 << 10;
        for len in [1, 63, 4096, 16 << 10, inline - 1, inline, inline + 1, 1 << 20, 64 << 20] {
            let sent: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            let mut payload = sent.clone();
            assert_eq!(call(&file, Verb::Invert, &mut payload).unwrap(), len);
            assert!(payload.iter().zip(&sent).all(|(got, sent)| *got == !*sent), "{len} bytes");
        }
        let mut too_much = vec![0; (64 << 20) + 1];
        assert!(call(&file, Verb::Echo, &mut too_much).is_err());
    });
}

#[test]
fn large_reads_and_writes_come_back_whole() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let sent: Vec<u8> = (0..300_000_u32).map(|i| (i * 31) as u8).collect();
        assert_eq!(file.write(&sent).unwrap(), sent.len());
        let mut back = vec![0; 1 << 20];
        assert_eq!(file.read(&mut back).unwrap(), sent.len());
        assert_eq!(&back[..sent.len()], sent);
    });
}

#[test]
fn what_the_scheme_wrote_reaches_the_caller_also_with_an_error() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        for len in [64, 200_000] {
            let mut payload = vec![0xff; len];
            let error = call(&file, Verb::TooSmall, &mut payload).unwrap_err();
            assert_eq!(error.errno(), ERANGE);
            assert_eq!(payload[..8], echo::LENGTH_NEEDED.to_le_bytes());
            assert_eq!(payload[8], 0xff);
        }
    });
}

#[test]
fn a_read_only_call_shows_the_scheme_zeros_and_a_write_only_one_brings_nothing_back() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let invert = [Verb::Invert as u64];
        let mut payload = [0x55; 32];
        file.call_ro(&mut payload, CallFlags::empty(), &invert).unwrap();
        assert_eq!(payload, [0xff; 32]);
        let payload = [0x55; 32];
        assert_eq!(file.call_wo(&payload, CallFlags::empty(), &invert).unwrap(), 32);
        assert_eq!(payload, [0x55; 32]);
    });
}

#[test]
fn redox_error_numbers_become_linux_ones() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let fail = |errno: i32| {
            let verb = [Verb::Fail as u64, errno as u64];
            file.call_rw(&mut [0; 8], CallFlags::empty(), &verb).unwrap_err().errno()
        };
        assert_eq!(fail(syscall::error::EDEADLOCK), EDEADLK);
        assert_eq!(fail(syscall::error::EAGAIN), EAGAIN);
        assert_eq!(fail(syscall::error::ERANGE), ERANGE);
        // Nobody interrupted the caller: the scheme has no right to say so.
        assert_eq!(fail(syscall::error::EINTR), EIO);
    });
}

#[test]
fn open_flags_reach_the_scheme_with_redox_numbers() {
    session(&["echo"], |_| {
        let seen = |flags| {
            let file = Fd::open("/scheme/echo/x", flags, 0).unwrap();
            words::<2>(&file, Verb::OpenFlags).map(|word| word as usize)
        };
        assert_eq!(seen(O_RDONLY)[0], redox::O_RDONLY);
        assert_eq!(seen(O_WRONLY | O_CREAT)[0], redox::O_WRONLY | redox::O_CREAT);
        assert_eq!(seen(O_PATH)[0], redox::O_STAT);
        let [open, status] = seen(O_RDWR | O_NONBLOCK | O_APPEND);
        assert_eq!(open, redox::O_RDWR | redox::O_NONBLOCK | redox::O_APPEND);
        assert_eq!(status, redox::O_NONBLOCK | redox::O_APPEND);
    });
}

#[test]
fn fcntl_gets_and_sets_flags_that_the_scheme_agreed_to() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        assert_eq!(file.fcntl(redox::F_GETFL, 0).unwrap() as i32, O_RDWR);
        file.fcntl(redox::F_SETFL, O_NONBLOCK as usize).unwrap();
        assert_eq!(file.fcntl(redox::F_GETFL, 0).unwrap() as i32, O_RDWR | O_NONBLOCK);
        assert_eq!(file.read(&mut [0; 8]).unwrap_err().errno(), EAGAIN);
        assert!(file.fcntl(77, 0).is_err());
    });
}

#[test]
fn the_kernel_keeps_the_offset_of_a_positioned_file() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/positioned");
        let mut buffer = [0; 200];
        assert_eq!(file.read(&mut buffer).unwrap(), 200);
        assert_eq!(buffer[199], 199);
        assert_eq!(file.read(&mut buffer).unwrap(), 100);
        assert_eq!(buffer[0], 200);
        assert_eq!(file.read(&mut buffer).unwrap(), 0);
    });
}

#[test]
fn std_fs_calls_reach_the_scheme() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let raw = file.raw();
        libredox::call::fsync(raw).unwrap();
        libredox::call::ftruncate(raw, 4711).unwrap();
        let time = |tv_sec| libredox::data::TimeSpec { tv_sec, tv_nsec: 5 };
        libredox::call::futimens(raw, &[time(11), time(12)]).unwrap();
        let stat = file.stat().unwrap();
        assert_eq!((stat.st_size, stat.st_mode), (4711, 0o100_640));
        assert_eq!((stat.st_atime, stat.st_mtime), (11, 12));
    });
}

#[test]
fn getdents_lists_and_goes_on_where_it_stopped() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let list = |from| {
            let mut buffer = [0; 512];
            let len = libredox::call::getdents(file.raw(), &mut buffer, from).unwrap();
            DirentIter::new(&buffer[..len])
                .map(|entry| {
                    let (header, name) = entry.unwrap();
                    let DirentHeader { next_opaque_id, .. } = *header;
                    // The record is padded with zeros to its alignment.
                    let name = name.split(|byte| *byte == 0).next().unwrap();
                    (next_opaque_id, String::from_utf8(name.to_vec()).unwrap())
                })
                .collect::<Vec<_>>()
        };
        let all = list(0);
        assert!(all.iter().map(|(_, name)| name.as_str()).eq(echo::ENTRIES));
        assert_eq!(list(all[0].0), all[1..]);
    });
}

#[test]
fn two_names_of_one_daemon_answer_each_for_itself() {
    session(&["one", "two"], |_| {
        let (one, two) = (open("/scheme/one/x"), open("/scheme/two/x"));
        let _another = open("/scheme/two/y");
        for _ in 0..3 {
            assert_eq!(words_with::<3>(&one, &[Verb::Counters as u64])[0], 1);
            assert_eq!(words_with::<3>(&two, &[Verb::Counters as u64])[0], 2);
        }
    });
}

#[test]
fn descriptors_pass_to_the_scheme_and_back() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"through a pipe").unwrap();
        use std::os::fd::IntoRawFd;
        let fds = (reader.into_raw_fd() as usize).to_ne_bytes();
        assert_eq!(file.call_wo(&fds, CallFlags::FD, &[]).unwrap(), 1);
        let mut back = [0; 8];
        assert_eq!(file.call_ro(&mut back, CallFlags::FD, &[]).unwrap(), 1);
        let back = Fd::new(usize::from_ne_bytes(back));
        let mut buffer = [0; 32];
        let len = back.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"through a pipe");
    });
}
