//! What an import has to say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::carry_out::Outcome;
use super::plan::{Plan, Planned};
use crate::exit::{Code, Failure, complain};
use crate::formats::reg::Document;

/// How many lines are told of each kind of thing; `--json` tells all.
const TOLD: usize = 10;

/// What an import has to say about one file.
pub struct Report {
    file: String,
    document: Document,
    planned: Planned,
    /// `None`: the file has errors, and nothing was tried.
    outcome: Option<Outcome>,
    elapsed: Duration,
}

impl Report {
    /// Of a file that was carried out, as far as it went.
    pub fn new(
        file: String,
        document: Document,
        plan: &Plan,
        outcome: Outcome,
        elapsed: Duration,
    ) -> Report {
        Report { file, document, planned: plan.count(), outcome: Some(outcome), elapsed }
    }

    /// Of a file with errors.
    pub fn refused(file: String, document: Document) -> Report {
        Report {
            file,
            document,
            planned: Planned::default(),
            outcome: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Whether all was done, and if not, the last line about it.
    pub fn outcome(&self) -> Result<(), Failure> {
        let partial = |what, code| Err(Failure::Partial { subject: self.file.clone(), what, code });
        let Some(outcome) = &self.outcome else {
            let what = format!("{} errors; nothing was imported", self.document.errors.len());
            return partial(what, Code::Other);
        };
        if outcome.lost {
            let what = format!(
                "stopped, the registry or a source was lost: {} of {} keys and {} of {} values were \
                 imported",
                outcome.keys, self.planned.keys, outcome.values, self.planned.values
            );
            return partial(what, Code::Unavailable);
        }
        if let Some(first) = outcome.failed.first() {
            let alike = outcome.failed.iter().all(|failed| failed.code == first.code);
            let what = format!("{} keys or values were not imported", outcome.failed.len());
            return partial(what, if alike { first.code } else { Code::Other });
        }
        if !self.document.skipped.is_empty() {
            let what = format!("{} keys or values were left out", self.document.skipped.len());
            return partial(what, Code::Other);
        }
        Ok(())
    }

    /// Tells on stderr what went wrong, and what is not exact.
    pub fn complain(&self) {
        let mut told = BTreeMap::new();
        for note in &self.document.notes {
            self.tell(&mut told, note.line, &note.what.to_string());
        }
        for (kind, problems) in
            [("left out", &self.document.skipped), ("error", &self.document.errors)]
        {
            for problem in problems {
                self.tell_as(&mut told, kind, problem.line, &problem.kind.to_string());
            }
        }
        for failed in self.outcome.iter().flat_map(|outcome| &outcome.failed) {
            self.tell_as(&mut told, "not imported", failed.line, &failed.what);
        }
        for (kind, count) in told {
            if count > TOLD {
                let more = count - TOLD;
                complain(&format_args!("{}: {kind}, {more} times more", self.file));
            }
        }
    }

    fn tell(&self, told: &mut BTreeMap<String, usize>, line: usize, what: &str) {
        self.tell_as(told, what, line, what);
    }

    fn tell_as(&self, told: &mut BTreeMap<String, usize>, kind: &str, line: usize, what: &str) {
        let count = told.entry(kind.to_owned()).or_default();
        *count += 1;
        if *count <= TOLD {
            complain(&format_args!("{}:{line}: {what}", self.file));
        }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let Some(outcome) = &self.outcome else {
            return format!("{}: nothing was imported", self.file);
        };
        let mut summary =
            format!("{}: {} keys, {} values", self.file, outcome.keys, outcome.values);
        for (count, what) in [
            (outcome.deleted_keys, "keys deleted"),
            (outcome.deleted_values, "values deleted"),
            (self.document.notes.len(), "not exact"),
            (self.document.skipped.len(), "left out"),
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
        let lines = |line: usize, what: String| json!({ "line": line, "what": what });
        let problems = |problems: &[crate::formats::reg::Problem]| -> Json {
            problems.iter().map(|problem| lines(problem.line, problem.kind.to_string())).collect()
        };
        let mut json = json!({
            "file": self.file,
            "inexact": self.document.notes.iter()
                .map(|note| lines(note.line, note.what.to_string()))
                .collect::<Json>(),
            "left_out": problems(&self.document.skipped),
            "errors": problems(&self.document.errors),
        });
        if let Some(outcome) = &self.outcome {
            json["keys"] = json!(outcome.keys);
            json["values"] = json!(outcome.values);
            json["deleted_keys"] = json!(outcome.deleted_keys);
            json["deleted_values"] = json!(outcome.deleted_values);
            json["failed"] = outcome
                .failed
                .iter()
                .map(|failed| lines(failed.line, failed.what.clone()))
                .collect();
            json["complete"] = json!(!outcome.lost && outcome.failed.is_empty());
            json["seconds"] = json!(self.elapsed.as_secs_f64());
        }
        json
    }
}
