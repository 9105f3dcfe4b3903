//! The connection to LCS: frames over a handle of `/scheme/regsrc`.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use event::{EventFlags, EventQueue};
use lcs_abi::rsi::{
    ClaimedHive, FOLD_VERSION, FRAME_HEADER, FRAME_OVERHEAD, FromSource, RSI_VERSION, Received,
    Refusal, ToSource, decode_to_source, frame, split_frame,
};
use libredox::error::Error as Errno;
use libredox::{Fd, errno, flag};

use crate::Error;
use crate::outbox::{Line, Outbox};

const REGSRC: &str = "/scheme/regsrc";

/// How long to wait before LCS is looked for again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How often to look whether LCS is still there: on Redox the death of a scheme wakes nobody.
const PULSE: Duration = Duration::from_secs(1);

/// The first size of the buffer for what LCS sends: some hundred requests, and little to carry where there
/// is only one. It grows for a longer frame, and shrinks after it.
const READ_SIZE: usize = 16 << 10;

event::user_data! {
    enum Wake {
        Regsrc,
        Outbox,
    }
}

/// A handle of `/scheme/regsrc`.
struct Regsrc(Fd);

impl Line for Arc<Regsrc> {
    fn write(&self, frames: &[u8]) -> Result<(), Error> {
        loop {
            match self.0.write(frames) {
                Ok(written) if written == frames.len() => return Ok(()),
                Ok(_) => return Err(Error::Protocol("part of a write was taken")),
                Err(error) if error.is_interrupt() => {}
                Err(error) if error.errno() == errno::ENODEV => return Err(Error::Gone),
                Err(error) => return Err(in_scheme(REGSRC)(error)),
            }
        }
    }
}

/// A connection to LCS.
pub struct Connection {
    regsrc: Arc<Regsrc>,
    events: EventQueue<Wake>,
    outbox: Arc<Outbox>,
    buffer: Vec<u8>,
    max_frame: u32,
}

impl Connection {
    /// Opens `/scheme/regsrc`, and waits for it as long as it is not there. `patience` is called once if
    /// that takes long.
    pub fn open(patience: impl FnOnce()) -> Result<Self, Error> {
        let regsrc = Arc::new(Regsrc(open_regsrc(patience)?));
        let outbox = Arc::new(Outbox::new(Arc::clone(&regsrc))?);
        let events = EventQueue::new().map_err(in_scheme("event queue"))?;
        events
            .subscribe(regsrc.0.raw(), Wake::Regsrc, EventFlags::READ)
            .map_err(in_scheme(REGSRC))?;
        events
            .subscribe(outbox.descriptor(), Wake::Outbox, EventFlags::READ)
            .map_err(in_scheme("event queue"))?;
        let pulse = Arc::clone(&outbox);
        thread::Builder::new()
            .name("pulse".to_owned())
            .spawn(move || {
                loop {
                    thread::sleep(PULSE);
                    pulse.wake();
                }
            })
            .map_err(|error| Error::System { what: "thread", error })?;
        Ok(Connection {
            regsrc,
            events,
            outbox,
            buffer: vec![0; READ_SIZE],
            // Until LCS says how long frames may be; what it says before that is short.
            max_frame: FRAME_OVERHEAD,
        })
    }

    /// Claims the hives. Only then may their files be touched.
    pub fn claim(&mut self, hives: &[ClaimedHive]) -> Result<(), Error> {
        let hives = hives.to_vec();
        let claim = FromSource::Claim { version: RSI_VERSION, fold_version: FOLD_VERSION, hives };
        self.write(&[frame(&claim)])?;
        let mut answer = None;
        while answer.is_none() {
            self.wait()?;
            self.read(|message, _| match answer.replace(message) {
                None => Ok(()),
                Some(_) => Err(Error::Protocol("a message behind the answer to a claim")),
            })?;
        }
        match answer {
            Some(Received::Other(ToSource::Claimed { version, max_frame, .. })) => {
                if version != RSI_VERSION {
                    return Err(Error::NotAccepted(Refusal::Version));
                }
                self.max_frame = max_frame;
                Ok(())
            }
            Some(Received::Other(ToSource::Refused(refusal))) => Err(Error::NotAccepted(refusal)),
            _ => Err(Error::Protocol("a claim was answered by something else")),
        }
    }

