//! What a check says, and how it finds out.

use std::fmt::{Debug, Display};
use std::io::{self, ErrorKind};

use libreg::Error;

use crate::exit::Failure;

/// What came of a check.
pub type Outcome<T = ()> = Result<T, Trouble>;

/// Why a check is not all right.
pub enum Trouble {
    /// Something is not as it is to be.
    Differs(String),
    /// Something was not done that is to be done.
    Failed(Failure),
    /// It was not tried, for this caller may not.
    Skipped(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Failed(error.into())
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

/// Something is not as it is to be.
pub fn differs(what: impl Display) -> Trouble {
    Trouble::Differs(what.to_string())
}

/// What was found must be what was expected.
pub fn same<T: PartialEq<U> + Debug, U: Debug>(what: &str, found: T, expected: U) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(differs(format_args!("{what}: {found:?} instead of {expected:?}")))
    }
}

/// A request must fail with this error number.
pub fn refused<T>(what: &str, outcome: Result<T, Error>, errno: i32) -> Outcome {
    let words = io::Error::from_raw_os_error(errno);
    match outcome {
        Err(error) if error.errno() == Some(errno) => Ok(()),
        Err(error) => Err(differs(format_args!("{what}: \"{error}\" instead of \"{words}\""))),
        Ok(_) => Err(differs(format_args!("{what}: done, instead of \"{words}\""))),
    }
}

/// A file operation must succeed.
pub fn done<T>(what: &str, outcome: io::Result<T>) -> Outcome<T> {
    outcome.map_err(|error| differs(format_args!("{what}: {error}")))
}

/// A file operation must fail with an error of this kind.
pub fn fails<T>(what: &str, outcome: io::Result<T>, kind: ErrorKind) -> Outcome {
    match outcome {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(differs(format_args!("{what}: \"{error}\" instead of \"{kind}\""))),
        Ok(_) => Err(differs(format_args!("{what}: done, instead of \"{kind}\""))),
    }
}
