//! `reg:` as files, through libredox and real LCS (INTERFACES §1).

use std::os::fd::BorrowedFd;
use std::thread;

use event::{EventFlags, EventQueue};
use hosted as _;
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use libredox::Fd;
use libredox::errno::{
    EACCES, EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EOPNOTSUPP,
};
use libredox::error::Result;
use libredox::flag::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY,
};
use registry_tests::daemons;
use registry_tests::files::{
    list, list_with, make_directory, open, path, read, read_in_pieces, remove_directory, unlink,
    write, write_all,
};
use registry_tests::handles::{self, root, set};
use registry_tests::harness::{Process, Root, session_in};
use registry_tests::users::{as_user, can_become_others};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use syscall::CallFlags;
use syscall::flag::{AT_REMOVEDIR, StdFsCallKind};
use syscall::schemev2::Opcode;

const ALICE: u32 = 2_000_001;

/// What is asked of files, beside std-fs calls.
const OPCODES: [Opcode; 13] = [
    Opcode::Read,
    Opcode::Write,
    Opcode::Fsize,
    Opcode::Fchmod,
    Opcode::Fchown,
    Opcode::Fpath,
    Opcode::Fstat,
    Opcode::Fstatvfs,
    Opcode::Fsync,
    Opcode::Ftruncate,
    Opcode::Futimens,
    Opcode::Getdents,
    Opcode::UnlinkAt,
];

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// The key of these tests.
fn key() -> Fd {
    handles::create(&root(), r"Machine\Files").expect("the key")
}

fn errno<T>(result: Result<T>) -> Option<i32> {
    result.err().map(|error| error.errno())
}

#[test]
fn values_are_read_and_written_as_files() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "number", ValueType::Dword, &[42, 0, 0, 0]).expect("a write");
        assert_eq!(read("Machine/Files/number").expect("a file"), b"42\n");
        write("Machine/Files/number", b"0x10\n").expect("a write");
        assert_eq!(handles::value(&key, "number").expect("a value"), [16, 0, 0, 0]);
        assert_eq!(errno(write("Machine/Files/number", b"ten")), Some(EINVAL));
        assert_eq!(read("Machine/Files/number").expect("a file"), b"16\n");

        write("Machine/Files/text", b"one\n").expect("a new file");
        assert_eq!(handles::value(&key, "TEXT").expect("a value"), b"one");
        let appended = open("Machine/Files/text", O_WRONLY | O_APPEND).expect("a file");
        write_all(&appended, b"two\n").expect("a write");
        assert_eq!(read("Machine/Files/text").expect("a file"), b"one\ntwo\n");

        // The older spelling, and the other separator.
        let old = Fd::open("reg:Machine\\Files\\text", O_RDONLY, 0).expect("a file");
        assert_eq!(read_in_pieces(&old, 3).expect("a text"), b"one\ntwo\n");
        let below = open("Machine", O_RDONLY).expect("a directory");
        let relative = below.openat("Files/./text", O_RDONLY, 0).expect("a file");
        assert_eq!(read_in_pieces(&relative, 5).expect("a text"), b"one\ntwo\n");
        for raw in ["../Machine", "/Files", "Files/", "Files/../Files", "", "."] {
            let expected = if raw.is_empty() || raw == "." { None } else { Some(EINVAL) };
            assert_eq!(errno(below.openat(raw, O_RDONLY, 0)), expected, "{raw:?}");
        }
        unlink("Machine/Files/text").expect("a file");
        assert_eq!(errno(read("Machine/Files/text")), Some(ENOENT));
    });
}

#[test]
fn a_file_has_one_position_for_all_who_share_its_descriptor() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "v", ValueType::Sz, b"0123456789").expect("a write");
        let file = open("Machine/Files/v", O_RDWR).expect("a file");
        let mut piece = [0; 4];
        assert_eq!(file.read(&mut piece), Ok(4));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut piece = [0; 4];
                assert_eq!((file.read(&mut piece), &piece), (Ok(4), b"4567"));
            });
        });
        assert_eq!((file.read(&mut piece), &piece[..3]), (Ok(3), &b"89\n"[..]));
        assert_eq!(file.read(&mut piece), Ok(0));
        let file = open("Machine/Files/v", O_WRONLY).expect("a file");
        for piece in [b"one ", b"two "] {
            assert_eq!(file.write(piece), Ok(4));
        }
        assert_eq!(read("Machine/Files/v").expect("a file"), b"one two \n");
    });
}

