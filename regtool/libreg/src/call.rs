//! `dup` with a payload and `call`: how a request goes to LCS and an answer comes back.

use std::cell::RefCell;

use lcs_abi::call::{Derive, MIN_PAYLOAD, Op};
use libredox::Fd;
use libredox::errno::{EINTR, ERANGE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use syscall::CallFlags;

use crate::error::Cause;

/// Room for the answer about one value, in bytes; a larger one takes a second call.
pub(crate) const ANSWER: usize = 512;
/// Room for a page of a listing, in bytes.
pub(crate) const PAGE: usize = 64 * 1024;
/// More than any answer can be: a value of 64 MiB, the highest MaxValueSize, and what belongs to it.
const MAX_ANSWER: usize = 65 << 20;
/// How often an answer may turn out to be larger than it was a moment ago.
const MAX_ATTEMPTS: usize = 16;

thread_local! {
    /// The payload, kept from call to call.
    static PAYLOAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Derives a handle.
pub(crate) fn derive(from: &Fd, what: &Derive) -> Result<Fd, Cause> {
    let request = lcs_abi::encode(what);
    without_interruption(|| from.dup(&request)).map(Fd::new)
}

/// Carries out an operation that has a request and an answer. `room` is for the answer, in bytes.
pub(crate) fn call<Q: Serialize, A: DeserializeOwned>(
    handle: &Fd,
    op: Op,
    request: &Q,
    room: usize,
) -> Result<A, Cause> {
    call_with(handle, op, request, room, |answer| {
        lcs_abi::decode(answer).map_err(|_| Cause::Malformed)
    })
}

/// The same, with an answer that is taken as it came.
pub(crate) fn call_with<Q: Serialize, A>(
    handle: &Fd,
    op: Op,
    request: &Q,
    room: usize,
    take: impl Fn(&[u8]) -> Result<A, Cause>,
) -> Result<A, Cause> {
    let request = lcs_abi::encode(request);
    PAYLOAD.with_borrow_mut(|payload| {
        let mut room = room.max(MIN_PAYLOAD).max(request.len());
        for _ in 0..MAX_ATTEMPTS {
            payload.clear();
            payload.extend_from_slice(&request);
            payload.resize(room, 0);
            let metadata = [op as u64, lcs_abi::ABI_VERSION];
            let outcome = without_interruption(|| {
                // An interrupted call answered nothing, so the request is still there.
                handle.call_rw(payload, CallFlags::empty(), &metadata)
            });
            let needed = match outcome {
                Ok(length) => {
                    return take(payload.get(..length).ok_or(Cause::Malformed)?);
                }
                Err(Cause::Errno(ERANGE)) => needed(payload).ok_or(Cause::Malformed)?,
                Err(cause) => return Err(cause),
            };
            if needed <= room || needed > MAX_ANSWER {
                return Err(Cause::Malformed);
            }
            room = needed;
        }
        Err(Cause::Errno(ERANGE))
    })
}

/// The length that comes with ERANGE.
fn needed(payload: &[u8]) -> Option<usize> {
    let (length, _) = payload.split_first_chunk()?;
    usize::try_from(u64::from_le_bytes(*length)).ok()
}

/// Repeats what a signal interrupted: LCS promises that then nothing has happened.
pub(crate) fn without_interruption<T>(
    mut attempt: impl FnMut() -> libredox::error::Result<T>,
) -> Result<T, Cause> {
    loop {
        match attempt() {
            Err(error) if error.errno() == EINTR => {}
            Err(error) => return Err(Cause::Errno(error.errno())),
            Ok(value) => return Ok(value),
        }
    }
}
