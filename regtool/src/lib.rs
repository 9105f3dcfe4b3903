//! The command line of the registry: what `regtool` does, as a library, so that tests and other programs of
//! this project can use its parts.
//!
//! - [`cli`]: the commands and their options, each defined once; help and parsing come from it.
//! - `commands`: what each command does.
//! - `complete`: what can stand where the cursor is, in regtool's shell and in others.
//! - [`exit`]: every way to fail, with its line on stderr and its exit code.
//! - [`formats`]: files, without a registry.
//! - [`path`]: how people write paths; it is regman's.
//! - `accounts` and `rights`: how people write, and read, who may do what.
//! - `shell`: the line editor around the same commands.
#![forbid(unsafe_code)]

mod accounts;
pub mod cli;
mod commands;
mod complete;
pub mod exit;
pub mod formats;
mod interrupt;
mod output;
mod parallel;
pub use regman::path;
mod rights;
mod shell;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    // Prints help, version and usage errors itself; the latter with status 2.
    let cli = cli::Cli::parse();
    let mut session = commands::Session::new();
    let outcome = commands::run(&mut session, &cli.command);
    exit::report(outcome.map_err(|failure| session.explained(failure)))
}

/// Carries out one command, as [`run`] does.
///
/// # Errors
/// What was not done; it has not been told yet, except for what takes more than one line.
pub fn carry_out(command: &cli::Command) -> Result<(), exit::Failure> {
    commands::run(&mut commands::Session::new(), command)
}
