//! Every way to fail: the one line that says so, and the exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use libreg::{MissingRights, Registry};

use crate::path::PathError;

/// The exit codes (INTERFACES.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Done = 0,
    /// Not found; for `check` and `find`: no; for `diff`: something differs.
    NotFound = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Access denied.
    AccessDenied = 3,
    /// The registry or a source is not there, or did not answer in time.
    Unavailable = 4,
    /// Anything else, as what `selftest` finds.
    Other = 5,
}

/// A command that did not do what it was to do.
#[derive(Debug)]
pub enum Failure {
    /// The registry said no.
    Registry(libreg::Error),
    /// The registry said no, and it is known which rights it takes.
    Denied {
        /// What it said.
        error: libreg::Error,
        /// The rights.
        missing: Box<MissingRights>,
    },
    /// The answer of `check` and `find` is no; there is nothing to say.
    No,
    /// The answer is no, or, of `diff`, not the same; it has been printed.
    PrintedNo,
    /// What was looked at is not as it should be, as `selftest` has printed.
    PrintedFaults,
    /// The shell is in no transaction.
    NoTransaction,
    /// What a person wrote is no path.
    Path(PathError),
    /// What a person wrote makes no sense in another way.
    Usage {
        /// The path or option concerned.
        subject: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file, or the standard output, cannot be read or written.
    File {
        /// Its name.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// The registry, or the hive without which nothing works, is not up.
    NotUp(String),
    /// A command that was run ended with this exit code, which is ours; it has said what there is to say.
    Ended(u8),
    /// Part of the work was not done. What, has been said in more than this line.
    Partial {
        /// The file or key concerned.
        subject: String,
        /// How much.
        what: String,
        /// The exit code, if all of it failed in the same way.
        code: Code,
    },
}

impl Failure {
    /// A failure of the standard output.
    pub fn output(error: io::Error) -> Failure {
        Failure::File { name: "standard output".to_owned(), error }
    }

    /// A failure of a stream that the registry gives or takes, of the key with this path.
    pub fn of_stream(path: &str, error: io::Error) -> Failure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<libreg::Error>()) {
            Some(error) => Failure::Registry(error.clone()),
            None => Failure::File { name: path.to_owned(), error },
        }
    }

    /// An error of the registry; which rights are missing is found out if that is what it is about.
    pub fn explained(registry: &Registry, error: libreg::Error) -> Failure {
        match registry.missing_rights(&error) {
            Some(missing) => Failure::Denied { error, missing: Box::new(missing) },
            None => Failure::Registry(error),
        }
    }

    /// Whether there is nobody to tell, or all has been said.
    pub fn is_told(&self) -> bool {
        matches!(self, Failure::PrintedNo | Failure::PrintedFaults | Failure::Ended(_))
            || self.code() == Code::Done
    }

    /// The exit code; of a command that was run, what it comes to among ours.
    pub fn code(&self) -> Code {
        match self {
            Failure::Registry(error) => code_of(error),
            Failure::Denied { .. } => Code::AccessDenied,
            Failure::No | Failure::PrintedNo => Code::NotFound,
            Failure::Path(_) | Failure::Usage { .. } | Failure::NoTransaction => Code::Usage,
            // Whoever read our output had enough; that is no failure of ours.
            Failure::File { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => Code::Done,
            Failure::File { .. } | Failure::Ended(_) | Failure::PrintedFaults => Code::Other,
            Failure::NotUp(_) => Code::Unavailable,
            Failure::Partial { code, .. } => *code,
        }
    }
}

/// The exit code of an error of the registry.
fn code_of(error: &libreg::Error) -> Code {
    if error.is_unavailable() {
        Code::Unavailable
    } else if error.is_not_found() {
        Code::NotFound
    } else if error.is_access_denied() {
        Code::AccessDenied
    } else {
        Code::Other
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Registry(error) => error.fmt(f),
            Failure::Denied { error, missing } if missing.path == error.path => {
                write!(f, "{error}: {}", missing.words())
            }
            Failure::Denied { error, missing } => write!(f, "{error}: {missing}"),
            Failure::No | Failure::PrintedNo => f.write_str("no"),
            Failure::PrintedFaults => f.write_str("not all is as it should be"),
            Failure::NoTransaction => f.write_str("there is no transaction"),
            Failure::Path(error) => error.fmt(f),
            Failure::Usage { subject, what } | Failure::Partial { subject, what, .. } => {
                write!(f, "{subject}: {what}")
            }
            Failure::File { name, error } => write!(f, "{name}: {error}"),
            Failure::NotUp(what) => f.write_str(what),
            Failure::Ended(code) => write!(f, "the command ended with exit code {code}"),
        }
    }
}

