//! One mount for many: what its users see of each other, which is nothing.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::ptr;

use hosted as _;
use registry_tests::eventually::eventually;
use registry_tests::harness::{Mount, PATIENCE, Process, System};
use registry_tests::users::{as_user, can_become_others};
use rustix::process::{Pid, Signal, kill_process};

const ALICE: u32 = 2_000_001;

/// More than the mount does for one user at a time.
const HANGING: usize = 40;

/// What a file is mapped as, for as long as this lives.
struct Mapped {
    address: *mut libc::c_void,
    length: usize,
}

// SAFETY: a mapping is the process's, and nobody writes to it.
unsafe impl Send for Mapped {}

impl Mapped {
    fn of(file: &File) -> Self {
        let length = file.metadata().expect("a file").len() as usize;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(address, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { address, length }
    }

    fn text(&self) -> String {
        // SAFETY: so many bytes are mapped, and a copy is made of them.
        let bytes = unsafe { std::slice::from_raw_parts(self.address.cast::<u8>(), self.length) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it is mapped, and nobody can use it any more.
        unsafe { libc::munmap(self.address, self.length) };
    }
}

#[test]
fn what_a_user_has_mapped_never_becomes_another_users() {
    if !can_become_others() {
        return;
    }
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    // One path, and for each user another value.
    let path = mount.path("CurrentUser/Note");
    fs::write(&path, "root's").expect("root's own");
    let mapped = as_user(ALICE, ALICE, || {
        fs::write(&path, "alice").expect("her own");
        let mapped = Mapped::of(&File::open(&path).expect("her own"));
        assert_eq!(mapped.text(), "alice\n");
        mapped
    });
    let of_root = Mapped::of(&File::open(&path).expect("root's own"));
    assert_eq!(of_root.text(), "root's\n");
    assert_eq!(mapped.text(), "alice\n");
    assert_eq!(of_root.text(), "root's\n");
    // What is read is not what was mapped either.
    assert_eq!(as_user(ALICE, ALICE, || fs::read_to_string(&path)).expect("hers"), "alice\n");
    assert_eq!(fs::read_to_string(&path).expect("root's own"), "root's\n");
}

/// Whether a process waits in the kernel for a file, on the way to it or for what it opens or writes.
fn waits(process: &Process) -> bool {
    let path = format!("/proc/{}/syscall", process.id());
    let call = fs::read_to_string(path).unwrap_or_default();
    let number = call.split(' ').next().and_then(|number| number.parse().ok());
    let of_files = [libc::SYS_chdir, libc::SYS_newfstatat, libc::SYS_openat, libc::SYS_write];
    number.is_some_and(|number| of_files.contains(&number))
}

#[test]
fn operations_of_one_user_that_hang_keep_no_other_waiting() {
    if !can_become_others() {
        return;
    }
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    let files: Vec<String> = (0..HANGING).map(|number| format!("{number}")).collect();
    mount.output("Machine", "mkdir Busy");
    for file in &files {
        mount.output("Machine/Busy", &format!("echo old > {file}"));
    }
    // What LCS answers without a source.
    let hers = || mount.shell("", "ls").uid(ALICE).gid(ALICE).output().expect("sh runs");
    let before = hers();
    assert!(before.status.success(), "{before:?}");

    let pid = fs::read_to_string(system.file("run/loregd.pid")).expect("a pid");
    let source = Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
    kill_process(source, Signal::STOP).expect("a signal");
    let writers: Vec<Process> = files
        .iter()
        .map(|file| {
            let script = format!("echo new > {file}");
            Process::spawn(mount.shell("Machine/Busy", &script).stderr(Stdio::null()))
        })
        .collect();
    eventually("writers that hang", || writers.iter().all(waits).then_some(()));
    assert_eq!(hers(), before);

    kill_process(source, Signal::CONT).expect("a signal");
    // In time or too late, each is answered.
    for mut writer in writers {
        assert!(writer.wait(PATIENCE).is_some(), "a writer is never answered");
    }
}

#[test]
fn a_link_is_as_long_as_what_it_says() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    mount.output("Machine", "mkdir -p Files/Deep Target && echo there > Target/Text");
    system.output(&["create", "Machine/Files/Deep/Link", "--link", "Machine/Target"]);
    let said = mount.output("Machine/Files/Deep", "readlink Link; stat -c %s Link; cat Link/Text");
    assert_eq!(said, "../../../Machine/Target\n23\nthere\n");
}

#[test]
fn a_directory_that_became_a_file_under_somebody_is_neither_for_him() {
    let system = System::start();
    let Some(mount) = Mount::of(system.path()) else { return };
    mount.output("Machine", "mkdir Both");
    let script = "rmdir ../Both && echo text > ../Both && stat . 2>&1; cat ../Both";
    let said = mount.output("Machine/Both", script);
    assert!(said.contains("Stale file handle") && said.ends_with("text\n"), "{said}");
}
