//! Who a caller is, and what it may do.
//!
//! For now one rule stands here in one place: SYSTEM may, others may not. Security descriptors are stored
//! and carried, but not yet read.

use alloc::format;
use alloc::string::{String, ToString};

use lcs_abi::security::Access;

/// Who made a handle, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    uid: u32,
    system: bool,
}

/// Why an access is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No right at all was asked for, or a bit that is no right.
    InvalidMask,
    /// At least one of the rights is not granted.
    Access,
}

impl Token {
    /// The token of a user of the system; `system` says that this user is SYSTEM.
    pub fn new(uid: u32, system: bool) -> Token {
        Token { uid, system }
    }

    /// The token under which LCS itself works.
    pub fn system() -> Token {
        Token { uid: 0, system: true }
    }

    /// Whether the caller may see what is for administrators.
    pub fn is_administrator(&self) -> bool {
        self.system
    }

    /// The user's SID as text; names the user's key under `Users`.
    pub fn user_sid(&self) -> String {
        if self.system { "S-1-5-18".to_string() } else { format!("S-1-22-1-{}", self.uid) }
    }

    /// The rights that a request for `access` to a key gives this caller: all that was asked for, or none.
    pub fn check(&self, access: u32) -> Result<Access, Denied> {
        let mut wanted = Access::from_bits(access).filter(|wanted| !wanted.is_empty());
        let generic = [
            (Access::GENERIC_ALL, Access::KEY_ALL_ACCESS),
            (Access::GENERIC_READ, Access::KEY_READ),
            (Access::GENERIC_WRITE, Access::KEY_WRITE),
            (Access::GENERIC_EXECUTE, Access::empty()),
            (Access::MAXIMUM_ALLOWED, Access::KEY_ALL_ACCESS),
        ];
        if let Some(wanted) = &mut wanted {
            for (bit, meaning) in generic {
                if wanted.contains(bit) {
                    wanted.remove(bit);
                    wanted.insert(meaning);
                }
            }
        }
        match wanted {
            None => Err(Denied::InvalidMask),
            Some(_) if !self.system => Err(Denied::Access),
            Some(granted) => Ok(granted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_is_granted_what_it_asks_for_and_others_nothing() {
        let user = Token::new(1000, false);
        let read = Access::KEY_READ.bits();
        assert_eq!(Token::system().check(read), Ok(Access::KEY_READ));
        assert_eq!(user.check(read), Err(Denied::Access));
        assert_eq!(user.check(Access::MAXIMUM_ALLOWED.bits()), Err(Denied::Access));
    }

    #[test]
    fn zero_and_unknown_bits_are_invalid() {
        for mask in [0, 0x10_0000, 0x40, 0x8000_0000 | 0x400_0000] {
            assert_eq!(Token::system().check(mask), Err(Denied::InvalidMask));
        }
    }

    #[test]
    fn generic_rights_are_mapped() {
        let check = |access: Access| Token::system().check(access.bits());
        assert_eq!(check(Access::GENERIC_READ), Ok(Access::KEY_READ));
        assert_eq!(
            check(Access::GENERIC_WRITE | Access::DELETE),
            Ok(Access::KEY_WRITE | Access::DELETE)
        );
        assert_eq!(check(Access::MAXIMUM_ALLOWED), Ok(Access::KEY_ALL_ACCESS));
    }
}
