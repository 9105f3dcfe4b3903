//! A file of whatever format, as something that can be imported.

use crate::exit::Failure;
use crate::formats::hive::{self, Hive};
use crate::formats::pol::{self, Instruction, Policy};
use crate::formats::reg::{self, Value};
use crate::formats::role::{self, KeyContent, RoleKey};
use crate::formats::{Kind, kind_of};
use crate::path::{Path, hive_of_root};

use super::plan::{Change, Entry, Make, Plan, Step, What};

/// What a file says.
#[derive(Debug)]
pub struct Document {
    /// What kind of file it is.
    pub kind: Kind,
    /// What is to be done.
    pub plan: Plan,
    /// What was taken over, but not exactly.
    pub notes: Vec<Remark>,
    /// What is not taken over, because this registry cannot keep it.
    pub left_out: Vec<Remark>,
    /// What is wrong. Where something is nothing is done.
    pub errors: Vec<Remark>,
}

/// Something to tell about a file.
#[derive(Debug)]
pub struct Remark {
    /// The line, counted from 1; in a policy the number of the setting. 0 where there is none.
    pub line: usize,
    /// What is to be told.
    pub what: String,
}

impl Remark {
    fn new(line: usize, what: impl ToString) -> Remark {
        Remark { line, what: what.to_string() }
    }
}

impl Document {
    /// Reads a file. `under` takes the place of the first name of each key, or stands before all of them in files
    /// whose keys do not begin with a hive; `damaged` takes what can be read of a hive.
    ///
    /// # Errors
    /// It needs an `under`, and there is none.
    pub fn read(
        name: &str,
        bytes: &[u8],
        under: Option<&Path>,
        damaged: bool,
    ) -> Result<Document, Failure> {
        let kind = kind_of(name, bytes);
        let needed = || {
            let what = "has no names of hives in it: --under PATH says where it belongs \
                        (HKLM, HKCU, Users\\SID)"
                .to_owned();
            under.ok_or(Failure::Usage { subject: name.to_owned(), what })
        };
        Ok(match kind {
            Kind::Reg => Document::of_reg(&reg::parse(bytes), under),
            Kind::Toml => Document::of_toml(role::parse_keys(bytes), under),
            Kind::Pol => Document::of_policy(pol::parse(bytes), needed()?),
            Kind::Hive => Document::of_hive(hive::parse(bytes), needed()?, damaged),
        })
    }

    /// Whether it is a damaged hive of which something can be read.
    pub fn is_readable_hive(&self) -> bool {
        self.kind == Kind::Hive && !self.plan.phases.is_empty()
    }

    fn new(kind: Kind) -> Document {
        let (notes, left_out, errors) = (Vec::new(), Vec::new(), Vec::new());
        Document { kind, plan: Plan::default(), notes, left_out, errors }
    }

    fn of_reg(read: &reg::Document, under: Option<&Path>) -> Document {
        let remarks = |problems: &[reg::Problem]| {
            problems.iter().map(|problem| Remark::new(problem.line, problem.kind)).collect()
        };
        Document {
            plan: Plan::new(read, under),
            notes: read.notes.iter().map(|note| Remark::new(note.line, note.what)).collect(),
            left_out: remarks(&read.skipped),
            errors: remarks(&read.errors),
            ..Document::new(Kind::Reg)
        }
    }

    fn of_toml(read: Result<Vec<RoleKey>, Vec<role::Problem>>, under: Option<&Path>) -> Document {
        let mut document = Document::new(Kind::Toml);
        match read {
            Ok(keys) => {
                document.plan = Plan::of_steps(keys.into_iter().map(|key| toml_step(key, under)));
            }
            Err(problems) => {
                let errors = problems.into_iter();
                document.errors =
                    errors.map(|problem| Remark::new(problem.line, problem.what)).collect();
            }
        }
        document
    }

