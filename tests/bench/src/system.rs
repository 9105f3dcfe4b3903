//! Systems to measure in.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use registry_tests::harness::{Process, Root};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::client;
use crate::figures::Figures;

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where processes run. An idle core takes long to wake, which is not what is to be measured: on one core nobody
/// is ever idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// All of them on the first.
    One,
    /// Clients and sources on the first, LCS and the echo scheme on the second: whoever calls crosses over.
    Two,
}

/// A registry and an echo scheme in a root directory of their own.
pub struct System {
    pub root: Root,
    pub lcs: Process,
    pub loregd: Process,
    echo: Process,
    cores: Cores,
}

impl System {
    /// Starts one.
    pub fn start(cores: Cores) -> anyhow::Result<System> {
        System::start_in(Root::new(), cores)
    }

    /// Starts one where hives may already be.
    pub fn start_in(root: Root, cores: Cores) -> anyhow::Result<System> {
        let data = root.path().join("var/lib/loregd").display().to_string();
        let lcs = root.lcs();
        let loregd = root.daemon("loregd", &["--data", &data]);
        let echo = root.daemon("echo-scheme", &["echo"]);
        let mut system = System { root, lcs, loregd, echo, cores };
        system.spread(cores)?;
        Ok(system)
    }

    /// Binds its daemons to cores.
    pub fn spread(&mut self, cores: Cores) -> anyhow::Result<()> {
        self.cores = cores;
        let second = usize::from(cores == Cores::Two);
        for (process, core) in [(&self.lcs, second), (&self.loregd, 0), (&self.echo, second)] {
            for thread in fs::read_dir(format!("/proc/{}/task", process.id()))? {
                let thread = thread?.file_name().to_string_lossy().parse()?;
                pin(Pid::from_raw(thread), core)?;
            }
        }
        Ok(())
    }

    /// Has a client measure in this system, and gives what it found.
    pub fn run_client(&self, name: &str) -> anyhow::Result<Figures> {
        self.run(this_program()?.env(client::NAME, name))
    }

    /// The same with a client that has been told more.
    pub fn run(&self, client: &mut Command) -> anyhow::Result<Figures> {
        let answer = self.root.path().join("figures");
        client.env("REDOX_HOSTED", self.root.path()).env(client::ANSWER, &answer);
        Process::spawn(client).succeed_within(PATIENCE);
        let text = fs::read_to_string(&answer).context("a client found nothing")?;
        Figures::of_json(&serde_json::from_str(&text)?).context("no figures")
    }
}

/// Binds a thread, or the calling one, to a core.
pub fn pin(thread: Option<Pid>, core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(thread, &set).with_context(|| format!("core {core}"))
}

/// A command of this program.
pub fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Whether this machine has two cores for us.
pub fn has_two_cores() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}
