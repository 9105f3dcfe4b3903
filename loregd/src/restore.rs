//! `loregd restore`: a copy in the place of a hive, without a daemon.

use std::io::Write;
use std::path::Path;

use lcs_abi::rsi::ClaimedHive;

use crate::Error;
use crate::backup::{Copy, copies_in, copies_of};
use crate::directory::{Directory, file_stem, hives_in};
use crate::files::{Aside, HiveFiles};
use crate::kept::Kept;
use crate::recovery::{JUMP, examine, prepare};

/// Puts a copy in the place of the hive that is named so, or whose files are: the one with this number, or the
/// newest that is whole. What is there is set aside under a dated name. Prints what was done, or, if it returns
/// false, why no copy could be used; then nothing was changed.
///
/// # Errors
/// [`Error::Guarded`]: a loregd works on the directory; on Redox, where files don't lock, nobody says so.
/// [`Error::NoSuchHive`]; [`Error::Output`]; and what keeps this process from reading or writing.
pub fn restore(
    directory: &Path,
    hive: &str,
    copy: Option<u32>,
    out: &mut dyn Write,
) -> Result<bool, Error> {
    let _guard = Directory::guard(directory)?;
    let files = find(directory, hive)?;
    files.remove_unfinished()?;
    let mut say = |text: String| {
        let said = writeln!(out, "{}: {text}", files.stem()).and_then(|()| out.flush());
        said.map_err(Error::Output)
    };
    let mut candidates = copies_of(&files)?;
    candidates.retain(|candidate| copy.is_none_or(|number| candidate.number == number));
    if candidates.is_empty() {
        say(match copy {
            Some(number) => format!("there is no copy {number}"),
            None => "there is no copy".to_owned(),
        })?;
        return Ok(false);
    }
    while let Some(candidate) = candidates.pop() {
        match examine(&candidate.path)?.sound() {
            Ok((_, max_sequence)) => {
                say(replace(hive, &files, &candidate, max_sequence)?)?;
                return Ok(true);
            }
            Err(error) => say(format!("{candidate} is damaged: {error}"))?,
        }
    }
    Ok(false)
}

fn replace(hive: &str, files: &HiveFiles, copy: &Copy, max_sequence: u64) -> Result<String, Error> {
    // Above all that anybody may have seen: numbers are used once.
    let kept = Kept::read(&files.kept())?;
    let present = match files.database().exists() {
        true => examine(&files.database())?.sound().ok(),
        false => None,
    };
    let present = present.map(|(_, max_sequence)| max_sequence);
    let known = kept.map(|kept| kept.sequence).into_iter().chain(present).max();
    let at_least = known.unwrap_or_else(|| max_sequence.saturating_add(JUMP));
    prepare(hive, files, Some(copy), None, at_least)?;
    Ok(match files.replace_database(Aside::Replaced)? {
        Some(path) => format!("is now what {copy} has; before: {}", path.display()),
        None => format!("is now what {copy} has; there was none before"),
    })
}

fn find(directory: &Path, hive: &str) -> Result<HiveFiles, Error> {
    let any = HiveFiles::new(directory, hive);
    let stems = hives_in(directory)?.into_iter().map(|(stem, _)| stem);
    let stems: Vec<String> =
        stems.chain(copies_in(&any)?.into_iter().map(|(stem, _)| stem)).collect();
    let named = file_stem(&ClaimedHive { name: hive.to_owned(), scope: None });
    let found = [hive, &named].into_iter().find(|stem| stems.iter().any(|it| it == stem));
    match found {
        Some(stem) => Ok(HiveFiles::new(directory, stem)),
        None => Err(Error::NoSuchHive(directory.to_owned(), hive.to_owned())),
    }
}
