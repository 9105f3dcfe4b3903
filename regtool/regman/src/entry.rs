//! What the manual says of a key or a value.

use std::fmt;

use libreg::ValueType;
use libreg::data::{Data, interpret, type_name};
use regex_lite::Regex;
use serde::Deserialize;

use crate::place::Place;

/// What is said of everything.
#[derive(Clone, Debug)]
pub struct About {
    /// The program that reads it.
    pub reader: String,
    /// One sentence on one line, without a full stop.
    pub summary: String,
    /// All there is to say, in paragraphs between empty lines; may be empty.
    pub description: String,
}

/// An entry for a key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    pub(crate) place: Place,
    /// What it is about.
    pub about: About,
}

/// An entry for a value.
#[derive(Clone, Debug)]
pub struct ValueEntry {
    pub(crate) place: Place,
    /// Its name; that of the default value is empty. `*` is any name.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// What counts if the value is not there; `None` if nothing does.
    pub default: Option<Vec<u8>>,
    /// Which data of that type is valid.
    pub valid: Valid,
    /// What a number counts, in the plural.
    pub unit: Option<String>,
    /// When a change takes effect.
    pub applies: Applies,
    /// What it is about.
    pub about: About,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Applies {
    /// At once.
    Live,
    /// When whoever reads it is started again.
    Restart,
    /// When the machine is started again.
    Reboot,
}

/// Which data is valid, among that of the right type. Of a list each string must be.
#[derive(Clone, Debug)]
pub enum Valid {
    /// Any.
    Any,
    /// Numbers between these, both included.
    Range {
        /// The smallest.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// These texts or numbers (in decimal), and no others; case matters.
    Set(Vec<String>),
    /// Text that is, as a whole, as this says.
    Pattern(Pattern),
}

/// A regular expression for all of a text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    whole: Regex,
}

/// What is wrong with data, by the manual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// It has another type.
    Type {
        /// What it has.
        found: u32,
        /// What it should have.
        wanted: ValueType,
    },
    /// Its length or its bytes do not fit its type.
    Malformed(ValueType),
    /// A number is too small or too great.
    Range {
        /// The number.
        found: u64,
        /// The smallest valid one.
        min: u64,
        /// The greatest valid one.
        max: u64,
    },
    /// It is none of the valid ones.
    Set {
        /// What it is.
        found: String,
        /// The valid ones.
        wanted: Vec<String>,
    },
    /// It does not match.
    Pattern {
        /// What it is.
        found: String,
        /// What it should match.
        wanted: String,
    },
}

impl KeyEntry {
    /// The key's path, in which `*` may stand for any name.
    pub fn path(&self) -> String {
        self.place.to_string()
    }
}

impl ValueEntry {
    /// The path of the value's key, in which `*` may stand for any name.
    pub fn path(&self) -> String {
        self.place.to_string()
    }

    /// What is wrong with data of a type, if anything is.
    pub fn contradiction(&self, value_type: u32, data: &[u8]) -> Option<Contradiction> {
        if value_type != self.value_type.code() {
            return Some(Contradiction::Type { found: value_type, wanted: self.value_type });
        }
        match interpret(value_type, data) {
            Data::Number(number) => self.valid.contradiction_of_number(number),
            Data::Text(text) => self.valid.contradiction_of_text(text),
            Data::List(strings) => {
                strings.into_iter().find_map(|string| self.valid.contradiction_of_text(string))
            }
            Data::Bytes(_) if is_of_bytes(self.value_type) => None,
            Data::Bytes(_) => Some(Contradiction::Malformed(self.value_type)),
        }
    }
}

/// Whether data of this type is bytes and nothing else.
pub(crate) fn is_of_bytes(value_type: ValueType) -> bool {
    !(is_number(value_type) || is_text(value_type))
}

/// Whether data of this type is a number.
pub(crate) fn is_number(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Dword | ValueType::DwordBigEndian | ValueType::Qword)
}

/// Whether data of this type is text, or a list of it.
pub(crate) fn is_text(value_type: ValueType) -> bool {
    use ValueType::{ExpandSz, Link, MultiSz, Sz};
    matches!(value_type, Sz | ExpandSz | Link | MultiSz)
}

impl Valid {
    fn contradiction_of_number(&self, number: u64) -> Option<Contradiction> {
        match *self {
            Valid::Range { min, max } if !(min..=max).contains(&number) => {
                Some(Contradiction::Range { found: number, min, max })
            }
            _ => self.contradiction_of_text(&number.to_string()),
        }
    }

