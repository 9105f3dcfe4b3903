//! The arguments of `selftest`.

use clap::Args;

use super::Output;

pub(super) const SELFTEST_EXAMPLES: &str = "\
Examples:
  regtool selftest
  regtool selftest --json";

/// The arguments of `selftest`.
#[derive(Args, Debug)]
pub struct Selftest {
    /// How to print
    #[command(flatten)]
    pub output: Output,
}
