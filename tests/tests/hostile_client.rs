//! Users that take all they can get, and clients that break off everywhere: everybody else goes on, and when
//! they are gone LCS is as it was.

use std::env;
use std::io::{BufRead, BufReader, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{panic, thread};

use hosted as _;
use lcs_abi::call::Derive;
use lcs_abi::rsi::Request;
use lcs_abi::watch::{EventKind, NOTIFY_ALL};
use libredox::Fd;
use libredox::errno::{EBUSY, EISDIR, EMFILE, ENOSPC, ETIMEDOUT};
use libredox::flag::O_CLOEXEC;
use libreg::{Access, Error, Key, SetValue, ValueType};
use registry_tests::daemons::{loregd, root_directory};
use registry_tests::eventually::eventually;
use registry_tests::handles;
use registry_tests::harness::{Process, Root, bind, session_in};
use registry_tests::memory::{Memory, descriptors};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};
use registry_tests::users::{as_user, can_become_others};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    connect, sendmsg, socket_with,
};

const ALICE: u32 = 2_000_001;
const BOB: u32 = 2_000_002;

/// What each user may have queued in these tests, and how much LCS may grow for one who queues all that: a
/// request is held as bytes, as what they mean, and as a frame for the source.
const MAX_QUEUED: u32 = 4 << 20;
const MOST: u64 = 48 << 20;

fn put(key: &Key, name: &str, data: &[u8]) -> Result<u64, Error> {
    key.set_value(name, ValueType::Binary.code(), data, &SetValue::default())
}

fn errno<T>(result: Result<T, Error>) -> Option<i32> {
    result.err().and_then(|error| error.errno())
}

fn limit(name: &str, value: u32) {
    let settings = create(r"Machine\System\Registry");
    let dword = ValueType::Dword.code();
    settings.set_value(name, dword, &value.to_le_bytes(), &SetValue::default()).expect("a setting");
}

/// Reads and writes as everybody does, until it is over; gives the longest wait.
fn go_on(path: &str, over: &AtomicBool) -> Duration {
    let (mut number, mut longest) = (0_u32, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        number += 1;
        let key = create(path);
        put(&key, "v", &number.to_le_bytes()).expect("a write");
        assert_eq!(key.value("v").expect("a read").data, number.to_le_bytes());
        assert_eq!(registry().begin().map(drop).map_err(|error| error.errno()), Ok(()));
        longest = longest.max(started.elapsed());
    }
    longest
}

/// What one hostile client does, each in threads of its own, until it is killed or does not find what it must. It
/// says what it came up against.
fn take_all() -> ! {
    let key = as_user(ALICE, ALICE, || create("CurrentUser"));
    thread::scope(|scope| {
        for size in [[1 << 20; 16].as_slice(), &[60 << 20; 4]].concat() {
            let key = &key;
            scope.spawn(move || as_user(ALICE, ALICE, || flood(key, size)));
        }
        scope.spawn(|| as_user(ALICE, ALICE, queue_all));
        scope.spawn(|| as_user(ALICE, ALICE, send_pieces));
    });
    unreachable!("its threads do not end")
}

/// What the other one does. It must not be in the process of the first: a descriptor that was closed under a call
/// may by then be another one of its process.
fn close_under_calls() -> ! {
    as_user(ALICE, ALICE, || {
        let derive = Derive::OpenKey { path: "CurrentUser".into(), access: 1, flags: 0 };
        let derive = lcs_abi::encode(&derive);
        for number in 0_u32.. {
            // She may have no handle left.
            let Ok(root) = Fd::open("/scheme/reg", O_CLOEXEC, 0).map(Fd::into_raw) else {
                continue;
            };
            thread::scope(|scope| {
                // Whatever comes of it: the descriptor may be closed already, or another one.
                scope.spawn(|| libredox::call::dup(root, &derive).map(Fd::new));
                let _ = libredox::call::close(root);
            });
            if number == 1000 {
                println!("closed");
            }
        }
    });
    unreachable!("she does not end")
}

/// Writes what is large, and what is too large.
fn flood(key: &Key, size: usize) {
    let data = vec![1; size];
    for number in 0_u32.. {
        let written = put(key, &format!("{}", number % 4), &data);
        let too_large = size > 1 << 20;
        let expected = if too_large { Some(ENOSPC) } else { None };
        assert_eq!(written.err().and_then(|error| error.errno()), expected, "{size}");
        if number == 3 {
            println!("flooded");
        }
    }
}

