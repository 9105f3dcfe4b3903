//! What each command does.

mod acl;
mod backup;
mod changes;
mod delete;
mod diff;
mod doctor;
mod edit;
mod explain;
mod export;
mod find;
mod generate;
mod hide;
mod import;
mod key;
mod layer;
mod link;
mod list;
mod mask;
mod role;
mod scope;
mod selftest;
mod status;
mod tree;
mod value;
mod view;
mod walk;
mod watch;

use std::io::Read;
use std::path::Path as FilePath;

use libreg::{Access, HiveState, HiveStatus, Registry, Transaction, TransactionState, fold};

use crate::cli::Command;
use crate::exit::Failure;
use crate::path::{Path, PathError};
use crate::shell;

pub use layer::LAYERS;
pub use scope::SCOPES;

/// The hive that every path of a user can begin with, though no source has it.
pub const CURRENT_USER: &str = "CurrentUser";

/// What lasts from one command to the next: in the shell, more than one command.
pub struct Session {
    /// Open from the first command that needs it.
    registry: Option<Registry>,
    /// The shell's transaction, if it is in one.
    transaction: Option<Transaction>,
    /// The shell's current key; `None` outside the shell.
    current: Option<Path>,
}

impl Session {
    /// One command.
    pub fn new() -> Session {
        Session { registry: None, transaction: None, current: None }
    }

    /// Many commands, in the shell.
    pub fn in_shell() -> Session {
        Session { registry: None, transaction: None, current: Some(Path::default()) }
    }

    /// The registry, as the shell's transaction sees it if there is one; opened if it is not.
    pub fn registry(&mut self) -> Result<&Registry, Failure> {
        if self.transaction.is_none() {
            return self.outside();
        }
        let inside = self.transaction.as_ref().map(Transaction::registry);
        inside.ok_or(Failure::NoTransaction)
    }

    /// The registry as everybody sees it, opened if it is not.
    fn outside(&mut self) -> Result<&Registry, Failure> {
        if self.registry.is_none() {
            self.registry = Some(Registry::open()?);
        }
        self.registry
            .as_ref()
            .ok_or_else(|| Failure::NotUp("the registry is not running".to_owned()))
    }

    /// The same failure; if rights are missing it is found out which. This takes requests, so that it is for
    /// one who is about to tell it.
    pub fn explained(&self, failure: Failure) -> Failure {
        let inside = self.transaction.as_ref().map(Transaction::registry);
        match (failure, inside.or(self.registry.as_ref())) {
            (Failure::Registry(error), Some(registry)) => Failure::explained(registry, error),
            (failure, _) => failure,
        }
    }

    /// Opens the registry anew next time: handles of an LCS that is gone are of no use.
    pub fn disconnect(&mut self) {
        self.registry = None;
        self.transaction = None;
    }

