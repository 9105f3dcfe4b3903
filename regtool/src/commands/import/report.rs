//! What an import has to say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::File;
use super::carry_out::Outcome;
use super::document::{Document, Remark};
use super::preview::Preview;
use crate::commands::changes::Failed;
use crate::exit::{Code, Failure, complain};

/// How many lines are told of each kind of thing; `--json` tells all.
const TOLD: usize = 10;

/// What came of an import.
#[derive(Debug)]
pub enum Fate {
    /// All of it is done.
    Imported,
    /// It is done as far as it could be, in the shell's transaction.
    Pending,
    /// Nothing of it is done.
    Nothing,
    /// It could not be made durable in all hives.
    NotAll(Box<Failed>),
    /// Nothing of it is done, but what would be different is known.
    Previewed(Preview),
}

/// What an import has to say about one file.
pub struct Report<'a> {
    file: String,
    document: Document,
    outcome: Outcome,
    elapsed: Duration,
    fate: &'a Fate,
}

impl<'a> Report<'a> {
    /// Of a file, after all of them.
    pub fn new(file: File, fate: &'a Fate) -> Report<'a> {
        let File { name, document, outcome, elapsed, .. } = file;
        Report { file: name, document, outcome, elapsed, fate }
    }

    /// Whether all was done, and if not, the last line about it.
    pub fn outcome(&self) -> Result<(), Failure> {
        let partial = |what, code| Err(Failure::Partial { subject: self.file.clone(), what, code });
        if !self.document.errors.is_empty() {
            let mut what = format!("{} errors; nothing was imported", self.document.errors.len());
            if self.document.is_readable_hive() {
                what.push_str(" (--damaged imports what can be read)");
            }
            return partial(what, Code::Other);
        }
        if self.outcome.lost {
            let what = "the registry or a source was lost; nothing was imported".to_owned();
            return partial(what, Code::Unavailable);
        }
        if let Some(first) = self.outcome.failed.first() {
            let alike = self.outcome.failed.iter().all(|failed| failed.code == first.code);
            let count = self.outcome.failed.len();
            let what = match self.fate {
                Fate::Pending => format!("{count} keys or values were not imported"),
                _ => format!("{count} keys or values cannot be imported; nothing was imported"),
            };
            return partial(what, if alike { first.code } else { Code::Other });
        }
        if let Fate::NotAll(failed) = self.fate {
            return partial(told(failed), failed.failure.code());
        }
        if !self.document.left_out.is_empty() {
            let what = format!("{} keys or values were left out", self.document.left_out.len());
            return partial(what, Code::Other);
        }
        Ok(())
    }

    /// Tells on stderr what went wrong, and what is not exact.
    pub fn complain(&self) {
        let mut told = BTreeMap::new();
        for note in &self.document.notes {
            self.tell(&mut told, note);
        }
        for (kind, problems) in
            [("left out", &self.document.left_out), ("error", &self.document.errors)]
        {
            for problem in problems {
                self.tell_as(&mut told, kind, problem.line, &problem.what);
            }
        }
        for failed in &self.outcome.failed {
            self.tell_as(&mut told, "not imported", failed.line, &failed.what);
        }
        for (kind, count) in told {
            if count > TOLD {
                let more = count - TOLD;
                complain(&format_args!("{}: {kind}, {more} times more", self.file));
            }
        }
    }

    fn tell(&self, told: &mut BTreeMap<String, usize>, note: &Remark) {
        // What stands before it is the place.
        let kind = note.what.rsplit_once(": ").map_or(note.what.as_str(), |(_, kind)| kind);
        self.tell_as(told, kind, note.line, &note.what);
    }

    fn tell_as(&self, told: &mut BTreeMap<String, usize>, kind: &str, line: usize, what: &str) {
        let count = told.entry(kind.to_owned()).or_default();
        *count += 1;
        if *count <= TOLD {
            match line {
                0 => complain(&format_args!("{}: {what}", self.file)),
                line => complain(&format_args!("{}:{line}: {what}", self.file)),
            }
        }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let outcome = &self.outcome;
        match self.fate {
            Fate::Nothing => return format!("{}: nothing was imported", self.file),
            Fate::NotAll(failed) => return format!("{}: {}", self.file, told(failed)),
            Fate::Imported | Fate::Pending | Fate::Previewed(_) => {}
        }
        let mut summary =
            format!("{}: {} keys, {} values", self.file, outcome.keys, outcome.values);
        for (count, what) in [
            (outcome.deleted_keys, "keys deleted"),
            (outcome.deleted_values, "values deleted"),
            (self.document.notes.len(), "not exact"),
            (self.document.left_out.len(), "left out"),
            (outcome.failed.len(), "failed"),
        ] {
            if count > 0 {
                summary.push_str(&format!(", {count} {what}"));
            }
        }
        format!("{summary} ({:.1} s)", self.elapsed.as_secs_f64())
    }

    /// Everything.
    pub fn json(&self) -> Json {
        let lines = |line: usize, what: &str| match line {
            0 => json!({ "what": what }),
            line => json!({ "line": line, "what": what }),
        };
        let remarks = |remarks: &[Remark]| -> Json {
            remarks.iter().map(|remark| lines(remark.line, &remark.what)).collect()
        };
        let mut json = json!({
            "file": self.file,
            "inexact": remarks(&self.document.notes),
            "left_out": remarks(&self.document.left_out),
            "errors": remarks(&self.document.errors),
        });
        if self.document.errors.is_empty() {
            let outcome = &self.outcome;
            json["keys"] = json!(outcome.keys);
            json["values"] = json!(outcome.values);
            json["deleted_keys"] = json!(outcome.deleted_keys);
            json["deleted_values"] = json!(outcome.deleted_values);
            json["failed"] =
                outcome.failed.iter().map(|failed| lines(failed.line, &failed.what)).collect();
            json["seconds"] = json!(self.elapsed.as_secs_f64());
        }
        json["complete"] = json!(
            matches!(self.fate, Fate::Imported | Fate::Pending) && self.outcome.is_complete()
        );
        json
    }
}

/// What came of an import that could not be made durable.
fn told(failed: &Failed) -> String {
    let what = failed.failure.to_string();
    let hives = failed.made_in.join(", ");
    match (failed.unknown, hives.is_empty()) {
        (false, true) => format!("{what}; nothing was imported"),
        (true, true) => what,
        (false, false) => format!("{what}; it was imported into {hives} only"),
        (true, false) => format!("{what}; it was imported into {hives}"),
    }
}
