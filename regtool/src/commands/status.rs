//! `status`.

use comfy_table::Row;
use libreg::{HiveState, StatusDetails, fold};
use serde_json::{Value as Json, json};

use super::Session;
use super::list::state_name;
use crate::cli::Status;
use crate::exit::Failure;
use crate::output::{self, Out};

pub fn status(session: &mut Session, options: &Status) -> Result<(), Failure> {
    let status = session.outside()?.status()?;
    let mut out = Out::stdout();
    if options.output.json {
        out.json(&status_json(&status))?;
    } else {
        out.line(format_args!("LCS {}", output::one_line(&status.version)))?;
        let mut table = output::table(&["HIVE", "STATE", "GENERATION", "SCOPE"]);
        for hive in &status.hives {
            table.add_row(Row::from(vec![
                output::one_line(&hive.name).into_owned(),
                state_name(hive.state).to_owned(),
                hive.generation.to_string(),
                hive.scope.map(|scope| scope.to_string()).unwrap_or_default(),
            ]));
        }
        out.line(format_args!("\n{}", output::table_text(table).trim_end()))?;
        if let Some(details) = &status.details {
            print_details(&mut out, details)?;
        }
    }
    out.finish()?;
    // Private ones are told beside the one that all have to those only who are in no view.
    let mut machines = status.hives.iter().filter(|hive| fold(&hive.name) == "machine");
    let own = machines.clone().find(|hive| hive.scope.is_none()).or_else(|| machines.next());
    let up = own.is_some_and(|hive| hive.state == HiveState::Up);
    if up { Ok(()) } else { Err(Failure::NotUp("the hive Machine is not up".to_owned())) }
}

fn print_details(out: &mut Out, details: &StatusDetails) -> Result<(), Failure> {
    let mut sources = output::table(&["SOURCE OF", "IN FLIGHT", "WAITING", "LATE ANSWERS"]);
    for source in &details.sources {
        sources.add_row(Row::from(vec![
            output::one_line(&source.hives.join(", ")).into_owned(),
            source.in_flight.to_string(),
            source.waiting.to_string(),
            source.late_answers.to_string(),
        ]));
    }
    out.line(format_args!("\n{}", output::table_text(sources).trim_end()))?;
    let mut layers = output::table(&["LAYER", "PRECEDENCE", "ENABLED"]);
    for layer in &details.layers {
        layers.add_row(Row::from(vec![
            output::one_line(&layer.name).into_owned(),
            layer.precedence.to_string(),
            if layer.enabled { "yes" } else { "no" }.to_owned(),
        ]));
    }
    out.line(format_args!("\n{}", output::table_text(layers).trim_end()))?;
    for setting in &details.rejected_settings {
        let (name, reason) = (output::one_line(&setting.name), output::one_line(&setting.reason));
        out.line(format_args!("\nSetting {name} is not in force: {reason}"))?;
    }
    out.line(format_args!(
        "\nOpen handles: {}\nTransactions: {}, bound to a hive: {}\nNext sequence number: {}",
        details.handles, details.transactions, details.bound_transactions, details.next_sequence
    ))?;
    let cache = &details.cache;
    out.line(format_args!(
        "Cache: {} of {} bytes, {} entries, {} hits, {} misses",
        cache.bytes, cache.limit, cache.entries, cache.hits, cache.misses
    ))
}

fn status_json(status: &libreg::Status) -> Json {
    let hives: Vec<_> = status
        .hives
        .iter()
        .map(|hive| {
            json!({
                "name": hive.name,
                "scope": hive.scope.map(|scope| scope.to_string()),
                "state": state_name(hive.state),
                "generation": hive.generation,
            })
        })
        .collect();
    let mut json = json!({ "version": status.version, "hives": hives });
    if let Some(details) = &status.details {
        json["sources"] = details
            .sources
            .iter()
            .map(|source| {
                json!({
                    "hives": source.hives,
                    "in_flight": source.in_flight,
                    "waiting": source.waiting,
                    "late_answers": source.late_answers,
                })
            })
            .collect();
        json["layers"] = details
            .layers
            .iter()
            .map(|layer| {
                json!({
                    "name": layer.name,
                    "precedence": layer.precedence,
                    "enabled": layer.enabled,
                })
            })
            .collect();
        json["rejected_settings"] = details
            .rejected_settings
            .iter()
            .map(|setting| json!({ "name": setting.name, "reason": setting.reason }))
            .collect();
        json["handles"] = json!(details.handles);
        json["transactions"] = json!(details.transactions);
        json["bound_transactions"] = json!(details.bound_transactions);
        json["next_sequence"] = json!(details.next_sequence);
        json["cache"] = json!({
            "hits": details.cache.hits,
            "misses": details.cache.misses,
            "entries": details.cache.entries,
            "bytes": details.cache.bytes,
            "limit": details.cache.limit,
        });
    }
    json
}
