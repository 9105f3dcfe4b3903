//! Data of values, as both versions of `.reg` have it; what it is converted to is in [`libreg::windows`].

use std::fmt;

use libreg::windows::{self, UnknownType, Value};

/// How bytes of `hex` data stand for text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// UTF-16LE.
    Utf16,
    /// Windows-1252.
    Ansi,
}

/// A difference between what was read and what is kept, or between what is kept and what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Inexact {
    /// Data was made right.
    Data(windows::Inexact),
    /// A key's name contains `/`; it is kept as `%2F`.
    SlashInKeyName,
    /// Text that is not ASCII was read as Windows-1252.
    AssumedWindows1252,
    /// A string contains a backslash that escapes nothing; it was kept.
    UnknownEscape,
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Inexact::Data(data) => return data.fmt(f),
            Inexact::SlashInKeyName => "a key name with /, kept as %2F",
            Inexact::AssumedWindows1252 => "text that is not ASCII, read as Windows-1252",
            Inexact::UnknownEscape => "a backslash that escapes nothing, kept as it is",
        })
    }
}

/// Takes over data of a Windows value.
///
/// # Errors
/// The registry has no type of this code.
pub fn from_windows(
    code: u32,
    bytes: &[u8],
    form: TextForm,
) -> Result<(Value, Option<Inexact>), UnknownType> {
    let is_text = windows::is_text(code);
    let (value, inexact) = match form {
        TextForm::Ansi if is_text => windows::from_utf8(code, decode_ansi(bytes).into_bytes())?,
        _ => windows::from_windows(code, bytes)?,
    };
    let assumed = form == TextForm::Ansi && is_text && !bytes.is_ascii();
    let assumed = assumed.then_some(Inexact::AssumedWindows1252);
    Ok((value, inexact.map(Inexact::Data).or(assumed)))
}

/// Text in the ANSI code page, which is taken to be Windows-1252.
pub(super) fn decode_ansi(bytes: &[u8]) -> String {
    let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes);
    text.into_owned()
}
