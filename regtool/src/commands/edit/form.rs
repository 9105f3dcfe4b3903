//! A value as a person writes it: its name, its type and its data as text.

use libreg::data::{self, Data, interpret, type_name};
use libreg::{ValueType, fold};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::TextArea;

use super::draft::{Change, Row, same};
use crate::path::Path;

/// The types that a value can be given.
const TYPES: [ValueType; 8] = [
    ValueType::Sz,
    ValueType::ExpandSz,
    ValueType::MultiSz,
    ValueType::Dword,
    ValueType::DwordBigEndian,
    ValueType::Qword,
    ValueType::Binary,
    ValueType::None,
];

/// Where the cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Name,
    Type,
    Data,
}

/// What is done with a form.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// It stays.
    NotYet,
    /// It goes, and nothing is changed.
    Nothing,
    /// It goes, with this change.
    Change(Change),
}

/// A value that is being written.
pub struct Form {
    key: Path,
    /// The value that it is now.
    before: Option<Row>,
    /// The folded names of the other values.
    taken: Vec<String>,
    pub name: TextArea<'static>,
    pub value_type: u32,
    pub data: TextArea<'static>,
    pub field: Field,
    /// The data is shown in hexadecimal, because as text it would not be the same.
    as_bytes: bool,
    /// What the text was at first.
    text_before: Vec<String>,
    /// Why it cannot be accepted.
    pub error: Option<String>,
}

impl Form {
    /// To write a value anew.
    pub fn edit(key: Path, row: &Row) -> Form {
        let (lines, as_bytes) = text(row.value_type, &row.data);
        let mut form = Form::with(key, lines, as_bytes);
        form.name = field(vec![row.name.clone()]);
        form.value_type = row.value_type;
        form.field = Field::Data;
        form.before = Some(row.clone());
        form
    }

    /// To write a value that is not there yet, beside these.
    pub fn new(key: Path, others: &[Row]) -> Form {
        let mut form = Form::with(key, vec![String::new()], false);
        form.taken = others.iter().map(|row| fold(&row.name)).collect();
        form
    }

    fn with(key: Path, lines: Vec<String>, as_bytes: bool) -> Form {
        Form {
            key,
            before: None,
            taken: Vec::new(),
            name: field(vec![String::new()]),
            value_type: ValueType::Sz.code(),
            data: field(lines.clone()),
            field: Field::Name,
            as_bytes,
            text_before: lines,
            error: None,
        }
    }

    /// Whether the value is not there yet, so that it can be given a name.
    pub fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// Whether each line of the data is a string of its own.
    pub fn is_list(&self) -> bool {
        self.value_type == ValueType::MultiSz.code() && !self.as_bytes
    }

    /// What the data is to be, for a person.
    pub fn hint(&self) -> &'static str {
        if self.as_bytes {
            return "bytes in hexadecimal";
        }
        match ValueType::from_code(self.value_type) {
            Some(ValueType::Sz | ValueType::ExpandSz | ValueType::Link) => "text",
            Some(ValueType::MultiSz) => "one string a line",
            Some(ValueType::Dword | ValueType::DwordBigEndian | ValueType::Qword) => {
                "a number, decimal or 0x…"
            }
            _ => "bytes in hexadecimal",
        }
    }

    /// A key is pressed.
    pub fn press(&mut self, key: KeyEvent) -> Done {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return Done::Nothing,
            KeyCode::Char('s') if control => return self.accept(),
            KeyCode::Enter if !(self.is_list() && self.field == Field::Data) => {
                return self.accept();
            }
            KeyCode::Tab => self.field = self.next(1),
            // Of three fields, or of two.
            KeyCode::BackTab => self.field = self.next(if self.is_new() { 2 } else { 1 }),
            KeyCode::Left | KeyCode::Right | KeyCode::Char(' ') if self.field == Field::Type => {
                self.turn_type(if key.code == KeyCode::Left { TYPES.len() - 1 } else { 1 });
            }
            _ => match self.field {
                Field::Name if self.is_new() && key.code != KeyCode::Enter => {
                    self.name.input(key);
                }
                Field::Data => {
                    self.data.input(key);
                }
                Field::Name | Field::Type => {}
            },
        }
        self.error = None;
        Done::NotYet
    }

    /// The field so many further on, round and round.
    fn next(&self, steps: usize) -> Field {
        let fields: &[Field] = if self.is_new() {
            &[Field::Name, Field::Type, Field::Data]
        } else {
            &[Field::Type, Field::Data]
        };
        let at = fields.iter().position(|field| *field == self.field).unwrap_or(0);
        fields[(at + steps) % fields.len()]
    }

    fn turn_type(&mut self, steps: usize) {
        let at = TYPES.iter().position(|known| known.code() == self.value_type).unwrap_or(0);
        self.value_type = TYPES[(at + steps) % TYPES.len()].code();
        // What was written for another type is text for this one.
        self.as_bytes = false;
    }

    /// The change that the form says, if it makes sense.
    fn accept(&mut self) -> Done {
        match self.change() {
            Ok(Some(change)) => Done::Change(change),
            Ok(None) => Done::Nothing,
            Err(error) => {
                self.error = Some(error);
                Done::NotYet
            }
        }
    }

    fn change(&self) -> Result<Option<Change>, String> {
        let lines = self.data.lines();
        if let Some(before) = &self.before
            && before.value_type == self.value_type
            && self.text_before == lines
        {
            return Ok(None);
        }
        let written = self.name.lines().join("");
        let name = if written == "@" { String::new() } else { written };
        if self.is_new() && self.taken.iter().any(|taken| same(taken, &name)) {
            return Err("there is a value of this name".to_owned());
        }
        let data = self.data_of(lines).map_err(|error| {
            let type_name = type_name(self.value_type);
            let error = error.replace("DATA", "line");
            format!("{type_name} {error}")
        })?;
        let (key, value_type) = (self.key.clone(), self.value_type);
        Ok(Some(Change::Set { key, name, value_type, data }))
    }

    fn data_of(&self, lines: &[String]) -> Result<Vec<u8>, String> {
        let meant = match ValueType::from_code(self.value_type) {
            Some(known) if !self.as_bytes => known,
            _ => ValueType::Binary,
        };
        let whole = lines.join("\n");
        let data = match meant {
            ValueType::MultiSz if whole.is_empty() => Ok(Vec::new()),
            ValueType::MultiSz => data::parse(meant, lines),
            ValueType::Dword | ValueType::DwordBigEndian | ValueType::Qword => {
                data::parse(meant, &[whole.trim()])
            }
            _ => data::parse(meant, &[whole]),
        };
        data.map_err(|error| error.to_string())
    }
}

