//! Linux' parent-death signal, beside the lifeline.

use std::ffi::OsStr;

use crate::Error;

/// Asks for SIGKILL when the process with this id, the parent, dies.
///
/// The lifeline does the same for a process that runs; this ends also one that is stopped, or whose threads
/// all hang in the kernel, so that a hosted system leaves nothing behind.
#[cfg(not(target_os = "redox"))]
pub(crate) fn kill_me_with(supervisor: &OsStr) -> Result<(), Error> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Error::ParentDeath(error.into()))?;
    // Who died before the request above sends no signal any more.
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if supervisor.to_str() != Some(parent.to_string().as_str()) {
        return Err(Error::Orphaned);
    }
    Ok(())
}

/// Redox has no such signal; the lifeline has to do.
#[cfg(target_os = "redox")]
pub(crate) fn kill_me_with(_supervisor: &OsStr) -> Result<(), Error> {
    Ok(())
}
