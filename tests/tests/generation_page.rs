//! The generation page (DESIGN §15): what is given again without asking is what asking would give.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hosted as _;
use lcs_abi::call::{GENERATION_PAGE, GUARD_MS, Guarded, Op, QueryValue, QueryValueAnswer};
use libredox::Fd;
use libredox::call::{MmapArgs, mmap, munmap};
use libredox::errno::{EACCES, EINVAL, EIO, ENODEV, ENOENT, EOPNOTSUPP, ETIMEDOUT};
use libredox::flag::{MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE};
use libreg::{Access, Key, Registry, SetValue, ValueType};
use registry_tests::daemons::{self, kill, loregd, root_directory};
use registry_tests::dice::{Dice, setting};
use registry_tests::eventually::{eventually, pause};
use registry_tests::handles;
use registry_tests::harness::{PATIENCE, Process, Root, binary, session_in};
use registry_tests::registry::{call, create, registry};
use rustix::process::{Pid, Signal, kill_process};

const PATH: &str = r"Machine\Page";

fn set(key: &Key, name: &str, number: u64) -> Result<(), libreg::Error> {
    let (qword, data) = (ValueType::Qword.code(), number.to_le_bytes());
    key.set_value(name, qword, &data, &SetValue::default()).map(drop)
}

fn number(key: &Key, name: &str) -> u64 {
    let data = key.value(name).unwrap_or_else(|error| panic!("{name}: {error}")).data;
    u64::from_le_bytes(data.try_into().expect("eight bytes"))
}

fn map(handle: &Fd, length: usize, prot: u32, flags: u32, offset: u64) -> Result<*mut (), i32> {
    let addr = std::ptr::null_mut();
    let wanted = MmapArgs { addr, length, prot, flags, fd: handle.raw(), offset };
    // SAFETY: a new mapping touches nothing that exists.
    unsafe { mmap(wanted) }.map_err(|error| error.errno())
}

#[test]
fn a_root_shows_its_page_to_be_read_and_in_no_other_way() {
    session_in(Root::lcs, |_| {
        let _source = loregd(&[]);
        let root = handles::root();
        let page = |length, prot, flags, offset| map(&root, length, prot, flags, offset);
        for (length, prot, flags, offset) in [
            (GENERATION_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0),
            (GENERATION_PAGE, PROT_WRITE, MAP_SHARED, 0),
            (GENERATION_PAGE, PROT_READ, MAP_PRIVATE, 0),
            (GENERATION_PAGE + 1, PROT_READ, MAP_SHARED, 0),
            (GENERATION_PAGE, PROT_READ, MAP_SHARED, GENERATION_PAGE as u64),
        ] {
            assert_eq!(page(length, prot, flags, offset), Err(EINVAL));
        }
        let key = handles::create(&root, PATH).expect("a key");
        assert_eq!(map(&key, GENERATION_PAGE, PROT_READ, MAP_SHARED, 0), Err(EOPNOTSUPP));
        let mapped = page(GENERATION_PAGE, PROT_READ, MAP_SHARED, 0).expect("the page");
        // SAFETY: the mapping is ours, and may not be made writable.
        let made_writable = unsafe {
            libc::mprotect(mapped.cast(), GENERATION_PAGE, libc::PROT_READ | libc::PROT_WRITE)
        };
        let errno = std::io::Error::last_os_error().raw_os_error();
        assert_eq!((made_writable, errno), (-1, Some(EACCES)));

        let ask = || -> Guarded<QueryValueAnswer> {
            let request = QueryValue { name: "Name".to_owned() };
            call(&key, Op::QueryValue, &request, &[]).expect("the value")
        };
        handles::set(&key, None, "Name", ValueType::Sz, b"one").expect("a write");
        let guard = ask().guard.expect("nothing is on its way");
        let word = || {
            // SAFETY: the mapping has so many words and is there. LCS writes them.
            unsafe { mapped.cast::<u64>().add(guard.slot as usize).read_volatile() }
        };
        assert_ne!(guard.slot, 0, "Machine has a word of its own");
        assert_eq!(word(), guard.generation);
        assert_eq!(ask().guard, Some(guard), "a read steps nothing");
        handles::set(&key, None, "Other", ValueType::Sz, b"two").expect("a write");
        assert_ne!(word(), guard.generation);
        // SAFETY: nobody uses it any more.
        unsafe { munmap(mapped, GENERATION_PAGE) }.expect("the mapping");
    });
}

/// Stops a process, or has it go on.
fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).expect("a process")).expect("a process");
    kill_process(pid, signal).expect("a signal");
}

#[test]
fn what_was_told_is_told_again_without_lcs_for_a_second_and_not_longer() {
    session_in(Root::lcs, |session| {
        let _source = loregd(&[]);
        let key = create(PATH);
        set(&key, "Name", 1).expect("a write");
        // Told, and told again: the page is mapped.
        assert_eq!([number(&key, "Name"), number(&key, "Name")], [1, 1]);
        let info = key.info().expect("what the key is");
        assert_eq!(number(&key, "Name"), 1);
        let confirmed = Instant::now();
        signal(session.daemon, Signal::STOP);
        let mut given = 0;
        let (sender, asked) = mpsc::channel();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                loop {
                    let before = Instant::now();
                    assert_eq!(number(&key, "Name"), 1);
                    if before.elapsed() > Duration::from_millis(GUARD_MS / 2) {
                        // It waited for LCS.
                        return before;
                    }
                    let _ = sender.send(before);
                    pause(Duration::from_millis(1));
                }
            });
            // It asks when the second is over, and nothing else does.
            while let Ok(last) = asked.recv_timeout(Duration::from_millis(GUARD_MS)) {
                given += 1;
                assert!(last - confirmed < Duration::from_millis(2 * GUARD_MS), "given too long");
            }
            signal(session.daemon, Signal::CONT);
            let waited_from = reader.join().expect("a reader");
            assert!(waited_from.elapsed() > Duration::from_millis(GUARD_MS / 2));
        });
        assert!(given > 0, "nothing was given while LCS stood still");
        assert_eq!(key.info().expect("what the key is"), info);
        set(&key, "Name", 2).expect("a write");
        assert_eq!(number(&key, "Name"), 2);
        assert_ne!(key.info().expect("what the key is"), info);
    });
}

