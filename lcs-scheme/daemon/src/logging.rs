//! The log: a [`log::Log`] that never makes the daemon wait.
//!
//! Records go into bounded queues; threads write them to `/scheme/log/NAME`, and those of the target
//! `audit` to `/scheme/log/audit`, one bare message (a JSON line) each, whatever the level. On Linux these
//! are `var/log/NAME.log` and `var/log/audit.log` under the root. A line is `TIME LEVEL TARGET: MESSAGE`
//! with the time in UTC as RFC 3339 writes it. What finds a full queue is lost and counted, and the count
//! is logged; a lost audit record is itself an error in the log. Where the log can't be opened or written
//! its lines go to standard error. Who must know that an audit record is written uses [`audit`].

use std::fmt::Display;
use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use libredox::{Fd, flag};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::Error;
use crate::entry::Entry;
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

/// An audit record did not reach the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit record was not written")]
pub struct NotRecorded;

/// Puts an audit record into the log, behind those before it, and tells what became of it.
///
/// `line` is one JSON object without a newline. `told` is called exactly once: with `Ok` by the log's thread
/// when the log has taken the record; with an error there when that failed, or here, before this returns,
/// when there is no room or no log. It must neither wait nor panic: all records behind it wait for it.
pub fn audit(line: String, told: impl FnOnce(Result<(), NotRecorded>) + Send + 'static) {
    match LOGGER.get() {
        Some(logger) => logger.audit(&line, |line| Entry::awaited(line, told)),
        None => told(Err(NotRecorded)),
    }
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

impl Logger {
    /// Queues an audit record, which `entry` makes of its line.
    fn audit(&self, record: &dyn Display, entry: impl FnOnce(String) -> Entry) {
        if let Err(refused) = self.audit.push(entry(format!("{record}\n"))) {
            let lost = format_args!("record lost, {refused}: {record}");
            self.tell(line(Level::Error, AUDIT, lost));
        }
    }

    /// Queues an ordinary line.
    fn tell(&self, line: String) {
        // A full queue counts the line; the writer tells.
        let _ = self.lines.push(line.into());
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target() == AUDIT || metadata.level() <= self.level
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if record.target() == AUDIT {
            self.audit(record.args(), Entry::from);
        } else {
            self.tell(line(record.level(), record.target(), *record.args()));
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
        let queue = Closing(queue);
        let complain = |text: String| match &fallback {
            // A full queue counts the line.
            Some(lines) => drop(lines.push(text.into())),
            None if sink.write(&text).is_ok() => {}
            None => eprint!("{text}"),
        };
        loop {
            let batch = queue.0.take();
            for entry in batch.entries {
                let text = entry.line();
                match sink.write(text) {
                    Ok(()) => entry.written(),
                    Err(error) => {
                        let message = format_args!("not written to {}: {error}: {text}", sink.path);
                        complain(line(Level::Error, "log", message));
                    }
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

/// The queue of a thread that writes; it is closed however that thread ends.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufRead, BufReader, PipeReader};
    use std::os::fd::IntoRawFd;
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    type Outcome = (&'static str, Result<(), NotRecorded>);

    fn logger(capacity: usize) -> Logger {
        Logger {
            lines: Arc::new(Queue::new(CAPACITY)),
            audit: Arc::new(Queue::new(capacity)),
            level: LevelFilter::Info,
        }
    }

    /// Records `name`, whose outcome `told` gets.
    fn audit(logger: &Logger, name: &'static str, told: &Sender<Outcome>) {
        let told = told.clone();
        // A test that has seen enough no longer listens.
        let tell = move |outcome| told.send((name, outcome)).unwrap_or_default();
        logger.audit(&name, |line| Entry::awaited(line, tell));
    }

    fn audit_unawaited(logger: &Logger, text: &str) {
        let arguments = format_args!("{text}");
        logger.log(&Record::builder().target(AUDIT).level(Level::Info).args(arguments).build());
    }

    fn start_writer(logger: &Logger, file: Result<Fd, libredox::error::Error>) {
        let sink = Sink { path: "/scheme/log/audit".to_owned(), file };
        let (queue, lines) = (Arc::clone(&logger.audit), Arc::clone(&logger.lines));
        spawn_writer("audit log", sink, queue, Some(lines)).expect("a thread");
    }

    fn pipe() -> (BufReader<PipeReader>, Fd) {
        let (reader, writer) = io::pipe().expect("a pipe");
        let writer = writer.into_raw_fd().try_into().expect("a descriptor is never negative");
        (BufReader::new(reader), Fd::new(writer))
    }

    fn next_lines(reader: &mut impl BufRead, count: usize) -> Vec<String> {
        reader.lines().take(count).map(|line| line.expect("text")).collect()
    }

    /// What the ordinary log was given.
    fn said(logger: &Logger) -> Vec<String> {
        logger.lines.take().entries.iter().map(|entry| entry.line().to_owned()).collect()
    }

    fn channel() -> (Sender<Outcome>, Receiver<Outcome>) {
        mpsc::channel()
    }

    #[test]
    fn records_are_written_in_order_and_who_waits_is_told_afterwards() {
        let logger = logger(CAPACITY);
        let (told, outcomes) = channel();
        let (mut reader, writer) = pipe();
        audit(&logger, "a", &told);
        audit_unawaited(&logger, "b");
        audit(&logger, "c", &told);
        assert!(outcomes.try_recv().is_err(), "nothing is written yet");

        start_writer(&logger, Ok(writer));
        assert_eq!(outcomes.recv(), Ok(("a", Ok(()))));
        assert_eq!(outcomes.recv(), Ok(("c", Ok(()))));
        assert_eq!(next_lines(&mut reader, 3), ["a", "b", "c"]);
    }

    #[test]
    fn a_record_that_finds_no_room_is_told_of_at_once_and_said_in_the_log() {
        let logger = logger(1);
        let (told, outcomes) = channel();
        audit(&logger, "first", &told);
        audit(&logger, "second", &told);
        assert_eq!(outcomes.try_recv(), Ok(("second", Err(NotRecorded))));
        audit_unawaited(&logger, "third");
        let said = said(&logger);
        for (line, name) in said.iter().zip(["second", "third"]) {
            let lost = format!(" ERROR audit: record lost, the queue is full: {name}\n");
            assert!(line.ends_with(&lost), "{line}");
        }
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn a_record_that_cannot_be_written_is_told_of_and_said_in_the_log() {
        let logger = logger(CAPACITY);
        let (told, outcomes) = channel();
        audit(&logger, "a", &told);
        start_writer(&logger, Err(libredox::error::Error::new(libredox::errno::ENOSPC)));
        assert_eq!(outcomes.recv(), Ok(("a", Err(NotRecorded))));
        let said = said(&logger);
        assert!(said[0].contains(" ERROR log: not written to /scheme/log/audit: "), "{said:?}");
        assert!(said[0].ends_with(": a\n"), "{said:?}");
    }

    #[test]
    fn a_writer_that_dies_leaves_nobody_waiting() {
        let logger = logger(CAPACITY);
        let (told, outcomes) = channel();
        logger.audit(&"fatal", |line| Entry::awaited(line, |_| panic!("on purpose")));
        audit(&logger, "a", &told);
        let (_reader, writer) = pipe();
        start_writer(&logger, Ok(writer));
        assert_eq!(outcomes.recv(), Ok(("a", Err(NotRecorded))));
        // The queue may close a moment later, which gives up what came before.
        audit(&logger, "b", &told);
        assert_eq!(outcomes.recv(), Ok(("b", Err(NotRecorded))));
    }

    #[test]
    fn without_a_log_nothing_is_recorded() {
        let (told, outcomes) = mpsc::channel();
        super::audit("{}".to_owned(), move |outcome| told.send(outcome).expect("the test listens"));
        assert_eq!(outcomes.try_recv(), Ok(Err(NotRecorded)));
    }
}
