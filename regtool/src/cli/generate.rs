//! The arguments of what is made from these definitions: `completions` and `manpages`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::complete::shells::Shell;

/// The arguments of `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
    /// The command line so far, as the script gives it
    #[arg(last = true, hide = true)]
    pub words: Vec<String>,
}

/// The arguments of `manpages`.
#[derive(Args, Debug)]
pub struct Manpages {
    /// Where to; made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
}
