//! Registration files (`.reg`), as regedit writes and reads them.
//!
//! What is read: "Windows Registry Editor Version 5.00" in UTF-16 (with or without byte order mark), in
//! UTF-8, or in the ANSI code page, and REGEDIT4 in the ANSI code page, which is taken to be Windows-1252.
//! What is written: version 5, in UTF-16LE with a byte order mark and CRLF, or in UTF-8 with LF.
//!
//! ```text
//! Windows Registry Editor Version 5.00
//!
//! ; a comment
//! [HKEY_LOCAL_MACHINE\Software\Example]     make the key; a trailing \ is dropped
//! @="text"                                  the default value; \\ and \" are escapes
//! "name"=dword:0000002a
//! "list"=hex(7):61,00,00,00,\               any type by its number; \ continues on the next line
//!   00,00
//! "old"=-                                   delete the value
//! [-HKEY_LOCAL_MACHINE\Software\Other]      delete the key and all under it
//! ```
//!
//! In `hex` data of version 5 text is UTF-16LE with terminators, in REGEDIT4 it is ANSI; the registry's own
//! text is UTF-8 without. [`data`] converts and says what is not exact. A quoted string may contain line
//! breaks, as regedit's exports do. An unknown escape (`\n`) is kept as written: people forget to double
//! the backslashes of a path.
//!
//! A Windows key name may contain `/`, which is a separator here. [`libreg::windows::names`] tells how such a
//! name is kept.

pub mod data;
mod decode;
mod parse;
mod write;

pub use libreg::windows::Value;
pub use parse::{Document, Entry, Problem, ProblemKind, Section, SectionKind, Version, parse};
pub use write::{Encoding, InexpressibleName, Writer};

use data::Inexact;

/// Something that is not exactly as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line, counted from 1.
    pub line: usize,
    /// What differs.
    pub what: Inexact,
}

#[cfg(test)]
mod tests;