    /// Whether the shell is in a transaction.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Begins the shell's transaction; what was written in one before is given up.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.transaction = Some(self.outside()?.begin()?);
        Ok(())
    }

    /// Ends the shell's transaction without a commit. Tells whether there was one.
    pub fn abort(&mut self) -> bool {
        self.transaction.take().is_some()
    }

    /// Commits the shell's transaction. What could not be done and can be tried again leaves the shell in it.
    pub fn commit(&mut self) -> Result<(), Failure> {
        let Some(transaction) = self.transaction.take() else {
            return Err(Failure::NoTransaction);
        };
        changes::commit(&transaction).map_err(|(failure, _)| {
            let state = transaction.status().map(|status| status.state);
            if state == Ok(TransactionState::ActiveBound) {
                self.transaction = Some(transaction);
            }
            failure
        })
    }

    /// Whether commands are typed one after the other, and another one follows.
    fn is_shell(&self) -> bool {
        self.current.is_some()
    }

    /// Where relative paths begin.
    pub fn current(&self) -> Path {
        self.current.clone().unwrap_or_default()
    }

    /// Makes a key the current one.
    pub fn set_current(&mut self, path: Path) {
        self.current = Some(path);
    }

    /// Reads a path that a person wrote.
    pub fn path(&self, text: &str) -> Result<Path, PathError> {
        match &self.current {
            Some(current) => Path::parse_at(text, current),
            None => Path::parse(text),
        }
    }

    /// As [`Session::path`], where the path may be left out.
    fn optional_path(&self, text: Option<&str>) -> Result<Path, PathError> {
        text.map_or_else(|| Ok(self.current()), |text| self.path(text))
    }

    /// Where a walk from this path starts: there, or, from where paths begin, at every hive.
    fn starts(&mut self, text: Option<&str>) -> Result<Vec<Path>, Failure> {
        let path = self.optional_path(text)?;
        if path.is_root() {
            Ok(self.roots()?.into_iter().map(|hive| vec![hive].into()).collect())
        } else {
            Ok(vec![path])
        }
    }

    /// The names with which a path can begin and lead somewhere.
    pub fn roots(&mut self) -> Result<Vec<String>, Failure> {
        let up = self.hives()?.into_iter().filter(|hive| hive.state == HiveState::Up);
        Ok(up.map(|hive| hive.name).collect())
    }

    /// The hives of this view, whatever their state.
    fn hives(&mut self) -> Result<Vec<HiveStatus>, Failure> {
        let registry = self.outside()?;
        let hives = registry.status()?.hives;
        // Administrators who are in no view are told of all private hives, which they do not see.
        let is_seen = |hive: &HiveStatus| {
            let same_name = hives.iter().filter(|other| fold(&other.name) == fold(&hive.name));
            let opened = || registry.open_key(&hive.name, Access::MAXIMUM_ALLOWED);
            hive.scope.is_none()
                || same_name.count() == 1 && !opened().is_err_and(|error| error.is_not_found())
        };
        Ok(hives.iter().filter(|hive| is_seen(hive)).cloned().collect())
    }
}

/// Carries out a command.
pub fn run(session: &mut Session, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Get(options) => value::get(session, options),
        Command::Set(options) => value::set(session, options),
        Command::Unset(options) => value::unset(session, options),
        Command::Mask(options) => mask::mask(session, options),
        Command::Unmask(options) => mask::unmask(session, options),
        Command::Create(options) => key::create(session, options),
        Command::Delete(options) => delete::delete(session, options),
        Command::Hide(options) => hide::hide(session, options),
        Command::Unhide(options) => hide::unhide(session, options),
        Command::List(options) => list::list(session, options),
        Command::Tree(options) => tree::tree(session, options),
        Command::Find(options) => find::find(session, options),
        Command::Info(options) => key::info(session, options),
        Command::Explain(options) => explain::explain(session, options),
        Command::Check(options) => key::check(session, options),
        Command::Watch(options) => watch::watch(session, options),
        Command::Acl(options) => acl::acl(session, options),
        Command::Import(options) => import::import(session, options),
        Command::Export(options) => export::export(session, options),
        Command::Backup(options) => backup::backup(session, options),
        Command::Restore(options) => backup::restore(session, options),
        Command::Layer(options) => layer::layer(session, options),
        Command::Scope(options) => scope::scope(session, options),
        Command::View(options) => view::view(session, options),
        Command::Diff(options) => diff::diff(session, options),
        Command::Role(options) => role::role(session, options),
        Command::Edit(options) => edit::edit(session, options),
        Command::Status(options) => status::status(session, options),
        Command::Doctor(options) => doctor::doctor(session, options),
        Command::Selftest(options) => selftest::selftest(session, options),
        Command::Completions(options) => generate::completions(options),
        Command::Manpages(options) => generate::manpages(options),
        Command::Shell => shell::shell(),
    }
}

/// Reads a file, or, if it is `-`, the standard input.
fn read_file(file: &FilePath) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let outcome = if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    outcome.map_err(|error| Failure::File { name: file.display().to_string(), error })?;
    Ok(bytes)
}

/// The value name that a person meant: `@` is the default value, unless taken as it stands.
fn value_name(name: &str, literal: bool) -> &str {
    if name == "@" && !literal { "" } else { name }
}
