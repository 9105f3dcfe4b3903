//! What Ctrl-C and other signals do: they end this process, unless something here has a better use for them.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::{register_conditional_default, register_usize};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level;

use crate::parallel::lock;

/// What a terminal sends: Ctrl-C and Ctrl-\.
static OF_TERMINAL: Ends = Ends { signals: &[SIGINT, SIGQUIT], us: OnceLock::new() };
/// What others send so that a process ends.
static OF_OTHERS: Ends = Ends { signals: &[SIGTERM, SIGHUP], us: OnceLock::new() };

/// Whether signals end this process. It is asked from when it was first held.
struct Ends {
    signals: &'static [i32],
    us: OnceLock<Arc<AtomicBool>>,
}

impl Ends {
    /// From now on they do not.
    fn hold(&'static self) -> io::Result<Held> {
        let ends_us = match self.us.get() {
            Some(ends_us) => ends_us,
            None => {
                let ends_us = self.us.get_or_init(|| Arc::new(AtomicBool::new(true)));
                for signal in self.signals {
                    register_conditional_default(*signal, Arc::clone(ends_us))?;
                }
                ends_us
            }
        };
        ends_us.store(false, Ordering::SeqCst);
        Ok(Held { ends_us })
    }
}

/// While it lives neither Ctrl-C nor Ctrl-\ ends this process: they are for another one that has the terminal.
pub struct Held {
    ends_us: &'static AtomicBool,
}

impl Held {
    /// # Errors
    /// The system does not allow it.
    pub fn new() -> io::Result<Held> {
        OF_TERMINAL.hold()
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

/// While it lives signals do not end this process at once: what was begun is undone first.
pub struct Postponed {
    /// The signal that came last; 0 if none did.
    came: Arc<AtomicUsize>,
    registrations: Vec<SigId>,
    _held: [Held; 2],
}

impl Postponed {
    /// # Errors
    /// The system does not allow it.
    pub fn new() -> io::Result<Postponed> {
        let held = [OF_TERMINAL.hold()?, OF_OTHERS.hold()?];
        let mut postponed =
            Postponed { came: Arc::default(), registrations: Vec::new(), _held: held };
        for signal in [SIGINT, SIGQUIT, SIGTERM, SIGHUP] {
            let came = Arc::clone(&postponed.came);
            postponed.registrations.push(register_usize(signal, came, signal as usize)?);
        }
        Ok(postponed)
    }

    /// Whether one came: it is time to end.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst) != 0
    }

    /// Ends this process as the signal would have that came, if one did.
    pub fn take_effect(&self) {
        let signal = self.came.load(Ordering::SeqCst);
        if signal != 0 {
            // Does not return: all of these end a process.
            let _ = low_level::emulate_default_handler(signal as i32);
        }
    }
}

impl Drop for Postponed {
    fn drop(&mut self) {
        for registration in self.registrations.drain(..) {
            low_level::unregister(registration);
        }
    }
}

/// While it lives a file is removed before a signal ends this process.
pub struct Litter {
    signals: Handle,
    waits: Option<JoinHandle<()>>,
    _held: [Held; 2],
}

impl Litter {
    /// Makes the file, in a function that says its path too.
    ///
    /// # Errors
    /// The function's; or the system does not allow it.
    pub fn create<T>(make: impl FnOnce() -> io::Result<(PathBuf, T)>) -> io::Result<(Litter, T)> {
        let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let held = [OF_TERMINAL.hold()?, OF_OTHERS.hold()?];
        let path = Arc::new(Mutex::new(None));
        // Whoever has it locked decides first: no file is made once a signal has come.
        let mut made = lock(&path);
        let theirs = Arc::clone(&path);
        let waits = thread::Builder::new().spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let made = lock(&theirs);
                if let Some(path) = &*made {
                    // What is not there any more is no litter.
                    let _ = fs::remove_file::<&PathBuf>(path);
                }
                // Does not return: all of these end a process.
                let _ = low_level::emulate_default_handler(signal);
            }
        })?;
        let litter = Litter { signals: handle, waits: Some(waits), _held: held };
        let outcome = make();
        if let Ok((path, _)) = &outcome {
            *made = Some(path.clone());
        }
        // Before the thread is waited for, if the outcome is an error.
        drop(made);
        outcome.map(|(_, value)| (litter, value))
    }
}

impl Drop for Litter {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(waits) = self.waits.take() {
            // It has nothing to say.
            let _ = waits.join();
        }
    }
}
