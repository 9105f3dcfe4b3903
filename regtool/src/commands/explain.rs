//! `explain`.

use comfy_table::Row;
use libreg::data::type_name;
use libreg::{Access, Candidate, CandidateContent, Explanation, Key, Registry, Verdict};
use serde_json::{Value as Json, json};

use super::{Session, link, value_name};
use crate::cli::Explain;
use crate::exit::{Code, Failure};
use crate::output::{self, Out};
use crate::path::Path;

pub fn explain(session: &mut Session, options: &Explain) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    path.key()?;
    let registry = session.registry()?;
    let found = match &options.name {
        Some(name) => value(registry, &path, value_name(name, options.literal))?,
        None => key(registry, &path)?,
    };
    let mut out = Out::stdout();
    if options.output.json {
        out.json(&found.json())?;
    } else if !found.explanation.candidates.is_empty() {
        let limit = out.data_limit();
        out.text(&output::table_text(found.table(limit)))?;
        if let Some(end) = found.end() {
            out.line(format_args!("\n{end}"))?;
        }
    }
    out.finish()?;
    if found.explanation.candidates.is_empty() {
        let what = format!("no layer has {}", found.what());
        let subject = found.key.to_string();
        return Err(Failure::Partial { subject, what, code: Code::NotFound });
    }
    Ok(())
}

/// What was explained.
struct Found {
    /// The key that has the value or subkey.
    key: Path,
    /// The name explained.
    name: Name,
    explanation: Explanation,
    /// It is a link that leads nowhere, to this target.
    dangling: Option<String>,
}

enum Name {
    Value(String),
    Child(String),
}

/// Explains a value, or, if its key is not there, why.
fn value(registry: &Registry, path: &Path, name: &str) -> Result<Found, Failure> {
    match registry.open_key(&path.key()?, Access::QUERY_VALUE) {
        Ok(key) => Ok(Found {
            key: path.clone(),
            name: Name::Value(name.to_owned()),
            explanation: key.explain_value(name)?,
            dangling: None,
        }),
        Err(error) if error.is_not_found() && path.parent().is_some() => key(registry, path),
        Err(error) => Err(error.into()),
    }
}

/// Explains the last name of a path, or the first that leads nowhere.
fn key(registry: &Registry, path: &Path) -> Result<Found, Failure> {
    let Some(parent) = path.parent() else {
        registry.open_key(&path.key()?, Access::MAXIMUM_ALLOWED)?;
        let what = "a hive is in no layer; name a key below it, or a value".to_owned();
        return Err(Failure::Usage { subject: path.to_string(), what });
    };
    match registry.open_key(&parent.key()?, Access::QUERY_VALUE) {
        Ok(parent_key) => child(registry, &parent_key, path),
        Err(error) if error.is_not_found() && parent.parent().is_some() => key(registry, &parent),
        Err(error) => Err(error.into()),
    }
}

fn child(registry: &Registry, parent: &Key, path: &Path) -> Result<Found, Failure> {
    let name = path.names().last().cloned().unwrap_or_default();
    let explanation = parent.explain_child(&name)?;
    Ok(Found {
        key: path.parent().unwrap_or_default(),
        name: Name::Child(name),
        explanation,
        dangling: dangling(registry, path),
    })
}

/// Where the link at a path leads, if it leads nowhere.
fn dangling(registry: &Registry, path: &Path) -> Option<String> {
    let path = path.key().ok()?;
    let followed = registry.open_key(&path, Access::MAXIMUM_ALLOWED);
    if !followed.is_err_and(|error| error.is_not_found()) {
        return None;
    }
    let link = registry.open_link(&path, Access::QUERY_VALUE).ok()?;
    Some(link::target_of(&link).unwrap_or_default())
}

impl Found {
    fn what(&self) -> String {
        match &self.name {
            Name::Value(name) => format!("a value {}", output::value_name(name)),
            Name::Child(name) => format!("a key {}", output::one_line(name)),
        }
    }

    fn winner(&self) -> Option<&Candidate> {
        self.explanation.candidates.iter().find(|found| found.verdict == Verdict::Wins)
    }

    /// What the table does not say by itself.
    fn end(&self) -> Option<String> {
        let what = self.what();
        let key = output::one_line(&self.key.to_string()).into_owned();
        let Some(winner) = self.winner() else {
            return Some(format!("{key} does not have {what}: no layer that counts has it"));
        };
        let layer = output::one_line(&winner.layer).into_owned();
        let by = match &winner.content {
            CandidateContent::Tombstone | CandidateContent::Blanket => "masked",
            CandidateContent::Hidden => "hidden",
            CandidateContent::Value { .. } | CandidateContent::Key(_) => {
                let target = self.dangling.as_ref()?;
                let target = output::one_line(target);
                return Some(format!("{key} has {what}: a link to {target}, which is not there"));
            }
        };
        Some(format!("{key} does not have {what}: {by} by the layer {layer}"))
    }

    fn table(&self, limit: usize) -> comfy_table::Table {
        let mut table =
            output::table(&["LAYER", "PRECEDENCE", "SEQUENCE", "VERDICT", "TYPE", "DATA"]);
        for candidate in &self.explanation.candidates {
            let (content, data) = content_words(&candidate.content, limit);
            let precedence = candidate.precedence.map(|precedence| precedence.to_string());
            // What the shell's transaction has written has no number yet.
            let sequence = match candidate.sequence {
                0 => "to come".to_owned(),
                sequence => sequence.to_string(),
            };
            table.add_row(Row::from(vec![
                output::one_line(&candidate.layer).into_owned(),
                precedence.unwrap_or_default(),
                sequence,
                verdict_words(candidate.verdict).to_owned(),
                content,
                data,
            ]));
        }
        table
    }

