//! Names that lead to inherited handles: what a program finds whom somebody started in a view.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use hosted as _;
use libredox::Fd;
use libredox::errno::{EBADF, ENODEV};
use libredox::flag::{O_CLOEXEC, O_RDWR};
use redox_scheme::Socket;
use redox_scheme::scheme::register_scheme_inner;
use registry_tests::client::{call, open, words};
use registry_tests::echo::Verb;
use registry_tests::harness::{Process, session};
use registry_tests::users::can_become_others;

/// In a child of the body: what it is to do.
const PART: &str = "HOSTED_NAMES_PART";

fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// A process with the same body, in which these names lead to descriptors of this one.
fn child(part: &str, names: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(std::env::args().skip(1)).env(PART, part).env(hosted::NAMES, names);
    command.stdout(Stdio::null());
    command
}

fn run(part: &str, names: &str) {
    Process::spawn(&mut child(part, names)).succeed();
}

fn path_of(file: &Fd) -> String {
    let mut path = [0; 64];
    let len = file.fpath(&mut path).unwrap();
    String::from_utf8(path[..len].to_vec()).unwrap()
}

unsafe extern "C" {
    /// What `libredox::call::mkns` calls, which wants one more crate.
    fn redox_mkns_v1(names: *const libc::iovec, count: usize, flags: u32) -> usize;
}

/// A namespace with these names.
fn mkns(names: &[&str]) -> usize {
    let names: Vec<_> = names
        .iter()
        .map(|name| libc::iovec { iov_base: name.as_ptr().cast_mut().cast(), iov_len: name.len() })
        .collect();
    // SAFETY: so many names, which are only looked at.
    libredox::error::Error::demux(unsafe { redox_mkns_v1(names.as_ptr(), names.len(), 0) }).unwrap()
}

/// How many handles the scheme of `file` has made.
fn made(file: &Fd) -> u64 {
    words::<3>(file, Verb::Counters)[0]
}

fn errno(path: &str) -> Option<i32> {
    Fd::open(path, O_RDWR, 0).err().map(|error| error.errno())
}

/// A number that no descriptor has any more.
fn closed() -> i32 {
    std::fs::File::open("/dev/null").unwrap().as_raw_fd()
}

#[test]
fn a_bound_name_leads_to_the_inherited_handle_and_all_others_to_the_root_directory() {
    session(&["echo"], |_| {
        if part().is_some() {
            for path in ["/scheme/bound/a/b", "bound:a/b"] {
                let file = open(path);
                assert_eq!(path_of(&file), "/scheme/echo/a/b");
                assert_eq!(words::<3>(&file, Verb::WhoOpened)[2], u64::from(std::process::id()));
            }
            open("/scheme/echo/x");
            assert_eq!(errno("/scheme/nobody/x"), Some(ENODEV));
            // What the kernel serves itself is there as ever.
            event::EventQueue::<usize>::new().unwrap();
            open("/scheme/rand").read(&mut [0; 8]).unwrap();
            return;
        }
        assert_eq!(errno("/scheme/bound/a"), Some(ENODEV));
        let handle = open("/scheme/echo/x");
        run("child", &format!("bound={}", handle.raw()));
        assert_eq!(made(&handle), 4);
    });
}

#[test]
fn a_bound_name_hides_that_of_the_root_directory_from_the_whole_tree_of_processes() {
    session(&["echo"], |_| match part().as_deref() {
        Some("grandchild") => {
            open("/scheme/echo/in-view");
            let socket = Socket::create().unwrap();
            let taken = register_scheme_inner(&socket, "echo", 0).unwrap_err();
            assert_eq!(taken.errno, libredox::errno::EEXIST);
            assert!(hosted::unlink("/scheme/echo", 0).is_err());
        }
        Some(_) => run("grandchild", &std::env::var(hosted::NAMES).unwrap()),
        None => {
            let mut other = Command::new(registry_tests::harness::binary("echo-scheme"));
            let _other = Process::spawn_ready(other.arg("other"));
            let (here, there) = (open("/scheme/echo/x"), open("/scheme/other/x"));
            run("child", &format!("echo={}", there.raw()));
            assert_eq!((made(&here), made(&there)), (1, 2));
            open("/scheme/echo/still-there");
        }
    });
}

