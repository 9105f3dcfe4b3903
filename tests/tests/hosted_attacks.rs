//! Clients that do not keep to the protocol harm themselves and nobody else.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use hosted as _;
use libredox::Fd;
use libredox::errno::{EINVAL, ENAMETOOLONG, ENOSYS};
use registry_tests::client::{call, open, words};
use registry_tests::echo::Verb;
use registry_tests::harness::session;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};
use syscall::schemev2::Opcode;

fn socket_path() -> PathBuf {
    PathBuf::from(std::env::var_os("REDOX_HOSTED").unwrap()).join("scheme/echo")
}

/// A connection to the name, as any program can have one.
fn raw_connection() -> rustix::fd::OwnedFd {
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(socket_path()).unwrap()).unwrap();
    socket
}

fn borrow(file: &Fd) -> BorrowedFd<'_> {
    // SAFETY: the file is open as long as it is borrowed.
    unsafe { BorrowedFd::borrow_raw(file.raw() as i32) }
}

fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
}

/// A request's header as `hosted::wire` lays it out.
fn header(opcode: u8, flags: u8, len: u64) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..4].copy_from_slice(b"RxRq");
    bytes[4] = opcode;
    bytes[5] = flags;
    bytes[56..].copy_from_slice(&len.to_ne_bytes());
    bytes
}

#[test]
fn rubbish_is_dropped_and_the_handles_other_users_go_on() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let mut rubbish = vec![Vec::new(), b"x".to_vec(), vec![0xff; 64], vec![0; 100_000]];
        rubbish.push(b"RxRq".to_vec());
        rubbish.push(b"RxRp".iter().copied().chain([0; 60]).collect());
        rubbish.push(header(Opcode::Call as u8, 3, u64::MAX).to_vec());
        rubbish.push(header(255, 255, 1 << 40).to_vec());
        for message in &rubbish {
            send(borrow(&file), message, &[]);
            send(raw_connection(), message, &[]);
        }
        assert_eq!(call(&file, Verb::Echo, &mut [0; 8]).unwrap(), 8);
        assert_eq!(words::<3>(&file, Verb::Counters)[0], 1);
    });
}

#[test]
fn a_reply_channel_that_is_not_ones_own_cannot_be_named() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        // Channel 0 is this thread's; without its nonce nothing is asked and nothing answered.
        for _ in 0..100 {
            let mut forged = header(Opcode::Call as u8, 3, 8).to_vec();
            forged.extend([0; 8]);
            send(borrow(&file), &forged, &[]);
        }
        let mut payload = [1; 8];
        assert_eq!(call(&file, Verb::Invert, &mut payload).unwrap(), 8);
        assert_eq!(payload, [0xfe; 8]);
    });
}

#[test]
fn more_descriptors_than_fit_are_closed_again() {
    session(&["echo"], |session| {
        let file = open("/scheme/echo/x");
        let count = || std::fs::read_dir(format!("/proc/{}/fd", session.daemon)).unwrap().count();
        call(&file, Verb::Echo, &mut [0; 8]).unwrap();
        let before = count();
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = [null.as_fd(); 200];
        for _ in 0..20 {
            send(borrow(&file), &header(Opcode::Call as u8, 3, 0), &fds);
        }
        call(&file, Verb::Echo, &mut [0; 8]).unwrap();
        assert_eq!(count(), before);
    });
}

#[test]
fn a_wrong_length_of_an_old_operation_is_carried_and_the_scheme_must_guard_itself() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        for opcode in [Opcode::Fstat, Opcode::Fstatvfs, Opcode::Futimens] {
            for len in [1, 7, 1000] {
                let mut payload = vec![0; len];
                let result = hosted::raw_request(file.raw(), opcode as u8, [0; 3], &mut payload);
                assert_eq!(result.unwrap_err().raw_os_error(), Some(EINVAL), "{opcode:?} {len}");
            }
        }
        let mut stat = vec![0; size_of::<syscall::Stat>()];
        hosted::raw_request(file.raw(), Opcode::Fstat as u8, [0; 3], &mut stat).unwrap();
    });
}

