//! From a file to a role.

use libreg::security::SecurityDescriptor;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::value::{raw_value_of, value_of};
use super::{KeyContent, Located, Problem, Role, RoleKey, RoleValue, check};
use crate::path::Path;
use crate::rights;

/// Reads a role file.
///
/// # Errors
/// All that is wrong with it, in the order of the lines. Of a file that is not TOML only that is told.
pub fn parse(bytes: &[u8]) -> Result<Role, Vec<Problem>> {
    read(bytes, true, Reader::role)
}

/// Reads the keys of a file for an import, parents first. It need not have a name, and its keys can be in any hive.
///
/// # Errors
/// As of [`parse`].
pub fn parse_keys(bytes: &[u8]) -> Result<Vec<RoleKey>, Vec<Problem>> {
    read(bytes, false, |reader, document| Some(reader.document(document).keys))
}

fn read<T>(
    bytes: &[u8],
    is_role: bool,
    read: impl FnOnce(&mut Reader, &DeTable) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            return Err(vec![Problem { line, what: "text that is not UTF-8".to_owned() }]);
        }
    };
    let mut reader = Reader::new(text, is_role);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let start = error.span().map_or(0, |span| span.start);
        reader.problem(start, error.message().replace('\n', ", "));
    }
    let found =
        if reader.problems.is_empty() { read(&mut reader, document.get_ref()) } else { None };
    match found {
        Some(found) if reader.problems.is_empty() => Ok(found),
        _ => {
            reader.problems.sort_by_key(|problem| problem.line);
            Err(reader.problems)
        }
    }
}

/// A TOML value where it stands.
pub(super) type Item<'a> = Spanned<DeValue<'a>>;

/// Goes through a file, and notes what is wrong. Its functions give `None` for what they noted.
struct Reader {
    /// Where the lines end.
    ends: Vec<usize>,
    /// It has to be what a role can be.
    is_role: bool,
    problems: Vec<Problem>,
}

/// What the fields of a file say.
#[derive(Default)]
struct Document {
    is_named: bool,
    name: Option<Located<String>>,
    description: Option<Located<String>>,
    keys: Vec<RoleKey>,
}

impl Reader {
    fn new(text: &str, is_role: bool) -> Reader {
        let ends = text.match_indices('\n').map(|(end, _)| end).collect();
        Reader { ends, is_role, problems: Vec::new() }
    }

    fn line(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end < offset) + 1
    }

    fn located<T>(&self, offset: usize, item: T) -> Located<T> {
        Located { line: self.line(offset), item }
    }

    fn problem(&mut self, offset: usize, what: impl Into<String>) {
        let line = self.line(offset);
        self.problems.push(Problem { line, what: what.into() });
    }

    /// What can be made of a text, and where it stands; else it is noted what is wrong.
    fn text<T>(
        &mut self,
        field: &str,
        item: &Item,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let start = item.span().start;
        let outcome = match item.get_ref().as_str() {
            Some(text) => read(text),
            None => Err(format!("is text, and not {}", kind(item.get_ref()))),
        };
        match outcome {
            Ok(read) => Some(self.located(start, read)),
            Err(what) => {
                self.problem(start, format!("{field} {what}"));
                None
            }
        }
    }

    fn switch(&mut self, field: &str, item: &Item) -> bool {
        item.get_ref().as_bool().unwrap_or_else(|| {
            let what = format!("{field} is true or false, and not {}", kind(item.get_ref()));
            self.problem(item.span().start, what);
            false
        })
    }

    fn role(&mut self, document: &DeTable) -> Option<Role> {
        let document = self.document(document);
        if !document.is_named {
            self.problem(0, "the role has no name (name = \"…\")");
        }
        let description = document.description.map(|text| text.item);
        Some(Role { name: document.name?, description, keys: document.keys })
    }

    fn document(&mut self, document: &DeTable) -> Document {
        let mut read = Document::default();
        for (field, item) in in_order(document) {
            match field.get_ref().as_ref() {
                "name" => {
                    read.is_named = true;
                    read.name = self.text("name", item, layer_name);
                }
                "description" => {
                    read.description = self.text("description", item, |text| Ok(text.to_owned()));
                }
                "key" => read.keys = self.keys(item),
                other => {
                    let what = format!("unknown field {other}; there are name, description, key");
                    self.problem(field.span().start, what);
                }
            }
        }
        self.problems.extend(check::between_keys(&read.keys));
        read.keys.sort_by_key(|key| key.path.item.names().len());
        read
    }

    fn keys(&mut self, item: &Item) -> Vec<RoleKey> {
        let Some(items) = item.get_ref().as_array() else {
            self.problem(item.span().start, "a key is written under [[key]]");
            return Vec::new();
        };
        let mut keys = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => keys.extend(self.key(item.span().start, table)),
                None => self.problem(item.span().start, "a key is written under [[key]]"),
            }
        }
        keys
    }

    fn key(&mut self, start: usize, table: &DeTable) -> Option<RoleKey> {
        let mut fields = KeyFields::default();
        for (field, item) in in_order(table) {
            match field.get_ref().as_ref() {
                "path" => {
                    fields.has_path = true;
                    let read = if self.is_role { check::key_path } else { check::absolute };
                    fields.path = self.text("path", item, read);
                }
                "sd" => fields.sd = self.text("sd", item, descriptor),
                "link" => fields.link = self.text("link", item, check::link_target),
                "values" => {
                    let line = self.line(field.span().start);
                    fields.values(line, self.values(item));
                }
                "value" => {
                    let line = self.line(field.span().start);
                    fields.values(line, self.raw_values(item));
                }
                "volatile" => {
                    let volatile = self.switch("volatile", item);
                    fields.volatile = volatile.then(|| self.line(item.span().start));
                }
                "mask" => {
                    let mask = self.switch("mask", item);
                    fields.mask = mask.then(|| self.line(item.span().start));
                }
                "hide" => {
                    let hide = self.switch("hide", item);
                    fields.hide = hide.then(|| self.line(item.span().start));
                }
                other => {
                    let what = format!(
                        "unknown field {other}; a key has path, values, value, sd, mask, link, hide, volatile"
                    );
                    self.problem(field.span().start, what);
                }
            }
        }
        if !fields.has_path {
            self.problem(start, "the key has no path (path = '…')");
        }
        if let Some(line) = fields.volatile.filter(|_| self.is_role) {
            let what = "a role's keys are not volatile".to_owned();
            self.problems.push(Problem { line, what });
        }
        if let Some((_, values)) = &fields.values {
            self.problems.extend(check::between_values(values));
        }
        fields.into_key(&mut self.problems)
    }

    /// Values that are written with their bytes.
    fn raw_values(&mut self, item: &Item) -> Vec<RoleValue> {
        let mut values = Vec::new();
        let tables = item.get_ref().as_array().into_iter().flat_map(|items| items.iter());
        for item in tables {
            match raw_value_of(item) {
                Ok((name, value)) => {
                    let name = self.located(item.span().start, name);
                    values.push(RoleValue { name, value: Some(value) });
                }
                Err((at, what)) => self.problem(at, what),
            }
        }
        if item.get_ref().as_array().is_none() {
            self.problem(
                item.span().start,
                "a value with its bytes is written under [[key.value]]",
            );
        }
        values
    }

    fn values(&mut self, item: &Item) -> Vec<RoleValue> {
        let Some(table) = item.get_ref().as_table() else {
            let what =
                "values is a table: values = { NAME = DATA, … }, or lines under [key.values]";
            self.problem(item.span().start, what);
            return Vec::new();
        };
        let mut values = Vec::new();
        for (name, item) in in_order(table) {
            let start = name.span().start;
            let written = name.get_ref().as_ref();
            if written.contains('\0') {
                self.problem(start, "a value's name contains NUL");
                continue;
            }
            match value_of(item) {
                Ok(value) => {
                    let name = if written == "@" { "" } else { written };
                    let name = self.located(start, name.to_owned());
                    values.push(RoleValue { name, value });
                }
                Err((at, what)) => self.problem(at, format!("{written}: {what}")),
            }
        }
        values
    }
}

