//! Sources that are slow, die, come back, or break the protocol; LCS and its clients as real processes.

use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use hosted as _;
use lcs_abi::Guid;
use lcs_abi::rsi::{Answer, FromSource, Refusal, Request, RequestHeader};
use libredox::errno::{EINVAL, EIO, ETIMEDOUT};
use libreg::{Access, CreateKey, Key, Registry, SetValue, ValueType};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};
use syscall::schemev2::Opcode;

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

fn set(key: &Key, name: &str, number: u32) -> Result<(), libreg::Error> {
    let (dword, data) = (ValueType::Dword.code(), number.to_le_bytes());
    key.set_value(name, dword, &data, &SetValue::default()).map(drop)
}

fn errno<T>(result: Result<T, libreg::Error>) -> Option<i32> {
    result.err().expect("an error").errno()
}

fn good(_: RequestHeader, _: &Request) -> Decision {
    Decision::Answer
}

/// LCS's shortest patience with a source, so that a test need not wait long.
fn shortest_timeout() {
    let settings = registry().open_key(r"Machine\System\Registry", Access::KEY_WRITE).unwrap();
    set(&settings, "RequestTimeoutMs", 1000).unwrap();
}

#[test]
fn a_client_reads_what_it_wrote_through_a_source() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        let key = create(r"Machine\Fruit");
        set(&key, "Apples", 3).unwrap();
        assert_eq!(key.value("apples").unwrap().data, 3_u32.to_le_bytes());
        let names: Vec<_> = key.values().map(|value| value.unwrap().name).collect();
        assert_eq!(names, ["Apples"]);
    });
}

#[test]
fn a_source_that_answers_nothing_makes_only_its_own_callers_wait() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        shortest_timeout();
        let (asked, was_asked) = mpsc::channel();
        let _stuck = Puppet::in_service(&["Stuck"]).serve(silent(asked));
        let stuck = thread::spawn(|| {
            let started = Instant::now();
            let opened = registry().open_key(r"Stuck\Nothing", Access::KEY_READ);
            (errno(opened), started.elapsed())
        });
        was_asked.recv().unwrap();
        // The other hive answers while that caller waits.
        let key = create(r"Machine\Meanwhile");
        for number in 0..50 {
            set(&key, "Number", number).unwrap();
        }
        assert!(!stuck.is_finished());
        let (outcome, waited) = stuck.join().unwrap();
        assert_eq!(outcome, Some(ETIMEDOUT));
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
    });
}

/// Says nothing, and tells the test what it was asked.
fn silent(asked: Sender<Request>) -> impl FnMut(RequestHeader, &Request) -> Decision {
    move |_, request| {
        // The test may have heard enough.
        let _ = asked.send(request.clone());
        Decision::Silence
    }
}

#[test]
fn two_thousand_waiting_threads_do_not_starve_a_third_client() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        let (asked, was_asked) = mpsc::channel();
        let stuck = Puppet::in_service(&["Stuck"]);
        let connection = stuck.descriptor();
        let stuck = stuck.serve(silent(asked));
        let waiting: Vec<_> = (0..2)
            .flat_map(|_| {
                let client = Arc::new(registry());
                (0..1000).map(move |_| {
                    let client = Arc::clone(&client);
                    thread::Builder::new()
                        .stack_size(128 << 10)
                        .spawn(move || errno(client.open_key(r"Stuck\Nothing", Access::KEY_READ)))
                        .expect("a thread")
                })
            })
            .collect();
        // As many as LCS sends at once are there, so all others wait or are about to.
        for _ in 0..256 {
            was_asked.recv().unwrap();
        }
        let key = create(r"Machine\Third");
        for number in 0..200 {
            set(&key, "Number", number).unwrap();
            assert_eq!(key.value("Number").unwrap().data, number.to_le_bytes());
        }
        assert!(waiting.iter().all(|thread| !thread.is_finished()));
        // The source goes: nobody hangs.
        assert!(libredox::call::write(connection, b"no frame").is_err());
        stuck.join().unwrap();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Some(EIO));
        }
    });
}

