//! Names of keys, hives, layers and values.
//!
//! Names keep the case they were written in and are compared by their folded spelling: simple case folding
//! (C+S) of Unicode 16.0, no normalisation, no locale.

use alloc::borrow::ToOwned;
use alloc::string::String;

use icu_casemap::CaseMapper;
use lcs_abi::rsi;

/// The longest name that any setting allows, in bytes of UTF-8.
const MAX_LENGTH: usize = 1024;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name of a key, a hive or a layer is empty.
    Empty,
    /// It contains NUL.
    Nul,
    /// The name of a key, a hive or a layer contains `\` or `/`.
    Separator,
    /// It is longer than MaxPathComponentLength.
    TooLong,
}

/// Folds a name for comparison.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let mapper = CaseMapper::new();
    name.chars().map(|c| mapper.simple_fold(c)).collect()
}

/// The name of a key, a hive or a layer: not empty, without `\`, `/` and NUL, and, when it was checked,
/// not longer than MaxPathComponentLength.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(rsi::Name);

impl KeyName {
    /// Checks a name; `max_length` is in bytes of UTF-8.
    pub fn new(name: &str, max_length: usize) -> Result<KeyName, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.contains(['\\', '/']) {
            return Err(NameError::Separator);
        }
        checked(name, max_length).map(KeyName)
    }
}

/// The name of a value: without NUL, possibly empty (the default value), and, when it was checked, not
/// longer than MaxPathComponentLength.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueName(rsi::Name);

impl ValueName {
    /// Checks a name; `max_length` is in bytes of UTF-8.
    pub fn new(name: &str, max_length: usize) -> Result<ValueName, NameError> {
        checked(name, max_length).map(ValueName)
    }
}

/// What both kinds of names have.
macro_rules! spellings {
    ($($name:ident),*) => {
        $(impl $name {
            /// Checks what a source says is a name, both spellings of it.
            pub fn from_source(name: &rsi::Name) -> Option<$name> {
                $name::new(&name.display, MAX_LENGTH).ok().filter(|checked| checked.0 == *name)
            }

            /// As written.
            pub fn display(&self) -> &str {
                &self.0.display
            }

            /// Folded.
            pub fn folded(&self) -> &str {
                &self.0.folded
            }

            /// Both spellings, for a source.
            pub fn to_rsi(&self) -> rsi::Name {
                self.0.clone()
            }
        })*
    };
}

spellings!(KeyName, ValueName);

fn checked(name: &str, max_length: usize) -> Result<rsi::Name, NameError> {
    if name.contains('\0') {
        return Err(NameError::Nul);
    }
    if name.len() > max_length {
        return Err(NameError::TooLong);
    }
    Ok(rsi::Name { display: name.to_owned(), folded: fold(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_that_of_unicode_16_0_for_every_code_point() {
        // FNV-1a over the UTF-32LE of every scalar value that folds to another, and what it folds to.
        // Computed from CaseFolding.txt 16.0.0 (statuses C and S) by another program.
        let mapper = CaseMapper::new();
        let mut count = 0;
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for c in '\0'..=char::MAX {
            let folded = mapper.simple_fold(c);
            if folded == c {
                continue;
            }
            count += 1;
            for byte in [c, folded].into_iter().flat_map(|c| (c as u32).to_le_bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        assert_eq!((count, hash), (1484, 0x6893_eb0d_d408_6f27));
    }

    #[test]
    fn the_ascii_shortcut_folds_as_the_table_does() {
        let mapper = CaseMapper::new();
        for c in '\0'..='\x7F' {
            assert_eq!(mapper.simple_fold(c), c.to_ascii_lowercase());
        }
    }

    #[test]
    fn sharp_s_and_dotted_i_fold_as_simple_folding_says() {
        assert_eq!(fold("STRAẞE"), "straße");
        assert_eq!(fold("İ"), "İ");
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("Σίσυφος"));
        assert_ne!(fold("é"), fold("e\u{301}"));
    }

    #[test]
    fn names_that_a_key_cannot_have() {
        assert_eq!(KeyName::new("", 255), Err(NameError::Empty));
        assert_eq!(KeyName::new("a\\b", 255), Err(NameError::Separator));
        assert_eq!(KeyName::new("a/b", 255), Err(NameError::Separator));
        assert_eq!(KeyName::new("a\0b", 255), Err(NameError::Nul));
        assert_eq!(KeyName::new("ää", 3), Err(NameError::TooLong));
        assert!(KeyName::new("ää", 4).is_ok());
        assert!(KeyName::new("..", 255).is_ok());
    }

    #[test]
    fn a_value_name_may_be_empty_and_contain_separators() {
        assert!(ValueName::new("", 255).is_ok());
        assert!(ValueName::new("a\\b/c", 255).is_ok());
        assert_eq!(ValueName::new("a\0", 255), Err(NameError::Nul));
    }

    #[test]
    fn a_source_cannot_pass_off_another_folding() {
        let name = |display: &str, folded: &str| rsi::Name {
            display: display.into(),
            folded: folded.into(),
        };
        assert!(KeyName::from_source(&name("Tea", "tea")).is_some());
        assert!(KeyName::from_source(&name("Tea", "coffee")).is_none());
        assert!(KeyName::from_source(&name("a\\b", "a\\b")).is_none());
    }
}
