//! Handles of `reg:` as a program has them that has no library: what is derived from them and called on them.

use lcs_abi::call::{
    Derive, Guarded, LayerOnly, Op, QueryValue, QueryValueAnswer, SetValue, SetValueAnswer,
    StatusAnswer,
};
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use lcs_abi::watch::{Event, Notify, decode_events};
use lcs_abi::{Guid, Malformed};
use libredox::Fd;
use libredox::error::Result;
use libredox::flag::{O_CLOEXEC, O_RDONLY};

use crate::registry::{call, derive};

/// A root handle of one's own, from what is called `reg` here.
///
/// # Panics
///
/// If there is none.
pub fn root() -> Fd {
    Fd::open("/scheme/reg", O_RDONLY | O_CLOEXEC, 0).expect("the registry")
}

/// A key, from a root, a transaction or a key.
///
/// # Errors
///
/// LCS's.
pub fn open(from: &Fd, path: &str, access: Access) -> Result<Fd> {
    derive(from, &Derive::OpenKey { path: path.into(), access: access.bits(), flags: 0 })
}

/// A key with all rights, made in `base` if it is not there.
///
/// # Errors
///
/// LCS's.
pub fn create(from: &Fd, path: &str) -> Result<Fd> {
    let (path, access) = (path.to_owned(), Access::KEY_ALL_ACCESS.bits());
    derive(from, &Derive::CreateKey { path, access, layer: None, flags: 0, link_target: None })
}

/// Deletes a key.
///
/// # Errors
///
/// LCS's.
pub fn delete(key: &Fd) -> Result<()> {
    call(key, Op::DeleteKey, &LayerOnly::default(), &[])
}

/// Writes a value.
///
/// # Errors
///
/// LCS's.
pub fn set(key: &Fd, layer: Option<&str>, name: &str, of: ValueType, data: &[u8]) -> Result<u64> {
    let request = SetValue {
        name: name.to_owned(),
        value_type: of.code(),
        data: data.to_owned(),
        layer: layer.map(str::to_owned),
        expected_sequence: None,
    };
    call::<_, SetValueAnswer>(key, Op::SetValue, &request, &[]).map(|answer| answer.sequence)
}

/// The data of a value.
///
/// # Errors
///
/// LCS's.
pub fn value(key: &Fd, name: &str) -> Result<Vec<u8>> {
    let request = QueryValue { name: name.to_owned() };
    let told: Guarded<QueryValueAnswer> = call(key, Op::QueryValue, &request, &[])?;
    Ok(told.answer.data)
}

/// A root with more in its view.
///
/// # Errors
///
/// LCS's.
pub fn view(root: &Fd, scopes: &[Guid], private_layers: &[&str], sealed: bool) -> Result<Fd> {
    let private_layers = private_layers.iter().map(|layer| (*layer).to_owned()).collect();
    derive(root, &Derive::View { scopes: scopes.to_owned(), private_layers, sealed })
}

/// How the registry of a root is.
///
/// # Errors
///
/// LCS's.
pub fn status(root: &Fd) -> Result<StatusAnswer> {
    call(root, Op::Status, &(), &[])
}

/// Arms a watch, or with the filter 0 disarms it.
///
/// # Errors
///
/// LCS's.
pub fn watch(key: &Fd, filter: u32, subtree: bool) -> Result<()> {
    call(key, Op::Notify, &Notify { filter, subtree }, &[])
}

/// Reads events from an armed key, with a buffer of this size.
///
/// # Errors
///
/// LCS's.
///
/// # Panics
///
/// If they are no whole records.
pub fn events(key: &Fd, room: usize) -> Result<Vec<Event>> {
    let mut buffer = vec![0; room];
    let length = key.read(&mut buffer)?;
    let events = buffer.get(..length).ok_or(Malformed).and_then(decode_events);
    Ok(events.expect("whole records"))
}
