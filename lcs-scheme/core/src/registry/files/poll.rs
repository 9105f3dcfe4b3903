//! Waiting until a value is another.

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::Error;
use super::super::handles::HandleId;
use super::super::watches::{Watcher, WatcherId};
use super::{Content, OpenFlags, version};

impl<B: Backend> Registry<B> {
    /// Whether a file is to be read: its value is another than when it was read last through this handle, or it
    /// never was. From now on [`Registry::take_readable`] tells when it changes.
    ///
    /// # Errors
    /// `BadHandle`: it is no file, or not open to be read.
    pub async fn poll_file(&self, id: HandleId) -> Result<bool, Error> {
        let (key, file) = self.file(id)?;
        if !file.flags.contains(OpenFlags::READ) {
            return Err(Error::BadHandle);
        }
        let Content::Value(name) = &file.content else { return Ok(true) };
        let watcher = WatcherId::Handle(id);
        self.with(|state| {
            if state.watches.get(watcher).is_none() {
                state.watches.arm(watcher, Watcher::of_file(&key, name.folded()));
            }
        });
        self.earlier_steps(key.site.slot).await;
        let now = match self.effective_value(&key, name).await {
            Ok(value) => value.as_ref().map(version),
            // Reading says what is the matter.
            Err(_) => return Ok(true),
        };
        Ok(file.texts.lock().seen.as_ref() != Some(&now))
    }
}