#[test]
fn a_process_can_start_another_in_a_view_of_its_own() {
    session(&["echo"], |_| match part().as_deref() {
        Some("inner") => assert_eq!(path_of(&open("/scheme/bound/x")), "/scheme/echo/x"),
        Some(_) => {
            let derived = Fd::new(open("/scheme/bound/x").dup(b"more").unwrap());
            run("inner", &format!("bound={}", derived.raw()));
        }
        None => {
            let handle = open("/scheme/echo/x");
            run("outer", &format!("bound={}", handle.raw()));
            assert_eq!(made(&handle), 4);
        }
    });
}

#[test]
fn a_name_whose_descriptor_is_no_handle_is_ebadf_and_not_the_root_directorys() {
    session(&["echo"], |_| {
        if part().is_some() {
            for name in ["echo", "dir", "text", "nothing"] {
                assert_eq!(errno(&format!("/scheme/{name}/x")), Some(EBADF), "{name}");
            }
            assert_eq!(errno("/scheme/dir"), Some(EBADF));
            return;
        }
        open("/scheme/echo/x");
        let directory = std::fs::File::open("/").unwrap().into_raw_fd();
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::fcntl(directory, libc::F_SETFD, 0) }, 0);
        run("child", &format!("echo={},dir={directory},text=x,nothing", closed()));
    });
}

#[test]
fn namespaces_that_are_made_have_the_bound_name_if_it_is_listed() {
    session(&["echo"], |_| {
        if part().is_some() {
            let first = libredox::call::getns().unwrap();
            libredox::call::setns(mkns(&["bound", "absent"])).unwrap();
            assert_eq!(path_of(&open("/scheme/bound/x")), "/scheme/echo/x");
            assert_eq!(errno("/scheme/echo/x"), Some(ENODEV));
            assert_eq!(errno("/scheme/absent/x"), Some(ENODEV));
            libredox::call::setns(mkns(&[])).unwrap();
            assert_eq!(errno("/scheme/bound/x"), Some(ENODEV));
            libredox::call::setns(first).unwrap();
            open("/scheme/bound/x");
            open("/scheme/echo/x");
            return;
        }
        let handle = open("/scheme/echo/x");
        run("child", &format!("bound={}", handle.raw()));
    });
}

#[test]
fn whoever_uses_an_inherited_handle_is_who_asks() {
    const USER: u32 = 1234;
    session(&["echo"], |_| {
        if part().is_some() {
            let me = [u64::from(USER), u64::from(USER), u64::from(std::process::id())];
            let file = open("/scheme/bound/x");
            assert_eq!(words(&file, Verb::WhoOpened), me);
            let derived = Fd::new(file.dup(b"more").unwrap());
            assert_eq!(words(&derived, Verb::WhoOpened), me);
            return;
        }
        if !can_become_others() {
            return;
        }
        let handle = open("/scheme/echo/x");
        let mut child = child("child", &format!("bound={}", handle.raw()));
        Process::spawn(child.uid(USER).gid(USER)).succeed();
        call(&handle, Verb::Echo, &mut [0; 8]).unwrap();
    });
}

#[test]
fn a_handle_that_is_closed_on_exec_is_not_inherited() {
    session(&["echo"], |_| {
        if part().is_some() {
            assert_eq!(errno("/scheme/bound/x"), Some(EBADF));
            return;
        }
        let handle = Fd::open("/scheme/echo/x", O_RDWR | O_CLOEXEC, 0).unwrap();
        run("child", &format!("bound={}", handle.raw()));
    });
}
