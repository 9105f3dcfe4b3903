//! `shell`: commands typed one after the other, with a current key.

mod complete;
mod editor;
mod words;

use std::io::{self, BufRead, IsTerminal};
use std::sync::{Arc, Mutex};

use clap::{CommandFactory, Parser};
use libreg::Access;

use crate::cli::Line;
use crate::commands::{self, Session};
use crate::exit::{Code, Failure, complain};
use crate::parallel::lock;
use crate::path::Path;

/// What the shell itself does, beside the commands of [`crate::cli::Command`].
const BUILT_IN: [(&str, &str); 7] = [
    ("begin", "Begin a transaction: changes are seen by others when it is committed"),
    ("commit", "Make all changes of the transaction, or none"),
    ("abort", "End the transaction without any change"),
    ("cd", "Make another key the current one; without PATH, the root"),
    ("pwd", "Print the current key"),
    ("help", "Print this help, or that of a command"),
    ("exit", "Leave"),
];

/// Reads commands until there are no more. Without a terminal they come from the standard input.
pub fn shell() -> Result<(), Failure> {
    let session = Arc::new(Mutex::new(Session::in_shell()));
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        editor::run(&session)
    } else {
        run_script(&mut lock(&session), io::stdin().lock())
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    Exit,
}

fn run_script(session: &mut Session, lines: impl BufRead) -> Result<(), Failure> {
    let mut first_failure = Code::Done;
    for line in lines.lines() {
        let line =
            line.map_err(|error| Failure::File { name: "standard input".to_owned(), error })?;
        match run_line(session, &line) {
            Ok(Next::Line) => {}
            Ok(Next::Exit) => break,
            Err(failure) => {
                tell(&failure);
                if first_failure == Code::Done {
                    first_failure = failure.code();
                }
            }
        }
    }
    if session.abort() {
        let failure = left_open();
        tell(&failure);
        if first_failure == Code::Done {
            first_failure = failure.code();
        }
    }
    match first_failure {
        Code::Done => Ok(()),
        code => {
            let subject = "standard input".to_owned();
            Err(Failure::Partial { subject, what: "not every command was done".to_owned(), code })
        }
    }
}

/// A transaction was neither committed nor aborted.
fn left_open() -> Failure {
    Failure::Partial {
        subject: "the transaction".to_owned(),
        what: "was not committed; its changes are not made".to_owned(),
        code: Code::Other,
    }
}

/// Says what is wrong; `check` and `find`, whose no is an exit code elsewhere, say it here.
fn tell(failure: &Failure) {
    if !failure.is_told() {
        complain(failure);
    }
}

fn run_line(session: &mut Session, line: &str) -> Result<Next, Failure> {
    carry_out(session, line).map_err(|failure| session.explained(failure))
}

fn carry_out(session: &mut Session, line: &str) -> Result<Next, Failure> {
    let words = words::split(line).map_err(|what| Failure::Usage {
        subject: line.trim().to_owned(),
        what: what.to_owned(),
    })?;
    let words: Vec<String> = words.into_iter().map(|word| word.text).collect();
    let Some((command, arguments)) = words.split_first() else {
        return Ok(Next::Line);
    };
    match (command.as_str(), arguments) {
        (comment, _) if comment.starts_with('#') => {}
        ("exit" | "quit", _) => return Ok(Next::Exit),
        ("pwd", _) => print(format_args!("\\{}", session.current()))?,
        ("begin", []) if session.in_transaction() => {
            let what = "there is a transaction already: commit or abort it".to_owned();
            return Err(Failure::Usage { subject: command.clone(), what });
        }
        ("begin", []) => session.begin()?,
        ("commit", []) => session.commit()?,
        ("abort", []) if !session.abort() => return Err(Failure::NoTransaction),
        ("abort", []) => {}
        ("begin" | "commit" | "abort", _) => {
            let what = "takes no arguments".to_owned();
            return Err(Failure::Usage { subject: command.clone(), what });
        }
        ("cd", []) => session.set_current(Path::default()),
        ("cd", [path, ..]) => change_key(session, path)?,
        ("help" | "?", []) => help()?,
        ("help" | "?", [command, ..]) => run_command(session, &[command.clone(), "--help".into()])?,
        // Its history, and its current key, would be another one's.
        ("shell", _) => {
            let what = "this is the shell".to_owned();
            return Err(Failure::Usage { subject: command.clone(), what });
        }
        _ => run_command(session, &words)?,
    }
    Ok(Next::Line)
}

fn run_command(session: &mut Session, words: &[String]) -> Result<(), Failure> {
    let line = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => {
            let text = error.render();
            // Help is no error.
            if !error.use_stderr() {
                return print(format_args!("{text}"));
            }
            let what = text.to_string();
            let what = what.lines().next().unwrap_or_default();
            let what = what.strip_prefix("error: ").unwrap_or(what).to_owned();
            return Err(Failure::Usage {
                subject: words.first().cloned().unwrap_or_default(),
                what,
            });
        }
    };
    let outcome = commands::run(session, &line.command);
    if outcome.as_ref().is_err_and(|failure| failure.code() == Code::Unavailable) {
        session.disconnect();
    }
    outcome
}

fn change_key(session: &mut Session, text: &str) -> Result<(), Failure> {
    let path = session.path(text)?;
    if !path.is_root() {
        session.registry()?.open_key(&path.key()?, Access::MAXIMUM_ALLOWED)?;
    }
    session.set_current(path);
    Ok(())
}

fn help() -> Result<(), Failure> {
    for command in Line::command().get_subcommands().filter(|command| command.get_name() != "shell")
    {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        print(format_args!("  {:<8} {about}", command.get_name()))?;
    }
    for (name, about) in BUILT_IN {
        print(format_args!("  {name:<8} {about}"))?;
    }
    print(format_args!("\nhelp COMMAND tells more."))
}

fn print(line: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    use io::Write;
    writeln!(io::stdout(), "{line}").map_err(Failure::output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_need_no_registry() {
        let mut session = Session::in_shell();
        assert_eq!(run_line(&mut session, "  # a comment").unwrap(), Next::Line);
        assert_eq!(run_line(&mut session, "").unwrap(), Next::Line);
        assert_eq!(run_line(&mut session, "cd").unwrap(), Next::Line);
        assert_eq!(run_line(&mut session, "exit").unwrap(), Next::Exit);
        for line in ["frobnicate", "get", "get \"open", "shell", "create a\\\\b"] {
            let failure = run_line(&mut session, line).unwrap_err();
            assert_eq!(failure.code(), Code::Usage, "{line}");
        }
    }

    #[test]
    fn a_script_ends_with_its_first_failure_and_with_exit() {
        let mut session = Session::in_shell();
        assert!(run_script(&mut session, "cd\nexit\nfrobnicate\n".as_bytes()).is_ok());
        let failure = run_script(&mut session, "frobnicate\ncd\n".as_bytes()).unwrap_err();
        assert_eq!(failure.code(), Code::Usage);
    }
}
