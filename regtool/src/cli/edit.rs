//! The arguments of `edit`.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::Layer;
use crate::complete;

pub(super) const EDIT_EXAMPLES: &str = "\
Examples:
  regtool edit
  regtool edit HKCU/Software/Editor
  regtool edit HKLM/Software --layer policy";

/// The arguments of `edit`.
#[derive(Args, Debug)]
pub struct Edit {
    /// The key to begin with [default: CurrentUser]
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: Option<String>,
    /// Where changes go
    #[command(flatten)]
    pub layer: Layer,
}
