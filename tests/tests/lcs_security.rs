//! Who may, with several users of the system: LCS and its clients as real processes.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use hosted as _;
use lcs_abi::call::{
    DACL_SECURITY_INFORMATION, Derive, GetSecurity, GetSecurityAnswer, Op,
    SACL_SECURITY_INFORMATION, SetSecurity, SetValue, SetValueAnswer, StatusAnswer,
};
use lcs_core::security::SecurityDescriptor;
use libredox::errno::{EACCES, EIO, EPERM};
use libredox::flag::O_CLOEXEC;
use libredox::{Fd, error::Result};
use libreg::{Access, CreateKey, Key, Registry, ValueType};
use registry_tests::daemons::audited;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{call, create, derive, registry};
use registry_tests::users::{as_user, can_become_others, can_replace_accounts};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use syscall::CallFlags;
use syscall::flag::StdFsCallKind;

/// Users that no system has.
const ALICE: u32 = 2_000_001;
const BOB: u32 = 2_000_002;

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// Serves the hives of every system.
fn serve() {
    Puppet::in_service(&["Machine", "Users"]).serve(|_, _| Decision::Answer);
}

fn root_handle() -> Fd {
    Fd::open("/scheme/reg", O_CLOEXEC, 0).expect("the registry")
}

fn open_handle(path: &str, access: Access) -> Result<Fd> {
    let derived = Derive::OpenKey { path: path.into(), access: access.bits(), flags: 0 };
    derive(&root_handle(), &derived)
}

fn open(path: &str, access: Access) -> std::result::Result<Key, Option<i32>> {
    registry().open_key(path, access).map_err(|error| error.errno())
}

fn errno<T>(result: Result<T>) -> Option<i32> {
    result.err().map(|error| error.errno())
}

/// What a user can have of a key; an error's number if that is nothing.
fn granted(path: &str) -> std::result::Result<Access, Option<i32>> {
    let key = open(path, Access::MAXIMUM_ALLOWED)?;
    let access = key.info().expect("information about a key").access;
    Ok(Access::from_bits(access).expect("rights"))
}

fn set_sd(path: &str, sddl: &str) {
    let access = Access::WRITE_DAC | Access::ACCESS_SYSTEM_SECURITY;
    let key = open_handle(path, access).expect("a key of SYSTEM's");
    let sd: SecurityDescriptor = sddl.parse().expect("SDDL");
    let sacl = if sddl.contains("S:") { SACL_SECURITY_INFORMATION } else { 0 };
    let request = SetSecurity { parts: DACL_SECURITY_INFORMATION | sacl, sd: sd.to_bytes() };
    call::<_, ()>(&key, Op::SetSecurity, &request, &[]).expect("a new descriptor");
}

fn value(key: &Key, text: &str) -> std::result::Result<u64, Option<i32>> {
    let written = key.set_value("Name", ValueType::Sz.code(), text.as_bytes(), &Default::default());
    written.map_err(|error| error.errno())
}

#[test]
fn each_user_has_a_part_of_users_that_no_other_can_read() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        as_user(ALICE, ALICE, || {
            let own = create(r"CurrentUser\Software");
            value(&own, "hers").expect("an ordinary user stores settings at once");
        });
        let hers = format!(r"Users\S-1-22-1-{ALICE}\Software");
        as_user(BOB, BOB, || {
            create(r"CurrentUser\Software");
            for access in [Access::QUERY_VALUE, Access::READ_CONTROL, Access::MAXIMUM_ALLOWED] {
                assert_eq!(open(&hers, access).err(), Some(Some(EACCES)));
            }
            let there = registry().create_key(&hers, Access::KEY_READ, &CreateKey::default());
            assert_eq!(there.err().and_then(|error| error.errno()), Some(EACCES));
            let new = registry().create_key(
                &format!(r"{hers}\New"),
                Access::KEY_READ,
                &CreateKey::default(),
            );
            assert_eq!(new.err().and_then(|error| error.errno()), Some(EACCES));
        });
        assert_eq!(granted(&hers), Ok(Access::KEY_ALL_ACCESS), "SYSTEM may");
    });
}

#[test]
fn an_ordinary_user_reads_machine_and_changes_nothing() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        create(r"Machine\Software");
        as_user(ALICE, ALICE, || {
            assert_eq!(granted("Machine"), Ok(Access::KEY_READ));
            assert_eq!(granted(r"Machine\Software"), Ok(Access::KEY_READ));
            for right in
                [Access::SET_VALUE, Access::CREATE_SUB_KEY, Access::DELETE, Access::WRITE_DAC]
            {
                assert_eq!(open(r"Machine\Software", right).err(), Some(Some(EACCES)));
            }
            assert_eq!(granted(r"Machine\System\Registry\Scopes"), Err(Some(EACCES)));
            assert!(registry().status().expect("for everybody").details.is_none());
        });
    });
}

