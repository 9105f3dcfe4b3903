//! Views as programs have them, through real LCS: private hives and layers, and programs that are started in
//! one.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use hosted as _;
use lcs_abi::Guid;
use lcs_abi::call::{DACL_SECURITY_INFORMATION, HiveState, Op, SetSecurity};
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use lcs_abi::watch::{EventKind, NOTIFY_ALL};
use lcs_core::security::SecurityDescriptor;
use libredox::errno::{EACCES, EBADF, EIO, ENODEV, ENOENT, ENOTEMPTY, EPERM};
use libredox::flag::O_RDONLY;
use libredox::{Fd, error::Result};
use registry_tests::daemons::{private_hive, root_directory};
use registry_tests::eventually::eventually;
use registry_tests::handles::{
    create, delete, events, open, root, set, status, value, view, watch,
};
use registry_tests::harness::{Process, Root, session_in, skipped};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::call;
use registry_tests::users::{as_user, can_become_others};

/// Users that no system has.
const ALICE: u32 = 2_000_001;
const BOB: u32 = 2_000_002;

/// The scope of the private hives of these tests.
const SCOPE: Guid = guid(0x5c);

/// The private layer of these tests.
const LAYER: &str = r"Machine\System\Registry\Layers\Private";

/// In a program that a test starts: what it is to do.
const PART: &str = "VIEWS_TEST_PART";

/// A version 4 UUID.
const fn guid(byte: u8) -> Guid {
    let mut guid = [byte; 16];
    guid[6] = 0x40 | byte & 0xf;
    guid[8] = 0x80 | byte & 0x3f;
    Guid(guid)
}

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// Serves the hives of every system, and in `Machine` the key `Global`.
fn serve() {
    Puppet::in_service(&["Machine", "Users"]).serve(|_, _| Decision::Answer);
    create(&root(), r"Machine\Global").expect("a key");
}

/// A source of a private hive of this name.
fn private(name: &str) -> Process {
    private_hive(&[&format!("{name}={SCOPE}")])
}

/// A root whose `Machine` is a private one, in which there is the key `Inside`.
fn sandbox(sealed: bool) -> Fd {
    let sandbox = view(&root(), &[SCOPE], &[], sealed).expect("a view");
    let inside = create(&sandbox, r"Machine\Inside").expect("a key");
    put(&inside, None, "of the sandbox");
    sandbox
}

fn put(key: &Fd, layer: Option<&str>, text: &str) {
    set(key, layer, "Name", ValueType::Sz, text.as_bytes()).expect("a write");
}

/// The text that [`put`] wrote.
fn text(root: &Fd, path: &str) -> Result<String> {
    let key = open(root, path, Access::QUERY_VALUE)?;
    value(&key, "Name").map(|data| String::from_utf8(data).expect("text"))
}

fn errno<T>(result: Result<T>) -> Option<i32> {
    result.err().map(|error| error.errno())
}

/// Whether a key is there, or why it cannot be read.
fn read(root: &Fd, path: &str) -> std::result::Result<(), i32> {
    open(root, path, Access::KEY_READ).map(drop).map_err(|error| error.errno())
}

/// The names of the hives that a root shows.
fn hives(root: &Fd) -> Vec<String> {
    let mut names: Vec<_> =
        status(root).expect("a status").hives.into_iter().map(|hive| hive.name).collect();
    names.sort();
    names
}

/// Lets these users join what this key stands for: they are granted KEY_CREATE_SUB_KEY on it.
fn may_join(path: &str, users: &[u32]) {
    let key = open(&root(), path, Access::WRITE_DAC).expect("a key of SYSTEM's");
    let aces: String = users.iter().map(|uid| format!("(A;;LC;;;S-1-22-1-{uid})")).collect();
    let sd: SecurityDescriptor = format!("D:P(A;;KA;;;SY){aces}").parse().expect("SDDL");
    let request = SetSecurity { parts: DACL_SECURITY_INFORMATION, sd: sd.to_bytes() };
    call::<_, ()>(&key, Op::SetSecurity, &request, &[]).expect("a new descriptor");
}

