//! Who may: the one place where the operations ask (DESIGN §6), and the operations on security descriptors.

use alloc::rc::Rc;
use alloc::string::String;

use lcs_abi::BASE_LAYER;
use lcs_abi::call::{self, GetSecurityAnswer};
use lcs_abi::rsi::{Condition, KeyRecord, Mutation, Name};
use lcs_abi::security::Access;

use super::Registry;
use super::backend::{AuditEvent, Backend, KeyOpen};
use super::effects::Writes;
use super::error::{Error, NotFound};
use super::handles::{Handle, HandleId, KeyHandle};
use super::hives::SlotId;
use super::transaction::{TransactionId, WriteSet};
use crate::model::{Layer, View};
use crate::security::{
    DesiredAccess, Parts, Privileges, SecurityDescriptor, Token, access_check, is_audited,
};

/// Who makes a handle, as the kernel says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its user, groups and privileges.
    pub token: Rc<Token>,
    /// Its process; for the log only, where it can be the namespace manager's (REDOX.md).
    pub pid: u32,
}

/// On whose behalf a key is opened or made, and within what bounds.
#[derive(Debug)]
pub(super) struct Asking {
    /// Whom the new handle will act for.
    pub(super) caller: Caller,
    /// What it will be able to do.
    pub(super) desired: DesiredAccess,
    /// The restricted handle that it is derived from, beyond which it has nothing.
    pub(super) bounds: Option<Rc<KeyHandle>>,
}

impl Asking {
    /// A caller that asks for these rights on a key below `base`.
    pub(super) fn new(base: &Handle, caller: &Caller, access: u32) -> Result<Asking, Error> {
        let desired = DesiredAccess::new(access)?;
        match base {
            Handle::Key(handle) if handle.restricted => {
                let token = Asking::token_below(handle, caller);
                Ok(Asking {
                    caller: Caller { token, pid: caller.pid },
                    desired: desired.within(handle.access)?,
                    bounds: Some(Rc::clone(handle)),
                })
            }
            _ => Ok(Asking { caller: caller.clone(), desired, bounds: None }),
        }
    }

    /// Whom that acts for which this caller derives from a key's handle.
    pub(super) fn token_below(base: &KeyHandle, caller: &Caller) -> Rc<Token> {
        if base.restricted {
            Rc::new(caller.token.without_privileges())
        } else {
            Rc::clone(&caller.token)
        }
    }

    /// Whom it acts for.
    pub(super) fn token(&self) -> &Rc<Token> {
        &self.caller.token
    }

    /// The folded names of the layers that it can write into; `None`: all.
    pub(super) fn layers(&self) -> Option<&Rc<[String]>> {
        self.bounds.as_ref()?.layers.as_ref()
    }
}

impl<B: Backend> Registry<B> {
    /// A key's security descriptor.
    pub(super) fn descriptor(
        &self,
        slot: SlotId,
        record: &KeyRecord,
    ) -> Result<SecurityDescriptor, Error> {
        let parsed = SecurityDescriptor::from_bytes(&record.sd);
        let owned = parsed.ok().filter(|sd| sd.owner.is_some());
        owned.ok_or_else(|| {
            self.cache.distrust(slot, record.key);
            self.malformed(slot, "impossible security descriptor")
        })
    }

    /// What a caller is granted on a key: all that it asks for. If the key's SACL wants it, that is recorded
    /// before anybody learns of it.
    pub(super) async fn grant(
        &self,
        sd: &SecurityDescriptor,
        path: &str,
        caller: &Caller,
        desired: &DesiredAccess,
    ) -> Result<Access, Error> {
        let token = &caller.token;
        let outcome = access_check(sd, token, desired);
        if is_audited(sd, token, desired, outcome) {
            let event = AuditEvent::KeyOpen(KeyOpen {
                user: token.user(),
                sids: token.sids().into(),
                uid: token.uid(),
                pid: caller.pid,
                key: path.into(),
                requested: desired.requested(),
                granted: outcome.ok(),
            });
            self.backend.record(event).await.map_err(|_| Error::NotRecorded)?;
        }
        Ok(outcome?)
    }

    /// Fails unless a key grants these rights to whom a handle acts for.
    pub(super) fn require_on(
        &self,
        slot: SlotId,
        record: &KeyRecord,
        token: &Token,
        rights: Access,
    ) -> Result<(), Error> {
        let sd = self.descriptor(slot, record)?;
        Ok(access_check(&sd, token, &rights.into()).map(drop)?)
    }

    /// The layer that a handle writes to, as its creator spelled it.
    pub(super) fn layer_for(&self, handle: &KeyHandle, name: Option<&str>) -> Result<Name, Error> {
        let transaction = handle.site.transaction;
        self.writable_layer(transaction, &handle.token, handle.layers.as_ref(), name)
    }

    /// The layer of this name, if it is one of those that may be written to, and its own security descriptor
    /// lets this token do it.
    pub(super) fn writable_layer(
        &self,
        transaction: Option<TransactionId>,
        token: &Token,
        allowed: Option<&Rc<[String]>>,
        name: Option<&str>,
    ) -> Result<Name, Error> {
        let layer = self.existing_layer(name.unwrap_or(BASE_LAYER), transaction)?;
        let name = layer.name.to_rsi();
        let may_name = allowed.is_none_or(|allowed| allowed.contains(&name.folded));
        let set_value = Access::SET_VALUE.into();
        if may_name && access_check(&layer.sd, token, &set_value).is_ok() {
            Ok(name)
        } else {
            Err(Error::LayerDenied { layer: name.display })
        }
    }