/// The databases of users and groups of a daemon, instead of the system's.
struct Accounts {
    group: PathBuf,
}

impl Accounts {
    /// LCS with users `alice`, in the group `sudo`, and `bob`, in the group `staff`.
    fn lcs(root: &Root) -> Process {
        let passwd = root.path().join("passwd");
        let accounts = Accounts::of(root);
        let users = format!(
            "root:x:0:0::/:/bin/sh\nalice:x:{ALICE}:{ALICE}::/:/bin/sh\nbob:x:{BOB}:{BOB}::/:/bin/sh\n"
        );
        fs::write(&passwd, users).expect("a file of users");
        accounts.write("sudo:x:27:alice\nstaff:x:50:bob\n");
        let script = format!(
            "mount --bind {} /etc/passwd && mount --bind {} /etc/group && exec {} --log debug",
            passwd.display(),
            accounts.group.display(),
            binary("lcs-scheme").display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).env("REDOX_HOSTED", root.path());
        Process::spawn_ready(&mut command)
    }

    fn of(root: &Root) -> Accounts {
        Accounts { group: root.path().join("group") }
    }

    /// Those of the session that this process is the body of.
    fn of_session() -> Accounts {
        let root = std::env::var_os("REDOX_HOSTED").expect("a root");
        Accounts { group: PathBuf::from(root).join("group") }
    }

    /// Changes the groups. The file stays the same one, for it is mounted.
    fn write(&self, groups: &str) {
        fs::write(&self.group, groups).expect("a file of groups");
    }
}

#[test]
fn groups_and_administrators_are_those_of_the_systems_database_and_of_now() {
    if !can_become_others() || !can_replace_accounts() {
        return;
    }
    session_in(Accounts::lcs, |_| {
        serve();
        create(r"Machine\Software");
        create(r"Machine\Staff");
        set_sd(r"Machine\Staff", "D:P(A;;KA;;;SY)(A;;KW;;;S-1-22-2-50)");
        let of_alice = || as_user(ALICE, ALICE, || granted(r"Machine\Software"));
        let of_bob = |path: &str| as_user(BOB, BOB, || granted(path));
        assert_eq!(of_alice(), Ok(Access::KEY_ALL_ACCESS), "a member of sudo is an administrator");
        assert_eq!(of_bob(r"Machine\Software"), Ok(Access::KEY_READ));
        assert_eq!(of_bob(r"Machine\Staff"), Ok(Access::KEY_WRITE), "by a supplementary group");
        as_user(ALICE, ALICE, || {
            // An administrator takes ownership, and is no source all the same.
            assert!(open(r"Machine\Staff", Access::WRITE_OWNER).is_ok());
            assert!(registry().status().expect("a status").details.is_some());
        });
        let kept = as_user(ALICE, ALICE, || open(r"Machine\Software", Access::KEY_WRITE));
        Accounts::of_session().write("sudo:x:27:\nstaff:x:50:\n");
        eventually("alice is no administrator any more", || {
            (of_alice() == Ok(Access::KEY_READ)).then_some(())
        });
        eventually("bob has left staff", || {
            (of_bob(r"Machine\Staff") == Err(Some(EACCES))).then_some(())
        });
        // What was opened before is a capability.
        value(&kept.expect("opened as an administrator"), "still").expect("a write");
    });
}

