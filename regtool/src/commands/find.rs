//! `find`.

use libreg::data::interpret;
use libreg::fold;
use serde_json::json;
use wildmatch::WildMatch;

use super::Session;
use super::walk::{Descend, Read, walk};
use crate::cli::Find;
use crate::exit::Failure;
use crate::output::{self, Out};

pub fn find(session: &mut Session, options: &Find) -> Result<(), Failure> {
    let pattern = Pattern::new(&options.pattern);
    let starts = session.starts(options.path.as_deref())?;
    let registry = session.registry()?;
    let mut out = Out::stdout();
    let mut found = Vec::new();
    let mut any = false;
    let outcome = walk(registry, &starts, Read::KeysAndValues, &mut |node, content| {
        let path = node.path.to_string();
        // What the search starts at was named by the one who searches.
        let below = !node.last.is_empty();
        if below && node.path.names().last().is_some_and(|name| pattern.matches(name)) {
            any = true;
            if options.output.json {
                found.push(json!({ "path": path }));
            } else {
                out.line(output::one_line(&path))?;
            }
        }
        for value in &content.values {
            let data = interpret(value.value_type, &value.data).to_string();
            if !(pattern.matches(&value.name) || pattern.matches(&data)) {
                continue;
            }
            any = true;
            if options.output.json {
                let mut json = output::named_value_json(value);
                json["path"] = json!(path);
                found.push(json);
            } else {
                let name = output::value_name(&value.name);
                let data = output::data_line(value.value_type, &value.data, out.data_limit());
                out.line(format_args!("{}  {name} = {data}", output::one_line(&path)))?;
            }
        }
        Ok(Descend::Into)
    });
    if options.output.json {
        out.json(&json!(found))?;
    }
    out.finish()?;
    outcome?;
    if any { Ok(()) } else { Err(Failure::No) }
}

/// What to look for, without regard to case.
enum Pattern {
    Anywhere(String),
    Whole(WildMatch),
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        let folded = fold(text);
        if folded.contains(['*', '?']) {
            Pattern::Whole(WildMatch::new(&folded))
        } else {
            Pattern::Anywhere(folded)
        }
    }

    fn matches(&self, text: &str) -> bool {
        let folded = fold(text);
        match self {
            Pattern::Anywhere(part) => folded.contains(part.as_str()),
            Pattern::Whole(whole) => whole.matches(&folded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_pattern_is_found_anywhere_and_a_wildcard_matches_all() {
        let plain = Pattern::new("Tcp");
        assert!(plain.matches("NetTCPip") && !plain.matches("udp"));
        let whole = Pattern::new("*PORT?");
        assert!(whole.matches("ReportÄ") && !whole.matches("Port") && !whole.matches("Ports!"));
        assert!(Pattern::new("STRASSE").matches("strasse"));
    }
}
