//! Watches as programs have them, through real LCS: how events are read and waited for.

use std::os::fd::BorrowedFd;
use std::process::{Command, Stdio};
use std::thread;

use event::{EventFlags, EventQueue};
use hosted as _;
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use lcs_abi::watch::{EventKind, NOTIFY_ALL, NOTIFY_SUBKEY, NOTIFY_VALUE};
use libredox::errno::{EACCES, EAGAIN, EBADF, EINTR, EINVAL, EISDIR, ETIMEDOUT};
use libredox::flag::O_NONBLOCK;
use libredox::{Fd, error::Result};
use registry_tests::daemons;
use registry_tests::eventually::eventually;
use registry_tests::handles::{self, create, delete, events, open, root, status, watch};
use registry_tests::harness::{Process, Root, session_in};
use registry_tests::interruptible::Interruptible;
use registry_tests::puppet::{Decision, Puppet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Room for every event of these tests.
const ROOM: usize = 64 << 10;

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// Serves a `Machine` in which there is the key of these tests.
fn serve() -> Fd {
    Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
    key()
}

/// A handle of the key of these tests.
fn key() -> Fd {
    create(&root(), r"Machine\Key").expect("the key")
}

/// A handle of that key with an armed watch.
fn watcher() -> Fd {
    let key = key();
    watch(&key, NOTIFY_ALL, false).expect("a watch");
    key
}

fn set(key: &Fd, name: &str) {
    handles::set(key, None, name, ValueType::Binary, &[1]).expect("a write");
}

/// Kinds and names of the events that are there, without waiting for others.
fn now(watcher: &Fd) -> Vec<(EventKind, String)> {
    watcher.fcntl(syscall::flag::F_SETFL, O_NONBLOCK as usize).expect("a flag");
    let read = match events(watcher, ROOM) {
        Err(error) if error.errno() == EAGAIN => Vec::new(),
        read => read.expect("events"),
    };
    watcher.fcntl(syscall::flag::F_SETFL, 0).expect("a flag");
    let kind = |code| EventKind::from_code(code).expect("a kind");
    read.into_iter().map(|event| (kind(event.kind), event.name)).collect()
}

/// The names of events.
fn names(events: Result<Vec<lcs_abi::watch::Event>>) -> Vec<String> {
    events.expect("events").into_iter().map(|event| event.name).collect()
}

fn errno<T>(result: Result<T>) -> Option<i32> {
    result.err().map(|error| error.errno())
}

fn is_readable(handle: &Fd) -> bool {
    // SAFETY: the handle is open during this call.
    let fd = unsafe { BorrowedFd::borrow_raw(handle.raw() as i32) };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).expect("an answer") > 0
}

#[test]
fn events_are_read_in_order_and_whoever_polls_is_woken() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        let queue: EventQueue<usize> = EventQueue::new().expect("a queue");
        queue.subscribe(watcher.raw(), 7, EventFlags::READ).expect("a subscription");
        assert!(!is_readable(&watcher));
        set(&key, "One");
        assert_eq!(queue.next_event().expect("an event").user_data, 7);
        assert!(is_readable(&watcher));
        set(&key, "Two");
        assert_eq!(names(events(&watcher, ROOM)), ["One", "Two"]);
        assert_eq!(now(&watcher), []);
        assert!(!is_readable(&watcher));
        set(&key, "Three");
        assert_eq!(queue.next_event().expect("an event").user_data, 7);
        assert_eq!(now(&watcher), [(EventKind::ValueSet, "Three".to_owned())]);
    });
}

#[test]
fn a_poller_that_comes_later_sees_what_is_there_already() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        set(&key, "One");
        let queue: EventQueue<usize> = EventQueue::new().expect("a queue");
        queue.subscribe(watcher.raw(), 7, EventFlags::READ).expect("a subscription");
        assert_eq!(queue.next_event().expect("an event").user_data, 7);
    });
}

#[test]
fn a_read_gives_whole_events_as_many_as_fit_and_one_too_small_for_any_loses_nothing() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        let queue: EventQueue<usize> = EventQueue::new().expect("a queue");
        queue.subscribe(watcher.raw(), 7, EventFlags::READ).expect("a subscription");
        set(&key, "One");
        set(&key, "Two");
        set(&key, "Three");
        queue.next_event().expect("an event");
        // Length, kind, name and path.
        let one = 4 + 1 + 1 + "One".len() + 1;
        for room in [0, 3, one - 1] {
            assert_eq!(errno(events(&watcher, room)), Some(EINVAL), "{room}");
        }
        assert_eq!(names(events(&watcher, 2 * one - 1)), ["One"]);
        queue.next_event().expect("an event for those that are left");
        assert_eq!(names(events(&watcher, 2 * one)), ["Two"]);
        assert_eq!(names(events(&watcher, ROOM)), ["Three"]);
    });
}

