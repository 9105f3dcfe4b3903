//! The commands and their options. Help, version and parsing come from these definitions alone.

mod acl;
mod backup;
mod doctor;
mod edit;
mod examples;
mod generate;
mod layers;
mod roles;
mod selftest;

use std::path::PathBuf;

pub use acl::*;
pub use backup::*;
pub use doctor::*;
pub use edit::*;
pub use generate::*;
pub use layers::*;
pub use roles::*;
pub use selftest::*;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use libreg::ValueType;

use crate::complete;

const ABOUT: &str = "Read and change the registry";

const LONG_ABOUT: &str = "\
Read and change the registry.

A PATH is a hive and keys below it, separated by \\ or /: Machine\\System\\Registry. HKLM, HKU and HKCU (and \
HKEY_LOCAL_MACHINE, HKEY_USERS, HKEY_CURRENT_USER) stand for Machine, Users and CurrentUser. Upper and lower \
case are the same. The NAME of a key's default value is @.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not found (for check, find and acl check: no; for diff: something differs)
  2  the command line makes no sense
  3  access denied
  4  the registry or a source is not there, or did not answer in time
  5  anything else (for selftest: something failed; for doctor: something is not as the manual says)

Examples:
  regtool set -p HKCU/Software/Editor Tabs 4 --type dword
  regtool get HKCU/Software/Editor Tabs
  regtool tree Machine/System --depth 2
  regtool export HKCU/Software/Editor -o editor.reg";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "regtool", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A line of the shell: the same commands, without the program's name before them.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_version_flag = true)]