    /// The layer of this name, of those that there are, also for a transaction that makes some.
    pub(super) fn existing_layer(
        &self,
        name: &str,
        transaction: Option<TransactionId>,
    ) -> Result<Layer, Error> {
        let name = self.key_name(name)?;
        self.with(|state| {
            let view = View::default();
            let layer = state.rules(transaction, &view).layer(name.folded()).cloned();
            layer.ok_or(Error::NotFound(NotFound::Layer))
        })
    }

    /// The same key with fewer rights, or able to write into fewer layers, and without privileges.
    pub(super) fn restrict(
        &self,
        base: &Handle,
        access: u32,
        layers: Option<&[String]>,
    ) -> Result<HandleId, Error> {
        let Handle::Key(handle) = base else { return Err(Error::BadHandle) };
        let desired = DesiredAccess::new(access)?.within(handle.access)?;
        let layers = match layers {
            None => handle.layers.clone(),
            Some(names) => Some(self.fewer_layers(handle, names)?),
        };
        let restricted = KeyHandle {
            token: Rc::new(handle.token.without_privileges()),
            access: desired.select(handle.access)?,
            created: false,
            restricted: true,
            layers,
            ..KeyHandle::clone(handle)
        };
        self.with(|state| state.insert(Handle::Key(Rc::new(restricted))))
    }

    /// The folded names of some of the layers that a handle can write into.
    fn fewer_layers(&self, handle: &KeyHandle, names: &[String]) -> Result<Rc<[String]>, Error> {
        let fewer = names.iter().map(|name| {
            let name = self.existing_layer(name, handle.site.transaction)?.name.to_rsi();
            match &handle.layers {
                Some(allowed) if !allowed.contains(&name.folded) => {
                    Err(Error::LayerDenied { layer: name.display })
                }
                _ => Ok(name.folded),
            }
        });
        fewer.collect()
    }

    /// Parts of the key's security descriptor. Needs READ_CONTROL, for the SACL ACCESS_SYSTEM_SECURITY.
    pub async fn get_security(
        &self,
        id: HandleId,
        request: call::GetSecurity,
    ) -> Result<GetSecurityAnswer, Error> {
        let parts = parts(request.parts)?;
        let handle = self.key_with(id, parts.rights_to_read())?;
        let record = self.read_key(handle.site, handle.key).await?;
        let sd = self.descriptor(handle.site.slot, &record)?;
        Ok(GetSecurityAnswer { sd: sd.only(parts).to_bytes() })
    }

    /// Replaces parts of the key's security descriptor. Needs WRITE_OWNER for owner and group, WRITE_DAC for
    /// the DACL, ACCESS_SYSTEM_SECURITY for the SACL. Handles that are open keep their rights.
    ///
    /// # Errors
    /// `Invalid` if the new descriptor is malformed, or an owner or a group is to be replaced by none;
    /// `PrivilegeMissing` if the new owner is neither the handle's user nor one of its groups, and the handle
    /// does not hold SeRestore.
    pub async fn set_security(
        &self,
        id: HandleId,
        request: call::SetSecurity,
    ) -> Result<(), Error> {
        let parts = parts(request.parts)?;
        let handle = self.key_with(id, parts.rights_to_write())?;
        let new = SecurityDescriptor::from_bytes(&request.sd)?;
        if parts.contains(Parts::OWNER) && new.owner.is_none() {
            return Err(Error::Invalid("a key has an owner"));
        }
        if parts.contains(Parts::GROUP) && new.group.is_none() {
            return Err(Error::Invalid("no group"));
        }
        // Nobody else merges into it meanwhile, and nobody creates a key under it by what it said before.
        let (site, slot) = (handle.site, handle.site.slot);
        let _step = self.locks.steps(site).await;
        let _alone = self.locks.key_goes(site, handle.key).await;
        let record = self.read_key(site, handle.key).await?;
        let old = self.descriptor(slot, &record)?;
        let merged = old.with(parts, &new);
        if merged.owner != old.owner {
            let own = merged.owner.is_some_and(|owner| handle.token.is(&owner));
            if !own && !handle.token.holds(Privileges::RESTORE) {
                return Err(Error::PrivilegeMissing);
            }
        }
        if let Some(id) = site.transaction {
            return self.set_security_in(id, slot, &handle.chain, parts, &new);
        }
        let writes = WriteSet::of_security(&handle.chain, Parts::all(), &merged);
        self.backend.no_old_answers().await;
        let watched = self.watched(slot, Writes::Step(&writes)).await;
        let conditions = [Condition::KeyExists { key: handle.key }];
        let change = Mutation::WriteKey {
            key: handle.key,
            sd: Some(merged.to_bytes()),
            last_write: Some(self.backend.now()),
        };
        self.step(slot, conditions.into(), [change].into()).await?;
        self.committed(watched).await;
        Ok(())
    }
}

fn parts(bits: u32) -> Result<Parts, Error> {
    let parts = Parts::from_bits(bits).filter(|parts| !parts.is_empty());
    parts.ok_or(Error::Invalid("unknown parts of a security descriptor"))
}
