//! Values of a role file.

use libreg::ValueType;
use libreg::data;
use toml::de::{DeInteger, DeValue};

use super::parse::{Item, in_order, kind};
use crate::formats::reg::Value;

/// What is wrong, and where.
type Wrong = (usize, String);

/// Reads what stands for a value; `None` is a tombstone.
pub fn value_of(item: &Item) -> Result<Option<Value>, Wrong> {
    let start = item.span().start;
    let wrong = |what: &str| Err((start, what.to_owned()));
    match item.get_ref() {
        DeValue::String(text) => of_words(ValueType::Sz, &[text.as_ref()], start).map(Some),
        DeValue::Integer(number) => {
            let value_type = match plain_number(number) {
                Some(number) if u32::try_from(number).is_ok() => ValueType::Dword,
                Some(_) => ValueType::Qword,
                None => return wrong("a number is from 0 to 18446744073709551615"),
            };
            of_number(value_type, number, start).map(Some)
        }
        DeValue::Boolean(yes) => {
            Ok(Some(value(ValueType::Dword, u32::from(*yes).to_le_bytes().to_vec())))
        }
        DeValue::Array(_) => of_type(ValueType::MultiSz, item).map(Some),
        DeValue::Table(table) => match in_order(table).as_slice() {
            [(name, item)] if name.get_ref() == "tombstone" => match item.get_ref().as_bool() {
                Some(true) => Ok(None),
                _ => Err((item.span().start, "tombstone is true, or is not written".to_owned())),
            },
            [(name, item)] => match data::type_by_name(name.get_ref()) {
                Some(value_type) => of_type(value_type, item).map(Some),
                None => {
                    let what = format!(
                        "there is no type {} (a name with a dot is written in quotes)",
                        name.get_ref()
                    );
                    Err((name.span().start, what))
                }
            },
            _ => wrong("a value is { TYPE = DATA }, with one type"),
        },
        other @ (DeValue::Float(_) | DeValue::Datetime(_)) => {
            Err((start, format!("{} is no data of a value; write it as text", kind(other))))
        }
    }
}

/// Reads a value that is written with its name as it stands and its bytes.
pub fn raw_value_of(item: &Item) -> Result<(String, Value), Wrong> {
    let start = item.span().start;
    let shape = "a value with its bytes is name = \"…\", type = TYPE, hex = \"…\"";
    let Some(table) = item.get_ref().as_table() else {
        return Err((start, shape.to_owned()));
    };
    let (mut name, mut code, mut bytes) = (None, None, None);
    for (field, item) in in_order(table) {
        let at = item.span().start;
        match (field.get_ref().as_ref(), item.get_ref()) {
            ("name", DeValue::String(text)) if !text.contains('\0') => {
                name = Some(text.to_string())
            }
            ("type", DeValue::String(text)) => {
                let known = data::type_by_name(text);
                let unknown = || (at, format!("there is no type {text}"));
                code = Some(known.map(ValueType::code).ok_or_else(unknown)?);
            }
            ("type", DeValue::Integer(number)) => {
                let number = plain_number(number).and_then(|number| u32::try_from(number).ok());
                code =
                    Some(number.ok_or_else(|| (at, "a type is a number of 32 bits".to_owned()))?);
            }
            ("hex", DeValue::String(text)) => {
                let read = data::parse(ValueType::Binary, &[text.as_ref()]);
                bytes = Some(read.map_err(|error| (at, format!("hex {error}")))?);
            }
            _ => return Err((at, shape.to_owned())),
        }
    }
    match (name, code, bytes) {
        (Some(name), Some(value_type), Some(data)) => Ok((name, Value { value_type, data })),
        _ => Err((start, shape.to_owned())),
    }
}

/// Data of a type that is named.
fn of_type(value_type: ValueType, item: &Item) -> Result<Value, Wrong> {
    let start = item.span().start;
    match (value_type, item.get_ref()) {
        (
            ValueType::Dword | ValueType::DwordBigEndian | ValueType::Qword,
            DeValue::Integer(number),
        ) => of_number(value_type, number, start),
        (ValueType::MultiSz, DeValue::Array(items)) => {
            let mut strings = Vec::new();
            for item in items.iter() {
                let not_text = || {
                    let what = format!("a list is of texts, and not of {}", kind(item.get_ref()));
                    (item.span().start, what)
                };
                strings.push(item.get_ref().as_str().ok_or_else(not_text)?);
            }
            of_words(value_type, &strings, start)
        }
        (ValueType::Dword | ValueType::DwordBigEndian | ValueType::Qword, other) => {
            Err((start, wants(value_type, "a number", other)))
        }
        (ValueType::MultiSz, other) => Err((start, wants(value_type, "a list of texts", other))),
        (_, DeValue::String(text)) => of_words(value_type, &[text.as_ref()], start),
        (_, other) => Err((start, wants(value_type, "text", other))),
    }
}

fn wants(value_type: ValueType, what: &str, found: &DeValue) -> String {
    let name = data::type_name(value_type.code());
    format!("a value of type {name} takes {what}, and not {}", kind(found))
}

fn of_number(value_type: ValueType, number: &DeInteger, start: usize) -> Result<Value, Wrong> {
    // Out of range as it is, if it is negative or of more than 64 bits.
    let plain =
        plain_number(number).map_or_else(|| number.to_string(), |number| number.to_string());
    of_words(value_type, &[plain.as_str()], start)
}

fn plain_number(number: &DeInteger) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn of_words(value_type: ValueType, words: &[&str], start: usize) -> Result<Value, Wrong> {
    let data = data::parse(value_type, words).map_err(|error| {
        let name = data::type_name(value_type.code());
        (start, format!("a value of type {name} {error}"))
    })?;
    Ok(value(value_type, data))
}

fn value(value_type: ValueType, data: Vec<u8>) -> Value {
    Value { value_type: value_type.code(), data }
}
