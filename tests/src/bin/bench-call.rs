//! Nanoseconds per operation on the echo scheme, through `hosted`: the bare cost of a request and
//! its answer between two processes. Both on one core, then on two; the median of many rounds.

use std::process::Command;

use hosted as _;
use libredox::Fd;
use libredox::flag::{O_CLOEXEC, O_RDWR};
use registry_tests::bench::{median, pin};
use registry_tests::echo::Verb;
use registry_tests::harness::{Process, Root, binary};
use rustix::process::Pid;
use syscall::CallFlags;

const PER_ROUND: u32 = 200;
/// In the client: that it is one.
const CLIENT: &str = "BENCH_CALL_CLIENT";

fn client(place: &str) -> anyhow::Result<()> {
    let file = Fd::open("/scheme/echo/bench", O_RDWR | O_CLOEXEC, 0)?;
    let verb = [Verb::Echo as u64];
    let call = |payload: &mut [u8]| file.call_rw(payload, CallFlags::empty(), &verb).map(|_| ());
    let mut small = [0; 64];
    let mut large = vec![0; 64 * 1024];
    let figures = [
        ("call of 64 bytes", median(PER_ROUND, || call(&mut small))?),
        ("call of 64 KiB", median(PER_ROUND, || call(&mut large))?),
        (
            "open and close",
            median(PER_ROUND, || Fd::open("/scheme/echo/bench", O_RDWR | O_CLOEXEC, 0)?.close())?,
        ),
        ("dup and close", median(PER_ROUND, || Fd::new(file.dup(b"derive")?).close())?),
    ];
    for (what, nanoseconds) in figures {
        println!("{place}: {what:<18} {nanoseconds:>8} ns");
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    if let Ok(place) = std::env::var(CLIENT) {
        return client(&place);
    }
    let root = Root::new();
    let daemon = root.daemon("echo-scheme", &["echo"]);
    pin(Pid::from_raw(daemon.id() as i32), 0)?;
    for (place, core) in [("one core ", 0), ("two cores", 1)] {
        if let Err(error) = pin(None, core) {
            println!("{place}: skipped: {error}");
            continue;
        }
        let mut command = Command::new(binary("bench-call"));
        command.env("REDOX_HOSTED", root.path()).env(CLIENT, place);
        Process::spawn(&mut command).succeed();
    }
    Ok(())
}
