//! `import`.

mod carry_out;
mod plan;
mod report;

use std::io::Read;
use std::path::Path as FilePath;

use libreg::Registry;

use super::Session;
use crate::cli::Import;
use crate::exit::Failure;
use crate::formats::reg;
use crate::output::Out;
use carry_out::Import as Run;
use plan::Plan;
use report::Report;

pub fn import(session: &mut Session, options: &Import) -> Result<(), Failure> {
    let under = options.under.as_deref().map(|path| session.path(path)).transpose()?;
    if let Some(under) = &under {
        under.key()?;
    }
    let registry = session.registry()?;
    let mut reports = Vec::new();
    let mut outcome = Ok(());
    for file in &options.files {
        let name = file.display().to_string();
        let document = reg::parse(&read(file)?);
        let plan = Plan::new(&document, under.as_ref());
        let report = import_file(registry, name, document, &plan, options);
        outcome = report.outcome();
        report.complain();
        reports.push(report);
        if outcome.is_err() {
            break;
        }
    }
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
    outcome
}

fn import_file(
    registry: &Registry,
    file: String,
    document: reg::Document,
    plan: &Plan,
    options: &Import,
) -> Report {
    if !document.errors.is_empty() {
        return Report::refused(file, document);
    }
    let started = std::time::Instant::now();
    let run = Run::new(registry, options.layer.layer.as_deref(), plan);
    run.carry_out(plan);
    Report::new(file, document, plan, run.finish(), started.elapsed())
}

fn read(file: &FilePath) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let outcome = if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    outcome.map_err(|error| Failure::File { name: file.display().to_string(), error })?;
    Ok(bytes)
}