    /// The longest frame that LCS takes, in bytes.
    pub(crate) fn max_frame(&self) -> u32 {
        self.max_frame
    }

    /// What makes who serves over this connection end in order.
    pub fn ender(&self) -> impl Fn() + Send + Sync + 'static {
        let outbox = self.outbox();
        move || outbox.end(Error::ToldToEnd)
    }

    /// What other threads write to.
    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Waits until there may be something to read, or somebody wants this thread to look.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        loop {
            match self.events.next_event() {
                Ok(_) => return Ok(()),
                Err(error) if error.is_interrupt() => {}
                Err(error) => return Err(in_scheme("event queue")(error)),
            }
        }
    }

    /// Reads once, and shows `take` each message with its size in bytes. False: there was little or
    /// nothing, and of what comes an event will tell; LCS does that also for what a read left behind.
    pub(crate) fn read(
        &mut self,
        mut take: impl FnMut(Received, usize) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let read = match self.regsrc.0.read(&mut self.buffer) {
            Ok(0) => return Err(Error::Gone),
            Ok(read) => read,
            Err(error) if error.errno() == errno::EAGAIN => return Ok(false),
            Err(error) if error.errno() == errno::EINTR => return Ok(true),
            Err(error) if error.errno() == errno::EMSGSIZE => return self.grow(),
            Err(error) if error.errno() == errno::ENODEV => return Err(Error::Gone),
            Err(error) => return Err(in_scheme(REGSRC)(error)),
        };
        let bytes = self.buffer.get(..read).unwrap_or_default();
        each_message(bytes, self.max_frame, &mut take)?;
        if self.buffer.len() > READ_SIZE {
            self.buffer = vec![0; READ_SIZE];
        }
        Ok(read > READ_SIZE / 2)
    }

    /// Makes room for a frame that is longer than the buffer.
    fn grow(&mut self) -> Result<bool, Error> {
        let longest = self.max_frame as usize + FRAME_HEADER;
        if self.buffer.len() >= longest {
            return Err(Error::Protocol("a frame that is too long"));
        }
        let size = self.buffer.len().saturating_mul(4).min(longest);
        self.buffer = vec![0; size];
        Ok(true)
    }

    /// Writes whole frames, many at once.
    pub(crate) fn write(&self, frames: &[Vec<u8>]) -> Result<(), Error> {
        self.outbox.write(frames)
    }
}

/// Takes whole frames apart, and shows `take` each message with its size in bytes.
pub(crate) fn each_message(
    bytes: &[u8],
    max_frame: u32,
    take: &mut dyn FnMut(Received, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (contents, after) = split_frame(rest, max_frame)
            .map_err(|_| Error::Protocol("a frame that is too long"))?
            .ok_or(Error::Protocol("part of a frame"))?;
        let message =
            decode_to_source(contents).map_err(|_| Error::Protocol("a malformed message"))?;
        take(message, contents.len())?;
        rest = after;
    }
    Ok(())
}

/// Opens `/scheme/regsrc` as soon as it is there.
fn open_regsrc(patience: impl FnOnce()) -> Result<Fd, Error> {
    let (mut delay, longest) = RETRY;
    let mut patience = Some(patience);
    loop {
        let error = match Fd::open(REGSRC, flag::O_RDWR | flag::O_NONBLOCK | flag::O_CLOEXEC, 0) {
            Ok(regsrc) => return Ok(regsrc),
            Err(error) if matches!(error.errno(), errno::ENODEV | errno::ENOENT) => error,
            Err(error) => return Err(in_scheme(REGSRC)(error)),
        };
        log::debug!("{REGSRC}: {error}; next try in {} ms", delay.as_millis());
        thread::sleep(delay);
        delay = delay.saturating_mul(2);
        if delay > longest {
            delay = longest;
            if let Some(patience) = patience.take() {
                log::warn!("{REGSRC} is not there; waiting for LCS");
                patience();
            }
        }
    }
}

fn in_scheme(what: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::Scheme { what, error: io::Error::from_raw_os_error(error.errno()) }
}