/// Starts `handle-user` as somebody else, gives it a handle over a socket, and returns what it says.
fn hand_over(handle: &Fd, uid: u32) -> String {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let mut command = Command::new(binary("handle-user"));
    command.uid(uid).gid(uid).stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    let child = command.stdout(Stdio::piped()).spawn().expect("a program for another user");
    // SAFETY: `handle` is open as long as it is borrowed here.
    let descriptor = unsafe { BorrowedFd::borrow_raw(handle.raw() as i32) };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let byte = [IoSlice::new(&[0])];
    sendmsg(ours.as_fd(), &byte, &mut ancillary, SendFlags::empty()).expect("sending a handle");
    let output = child.wait_with_output().expect("its end");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_handle_passed_over_a_socket_keeps_its_rights_and_gives_no_more() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        let key = create(r"Machine\Passed");
        value(&key, "secret").unwrap();
        set_sd(r"Machine\Passed", "D:P(A;;KA;;;SY)");
        let read_only = open_handle(r"Machine\Passed", Access::KEY_READ).unwrap();
        assert_eq!(
            hand_over(&read_only, BOB),
            "granted: 0x20019\nread: ok\nwrite: 13\nsecurity: ok\nopen again: 13\n"
        );
        let all = open_handle(r"Machine\Passed", Access::KEY_ALL_ACCESS).unwrap();
        assert_eq!(
            hand_over(&all, BOB),
            "granted: 0xf003f\nread: ok\nwrite: ok\nsecurity: ok\nopen again: 13\n"
        );
        assert_eq!(key.value("Name").unwrap().data, b"changed");
        // A root handle gives nothing but the view: who derives from it is who asks.
        let root = root_handle();
        let opened = as_user(BOB, BOB, || {
            let access = Access::QUERY_VALUE.bits();
            let path = r"Machine\Passed".into();
            errno(derive(&root, &Derive::OpenKey { path, access, flags: 0 }))
        });
        assert_eq!(opened, Some(EACCES));
        // Restricted, it takes the privileges of whoever derives from it.
        let restricted = Derive::Restrict { access: Access::KEY_READ.bits(), layers: None };
        let restricted = derive(&all, &restricted).unwrap();
        let again = |access: Access| Derive::OpenKey {
            path: String::new(),
            access: access.bits(),
            flags: 0,
        };
        assert_eq!(errno(derive(&restricted, &again(Access::SET_VALUE))), Some(EACCES));
        assert_eq!(errno(derive(&restricted, &again(Access::KEY_READ))), None);
    });
}

#[test]
fn a_change_of_a_security_descriptor_does_not_touch_open_handles() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        create(r"Machine\Shared");
        set_sd(r"Machine\Shared", "D:P(A;;KA;;;SY)(A;;KW;;;WD)");
        let opened = as_user(ALICE, ALICE, || open(r"Machine\Shared", Access::SET_VALUE)).unwrap();
        set_sd(r"Machine\Shared", "D:P(A;;KA;;;SY)");
        as_user(ALICE, ALICE, || {
            assert_eq!(open(r"Machine\Shared", Access::SET_VALUE).err(), Some(Some(EACCES)));
            value(&opened, "still open").unwrap();
        });
    });
}

/// The word that stands in a call where a scheme looks for uid and gid: root's.
const ROOTS_WORD: u64 = 0;

#[test]
fn words_of_a_client_that_name_root_gain_nothing() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        let key = create(r"Machine\Key");
        value(&key, "before").unwrap();
        let generation = || key.info().unwrap().details.unwrap().generation;
        let before = generation();
        as_user(ALICE, ALICE, || {
            let root = root_handle();
            let status: StatusAnswer = call(&root, Op::Status, &(), &[ROOTS_WORD]).unwrap();
            assert!(status.details.is_none());
            let handle = open_handle(r"Machine\Key", Access::KEY_READ).unwrap();
            let set = SetValue {
                name: "Name".into(),
                value_type: ValueType::Sz.code(),
                data: b"forged".into(),
                layer: None,
                expected_sequence: None,
            };
            let set = call::<_, SetValueAnswer>(&handle, Op::SetValue, &set, &[ROOTS_WORD]);
            assert_eq!(errno(set), Some(EACCES));
            let sacl = GetSecurity { parts: SACL_SECURITY_INFORMATION };
            let sacl = call::<_, GetSecurityAnswer>(&handle, Op::GetSecurity, &sacl, &[ROOTS_WORD]);
            assert_eq!(errno(sacl), Some(EACCES));
            let everybody: SecurityDescriptor = "D:(A;;KA;;;WD)".parse().unwrap();
            let sd = everybody.to_bytes();
            let parts = DACL_SECURITY_INFORMATION;
            let dacl = SetSecurity { parts, sd };
            let dacl = call::<_, ()>(&handle, Op::SetSecurity, &dacl, &[ROOTS_WORD]);
            assert_eq!(errno(dacl), Some(EACCES));
            let delete = lcs_abi::call::LayerOnly { layer: None };
            let delete = call::<_, ()>(&handle, Op::DeleteKey, &delete, &[ROOTS_WORD]);
            assert_eq!(errno(delete), Some(EACCES));
            for from in [&root, &handle] {
                std_fs_calls_as_root(from);
            }
        });
        assert_eq!(key.value("Name").unwrap().data, b"before");
        assert_eq!(generation(), before);
    });
}

