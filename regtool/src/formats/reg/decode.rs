//! From the bytes of a file to text.

use super::data::decode_ansi;
use libreg::windows::utf16;

/// A file's text, as WTF-8: a UTF-16 file can contain lone surrogates.
pub(super) struct Text {
    pub bytes: Vec<u8>,
    /// The file was neither UTF-16 nor UTF-8.
    pub assumed_windows_1252: bool,
}

/// Finds out how a file is encoded and decodes it.
///
/// REGEDIT4 files are in the ANSI code page; for version 5 that is only the last resort.
pub(super) fn decode(file: &[u8]) -> Text {
    let unicode = |bytes| Text { bytes, assumed_windows_1252: false };
    match file {
        [0xEF, 0xBB, 0xBF, rest @ ..] => return unicode(rest.to_vec()),
        [0xFF, 0xFE, rest @ ..] => return unicode(utf16_text(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => return unicode(utf16_text(rest, u16::from_be_bytes)),
        // No mark, but "W", "R", a comment or a line break as a 16-bit unit.
        [1..=0x7F, 0, ..] => return unicode(utf16_text(file, u16::from_le_bytes)),
        _ => {}
    }
    let ansi =
        file.trim_ascii_start().starts_with(b"REGEDIT4") || std::str::from_utf8(file).is_err();
    if ansi {
        Text { bytes: decode_ansi(file).into_bytes(), assumed_windows_1252: !file.is_ascii() }
    } else {
        unicode(file.to_vec())
    }
}

fn utf16_text(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let pairs = bytes.chunks_exact(2);
    // Half a unit at the end is no text; as a replacement character it will be noticed.
    let half = (!pairs.remainder().is_empty()).then_some(0xFFFD);
    utf16::to_wtf8(pairs.map(|pair| unit([pair[0], pair[1]])).chain(half))
}