/// Makes the scope's key, on which these users may join it.
fn grant_scope(users: &[u32]) {
    let path = format!(r"Machine\System\Registry\Scopes\{SCOPE}");
    create(&root(), &path).expect("the scope's key");
    may_join(&path, users);
}

/// Makes the private layer, which is disabled and which these users may join.
fn make_layer(users: &[u32]) {
    let layer = create(&root(), LAYER).expect("a layer");
    let disabled = 0_u32.to_le_bytes();
    set(&layer, None, "Enabled", ValueType::Dword, &disabled).expect("a setting of the layer");
    may_join(LAYER, users);
}

fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// A program, this one with the same test, for which `reg` is a view.
fn program(part: &str, view: &Fd) -> Command {
    view.fcntl(libc::F_SETFD as usize, 0).expect("a descriptor that is inherited");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(std::env::args().skip(1)).stdout(Stdio::null());
    command.env(PART, part).env(hosted::NAMES, format!("reg={}", view.raw()));
    command
}

fn run(command: &mut Command) {
    Process::spawn(command).succeed();
}

#[test]
fn a_program_in_a_sealed_view_has_its_own_machine_and_cannot_name_the_global_one() {
    session_in(lcs, |_| {
        match part().as_deref() {
            Some("in the sandbox") => {
                assert_eq!(text(&root(), r"Machine\Inside").as_deref(), Ok("of the sandbox"));
                assert_eq!(hives(&root()), ["Machine"]);
                // Whatever it adds to its view.
                let more = [
                    view(&root(), &[], &[], false).expect("a view"),
                    view(&root(), &[SCOPE], &["base"], false).expect("a view"),
                    root().openat("", O_RDONLY, 0).expect("a root"),
                ];
                for root in more.iter().chain([&root()]) {
                    assert_eq!(read(root, r"Machine\Global"), Err(ENOENT));
                    assert_eq!(read(root, "Users"), Err(ENOENT));
                    assert_eq!(errno(create(root, r"CurrentUser\Software")), Some(ENOENT));
                }
                run(&mut program("started by it", &root()));
            }
            Some(_) => {
                assert_eq!(read(&root(), r"Machine\Inside"), Ok(()));
                assert_eq!(read(&root(), r"Machine\Global"), Err(ENOENT));
            }
            None => {
                serve();
                let _source = private("Machine");
                let sandbox = sandbox(true);
                assert_eq!(read(&root(), r"Machine\Inside"), Err(ENOENT));
                run(&mut program("in the sandbox", &sandbox));
            }
        }
    });
}

#[test]
fn where_a_mount_namespace_hides_the_root_directory_the_handle_is_the_only_way() {
    session_in(lcs, |_| {
        if part().is_some() {
            assert_eq!(read(&root(), r"Machine\Inside"), Ok(()));
            let forgets = std::env::current_exe().expect("this program");
            let mut forgets = Command::new(forgets);
            forgets.args(std::env::args().skip(1)).env_remove(hosted::NAMES);
            forgets.env_remove(PART).env("VIEWS_TEST_FORGETS", "1").stdout(Stdio::null());
            return run(&mut forgets);
        }
        if std::env::var_os("VIEWS_TEST_FORGETS").is_some() {
            assert_eq!(errno(Fd::open("/scheme/reg", O_RDONLY, 0)), Some(ENODEV));
            return;
        }
        let tried = Command::new("unshare").args(["--mount", "true"]).output();
        if !tried.is_ok_and(|output| output.status.success()) {
            return skipped("a mount namespace of one's own cannot be had");
        }
        serve();
        let _source = private("Machine");
        let sandbox = sandbox(true);
        let program = program("in the sandbox", &sandbox);
        let hide = r#"mount -t tmpfs none "$0" && exec "$@""#;
        let mut hidden = Command::new("unshare");
        hidden.args(["--mount", "sh", "-c", hide]).arg(root_directory().join("scheme"));
        hidden.arg(program.get_program()).args(program.get_args()).stdout(Stdio::null());
        for (name, value) in program.get_envs() {
            hidden.env(name, value.expect("a variable that is set"));
        }
        run(&mut hidden);
    });
}

