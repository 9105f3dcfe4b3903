//! `hide`, `unhide`.

use libreg::Access;

use super::Session;
use crate::cli::{Hide, Unhide};
use crate::exit::Failure;

pub fn hide(session: &mut Session, options: &Hide) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let key = session.registry()?.open_link(&path, Access::DELETE)?;
    Ok(key.hide(options.layer.layer.as_deref())?)
}

pub fn unhide(session: &mut Session, options: &Unhide) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    path.key()?;
    let (Some(parent), Some(child)) = (path.parent(), path.names().last()) else {
        let what = "a hive is never hidden".to_owned();
        return Err(Failure::Usage { subject: path.to_string(), what });
    };
    let parent = session.registry()?.open_key(&parent.key()?, Access::CREATE_SUB_KEY)?;
    Ok(parent.unhide(child, options.layer.layer.as_deref())?)
}
