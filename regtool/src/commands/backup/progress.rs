//! How far a backup or a restore has come, on stderr, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar, or where the end is not known two numbers, until it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Of something whose length in bytes may be known.
    pub fn of(length: Option<u64>) -> Progress {
        match length {
            Some(length) => {
                let bar = ProgressBar::new(length);
                styled(bar, "{bar:40} {percent}%  {binary_bytes}/{binary_total_bytes}  {eta} left")
            }
            None => Progress::of_unknown_length(),
        }
    }

    /// Of something that is made as it is read.
    pub fn of_unknown_length() -> Progress {
        styled(ProgressBar::new_spinner(), "{binary_bytes}, {msg} records")
    }

    /// So many bytes and records have passed.
    pub fn at(&self, bytes: u64, records: u64) {
        // A message costs something, also if nobody sees it.
        if !self.0.is_hidden() && self.0.length().is_none() {
            self.0.set_message(records.to_string());
        }
        self.0.set_position(bytes);
    }
}

fn styled(bar: ProgressBar, template: &str) -> Progress {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Progress(bar)
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
