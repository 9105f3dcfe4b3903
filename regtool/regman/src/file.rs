//! Manual files.
//!
//! ```toml
//! reader = "editor"               # the program that reads these values
//!
//! [[key]]
//! path = 'CurrentUser\Software\Editor'
//! summary = "How the editor looks and behaves"
//! description = """
//! All there is to say, in paragraphs."""
//!
//! [[value]]
//! path = 'CurrentUser\Software\Editor'
//! name = "Tabs"                   # "@" is the default value
//! type = "dword"                  # as regtool --type takes it
//! default = 4                     # what counts if the value is not there; may be left out
//! range = [1, 16]                 # or set = ["a", "b"], or pattern = "[a-z]+", or nothing
//! unit = "columns"                # may be left out
//! applies = "live"                # or "restart", or "reboot"
//! summary = "How wide a tab is"
//! ```
//!
//! A component `*` of a path, and a name `*`, stand for any one. Numbers are integers, or text as `regtool set`
//! takes it; bytes are text in hexadecimal.

use std::collections::HashSet;

use libreg::data::{self, interpret, type_by_name};
use libreg::{ValueType, fold};
use serde::Deserialize;

use crate::entry::{
    About, Applies, KeyEntry, Pattern, Valid, ValueEntry, is_number, is_of_bytes, is_text,
};
use crate::place::Place;

/// The longest summary, in characters: with its indentation it is one line of a card.
const MAX_SUMMARY: usize = 76;

/// What one file says.
#[derive(Debug, Default)]
pub struct File {
    /// Of keys, in the order of the file.
    pub keys: Vec<KeyEntry>,
    /// Of values, in the order of the file.
    pub values: Vec<ValueEntry>,
}

impl File {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Everything that is wrong with it, one line each. A file with an error says nothing.
    pub fn parse(text: &str) -> Result<File, Vec<String>> {
        let raw: RawFile = toml::from_str(text).map_err(|error| vec![of_toml(text, &error)])?;
        let mut file = File::default();
        let mut problems = Vec::new();
        let mut seen = HashSet::new();
        if raw.reader.is_empty() || raw.reader.contains(char::is_control) {
            problems.push("reader: it is the name of a program".to_owned());
        }
        if raw.keys.is_empty() && raw.values.is_empty() {
            problems.push("there is no entry in it".to_owned());
        }
        for key in raw.keys {
            let subject = format!("key {:?}", key.path);
            match key.checked(&raw.reader) {
                Ok(key) if seen.insert((key.place.folded().to_vec(), None)) => file.keys.push(key),
                Ok(_) => problems.push(format!("{subject}: it is there twice")),
                Err(what) => problems.push(format!("{subject}: {what}")),
            }
        }
        for value in raw.values {
            let subject = format!("value {:?} of {:?}", value.name, value.path);
            match value.checked(&raw.reader) {
                Ok(value)
                    if seen.insert((value.place.folded().to_vec(), Some(fold(&value.name)))) =>
                {
                    file.values.push(value);
                }
                Ok(_) => problems.push(format!("{subject}: it is there twice")),
                Err(what) => problems.push(format!("{subject}: {what}")),
            }
        }
        if problems.is_empty() { Ok(file) } else { Err(problems) }
    }
}

