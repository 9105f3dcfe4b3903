//! What init waits for, as one stream: signals, and daemons that become ready.

use std::io::{self, PipeReader, Read};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Something that init acts on.
#[derive(Debug)]
pub enum Event {
    /// A child may have ended.
    Child,
    /// Init is told to end. From a terminal's Ctrl-C the command of the foreground has it too.
    End(Stop),
    /// The daemon of the wait with this number signalled readiness, or closed its descriptor without.
    Ready(usize, bool),
}

/// Which signal tells init to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, or SIGHUP when the terminal went away.
    Terminate,
    /// SIGINT.
    Interrupt,
}

/// The stream of events.
pub struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    /// Starts to receive signals; from now on they do not end this process.
    pub fn new() -> io::Result<Self> {
        let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGHUP, SIGINT])?;
        let (sender, receiver) = mpsc::channel();
        let for_signals = sender.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGCHLD => Event::Child,
                    SIGINT => Event::End(Stop::Interrupt),
                    _ => Event::End(Stop::Terminate),
                };
                if for_signals.send(event).is_err() {
                    return;
                }
            }
        })?;
        Ok(Events { sender, receiver })
    }

    /// Makes an [`Event::Ready`] with `number` of the first byte, or the end, of `pipe`.
    pub fn await_byte(&self, number: usize, mut pipe: PipeReader) -> io::Result<()> {
        let sender = self.sender.clone();
        let read = move || {
            let ready = pipe.read_exact(&mut [0]).is_ok();
            // Nobody listens any more when init is ending.
            let _ = sender.send(Event::Ready(number, ready));
        };
        thread::Builder::new().name("readiness".to_owned()).spawn(read).map(drop)
    }

    /// The next event.
    pub fn next(&self) -> Event {
        // This struct has a sender, so the channel has no end; if it had, ending would be right.
        self.receiver.recv().unwrap_or(Event::End(Stop::Terminate))
    }

    /// The next event, or `None` when `deadline` comes first.
    pub fn next_before(&self, deadline: Instant) -> Option<Event> {
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}
