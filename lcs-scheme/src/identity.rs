//! From the kernel's word about a caller to a token.

use lcs_core::security::Token;
use redox_scheme::CallerCtx;

/// Knows who is SYSTEM.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    own_uid: u32,
}

impl Identity {
    /// Of this process. On Redox it is root's; hosted, the user who runs LCS counts as root.
    pub fn of_this_process() -> libredox::error::Result<Identity> {
        let own_uid = u32::try_from(libredox::call::geteuid()?).unwrap_or(u32::MAX);
        Ok(Identity { own_uid })
    }

    /// The token of a caller, from a request in which the kernel vouches for it.
    pub fn token(&self, caller: &CallerCtx) -> Token {
        Token::new(caller.uid, caller.uid == 0 || caller.uid == self.own_uid)
    }
}