#[test]
fn a_private_hive_stands_before_the_global_one_also_while_its_source_is_down() {
    session_in(lcs, |_| {
        serve();
        let mut source = private("Machine");
        let sandbox = sandbox(false);
        assert_eq!(read(&sandbox, r"Machine\Inside"), Ok(()));
        assert_eq!(read(&sandbox, r"Machine\Global"), Err(ENOENT));
        assert_eq!(read(&sandbox, "Users"), Ok(()));
        create(&sandbox, r"CurrentUser\Software").expect("a key of one's own");
        source.kill();
        eventually("the hive to be down", || {
            (read(&sandbox, r"Machine\Global") == Err(EIO)).then_some(())
        });
        assert_eq!(read(&root(), r"Machine\Global"), Ok(()));
        assert_eq!(read(&sandbox, "Users"), Ok(()));
    });
}

#[test]
fn views_are_made_from_roots_and_pass_to_all_that_is_made_from_them() {
    session_in(lcs, |_| {
        serve();
        let _source = private("Machine");
        let sandbox = sandbox(true);
        let own = sandbox.openat("", O_RDONLY, 0).expect("a root");
        assert_eq!(read(&own, r"Machine\Inside"), Ok(()));
        assert_eq!(read(&own, r"Machine\Global"), Err(ENOENT));
        let begin = lcs_abi::call::Derive::BeginTransaction;
        let transaction = registry_tests::registry::derive(&sandbox, &begin);
        let transaction = transaction.expect("a transaction");
        assert_eq!(read(&transaction, r"Machine\Inside"), Ok(()));
        assert_eq!(read(&transaction, r"Machine\Global"), Err(ENOENT));
        let key = open(&sandbox, "Machine", Access::KEY_READ).expect("a key");
        assert_eq!(read(&key, "Inside"), Ok(()));
        for no_root in [&transaction, &key] {
            assert_eq!(errno(view(no_root, &[], &[], true)), Some(EBADF));
        }
        assert_eq!(errno(transaction.openat("", O_RDONLY, 0)), Some(EBADF));
    });
}

#[test]
fn who_may_not_join_a_scope_cannot_see_that_it_exists() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        let _source = private("Secret");
        let other = guid(7);
        let as_other = |uid| {
            as_user(uid, uid, || {
                for scope in [SCOPE, other] {
                    assert_eq!(errno(view(&root(), &[scope], &[], false)), Some(EACCES));
                }
                assert_eq!(read(&root(), "Secret"), Err(ENOENT));
                assert_eq!(hives(&root()), ["Machine", "Users"]);
                assert!(status(&root()).expect("a status").details.is_none());
            });
        };
        as_other(ALICE);
        // SYSTEM needs no key of the scope, and sees all hives without having them in its view.
        let shown = status(&root()).expect("a status").hives;
        let secret = shown.iter().find(|hive| hive.name == "Secret").expect("the private hive");
        assert_eq!((secret.scope, secret.state), (Some(SCOPE), HiveState::Up));
        assert_eq!(read(&root(), "Secret"), Err(ENOENT));
        let joined = view(&root(), &[SCOPE], &[], false).expect("a view");
        assert_eq!(read(&joined, "Secret"), Ok(()));

        grant_scope(&[ALICE]);
        as_user(ALICE, ALICE, || {
            let joined = view(&root(), &[SCOPE], &[], false).expect("a view");
            assert_eq!(read(&joined, "Secret"), Ok(()));
            assert_eq!(hives(&joined), ["Machine", "Secret", "Users"]);
            assert_eq!(read(&root(), "Secret"), Err(ENOENT));
        });
        as_other(BOB);
    });
}

