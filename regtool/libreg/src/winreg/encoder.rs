//! Writing structures: the feature `serialization-serde`.
//!
//! Booleans and unsigned numbers up to 32 bits become `REG_DWORD`, `u64` `REG_QWORD`, text and characters `REG_SZ`, bytes
//! `REG_BINARY`; signed numbers and those with a fraction become text, as `winreg` has it. Structures and maps are
//! subkeys, `None` is a value that is not there. What `winreg` refuses and is taken here: lists of texts
//! (`REG_MULTI_SZ`), variants without data (their name, as text), and structures around one field.
//!
#![cfg_attr(feature = "serialization-serde", doc = "```")]
#![cfg_attr(not(feature = "serialization-serde"), doc = "```ignore")]
//! use libreg::HKCU;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Deserialize, PartialEq, Serialize)]
//! struct Editor {
//!     tabs: u32,
//!     font: Option<String>,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _system = registry_tests::harness::System::for_an_example();
//! let (key, _) = HKCU.create_subkey(r"Software\Editor")?;
//! key.encode(&Editor { tabs: 4, font: None })?;
//! let editor: Editor = key.decode()?;
//! assert_eq!(editor, Editor { tabs: 4, font: None });
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io;

/// Why something was not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum EncoderError {
    /// No value can be this.
    EncodeNotImplemented(String),
    /// What the structure itself says.
    SerializerError(String),
    /// By the registry.
    IoError(io::Error),
    /// A value without a name: only structures and maps can be written.
    NoFieldName,
    /// A map's key that is not text.
    KeyMustBeAString,
}

impl fmt::Display for EncoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncoderError::EncodeNotImplemented(what) => write!(f, "no value can be {what}"),
            EncoderError::SerializerError(what) => f.write_str(what),
            EncoderError::IoError(error) => error.fmt(f),
            EncoderError::NoFieldName => f.write_str("only structures and maps can be written"),
            EncoderError::KeyMustBeAString => f.write_str("the keys of a map must be text"),
        }
    }
}

