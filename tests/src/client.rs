//! The echo scheme as its clients call it.

use libredox::Fd;
use libredox::error::Result;
use libredox::flag::O_RDWR;
use syscall::CallFlags;

use crate::echo::Verb;

/// Opens a path for reading and writing.
///
/// # Panics
///
/// If that fails.
pub fn open(path: &str) -> Fd {
    Fd::open(path, O_RDWR, 0).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A call that reads and writes `payload`.
///
/// # Errors
///
/// The scheme's.
pub fn call(file: &Fd, verb: Verb, payload: &mut [u8]) -> Result<usize> {
    file.call_rw(payload, CallFlags::empty(), &[verb as u64])
}

/// A call that answers `N` words.
///
/// # Panics
///
/// If it fails.
pub fn words<const N: usize>(file: &Fd, verb: Verb) -> [u64; N] {
    words_with(file, &[verb as u64])
}

/// As [`words`], with more metadata.
///
/// # Panics
///
/// If it fails.
pub fn words_with<const N: usize>(file: &Fd, metadata: &[u64]) -> [u64; N] {
    let mut payload = vec![0; N * 8];
    let len = file.call_rw(&mut payload, CallFlags::empty(), metadata).expect("a call");
    assert_eq!(len, payload.len());
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(payload.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
    }
    words
}
