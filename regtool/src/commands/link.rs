//! Links: where they lead.

use libreg::data::{Data, interpret};
use libreg::{Key, KeyInfo, ValueType, fold};

use super::{CURRENT_USER, Session};
use crate::exit::{Code, Failure};

/// Where the link that was opened leads, if that can be read and it leads somewhere.
pub fn target_of(link: &Key) -> Option<String> {
    let value = link.value("").ok()?;
    let is_link = value.value_type == ValueType::Link.code();
    match interpret(value.value_type, &value.data) {
        Data::Text(target) if is_link => Some(target.to_owned()),
        _ => None,
    }
}

/// Where the key that was opened leads, if it is a link; for a person to read.
pub fn target_in_words(key: &Key, info: &KeyInfo) -> Option<String> {
    let is_link = info.details.as_ref().is_some_and(|details| details.link);
    is_link.then(|| target_of(key).unwrap_or_else(|| "nowhere, or you may not know".to_owned()))
}

/// The target that a person wrote for a link.
///
/// # Errors
/// It is no key, or leads nowhere for sure.
pub fn parse_target(session: &Session, text: &str) -> Result<String, Failure> {
    let path = session.path(text)?;
    let target = path.key()?;
    let hive = path.names().first().map(|hive| fold(hive));
    if hive == Some(fold(CURRENT_USER)) {
        let what = "a link leads all users to the same key; name the one below Users".to_owned();
        return Err(Failure::Usage { subject: target, what });
    }
    Ok(target)
}

/// A key that is there stays as it is; that is no success if it was to be a link to elsewhere.
pub fn require(key: &Key, target: &str) -> Result<(), Failure> {
    if key.info()?.created || target_of(key).is_some_and(|there| is_same(&there, target)) {
        return Ok(());
    }
    let what = format!("is there, and is no link to {target}; nothing was done");
    Err(Failure::Partial { subject: key.path().to_owned(), what, code: Code::Other })
}

fn is_same(one: &str, other: &str) -> bool {
    fold(&one.replace('/', "\\")) == fold(&other.replace('/', "\\"))
}
