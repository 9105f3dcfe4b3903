//! What is said of each check, and at the end.

use libreg::Registry;
use serde_json::{Value as Json, json};

use super::expect::{Outcome, Trouble};
use crate::exit::Failure;
use crate::output::{Out, one_line};

/// What was said so far.
pub struct Report<'a> {
    registry: &'a Registry,
    out: Out,
    /// JSON is printed when all is done, lines at once.
    json: bool,
    key: Option<String>,
    told: Vec<Json>,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl<'a> Report<'a> {
    /// Says nothing yet. The registry is asked which rights were missing.
    pub fn new(registry: &'a Registry, json: bool) -> Report<'a> {
        let (told, key) = (Vec::new(), None);
        Report { registry, out: Out::stdout(), json, key, told, passed: 0, failed: 0, skipped: 0 }
    }

    /// The scratch key is there.
    pub fn begin(&mut self, key: &str) {
        self.key = Some(key.to_owned());
    }

    /// Says what came of a check.
    pub fn tell(&mut self, name: &str, outcome: Outcome) -> Result<(), Failure> {
        let (verdict, what) = match outcome {
            Ok(()) => ("ok", None),
            Err(Trouble::Skipped(why)) => ("skipped", Some(why)),
            Err(Trouble::Differs(what)) => ("failed", Some(what)),
            Err(Trouble::Failed(Failure::Registry(error))) => {
                ("failed", Some(Failure::explained(self.registry, error).to_string()))
            }
            Err(Trouble::Failed(failure)) => ("failed", Some(failure.to_string())),
        };
        match verdict {
            "ok" => self.passed += 1,
            "skipped" => self.skipped += 1,
            _ => self.failed += 1,
        }
        if self.json {
            self.told.push(json!({ "name": name, "outcome": verdict, "what": what }));
            return Ok(());
        }
        match what {
            None => self.out.line(format_args!("{verdict} {name}"))?,
            Some(what) => {
                self.out.line(format_args!("{verdict} {name}: {}", one_line(&what)))?;
            }
        }
        // Whoever reads this waits for it.
        self.out.flush()
    }

    /// Says how it ends; a failure if a check failed.
    pub fn finish(mut self) -> Result<(), Failure> {
        if self.json {
            self.out.json(&json!({
                "key": self.key,
                "checks": self.told,
                "passed": self.passed,
                "failed": self.failed,
                "skipped": self.skipped,
            }))?;
        } else {
            let mut line = format!("{} passed, {} failed", self.passed, self.failed);
            if self.skipped > 0 {
                line.push_str(&format!(", {} skipped", self.skipped));
            }
            self.out.line(line)?;
        }
        self.out.finish()?;
        if self.failed > 0 { Err(Failure::PrintedFaults) } else { Ok(()) }
    }
}
