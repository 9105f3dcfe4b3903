//! stub
use super::Session;
use crate::cli::Diff;
use crate::exit::Failure;
pub fn diff(_session: &mut Session, _options: &Diff) -> Result<(), Failure> {
    Ok(())
}
