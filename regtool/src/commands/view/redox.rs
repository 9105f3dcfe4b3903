//! On Redox names are bound in namespaces, which a process hands on to those that it starts.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::process::{Child, Command};

use ioslice::IoSlice;
use libredox::flag::F_DUPFD;
use libreg::Registry;

use super::io_error;

/// Starts a command with this root as its `reg`; all other names are as they are here.
pub fn spawn(command: &mut Command, root: &Registry) -> io::Result<Child> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/scheme")? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| name != "reg"));
    }
    let names: Vec<_> = names.iter().map(|name| IoSlice::new(name.as_bytes())).collect();
    let namespace = libredox::call::mkns(&names).map_err(io_error)?;
    // The namespace takes what is bound in it.
    let root = root.as_raw_fd() as usize;
    let bound = libredox::call::fcntl(root, F_DUPFD as usize, 0).map_err(io_error)?;
    libredox::call::register_scheme_to_ns(namespace, "reg", bound).map_err(io_error)?;
    let ours = libredox::call::setns(namespace).map_err(io_error)?;
    let child = command.spawn();
    let theirs = libredox::call::setns(ours).map_err(io_error)?;
    libredox::call::close(theirs).map_err(io_error)?;
    child
}
