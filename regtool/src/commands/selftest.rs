//! `selftest`: every feature is tried against the running registry, in a scratch key.

mod backups;
mod expect;
mod files;
mod ground;
mod keys;
mod layers;
mod report;
mod security;
mod transactions;
mod values;
mod views;
mod watches;

use libreg::Registry;

use super::Session;
use crate::cli::Selftest;
use crate::exit::Failure;
use crate::interrupt::Postponed;
use expect::Outcome;
use ground::Ground;
use report::Report;

/// A feature, and how it is tried.
type Check = (&'static str, fn(&Ground) -> Outcome);

/// In this order.
const CHECKS: [Check; 34] = [
    ("status", keys::status),
    ("keys", keys::keys),
    ("names", keys::names),
    ("volatile keys", keys::volatile),
    ("deleted keys that are open", keys::orphans),
    ("values of every type", values::types),
    ("list of values", values::list),
    ("writes on condition", values::conditions),
    ("layers", layers::layers),
    ("tombstones", layers::tombstones),
    ("blankets", layers::blankets),
    ("hidden keys", layers::hidden),
    ("explain", layers::explain),
    ("private layers", views::private_layers),
    ("scopes", views::scopes),
    ("sealed views", views::sealed),
    ("transactions: commit", transactions::commit),
    ("transactions: abort", transactions::abort),
    ("transactions: conflict", transactions::conflict),
    ("watches", watches::watches),
    ("watches of all below", watches::subtrees),
    ("links", keys::links),
    ("security descriptors", security::descriptors),
    ("access denied", security::denied),
    ("restricted handles", security::restricted),
    ("backup and restore", backups::there_and_back),
    ("damaged backups", backups::damaged),
    ("files: text forms", files::text_forms),
    ("files: writing", files::writing),
    ("files: list and stat", files::list_and_stat),
    ("files: directories", files::directories),
    ("files: names", files::names),
    ("files: errors", files::errors),
    ("files: access denied", files::denied),
];

pub fn selftest(session: &mut Session, options: &Selftest) -> Result<(), Failure> {
    // What is not committed in the shell is no matter here.
    let registry = session.outside()?;
    // If there is no registry that is the answer.
    registry.status()?;
    let signals =
        Postponed::new().map_err(|error| Failure::File { name: "signals".to_owned(), error })?;
    let mut report = Report::new(registry, options.output.json);
    let outcome = try_all(registry, &signals, &mut report);
    // All is removed now.
    signals.take_effect();
    outcome?;
    report.finish()
}

/// Makes the scratch key, tries everything in it until a signal comes, and removes it.
fn try_all(registry: &Registry, signals: &Postponed, report: &mut Report) -> Result<(), Failure> {
    let ground = match Ground::new(registry) {
        Ok(ground) => ground,
        Err(trouble) => return report.tell("scratch key", Err(trouble)),
    };
    report.begin(ground.path());
    for (name, check) in CHECKS {
        if signals.came() {
            break;
        }
        report.tell(name, check(&ground))?;
    }
    report.tell("clean-up", ground.remove())
}