#[test]
fn opcodes_that_only_a_kernel_sends_are_refused() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        for opcode in [Opcode::Cancel, Opcode::CloseMsg, Opcode::Detach, Opcode::Munmap] {
            let result = hosted::raw_request(file.raw(), opcode as u8, [0; 3], &mut [0; 8]);
            assert_eq!(result.unwrap_err().raw_os_error(), Some(ENOSYS), "{opcode:?}");
        }
        let result = hosted::raw_request(file.raw(), 200, [0; 3], &mut []);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(ENOSYS));
        assert_eq!(words(&file, Verb::Counters), [1, 0, 0]);
    });
}

#[test]
fn a_path_that_is_not_utf8_does_not_reach_the_scheme() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        for opcode in [Opcode::OpenAt, Opcode::UnlinkAt] {
            let mut path = [b'a', 0xff, 0xfe];
            let result = hosted::raw_request(file.raw(), opcode as u8, [0; 3], &mut path);
            assert_eq!(result.unwrap_err().raw_os_error(), Some(EINVAL));
        }
        assert_eq!(words::<3>(&file, Verb::Counters)[0], 1);
    });
}

#[test]
fn text_is_never_decoded_in_memory_that_the_client_can_still_change() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let mut path = vec![b'a'; 200_000];
        let result = hosted::raw_request(file.raw(), Opcode::OpenAt as u8, [0; 3], &mut path);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(ENAMETOOLONG));
    });
}

#[test]
fn a_client_cannot_take_mapped_memory_away_from_the_daemon() {
    session(&["echo"], |_| {
        let len = 1 << 20;
        let memory = |seals: SealFlags, size: u64| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = std::fs::File::from(memfd_create("attack", flags).unwrap());
            file.set_len(size).unwrap();
            fcntl_add_seals(&file, seals).unwrap();
            file
        };
        let sealed = SealFlags::SHRINK | SealFlags::GROW;
        let mut plain = tempfile::tempfile().unwrap();
        plain.write_all(&vec![0; len as usize]).unwrap();
        let file = open("/scheme/echo/x");
        let invert = |memory: &std::fs::File| {
            hosted::raw_request_in_memory(
                file.raw(),
                Opcode::Call as u8,
                [Verb::Invert as u64, 0, 0],
                memory,
                len,
            )
        };
        let errno = |result: std::io::Result<usize>| result.unwrap_err().raw_os_error();
        assert_eq!(errno(invert(&memory(SealFlags::empty(), len))), Some(EINVAL));
        assert_eq!(errno(invert(&memory(SealFlags::GROW, len))), Some(EINVAL));
        assert_eq!(errno(invert(&memory(sealed, len - 1))), Some(EINVAL));
        assert_eq!(errno(invert(&plain)), Some(EINVAL));
        assert_eq!(invert(&memory(sealed, len)).unwrap(), len as usize);
        assert_eq!(call(&file, Verb::Echo, &mut [0; 8]).unwrap(), 8);
    });
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_waiting() {
    session(&["echo"], |_| {
        let silent: Vec<_> = (0..500).map(|_| raw_connection()).collect();
        let file = open("/scheme/echo/x");
        assert_eq!(call(&file, Verb::Echo, &mut [0; 8]).unwrap(), 8);
        drop(silent);
        assert_eq!(call(&file, Verb::Echo, &mut [0; 8]).unwrap(), 8);
    });
}

#[test]
fn a_thousand_waiting_threads_do_not_keep_a_third_client_waiting() {
    session(&["echo"], |_| {
        let watcher = open("/scheme/echo/watcher");
        let mut files: Vec<Fd> = Vec::new();
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            for _ in 0..1000 {
                let sender = sender.clone();
                scope.spawn(move || {
                    let file = open("/scheme/echo/x");
                    sender.send(Fd::new(file.dup(b"").unwrap())).unwrap();
                    // Waits until this test writes into the shared open file.
                    assert_eq!(file.read(&mut [0; 8]).unwrap(), 1);
                });
            }
            files.extend(receiver.iter().take(1000));
            assert_eq!(words::<3>(&watcher, Verb::Counters)[0], 1001);
            for file in &files {
                file.write(b"x").unwrap();
            }
        });
    });
}