#[test]
fn large_values_go_in_and_out_in_pieces() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        let data: Vec<u8> = (0..1 << 20).map(|number: u32| (number % 251) as u8).collect();
        set(&key, None, "big", ValueType::Binary, b"").expect("a write");
        let file = open("Machine/Files/big", O_WRONLY | O_TRUNC).expect("a file");
        for piece in data.chunks(300_000) {
            write_all(&file, piece).expect("a write");
        }
        assert_eq!(libredox::call::fstat(file.raw()).expect("a stat").st_size, 1 << 20);
        assert!(handles::value(&key, "big").is_err(), "more than these handles take");
        let file = open("Machine/Files/big", O_RDONLY).expect("a file");
        assert!(read_in_pieces(&file, 1 << 21).expect("a text") == data);
        let file = open("Machine/Files/big", O_WRONLY | O_APPEND).expect("a file");
        assert_eq!(errno(file.write(b"x")), Some(libredox::errno::ENOSPC));
        assert!(read("Machine/Files/big").expect("a text") == data);
    });
}

#[test]
fn directories_are_made_listed_in_pages_and_removed() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        key();
        make_directory("Machine/Files/sub").expect("a directory");
        assert_eq!(errno(make_directory("Machine/Files/sub")), Some(EEXIST));
        assert_eq!(errno(make_directory("Machine/no/sub")), Some(ENOENT));
        for number in 0..300 {
            write(&format!("Machine/Files/sub/value {number:03}"), b"x").expect("a file");
        }
        make_directory("Machine/Files/sub/below").expect("a directory");
        let directory = open("Machine/Files/sub", O_RDONLY | O_DIRECTORY).expect("a directory");
        for room in [64, 1000, 1 << 20] {
            let listed = list_with(&directory, room).expect("entries");
            let names: Vec<&str> = listed.iter().map(|(name, ..)| name.as_str()).collect();
            assert_eq!((names[0], names.len()), ("below", 301), "{room}");
            assert_eq!(names[300], "value 299");
            assert_eq!((listed[0].1, listed[1].1), (4, 8));
        }
        assert_eq!(errno(list_with(&directory, 16)), Some(EINVAL));
        assert_eq!(errno(remove_directory("Machine/Files/sub")), Some(ENOTEMPTY));
        assert_eq!(errno(unlink("Machine/Files/sub")), Some(EISDIR));
        assert_eq!(errno(remove_directory("Machine/Files/sub/value 000")), Some(ENOTDIR));
        assert_eq!(errno(read("Machine/Files/sub")), Some(EISDIR));
        assert_eq!(errno(open("Machine/Files/sub", O_WRONLY)), Some(EISDIR));
        assert_eq!(errno(open("Machine/Files/sub/value 000/x", O_RDONLY)), Some(ENOTDIR));
        remove_directory("Machine/Files/sub/below").expect("a directory");
        remove_directory("Machine/Files/sub").expect("a directory");
        assert_eq!(errno(list("Machine/Files/sub")), Some(ENOENT));
        let top = list("").expect("hives");
        assert_eq!(top, ["Machine", "Users", "CurrentUser"]);
    });
}

