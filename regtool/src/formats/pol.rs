//! Policy files (`registry.pol`), in which Windows keeps what a Group Policy Object sets ([MS-GPREG] 2.2).
//!
//! After the signature `PReg` and the version 1 there are settings, `[key;value;type;size;data]` in UTF-16LE, where type
//! and size are binary. Names of values that begin with `**` are instructions ([MS-GPREG] 3.2.5.1, and "Registry
//! Policy File Format" in Microsoft's Policy documentation); upper and lower case are the same in them:
//!
//! | name | what it asks for |
//! |---|---|
//! | `**Del.NAME` | that there be no value `NAME` |
//! | `**DelVals.` | that there be no values but those that the policy itself sets |
//! | `**DeleteValues` | that there be none of the values that the data names, separated by `;` |
//! | `**DeleteKeys` | that there be none of the subkeys that the data names, separated by `;` |
//! | `**Soft.NAME` | that the value `NAME` be set only where there is none |
//! | `**SecureKey` | that the key get other rights; not taken over |

use std::fmt;

use libreg::windows::{self, Inexact, UnknownType, Value, names, utf16};

/// What a policy file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In the file's order.
    pub settings: Vec<Setting>,
    /// What was taken over, but not exactly, by the number of the setting.
    pub notes: Vec<(usize, Inexact)>,
    /// What is well-formed, but not taken over, by the number of the setting.
    pub left_out: Vec<(usize, LeftOut)>,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which one it is, counted from 1.
    pub number: usize,
    /// The key, from where the policy is applied. None of its names is empty or has a separator.
    pub key: Vec<String>,
    /// What is asked for.
    pub what: Instruction,
}

/// What a setting asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// That the key be there.
    Key,
    /// That the value be so.
    Set(String, Value),
    /// That the value be so where there is none.
    SetIfAbsent(String, Value),
    /// That there be no such value.
    NoValue(String),
    /// That there be no values.
    NoValues,
    /// That there be no such subkey. It is no path.
    NoKey(String),
}

/// Why a setting is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// `**SecureKey`.
    SecureKey(Vec<String>),
    /// An instruction that is not known.
    Instruction(String),
    /// A type that the registry does not have.
    Type(u32),
    /// A name that is empty, not Unicode, or contains NUL.
    Name,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::SecureKey(key) => {
                write!(
                    f,
                    "**SecureKey of {}: rights are not taken over (regtool acl set)",
                    key.join("\\")
                )
            }
            LeftOut::Instruction(name) => write!(f, "the instruction {name}, which is not known"),
            LeftOut::Type(code) => {
                write!(f, "a value of type {code:#x}, which the registry does not have")
            }
            LeftOut::Name => f.write_str("a name that is empty, not Unicode, or contains NUL"),
        }
    }
}

/// Why a file is no policy file, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The setting that cannot be read, counted from 1; 0: what comes before them.
    pub number: usize,
    /// Where, in bytes from the beginning.
    pub offset: usize,
    /// What should be there.
    pub expected: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {} should be here", self.offset, self.expected)
    }
}

/// Reads a policy file.
///
/// # Errors
/// It is none, or damaged: what is behind a damage cannot be told from what belongs to it.
pub fn parse(bytes: &[u8]) -> Result<Policy, Damaged> {
    let mut reader = Reader { bytes, offset: 0, number: 0 };
    reader.expect(b"PReg", "the signature PReg")?;
    reader.expect(&1_u32.to_le_bytes(), "the version 1")?;
    let mut policy = Policy::default();
    while reader.offset < bytes.len() {
        reader.number += 1;
        let raw = reader.setting()?;
        policy.take(reader.number, raw);
    }
    Ok(policy)
}

/// A setting as it is written.
struct Raw<'a> {
    key: Vec<u16>,
    value: Vec<u16>,
    value_type: u32,
    data: &'a [u8],
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    number: usize,
}

