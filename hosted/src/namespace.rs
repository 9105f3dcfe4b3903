//! The scheme names that this process can open.
//!
//! On Redox a namespace is the kernel's wall. Here it binds `libredox` calls of this process only:
//! who wants a wall hides the root directory in a mount namespace.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::errno::{Errno, Result};
use crate::locals::{self, Local};
use crate::sys;

/// The name under which ordinary files are reached.
pub(crate) const FILE: &str = "file";

/// What a name leads to.
#[derive(Clone)]
enum Binding {
    /// The same as in the root directory.
    Root,
    /// A descriptor that this process bound itself.
    Handle(Arc<OwnedFd>),
}

/// The names of one namespace; `None` is all that the root directory has.
#[derive(Default)]
pub(crate) struct Namespace {
    names: Option<Mutex<HashMap<String, Binding>>>,
}

/// How a name is reached in the namespace in force.
pub(crate) enum Reach {
    Root,
    Handle(Arc<OwnedFd>),
}

struct Current {
    fd: RawFd,
    namespace: Arc<Namespace>,
}

static CURRENT: RwLock<Option<Current>> = RwLock::new(None);

/// Looks a name up. ENODEV if this process's namespace does not have it.
pub(crate) fn reach(name: &str) -> Result<Reach> {
    let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
    let Some(names) = current.as_ref().and_then(|current| current.namespace.names.as_ref()) else {
        return Ok(Reach::Root);
    };
    match names.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
        Some(Binding::Root) => Ok(Reach::Root),
        Some(Binding::Handle(fd)) => Ok(Reach::Handle(Arc::clone(fd))),
        None => Err(Errno(libc::ENODEV)),
    }
}

/// The descriptor of the namespace in force; it stays this module's.
pub(crate) fn current() -> Result<RawFd> {
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(current) = current.as_ref() {
        return Ok(current.fd);
    }
    let namespace = Arc::new(Namespace::default());
    let fd = descriptor(&namespace)?;
    *current = Some(Current { fd, namespace });
    Ok(fd)
}

/// Makes a namespace of some of the names of the one in force.
pub(crate) fn make(names: &[&str]) -> Result<RawFd> {
    let mut bindings = HashMap::new();
    for name in names {
        let binding = match reach(name) {
            Ok(Reach::Root) => Binding::Root,
            Ok(Reach::Handle(fd)) => Binding::Handle(fd),
            // A name that is not there is not in the new one either.
            Err(_) => continue,
        };
        bindings.insert((*name).to_owned(), binding);
    }
    descriptor(&Arc::new(Namespace { names: Some(Mutex::new(bindings)) }))
}

/// Puts a namespace in force; answers the descriptor of the one that was.
pub(crate) fn set(fd: RawFd) -> Result<RawFd> {
    let Some(Local::Namespace(namespace)) = locals::get(fd) else {
        return Err(Errno(libc::EBADF));
    };
    let before = current()?;
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(Current { fd, namespace });
    Ok(before)
}

/// Binds a name to a descriptor in a namespace made by [`make`]; `Ok(false)` if the namespace is
/// the root directory's, where only schemes have names.
pub(crate) fn bind(namespace: &Namespace, name: &str, fd: RawFd) -> Result<bool> {
    let Some(names) = &namespace.names else { return Ok(false) };
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    if names.contains_key(name) {
        return Err(Errno(libc::EEXIST));
    }
    // SAFETY: the caller gives the descriptor away, as it does to Redox' namespace manager.
    let fd = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
    names.insert(name.to_owned(), Binding::Handle(Arc::new(fd)));
    Ok(true)
}

/// A descriptor to hand out; an eventfd, for it must be some file.
fn descriptor(namespace: &Arc<Namespace>) -> Result<RawFd> {
    let fd = sys::event_fd()?;
    locals::insert(fd.as_raw_fd(), Local::Namespace(Arc::clone(namespace)));
    Ok(fd.into_raw_fd())
}
