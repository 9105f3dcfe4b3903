//! Disks that are full, read-only or broken under loregd: an error for who writes, a line in the log, reads
//! that go on, and writes that work again when the cause is gone, all in the same process.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};

use hosted as _;
use lcs_abi::rsi::{Answer, Request};
use libredox::errno::EIO;
use libreg::{Key, SetValue, ValueType};
use loregd::hive::Hive;
use loregd::store::RedbStore;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, binary, session_in, skipped};
use registry_tests::registry::create;
use registry_tests::users::can_replace_accounts;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

/// Large enough that few of them need a larger file.
const LARGE: usize = 200_000;

fn root_directory() -> PathBuf {
    env::var_os("REDOX_HOSTED").expect("a root").into()
}

fn data_directory() -> PathBuf {
    root_directory().join("var/lib/loregd")
}

/// loregd, a key in it, and what it has acknowledged.
struct Subject {
    loregd: Process,
    key: Arc<Key>,
    acknowledged: BTreeMap<String, Vec<u8>>,
}

impl Subject {
    fn new(command: &mut Command) -> Subject {
        let loregd = Process::spawn_ready(command);
        let key = Arc::new(create(r"Machine\Disk"));
        let mut subject = Subject { loregd, key, acknowledged: BTreeMap::new() };
        for number in 0..20 {
            subject.set(&format!("before-{number}"), 100 * number).expect("a write to a good disk");
        }
        subject
    }

    fn loregd() -> Command {
        let mut command = Command::new(binary("loregd"));
        command.arg("--data").arg(data_directory());
        command
    }

    /// loregd in a mount namespace of its own, where `prepare` has run; `$1` is the data directory.
    fn loregd_behind(prepare: &str) -> Command {
        let mut command = Command::new("unshare");
        let script = format!("set -e; {prepare}; exec \"$2\" --data \"$1\"");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command.arg(data_directory()).arg(binary("loregd"));
        command
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.loregd.id() as i32).expect("a process id")
    }

    /// A file of the data directory as loregd sees it.
    fn file(&self, name: &str) -> PathBuf {
        let inside = data_directory().join(name);
        let inside = inside.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.loregd.id().to_string()).join("root").join(inside)
    }

    fn set(&mut self, name: &str, length: usize) -> Result<(), libreg::Error> {
        let data = vec![name.len() as u8; length];
        self.key.set_value(name, ValueType::Binary.code(), &data, &SetValue::default())?;
        self.acknowledged.insert(name.to_owned(), data);
        Ok(())
    }

    /// Writes until that fails as it must, and some more.
    fn write_until_it_fails(&mut self) {
        let failed = (0..100).position(|number| self.set(&format!("{number}"), LARGE).is_err());
        assert!(failed.is_some(), "there is more room than expected");
        for number in 0..5 {
            let error = self.set(&format!("failing-{number}"), LARGE).expect_err("no room");
            assert_eq!(error.errno(), Some(EIO), "{error}");
            self.all_is_there();
        }
    }

    fn all_is_there(&self) {
        for (name, data) in &self.acknowledged {
            let found = self.key.value(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(found.data == *data, "{name} has changed");
        }
    }

    /// The cause is gone: the next write works, in the same process, and what is in the file is whole and all
    /// that was acknowledged.
    fn recovered(mut self) {
        self.set("after", LARGE).expect("the first write after the cause is gone");
        self.set("after that", 10).expect("the next one");
        assert!(self.loregd.wait(Duration::ZERO).is_none(), "loregd has ended");
        self.all_is_there();
        let copy = root_directory().join("copy");
        fs::create_dir(&copy).expect("a directory");
        fs::copy(self.file("Machine.redb"), copy.join("Machine.redb")).expect("a copy of the hive");
        let mut check = Command::new(binary("loregd"));
        let output = check.arg("check").arg(&copy).output().expect("a check");
        assert!(output.status.success(), "{output:?}");
        let store = RedbStore::open(&copy.join("Machine.redb")).expect("the copy");
        let mut hive = Hive::open("Machine", Box::new(store)).expect("the hive in it");
        let lookup = Request::Lookup { parent: hive.root(), name: "disk".to_owned() };
        let Ok(Answer::Entries { keys, .. }) = hive.answer(&lookup) else { panic!("no key") };
        for (name, data) in &self.acknowledged {
            let (key, name) = (keys[0].key, name.clone());
            let value = hive.answer(&Request::QueryValue { key, name, after_layer: None });
            let Ok(Answer::Values { entries, .. }) = value else { panic!("{value:?}") };
            assert!(entries.iter().any(|entry| entry.data == *data), "{entries:?}");
        }
    }
}

/// Waits until the log names the hive and the cause in one line.
fn is_logged(cause: &str) {
    let log = root_directory().join("var/log/loregd.log");
    eventually("a line in the log", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines()
            .any(|line| {
                line.contains("ERROR") && line.contains("Machine: ") && line.contains(cause)
            })
            .then_some(())
    });
}

/// Somebody who reads all the time, and whom no error may reach.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Bystander {
    fn start(key: &Arc<Key>) -> Bystander {
        let (stop, key) = (Arc::new(AtomicBool::new(false)), Arc::clone(key));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut reads = 0;
            while !stopped.load(Ordering::Relaxed) {
                key.value("before-7").expect("a read");
                reads += 1;
            }
            reads
        });
        Bystander { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.thread.join().expect("no read fails") > 0);
    }
}

