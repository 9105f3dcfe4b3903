//! The words of `echo-scheme`: any path opens, a file reads back what was written to it, a handle
//! made by `dup` reads back the payload, and calls do what their first word says.

/// A file whose bytes are their own offsets, with the kernel keeping the offset.
pub const POSITIONED: &str = "positioned";
/// A file that keeps, instead of what is written, who wrote it: uid, gid and pid as u64.
pub const WHO_WRITES: &str = "who-writes";
/// What every directory lists.
pub const ENTRIES: [&str; 3] = ["one", "two", "three"];
/// What [`Verb::TooSmall`] says is needed.
pub const LENGTH_NEEDED: u64 = 1234;

/// The first metadata word of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u64)]
pub enum Verb {
    /// Answers as much as the second word says, or, if that is 0 or missing, the payload's length.
    Echo,
    /// Inverts each byte, answers the length.
    Invert,
    /// ERANGE, with [`LENGTH_NEEDED`] in the first eight bytes.
    TooSmall,
    /// The error that the second word says.
    Fail,
    /// Never answers, unless cancelled.
    Block,
    /// Aborts the daemon.
    Die,
    /// uid, gid and pid of this call's `CallerCtx`, as u64.
    WhoCalls,
    /// The same, of the request that made the handle.
    WhoOpened,
    /// The same, of the last unlink.
    WhoUnlinked,
    /// Open flags and fcntl flags of the request that made the handle, as u64.
    OpenFlags,
    /// Handles made, handles closed, requests cancelled, as u64.
    Counters,
    /// Reads into the payload from the descriptor that was sent last.
    TakeReceived,
}

impl Verb {
    /// The verb of a metadata word.
    pub fn from_word(word: u64) -> Option<Self> {
        use Verb::*;
        let all = [
            Echo,
            Invert,
            TooSmall,
            Fail,
            Block,
            Die,
            WhoCalls,
            WhoOpened,
            WhoUnlinked,
            OpenFlags,
            Counters,
            TakeReceived,
        ];
        all.into_iter().find(|verb| *verb as u64 == word)
    }
}