#[test]
fn each_watcher_gets_what_it_asked_for() {
    session_in(lcs, |_| {
        let key = serve();
        let (values, subkeys, all) = (self::key(), self::key(), watcher());
        let tree = open(&root(), "Machine", Access::NOTIFY).expect("Machine");
        watch(&values, NOTIFY_VALUE, false).expect("a watch");
        watch(&subkeys, NOTIFY_SUBKEY, false).expect("a watch");
        watch(&tree, NOTIFY_ALL, true).expect("a watch");
        set(&key, "Value");
        let below = create(&key, "Below").expect("a key");
        set(&below, "Deeper");
        delete(&below).expect("a deletion");
        let event = |kind, name: &str| (kind, name.to_owned());
        let value = event(EventKind::ValueSet, "Value");
        let [made, gone] =
            [EventKind::SubkeyCreated, EventKind::SubkeyDeleted].map(|kind| event(kind, "Below"));
        assert_eq!(now(&all), [value.clone(), made.clone(), gone.clone()]);
        assert_eq!(now(&values), [value]);
        assert_eq!(now(&subkeys), [made, gone]);
        let paths = events(&tree, ROOM).expect("events").into_iter();
        let paths: Vec<_> = paths.map(|event| (event.path, event.name)).collect();
        let expected =
            [("Key", "Value"), ("Key", "Below"), (r"Key\Below", "Deeper"), ("Key", "Below")];
        assert_eq!(paths, expected.map(|(path, name)| (path.to_owned(), name.to_owned())));
    });
}

#[test]
fn readers_of_one_handle_get_events_in_the_order_in_which_they_came() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        let read = || names(events(&watcher, ROOM));
        thread::scope(|scope| {
            let first = Interruptible::start(scope, read);
            first.waits();
            let second = Interruptible::start(scope, read);
            second.waits();
            set(&key, "One");
            assert_eq!(first.join(), ["One"]);
            assert!(!second.is_finished());
            set(&key, "Two");
            assert_eq!(second.join(), ["Two"]);
        });
        assert_eq!(now(&watcher), []);
    });
}

#[test]
fn a_reader_whose_buffer_is_too_small_does_not_stand_in_the_way_of_the_next() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        thread::scope(|scope| {
            let small = Interruptible::start(scope, || errno(events(&watcher, 5)));
            small.waits();
            let next = Interruptible::start(scope, || names(events(&watcher, ROOM)));
            next.waits();
            set(&key, "One");
            assert_eq!(small.join(), Some(EINVAL));
            assert_eq!(next.join(), ["One"]);
        });
    });
}

#[test]
fn a_reader_that_a_signal_interrupts_has_lost_nothing() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        thread::scope(|scope| {
            let first = Interruptible::start(scope, || errno(events(&watcher, ROOM)));
            first.waits();
            let second = Interruptible::start(scope, || names(events(&watcher, ROOM)));
            second.waits();
            assert_eq!(first.ends(), Some(EINTR));
            set(&key, "One");
            assert_eq!(second.join(), ["One"]);
        });
        thread::scope(|scope| {
            let reader = Interruptible::start(scope, || errno(events(&watcher, ROOM)));
            reader.waits();
            assert_eq!(reader.ends(), Some(EINTR));
        });
        set(&key, "Two");
        assert_eq!(names(events(&watcher, ROOM)), ["Two"]);
    });
}

#[test]
fn waiting_for_events_takes_as_long_as_it_takes() {
    session_in(lcs, |_| {
        let key = serve();
        let settings = open(&root(), r"Machine\System\Registry", Access::SET_VALUE);
        let (settings, dword) = (settings.expect("the settings"), ValueType::Dword);
        let second = 1000_u32.to_le_bytes();
        handles::set(&settings, None, "RequestTimeoutMs", dword, &second).expect("a setting");
        Puppet::in_service(&["Stuck"]).serve(|_, _| Decision::Silence);
        let watcher = watcher();
        thread::scope(|scope| {
            let reader = Interruptible::start(scope, || names(events(&watcher, ROOM)));
            reader.waits();
            // Two that wait for a source, one after the other, lose patience meanwhile.
            for _ in 0..2 {
                let stuck = open(&root(), r"Stuck\Key", Access::KEY_READ);
                assert_eq!(errno(stuck), Some(ETIMEDOUT));
            }
            assert!(!reader.is_finished());
            set(&key, "One");
            assert_eq!(reader.join(), ["One"]);
        });
    });
}

