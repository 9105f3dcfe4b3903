//! Going through a key and all below it.

use libreg::{Access, Error, Key, Registry, Subkey};

use crate::exit::{Code, Failure, complain};
use crate::path::Path;

/// A key on the way.
pub struct Node {
    /// Its path.
    pub path: Path,
    /// It is a link; what it leads to is not looked at.
    pub link: bool,
    /// It is volatile.
    pub volatile: bool,
    /// For each level below the start, whether it is the last one there.
    pub last: Vec<bool>,
}

/// Whether to go into a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Descend {
    /// Go on with its subkeys.
    Into,
    /// Leave them out.
    Past,
}

/// What to do with a key: its place, a handle that can read values and list subkeys, and the subkeys.
pub type Visit<'a> = dyn FnMut(&Node, &Key, &[Subkey]) -> Result<Descend, Failure> + 'a;

/// Visits the keys at `starts` and all below them, parents first, in the order of their folded names.
/// A key that has gone meanwhile is left out; one below a start that the caller may not read too, but this
/// is told, and is a failure at the end.
pub fn walk(registry: &Registry, starts: &[Path], visit: &mut Visit<'_>) -> Result<(), Failure> {
    let mut denied = 0;
    for start in starts {
        // The start itself may be reached over links.
        let key = registry.open_key(&start.key()?, READ)?;
        let root = Node { path: start.clone(), link: false, volatile: false, last: Vec::new() };
        let mut stack = Vec::new();
        let children = key.subkeys(false).collect::<Result<Vec<_>, _>>()?;
        if visit(&root, &key, &children)? == Descend::Into {
            push_children(&mut stack, &root, &children);
        }
        while let Some(node) = stack.pop() {
            match read(registry, &node) {
                Ok((key, children)) => {
                    if visit(&node, &key, &children)? == Descend::Into {
                        push_children(&mut stack, &node, &children);
                    }
                }
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_access_denied() => {
                    complain(&error);
                    denied += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if denied > 0 {
        let subject = starts.first().map(Path::to_string).unwrap_or_default();
        let what = format!("{denied} keys below could not be read");
        return Err(Failure::Partial { subject, what, code: Code::AccessDenied });
    }
    Ok(())
}

const READ: Access = Access::QUERY_VALUE.union(Access::ENUMERATE_SUB_KEYS);

fn read(registry: &Registry, node: &Node) -> Result<(Key, Vec<Subkey>), Error> {
    let key = registry.open_link(&node.path.to_string(), READ)?;
    let children = key.subkeys(false).collect::<Result<_, _>>()?;
    Ok((key, children))
}

fn push_children(stack: &mut Vec<Node>, parent: &Node, children: &[Subkey]) {
    for (index, child) in children.iter().enumerate().rev() {
        let mut last = parent.last.clone();
        last.push(index + 1 == children.len());
        stack.push(Node {
            path: parent.path.join(&child.name),
            link: child.link,
            volatile: child.volatile,
            last,
        });
    }
}

/// Where a link leads, for a person to read.
pub fn link_target(link: &Key) -> Result<Option<String>, Error> {
    match link.value("") {
        Ok(target) => Ok(Some(String::from_utf8_lossy(&target.data).into_owned())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
