//! What can stand where the cursor is. The command line's definitions ([`crate::cli`]) say of each argument which
//! of the functions here completes it; regtool's own shell and those of the system ([`shells`]) ask alike.

pub mod quoting;
pub mod shells;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex};

use clap::ArgMatches;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter, complete};
use libreg::{Access, ValueType, fold};

use crate::commands::{CURRENT_USER, LAYERS, SCOPES, Session};
use crate::exit::Failure;
use crate::path::is_separator;

/// No more than these are looked up: nobody reads a longer list.
const MAX_CANDIDATES: usize = 1000;

/// The registry that names are looked up in.
#[derive(Clone)]
pub struct Names {
    /// Also says where relative paths begin.
    pub session: Arc<Mutex<Session>>,
    /// What stands between names where the user has written none: in most shells `\` is to be quoted.
    pub separator: char,
}

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// All of the word.
    pub text: String,
    /// What it is, where names alone do not tell.
    pub help: Option<String>,
    /// A blank can follow: what is completed is no key that may have others below it.
    pub ends_word: bool,
}

/// What the functions that complete a word are not given.
struct Context {
    names: Names,
    /// The key that the words before are about.
    path: Option<String>,
}

thread_local! {
    /// clap hands on nothing but the word itself.
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// How the last of these words, which may be empty, can go on.
pub fn candidates(command: &mut clap::Command, names: Names, words: &[String]) -> Vec<Candidate> {
    let Some((typed, before)) = words.split_last() else {
        return Vec::new();
    };
    let matches = command.clone().ignore_errors(true).try_get_matches_from(before);
    let path = matches.ok().and_then(|matches| path_of(&matches));
    CONTEXT.set(Some(Context { names, path }));
    let arguments = words.iter().map(OsString::from).collect();
    let found = complete(command, arguments, before.len(), None);
    CONTEXT.set(None);

    let text = |found: &CompletionCandidate| found.get_value().to_str().map(str::to_owned);
    let mut candidates = Vec::new();
    for found in found.unwrap_or_default() {
        // A name with a line break in it cannot be typed.
        if let Some(text) = text(&found).filter(|text| !text.contains(char::is_control)) {
            let help = found
                .get_help()
                .and_then(|help| help.to_string().lines().next().map(str::to_owned));
            let ends_word = !text.ends_with(is_separator);
            candidates.push(Candidate { text, help, ends_word });
        }
    }
    // Options are for those who begin one, and where there is nothing else.
    let is_option = |candidate: &Candidate| candidate.text.starts_with('-');
    if typed.is_empty() && !candidates.iter().all(is_option) {
        candidates.retain(|candidate| !is_option(candidate));
    }
    candidates
}

/// The argument `path` of the innermost command.
fn path_of(matches: &ArgMatches) -> Option<String> {
    match matches.subcommand() {
        Some((_, inner)) => path_of(inner),
        None => matches.try_get_one::<String>("path").ok().flatten().cloned(),
    }
}

/// What is found in the registry. Without one, or without rights, there is nothing to offer.
fn look_up(
    typed: &OsStr,
    find: impl FnOnce(&mut Session, &Context, &str) -> Result<Vec<String>, Failure>,
) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    CONTEXT.with_borrow(|context| {
        let Some(context) = context else {
            return Vec::new();
        };
        let found = match context.names.session.try_lock() {
            Ok(mut session) => find(&mut session, context, typed).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        found.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Keys.
pub fn keys(typed: &OsStr) -> Vec<CompletionCandidate> {
    look_up(typed, |session, context, typed| {
        let name_at = typed.rfind(is_separator).map_or(0, |separator| separator + 1);
        let (above, name) = typed.split_at(name_at);
        let parent = if above.is_empty() { session.current() } else { session.path(above)? };
        let names = if parent.is_root() {
            let mut names = session.roots()?;
            names.push(CURRENT_USER.to_owned());
            names.retain(|found| begins_with(found, name));
            names
        } else {
            names_below(session, &parent.key()?, name)?
        };
        // The same separator as before goes on.
        let separator = above.chars().find(|character| is_separator(*character));
        let separator = separator.unwrap_or(context.names.separator);
        Ok(names.iter().map(|found| format!("{above}{found}{separator}")).collect())
    })
}

/// Keys and files.
pub fn keys_and_files(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = keys(typed);
    found.extend(PathCompleter::file().complete(typed));
    found
}

/// Values of the key that is named before.
pub fn value_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    look_up(typed, |session, context, typed| {
        let Some(path) = &context.path else {
            return Ok(Vec::new());
        };
        let path = session.path(path)?.key()?;
        let key = session.registry()?.open_key(&path, Access::QUERY_VALUE)?;
        let names = key.values().filter_map(Result::ok).map(|value| value.name);
        let names = names.map(|name| if name.is_empty() { "@".to_owned() } else { name });
        Ok(names.filter(|name| begins_with(name, typed)).take(MAX_CANDIDATES).collect())
    })
}

/// Layers, and so roles.
pub fn layers(typed: &OsStr) -> Vec<CompletionCandidate> {
    look_up(typed, |session, _, typed| names_below(session, LAYERS, typed))
}

/// Scopes.
pub fn scopes(typed: &OsStr) -> Vec<CompletionCandidate> {
    look_up(typed, |session, _, typed| names_below(session, SCOPES, typed))
}

/// Types of values.
pub fn types(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = ValueType::ALL.map(|value_type| libreg::data::type_name(value_type.code()));
    let typed = typed.to_string_lossy().to_lowercase();
    names
        .into_iter()
        .filter(|name| name.starts_with(&typed))
        .map(CompletionCandidate::new)
        .collect()
}

/// Rights, the last of those that commas separate.
pub fn rights(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let (before, last) = typed.split_at(typed.rfind(',').map_or(0, |comma| comma + 1));
    let single = libreg::security::rights().map(|(_, name)| name);
    let names = single.chain(["read", "write", "all"]);
    let begun = |name: &&str| name.to_lowercase().starts_with(&last.to_lowercase());
    names.filter(begun).map(|name| CompletionCandidate::new(format!("{before}{name}"))).collect()
}

fn names_below(session: &mut Session, path: &str, typed: &str) -> Result<Vec<String>, Failure> {
    let key = session.registry()?.open_key(path, Access::ENUMERATE_SUB_KEYS)?;
    let names = key.subkeys(false).filter_map(|subkey| subkey.ok().map(|subkey| subkey.name));
    Ok(names.filter(|name| begins_with(name, typed)).take(MAX_CANDIDATES).collect())
}

fn begins_with(name: &str, typed: &str) -> bool {
    fold(name).starts_with(&*fold(typed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn texts(line: &[&str]) -> Vec<String> {
        let session = Arc::new(Mutex::new(Session::new()));
        let words: Vec<_> = line.iter().map(|word| (*word).to_owned()).collect();
        let found = candidates(&mut Cli::command(), Names { session, separator: '/' }, &words);
        found.into_iter().map(|candidate| candidate.text).collect()
    }

    #[test]
    fn what_the_definitions_say_is_offered_without_a_registry() {
        assert_eq!(texts(&["regtool", "ex"]), ["explain", "export"]);
        assert_eq!(texts(&["regtool", "acl", ""]), ["get", "set", "check"]);
        assert_eq!(texts(&["regtool", "set", "--ty"]), ["--type"]);
        assert_eq!(
            texts(&["regtool", "set", "A", "n", "1", "--type", "dw"]),
            ["dword", "dword_be"]
        );
        assert_eq!(texts(&["regtool", "export", "A", "--format", "js"]), ["json"]);
        assert_eq!(texts(&["regtool", "acl", "check", "A", "read,set"]), ["read,SET_VALUE"]);
        assert_eq!(
            texts(&["regtool", "watch", "A", "--only", "value,s"]),
            ["value,subkey", "value,sd"]
        );
    }

    #[test]
    fn the_path_is_known_whatever_stands_between() {
        let path = |line: &[&str]| {
            let matches = Cli::command().ignore_errors(true).try_get_matches_from(line);
            path_of(&matches.unwrap())
        };
        assert_eq!(
            path(&["regtool", "set", "-p", "--type", "dword", "A/b"]).as_deref(),
            Some("A/b")
        );
        assert_eq!(path(&["regtool", "mask", "--layer", "x", "A/b"]).as_deref(), Some("A/b"));
        assert_eq!(path(&["regtool", "get"]), None);
        assert_eq!(path(&["regtool", "layer", "list"]), None);
    }

    #[test]
    fn options_are_offered_to_those_who_begin_one() {
        assert!(texts(&["regtool", "get", "-"]).contains(&"--json".to_owned()));
        assert!(texts(&["regtool", "status", ""]).contains(&"--json".to_owned()));
        assert!(!texts(&["regtool", ""]).iter().any(|text| text.starts_with('-')));
    }
}
