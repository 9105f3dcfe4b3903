//! How the rows of the tables are written: security descriptors in SDDL with names for accounts, tokens as
//! words, masks as SDDL has them and with two words more.

use std::fmt::Debug;

use lcs_abi::security::Access;
use lcs_core::security::{Account, SecurityDescriptor, Token, sddl};

/// Accounts by name, and what they are in SDDL.
const ACCOUNTS: [(&str, &str); 4] = [
    ("{alice}", "S-1-22-1-1000"),
    ("{bob}", "S-1-22-1-1001"),
    // The primary group of both.
    ("{users}", "S-1-22-2-100"),
    ("{staff}", "S-1-22-2-50"),
];

/// SDDL with the SIDs of the accounts that it names.
pub fn text(row: &str) -> String {
    ACCOUNTS.iter().fold(row.to_string(), |text, (name, sid)| text.replace(name, sid))
}

pub fn sd(row: &str) -> SecurityDescriptor {
    sddl::parse(&text(row)).unwrap_or_else(|error| panic!("{row}: {error}"))
}

/// `system`, or `alice` or `bob` and then `staff`, `administrator`, `unprivileged`, as they apply.
pub fn token(row: &str) -> Token {
    if row == "system" {
        return Token::system();
    }
    let mut words = row.split(' ');
    let uid = match words.next() {
        Some("alice") => 1000,
        Some("bob") => 1001,
        other => panic!("no user: {other:?}"),
    };
    let (mut groups, mut administrator, mut unprivileged) = (Vec::new(), false, false);
    for word in words {
        match word {
            "staff" => groups.push(50),
            "administrator" => administrator = true,
            "unprivileged" => unprivileged = true,
            other => panic!("nothing that a token has: {other}"),
        }
    }
    let token =
        Token::new(Account { uid, gid: 100, groups: &groups, system: false, administrator });
    if unprivileged { token.without_privileges() } else { token }
}

/// Masks of SDDL with blanks between them, `MAX` for MAXIMUM_ALLOWED, `SACL` for ACCESS_SYSTEM_SECURITY.
pub fn mask(row: &str) -> Access {
    let word = |word: &str| match word {
        "MAX" => Access::MAXIMUM_ALLOWED,
        "SACL" => Access::ACCESS_SYSTEM_SECURITY,
        _ => sddl::parse_mask(word).unwrap_or_else(|| panic!("no mask: {word}")),
    };
    row.split_whitespace().map(word).fold(Access::empty(), |all, right| all | right)
}

/// Tries all rows before it fails, and says which of them failed and how.
pub fn each<R: Debug, T: PartialEq + Debug>(rows: &[R], row: impl Fn(&R) -> (T, T)) {
    let mut failures = Vec::new();
    for (number, columns) in rows.iter().enumerate() {
        let (got, expected) = row(columns);
        if got != expected {
            failures.push(format!(
                "row {number}: {columns:?}\n     got: {got:?}\nexpected: {expected:?}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