/// Every std-fs call there is, as root's, with the key's name where a path can stand. All are refused but those
/// that a handle to read with has by itself: to list, and to make durable what it has not written.
fn std_fs_calls_as_root(from: &Fd) {
    const OF_A_READER: [u64; 2] = [StdFsCallKind::Getdents as u64, StdFsCallKind::Fsync as u64];
    for kind in 0_u64..64 {
        let mut payload = *b"Machine\\Key.....Machine\\Key.....Machine\\Key.....Machine\\Key.....";
        let words = [kind, 0, ROOTS_WORD];
        let outcome = from.call_rw(&mut payload, CallFlags::STD_FS, &words);
        let refused = outcome.is_err() || OF_A_READER.contains(&kind);
        assert!(refused, "std-fs call {kind}: {outcome:?}");
    }
}

#[test]
fn regsrc_refuses_whoever_lacks_setcb() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        let refused = || as_user(ALICE, ALICE, || errno(Puppet::open()));
        assert_eq!(refused(), Some(EACCES), "the socket is the owner's alone");
        // Without that wall LCS itself says no.
        let root = std::env::var_os("REDOX_HOSTED").expect("a root");
        let socket = PathBuf::from(root).join("scheme/regsrc");
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("its owner may");
        assert_eq!(refused(), Some(EPERM));
    });
}

#[test]
fn an_audited_open_is_in_the_log_before_it_is_answered() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        create(r"Machine\Watched");
        set_sd(r"Machine\Watched", "D:P(A;;KA;;;SY)(A;;KR;;;WD)S:(AU;SAFA;KA;;;WD)");
        let before = audited("key-open").len();
        let ask = |access| as_user(ALICE, BOB, || open(r"machine\watched", access).err());
        assert_eq!(ask(Access::QUERY_VALUE), None);
        assert_eq!(audited("key-open").len(), before + 1);
        assert_eq!(ask(Access::SET_VALUE), Some(Some(EACCES)));
        let lines = audited("key-open");
        let [granted, denied] = &lines[before..] else { panic!("{lines:?}") };
        assert_eq!(granted["user"], format!("S-1-22-1-{ALICE}"));
        assert_eq!(granted["uid"], ALICE);
        assert_eq!(granted["pid"], std::process::id());
        assert_eq!(granted["key"], r"Machine\Watched");
        assert_eq!((&granted["requested"], &granted["granted"]), (&1.into(), &1.into()));
        assert_eq!(granted["decision"], "granted");
        let sids = granted["sids"].as_array().expect("a list");
        for sid in ["S-1-1-0", "S-1-5-11", &format!("S-1-22-2-{BOB}")] {
            assert!(sids.contains(&sid.into()), "{sids:?}");
        }
        assert_eq!((&denied["requested"], &denied["granted"]), (&2.into(), &0.into()));
        assert_eq!(denied["decision"], "denied");
    });
}

/// LCS whose audit log can be opened and not written.
fn lcs_with_a_full_log(root: &Root) -> Process {
    symlink("/dev/full", root.path().join("var/log/audit.log")).expect("a link");
    lcs(root)
}

#[test]
fn an_audited_open_whose_record_cannot_be_written_fails_and_others_go_on() {
    session_in(lcs_with_a_full_log, |_| {
        serve();
        create(r"Machine\Watched");
        let beside = create(r"Machine\Beside");
        set_sd(r"Machine\Watched", "D:P(A;;KA;;;SY)(A;;KA;;;WD)S:(AU;CISAFA;KA;;;WD)");
        let before = beside.info().unwrap().details.unwrap().generation;
        for access in [Access::KEY_READ, Access::MAXIMUM_ALLOWED] {
            assert_eq!(open(r"Machine\Watched", access).err(), Some(Some(EIO)));
        }
        let new =
            registry().create_key(r"Machine\Watched\New", Access::KEY_READ, &CreateKey::default());
        assert_eq!(new.err().and_then(|error| error.errno()), Some(EIO));
        assert_eq!(beside.info().unwrap().details.unwrap().generation, before, "nothing was made");
        value(&beside, "not audited").unwrap();
        let log = std::env::var_os("REDOX_HOSTED").expect("a root");
        let log = PathBuf::from(log).join("var/log/lcs-scheme.log");
        eventually("the log says so", || {
            let log = fs::read_to_string(&log).ok()?;
            log.contains("not written to /scheme/log/audit").then_some(())
        });
        assert!(Registry::open().is_ok());
    });
}
