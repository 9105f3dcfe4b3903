//! The registry's manual: what keys and values mean, and which data is valid.
//!
//! Whoever reads values ships a file that says so. `regman` prints what the files say, and `regtool` warns of
//! data that contradicts it. Nothing here opens the registry.
//!
//! - [`entry`]: what the manual says of a key or a value.
//! - [`mod@file`]: the files, and what can be wrong with them.
//! - [`manual`]: all of them together, and how to find an entry.
//! - [`path`]: how people write paths.
//! - `place`: paths of entries, in which `*` is any name.
//! - `cli`, `commands`, `card`, `json`: the program.
#![forbid(unsafe_code)]

mod card;
mod cli;
mod commands;
pub mod entry;
pub mod file;
mod json;
pub mod manual;
pub mod path;
mod place;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use manual::Manual;

/// The program's options, for what is made from them: manual pages, completions.
pub fn command() -> clap::Command {
    cli::Cli::command()
}

/// Runs the program with the arguments of this process, and says how it is to exit.
pub fn run() -> ExitCode {
    // Prints help, version and usage errors itself; the latter with status 2.
    commands::run(&cli::Cli::parse())
}
