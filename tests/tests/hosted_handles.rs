//! Open files: shared, passed, inherited, closed, interrupted, and left behind by a dead daemon.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use hosted as _;
use libredox::Fd;
use libredox::errno::{EEXIST, EINTR, ENODEV};
use libredox::flag::{O_CLOEXEC, O_RDWR};
use redox_scheme::Socket;
use redox_scheme::scheme::register_scheme_inner;
use registry_tests::client::{call, open, words};
use registry_tests::echo::Verb;
use registry_tests::harness::{Process, Session, session};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

fn kill_daemon(session: Session) {
    let pid = Pid::from_raw(session.daemon as i32).unwrap();
    let dead = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    wait_readable(&dead);
}

fn wait_readable(fd: &impl AsFd) {
    let mut fds = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).unwrap();
}

fn borrow(file: &Fd) -> BorrowedFd<'_> {
    // SAFETY: the file is open as long as it is borrowed.
    unsafe { BorrowedFd::borrow_raw(file.raw() as i32) }
}

/// The scheme's counters once `enough`; closes are one-way, and only asking again shows them.
fn counters_when(file: &Fd, enough: impl Fn([u64; 3]) -> bool) -> [u64; 3] {
    loop {
        let counters = words(file, Verb::Counters);
        if enough(counters) {
            return counters;
        }
    }
}

#[test]
fn the_scheme_learns_of_the_last_close_only() {
    session(&["echo"], |_| {
        let watcher = open("/scheme/echo/watcher");
        let file = open("/scheme/echo/x");
        let twin = Fd::new(file.dup(b"").unwrap());
        file.close().unwrap();
        // Anything the close had caused would be queued before this answer.
        call(&twin, Verb::Echo, &mut [0; 8]).unwrap();
        assert_eq!(words(&watcher, Verb::Counters), [2, 0, 0]);
        twin.close().unwrap();
        counters_when(&watcher, |[_, closed, _]| closed == 1);
    });
}

#[test]
fn a_handle_closes_when_its_process_is_killed_in_mid_call_and_the_call_is_cancelled() {
    const BLOCKS: &str = "HOSTED_TEST_BLOCKS";
    session(&["echo"], |_| {
        if std::env::var_os(BLOCKS).is_some() {
            let file = open("/scheme/echo/x");
            let blocked = call(&file, Verb::Block, &mut [0; 8]);
            panic!("the call ended: {blocked:?}");
        }
        let watcher = open("/scheme/echo/watcher");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(std::env::args().skip(1)).env(BLOCKS, "1").stdout(Stdio::null());
        let mut child = Process::spawn(&mut command);
        counters_when(&watcher, |[made, ..]| made == 2);
        wait_until_blocked(child.id());
        child.kill();
        let counters = counters_when(&watcher, |[_, closed, _]| closed == 1);
        assert_eq!(counters, [2, 1, 1]);
    });
}

#[test]
fn closing_with_a_call_in_flight_cancels_it_before_the_scheme_sees_the_close() {
    session(&["echo"], |_| {
        let watcher = open("/scheme/echo/watcher");
        let file = open("/scheme/echo/x");
        let raw = file.raw();
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| call(&file, Verb::Block, &mut [0; 8]));
            wait_until_blocked(std::process::id());
            libredox::call::close(raw).unwrap();
            assert!(blocked.join().unwrap().is_err());
        });
        std::mem::forget(file);
        let counters = counters_when(&watcher, |[_, closed, _]| closed == 1);
        assert_eq!(counters, [2, 1, 1]);
    });
}

/// Waits until another thread of a process waits for an answer.
fn wait_until_blocked(process: u32) {
    let own = rustix::thread::gettid().as_raw_nonzero().get().to_string();
    let recvmsg = libc::SYS_recvmsg.to_string();
    let waits = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task.unwrap();
        let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        task.file_name().to_str() != Some(&own) && call.split(' ').next() == Some(&recvmsg)
    };
    let tasks = format!("/proc/{process}/task");
    while !std::fs::read_dir(&tasks).unwrap().any(waits) {
        std::thread::yield_now();
    }
}

#[test]
fn threads_that_share_a_handle_get_their_own_answers() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        std::thread::scope(|scope| {
            for thread in 0..16_u8 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..100 {
                        let mut payload = [thread ^ round; 96];
                        assert_eq!(call(file, Verb::Invert, &mut payload).unwrap(), 96);
                        assert_eq!(payload, [!(thread ^ round); 96]);
                    }
                });
            }
        });
    });
}

#[test]
fn an_inherited_handle_works_in_a_child_and_its_parent_at_once() {
    const INHERITED: &str = "HOSTED_TEST_INHERITED";
    session(&["echo"], |_| {
        if let Ok(fd) = std::env::var(INHERITED) {
            let file = Fd::new(fd.parse().unwrap());
            return invert_often(&file, 0x11);
        }
        let file = open("/scheme/echo/x");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(std::env::args().skip(1)).env(INHERITED, file.raw().to_string());
        let mut children: Vec<_> = (0..3).map(|_| Process::spawn(&mut command)).collect();
        invert_often(&file, 0x22);
        children.iter_mut().for_each(Process::succeed);
        assert_eq!(words(&file, Verb::Counters), [1, 0, 0]);
    });
}

fn invert_often(file: &Fd, byte: u8) {
    for _ in 0..500 {
        let mut payload = [byte; 40];
        call(file, Verb::Invert, &mut payload).unwrap();
        assert_eq!(payload, [!byte; 40]);
    }
}

