//! From text to sections and entries.

use std::fmt;

use libreg::ValueType;
use libreg::windows::{UnknownType, names};

use super::data::{self, Inexact, TextForm};
use super::decode::{Text, decode};
use super::{Note, Value};

/// What the first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `REGEDIT4`.
    Regedit4,
    /// `Windows Registry Editor Version 5.00`.
    Five,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The first line.
    pub version: Version,
    /// In the file's order; a key may occur more than once.
    pub sections: Vec<Section>,
    /// What was taken over, but not exactly.
    pub notes: Vec<Note>,
    /// What is well-formed, but nothing that this registry can keep; it is not in `sections`.
    pub skipped: Vec<Problem>,
    /// What is not well-formed; it is not in `sections`.
    pub errors: Vec<Problem>,
}

/// A key line, and what follows up to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The line, counted from 1.
    pub line: usize,
    /// The names from the root (`HKEY_…`) down; at least one, none of them empty, none with a separator.
    pub path: Vec<String>,
    /// What to do with the key.
    pub kind: SectionKind,
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// `[-key]`: delete it and all under it.
    Delete,
    /// `[key]`: make it if it is not there, and carry out these.
    Key(Vec<Entry>),
}

/// A value line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line, counted from 1.
    pub line: usize,
    /// The value's name; empty for the default value.
    pub name: String,
    /// `None`: delete it.
    pub value: Option<Value>,
}

/// Something that is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// Why something is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The first line is neither of the two that it can be.
    NoHeader,
    /// A line begins like nothing that can be in a file.
    UnexpectedText,
    /// A key line without `]`.
    UnterminatedKey,
    /// A key line with an empty name.
    EmptyKeyName,
    /// A value before the first key.
    ValueWithoutKey,
    /// A value after `[-key]`.
    ValueOfDeletedKey,
    /// A string without its closing quote.
    UnterminatedString,
    /// A value's name without `=`.
    MissingEquals,
    /// After `=` comes nothing that is known.
    UnknownData,
    /// `dword:` without 1 to 8 hexadecimal digits.
    BadDword,
    /// `hex(…)` without a number, or not bytes in hexadecimal, separated by commas.
    BadHex,
    /// Something follows a value or a key on its line.
    TrailingText,
    /// A type that the registry does not have.
    UnknownType(u32),
    /// A key's name that is not Unicode, or contains NUL. Its values are left out, too.
    KeyName,
    /// A value's name that is not Unicode, or contains NUL.
    ValueName,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProblemKind::NoHeader => {
                "not a .reg file: it begins neither with \"Windows Registry Editor Version 5.00\" nor with \
                 \"REGEDIT4\""
            }
            ProblemKind::UnexpectedText => "neither a key, nor a value, nor a comment",
            ProblemKind::UnterminatedKey => "a key without ]",
            ProblemKind::EmptyKeyName => "an empty key name",
            ProblemKind::ValueWithoutKey => "a value before the first key",
            ProblemKind::ValueOfDeletedKey => "a value of a key that is to be deleted",
            ProblemKind::UnterminatedString => "a string without its closing quote",
            ProblemKind::MissingEquals => "a value name without =",
            ProblemKind::UnknownData => "neither a string, nor dword:, hex:, hex(N): or -",
            ProblemKind::BadDword => "dword: needs 1 to 8 hexadecimal digits",
            ProblemKind::BadHex => "hex needs bytes in hexadecimal, separated by commas",
            ProblemKind::TrailingText => "more text than belongs here",
            ProblemKind::UnknownType(code) => {
                return write!(f, "value left out: the registry has no type {code:#x}");
            }
            ProblemKind::KeyName => {
                "key left out, with its values: its name is not Unicode or contains NUL"
            }
            ProblemKind::ValueName => "value left out: its name is not Unicode or contains NUL",
        })
    }
}