impl<'a> Reader<'a> {
    fn damaged<T>(&self, expected: &'static str) -> Result<T, Damaged> {
        Err(Damaged { number: self.number, offset: self.offset, expected })
    }

    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], Damaged> {
        let end = self.offset.checked_add(length);
        match end.and_then(|end| self.bytes.get(self.offset..end)) {
            Some(taken) => {
                self.offset += length;
                Ok(taken)
            }
            None => self.damaged(expected),
        }
    }

    fn expect(&mut self, this: &[u8], expected: &'static str) -> Result<(), Damaged> {
        if self.bytes.get(self.offset..).is_some_and(|rest| rest.starts_with(this)) {
            self.offset += this.len();
            return Ok(());
        }
        self.damaged(expected)
    }

    fn delimiter(&mut self, character: u8, expected: &'static str) -> Result<(), Damaged> {
        self.expect(&[character, 0], expected)
    }

    /// Text up to its NUL, which is taken, too.
    fn text(&mut self, expected: &'static str) -> Result<Vec<u16>, Damaged> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let units: Vec<u16> = utf16::units_of_le(rest).take_while(|unit| *unit != 0).collect();
        self.take(units.len() * 2 + 2, expected)?;
        Ok(units)
    }

    fn number(&mut self, expected: &'static str) -> Result<u32, Damaged> {
        let bytes = self.take(4, expected)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn setting(&mut self) -> Result<Raw<'a>, Damaged> {
        self.delimiter(b'[', "[, with which a setting begins,")?;
        let key = self.text("the name of a key, with a NUL")?;
        self.delimiter(b';', "; behind the key")?;
        let value = self.text("the name of a value, with a NUL")?;
        self.delimiter(b';', "; behind the value's name")?;
        let value_type = self.number("a type")?;
        self.delimiter(b';', "; behind the type")?;
        let size = self.number("a size")?;
        self.delimiter(b';', "; behind the size")?;
        let data = self.take(size as usize, "as much data as the size says")?;
        self.delimiter(b']', "], with which a setting ends,")?;
        Ok(Raw { key, value, value_type, data })
    }
}

impl Policy {
    fn take(&mut self, number: usize, raw: Raw<'_>) {
        match instructions(&raw) {
            Ok((key, instructions, note)) => {
                self.notes.extend(note.map(|note| (number, note)));
                let setting = |what| Setting { number, key: key.clone(), what };
                self.settings.extend(instructions.into_iter().map(setting));
            }
            Err(left_out) => self.left_out.push((number, left_out)),
        }
    }
}

/// The key, what is asked for, and what is not exact.
type Read = (Vec<String>, Vec<Instruction>, Option<Inexact>);

fn instructions(raw: &Raw<'_>) -> Result<Read, LeftOut> {
    let key = text(&raw.key)?;
    let key: Vec<String> =
        key.trim_end_matches('\\').split('\\').map(names::from_windows).collect();
    if key.iter().any(String::is_empty) {
        return Err(LeftOut::Name);
    }
    let name = text(&raw.value)?;
    let Some(written) = name.strip_prefix("**") else {
        // What has no name, no type and no data is a key alone.
        if name.is_empty() && raw.value_type == 0 && raw.data.is_empty() {
            return Ok((key, vec![Instruction::Key], None));
        }
        let (value, note) = value(raw)?;
        return Ok((key, vec![Instruction::Set(name, value)], note));
    };
    let (code, argument) = written.split_once('.').unwrap_or((written, ""));
    let what = match code.trim_end().to_ascii_lowercase().as_str() {
        "del" => vec![Instruction::NoValue(argument.to_owned())],
        "delvals" => vec![Instruction::NoValues],
        "deletevalues" => list(raw)?.map(Instruction::NoValue).collect(),
        "deletekeys" => {
            let children = list(raw)?.map(|name| names::from_windows(&name));
            children.map(Instruction::NoKey).collect()
        }
        "soft" => {
            let (value, note) = value(raw)?;
            return Ok((key, vec![Instruction::SetIfAbsent(argument.to_owned(), value)], note));
        }
        "securekey" => return Err(LeftOut::SecureKey(key)),
        _ => return Err(LeftOut::Instruction(name)),
    };
    Ok((key, what, None))
}

fn text(units: &[u16]) -> Result<String, LeftOut> {
    String::from_utf16(units).map_err(|_| LeftOut::Name)
}

fn value(raw: &Raw<'_>) -> Result<(Value, Option<Inexact>), LeftOut> {
    windows::from_windows(raw.value_type, raw.data).map_err(|UnknownType(code)| LeftOut::Type(code))
}

