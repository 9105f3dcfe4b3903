//! Waiting: event queues, poll, timers, and the kernel's own schemes.

use std::os::fd::BorrowedFd;

use event::{EventFlags, EventQueue};
use hosted as _;
use libredox::Fd;
use libredox::errno::EAGAIN;
use libredox::flag::{O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use registry_tests::client::open;
use registry_tests::harness::session;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use syscall::{CallFlags, TimeSpec, flag as redox};

fn is_readable(file: &Fd, timeout: Option<&Timespec>) -> bool {
    // SAFETY: the file is open during this call.
    let fd = unsafe { BorrowedFd::borrow_raw(file.raw() as i32) };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout).unwrap() > 0
}

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

#[test]
fn subscribing_tells_what_is_ready_already() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        file.write(b"there before").unwrap();
        let queue: EventQueue<usize> = EventQueue::new().unwrap();
        queue.subscribe(file.raw(), 77, EventFlags::READ).unwrap();
        let event = queue.next_event().unwrap();
        assert_eq!((event.user_data, event.fd), (77, file.raw()));
        assert_eq!(event.flags, EventFlags::READ);
    });
}

#[test]
fn what_the_scheme_posts_wakes_an_event_queue_and_a_poll() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let queue: EventQueue<usize> = EventQueue::new().unwrap();
        queue.subscribe(file.raw(), 1, EventFlags::READ).unwrap();
        assert!(!is_readable(&file, Some(&NOW)));
        file.write(b"first").unwrap();
        assert!(is_readable(&file, None));
        assert_eq!(queue.next_event().unwrap().user_data, 1);
        let mut buffer = [0; 16];
        assert_eq!(file.read(&mut buffer).unwrap(), 5);
        file.write(b"second").unwrap();
        assert_eq!(queue.next_event().unwrap().user_data, 1);
        assert_eq!(file.read(&mut buffer).unwrap(), 6);
    });
}

#[test]
fn a_handle_is_readable_again_after_a_read_that_left_something() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        file.fcntl(redox::F_SETFL, O_NONBLOCK as usize).unwrap();
        file.write(b"123456").unwrap();
        let mut buffer = [0; 4];
        assert!(is_readable(&file, None));
        assert_eq!(file.read(&mut buffer).unwrap(), 4);
        assert!(is_readable(&file, None));
        assert_eq!(file.read(&mut buffer).unwrap(), 2);
        // A token that came for the second half is taken by the read that finds nothing.
        assert_eq!(file.read(&mut buffer).unwrap_err().errno(), EAGAIN);
        assert!(!is_readable(&file, Some(&NOW)));
    });
}

#[test]
fn a_non_blocking_read_that_found_nothing_makes_poll_work() {
    session(&["echo"], |_| {
        let file = Fd::open("/scheme/echo/x", O_RDWR | O_NONBLOCK, 0).unwrap();
        assert_eq!(file.read(&mut [0; 4]).unwrap_err().errno(), EAGAIN);
        file.write(b"now").unwrap();
        assert!(is_readable(&file, None));
    });
}

#[test]
fn an_unsubscribed_descriptor_gives_no_event() {
    session(&["echo"], |_| {
        let (gone, stays) = (open("/scheme/echo/x"), open("/scheme/echo/y"));
        let queue: EventQueue<usize> = EventQueue::new().unwrap();
        queue.subscribe(gone.raw(), 1, EventFlags::READ).unwrap();
        queue.subscribe(stays.raw(), 2, EventFlags::READ).unwrap();
        queue.unsubscribe(gone.raw()).unwrap();
        gone.write(b"x").unwrap();
        stays.write(b"x").unwrap();
        assert_eq!(queue.next_event().unwrap().user_data, 2);
    });
}

#[test]
fn a_blocked_read_waits_for_the_scheme() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut buffer = [0; 8];
                let len = file.read(&mut buffer).unwrap();
                buffer[..len].to_vec()
            });
            file.write(b"awaited").unwrap();
            assert_eq!(reader.join().unwrap(), b"awaited");
        });
    });
}

#[test]
fn a_timer_is_readable_at_its_deadline_on_redox_clock_numbers() {
    session(&["echo"], |_| {
        let clocks =
            [("/scheme/time/4", libc::CLOCK_MONOTONIC), ("/scheme/time/1", libc::CLOCK_REALTIME)];
        for (path, clock) in clocks {
            let timer = Fd::open(path, O_RDWR, 0).unwrap();
            let queue: EventQueue<usize> = EventQueue::new().unwrap();
            queue.subscribe(timer.raw(), 5, EventFlags::READ).unwrap();
            assert!(!is_readable(&timer, Some(&NOW)));
            let now = libredox::call::clock_gettime(clock).unwrap();
            let deadline = now.tv_sec as u128 * 1_000_000_000 + now.tv_nsec as u128 + 20_000_000;
            let deadline = TimeSpec::from_nanos(deadline);
            timer.write(&deadline).unwrap();
            assert_eq!(queue.next_event().unwrap().user_data, 5);
            let mut time = TimeSpec::default();
            assert_eq!(timer.read(&mut time).unwrap(), 16);
            assert!(time.to_nanos() >= deadline.to_nanos());
            assert!(!is_readable(&timer, Some(&NOW)));
        }
        assert!(Fd::open("/scheme/time/9", O_RDWR, 0).is_err());
    });
}

#[test]
fn a_log_is_appended_to_below_the_root() {
    session(&["echo"], |_| {
        for line in ["one\n", "two\n"] {
            let log = Fd::open("/scheme/log/daemon", O_WRONLY, 0).unwrap();
            assert_eq!(log.write(line.as_bytes()).unwrap(), 4);
        }
        let root = std::path::PathBuf::from(std::env::var_os("REDOX_HOSTED").unwrap());
        let text = std::fs::read_to_string(root.join("var/log/daemon.log")).unwrap();
        assert_eq!(text, "one\ntwo\n");
        assert!(Fd::open("/scheme/log/../../etc/x", O_WRONLY, 0).is_err());
    });
}

#[test]
fn rand_null_and_ordinary_files_are_linuxs() {
    session(&["echo"], |_| {
        let mut bytes = [0; 32];
        assert_eq!(open("/scheme/rand").read(&mut bytes).unwrap(), 32);
        assert_ne!(bytes, [0; 32]);
        let null = open("/scheme/null");
        assert_eq!(null.write(b"gone").unwrap(), 4);
        assert_eq!(null.read(&mut bytes).unwrap(), 0);
        let file = Fd::open("/proc/self/comm", O_RDONLY, 0).unwrap();
        assert!(file.read(&mut bytes).unwrap() > 0);
        let call = file.call_rw(&mut bytes, CallFlags::empty(), &[0]);
        assert_eq!(call.unwrap_err().errno(), libredox::errno::EOPNOTSUPP);
    });
}

#[test]
fn a_process_without_a_namespace_opens_nothing_by_path_and_keeps_what_it_has() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        libredox::call::setrens(0, 0).unwrap();
        for path in ["/scheme/echo/y", "/scheme/rand", "/etc/passwd"] {
            let error = Fd::open(path, O_RDONLY, 0).err().unwrap();
            assert_eq!(error.errno(), libredox::errno::ENODEV, "{path}");
        }
        assert_eq!(file.write(b"still").unwrap(), 5);
        assert!(file.openat("z", O_RDONLY, 0).is_ok());
    });
}