    fn of_policy(read: Result<Policy, pol::Damaged>, under: &Path) -> Document {
        let mut document = Document::new(Kind::Pol);
        match read {
            Ok(policy) => {
                let remark =
                    |number: &usize, what: &dyn std::fmt::Display| Remark::new(*number, what);
                document.notes = policy.notes.iter().map(|(at, what)| remark(at, what)).collect();
                document.left_out =
                    policy.left_out.iter().map(|(at, what)| remark(at, what)).collect();
                let steps = policy.settings.into_iter().map(|setting| policy_step(setting, under));
                document.plan = Plan::of_steps(steps);
            }
            Err(damaged) => document.errors.push(Remark::new(damaged.number, damaged)),
        }
        document
    }

    fn of_hive(read: Result<Hive, regf::Error>, under: &Path, damaged: bool) -> Document {
        let mut document = Document::new(Kind::Hive);
        let hive = match read {
            Ok(hive) => hive,
            Err(error) => {
                document.errors.push(Remark::new(0, error));
                return document;
            }
        };
        let place = |place: &hive::Place, what: &dyn std::fmt::Display| {
            Remark::new(0, format_args!("{place}: {what}"))
        };
        document.notes = hive.notes.iter().map(|(at, what)| place(at, what)).collect();
        document.left_out = hive.left_out.iter().map(|(at, what)| place(at, what)).collect();
        let damage = hive.damage.iter().map(|damage| Remark::new(0, damage));
        if damaged {
            document.left_out.extend(damage);
        } else {
            document.errors.extend(damage);
        }
        document.plan = Plan::of_steps(hive.keys.into_iter().map(|key| Step {
            line: 0,
            path: joined(under, &key.path),
            what: What::values(
                key.values.into_iter().map(|(name, value)| set(0, name, value)).collect(),
            ),
        }));
        document
    }
}

fn set(line: usize, name: String, value: Value) -> Entry {
    Entry { line, name, change: Change::Set(value) }
}

fn joined(under: &Path, below: &[String]) -> Path {
    [under.names(), below].concat().into()
}

/// Where the path of a file belongs here.
pub(super) fn placed(names: &[String], under: Option<&Path>) -> Path {
    let (root, below) = match names.split_first() {
        Some((root, below)) => (root.as_str(), below),
        None => ("", &[][..]),
    };
    match under {
        Some(under) => joined(under, below),
        None => joined(&vec![hive_of_root(root).unwrap_or(root).to_owned()].into(), below),
    }
}

fn toml_step(key: RoleKey, under: Option<&Path>) -> Step {
    let line = key.path.line;
    let what = match key.what {
        KeyContent::Hide => What::Hide,
        KeyContent::Link { target, sd } => {
            let link = Some(target.item.to_string());
            let make = Make { link, sd: sd.map(|sd| Box::new(sd.item)), volatile: false };
            What::Key { make, masks_all: false, entries: Vec::new() }
        }
        KeyContent::Key { volatile, sd, mask, values } => {
            let entry = |value: role::RoleValue| {
                let change = value.value.map_or(Change::Mask, Change::Set);
                Entry { line: value.name.line, name: value.name.item, change }
            };
            let make = Make { link: None, sd: sd.map(|sd| Box::new(sd.item)), volatile };
            let entries = values.into_iter().map(entry).collect();
            What::Key { make, masks_all: mask, entries }
        }
    };
    Step { line, path: placed(key.path.item.names(), under), what }
}

fn policy_step(setting: pol::Setting, under: &Path) -> Step {
    let line = setting.number;
    let mut path = joined(under, &setting.key);
    let entry = |name, change| What::values(vec![Entry { line, name, change }]);
    let what = match setting.what {
        Instruction::Key => What::values(Vec::new()),
        Instruction::Set(name, value) => entry(name, Change::Set(value)),
        Instruction::SetIfAbsent(name, value) => entry(name, Change::SetIfAbsent(value)),
        Instruction::NoValue(name) => entry(name, Change::Mask),
        Instruction::NoValues => {
            What::Key { make: Make::default(), masks_all: true, entries: Vec::new() }
        }
        Instruction::NoKey(name) => {
            path = joined(&path, &[name]);
            What::Hide
        }
    };
    Step { line, path, what }
}
