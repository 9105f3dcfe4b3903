//! The commands about layers, views and watches, and their options.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use libreg::{Guid, WatchFilter};

use super::{Layer, Output, examples};
use crate::complete;

pub(super) const MASK_EXAMPLES: &str = "\
Examples:
  regtool mask HKLM/Software/Editor Tabs --layer policy
  regtool mask HKLM/Software/Editor --all --layer policy";

pub(super) const LAYER_EXAMPLES: &str = "\
Examples:
  regtool layer create policy --precedence 10
  regtool set HKLM/Software/Editor Tabs 8 --type dword --layer policy
  regtool explain HKLM/Software/Editor Tabs
  regtool layer delete policy";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  regtool explain HKLM/Software/Editor Tabs
  regtool explain HKLM/Software/Editor";

pub(super) const WATCH_EXAMPLES: &str = "\
Examples:
  regtool watch HKCU/Software --subtree
  regtool watch HKLM/Software/Editor --only value --count 1
  regtool watch HKLM/System --subtree --json | jq -r .path";

pub(super) const VIEW_EXAMPLES: &str = "\
Examples:
  regtool layer create trial --disabled
  regtool view --layer trial -- regtool get HKLM/Software/Editor Tabs
  regtool view --scope 0f8fad5b-d9cb-469f-a165-70867728950e --sealed -- sh";

/// The arguments of `hide`.
#[derive(Args, Debug)]
pub struct Hide {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
}

/// The arguments of `unhide`.
#[derive(Args, Debug)]
pub struct Unhide {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
}

/// The arguments of `mask` and `unmask`.
#[derive(Args, Debug)]
pub struct Mask {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The value's name; @ for the default value
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    #[arg(add = ArgValueCompleter::new(complete::value_names))]
    pub name: Option<String>,
    /// All values of the key
    #[arg(long)]
    pub all: bool,
    /// Take NAME as it stands: @ is a value called @
    #[arg(long, conflicts_with = "all")]
    pub literal: bool,
    /// The layer to write to
    #[command(flatten)]
    pub layer: Layer,
}

/// What to do about layers.
#[derive(Debug, Subcommand)]
pub enum Layers {
    /// List the layers, the highest precedence first
    ///
    /// With those whose deletion is not complete, because a source is not there, if you may see them.
    #[command(after_long_help = examples::LAYER_LIST)]
    List(LayerList),
    /// Create a layer
    ///
    /// What it holds from before, if it was there, counts again, unless it was deleted.
    #[command(after_long_help = examples::LAYER_CREATE)]
    Create(LayerCreate),
    /// Delete a layer, and all that is written into it
    ///
    /// It cannot be undone. To see what would be without a layer, disable it.
    #[command(after_long_help = examples::LAYER_DELETE)]
    Delete(LayerName),
    /// Let a layer count
    #[command(after_long_help = examples::LAYER_ENABLE)]
    Enable(LayerName),
    /// Let a layer count no more
    ///
    /// What it holds is kept, and can still be written.
    #[command(after_long_help = examples::LAYER_DISABLE)]
    Disable(LayerName),
    /// Set the precedence of a layer
    ///
    /// Between layers of the same precedence the last write wins. base has 0. More than 0 takes the privilege
    /// SeTcb.
    #[command(after_long_help = examples::LAYER_PRECEDENCE)]
    Precedence(LayerPrecedence),
}

/// The arguments of `layer list`.
#[derive(Args, Debug)]
pub struct LayerList {
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `layer create`.
#[derive(Args, Debug)]
pub struct LayerCreate {
    /// The layer's name
    pub name: String,
    /// Its precedence [default: 0]
    #[arg(long, value_name = "N")]
    pub precedence: Option<u32>,
    /// It does not count before `layer enable`
    #[arg(long)]
    pub disabled: bool,
}

/// The layer that a command is about.
#[derive(Args, Debug)]
pub struct LayerName {
    /// The layer's name
    #[arg(add = ArgValueCompleter::new(complete::layers))]
    pub name: String,
}

/// The arguments of `layer precedence`.
#[derive(Args, Debug)]
pub struct LayerPrecedence {
    /// The layer's name
    #[arg(add = ArgValueCompleter::new(complete::layers))]
    pub name: String,
    /// Its precedence
    #[arg(value_name = "N")]
    pub precedence: u32,
}

/// The arguments of `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// The value's name; @ for the default value
    #[arg(add = ArgValueCompleter::new(complete::value_names))]
    pub name: Option<String>,
    /// Take NAME as it stands: @ is a value called @
    #[arg(long, requires = "name")]
    pub literal: bool,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// The key
    #[arg(add = ArgValueCompleter::new(complete::keys))]
    pub path: String,
    /// Also what is below it, where you may watch
    #[arg(long)]
    pub subtree: bool,
    /// Only these changes [default: all]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub only: Vec<Changes>,
    /// End after N lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Print JSON, one object for each event
    #[arg(long)]
    pub json: bool,
}

