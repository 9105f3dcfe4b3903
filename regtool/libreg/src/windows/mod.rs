//! What Windows has against what the registry has: data of values, text, names of keys.
//!
//! Text is UTF-16LE with a terminating NUL there (a link's target without one; a list ends with one NUL
//! more than its last string has), UTF-8 without terminator here (each string of a list with one NUL).
//! A lone surrogate becomes WTF-8. A missing or superfluous terminator is made right; text of an odd
//! number of bytes becomes BINARY with the bytes as they are, and so does, the other way, text that is not
//! Unicode. The data of all other types is the same on both sides.
//!
//! A Windows key name may contain `/`, which is a separator here. [`names`] tells how such a name is kept.

pub mod names;
pub mod utf16;

use std::fmt;

use crate::ValueType;

/// A value as the registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The code of the type.
    pub value_type: u32,
    /// The data, text as UTF-8 (or WTF-8).
    pub data: Vec<u8>,
}

/// A difference between what was read and what is kept, or between what is kept and what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Inexact {
    /// Text had no terminator and has one now.
    MissingTerminator,
    /// Text had more than its terminator at the end.
    ExtraTerminator,
    /// Text of an odd number of bytes is BINARY now.
    OddLength,
    /// Text that is not Unicode is BINARY now.
    NotUnicode,
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Inexact::MissingTerminator => "text without its terminator, which it got",
            Inexact::ExtraTerminator => "text with more than its terminator, which was dropped",
            Inexact::OddLength => "text of an odd number of bytes, taken as binary",
            Inexact::NotUnicode => "text that is not Unicode, written as binary",
        })
    }
}

/// A type that the registry does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownType(pub u32);

/// Whether data of this type is text, and so another one on Windows.
pub fn is_text(code: u32) -> bool {
    ValueType::from_code(code).and_then(Terminators::of).is_some()
}

/// Takes over data of a Windows value, its text UTF-16LE.
///
/// # Errors
/// The registry has no type of this code.
pub fn from_windows(code: u32, bytes: &[u8]) -> Result<(Value, Option<Inexact>), UnknownType> {
    let value_type = ValueType::from_code(code).ok_or(UnknownType(code))?;
    if Terminators::of(value_type).is_none() {
        return Ok((value(value_type, bytes.to_vec()), None));
    }
    if !bytes.len().is_multiple_of(2) {
        return Ok((value(ValueType::Binary, bytes.to_vec()), Some(Inexact::OddLength)));
    }
    from_utf8(code, utf16::to_wtf8(utf16::units_of_le(bytes)))
}

/// Takes over data of a Windows value whose text, with the terminators that it has on Windows, is UTF-8 (or
/// WTF-8) already.
///
/// # Errors
/// The registry has no type of this code.
pub fn from_utf8(code: u32, data: Vec<u8>) -> Result<(Value, Option<Inexact>), UnknownType> {
    let value_type = ValueType::from_code(code).ok_or(UnknownType(code))?;
    let Some(terminators) = Terminators::of(value_type) else {
        return Ok((value(value_type, data), None));
    };
    let (mut content, inexact) = terminators.strip(data, terminators.in_windows);
    if terminators.list && !content.is_empty() {
        content.push(0);
    }
    Ok((value(value_type, content), inexact))
}

/// The code and data that Windows has for a value.
pub fn to_windows(ours: &Value) -> (u32, Vec<u8>, Option<Inexact>) {
    let terminators = ValueType::from_code(ours.value_type).and_then(Terminators::of);
    let Some(terminators) = terminators else {
        return (ours.value_type, ours.data.clone(), None);
    };
    let (content, inexact) = terminators.strip(ours.data.clone(), terminators.here);
    match utf16::from_wtf8(&content) {
        Some(mut units) => {
            units.extend(std::iter::repeat_n(0, terminators.after(&content)));
            (ours.value_type, utf16::le_of_units(&units), inexact)
        }
        None => {
            let binary = ValueType::Binary.code();
            (binary, ours.data.clone(), Some(Inexact::NotUnicode))
        }
    }
}

/// How many NULs end text of a type: after no text, and after some.
struct Terminators {
    list: bool,
    in_windows: (usize, usize),
    here: (usize, usize),
}

impl Terminators {
    /// `None`: the type is not text.
    fn of(value_type: ValueType) -> Option<Terminators> {
        let (list, in_windows, here) = match value_type {
            ValueType::Sz | ValueType::ExpandSz => (false, (1, 1), (0, 0)),
            ValueType::Link => (false, (0, 0), (0, 0)),
            ValueType::MultiSz => (true, (1, 2), (0, 1)),
            _ => return None,
        };
        Some(Terminators { list, in_windows, here })
    }

    /// How many there are in Windows after this text.
    fn after(&self, content: &[u8]) -> usize {
        if content.is_empty() { self.in_windows.0 } else { self.in_windows.1 }
    }

    /// The text without NULs at its end, and whether there were other than `(after none, after some)`.
    fn strip(&self, mut text: Vec<u8>, expected: (usize, usize)) -> (Vec<u8>, Option<Inexact>) {
        let content = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let found = text.len() - content;
        text.truncate(content);
        let expected = if content == 0 { expected.0 } else { expected.1 };
        let inexact = match found.cmp(&expected) {
            std::cmp::Ordering::Less => Some(Inexact::MissingTerminator),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Inexact::ExtraTerminator),
        };
        (text, inexact)
    }
}

fn value(value_type: ValueType, data: Vec<u8>) -> Value {
    Value { value_type: value_type.code(), data }
}
