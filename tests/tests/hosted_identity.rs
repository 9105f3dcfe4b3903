//! Who a scheme believes is calling.

use std::io;
use std::os::fd::AsRawFd;

use hosted::on_behalf::{Caller, File, unlink};
use libredox::Fd;
use registry_tests::client::{open, words, words_with};
use registry_tests::echo::Verb;
use registry_tests::harness::{session, session_as, skipped};

const UID: u32 = 1234;
const GID: u32 = 5678;

fn me() -> [u64; 3] {
    [u64::from(UID), u64::from(GID), u64::from(std::process::id())]
}

fn read_words(file: &Fd) -> [u64; 3] {
    let mut bytes = [0; 24];
    assert_eq!(file.read(&mut bytes).unwrap(), 24);
    std::array::from_fn(|i| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().unwrap()))
}

#[test]
fn open_dup_write_and_unlink_carry_the_kernels_word() {
    session_as(UID, GID, &["echo"], |_| {
        let file = open("/scheme/echo/x");
        assert_eq!(words(&file, Verb::WhoOpened), me());
        let below = file.openat("y", 0, 0).unwrap();
        assert_eq!(words(&below, Verb::WhoOpened), me());
        let derived = Fd::new(file.dup(b"derive").unwrap());
        assert_eq!(words(&derived, Verb::WhoOpened), me());
        let writes = open("/scheme/echo/who-writes");
        writes.write(b"x").unwrap();
        assert_eq!(read_words(&writes), me());
        hosted::unlink("/scheme/echo/x", 0).unwrap();
        assert_eq!(words(&file, Verb::WhoUnlinked), me());
    });
}

#[test]
fn in_a_call_the_clients_third_word_stands_where_a_scheme_looks_for_the_uid() {
    session_as(UID, GID, &["echo"], |_| {
        let file = open("/scheme/echo/x");
        let who = Verb::WhoCalls as u64;
        let pid = u64::from(std::process::id());
        // Two words, and the unprivileged caller looks like root.
        assert_eq!(words_with(&file, &[who, 0]), [0, 0, pid]);
        // A third, and it is whoever it likes; only the pid is the kernel's.
        assert_eq!(words_with(&file, &[who, 0, 99 << 32 | 42]), [42, 99, pid]);
    });
}

#[test]
fn in_a_std_fs_unlink_too_the_identity_is_the_clients_word() {
    session_as(UID, GID, &["echo"], |_| {
        let file = open("/scheme/echo/x");
        let unlinkat = syscall::flag::StdFsCallKind::Unlinkat as u64;
        let forged = 7 << 32 | 8;
        libredox::call::call_wo(
            file.raw(),
            b"y",
            syscall::CallFlags::STD_FS,
            &[unlinkat, 0, forged],
        )
        .unwrap();
        assert_eq!(words::<3>(&file, Verb::WhoUnlinked)[..2], [8, 7]);
    });
}

#[test]
fn identity_is_of_the_effective_ids_at_the_time() {
    session(&["echo"], |_| {
        if !rustix::process::geteuid().is_root() {
            skipped("changing the effective user needs root");
            return;
        }
        let file = open("/scheme/echo/x");
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::seteuid(UID) }, 0);
        let derived = Fd::new(file.dup(b"derive").unwrap());
        assert_eq!(words::<3>(&derived, Verb::WhoOpened)[0], u64::from(UID));
    });
}

/// A further descriptor of an open file.
fn descriptor(file: &File) -> Fd {
    Fd::new(libredox::call::dup(file.as_raw_fd() as usize, b"").unwrap())
}

#[test]
fn the_owner_of_the_root_may_ask_for_others_and_the_scheme_sees_only_them() {
    session(&["echo"], |_| {
        let someone = Caller { uid: UID, gid: GID, pid: 42 };
        let words_of_someone = [u64::from(UID), u64::from(GID), 42];
        let file = File::open(someone, "echo", "x", libc::O_RDWR).unwrap();
        assert_eq!(words(&descriptor(&file), Verb::WhoOpened), words_of_someone);
        let other = Caller { uid: UID + 1, gid: GID + 1, pid: 43 };
        let writes = File::open(someone, "echo", "who-writes", libc::O_RDWR).unwrap();
        writes.write_at(other, b"x", 0).unwrap();
        let of_other = [u64::from(UID + 1), u64::from(GID + 1), 43];
        assert_eq!(read_words(&descriptor(&writes)), of_other);
        unlink(other, "echo", "x", 0).unwrap();
        assert_eq!(words(&descriptor(&file), Verb::WhoUnlinked), of_other);
        // Who asks for himself is who he is, on the same handle too.
        let below = descriptor(&file).openat("y", 0, 0).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(words::<3>(&below, Verb::WhoOpened)[0], u64::from(own));
    });
}

#[test]
fn nobody_else_may_ask_for_others_not_even_for_himself() {
    session_as(UID, GID, &["echo"], |_| {
        let refused = |result: io::Result<()>| {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
        };
        let before: [u64; 3] = words(&open("/scheme/echo/x"), Verb::WhoUnlinked);
        let own = Caller { uid: UID, gid: GID, pid: std::process::id() };
        for claimed in [Caller { uid: 0, gid: 0, pid: 1 }, Caller { uid: UID + 1, ..own }, own] {
            refused(File::open(claimed, "echo", "x", libc::O_RDWR).map(drop));
            refused(unlink(claimed, "echo", "x", 0));
        }
        // The next request is not the worse for it.
        let file = open("/scheme/echo/x");
        assert_eq!(words(&file, Verb::WhoOpened), me());
        assert_eq!(words(&file, Verb::WhoUnlinked), before);
    });
}

#[test]
fn only_the_owner_of_the_root_may_create_schemes() {
    session_as(UID, GID, &["echo"], |_| {
        let error = Fd::open("/scheme/namespace/scheme-creation-cap", 0, 0).err();
        assert_eq!(error.map(|error| error.errno()), Some(libredox::errno::EPERM));
    });
}

#[test]
fn regsrc_is_for_the_owner_alone() {
    session_as(UID, GID, &["reg", "regsrc"], |_| {
        open("/scheme/reg/x");
        let error = Fd::open("/scheme/regsrc", 0, 0).err();
        assert_eq!(error.map(|error| error.errno()), Some(libredox::errno::EACCES));
    });
}
