//! The registry for programs in C: `libreg.so`, `libreg.a` and `winreg.h`, by the names and with the semantics of Win32.
//!
//! The header says what each function does, and what differs from Windows. What is unsafe is in two modules, `functions`
//! and `pointers`: what C gives is read into values, and what comes of it is written where C wants it. A handle is a
//! number and never an address, so that a wrong one is an error.
//!
//! ```c
#![doc = include_str!("../examples/tabs.c")]
//! ```
#![deny(unsafe_code)]

mod codes;
#[allow(unsafe_code, reason = "it is what C calls")]
mod functions;
mod handles;
mod keys;
#[allow(unsafe_code, reason = "it is what C gives")]
mod pointers;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};

use codes::{Code, Outcome};

pub use functions::*;

/// No panic leaves this library.
fn guarded(work: impl FnOnce() -> Outcome) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => Code::Success as i32,
        Ok(Err(code)) => code as i32,
        Err(_) => Code::InternalError as i32,
    }
}

fn needed(is_given: bool) -> Outcome {
    if is_given { Ok(()) } else { Err(Code::InvalidParameter) }
}
