//! A door: one way into the registry. What is asked is said in names of keys and values; how a door spells them
//! is its own matter.

use rustix::io::Errno;

/// Names of keys from the scratch key down, and the name of the key or value in question.
pub type Place<'a> = &'a [&'a str];

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Key,
    Value,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// The text form of a value.
    Read(Place<'a>),
    /// Replace a value by what this text form means; it is made as a text if it is not there.
    Write(Place<'a>, &'a [u8]),
    /// What is in a key.
    List(Place<'a>),
    /// What a name leads to, and for a value how long its text form is. A key comes before a value.
    Stat(Place<'a>),
    /// Make a key, where nothing is.
    MakeKey(Place<'a>),
    RemoveValue(Place<'a>),
    RemoveKey(Place<'a>),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Done,
    Text(Vec<u8>),
    /// In the order of names.
    Entries(Vec<(String, Kind)>),
    Key,
    /// With the length of its text form.
    Value(u64),
}

pub type Answer<T = Got> = Result<T, Errno>;

/// A way in.
pub trait Door {
    /// Asks below the scratch key.
    fn ask(&self, scratch: &str, what: Ask) -> Answer;
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Who started the registry.
    Owner,
    /// Somebody who may only read `Machine`.
    Other,
}

/// The other user's uid and gid.
pub const OTHER: u32 = 2_000_003;
