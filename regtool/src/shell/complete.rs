//! Completion in the line editor: the commands, and what the shell itself does.

use std::sync::{Arc, Mutex};

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::ArgValueCompleter;
use reedline::{Completer, CompletionResult, Span, Suggestion};

use super::{BUILT_IN, words};
use crate::cli::Line;
use crate::commands::Session;
use crate::complete::{Candidate, Names, candidates, keys};

/// Completes the word before the cursor.
pub struct RegistryCompleter {
    names: Names,
}

impl RegistryCompleter {
    /// Completes as seen from the session's current key.
    pub fn new(session: Arc<Mutex<Session>>) -> RegistryCompleter {
        RegistryCompleter { names: Names { session, separator: '\\' } }
    }

    /// Where the last word of a line begins, and how it can go on.
    fn completions(&self, line: &str) -> (usize, Vec<Candidate>) {
        let (mut found, open) = words::split_unfinished(line);
        let in_word = open || line.chars().next_back().is_some_and(|last| !last.is_whitespace());
        let start = match found.last() {
            Some(last) if in_word => last.start,
            _ => {
                found.push(words::Word { start: line.len(), text: String::new() });
                line.len()
            }
        };
        let words: Vec<_> = found.into_iter().map(|word| word.text).collect();
        (start, candidates(&mut command(), self.names.clone(), &words))
    }
}

impl Completer for RegistryCompleter {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let line = line.get(..pos).unwrap_or(line);
        let (start, candidates) = self.completions(line);
        let suggestion = |candidate: Candidate| Suggestion {
            value: words::quoted(&candidate.text),
            span: Span::new(start, line.len()),
            append_whitespace: candidate.ends_word,
            ..Suggestion::default()
        };
        CompletionResult::fresh(candidates.into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

/// All that a line can begin with.
fn command() -> Command {
    let built_in = BUILT_IN.map(|(name, _)| match name {
        "cd" => Command::new(name).arg(Arg::new("path").add(ArgValueCompleter::new(keys))),
        _ => Command::new(name),
    });
    let line = Line::command().disable_help_subcommand(true).subcommands(built_in);
    line.mut_subcommand("shell", |shell| shell.hide(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> (usize, Vec<String>) {
        let session = Arc::new(Mutex::new(Session::in_shell()));
        let (start, found) = RegistryCompleter::new(session).completions(line);
        (start, found.into_iter().map(|candidate| candidate.text).collect())
    }

    #[test]
    fn the_word_at_the_cursor_is_completed() {
        assert_eq!(completed("ex"), (0, ["explain", "export", "exit"].map(str::to_owned).into()));
        assert_eq!(completed("a").1, ["acl", "abort"]);
        assert_eq!(completed("set \"A b\\c\" x 1 -t qw"), (19, vec!["qword".to_owned()]));
        assert!(completed("").1.contains(&"cd".to_owned()));
        assert!(!completed("").1.contains(&"shell".to_owned()));
    }

    #[test]
    fn subcommands_are_completed_and_then_what_they_are_about() {
        assert_eq!(completed("acl "), (4, ["get", "set", "check"].map(str::to_owned).into()));
        assert_eq!(completed("acl c").1, ["check"]);
        assert_eq!(completed("acl set Machine D").1, [""; 0]);
        assert_eq!(completed("layer d").1, ["delete", "disable"]);
        assert_eq!(completed("layer create x").1, [""; 0]);
    }
}
