//! What is done with a key and all below it.

use crate::{Access, CreateKey, Error, Key, SetValue};

/// Deletes what is in a key: its values, and the keys below it. A link is deleted, and not what it leads to.
pub(super) fn empty(key: &Key) -> Result<(), Error> {
    for value in key.values().collect::<Result<Vec<_>, _>>()? {
        key.delete_value(&value.name, None)?;
    }
    let access =
        Access::DELETE | Access::ENUMERATE_SUB_KEYS | Access::QUERY_VALUE | Access::SET_VALUE;
    for subkey in key.subkeys(false).collect::<Result<Vec<_>, _>>()? {
        if subkey.link {
            key.open_link(&subkey.name, Access::DELETE)?.delete(None)?;
            continue;
        }
        let below = key.open_key(&subkey.name, access)?;
        empty(&below)?;
        below.delete(None)?;
    }
    Ok(())
}

/// Writes what is in one key into another one: values, keys, and links. What is there stays, unless it has the same name.
pub(super) fn copy(from: &Key, to: &Key) -> Result<(), Error> {
    for value in from.values() {
        let value = value?;
        to.set_value(&value.name, value.value_type, &value.data, &SetValue::default())?;
    }
    let reads = Access::ENUMERATE_SUB_KEYS | Access::QUERY_VALUE;
    let writes = Access::SET_VALUE | Access::CREATE_SUB_KEY;
    for subkey in from.subkeys(false) {
        let subkey = subkey?;
        let volatile = subkey.volatile;
        if subkey.link {
            let link = from.open_link(&subkey.name, reads)?.value("")?;
            let target = String::from_utf8_lossy(&link.data);
            let how = CreateKey { link: Some(&target), volatile, ..CreateKey::default() };
            to.create_key(&subkey.name, writes, &how)?;
            continue;
        }
        let how = CreateKey { volatile, ..CreateKey::default() };
        copy(&from.open_key(&subkey.name, reads)?, &to.create_key(&subkey.name, writes, &how)?)?;
    }
    Ok(())
}
