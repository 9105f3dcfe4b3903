//! Random roles over random hives: what is taken off leaves nothing, in whatever order.
//!
//! `ROLES` in the environment says over how many hives (1,000 if it does not), `SEED` with which dice.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use clap::Parser;
use registry_tests::daemons::{loregd, root_directory};
use registry_tests::dice::{Dice, setting};
use registry_tests::harness::{Root, binary, session_of_rounds};
use registry_tests::registry::create;
use regtool::cli::Cli;
use regtool::exit::Failure;
use serde_json::Value as Json;

use crate::random::{Company, Hive, grow, index};

/// As many hives are there before the first role is installed over one of them; with their number the whole of
/// Machine is looked at, too.
const BATCH: u64 = 100;

/// Hives are independent, and so are their roles.
const WORKERS: u64 = 4;

/// What happened over all hives.
#[derive(Debug, Default)]
struct Figures {
    hives: u64,
    installed: u64,
    /// What could not be installed, because another role is there.
    refused: u64,
    /// How often the same roles were installed by different ways.
    compared: u64,
}

#[test]
fn roles_that_are_taken_off_in_any_order_leave_every_hive_as_it_was() {
    let hives = setting("ROLES").unwrap_or(1000);
    session_of_rounds(1 + hives / BATCH, Root::lcs, |_| {
        let dice = Dice::new();
        let _source = loregd(&[]);
        drop(create(r"Machine\Hives"));
        let figures = Mutex::new(Figures::default());
        for first in (0..hives).step_by(usize::try_from(BATCH).expect("a small number")) {
            batch(&dice, first..(first + BATCH).min(hives), &figures);
        }
        let figures = figures.into_inner().expect("no worker died");
        eprintln!("{figures:?}");
        assert_eq!(figures.hives, hives);
        assert!(hives < BATCH || (figures.compared > 0 && figures.refused > 0), "{figures:?}");
    });
}

fn batch(dice: &Dice, numbers: std::ops::Range<u64>, figures: &Mutex<Figures>) {
    let hives: Vec<(u64, Hive, Dice)> = numbers
        .map(|number| {
            let mut dice = dice.for_number(number);
            let hive = grow(&mut dice, &format!(r"Machine\Hives\{number}"));
            (number, hive, dice)
        })
        .collect();
    let before = whole_of_machine();
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let hives = hives.iter().filter(move |(number, _, _)| number % WORKERS == worker);
            scope.spawn(move || {
                for (number, hive, dice) in hives {
                    let found = Round::new(*number, hive, dice.clone()).run();
                    let mut figures = figures.lock().expect("no worker died");
                    figures.hives += 1;
                    figures.installed += found.installed;
                    figures.refused += found.refused;
                    figures.compared += found.compared;
                }
            });
        }
    });
    assert!(whole_of_machine() == before, "Machine is another one");
}

/// Three roles over one hive, the last of which is a policy: its precedence is raised.
struct Round<'a> {
    hive: &'a Hive,
    company: Company,
    dice: Dice,
    /// Of the layers.
    names: [String; 3],
    files: [PathBuf; 3],
    texts: [String; 3],
    /// Which are installed, in the order in which they were.
    installed: Vec<usize>,
    /// The last export of the hive: it is what it was since then.
    now: Vec<u8>,
    /// What each export of the hive was, without sequence numbers, by what was installed.
    known: HashMap<Vec<usize>, String>,
    figures: Figures,
}

