//! `import`.

mod carry_out;
pub(super) mod plan;
mod report;

use std::time::{Duration, Instant};

use super::changes::Changes;
use super::{Session, read_file};
use crate::cli::Import;
use crate::exit::Failure;
use crate::formats::reg;
use crate::output::Out;
use carry_out::{Import as Run, Outcome};
use plan::Plan;
use report::{Fate, Report};

/// A file, and what came of it so far.
struct File {
    name: String,
    document: reg::Document,
    plan: Plan,
    outcome: Outcome,
    elapsed: Duration,
}

pub fn import(session: &mut Session, options: &Import) -> Result<(), Failure> {
    let under = options.under.as_deref().map(|path| session.path(path)).transpose()?;
    if let Some(under) = &under {
        under.key()?;
    }
    let mut files = Vec::new();
    for file in &options.files {
        let name = file.display().to_string();
        let document = reg::parse(&read_file(file)?);
        let plan = Plan::new(&document, under.as_ref());
        let (outcome, elapsed) = (Outcome::default(), Duration::ZERO);
        files.push(File { name, document, plan, outcome, elapsed });
    }
    let wrong = files.iter().any(|file| !file.document.errors.is_empty());
    let fate = if wrong {
        Fate::Nothing
    } else {
        import_files(session, &mut files, options.layer.layer.as_deref())?
    };
    let reports: Vec<Report> = files.into_iter().map(|file| Report::new(file, &fate)).collect();
    reports.iter().for_each(Report::complain);
    let mut out = Out::stdout();
    if options.output.json {
        let reports: Vec<_> = reports.iter().map(Report::json).collect();
        out.json(&reports.into())?;
    } else {
        for report in &reports {
            out.line(report.summary())?;
        }
    }
    out.finish()?;
    let mut outcomes: Vec<_> = reports.iter().map(Report::outcome).collect();
    // Files that were right are not what is to be told.
    outcomes.sort_by_key(|outcome| outcome.as_ref().err().is_none_or(Failure::is_told));
    outcomes.into_iter().next().unwrap_or(Ok(()))
}

/// Imports files in one go: all of them, or nothing.
fn import_files(
    session: &mut Session,
    files: &mut [File],
    layer: Option<&str>,
) -> Result<Fate, Failure> {
    let in_shells = session.in_transaction();
    let hives: Vec<String> = files.iter().flat_map(|file| file.plan.hives()).collect();
    let changes = Changes::begin(session, hives.iter().map(String::as_str))?;
    for file in &mut *files {
        let started = Instant::now();
        let run = Run::new(&changes, layer, &file.plan);
        run.carry_out(&file.plan);
        file.outcome = run.finish();
        file.elapsed = started.elapsed();
        if !file.outcome.is_complete() {
            return Ok(if in_shells { Fate::Pending } else { Fate::Nothing });
        }
    }
    let started = Instant::now();
    let outcome = changes.commit();
    if let Some(last) = files.last_mut() {
        last.elapsed += started.elapsed();
    }
    Ok(match outcome {
        Ok(()) if in_shells => Fate::Pending,
        Ok(()) => Fate::Imported,
        Err(failed) => Fate::NotAll(failed),
    })
}
