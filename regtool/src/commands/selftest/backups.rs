//! Backup, verify, restore.

use std::io::{self, Read, Write};

use libredox::errno::{EINVAL, ENOENT};
use libreg::backup::{Checker, Decoder, MAX_RECORD};
use libreg::{Access, CreateKey, Error, Key};

use super::expect::{Outcome, Trouble, differs, refused, same};
use super::ground::{Ground, set_text, text};
use crate::exit::Failure;

const ALL: Access = Access::KEY_ALL_ACCESS;

/// A key with something in it, and its backup.
fn backed_up(ground: &Ground, name: &str) -> Outcome<(Key, Vec<u8>)> {
    let key = ground.key(name)?;
    set_text(&key, "value", "before", None)?;
    let child = key.create_key("Child", ALL, &CreateKey::default())?;
    set_text(&child, "deep", "before", None)?;
    let mut stream = Vec::new();
    let mut backup = ground.unless_denied("you do not have SeBackup", key.backup())?;
    let read = backup.read_to_end(&mut stream);
    read.map_err(|error| Trouble::Failed(Failure::of_stream(key.path(), error)))?;
    Ok((key, stream))
}

/// How many keys a backup has, if it is whole and sound.
fn verify(stream: &[u8]) -> Result<u64, String> {
    let mut decoder = Decoder::new(MAX_RECORD);
    let mut checker = Checker::new(None);
    decoder.push(stream);
    while let Some(record) = decoder.next().map_err(|error| error.to_string())? {
        checker.take(record, &mut Vec::new()).map_err(|unsound| unsound.0.to_owned())?;
    }
    decoder.finish().map_err(|error| error.to_string())?;
    checker.finish().map_err(|unsound| unsound.0.to_owned())?;
    Ok(checker.keys())
}

fn restore(key: &Key, stream: &[u8]) -> Result<(), Error> {
    let mut restore = key.restore()?;
    // If the registry refuses a piece, the end has the same error.
    let _: io::Result<()> = restore.write_all(stream);
    restore.finish()
}

fn change(key: &Key) -> Outcome {
    set_text(key, "value", "after", None)?;
    set_text(key, "new", "after", None)?;
    key.open_key("Child", ALL)?.delete(None)?;
    Ok(())
}

pub fn there_and_back(ground: &Ground) -> Outcome {
    let (key, stream) = backed_up(ground, "backup")?;
    same("the keys of the backup", verify(&stream).map_err(differs)?, 2)?;
    change(&key)?;
    ground.unless_denied("you do not have SeRestore", restore(&key, &stream))?;
    same("a value that was another one", text(&key, "value")?, "before")?;
    refused("a value that was not there", key.value("new"), ENOENT)?;
    same("a key that was deleted", text(&key.open_key("Child", ALL)?, "deep")?, "before")
}

pub fn damaged(ground: &Ground) -> Outcome {
    let (key, stream) = backed_up(ground, "damaged")?;
    change(&key)?;
    let mut bent = stream.clone();
    if let Some(byte) = bent.get_mut(stream.len() / 2) {
        *byte ^= 1;
    }
    let cut = stream.get(..stream.len() - 1).unwrap_or_default();
    for (what, damaged) in [("a bent backup", bent.as_slice()), ("a cut backup", cut)] {
        same(&format!("{what} is whole"), verify(damaged).is_ok(), false)?;
        refused(&format!("restoring {what}"), restore(&key, damaged), EINVAL)?;
        same("the value", text(&key, "value")?, "after")?;
    }
    Ok(())
}
