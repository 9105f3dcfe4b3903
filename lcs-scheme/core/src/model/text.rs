//! Values as the text of files (INTERFACES §1).

use alloc::string::ToString;
use alloc::vec::Vec;

use lcs_abi::value::ValueType;

/// A text is not one of the value's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOfThisType;

/// What kind of text the data of a type is.
enum Form {
    Text,
    Lines,
    Number32,
    Number32BigEndian,
    Number64,
    Bytes,
}

fn form(value_type: ValueType) -> Form {
    match value_type {
        ValueType::Sz | ValueType::ExpandSz | ValueType::Link => Form::Text,
        ValueType::MultiSz => Form::Lines,
        ValueType::Dword => Form::Number32,
        ValueType::DwordBigEndian => Form::Number32BigEndian,
        ValueType::Qword => Form::Number64,
        ValueType::None
        | ValueType::Binary
        | ValueType::ResourceList
        | ValueType::FullResourceDescriptor
        | ValueType::ResourceRequirementsList => Form::Bytes,
    }
}

/// The text of a value. Data that is not what its type promises is given as it is.
pub fn to_text(value_type: ValueType, data: Vec<u8>) -> Vec<u8> {
    let number = match form(value_type) {
        Form::Text => {
            let mut text = data;
            if text.last() == Some(&0) {
                text.pop();
            }
            text.push(b'\n');
            return text;
        }
        Form::Lines => return lines(data),
        Form::Number32 => <[u8; 4]>::try_from(&*data).map(|bytes| u32::from_le_bytes(bytes).into()),
        Form::Number32BigEndian => {
            <[u8; 4]>::try_from(&*data).map(|bytes| u32::from_be_bytes(bytes).into())
        }
        Form::Number64 => <[u8; 8]>::try_from(&*data).map(u64::from_le_bytes),
        Form::Bytes => return data,
    };
    match number {
        Ok(number) => {
            let mut text = number.to_string().into_bytes();
            text.push(b'\n');
            text
        }
        Err(_) => data,
    }
}

/// One line for each string, also for one at the end that lacks its NUL.
fn lines(mut data: Vec<u8>) -> Vec<u8> {
    if data.last().is_some_and(|last| *last != 0) {
        data.push(0);
    }
    data.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'\n');
    data
}

/// The data that a text stands for.
///
/// # Errors
/// It is no number, or one too large for the type.
pub fn from_text(value_type: ValueType, text: &[u8]) -> Result<Vec<u8>, NotOfThisType> {
    let line = || text.strip_suffix(b"\n").unwrap_or(text);
    Ok(match form(value_type) {
        Form::Text => line().to_vec(),
        Form::Lines if text.is_empty() => Vec::new(),
        Form::Lines => {
            let mut data = line().to_vec();
            data.push(b'\n');
            data.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = 0);
            data
        }
        Form::Number32 => small(line())?.to_le_bytes().into(),
        Form::Number32BigEndian => small(line())?.to_be_bytes().into(),
        Form::Number64 => number(line())?.to_le_bytes().into(),
        Form::Bytes => text.to_vec(),
    })
}

fn small(text: &[u8]) -> Result<u32, NotOfThisType> {
    u32::try_from(number(text)?).map_err(|_| NotOfThisType)
}

fn number(text: &[u8]) -> Result<u64, NotOfThisType> {
    let text = core::str::from_utf8(text).map_err(|_| NotOfThisType)?;
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` takes a sign.
    if digits.starts_with('+') {
        return Err(NotOfThisType);
    }
    u64::from_str_radix(digits, radix).map_err(|_| NotOfThisType)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_types() -> impl Strategy<Value = ValueType> {
        (0..12_u32).prop_map(|code| ValueType::from_code(code).expect("one of twelve"))
    }

    #[test]
    fn texts_of_each_type() {
        let cases: [(ValueType, &[u8], &[u8]); 12] = [
            (ValueType::Sz, b"tea", b"tea\n"),
            (ValueType::Sz, b"", b"\n"),
            (ValueType::ExpandSz, b"a\nb", b"a\nb\n"),
            (ValueType::Link, b"Machine\\x", b"Machine\\x\n"),
            (ValueType::MultiSz, b"a\0b\0", b"a\nb\n"),
            (ValueType::MultiSz, b"", b""),
            (ValueType::MultiSz, b"\0", b"\n"),
            (ValueType::Dword, &[1, 2, 0, 0], b"513\n"),
            (ValueType::DwordBigEndian, &[0, 0, 2, 1], b"513\n"),
            (ValueType::Qword, &[255; 8], b"18446744073709551615\n"),
            (ValueType::Binary, b"\0\n", b"\0\n"),
            (ValueType::None, b"", b""),
        ];
        for (value_type, data, text) in cases {
            assert_eq!(to_text(value_type, data.into()), text, "{value_type:?}");
            assert_eq!(from_text(value_type, text), Ok(data.into()), "{value_type:?}");
        }
    }

    #[test]
    fn data_that_its_type_does_not_promise_is_shown_as_it_is() {
        assert_eq!(to_text(ValueType::Dword, b"abc".into()), b"abc");
        assert_eq!(to_text(ValueType::Qword, [].into()), b"");
        assert_eq!(to_text(ValueType::Sz, b"tea\0".into()), b"tea\n");
        assert_eq!(to_text(ValueType::MultiSz, b"a\0b".into()), b"a\nb\n");
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_nothing_else() {
        assert_eq!(from_text(ValueType::Dword, b"0x10"), Ok([16, 0, 0, 0].into()));
        assert_eq!(from_text(ValueType::Dword, b"010\n"), Ok([10, 0, 0, 0].into()));
        assert_eq!(from_text(ValueType::Dword, b"0XFFFFFFFF\n"), Ok([255; 4].into()));
        for text in ["", "\n", "-1", "+1", "0x", "0x+1", "1 ", " 1", "1\n\n", "4294967296", "ten"] {
            assert_eq!(
                from_text(ValueType::Dword, text.as_bytes()),
                Err(NotOfThisType),
                "{text:?}"
            );
        }
        let too_large = b"18446744073709551616";
        assert_eq!(from_text(ValueType::Qword, too_large), Err(NotOfThisType));
    }

    proptest! {
        #[test]
        fn writing_back_what_was_read_changes_nothing_but_a_missing_or_surplus_nul(
            value_type in all_types(),
            data in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(b'\n')], 0..12),
        ) {
            let text = to_text(value_type, data.clone());
            match from_text(value_type, &text) {
                // Data of another length than the type's is shown as it is, and may happen to be digits. Of several
                // NULs at the end readers of texts drop one each time.
                Ok(back) => prop_assert!(
                    text == data || data.ends_with(&[0, 0]) || to_text(value_type, back) == text
                ),
                Err(NotOfThisType) => prop_assert_eq!(text, data),
            }
        }
    }
}
