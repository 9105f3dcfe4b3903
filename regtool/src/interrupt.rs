//! What Ctrl-C ends: this process, unless it only waits for another one that has the terminal.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGQUIT};
use signal_hook::flag::register_conditional_default;

/// Does `work` without being ended by Ctrl-C or Ctrl-\.
///
/// # Errors
/// Those of `work`, or the system does not allow it.
pub fn left_to_others<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
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
    let outcome = work();
    ends_us.store(true, Ordering::SeqCst);
    outcome
}
