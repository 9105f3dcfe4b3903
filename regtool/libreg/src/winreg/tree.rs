//! What is done with a key and all below it.

use crate::{Access, CreateKey, Error, Key, NamedValue, SetValue, Subkey};

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

/// What is in a key: values, keys, and links.
pub(super) struct Tree {
    values: Vec<NamedValue>,
    keys: Vec<(Subkey, Below)>,
}

enum Below {
    Tree(Tree),
    /// Where it leads.
    Link(String),
}

impl Tree {
    /// All that is in a key now.
    pub(super) fn of(key: &Key) -> Result<Tree, Error> {
        let reads = Access::ENUMERATE_SUB_KEYS | Access::QUERY_VALUE;
        let below = |subkey: Subkey| {
            let below = if subkey.link {
                let target = key.open_link(&subkey.name, reads)?.value("")?.data;
                Below::Link(String::from_utf8_lossy(&target).into_owned())
            } else {
                Below::Tree(Tree::of(&key.open_key(&subkey.name, reads)?)?)
            };
            Ok((subkey, below))
        };
        let values = key.values().collect::<Result<_, _>>()?;
        let keys = key.subkeys(false).map(|subkey| subkey.and_then(below));
        Ok(Tree { values, keys: keys.collect::<Result<_, _>>()? })
    }

    /// Writes it into a key. What is there stays, unless it has the same name.
    pub(super) fn write(&self, to: &Key) -> Result<(), Error> {
        for value in &self.values {
            to.set_value(&value.name, value.value_type, &value.data, &SetValue::default())?;
        }
        let writes = Access::SET_VALUE | Access::CREATE_SUB_KEY;
        for (Subkey { name, volatile, .. }, below) in &self.keys {
            let how = CreateKey { volatile: *volatile, ..CreateKey::default() };
            match below {
                Below::Tree(tree) => tree.write(&to.create_key(name, writes, &how)?)?,
                Below::Link(target) => {
                    to.create_key(name, writes, &CreateKey { link: Some(target), ..how })?;
                }
            }
        }
        Ok(())
    }
}
