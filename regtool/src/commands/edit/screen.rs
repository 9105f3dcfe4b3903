//! How the editor looks.

use libreg::data::type_name;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Block, Clear, List, ListState, Paragraph, Row as TableRow, Table, TableState, Wrap,
};

use super::draft::State;
use super::editor::{Editor, Mode, Pane, Question};
use super::form::{Field, Form};
use crate::commands::explain::{content_words, verdict_words};
use crate::output::{data_line, one_line, value_name};

/// The least that everything fits into.
const LEAST: (u16, u16) = (60, 16);

const HELP: &str = "\
Up Down PgUp PgDn    go from line to line (also j, k)
Left Right           fold and unfold a key, go over to its values
Tab                  from keys to values and back
Enter                unfold a key; edit a value
n                    new key, or new value
m                    the manual of the selected value
d, Del               delete (a key with all below it)
u                    take the last change back
s, Ctrl-S            save all changes, in one transaction
/  f                 search names and data; go on searching
r                    read all again
q, Ctrl-C            end

Nothing is written before you save. + is new, * is changed,
- will be deleted. In a form Tab goes from field to field,
Enter accepts (Ctrl-S in a list), Esc leaves.";

/// How things are set off from each other.
#[derive(Clone, Copy)]
pub struct Look {
    /// With colours.
    pub colours: bool,
}

impl Look {
    fn coloured(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn selected(self, has_cursor: bool) -> Style {
        let modifier = if has_cursor { Modifier::REVERSED } else { Modifier::UNDERLINED };
        Style::new().add_modifier(modifier)
    }

    fn of(self, state: State) -> Style {
        match state {
            State::Written => Style::new(),
            State::Changed => self.coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            State::New => self.coloured(Color::Green).add_modifier(Modifier::BOLD),
            State::Gone => self.coloured(Color::Red).add_modifier(Modifier::DIM),
        }
    }
}

fn mark(state: State) -> &'static str {
    match state {
        State::Written => " ",
        State::Changed => "*",
        State::New => "+",
        State::Gone => "-",
    }
}

/// Draws all of it.
pub fn draw(editor: &mut Editor, look: Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("The terminal is too small: {} by {} are needed", LEAST.0, LEAST.1);
        return frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
    }
    let [title, body, message, hints] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(38), Constraint::Min(0)]).areas(body);
    let card = if editor.entry().is_some() { 5 } else { 0 };
    let parts = [Constraint::Min(0), Constraint::Length(6), Constraint::Length(card)];
    let [values, layers, card] = Layout::vertical(parts).areas(right);
    editor.page = usize::from(left.height.saturating_sub(2));
    draw_title(editor, frame, title);
    draw_keys(editor, look, frame, left);
    draw_values(editor, look, frame, values);
    draw_layers(editor, frame, layers);
    draw_manual(editor, frame, card);
    frame.render_widget(Paragraph::new(one_line(&editor.message)), message);
    frame.render_widget(Paragraph::new(hint(&editor.mode)), hints);
    match &editor.mode {
        Mode::Form(form) => draw_form(form, look, frame, area),
        Mode::Ask(question, field) => {
            let title =
                if *question == Question::Search { " Search " } else { " Name of the new key " };
            let inner = popup(frame, area, title, 60, 1);
            frame.render_widget(&**field, inner);
        }
        Mode::Confirm(question) => draw_question(editor, *question, frame, area),
        Mode::Help => {
            let height = HELP.lines().count() as u16;
            let inner = popup(frame, area, " Keys ", 66, height);
            frame.render_widget(Paragraph::new(HELP), inner);
        }
        Mode::Card(text, line) => {
            let inner = popup(frame, area, " Manual ", area.width, area.height - 4);
            let text = Paragraph::new(text.as_str()).wrap(Wrap { trim: false });
            frame.render_widget(text.scroll((*line, 0)), inner);
        }
        Mode::Browse | Mode::Searching(_) | Mode::Over => {}
    }
}

