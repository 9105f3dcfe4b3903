//! Requests as the kernel wrote them.
//!
//! `redox-scheme` decodes a request with assertions that any client can trip (a `Fstat` of a wrong length),
//! and makes `&str` of bytes that nobody checked, in memory that the client may change meanwhile. So LCS
//! reads the queue entry itself, copies what it needs, and then checks the copy.
#![allow(unsafe_code)]

use redox_scheme::scheme::IntoTag;
use redox_scheme::{CallRequest, CallerCtx, Id, Request};
use syscall::schemev2::{Opcode, Sqe, SqeFlags};

/// The queue entry of a request.
fn entry(request: &Request) -> Sqe {
    const {
        assert!(size_of::<Request>() == size_of::<Sqe>());
        assert!(align_of::<Request>() == align_of::<Sqe>());
    }
    // SAFETY: `Request` is `repr(transparent)` over its one field, a `Sqe`, which is `Copy`.
    unsafe { *std::ptr::from_ref(request).cast::<Sqe>() }
}

/// A request that is to be answered, with its queue entry. Its buffer lives until the answer is written,
/// which takes the request away.
pub struct Incoming {
    request: CallRequest,
    entry: Sqe,
}

impl Incoming {
    /// A request as it was read.
    pub fn new(request: CallRequest) -> Incoming {
        let entry = entry(request.request());
        Incoming { request, entry }
    }

    /// The request's number, until it is answered.
    pub fn id(&self) -> Id {
        self.request.request_id()
    }

    /// What is asked for.
    pub fn opcode(&self) -> Option<Opcode> {
        Opcode::try_from_raw(self.entry.opcode)
    }

    /// The number of the handle that it is asked of.
    pub fn handle(&self) -> usize {
        self.entry.args[0] as usize
    }

    /// Argument `index` of the entry.
    pub fn arg(&self, index: usize) -> u64 {
        self.entry.args.get(index).copied().unwrap_or_default()
    }

    /// More than one handle is named.
    pub fn names_several_handles(&self) -> bool {
        self.entry.sqe_flags.contains(SqeFlags::MULTIPLE_IDS)
    }

    /// Who asks. Only for OpenAt, Dup, Read, Write and UnlinkAt is it the kernel who says so; elsewhere
    /// these are words of the client.
    pub fn caller(&self) -> CallerCtx {
        self.request.caller()
    }

    /// Length of the buffer of a request that has one.
    pub fn buffer_len(&self) -> usize {
        self.entry.args[2] as usize
    }

    /// Copies the buffer of a request that has one.
    pub fn copy_in(&self) -> Vec<u8> {
        self.copy_in_at_most(self.buffer_len())
    }

    /// Copies the start of the buffer of a request that has one.
    pub fn copy_in_at_most(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.buffer_len().min(length)];
        if bytes.is_empty() {
            return bytes;
        }
        // SAFETY: for the opcodes that carry a buffer the kernel has mapped `args[2]` bytes at `args[1]`
        // until the request is answered, and `self` is gone when it is. The client may change them while
        // they are copied; so they are copied as bytes, once, and nothing is concluded from them before.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.entry.args[1] as *const u8,
                bytes.as_mut_ptr(),
                bytes.len(),
            );
        }
        bytes
    }

    /// Copies into the buffer of a request that has a writable one, as far as it fits.
    pub fn copy_out(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(self.buffer_len());
        if length == 0 {
            return;
        }
        // SAFETY: as in `copy_in`; of Read and Call the kernel has mapped the buffer writable.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.entry.args[1] as *mut u8, length);
        }
    }

    /// The request, to be answered.
    pub fn into_request(self) -> impl IntoTag {
        self.request
    }
}
