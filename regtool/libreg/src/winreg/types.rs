//! Traits for reading and writing values as what they mean.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::enums::*;
use super::value::RegValue;
use crate::windows::utf16::{from_wtf8, le_of_units, to_wtf8, units_of_le};

/// What a value can be read as. NULs at the end of text are dropped.
pub trait FromRegValue: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// `InvalidData`: it is of another type, or of the wrong length.
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<Self>;
}

fn another_type<T>(value: &RegValue<'_>) -> io::Result<T> {
    let what = format!("a value of type {:?}, which was not asked for", value.vtype);
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// The units of text, without NULs at their end.
fn units(value: &RegValue<'_>) -> Vec<u16> {
    let mut units: Vec<u16> = units_of_le(&value.bytes).collect();
    let length = units.iter().rposition(|unit| *unit != 0).map_or(0, |last| last + 1);
    units.truncate(length);
    units
}

/// Text; the strings of a list are separated by line breaks. What is not Unicode becomes U+FFFD.
impl FromRegValue for String {
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<String> {
        match val.vtype {
            REG_SZ | REG_EXPAND_SZ => Ok(String::from_utf16_lossy(&units(val))),
            REG_MULTI_SZ => Ok(String::from_utf16_lossy(&units(val)).replace('\0', "\n")),
            _ => another_type(val),
        }
    }
}

impl FromRegValue for Vec<String> {
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<Vec<String>> {
        match val.vtype {
            REG_MULTI_SZ => {
                let text = String::from_utf16_lossy(&units(val));
                Ok(text.split('\0').map(str::to_owned).collect())
            }
            _ => another_type(val),
        }
    }
}

/// Text, without loss: what is not Unicode is WTF-8.
impl FromRegValue for OsString {
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<OsString> {
        match val.vtype {
            REG_SZ | REG_EXPAND_SZ | REG_MULTI_SZ => Ok(os_string(units(val))),
            _ => another_type(val),
        }
    }
}

impl FromRegValue for Vec<OsString> {
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<Vec<OsString>> {
        match val.vtype {
            REG_MULTI_SZ => {
                let units = units(val);
                Ok(units
                    .split(|unit| *unit == 0)
                    .map(|string| os_string(string.to_vec()))
                    .collect())
            }
            _ => another_type(val),
        }
    }
}

fn os_string(units: Vec<u16>) -> OsString {
    OsString::from_vec(to_wtf8(units))
}

fn exactly<const N: usize>(value: &RegValue<'_>) -> io::Result<[u8; N]> {
    let wrong = |_| {
        let what = format!("a number of {} bytes, and not of {N}", value.bytes.len());
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    <[u8; N]>::try_from(&*value.bytes).map_err(wrong)
}

impl FromRegValue for u32 {
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<u32> {
        match val.vtype {
            REG_DWORD => exactly(val).map(u32::from_le_bytes),
            REG_DWORD_BIG_ENDIAN => exactly(val).map(u32::from_be_bytes),
            _ => another_type(val),
        }
    }
}

impl FromRegValue for u64 {
    fn from_reg_value(val: &RegValue<'_>) -> io::Result<u64> {
        match val.vtype {
            REG_QWORD => exactly(val).map(u64::from_le_bytes),
            _ => another_type(val),
        }
    }
}

/// What can be written as a value.
pub trait ToRegValue {
    /// Its type and its bytes.
    fn to_reg_value(&self) -> RegValue<'_>;
}

/// The UTF-16LE of text with its NUL. What is neither UTF-8 nor WTF-8 becomes U+FFFD.
fn wide(text: &OsStr) -> Vec<u8> {
    let units = from_wtf8(text.as_bytes());
    let mut units = units.unwrap_or_else(|| text.to_string_lossy().encode_utf16().collect());
    units.push(0);
    le_of_units(&units)
}

macro_rules! text_to_reg_value {
    ($($type:ty),+) => {
        $(impl ToRegValue for $type {
            fn to_reg_value(&self) -> RegValue<'_> {
                RegValue { bytes: wide(self.as_ref()).into(), vtype: REG_SZ }
            }
        }

        impl ToRegValue for Vec<$type> {
            fn to_reg_value(&self) -> RegValue<'_> {
                let mut bytes: Vec<u8> =
                    self.iter().flat_map(|string| wide(string.as_ref())).collect();
                bytes.extend([0, 0]);
                RegValue { bytes: bytes.into(), vtype: REG_MULTI_SZ }
            }
        })+
    };
}

text_to_reg_value!(String, &str, OsString, &OsStr);

impl ToRegValue for u32 {
    fn to_reg_value(&self) -> RegValue<'_> {
        RegValue { bytes: self.to_le_bytes().to_vec().into(), vtype: REG_DWORD }
    }
}

impl ToRegValue for u64 {
    fn to_reg_value(&self) -> RegValue<'_> {
        RegValue { bytes: self.to_le_bytes().to_vec().into(), vtype: REG_QWORD }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<T: ToRegValue + FromRegValue + PartialEq + std::fmt::Debug>(value: T) {
        let written = value.to_reg_value();
        let kept = written.ours().unwrap();
        let read = RegValue::of_ours(kept.value_type, kept.data);
        assert_eq!(T::from_reg_value(&read).unwrap(), value);
    }

    #[test]
    fn what_is_written_is_read_again() {
        comes_back("Grüße 🦀".to_owned());
        comes_back(String::new());
        comes_back(OsString::from("x"));
        comes_back(OsString::from_vec(b"a\xED\xA0\x80".to_vec()));
        comes_back(vec!["a".to_owned(), "b c".to_owned()]);
        comes_back(vec![OsString::from("a")]);
        comes_back(7_u32);
        comes_back(u64::MAX);
    }

    #[test]
    fn other_types_and_lengths_are_errors() {
        let kind = |error: io::Error| error.kind();
        let number = 7_u32.to_reg_value();
        assert_eq!(String::from_reg_value(&number).map_err(kind), Err(io::ErrorKind::InvalidData));
        assert_eq!(u64::from_reg_value(&number).map_err(kind), Err(io::ErrorKind::InvalidData));
        let short = RegValue { bytes: vec![1].into(), vtype: REG_DWORD };
        assert_eq!(u32::from_reg_value(&short).map_err(kind), Err(io::ErrorKind::InvalidData));
        let odd = RegValue { bytes: vec![b'a', 0, 0].into(), vtype: REG_SZ };
        assert_eq!(odd.ours().map_err(kind), Err(io::ErrorKind::InvalidInput));
        let big_endian = RegValue { bytes: vec![0, 0, 1, 2].into(), vtype: REG_DWORD_BIG_ENDIAN };
        assert_eq!(u32::from_reg_value(&big_endian).unwrap(), 258);
    }

    #[test]
    fn values_are_shown_as_what_they_mean() {
        assert_eq!("x".to_reg_value().to_string(), "\"x\"");
        assert_eq!(vec!["a", "b"].to_reg_value().to_string(), "\"a\\nb\"");
        assert_eq!(format!("{:?}", 7_u32.to_reg_value()), "RegValue(REG_DWORD: 7)");
        let bytes = RegValue { bytes: vec![1, 2].into(), vtype: REG_BINARY };
        assert_eq!(bytes.to_string(), "[1, 2]");
    }
}
