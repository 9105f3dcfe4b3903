//! What LCS keeps in the registry for itself: the skeleton of `Machine`, its configuration, users' keys.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::call::RejectedSetting;
use lcs_abi::value::ValueType;

use super::Registry;
use super::backend::{AuditEvent, Backend};
use super::error::Error;
use super::hives::SlotId;
use super::open::Place;
use super::reading::Site;
use super::structure::{Maker, NewKey};
use super::transaction::WriteSet;
use super::values::ValueListing;
use crate::model::name::KeyName;
use crate::security::{SecurityDescriptor, Sid, Token, private_to};

/// Where LCS's configuration is, below `Machine`.
const REGISTRY: [&str; 2] = ["System", "Registry"];

/// The keys that LCS makes under `Machine\System\Registry` if they are missing, and whether they are for
/// SYSTEM and Administrators alone.
const CHILDREN: [(&str, bool); 3] =
    [("Layers", false), ("Scopes", true), ("PendingDeletion", true)];

impl<B: Backend> Registry<B> {
    /// Makes what is missing of LCS's own keys, and reads the configuration.
    pub(super) async fn machine_arrived(&self) {
        if let Err(error) = self.make_own_keys().await {
            log::error!("LCS's own keys in Machine could not all be made: {error}");
        }
        self.read_settings().await;
    }

    async fn make_own_keys(&self) -> Result<(), Error> {
        let mut place = self.hive_root(&self.key_name("Machine")?)?;
        for name in REGISTRY {
            place = self.own_child(&place, &self.key_name(name)?, None).await?;
        }
        for (name, private) in CHILDREN {
            let sd = private.then(|| private_to(Sid::SYSTEM, Sid::SYSTEM)).transpose()?;
            self.own_child(&place, &self.key_name(name)?, sd.as_ref()).await?;
        }
        Ok(())
    }

    /// The child of this name, made as SYSTEM and in `base` if it is not visible: with this security
    /// descriptor, or with what it inherits.
    async fn own_child(
        &self,
        parent: &Place,
        name: &KeyName,
        sd: Option<&SecurityDescriptor>,
    ) -> Result<Place, Error> {
        let record = match self.child(parent, name).await? {
            Some(record) => record,
            None => {
                let new = NewKey { name, volatile: false, maker: Maker::Lcs(sd) };
                // Boxed, because creating a key can lead here again: it may change the settings.
                alloc::boxed::Box::pin(self.create_child(parent, new)).await?.into_record()
            }
        };
        Ok(parent.child(&record))
    }

    /// Makes a user's key under `Users` if it is not there, and for that user.
    pub(super) async fn user_key(
        &self,
        users: &Place,
        name: &KeyName,
        token: &Token,
    ) -> Result<(), Error> {
        let sd = private_to(token.user(), token.primary_group())?;
        self.own_child(users, name, Some(&sd)).await.map(drop)
    }

    /// Keys came or went at this depth of a hive (a hive's root has depth 1).
    pub(super) async fn structure_changed(&self, site: Site, depth: usize) {
        if depth <= REGISTRY.len() + 1 && self.is_machine_for_all(site) {
            self.read_settings().await;
        }
    }

    /// Values of a key changed.
    pub(super) async fn values_changed(&self, site: Site, key: Guid) {
        let own = self.with(|state| state.settings_key == Some(key));
        if own && self.is_machine_for_all(site) {
            self.read_settings().await;
        }
    }

    /// A transaction was committed.
    pub(super) async fn transaction_committed(&self, slot: SlotId, writes: &WriteSet) {
        let own = self.with(|state| state.settings_key.is_some_and(|key| writes.touches(key)));
        if (own || writes.is_structural()) && self.is_machine_for_all(slot.into()) {
            self.read_settings().await;
        }
    }

    /// Whether what changed is `Machine`, and has changed for everybody.
    fn is_machine_for_all(&self, site: Site) -> bool {
        site.transaction.is_none() && self.machine() == Some(site.slot)
    }

    /// Reads LCS's configuration and brings it into force. If it cannot be read all stays as it is.
    async fn read_settings(&self) {
        let _one_at_a_time = self.reading_settings.lock().await;
        let (key, values) = match self.own_values().await {
            Ok(found) => found,
            Err(error) => {
                log::error!("the configuration could not be read: {error}");
                return;
            }
        };
        let fresh = self.with(|state| {
            state.settings_key = key;
            let rejected = state.settings.update(&values);
            let rejected: Vec<RejectedSetting> = rejected
                .into_iter()
                .map(|setting| RejectedSetting {
                    name: setting.name.to_owned(),
                    reason: setting.reason,
                })
                .collect();
            let known = core::mem::replace(&mut state.rejected_settings, rejected);
            let rejected = state.rejected_settings.iter();
            rejected.filter(|setting| !known.contains(setting)).cloned().collect::<Vec<_>>()
        });
        for RejectedSetting { name, reason } in fresh {
            self.backend.audit(AuditEvent::SettingRejected { name, reason });
        }
    }

    /// The configuration key, if it is visible, and its effective values by folded name.
    #[allow(clippy::type_complexity)]
    async fn own_values(
        &self,
    ) -> Result<(Option<Guid>, HashMap<String, (ValueType, Vec<u8>)>), Error> {
        let mut values = HashMap::new();
        let mut place = self.hive_root(&self.key_name("Machine")?)?;
        for name in REGISTRY {
            match self.child(&place, &self.key_name(name)?).await? {
                Some(record) => place = place.child(&record),
                None => return Ok((None, values)),
            }
        }
        let mut listing = ValueListing::new(place.site, place.key, None);
        while let Some(value) = self.next_value(&mut listing).await? {
            if let Some(value_type) = ValueType::from_code(value.value_type) {
                values.insert(value.name.folded, (value_type, value.data));
            }
        }
        Ok((Some(place.key), values))
    }
}
