//! Reading structures: the feature `serialization-serde`. What becomes what is said in [`encoder`](super::encoder).

use std::fmt;
use std::io;

/// Why something was not read.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecoderError {
    /// A value cannot be read as this.
    DecodeNotImplemented(String),
    /// What the structure itself says.
    DeserializerError(String),
    /// By the registry.
    IoError(io::Error),
    /// Text that is no number.
    ParseError(String),
    /// A value where there should be a structure.
    NoFieldName,
}

impl fmt::Display for DecoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecoderError::DecodeNotImplemented(what) => write!(f, "no value can be read as {what}"),
            DecoderError::DeserializerError(what) => f.write_str(what),
            DecoderError::IoError(error) => error.fmt(f),
            DecoderError::ParseError(what) => write!(f, "not a number: {what}"),
            DecoderError::NoFieldName => f.write_str("a value where there should be a key"),
        }
    }
}

impl std::error::Error for DecoderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DecoderError::IoError(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for DecoderError {
    fn from(error: io::Error) -> DecoderError {
        DecoderError::IoError(error)
    }
}

/// What comes of reading.
pub type DecodeResult<T> = Result<T, DecoderError>;

#[cfg(feature = "serialization-serde")]
pub use deserializing::Decoder;

#[cfg(feature = "serialization-serde")]
mod deserializing {
    use std::str::FromStr;

    use serde::de::value::MapDeserializer;
    use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
    use serde::forward_to_deserialize_any;

    use super::super::enums::*;
    use super::super::reg_key::RegKey;
    use super::super::types::FromRegValue;
    use super::super::value::RegValue;
    use super::{DecodeResult, DecoderError};

    /// Reads a structure from a key.
    #[derive(Debug)]
    pub struct Decoder {
        key: RegKey,
    }

    impl Decoder {
        /// Of this key.
        ///
        /// # Errors
        /// It cannot be read.
        pub fn from_key(key: &RegKey) -> DecodeResult<Decoder> {
            let key = key.open_subkey_with_flags("", KEY_QUERY_VALUE | KEY_ENUMERATE_SUB_KEYS)?;
            Ok(Decoder { key })
        }

        fn fields(&self) -> DecodeResult<Vec<(String, Field)>> {
            let mut fields = Vec::new();
            for name in self.key.enum_keys() {
                let name = name?;
                let below = self
                    .key
                    .open_subkey_with_flags(&name, KEY_QUERY_VALUE | KEY_ENUMERATE_SUB_KEYS)?;
                fields.push((name, Field::Key(Decoder { key: below })));
            }
            for value in self.key.enum_values() {
                let (name, value) = value?;
                fields.push((name, Field::Value(value)));
            }
            Ok(fields)
        }
    }

    impl serde::de::Error for DecoderError {
        fn custom<T: std::fmt::Display>(what: T) -> DecoderError {
            DecoderError::DeserializerError(what.to_string())
        }
    }

    impl<'de> Deserializer<'de> for &mut Decoder {
        type Error = DecoderError;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            visitor.visit_map(MapDeserializer::new(self.fields()?.into_iter()))
        }

        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            visitor.visit_some(self)
        }

        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> DecodeResult<V::Value> {
            visitor.visit_newtype_struct(self)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
            tuple_struct map struct enum identifier ignored_any
        }
    }

    /// What a name stands for.
    enum Field {
        Key(Decoder),
        Value(RegValue<'static>),
    }

    impl IntoDeserializer<'_, DecoderError> for Field {
        type Deserializer = Field;

        fn into_deserializer(self) -> Field {
            self
        }
    }

    impl Field {
        fn read<T: FromRegValue>(&self) -> DecodeResult<T> {
            match self {
                Field::Key(_) => Err(DecoderError::custom("a key where there should be a value")),
                Field::Value(value) => Ok(T::from_reg_value(value)?),
            }
        }

        /// A number that is written as text.
        fn parsed<T: FromStr>(&self) -> DecodeResult<T> {
            let text: String = self.read()?;
            text.parse().map_err(|_| DecoderError::ParseError(text))
        }
    }

    macro_rules! parsed {
        ($($deserialize:ident $visit:ident),+) => {
            $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
                visitor.$visit(self.parsed()?)
            })+
        };
    }

    impl<'de> Deserializer<'de> for Field {
        type Error = DecoderError;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            let value = match self {
                Field::Key(mut decoder) => return decoder.deserialize_any(visitor),
                Field::Value(value) => value,
            };
            match value.vtype {
                REG_SZ | REG_EXPAND_SZ => visitor.visit_string(String::from_reg_value(&value)?),
                REG_MULTI_SZ => Vec::<String>::from_reg_value(&value)?
                    .into_deserializer()
                    .deserialize_any(visitor),
                REG_DWORD | REG_DWORD_BIG_ENDIAN => visitor.visit_u32(u32::from_reg_value(&value)?),
                REG_QWORD => visitor.visit_u64(u64::from_reg_value(&value)?),
                REG_NONE => visitor.visit_none(),
                _ => visitor.visit_byte_buf(value.bytes.into_owned()),
            }
        }

        fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            visitor.visit_bool(self.read::<u32>()? != 0)
        }

        parsed! {
            deserialize_i8 visit_i8, deserialize_i16 visit_i16, deserialize_i32 visit_i32,
            deserialize_i64 visit_i64, deserialize_f32 visit_f32, deserialize_f64 visit_f64
        }

        fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            visitor.visit_string(self.read()?)
        }

        fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            self.deserialize_string(visitor)
        }

        fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            self.deserialize_string(visitor)
        }

        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> DecodeResult<V::Value> {
            match &self {
                Field::Value(value) if value.vtype == REG_NONE => visitor.visit_none(),
                _ => visitor.visit_some(self),
            }
        }

        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> DecodeResult<V::Value> {
            visitor.visit_newtype_struct(self)
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            _: &'static [&'static str],
            visitor: V,
        ) -> DecodeResult<V::Value> {
            visitor.visit_enum(self.read::<String>()?.into_deserializer())
        }

        forward_to_deserialize_any! {
            i128 u8 u16 u32 u64 u128 bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
            ignored_any
        }
    }
}
