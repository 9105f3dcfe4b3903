//! The two forms of each function: `A`, whose text is UTF-8, and `W`, whose text is UTF-16LE.

use libreg::windows::{self, Value, utf16};

use crate::codes::{Code, Outcome};

/// How a program has text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTF-8.
    A,
    /// UTF-16LE.
    W,
}

/// A name as a program gets it, without its NUL: in characters of one byte, or of two.
#[derive(Debug, PartialEq, Eq)]
pub enum Text {
    /// UTF-8.
    A(Vec<u8>),
    /// UTF-16.
    W(Vec<u16>),
}

impl Text {
    /// How many characters it has.
    pub fn len(&self) -> usize {
        match self {
            Text::A(bytes) => bytes.len(),
            Text::W(units) => units.len(),
        }
    }
}

impl Form {
    /// A name in this form.
    pub fn text(self, name: &str) -> Text {
        match self {
            Form::A => Text::A(name.as_bytes().to_vec()),
            Form::W => Text::W(name.encode_utf16().collect()),
        }
    }

    /// The type and the bytes of a value: text has the terminators that it has on Windows. Text that is not Unicode is
    /// REG_BINARY, and so is what has a type without a name.
    pub fn data(self, value_type: u32, data: Vec<u8>) -> (u32, Vec<u8>) {
        let (code, bytes, _) = windows::to_windows(&Value { value_type, data });
        if self == Form::A && windows::is_text(code) {
            return (code, utf16::to_wtf8(utf16::units_of_le(&bytes)));
        }
        (code, bytes)
    }

    /// What the registry keeps of bytes of this type. A terminator that is missing is added.
    ///
    /// # Errors
    /// A type that there is not, text of an odd number of bytes, or that is not Unicode.
    pub fn value(self, code: u32, bytes: &[u8]) -> Outcome<Value> {
        let converted = match self {
            Form::A => windows::from_utf8(code, bytes.to_vec()),
            Form::W => windows::from_windows(code, bytes),
        };
        let (value, _) = converted.map_err(|_| Code::InvalidParameter)?;
        if value.value_type != code {
            return Err(Code::InvalidParameter);
        }
        if self == Form::A && windows::is_text(code) && utf16::from_wtf8(&value.data).is_none() {
            return Err(Code::NoUnicodeTranslation);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_terminators_of_windows_in_both_forms() {
        let both =
            |code, data: &[u8]| [Form::A, Form::W].map(|form| form.data(code, data.to_vec()).1);
        assert_eq!(both(1, "ä".as_bytes()), [b"\xC3\xA4\0".to_vec(), b"\xE4\0\0\0".to_vec()]);
        assert_eq!(both(1, b""), [b"\0".to_vec(), b"\0\0".to_vec()]);
        assert_eq!(both(7, b"a\0b\0"), [b"a\0b\0\0".to_vec(), b"a\0\0\0b\0\0\0\0\0".to_vec()]);
        assert_eq!(both(4, &[1, 2, 3, 4]), [vec![1, 2, 3, 4], vec![1, 2, 3, 4]]);
        assert_eq!(Form::W.data(1, b"\xFF".to_vec()), (3, b"\xFF".to_vec()));
    }

    #[test]
    fn what_is_read_can_be_written_again() {
        for form in [Form::A, Form::W] {
            for (code, data) in [(1, &b"x"[..]), (2, b""), (7, b"a\0b\0"), (7, b""), (3, b"\0\xFF")]
            {
                let (code, bytes) = form.data(code, data.to_vec());
                assert_eq!(form.value(code, &bytes).map(|value| value.data), Ok(data.to_vec()));
            }
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(Form::W.value(1, b"abc"), Err(Code::InvalidParameter));
        assert_eq!(Form::A.value(1, b"\xFF\0"), Err(Code::NoUnicodeTranslation));
        assert_eq!(Form::A.value(99, b""), Err(Code::InvalidParameter));
        let unterminated = Form::A.value(1, b"abc").map(|value| value.data);
        assert_eq!(unterminated, Ok(b"abc".to_vec()));
    }
}
