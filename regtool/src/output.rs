//! What goes to the standard output: text for people, and JSON.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstyle::AnsiColor;
use comfy_table::presets::NOTHING;
use comfy_table::{Row, Table};
use libreg::NamedValue;
use libreg::data::{Data, interpret, type_name};
use serde_json::{Map, Value as Json, json};

use crate::exit::Failure;

/// The standard output.
pub struct Out {
    writer: BufWriter<StdoutLock<'static>>,
    /// A person reads it.
    pub terminal: bool,
}

impl Out {
    /// Takes the standard output, until it is dropped.
    pub fn stdout() -> Out {
        let stdout = io::stdout().lock();
        let terminal = stdout.is_terminal();
        Out { writer: BufWriter::new(stdout), terminal }
    }

    /// How much of a value's data a listing shows, in characters.
    pub fn data_limit(&self) -> usize {
        if self.terminal { MAX_SHOWN } else { MAX_SHOWN_ELSEWHERE }
    }

    /// Prints a line.
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.writer, "{line}").map_err(Failure::output)
    }

    /// Prints a line in a colour, if a person sees it who wants colours.
    pub fn coloured(&mut self, colour: AnsiColor, line: impl fmt::Display) -> Result<(), Failure> {
        if !self.terminal || !colours() {
            return self.line(line);
        }
        let style = colour.on_default();
        self.line(format_args!("{style}{line}{style:#}"))
    }

    /// Prints text that has its line breaks.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.writer.write_all(text.as_bytes()).map_err(Failure::output)
    }

    /// Prints JSON.
    pub fn json(&mut self, json: &Json) -> Result<(), Failure> {
        self.line(format_args!("{json:#}"))
    }

    /// Hands over what was printed, to whoever reads along.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(Failure::output)
    }

    /// Sees to it that all was taken.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.flush()
    }
}

/// Whether colours are welcome on a terminal: not if `NO_COLOR` is set to anything (<https://no-color.org>).
pub fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// The longest data that a listing shows on a terminal, and elsewhere, in characters. `get` and `--json` show
/// all.
const MAX_SHOWN: usize = 100;
const MAX_SHOWN_ELSEWHERE: usize = 1000;

/// Text on one line: control characters are escaped, so that what someone wrote into the registry cannot
/// steer a terminal.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

/// Text on as many lines as it has, else as [`one_line`].
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character.is_control() && !matches!(character, '\n' | '\t'))
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// A value's name; `@` for the default value.
pub fn value_name(name: &str) -> Cow<'_, str> {
    one_line(if name.is_empty() { "@" } else { name })
}

/// Data on one line, as in a listing; `…` stands for what is beyond `limit` characters.
pub fn data_line(value_type: u32, data: &[u8], limit: usize) -> String {
    let text = match interpret(value_type, data) {
        Data::Text(text) => one_line(text).into_owned(),
        Data::List(strings) => {
            let quoted: Vec<_> =
                strings.iter().map(|string| format!("\"{}\"", one_line(string))).collect();
            quoted.join(", ")
        }
        Data::Number(number) => format!("{number} ({number:#x})"),
        bytes @ Data::Bytes(_) => bytes.to_string(),
    };
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        _ => text,
    }
}

/// A value with its name as JSON: `name`, and what [`value_json`] says.
pub fn named_value_json(value: &NamedValue) -> Json {
    let mut json = value_json(value.value_type, &value.data, &value.layer, value.sequence);
    json.insert("name".to_owned(), json!(value.name));
    json.into()
}

/// A value as JSON: `type`, `data`, `layer`, `sequence`. Text is a string, a list an array of strings,
/// a number a number, bytes a string of hexadecimal digits. Data that is not what its type says is
/// `{"hex": "…"}`.
pub fn value_json(value_type: u32, data: &[u8], layer: &str, sequence: u64) -> Map<String, Json> {
    let meant = interpret(value_type, data);
    let data = match &meant {
        Data::Text(text) => json!(text),
        Data::List(strings) => json!(strings),
        Data::Number(number) => json!(number),
        Data::Bytes(_) if is_of_bytes(value_type) => json!(meant.to_string()),
        Data::Bytes(_) => json!({ "hex": meant.to_string() }),
    };
    Map::from_iter([
        ("type".to_owned(), json!(type_name(value_type))),
        ("data".to_owned(), data),
        ("layer".to_owned(), json!(layer)),
        ("sequence".to_owned(), json!(sequence)),
    ])
}

/// Whether data of this type is bytes even if it is what its type says.
fn is_of_bytes(value_type: u32) -> bool {
    matches!(value_type, 0 | 3 | 8..=10) || value_type > 11
}

/// A table without lines.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(Row::from(header.to_vec()));
    table
}

/// A table's text, two blanks between columns and nothing at the ends of its lines.
pub fn table_text(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A time of the registry (nanoseconds since 1970, UTC) as RFC 3339.
pub fn time(nanoseconds: i64) -> String {
    match u64::try_from(nanoseconds) {
        Ok(since) => {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(since);
            humantime::format_rfc3339_nanos(time).to_string()
        }
        Err(_) => format!("{nanoseconds} ns before 1970").replacen('-', "", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(lines("a\r\n\tb"), "a\\r\n\tb");
        assert_eq!(data_line(7, b"a\0b\n\0", MAX_SHOWN), "\"a\", \"b\\n\"");
    }

    #[test]
    fn listings_show_data_by_type() {
        assert_eq!(data_line(4, &[42, 0, 0, 0], MAX_SHOWN), "42 (0x2a)");
        assert_eq!(data_line(3, &[0, 255], MAX_SHOWN), "00ff");
        assert_eq!(
            data_line(1, "ä".repeat(101).as_bytes(), MAX_SHOWN),
            format!("{}…", "ä".repeat(100))
        );
        assert_eq!(data_line(1, "ä".repeat(100).as_bytes(), MAX_SHOWN), "ä".repeat(100));
    }

    #[test]
    fn json_says_what_a_value_is() {
        let data =
            |value_type, data: &[u8]| value_json(value_type, data, "base", 7)["data"].clone();
        assert_eq!(data(1, b"x"), json!("x"));
        assert_eq!(data(7, b"a\0b\0"), json!(["a", "b"]));
        assert_eq!(data(11, &[255; 8]), json!(u64::MAX));
        assert_eq!(data(3, &[1]), json!("01"));
        assert_eq!(data(4, &[1]), json!({ "hex": "01" }));
        assert_eq!(data(1, b"\xFF"), json!({ "hex": "ff" }));
        assert_eq!(value_json(4, &[0; 4], "base", 7)["type"], json!("dword"));
    }

    #[test]
    fn times_before_1970_are_no_accident() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(time(-5), "5 ns before 1970");
        assert!(time(i64::MAX).starts_with("2262-"));
        assert!(time(i64::MIN).ends_with("before 1970"));
    }
}
