//! `lcs-scheme`, the authority of the registry: one daemon, the schemes `reg:` and `regsrc:`.
//!
//! What the registry means is in `lcs-core`; here is what makes a process of it:
//!
//! - [`start`]: sockets, names, readiness, namespace,
//! - [`event_loop`]: the one thread that does everything,
//! - [`wake`]: how other threads end its sleep,
//! - [`call`]: a request that is being worked on, and its one answer,
//! - [`clock`]: how long callers wait,
//! - [`files`]: `reg:` as files,
//! - [`reg`]: handles of `reg:`, what is derived from them and called on them,
//! - [`readers`]: reads of keys' handles that wait for events,
//! - [`payloads`]: how much of large requests is held for each user,
//! - [`source_handles`]: handles of `regsrc:`, and what sources say over them,
//! - [`regsrc`]: connections of sources, and the requests they have not answered yet,
//! - [`accounts`]: who belongs to which groups,
//! - [`generations`]: the page that lets clients give answers again without asking,
//! - [`world`]: what `lcs-core` needs from outside,
//! - [`errno`]: which number stands for which error.
#![deny(unsafe_code)]

// The C functions that libredox calls are relibc's on Redox and `hosted`'s elsewhere; unmentioned, rustc
// would drop the crate and the linker would miss them.
#[cfg(not(target_os = "redox"))]
use hosted as _;

pub mod accounts;
pub mod call;
pub mod clock;
pub mod deadlines;
pub mod errno;
pub mod event_loop;
pub mod files;
pub mod generations;
pub mod identity;
pub mod outbox;
pub mod payloads;
pub mod raw;
pub mod readers;
pub mod reg;
pub mod regsrc;
pub mod source_handles;
pub mod start;
pub mod wake;
pub mod world;