impl From<libreg::Error> for Failure {
    fn from(error: libreg::Error) -> Failure {
        Failure::Registry(error)
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Failure {
        Failure::Path(error)
    }
}

/// Says on stderr what failed, if anything, and gives the exit code.
pub fn report(outcome: Result<(), Failure>) -> ExitCode {
    let code = match outcome {
        Ok(()) => Code::Done as u8,
        Err(Failure::Ended(code)) => code,
        Err(failure) => {
            if !(failure.is_told() || matches!(failure, Failure::No)) {
                complain(&failure);
            }
            failure.code() as u8
        }
    };
    ExitCode::from(code)
}

/// One line on stderr. If nobody takes it there is nobody to tell.
pub fn complain(what: &dyn fmt::Display) {
    use io::Write;
    let line = crate::output::one_line(&what.to_string()).into_owned();
    let _ = writeln!(io::stderr(), "regtool: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use libreg::{Access, Attempt, Cause, Error};

    fn registry(attempt: Attempt, errno: i32) -> Failure {
        Failure::Registry(Error { path: "Machine".to_owned(), attempt, cause: Cause::Errno(errno) })
    }

    const OPEN: Attempt = Attempt::OpenKey { access: Access::MAXIMUM_ALLOWED, link: false };

    #[test]
    fn each_failure_has_the_exit_code_that_the_interface_says() {
        const ENOENT: i32 = 2;
        const EIO: i32 = 5;
        const EACCES: i32 = 13;
        const ENODEV: i32 = 19;
        const EINVAL: i32 = 22;
        const ETIMEDOUT: i32 = 110;
        for (failure, code) in [
            (registry(OPEN, ENOENT), 1),
            (Failure::No, 1),
            (Failure::PrintedNo, 1),
            (Failure::PrintedFaults, 5),
            (Failure::Path(PathError::EmptyComponent("a\\\\b".to_owned())), 2),
            (registry(OPEN, EACCES), 3),
            (registry(Attempt::Connect, ENOENT), 4),
            (registry(OPEN, EIO), 4),
            (registry(OPEN, ENODEV), 4),
            (registry(Attempt::ListValues, ETIMEDOUT), 4),
            (registry(OPEN, EINVAL), 5),
            (Failure::output(io::ErrorKind::StorageFull.into()), 5),
            (Failure::output(io::ErrorKind::BrokenPipe.into()), 0),
        ] {
            assert_eq!(failure.code() as u8, code, "{failure:?}");
        }
    }

    #[test]
    fn a_failure_says_where_and_what() {
        assert_eq!(registry(OPEN, 2).to_string(), "Machine: no such key");
    }

    #[test]
    fn a_denial_says_which_right_is_missing_and_where_if_that_is_another_key() {
        let denied = |path: &str, layer: Option<&str>| Failure::Denied {
            error: Error {
                path: "Machine\\X".to_owned(),
                attempt: Attempt::ListValues,
                cause: Cause::Errno(13),
            },
            missing: Box::new(MissingRights {
                path: path.to_owned(),
                rights: Access::SET_VALUE,
                layer: layer.map(str::to_owned),
            }),
        };
        assert_eq!(
            denied("Machine\\X", None).to_string(),
            "Machine\\X: access denied: SET_VALUE is missing"
        );
        assert_eq!(
            denied("Machine", None).to_string(),
            "Machine\\X: access denied: SET_VALUE is missing on Machine"
        );
        assert_eq!(
            denied("Machine\\L", Some("policy")).to_string(),
            "Machine\\X: access denied: SET_VALUE is missing on the layer policy (Machine\\L)"
        );
        assert_eq!(denied("Machine", None).code(), Code::AccessDenied);
    }
}