#[test]
fn a_source_that_comes_back_serves_the_same_handles() {
    session_in(lcs, |_| {
        let (stop, stopped) = mpsc::channel::<()>();
        let machine = Puppet::in_service(&["Machine"]).serve(move |_, request| match request {
            Request::QueryValue { name, .. } if name == "stop" => {
                stop.send(()).unwrap();
                Decision::Stop
            }
            _ => Decision::Answer,
        });
        let key = create(r"Machine\Key");
        set(&key, "Number", 7).unwrap();
        assert_eq!(errno(key.value("stop")), Some(EIO));
        stopped.recv().unwrap();
        let hives = machine.join().unwrap();
        assert_eq!(errno(key.value("Number")), Some(EIO));
        assert_eq!(errno(set(&key, "Number", 8)), Some(EIO));

        let mut machine = Puppet::connect_with(&["Machine"], hives);
        machine.claim().unwrap();
        machine.register().unwrap();
        let _machine = machine.serve(good);
        assert_eq!(key.value("Number").unwrap().data, 7_u32.to_le_bytes());
        set(&key, "Number", 9).unwrap();
        assert_eq!(key.value("Number").unwrap().data, 9_u32.to_le_bytes());
    });
}

#[test]
fn a_source_cannot_take_another_ones_hive_or_come_back_as_another() {
    session_in(lcs, |_| {
        let machine = Puppet::in_service(&["Machine", "Users"]);
        let claim = |names: &[&str]| Puppet::connect(names).claim();
        assert_eq!(claim(&["machine"]), Err(Refusal::AlreadyExists));
        assert_eq!(claim(&["CurrentUser"]), Err(Refusal::Invalid));
        assert_eq!(claim(&["a\\b"]), Err(Refusal::Invalid));
        drop(machine);
        assert_eq!(claim(&["Machine"]), Err(Refusal::AlreadyExists));
        let mut other = Puppet::connect(&["Machine", "Users"]);
        other.claim().unwrap();
        assert_eq!(other.register(), Err(Refusal::Stale));
    });
}

#[test]
fn a_protocol_error_ends_the_connection_and_nothing_else() {
    session_in(lcs, |_| {
        let users = Puppet::in_service(&["Users"]).serve(good);
        let unknown_id = |header: RequestHeader| {
            let id = header.id + 1000;
            Decision::Instead(vec![FromSource::Answer { id, result: Ok(Answer::Done) }])
        };
        let twice = |header: RequestHeader| {
            let orphans = Answer::Entries { entries: vec![], keys: vec![], more: false };
            let answer = FromSource::Answer { id: header.id, result: Ok(orphans) };
            Decision::Instead(vec![answer.clone(), answer])
        };
        let wrong_kind = |header: RequestHeader| {
            let answer = FromSource::Answer { id: header.id, result: Ok(Answer::Done) };
            Decision::Instead(vec![answer])
        };
        let too_long = |_: RequestHeader| Decision::Bytes(vec![255; 64]);
        let cut_off = |_: RequestHeader| Decision::Bytes(vec![9, 0, 0, 0, 1]);
        let rubbish = |_: RequestHeader| Decision::Bytes(vec![3, 0, 0, 0, 99, 99, 99]);
        let out_of_place = |_: RequestHeader| {
            Decision::Instead(vec![FromSource::Register {
                hives: vec![],
                assigns_sequences: false,
                recovered: Vec::new(),
            }])
        };
        type ProtocolError = fn(RequestHeader) -> Decision;
        let errors: [(&str, ProtocolError); 7] = [
            ("unknown id", unknown_id),
            ("answered twice", twice),
            ("wrong kind", wrong_kind),
            ("too long a frame", too_long),
            ("part of a frame", cut_off),
            ("rubbish", rubbish),
            ("out of place", out_of_place),
        ];
        let healthy = create(r"Users\Healthy");
        for (what, error) in errors {
            let hive = what.replace(' ', "");
            let puppet = Puppet::in_service(&[&hive]).serve(move |header, _| error(header));
            let opened = registry().open_key(&format!(r"{hive}\x"), Access::KEY_READ);
            let outcome = errno(opened);
            assert!(matches!(outcome, Some(EIO | libredox::errno::ENOENT)), "{what}: {outcome:?}");
            // Its thread ends because LCS tore the connection down, and the hive is out of service.
            puppet.join().unwrap();
            assert_eq!(
                errno(registry().open_key(&hive, Access::KEY_READ)),
                Some(EIO),
                "{what}: the hive still answers"
            );
            set(&healthy, "Number", 1).unwrap();
        }
        drop(users);
    });
}

#[test]
fn a_late_success_has_its_effect() {
    session_in(lcs, |_| {
        let machine = Puppet::in_service(&["Machine"]).serve(good);
        shortest_timeout();
        let (release, released) = mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let slow = Puppet::in_service(&["Slow"]).serve(move |_, request| {
            if let Request::Apply { .. } = request {
                released.lock().unwrap().recv().unwrap();
            }
            Decision::Answer
        });
        // The key's creation is a step too.
        release.send(()).unwrap();
        let key = create(r"Slow\Key");
        let generation = || key.info().unwrap().details.unwrap().generation;
        let before = generation();
        assert_eq!(errno(set(&key, "Number", 5)), Some(ETIMEDOUT));
        release.send(()).unwrap();
        assert_eq!(key.value("Number").unwrap().data, 5_u32.to_le_bytes());
        assert_eq!(generation(), before + 1);
        let details = registry().status().unwrap().details.unwrap();
        let late: u64 = details.sources.iter().map(|source| source.late_answers).sum();
        assert_eq!(late, 1);
        drop((machine, slow));
    });
}