#[test]
fn whoever_wants_to_ask_each_time_does() {
    session_in(Root::lcs, |_| {
        let _source = loregd(&[]);
        set(&create(PATH), "Name", 1).expect("a write");
        let hits = || registry().status().expect("a status").details.expect("all").cache.hits;
        let read = |keep| {
            let registry = registry();
            registry.keep_answers(keep);
            let key = registry.open_key(PATH, Access::KEY_READ).expect("the key");
            let before = hits();
            (0..100).for_each(|_| assert_eq!(number(&key, "Name"), 1));
            hits() - before
        };
        // The first one is asked of the source.
        assert!(read(false) >= 99);
        assert!(read(true) < 50);
    });
}

#[test]
fn a_new_lcs_acknowledges_nothing_in_its_first_second_and_answers_reads() {
    session_in(Root::lcs, |_| {
        let mut source = loregd(&[]);
        let old = create(PATH);
        set(&old, "Name", 1).expect("a write");
        assert_eq!([number(&old, "Name"), number(&old, "Name")], [1, 1]);
        kill("lcs-scheme");
        source.wait(PATIENCE).expect("loregd ends without LCS");
        let started = Instant::now();
        let _lcs = daemons::lcs();
        let _source = loregd(&[]);
        let key = create(PATH);
        assert_eq!(number(&key, "Name"), 1);
        let read = started.elapsed();
        set(&key, "Name", 2).expect("a write");
        let written = started.elapsed();
        let second = Duration::from_millis(GUARD_MS);
        assert!(written >= second, "acknowledged after {written:?}");
        // On a machine that is so slow that reading took a second, too, this says nothing.
        assert!(read < written);
        let error = old.value("Name").expect_err("its LCS is gone, and it knows by now");
        assert_eq!(error.errno(), Some(ENODEV));
    });
}

/// How many values there are, each with a writer of its own.
const NAMES: u64 = 4;
/// How many processes read.
const READERS: u64 = 3;

/// Writes greater and greater numbers into a value until it is told to end, and says what was acknowledged in the file
/// that readers look at.
fn write_on(name: u64, seen: &File, end: &mpsc::Receiver<()>) -> u64 {
    let (text, mut key, mut written) = (name.to_string(), create(PATH), 0);
    for next in 1.. {
        match set(&key, &text, next) {
            Ok(()) => {
                seen.write_all_at(&next.to_le_bytes(), name * 8).expect("the file");
                written += 1;
            }
            Err(error) => match error.errno() {
                Some(EIO | ETIMEDOUT) => pause(Duration::from_millis(1)),
                Some(ENODEV) => key = eventually("the key", || reopen().ok()),
                _ => panic!("{error}"),
            },
        }
        if end.try_recv().is_ok() {
            break;
        }
        // Readers are to find it unchanged now and then.
        pause(Duration::from_micros(next.wrapping_mul(97) % 2000));
    }
    written
}

fn reopen() -> Result<Key, libreg::Error> {
    let key = Registry::open()?.open_key(PATH, Access::KEY_ALL_ACCESS);
    key.inspect_err(|error| {
        let errno = error.errno();
        assert!(matches!(errno, Some(EIO | ENODEV | ENOENT | ETIMEDOUT)), "{error}");
    })
}

fn reader(own: u64, seen: &Path) -> Process {
    let [names, own, readers] = [NAMES, own, READERS].map(|number| number.to_string());
    let mut command = Command::new(binary("value-reader"));
    command.args(["newest", PATH, &names]).arg(seen).args([&own, &readers]);
    Process::spawn(command.stdin(Stdio::piped()))
}

#[test]
fn no_reader_sees_what_is_older_than_what_was_acknowledged_or_seen_before() {
    session_in(
        |root| root.daemon("lcs-scheme", &["--supervise"]),
        |_| {
            let _source = loregd(&["--supervise"]);
            let (rounds, mut dice) = (setting("ROUNDS").unwrap_or(12), Dice::new());
            let key = create(PATH);
            (0..NAMES).for_each(|name| set(&key, &name.to_string(), 0).expect("a write"));
            let path = root_directory().join("seen");
            std::fs::write(&path, vec![0; (NAMES * (1 + READERS) * 8) as usize]).expect("a file");
            let seen = File::options().write(true).open(&path).expect("the file");
            let mut readers: Vec<Process> = (1..=READERS).map(|own| reader(own, &path)).collect();
            thread::scope(|scope| {
                let writers: Vec<_> = (0..NAMES)
                    .map(|name| {
                        let (end, ended) = mpsc::channel();
                        let seen = &seen;
                        (end, scope.spawn(move || write_on(name, seen, &ended)))
                    })
                    .collect();
                for round in 0..rounds {
                    pause(Duration::from_millis(100 + dice.below(800)));
                    match round % 4 {
                        1 => kill("loregd"),
                        3 => kill("lcs-scheme"),
                        _ => {}
                    }
                }
                for (end, writer) in writers {
                    end.send(()).expect("a writer");
                    assert!(writer.join().expect("a writer") > 10, "nearly nothing was written");
                }
            });
            readers.iter_mut().for_each(|reader| {
                drop(reader.input());
                reader.succeed();
            });
        },
    );
}