/// The names in data, separated by `;`.
fn list(raw: &Raw<'_>) -> Result<impl Iterator<Item = String>, LeftOut> {
    let units: Vec<u16> = utf16::units_of_le(raw.data).take_while(|unit| *unit != 0).collect();
    let names: Vec<String> = text(&units)?.split(';').map(|name| name.trim().to_owned()).collect();
    Ok(names.into_iter().filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn setting(key: &str, value: &str, value_type: u32, data: &[u8]) -> Vec<u8> {
        let size = (data.len() as u32).to_le_bytes();
        [
            &wide(&format!("[{key}\0;{value}\0;"))[..],
            &value_type.to_le_bytes(),
            &wide(";"),
            &size,
            &wide(";"),
            data,
            &wide("]"),
        ]
        .concat()
    }

    fn file(settings: &[Vec<u8>]) -> Vec<u8> {
        [&b"PReg\x01\0\0\0"[..], &settings.concat()].concat()
    }

    fn read(settings: &[Vec<u8>]) -> Policy {
        parse(&file(settings)).unwrap()
    }

    fn asked(value: &str, value_type: u32, data: &[u8]) -> Vec<Instruction> {
        let policy = read(&[setting("A\\B", value, value_type, data)]);
        assert_eq!((policy.left_out, policy.notes), (Vec::new(), Vec::new()));
        assert!(policy.settings.iter().all(|setting| setting.key == ["A", "B"]));
        policy.settings.into_iter().map(|setting| setting.what).collect()
    }

    #[test]
    fn every_instruction_is_read() {
        let text = |text: &str| Value { value_type: 1, data: text.as_bytes().to_vec() };
        let name = |name: &str| name.to_owned();
        let hello = wide("Hello\0");
        assert_eq!(asked("V", 1, &hello), [Instruction::Set(name("V"), text("Hello"))]);
        assert_eq!(asked("", 1, &hello), [Instruction::Set(name(""), text("Hello"))]);
        assert_eq!(asked("", 0, b""), [Instruction::Key]);
        assert_eq!(asked("**del.V.x", 1, &wide(" \0")), [Instruction::NoValue(name("V.x"))]);
        assert_eq!(asked("**DelVals.", 1, &wide(" \0")), [Instruction::NoValues]);
        assert_eq!(asked("**delvals", 1, &wide(" \0")), [Instruction::NoValues]);
        assert_eq!(
            asked("**DeleteValues", 1, &wide("a; b;;\0")),
            [Instruction::NoValue(name("a")), Instruction::NoValue(name("b"))]
        );
        assert_eq!(
            asked("**DeleteKeys", 1, &wide("x/y;z\0")),
            [Instruction::NoKey(name("x%2Fy")), Instruction::NoKey(name("z"))]
        );
        assert_eq!(
            asked("**Soft.V", 1, &hello),
            [Instruction::SetIfAbsent(name("V"), text("Hello"))]
        );
    }

    #[test]
    fn what_is_not_taken_over_is_told() {
        let policy = read(&[
            setting("A", "**SecureKey", 4, &[1, 0, 0, 0]),
            setting("A", "**Frobnicate.x", 1, &wide("\0")),
            setting("A", "V", 99, b"x"),
            setting("", "V", 4, &[0; 4]),
            setting("A\\\\B", "V", 4, &[0; 4]),
            setting("A", "V", 1, &wide("no terminator")),
        ]);
        let told: Vec<_> = policy.left_out.iter().map(|(number, what)| (*number, what)).collect();
        assert_eq!(
            told,
            [
                (1, &LeftOut::SecureKey(vec!["A".to_owned()])),
                (2, &LeftOut::Instruction("**Frobnicate.x".to_owned())),
                (3, &LeftOut::Type(99)),
                (4, &LeftOut::Name),
                (5, &LeftOut::Name),
            ]
        );
        assert_eq!(policy.notes, [(6, Inexact::MissingTerminator)]);
        assert_eq!(policy.settings.len(), 1);
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let whole = file(&[setting("A", "V", 4, &[1, 0, 0, 0])]);
        assert_eq!(parse(b"PReg\x02\0\0\0").unwrap_err().expected, "the version 1");
        assert_eq!(parse(b"regf").unwrap_err().offset, 0);
        for length in 9..whole.len() {
            let damaged = parse(&whole[..length]).unwrap_err();
            assert_eq!(damaged.number, 1);
            assert!(damaged.offset <= length);
        }
        let mut too_large = whole.clone();
        let size = whole.len() - 2 - 4 - 2 - 4;
        too_large[size..size + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(parse(&too_large).unwrap_err().expected, "as much data as the size says");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, whole in any::<bool>()) {
            let bytes = if whole { file(&[bytes]) } else { bytes };
            let _ = parse(&bytes);
        }

        #[test]
        fn settings_come_back(settings in prop::collection::vec(("[^\\\\/\0*%]{1,9}", "[^*\0][^\0]{0,8}", any::<Vec<u8>>()), 0..8)) {
            let written: Vec<_> = settings.iter().map(|(key, name, data)| setting(key, name, 3, data)).collect();
            let policy = read(&written);
            let expected: Vec<_> = settings.iter().enumerate().map(|(number, (key, name, data))| Setting {
                number: number + 1,
                key: vec![key.clone()],
                what: Instruction::Set(name.clone(), Value { value_type: 3, data: data.clone() }),
            }).collect();
            prop_assert_eq!(policy.settings, expected);
        }
    }
}