pub struct Line {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a value
    ///
    /// That is the effective value, the one that wins between the layers.
    ///
    /// Text is printed as it is, a list with one string per line, a number in decimal, everything else in
    /// hexadecimal. --json also tells type, layer and sequence number.
    #[command(after_long_help = examples::GET)]
    Get(Get),
    /// Write a value
    ///
    /// It is durable when the command ends.
    ///
    /// Without --type a value that is there (and that you may read) keeps its type, and a new one is of type sz.
    /// With --type link it is written to a link itself and not to what it leads to: @ is where it leads.
    ///
    /// What the manual (`regman`) calls wrong is written all the same, with a warning on stderr.
    #[command(after_long_help = examples::SET)]
    Set(Set),
    /// Delete a value from a layer
    ///
    /// One that is not there is no error. Values of that name in other layers are
    /// seen again.
    #[command(after_long_help = examples::UNSET)]
    Unset(Unset),
    /// Mask values in a layer
    ///
    /// Where the layer wins there is no such value, whatever layers of lower precedence say. What the layer has
    /// of that name is replaced. --all masks every value of the key but those that are written afterwards.
    #[command(after_long_help = layers::MASK_EXAMPLES)]
    Mask(Mask),
    /// Take back what mask did
    ///
    /// If the layer has a value of that name it stays, and the exit code is 5. Where nothing is masked nothing
    /// is done.
    #[command(after_long_help = examples::UNMASK)]
    Unmask(Mask),
    /// Create a key
    ///
    /// One that is there stays as it is.
    ///
    /// With --link it is a link: paths through it go on at TARGET, which need not be there. It takes CREATE_LINK,
    /// and only Administrators may.
    #[command(after_long_help = examples::CREATE)]
    Create(Create),
    /// Delete a key from a layer
    ///
    /// If another layer has it, too, it is still there.
    ///
    /// A link is deleted itself, not what it leads to.
    #[command(after_long_help = examples::DELETE)]
    Delete(Delete),
    /// Hide a key in a layer
    ///
    /// Where the layer wins there is no such key, nor what is below it, whatever layers of lower precedence say.
    /// A layer that has the key itself cannot hide it. A link is hidden itself, not what it leads to.
    #[command(after_long_help = examples::HIDE)]
    Hide(Hide),
    /// Take back what hide did
    #[command(after_long_help = examples::UNHIDE)]
    Unhide(Unhide),
    /// List subkeys and values; without PATH, the hives
    ///
    /// The hives are listed with their state.
    #[command(after_long_help = examples::LIST)]
    List(List),
    /// Show the keys below a key
    ///
    /// Links are not followed.
    #[command(after_long_help = examples::TREE)]
    Tree(Tree),
    /// Search names and data
    ///
    /// Key names, value names and data, as `get` prints it, are looked at, below a key or in all hives.
    ///
    /// Upper and lower case are the same. With * or ? in it PATTERN must match all of a name or of data; else it
    /// is looked for anywhere in it. Links are not followed. Exit code 1 if nothing was found.
    #[command(after_long_help = examples::FIND)]
    Find(Find),
    /// Show what a key is
    ///
    /// That is identity, last write, what it holds, its owner, your rights. A link is shown itself, with where it
    /// leads.
    #[command(after_long_help = examples::INFO)]
    Info(Info),
    /// Show why a value is what it is, or why a path leads where it does
    ///
    /// Each layer that says something is listed with what it says and what becomes of it, the winner first. If
    /// the path leads nowhere its first key that is not there is explained. Administrators see all layers, others
    /// those that count.
    ///
    /// Exit code 1 if no layer says anything.
    #[command(after_long_help = layers::EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Tell by the exit code whether a key or a value is there
    ///
    /// 0 is yes, 1 is no. Nothing is printed.
    #[command(after_long_help = examples::CHECK)]
    Check(Check),
    /// Print what changes of a key, as it happens
    ///
    /// One line for each change, until Ctrl-C, which does not end the shell. A change is one of what you see: what another layer wins against
    /// is none. A value that was set is shown as it is when it is read, which may be later than the change.
    ///
    /// `events lost` means that something may have changed that is not told: read what you need again.
    #[command(after_long_help = layers::WATCH_EXAMPLES)]
    Watch(Watch),
    /// Show and change who may do what with a key
    #[command(subcommand, arg_required_else_help = false)]
    Acl(Acl),
    /// Import .reg files, policies, Windows hives and TOML
    ///
    /// What a file is is told by its first bytes, TOML by its name (.toml). All of the files are imported, or nothing.
    ///
    /// .reg: "Windows Registry Editor Version 5.00" in UTF-16 or UTF-8, and REGEDIT4. Text becomes UTF-8; what is not
    /// taken over exactly, or not at all, is told with its line. Key names may contain / on Windows and not here; it
    /// becomes %2F. The keys that lead to a key are made with it.
    ///
    /// registry.pol: a policy, below the key that --under names. It goes into the layer `policy`, or that of --layer,
    /// which is made with precedence 1 (--precedence) if it is not there. What the policy deletes is masked or hidden
    /// by that layer, so that it is back when the layer is deleted. **SecureKey is told, and not taken over.
    ///
    /// Hives (NTUSER.DAT, SYSTEM): keys and values, below the key that --under names; without security descriptors.
    /// One that is damaged, or was not written to its end, is refused unless --damaged is given.
    ///
    /// TOML: what `regtool export --format toml` writes, and role files (`regtool role --help`).
    #[command(after_long_help = examples::IMPORT)]
    Import(Import),
    /// Export a key and all below it
    ///
    /// What is exported is what is effective: the winners between the layers. .reg and TOML come back by `import` as
    /// they were; JSON also tells layers and sequence numbers, and is for programs.
    ///
    /// A .reg file is written as regedit does, in UTF-16 with CRLF; on the standard output it is UTF-8 with LF.
    /// What .reg cannot hold (that a key is volatile, links) is told on stderr and in comments. TOML holds all of it.
    #[command(after_long_help = examples::EXPORT)]
    Export(Export),
    /// Back up a key and all below it, in all layers
    ///
    /// A backup shows the key as it was at one moment, with what every layer says, security descriptors, links and
    /// volatile keys. It takes the privilege SeBackup and no rights. The file can be read by its owner only: it
    /// holds what others may not read.
    ///
    /// --json prints what the backup holds; with -o - on stderr.
    #[command(after_long_help = backup::BACKUP_EXAMPLES)]
    Backup(Backup),
    /// Replace a key and all below it by a backup
    ///
    /// Everything that the key holds is replaced, in all layers, and its security descriptor: all at once, or,
    /// if something is wrong with the backup, nothing. It takes the privilege SeRestore, and SeTcb if one of the
    /// layers has a precedence above 0.
    ///
    /// Layers are not made: one that is not there is named, and what the backup has of it counts when it is
    /// made. While the original is still there its backup cannot be restored elsewhere in the same hive, for a
    /// key is in one place only.
    #[command(after_long_help = backup::RESTORE_EXAMPLES)]
    Restore(Restore),
    /// Show and change the layers
    ///
    /// A layer holds values and keys of its own. Between layers that are enabled the highest precedence wins.
    #[command(subcommand, arg_required_else_help = false, after_long_help = layers::LAYER_EXAMPLES)]
    Layer(Layers),
    /// Show and change the scopes of private hives
    ///
    /// A private hive is there for those only who joined its scope. It takes CREATE_SUB_KEY on the scope's key, in
    /// Machine\System\Registry\Scopes.
    #[command(subcommand, arg_required_else_help = false)]
    Scope(Scopes),
    /// Run a command that sees another registry
    ///
    /// The command, and whatever it starts, sees layers that are disabled, private hives, or nothing but these.
    /// What it has it cannot give up. Its exit code is that of regtool, 128 and the signal's number if one killed
    /// it, 127 if there is no such command, and 126 if it cannot be run.
    ///
    /// Attaching a layer takes CREATE_SUB_KEY on its key, and if its precedence is above 0 SeTcb; joining a scope
    /// CREATE_SUB_KEY on its key.
    #[command(after_long_help = layers::VIEW_EXAMPLES)]
    View(View),
    /// Tell what differs between two keys, with all below them
    ///
    /// One line for each key and value: - is in A alone, + in B alone, ~ is a value that is another one. What is
    /// compared is what is effective. The exit code is 0 if nothing differs, and 1 if something does.
    ///
    /// In the place of a key there may be a file whose name ends in .reg. If all its keys lie in the other key they are
    /// compared with those of the same path, else what is below the one key that leads to all of them.
    #[command(after_long_help = roles::DIFF_EXAMPLES)]
    Diff(Diff),
    /// Put roles on and take them off
    ///
    /// A role is a layer with what a file writes into it: keys, values, links. Where it says nothing nothing changes,
    /// and when it is removed nothing of it is left.
    #[command(subcommand, arg_required_else_help = false, after_long_help = roles::ROLE_EXAMPLES)]
    Role(Role),
    /// Look around and edit on a whole screen
    ///
    /// Keys on the left, values on the right, and what layers say of the selected one. Nothing is written before you
    /// save, and then all of it, in one transaction for each hive. `?` explains the keys.
    #[command(after_long_help = edit::EDIT_EXAMPLES)]
    Edit(Edit),
    /// Show how the registry is
    ///
    /// That is hives, sources, layers and queues. Exit code 4 until the hive Machine is up.
    #[command(after_long_help = examples::STATUS)]
    Status(Status),
    /// Tell what is not as the manual says
    ///
    /// One line for each effective value, at PATH and below it or in all hives, whose type or data the manual calls
    /// wrong, and for each setting that LCS did not take (these only Administrators are told). The manual is what
    /// `regman` shows; where it says nothing everything is right. Links are not followed.
    ///
    /// Exit code 5 if there was anything to tell.
    #[command(after_long_help = doctor::DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Try whether all of the registry works here
    ///
    /// Every feature is tried in a scratch key with a fresh name, in Machine\\Software, else in Machine, else in
    /// CurrentUser: where you may. It, and the layers and the scope that are made beside it, are removed at the end,
    /// also after Ctrl-C.
    ///
    /// One line for each: `ok`; `failed` and what differed; or `skipped` and what you may not do.
    #[command(after_long_help = selftest::SELFTEST_EXAMPLES)]
    Selftest(Selftest),
    /// Print what a shell needs to complete regtool's and regman's command lines
    ///
    /// Commands, options, paths, names of values, layers and roles are completed, as they are at that moment. Let the
    /// shell read it at its start, or put it where the shell looks for completions.
    #[command(after_long_help = examples::COMPLETIONS)]
    Completions(Completions),
    /// Write manual pages
    ///
    /// One for each command of regtool, and one for regman, in section 1, into a directory.
    #[command(after_long_help = examples::MANPAGES)]
    Manpages(Manpages),
    /// Type commands one after the other
    #[command(after_long_help = examples::SHELL, long_about = "\
Type commands one after the other, without `regtool` before them. Paths begin at the current key, unless they \
begin with \\ or / or with HKLM, HKU, HKCU; . and .. work. Words are separated by blanks; quotes (\" or ') keep \
them together, and \\ is nothing but a separator. Besides the other commands there are cd [PATH], pwd, help, \
exit, and begin, commit and abort for transactions. Tab completes commands, paths and value names.

The history is kept in $REGTOOL_HISTORY, else in $XDG_STATE_HOME/regtool/history, else in \
~/.local/state/regtool/history. If the standard input is no terminal the commands are read from it, and the \
exit code is that of the first command that failed, if one did.")]
    Shell,
}

/// How a value's name is written.
#[derive(Args, Debug)]
pub struct ValueName {
    /// The value's name; @ for the default value
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::value_names))]
    pub name: String,
    /// Take NAME as it stands: @ is a value called @
    #[arg(long)]
    pub literal: bool,
}