    fn contradiction_of_text(&self, text: &str) -> Option<Contradiction> {
        match self {
            Valid::Set(wanted) if !wanted.iter().any(|valid| valid == text) => {
                Some(Contradiction::Set { found: text.to_owned(), wanted: wanted.clone() })
            }
            Valid::Pattern(pattern) if !pattern.whole.is_match(text) => {
                Some(Contradiction::Pattern {
                    found: text.to_owned(),
                    wanted: pattern.text.clone(),
                })
            }
            _ => None,
        }
    }
}

impl Pattern {
    /// Reads a regular expression, of the crate `regex-lite`.
    ///
    /// # Errors
    /// It is none.
    pub fn new(text: &str) -> Result<Pattern, regex_lite::Error> {
        // Alone it must be one, too: `)|(` would be one between these.
        Regex::new(text)?;
        let whole = Regex::new(&format!("^(?:{text})$"))?;
        Ok(Pattern { text: text.to_owned(), whole })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Applies {
    /// What a manual file calls it.
    pub fn word(self) -> &'static str {
        match self {
            Applies::Live => "live",
            Applies::Restart => "restart",
            Applies::Reboot => "reboot",
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contradiction::Type { found, wanted } => {
                write!(f, "the type is {}, not {}", type_name(*found), type_name(wanted.code()))
            }
            Contradiction::Malformed(value_type) => {
                write!(f, "the data is no {}", type_name(value_type.code()))
            }
            Contradiction::Range { found, min, max } => {
                write!(f, "{found} is not in {min}..={max}")
            }
            Contradiction::Set { found, wanted } => {
                write!(f, "{found:?} is none of {}", wanted.join(", "))
            }
            Contradiction::Pattern { found, wanted } => {
                write!(f, "{found:?} does not match {wanted}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value_type: ValueType, valid: Valid) -> ValueEntry {
        ValueEntry {
            place: Place::parse("Machine\\A").unwrap(),
            name: "v".to_owned(),
            value_type,
            default: None,
            valid,
            unit: None,
            applies: Applies::Live,
            about: About {
                reader: "a".to_owned(),
                summary: "It is".to_owned(),
                description: String::new(),
            },
        }
    }

    fn said(entry: &ValueEntry, value_type: u32, data: &[u8]) -> Option<String> {
        entry.contradiction(value_type, data).map(|contradiction| contradiction.to_string())
    }

    #[test]
    fn both_ends_of_a_range_are_valid_and_what_is_beyond_is_not() {
        let dword = entry(ValueType::Dword, Valid::Range { min: 2, max: 300 });
        for valid in [2_u32, 300] {
            assert_eq!(said(&dword, 4, &valid.to_le_bytes()), None);
        }
        assert_eq!(said(&dword, 4, &[1, 0, 0, 0]).unwrap(), "1 is not in 2..=300");
        assert_eq!(said(&dword, 4, &301_u32.to_le_bytes()).unwrap(), "301 is not in 2..=300");
    }

    #[test]
    fn another_type_and_data_that_does_not_fit_its_type_are_wrong() {
        let dword = entry(ValueType::Dword, Valid::Any);
        assert_eq!(said(&dword, 1, b"2").unwrap(), "the type is sz, not dword");
        assert_eq!(said(&dword, 4, &[2]).unwrap(), "the data is no dword");
        assert_eq!(
            said(&entry(ValueType::Sz, Valid::Any), 1, b"\xFF").unwrap(),
            "the data is no sz"
        );
        assert_eq!(said(&entry(ValueType::Binary, Valid::Any), 3, b"\xFF"), None);
    }

    #[test]
    fn a_set_holds_for_numbers_and_for_each_string_of_a_list() {
        let set = |words: &[&str]| Valid::Set(words.iter().map(|&word| word.to_owned()).collect());
        let flag = entry(ValueType::Dword, set(&["0", "1"]));
        assert_eq!(said(&flag, 4, &[1, 0, 0, 0]), None);
        assert_eq!(said(&flag, 4, &[2, 0, 0, 0]).unwrap(), "\"2\" is none of 0, 1");
        let list = entry(ValueType::MultiSz, set(&["a", "b"]));
        assert_eq!(said(&list, 7, b"b\0a\0"), None);
        assert_eq!(said(&list, 7, b"b\0A\0").unwrap(), "\"A\" is none of a, b");
    }

    #[test]
    fn a_pattern_must_match_the_whole_text() {
        let name = entry(ValueType::Sz, Valid::Pattern(Pattern::new("a+|b").unwrap()));
        assert_eq!(said(&name, 1, b"aa"), None);
        assert_eq!(said(&name, 1, b"aab").unwrap(), "\"aab\" does not match a+|b");
        assert!(said(&name, 1, b"a\n").is_some());
        assert!(Pattern::new(")|(").is_err());
    }
}
