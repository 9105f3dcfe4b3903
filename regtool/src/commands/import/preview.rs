//! What an import would make different: `--dry-run`. It has been carried out in transactions that are not committed,
//! so that the registry itself says what would be, whatever other layers say.

use libreg::{Access, Registry};

use super::layer::PolicyLayer;
use super::plan::{Phase, Plan, path_of};
use crate::commands::changes::Changes;
use crate::commands::diff::{self, Tree};
use crate::exit::Failure;
use crate::path::Path;

/// The keys that an import is about, before it and after it.
#[derive(Debug, Default)]
pub struct Preview {
    before: Tree,
    after: Tree,
}

/// Looks at all keys that these plans name.
pub fn preview<'p>(
    changes: &Changes,
    plans: impl IntoIterator<Item = &'p Plan>,
    policy: Option<&PolicyLayer>,
) -> Result<Preview, Failure> {
    let mut preview = Preview::default();
    if let Some(layer) = policy {
        preview.look(changes, &path_of(&layer.path), false)?;
    }
    for phase in plans.into_iter().flat_map(|plan| &plan.phases) {
        match phase {
            Phase::Delete { path, .. } | Phase::Hide { path, .. } => {
                preview.look(changes, path, true)?;
            }
            Phase::Write(levels) => {
                for key in levels.iter().flatten() {
                    preview.look(changes, &path_of(&key.path), false)?;
                }
            }
        }
    }
    Ok(preview)
}

/// Prints it as `diff` does.
pub fn print(preview: &Preview, json: bool) -> Result<(), Failure> {
    diff::print(&preview.before, &preview.after, json).map(drop)
}

impl Preview {
    fn look(&mut self, changes: &Changes, path: &Path, below: bool) -> Result<(), Failure> {
        let inside = changes.registry(&path.to_string());
        read(changes.outside(), path, below, &mut self.before)?;
        read(inside, path, below, &mut self.after)
    }
}

fn read(registry: &Registry, path: &Path, below: bool, tree: &mut Tree) -> Result<(), Failure> {
    match registry.open_link(&path.to_string(), Access::MAXIMUM_ALLOWED) {
        Ok(_) => diff::read(registry, path, &Path::default(), below, tree),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