/// What the TOML reader says, on one line.
fn of_toml(text: &str, error: &toml::de::Error) -> String {
    let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {what}", before.matches('\n').count() + 1),
        None => what,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    reader: String,
    #[serde(default, rename = "key")]
    keys: Vec<RawKey>,
    #[serde(default, rename = "value")]
    values: Vec<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    path: String,
    summary: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawValue {
    path: String,
    name: String,
    #[serde(rename = "type")]
    value_type: String,
    default: Option<Words>,
    range: Option<[Word; 2]>,
    set: Option<Vec<Word>>,
    pattern: Option<String>,
    unit: Option<String>,
    applies: Applies,
    summary: String,
    #[serde(default)]
    description: String,
}

/// Data as `regtool set` takes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(Word),
    List(Vec<Word>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(i64),
    Text(String),
}

impl Word {
    fn text(self) -> String {
        match self {
            Word::Number(number) => number.to_string(),
            Word::Text(text) => text,
        }
    }
}

impl RawKey {
    fn checked(self, reader: &str) -> Result<KeyEntry, String> {
        let about = about(reader, self.summary, &self.description)?;
        Ok(KeyEntry { place: place(&self.path)?, about })
    }
}

impl RawValue {
    fn checked(self, reader: &str) -> Result<ValueEntry, String> {
        let value_type = type_by_name(&self.value_type)
            .ok_or_else(|| format!("type: there is no type {:?}", self.value_type))?;
        if self.name.is_empty() || self.name.contains(char::is_control) {
            return Err("name: it is a value's name, or @".to_owned());
        }
        let unit_is_right = |unit: &String| {
            is_number(value_type) && !unit.is_empty() && !unit.contains(char::is_control)
        };
        if !self.unit.iter().all(unit_is_right) {
            return Err("unit: it is a word for what a number counts".to_owned());
        }
        let mut entry = ValueEntry {
            place: place(&self.path)?,
            name: if self.name == "@" { String::new() } else { self.name },
            value_type,
            default: None,
            valid: valid(value_type, self.range, self.set, self.pattern)?,
            unit: self.unit,
            applies: self.applies,
            about: about(reader, self.summary, &self.description)?,
        };
        if let Some(default) = self.default {
            let words: Vec<String> = match default {
                Words::One(word) => vec![word.text()],
                Words::List(words) => words.into_iter().map(Word::text).collect(),
            };
            let default = data_of(value_type, &words).map_err(|what| format!("default: {what}"))?;
            if let Some(contradiction) = entry.contradiction(value_type.code(), &default) {
                return Err(format!("default: {contradiction}"));
            }
            entry.default = Some(default);
        }
        Ok(entry)
    }
}

fn place(path: &str) -> Result<Place, String> {
    if path.contains(char::is_control) {
        return Err("path: it has control characters".to_owned());
    }
    let place = Place::parse(path).map_err(|error| format!("path: {error}"))?;
    if place.folded().is_empty() {
        return Err("path: it is not a key".to_owned());
    }
    Ok(place)
}

/// Nothing but text and line breaks, so that a card cannot steer a terminal.
fn about(reader: &str, summary: String, description: &str) -> Result<About, String> {
    if summary.trim() != summary || summary.is_empty() || summary.contains(char::is_control) {
        return Err("summary: it is one line of text".to_owned());
    }
    if summary.chars().count() > MAX_SUMMARY {
        return Err(format!("summary: it is longer than {MAX_SUMMARY} characters"));
    }
    if summary.ends_with('.') {
        return Err("summary: it ends without a full stop".to_owned());
    }
    let is_strange = |character: char| character.is_control() && character != '\n';
    if description.contains(is_strange) {
        return Err("description: it has control characters".to_owned());
    }
    let description = description.trim().to_owned();
    Ok(About { reader: reader.to_owned(), summary, description })
}

/// Reads a `range`, a `set` or a `pattern`; no more than one of them may be there.
fn valid(
    value_type: ValueType,
    range: Option<[Word; 2]>,
    set: Option<Vec<Word>>,
    pattern: Option<String>,
) -> Result<Valid, String> {
    match (range, set, pattern) {
        (None, None, None) => Ok(Valid::Any),
        (Some(range), None, None) => range_of(value_type, range),
        (None, Some(set), None) => set_of(value_type, set),
        (None, None, Some(pattern)) if is_text(value_type) => {
            if pattern.contains(char::is_control) {
                return Err("pattern: it has control characters".to_owned());
            }
            let pattern = Pattern::new(&pattern).map_err(|error| format!("pattern: {error}"))?;
            Ok(Valid::Pattern(pattern))
        }
        (None, None, Some(_)) => Err("pattern: only text has one".to_owned()),
        _ => Err("range, set, pattern: only one of them can be said".to_owned()),
    }
}

fn range_of(value_type: ValueType, range: [Word; 2]) -> Result<Valid, String> {
    if !is_number(value_type) {
        return Err("range: only a number has one".to_owned());
    }
    let number = |word: Word| {
        let data = data_of(value_type, &[word.text()]).map_err(|what| format!("range: {what}"))?;
        match interpret(value_type.code(), &data) {
            data::Data::Number(number) => Ok(number),
            _ => Err("range: it is between two numbers".to_owned()),
        }
    };
    let [min, max] = range;
    let (min, max) = (number(min)?, number(max)?);
    if min > max {
        return Err(format!("range: nothing is in {min}..={max}"));
    }
    Ok(Valid::Range { min, max })
}

fn set_of(value_type: ValueType, set: Vec<Word>) -> Result<Valid, String> {
    if set.is_empty() || is_of_bytes(value_type) {
        return Err("set: it is of texts or numbers, at least one".to_owned());
    }
    // Numbers are compared in decimal, however they are written.
    let text = |word: Word| {
        let data = data_of(value_type, &[word.text()]).map_err(|what| format!("set: {what}"))?;
        let text = interpret(value_type.code(), &data).to_string();
        if text.contains(char::is_control) {
            return Err("set: it has control characters".to_owned());
        }
        Ok(text)
    };
    Ok(Valid::Set(set.into_iter().map(text).collect::<Result<_, _>>()?))
}

fn data_of(value_type: ValueType, words: &[String]) -> Result<Vec<u8>, String> {
    data::parse(value_type, words)
        .map_err(|error| format!("a {} {error}", data::type_name(value_type.code())))
}

#[cfg(test)]
mod tests;
