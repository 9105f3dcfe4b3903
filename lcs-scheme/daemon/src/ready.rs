//! Readiness as Redox's init defines it: one byte on the descriptor that `INIT_NOTIFY` names.

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, RawFd};
use std::sync::Once;

/// The variable of the environment that names the descriptor.
pub(crate) const NOTIFY: &str = "INIT_NOTIFY";

static SIGNALLED: Once = Once::new();

/// Tells init, once, that this daemon serves; does nothing when no init asked (`INIT_NOTIFY` is not set)
/// or when it was called before.
///
/// A daemon that its supervisor started anew signals too, though init heard the first and has closed its
/// end: that is no error. Other failures go to the log.
pub fn ready() {
    SIGNALLED.call_once(|| {
        let Some(descriptor) = inherited_descriptor() else {
            return;
        };
        // SAFETY: init's contract is that INIT_NOTIFY names a descriptor which this process inherited for
        // nothing but this byte. It was open before the process opened anything, so the number can't have
        // been given to a file of our own; `Once` makes this the only owner.
        #[allow(unsafe_code)]
        let mut pipe = unsafe { File::from_raw_fd(descriptor) };
        match pipe.write_all(&[0]) {
            Ok(()) => log::debug!("signalled readiness"),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                log::debug!("init knows of our readiness already");
            }
            Err(error) => {
                log::error!("cannot signal readiness on descriptor {descriptor}: {error}")
            }
        }
    });
}

/// The descriptor in `INIT_NOTIFY`, if there is one.
fn inherited_descriptor() -> Option<RawFd> {
    let text = std::env::var_os(NOTIFY)?;
    let number = text.to_str().and_then(|text| text.parse::<RawFd>().ok());
    if number.is_none_or(|number| number < 0) {
        log::error!("{NOTIFY} is {text:?}, which is no descriptor: readiness is not signalled");
        return None;
    }
    number
}
