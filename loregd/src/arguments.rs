//! What the options of the daemon mean.

use std::env;
use std::path::{Path, PathBuf};

use lcs_abi::Guid;
use lcs_abi::rsi::ClaimedHive;

/// Where hives are unless told otherwise: `/var/lib/loregd`, of the root in `REDOX_HOSTED` if there is one.
pub fn default_data() -> PathBuf {
    let root = env::var_os("REDOX_HOSTED").filter(|_| cfg!(not(target_os = "redox")));
    Path::new(&root.unwrap_or_else(|| "/".into())).join("var/lib/loregd")
}

/// Reads `NAME` or `NAME=SCOPE`.
///
/// # Errors
/// What is wrong, for the user.
pub fn hive(text: &str) -> Result<ClaimedHive, String> {
    let (name, scope) = match text.split_once('=') {
        Some((name, scope)) => (name, Some(scope)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("a hive has a name".to_owned());
    }
    let scope = match scope.map(uuid::Uuid::try_parse) {
        Some(Ok(scope)) => Some(Guid(scope.into_bytes())),
        Some(Err(error)) => return Err(format!("the scope is no GUID: {error}")),
        None => None,
    };
    Ok(ClaimedHive { name: name.to_owned(), scope })
}

/// The hives to claim: those named, or `Machine` and `Users`.
pub fn claim(named: &[ClaimedHive]) -> Vec<ClaimedHive> {
    if !named.is_empty() {
        return named.to_vec();
    }
    ["Machine", "Users"].map(|name| ClaimedHive { name: name.to_owned(), scope: None }).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hive_is_a_name_and_perhaps_a_scope() {
        let global = ClaimedHive { name: "Apps".into(), scope: None };
        assert_eq!(hive("Apps"), Ok(global.clone()));
        let private = ClaimedHive { scope: Some(Guid([0xab; 16])), ..global };
        assert_eq!(hive("Apps=ABABABAB-abab-abab-abab-abababababab"), Ok(private));
        assert!(hive("").is_err());
        assert!(hive("=abababab-abab-abab-abab-abababababab").is_err());
        assert!(hive("Apps=7").is_err());
    }

    #[test]
    fn without_hives_there_are_two() {
        let names =
            |hives: Vec<ClaimedHive>| hives.into_iter().map(|hive| hive.name).collect::<Vec<_>>();
        assert_eq!(names(claim(&[])), ["Machine", "Users"]);
        assert_eq!(names(claim(&[hive("Apps").unwrap()])), ["Apps"]);
    }
}
