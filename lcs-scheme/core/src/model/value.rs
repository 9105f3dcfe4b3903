//! What may be stored as a value.

use alloc::vec::Vec;

use lcs_abi::value::{TOMBSTONE, ValueType};

/// Why a type and data are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// No such type.
    UnknownType,
    /// A tombstone has no data.
    TombstoneWithData,
    /// More bytes than MaxValueSize.
    TooLarge,
}

/// What a value entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Data of a type.
    Data(ValueType, Vec<u8>),
    /// Not here, and nothing below counts.
    Tombstone,
}

impl Content {
    /// Checks a type's code and data; `max_size` is in bytes.
    pub fn new(value_type: u32, data: Vec<u8>, max_size: usize) -> Result<Content, ValueError> {
        Ok(match Content::check(value_type, &data, max_size)? {
            Some(value_type) => Content::Data(value_type, data),
            None => Content::Tombstone,
        })
    }

    /// Checks a type's code and data without taking them: the type, or `None` for a tombstone.
    pub fn check(
        value_type: u32,
        data: &[u8],
        max_size: usize,
    ) -> Result<Option<ValueType>, ValueError> {
        if value_type == TOMBSTONE {
            return if data.is_empty() { Ok(None) } else { Err(ValueError::TombstoneWithData) };
        }
        let value_type = ValueType::from_code(value_type).ok_or(ValueError::UnknownType)?;
        if data.len() > max_size { Err(ValueError::TooLarge) } else { Ok(Some(value_type)) }
    }

    /// The type's code and the data, for a source.
    pub fn into_parts(self) -> (u32, Vec<u8>) {
        match self {
            Content::Data(value_type, data) => (value_type.code(), data),
            Content::Tombstone => (TOMBSTONE, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_twelve_types_and_the_empty_tombstone_are_values() {
        for code in 0..0x1_0100 {
            let made = Content::new(code, Vec::new(), 0);
            assert_eq!(made.is_ok(), code < 12 || code == TOMBSTONE, "{code}");
        }
        assert_eq!(Content::new(u32::MAX, Vec::new(), 0), Err(ValueError::UnknownType));
        assert_eq!(Content::new(TOMBSTONE, [0].into(), 9), Err(ValueError::TombstoneWithData));
        assert_eq!(Content::new(3, [0, 1].into(), 1), Err(ValueError::TooLarge));
    }
}