#[test]
fn stat_path_and_what_a_file_cannot_do() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "", ValueType::Sz, b"default").expect("a write");
        let file = open("machine/files/@", O_RDWR).expect("a file");
        let stat = libredox::call::fstat(file.raw()).expect("a stat");
        assert_eq!((stat.st_mode, stat.st_size, stat.st_nlink), (0o100_600, 8, 1));
        assert!(stat.st_mtime > 1_700_000_000, "{}", stat.st_mtime);
        let directory = open("Machine/Files", O_PATH).expect("a directory");
        let stat = libredox::call::fstat(directory.raw()).expect("a stat");
        assert_eq!((stat.st_mode, stat.st_nlink), (0o40_700, 1));
        let mut buffer = [0; 100];
        let length = file.fpath(&mut buffer).expect("a path");
        assert_eq!(&buffer[..length], b"/scheme/reg/Machine/Files/@");
        assert_eq!(errno(file.fpath(&mut buffer[..10])), Some(ENAMETOOLONG));
        file.chmod(0o600).expect("what it is");
        assert_eq!(errno(file.chmod(0o644)), Some(EOPNOTSUPP));
        file.chown(stat.st_uid, u32::MAX).expect("what it is");
        assert_eq!(errno(file.chown(stat.st_uid + 1, stat.st_gid)), Some(EOPNOTSUPP));
        let time = libredox::data::TimeSpec { tv_sec: 1, tv_nsec: 0 };
        libredox::call::futimens(file.raw(), &[time, time]).expect("nothing to fail");
        assert_eq!(libredox::call::fstat(file.raw()).expect("a stat").st_mtime, stat.st_mtime);
        file.fsync().expect("nothing to write");
        libredox::call::fstatvfs(file.raw()).expect("a stat");
        libredox::call::ftruncate(file.raw(), 3).expect("a shorter text");
        assert_eq!(handles::value(&key, "").expect("a value"), b"def");
        for opcode in [Opcode::Frename, Opcode::Flink] {
            let refused = hosted::raw_request(file.raw(), opcode as u8, [0; 3], &mut [b'x'; 8]);
            assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP), "{opcode:?}");
        }
        // A truncated file is empty when it is closed.
        drop(open("Machine/Files/@", O_WRONLY | O_TRUNC).expect("a file"));
        registry_tests::eventually::eventually("the last close", || {
            handles::value(&key, "").expect("a value").is_empty().then_some(())
        });
    });
}

#[test]
fn links_are_followed_and_read() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "v", ValueType::Sz, b"tea").expect("a write");
        let link = lcs_abi::call::Derive::CreateKey {
            path: r"Machine\Link".into(),
            access: Access::KEY_ALL_ACCESS.bits(),
            layer: None,
            flags: lcs_abi::call::CREATE_LINK,
            link_target: Some(r"Machine\Files".into()),
        };
        registry_tests::registry::derive(&root(), &link).expect("a link");
        assert_eq!(read("Machine/Link/v").expect("a text"), b"tea\n");
        let itself = open("Machine/Link", O_PATH | O_NOFOLLOW).expect("the link");
        assert_eq!(libredox::call::fstat(itself.raw()).expect("a stat").st_mode, 0o120_600);
        let itself =
            open("Machine/Link", O_RDONLY | syscall::flag::O_SYMLINK as i32).expect("the link");
        assert_eq!(read_in_pieces(&itself, 100).expect("a text"), path("Machine/Files").as_bytes());
        assert_eq!(
            errno(open("Machine/Link", O_RDONLY | O_NOFOLLOW)),
            Some(libredox::errno::ELOOP)
        );
        unlink("Machine/Link").expect("the link");
        assert_eq!(read("Machine/Files/v").expect("a text"), b"tea\n");
    });
}

#[test]
fn a_poller_of_a_value_wakes_when_it_changed() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "v", ValueType::Sz, b"one").expect("a write");
        let file = open("Machine/Files/v", O_RDONLY).expect("a file");
        let queue: EventQueue<usize> = EventQueue::new().expect("a queue");
        queue.subscribe(file.raw(), 7, EventFlags::READ).expect("a subscription");
        let is_readable = || {
            // SAFETY: the file is open during this call.
            let file = unsafe { BorrowedFd::borrow_raw(file.raw() as i32) };
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&now)).expect("an answer") > 0
        };
        queue.next_event().expect("it was never read");
        assert_eq!(read_in_pieces(&file, 16), Ok(b"one\n".into()));
        assert!(!is_readable());
        set(&key, None, "other", ValueType::Sz, b"two").expect("a write");
        assert!(!is_readable(), "another value");
        set(&key, None, "v", ValueType::Sz, b"two").expect("a write");
        queue.next_event().expect("it changed");
    });
}

#[test]
fn who_asks_is_what_the_kernel_says() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "v", ValueType::Sz, b"tea").expect("a write");
        as_user(ALICE, ALICE, || {
            assert_eq!(read("Machine/Files/v").expect("everybody may read"), b"tea\n");
            assert_eq!(errno(write("Machine/Files/v", b"x")), Some(EACCES));
            assert_eq!(errno(write("Machine/Files/new", b"x")), Some(EACCES));
            assert_eq!(errno(make_directory("Machine/Files/sub")), Some(EACCES));
            assert_eq!(errno(unlink("Machine/Files/v")), Some(EACCES));
            let file = open("Machine/Files/v", O_RDONLY).expect("a file");
            let stat = libredox::call::fstat(file.raw()).expect("a stat");
            assert_eq!((stat.st_mode, stat.st_uid), (0o100_400, ALICE));
            write("CurrentUser/mine", b"mine").expect("one's own");
            assert_eq!(read("CurrentUser/mine").expect("one's own"), b"mine\n");
        });
        // Nobody else's.
        assert_eq!(errno(read("CurrentUser/mine")), Some(ENOENT));
        let handle = open("Machine/Files/v", O_RDWR).expect("a file");
        as_user(ALICE, ALICE, || {
            assert_eq!(handle.write(b"passed on"), Ok(9), "a handle is a capability");
        });
    });
}

