//! What an import has to do, in an order in which much of it can be done at once.
//!
//! A deletion splits a file into phases: what stands before it is done before it, what stands after it
//! after. Within a phase each key occurs once, and each of its values, as the file has it last; the keys
//! are in levels, parents before children.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use libreg::fold;
use libreg::security::SecurityDescriptor;

use super::document::placed;
use crate::formats::reg::{self, SectionKind, Value};
use crate::path::Path;

/// What an import has to do.
#[derive(Debug, Default)]
pub struct Plan {
    /// One after the other.
    pub phases: Vec<Phase>,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Keys that the file names.
    pub keys: usize,
    /// Values to write.
    pub values: usize,
    /// Everything, for a progress bar.
    pub steps: usize,
}

/// The path of a key that is spelled with `\\` between its names, as a plan has it.
pub fn path_of(spelled: &str) -> Path {
    Path::from(spelled.split('\\').map(str::to_owned).collect::<Vec<_>>())
}

/// What belongs together.
#[derive(Debug)]
pub enum Phase {
    /// Delete a key and all below it.
    Delete {
        /// The line that says so.
        line: usize,
        /// The key.
        path: Path,
    },
    /// Hide a key, if it is there.
    Hide {
        /// The line that says so.
        line: usize,
        /// The key.
        path: Path,
    },
    /// Make keys and write their values, one level after the other: hives, their subkeys, and so on.
    Write(Vec<Vec<PlannedKey>>),
}

/// A key that there has to be.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedKey {
    /// The first line that needs it.
    pub line: usize,
    /// Where it is.
    pub path: String,
    /// Where its parent is in the level above; meaningless for a hive.
    pub parent: usize,
    /// The file has a line for it, and not only for keys below it.
    pub named: bool,
    /// What it is if it has to be made.
    pub make: Make,
    /// The line, if the layer says that there are no values but those that it writes from then on.
    pub masks_all: Option<usize>,
    /// What is done with its values, with each name once.
    pub entries: Vec<Entry>,
}

/// What a key is if it has to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Make {
    /// It is a link to this path; one that is there leads there from then on.
    pub link: Option<String>,
    /// It lives as long as its source.
    pub volatile: bool,
    /// Who may do what with it, whether it has to be made or not.
    pub sd: Option<Box<SecurityDescriptor>>,
}

/// Something that is done with the values of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line that says so.
    pub line: usize,
    /// The value's name; empty for the default value, and if it is about all of them.
    pub name: String,
    /// What is done.
    pub change: Change,
}

impl Entry {
    /// Whether a value is written.
    pub fn is_written(&self) -> bool {
        matches!(self.change, Change::Set(_) | Change::SetIfAbsent(_))
    }
}

/// What is done with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It becomes this.
    Set(Value),
    /// It becomes this if there is none, in whatever layer.
    SetIfAbsent(Value),
    /// What the layer says of it is dropped.
    Delete,
    /// The layer says that it is not there.
    Mask,
}

impl PlannedKey {
    /// What it is in a progress bar.
    pub fn steps(&self) -> usize {
        1 + usize::from(self.masks_all.is_some()) + self.entries.len()
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        self.path.rsplit('\\').next().unwrap_or_default()
    }
}

/// One thing that a file says, where it belongs here.
pub struct Step {
    /// The line that says so.
    pub line: usize,
    /// The key.
    pub path: Path,
    /// What is to be done with it.
    pub what: What,
}

/// What is to be done with a key.
pub enum What {
    /// Delete it and all below it.
    Delete,
    /// Hide it.
    Hide,
    /// Make it if it is not there, and change its values.
    Key {
        /// What it is then.
        make: Make,
        /// The layer says that no value is there but those that it writes from then on.
        masks_all: bool,
        /// What is done with its values.
        entries: Vec<Entry>,
    },
}

impl What {
    /// Nothing but changes of values.
    pub fn values(entries: Vec<Entry>) -> What {
        What::Key { make: Make::default(), masks_all: false, entries }
    }
}

