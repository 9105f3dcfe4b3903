//! `loregd check`: whether the hives of a directory are whole, without a daemon.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Error;
use crate::backup::copies_in;
use crate::directory::{Directory, caught, hives_in};
use crate::files::HiveFiles;
use crate::hive::{self, Counts, Problem};
use crate::store::RedbReader;

/// Checks every hive in a directory, and every copy, and changes none. Prints one line per problem, or, if there is none, one
/// that says how much there is. Returns whether there is none.
///
/// # Errors
/// [`Error::Guarded`]: a loregd works on the directory; on Redox, where files don't lock, nobody says so.
/// [`Error::NoHives`]; [`Error::File`], of a file or directory that can't be opened; [`Error::Output`].
pub fn check(directory: &Path, out: &mut dyn Write) -> Result<bool, Error> {
    let _guard = Directory::guard(directory)?;
    let hives = hives_in(directory)?;
    let copies = copies_in(&HiveFiles::new(directory, ""))?;
    if hives.is_empty() && copies.is_empty() {
        return Err(Error::NoHives(directory.to_owned()));
    }
    let mut clean = true;
    let copies = copies.into_iter().map(|(stem, copy)| (format!("{stem}, {copy}"), copy.path));
    for (name, path) in hives.into_iter().chain(copies) {
        let file = File::open(&path).map_err(|error| Error::File { path, error })?;
        clean &= check_hive(&name, file, out)?;
        out.flush().map_err(Error::Output)?;
    }
    Ok(clean)
}

fn check_hive(name: &str, file: File, out: &mut dyn Write) -> Result<bool, Error> {
    let mut printed = Ok(());
    let mut tell = |problem: &dyn std::fmt::Display| {
        if printed.is_ok() {
            printed = writeln!(out, "{name}: {problem}");
        }
    };
    let counts = caught(|| {
        let database = RedbReader::of_file(file)?;
        hive::check(&*database.view()?, &mut |problem: Problem| tell(&problem))
    });
    match &counts {
        Ok(Counts { keys, values, orphans, problems: 0 }) => {
            tell(&format_args!("ok, {keys} keys, {values} values, {orphans} orphans"));
        }
        Ok(_) => {}
        Err(error) => tell(error),
    }
    printed.map_err(Error::Output)?;
    Ok(counts.is_ok_and(|counts| counts.problems == 0))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lcs_abi::rsi::{Changes, ClaimedHive, Mutation, Name, Request};

    use super::*;
    use crate::hive::Hive;

    fn claimed(name: &str) -> ClaimedHive {
        ClaimedHive { name: name.to_owned(), scope: None }
    }

    fn open(directory: &Path, name: &str) -> Hive {
        Directory::open(directory).unwrap().open_hive(&claimed(name)).unwrap().hive
    }

    fn checked(directory: &Path) -> (bool, String) {
        let mut out = Vec::new();
        let clean = check(directory, &mut out).unwrap();
        (clean, String::from_utf8(out).unwrap())
    }

    fn set_values(hive: &mut Hive, count: u64) {
        let name = |text: String| Name { display: text.clone(), folded: text };
        let key = hive.root();
        for number in 1..=count {
            let (value_type, data) = (3, vec![7; 1000]);
            let (name, layer) = (name(format!("v{number}")), name("base".to_owned()));
            let mutations = vec![Mutation::SetValue { key, name, layer, value_type, data }];
            let changes = Changes::Mutations(mutations);
            let conditions = Vec::new();
            hive.answer(&Request::Apply { conditions, changes, first_sequence: number }).unwrap();
        }
    }

    #[test]
    fn each_hive_has_its_line() {
        let directory = tempfile::tempdir().unwrap();
        set_values(&mut open(directory.path(), "Users"), 3);
        drop(open(directory.path(), "Machine"));
        let expected = "Machine: ok, 1 keys, 0 values, 0 orphans\n\
                        Users: ok, 1 keys, 3 values, 0 orphans\n";
        assert_eq!(checked(directory.path()), (true, expected.to_owned()));
    }

    #[test]
    fn a_database_that_was_not_closed_is_checked_as_it_would_be_recovered_and_stays_as_it_is() {
        let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hive = open(running.path(), "Machine");
        set_values(&mut hive, 50);
        let copy = crashed.path().join("Machine.redb");
        fs::copy(running.path().join("Machine.redb"), &copy).unwrap();
        let before = fs::read(&copy).unwrap();
        let expected = "Machine: ok, 1 keys, 50 values, 0 orphans\n";
        assert_eq!(checked(crashed.path()), (true, expected.to_owned()));
        assert!(fs::read(&copy).unwrap() == before);
        assert_eq!(fs::read_dir(crashed.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_cut_or_overwritten_or_empty_is_a_problem_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        set_values(&mut open(directory.path(), "Machine"), 50);
        let path = directory.path().join("Machine.redb");
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let (clean, lines) = checked(directory.path());
            assert!(!clean, "{length} bytes: {lines}");
            assert!(lines.starts_with("Machine: ") && lines.lines().count() == 1, "{lines}");
        }
        let mut overwritten = whole.clone();
        for (place, _) in whole.windows(1000).enumerate().filter(|(_, it)| *it == [7; 1000]) {
            overwritten[place + 500] = 8;
        }
        fs::write(&path, &overwritten).unwrap();
        let (clean, lines) = checked(directory.path());
        assert!(!clean && lines.starts_with("Machine: "), "{lines}");
    }

    #[test]
    fn where_loregd_works_or_no_hive_is_nothing_is_checked() {
        let directory = tempfile::tempdir().unwrap();
        let check = |path: &Path| check(path, &mut Vec::new());
        assert!(matches!(check(&directory.path().join("absent")), Err(Error::File { .. })));
        let guard = Directory::open(directory.path()).unwrap();
        assert!(matches!(check(directory.path()), Err(Error::Guarded(_))));
        drop(guard);
        assert!(matches!(check(directory.path()), Err(Error::NoHives(_))));
    }
}
