//! From the kernel's word about a caller to whom its handles act for (DESIGN §6).

use std::rc::Rc;

use lcs_core::registry::Caller;
use lcs_core::security::{Account, Token};
use redox_scheme::CallerCtx;
use syscall::error::EIO;

use crate::accounts::Accounts;

/// Knows who is SYSTEM, and asks who belongs to which groups.
pub struct Identity {
    own_uid: u32,
    accounts: Accounts,
}

impl Identity {
    /// Of this process. On Redox it is root's; hosted, the user who runs LCS counts as root.
    pub fn of_this_process(accounts: Accounts) -> libredox::error::Result<Identity> {
        let own_uid = u32::try_from(libredox::call::geteuid()?).unwrap_or(u32::MAX);
        Ok(Identity { own_uid, accounts })
    }

    /// Who a caller is, from a request in which the kernel vouches for it: OpenAt, Dup, UnlinkAt.
    ///
    /// # Errors
    /// EIO: the system's databases of users and groups cannot be read. Groups can be denied what others may
    /// do, so that nobody is let in without them, but SYSTEM, which keeps nothing from itself and has to set
    /// things right.
    pub async fn caller(&self, context: &CallerCtx) -> Result<Caller, i32> {
        let (uid, gid) = (context.uid, context.gid);
        let system = uid == 0 || uid == self.own_uid;
        let membership = self.accounts.membership(uid, gid).await;
        let (groups, administrator) = match &membership {
            Ok(membership) => (membership.groups.as_slice(), membership.administrator),
            Err(error) => {
                log::error!("the groups of user {uid} are not known: {error}");
                if !system {
                    return Err(EIO);
                }
                (&[][..], false)
            }
        };
        let token = Token::new(Account { uid, gid, groups, system, administrator });
        let pid = u32::try_from(context.pid).unwrap_or(u32::MAX);
        Ok(Caller { token: Rc::new(token), pid })
    }
}
