//! The messages between a client and a daemon. Both are on one machine: numbers are in its byte
//! order. Requests and answers have different magics, so that neither can be taken for the other.
//!
//! - A **request** goes over the handle's socket: [`Request`], then the bytes that go in, or a sealed
//!   memfd in their place.
//! - Its **answer** comes over a reply channel, a socket pair that the daemon made for one thread of
//!   one process: [`Reply`], then the bytes that come out, with the descriptor of a new handle if
//!   there is one.
//! - A **greeting** (a request with opcode [`GREETING`]) asks for a reply channel and is answered on
//!   the handle itself by [`Welcome`]; the answers are interchangeable between those who wait. A welcome
//!   without a descriptor says that there is none to be had (EMFILE).
//! - [`Cancel`] goes back over the reply channel, when a signal interrupted the caller.
//! - One byte on a handle's socket is a **readiness token**.

/// Larger payloads travel in a memfd: a SEQPACKET message ends near 208 KiB.
pub(crate) const INLINE_MAX: usize = 160 * 1024;
/// The largest payload.
pub(crate) const PAYLOAD_MAX: usize = 64 << 20;
/// The most descriptors that one request or answer carries.
pub(crate) const FDS_MAX: usize = 32;

const REQUEST_MAGIC: u32 = u32::from_ne_bytes(*b"RxRq");
const REPLY_MAGIC: u32 = u32::from_ne_bytes(*b"RxRp");
const WELCOME_MAGIC: u32 = u32::from_ne_bytes(*b"RxWe");
const CANCEL_MAGIC: u32 = u32::from_ne_bytes(*b"RxCa");

/// The opcode that asks for a reply channel; no scheme's opcode is 0.
pub(crate) const GREETING: u8 = 0;

/// The payload goes to the scheme.
pub(crate) const WRITE: u8 = 1;
/// The payload comes back from the scheme.
pub(crate) const READ: u8 = 2;
/// The payload is the memfd that came with the request.
pub(crate) const MEMFD: u8 = 4;

/// The request is made on behalf of somebody else, who is named in it. Only from those who may create schemes.
pub(crate) const ON_BEHALF: u8 = 8;
/// A read or a write at the place that its first argument says; the file's own stays where it is.
pub(crate) const AT: u8 = 16;

/// A reply channel's name within its daemon. The nonce keeps others from guessing it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ChannelId {
    pub(crate) index: u32,
    pub(crate) nonce: u64,
}

/// Who a request is made for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Someone {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request {
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    /// Welcomes that were meant for others who share the handle and that the sender took from its
    /// socket; the daemon sends as many again.
    pub(crate) stolen_welcomes: u8,
    pub(crate) channel: ChannelId,
    pub(crate) seq: u64,
    pub(crate) args: [u64; 3],
    pub(crate) len: u64,
    /// With [`ON_BEHALF`].
    pub(crate) someone: Someone,
}

impl Request {
    pub(crate) const SIZE: usize = 80;

    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&REQUEST_MAGIC.to_ne_bytes());
        bytes[4] = self.opcode;
        bytes[5] = self.flags;
        bytes[6] = self.stolen_welcomes;
        bytes[8..12].copy_from_slice(&self.channel.index.to_ne_bytes());
        let words =
            [self.channel.nonce, self.seq, self.args[0], self.args[1], self.args[2], self.len];
        put_words(&mut bytes[16..], &words);
        let Someone { uid, gid, pid } = self.someone;
        for (chunk, id) in bytes[64..].chunks_exact_mut(4).zip([uid, gid, pid]) {
            chunk.copy_from_slice(&id.to_ne_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (u32_at(bytes, 0) == REQUEST_MAGIC).then(|| Self {
            opcode: bytes[4],
            flags: bytes[5],
            stolen_welcomes: bytes[6],
            channel: ChannelId { index: u32_at(bytes, 8), nonce: u64_at(bytes, 16) },
            seq: u64_at(bytes, 24),
            args: [u64_at(bytes, 32), u64_at(bytes, 40), u64_at(bytes, 48)],
            len: u64_at(bytes, 56),
            someone: Someone {
                uid: u32_at(bytes, 64),
                gid: u32_at(bytes, 68),
                pid: u32_at(bytes, 72),
            },
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) seq: u64,
    /// The scheme's result; an error is the negative of its Redox number.
    pub(crate) result: i64,
}

impl Reply {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&REPLY_MAGIC.to_ne_bytes());
        put_words(&mut bytes[8..], &[self.seq, self.result as u64]);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (u32_at(bytes, 0) == REPLY_MAGIC)
            .then(|| Self { seq: u64_at(bytes, 8), result: u64_at(bytes, 16) as i64 })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Welcome {
    pub(crate) channel: ChannelId,
    /// Random, one per daemon process.
    pub(crate) daemon: u64,
}

impl Welcome {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&WELCOME_MAGIC.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.channel.index.to_ne_bytes());
        put_words(&mut bytes[8..], &[self.channel.nonce, self.daemon]);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (u32_at(bytes, 0) == WELCOME_MAGIC).then(|| Self {
            channel: ChannelId { index: u32_at(bytes, 4), nonce: u64_at(bytes, 8) },
            daemon: u64_at(bytes, 16),
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancel {
    pub(crate) seq: u64,
}

impl Cancel {
    pub(crate) const SIZE: usize = 16;

    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&CANCEL_MAGIC.to_ne_bytes());
        put_words(&mut bytes[8..], &[self.seq]);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (u32_at(bytes, 0) == CANCEL_MAGIC).then(|| Self { seq: u64_at(bytes, 8) })
    }
}

fn put_words(bytes: &mut [u8], words: &[u64]) {
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}
