//! Keys: their names, their lives, links.

use libredox::errno::{EINVAL, ELOOP, ENOENT, ENOTEMPTY};
use libreg::{Access, CreateKey, HiveState, Key, ValueType};

use super::expect::{Outcome, differs, refused, same};
use super::ground::{Ground, set, set_text, text};

const ALL: Access = Access::KEY_ALL_ACCESS;

fn create(parent: &Key, path: &str) -> Outcome<Key> {
    Ok(parent.create_key(path, ALL, &CreateKey::default())?)
}

/// The names of the keys below.
pub fn names_below(key: &Key) -> Outcome<Vec<String>> {
    Ok(key
        .subkeys(false)
        .map(|subkey| subkey.map(|subkey| subkey.name))
        .collect::<Result<_, _>>()?)
}

pub fn status(ground: &Ground) -> Outcome {
    let status = ground.registry.status()?;
    if let Some(down) = status.hives.iter().find(|hive| hive.state != HiveState::Up) {
        return Err(differs(format_args!("the hive {} is not up", down.name)));
    }
    same("there is a hive Machine", status.hives.iter().any(|hive| hive.name == "Machine"), true)
}

pub fn keys(ground: &Ground) -> Outcome {
    let key = ground.key("keys")?;
    same("a new key was created", create(&key, "Child")?.info()?.created, true)?;
    same("a key that is there was created", create(&key, "CHILD")?.info()?.created, false)?;
    create(&key, "child\\grandchild")?;
    create(&key, "Another")?;
    same("keys below", names_below(&key)?, ["Another", "Child"])?;
    refused(
        "a key without its parent",
        key.create_key("no\\key", ALL, &CreateKey::default()),
        ENOENT,
    )?;
    let child = key.open_key("cHILD", ALL)?;
    let name = child.info()?.details.map(|details| details.name);
    same("the name of a key", name.as_deref(), Some("Child"))?;
    refused("deleting a key with one below", child.delete(None), ENOTEMPTY)?;
    key.open_key("Child/Grandchild", ALL)?.delete(None)?;
    child.delete(None)?;
    refused("opening a deleted key", key.open_key("Child", ALL), ENOENT)?;
    same("keys below", names_below(&key)?, ["Another"])
}

pub fn names(ground: &Ground) -> Outcome {
    let key = ground.key("names")?;
    // As long as is allowed everywhere.
    let long = "ä".repeat(32);
    let names = ["with space", "50%", "@", "\"quoted\"", "new\nline", ".", "..", "Tür", &long];
    for name in names {
        create(&key, name)?;
        set_text(&key, name, name, None)?;
    }
    for name in names {
        let below = key.open_key(name, ALL)?.info()?.details.map(|details| details.name);
        same("the name of a key", below.as_deref(), Some(name))?;
        same("the value of the same name", text(&key, &name.to_uppercase())?, name)?;
    }
    set_text(&key, "a\\b/c", "separators", None)?;
    same("a value with separators in its name", text(&key, "a\\b/c")?, "separators")?;
    same("the number of keys", names_below(&key)?.len(), names.len())?;
    for invalid in ["a\\\\b", "a\0b", "a\\"] {
        let made = key.create_key(invalid, ALL, &CreateKey::default());
        refused(&format!("a key {invalid:?}"), made, EINVAL)?;
    }
    Ok(())
}

pub fn volatile(ground: &Ground) -> Outcome {
    let key = ground.key("volatile")?;
    let volatile = CreateKey { volatile: true, ..CreateKey::default() };
    let made = key.create_key("Volatile", ALL, &volatile)?;
    let is_volatile = made.info()?.details.map(|details| details.volatile);
    same("the key is volatile", is_volatile, Some(true))?;
    set_text(&made, "name", "text", None)?;
    same("a value of a volatile key", text(&made, "name")?, "text")?;
    let below = made.create_key("Below", ALL, &CreateKey::default());
    refused("a durable key below a volatile one", below, EINVAL)
}

pub fn orphans(ground: &Ground) -> Outcome {
    let key = ground.key("orphans")?;
    let child = create(&key, "Child")?;
    child.delete(None)?;
    set_text(&child, "name", "text", None)?;
    same("a value of a deleted key that is open", text(&child, "name")?, "text")?;
    let below = child.create_key("Below", ALL, &CreateKey::default());
    refused("a key below a deleted one", below, ENOENT)?;
    let again = create(&key, "Child")?;
    refused("a value of another key of that name", again.value("name"), ENOENT)
}

pub fn links(ground: &Ground) -> Outcome {
    let key = ground.key("links")?;
    let target = create(&key, "Target")?;
    set_text(&target, "name", "text", None)?;
    // In a target CurrentUser would be a name like others.
    let whole = |key: &Key| -> Outcome<String> {
        let details = key.info()?.details;
        Ok(details.ok_or_else(|| differs("a key without a path"))?.path)
    };
    let target_path = whole(&target)?;
    let link_to = |target: &str, name: &str| {
        let how = CreateKey { link: Some(target), ..CreateKey::default() };
        key.create_key(name, ALL, &how)
    };
    let made = link_to(&target_path, "Link");
    ground.unless_denied("you may not make links", made)?;
    same("a value through a link", text(&key.open_key("Link", ALL)?, "name")?, "text")?;
    let itself = key.open_link("Link", ALL)?;
    same("it is a link", itself.info()?.details.map(|details| details.link), Some(true))?;
    let leads = String::from_utf8_lossy(&itself.value("")?.data).into_owned();
    same("where the link leads", leads, target_path.as_str())?;
    let other = create(&key, "Other")?;
    set(&itself, "", ValueType::Link, whole(&other)?.as_bytes())?;
    let through = key.open_key("Link", ALL)?;
    refused("a value through a link that leads elsewhere", through.value("name"), ENOENT)?;
    link_to(&format!("{}\\Round", whole(&key)?), "Round")?;
    refused("a link to itself", key.open_key("Round", ALL), ELOOP)?;
    link_to(&format!("{}\\Nowhere", whole(&key)?), "Dangling")?;
    refused("a link to nowhere", key.open_key("Dangling", ALL), ENOENT)?;
    itself.delete(None)?;
    refused("a deleted link", key.open_link("Link", ALL), ENOENT)?;
    same("the target of a deleted link", text(&target, "name")?, "text")
}
