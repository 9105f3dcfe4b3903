//! What the functions do, without a pointer.

use std::ffi::OsStr;
use std::sync::Arc;

use libreg::enums::REG_OPTION_VOLATILE;
use libreg::security::{Parts, SecurityDescriptor};
use libreg::windows::{Value, names};
use libreg::{Access, Key, NamedValue, RegKey, SetValue, Subkey, Watch, WatchFilter};

use crate::codes::{Code, Outcome};
use crate::handles::{Number, find, insert, lock};
use crate::text::{Form, Text};

/// Opens a key, and gives its handle.
pub fn open(key: Number, path: &str, options: u32, access: u32) -> Outcome<Number> {
    let handle = find(key)?;
    Ok(insert(handle.key.open_subkey_with_options_flags(path, options, access)?))
}

/// Makes or opens a key, and gives its handle and what Windows calls the disposition.
pub fn create(key: Number, path: &str, options: u32, access: u32) -> Outcome<(Number, u32)> {
    // Nothing else can be asked for.
    if options & !(REG_OPTION_VOLATILE | libreg::enums::REG_OPTION_BACKUP_RESTORE) != 0 {
        return Err(Code::NotSupported);
    }
    let handle = find(key)?;
    let (key, disposition) = handle.key.create_subkey_with_options_flags(path, options, access)?;
    Ok((insert(key), disposition as u32))
}

/// The type and the data of a value.
pub fn query(key: Number, name: &str, form: Form) -> Outcome<(u32, Vec<u8>)> {
    let handle = find(key)?;
    let value = handle.key.opened(Access::QUERY_VALUE)?.value(name)?;
    Ok(form.data(value.value_type, value.data))
}

/// Writes a value.
pub fn set(key: Number, name: &str, code: u32, bytes: &[u8], form: Form) -> Outcome {
    let handle = find(key)?;
    let Value { value_type, data } = form.value(code, bytes)?;
    let key = handle.key.opened(Access::SET_VALUE)?;
    key.set_value(name, value_type, &data, &SetValue::default())?;
    Ok(())
}

/// Deletes a value.
pub fn delete_value(key: Number, name: &str) -> Outcome {
    Ok(find(key)?.key.delete_value(OsStr::new(name))?)
}

/// Deletes a key that has no keys below it.
pub fn delete_key(key: Number, path: &str) -> Outcome {
    Ok(find(key)?.key.delete_subkey(path)?)
}

/// Deletes a key and all below it, or, without a path, all that is in this one.
pub fn delete_tree(key: Number, path: &str) -> Outcome {
    Ok(find(key)?.key.delete_subkey_all(path)?)
}

/// The subkey of an index. The listing is made at index 0, and is then what it was.
pub fn subkey(key: Number, index: u32, form: Form) -> Outcome<(Text, i64)> {
    let handle = find(key)?;
    let listed = listed(&handle.subkeys, index, || list_subkeys(&handle.key))?;
    let subkey = listed.get(index as usize).ok_or(Code::NoMoreItems)?;
    Ok((form.text(&names::to_windows(&subkey.name)), subkey.last_write))
}

/// The value of an index: its name, its type and its data.
pub fn value(key: Number, index: u32, form: Form) -> Outcome<(Text, u32, Vec<u8>)> {
    let handle = find(key)?;
    let listed = listed(&handle.values, index, || list_values(&handle.key))?;
    let value = listed.get(index as usize).ok_or(Code::NoMoreItems)?;
    let (code, data) = form.data(value.value_type, value.data.clone());
    Ok((form.text(&value.name), code, data))
}

fn listed<T>(
    kept: &std::sync::Mutex<Option<Arc<Vec<T>>>>,
    index: u32,
    list: impl FnOnce() -> Outcome<Vec<T>>,
) -> Outcome<Arc<Vec<T>>> {
    let mut kept = lock(kept);
    match &*kept {
        Some(listed) if index != 0 => Ok(listed.clone()),
        _ => Ok(kept.insert(Arc::new(list()?)).clone()),
    }
}

fn list_subkeys(key: &RegKey) -> Outcome<Vec<Subkey>> {
    let key = key.opened(Access::ENUMERATE_SUB_KEYS)?;
    Ok(key.subkeys(false).collect::<Result<_, _>>()?)
}

