//! The namespace a daemon retires to once it has opened what it needs.

use std::collections::hash_map::RandomState;
use std::io;

use ioslice::IoSlice;
use libredox::call;

use crate::Error;

/// Enters a namespace in which `file` is the only scheme, and forgets the former.
///
/// From then on this process can open files, and nothing else, by path; what it has open goes on working.
/// Not `setrens(0, 0)`: hives, backups and the group database are files (REDOX.md). The random source is
/// opened first, because it opens its device at first use. On Linux that binds libredox alone, and is no wall:
/// it shows that the daemons need nothing else.
pub fn enter_file_only() -> Result<(), Error> {
    let errno = |error: libredox::error::Error| {
        Error::Namespace(io::Error::from_raw_os_error(error.errno()))
    };
    let random = |error: getrandom::Error| Error::Namespace(io::Error::other(error));

    // std's hash maps and the uuid crate (getrandom) each keep a descriptor of their own.
    let _ = RandomState::new();
    getrandom::fill(&mut [0]).map_err(random)?;

    let file_only = call::mkns(&[IoSlice::new(b"file")]).map_err(errno)?;
    let former = call::setns(file_only).map_err(errno)?;
    call::close(former).map_err(errno)
}
