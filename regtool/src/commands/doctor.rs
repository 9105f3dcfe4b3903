//! `doctor`: what is not as the manual says.

use libreg::{RejectedSetting, fold};
use regman::Manual;
use serde_json::{Value as Json, json};

use super::Session;
use super::walk::{Descend, Read, walk};
use crate::cli::Doctor;
use crate::exit::{Code, Failure, complain};
use crate::output::{self, Out};
use crate::path::Path;

/// The key of LCS's settings: what it did not take lies there or below.
const SETTINGS: [&str; 3] = ["Machine", "System", "Registry"];

pub fn doctor(session: &mut Session, options: &Doctor) -> Result<(), Failure> {
    let (manual, troubles) = Manual::of_this_machine();
    troubles.iter().for_each(|trouble| complain(trouble));
    let starts = session.starts(options.path.as_deref())?;
    let rejected = rejected_settings(session, &starts)?;
    let registry = session.registry()?;
    let mut out = Out::stdout();
    let mut faults = Faults { found: Vec::new(), json: options.output.json, any: false };
    for setting in &rejected {
        faults.tell_rejected(&mut out, setting)?;
    }
    let outcome = walk(registry, &starts, Read::KeysAndValues, &mut |node, content| {
        for value in &content.values {
            // Of a setting that LCS did not take it has said why.
            if rejected.iter().any(|setting| setting.is(&node.path, &value.name)) {
                continue;
            }
            let entry = manual.value(&node.path, &value.name);
            let contradiction =
                entry.and_then(|entry| entry.contradiction(value.value_type, &value.data));
            if let Some(contradiction) = contradiction {
                faults.tell(&mut out, &node.path, value, &contradiction.to_string())?;
            }
        }
        Ok(Descend::Into)
    });
    if options.output.json {
        out.json(&json!(faults.found))?;
    }
    out.finish()?;
    match outcome {
        // That not everything was looked at does not make what was found less.
        Err(failure @ Failure::Partial { .. }) if faults.any => {
            complain(&failure);
            Err(Failure::PrintedFaults)
        }
        Ok(()) if faults.any => Err(Failure::PrintedFaults),
        Ok(()) if manual.is_empty() => Err(Failure::Partial {
            subject: "the manual".to_owned(),
            what: "there is none, so nothing was compared".to_owned(),
            code: Code::Other,
        }),
        outcome => outcome,
    }
}

/// A setting that LCS did not take.
struct Rejected {
    path: Path,
    name: String,
    reason: String,
}

/// The settings that LCS did not take, as far as they lie where the search goes.
fn rejected_settings(session: &mut Session, starts: &[Path]) -> Result<Vec<Rejected>, Failure> {
    let folded = |path: &Path| path.names().iter().map(|name| fold(name)).collect::<Vec<_>>();
    let starts: Vec<_> = starts.iter().map(folded).collect();
    let details = session.outside()?.status()?.details;
    let settings = details.map(|details| details.rejected_settings).unwrap_or_default();
    let rejected = settings.into_iter().map(Rejected::from);
    Ok(rejected
        .filter(|setting| {
            let path = folded(&setting.path);
            starts.iter().any(|start| path.starts_with(start))
        })
        .collect())
}

impl Rejected {
    fn is(&self, path: &Path, name: &str) -> bool {
        fold(&self.name) == fold(name) && fold(&self.path.to_string()) == fold(&path.to_string())
    }
}

impl From<RejectedSetting> for Rejected {
    /// A setting is named with the keys that lead to it from LCS's own key.
    fn from(setting: RejectedSetting) -> Rejected {
        let mut names: Vec<String> = SETTINGS.map(str::to_owned).to_vec();
        names.extend(setting.name.split('\\').map(str::to_owned));
        let name = names.pop().unwrap_or_default();
        Rejected { path: names.into(), name, reason: setting.reason }
    }
}

/// What was found.
struct Faults {
    found: Vec<Json>,
    json: bool,
    any: bool,
}

impl Faults {
    fn tell(
        &mut self,
        out: &mut Out,
        path: &Path,
        value: &libreg::NamedValue,
        what: &str,
    ) -> Result<(), Failure> {
        self.any = true;
        if self.json {
            let mut json = output::named_value_json(value);
            json["path"] = json!(path.to_string());
            json["what"] = json!(what);
            self.found.push(json);
            return Ok(());
        }
        let (path, name) = (path.to_string(), output::value_name(&value.name));
        out.line(format_args!("{}  {name}: {}", output::one_line(&path), output::one_line(what)))
    }

    fn tell_rejected(&mut self, out: &mut Out, setting: &Rejected) -> Result<(), Failure> {
        self.any = true;
        let path = setting.path.to_string();
        if self.json {
            let (name, rejected) = (&setting.name, &setting.reason);
            self.found.push(json!({ "path": path, "name": name, "rejected": rejected }));
            return Ok(());
        }
        let (path, name) = (output::one_line(&path), output::value_name(&setting.name));
        let reason = output::one_line(&setting.reason);
        out.line(format_args!("{path}  {name}: not in force: {reason}"))
    }
}
