//! The arguments of `doctor`.

use clap::Args;

use super::Output;

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  regtool doctor
  regtool doctor Machine/System --json";

/// The arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The key [default: all hives]
    pub path: Option<String>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}
