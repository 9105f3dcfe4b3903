//! What Ctrl-C does: it ends this process, unless something here has a better use for it.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGQUIT};
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level;

/// While it lives neither Ctrl-C nor Ctrl-\ ends this process: they are for another one that has the terminal.
pub struct Held {
    ends_us: &'static AtomicBool,
}

impl Held {
    /// # Errors
    /// The system does not allow it.
    pub fn new() -> io::Result<Held> {
        static ENDS_US: OnceLock<Arc<AtomicBool>> = OnceLock::new();
        let ends_us = match ENDS_US.get() {
            Some(ends_us) => ends_us,
            None => {
                let ends_us = ENDS_US.get_or_init(|| Arc::new(AtomicBool::new(true)));
                for signal in [SIGINT, SIGQUIT] {
                    register_conditional_default(signal, Arc::clone(ends_us))?;
                }
                ends_us
            }
        };
        ends_us.store(false, Ordering::SeqCst);
        Ok(Held { ends_us })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ends_us.store(true, Ordering::SeqCst);
    }
}

/// While it lives Ctrl-C does not end this process but is told here.
pub struct Interrupts {
    told: UnixStream,
    registration: SigId,
    _held: Held,
}

impl Interrupts {
    /// # Errors
    /// The system does not allow it.
    pub fn new() -> io::Result<Interrupts> {
        let held = Held::new()?;
        let (told, tell) = UnixStream::pair()?;
        told.set_nonblocking(true)?;
        let registration = low_level::pipe::register(SIGINT, tell)?;
        Ok(Interrupts { told, registration, _held: held })
    }

    /// Whether Ctrl-C came since the last call.
    pub fn came(&mut self) -> bool {
        self.told.read(&mut [0; 16]).is_ok_and(|length| length > 0)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        low_level::unregister(self.registration);
    }
}

impl AsRawFd for Interrupts {
    /// Readable when Ctrl-C came.
    fn as_raw_fd(&self) -> RawFd {
        self.told.as_raw_fd()
    }
}