#[test]
fn requests_that_no_well_behaved_client_makes_are_answered() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        let root = libredox::Fd::open("/scheme/reg", libredox::flag::O_CLOEXEC, 0).unwrap();
        // What makes handles, moves descriptors, or wants no answer is left out.
        let left_out = [11, 12, 21, 24, 25, 27, 29, 31];
        // What can be done with a directory, which the root is, too.
        let of_directories = [
            Opcode::Fsize,
            Opcode::Fchown,
            Opcode::Fpath,
            Opcode::Fstat,
            Opcode::Fstatvfs,
            Opcode::Fsync,
            Opcode::Futimens,
            Opcode::Getdents,
        ];
        let of_directories = of_directories.map(|opcode| opcode as u8);
        for opcode in (5..=33).filter(|opcode| !left_out.contains(opcode)) {
            for length in [0, 1, 7, 63, 64, 200] {
                let mut payload = vec![0xFF; length];
                let answer = hosted::raw_request(root.raw(), opcode, [0, 0, 0], &mut payload);
                let may_be_done = of_directories.contains(&opcode);
                assert!(answer.is_err() || may_be_done, "{opcode}, {length} bytes: {answer:?}");
            }
        }
        let mut payload = [0xFF; 200];
        for op in 0..=30 {
            for version in [0, 1, 2] {
                // Whatever comes of it, it comes.
                let _ = root.call_rw(&mut payload, syscall::CallFlags::empty(), &[op, version]);
                payload = [0xFF; 200];
            }
        }
        for length in 0..64 {
            let result = root.dup(&vec![0xFF; length]);
            assert!(length == 0 || result == Err(libredox::error::Error::new(EINVAL)));
        }
        let key = create(r"Machine\StillThere");
        set(&key, "Number", 1).unwrap();
    });
}

#[test]
fn the_death_of_lcs_is_an_error_for_its_clients_and_its_name_can_be_taken() {
    session_in(
        |root| {
            let mut first = lcs(root);
            first.kill();
            // The dead one's names are still there; its successor takes them.
            let mut second = lcs(root);
            let mut third = root.command("lcs-scheme");
            let mut third = Process::spawn(&mut third);
            let status = third.wait(registry_tests::harness::PATIENCE).expect("a third LCS ends");
            assert!(!status.success());
            assert!(second.wait(Duration::ZERO).is_none());
            second
        },
        |session| {
            let (asked, was_asked) = mpsc::channel();
            let _stuck = Puppet::in_service(&["Stuck"]).serve(silent(asked));
            let barrier = Arc::new(Barrier::new(2));
            let waiting = {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    let registry = registry();
                    barrier.wait();
                    errno(registry.open_key(r"Stuck\Nothing", Access::KEY_READ))
                })
            };
            barrier.wait();
            was_asked.recv().unwrap();
            let lcs = rustix::process::Pid::from_raw(session.daemon as i32).unwrap();
            rustix::process::kill_process(lcs, rustix::process::Signal::KILL).unwrap();
            let error = waiting.join().unwrap();
            assert!(
                matches!(error, Some(EIO | libredox::errno::ENODEV)),
                "a caller in mid-call got {error:?}"
            );
            assert_eq!(errno(Registry::open().map(drop)), Some(libredox::errno::ENODEV));
        },
    );
}

#[test]
fn guids_of_new_keys_are_version_4_and_never_the_same() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        let guid = |name: &str| create(&format!(r"Machine\{name}")).info().unwrap().details;
        let guids: Vec<Guid> = (0..20).map(|n| guid(&n.to_string()).unwrap().guid).collect();
        for (index, guid) in guids.iter().enumerate() {
            assert_eq!((guid.0[6] >> 4, guid.0[8] >> 6), (4, 2));
            assert!(!guids[..index].contains(guid));
        }
    });
}

