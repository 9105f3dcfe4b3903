//! The scheme names that this process can open.
//!
//! On Redox a namespace is the kernel's wall. Here it binds `libredox` calls of this process only:
//! who wants a wall hides the root directory in a mount namespace.
//!
//! A process starts with all the names of the root directory, but for those that [`NAMES`] binds to
//! descriptors that it inherited. Whoever starts a program in a view of the registry says so there, and
//! what the program starts in turn has the same names. It is no wall either: a program can forget the
//! variable, and reach the root directory as any other.

use std::collections::HashMap;
use std::env;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use crate::client;
use crate::errno::{Errno, Result};
use crate::locals::{self, Local};
use crate::sys;

/// The name under which ordinary files are reached.
pub(crate) const FILE: &str = "file";

/// The environment's variable with names that lead to inherited descriptors: `NAME=FD`, separated by
/// commas.
pub const NAMES: &str = "REDOX_HOSTED_NAMES";

/// How a name is reached in the namespace in force.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// As in the root directory.
    Root,
    /// Through this descriptor.
    Handle(Bound),
}

/// A descriptor that a name leads to.
#[derive(Clone, Debug)]
pub(crate) enum Bound {
    /// This process gave it away.
    Given(Arc<OwnedFd>),
    /// The environment says that it was inherited. Whether that is so is seen when it is used.
    Inherited(RawFd),
}

impl AsRawFd for Bound {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Bound::Given(fd) => fd.as_raw_fd(),
            Bound::Inherited(fd) => *fd,
        }
    }
}

/// The names of one namespace.
pub(crate) struct Namespace {
    names: Mutex<HashMap<String, Reach>>,
    /// It also has all other names of the root directory.
    has_all: bool,
}

impl Namespace {
    fn get(&self, name: &str) -> Option<Reach> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(name).cloned();
        known.or_else(|| self.has_all.then_some(Reach::Root))
    }
}

/// The namespace that a process starts in.
static FIRST: LazyLock<Arc<Namespace>> = LazyLock::new(|| {
    let names = env::var_os(NAMES).unwrap_or_default();
    Arc::new(Namespace { names: Mutex::new(inherited(&names.to_string_lossy())), has_all: true })
});

/// The names of [`NAMES`]. One whose descriptor is no number is there all the same and leads nowhere: it was
/// not meant to be the root directory's.
fn inherited(names: &str) -> HashMap<String, Reach> {
    const NOWHERE: RawFd = -1;
    let names = names.split(',').filter(|name| !name.is_empty());
    names
        .map(|name| {
            let (name, fd) = name.split_once('=').unwrap_or((name, ""));
            let fd = fd.parse().unwrap_or(NOWHERE);
            (name.to_owned(), Reach::Handle(Bound::Inherited(fd)))
        })
        .collect()
}

struct Current {
    fd: RawFd,
    namespace: Arc<Namespace>,
}

static CURRENT: RwLock<Option<Current>> = RwLock::new(None);

fn in_force() -> Arc<Namespace> {
    let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(current.as_ref().map_or(&*FIRST, |current| &current.namespace))
}

/// Looks a name up. ENODEV if this process's namespace does not have it, EBADF if it is said to lead to an
/// inherited handle and that is none.
pub(crate) fn reach(name: &str) -> Result<Reach> {
    let reach = in_force().get(name).ok_or(Errno(libc::ENODEV))?;
    if let Reach::Handle(Bound::Inherited(fd)) = reach {
        client::Handle::of(fd).map_err(|_| Errno(libc::EBADF))?;
    }
    Ok(reach)
}

/// The descriptor of the namespace in force; it stays this module's.
pub(crate) fn current() -> Result<RawFd> {
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(current) = current.as_ref() {
        return Ok(current.fd);
    }
    let namespace = Arc::clone(&FIRST);
    let fd = descriptor(&namespace)?;
    *current = Some(Current { fd, namespace });
    Ok(fd)
}

/// Makes a namespace of some of the names of the one in force.
pub(crate) fn make(names: &[&str]) -> Result<RawFd> {
    let current = in_force();
    // A name that is not there is not in the new one either.
    let names = names.iter().filter_map(|name| Some(((*name).to_owned(), current.get(name)?)));
    let names = Mutex::new(names.collect());
    descriptor(&Arc::new(Namespace { names, has_all: false }))
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

/// Binds a name to a descriptor in a namespace made by [`make`]; `Ok(false)` if the namespace has the
/// root directory's names, where only schemes get one. EEXIST if the name leads somewhere else.
pub(crate) fn bind(namespace: &Namespace, name: &str, fd: RawFd) -> Result<bool> {
    let mut names = namespace.names.lock().unwrap_or_else(PoisonError::into_inner);
    if names.contains_key(name) {
        return Err(Errno(libc::EEXIST));
    }
    if namespace.has_all {
        return Ok(false);
    }
    // SAFETY: the caller gives the descriptor away, as it does to Redox' namespace manager.
    let fd = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
    names.insert(name.to_owned(), Reach::Handle(Bound::Given(Arc::new(fd))));
    Ok(true)
}

/// A descriptor to hand out; an eventfd, for it must be some file.
fn descriptor(namespace: &Arc<Namespace>) -> Result<RawFd> {
    let fd = sys::event_fd()?;
    locals::insert(fd.as_raw_fd(), Local::Namespace(Arc::clone(namespace)));
    Ok(fd.into_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led_to(names: &str) -> Vec<(String, RawFd)> {
        let mut names: Vec<_> = inherited(names)
            .into_iter()
            .map(|(name, reach)| match reach {
                Reach::Handle(bound) => (name, bound.as_raw_fd()),
                Reach::Root => panic!("{name} leads to the root directory"),
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn names_are_bound_to_numbers_and_what_is_no_number_leads_nowhere() {
        let name = |name: &str, fd| (name.to_owned(), fd);
        assert_eq!(led_to(""), []);
        assert_eq!(led_to("reg=5"), [name("reg", 5)]);
        assert_eq!(led_to("reg=5,,other=17"), [name("other", 17), name("reg", 5)]);
        assert_eq!(led_to("a,b=,c=x"), [name("a", -1), name("b", -1), name("c", -1)]);
    }

    #[test]
    fn a_bound_name_cannot_be_bound_again_and_all_others_are_the_root_directorys() {
        let names = Mutex::new(inherited("reg=5"));
        let all = Namespace { names, has_all: true };
        assert_eq!(bind(&all, "reg", -1), Err(Errno(libc::EEXIST)));
        assert!(matches!(all.get("reg"), Some(Reach::Handle(Bound::Inherited(5)))));
        assert!(matches!(all.get("other"), Some(Reach::Root)));
    }
}
