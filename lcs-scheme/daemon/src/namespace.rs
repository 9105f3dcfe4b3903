//! The namespace a daemon retires to once it has opened what it needs.

use crate::Error;

/// Enters a namespace in which `file` is the only scheme, and forgets the former.
///
/// From then on this process can open files, and nothing else, by path; what it has open goes on working.
/// Not `setrens(0, 0)`: hives, backups and the group database are files (REDOX.md). The random source is
/// opened first, because it opens its device at first use. On Linux names are found through the root's
/// directory, there is nothing to leave, and the call does nothing.
#[cfg(target_os = "redox")]
pub fn enter_file_only() -> Result<(), Error> {
    use std::collections::hash_map::RandomState;
    use std::io;

    let errno = |error: libredox::error::Error| {
        Error::Namespace(io::Error::from_raw_os_error(error.errno()))
    };
    let random = |error: getrandom::Error| Error::Namespace(io::Error::other(error));

    // std's hash maps and the uuid crate (getrandom) each keep a descriptor of their own.
    let _ = RandomState::new();
    getrandom::fill(&mut [0]).map_err(random)?;

    let file_only = libredox::call::mkns(&[ioslice::IoSlice::new(b"file")]).map_err(errno)?;
    let former = libredox::call::setns(file_only).map_err(errno)?;
    libredox::call::close(former).map_err(errno)
}

/// Enters a namespace in which `file` is the only scheme: on Linux there is nothing to do.
///
/// Names are found there through the root's directory, which belongs to the user who runs the daemon.
#[cfg(not(target_os = "redox"))]
pub fn enter_file_only() -> Result<(), Error> {
    Ok(())
}
