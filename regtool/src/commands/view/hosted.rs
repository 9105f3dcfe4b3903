//! On Linux names are bound to inherited descriptors by the environment, which `hosted` reads.

use std::env;
use std::io;
use std::os::fd::AsRawFd;
use std::process::{Child, Command};

use libredox::Fd;
use libredox::flag::F_DUPFD;
use libreg::Registry;

use super::io_error;

/// `NAME=DESCRIPTOR`, separated by commas.
const NAMES: &str = "REDOX_HOSTED_NAMES";

/// Starts a command with this root as its `reg`; all other names are as they are here.
pub fn spawn(command: &mut Command, root: &Registry) -> io::Result<Child> {
    // Our own is closed in other programs; this one is not.
    let root = root.as_raw_fd() as usize;
    let inherited = libredox::call::fcntl(root, F_DUPFD as usize, 0).map_err(io_error)?;
    let inherited = Fd::new(inherited);
    let others = env::var(NAMES).unwrap_or_default();
    command.env(NAMES, with_reg(&others, inherited.raw())).spawn()
}

/// These names, with another `reg`.
fn with_reg(names: &str, descriptor: usize) -> String {
    let is_kept = |name: &&str| !name.is_empty() && !name.starts_with("reg=");
    let reg = format!("reg={descriptor}");
    names.split(',').filter(is_kept).chain([reg.as_str()]).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_within_a_view_takes_its_place() {
        assert_eq!(with_reg("", 5), "reg=5");
        assert_eq!(with_reg("reg=5", 7), "reg=7");
        assert_eq!(with_reg("a=3,reg=5,regsrc=6", 7), "a=3,regsrc=6,reg=7");
    }
}
