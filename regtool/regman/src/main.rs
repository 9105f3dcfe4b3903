//! The registry's manual.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    regman::run()
}
