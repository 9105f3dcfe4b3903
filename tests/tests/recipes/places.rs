//! Two tables are kept complete and true: where the code asks which system it is (ARCHITECTURE.md), and where
//! the facts about Redox are met (docs/redox.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::project;

/// What ships, and what it is built of.
const ROOMS: [&str; 5] = ["lcs-scheme", "loregd", "regtool", "hosted", "tests/Cargo.toml"];

/// All files below a path, but for what cargo made.
fn files(below: &Path, found: &mut Vec<PathBuf>) {
    if below.is_file() {
        found.push(below.to_owned());
    } else if !below.ends_with("target") {
        for name in project::names(below) {
            files(&below.join(name), found);
        }
    }
}

/// Whether a file asks which system it is: comments don't.
fn asks(path: &Path) -> bool {
    let kind = path.extension().and_then(|extension| extension.to_str());
    if !matches!(kind, Some("rs" | "toml")) {
        return false;
    }
    let text = fs::read_to_string(path).expect("text");
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.filter(|line| !line.starts_with('#') || line.starts_with("#[") || line.starts_with("#!["))
        .any(|line| line.contains("target_os"))
}

/// The rows of the tables in a text: their cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").collect()).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn is_path(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    word.contains('/')
        && !word.contains(' ')
        && project::root().join(first).is_dir()
        && !first.is_empty()
}

/// Names that follow files, as in `FILE`: `NAME`, are in them; answers the files.
fn files_of(cell: &str) -> Vec<String> {
    let words: Vec<&str> = cell.split('`').collect();
    let mut paths = Vec::new();
    let mut names_follow = false;
    for pair in words[1..].chunks(2) {
        let (word, between) = (pair[0], pair.get(1).copied().unwrap_or_default());
        if is_path(word) {
            assert!(project::root().join(word).exists(), "there is no {word}: {cell}");
            paths.push(word.to_owned());
        } else if names_follow {
            let last = paths.last().expect("a file before it");
            let text = project::text(last);
            let name = word.rsplit(' ').next().expect("a word");
            let begin = word.strip_suffix(name).unwrap_or_default();
            assert!(text.contains(begin) && text.contains(name), "{last} has no {word}");
        }
        names_follow = between == ": " || (names_follow && between == ", ");
    }
    paths
}

#[test]
fn every_place_that_asks_for_the_system_is_in_the_table_and_every_row_is_such_a_place() {
    let architecture = project::text("ARCHITECTURE.md");
    let begin = architecture.find("## Redox and Linux").expect("the section");
    let section = &architecture[begin..];
    let section = &section[..section.find("\n## Tests").expect("the next section")];
    let listed: BTreeSet<String> =
        rows(section).iter().skip(1).flat_map(|cells| files_of(cells[0])).collect();

    let mut all = Vec::new();
    for room in ROOMS {
        files(&project::root().join(room), &mut all);
    }
    let asking = all.iter().filter(|path| asks(path));
    let asking: BTreeSet<String> = asking
        .map(|path| path.strip_prefix(project::root()).expect("below").display().to_string())
        .collect();
    assert_eq!(asking, listed);
    assert!(listed.len() > 10);
}

#[test]
fn the_facts_about_redox_name_files_and_tests_that_are_there() {
    let mut all = Vec::new();
    for room in ["lcs-scheme", "loregd", "regtool", "hosted", "tests"] {
        files(&project::root().join(room), &mut all);
    }
    let sources = all.iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let sources: String = sources.map(|path| fs::read_to_string(path).expect("text")).collect();

    let facts = project::text("docs/redox.md");
    let mut count = 0;
    for cells in rows(&facts)
        .iter()
        .filter(|cells| !cells[0].starts_with("fact") && !cells[0].starts_with("step"))
    {
        let [_, place, tests] = cells[..] else { panic!("three cells: {cells:?}") };
        files_of(place);
        let names: Vec<&str> = quoted(tests).filter(|name| name.contains('_')).collect();
        for name in &names {
            assert!(sources.contains(&format!("fn {name}()")), "there is no test {name}");
        }
        assert!(
            !names.is_empty() || tests.starts_with('–') || tests.starts_with("all"),
            "{cells:?}"
        );
        count += 1;
    }
    assert!(count > 40, "{count} facts");
}

#[test]
fn the_random_source_that_is_opened_before_is_the_one_that_uuid_uses() {
    let lock: toml::Value = toml::from_str(&project::text("Cargo.lock")).expect("TOML");
    let packages = lock["package"].as_array().expect("a list");
    let sources = packages.iter().filter(|package| package["name"].as_str() == Some("getrandom"));
    assert_eq!(sources.count(), 1, "two versions keep a descriptor each");
}