/// What the fields of a key say, each of which may be missing.
#[derive(Default)]
struct KeyFields {
    has_path: bool,
    path: Option<Located<Path>>,
    sd: Option<Located<SecurityDescriptor>>,
    link: Option<Located<Path>>,
    /// With the line.
    values: Option<(usize, Vec<RoleValue>)>,
    /// The line, if it says true; so is the next.
    mask: Option<usize>,
    hide: Option<usize>,
    volatile: Option<usize>,
}

impl KeyFields {
    fn values(&mut self, line: usize, values: Vec<RoleValue>) {
        self.values.get_or_insert_with(|| (line, Vec::new())).1.extend(values);
    }

    /// The key, if its path is one and its fields go together.
    fn into_key(self, problems: &mut Vec<Problem>) -> Option<RoleKey> {
        let mut problem = |line, what: &str| problems.push(Problem { line, what: what.to_owned() });
        let path = self.path?;
        let is_hive = path.item.names().len() == 1;
        let sd_line = self.sd.as_ref().map(|sd| sd.line);
        let link_line = self.link.as_ref().map(|link| link.line);
        let values_line = self.values.as_ref().map(|(line, _)| *line);
        for line in [sd_line, link_line, self.hide].into_iter().flatten().filter(|_| is_hive) {
            problem(
                line,
                "a hive is made by its source: it cannot be a link, hidden, or given an SD",
            );
        }
        if self.hide.is_some() {
            for line in
                [sd_line, link_line, values_line, self.mask, self.volatile].into_iter().flatten()
            {
                problem(line, "a key that is hidden has nothing but its path");
            }
            return Some(RoleKey { path, what: KeyContent::Hide });
        }
        if let Some(target) = self.link {
            for line in [values_line, self.mask, self.volatile].into_iter().flatten() {
                problem(line, "a link has nothing of its own: the key that it leads to is meant");
            }
            return Some(RoleKey { path, what: KeyContent::Link { target, sd: self.sd } });
        }
        let values = self.values.map(|(_, values)| values).unwrap_or_default();
        let (volatile, mask) = (self.volatile.is_some(), self.mask.is_some());
        let what = KeyContent::Key { volatile, sd: self.sd, mask, values };
        Some(RoleKey { path, what })
    }
}

/// The fields of a table as they stand in the file.
pub(super) fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, &'t Item<'i>)> {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by_key(|(field, _)| field.span().start);
    fields
}

/// What a TOML value is, for a person to read.
pub(super) fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn layer_name(text: &str) -> Result<String, String> {
    match check::layer_name(text) {
        Some(wrong) => Err(wrong.to_owned()),
        None => Ok(text.to_owned()),
    }
}

fn descriptor(text: &str) -> Result<SecurityDescriptor, String> {
    let sd: SecurityDescriptor =
        text.parse().map_err(|error| format!("is no security descriptor: {error}"))?;
    if rights::parts_of(&sd).is_empty() {
        return Err("names nothing to set (O:, G:, D: or S:)".to_owned());
    }
    Ok(sd)
}
