//! The databases of users and groups of Linux: files, and whatever else the system asks for them.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The gid, and those of the groups that name the account of this uid.
pub(super) fn lookup(uid: u32, gid: u32) -> io::Result<Vec<u32>> {
    let Some(user) = found(USERS, || User::from_uid(Uid::from_raw(uid)))? else {
        return Ok(vec![gid]);
    };
    let name = CString::new(user.name)?;
    readable(GROUPS)?;
    let groups = getgrouplist(&name, Gid::from_raw(gid))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// The gid of the group of this name, if there is one.
pub(super) fn gid_of(name: &str) -> io::Result<Option<u32>> {
    let group = found(GROUPS, || Group::from_name(name))?;
    Ok(group.map(|group| group.gid.as_raw()))
}

/// What a database holds, if there is such an entry, or such a database.
fn found<T>(file: &str, look: impl FnOnce() -> nix::Result<Option<T>>) -> io::Result<Option<T>> {
    readable(file)?;
    match look() {
        // So getpwuid_r(3) and getgrnam_r(3) may say that there is none.
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        result => Ok(result?),
    }
}

/// Fails if the file is there and cannot be opened. The functions of libc answer then as if nothing were in
/// it, where another database is asked after it, or (getgrouplist) always.
fn readable(path: &str) -> io::Result<()> {
    match File::open(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_empty_and_one_that_cannot_be_opened_is_an_error() {
        readable("/etc/no/such/file").unwrap();
        assert_eq!(readable("/dev/null/group").unwrap_err().kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn no_entry_may_be_said_in_several_ways_and_is_not_an_error() {
        for says in [Ok(None), Err(Errno::ENOENT), Err(Errno::ESRCH)] {
            assert_eq!(found::<()>(GROUPS, || says).unwrap(), None);
        }
        let error = found::<()>(GROUPS, || Err(Errno::EIO)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EIO as i32));
    }
}
