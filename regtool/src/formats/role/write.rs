//! From keys and values to TOML.

use std::io::{self, Write};

use libreg::ValueType;
use libreg::data::{self, Data, interpret};
use toml_writer::{ToTomlKey, ToTomlValue};

use crate::formats::reg::Value;

/// Writes keys, one after the other.
pub struct Writer<W> {
    out: W,
}

/// A value that stands in a line of its own.
fn in_a_line(name: &str, value: &Value) -> Option<String> {
    if name == "@" {
        return None;
    }
    let value_type = ValueType::from_code(value.value_type)?;
    let meant = interpret(value.value_type, &value.data);
    let type_name = data::type_name(value.value_type);
    let (words, written) = match (value_type, &meant) {
        (ValueType::Sz, Data::Text(text)) => (vec![(*text).to_owned()], text.to_toml_value()),
        (ValueType::Link | ValueType::ExpandSz, Data::Text(text)) => {
            (vec![(*text).to_owned()], format!("{{ {type_name} = {} }}", text.to_toml_value()))
        }
        (ValueType::MultiSz, Data::List(strings)) => {
            let items: Vec<_> = strings.iter().map(|string| string.to_toml_value()).collect();
            let words = strings.iter().map(|string| (*string).to_owned()).collect();
            (words, format!("[{}]", items.join(", ")))
        }
        // What is larger is no number in TOML, whose integers have 64 bits and a sign.
        (ValueType::Dword, Data::Number(number)) => (vec![number.to_string()], number.to_string()),
        (_, Data::Number(number)) if i64::try_from(*number).is_ok() => {
            (vec![number.to_string()], format!("{{ {type_name} = {number} }}"))
        }
        (_, Data::Bytes(_)) => {
            let hex = meant.to_string();
            let written = format!("{{ {type_name} = {} }}", hex.to_toml_value());
            (vec![hex], written)
        }
        _ => return None,
    };
    // What is written is read again by the same rules; what they would not make of it is written in bytes.
    let read = data::parse(value_type, &words).ok()?;
    let name = if name.is_empty() { "@" } else { name };
    (read == value.data).then(|| format!("{} = {written}", name.to_toml_key()))
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(out: W) -> Writer<W> {
        Writer { out }
    }

    /// A key with its values.
    ///
    /// # Errors
    /// Of the file.
    pub fn key<'v>(
        &mut self,
        path: &str,
        volatile: bool,
        values: impl IntoIterator<Item = (&'v str, Value)>,
    ) -> io::Result<()> {
        self.begin(path)?;
        if volatile {
            writeln!(self.out, "volatile = true")?;
        }
        let (mut lines, mut raw) = (Vec::new(), Vec::new());
        for (name, value) in values {
            match in_a_line(name, &value) {
                Some(line) => lines.push(line),
                None => raw.push((name, value)),
            }
        }
        if !lines.is_empty() {
            writeln!(self.out, "[key.values]")?;
        }
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        for (name, value) in raw {
            let hex = Data::Bytes(&value.data).to_string();
            let value_type = match ValueType::from_code(value.value_type) {
                Some(known) => data::type_name(known.code()).as_str().to_toml_value(),
                None => value.value_type.to_string(),
            };
            let (name, hex) = (name.to_toml_value(), hex.as_str().to_toml_value());
            writeln!(self.out, "[[key.value]]\nname = {name}\ntype = {value_type}\nhex = {hex}")?;
        }
        Ok(())
    }

    /// A link.
    ///
    /// # Errors
    /// Of the file.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.begin(path)?;
        writeln!(self.out, "link = {}", target.to_toml_value())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Of the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, path: &str) -> io::Result<()> {
        writeln!(self.out, "[[key]]\npath = {}", path.to_toml_value())
    }
}
