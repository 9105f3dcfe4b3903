//! Removing files and directories, in the layer `base`.

use alloc::rc::Rc;

use lcs_abi::BASE_LAYER;
use lcs_abi::call::{DeleteValue, LayerOnly};
use lcs_abi::security::Access;
use lcs_abi::value::TOMBSTONE;

use super::super::Registry;
use super::super::backend::Backend;
use super::super::error::{Error, NotFound};
use super::super::handles::{Handle, HandleId};
use super::super::open::Reached;
use super::super::security::{Asking, Caller};
use super::open::Parent;

impl<B: Backend> Registry<B> {
    /// Removes a value or a link (`directory`: a key) in `base`, for this caller; without one for whom the handle
    /// acts for. A link at the end is not followed.
    ///
    /// # Errors
    /// `PrivilegeMissing`: it is visible, but another layer gives it. `NotEmpty`: the key has subkeys.
    /// `IsADirectory`, `NotADirectory`: it is the other thing. `BadHandle`: no caller, and no handle.
    pub async fn unlink_file(
        &self,
        base: Option<HandleId>,
        caller: Option<&Caller>,
        path: &str,
        directory: bool,
    ) -> Result<(), Error> {
        let caller = match (base, caller) {
            (_, Some(caller)) => caller.clone(),
            (Some(base), None) => self.whose(base)?,
            (None, None) => return Err(Error::BadHandle),
        };
        let base = self.base(base, &caller)?;
        let (last, parents) = self.split(path)?.ok_or(Error::Invalid("a handle stays"))?;
        let Some(parent) = self.parent(&base, &caller, &parents, last).await? else {
            return Err(Error::Invalid("a hive's root stays"));
        };
        let child = match self.key_name_of_file(&parent.last)? {
            Some(name) => self.child(&parent.reached.place, &name).await?,
            None => None,
        };
        let Some(record) = child else {
            return self.unlink_value(&base, &caller, &parent, directory).await;
        };
        match (record.link, directory) {
            (true, true) => Err(Error::NotADirectory),
            (false, false) => Err(Error::IsADirectory),
            _ => {
                let place = parent.reached.place.child(&record);
                let reached = Reached { place, record, made: None };
                self.unlink_key(&base, &caller, reached).await
            }
        }
    }

    /// Whom a handle acts for, as a caller.
    fn whose(&self, id: HandleId) -> Result<Caller, Error> {
        let token = match self.with(|state| state.handles.get(id))? {
            Handle::Root(token, _) | Handle::Transaction(_, token, _) => token,
            Handle::Key(key) => Rc::clone(&key.token),
            Handle::File(..) | Handle::Backup(_) | Handle::Restore(_) => {
                return Err(Error::BadHandle);
            }
        };
        Ok(Caller { token, pid: 0 })
    }

    async fn unlink_key(
        &self,
        base: &Handle,
        caller: &Caller,
        reached: Reached,
    ) -> Result<(), Error> {
        let asking = Asking::new(base, caller, Access::DELETE.bits())?;
        let key = self.granted(reached, &asking).await?;
        match self.delete_key_of(&key, LayerOnly { layer: None }).await {
            // It was visible just now; if it still is, then not by `base`.
            Err(Error::NotFound(NotFound::Key)) => {
                let Ok((above, name)) = key.named() else { return Err(Error::PrivilegeMissing) };
                let found = self.lookup(key.site, above.key, name).await?;
                match self.resolve_name(key.site, &key.view, &found.entries)? {
                    Some(_) => Err(Error::PrivilegeMissing),
                    None => Err(Error::NotFound(NotFound::Key)),
                }
            }
            done => done,
        }
    }

    async fn unlink_value(
        &self,
        base: &Handle,
        caller: &Caller,
        parent: &Parent,
        directory: bool,
    ) -> Result<(), Error> {
        let name = self.value_name(&parent.last.name)?;
        let key = self.key_for_value(base, caller, parent, Access::SET_VALUE).await?;
        let site = key.site;
        let found = self.value_without_data(site, key.key, name.folded()).await?;
        let in_base = found
            .entries
            .iter()
            .any(|entry| entry.layer.folded == BASE_LAYER && entry.value_type != TOMBSTONE);
        if self.resolve_value(site, &key.view, found.entries, &found.blankets)?.is_none() {
            return Err(Error::NotFound(NotFound::Value));
        }
        if directory {
            return Err(Error::NotADirectory);
        }
        if !in_base {
            return Err(Error::PrivilegeMissing);
        }
        let request = DeleteValue { name: parent.last.name.clone(), layer: None };
        self.delete_value_of(&key, request).await
    }
}
