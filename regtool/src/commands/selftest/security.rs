//! Who may do what.

use std::str::FromStr;

use libredox::errno::EACCES;
use libreg::security::{Parts, SecurityDescriptor};
use libreg::{Access, CreateKey};

use super::expect::{Outcome, differs, refused, same};
use super::ground::{Ground, set_dacl, set_text, text};

/// Everybody, and so the caller, may read and delete, and nothing else.
pub const READ_AND_DELETE: &str = "D:P(A;CI;KRSD;;;WD)";

const ALL: Access = Access::KEY_ALL_ACCESS;

pub fn descriptors(ground: &Ground) -> Outcome {
    let key = ground.key("descriptors")?;
    let before = key.security(Parts::OWNER | Parts::DACL)?;
    same("there is an owner", before.owner.is_some(), true)?;
    let dacl = "D:P(A;CI;KA;;;WD)(D;;KX;;;AN)";
    let again = SecurityDescriptor::from_str(dacl).map_err(differs)?.to_string();
    set_dacl(ground.registry, key.path(), dacl)?;
    let after = key.security(Parts::OWNER | Parts::DACL)?;
    same("the DACL", after.only(Parts::DACL).to_string(), again)?;
    same("the owner", after.owner, before.owner)?;
    let child = key.create_key("Child", ALL, &CreateKey::default())?;
    let inherited = child.security(Parts::DACL)?.to_string();
    same("what a new key inherits", inherited, "D:AI(A;CIID;KA;;;WD)")
}

pub fn denied(ground: &Ground) -> Outcome {
    let key = ground.key("denied")?;
    set_text(&key, "value", "text", None)?;
    set_dacl(ground.registry, key.path(), READ_AND_DELETE)?;
    let open = |access| ground.registry.open_key(key.path(), access);
    same("reading", text(&open(Access::KEY_READ)?, "value")?, "text")?;
    refused("opening to write", open(Access::SET_VALUE), EACCES)?;
    refused("opening for everything", open(ALL), EACCES)?;
    let most = open(Access::MAXIMUM_ALLOWED)?;
    refused("writing with what is granted", set_text(&most, "value", "", None), EACCES)?;
    let made = most.create_key("Child", Access::KEY_READ, &CreateKey::default());
    refused("creating below", made, EACCES)?;
    // Rights are decided at open, and the owner may always change the DACL.
    set_text(&key, "value", "by a handle from before", None)?;
    set_dacl(ground.registry, key.path(), "D:P(A;CI;KA;;;WD)")?;
    open(ALL).map(drop).map_err(Into::into)
}

pub fn restricted(ground: &Ground) -> Outcome {
    let key = ground.key("restricted")?;
    set_text(&key, "value", "text", None)?;
    let reads = key.restrict(Access::KEY_READ, None)?;
    same("reading", text(&reads, "value")?, "text")?;
    refused("writing without the right", set_text(&reads, "value", "", None), EACCES)?;
    let more = reads.open_key("", Access::SET_VALUE);
    refused("opening for more than one has", more, EACCES)?;
    refused("restricting to more than one has", reads.restrict(ALL, None), EACCES)?;
    let nowhere = key.restrict(ALL, Some(&[]))?;
    refused("writing into no layer", set_text(&nowhere, "value", "", None), EACCES)?;
    same("the value", text(&key, "value")?, "text")
}
