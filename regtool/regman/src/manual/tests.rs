//! Which entry counts, and what becomes of bad files.

use super::*;
use tempfile::TempDir;

fn key(path: &str, summary: &str) -> String {
    format!("[[key]]\npath = '{path}'\nsummary = '{summary}'\n")
}

fn value(path: &str, name: &str, summary: &str) -> String {
    format!(
        "[[value]]\npath = '{path}'\nname = '{name}'\ntype = 'sz'\napplies = 'live'\n\
         summary = '{summary}'\n"
    )
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), format!("reader = 'a'\n{text}")).unwrap();
    }
    folder
}

fn read(folders: &[&TempDir]) -> (Manual, Vec<Trouble>) {
    let folders: Vec<_> = folders.iter().map(|directory| super::folder(directory.path())).collect();
    Manual::read(&folders)
}

fn manual(text: &str) -> Manual {
    let (manual, troubles) = read(&[&folder(&[("a.toml", text)])]);
    assert_eq!(troubles, []);
    manual
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[test]
fn the_entry_with_the_fewest_stars_from_the_hive_down_counts() {
    let manual = manual(
        &[
            key("Machine\\*\\*", "Any"),
            key("Machine\\*\\b", "Second"),
            key("Machine\\a\\*", "First"),
        ]
        .concat(),
    );
    let summary = |text| manual.key(&path(text)).map(|key| key.about.summary.as_str());
    assert_eq!(summary("HKLM/x/y"), Some("Any"));
    assert_eq!(summary("HKLM/x/B"), Some("Second"));
    assert_eq!(summary("HKLM/A/b"), Some("First"));
    assert_eq!(summary("HKLM/A"), None);
}

#[test]
fn a_name_counts_before_any_name_wherever_it_stands() {
    let manual = manual(
        &[
            value("Machine\\a", "*", "Any"),
            value("Machine\\*", "Port", "Port"),
            value("Machine\\a", "@", "Default"),
        ]
        .concat(),
    );
    let summary = |name| manual.value(&path("HKLM/A"), name).map(|value| &*value.about.summary);
    assert_eq!(summary("PORT"), Some("Port"));
    assert_eq!(summary("other"), Some("Any"));
    assert_eq!(summary(""), Some("Default"));
    assert!(manual.value(&path("HKLM/b"), "other").is_none());
}

#[test]
fn a_bad_file_says_nothing_and_stops_no_other() {
    let folder = folder(&[
        ("a.toml", &key("Machine\\a", "A")),
        ("b.toml", "[[key]]\n"),
        ("c.toml", &key("Machine\\c", "C")),
        ("notes.txt", "no manual"),
    ]);
    fs::write(folder.path().join("d.toml"), b"\xFF").unwrap();
    fs::create_dir(folder.path().join("e.toml")).unwrap();
    let (manual, troubles) = read(&[&folder]);
    assert!(manual.key(&path("Machine/a")).is_some() && manual.key(&path("Machine/c")).is_some());
    let files: Vec<_> = troubles.iter().map(|trouble| trouble.file.file_name().unwrap()).collect();
    assert_eq!(files, ["b.toml", "d.toml", "e.toml"]);
}

#[test]
fn what_was_said_first_counts() {
    let first = folder(&[("z.toml", &key("Machine\\a", "First"))]);
    let second = folder(&[("a.toml", &(key("HKLM/A", "Second") + &key("Machine\\b", "B")))]);
    let (manual, troubles) = read(&[&first, &second]);
    assert_eq!(troubles, []);
    assert_eq!(manual.key(&path("Machine/a")).unwrap().about.summary, "First");
    assert_eq!(manual.below(&Place::parse("Machine").unwrap()).len(), 2);
}

#[test]
fn a_folder_that_somebody_named_is_missed_and_the_usual_one_is_not() {
    let gone = PathBuf::from("/no/such/folder");
    for named in [true, false] {
        let (manual, troubles) = Manual::read(&[Folder { path: gone.clone(), named }]);
        assert!(manual.is_empty());
        assert_eq!(troubles.len(), usize::from(named));
    }
}

#[test]
fn a_search_looks_at_paths_names_and_texts_in_any_case() {
    let manual = manual(
        &[
            value("Machine\\Net", "Port", "Where it listens"),
            key("Machine\\Net", "Of the net"),
            key("Users\\*\\Other", "Something else"),
        ]
        .concat(),
    );
    let found = |word| -> Vec<_> {
        let entries = manual.search(word).into_iter();
        entries.map(|entry| (entry.place().to_string(), entry.name().unwrap_or("-"))).collect()
    };
    let net = || "Machine\\Net".to_owned();
    assert_eq!(found("NET"), [(net(), "-"), (net(), "Port")]);
    assert_eq!(found("listens"), [(net(), "Port")]);
    assert_eq!(found("por"), [(net(), "Port")]);
    assert_eq!(found("nothing"), []);
}
