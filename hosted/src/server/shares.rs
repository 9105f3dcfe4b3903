//! How many of a daemon's descriptors its clients hold: of users other than root and the daemon's own each has
//! at most a quarter, so that one cannot keep all others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::errno::{Errno, Result};
use crate::sys;

/// Which part of the descriptors one user may hold.
const PART: usize = 4;

type Held = HashMap<u32, usize>;

/// What each user holds.
pub(super) struct Shares {
    most: usize,
    held: Arc<Mutex<Held>>,
}

/// A descriptor that is held for a client, until this is dropped.
pub(super) struct Share {
    /// `None` for those who may have all.
    user: Option<u32>,
    held: Arc<Mutex<Held>>,
}

impl Shares {
    /// Nobody holds any of this process's descriptors yet.
    pub(super) fn new() -> Shares {
        Shares::of(sys::file_limit())
    }

    fn of(limit: usize) -> Shares {
        Shares { most: (limit / PART).max(1), held: Arc::default() }
    }

    /// One more for this user.
    ///
    /// EMFILE: it has its part.
    pub(super) fn take(&self, user: u32) -> Result<Share> {
        if user == 0 || user == sys::own_credentials().uid {
            return Ok(Share { user: None, held: Arc::clone(&self.held) });
        }
        let mut held = lock(&self.held);
        let of_user = held.entry(user).or_default();
        if *of_user >= self.most {
            return Err(Errno(libc::EMFILE));
        }
        *of_user += 1;
        Ok(Share { user: Some(user), held: Arc::clone(&self.held) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(user) = self.user else { return };
        let mut held = lock(&self.held);
        if let Some(of_user) = held.get_mut(&user) {
            *of_user -= 1;
            if *of_user == 0 {
                held.remove(&user);
            }
        }
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    // Numbers are changed in one go.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_part_and_what_it_gives_back_it_can_have_again() {
        let shares = Shares::of(8);
        let [alice, bob] = [4_000_000_001, 4_000_000_002];
        let first = shares.take(alice).unwrap();
        let second = shares.take(alice).unwrap();
        assert_eq!(shares.take(alice).err(), Some(Errno(libc::EMFILE)));
        shares.take(bob).unwrap();
        drop(first);
        let third = shares.take(alice).unwrap();
        assert!(shares.take(alice).is_err());
        drop((second, third));
        assert!(lock(&shares.held).is_empty());
        for user in [0, sys::own_credentials().uid] {
            let all: Vec<_> = (0..100).map(|_| shares.take(user).unwrap()).collect();
            assert_eq!(all.len(), 100);
        }
    }
}
