//! What can stand where the cursor is: commands, keys, value names.

use std::sync::{Arc, Mutex};

use clap::CommandFactory;
use libreg::{Access, fold};
use reedline::{Completer, CompletionResult, Span, Suggestion};

use super::{BUILT_IN, words};
use crate::cli::Line;
use crate::commands::{CURRENT_USER, Session};
use crate::exit::Failure;
use crate::path::is_separator;

/// No more than these are looked up: nobody reads a longer list.
const MAX_SUGGESTIONS: usize = 1000;

/// Commands whose second argument is a value's name.
const WITH_VALUE_NAME: [&str; 7] = ["get", "set", "unset", "mask", "unmask", "explain", "check"];

/// Commands whose subcommands take the name of a key that is in one place, and where that is.
const WITH_KEYS_OF: [(&str, &str); 3] = [
    ("layer", "Machine\\System\\Registry\\Layers"),
    ("role", "Machine\\System\\Registry\\Layers"),
    ("scope", "Machine\\System\\Registry\\Scopes"),
];

/// Completes the word before the cursor.
pub struct RegistryCompleter {
    session: Arc<Mutex<Session>>,
}

impl RegistryCompleter {
    /// Completes as seen from the session's current key.
    pub fn new(session: Arc<Mutex<Session>>) -> RegistryCompleter {
        RegistryCompleter { session }
    }
}

