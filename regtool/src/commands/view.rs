//! `view`.

#[cfg(not(target_os = "redox"))]
mod hosted;
#[cfg(target_os = "redox")]
mod redox;

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use libreg::{Registry, ViewOptions};

#[cfg(not(target_os = "redox"))]
use hosted::spawn;
#[cfg(target_os = "redox")]
use redox::spawn;

use super::Session;
use crate::cli::View;
use crate::exit::{Failure, complain};
use crate::interrupt::Held;
use crate::output;

/// The exit codes of a command that did not run, as shells have them.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What shells add to the number of the signal that ended a command.
const BY_SIGNAL: i32 = 128;

pub fn view(session: &mut Session, options: &View) -> Result<(), Failure> {
    let Some((program, arguments)) = options.command.split_first() else {
        let what = "there is no command".to_owned();
        return Err(Failure::Usage { subject: "view".to_owned(), what });
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let view = root(session.outside()?, options)?;
    let run = |command| {
        let _held = Held::new()?;
        spawn(command, &view)?.wait()
    };
    match run(&mut command).map(exit_code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Ended(code)),
        Err(error) => {
            let program = program.to_string_lossy();
            complain(&format_args!("{}: {error}", output::one_line(&program)));
            let missing = error.kind() == ErrorKind::NotFound;
            Err(Failure::Ended(if missing { NOT_FOUND } else { CANNOT_RUN }))
        }
    }
}

/// The root of the view. One at a time is added, so that an error is about that one.
fn root(outside: &Registry, options: &View) -> Result<Registry, libreg::Error> {
    let sealed = ViewOptions { sealed: options.sealed, ..ViewOptions::default() };
    let mut root = outside.view(&sealed)?;
    for scope in &options.scopes {
        root = root.view(&ViewOptions { scopes: &[*scope], ..ViewOptions::default() })?;
    }
    for layer in &options.layers {
        root = root.view(&ViewOptions { private_layers: &[layer], ..ViewOptions::default() })?;
    }
    Ok(root)
}

fn exit_code(status: ExitStatus) -> u8 {
    let by_signal = || status.signal().map(|signal| BY_SIGNAL + signal);
    let code = status.code().or_else(by_signal).unwrap_or_default();
    // The system keeps eight bits of it.
    u8::try_from(code & 0xFF).unwrap_or(u8::MAX)
}

/// An error of libredox as one of the standard library.
fn io_error(error: libredox::error::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_s_end_is_told_as_shells_do() {
        let of = |raw| exit_code(ExitStatus::from_raw(raw));
        assert_eq!(of(0), 0);
        assert_eq!(of(7 << 8), 7);
        assert_eq!(of(9), 137);
    }
}