impl Plan {
    /// Plans what a `.reg` file says; `under` takes the place of the first name of each key.
    pub fn new(document: &reg::Document, under: Option<&Path>) -> Plan {
        let entry = |entry: &reg::Entry| Entry {
            line: entry.line,
            name: entry.name.clone(),
            change: entry.value.clone().map_or(Change::Delete, Change::Set),
        };
        Plan::of_steps(document.sections.iter().map(|section| Step {
            line: section.line,
            path: placed(&section.path, under),
            what: match &section.kind {
                SectionKind::Delete => What::Delete,
                SectionKind::Key(entries) => What::values(entries.iter().map(entry).collect()),
            },
        }))
    }

    /// Plans steps that come one after the other.
    pub fn of_steps(steps: impl IntoIterator<Item = Step>) -> Plan {
        let mut plan = Plan::default();
        let mut phase = Building::default();
        for Step { line, path, what } in steps {
            match what {
                What::Delete => {
                    plan.end_phase(&mut phase);
                    plan.phases.push(Phase::Delete { line, path });
                }
                What::Hide => {
                    plan.end_phase(&mut phase);
                    plan.phases.push(Phase::Hide { line, path });
                }
                What::Key { make, masks_all, entries } => {
                    let key = phase.key(line, &path, make);
                    if masks_all {
                        phase.levels[key.0][key.1].masks_all = Some(line);
                    }
                    phase.add(key, entries);
                }
            }
        }
        plan.end_phase(&mut phase);
        plan
    }

    /// How much there is to do.
    pub fn count(&self) -> Planned {
        let mut planned = Planned::default();
        for phase in &self.phases {
            planned.steps += match phase {
                Phase::Delete { .. } | Phase::Hide { .. } => 1,
                Phase::Write(levels) => levels.iter().flatten().map(PlannedKey::steps).sum(),
            };
            if let Phase::Write(levels) = phase {
                for key in levels.iter().flatten() {
                    planned.keys += usize::from(key.named);
                    planned.values += key.entries.iter().filter(|entry| entry.is_written()).count();
                }
            }
        }
        planned
    }

    /// The hives that it is about, perhaps more than once.
    pub fn hives(&self) -> Vec<String> {
        let hives = self.phases.iter().flat_map(|phase| match phase {
            Phase::Delete { path, .. } | Phase::Hide { path, .. } => {
                path.names().first().cloned().into_iter().collect()
            }
            Phase::Write(levels) => match levels.first() {
                Some(hives) => hives.iter().map(|hive| hive.path.clone()).collect(),
                None => Vec::new(),
            },
        });
        hives.collect()
    }

    fn end_phase(&mut self, phase: &mut Building) {
        let levels = std::mem::take(phase).levels;
        if !levels.is_empty() {
            self.phases.push(Phase::Write(levels));
        }
    }
}

/// A phase in the making.
#[derive(Default)]
struct Building {
    levels: Vec<Vec<PlannedKey>>,
    /// Folded paths, and where in their levels they are.
    keys: HashMap<String, usize>,
    /// Level, key, folded name; and where among the key's entries it is.
    entries: HashMap<(usize, usize, String), usize>,
}

impl Building {
    /// Where a key is, which is put there if it is not yet.
    fn key(&mut self, line: usize, path: &Path, make: Make) -> (usize, usize) {
        let mut folded = String::new();
        let mut spelled = String::new();
        let mut index = 0;
        for (level, name) in path.names().iter().enumerate() {
            if level > 0 {
                folded.push('\\');
                spelled.push('\\');
            }
            folded.push_str(&fold(name));
            spelled.push_str(name);
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let keys = &mut self.levels[level];
            index = match self.keys.entry(folded.clone()) {
                Slot::Occupied(known) => *known.get(),
                Slot::Vacant(new) => {
                    keys.push(PlannedKey {
                        line,
                        path: spelled.clone(),
                        parent: index,
                        named: false,
                        make: Make::default(),
                        masks_all: None,
                        entries: Vec::new(),
                    });
                    *new.insert(keys.len() - 1)
                }
            };
        }
        let level = path.names().len() - 1;
        let key = &mut self.levels[level][index];
        key.named = true;
        if make != Make::default() {
            key.make = make;
        }
        (level, index)
    }

