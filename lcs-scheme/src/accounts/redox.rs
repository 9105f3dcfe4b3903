//! The databases of users and groups of Redox: two files. Opening them asks for a shared lock, for as long as
//! they are read; RedoxFS has none, and nothing is written.

use std::io::{self, ErrorKind};

use redox_users::{All, AllGroups, AllUsers, Config, Error};

/// The gid, and those of the groups that name the account of this uid.
pub(super) fn lookup(uid: u32, gid: u32) -> io::Result<Vec<u32>> {
    let mut gids = vec![gid];
    let Some(users) = present(AllUsers::basic(Config::default()))? else { return Ok(gids) };
    let Some(user) = users.get_by_id(uid as usize) else { return Ok(gids) };
    let Some(groups) = present(AllGroups::new(Config::default()))? else { return Ok(gids) };
    for group in groups.iter().filter(|group| group.users.contains(&user.user)) {
        gids.push(gid_from(group.gid)?);
    }
    Ok(gids)
}

/// The gid of the group of this name, if there is one.
pub(super) fn gid_of(name: &str) -> io::Result<Option<u32>> {
    let Some(groups) = present(AllGroups::new(Config::default()))? else { return Ok(None) };
    groups.get_by_name(name).map(|group| gid_from(group.gid)).transpose()
}

/// A database, if it is there: small images have none.
fn present<T>(read: redox_users::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(database) => Ok(Some(database)),
        Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(Error::Io(error)) => Err(error),
        Err(malformed) => Err(io::Error::other(malformed)),
    }
}

fn gid_from(number: usize) -> io::Result<u32> {
    number.try_into().map_err(io::Error::other)
}
