//! `import`.

mod carry_out;
mod document;
mod layer;
pub(super) mod plan;
mod preview;
mod report;

use std::time::{Duration, Instant};

use super::changes::Changes;
use super::{Session, read_file};
use crate::cli::Import;
use crate::exit::Failure;
use crate::formats::Kind;
use crate::output::Out;
use carry_out::{Import as Run, Outcome};
use document::Document;
use layer::PolicyLayer;
use report::{Fate, Report};

/// The layer of a policy that no other one is named for.
const POLICY: &str = "policy";

/// A file, and what came of it so far.
struct File {
    name: String,
    document: Document,
    outcome: Outcome,
    elapsed: Duration,
}

pub fn import(session: &mut Session, options: &Import) -> Result<(), Failure> {
    let mut files = read_files(session, options)?;
    let wrong = files.iter().any(|file| !file.document.errors.is_empty());
    let fate = if wrong {
        Fate::Nothing
    } else {
        let policy = layer::wanted(session, options, &files)?;
        let fate = import_files(session, &mut files, options, policy.as_ref())?;
        if !matches!(fate, Fate::Imported | Fate::Pending) {
            policy.iter().for_each(|policy| policy.take_back(session));
        }
        fate
    };
    let reports: Vec<Report> = files.into_iter().map(|file| Report::new(file, &fate)).collect();
    reports.iter().for_each(Report::complain);
    if let Fate::Previewed(differences) = &fate {
        preview::print(differences, options.output.json)?;
    } else {
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
    }
    let mut outcomes: Vec<_> = reports.iter().map(Report::outcome).collect();
    // Files that were right are not what is to be told.
    outcomes.sort_by_key(|outcome| outcome.as_ref().err().is_none_or(Failure::is_told));
    outcomes.into_iter().next().unwrap_or(Ok(()))
}

fn read_files(session: &mut Session, options: &Import) -> Result<Vec<File>, Failure> {
    let under = options.under.as_deref().map(|path| session.path(path)).transpose()?;
    if let Some(under) = &under {
        under.key()?;
    }
    let mut files = Vec::new();
    for file in &options.files {
        let name = file.display().to_string();
        let bytes = read_file(file)?;
        let document = Document::read(&name, &bytes, under.as_ref(), options.damaged)?;
        if options.precedence.is_some() && document.kind != Kind::Pol {
            let what =
                "is no policy: --precedence is for the layer that a .pol file gets".to_owned();
            return Err(Failure::Usage { subject: name, what });
        }
        let (outcome, elapsed) = (Outcome::default(), Duration::ZERO);
        files.push(File { name, document, outcome, elapsed });
    }
    Ok(files)
}

/// The layer that a file is written into.
fn layer_of<'a>(file: &File, options: &'a Import) -> Option<&'a str> {
    let named = options.layer.layer.as_deref();
    if file.document.kind == Kind::Pol { Some(named.unwrap_or(POLICY)) } else { named }
}

/// Imports files in one go: all of them, or nothing.
fn import_files(
    session: &mut Session,
    files: &mut [File],
    options: &Import,
    policy: Option<&PolicyLayer>,
) -> Result<Fate, Failure> {
    let in_shells = session.in_transaction();
    let mut paths: Vec<String> = files.iter().flat_map(|file| file.document.plan.hives()).collect();
    paths.extend(policy.and_then(PolicyLayer::hive));
    let changes = Changes::begin(session, paths.iter().map(String::as_str))?;
    if let Some(policy) = policy {
        policy.make_with(&changes)?;
    }
    for file in &mut *files {
        let started = Instant::now();
        let layer = layer_of(file, options);
        let run = Run::new(&changes, layer, &file.document.plan);
        run.carry_out(&file.document.plan);
        file.outcome = run.finish();
        file.elapsed = started.elapsed();
        if !file.outcome.is_complete() {
            return Ok(if in_shells { Fate::Pending } else { Fate::Nothing });
        }
    }
    if options.dry_run {
        let plans = files.iter().map(|file| &file.document.plan);
        return Ok(Fate::Previewed(preview::preview(&changes, plans, policy)?));
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
