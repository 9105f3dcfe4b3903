//! SIDs as people know them: by name, where they have one.

use std::borrow::Cow;

use libreg::security::Sid;
use serde_json::{Value as Json, json};

use crate::output;

/// The SIDs that are the same everywhere, as Windows calls them.
const KNOWN: [(Sid, &str); 7] = [
    (Sid::SYSTEM, "SYSTEM"),
    (Sid::ADMINISTRATORS, "Administrators"),
    (Sid::AUTHENTICATED_USERS, "Authenticated Users"),
    (Sid::EVERYONE, "Everyone"),
    (Sid::CREATOR_OWNER, "CREATOR OWNER"),
    (Sid::CREATOR_GROUP, "CREATOR GROUP"),
    (Sid::OWNER_RIGHTS, "OWNER RIGHTS"),
];

/// Who that is: `SYSTEM`, `user 1000 (alice)`, or the SID of somebody unknown.
pub fn who(sid: &Sid) -> String {
    let (kind, number) = match (sid.uid(), sid.gid()) {
        (Some(uid), _) => ("user", uid),
        (None, Some(gid)) => ("group", gid),
        (None, None) => {
            let known = KNOWN.iter().find(|(known, _)| known == sid);
            return known.map_or_else(|| sid.to_string(), |(_, name)| (*name).to_owned());
        }
    };
    match name(sid) {
        Some(name) => format!("{kind} {number} ({})", output::one_line(&name)),
        None => format!("{kind} {number}"),
    }
}

/// A SID as JSON: `sid`, and `name`, null if it has none.
pub fn json(sid: &Sid) -> Json {
    json!({ "sid": sid.to_string(), "name": name(sid) })
}

fn name(sid: &Sid) -> Option<Cow<'static, str>> {
    let known = KNOWN.iter().find(|(known, _)| known == sid).map(|(_, name)| Cow::Borrowed(*name));
    let user = || sid.uid().and_then(system::user);
    let group = || sid.gid().and_then(system::group);
    known.or_else(|| user().or_else(group).map(Cow::Owned))
}

/// The system's databases of users and groups. One that cannot be read knows nobody: a name is for the
/// reader only, and the number stands beside it.
#[cfg(not(target_os = "redox"))]
mod system {
    use nix::unistd::{Gid, Group, Uid, User};

    pub fn user(uid: u32) -> Option<String> {
        User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
    }

    pub fn group(gid: u32) -> Option<String> {
        Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
    }
}

/// The same on Redox.
#[cfg(target_os = "redox")]
mod system {
    use redox_users::{All, AllGroups, AllUsers, Config};

    pub fn user(uid: u32) -> Option<String> {
        let users = AllUsers::basic(Config::default()).ok()?;
        users.get_by_id(usize::try_from(uid).ok()?).map(|user| user.user.clone())
    }

    pub fn group(gid: u32) -> Option<String> {
        let groups = AllGroups::new(Config::default()).ok()?;
        groups.get_by_id(usize::try_from(gid).ok()?).map(|group| group.group.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_groups_have_names_where_the_system_knows_them() {
        assert_eq!(who(&Sid::ADMINISTRATORS), "Administrators");
        assert_eq!(who(&Sid::OWNER_RIGHTS), "OWNER RIGHTS");
        assert_eq!(who(&"S-1-5-21-7".parse().unwrap()), "S-1-5-21-7");
        // Whose number is 0 is root everywhere; this one is nobody's.
        assert_eq!(who(&Sid::user(0)), "user 0 (root)");
        assert_eq!(who(&Sid::group(0)), "group 0 (root)");
        assert_eq!(who(&Sid::user(3_999_999_999)), "user 3999999999");
        assert_eq!(json(&Sid::SYSTEM), json!({ "sid": "S-1-5-18", "name": "SYSTEM" }));
        let unknown = json!({ "sid": "S-1-22-1-3999999999", "name": null });
        assert_eq!(json(&Sid::user(3_999_999_999)), unknown);
    }
}