impl<'a> Round<'a> {
    fn new(number: u64, hive: &'a Hive, mut dice: Dice) -> Round<'a> {
        let company = if dice.below(2) == 0 { Company::Values } else { Company::Keys };
        let names = ["one", "other", "policy"].map(|name| format!("{name}{number}"));
        let texts = names.each_ref().map(|name| hive.role(&mut dice, name, company));
        let files = names.each_ref().map(|name| root_directory().join(name));
        for (file, text) in files.iter().zip(&texts) {
            fs::write(file, text).expect("a role file");
        }
        let (installed, known, figures) = (Vec::new(), HashMap::new(), Figures::default());
        let now = Vec::new();
        Round { hive, company, dice, names, files, texts, installed, now, known, figures }
    }

    fn run(mut self) -> Figures {
        self.look();
        let untouched = self.now.clone();
        // What was put on last is taken off first: everything is seen again, down to the sequence numbers.
        let mut seen = Vec::new();
        for role in self.any_order() {
            let before = self.now.clone();
            if self.install(role) {
                seen.push(before);
            }
        }
        while let Some(before) = seen.pop() {
            let role = *self.installed.last().expect("as many as were seen before");
            self.remove(role);
            self.is_as(&before, "the last role was taken off");
        }
        // In any order: all that has to be the same is the end.
        let (mut to_come, mut steps) = (self.any_order().to_vec(), 0);
        while !(to_come.is_empty() && self.installed.is_empty()) {
            let on = self.dice.below(2) == 0;
            match to_come.pop() {
                Some(role) if on || self.installed.is_empty() => {
                    self.install(role);
                }
                left => {
                    to_come.extend(left);
                    let role = self.installed[index(&mut self.dice, self.installed.len())];
                    self.remove(role);
                }
            }
            steps += 1;
            assert!(steps < 10, "three roles are put on and taken off");
        }
        self.is_as(&untouched, "everything was taken off");
        self.files.iter().for_each(|file| fs::remove_file(file).expect("a role file"));
        self.figures
    }

    /// Installs a role, or nothing.
    fn install(&mut self, role: usize) -> bool {
        let file = self.files[role].as_os_str().to_owned();
        match regtool(["role".into(), "install".into(), file]) {
            Ok(()) => {
                if role == 2 {
                    let name = OsString::from(&self.names[role]);
                    let raise = ["layer".into(), "precedence".into(), name, "5".into()];
                    regtool(raise).unwrap_or_else(|error| panic!("{error}"));
                }
                self.installed.push(role);
                self.figures.installed += 1;
                self.look();
                self.compare();
                true
            }
            Err(error) => {
                assert!(self.company == Company::Keys, "{error}: {}", self.texts[role]);
                self.figures.refused += 1;
                let before = self.now.clone();
                self.look();
                self.is_as(&before, "a role could not be installed");
                false
            }
        }
    }

    fn remove(&mut self, role: usize) {
        let family = if role == 2 { ["layer", "delete"] } else { ["role", "remove"] };
        let name = OsString::from(&self.names[role]);
        let remove = [family[0].into(), family[1].into(), name];
        regtool(remove).unwrap_or_else(|error| panic!("{error}"));
        self.installed.retain(|installed| *installed != role);
        self.look();
        self.compare();
    }

    /// Where roles only have values in common it does not matter what was there meanwhile.
    fn compare(&mut self) {
        if self.company == Company::Keys {
            return;
        }
        let export = without_sequences(&self.now);
        if let Some(known) = self.known.get(&self.installed) {
            assert!(
                *known == export,
                "{}\n{known}\n{export}",
                self.described("it was otherwise before")
            );
            self.figures.compared += 1;
        } else {
            self.known.insert(self.installed.clone(), export);
        }
    }

    fn is_as(&self, before: &[u8], when: &str) {
        assert!(
            self.now == before,
            "{}\n{}\n{}",
            self.described(when),
            String::from_utf8_lossy(before),
            String::from_utf8_lossy(&self.now)
        );
    }

    fn described(&self, when: &str) -> String {
        format!("{when}; {:?} are installed\n{}", self.installed, self.texts.join("\n"))
    }

    /// Exports the hive.
    fn look(&mut self) {
        let file = self.files[0].with_extension("json");
        let export = ["export".into(), OsString::from(&self.hive.path), "--format".into()];
        let into = ["json".into(), "-o".into(), file.as_os_str().to_owned()];
        regtool(export.into_iter().chain(into)).unwrap_or_else(|error| panic!("{error}"));
        self.now = fs::read(file).expect("an export");
    }

    fn any_order(&mut self) -> [usize; 3] {
        let mut order = [0, 1, 2];
        for place in (1..order.len()).rev() {
            order.swap(place, index(&mut self.dice, place + 1));
        }
        order
    }
}

/// Carries out a command in this process.
fn regtool(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let line = std::iter::once("regtool".into()).chain(arguments);
    let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    regtool::carry_out(&cli.command)
}

/// An export without what says when something was written.
fn without_sequences(export: &[u8]) -> String {
    let mut keys: Vec<Json> = serde_json::from_slice(export).expect("JSON");
    let values = keys.iter_mut().filter_map(|key| key["values"].as_array_mut()).flatten();
    for value in values {
        value["sequence"] = Json::Null;
    }
    Json::from(keys).to_string()
}

/// The export of Machine, as `regtool` writes it if nobody says how.
fn whole_of_machine() -> Vec<u8> {
    let file = root_directory().join("Machine.reg");
    export_machine(&file);
    fs::read(file).expect("an export")
}

fn export_machine(file: &Path) {
    let mut export = Command::new(binary("regtool"));
    export.args(["export", "Machine", "-o"]).arg(file);
    // What .reg cannot hold is told.
    let status = export.stderr(Stdio::null()).status().expect("regtool runs");
    assert!(status.success(), "{status}");
}
