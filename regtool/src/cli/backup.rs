//! Backup and restore, and their options.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use clap_complete::engine::ArgValueCompleter;

use super::Output;
use crate::complete;

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  regtool backup HKLM/Software -o software.backup
  regtool backup HKLM -o - | zstd > machine.backup.zst
  regtool backup --verify software.backup
  regtool backup HKLM --store";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  regtool restore HKLM/Software -i software.backup
  zstd -dc machine.backup.zst | regtool restore HKLM -i -";

/// The arguments of `backup`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["file", "store", "verify"])))]
pub struct Backup {
    /// The key
    #[arg(required_unless_present = "verify")]
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: Option<String>,
    /// Write a backup to FILE, which is there only when it is complete; - for the standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Have the source of the hive make one of its own copies of the whole hive now, and print its number
    #[arg(long)]
    pub store: bool,
    /// Tell whether FILE is a whole backup, and what is in it; - for the standard input. It takes no registry
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    pub verify: Option<PathBuf>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `restore`.
#[derive(Args, Debug)]
pub struct Restore {
    /// The key, which must be there
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The backup; - for the standard input
    #[arg(short = 'i', long = "input", value_name = "FILE")]
    pub file: PathBuf,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}