#[test]
fn a_forked_child_does_not_use_its_parents_reply_channel() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        invert_often(&file, 1);
        // SAFETY: the child uses nothing that another thread of the parent could hold: this
        // process has one thread with work to do.
        match unsafe { libc::fork() } {
            0 => {
                invert_often(&file, 2);
                // SAFETY: ends the child without the parent's destructors.
                unsafe { libc::_exit(0) }
            }
            child => {
                invert_often(&file, 3);
                let mut status = -1;
                libredox::call::waitpid(child as usize, &mut status, 0).unwrap();
                assert_eq!(status, 0);
            }
        }
    });
}

#[test]
fn a_handle_passes_through_a_unix_socket_and_keeps_its_opener() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let opener: [u64; 3] = words(&file, Verb::WhoOpened);
        let (left, right) = UnixStream::pair().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [borrow(&file)];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(&left, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
        file.close().unwrap();

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(&right, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())
            .unwrap();
        let passed = control
            .drain()
            .find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            })
            .unwrap();
        let passed = Fd::new(passed.into_raw_fd() as usize);
        assert_eq!(words(&passed, Verb::WhoOpened), opener);
    });
}

#[test]
fn a_caller_whose_scheme_dies_in_mid_call_gets_an_error() {
    session(&["echo"], |_| {
        let file = open("/scheme/echo/x");
        let error = call(&file, Verb::Die, &mut [0; 8]).unwrap_err();
        assert_eq!(error.errno(), ENODEV);
    });
}

#[test]
fn a_caller_that_waits_for_ever_is_released_when_its_scheme_is_killed() {
    session(&["echo"], |session| {
        let file = open("/scheme/echo/x");
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| call(&file, Verb::Block, &mut [0; 8]));
            wait_until_blocked(std::process::id());
            kill_daemon(session);
            assert_eq!(blocked.join().unwrap().unwrap_err().errno(), ENODEV);
        });
    });
}

#[test]
fn a_dead_daemons_handles_and_name_give_enodev_until_the_name_is_removed() {
    session(&["echo"], |session| {
        let file = open("/scheme/echo/x");
        kill_daemon(session);
        assert_eq!(file.write(b"x").unwrap_err().errno(), ENODEV);
        assert_eq!(file.read(&mut [0; 8]).unwrap_err().errno(), ENODEV);
        let open = || Fd::open("/scheme/echo/x", O_RDWR, 0).map(|_| ()).map_err(|e| e.errno());
        assert_eq!(open(), Err(ENODEV));
        let socket = Socket::nonblock().unwrap();
        let register = || register_scheme_inner(&socket, "echo", 0).map_err(|e| e.errno);
        assert_eq!(register(), Err(EEXIST));
        hosted::unlink("/scheme/echo", 0).unwrap();
        assert_eq!(open(), Err(ENODEV));
        assert_eq!(register(), Ok(()));
    });
}

#[test]
fn a_name_that_nobody_registered_is_enodev() {
    session(&["echo"], |_| {
        let error = Fd::open("/scheme/nobody/x", O_RDWR, 0).err().unwrap();
        assert_eq!(error.errno(), ENODEV);
    });
}

extern "C" fn ignore(_signal: libc::c_int) {}

#[test]
fn a_signal_cancels_the_call_and_the_caller_gets_eintr() {
    session(&["echo"], |_| {
        // SAFETY: the handler does nothing, and sigaction is plain data.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ignore as *const () as usize;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
        let watcher = open("/scheme/echo/watcher");
        let file = open("/scheme/echo/x");
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| {
                sender.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
                call(&file, Verb::Block, &mut [0; 8])
            });
            let thread = receiver.recv().unwrap();
            wait_until_blocked(std::process::id());
            let process = std::process::id();
            // SAFETY: takes no pointers.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
            assert_eq!(sent, 0);
            assert_eq!(blocked.join().unwrap().unwrap_err().errno(), EINTR);
        });
        assert_eq!(words::<3>(&watcher, Verb::Counters)[2], 1);
    });
}

#[test]
fn open_files_are_inherited_over_exec_only_without_cloexec() {
    session(&["echo"], |_| {
        let flags = |open_flags| {
            let file = Fd::open("/scheme/echo/x", open_flags, 0).unwrap();
            file.fcntl(libc::F_GETFD as usize, 0).unwrap()
        };
        assert_eq!(flags(O_RDWR), 0);
        assert_eq!(flags(O_RDWR | O_CLOEXEC), libc::FD_CLOEXEC as usize);
    });
}

#[test]
fn thousands_of_handles_can_be_open_at_once() {
    session(&["echo"], |_| {
        let files: Vec<Fd> = (0..3000).map(|_| open("/scheme/echo/x")).collect();
        assert_eq!(words::<3>(&files[2999], Verb::Counters), [3000, 0, 0]);
    });
}

#[test]
fn a_long_root_directory_does_not_matter() {
    session(&["echo"], |_| {
        let root = std::path::PathBuf::from(std::env::var_os("REDOX_HOSTED").unwrap());
        let long = root.join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(long.join("scheme")).unwrap();
        let mut daemon = Command::new(registry_tests::harness::binary("echo-scheme"));
        daemon.arg("echo").env("REDOX_HOSTED", &long);
        let _daemon = Process::spawn_ready(&mut daemon);
        assert!(long.join("scheme/echo").exists());
    });
}