#[test]
fn std_fs_calls_act_for_their_handle_whoever_they_claim_to_be() {
    session_in(lcs, |_| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "v", ValueType::Sz, b"tea").expect("a write");
        let unlink = |base: &Fd, path: &str, flags: usize, who: u64| {
            let metadata = [StdFsCallKind::Unlinkat as u64, flags as u64, who];
            base.call_wo(path.as_bytes(), CallFlags::STD_FS, &metadata).map(drop)
        };
        let own = root();
        if can_become_others() {
            let alices =
                as_user(ALICE, ALICE, || Fd::open("/scheme/reg", O_RDONLY, 0).expect("a root"));
            // 0: uid and gid of root.
            assert_eq!(errno(unlink(&alices, "Machine/Files/v", 0, 0)), Some(EACCES));
        }
        assert_eq!(errno(unlink(&own, "Machine/Files/v", AT_REMOVEDIR, u64::MAX)), Some(ENOTDIR));
        unlink(&own, "Machine/Files/v", 0, u64::MAX).expect("the handle may");
        unlink(&own, "Machine/Files", AT_REMOVEDIR, u64::MAX).expect("the handle may");
        assert_eq!(errno(unlink(&own, "Machine", AT_REMOVEDIR, 0)), Some(EINVAL));
        assert_eq!(errno(unlink(&own, "Machine/Files", 7, 0)), Some(EINVAL));
    });
}

#[test]
fn malformed_requests_of_files_are_refused_and_hurt_nobody() {
    session_in(lcs, |session| {
        let _loregd = daemons::loregd(&[]);
        let key = key();
        set(&key, None, "v", ValueType::Sz, b"tea").expect("a write");
        let file = open("Machine/Files/v", O_RDWR).expect("a file");
        let directory = open("Machine/Files", O_RDONLY).expect("a directory");
        for handle in [&file, &directory] {
            for kind in 0..20 {
                for length in [0, 1, 7, 8, 31, 32, 33, 104, 4096] {
                    for words in [[kind, 0, 0], [kind, u64::MAX, u64::MAX], [kind, 1 << 63, 19]] {
                        let mut payload = vec![0xFF; length];
                        let _ = hosted::raw_request(
                            handle.raw(),
                            Opcode::StdFsCall as u8,
                            words,
                            &mut payload,
                        );
                    }
                }
            }
            for opcode in OPCODES {
                for length in [0, 1, 8, 100] {
                    let mut payload = vec![0xFF; length];
                    let words = [u64::MAX, 3, 0];
                    let _ = hosted::raw_request(handle.raw(), opcode as u8, words, &mut payload);
                }
            }
        }
        let stat = |length: usize| {
            let words = [StdFsCallKind::Fstat as u64, 0, 0];
            let mut payload = vec![0; length];
            hosted::raw_request(file.raw(), Opcode::StdFsCall as u8, words, &mut payload)
        };
        assert_eq!(stat(size_of::<syscall::Stat>() - 1).unwrap_err().raw_os_error(), Some(EINVAL));
        assert!(stat(size_of::<syscall::Stat>()).is_ok());
        let too_long = format!("{}x", "x/".repeat(20_000));
        assert_eq!(errno(open(&too_long, O_RDONLY)), Some(ENAMETOOLONG));
        assert_eq!(errno(open("Machine/Files/%FF", O_RDONLY)), Some(EINVAL));
        assert_eq!(
            errno(open("Machine/New", O_WRONLY | O_CREAT | O_EXCL | O_DIRECTORY)),
            Some(EISDIR)
        );
        assert_eq!(errno(open("New", O_WRONLY | O_CREAT)), Some(EACCES));
        assert!(std::path::Path::new(&format!("/proc/{}", session.daemon)).exists());
    });
}
