//! What LCS keeps in the registry for itself: the skeleton of `Machine`, its configuration, users' keys.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::call::RejectedSetting;
use lcs_abi::rsi::KeyRecord;
use lcs_abi::value::ValueType;

use super::Registry;
use super::backend::{AuditEvent, Backend};
use super::error::Error;
use super::hives::SlotId;
use super::open::Place;
use super::structure::NewKey;
use super::values::ValueListing;
use crate::model::name::KeyName;
use crate::security::Token;

/// Where LCS's configuration is, below `Machine`.
const REGISTRY: [&str; 2] = ["System", "Registry"];

/// The keys that LCS makes under `Machine\System\Registry` if they are missing.
const CHILDREN: [&str; 3] = ["Layers", "Scopes", "PendingDeletion"];

impl<B: Backend> Registry<B> {
    /// Makes what is missing of LCS's own keys, and reads the configuration.
    pub(super) async fn machine_arrived(&self) {
        if let Err(error) = self.make_own_keys().await {
            log::error!("LCS's own keys in Machine could not all be made: {error}");
        }
        self.read_settings().await;
    }

    async fn make_own_keys(&self) -> Result<(), Error> {
        let root = self.hive_root(&self.key_name("Machine")?)?;
        let record = self.read_key(root.slot, root.key).await?;
        let (mut place, mut record) = (root, record);
        for name in REGISTRY {
            (place, record) = self.own_child(&place, &record, &self.key_name(name)?).await?;
        }
        for name in CHILDREN {
            self.own_child(&place, &record, &self.key_name(name)?).await?;
        }
        Ok(())
    }

    /// The child of this name, made as SYSTEM and in `base` if it is not visible.
    async fn own_child(
        &self,
        parent: &Place,
        parent_record: &KeyRecord,
        name: &KeyName,
    ) -> Result<(Place, KeyRecord), Error> {
        let record = match self.child(parent, name).await? {
            Some(record) => record,
            None => {
                let layer = self.layer(None);
                let new = NewKey { name, layer, volatile: false, token: Token::system() };
                // Boxed, because creating a key can lead here again: it may change the settings.
                alloc::boxed::Box::pin(self.create_child(parent, parent_record, new)).await?.0
            }
        };
        Ok((parent.child(&record), record))
    }

    /// Makes a user's key under `Users` if it is not there.
    pub(super) async fn user_key(&self, users: &Place, user: &KeyName) -> Result<(), Error> {
        if self.child(users, user).await?.is_none() {
            let record = self.read_key(users.slot, users.key).await?;
            self.own_child(users, &record, user).await?;
        }
        Ok(())
    }

    /// Keys came or went at this depth of a hive (a hive's root has depth 1).
    pub(super) async fn structure_changed(&self, slot: SlotId, depth: usize) {
        if depth <= REGISTRY.len() + 1 && self.machine() == Some(slot) {
            self.read_settings().await;
        }
    }

    /// Values of a key changed.
    pub(super) async fn values_changed(&self, slot: SlotId, key: Guid) {
        let own = self.with(|state| state.settings_key == Some(key));
        if own && self.machine() == Some(slot) {
            self.read_settings().await;
        }
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
        let mut listing = ValueListing::new(place.slot, place.key, None);
        while let Some(value) = self.next_value(&mut listing).await? {
            if let Some(value_type) = ValueType::from_code(value.value_type) {
                values.insert(value.name.folded, (value_type, value.data));
            }
        }
        Ok((Some(place.key), values))
    }
}