/// Transactions, what is queued in them, and handles, as many as there are to be had.
fn queue_all() {
    let mut held = Vec::new();
    let refused = loop {
        match registry().begin() {
            Ok(transaction) => {
                let key = transaction.registry().open_key("CurrentUser", Access::KEY_ALL_ACCESS);
                held.push((key.expect("a key in a transaction"), transaction));
            }
            Err(error) => break error.errno(),
        }
    };
    assert_eq!(refused, Some(EBUSY));
    println!("no more transactions");
    let data = vec![1; 100_000];
    let mut written = (0..).map(|number: u32| put(&held[0].0, &number.to_string(), &data));
    let refused = written.find_map(errno);
    assert_eq!(refused, Some(ENOSPC));
    println!("no more in transactions");
    let (mut handles, root) = (Vec::new(), registry());
    let refused = loop {
        match root.open_key("CurrentUser", Access::QUERY_VALUE) {
            Ok(key) => handles.push(key),
            Err(error) => break error.errno(),
        }
    };
    assert_eq!(refused, Some(EMFILE));
    println!("no more handles");
    loop {
        // Another thread of hers may have closed one.
        handles.extend(root.open_key("CurrentUser", Access::QUERY_VALUE).ok());
        assert!(errno(put(&held[0].0, "more", &data)).is_some());
    }
}

/// Connections that say half of something, or rubbish, or nothing, and some that go.
fn send_pieces() {
    let mut connections = Vec::new();
    for number in 0_usize.. {
        let kind = SocketType::SEQPACKET;
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("a socket");
        let path = root_directory().join("scheme/reg");
        connect(&socket, &SocketAddrUnix::new(path).expect("a path")).expect("a connection");
        let mut request = [0; 64];
        request[..4].copy_from_slice(b"RxRq");
        request[4] = (number % 34) as u8;
        let length = number * 7 % 65;
        let _ = send(socket.as_fd(), &request[..length]);
        if connections.len() < 100 {
            connections.push(socket);
        } else {
            connections[number % 100] = socket;
        }
        if number == 200 {
            println!("pieces");
        }
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> rustix::io::Result<usize> {
    let mut none = SendAncillaryBuffer::default();
    sendmsg(socket, &[IoSlice::new(bytes)], &mut none, SendFlags::NOSIGNAL)
}

#[test]
fn a_client_that_takes_all_it_can_harms_only_itself_and_leaves_nothing_behind() {
    const CLIENT: &str = "HOSTILE_CLIENT";
    if !can_become_others() {
        return;
    }
    session_in(Root::lcs, |session| {
        if let Some(client) = env::var_os(CLIENT) {
            // Her other threads would go on.
            let tell = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                tell(panic);
                exit(1);
            }));
            if client == "takes" { take_all() } else { close_under_calls() }
        }
        let _loregd = loregd(&[]);
        limit("MaxHandlesPerUser", 200);
        limit("MaxTransactionsPerUser", 4);
        limit("MaxQueuedBytesPerUser", MAX_QUEUED);
        create(r"Machine\Software");
        for user in [ALICE, BOB] {
            as_user(user, user, || create("CurrentUser"));
        }
        let details = || registry().status().expect("a status").details.expect("all");
        let handles =
            eventually("rest", || (details().transactions == 0).then_some(details().handles));
        let (before, memory) = (descriptors(session.daemon), Memory::of(session.daemon));

        let clients = [
            (
                "takes",
                [
                    "no more transactions",
                    "no more in transactions",
                    "no more handles",
                    "flooded",
                    "pieces",
                ]
                .as_slice(),
            ),
            ("closes", &["closed"]),
        ];
        let mut clients = clients.map(|(client, wanted)| {
            let mut command = Command::new(env::current_exe().expect("this program"));
            command.args(env::args().skip(1)).env(CLIENT, client).stdout(Stdio::piped());
            (Process::spawn(bind(&mut command)), wanted.to_vec())
        });
        let over = AtomicBool::new(false);
        let longest = thread::scope(|scope| {
            let system = scope.spawn(|| go_on(r"Machine\Software", &over));
            let bob = scope.spawn(|| as_user(BOB, BOB, || go_on("CurrentUser", &over)));
            for (client, wanted) in &mut clients {
                for line in BufReader::new(client.output()).lines() {
                    // The first one stands behind the name of the test.
                    let line = line.expect("text");
                    wanted.retain(|wanted| !line.ends_with(*wanted));
                    if wanted.is_empty() {
                        break;
                    }
                }
            }
            over.store(true, Ordering::Relaxed);
            for (_, wanted) in &clients {
                assert!(wanted.is_empty(), "the client died before {wanted:?}");
            }
            [system, bob].map(|client| client.join().expect("another client"))
        });
        let during = Memory::of(session.daemon);
        for (client, _) in &mut clients {
            client.kill();
        }
        eventually("the handles' return", || (details().handles == handles).then_some(()));
        eventually("the transactions' end", || (details().transactions == 0).then_some(()));
        eventually("the descriptors' return", || {
            (descriptors(session.daemon) <= before).then_some(())
        });
        let after = Memory::of(session.daemon);
        eprintln!("waits {longest:?}; before {memory:?}, during {during:?}, after {after:?}");
        assert!(after.peak - memory.resident < MOST, "{memory:?}, {after:?}");
        assert!(longest.iter().all(|wait| *wait < Duration::from_secs(10)), "{longest:?}");
        as_user(ALICE, ALICE, || put(&create("CurrentUser"), "v", b"again")).expect("a write");
    });
}

