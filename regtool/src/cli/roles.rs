//! The arguments of `role` and `diff`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use super::{Output, examples};
use crate::complete;

pub(super) const ROLE_EXAMPLES: &str = "\
Examples:
  regtool role install web-server.toml
  regtool role install - < web-server.toml

A role file:
  name = \"web-server\"
  description = \"Ports and limits of a web server\"

  [[key]]
  path = 'Machine\\Software\\Web'
  sd = \"D:P(A;CI;KA;;;BA)(A;CI;KR;;;AU)\"
  [key.values]
  Port = 8080
  Root = \"/srv/www\"
  Modules = [\"gzip\", \"tls\"]
  Cache = { expand_sz = \"%TMP%/web\" }
  Old = { tombstone = true }

  [[key]]
  path = 'Machine\\Software\\WebCurrent'
  link = 'Machine\\Software\\Web'

  [[key]]
  path = 'Machine\\Software\\Old'
  hide = true

Text is sz, a number dword or, if it is larger, qword, true and false are the dwords 1 and 0, a list is multi_sz; \
{ TYPE = DATA } is any type, { tombstone = true } masks the value of other layers, and mask = true all values of the \
key. @ is the default value.";

pub(super) const DIFF_EXAMPLES: &str = "\
Examples:
  regtool export HKLM/Software/Web -o before.reg
  regtool role install web-server.toml
  regtool diff before.reg HKLM/Software/Web";

/// What to do about roles.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Put a role on
    ///
    /// All of the file is checked first, and what is wrong is told with its line. Then everything is written, in one
    /// transaction, or, if keys are not in Machine, in one for each hive and seen only at the end. If something
    /// cannot be done nothing is.
    ///
    /// Security descriptors are those of keys that the role makes itself: for a key that is there it is an error,
    /// since it would stay when the role is removed.
    #[command(after_long_help = ROLE_EXAMPLES)]
    Install(RoleInstall),
    /// Take a role off
    ///
    /// Everything is then as if it had never been installed. What others, also other roles, have put into keys that
    /// the role made is gone with these.
    #[command(after_long_help = examples::ROLE_REMOVE)]
    Remove(RoleRemove),
    /// List the roles that are installed
    #[command(after_long_help = examples::ROLE_LIST)]
    List(RoleList),
}

/// The arguments of `role install`.
#[derive(Args, Debug)]
pub struct RoleInstall {
    /// The role file; - for the standard input
    pub file: PathBuf,
}

/// The arguments of `role remove`.
#[derive(Args, Debug)]
pub struct RoleRemove {
    /// The role's name
    #[arg(add = ArgValueCompleter::new(complete::layers))]
    pub name: String,
}

/// The arguments of `role list`.
#[derive(Args, Debug)]
pub struct RoleList {
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `diff`.
#[derive(Args, Debug)]
pub struct Diff {
    /// A key, or a .reg file
    #[arg(add = ArgValueCompleter::new(complete::keys_and_files))]
    pub a: String,
    /// A key, or a .reg file
    #[arg(add = ArgValueCompleter::new(complete::keys_and_files))]
    pub b: String,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}
