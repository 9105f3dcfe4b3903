//! The arguments of `doctor`.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::Output;
use crate::complete;

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  regtool doctor
  regtool doctor Machine/System --json";

/// The arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The key [default: all hives]
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: Option<String>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}