#[test]
fn what_a_user_writes_to_a_source_that_is_stuck_waits_in_that_users_memory() {
    if !can_become_others() {
        return;
    }
    session_in(Root::lcs, |session| {
        Puppet::in_service(&["Machine", "Users"]).serve(|_, request| match request {
            Request::Apply { .. } if lcs_abi::encode(request).len() > 500_000 => Decision::Silence,
            _ => Decision::Answer,
        });
        limit("MaxQueuedBytesPerUser", MAX_QUEUED);
        limit("RequestTimeoutMs", 2000);
        let key = as_user(ALICE, ALICE, || create("CurrentUser"));
        let memory = Memory::of(session.daemon);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let bob = scope.spawn(|| as_user(BOB, BOB, || go_on("CurrentUser", &over)));
            let flood: Vec<_> = (0..150)
                .map(|_| {
                    scope.spawn(|| {
                        as_user(ALICE, ALICE, || errno(put(&key, "v", &vec![1; 1_000_000])))
                    })
                })
                .collect();
            for writer in flood {
                assert_eq!(writer.join().expect("a writer"), Some(ETIMEDOUT));
            }
            over.store(true, Ordering::Relaxed);
            bob.join().expect("another client");
        });
        let after = Memory::of(session.daemon);
        eprintln!("before {memory:?}, after {after:?}");
        assert!(after.peak - memory.resident < MOST, "{memory:?}, {after:?}");
    });
}

#[test]
fn events_that_nobody_reads_take_no_more_than_their_users_part() {
    if !can_become_others() {
        return;
    }
    session_in(Root::lcs, |session| {
        Puppet::in_service(&["Machine", "Users"]).serve(|_, _| Decision::Answer);
        limit("MaxQueuedBytesPerUser", MAX_QUEUED);
        let watchers = as_user(ALICE, ALICE, || {
            create(r"CurrentUser\Key");
            let watchers = (0..1000).map(|_| {
                let key = handles::open(&handles::root(), r"CurrentUser\Key", Access::NOTIFY);
                let key = key.expect("a key of one's own");
                handles::watch(&key, NOTIFY_ALL, false).expect("a watch");
                key
            });
            watchers.collect::<Vec<_>>()
        });
        let memory = Memory::of(session.daemon);
        as_user(ALICE, ALICE, || {
            let key = create(r"CurrentUser\Key");
            let name = "n".repeat(250);
            for number in 0..250 {
                put(&key, &format!("{name}{number}"), b"").expect("a write");
            }
        });
        let after = Memory::of(session.daemon);
        eprintln!("before {memory:?}, after {after:?}");
        assert!(after.peak - memory.resident < MOST, "{memory:?}, {after:?}");
        let kinds = handles::events(&watchers[999], 1 << 20).expect("events").into_iter();
        assert!(kinds.map(|event| event.kind).any(|kind| kind == EventKind::Overflow.code()));
    });
}

#[test]
fn those_who_wait_for_events_take_no_more_than_their_users_part_and_whoever_comes_then_is_told() {
    const ROOM: usize = 150 << 10;
    const READERS: usize = 60;
    let fit = MAX_QUEUED as usize / ROOM;
    if !can_become_others() {
        return;
    }
    session_in(Root::lcs, |_| {
        Puppet::in_service(&["Machine", "Users"]).serve(|_, _| Decision::Answer);
        limit("MaxQueuedBytesPerUser", MAX_QUEUED);
        let watcher = |user| {
            as_user(user, user, || {
                let key = handles::create(&handles::root(), r"CurrentUser\Key").expect("a key");
                handles::watch(&key, NOTIFY_ALL, false).expect("a watch");
                key
            })
        };
        let (hers, his) = (watcher(ALICE), watcher(BOB));
        let read = |key: &Fd, room| handles::events(key, room).map_err(|error| error.errno());
        for _ in 0..2 {
            thread::scope(|scope| {
                let (sender, refused) = mpsc::channel();
                for _ in 0..READERS {
                    let (sender, hers) = (sender.clone(), &hers);
                    scope.spawn(move || sender.send(read(hers, ROOM)).expect("a test"));
                }
                for _ in 0..READERS - fit {
                    assert_eq!(refused.recv().expect("an answer"), Err(ENOSPC));
                }
                // Who does not wait takes nothing, and others have their own part.
                handles::set(&his, None, "Value", ValueType::Sz, b"x").expect("a write");
                assert_eq!(read(&his, ROOM).expect("events").len(), 1);
                // None of them waits any more, and the next ones can.
                handles::watch(&hers, 0, false).expect("a disarmed watch");
                for _ in 0..fit {
                    assert_eq!(refused.recv().expect("an answer"), Err(EISDIR));
                }
            });
            handles::watch(&hers, NOTIFY_ALL, false).expect("a watch");
        }
    });
}
