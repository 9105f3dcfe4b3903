//! Processes in a root directory of their own.

mod process;
mod root;
mod session;
mod system;

pub use process::{PATIENCE, Process};
pub use root::{Root, binary};
pub use session::{Session, session, session_as, session_in};
pub use system::System;