fn draw_title(editor: &Editor, frame: &mut Frame<'_>, area: Rect) {
    let path = editor.tree.selected().to_string();
    let unsaved = match editor.draft.is_empty() {
        true => String::new(),
        false => format!("  [{}]", editor.unsaved()),
    };
    let layer = match &editor.layer {
        Some(layer) => format!("  layer {}", one_line(layer)),
        None => String::new(),
    };
    let text = format!("{}{layer}{unsaved}", one_line(&path));
    let style = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Paragraph::new(text).style(style), area);
}

fn draw_keys(editor: &Editor, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let lines = editor.tree.lines();
    let items = lines.iter().map(|line| {
        let fold = match (line.link, line.unfolded) {
            (true, _) => "@",
            (_, true) => "v",
            _ => ">",
        };
        let name = line.path.names().last().map(String::as_str).unwrap_or_default();
        let indent = "  ".repeat(line.depth);
        let text = format!("{}{indent}{fold} {}", mark(line.state), one_line(name));
        Line::styled(text, look.of(line.state))
    });
    let has_cursor = editor.pane == Pane::Keys;
    let list = List::new(items)
        .block(block(" Keys ", has_cursor))
        .highlight_style(look.selected(has_cursor));
    let mut state = ListState::default().with_selected(Some(editor.tree.selected_line()));
    frame.render_stateful_widget(list, area, &mut state);
}

fn draw_values(editor: &Editor, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let limit = usize::from(area.width);
    let rows = editor.rows.iter().map(|row| {
        TableRow::new([
            mark(row.state).to_owned(),
            value_name(&row.name).into_owned(),
            type_name(row.value_type),
            data_line(row.value_type, &row.data, limit),
        ])
        .style(look.of(row.state))
    });
    let longest = editor.rows.iter().map(|row| value_name(&row.name).chars().count()).max();
    let names = longest.unwrap_or(0).clamp(4, usize::from(area.width) / 3) as u16;
    let widths = [
        Constraint::Length(1),
        Constraint::Length(names),
        Constraint::Length(9),
        Constraint::Min(0),
    ];
    let has_cursor = editor.pane == Pane::Values;
    let table = Table::new(rows, widths)
        .block(block(" Values ", has_cursor))
        .row_highlight_style(look.selected(has_cursor));
    let selected = (!editor.rows.is_empty()).then_some(editor.row);
    let mut state = TableState::default().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_layers(editor: &Editor, frame: &mut Frame<'_>, area: Rect) {
    let limit = usize::from(area.width);
    let cells = editor.layers.iter().map(|candidate| {
        let (content, data) = content_words(&candidate.content, limit);
        let precedence = candidate.precedence.map(|number| number.to_string());
        [
            one_line(&candidate.layer).into_owned(),
            precedence.unwrap_or_default(),
            verdict_words(candidate.verdict).to_owned(),
            content,
            data,
        ]
    });
    let cells: Vec<[String; 5]> = cells.collect();
    let longest = |column: usize| cells.iter().map(|row| row[column].chars().count()).max();
    let longest = |column| Constraint::Length(longest(column).unwrap_or(0).min(16) as u16);
    let widths = [longest(0), longest(1), longest(2), longest(3), Constraint::Min(0)];
    let rows = cells.iter().map(|row| TableRow::new(row.clone()));
    let title = match editor.rows.get(editor.row) {
        Some(row) => format!(" Layers of {} ", value_name(&row.name)),
        None => " Layers ".to_owned(),
    };
    frame.render_widget(Table::new(rows, widths).block(block(&title, false)), area);
}

/// The manual of the selected value, in short.
fn draw_manual(editor: &Editor, frame: &mut Frame<'_>, area: Rect) {
    let Some(entry) = editor.entry() else { return };
    let facts = entry.facts().into_iter().filter(|(name, _)| *name != "Read by");
    let facts: Vec<String> = facts.map(|(name, fact)| format!("{name} {fact}")).collect();
    let text = format!("{}\n{}", entry.about.summary, facts.join("  "));
    let text = Paragraph::new(text).wrap(Wrap { trim: true });
    frame.render_widget(text.block(block(" Manual ", false)), area);
}

fn draw_form(form: &Form, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let lines = form.data.lines().len().clamp(1, 8) as u16;
    let title = if form.is_new() { " New value " } else { " Value " };
    let inner = popup(frame, area, title, 70, 4 + lines);
    let [name, type_line, hint, data, error] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(lines),
        Constraint::Length(1),
    ])
    .areas(inner);
    let label = |text: &'static str, field| {
        let style = look.selected(true);
        let style = if form.field == field { style } else { Style::new() };
        Span::styled(text, style)
    };
    let [name_label, name_field] =
        Layout::horizontal([Constraint::Length(6), Constraint::Min(0)]).areas(name);
    frame.render_widget(Line::from(label("Name", Field::Name)), name_label);
    if form.is_new() && form.field == Field::Name {
        frame.render_widget(&form.name, name_field);
    } else {
        let name = form.name.lines().join("");
        frame.render_widget(Paragraph::new(value_name(&name).into_owned()), name_field);
    }
    let turn = if form.field == Field::Type { "  (Left, Right)" } else { "" };
    let type_text = format!("  {}{turn}", type_name(form.value_type));
    frame.render_widget(Line::from(vec![label("Type", Field::Type), type_text.into()]), type_line);
    let hint_text = format!("  {}", form.hint());
    frame.render_widget(Line::from(vec![label("Data", Field::Data), hint_text.into()]), hint);
    if form.field == Field::Data {
        frame.render_widget(&form.data, data);
    } else {
        let text: Vec<Line<'_>> =
            form.data.lines().iter().map(|line| one_line(line).into_owned().into()).collect();
        frame.render_widget(Paragraph::new(text), data);
    }
    if let Some(text) = &form.error {
        frame.render_widget(Paragraph::new(text.as_str()).style(look.coloured(Color::Red)), error);
    }
}

