//! How much memory is taken by what waits for users.

use hashbrown::HashMap;

use super::State;
use super::error::Error;
use super::settings::Setting;
use crate::security::Sid;

/// Bytes of one kind, for each user that has some.
#[derive(Debug, Default)]
pub(super) struct Queued(HashMap<Sid, usize>);

impl Queued {
    /// How much there is of a user.
    pub(super) fn of(&self, user: &Sid) -> usize {
        self.0.get(user).copied().unwrap_or_default()
    }

    /// What was `before` is `after` now.
    pub(super) fn replace(&mut self, user: Sid, before: usize, after: usize) {
        if before == after {
            return;
        }
        let of_user = self.0.entry(user).or_default();
        *of_user = *of_user + after - before;
        if *of_user == 0 {
            self.0.remove(&user);
        }
    }
}

impl State {
    /// About how much memory is taken by what waits for a user: write sets, restores, events, and files and
    /// directories that are being read or written; in bytes.
    pub(super) fn queued_of(&self, user: &Sid) -> usize {
        let writes = self.transactions.of_user(user).bytes;
        writes
            + self.watches.bytes_of(user)
            + self.restores.bytes_of(user)
            + self.files.bytes_of(user)
    }

    /// Fails if a user may not have so much more.
    pub(super) fn require_room(&self, user: &Sid, more: usize) -> Result<(), Error> {
        if self.queued_of(user) + more > self.settings.size(Setting::MaxQueuedBytesPerUser) {
            return Err(Error::LimitExceeded("MaxQueuedBytesPerUser"));
        }
        Ok(())
    }
}