#[test]
fn what_was_opened_for_a_client_that_died_is_closed() {
    session_in(lcs, |_| {
        let (asked, was_asked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let slow = Puppet::in_service(&["Slow"]).serve(move |_, _| {
            asked.send(()).unwrap();
            released.recv().unwrap();
            Decision::Answer
        });
        let status = registry();
        let handles = || status.status().unwrap().details.unwrap().handles;
        let before = handles();
        let mut client = Command::new(binary("regtool"));
        let mut client = Process::spawn(client.args(["check", "Slow"]));
        was_asked.recv().unwrap();
        client.kill();
        // The answer comes, but nobody is there any more to take the handle.
        release.send(()).unwrap();
        eventually("the handles' return", || (handles() == before).then_some(()));
        drop(slow);
    });
}

#[test]
fn who_waits_behind_a_stuck_change_is_told_in_time_and_nothing_is_done_for_him_later() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        shortest_timeout();
        let (stuck, is_stuck) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let mut steps = 0;
        let _slow = Puppet::in_service(&["Slow"]).serve(move |_, request| {
            if let Request::Apply { .. } = request {
                steps += 1;
                stuck.send(steps).unwrap();
                released.recv().unwrap();
            }
            Decision::Answer
        });
        let create = || {
            let (all, how) = (Access::KEY_ALL_ACCESS, CreateKey::default());
            errno(registry().create_key(r"Slow\Key", all, &how))
        };
        let first = thread::spawn(create);
        assert_eq!(is_stuck.recv().unwrap(), 1);
        // The second one waits for the name that the first one is making; no source is asked for it.
        let started = Instant::now();
        let second = thread::spawn(create);
        assert_eq!(first.join().unwrap(), Some(ETIMEDOUT));
        assert_eq!(second.join().unwrap(), Some(ETIMEDOUT));
        assert!(started.elapsed() < Duration::from_secs(20));
        release.send(()).unwrap();
        // The first one's key is made after all, once.
        let key = eventually("the key", || registry().open_key(r"Slow\Key", Access::KEY_READ).ok());
        assert!(key.info().unwrap().details.is_some());
        drop(release);
        assert!(is_stuck.try_recv().is_err(), "a second step was made");
    });
}

/// A source that stops when a value of this name is asked for.
fn stops_at_stop(_: RequestHeader, request: &Request) -> Decision {
    match request {
        Request::QueryValue { name, .. } if name == "stop" => Decision::Stop,
        _ => Decision::Answer,
    }
}

#[test]
fn each_of_two_sources_dies_and_comes_back_alone() {
    session_in(lcs, |_| {
        let names = ["Machine", "Other"];
        let serve = |puppet: Puppet| puppet.serve(stops_at_stop);
        let mut served = names.map(|name| Some(serve(Puppet::in_service(&[name]))));
        let keys = names.map(|name| create(&format!(r"{name}\Key")));
        for (dies, lives) in [(0, 1), (1, 0)] {
            assert_eq!(errno(keys[dies].value("stop")), Some(EIO));
            let hives = served[dies].take().unwrap().join().unwrap();
            assert_eq!(errno(set(&keys[dies], "Number", 1)), Some(EIO));
            set(&keys[lives], "Number", 2).unwrap();
            let mut wrong = Puppet::connect(&[names[dies]]);
            wrong.claim().unwrap();
            assert_eq!(wrong.register(), Err(Refusal::Stale));
            set(&keys[lives], "Number", 3).unwrap();
            let mut back = Puppet::connect_with(&[names[dies]], hives);
            back.claim().unwrap();
            back.register().unwrap();
            served[dies] = Some(serve(back));
            set(&keys[dies], "Number", 4).unwrap();
        }
    });
}

#[test]
fn a_source_that_gives_its_hives_up_in_service_frees_their_names() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(good);
        let (asked, was_asked) = mpsc::channel();
        let brief = Puppet::in_service(&["Brief"]).serve(move |_, request| match request {
            Request::QueryValue { .. } => {
                asked.send(()).unwrap();
                Decision::Instead(vec![FromSource::Unregister])
            }
            _ => Decision::Answer,
        });
        let key = create(r"Brief\Key");
        assert_eq!(errno(key.value("v")), Some(EIO));
        was_asked.recv().unwrap();
        brief.join().unwrap();
        let opened = registry().open_key("Brief", Access::KEY_READ);
        assert_eq!(errno(opened), Some(libredox::errno::ENOENT));
        assert!(matches!(errno(set(&key, "Number", 1)), Some(EIO | libredox::errno::ENOENT)));
        // Another source may have the name, with another root; the old handle is not its.
        let _new = Puppet::in_service(&["Brief"]).serve(good);
        set(&create(r"Brief\Key"), "Number", 2).unwrap();
        assert!(matches!(errno(key.value("Number")), Some(EIO | libredox::errno::ENOENT)));
    });
}
