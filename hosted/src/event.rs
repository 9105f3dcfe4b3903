//! Event queues: Redox' `event:` on epoll, edge-triggered.

use std::os::fd::{IntoRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use slab::Slab;
use syscall::flag::EventFlags;

use crate::client;
use crate::errno::{Errno, Result};
use crate::locals::{self, Local};
use crate::sys;

/// `redox_event::raw::RawEventV1`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct RawEvent {
    pub(crate) fd: usize,
    pub(crate) user_data: usize,
    pub(crate) flags: u32,
}

/// What a queue's epoll set cannot keep: descriptor and user's word of each member.
#[derive(Default)]
pub(crate) struct EventQueue {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    slab: Slab<Member>,
    /// Tells a member from an earlier one with the same index.
    serial: u32,
}

#[derive(Clone, Copy)]
struct Member {
    fd: RawFd,
    user_data: usize,
    serial: u32,
}

const READ: u32 = EventFlags::EVENT_READ.bits() as u32;
const WRITE: u32 = EventFlags::EVENT_WRITE.bits() as u32;

/// Makes an event queue.
pub(crate) fn create() -> Result<RawFd> {
    let fd = sys::epoll()?.into_raw_fd();
    locals::insert(fd, Local::EventQueue(Arc::default()));
    Ok(fd)
}

fn queue(fd: RawFd) -> Result<Arc<EventQueue>> {
    match locals::get(fd) {
        Some(Local::EventQueue(queue)) => Ok(queue),
        _ => Err(Errno(libc::EBADF)),
    }
}

/// Subscribes to a descriptor, changes what is awaited, or with no flags ends the subscription.
/// The scheme of a handle learns of it and says what is ready now.
pub(crate) fn control(queue_fd: RawFd, fd: RawFd, flags: u32, user_data: usize) -> Result<()> {
    if flags & !(READ | WRITE) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    let queue = queue(queue_fd)?;
    let handle = client::Handle::of(fd);
    if flags == 0 {
        queue.remove(queue_fd, fd)?;
        if let Ok(handle) = handle {
            // The scheme is told, and has no say.
            let _ = handle.fevent(0);
        }
        return Ok(());
    }
    queue.add(queue_fd, fd, flags, user_data)?;
    if let Ok(handle) = handle
        && let Err(error) = handle.fevent(flags as u64)
    {
        queue.remove(queue_fd, fd)?;
        return Err(error);
    }
    Ok(())
}

impl EventQueue {
    fn add(&self, queue_fd: RawFd, fd: RawFd, flags: u32, user_data: usize) -> Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.serial = members.serial.wrapping_add(1);
        let serial = members.serial;
        let member = Member { fd, user_data, serial };
        // A descriptor that was closed and is used again leaves its old entry here, and none in
        // the epoll set.
        let known = members.slab.iter().find(|(_, old)| old.fd == fd).map(|(index, _)| index);
        let index = match known {
            Some(index) => {
                members.slab[index] = member;
                index
            }
            None => members.slab.insert(member),
        };
        let mut events = libc::EPOLLET;
        if flags & READ != 0 {
            events |= libc::EPOLLIN | libc::EPOLLRDHUP;
        }
        if flags & WRITE != 0 {
            events |= libc::EPOLLOUT;
        }
        let data = u64::from(serial) << 32 | index as u64;
        let control = |operation| sys::epoll_control(queue_fd, operation, fd, events, data);
        let added = match control(libc::EPOLL_CTL_ADD) {
            Err(Errno(libc::EEXIST)) => control(libc::EPOLL_CTL_MOD),
            other => other,
        };
        if added.is_err() {
            members.slab.remove(index);
        }
        added
    }

    fn remove(&self, queue_fd: RawFd, fd: RawFd) -> Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.slab.retain(|_, member| member.fd != fd);
        sys::epoll_control(queue_fd, libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn event(&self, event: &libc::epoll_event) -> Option<RawEvent> {
        let (data, events) = (event.u64, event.events);
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let member = members.slab.get(data as u32 as usize)?;
        if member.serial != (data >> 32) as u32 {
            return None;
        }
        let mut flags = 0;
        if events & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0
        {
            flags |= READ;
        }
        if events & (libc::EPOLLOUT | libc::EPOLLERR) as u32 != 0 {
            flags |= WRITE;
        }
        Some(RawEvent { fd: member.fd as usize, user_data: member.user_data, flags })
    }
}

/// Waits for events, for ever or until `timeout` passed; answers how many `put` was given.
pub(crate) fn wait(
    queue_fd: RawFd,
    capacity: usize,
    timeout: Option<libc::timespec>,
    mut put: impl FnMut(usize, RawEvent),
) -> Result<usize> {
    const BATCH: usize = 64;
    let queue = queue(queue_fd)?;
    if capacity == 0 {
        return Err(Errno(libc::EINVAL));
    }
    let milliseconds = timeout.map_or(-1, |time| {
        let up =
            time.tv_sec.saturating_mul(1000).saturating_add((time.tv_nsec + 999_999) / 1_000_000);
        libc::c_int::try_from(up).unwrap_or(libc::c_int::MAX)
    });
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
    loop {
        let room = BATCH.min(capacity);
        let ready = sys::epoll_wait(queue_fd, &mut events[..room], milliseconds)?;
        let mut count = 0;
        for event in events[..ready].iter().filter_map(|event| queue.event(event)) {
            put(count, event);
            count += 1;
        }
        if count > 0 || ready == 0 {
            return Ok(count);
        }
    }
}

/// Ends a queue.
pub(crate) fn destroy(queue_fd: RawFd) -> Result<()> {
    queue(queue_fd)?;
    locals::remove(queue_fd);
    // SAFETY: the queue's owner gives the descriptor up.
    crate::errno::check(unsafe { libc::close(queue_fd) })?;
    Ok(())
}