    fn add(&mut self, (level, index): (usize, usize), entries: Vec<Entry>) {
        let key = &mut self.levels[level][index];
        for entry in entries {
            match self.entries.entry((level, index, fold(&entry.name))) {
                Slot::Occupied(earlier) => key.entries[*earlier.get()] = entry,
                Slot::Vacant(new) => {
                    new.insert(key.entries.len());
                    key.entries.push(entry);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::reg::parse;

    fn plan(body: &str, under: Option<&str>) -> Plan {
        let document = parse(format!("REGEDIT4\n{body}").as_bytes());
        assert_eq!(document.errors, []);
        Plan::new(&document, under.map(|path| Path::parse(path).unwrap()).as_ref())
    }

    fn shown(plan: &Plan) -> Vec<String> {
        let key = |key: &PlannedKey| {
            let values: Vec<_> = key
                .entries
                .iter()
                .map(|entry| {
                    let data = match &entry.change {
                        Change::Set(value) => Some(value.data.as_slice()),
                        _ => None,
                    };
                    format!("{}={}", entry.name, String::from_utf8_lossy(data.unwrap_or(b"-")))
                })
                .collect();
            format!("{} {}", key.path, values.join(" ")).trim_end().to_owned()
        };
        plan.phases
            .iter()
            .map(|phase| match phase {
                Phase::Delete { path, .. } => format!("delete {path}"),
                Phase::Hide { path, .. } => format!("hide {path}"),
                Phase::Write(levels) => {
                    let levels: Vec<_> = levels
                        .iter()
                        .map(|keys| keys.iter().map(key).collect::<Vec<_>>().join(", "))
                        .collect();
                    levels.join(" | ")
                }
            })
            .collect()
    }

    #[test]
    fn parents_come_first_and_the_last_word_counts() {
        let plan = plan(
            "[HKLM\\a\\b\\c]\n\"v\"=\"1\"\n[hklm\\A]\n\"w\"=\"2\"\n[HKLM\\A\\B\\C]\n\"V\"=\"3\"\n\"w\"=-\n",
            None,
        );
        assert_eq!(
            shown(&plan),
            ["Machine | Machine\\a w=2 | Machine\\a\\b | Machine\\a\\b\\c V=3 w=-"]
        );
        assert_eq!(plan.count(), Planned { keys: 2, values: 2, steps: 4 + 3 });
    }

    #[test]
    fn a_deletion_stands_between_what_is_before_and_after_it() {
        let plan = plan("[HKCU\\a]\n\"v\"=\"1\"\n[-HKCU\\a]\n[HKCU\\a]\n[-X\\y]\n", None);
        assert_eq!(
            shown(&plan),
            [
                "CurrentUser | CurrentUser\\a v=1",
                "delete CurrentUser\\a",
                "CurrentUser | CurrentUser\\a",
                "delete X\\y",
            ]
        );
    }

    #[test]
    fn under_takes_the_place_of_the_first_name() {
        let plan = plan("[HKLM\\SYSTEM\\]\n[HKCU]\n[-HKU\\x]", Some("Machine/Old"));
        assert_eq!(
            shown(&plan),
            ["Machine | Machine\\Old | Machine\\Old\\SYSTEM", "delete Machine\\Old\\x"]
        );
    }

    #[test]
    fn every_key_knows_its_parent() {
        let plan = plan("[A\\x\\1]\n[B\\y\\2]\n[A\\z]\n[B\\y\\3]\n", None);
        let Phase::Write(levels) = &plan.phases[0] else {
            panic!("keys");
        };
        for level in 1..levels.len() {
            for key in &levels[level] {
                let parent = &levels[level - 1][key.parent].path;
                assert!(key.path.starts_with(&format!("{parent}\\")), "{} {parent}", key.path);
            }
        }
    }
}
