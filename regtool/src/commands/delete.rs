//! `delete`, and deleting a key with all below it, which `[-key]` in a file needs, too.

use std::ops::ControlFlow;
use std::sync::Mutex;

use libreg::{Access, Error, Registry};

use super::Session;
use super::changes::Changes;
use super::walk::{Descend, Read, walk};
use crate::cli::Delete;
use crate::exit::Failure;
use crate::parallel;
use crate::path::Path;

pub fn delete(session: &mut Session, options: &Delete) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    let layer = options.layer.layer.as_deref();
    let key = path.key()?;
    if options.recursive {
        let changes = Changes::begin(session, [key.as_str()])?;
        delete_tree(changes.registry(&key), &path, layer)?;
        Ok(changes.commit()?)
    } else {
        Ok(delete_key(session.registry()?, &key, layer)?)
    }
}

/// Deletes a key and all below it, the deepest first.
pub(super) fn delete_tree(
    registry: &Registry,
    path: &Path,
    layer: Option<&str>,
) -> Result<(), Failure> {
    let start = path.key()?;
    let link = registry.open_link(&start, Access::DELETE | Access::READ_CONTROL)?;
    if link.info()?.details.is_some_and(|details| details.link) {
        return Ok(link.delete(layer)?);
    }
    let mut levels: Vec<Vec<String>> = Vec::new();
    walk(registry, std::slice::from_ref(path), Read::Keys, &mut |node, _| {
        let depth = node.last.len();
        if levels.len() <= depth {
            levels.push(Vec::new());
        }
        levels[depth].push(node.path.to_string());
        Ok(Descend::Into)
    })?;
    for level in levels.iter().rev() {
        let failure = Mutex::new(None);
        parallel::for_each(parallel::WRITERS, level, |key| {
            match delete_key(registry, key, layer) {
                Ok(()) => ControlFlow::Continue(()),
                // Somebody else was quicker; the start is another matter.
                Err(error) if *key != start && error.is_not_found() => ControlFlow::Continue(()),
                Err(error) => {
                    parallel::keep_first(&failure, error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = parallel::into_inner(failure) {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Deletes a key, or a link and not what it leads to.
fn delete_key(registry: &Registry, path: &str, layer: Option<&str>) -> Result<(), Error> {
    registry.open_link(path, Access::DELETE)?.delete(layer)
}
