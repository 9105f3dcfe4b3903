//! What a client or a source may send as a security descriptor: any bytes are one or are malformed, what was read is
//! read alike when it is written again, and nobody gets from it what it does not grant.
#![no_main]

use lcs_abi::security::Access;
use lcs_core::security::{
    Account, DesiredAccess, SecurityDescriptor, Token, access_check, inherited, is_audited, rights,
};
use libfuzzer_sys::fuzz_target;

fn tokens() -> [Token; 3] {
    let account = |administrator| Account {
        uid: 1000,
        gid: 100,
        groups: &[50],
        system: false,
        administrator,
    };
    [Token::new(account(false)), Token::new(account(true)), Token::system()]
}

/// What a token is granted when it asks for all that it can have.
fn maximum(sd: &SecurityDescriptor, token: &Token) -> Access {
    let desired = DesiredAccess::new(Access::MAXIMUM_ALLOWED.bits()).expect("a right");
    let outcome = access_check(sd, token, &desired);
    let _ = is_audited(sd, token, &desired, outcome);
    outcome.unwrap_or(Access::empty())
}

fn use_it(sd: &SecurityDescriptor, token: &Token) {
    let by_dacl = maximum(sd, &token.without_privileges());
    assert_eq!(maximum(sd, token), by_dacl);
    assert!(Access::KEY_ALL_ACCESS.contains(by_dacl));
    let by_privilege = Access::ACCESS_SYSTEM_SECURITY | Access::WRITE_OWNER;
    for (right, _) in rights() {
        let granted = access_check(sd, token, &DesiredAccess::from(right)).is_ok();
        assert!(granted || !by_dacl.contains(right));
        assert!(!granted || (by_dacl | by_privilege).contains(right));
    }
    if let Ok(child) = inherited(sd, token) {
        assert_eq!(child.owner, Some(token.user()));
        assert_eq!(SecurityDescriptor::from_bytes(&child.to_bytes()), Ok(child));
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(sd) = SecurityDescriptor::from_bytes(bytes) {
        assert_eq!(SecurityDescriptor::from_bytes(&sd.to_bytes()).as_ref(), Ok(&sd));
        let text = sd.to_string();
        let read: SecurityDescriptor = text.parse().expect("what was written");
        assert_eq!(read.to_string(), text);
        tokens().iter().for_each(|token| use_it(&sd, token));
    }
});
