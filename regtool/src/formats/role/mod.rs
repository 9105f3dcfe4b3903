//! Role files: what `regtool role install` puts on, in TOML.
//!
//! ```toml
//! name = "web-server"                      # the layer's name
//! description = "Ports and limits of a web server"
//!
//! [[key]]
//! path = 'Machine\Software\Web'            # made if it is not there, with the keys that lead to it
//! sd = "D:P(A;CI;KA;;;BA)(A;CI;KR;;;AU)"   # SDDL; only of a key that the role itself makes
//! mask = true                              # nothing counts that other layers have here up to now
//!
//! [key.values]
//! "@" = "the default value"
//! Root = "/srv/www"                        # sz
//! Port = 8080                              # dword; a qword if it is larger than that
//! Verbose = true                           # dword, 1 or 0
//! Modules = ["gzip", "tls"]                # multi_sz
//! Cache = { expand_sz = "%TMP%/web" }      # any type: sz, multi_sz, dword, dword_be, qword, binary, none, link, …
//! Secret = { binary = "00 ff 2a" }
//! Old = { tombstone = true }               # not there, whatever other layers have up to now
//!
//! [[key]]
//! path = 'Machine\Software\WebCurrent'
//! link = 'Machine\Software\Web'            # a link; one that is there leads here while the role is installed
//!
//! [[key]]
//! path = 'Machine\Software\Old'
//! hide = true                              # not there while the role is installed
//! ```
//!
//! Paths are written as on the command line. A key and a value of a key are written once. Everything is checked,
//! and told with its line, before anything is done.
//!
//! `regtool import` and `regtool export --format toml` have the same shape, for keys of any hive and without a name.
//! A key may be `volatile = true` there. What is not as its type says, or of a type without a name, and a value whose
//! name is `@`, is written with its name as it stands and its bytes:
//!
//! ```toml
//! [[key.value]]
//! name = "@"
//! type = "dword"                           # or a number
//! hex = "01 02 03"
//! ```

mod check;
mod parse;
mod value;
mod write;

pub use parse::{parse, parse_keys};
pub use write::Writer;

use libreg::security::SecurityDescriptor;

use super::reg::Value;
use crate::path::Path;

/// What a role file says, checked as far as that can be without a registry: the name can be a layer's, keys
/// occur once and values once in each, no key is in CurrentUser or below a key that the file hides or makes a link.
#[derive(Debug)]
pub struct Role {
    /// The name, which is that of its layer.
    pub name: Located<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it writes, parents first.
    pub keys: Vec<RoleKey>,
}

/// Something with the line where it stands, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The line.
    pub line: usize,
    /// What stands there.
    pub item: T,
}

/// What a role has to do with one key.
#[derive(Debug)]
pub struct RoleKey {
    /// Where it is; the line is that of the path.
    pub path: Located<Path>,
    /// What is done there.
    pub what: KeyContent,
}

/// What is done with a key.
#[derive(Debug)]
pub enum KeyContent {
    /// It is hidden.
    Hide,
    /// It is a link to this path.
    Link {
        /// Where it leads.
        target: Located<Path>,
        /// Who may do what with the link, if it is to be said.
        sd: Option<Located<SecurityDescriptor>>,
    },
    /// It is there.
    Key {
        /// It lives as long as its source; never in a role.
        volatile: bool,
        /// Who may do what with it, if it is to be said.
        sd: Option<Located<SecurityDescriptor>>,
        /// Whether the values of other layers are masked.
        mask: bool,
        /// Its values, in the order of the file.
        values: Vec<RoleValue>,
    },
}

impl RoleKey {
    /// Its security descriptor, if it is to be said.
    pub fn sd(&self) -> Option<&Located<SecurityDescriptor>> {
        match &self.what {
            KeyContent::Hide => None,
            KeyContent::Link { sd, .. } | KeyContent::Key { sd, .. } => sd.as_ref(),
        }
    }
}

/// A value of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleValue {
    /// Its name, empty for the default value; the line is that of the value.
    pub name: Located<String>,
    /// `None`: a tombstone.
    pub value: Option<Value>,
}

/// Something that is wrong with a role file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

#[cfg(test)]
mod tests;
