//! Views: private hives and private layers, and who may join them (DESIGN §9).

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;

use lcs_abi::BASE_LAYER;
use lcs_abi::Guid;
use lcs_abi::security::Access;

use super::Registry;
use super::backend::Backend;
use super::error::{Error, NotFound};
use super::handles::{Handle, HandleId};
use super::security::Caller;
use super::settings::Setting;
use crate::model::{Layer, View};
use crate::security::{Privileges, Token, access_check};

impl<B: Backend> Registry<B> {
    /// A root with more in its view than `view` has.
    ///
    /// # Errors
    /// `AccessDenied`, `NotFound`, `PrivilegeMissing`: a scope or a layer may not be joined, or is not there.
    /// `LimitExceeded`: the view would have too many of them.
    pub(super) async fn join(
        &self,
        caller: &Caller,
        view: &View,
        scopes: &[Guid],
        private_layers: &[String],
        sealed: bool,
    ) -> Result<HandleId, Error> {
        let token = &caller.token;
        let mut joined = View { sealed: view.sealed || sealed, ..view.clone() };
        for scope in scopes {
            self.may_join(token, *scope).await?;
            joined.join(*scope);
        }
        for name in private_layers {
            let layer = self.existing_layer(name, None)?;
            may_attach(token, &layer)?;
            if layer.name.folded() != BASE_LAYER {
                joined.attach(layer.key);
            }
        }
        self.with(|state| {
            let most = |setting| state.settings.size(setting);
            if joined.scopes.len() > most(Setting::MaxScopeGUIDsPerToken) {
                return Err(Error::LimitExceeded("MaxScopeGUIDsPerToken"));
            }
            if joined.private_layers.len() > most(Setting::MaxPrivateLayersPerToken) {
                return Err(Error::LimitExceeded("MaxPrivateLayersPerToken"));
            }
            state.insert(Handle::Root(Rc::clone(token), Rc::new(joined)))
        })
    }

    /// Fails unless this token may join a scope. Who may not see which scopes there are does not learn whether
    /// this one is there.
    async fn may_join(&self, token: &Token, scope: Guid) -> Result<(), Error> {
        if token.holds(Privileges::TCB) {
            return Ok(());
        }
        let scopes = self.with(|state| state.own_keys().map(|own| own.scopes.clone()))?;
        let join = Access::CREATE_SUB_KEY;
        match self.child(&scopes, &self.key_name(&format!("{scope}"))?).await? {
            Some(record) => self.require_on(scopes.site.slot, &record, token, join),
            None => {
                let record = self.read_key(scopes.site, scopes.key).await?;
                let list = Access::ENUMERATE_SUB_KEYS;
                match self.require_on(scopes.site.slot, &record, token, list) {
                    Ok(()) => Err(Error::NotFound(NotFound::Scope)),
                    Err(_) => Err(Error::AccessDenied { missing: join }),
                }
            }
        }
    }
}

/// Fails unless this token may attach a layer to a view.
fn may_attach(token: &Token, layer: &Layer) -> Result<(), Error> {
    if layer.name.folded() == BASE_LAYER {
        return Ok(());
    }
    access_check(&layer.sd, token, &Access::CREATE_SUB_KEY.into())?;
    if layer.precedence > 0 && !token.holds(Privileges::TCB) {
        return Err(Error::PrivilegeMissing);
    }
    Ok(())
}