#[test]
fn whoever_is_started_in_a_view_has_the_view_and_acts_for_himself() {
    session_in(lcs, |_| {
        if part().is_some() {
            assert_eq!(text(&root(), r"Machine\Inside").as_deref(), Ok("of the sandbox"));
            let written = open(&root(), r"Machine\Inside", Access::SET_VALUE);
            assert_eq!(errno(written), Some(EACCES));
            assert_eq!(errno(view(&root(), &[SCOPE], &[], false)), Some(EACCES));
            return;
        }
        if !can_become_others() {
            return;
        }
        serve();
        let _source = private("Machine");
        let sandbox = sandbox(true);
        run(program("as another user", &sandbox).uid(ALICE).gid(ALICE));
    });
}

#[test]
fn a_private_layer_counts_for_those_who_attached_it_alone() {
    session_in(lcs, |_| {
        serve();
        make_layer(&[]);
        let attached = view(&root(), &[], &["private"], false).expect("a view");
        let global = open(&root(), r"Machine\Global", Access::KEY_ALL_ACCESS).expect("a key");
        put(&global, None, "for all");
        let watcher = |root: &Fd| {
            let key = open(root, r"Machine\Global", Access::NOTIFY).expect("a key");
            watch(&key, NOTIFY_ALL, false).expect("a watch");
            key
        };
        let (inside, outside) = (watcher(&attached), watcher(&root()));
        put(&global, Some("Private"), "for some");
        assert_eq!(text(&root(), r"Machine\Global").as_deref(), Ok("for all"));
        assert_eq!(text(&attached, r"Machine\Global").as_deref(), Ok("for some"));
        assert_eq!(events(&inside, 4096).expect("events")[0].kind, EventKind::ValueSet.code());
        // The next event of the others is that of the next write that they see.
        set(&global, None, "Other", ValueType::Sz, b"x").expect("a write");
        let seen = events(&outside, 4096).expect("events");
        assert_eq!(seen.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["Other"]);

        assert_eq!(errno(view(&root(), &[], &["Nobody's"], false)), Some(ENOENT));
        let layers = open(&root(), LAYER, Access::KEY_ALL_ACCESS).expect("the layer");
        delete(&layers).expect("a deletion");
        assert_eq!(text(&attached, r"Machine\Global").as_deref(), Ok("for all"));
    });
}

#[test]
fn to_attach_a_private_layer_takes_a_right_and_above_precedence_0_a_privilege() {
    if !can_become_others() {
        return;
    }
    session_in(lcs, |_| {
        serve();
        make_layer(&[ALICE]);
        let attach = |uid| as_user(uid, uid, || errno(view(&root(), &[], &["Private"], false)));
        assert_eq!((attach(ALICE), attach(BOB)), (None, Some(EACCES)));
        let layer = open(&root(), LAYER, Access::SET_VALUE).expect("the layer");
        let one = 1_u32.to_le_bytes();
        set(&layer, None, "Precedence", ValueType::Dword, &one).expect("a setting of the layer");
        assert_eq!((attach(ALICE), attach(BOB)), (Some(EPERM), Some(EACCES)));
        assert!(view(&root(), &[], &["Private"], false).is_ok());
    });
}

#[test]
fn whether_a_key_has_children_is_asked_of_the_global_view() {
    session_in(lcs, |_| {
        serve();
        let _source = private("Machine");
        let sandbox = sandbox(true);
        let inside = open(&sandbox, r"Machine\Inside", Access::KEY_ALL_ACCESS).expect("a key");
        let child = create(&inside, "Child").expect("a key");
        assert_eq!(errno(delete(&inside)), Some(ENOTEMPTY));
        delete(&child).expect("a deletion");
        delete(&inside).expect("a deletion");
    });
}
