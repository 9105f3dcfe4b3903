//! The root directory: whom a client believes, and which default it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hosted as _;
use libredox::Fd;
use libredox::errno::EPERM;
use libredox::flag::O_RDWR;
use redox_scheme::scheme::register_scheme_inner;
use redox_scheme::{RequestKind, Response, SignalBehavior, Socket};
use registry_tests::client::{call, open};
use registry_tests::echo::Verb;
use registry_tests::harness::{session, skipped};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen};

fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("REDOX_HOSTED").unwrap())
}

#[test]
fn a_client_refuses_a_name_that_is_neither_the_owners_nor_roots() {
    session(&["echo"], |_| {
        if !rustix::process::geteuid().is_root() {
            skipped("listening as another user needs root");
            return;
        }
        let names = root().join("scheme");
        fs::set_permissions(&names, fs::Permissions::from_mode(0o777)).unwrap();
        let kind = SocketType::SEQPACKET;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
                .unwrap();
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::seteuid(1234) }, 0);
        bind(&socket, &SocketAddrUnix::new(names.join("evil")).unwrap()).unwrap();
        listen(&socket, 1).unwrap();
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::seteuid(0) }, 0);
        let error = Fd::open("/scheme/evil/x", O_RDWR, 0).err().unwrap();
        assert_eq!(error.errno(), EPERM);
    });
}

#[test]
fn a_default_root_that_others_can_write_to_is_refused() {
    session(&["echo"], |_| {
        let runtime = root().join("run");
        let default = runtime.join("redox");
        // SAFETY: this process runs this test alone, on its only thread.
        unsafe {
            std::env::remove_var("REDOX_HOSTED");
            std::env::set_var("XDG_RUNTIME_DIR", &runtime);
        }
        assert_eq!(hosted::root().unwrap(), default);
        fs::create_dir(&default).unwrap();
        for (mode, accepted) in [(0o755, true), (0o775, false), (0o757, false), (0o700, true)] {
            fs::set_permissions(&default, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(hosted::root().is_ok(), accepted, "{mode:o}");
        }
        fs::remove_dir(&default).unwrap();
        std::os::unix::fs::symlink("/tmp", &default).unwrap();
        assert!(hosted::root().is_err());
    });
}

#[test]
fn names_have_the_modes_that_their_schemes_need() {
    session(&["reg", "regsrc"], |_| {
        let mode = |name: &str| {
            let meta = fs::symlink_metadata(root().join("scheme").join(name)).unwrap();
            meta.permissions().mode() & 0o777
        };
        assert_eq!((mode("reg"), mode("regsrc")), (0o666, 0o600));
    });
}

#[test]
fn a_name_taken_over_after_unlink_leads_to_the_new_daemon() {
    session(&["echo"], |_| {
        let old = open("/scheme/echo/x");
        hosted::unlink("/scheme/echo", 0).unwrap();
        let mut daemon = std::process::Command::new(registry_tests::harness::binary("echo-scheme"));
        let _new = registry_tests::harness::Process::spawn_ready(daemon.arg("echo"));
        let new = open("/scheme/echo/x");
        let made = |file| registry_tests::client::words::<3>(file, Verb::Counters)[0];
        open("/scheme/echo/y");
        assert_eq!((made(&old), made(&new)), (1, 2));
    });
}

#[test]
fn a_blocking_scheme_socket_waits_for_requests() {
    session(&["echo"], |_| {
        let socket = Socket::create().unwrap();
        register_scheme_inner(&socket, "waits", 0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut answered = 0;
                while answered < 2 {
                    let request = socket.next_request(SignalBehavior::Restart).unwrap().unwrap();
                    let RequestKind::Call(request) = request.kind() else { continue };
                    answered += 1;
                    let response = Response::ok(1, request);
                    assert!(socket.write_response(response, SignalBehavior::Restart).unwrap());
                }
            });
            let file = open("/scheme/waits/x");
            assert_eq!(call(&file, Verb::Echo, &mut [0; 8]).unwrap(), 1);
        });
    });
}
