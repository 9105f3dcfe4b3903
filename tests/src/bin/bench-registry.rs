//! What a read and a durable write cost, as multiples of a bare call on an echo scheme through the same
//! transport in the same run, and what a long DACL costs at an open. All processes on one core, then spread
//! over two.

use std::process::Command;

use anyhow::ensure;
use hosted as _;
use libredox::Fd;
use libredox::flag::{O_CLOEXEC, O_RDWR};
use libreg::security::Parts;
use libreg::{Access, CreateKey, Registry, SetValue, ValueType};
use registry_tests::bench::{median, medians, pin};
use registry_tests::echo::Verb;
use registry_tests::harness::{Process, Root, binary};
use rustix::process::Pid;
use syscall::CallFlags;

/// In the client: that it is one.
const CLIENT: &str = "BENCH_REGISTRY_CLIENT";

fn client(place: &str) -> anyhow::Result<()> {
    let echo = Fd::open("/scheme/echo/bench", O_RDWR | O_CLOEXEC, 0)?;
    let verb = [Verb::Echo as u64];
    let mut payload = [0; 128];
    let mut call = || echo.call_rw(&mut payload, CallFlags::empty(), &verb).map(drop);
    let base = median(200, &mut call)?;

    let registry = Registry::open()?;
    let mut path = String::from("Machine");
    for name in ["a", "b", "c", "d", "e"] {
        path = format!(r"{path}\{name}");
        registry.create_key(&path, Access::KEY_ALL_ACCESS, &CreateKey::default())?;
    }
    let key = registry.open_key(&path, Access::KEY_ALL_ACCESS)?;
    let (binary, data, base_layer) = (ValueType::Binary.code(), [7; 32], SetValue::default());
    let write = || key.set_value("Value", binary, &data, &base_layer).map(drop);
    write()?;
    let read = || key.value("Value").map(drop);
    ensure!(key.value("Value")?.data == data, "what was written does not read back");

    let figures = [
        ("bare call", base),
        ("read of 32 bytes", median(100, read)?),
        (
            "open of depth 6 and close",
            median(50, || registry.open_key(&path, Access::KEY_READ).map(drop))?,
        ),
        ("durable write of 32 bytes", median(3, write)?),
    ];
    for (what, nanoseconds) in figures {
        let multiple = nanoseconds as f64 / base as f64;
        println!("{place}: {what:<26} {nanoseconds:>9} ns = {multiple:>6.1} calls");
    }
    long_dacl(place, &registry, &path)
}

/// Opens two keys below `path` in turn: one is granted by the last of 3 ACEs, the other by the last of 20.
fn long_dacl(place: &str, registry: &Registry, path: &str) -> anyhow::Result<()> {
    let paths = [3, 20].map(|count| (count, format!(r"{path}\{count}")));
    for (count, path) in &paths {
        let aces: String = (1..*count).map(|uid| format!("(A;CI;KR;;;S-1-22-1-{uid})")).collect();
        let sd = format!("D:P{aces}(A;CI;KA;;;SY)").parse()?;
        let key = registry.create_key(path, Access::KEY_ALL_ACCESS, &CreateKey::default())?;
        key.set_security(Parts::DACL, &sd)?;
    }
    let [(_, few), (_, many)] = paths;
    let open = |path| registry.open_key(path, Access::KEY_READ).map(drop);
    let [base, long] = medians(50, [&mut || open(&few), &mut || open(&many)])?;
    let multiple = long as f64 / base as f64;
    println!(
        "{place}: open with 20 ACEs          {long:>9} ns = {multiple:>6.3} opens with 3 ACEs"
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    if let Ok(place) = std::env::var(CLIENT) {
        return client(&place);
    }
    for (place, cores) in [("one core ", [0, 0, 0, 0]), ("two cores", [0, 1, 0, 1])] {
        let root = Root::new();
        let data = root.path().join("var/lib/loregd");
        let data = data.display().to_string();
        let daemons = [
            root.daemon("echo-scheme", &["echo"]),
            root.daemon("lcs-scheme", &[]),
            root.daemon("loregd", &["--data", &data]),
        ];
        let mut pinned = Ok(());
        for (daemon, core) in daemons.iter().zip(cores) {
            for thread in std::fs::read_dir(format!("/proc/{}/task", daemon.id()))? {
                let thread = thread?.file_name().to_string_lossy().parse()?;
                pinned = pinned.and(pin(Pid::from_raw(thread), core));
            }
        }
        if let Err(error) = pinned.and_then(|()| pin(None, cores[3])) {
            println!("{place}: skipped: {error}");
            continue;
        }
        let mut command = Command::new(binary("bench-registry"));
        command.env("REDOX_HOSTED", root.path()).env(CLIENT, place);
        Process::spawn(&mut command).succeed();
    }
    Ok(())
}
