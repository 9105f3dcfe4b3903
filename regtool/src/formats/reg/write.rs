//! From keys and values to a file.

use std::fmt::Write as _;
use std::io::{self, Write};

use libreg::ValueType;
use libreg::windows::{names, to_windows};

use super::Value;
use super::data::Inexact;

/// How a file is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without byte order mark, lines end with LF.
    Utf8,
    /// UTF-16LE with a byte order mark, lines end with CRLF: what regedit writes.
    Utf16,
}

/// A key whose name a file cannot hold: it contains a line break, or the path begins with `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InexpressibleName;

/// Regedit continues a line with `\` before it grows beyond this.
const MAX_COLUMN: usize = 77;

/// Writes a file of version 5, piece by piece.
///
/// Text is written as a quoted string and a DWORD as `dword:` only where that says exactly what the value
/// is; all else is `hex`.
pub struct Writer<W> {
    out: W,
    encoding: Encoding,
    /// The statement in the making.
    text: String,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of `out`, as with all functions of a writer.
    pub fn new(out: W, encoding: Encoding) -> io::Result<Writer<W>> {
        let mut writer = Writer { out, encoding, text: String::new() };
        if encoding == Encoding::Utf16 {
            writer.text.push('\u{FEFF}');
        }
        writer.text.push_str("Windows Registry Editor Version 5.00");
        writer.end_line()?;
        Ok(writer)
    }

    /// A comment on lines of its own.
    pub fn comment(&mut self, comment: &str) -> io::Result<()> {
        for line in comment.split(['\n', '\r']) {
            self.text.push_str("; ");
            self.text.push_str(line);
            self.end_line()?;
        }
        Ok(())
    }

    /// The line of a key; its values follow. The path goes from the root down, in names of the registry.
    ///
    /// # Errors
    /// Within `Ok`: nothing was written, for the file cannot hold this name.
    pub fn key(&mut self, path: &[&str]) -> io::Result<Result<(), InexpressibleName>> {
        let inexpressible = path.iter().any(|name| name.contains(['\n', '\r']))
            || path.first().is_some_and(|name| name.starts_with('-'));
        if inexpressible {
            return Ok(Err(InexpressibleName));
        }
        self.end_line()?;
        self.text.push('[');
        for (index, name) in path.iter().enumerate() {
            if index > 0 {
                self.text.push('\\');
            }
            self.text.push_str(&names::to_windows(name));
        }
        self.text.push(']');
        self.end_line()?;
        Ok(Ok(()))
    }

    /// A value of the last key, and what about it is not exact.
    pub fn value(&mut self, name: &str, value: &Value) -> io::Result<Option<Inexact>> {
        if name.is_empty() {
            self.text.push('@');
        } else {
            self.quoted(name);
        }
        self.text.push('=');
        let (code, bytes, inexact) = to_windows(value);
        match ValueType::from_code(code) {
            Some(ValueType::Sz) if let Some(text) = plain_text(&value.data) => self.quoted(text),
            Some(ValueType::Dword) if let Ok(number) = <[u8; 4]>::try_from(bytes.as_slice()) => {
                let number = u32::from_le_bytes(number);
                // Writing to a String cannot fail.
                let _ = write!(self.text, "dword:{number:08x}");
            }
            Some(ValueType::Binary) => self.hex("hex:", &bytes),
            _ => self.hex(&format!("hex({code:x}):"), &bytes),
        }
        self.end_line()?;
        Ok(inexact.map(Inexact::Data))
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_line()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
        self.text.push('"');
    }

    fn hex(&mut self, prefix: &str, bytes: &[u8]) {
        self.text.push_str(prefix);
        let mut column = self.text.chars().count();
        let mut rest = bytes.iter().peekable();
        while let Some(byte) = rest.next() {
            let _ = write!(self.text, "{byte:02x}");
            column += 2;
            if rest.peek().is_none() {
                break;
            }
            self.text.push(',');
            column += 1;
            if column + 3 > MAX_COLUMN {
                self.text.push('\\');
                self.text.push_str(self.line_end());
                self.text.push_str("  ");
                column = 2;
            }
        }
    }

    fn line_end(&self) -> &'static str {
        match self.encoding {
            Encoding::Utf8 => "\n",
            Encoding::Utf16 => "\r\n",
        }
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.text.push_str(self.line_end());
        match self.encoding {
            Encoding::Utf8 => self.out.write_all(self.text.as_bytes())?,
            Encoding::Utf16 => {
                let bytes: Vec<u8> = self.text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                self.out.write_all(&bytes)?;
            }
        }
        self.text.clear();
        Ok(())
    }
}

/// Text that a quoted string says exactly: Unicode, without control characters, also at its end.
fn plain_text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|text| !text.contains(|c: char| c.is_control()))
}