    fn json(&self) -> Json {
        let candidates: Vec<_> = self.explanation.candidates.iter().map(candidate_json).collect();
        let mut json = json!({ "key": self.key.to_string(), "candidates": candidates });
        match &self.name {
            Name::Value(name) => json["value"] = json!(name),
            Name::Child(name) => json["subkey"] = json!(name),
        }
        if let Some(target) = &self.dangling {
            json["dangling_link"] = json!(target);
        }
        let winner = self.winner().map(|winner| &winner.content);
        json["there"] = json!(matches!(
            winner,
            Some(CandidateContent::Value { .. } | CandidateContent::Key(_))
        ));
        json
    }
}

pub fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Wins => "wins",
        Verdict::LowerPrecedence => "lower precedence",
        Verdict::Older => "older",
        Verdict::LayerDisabled => "layer disabled",
        Verdict::LayerUnknown => "no such layer",
    }
}

/// Type and data, as in a listing.
pub fn content_words(content: &CandidateContent, limit: usize) -> (String, String) {
    match content {
        CandidateContent::Value { value_type, data, size } => {
            let cut = data.len() as u64 != *size;
            let data = if cut { whole_characters(data) } else { data };
            let more = if cut { format!(" ({size} bytes)") } else { String::new() };
            (type_name(*value_type), output::data_line(*value_type, data, limit) + &more)
        }
        CandidateContent::Tombstone => ("tombstone".to_owned(), String::new()),
        CandidateContent::Blanket => ("blanket".to_owned(), String::new()),
        CandidateContent::Key(guid) => ("key".to_owned(), guid.to_string()),
        CandidateContent::Hidden => ("hidden".to_owned(), String::new()),
    }
}

/// What is cut off is cut off between characters, if it is text.
fn whole_characters(data: &[u8]) -> &[u8] {
    match std::str::from_utf8(data) {
        Err(error) if error.error_len().is_none() => {
            data.get(..error.valid_up_to()).unwrap_or(data)
        }
        _ => data,
    }
}

fn candidate_json(candidate: &Candidate) -> Json {
    let verdict = verdict_words(candidate.verdict).replace(' ', "_");
    let mut json = match &candidate.content {
        CandidateContent::Value { value_type, data, size } => {
            let cut = data.len() as u64 != *size;
            let data = if cut { whole_characters(data) } else { data };
            let mut json =
                output::value_json(*value_type, data, &candidate.layer, candidate.sequence);
            json.insert("size".to_owned(), json!(size));
            json.insert("content".to_owned(), json!("value"));
            Json::from(json)
        }
        content => {
            let name = content_words(content, 0).0;
            let (layer, sequence) = (&candidate.layer, candidate.sequence);
            json!({ "content": name, "layer": layer, "sequence": sequence })
        }
    };
    if let CandidateContent::Key(guid) = &candidate.content {
        json["guid"] = json!(guid.to_string());
    }
    json["precedence"] = json!(candidate.precedence);
    json["verdict"] = json!(verdict);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use libreg::Guid;

    fn found(name: Name, winner: CandidateContent) -> Found {
        let candidate = |layer: &str, precedence, sequence, content, verdict| Candidate {
            layer: layer.into(),
            precedence,
            sequence,
            content,
            verdict,
        };
        let data = || CandidateContent::Value { value_type: 1, data: b"x".to_vec(), size: 1 };
        Found {
            key: Path::parse("Machine\\A").unwrap(),
            name,
            explanation: Explanation {
                candidates: vec![
                    candidate("policy", Some(10), 12, winner, Verdict::Wins),
                    candidate("base", Some(0), 3, data(), Verdict::LowerPrecedence),
                    candidate("old", None, 2, data(), Verdict::LayerUnknown),
                ],
            },
            dangling: None,
        }
    }

    #[test]
    fn every_candidate_has_its_line() {
        let found = found(Name::Value(String::new()), CandidateContent::Tombstone);
        assert_eq!(
            output::table_text(found.table(100)),
            "LAYER   PRECEDENCE  SEQUENCE  VERDICT           TYPE       DATA\n\
             policy  10          12        wins              tombstone\n\
             base    0           3         lower precedence  sz         x\n\
             old                 2         no such layer     sz         x\n"
        );
        let json = found.json();
        assert_eq!((&json["there"], &json["value"]), (&json!(false), &json!("")));
        assert_eq!(json["candidates"][0]["content"], json!("tombstone"));
        assert_eq!(json["candidates"][1]["verdict"], json!("lower_precedence"));
        assert_eq!(json["candidates"][1]["data"], json!("x"));
        assert_eq!(json["candidates"][2]["precedence"], Json::Null);
    }

    #[test]
    fn a_winner_that_says_no_is_told_in_words() {
        let value = || Name::Value("v".to_owned());
        let end = |name, winner| found(name, winner).end();
        let masked = "Machine\\A does not have a value v: masked by the layer policy";
        assert_eq!(end(value(), CandidateContent::Blanket).as_deref(), Some(masked));
        let hidden = "Machine\\A does not have a key b: hidden by the layer policy";
        let child = || Name::Child("b".to_owned());
        assert_eq!(end(child(), CandidateContent::Hidden).as_deref(), Some(hidden));
        assert_eq!(end(child(), CandidateContent::Key(Guid::default())), None);
    }

    #[test]
    fn text_that_was_cut_is_text_still() {
        let data = "aä".as_bytes()[..2].to_vec();
        let content = CandidateContent::Value { value_type: 1, data, size: 5000 };
        assert_eq!(content_words(&content, 100).1, "a (5000 bytes)");
    }
}
