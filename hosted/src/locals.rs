//! Descriptors of this process that are more than Linux takes them for.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use crate::event::EventQueue;
use crate::namespace::Namespace;
use crate::server::SocketId;

/// What a descriptor stands for.
#[derive(Clone)]
pub(crate) enum Local {
    /// The right to make scheme sockets.
    SchemeCreation,
    /// A scheme socket; the descriptor is its epoll set.
    SchemeSocket(SocketId),
    /// A handle of a scheme of this process, made to be registered under a name.
    SchemeRoot { socket: SocketId, number: usize },
    /// A timer of `/scheme/time`, on this clock.
    Timer(libc::clockid_t),
    /// An event queue; the descriptor is its epoll set.
    EventQueue(Arc<EventQueue>),
    /// A list of names.
    Namespace(Arc<Namespace>),
}

static LOCALS: LazyLock<RwLock<HashMap<RawFd, Local>>> = LazyLock::new(RwLock::default);
/// How many there are, so that a process without any pays nothing.
static COUNT: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn insert(fd: RawFd, local: Local) {
    let mut locals = LOCALS.write().unwrap_or_else(PoisonError::into_inner);
    locals.insert(fd, local);
    COUNT.store(locals.len(), Ordering::Release);
}

pub(crate) fn get(fd: RawFd) -> Option<Local> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    LOCALS.read().unwrap_or_else(PoisonError::into_inner).get(&fd).cloned()
}

/// Forgets a descriptor that is about to be closed.
pub(crate) fn remove(fd: RawFd) -> Option<Local> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let mut locals = LOCALS.write().unwrap_or_else(PoisonError::into_inner);
    let local = locals.remove(&fd);
    COUNT.store(locals.len(), Ordering::Release);
    local
}
