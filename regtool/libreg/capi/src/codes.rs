//! Win32 error codes, and which of them an error of libreg is.

use std::io;

use libredox::errno::*;
use libreg::{Attempt, Error};

/// An error code; 0 is none. The names are those of winerror.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs, reason = "they are the names of winerror.h")]
pub enum Code {
    Success = 0,
    FileNotFound = 2,
    TooManyOpenFiles = 4,
    AccessDenied = 5,
    InvalidHandle = 6,
    NotEnoughMemory = 8,
    InvalidData = 13,
    WriteProtect = 19,
    NotReady = 21,
    NotSupported = 50,
    InvalidParameter = 87,
    DiskFull = 112,
    InsufficientBuffer = 122,
    AlreadyExists = 183,
    Busy = 170,
    FilenameExceedsRange = 206,
    MoreData = 234,
    NoMoreItems = 259,
    KeyDeleted = 1018,
    NoUnicodeTranslation = 1113,
    InvalidSecurityDescriptor = 1338,
    InternalError = 1359,
    Timeout = 1460,
    TransactionConflict = 6800,
}

/// What a function of this library does, or why not.
pub type Outcome<T = ()> = Result<T, Code>;

impl From<Error> for Code {
    fn from(error: Error) -> Code {
        Code::of(&error)
    }
}

impl From<io::Error> for Code {
    fn from(error: io::Error) -> Code {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Code::of(error),
            None => match error.kind() {
                io::ErrorKind::InvalidInput => Code::InvalidParameter,
                io::ErrorKind::Unsupported => Code::NotSupported,
                io::ErrorKind::NotFound => Code::FileNotFound,
                io::ErrorKind::PermissionDenied => Code::AccessDenied,
                _ => Code::InvalidData,
            },
        }
    }
}

impl Code {
    fn of(error: &Error) -> Code {
        let Some(errno) = error.errno() else {
            return Code::InvalidData;
        };
        if error.is_not_found() {
            // Keys that lead to another one are made with it, and of a key that is open only the key itself can be what
            // is not there.
            return match error.attempt {
                Attempt::OpenKey { .. }
                | Attempt::QueryValue { .. }
                | Attempt::DeleteKey { .. } => Code::FileNotFound,
                _ => Code::KeyDeleted,
            };
        }
        if error.is_access_denied() {
            return Code::AccessDenied;
        }
        match errno {
            // As Windows: a key with keys below it is not deleted.
            ENOTEMPTY => Code::AccessDenied,
            ETIMEDOUT => Code::Timeout,
            _ if error.is_unavailable() => Code::NotReady,
            ENOMEM => Code::NotEnoughMemory,
            EBUSY => Code::Busy,
            EEXIST => Code::AlreadyExists,
            EINVAL => Code::InvalidParameter,
            ENFILE | EMFILE => Code::TooManyOpenFiles,
            ENOSPC => Code::DiskFull,
            EROFS => Code::WriteProtect,
            ENAMETOOLONG => Code::FilenameExceedsRange,
            EBADF => Code::InvalidHandle,
            EAGAIN => Code::TransactionConflict,
            _ => Code::InvalidData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libreg::{Access, Cause};

    fn of(attempt: Attempt, errno: i32) -> Code {
        Error { path: "Machine".to_owned(), attempt, cause: Cause::Errno(errno) }.into()
    }

    #[test]
    fn errors_are_those_that_windows_has() {
        let open = || Attempt::OpenKey { access: Access::KEY_READ, link: false };
        assert_eq!(of(open(), 2), Code::FileNotFound);
        assert_eq!(of(open(), 13), Code::AccessDenied);
        assert_eq!(of(Attempt::ListValues, 2), Code::KeyDeleted);
        assert_eq!(of(Attempt::QueryValue { name: "v".to_owned() }, 2), Code::FileNotFound);
        assert_eq!(of(Attempt::DeleteKey { layer: None }, ENOTEMPTY), Code::AccessDenied);
        assert_eq!(of(Attempt::Connect, 2), Code::NotReady);
        assert_eq!(of(open(), ETIMEDOUT), Code::Timeout);
        assert_eq!(of(open(), EMFILE), Code::TooManyOpenFiles);
        assert_eq!(Code::MoreData as i32, 234);
    }
}
