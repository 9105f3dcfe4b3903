//! Values with their bytes.

use std::borrow::Cow;
use std::fmt;
use std::io;

use super::enums::*;
use super::types::FromRegValue;
use crate::windows::{self, Value};

/// A value as Windows has it: its type, and bytes in which text is UTF-16LE with terminators.
#[derive(Clone, PartialEq)]
pub struct RegValue<'a> {
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
    /// The type.
    pub vtype: RegType,
}

impl RegValue<'_> {
    /// Of what the registry has. A type without a name becomes `REG_BINARY`, and so does text that is not Unicode.
    pub(super) fn of_ours(value_type: u32, data: Vec<u8>) -> RegValue<'static> {
        let (code, bytes, _) = windows::to_windows(&Value { value_type, data });
        RegValue { bytes: bytes.into(), vtype: RegType::of_code(code).unwrap_or(REG_BINARY) }
    }

    /// What the registry keeps.
    pub(super) fn ours(&self) -> io::Result<Value> {
        let code = self.vtype.clone() as u32;
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (value, _) = windows::from_windows(code, &self.bytes)
            .map_err(|_| wrong("a type that the registry does not have"))?;
        // Nothing is kept as what it is not.
        if value.value_type == code {
            Ok(value)
        } else {
            Err(wrong("text of an odd number of bytes"))
        }
    }
}

impl fmt::Display for RegValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vtype {
            REG_SZ | REG_EXPAND_SZ | REG_MULTI_SZ => {
                write!(f, "{:?}", String::from_reg_value(self).unwrap_or_default())
            }
            REG_DWORD | REG_DWORD_BIG_ENDIAN => match u32::from_reg_value(self) {
                Ok(number) => number.fmt(f),
                Err(_) => write!(f, "{:?}", self.bytes),
            },
            REG_QWORD => match u64::from_reg_value(self) {
                Ok(number) => number.fmt(f),
                Err(_) => write!(f, "{:?}", self.bytes),
            },
            _ => write!(f, "{:?}", self.bytes),
        }
    }
}

impl fmt::Debug for RegValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegValue({:?}: {self})", self.vtype)
    }
}
