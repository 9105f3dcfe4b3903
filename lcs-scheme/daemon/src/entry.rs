//! What a log's queue holds: a line, and perhaps somebody who waits for it to be written.

use crate::logging::NotRecorded;

type Told = Box<dyn FnOnce(Result<(), NotRecorded>) + Send>;

/// A line for the log, with its newline. Who waits for it is told exactly once: that it was written, or,
/// when the entry goes away in any other manner, that it was not.
pub(crate) struct Entry {
    line: String,
    told: Option<Told>,
}

impl Entry {
    /// A line that somebody waits for.
    pub(crate) fn awaited(
        line: String,
        told: impl FnOnce(Result<(), NotRecorded>) + Send + 'static,
    ) -> Self {
        Entry { line, told: Some(Box::new(told)) }
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// The line is written.
    pub(crate) fn written(mut self) {
        self.tell(Ok(()));
    }

    fn tell(&mut self, outcome: Result<(), NotRecorded>) {
        if let Some(told) = self.told.take() {
            told(outcome);
        }
    }
}

/// A line that nobody waits for.
impl From<String> for Entry {
    fn from(line: String) -> Self {
        Entry { line, told: None }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tell(Err(NotRecorded));
    }
}
