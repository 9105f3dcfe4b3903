//! Names of keys and values as names of files (INTERFACES §1).
//!
//! What a file's name cannot carry is written `%XX`, the default value is `@`, and a value whose key has a
//! subkey of the same name is `name%val`: what Cygwin's `/proc/registry` does, so people know it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The file of the default value.
const DEFAULT_VALUE: &str = "@";

/// What marks a value's file beside a subkey of the same name. No encoded name ends like this, for `%` is
/// followed by two hexadecimal digits there.
const VALUE_SUFFIX: &str = "%val";

/// Why a text is no path of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePathError {
    /// A leading, trailing or doubled separator, or `..`: a handle never leads up or out.
    Component,
    /// `%` that is not followed by two hexadecimal digits, or what they stand for is not UTF-8.
    Encoding,
}

/// One component of a file's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The name of the key or the value.
    pub name: String,
    /// It can only be a value's.
    pub is_value: bool,
}

impl FileName {
    fn parse(component: &str) -> Result<FileName, FilePathError> {
        if component == DEFAULT_VALUE {
            return Ok(FileName { name: String::new(), is_value: true });
        }
        let (encoded, is_value) = match component.strip_suffix(VALUE_SUFFIX) {
            Some(encoded) => (encoded, true),
            None => (component, false),
        };
        if encoded.is_empty() || encoded == ".." {
            return Err(FilePathError::Component);
        }
        Ok(FileName { name: decode(encoded)?, is_value })
    }
}

/// Splits the path of a file. `.` is dropped.
pub fn parse_file_path(path: &str) -> Result<Vec<FileName>, FilePathError> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let components = path.split(['\\', '/']).filter(|component| *component != ".");
    components.map(FileName::parse).collect()
}

fn decode(encoded: &str) -> Result<String, FilePathError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first == b'%' {
            let (digits, others) = others.split_at_checked(2).ok_or(FilePathError::Encoding)?;
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let (Some(high), Some(low)) = (digit(digits[0]), digit(digits[1])) else {
                return Err(FilePathError::Encoding);
            };
            bytes.push((high << 4 | low) as u8);
            rest = others;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| FilePathError::Encoding)
}

/// The name of a key's directory.
pub fn key_file_name(name: &str) -> String {
    match name {
        "." | ".." | DEFAULT_VALUE => name.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        _ => encode(name),
    }
}

/// The name of a value's file; `beside_key`: its key has a subkey of the same name.
pub fn value_file_name(name: &str, beside_key: bool) -> String {
    if name.is_empty() {
        return DEFAULT_VALUE.into();
    }
    let mut file = key_file_name(name);
    if beside_key {
        file.push_str(VALUE_SUFFIX);
    }
    file
}

fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '/' | '\\' | '\0' | '%' => encoded.push_str(&format!("%{:02X}", u32::from(c))),
            _ => encoded.push(c),
        }
    }
    encoded
}

/// The path of a key's directory below the scheme, of the path of a key: that of names as their creators
/// spelled them, joined by `\`.
pub fn key_file_path(path: &str) -> String {
    let names: Vec<String> = path.split('\\').map(key_file_name).collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(component: &str) -> Result<(String, bool), FilePathError> {
        let mut path = parse_file_path(component)?;
        assert_eq!(path.len(), 1, "{component}");
        let FileName { name, is_value } = path.remove(0);
        Ok((name, is_value))
    }

    #[test]
    fn every_name_comes_back_from_its_file() {
        let names = [
            "plain",
            "with space",
            "a/b\\c",
            "50%",
            "%41",
            ".",
            "..",
            "...",
            "@",
            "@x",
            "x%val",
            "a\nb",
            "\"quoted\"",
            "naïve ☃",
            "%",
            "%%val",
            ".hidden",
        ];
        for name in names {
            assert_eq!(one(&key_file_name(name)), Ok((name.into(), false)));
            assert_eq!(one(&value_file_name(name, false)), Ok((name.into(), false)));
            assert_eq!(one(&value_file_name(name, true)), Ok((name.into(), true)));
            assert!(!key_file_name(name).contains(['/', '\\', '\0']));
        }
        assert_eq!(one(&value_file_name("", false)), Ok((String::new(), true)));
        assert_eq!(value_file_name("", true), "@");
    }

    #[test]
    fn names_that_files_can_have_stay_as_they_are() {
        assert_eq!(key_file_name("Program Files (x86)"), "Program Files (x86)");
        assert_eq!(key_file_name("a/b"), "a%2Fb");
        assert_eq!(key_file_name(".."), "%2E%2E");
        assert_eq!(key_file_name("@"), "%40");
        assert_eq!(key_file_path("Machine\\a%\\.."), "Machine/a%25/%2E%2E");
    }

    #[test]
    fn a_path_never_leads_up_or_out() {
        for path in ["..", "a/..", "../a", "/a", "a/", "a//b", "\\a", "/", "%val", "a/..\\b"] {
            assert_eq!(parse_file_path(path), Err(FilePathError::Component), "{path}");
        }
        assert_eq!(parse_file_path("./a/./b").unwrap().len(), 2);
        assert_eq!(parse_file_path("."), Ok(Vec::new()));
        assert_eq!(parse_file_path(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_encoding_is_refused() {
        for path in ["50%", "%4", "%zz", "%FF", "%+4", "a%"] {
            assert_eq!(one(path), Err(FilePathError::Encoding), "{path}");
        }
        assert_eq!(one("%e2%98%83"), Ok(("☃".into(), false)));
    }
}
