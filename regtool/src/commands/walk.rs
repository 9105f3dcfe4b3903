//! Going through a key and all below it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use libreg::{Access, Error, Key, NamedValue, Registry, Subkey};

use crate::exit::{Code, Failure, complain};
use crate::parallel;
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

/// What a key holds.
pub struct Content {
    /// Its subkeys, in the order of their folded names.
    pub subkeys: Vec<Subkey>,
    /// Its effective values, in that order, if they were asked for; those of a link in any case.
    pub values: Vec<NamedValue>,
    /// Where the subkeys are opened from, if there are some.
    key: Option<Arc<Key>>,
}

impl Content {
    /// Where a link leads, for a person to read.
    pub fn link_target(&self) -> String {
        let target = self.values.iter().find(|value| value.name.is_empty());
        target.map(|value| String::from_utf8_lossy(&value.data).into_owned()).unwrap_or_default()
    }
}

/// What to read of each key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Its subkeys.
    Keys,
    /// Its subkeys and values.
    KeysAndValues,
}

/// What to do with a key.
pub type Visit<'a> = dyn FnMut(&Node, &Content) -> Result<Descend, Failure> + 'a;

/// Visits the keys at `starts` and all below them, parents first, in the order of their folded names.
/// A key that has gone meanwhile is left out; one below a start that the caller may not read, too, but this
/// is told, and is a failure at the end.
pub fn walk(
    registry: &Registry,
    starts: &[Path],
    read: Read,
    visit: &mut Visit<'_>,
) -> Result<(), Failure> {
    let mut denied = 0;
    let starts_pending = starts.iter().rev().map(|start| Pending {
        node: Node { path: start.clone(), link: false, volatile: false, last: Vec::new() },
        parent: None,
        content: None,
    });
    let mut stack: Vec<Pending> = starts_pending.collect();
    while let Some(top) = stack.last() {
        if top.content.is_none() {
            read_ahead(registry, &mut stack, read);
        }
        let Some(Pending { node, content: Some(content), .. }) = stack.pop() else {
            continue;
        };
        match content {
            Ok(content) => {
                if visit(&node, &content)? == Descend::Into {
                    push_children(&mut stack, &node, content);
                }
            }
            // A start must be there.
            Err(error) if node.last.is_empty() => return Err(error.into()),
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_access_denied() => {
                complain(&Failure::explained(registry, error));
                denied += 1;
            }
            Err(error) => return Err(error.into()),
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

/// How many keys are read at once, and how many may be read that have not yet been visited: each may be
/// an open handle.
const AT_ONCE: usize = 64;
const AHEAD: usize = 256;

/// A key that waits for its visit.
struct Pending {
    node: Node,
    /// `None` for a start.
    parent: Option<Arc<Key>>,
    /// `None` until it is read.
    content: Option<Result<Content, Error>>,
}

/// Reads the key on top, and with it those that will be on top soon.
fn read_ahead(registry: &Registry, stack: &mut [Pending], read: Read) {
    let ahead = stack.iter().filter(|pending| pending.content.is_some()).count();
    let count = AHEAD.saturating_sub(ahead).clamp(1, AT_ONCE);
    let unread = stack.iter_mut().rev().filter(|pending| pending.content.is_none());
    let unread: Vec<_> = unread.take(count).map(Mutex::new).collect();
    parallel::for_each(parallel::READERS, &unread, |pending| {
        let mut pending = parallel::lock(pending);
        pending.content = Some(content(registry, &pending, read));
        ControlFlow::Continue(())
    });
}

fn content(registry: &Registry, pending: &Pending, read: Read) -> Result<Content, Error> {
    let name = pending.node.path.names().last();
    let key = match (&pending.parent, name) {
        (Some(parent), Some(name)) => parent.open_link(name, READ)?,
        // A start may be reached over links.
        _ => registry.open_key(&pending.node.path.to_string(), READ)?,
    };
    let subkeys = key.subkeys(false).collect::<Result<Vec<_>, _>>()?;
    let values = if read == Read::KeysAndValues || pending.node.link {
        key.values().collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    let key = (!subkeys.is_empty()).then(|| Arc::new(key));
    Ok(Content { subkeys, values, key })
}

fn push_children(stack: &mut Vec<Pending>, parent: &Node, content: Content) {
    let count = content.subkeys.len();
    for (index, child) in content.subkeys.into_iter().enumerate().rev() {
        let mut last = parent.last.clone();
        last.push(index + 1 == count);
        let node = Node {
            path: parent.path.join(&child.name),
            link: child.link,
            volatile: child.volatile,
            last,
        };
        stack.push(Pending { node, parent: content.key.clone(), content: None });
    }
}