impl Completer for RegistryCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let line = line.get(..pos).unwrap_or(line);
        let place = Place::at_end_of(line);
        // Without a registry, or without rights, there is nothing to offer.
        let completions = match self.session.try_lock() {
            Ok(mut session) => place.completions(&mut session).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let span = Span::new(place.start, line.len());
        let suggestions: Vec<_> = completions
            .into_iter()
            .map(|completion| Suggestion {
                value: words::quoted(&completion.text),
                span,
                append_whitespace: completion.ends_word,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

/// The word to complete.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Where it begins.
    start: usize,
    /// What is there of it.
    typed: String,
    /// The words before it that are no options.
    before: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Completion {
    text: String,
    /// A blank can follow.
    ends_word: bool,
}

impl Place {
    fn at_end_of(line: &str) -> Place {
        let (mut found, open) = words::split_unfinished(line);
        let in_word = open || line.chars().next_back().is_some_and(|last| !last.is_whitespace());
        let last = if in_word { found.pop() } else { None };
        let (start, typed) =
            last.map_or((line.len(), String::new()), |word| (word.start, word.text));
        let before = found.into_iter().map(|word| word.text).filter(|word| !word.starts_with('-'));
        Place { start, typed, before: before.collect() }
    }

    fn completions(&self, session: &mut Session) -> Result<Vec<Completion>, Failure> {
        if let [command, action] = self.before.as_slice()
            && let Some(place) = keys_place(command, action)
        {
            let key = session.registry()?.open_key(place, Access::ENUMERATE_SUB_KEYS)?;
            let names = key.subkeys(false).filter_map(Result::ok).map(|subkey| subkey.name);
            return Ok(self.names(names));
        }
        match self.before.as_slice() {
            [] => Ok(self.commands()),
            [command] if has_subcommands(command) => Ok(self.subcommands(command)),
            [command, _] if WITH_KEYS_OF.iter().any(|(known, _)| known == command) => {
                Ok(Vec::new())
            }
            // What follows the path is no path.
            [command, _, _, ..] if has_subcommands(command) => Ok(Vec::new()),
            [command, path] if WITH_VALUE_NAME.contains(&command.as_str()) => {
                self.value_names(session, path)
            }
            _ => self.keys(session),
        }
    }

    fn commands(&self) -> Vec<Completion> {
        let line = Line::command();
        let mut names: Vec<_> = line.get_subcommands().map(|command| command.get_name()).collect();
        names.extend(BUILT_IN.map(|(name, _)| name));
        names.retain(|name| *name != "shell");
        names.sort_unstable();
        self.words(names)
    }

    fn subcommands(&self, command: &str) -> Vec<Completion> {
        let line = Line::command();
        let command = line.find_subcommand(command).into_iter();
        self.words(command.flat_map(|command| command.get_subcommands()).map(|sub| sub.get_name()))
    }

    /// Those of these words that begin as what is typed.
    fn words<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Vec<Completion> {
        words
            .into_iter()
            .filter(|word| word.starts_with(&self.typed))
            .map(|word| Completion { text: word.to_owned(), ends_word: true })
            .collect()
    }

    fn keys(&self, session: &mut Session) -> Result<Vec<Completion>, Failure> {
        let name_at = self.typed.rfind(is_separator).map_or(0, |separator| separator + 1);
        let (above, name) = self.typed.split_at(name_at);
        let parent = if above.is_empty() { session.current() } else { session.path(above)? };
        let names = if parent.is_root() {
            let mut names = session.roots()?;
            names.push(CURRENT_USER.to_owned());
            names
        } else {
            let key = session.registry()?.open_key(&parent.key()?, Access::ENUMERATE_SUB_KEYS)?;
            key.subkeys(false)
                .filter_map(|subkey| subkey.ok().map(|subkey| subkey.name))
                .filter(|found| begins_with(found, name))
                .take(MAX_SUGGESTIONS)
                .collect()
        };
        // The same separator as before goes on; a subkey may follow, so no blank does.
        let separator = above.chars().find(|character| is_separator(*character)).unwrap_or('\\');
        Ok(names
            .iter()
            .filter(|found| begins_with(found, name))
            .map(|found| Completion {
                text: format!("{above}{found}{separator}"),
                ends_word: false,
            })
            .collect())
    }

    fn value_names(&self, session: &mut Session, path: &str) -> Result<Vec<Completion>, Failure> {
        let path = session.path(path)?.key()?;
        let key = session.registry()?.open_key(&path, Access::QUERY_VALUE)?;
        let names = key.values().filter_map(Result::ok).map(|value| value.name);
        let names = names.map(|name| if name.is_empty() { "@".to_owned() } else { name });
        Ok(self.names(names))
    }

    /// Those of these names that begin as what is typed, in any case.
    fn names(&self, names: impl Iterator<Item = String>) -> Vec<Completion> {
        names
            .filter(|name| begins_with(name, &self.typed))
            .take(MAX_SUGGESTIONS)
            .map(|text| Completion { text, ends_word: true })
            .collect()
    }
}

/// Where the keys are whose names this subcommand takes.
fn keys_place(command: &str, action: &str) -> Option<&'static str> {
    let place = WITH_KEYS_OF.iter().find(|(known, _)| *known == command).map(|(_, place)| *place);
    place.filter(|_| !matches!(action, "list" | "create" | "install"))
}

/// Whether it is a command that takes another one, as `acl` does.
fn has_subcommands(command: &str) -> bool {
    Line::command().find_subcommand(command).is_some_and(|command| command.has_subcommands())
}

fn begins_with(name: &str, typed: &str) -> bool {
    fold(name).starts_with(&fold(typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: &str) -> (usize, String, usize) {
        let place = Place::at_end_of(line);
        (place.start, place.typed, place.before.len())
    }

    #[test]
    fn the_word_at_the_cursor_is_found() {
        assert_eq!(place(""), (0, String::new(), 0));
        assert_eq!(place("ge"), (0, "ge".to_owned(), 0));
        assert_eq!(place("get "), (4, String::new(), 1));
        assert_eq!(place("set -p \"A b\\c"), (7, "A b\\c".to_owned(), 1));
        assert_eq!(place("get \"A b\" n"), (10, "n".to_owned(), 2));
    }

    #[test]
    fn commands_are_completed() {
        let names = |typed: &str| -> Vec<_> {
            Place::at_end_of(typed).commands().into_iter().map(|found| found.text).collect()
        };
        assert_eq!(names("e"), ["edit", "exit", "explain", "export"]);
        assert_eq!(names("a"), ["abort", "acl"]);
        assert_eq!(names("sh"), [""; 0]);
        assert!(names("").contains(&"cd".to_owned()));
    }

    #[test]
    fn subcommands_are_completed_and_then_what_they_are_about() {
        let mut session = Session::in_shell();
        let mut texts = |line: &str| -> Vec<_> {
            let found = Place::at_end_of(line).completions(&mut session).unwrap();
            found.into_iter().map(|found| found.text).collect()
        };
        assert_eq!(texts("acl "), ["get", "set", "check"]);
        assert_eq!(texts("acl c"), ["check"]);
        assert_eq!(texts("acl set Machine D"), [""; 0]);
        assert_eq!(texts("layer d"), ["delete", "disable"]);
        assert_eq!(texts("layer create "), [""; 0]);
        assert!(keys_place("layer", "delete").is_some() && keys_place("acl", "get").is_none());
        assert!(has_subcommands("acl") && !has_subcommands("get") && !has_subcommands("cd"));
    }
}