/// What to watch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Changes {
    /// Values that are set or deleted
    Value,
    /// Subkeys that appear or disappear
    Subkey,
    /// Who may do what
    Sd,
}

impl Watch {
    /// What the registry is asked to tell.
    pub fn filter(&self) -> WatchFilter {
        if self.only.is_empty() {
            return WatchFilter::all();
        }
        let filter = |changes: &Changes| match changes {
            Changes::Value => WatchFilter::VALUE,
            Changes::Subkey => WatchFilter::SUBKEY,
            Changes::Sd => WatchFilter::SD,
        };
        self.only.iter().map(filter).collect()
    }
}

/// What to do about scopes.
#[derive(Debug, Subcommand)]
pub enum Scopes {
    /// Create a scope, and print its GUID
    ///
    /// Without GUID it is a new one. One that is there stays as it is.
    #[command(after_long_help = examples::SCOPE_CREATE)]
    Create(ScopeCreate),
    /// List the scopes, with the private hives that are there
    #[command(after_long_help = examples::SCOPE_LIST)]
    List(ScopeList),
    /// Delete a scope: nobody can join it any more
    ///
    /// Who has joined it stays in it, and its hives are not touched.
    #[command(after_long_help = examples::SCOPE_DELETE)]
    Delete(ScopeName),
}

/// The arguments of `scope create`.
#[derive(Args, Debug)]
pub struct ScopeCreate {
    /// The scope
    #[arg(value_parser = parse_guid)]
    pub guid: Option<Guid>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The arguments of `scope list`.
#[derive(Args, Debug)]
pub struct ScopeList {
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// The scope that a command is about.
#[derive(Args, Debug)]
pub struct ScopeName {
    /// The scope
    #[arg(add = ArgValueCompleter::new(complete::scopes))]
    #[arg(value_parser = parse_guid)]
    pub guid: Guid,
}

/// The arguments of `view`.
#[derive(Args, Debug)]
pub struct View {
    /// Let this layer count, though it is disabled
    #[arg(long = "layer", value_name = "LAYER", add = ArgValueCompleter::new(complete::layers))]
    pub layers: Vec<String>,
    /// Join this scope: its hives take the place of those of their names
    #[arg(long = "scope", value_name = "GUID", value_parser = parse_guid)]
    #[arg(add = ArgValueCompleter::new(complete::scopes))]
    pub scopes: Vec<Guid>,
    /// No hives but those of the scopes
    #[arg(long)]
    pub sealed: bool,
    /// What to run, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Reads a GUID, in upper or lower case, with or without braces.
fn parse_guid(text: &str) -> Result<Guid, String> {
    match uuid::Uuid::try_parse(text) {
        Ok(guid) => Ok(Guid(guid.into_bytes())),
        Err(_) => Err("a GUID is 32 hexadecimal digits: 8-4-4-4-12".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    const GUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn parsed(line: &[&str]) -> Command {
        Cli::try_parse_from([&["regtool"], line].concat()).unwrap().command
    }

    #[test]
    fn guids_as_people_write_them() {
        let guid = parse_guid(GUID).unwrap();
        assert_eq!(guid.to_string(), GUID);
        for text in [GUID.to_uppercase(), format!("{{{GUID}}}"), GUID.replace('-', "")] {
            assert_eq!(parse_guid(&text), Ok(guid));
        }
        assert!(parse_guid("Machine").is_err());
    }

    #[test]
    fn what_follows_two_dashes_is_the_command_of_a_view() {
        let line = ["view", "--layer", "a", "--scope", GUID, "--layer", "b", "--", "ls", "--layer"];
        let Command::View(view) = parsed(&line) else { panic!("view") };
        assert_eq!((view.layers.len(), view.scopes.len(), view.sealed), (2, 1, false));
        assert_eq!(view.command, ["ls", "--layer"]);
    }

    #[test]
    fn all_is_watched_unless_it_is_said_what() {
        let filter = |more: &[&str]| match parsed(&[&["watch", "A"], more].concat()) {
            Command::Watch(watch) => watch.filter(),
            _ => panic!("watch"),
        };
        assert_eq!(filter(&[]), WatchFilter::all());
        assert_eq!(filter(&["--only", "value,sd"]), WatchFilter::VALUE | WatchFilter::SD);
        assert_eq!(filter(&["--only", "subkey"]), WatchFilter::SUBKEY);
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            vec!["mask", "A"],
            vec!["mask", "A", "n", "--all"],
            vec!["unmask", "A", "--all", "--literal"],
            vec!["layer"],
            vec!["layer", "precedence", "a", "-1"],
            vec!["watch", "A", "--count", "0"],
            vec!["watch", "A", "--only", "names"],
            vec!["scope", "delete", "x"],
            vec!["view", "--sealed"],
            vec!["view", "--sealed", "ls"],
            vec!["explain", "A", "--literal"],
        ] {
            let line = [vec!["regtool"], line].concat();
            assert_eq!(Cli::try_parse_from(&line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }
}