fn draw_question(editor: &Editor, question: Question, frame: &mut Frame<'_>, area: Rect) {
    let text = match question {
        Question::Save => {
            let count = editor.draft.changes().len();
            let what =
                if count == 1 { "the change".to_owned() } else { format!("{count} changes") };
            format!("Write {what} to the layer {}? (y/n)", one_line(editor.layer_name()))
        }
        _ => {
            let unsaved = editor.unsaved();
            format!("{}: end all the same? (y/n)", unsaved)
        }
    };
    let inner = popup(frame, area, " Sure? ", 64, 1);
    frame.render_widget(Paragraph::new(text), inner);
}

fn hint(mode: &Mode) -> String {
    match mode {
        Mode::Form(form) if form.is_list() => "Tab next field  Ctrl-S accept  Esc leave".to_owned(),
        Mode::Form(_) => "Tab next field  Enter accept  Esc leave".to_owned(),
        Mode::Ask(..) => "Enter accept  Esc leave".to_owned(),
        Mode::Confirm(_) => "y yes  n no".to_owned(),
        Mode::Searching(search) => {
            format!("Searching, {} keys so far  Esc gives up", search.looked_at)
        }
        Mode::Help => "Any key goes on".to_owned(),
        Mode::Card(..) => "Up Down PgUp PgDn  any other key goes on".to_owned(),
        Mode::Browse | Mode::Over => {
            "Tab values  Enter open  n new  d delete  u undo  s save  / search  ? help  q end"
                .to_owned()
        }
    }
}

fn block(title: &str, has_cursor: bool) -> Block<'static> {
    let style = if has_cursor { Modifier::BOLD } else { Modifier::empty() };
    Block::bordered().title(Span::styled(title.to_owned(), Style::new().add_modifier(style)))
}

/// A box in the middle, whose inside it gives.
fn popup(frame: &mut Frame<'_>, area: Rect, title: &str, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), (height + 2).min(area.height));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = block(title, true);
    let inner = block.inner(place);
    frame.render_widget(Clear, place);
    frame.render_widget(block, place);
    inner
}
