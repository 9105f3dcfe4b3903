//! The line editor: prompt, history, completion.

use std::borrow::Cow;
use std::env;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use reedline::{
    ColumnarMenu, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt,
    PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal,
    default_emacs_keybindings,
};

use super::complete::RegistryCompleter;
use super::{Next, left_open, run_line, tell};
use crate::commands::Session;
use crate::exit::{Failure, complain};
use crate::output;
use crate::parallel::lock;

const COMPLETIONS: &str = "completions";
const HISTORY_LINES: usize = 10_000;

/// Reads commands from the terminal until the user leaves.
pub fn run(session: &Arc<Mutex<Session>>) -> Result<(), Failure> {
    let mut editor = editor(session);
    loop {
        let prompt = KeyPrompt::of(&lock(session));
        let line = editor
            .read_line(&prompt)
            .map_err(|error| Failure::File { name: "terminal".to_owned(), error })?;
        match line {
            Signal::Success(line) => match run_line(&mut lock(session), &line) {
                Ok(Next::Line) => {}
                Ok(Next::Exit) => return leave(session),
                Err(failure) => tell(&failure),
            },
            Signal::CtrlD => return leave(session),
            // The line was given up; so are the other signals, which only come if they are asked for.
            _ => {}
        }
    }
}

/// Leaves the shell; what was not committed is not done.
fn leave(session: &Arc<Mutex<Session>>) -> Result<(), Failure> {
    if lock(session).abort() { Err(left_open()) } else { Ok(()) }
}

fn editor(session: &Arc<Mutex<Session>>) -> Reedline {
    let mut keys = default_emacs_keybindings();
    keys.add_binding(
        KeyModifiers::NONE,
        KeyCode::Tab,
        ReedlineEvent::UntilFound(vec![
            ReedlineEvent::Menu(COMPLETIONS.to_owned()),
            ReedlineEvent::MenuNext,
        ]),
    );
    let menu = Box::new(ColumnarMenu::default().with_name(COMPLETIONS));
    let editor = Reedline::create()
        .with_ansi_colors(output::colours())
        .with_completer(Box::new(RegistryCompleter::new(session.clone())))
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_edit_mode(Box::new(Emacs::new(keys)));
    match history_file() {
        Some(file) => match FileBackedHistory::with_file(HISTORY_LINES, file.clone()) {
            Ok(history) => editor.with_history(Box::new(history)),
            // One can work without a history.
            Err(error) => {
                complain(&format_args!(
                    "{}: {error}; this history will not be kept",
                    file.display()
                ));
                editor
            }
        },
        None => editor,
    }
}

/// Where the history is kept; `None`: nowhere.
fn history_file() -> Option<PathBuf> {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("REGTOOL_HISTORY").or_else(|| {
        let state = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")))?;
        Some(state.join("regtool/history"))
    })
}

struct KeyPrompt {
    key: String,
    in_transaction: bool,
}

impl KeyPrompt {
    fn of(session: &Session) -> KeyPrompt {
        let key = session.current().to_string();
        KeyPrompt { key, in_transaction: session.in_transaction() }
    }
}

impl Prompt for KeyPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Owned(format!("\\{}", output::one_line(&self.key)))
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(if self.in_transaction { " (transaction)> " } else { "> " })
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(": ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search: {}) ", search.term))
    }
}
