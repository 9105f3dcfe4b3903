//! The options, each defined once. Help, version and parsing come from these definitions alone.

use std::path::PathBuf;

use clap::{ArgGroup, Parser};

const LONG_ABOUT: &str = "\
Say what keys and values of the registry mean, and which data is valid.

A PATH is a hive and keys below it, separated by \\ or /: Machine\\System\\Registry. HKLM, HKU and HKCU stand for \
Machine, Users and CurrentUser. Upper and lower case are the same. A PATH may also lead to a value. The NAME of a \
key's default value is @. The registry itself is not looked at, and need not be running.";

const AFTER: &str = "\
Files:
  *.toml in the folders of $REGMAN_PATH (separated by :), then in /usr/share/regman; in a hosted system that is
  $REDOX_HOSTED/usr/share/regman. What was said first counts. A file with an error is told on stderr and left out.

Exit codes:
  0  done
  1  not found
  2  the command line makes no sense
  5  anything else (for --check: something is wrong with a file)

Examples:
  regman Machine/System/Registry
  regman HKLM/System/Registry MaxHandlesPerUser
  regman -k timeout
  regman --check lcs-scheme/manual/*.toml";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "regman", version, about = "Say what keys and values of the registry mean")]
#[command(long_about = LONG_ABOUT, after_long_help = AFTER)]
#[command(group = ArgGroup::new("what").args(["path", "keyword", "list", "check"]).required(true))]
pub(crate) struct Cli {
    /// The key, or a key and a value's name
    pub(crate) path: Option<String>,
    /// The value; @ for the default value
    #[arg(requires = "path")]
    pub(crate) name: Option<String>,
    /// List the entries that have WORD in their path, name or text
    #[arg(short, long, value_name = "WORD")]
    pub(crate) keyword: Option<String>,
    /// List the entries for PATH and for what is below it
    #[arg(long, value_name = "PATH")]
    pub(crate) list: Option<String>,
    /// Check manual files; without FILE, all that there are
    #[arg(long, value_name = "FILE", num_args = 0..)]
    pub(crate) check: Option<Vec<PathBuf>>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
