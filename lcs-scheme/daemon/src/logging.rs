//! The log: a [`log::Log`] that never makes the daemon wait.
//!
//! Records go into bounded queues; threads write them to `/scheme/log/NAME`, and those of the target
//! `audit` to `/scheme/log/audit`, one bare message (a JSON line) each, whatever the level. On Linux these
//! are `var/log/NAME.log` and `var/log/audit.log` under the root. A line is `TIME LEVEL TARGET: MESSAGE`
//! with the time in UTC as RFC 3339 writes it. What finds a full queue is lost and counted, and the count
//! is logged; a lost audit record is itself an error in the log. Where the log can't be opened or written
//! its lines go to standard error.

use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use libredox::{Fd, flag};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::Error;
use crate::queue::Queue;

/// The target whose records are audit records.
pub const AUDIT: &str = "audit";

/// How many lines wait for the writer before more are dropped: some seconds of a busy daemon's talk.
const CAPACITY: usize = 4096;

/// How long an ending process waits for its last lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts the log of the daemon `name` and a hook that logs panics.
///
/// Opens the log scheme now, so that the daemon may leave its namespace afterwards.
pub fn start(name: &str, level: LevelFilter) -> Result<(), Error> {
    let lines = Arc::new(Queue::new(CAPACITY));
    let audit = Arc::new(Queue::new(CAPACITY));
    spawn_writer("log", Sink::open(name), Arc::clone(&lines), None)?;
    spawn_writer("audit log", Sink::open(AUDIT), Arc::clone(&audit), Some(Arc::clone(&lines)))?;

    let logger = LOGGER.get_or_init(|| Logger { lines, audit, level });
    log::set_logger(logger).map_err(|_| Error::LogTwice)?;
    // Audit records pass at every level, so the crate's own filter must let Info through.
    log::set_max_level(level.max(LevelFilter::Info));

    panic::set_hook(Box::new(|panic| {
        log::error!("{panic}");
        flush();
    }));
    Ok(())
}

/// Waits until what was logged is written, at most a second for each of the two logs.
pub fn flush() {
    if let Some(logger) = LOGGER.get() {
        logger.flush();
    }
}

struct Logger {
    lines: Arc<Queue>,
    audit: Arc<Queue>,
    level: LevelFilter,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target() == AUDIT || metadata.level() <= self.level
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if record.target() != AUDIT {
            // A full queue counts the line; the writer tells.
            let _ = self.lines.push(line(record.level(), record.target(), *record.args()));
        } else if self.audit.push(format!("{}\n", record.args())).is_err() {
            let lost = format_args!("record lost, the queue is full: {}", record.args());
            let _ = self.lines.push(line(Level::Error, AUDIT, lost));
        }
    }

    fn flush(&self) {
        // Audit first: what it can't write becomes lines.
        self.audit.flush(PATIENCE);
        self.lines.flush(PATIENCE);
    }
}

fn line(level: Level, target: &str, message: std::fmt::Arguments) -> String {
    // A clock before 1970 is a broken one, and the formatter takes none.
    let now = SystemTime::now().max(SystemTime::UNIX_EPOCH);
    let time = humantime::format_rfc3339_millis(now);
    let mut line = format!("{time} {level} {target}: {message}");
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// Where a writer writes: a file of the log scheme, or nowhere when that could not be opened.
struct Sink {
    path: String,
    file: Result<Fd, libredox::error::Error>,
}

impl Sink {
    fn open(name: &str) -> Self {
        let path = format!("/scheme/log/{name}");
        let file = Fd::open(&path, flag::O_WRONLY | flag::O_CLOEXEC, 0);
        Sink { path, file }
    }

    fn write(&self, line: &str) -> Result<(), libredox::error::Error> {
        let file = self.file.as_ref().map_err(|&error| error)?;
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(libredox::error::Error::new(libredox::errno::EIO)),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.is_interrupt() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Starts the thread that writes `queue` to `sink`. What goes wrong is told to the `fallback` queue or, if
/// there is none, to the sink itself and at last to standard error.
fn spawn_writer(
    thread: &str,
    sink: Sink,
    queue: Arc<Queue>,
    fallback: Option<Arc<Queue>>,
) -> Result<(), Error> {
    let write = move || {
        let complain = |text: String| match &fallback {
            // A full queue counts the line.
            Some(lines) => drop(lines.push(text)),
            None if sink.write(&text).is_ok() => {}
            None => eprint!("{text}"),
        };
        loop {
            let batch = queue.take();
            for text in batch.lines {
                if let Err(error) = sink.write(&text) {
                    let message = format_args!("not written to {}: {error}: {text}", sink.path);
                    complain(line(Level::Error, "log", message));
                }
            }
            if batch.dropped > 0 {
                let message =
                    format_args!("{} lines to {} lost: queue full", batch.dropped, sink.path);
                complain(line(Level::Warn, "log", message));
            }
        }
    };
    thread::Builder::new().name(thread.to_owned()).spawn(write).map(drop).map_err(Error::LogThread)
}
