//! What the editor shows, and what keys do.

use libreg::{Access, Candidate, NamedValue, Registry};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::TextArea;
use regman::Manual;
use regman::entry::ValueEntry;

use super::draft::{Change, Draft, Row, State, is_at_or_below, parent, same, same_key};
use super::form::{Done, Form};
use super::save;
use super::search::{Place, Search, Step};
use super::tree::Tree;
use crate::commands::Session;
use crate::exit::Failure;
use crate::path::Path;

/// Which half has the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Keys,
    Values,
}

/// What the keyboard is for.
pub enum Mode {
    /// Going around.
    Browse,
    /// A value is being written.
    Form(Box<Form>),
    /// A name is asked for.
    Ask(Question, Box<TextArea<'static>>),
    /// A yes is asked for.
    Confirm(Question),
    /// Something is being searched.
    Searching(Box<Search>),
    /// The keys are explained.
    Help,
    /// The manual card of a value is shown, from this line on.
    Card(String, u16),
    /// The editor ends.
    Over,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The name of a new key.
    KeyName,
    /// What to search.
    Search,
    /// Whether to write all changes.
    Save,
    /// Whether to end without.
    Discard,
}

/// The editor.
pub struct Editor {
    registry: Registry,
    manual: Manual,
    /// Where changes go; none is `base`.
    pub layer: Option<String>,
    pub tree: Tree,
    pub draft: Draft,
    pub pane: Pane,
    pub mode: Mode,
    /// What the registry has of the selected key.
    written: Vec<NamedValue>,
    /// The values of the selected key as they will be.
    pub rows: Vec<Row>,
    /// The selected one.
    pub row: usize,
    /// What layers say of the selected value.
    pub layers: Vec<Candidate>,
    /// The last word, for a person.
    pub message: String,
    /// What was searched last.
    sought: String,
    /// How many lines a page has.
    pub page: usize,
}

impl Editor {
    /// An editor of these hives, with this key unfolded and selected.
    pub fn new(registry: Registry, hives: &[String], path: &Path, layer: Option<String>) -> Editor {
        // What is wrong with the manual is for regman and doctor to tell.
        let (manual, _) = Manual::of_this_machine();
        let mut editor = Editor {
            registry,
            manual,
            layer,
            tree: Tree::new(hives),
            draft: Draft::default(),
            pane: Pane::Keys,
            mode: Mode::Browse,
            written: Vec::new(),
            rows: Vec::new(),
            row: 0,
            layers: Vec::new(),
            message: "? explains the keys".to_owned(),
            sought: String::new(),
            page: 10,
        };
        editor.go_to(path);
        editor
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The name of the layer that changes go to.
    pub fn layer_name(&self) -> &str {
        self.layer.as_deref().unwrap_or(libreg::BASE_LAYER)
    }

    /// A key is pressed.
    pub fn press(&mut self, key: KeyEvent, session: &mut Session) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return self.leave();
        }
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => self.browse(key),
            Mode::Form(mut form) => match form.press(key) {
                Done::NotYet => self.mode = Mode::Form(form),
                Done::Nothing => self.message = "Nothing is changed".to_owned(),
                Done::Change(change) => self.change(change),
            },
            Mode::Ask(question, answer) => self.answer(question, answer, key),
            Mode::Confirm(question) => self.decide(question, key, session),
            Mode::Searching(search) => match key.code {
                KeyCode::Esc => self.message = "The search was given up".to_owned(),
                _ => self.mode = Mode::Searching(search),
            },
            Mode::Help => {}
            Mode::Card(text, line) => self.scroll(text, line, key),
            Mode::Over => self.mode = Mode::Over,
        }
    }

    fn browse(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let page = self.page.max(1).cast_signed();
        match key.code {
            KeyCode::Char('s') if control => self.ask_to_save(),
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::PageUp => self.move_by(-page),
            KeyCode::PageDown => self.move_by(page),
            KeyCode::Home => self.move_by(-(1 << 30)),
            KeyCode::End => self.move_by(1 << 30),
            KeyCode::Tab => self.turn_to(match self.pane {
                Pane::Keys => Pane::Values,
                Pane::Values => Pane::Keys,
            }),
            KeyCode::Left | KeyCode::Char('h') => self.go_left(),
            KeyCode::Right | KeyCode::Char('l') => self.go_right(),
            KeyCode::Enter => match self.pane {
                Pane::Keys => self.toggle(),
                Pane::Values => self.edit(),
            },
            KeyCode::Char('n') => self.new_one(),
            KeyCode::Char('d') | KeyCode::Delete => self.delete(),
            KeyCode::Char('u') => self.undo(),
            KeyCode::Char('s') => self.ask_to_save(),
            KeyCode::Char('/') => self.ask(Question::Search, &self.sought.clone()),
            KeyCode::Char('f') | KeyCode::F(3) => self.search(),
            KeyCode::Char('r') | KeyCode::F(5) => {
                self.message = "Read again".to_owned();
                self.read_all_again();
            }
            KeyCode::Char('m') => match self.entry() {
                Some(entry) => self.mode = Mode::Card(entry.card(), 0),
                None => self.message = "The manual says nothing of it".to_owned(),
            },
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('q') => self.leave(),
            _ => {}
        }
    }

    /// What the manual says of the selected value.
    pub fn entry(&self) -> Option<&ValueEntry> {
        self.manual.value(self.tree.selected(), &self.rows.get(self.row)?.name)
    }

    fn scroll(&mut self, text: String, line: u16, key: KeyEvent) {
        let last = u16::try_from(text.lines().count()).unwrap_or(u16::MAX).saturating_sub(1);
        let page = u16::try_from(self.page).unwrap_or(1);
        let line = match key.code {
            KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => line.saturating_add(1).min(last),
            KeyCode::PageUp => line.saturating_sub(page),
            KeyCode::PageDown => line.saturating_add(page).min(last),
            _ => return,
        };
        self.mode = Mode::Card(text, line);
    }

    fn turn_to(&mut self, pane: Pane) {
        self.pane = pane;
    }

    fn move_by(&mut self, lines: isize) {
        match self.pane {
            Pane::Keys => {
                self.tree.move_by(lines);
                self.read_key();
            }
            Pane::Values => {
                let last = self.rows.len().saturating_sub(1);
                self.row = self.row.saturating_add_signed(lines).min(last);
                self.read_layers();
            }
        }
    }

    fn go_left(&mut self) {
        let selected = self.tree.selected().clone();
        match self.pane {
            Pane::Values => self.turn_to(Pane::Keys),
            Pane::Keys if self.tree.is_unfolded(&selected) => self.tree.fold(&selected),
            Pane::Keys => {
                if let Some(above) = selected.parent() {
                    self.tree.select(&above);
                    self.read_key();
                }
            }
        }
    }

    fn go_right(&mut self) {
        let selected = self.tree.selected().clone();
        match self.pane {
            Pane::Keys if self.tree.is_unfolded(&selected) => self.turn_to(Pane::Values),
            Pane::Keys => self.unfold(&selected),
            Pane::Values => {}
        }
    }

    fn toggle(&mut self) {
        let selected = self.tree.selected().clone();
        if self.tree.is_unfolded(&selected) {
            self.tree.fold(&selected);
        } else {
            self.unfold(&selected);
        }
    }

    /// Unfolds what leads to a key, and selects it; if it is not there, the last that is.
    fn go_to(&mut self, path: &Path) {
        for above in path.ancestors() {
            self.unfold(&above);
            self.tree.select(&above);
        }
        self.tree.select(path);
        self.read_key();
    }

    fn unfold(&mut self, path: &Path) {
        if self.tree.is_link(path) {
            self.message = "A link: its default value says where it leads".to_owned();
            return;
        }
        let open = self.registry.open_link(&path.to_string(), Access::ENUMERATE_SUB_KEYS);
        let subkeys = open.and_then(|key| key.subkeys(false).collect::<Result<Vec<_>, _>>());
        let subkeys = match subkeys {
            Ok(subkeys) => subkeys.into_iter().map(|subkey| (subkey.name, subkey.link)).collect(),
            // What will be new has no subkeys but new ones.
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => {
                self.message = error.to_string();
                return;
            }
        };
        self.tree.unfold(path, self.draft.subkeys(path, subkeys));
    }

    /// Reads the values of the selected key.
    fn read_key(&mut self) {
        let name = self.rows.get(self.row).map(|row| row.name.clone());
        let path = self.tree.selected().to_string();
        let open = self.registry.open_link(&path, Access::QUERY_VALUE);
        self.written = match open.and_then(|key| key.values().collect::<Result<Vec<_>, _>>()) {
            Ok(values) => values,
            Err(error) => {
                if !error.is_not_found() {
                    self.message = error.to_string();
                }
                Vec::new()
            }
        };
        self.draw_up_rows(name.as_deref());
    }

    /// The values as they will be, with this one selected if it is there.
    fn draw_up_rows(&mut self, name: Option<&str>) {
        self.rows = self.draft.values(self.tree.selected(), &self.written);
        let selected = |name| self.rows.iter().position(|row| same(&row.name, name));
        let selected = name.and_then(selected).unwrap_or(self.row);
        self.row = selected.min(self.rows.len().saturating_sub(1));
        self.read_layers();
    }

    fn read_layers(&mut self) {
        let Some(row) = self.rows.get(self.row) else { return self.layers.clear() };
        let path = self.tree.selected().to_string();
        let open = self.registry.open_link(&path, Access::QUERY_VALUE);
        let explained = open.and_then(|key| key.explain_value(&row.name));
        self.layers = explained.map(|explained| explained.candidates).unwrap_or_default();
    }

    fn edit(&mut self) {
        let Some(row) = self.rows.get(self.row) else { return self.new_one() };
        if row.state == State::Gone {
            self.message = "It will be deleted; u takes that back".to_owned();
            return;
        }
        let form = Form::edit(self.tree.selected().clone(), row);
        self.mode = Mode::Form(Box::new(form));
    }

    fn new_one(&mut self) {
        match self.pane {
            Pane::Keys => self.ask(Question::KeyName, ""),
            Pane::Values => {
                let form = Form::new(self.tree.selected().clone(), &self.rows);
                self.mode = Mode::Form(Box::new(form));
            }
        }
    }

    fn delete(&mut self) {
        let key = self.tree.selected().clone();
        match (self.pane, self.rows.get(self.row)) {
            (Pane::Keys, _) if key.parent().is_none() => {
                self.message = "A hive is not deleted".to_owned();
            }
            (Pane::Keys, _) => self.change(Change::Delete { key }),
            (Pane::Values, Some(row)) if row.state != State::Gone => {
                let name = row.name.clone();
                self.change(Change::Unset { key, name });
            }
            (Pane::Values, _) => {}
        }
    }

    /// One change more.
    fn change(&mut self, change: Change) {
        self.message = self.remark(&change);
        self.draft.push(change.clone());
        self.show_change(&change);
    }

    fn undo(&mut self) {
        match self.draft.undo() {
            None => self.message = "There is nothing to undo".to_owned(),
            Some(change) => {
                self.message = format!("Undone; {}", self.unsaved());
                self.show_change(&change);
            }
        }
    }

    /// Shows what was changed, or changed back.
    fn show_change(&mut self, change: &Change) {
        match change {
            Change::Set { key, name, .. } | Change::Unset { key, name } => {
                let elsewhere = !same_key(key, self.tree.selected());
                if elsewhere {
                    self.go_to(key);
                }
                self.draw_up_rows(Some(name));
            }
            Change::Create { key } | Change::Delete { key } => {
                let above = parent(key);
                self.go_to(&above);
                self.unfold(&above);
                self.tree.select(key);
                self.read_key();
            }
        }
    }

    /// What is to be known of a change before it is written.
    fn remark(&self, change: &Change) -> String {
        let (Change::Set { name, .. } | Change::Unset { name, .. }) = change else {
            return "Not saved yet".to_owned();
        };
        if let Change::Set { key, name, value_type, data } = change
            && let Some(entry) = self.manual.value(key, name)
            && let Some(wrong) = entry.contradiction(*value_type, data)
        {
            return format!("Not saved yet. By the manual, {wrong}");
        }
        let row = self.rows.iter().find(|row| same(&row.name, name));
        match row.and_then(|row| row.layer.as_deref()) {
            Some(layer) if !same(layer, self.layer_name()) => {
                let what = match change {
                    Change::Unset { .. } => "it will still be there",
                    _ => "that may go on having the last word",
                };
                format!(
                    "Not saved yet. It is of the layer {layer}, and changes go to {}: {what}",
                    self.layer_name()
                )
            }
            _ => "Not saved yet".to_owned(),
        }
    }

    /// How much is not saved.
    pub fn unsaved(&self) -> String {
        match self.draft.changes().len() {
            0 => "all is saved".to_owned(),
            1 => "1 change is not saved".to_owned(),
            many => format!("{many} changes are not saved"),
        }
    }

    fn ask(&mut self, question: Question, text: &str) {
        let mut field = TextArea::new(vec![text.to_owned()]);
        field.move_cursor(ratatui_textarea::CursorMove::End);
        field.set_cursor_line_style(ratatui::style::Style::default());
        self.mode = Mode::Ask(question, Box::new(field));
    }

    fn answer(&mut self, question: Question, mut answer: Box<TextArea<'static>>, key: KeyEvent) {
        match key.code {
            KeyCode::Esc => {}
            KeyCode::Enter => {
                let text = answer.lines().join("");
                match question {
                    Question::Search => {
                        self.sought = text;
                        self.search();
                    }
                    _ => self.create(&text),
                }
            }
            _ => {
                answer.input(key);
                self.mode = Mode::Ask(question, answer);
            }
        }
    }

    fn create(&mut self, name: &str) {
        if name.is_empty() || name.contains(crate::path::is_separator) {
            self.message = "A key has a name without / and \\".to_owned();
            return;
        }
        let above = self.tree.selected().clone();
        self.unfold(&above);
        let key = above.join(name);
        let there = self.tree.lines().into_iter().find(|line| same_key(&line.path, &key));
        if there.is_some_and(|line| line.state != State::Gone) {
            self.message = format!("There is a key {name}");
            return;
        }
        self.change(Change::Create { key });
    }

    fn ask_to_save(&mut self) {
        if self.draft.is_empty() {
            self.message = "There is nothing to save".to_owned();
        } else {
            self.mode = Mode::Confirm(Question::Save);
        }
    }

    fn leave(&mut self) {
        self.mode = match self.draft.is_empty() {
            true => Mode::Over,
            false => Mode::Confirm(Question::Discard),
        };
    }

    fn decide(&mut self, question: Question, key: KeyEvent, session: &mut Session) {
        match (question, key.code) {
            (Question::Discard, KeyCode::Char('y' | 'Y')) => self.mode = Mode::Over,
            (_, KeyCode::Char('y' | 'Y') | KeyCode::Enter) if question == Question::Save => {
                self.save(session);
            }
            (_, KeyCode::Char('n' | 'N') | KeyCode::Esc) => {
                self.message = format!("As it was: {}", self.unsaved());
            }
            _ => self.mode = Mode::Confirm(question),
        }
    }

    fn save(&mut self, session: &mut Session) {
        let saved = save::save(session, &mut self.draft, self.layer.as_deref());
        self.message = match saved {
            Ok(1) => "1 change is saved".to_owned(),
            Ok(count) => format!("{count} changes are saved"),
            Err(failure) => match session.explained(failure) {
                failure if self.draft.is_empty() => failure.to_string(),
                failure => format!("{failure}; {}", self.unsaved()),
            },
        };
        self.read_all_again();
    }

    fn search(&mut self) {
        if self.sought.is_empty() {
            return self.ask(Question::Search, "");
        }
        let hives = self.tree.lines().into_iter().filter(|line| line.depth == 0);
        let hives = hives.map(|line| line.path).collect();
        let value = match self.pane {
            Pane::Keys => None,
            Pane::Values => self.rows.get(self.row).map(|row| row.name.clone()),
        };
        let from = Place { key: self.tree.selected().clone(), value };
        self.mode = Mode::Searching(Box::new(Search::new(&self.sought, hives, from)));
    }

    /// Goes on with a search, if there is one. Tells whether there is more to do.
    pub fn search_on(&mut self) -> bool {
        let Mode::Searching(search) = &mut self.mode else { return false };
        let step = search.step(&self.registry);
        match step {
            Ok(Step::Going) => return true,
            Ok(Step::Nowhere) => self.message = format!("{} is nowhere", self.sought),
            Ok(Step::Found(place)) => {
                self.message = "Found; f goes on".to_owned();
                self.go_to(&place.key);
                match place.value {
                    None => self.turn_to(Pane::Keys),
                    Some(name) => {
                        self.turn_to(Pane::Values);
                        self.draw_up_rows(Some(&name));
                    }
                }
            }
            Err(error) => self.message = error.to_string(),
        }
        self.mode = Mode::Browse;
        false
    }

    /// Something changed in the registry: the subkeys of a key, or its values.
    pub fn changed(&mut self, path: &Path, subkeys: bool) {
        if subkeys {
            let selected = self.tree.selected().clone();
            if self.tree.is_unfolded(path) {
                self.unfold(path);
            }
            // It may have gone, and come again as another.
            let is_below = is_at_or_below(&selected, path) && !same_key(&selected, path);
            if is_below || !same_key(&selected, self.tree.selected()) {
                self.read_key();
            }
        } else if same_key(self.tree.selected(), path) {
            let before = std::mem::take(&mut self.written);
            self.read_key();
            self.tell_of_conflicts(&before);
        }
    }

    /// Tells if somebody else has written what is to be written.
    fn tell_of_conflicts(&mut self, before: &[NamedValue]) {
        let key = self.tree.selected();
        let was = |value: &NamedValue| before.iter().find(|old| same(&old.name, &value.name));
        let conflict = self.written.iter().find(|value| {
            was(value).is_none_or(|old| old.sequence != value.sequence)
                && self.draft.concerns(key, &value.name)
        });
        if let Some(value) = conflict {
            let name = crate::output::value_name(&value.name);
            self.message = format!("Somebody else has written {name}; saving writes over it");
        }
    }

    /// Reads all that is shown.
    pub fn read_all_again(&mut self) {
        for path in self.tree.unfolded() {
            self.unfold(&path);
        }
        self.read_key();
    }

    /// Tells a failure.
    pub fn tell(&mut self, failure: &Failure) {
        self.message = failure.to_string();
    }
}