/// Reads a file. Any bytes will do; what is wrong with them is in the [`Document`].
pub fn parse(file: &[u8]) -> Document {
    let Text { bytes, assumed_windows_1252 } = decode(file);
    let mut document = Document {
        version: Version::Five,
        sections: Vec::new(),
        notes: Vec::new(),
        skipped: Vec::new(),
        errors: Vec::new(),
    };
    if assumed_windows_1252 {
        document.notes.push(Note { line: 1, what: Inexact::AssumedWindows1252 });
    }
    let mut parser =
        Parser { cursor: Cursor { text: &bytes, at: 0, line: 1 }, place: Place::Nowhere, document };
    match parser.header() {
        Some(version) => {
            parser.document.version = version;
            parser.statements();
        }
        None => parser.document.errors.push(Problem { line: 1, kind: ProblemKind::NoHeader }),
    }
    parser.document
}

/// Where values go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    LastSection,
    Deleted,
    /// The key was left out.
    LeftOut,
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    place: Place,
    document: Document,
}

/// A statement that is not well-formed, and where reading goes on.
struct Broken {
    kind: ProblemKind,
    resume: Resume,
}

enum Resume {
    /// With the line after the one on which the statement began: what looked like a string over several
    /// lines may be a quote too few.
    AfterFirstLine,
    /// After the lines that `\` continues.
    AfterContinuation,
}

impl From<ProblemKind> for Broken {
    fn from(kind: ProblemKind) -> Broken {
        Broken { kind, resume: Resume::AfterFirstLine }
    }
}

