//! `redox-hosted` as an init, with real processes: tiny units whose daemons are shell scripts.
//!
//! The scripts lie beside a link to the real executable, where it looks for its daemons. They block on
//! fifos and die with init; no test waits for time to pass except where init itself must.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// Tells init that the script is ready.
const READY: &str = r#"printf x > "/proc/self/fd/$INIT_NOTIFY""#;

/// A daemon that is ready and stays; its process is the one init started.
const IDLE: &str = r#"printf x > "/proc/self/fd/$INIT_NOTIFY"; exec sleep infinity"#;

/// Two folders for one init: its executable with its daemons, and its root.
struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// A root whose units for the registry do nothing, so that a test's own are what counts.
    fn new() -> Self {
        // A space, because paths of real users have some.
        let folder = tempfile::Builder::new()
            .prefix("init boot ")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder");
        let sandbox = Sandbox { folder };
        fs::create_dir_all(sandbox.executable("")).expect("a folder");
        fs::create_dir_all(sandbox.in_root("usr/lib/init.d")).expect("a folder");
        let real = std::env::current_exe().expect("this test's executable");
        let real = real.ancestors().nth(2).expect("target/PROFILE").join("redox-hosted");
        // A link costs nothing; across file systems it takes a copy.
        let ours = sandbox.executable("redox-hosted");
        fs::hard_link(&real, &ours)
            .or_else(|_| fs::copy(&real, &ours).map(drop))
            .expect("redox-hosted is built: cargo build --workspace");
        for unit in ["20_lcs.service", "21_loregd.service"] {
            sandbox.unit(
                unit,
                "[unit]\ncondition_architecture = []\n[service]\ncmd = 'x'\ntype = 'notify'\n",
            );
        }
        sandbox
    }

    fn executable(&self, name: &str) -> PathBuf {
        self.folder.path().join("bin").join(name)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("the root")
    }

    fn in_root(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn unit(&self, name: &str, text: &str) {
        fs::write(self.in_root("usr/lib/init.d").join(name), text).expect("a unit");
    }

    /// A unit of type notify, called `NAME.service`, and its daemon, a shell script.
    fn daemon(&self, name: &str, requires_weak: &str, script: &str) {
        self.unit(
            &format!("{name}.service"),
            &format!(
                "[unit]\nrequires_weak = [{requires_weak}]\n\
                 [service]\ncmd = '/usr/bin/{name}'\ntype = 'notify'\n\
                 args = ['/var/lib/{name}', '--supervise']\n"
            ),
        );
        let path = self.executable(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// A fifo in the root, where scripts find it as their working directory.
    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.in_root(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        path
    }

    fn init(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.executable("redox-hosted"));
        command.arg("--root").arg(self.root()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.init(arguments).output().expect("it runs")
    }

    /// Starts an init that stays, and waits until it says that it is up.
    fn up(&self) -> Init {
        let mut init = Init::start(self.init(&[]));
        init.wait_until_up(&self.root());
        init
    }
}

/// A running init, ended with its daemons when the test is over.
struct Init {
    process: Child,
}

impl Init {
    fn start(mut command: Command) -> Self {
        let process = command.stdout(Stdio::piped()).spawn().expect("it runs");
        Init { process }
    }

    fn wait_until_up(&mut self, root: &Path) {
        let output = self.process.stdout.as_mut().expect("piped");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("text");
        assert_eq!(line, format!("redox-hosted: up, root {}\n", root.display()));
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    /// Sends SIGTERM and waits for the end.
    fn end(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // Its daemons die with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn units_start_in_order_and_each_when_the_one_before_is_ready() {
    let sandbox = Sandbox::new();
    let begun = sandbox.fifo("begun");
    let gate = sandbox.fifo("gate");
    let slow = format!(
        "echo z begins >> order; echo > begun; read _ < gate; echo z ready >> order; {READY}"
    );
    sandbox.daemon("z", "", &format!("{slow}; exec sleep infinity"));
    sandbox.daemon("a", "'z.service'", &format!("echo a begins >> order; {IDLE}"));

    let mut init = Init::start(sandbox.init(&[]));
    // A fifo opens when both sides do: z has begun now, and goes on when we let it.
    File::open(begun).expect("the fifo").read_to_end(&mut Vec::new()).expect("a line");
    File::options().write(true).open(gate).expect("the fifo").write_all(b"\n").expect("a line");
    init.wait_until_up(&sandbox.root());
    let order = fs::read_to_string(sandbox.in_root("order")).expect("written");
    assert_eq!(order, "z begins\nz ready\na begins\n");
}

#[test]
fn sigterm_ends_the_daemons_in_reverse_order() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        // The trap runs while the shell waits, so the sleep must be a child of its own.
        let trap = format!("trap 'echo {name} ends >> order; kill $!; exit' TERM");
        sandbox.daemon(name, "", &format!("sleep infinity & {trap}; {READY}; wait"));
    }
    let mut init = sandbox.up();
    assert_eq!(init.end(), Some(0));
    let order = fs::read_to_string(sandbox.in_root("order")).expect("written");
    assert_eq!(order, "c ends\nb ends\na ends\n");
    let left: Vec<_> = fs::read_dir(sandbox.in_root("run")).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn daemons_die_with_a_killed_init_and_the_next_one_can_start() {
    let sandbox = Sandbox::new();
    let alive = sandbox.fifo("alive");
    sandbox.daemon("idle", "", &format!("exec 3> alive; {IDLE}"));
    let mut init = Init::start(sandbox.init(&[]));
    // The daemon opens its side; from then on only its death makes an end of file.
    let mut alive = File::open(alive).expect("the fifo");
    init.wait_until_up(&sandbox.root());
    init.process.kill().expect("it lives");
    init.process.wait().expect("it ended");
    assert_eq!(alive.read(&mut [0]).expect("an end"), 0);

    sandbox.daemon("idle", "", IDLE);
    assert_eq!(sandbox.up().end(), Some(0));
}

#[test]
fn a_second_init_on_the_same_root_is_refused() {
    let sandbox = Sandbox::new();
    let mut init = sandbox.up();
    let second = sandbox.run(&["--", "true"]);
    assert_eq!(second.status.code(), Some(1));
    let expected = format!("another init (process {}) runs there", init.process.id());
    assert!(errors(&second).contains(&expected), "{}", errors(&second));
    assert_eq!(init.end(), Some(0));
}

#[test]
fn dead_sockets_and_old_pid_files_are_removed_and_living_sockets_stay() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["--", "true"]).status.success());
    // By a short name: an address holds 108 bytes.
    let folder = File::open(sandbox.in_root("scheme")).expect("the folder");
    let socket = |name: &str| format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    let _living = UnixListener::bind(socket("living")).expect("a socket");
    drop(UnixListener::bind(socket("dead")).expect("a socket"));
    fs::write(sandbox.in_root("run/lcs-scheme.pid"), "1\n").expect("a file");

    let output = sandbox.run(&["--", "sh", "-c", r#"cd "$REDOX_HOSTED" && ls scheme run"#]);
    let listing = String::from_utf8_lossy(&output.stdout);
    assert_eq!(listing, "run:\ninit.pid\n\nscheme:\nliving\n", "{}", errors(&output));
}

#[test]
fn a_unit_with_an_unknown_field_is_refused_before_anything_starts() {
    let sandbox = Sandbox::new();
    sandbox.daemon("a", "", &format!("echo a begins >> order; {IDLE}"));
    sandbox
        .unit("b.service", "[unit]\n[service]\ncmd = 'b'\ntype = 'notify'\nrestart = 'always'\n");
    let output = sandbox.run(&["--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    let message = errors(&output);
    assert!(message.contains("b.service") && message.contains("restart"), "{message}");
    assert!(!sandbox.in_root("order").exists());
}

#[test]
fn the_exit_status_is_the_commands() {
    let sandbox = Sandbox::new();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 128 + 9)] {
        let output = sandbox.run(&["--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", errors(&output));
        assert!(output.stdout.is_empty(), "its output is all there is");
    }
    let output = sandbox.run(&["--", "no such command"]);
    assert_eq!(output.status.code(), Some(127), "{}", errors(&output));
}

#[test]
fn the_command_finds_the_root_and_the_executables() {
    let sandbox = Sandbox::new();
    sandbox.daemon("idle", "", IDLE);
    let output = sandbox.run(&["--", "sh", "-c", r#"echo "$REDOX_HOSTED"; command -v idle"#]);
    let root = sandbox.root();
    let idle = sandbox.executable("idle");
    let expected = format!("{}\n{}\n", root.display(), idle.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", errors(&output));
}

#[test]
fn sigterm_goes_to_the_command_and_its_answer_counts() {
    let sandbox = Sandbox::new();
    let begun = sandbox.fifo("begun");
    let script =
        r#"sleep infinity & trap 'kill $!; exit 9' TERM; echo > "$REDOX_HOSTED/begun"; wait"#;
    let mut init = Init::start(sandbox.init(&["--", "sh", "-c", script]));
    File::open(begun).expect("the fifo").read_to_end(&mut Vec::new()).expect("a line");
    assert_eq!(init.end(), Some(9));
}

#[test]
fn a_oneshot_counts_as_started_when_it_has_ended() {
    let sandbox = Sandbox::new();
    sandbox.daemon("a", "", "echo a >> order");
    let oneshot = "[unit]\n[service]\ncmd = 'a'\ntype = 'oneshot'\n";
    sandbox.unit("a.service", oneshot);
    sandbox.daemon("b", "", &format!("echo b >> order; {IDLE}"));
    let output = sandbox.run(&["--", "true"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(fs::read_to_string(sandbox.in_root("order")).expect("written"), "a\nb\n");
}

#[test]
fn sigterm_ends_an_init_whose_daemon_is_still_starting() {
    let sandbox = Sandbox::new();
    let begun = sandbox.fifo("begun");
    sandbox.daemon("a", "", "echo > begun; exec sleep infinity");
    let mut init = Init::start(sandbox.init(&[]));
    File::open(begun).expect("the fifo").read_to_end(&mut Vec::new()).expect("a line");
    assert_eq!(init.end(), Some(1));
}

#[test]
fn a_daemon_that_never_becomes_ready_ends_everything() {
    let sandbox = Sandbox::new();
    let alive = sandbox.fifo("alive");
    sandbox.daemon("a", "", &format!("exec 3> alive; {IDLE}"));
    sandbox.daemon("b", "", "exec sleep infinity");
    let mut command = sandbox.init(&["--start-timeout", "1", "--", "true"]);
    let init = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let mut alive = File::open(alive).expect("the fifo");
    let output = init.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let message = errors(&output);
    assert!(message.contains("b.service: b is not ready: no word from it for 1 s"), "{message}");
    assert_eq!(alive.read(&mut [0]).expect("an end"), 0, "a is dead too");
}

#[test]
fn a_daemon_that_ends_before_it_is_ready_is_told_with_its_last_words() {
    let sandbox = Sandbox::new();
    sandbox.daemon("a", "", "echo the disk is full >&2; exit 3");
    let output = sandbox.run(&["--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    let message = errors(&output);
    assert!(message.contains("a is not ready: it ended (exit status: 3)"), "{message}");
    assert!(message.contains("var/log/a.log") && message.contains("the disk is full"), "{message}");
}

#[test]
fn a_daemon_has_the_environment_paths_and_log_of_the_system() {
    let sandbox = Sandbox::new();
    sandbox.daemon("a", "", &format!(r#"echo "$@"; env >&2; {IDLE}"#));
    let output = sandbox.init(&["--", "true"]).env("HOME", "/secret").output().expect("it runs");
    assert!(output.status.success(), "{}", errors(&output));
    let log = fs::read_to_string(sandbox.in_root("var/log/a.log")).expect("a log");
    let root = sandbox.root();
    assert!(log.starts_with(&format!("{}/var/lib/a --supervise\n", root.display())), "{log}");
    assert!(log.contains(&format!("REDOX_HOSTED={}\n", root.display())), "{log}");
    assert!(!log.contains("HOME="), "the environment is otherwise empty: {log}");
}

#[test]
fn a_root_that_others_can_write_to_is_refused() {
    let sandbox = Sandbox::new();
    for folder in ["", "usr/lib/init.d"] {
        let path = sandbox.in_root(folder);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("changed");
        let output = sandbox.run(&["--", "true"]);
        assert_eq!(output.status.code(), Some(1));
        let message = errors(&output);
        assert!(message.contains("another user can write there"), "{message}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("changed");
    }
    assert!(sandbox.run(&["--", "true"]).status.success());
}
