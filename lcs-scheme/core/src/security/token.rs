//! Who a caller is: its user, its groups, its privileges.

use alloc::vec::Vec;

use bitflags::bitflags;

use super::sid::Sid;

bitflags! {
    /// What a caller may do whatever security descriptors say (DESIGN §6).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Privileges: u8 {
        /// SeTcb: be a source; give layers precedence; make links; join scopes.
        const TCB = 1;
        /// SeBackup: back up keys without being granted to read them.
        const BACKUP = 2;
        /// SeRestore: restore keys, and make anybody a key's owner.
        const RESTORE = 4;
        /// SeSecurity: read and change what is audited.
        const SECURITY = 8;
        /// SeTakeOwnership: open any key to become its owner.
        const TAKE_OWNERSHIP = 16;
    }
}

/// What the system knows of a caller.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups; the primary one may be among them.
    pub groups: &'a [u32],
    /// It is the system itself.
    pub system: bool,
    /// It is in the administrators' group of the system.
    pub administrator: bool,
}

/// Whom a handle acts for. Made from what the kernel says when the handle is made, and kept with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    uid: u32,
    gid: u32,
    user: Sid,
    primary_group: Sid,
    /// The user, and all groups, sorted.
    sids: Vec<Sid>,
    privileges: Privileges,
}

impl Token {
    /// The token of a caller.
    pub fn new(account: Account<'_>) -> Token {
        let Account { uid, gid, groups, system, administrator } = account;
        let user = if system { Sid::SYSTEM } else { Sid::user(uid) };
        let privileges = match (system, administrator) {
            (true, _) => Privileges::all(),
            (false, true) => Privileges::all() - Privileges::TCB,
            (false, false) => Privileges::empty(),
        };
        let groups = groups.iter().chain([&gid]).map(|gid| Sid::group(*gid));
        let mut sids: Vec<Sid> =
            groups.chain([user, Sid::EVERYONE, Sid::AUTHENTICATED_USERS]).collect();
        if system || administrator {
            sids.push(Sid::ADMINISTRATORS);
        }
        sids.sort_unstable();
        sids.dedup();
        Token { uid, gid, user, primary_group: Sid::group(gid), sids, privileges }
    }

    /// The token under which LCS itself works.
    pub fn system() -> Token {
        let account = Account { uid: 0, gid: 0, groups: &[], system: true, administrator: true };
        Token { primary_group: Sid::SYSTEM, ..Token::new(account) }
    }

    /// The same without any privilege.
    pub fn without_privileges(&self) -> Token {
        Token { privileges: Privileges::empty(), ..self.clone() }
    }

    /// The user as the system numbers it.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The primary group as the system numbers it.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The user, who owns what it makes.
    pub fn user(&self) -> Sid {
        self.user
    }

    /// The primary group.
    pub fn primary_group(&self) -> Sid {
        self.primary_group
    }

    /// The user and all groups, in no order that means anything.
    pub fn sids(&self) -> &[Sid] {
        &self.sids
    }

    /// Whether the user, or one of the groups, is this one.
    pub fn is(&self, sid: &Sid) -> bool {
        self.sids.binary_search(sid).is_ok()
    }

    /// Whether it holds all of these privileges.
    pub fn holds(&self, privileges: Privileges) -> bool {
        self.privileges.contains(privileges)
    }

    /// Whether the caller is an administrator.
    pub fn is_administrator(&self) -> bool {
        self.is(&Sid::ADMINISTRATORS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(system: bool, administrator: bool) -> Token {
        Token::new(Account { uid: 1000, gid: 100, groups: &[27, 100], system, administrator })
    }

    #[test]
    fn an_ordinary_user_has_its_groups_and_no_privilege() {
        let token = account(false, false);
        let mut expected = [
            Sid::user(1000),
            Sid::group(100),
            Sid::group(27),
            Sid::EVERYONE,
            Sid::AUTHENTICATED_USERS,
        ];
        expected.sort_unstable();
        assert_eq!(token.sids(), expected);
        assert_eq!(token.primary_group(), Sid::group(100));
        assert!(!token.is_administrator());
        for (_, privilege) in Privileges::all().iter_names() {
            assert!(!token.holds(privilege));
        }
    }

    #[test]
    fn an_administrator_holds_all_privileges_but_that_of_the_system() {
        let token = account(false, true);
        assert_eq!(token.user(), Sid::user(1000));
        assert!(token.is_administrator());
        assert!(token.holds(Privileges::all() - Privileges::TCB));
        assert!(!token.holds(Privileges::TCB));
        assert!(!token.without_privileges().holds(Privileges::BACKUP));
        assert!(token.without_privileges().is_administrator());
    }

    #[test]
    fn the_system_is_an_administrator_under_another_name() {
        let token = account(true, false);
        assert_eq!(token.user(), Sid::SYSTEM);
        assert!(!token.is(&Sid::user(1000)));
        assert!(token.is_administrator() && token.holds(Privileges::all()));
        assert_eq!(token.primary_group(), Sid::group(100));
    }
}
