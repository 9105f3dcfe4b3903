//! Reading SDDL.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use lcs_abi::security::Access;

use super::names::{ACE_FLAGS, MASKS, RIGHTS, SIDS};
use super::{DACL_FLAGS, NO_LIST, SACL_FLAGS};
use crate::security::acl::{ACE_RIGHTS, Ace, AceFlags, AceKind, Acl, AclKind};
use crate::security::descriptor::{AclPart, Control, SecurityDescriptor};
use crate::security::sid::Sid;

/// The names of all kinds of ACEs that other systems have and this one does not.
const OTHER_KINDS: [&str; 16] = [
    "OA", "OD", "OU", "AL", "OL", "ML", "XA", "XD", "XU", "ZA", "ZD", "ZU", "RA", "SP", "TL", "FL",
];

/// Why a text is no SDDL, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SddlError {
    /// How many bytes of the text precede what is wrong.
    pub position: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// One of these was expected.
    Expected(&'static str),
    /// The same part a second time.
    Twice(char),
    /// No SID, and no name of one.
    Sid(String),
    /// A kind of ACE that nobody knows.
    Kind(String),
    /// A kind of ACE that a registry does not have, or not in this list.
    UnsupportedKind(String),
    /// Not the flags of an ACE.
    Flags(String),
    /// Neither names of rights nor a number.
    Mask(String),
    /// Rights that a key does not have.
    Rights(u32),
    /// ACEs for objects, with GUIDs.
    Guid,
    /// The list is too long for its binary form.
    TooLong,
}

impl fmt::Display for SddlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: ", self.position + 1)?;
        match &self.problem {
            Problem::Expected(what) => write!(f, "{what} expected"),
            Problem::Twice(letter) => write!(f, "a second {letter}:"),
            Problem::Sid(text) => {
                write!(f, "{text:?} is neither a SID (S-1-…) nor the name of one")
            }
            Problem::Kind(text) => write!(f, "{text:?} is no kind of ACE (A, D or AU)"),
            Problem::UnsupportedKind(text) => {
                write!(f, "an ACE of kind {text} is not for this list")
            }
            Problem::Flags(text) => {
                write!(f, "{text:?} are no flags of an ACE (OI, CI, NP, IO, ID, SA, FA)")
            }
            Problem::Mask(text) => {
                write!(f, "{text:?} are no rights (KA, KR, KW, GR, SD, RC, WD, WO, … or 0x…)")
            }
            Problem::Rights(bits) => write!(f, "keys do not have the rights {bits:#x}"),
            Problem::Guid => f.write_str("keys have no ACEs for objects"),
            Problem::TooLong => f.write_str("the list is longer than 65535 bytes"),
        }
    }
}

impl core::error::Error for SddlError {}

impl FromStr for SecurityDescriptor {
    type Err = SddlError;

    fn from_str(text: &str) -> Result<SecurityDescriptor, SddlError> {
        parse(text)
    }
}

/// Reads a security descriptor. Blanks and line breaks may stand between its parts and between ACEs.
pub fn parse(text: &str) -> Result<SecurityDescriptor, SddlError> {
    let mut reader = Reader { text, rest: text };
    let mut seen = Vec::new();
    let (mut owner, mut group, mut control) = (None, None, Control::empty());
    let (mut dacl, mut sacl) = (AclPart::Absent, AclPart::Absent);
    loop {
        reader.skip_blanks();
        if reader.rest.is_empty() {
            break;
        }
        let start = reader.position();
        let letter = reader.section()?;
        if seen.contains(&letter) {
            return Err(SddlError { position: start, problem: Problem::Twice(letter) });
        }
        seen.push(letter);
        match letter {
            'O' => owner = Some(reader.sid_before_section()?),
            'G' => group = Some(reader.sid_before_section()?),
            'D' => dacl = reader.list(AclKind::Dacl, &mut control)?,
            _ => sacl = reader.list(AclKind::Sacl, &mut control)?,
        }
    }
    // Each list was read as the kind that it is.
    SecurityDescriptor::new(owner, group, control, dacl, sacl)
        .ok_or(SddlError { position: 0, problem: Problem::Expected("a security descriptor") })
}

/// A mask: names of rights without anything between them, or a number.
pub(super) fn mask(text: &str) -> Option<Access> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return number(text).map(Access::from_bits_retain);
    }
    let mut rest = text;
    let mut mask = Access::empty();
    while !rest.is_empty() {
        let (name, more) = rest.split_at_checked(2)?;
        let mut known = MASKS.iter().chain(&RIGHTS);
        let (_, right) = known.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        mask |= *right;
        rest = more;
    }
    Some(mask)
}

/// A number as in C: hexadecimal after `0x`, octal after `0`, else decimal.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // The standard library takes a sign, too.
    let plain = digits.starts_with(|digit: char| digit.is_digit(radix));
    plain.then(|| u32::from_str_radix(digits, radix).ok())?
}

fn sid(text: &str) -> Option<Sid> {
    let named = SIDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, sid)| *sid).or_else(|| text.parse().ok())
}

