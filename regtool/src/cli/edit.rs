//! The arguments of `edit`.

use clap::Args;

use super::Layer;

pub(super) const EDIT_EXAMPLES: &str = "\
Examples:
  regtool edit
  regtool edit HKCU/Software/Editor
  regtool edit HKLM/Software --layer policy";

/// The arguments of `edit`.
#[derive(Args, Debug)]
pub struct Edit {
    /// The key to begin with [default: CurrentUser]
    pub path: Option<String>,
    /// Where changes go
    #[command(flatten)]
    pub layer: Layer,
}