/// The layer to write to.
#[derive(Args, Debug)]
pub struct Layer {
    /// The layer to write to [default: base]
    #[arg(long, value_name = "LAYER", add = ArgValueCompleter::new(complete::layers))]
    pub layer: Option<String>,
}

/// How to print.
#[derive(Args, Debug)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `get`.
#[derive(Args, Debug)]
pub struct Get {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The value
    #[command(flatten)]
    pub name: ValueName,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `set`.
#[derive(Args, Debug)]
pub struct Set {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The value
    #[command(flatten)]
    pub name: ValueName,
    /// The data: one text, one number (decimal, or hexadecimal with 0x), bytes in hexadecimal, or, for
    /// multi_sz, any number of texts. After -- it may begin with -
    pub data: Vec<String>,
    /// The type: sz, expand_sz, multi_sz, dword, dword_be, qword, binary, none, link
    #[arg(long = "type", short = 't', value_name = "TYPE", value_parser = parse_type)]
    #[arg(add = ArgValueCompleter::new(complete::types))]
    pub value_type: Option<ValueType>,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
    /// Write only if the layer's entry has the sequence number N; 0: if the layer has no entry
    #[arg(long, value_name = "N")]
    pub if_sequence: Option<u64>,
    /// Create the key, and those above it, if they are not there
    #[arg(short = 'p', long)]
    pub parents: bool,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `unset`.
#[derive(Args, Debug)]
pub struct Unset {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The value
    #[command(flatten)]
    pub name: ValueName,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
}

/// The arguments of `create`.
#[derive(Args, Debug)]
pub struct Create {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
    /// The key lives until the registry or its source ends; those that -p makes above it stay
    #[arg(long)]
    pub volatile: bool,
    /// Make it a link to the key TARGET
    #[arg(long, value_name = "TARGET", add = ArgValueCompleter::new(complete::keys))]
    pub link: Option<String>,
    /// Create the keys above it, too
    #[arg(short = 'p', long)]
    pub parents: bool,
}

/// The arguments of `delete`.
#[derive(Args, Debug)]
pub struct Delete {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// Delete what is below it, too
    #[arg(short = 'r', long)]
    pub recursive: bool,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
}

/// The arguments of `list`.
#[derive(Args, Debug)]
pub struct List {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: Option<String>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `tree`.
#[derive(Args, Debug)]
pub struct Tree {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: Option<String>,
    /// Show no more than N levels
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Show values, too
    #[arg(long)]
    pub values: bool,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `find`.
#[derive(Args, Debug)]
pub struct Find {
    /// What to look for
    pub pattern: String,
    /// Where to look
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: Option<String>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `info`.
#[derive(Args, Debug)]
pub struct Info {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The value's name; @ for the default value
    #[arg(add = ArgValueCompleter::new(complete::value_names))]
    pub name: Option<String>,
    /// Take NAME as it stands: @ is a value called @
    #[arg(long, requires = "name")]
    pub literal: bool,
}

/// The arguments of `import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The files; - for the standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
    /// Put everything under PATH, in the place of the first name (the HKEY) of each key; for policies and hives, whose
    /// keys have none, it must be said
    #[arg(long, value_name = "PATH", add = ArgValueCompleter::new(complete::keys))]
    pub under: Option<String>,
    /// The precedence of the layer that is made for a policy; more than 0 takes the privilege SeTcb [default: 1]
    #[arg(long, value_name = "N")]
    pub precedence: Option<u32>,
    /// Take what can be read of a damaged hive
    #[arg(long)]
    pub damaged: bool,
    /// Change nothing, and show what would be different
    #[arg(long)]
    pub dry_run: bool,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `export`.
#[derive(Args, Debug)]
pub struct Export {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Reg)]
    pub format: Format,
    /// Where to; - for the standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Windows Registry Editor Version 5.00
    Reg,
    /// JSON, with layers and sequence numbers
    Json,
    /// TOML, as role files have it
    Toml,
}

/// The arguments of `status`.
#[derive(Args, Debug)]
pub struct Status {
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

fn parse_type(name: &str) -> Result<ValueType, String> {
    libreg::data::type_by_name(name).ok_or_else(|| {
        "one of sz, expand_sz, multi_sz, dword, dword_be, qword, binary, none, link".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
        Line::command().debug_assert();
    }

    #[test]
    fn options_may_come_before_and_after_data() {
        for line in [
            ["regtool", "set", "A", "n", "1", "2", "--type", "multi_sz", "-p"],
            ["regtool", "set", "-p", "--type", "REG_MULTI_SZ", "A", "n", "1", "2"],
        ] {
            let Command::Set(set) = Cli::try_parse_from(line).unwrap().command else {
                panic!("set");
            };
            assert_eq!(set.value_type, Some(ValueType::MultiSz));
            assert_eq!(set.data, ["1", "2"]);
            assert!(set.parents);
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            vec!["regtool"],
            vec!["regtool", "frobnicate"],
            vec!["regtool", "get", "A"],
            vec!["regtool", "set", "A", "n", "1", "--type", "float"],
            vec!["regtool", "import"],
            vec!["regtool", "check", "A", "--literal"],
            vec!["regtool", "acl"],
            vec!["regtool", "acl", "set", "A"],
            vec!["regtool", "acl", "check", "A", "FLY"],
        ] {
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
