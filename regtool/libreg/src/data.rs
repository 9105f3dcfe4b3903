//! What the data of a value means, by its type: the registry keeps types and never looks into data, so
//! this is a convention between programs.
//!
//! | type | data |
//! |---|---|
//! | SZ, EXPAND_SZ, LINK | UTF-8 without terminator; a reader drops one NUL at the end |
//! | MULTI_SZ | UTF-8 strings, each followed by one NUL |
//! | DWORD, QWORD | 32 and 64 bits, little-endian |
//! | DWORD_BIG_ENDIAN | 32 bits, big-endian |
//! | all others | bytes |

use std::fmt;

use lcs_abi::value::ValueType;

/// Data as its type means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// SZ, EXPAND_SZ, LINK.
    Text(&'a str),
    /// MULTI_SZ.
    List(Vec<&'a str>),
    /// DWORD, DWORD_BIG_ENDIAN, QWORD.
    Number(u64),
    /// All other types, and data that is not what its type says: a number of the wrong length, text that
    /// is not UTF-8.
    Bytes(&'a [u8]),
}

/// Reads the data of a value.
pub fn interpret(value_type: u32, data: &[u8]) -> Data<'_> {
    let meant = match ValueType::from_code(value_type) {
        Some(ValueType::Sz | ValueType::ExpandSz | ValueType::Link) => {
            std::str::from_utf8(data.strip_suffix(b"\0").unwrap_or(data)).ok().map(Data::Text)
        }
        Some(ValueType::MultiSz) => std::str::from_utf8(data).ok().map(|text| {
            let mut strings: Vec<_> = text.split('\0').collect();
            // What follows the last NUL is a string only if there is something.
            strings.pop_if(|last| last.is_empty());
            Data::List(strings)
        }),
        Some(ValueType::Dword) => {
            data.try_into().ok().map(|bytes| Data::Number(u32::from_le_bytes(bytes).into()))
        }
        Some(ValueType::DwordBigEndian) => {
            data.try_into().ok().map(|bytes| Data::Number(u32::from_be_bytes(bytes).into()))
        }
        Some(ValueType::Qword) => {
            data.try_into().ok().map(|bytes| Data::Number(u64::from_le_bytes(bytes)))
        }
        _ => None,
    };
    meant.unwrap_or(Data::Bytes(data))
}

impl fmt::Display for Data<'_> {
    /// The text form: text as it is, one line for each string of a list, numbers in decimal, bytes in
    /// hexadecimal; no line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::Text(text) => f.write_str(text),
            Data::List(strings) => f.write_str(&strings.join("\n")),
            Data::Number(number) => write!(f, "{number}"),
            Data::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// Why words are not data of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// This type takes exactly one word.
    NotOneWord,
    /// Not a decimal number, nor a hexadecimal one after `0x`, that fits into so many bits.
    NotANumber {
        /// 32 or 64.
        bits: u32,
    },
    /// Not pairs of hexadecimal digits.
    NotHex,
    /// A string of a list contains NUL.
    Nul,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::NotOneWord => f.write_str("takes exactly one DATA"),
            ParseError::NotANumber { bits } => {
                write!(f, "takes a number of {bits} bits, in decimal or hexadecimal with 0x")
            }
            ParseError::NotHex => f.write_str("takes bytes in hexadecimal, two digits each"),
            ParseError::Nul => f.write_str("takes strings without NUL"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Makes data of a type from what a person wrote: for a list one word per string, for bytes any number of
/// words, else one word. Bytes may be separated by blanks, `,`, `:` or `-`.
pub fn parse(value_type: ValueType, words: &[impl AsRef<str>]) -> Result<Vec<u8>, ParseError> {
    let one_word = || match words {
        [word] => Ok(word.as_ref()),
        _ => Err(ParseError::NotOneWord),
    };
    match value_type {
        ValueType::Sz | ValueType::ExpandSz | ValueType::Link => one_word().map(|word| word.into()),
        ValueType::MultiSz => {
            let mut data = Vec::new();
            for word in words.iter().map(AsRef::as_ref) {
                if word.contains('\0') {
                    return Err(ParseError::Nul);
                }
                data.extend_from_slice(word.as_bytes());
                data.push(0);
            }
            Ok(data)
        }
        ValueType::Dword => Ok(parse_dword(one_word()?)?.to_le_bytes().to_vec()),
        ValueType::DwordBigEndian => Ok(parse_dword(one_word()?)?.to_be_bytes().to_vec()),
        ValueType::Qword => {
            let number = parse_number(one_word()?).ok_or(ParseError::NotANumber { bits: 64 })?;
            Ok(number.to_le_bytes().to_vec())
        }
        _ => words.iter().try_fold(Vec::new(), |mut data, word| {
            data.extend(parse_hex(word.as_ref()).ok_or(ParseError::NotHex)?);
            Ok(data)
        }),
    }
}

fn parse_dword(word: &str) -> Result<u32, ParseError> {
    parse_number(word)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or(ParseError::NotANumber { bits: 32 })
}

fn parse_number(word: &str) -> Option<u64> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    // A sign is no digit, though the standard library takes one.
    let plain = !digits.starts_with('+');
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

fn parse_hex(word: &str) -> Option<Vec<u8>> {
    let groups = word.split([' ', '\t', '\n', ',', ':', '-']).filter(|group| !group.is_empty());
    let mut bytes = Vec::new();
    for group in groups {
        if group.len() % 2 != 0 || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for at in (0..group.len()).step_by(2) {
            bytes.push(u8::from_str_radix(group.get(at..at + 2)?, 16).ok()?);
        }
    }
    Some(bytes)
}

/// The names of the types, as `regtool --type` takes them.
const TYPE_NAMES: [(ValueType, &str); 12] = [
    (ValueType::None, "none"),
    (ValueType::Sz, "sz"),
    (ValueType::ExpandSz, "expand_sz"),
    (ValueType::Binary, "binary"),
    (ValueType::Dword, "dword"),
    (ValueType::DwordBigEndian, "dword_be"),
    (ValueType::Link, "link"),
    (ValueType::MultiSz, "multi_sz"),
    (ValueType::ResourceList, "resource_list"),
    (ValueType::FullResourceDescriptor, "full_resource_descriptor"),
    (ValueType::ResourceRequirementsList, "resource_requirements_list"),
    (ValueType::Qword, "qword"),
];

/// The name of a type; of one that is not known, its number.
pub fn type_name(value_type: u32) -> String {
    TYPE_NAMES
        .iter()
        .find(|(known, _)| known.code() == value_type)
        .map_or_else(|| format!("{value_type:#x}"), |(_, name)| (*name).to_owned())
}

/// The type of a name, in any case, also as Windows writes it (`REG_SZ`).
pub fn type_by_name(name: &str) -> Option<ValueType> {
    let name = name.to_ascii_lowercase();
    let name = match name.strip_prefix("reg_").unwrap_or(&name) {
        "dword_big_endian" => "dword_be",
        other => other,
    };
    TYPE_NAMES.iter().find(|(_, known)| *known == name).map(|(value_type, _)| *value_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(value_type: ValueType, data: &[u8]) -> String {
        interpret(value_type.code(), data).to_string()
    }

    #[test]
    fn what_people_write_is_what_they_read_again() {
        for (value_type, words, text) in [
            (ValueType::Sz, vec!["Grüße"], "Grüße"),
            (ValueType::Link, vec!["Machine\\A"], "Machine\\A"),
            (ValueType::MultiSz, vec!["a", "", "b"], "a\n\nb"),
            (ValueType::MultiSz, vec![], ""),
            (ValueType::Dword, vec!["0xFFFFFFFF"], "4294967295"),
            (ValueType::DwordBigEndian, vec!["258"], "258"),
            (ValueType::Qword, vec!["18446744073709551615"], "18446744073709551615"),
            (ValueType::Binary, vec!["00 ff,1a:2B-", "0c0d"], "00ff1a2b0c0d"),
            (ValueType::None, vec![], ""),
        ] {
            assert_eq!(text_of(value_type, &parse(value_type, &words).unwrap()), text);
        }
        assert_eq!(parse(ValueType::DwordBigEndian, &["258"]), Ok(vec![0, 0, 1, 2]));
        assert_eq!(parse(ValueType::MultiSz, &["a", "b"]), Ok(b"a\0b\0".to_vec()));
    }

    #[test]
    fn words_that_are_no_data_are_refused() {
        for (value_type, words) in [
            (ValueType::Sz, vec![]),
            (ValueType::Sz, vec!["a", "b"]),
            (ValueType::Dword, vec!["4294967296"]),
            (ValueType::Dword, vec!["-1"]),
            (ValueType::Dword, vec!["+1"]),
            (ValueType::Qword, vec!["0x"]),
            (ValueType::Qword, vec![""]),
            (ValueType::Binary, vec!["0"]),
            (ValueType::Binary, vec!["+a"]),
            (ValueType::Binary, vec!["ää"]),
            (ValueType::MultiSz, vec!["a\0b"]),
        ] {
            assert!(parse(value_type, &words).is_err(), "{value_type:?} {words:?}");
        }
    }

    #[test]
    fn data_that_is_not_what_its_type_says_is_bytes() {
        assert_eq!(interpret(4, &[1, 2]), Data::Bytes(&[1, 2]));
        assert_eq!(interpret(1, &[0xFF]), Data::Bytes(&[0xFF]));
        assert_eq!(interpret(7, b"\xED\xA0\x80\0"), Data::Bytes(b"\xED\xA0\x80\0"));
        assert_eq!(interpret(99, b"x"), Data::Bytes(b"x"));
    }

    #[test]
    fn one_terminator_is_dropped() {
        assert_eq!(interpret(1, b"a\0"), Data::Text("a"));
        assert_eq!(interpret(1, b"a\0\0"), Data::Text("a\0"));
        assert_eq!(interpret(7, b"a\0b"), Data::List(vec!["a", "b"]));
        assert_eq!(interpret(7, b"\0"), Data::List(vec![""]));
    }

    #[test]
    fn every_type_is_found_by_its_name() {
        for value_type in ValueType::ALL {
            assert_eq!(type_by_name(&type_name(value_type.code())), Some(value_type));
        }
        assert_eq!(type_by_name("REG_DWORD_BIG_ENDIAN"), Some(ValueType::DwordBigEndian));
        assert_eq!(type_by_name("reg"), None);
        assert_eq!(type_name(0xFFFF), "0xffff");
    }
}
