//! Which number stands for which error (INTERFACES §2).

use lcs_abi::call::TransactionState;
use lcs_abi::rsi::SourceError;
use lcs_core::registry::Error;
use syscall::error as errno;

/// The number of an operation's error.
pub fn of(error: &Error) -> i32 {
    match error {
        Error::NotFound(_) => errno::ENOENT,
        Error::AccessDenied { .. } | Error::LayerDenied { .. } => errno::EACCES,
        Error::PrivilegeMissing => errno::EPERM,
        Error::Invalid(_) => errno::EINVAL,
        Error::NameTooLong => errno::ENAMETOOLONG,
        Error::LimitExceeded(_) => errno::ENOSPC,
        Error::TooManyHandles => errno::EMFILE,
        Error::Busy(_) => errno::EBUSY,
        Error::OtherHive => errno::EXDEV,
        Error::TransactionEnded(state) => of_ended(*state),
        Error::ConditionFailed => errno::EAGAIN,
        Error::LinkLoop => errno::ELOOP,
        Error::NotEmpty => errno::ENOTEMPTY,
        Error::AlreadyExists => errno::EEXIST,
        Error::BufferTooSmall { .. } => errno::ERANGE,
        Error::SourceDown | Error::SourceData | Error::NotRecorded => errno::EIO,
        Error::Source(error) => of_source(*error),
        Error::SequencesExhausted => errno::EOVERFLOW,
        Error::NotADirectory => errno::ENOTDIR,
        Error::IsADirectory => errno::EISDIR,
        Error::NotSupported => errno::EOPNOTSUPP,
        Error::BadHandle => errno::EBADF,
    }
}

fn of_ended(state: TransactionState) -> i32 {
    match state {
        TransactionState::TimedOut => errno::ETIMEDOUT,
        TransactionState::SourceDown | TransactionState::Unknown => errno::EIO,
        TransactionState::ActiveUnbound
        | TransactionState::ActiveBound
        | TransactionState::Committing
        | TransactionState::Committed
        | TransactionState::Aborted => errno::EINVAL,
    }
}

fn of_source(error: SourceError) -> i32 {
    match error {
        SourceError::NotFound => errno::ENOENT,
        SourceError::AlreadyExists => errno::EEXIST,
        SourceError::StorageError => errno::EIO,
        SourceError::TooLarge => errno::ENOSPC,
        SourceError::Invalid => errno::EINVAL,
        SourceError::ConditionFailed(_) => errno::EAGAIN,
        SourceError::NotSupported => errno::EOPNOTSUPP,
        SourceError::Busy => errno::EBUSY,
    }
}
