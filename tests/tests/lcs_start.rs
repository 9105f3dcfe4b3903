//! How the daemons start: what is there when they say that they are ready, and what they can reach then.

use std::fs;
use std::time::Duration;

use hosted as _;
use libredox::Fd;
use libredox::errno::ENODEV;
use libredox::flag::{O_CLOEXEC, O_RDONLY, O_RDWR};
use registry_tests::daemons::{data_directory, lcs, loregd, machine_is_up};
use registry_tests::eventually::eventually;
use registry_tests::harness::{PATIENCE, Root, session, session_in};

#[test]
fn a_daemon_in_the_namespace_of_files_opens_files_and_no_scheme_and_keeps_what_it_has() {
    session(&["echo"], |_| {
        let handle = Fd::open("/scheme/echo/x", O_RDWR | O_CLOEXEC, 0).unwrap();
        lcs_daemon::namespace::enter_file_only().unwrap();
        for path in ["/scheme/echo/y", "/scheme/rand", "/scheme/log/x"] {
            let error = Fd::open(path, O_RDONLY | O_CLOEXEC, 0).err().unwrap();
            assert_eq!(error.errno(), ENODEV, "{path}");
        }
        Fd::open("/etc/passwd", O_RDONLY | O_CLOEXEC, 0).unwrap();
        assert_eq!(handle.write(b"still").unwrap(), 5);
        assert!(handle.openat("z", O_RDONLY | O_CLOEXEC, 0).is_ok());
    });
}

#[test]
fn whoever_hears_that_lcs_is_ready_finds_both_of_its_names() {
    session_in(Root::lcs, |_| {
        for (name, access) in [("reg", O_RDONLY), ("regsrc", O_RDWR)] {
            let opened = Fd::open(&format!("/scheme/{name}"), access | O_CLOEXEC, 0);
            assert!(opened.is_ok(), "{name}: {:?}", opened.err());
        }
    });
}

#[test]
fn loregd_says_that_it_is_ready_where_lcs_is_not_there_and_serves_when_it_comes() {
    session_in(
        |root| root.daemon("loregd", &[]),
        |_| {
            let _lcs = lcs();
            eventually("Machine", || machine_is_up().then_some(()));
        },
    );
}

#[test]
fn loregd_says_that_it_is_ready_also_when_a_hive_does_not_open_and_ends_to_be_started_again() {
    session_in(Root::lcs, |_| {
        fs::create_dir_all(data_directory().join("Machine.redb")).unwrap();
        let mut source = loregd(&[]);
        let status = source.wait(PATIENCE).expect("it ends");
        assert_eq!(status.code(), Some(1));
        fs::remove_dir(data_directory().join("Machine.redb")).unwrap();
        let mut source = loregd(&[]);
        eventually("Machine", || machine_is_up().then_some(()));
        assert!(source.wait(Duration::ZERO).is_none());
    });
}