/// A field with this text, the cursor at its end.
fn field(lines: Vec<String>) -> TextArea<'static> {
    let mut field = TextArea::new(lines);
    field.move_cursor(ratatui_textarea::CursorMove::Bottom);
    field.move_cursor(ratatui_textarea::CursorMove::End);
    field.set_cursor_line_style(ratatui::style::Style::default());
    field
}

/// Data as the lines of a field, and whether they are bytes in hexadecimal though the type says something else:
/// because the data is not what its type says, or would not come back as it was.
fn text(value_type: u32, bytes: &[u8]) -> (Vec<String>, bool) {
    let lines_of = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let hex = || vec![Data::Bytes(bytes).to_string()];
    let known = ValueType::from_code(value_type);
    match interpret(value_type, bytes) {
        Data::Text(text) if text.as_bytes() == bytes => (lines_of(text), false),
        Data::List(strings)
            if !strings.iter().any(|string| string.contains('\n'))
                && known.is_some_and(|known| {
                    data::parse(known, &strings).is_ok_and(|again| again == bytes)
                })
                && strings != [""] =>
        {
            let lines: Vec<String> = strings.into_iter().map(str::to_owned).collect();
            (if lines.is_empty() { vec![String::new()] } else { lines }, false)
        }
        Data::Number(number) => (vec![number.to_string()], false),
        Data::Text(_) | Data::List(_) | Data::Bytes(_) => (hex(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::draft::State;
    use super::*;
    use proptest::prelude::*;

    fn row(value_type: u32, data: &[u8]) -> Row {
        Row {
            name: "v".to_owned(),
            value_type,
            data: data.to_vec(),
            layer: None,
            state: State::Written,
        }
    }

    fn key() -> Path {
        Path::parse("Machine\\K").expect("a path")
    }

    fn press(form: &mut Form, code: KeyCode) -> Done {
        form.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn write(form: &mut Form, text: &str) {
        for character in text.chars() {
            assert_eq!(press(form, KeyCode::Char(character)), Done::NotYet);
        }
    }

    fn set(name: &str, value_type: ValueType, data: &[u8]) -> Done {
        let (name, value_type, data) = (name.to_owned(), value_type.code(), data.to_vec());
        Done::Change(Change::Set { key: key(), name, value_type, data })
    }

    #[test]
    fn a_number_is_written_anew_and_nonsense_is_told_and_kept_for_correction() {
        let mut form = Form::edit(key(), &row(4, &[4, 0, 0, 0]));
        assert_eq!(form.data.lines(), ["4"]);
        write(&mut form, "x");
        assert_eq!(press(&mut form, KeyCode::Enter), Done::NotYet);
        assert!(
            form.error.as_ref().is_some_and(|error| error.contains("32 bits")),
            "{:?}",
            form.error
        );
        press(&mut form, KeyCode::Backspace);
        write(&mut form, "2");
        assert_eq!(press(&mut form, KeyCode::Enter), set("v", ValueType::Dword, &[42, 0, 0, 0]));
    }

    #[test]
    fn a_new_value_gets_a_name_a_type_and_data_and_not_the_name_of_another() {
        let mut form = Form::new(key(), &[row(1, b"")]);
        write(&mut form, "V");
        assert_eq!(press(&mut form, KeyCode::Enter), Done::NotYet);
        assert_eq!(form.error.as_deref(), Some("there is a value of this name"));
        write(&mut form, "2");
        press(&mut form, KeyCode::Tab);
        press(&mut form, KeyCode::Right);
        press(&mut form, KeyCode::Right);
        press(&mut form, KeyCode::Tab);
        write(&mut form, "a");
        assert_eq!(press(&mut form, KeyCode::Enter), Done::NotYet);
        write(&mut form, "b");
        let accept = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
        assert_eq!(form.press(accept), set("V2", ValueType::MultiSz, b"a\0b\0"));
    }

    #[test]
    fn a_form_that_is_left_or_accepted_as_it_was_changes_nothing() {
        let mut form = Form::edit(key(), &row(1, b"text"));
        write(&mut form, "x");
        assert_eq!(press(&mut form, KeyCode::Esc), Done::Nothing);
        let mut form = Form::edit(key(), &row(7, b"not a list"));
        assert_eq!(press(&mut form, KeyCode::Enter), Done::Nothing);
    }

    proptest! {
        #[test]
        fn text_of_any_data_becomes_the_same_data(
            value_type in 0..13_u32,
            data in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..12),
                "[a\n\0é]{0,8}".prop_map(String::into_bytes),
            ],
        ) {
            let form = Form::edit(key(), &row(value_type, &data));
            prop_assert_eq!(form.data_of(form.data.lines()), Ok(data));
        }
    }
}