/// Fills the disk on which this file is, to the last byte.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    for size in [64 << 10, 4 << 10, 1] {
        let bytes = vec![1; size];
        let error = loop {
            if let Err(error) = file.write_all(&bytes) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }
}

#[test]
fn a_full_disk_fails_writes_only_and_they_work_again_when_there_is_room() {
    session_in(Root::lcs, |_| {
        if !can_replace_accounts() {
            return;
        }
        let tmpfs = "mount -t tmpfs -o size=8m tmpfs \"$1\"";
        let mut subject = Subject::new(&mut Subject::loregd_behind(tmpfs));
        let bystander = Bystander::start(&subject.key);
        let filler = subject.file("filler");
        for _ in 0..3 {
            fill(&filler);
            subject.write_until_it_fails();
            is_logged("No space left on device");
            fs::remove_file(&filler).expect("room again");
            subject.set("between", LARGE).expect("a write to a disk with room");
        }
        bystander.end();
        subject.recovered();
    });
}

#[test]
fn a_limit_for_files_is_met_as_a_full_disk_is() {
    session_in(Root::lcs, |_| {
        let mut subject = Subject::new(&mut Subject::loregd());
        let bystander = Bystander::start(&subject.key);
        // More than a message to LCS takes that goes through a file in memory.
        let limit = Rlimit { current: Some(2 << 20), ..getrlimit(Resource::Fsize) };
        let before = prlimit(Some(subject.pid()), Resource::Fsize, limit).expect("a limit");
        subject.write_until_it_fails();
        is_logged("File too large");
        prlimit(Some(subject.pid()), Resource::Fsize, before).expect("the limit of before");
        bystander.end();
        subject.recovered();
    });
}

#[test]
fn a_disk_that_is_read_only_at_the_start_is_read_and_written_when_that_works() {
    session_in(Root::lcs, |_| {
        if !can_replace_accounts() {
            return;
        }
        let mut before = Subject::new(&mut Subject::loregd());
        before.loregd.kill();
        let read_only = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";
        let loregd = Process::spawn_ready(&mut Subject::loregd_behind(read_only));
        let mut subject = Subject { loregd, ..before };
        let refused = OpenOptions::new().write(true).open(subject.file("Machine.redb"));
        assert_eq!(refused.expect_err("read-only").kind(), ErrorKind::ReadOnlyFilesystem);
        subject.all_is_there();
        let error = subject.set("failing", 1).expect_err("a read-only disk");
        assert_eq!(error.errno(), Some(EIO), "{error}");
        is_logged("Read-only file system");
        subject.all_is_there();
        let mut remount = Command::new("nsenter");
        remount.arg(format!("--mount=/proc/{}/ns/mnt", subject.loregd.id()));
        remount.args(["mount", "-o", "remount,bind,rw"]).arg(data_directory());
        Process::spawn(&mut remount).succeed();
        subject.recovered();
    });
}

/// `strace`, which makes system calls of a process fail.
struct Saboteur(Process);

impl Saboteur {
    /// Makes these system calls of all threads of a process fail with this error, from now on.
    fn attach(pid: Pid, calls: &str, error: &str) -> Saboteur {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error={error}")]);
        strace.args(["-p", &pid.as_raw_nonzero().to_string()]).stderr(Stdio::null());
        let saboteur = Saboteur(Process::spawn(&mut strace));
        eventually("strace at work", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
            let is_traced = |status: String| !status.contains("TracerPid:\t0\n");
            tasks
                .expect("a process")
                .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
                .all(is_traced)
                .then_some(())
        });
        saboteur
    }

    fn detach(mut self) {
        let pid = Pid::from_raw(self.0.id() as i32).expect("a process id");
        kill_process(pid, Signal::INT).expect("a signal to strace");
        self.0.wait(registry_tests::harness::PATIENCE).expect("an end of strace");
    }
}

/// Whether system calls can be made to fail here; if not, that is said.
fn can_sabotage() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skipped("strace is not here, or may not trace");
    }
    can
}

fn a_system_call_fails(calls: &str, error: &str, cause: &str) {
    if !can_sabotage() {
        return;
    }
    let mut subject = Subject::new(&mut Subject::loregd());
    let bystander = Bystander::start(&subject.key);
    let saboteur = Saboteur::attach(subject.pid(), calls, error);
    for number in 0..5 {
        let error = subject.set(&format!("failing-{number}"), 10).expect_err("a sick disk");
        assert_eq!(error.errno(), Some(EIO), "{error}");
        subject.all_is_there();
    }
    is_logged(cause);
    saboteur.detach();
    bystander.end();
    subject.recovered();
}

#[test]
fn a_disk_that_fails_to_sync_fails_writes_only() {
    session_in(Root::lcs, |_| a_system_call_fails("fsync,fdatasync", "EIO", "Input/output error"));
}

#[test]
fn a_disk_that_becomes_read_only_fails_writes_only() {
    session_in(Root::lcs, |_| {
        a_system_call_fails("pwrite64,ftruncate", "EROFS", "Read-only file system")
    });
}
