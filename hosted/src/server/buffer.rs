//! Payloads in the daemon's memory: valid, and at one address, from the request to its answer.

use std::ptr::NonNull;

use crate::sys::Mapping;
use crate::wire::INLINE_MAX;

/// A request's payload.
pub(super) enum Buffer {
    /// No bytes.
    Empty,
    /// `len` bytes at the start of `words`, which nobody reallocates. Words, so that a scheme may
    /// look at the bytes as at a structure.
    Heap { words: Vec<u64>, len: usize },
    /// The client's live memory, as whole pages are on Redox.
    Mapped { mapping: Mapping, len: usize },
}

impl Buffer {
    /// The address that the scheme is given. Not null even if there are no bytes.
    pub(super) fn address(&mut self) -> u64 {
        match self {
            Self::Empty => NonNull::<u64>::dangling().as_ptr() as u64,
            Self::Heap { words, .. } => words.as_mut_ptr() as u64,
            Self::Mapped { mapping, .. } => mapping.address() as u64,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Heap { len, .. } | Self::Mapped { len, .. } => *len,
        }
    }

    /// The first `len` bytes that go back inside the answer; none of a mapping, which the client
    /// has itself.
    pub(super) fn answer(&self, len: usize) -> &[u8] {
        match self {
            Self::Heap { words, len: all } => &as_bytes(words)[..len.min(*all)],
            Self::Empty | Self::Mapped { .. } => &[],
        }
    }
}

/// A few freed buffers, so that a call needs no allocation.
#[derive(Default)]
pub(super) struct Pool {
    small: Vec<Vec<u64>>,
    large: Vec<Vec<u64>>,
    /// Where messages are received.
    scratch: Vec<u64>,
}

const SMALL_WORDS: usize = 4096 / 8;
const LARGE_WORDS: usize = INLINE_MAX / 8;
/// Payloads from here on are not copied: the scratch itself becomes the buffer.
const HAND_OVER: usize = 16 * 1024;
const KEEP_SMALL: usize = 64;
const KEEP_LARGE: usize = 8;

impl Pool {
    /// [`INLINE_MAX`] bytes to receive into.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        if self.scratch.is_empty() {
            self.scratch = self.large.pop().unwrap_or_default();
            self.scratch.resize(LARGE_WORDS, 0);
        }
        as_bytes_mut(&mut self.scratch)
    }

    /// The first `len` bytes of the scratch.
    pub(super) fn received(&mut self, len: usize) -> Buffer {
        if len == 0 {
            return Buffer::Empty;
        }
        if len >= HAND_OVER {
            return Buffer::Heap { words: std::mem::take(&mut self.scratch), len };
        }
        let mut words = self.take(len);
        words.clear();
        words.extend_from_slice(&self.scratch[..len.div_ceil(8)]);
        Buffer::Heap { words, len }
    }

    /// `len` zero bytes. Never another request's, for a scheme may answer more than it wrote.
    pub(super) fn zeroed(&mut self, len: usize) -> Buffer {
        if len == 0 {
            return Buffer::Empty;
        }
        let mut words = self.take(len);
        words.clear();
        words.resize(len.div_ceil(8), 0);
        Buffer::Heap { words, len }
    }

    fn take(&mut self, len: usize) -> Vec<u64> {
        if len <= SMALL_WORDS * 8 {
            self.small.pop().unwrap_or_else(|| Vec::with_capacity(SMALL_WORDS))
        } else {
            self.large.pop().unwrap_or_default()
        }
    }

    pub(super) fn give_back(&mut self, buffer: Buffer) {
        let Buffer::Heap { words, .. } = buffer else { return };
        if words.capacity() <= SMALL_WORDS {
            if self.small.len() < KEEP_SMALL {
                self.small.push(words);
            }
        } else if self.large.len() < KEEP_LARGE {
            self.large.push(words);
        }
    }
}

fn as_bytes(words: &[u64]) -> &[u8] {
    // SAFETY: the same memory seen as bytes, which have no invalid values.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

fn as_bytes_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: the same memory seen as bytes; any bytes are valid words.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}