impl std::error::Error for EncoderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EncoderError::IoError(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for EncoderError {
    fn from(error: io::Error) -> EncoderError {
        EncoderError::IoError(error)
    }
}

/// What comes of writing.
pub type EncodeResult<T> = Result<T, EncoderError>;

#[cfg(feature = "serialization-serde")]
pub(super) use serializing::encode;

#[cfg(feature = "serialization-serde")]
mod serializing {
    use serde::ser::{
        Error as _, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer,
    };

    use super::super::enums::*;
    use super::super::reg_key::RegKey;
    use super::super::types::ToRegValue;
    use super::super::value::RegValue;
    use super::{EncodeResult, EncoderError};

    /// Writes a structure into a key.
    pub fn encode<T: Serialize>(key: &RegKey, value: &T) -> EncodeResult<()> {
        value.serialize(Field { key, name: None })
    }

    impl serde::ser::Error for EncoderError {
        fn custom<T: std::fmt::Display>(what: T) -> EncoderError {
            EncoderError::SerializerError(what.to_string())
        }
    }

    /// Where something is written: at a name of a key, or, without one, as the key itself.
    struct Field<'a> {
        key: &'a RegKey,
        name: Option<&'a str>,
    }

    impl Field<'_> {
        fn write(self, value: &RegValue<'_>) -> EncodeResult<()> {
            let name = self.name.ok_or(EncoderError::NoFieldName)?;
            Ok(self.key.set_raw_value(name, value)?)
        }

        fn text(self, text: &str) -> EncodeResult<()> {
            self.write(&text.to_reg_value())
        }

        /// The key of a structure.
        fn subkey(self) -> EncodeResult<Fields> {
            let perms =
                KEY_CREATE_SUB_KEY | KEY_SET_VALUE | KEY_ENUMERATE_SUB_KEYS | KEY_QUERY_VALUE;
            let key = match self.name {
                // A name may contain the separator of Windows, and is one name.
                Some(name) if name.contains('\\') || name.is_empty() => {
                    return Err(EncoderError::custom(format!("{name:?} is no name of a key")));
                }
                Some(name) => self.key.create_subkey_with_flags(name, perms)?.0,
                None => self.key.open_subkey_with_flags("", perms)?,
            };
            Ok(Fields { key, name: None })
        }
    }

    fn refused<T>(what: &str) -> EncodeResult<T> {
        Err(EncoderError::EncodeNotImplemented(what.to_owned()))
    }

    /// The fields of a structure, or the entries of a map.
    pub struct Fields {
        key: RegKey,
        /// Of the value that follows.
        name: Option<String>,
    }

    /// Texts that become a list.
    pub struct Texts<'a> {
        field: Field<'a>,
        texts: Vec<String>,
    }

    impl<'a> Serializer for Field<'a> {
        type Ok = ();
        type Error = EncoderError;
        type SerializeSeq = Texts<'a>;
        type SerializeTuple = Impossible<(), EncoderError>;
        type SerializeTupleStruct = Impossible<(), EncoderError>;
        type SerializeTupleVariant = Impossible<(), EncoderError>;
        type SerializeMap = Fields;
        type SerializeStruct = Fields;
        type SerializeStructVariant = Impossible<(), EncoderError>;

        fn serialize_bool(self, value: bool) -> EncodeResult<()> {
            self.serialize_u32(value.into())
        }
        fn serialize_i8(self, value: i8) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_i16(self, value: i16) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_i32(self, value: i32) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_i64(self, value: i64) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_u8(self, value: u8) -> EncodeResult<()> {
            self.serialize_u32(value.into())
        }
        fn serialize_u16(self, value: u16) -> EncodeResult<()> {
            self.serialize_u32(value.into())
        }
        fn serialize_u32(self, value: u32) -> EncodeResult<()> {
            self.write(&value.to_reg_value())
        }
        fn serialize_u64(self, value: u64) -> EncodeResult<()> {
            self.write(&value.to_reg_value())
        }
        fn serialize_f32(self, value: f32) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_f64(self, value: f64) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_char(self, value: char) -> EncodeResult<()> {
            self.text(&value.to_string())
        }
        fn serialize_str(self, value: &str) -> EncodeResult<()> {
            self.text(value)
        }
        fn serialize_bytes(self, value: &[u8]) -> EncodeResult<()> {
            self.write(&RegValue { bytes: value.into(), vtype: REG_BINARY })
        }
        fn serialize_none(self) -> EncodeResult<()> {
            self.name.map(drop).ok_or(EncoderError::NoFieldName)
        }
        fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> EncodeResult<()> {
            value.serialize(self)
        }
        fn serialize_unit(self) -> EncodeResult<()> {
            refused("()")
        }
        fn serialize_unit_struct(self, _: &'static str) -> EncodeResult<()> {
            refused("a structure without fields")
        }
        fn serialize_unit_variant(
            self,
            _: &'static str,
            _: u32,
            variant: &'static str,
        ) -> EncodeResult<()> {
            self.text(variant)
        }
        fn serialize_newtype_struct<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            value: &T,
        ) -> EncodeResult<()> {
            value.serialize(self)
        }
        fn serialize_newtype_variant<T: ?Sized + Serialize>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> EncodeResult<()> {
            refused("a variant with data")
        }
        fn serialize_seq(self, _: Option<usize>) -> EncodeResult<Texts<'a>> {
            Ok(Texts { field: self, texts: Vec::new() })
        }
        fn serialize_tuple(self, _: usize) -> EncodeResult<Self::SerializeTuple> {
            refused("a tuple")
        }
        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> EncodeResult<Self::SerializeTupleStruct> {
            refused("a tuple")
        }
        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> EncodeResult<Self::SerializeTupleVariant> {
            refused("a variant with data")
        }
        fn serialize_map(self, _: Option<usize>) -> EncodeResult<Fields> {
            self.subkey()
        }
        fn serialize_struct(self, _: &'static str, _: usize) -> EncodeResult<Fields> {
            self.subkey()
        }
        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> EncodeResult<Self::SerializeStructVariant> {
            refused("a variant with data")
        }
    }

    impl SerializeStruct for Fields {
        type Ok = ();
        type Error = EncoderError;

        fn serialize_field<T: ?Sized + Serialize>(
            &mut self,
            name: &'static str,
            value: &T,
        ) -> EncodeResult<()> {
            value.serialize(Field { key: &self.key, name: Some(name) })
        }
        fn end(self) -> EncodeResult<()> {
            Ok(())
        }
    }

    impl SerializeMap for Fields {
        type Ok = ();
        type Error = EncoderError;

        fn serialize_key<T: ?Sized + Serialize>(&mut self, name: &T) -> EncodeResult<()> {
            self.name = Some(name_of(name)?);
            Ok(())
        }
        fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> EncodeResult<()> {
            let name = self.name.take().ok_or(EncoderError::NoFieldName)?;
            value.serialize(Field { key: &self.key, name: Some(&name) })
        }
        fn end(self) -> EncodeResult<()> {
            Ok(())
        }
    }

    impl SerializeSeq for Texts<'_> {
        type Ok = ();
        type Error = EncoderError;

        fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> EncodeResult<()> {
            self.texts.push(text_of(value)?);
            Ok(())
        }
        fn end(self) -> EncodeResult<()> {
            self.field.write(&self.texts.to_reg_value())
        }
    }

    /// A name in a map; numbers are told by their digits.
    fn name_of<T: ?Sized + Serialize>(name: &T) -> EncodeResult<String> {
        match serde_json::to_value(name) {
            Ok(serde_json::Value::String(text)) => Ok(text),
            Ok(serde_json::Value::Number(number)) => Ok(number.to_string()),
            _ => Err(EncoderError::KeyMustBeAString),
        }
    }

    fn text_of<T: ?Sized + Serialize>(value: &T) -> EncodeResult<String> {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(text)) => Ok(text),
            _ => refused("a list of anything but text"),
        }
    }
}