/// What is still to be read.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn fail<T>(&self, problem: Problem) -> Result<T, SddlError> {
        Err(SddlError { position: self.position(), problem })
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn begins(&self, prefix: &str) -> bool {
        self.rest.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    fn take(&mut self, prefix: &str) -> bool {
        let begins = self.begins(prefix);
        if begins {
            self.rest = self.rest.get(prefix.len()..).unwrap_or_default();
        }
        begins
    }

    /// Takes what stands before the first of these characters.
    fn take_until(&mut self, ends: &[char]) -> &'a str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes the letter and the colon with which a part begins.
    fn section(&mut self) -> Result<char, SddlError> {
        match ['O', 'G', 'D', 'S'].into_iter().find(|letter| self.begins_section(*letter)) {
            Some(letter) => {
                self.rest = self.rest.get(2..).unwrap_or_default();
                Ok(letter)
            }
            None => self.fail(Problem::Expected("O:, G:, D: or S:")),
        }
    }

    fn begins_section(&self, letter: char) -> bool {
        let mut characters = self.rest.chars();
        characters.next().is_some_and(|first| first.eq_ignore_ascii_case(&letter))
            && characters.next() == Some(':')
    }

    /// A SID, which ends where the next part begins: a letter before a colon is not one of its own.
    fn sid_before_section(&mut self) -> Result<Sid, SddlError> {
        let whole = self.rest.split(':').next().unwrap_or_default();
        let own = if whole.len() == self.rest.len() {
            whole.len()
        } else {
            whole.char_indices().next_back().map_or(0, |(index, _)| index)
        };
        let text = self.rest.get(..own).unwrap_or_default().trim_end();
        let Some(sid) = sid(text) else {
            return self.fail(Problem::Sid(text.to_string()));
        };
        self.rest = self.rest.get(own..).unwrap_or_default();
        Ok(sid)
    }

    fn list(&mut self, kind: AclKind, control: &mut Control) -> Result<AclPart, SddlError> {
        let flags = match kind {
            AclKind::Dacl => &DACL_FLAGS,
            AclKind::Sacl => &SACL_FLAGS,
        };
        let start = self.position();
        let mut aces = Vec::new();
        loop {
            self.skip_blanks();
            if aces.is_empty() && self.take(NO_LIST) {
                return Ok(AclPart::Null);
            }
            let flag = flags.iter().find(|(name, _)| aces.is_empty() && self.begins(name));
            if let Some((name, flag)) = flag {
                self.take(name);
                *control |= *flag;
            } else if self.take("(") {
                aces.push(self.ace(kind)?);
            } else {
                break;
            }
        }
        // What else could be wrong with them has been looked at.
        let too_long = |_| SddlError { position: start, problem: Problem::TooLong };
        Acl::new(kind, aces).map(AclPart::List).map_err(too_long)
    }

    /// An ACE, behind its opening parenthesis.
    fn ace(&mut self, list: AclKind) -> Result<Ace, SddlError> {
        let kind = self.field(|text| {
            let kind = match text.to_ascii_uppercase().as_str() {
                "A" => AceKind::Allow,
                "D" => AceKind::Deny,
                "AU" => AceKind::Audit,
                other if OTHER_KINDS.contains(&other) => {
                    return Err(Problem::UnsupportedKind(text.to_string()));
                }
                _ => return Err(Problem::Kind(text.to_string())),
            };
            if (kind == AceKind::Audit) == (list == AclKind::Sacl) {
                Ok(kind)
            } else {
                Err(Problem::UnsupportedKind(text.to_string()))
            }
        })?;
        let flags =
            self.field(|text| flags(text).ok_or_else(|| Problem::Flags(text.to_string())))?;
        let mask = self.field(|text| {
            let mask = mask(text).ok_or_else(|| Problem::Mask(text.to_string()))?;
            let unknown = mask - ACE_RIGHTS;
            if unknown.is_empty() { Ok(mask) } else { Err(Problem::Rights(unknown.bits())) }
        })?;
        for _ in 0..2 {
            self.field(|guid| if guid.is_empty() { Ok(()) } else { Err(Problem::Guid) })?;
        }
        let sid =
            self.last_field(|text| sid(text).ok_or_else(|| Problem::Sid(text.to_string())))?;
        Ok(Ace { kind, flags, mask, sid })
    }

    /// A field that another one follows.
    fn field<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Problem>) -> Result<T, SddlError> {
        self.field_before(";", read)
    }

    fn last_field<T>(
        &mut self,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<T, SddlError> {
        self.field_before(")", read)
    }

    fn field_before<T>(
        &mut self,
        end: &'static str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<T, SddlError> {
        let position = self.position();
        let text = self.take_until(&[';', ')', '(']);
        if !self.take(end) {
            return self.fail(Problem::Expected(end));
        }
        read(text.trim()).map_err(|problem| SddlError { position, problem })
    }
}

/// The flags of an ACE: names without anything between them.
fn flags(text: &str) -> Option<AceFlags> {
    let mut rest = text;
    let mut flags = AceFlags::empty();
    while !rest.is_empty() {
        let (name, more) = rest.split_at_checked(2)?;
        let (_, flag) = ACE_FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        flags |= *flag;
        rest = more;
    }
    Some(flags)
}