fn list_values(key: &RegKey) -> Outcome<Vec<NamedValue>> {
    let key = key.opened(Access::QUERY_VALUE)?;
    Ok(key.values().collect::<Result<_, _>>()?)
}

/// What `RegQueryInfoKey` tells: lengths in characters of the form without NUL, and in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the parameters of RegQueryInfoKey")]
pub struct Info {
    pub sub_keys: u32,
    pub max_sub_key_len: u32,
    pub values: u32,
    pub max_value_name_len: u32,
    pub max_value_len: u32,
    pub security_descriptor: u32,
    pub last_write: i64,
}

/// How much is in a key.
pub fn info(key: Number, form: Form) -> Outcome<Info> {
    let handle = find(key)?;
    let opened = handle.key.opened(Access::KEY_READ)?;
    let details = opened.info()?.details.ok_or(Code::AccessDenied)?;
    let (sd, last_write) = (details.sd_size as u32, details.last_write);
    let mut info = Info { security_descriptor: sd, last_write, ..Info::default() };
    for subkey in list_subkeys(&handle.key)? {
        let length = form.text(&names::to_windows(&subkey.name)).len() as u32;
        info.sub_keys += 1;
        info.max_sub_key_len = info.max_sub_key_len.max(length);
    }
    for value in list_values(&handle.key)? {
        let length = form.text(&value.name).len() as u32;
        let (_, data) = form.data(value.value_type, value.data);
        info.values += 1;
        info.max_value_name_len = info.max_value_name_len.max(length);
        info.max_value_len = info.max_value_len.max(data.len() as u32);
    }
    Ok(info)
}

/// Parts of the security descriptor, self-relative.
pub fn security(key: Number, parts: u32) -> Outcome<Vec<u8>> {
    let parts = Parts::from_bits_truncate(parts);
    let handle = find(key)?;
    let key = handle.key.opened(parts.rights_to_read())?;
    Ok(key.security(parts)?.to_bytes())
}

/// Replaces parts of the security descriptor.
pub fn set_security(key: Number, parts: u32, sd: &[u8]) -> Outcome {
    let parts = Parts::from_bits_truncate(parts);
    let sd = SecurityDescriptor::from_bytes(sd).map_err(|_| Code::InvalidSecurityDescriptor)?;
    let handle = find(key)?;
    let key = handle.key.opened(parts.rights_to_write())?;
    Ok(key.set_security(parts, &sd)?)
}

/// What Windows calls changes of names, of values, and of security descriptors.
const NOTIFY: [(u32, WatchFilter); 3] =
    [(1, WatchFilter::SUBKEY), (4, WatchFilter::VALUE), (8, WatchFilter::SD)];

/// Watches a key, if it is not watched yet, and does something with the watch. What was asked for first counts.
fn watched<T>(
    key: Number,
    subtree: bool,
    filter: u32,
    work: impl FnOnce(&mut Watch) -> Outcome<T>,
) -> Outcome<T> {
    let handle = find(key)?;
    let mut watch = lock(&handle.watch);
    let watch = match &mut *watch {
        Some(watch) => watch,
        none => {
            let wanted = NOTIFY.iter().filter(|(bit, _)| filter & bit != 0);
            let wanted: WatchFilter = wanted.map(|(_, wanted)| *wanted).collect();
            let opened = handle.key.opened(Access::NOTIFY)?;
            none.insert(Key::watch(&opened, wanted, subtree)?)
        }
    };
    work(watch)
}

/// Waits until something has changed since it was watched first, or since this was told last.
pub fn wait_for_change(key: Number, subtree: bool, filter: u32) -> Outcome {
    watched(key, subtree, filter, |watch| {
        watch.next().ok_or(Code::KeyDeleted)??;
        // One answer for all that has changed.
        while watch.try_next()?.is_some() {}
        Ok(())
    })
}

/// A descriptor that is readable when something has changed.
pub fn watch_descriptor(key: Number, subtree: bool, filter: u32) -> Outcome<i32> {
    use std::os::fd::AsRawFd;
    watched(key, subtree, filter, |watch| Ok(watch.as_raw_fd()))
}
