//! The commands about security descriptors, and their options.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use libreg::Access;

use super::{Output, examples};
use crate::complete;

const ACL_EXAMPLES: &str = "\
Examples:
  regtool acl set HKLM/Software/Editor 'D:P(A;CI;KA;;;BA)(A;CI;KR;;;AU)'
  regtool acl set HKLM/Software/Editor O:S-1-22-1-1000";

/// What to do about security descriptors.
#[derive(Debug, Subcommand)]
pub enum Acl {
    /// Show who may do what
    ///
    /// That is the owner, the group, and a line for each entry, in the order in which they count: for each right
    /// the first entry decides that names it. The last line is the same as SDDL, which `acl set` takes.
    ///
    /// What is audited is shown, too, if you may read it.
    #[command(after_long_help = examples::ACL_GET)]
    Get(AclGet),
    /// Set who may do what
    ///
    /// The parts that SDDL names are replaced: O: the owner, G: the group, D: who may do what, S: what is
    /// audited. Other parts stay as they are, and so do the keys below.
    ///
    /// SIDs: SY is SYSTEM, BA Administrators, AU authenticated users, WD everyone, S-1-22-1-UID a user,
    /// S-1-22-2-GID a group. Rights: KA all, KR read, KW write, and more. CI: keys that are made below inherit it.
    /// D:P is a list that inherits nothing.
    #[command(after_long_help = ACL_EXAMPLES)]
    Set(AclSet),
    /// Tell whether you may do something with a key
    ///
    /// Prints yes or no, and in the latter case what is missing; the exit code is 0 for yes and 1 for no. You are
    /// the user who runs regtool.
    ///
    /// RIGHTS are QUERY_VALUE, SET_VALUE, CREATE_SUB_KEY, ENUMERATE_SUB_KEYS, NOTIFY, CREATE_LINK, DELETE,
    /// READ_CONTROL, WRITE_DAC, WRITE_OWNER, ACCESS_SYSTEM_SECURITY, with or without KEY_ before them; read, write
    /// and all; what SDDL calls them (KR, KW, KA, …); a number (0x…). Commas separate them.
    #[command(after_long_help = examples::ACL_CHECK)]
    Check(AclCheck),
}

/// The arguments of `acl get`.
#[derive(Args, Debug)]
pub struct AclGet {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `acl set`.
#[derive(Args, Debug)]
pub struct AclSet {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// What to set
    pub sddl: String,
}

/// The arguments of `acl check`.
#[derive(Args, Debug)]
pub struct AclCheck {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// What you want to do
    #[arg(value_parser = crate::rights::parse)]
    #[arg(add = ArgValueCompleter::new(complete::rights))]
    pub rights: Access,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}