#[test]
fn whoever_waits_on_a_handle_that_is_disarmed_or_closed_waits_no_more() {
    session_in(lcs, |_| {
        serve();
        let disarmed = watcher();
        let closed = watcher();
        thread::scope(|scope| {
            let reader = Interruptible::start(scope, || errno(events(&disarmed, ROOM)));
            reader.waits();
            watch(&disarmed, 0, false).expect("a disarmed watch");
            assert_eq!(reader.join(), Some(EISDIR));

            let raw = closed.raw();
            let reader =
                Interruptible::start(scope, move || libredox::call::read(raw, &mut [0; 64]));
            reader.waits();
            closed.close().expect("a close");
            assert!(reader.join().is_err());
        });
    });
}

#[test]
fn reading_what_is_not_watched_is_an_error() {
    session_in(lcs, |_| {
        let key = serve();
        assert_eq!(errno(events(&key, ROOM)), Some(EISDIR));
        assert_eq!(errno(events(&root(), ROOM)), Some(EISDIR));
        let cannot_watch = open(&root(), r"Machine\Key", Access::QUERY_VALUE).expect("the key");
        assert_eq!(errno(watch(&cannot_watch, NOTIFY_ALL, false)), Some(EACCES));
        assert_eq!(errno(watch(&key, 1 << 20, false)), Some(EINVAL));
        assert_eq!(errno(watch(&root(), NOTIFY_ALL, false)), Some(EBADF));
        // What waits when it is disarmed is forgotten.
        watch(&key, NOTIFY_ALL, false).expect("a watch");
        set(&key, "One");
        watch(&key, 0, false).expect("a disarmed watch");
        assert_eq!(errno(events(&key, ROOM)), Some(EISDIR));
    });
}

#[test]
fn a_watcher_that_never_reads_or_dies_while_it_waits_leaves_nothing_behind() {
    const WATCHER: &str = "WATCHES_TEST_WATCHER";
    session_in(lcs, |_| {
        if std::env::var_os(WATCHER).is_some() {
            let _never_read = watcher();
            let waits = watcher();
            loop {
                events(&waits, ROOM).expect("events");
            }
        }
        let key = serve();
        let handles = || status(&root()).expect("a status").details.expect("all").handles;
        let before = handles();
        let mut watcher = Command::new(std::env::current_exe().expect("this program"));
        watcher.args(std::env::args().skip(1)).env(WATCHER, "1").stdout(Stdio::null());
        let mut watcher = Process::spawn(&mut watcher);
        eventually("its handles", || (handles() == before + 2).then_some(()));
        for _ in 0..1000 {
            set(&key, "Value");
        }
        watcher.kill();
        eventually("no handles of it", || (handles() == before).then_some(()));
        set(&key, "Value");
    });
}

#[test]
fn what_was_dropped_from_a_full_queue_is_told_once_and_first() {
    session_in(lcs, |_| {
        let key = serve();
        let watcher = watcher();
        for _ in 0..300 {
            set(&key, "Value");
        }
        let there = now(&watcher);
        let overflows = there.iter().filter(|(kind, _)| *kind == EventKind::Overflow).count();
        assert_eq!((overflows, there[0].0), (1, EventKind::Overflow));
        assert!((200..=257).contains(&there.len()), "{}", there.len());
        set(&key, "After");
        assert_eq!(now(&watcher), [(EventKind::ValueSet, "After".to_owned())]);
    });
}

#[test]
fn when_loregd_is_back_every_watcher_is_told_that_something_may_have_happened() {
    session_in(lcs, |_| {
        let mut loregd = daemons::loregd(&[]);
        let key = self::key();
        let [here, user] = [watcher(), create(&root(), r"CurrentUser\Key").expect("a key")];
        watch(&user, NOTIFY_VALUE, false).expect("a watch");
        set(&key, "Before");
        loregd.kill();
        thread::scope(|scope| {
            assert_eq!(names(events(&here, ROOM)), ["Before"]);
            let reader = Interruptible::start(scope, || events(&here, ROOM).expect("events"));
            reader.waits();
            let _loregd = daemons::loregd(&[]);
            let told = reader.join();
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].kind, EventKind::Overflow.code());
            assert_eq!(now(&user), [(EventKind::Overflow, String::new())]);
            // The same handles go on.
            set(&key, "After");
            assert_eq!(now(&here), [(EventKind::ValueSet, "After".to_owned())]);
        });
    });
}
