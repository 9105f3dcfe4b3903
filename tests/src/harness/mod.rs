//! Processes in a root directory of their own.

mod mount;
mod process;
mod root;
mod session;
mod system;
pub mod terminal;

pub use mount::Mount;
pub use process::{PATIENCE, Process, bind, kill_daemon};
pub use root::{Root, binary};
pub use session::{Session, session, session_as, session_in, session_of_rounds};
pub use system::{System, User};

/// Says that a test was skipped, and why. Not through `println!`, which `cargo test` shows for failures only.
pub fn skipped(why: impl std::fmt::Display) {
    use std::io::Write;
    // If it cannot be said, nobody listens.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