impl Parser<'_> {
    fn header(&mut self) -> Option<Version> {
        loop {
            self.cursor.skip_blanks();
            if !self.cursor.skip_line_end() {
                break;
            }
        }
        let line = self.cursor.rest_of_line().trim_ascii();
        let version = match line {
            b"REGEDIT4" => Version::Regedit4,
            b"Windows Registry Editor Version 5.00" => Version::Five,
            _ => return None,
        };
        self.cursor.skip_rest_of_line();
        Some(version)
    }

    fn statements(&mut self) {
        loop {
            self.cursor.skip_blanks();
            let start = self.cursor;
            let outcome = match self.cursor.peek() {
                None => return,
                Some(b'\n' | b'\r') => {
                    self.cursor.skip_line_end();
                    continue;
                }
                Some(b';') => {
                    self.cursor.skip_rest_of_line();
                    continue;
                }
                Some(b'[') => self.key(),
                Some(b'@' | b'"') => self.entry(),
                Some(_) => Err(ProblemKind::UnexpectedText.into()),
            };
            if let Err(Broken { kind, resume }) = outcome {
                self.document.errors.push(Problem { line: start.line, kind });
                match resume {
                    Resume::AfterFirstLine => {
                        self.cursor = start;
                        self.cursor.skip_rest_of_line();
                    }
                    // Unless a new line begins here, which is then looked at for what it is.
                    Resume::AfterContinuation if self.cursor.begins_line() => {}
                    Resume::AfterContinuation => self.cursor.skip_continued_lines(),
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), Broken> {
        let line = self.cursor.line;
        let text = self.cursor.rest_of_line();
        self.place = Place::LeftOut;
        // As regedit does: a key's name may contain `]`.
        let end =
            text.iter().rposition(|byte| *byte == b']').ok_or(ProblemKind::UnterminatedKey)?;
        let (inside, delete) = match &text[1..end] {
            [b'-', path @ ..] => (path, true),
            path => (path, false),
        };
        self.cursor.at += end + 1;
        self.end_of_statement()?;
        let Some(path) = std::str::from_utf8(inside).ok().filter(|path| !path.contains('\0'))
        else {
            self.document.skipped.push(Problem { line, kind: ProblemKind::KeyName });
            return Ok(());
        };
        let path = path.strip_suffix('\\').unwrap_or(path);
        let mut components = Vec::new();
        for component in path.split('\\') {
            if component.is_empty() {
                return Err(ProblemKind::EmptyKeyName.into());
            }
            components.push(names::from_windows(component));
        }
        if path.contains('/') {
            self.document.notes.push(Note { line, what: Inexact::SlashInKeyName });
        }
        self.place = if delete { Place::Deleted } else { Place::LastSection };
        let kind = if delete { SectionKind::Delete } else { SectionKind::Key(Vec::new()) };
        self.document.sections.push(Section { line, path: components, kind });
        Ok(())
    }

    fn entry(&mut self) -> Result<(), Broken> {
        let line = self.cursor.line;
        let mut unknown_escape = false;
        let name =
            if self.cursor.skip(b"@") { Vec::new() } else { self.string(&mut unknown_escape)? };
        self.cursor.skip_blanks();
        if !self.cursor.skip(b"=") {
            return Err(ProblemKind::MissingEquals.into());
        }
        self.cursor.skip_blanks();
        let value = self.data(&mut unknown_escape)?;
        self.end_of_statement()?;
        match self.place {
            Place::LastSection => {}
            Place::Nowhere => return Err(ProblemKind::ValueWithoutKey.into()),
            Place::Deleted => return Err(ProblemKind::ValueOfDeletedKey.into()),
            Place::LeftOut => return Ok(()),
        }
        if unknown_escape {
            self.document.notes.push(Note { line, what: Inexact::UnknownEscape });
        }
        let skip = match (String::from_utf8(name), value) {
            (Err(_), _) => ProblemKind::ValueName,
            (Ok(name), _) if name.contains('\0') => ProblemKind::ValueName,
            (Ok(_), Parsed::Unknown(UnknownType(code))) => ProblemKind::UnknownType(code),
            (Ok(name), Parsed::Known(value, inexact)) => {
                self.document.notes.extend(inexact.map(|what| Note { line, what }));
                if let Some(Section { kind: SectionKind::Key(entries), .. }) =
                    self.document.sections.last_mut()
                {
                    entries.push(Entry { line, name, value });
                }
                return Ok(());
            }
        };
        self.document.skipped.push(Problem { line, kind: skip });
        Ok(())
    }

    /// A quoted string, the cursor on its opening quote.
    fn string(&mut self, unknown_escape: &mut bool) -> Result<Vec<u8>, Broken> {
        let mut string = Vec::new();
        self.cursor.at += 1;
        loop {
            match self.cursor.rest() {
                [] => return Err(ProblemKind::UnterminatedString.into()),
                [b'"', ..] => {
                    self.cursor.at += 1;
                    return Ok(string);
                }
                [b'\\', escaped @ (b'\\' | b'"'), ..] => {
                    string.push(*escaped);
                    self.cursor.at += 2;
                }
                [byte, ..] => {
                    *unknown_escape |= *byte == b'\\';
                    string.push(*byte);
                    self.cursor.step();
                }
            }
        }
    }

    fn data(&mut self, unknown_escape: &mut bool) -> Result<Parsed, Broken> {
        if self.cursor.peek() == Some(b'"') {
            let data = self.string(unknown_escape)?;
            return Ok(Parsed::exactly(ValueType::Sz, data));
        }
        if self.cursor.skip(b"-") {
            return Ok(Parsed::Known(None, None));
        }
        if self.cursor.skip(b"dword:") {
            self.cursor.skip_blanks();
            let number = self.cursor.hex_number().ok_or(ProblemKind::BadDword)?;
            return Ok(Parsed::exactly(ValueType::Dword, number.to_le_bytes().to_vec()));
        }
        if !self.cursor.skip(b"hex") {
            return Err(ProblemKind::UnknownData.into());
        }
        let code = if self.cursor.skip(b"(") {
            let code = self.cursor.hex_number().ok_or(ProblemKind::BadHex)?;
            if !self.cursor.skip(b")") {
                return Err(ProblemKind::BadHex.into());
            }
            code
        } else {
            ValueType::Binary.code()
        };
        if !self.cursor.skip(b":") {
            return Err(ProblemKind::BadHex.into());
        }
        let bytes = self
            .cursor
            .hex_bytes()
            .ok_or(Broken { kind: ProblemKind::BadHex, resume: Resume::AfterContinuation })?;
        let form = match self.document.version {
            Version::Five => TextForm::Utf16,
            Version::Regedit4 => TextForm::Ansi,
        };
        Ok(match data::from_windows(code, &bytes, form) {
            Ok((value, inexact)) => Parsed::Known(Some(value), inexact),
            Err(unknown) => Parsed::Unknown(unknown),
        })
    }

    fn end_of_statement(&mut self) -> Result<(), Broken> {
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            None | Some(b'\n' | b'\r') => Ok(()),
            Some(b';') => {
                self.cursor.skip_rest_of_line();
                Ok(())
            }
            Some(_) => Err(ProblemKind::TrailingText.into()),
        }
    }
}

/// What stands after `=`.
enum Parsed {
    /// `None`: delete the value.
    Known(Option<Value>, Option<Inexact>),
    Unknown(UnknownType),
}

impl Parsed {
    fn exactly(value_type: ValueType, data: Vec<u8>) -> Parsed {
        Parsed::Known(Some(Value { value_type: value_type.code(), data }), None)
    }
}

/// A place in the text. `line` is the number of the line that `at` is on.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Whether nothing but blanks is before this place on its line.
    fn begins_line(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        let last = before.iter().rfind(|byte| !matches!(byte, b' ' | b'\t'));
        matches!(last, Some(b'\n' | b'\r'))
    }

    /// Goes on by one byte; there must be one.
    fn step(&mut self) {
        // `\r\n` is one line break, counted at its `\n`.
        if matches!(self.rest(), [b'\n', ..])
            || matches!(self.rest(), [b'\r', next, ..] if *next != b'\n')
        {
            self.line += 1;
        }
        self.at += 1;
    }

    /// Steps over `expected` (in any case), if that is what comes.
    fn skip(&mut self, expected: &[u8]) -> bool {
        let found = self
            .rest()
            .get(..expected.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(expected));
        if found {
            self.at += expected.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over one line break, if that is what comes.
    fn skip_line_end(&mut self) -> bool {
        match self.rest() {
            [b'\r', b'\n', ..] => self.at += 2,
            [b'\r' | b'\n', ..] => self.at += 1,
            _ => return false,
        }
        self.line += 1;
        true
    }

    fn rest_of_line(&self) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        &rest[..end]
    }

    fn skip_rest_of_line(&mut self) {
        self.at += self.rest_of_line().len();
    }

    /// Steps over the rest of this line, and over the next ones while `\` at an end continues them.
    fn skip_continued_lines(&mut self) {
        loop {
            let continued = self.rest_of_line().trim_ascii_end().ends_with(b"\\");
            self.skip_rest_of_line();
            if !continued || !self.skip_line_end() {
                return;
            }
        }
    }

    /// 1 to 8 hexadecimal digits, and no more.
    fn hex_number(&mut self) -> Option<u32> {
        let rest = self.rest();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let digits = std::str::from_utf8(rest.get(..digits)?).ok()?;
        // No number at all and one of more than 32 bits are errors of `from_str_radix`.
        if digits.len() > 8 {
            return None;
        }
        self.at += digits.len();
        u32::from_str_radix(digits, 16).ok()
    }

    /// Bytes of one or two hexadecimal digits, separated by commas, over as many lines as `\` continues.
    fn hex_bytes(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut separated = true;
        loop {
            self.skip_blanks();
            match self.rest() {
                [b',', ..] if !separated => {
                    self.at += 1;
                    separated = true;
                }
                [b'\\', ..] => self.skip_continuation()?,
                [high, low, ..]
                    if separated && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    bytes.push(hex_digit(*high) << 4 | hex_digit(*low));
                    self.at += 2;
                    separated = false;
                }
                [digit, ..] if separated && digit.is_ascii_hexdigit() => {
                    bytes.push(hex_digit(*digit));
                    self.at += 1;
                    separated = false;
                }
                [] | [b'\r' | b'\n' | b';', ..] => return Some(bytes),
                _ => return None,
            }
        }
    }

    /// From a `\` to the next line that is no comment.
    fn skip_continuation(&mut self) -> Option<()> {
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(b';') {
            self.skip_rest_of_line();
        }
        if self.peek().is_some() && !self.skip_line_end() {
            return None;
        }
        self.skip_blanks();
        while self.peek() == Some(b';') {
            self.skip_rest_of_line();
            self.skip_line_end();
            self.skip_blanks();
        }
        Some(())
    }
}

/// The value of an ASCII hexadecimal digit.
fn hex_digit(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}
