//! What LCS keeps in the registry for itself: the skeleton of `Machine`, its configuration, users' keys.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::call::RejectedSetting;
use lcs_abi::value::ValueType;
use lcs_abi::watch::{Event, EventKind};

use super::backend::{AuditEvent, Backend};
use super::effects::Plan;
use super::error::{Error, NotFound};
use super::open::Place;
use super::settings::Setting;
use super::structure::{Maker, NewKey};
use super::values::ValueListing;
use super::watches::{Watcher, WatcherId};
use super::{Registry, State};
use crate::model::name::{KeyName, fold};
use crate::security::{SecurityDescriptor, Sid, Token, private_to};

/// Where LCS's configuration is, below `Machine`.
pub(super) const REGISTRY: [&str; 2] = ["System", "Registry"];

/// Below `Machine\System\Registry`: the layers, the scopes that can be joined, the layers whose entries some
/// hive may still have.
pub(super) const LAYERS: &str = "Layers";
pub(super) const SCOPES: &str = "Scopes";
pub(super) const PENDING_DELETION: &str = "PendingDeletion";

/// LCS's own keys in `Machine`. They stay while `Machine` is in service: nobody deletes or hides them.
#[derive(Clone, Debug)]
pub(super) struct OwnKeys {
    pub(super) system: Guid,
    pub(super) registry: Place,
    pub(super) layers: Place,
    pub(super) scopes: Place,
    pub(super) pending_deletion: Place,
}

impl OwnKeys {
    /// Whether a key is one of them.
    pub(super) fn contains(&self, key: Guid) -> bool {
        let places = [&self.registry, &self.layers, &self.scopes, &self.pending_deletion];
        self.system == key || places.iter().any(|place| place.key == key)
    }
}

/// What a commit changed of LCS's own keys.
#[derive(Debug, Default)]
pub(super) struct OwnChanges {
    /// Settings may be others.
    settings: bool,
    /// Folded names of layers whose metadata changed; `None`: any.
    layers: Option<Vec<String>>,
    /// Folded names that came to or went from the list of deletions, or may have.
    pub(super) pending: Vec<(String, bool)>,
}

impl OwnChanges {
    /// What these events say.
    fn of(events: &[Event]) -> OwnChanges {
        let mut changes = OwnChanges { layers: Some(Vec::new()), ..OwnChanges::default() };
        for event in events {
            let mut path = event.path.split('\\');
            let first = path.next().filter(|first| !first.is_empty()).map(fold);
            let (second, deeper) = (path.next(), path.next().is_some());
            match (EventKind::from_code(event.kind), first) {
                (Some(EventKind::Overflow), _) => {
                    changes.settings = true;
                    changes.layers = None;
                }
                (Some(EventKind::ValueSet | EventKind::ValueDeleted), None) => {
                    changes.settings = true;
                }
                (Some(kind), Some(first)) if first == fold(LAYERS) && !deeper => {
                    let child = matches!(kind, EventKind::SubkeyCreated | EventKind::SubkeyDeleted);
                    let layer = match second {
                        None => child.then(|| fold(&event.name)),
                        Some(layer) => (!child).then(|| fold(layer)),
                    };
                    if let (Some(names), Some(layer)) = (&mut changes.layers, layer)
                        && !names.contains(&layer)
                    {
                        names.push(layer);
                    }
                }
                (Some(kind), Some(first))
                    if first == fold(PENDING_DELETION) && second.is_none() =>
                {
                    match kind {
                        EventKind::SubkeyCreated => changes.pending.push((fold(&event.name), true)),
                        EventKind::SubkeyDeleted => {
                            changes.pending.push((fold(&event.name), false));
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        changes
    }

    fn changes_layers(&self) -> bool {
        self.layers.as_ref().is_none_or(|names| !names.is_empty())
    }
}

impl State {
    /// LCS's own keys.
    ///
    /// # Errors
    /// `NotFound`: `Machine` was not in service yet.
    pub(super) fn own_keys(&self) -> Result<&OwnKeys, Error> {
        self.own.as_deref().ok_or(Error::NotFound(NotFound::Hive))
    }

    /// Whether a key is one of LCS's own.
    pub(super) fn is_own(&self, key: Guid) -> bool {
        self.own.as_ref().is_some_and(|own| own.contains(key))
    }
}

impl<B: Backend> Registry<B> {
    /// Makes what is missing of LCS's own keys, and reads configuration and layers.
    pub(super) async fn machine_arrived(&self) {
        // Clients do not find `Machine` before all of this is done.
        self.find_own_keys(true).await;
        self.read_own_keys().await;
    }

    /// Looks for LCS's own keys anew, and may make those that are missing. False: they are not all there, and those
    /// that are known stay so.
    pub(super) async fn find_own_keys(&self, make: bool) -> bool {
        let own = match self.own_keys(make).await {
            Ok(Some(own)) => own,
            Ok(None) => return false,
            Err(error) => {
                log::error!("LCS's own keys in Machine could not all be had: {error}");
                return false;
            }
        };
        let (slot, registry) = (own.registry.site.slot, own.registry.key);
        self.with(|state| {
            let watcher = Watcher::own(slot, registry, own.system);
            state.watches.arm(WatcherId::Own, watcher);
            state.own = Some(Rc::new(own));
        });
        self.earlier_steps(slot).await;
        true
    }

    /// Reads configuration and layers, and brings them into force.
    pub(super) async fn read_own_keys(&self) {
        self.read_settings().await;
        if let Err(error) = self.read_pending_deletions().await {
            log::error!("the list of deletions could not be read: {error}");
        }
        self.layers_changed(None, None).await;
    }

    /// LCS's own keys, as they are found; those that are missing are made, or else there are none.
    async fn own_keys(&self, make: bool) -> Result<Option<OwnKeys>, Error> {
        let machine = self.machine().ok_or(Error::NotFound(NotFound::Hive))?;
        let child = async |parent: &Place, name: &str, private: bool| {
            let name = self.key_name(name)?;
            if make {
                let sd = private.then(|| private_to(Sid::SYSTEM, Sid::SYSTEM)).transpose()?;
                return self.own_child(parent, &name, sd.as_ref()).await.map(Some);
            }
            Ok(self.child(parent, &name).await?.map(|record| parent.child(&record)))
        };
        let mut registry = self.root_of(machine, &Rc::default())?;
        let mut system = registry.key;
        for name in REGISTRY {
            system = registry.key;
            let Some(below) = child(&registry, name, false).await? else { return Ok(None) };
            registry = below;
        }
        let layers = child(&registry, LAYERS, false).await?;
        let scopes = child(&registry, SCOPES, true).await?;
        let pending_deletion = child(&registry, PENDING_DELETION, true).await?;
        Ok(match (layers, scopes, pending_deletion) {
            (Some(layers), Some(scopes), Some(pending_deletion)) => {
                Some(OwnKeys { system, registry, layers, scopes, pending_deletion })
            }
            _ => None,
        })
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
                let maker = Maker::Lcs(sd);
                let new = NewKey { name, volatile: false, link: None, maker };
                // Boxed, because creating a key can lead here again: it may change the settings.
                Box::pin(self.create_child(parent, new)).await?.into_record()
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

    /// A commit changed LCS's own keys, as these events say; what else it has to tell is in `plan`.
    pub(super) async fn own_changed(&self, events: Vec<Event>, plan: Plan) {
        let changes = OwnChanges::of(&events);
        self.with(|state| {
            for (name, is_pending) in &changes.pending {
                if *is_pending {
                    state.pending_deletion.insert(name.clone());
                } else {
                    state.pending_deletion.remove(name);
                }
            }
        });
        let plan = if changes.changes_layers() {
            Some(plan)
        } else {
            self.tell(&plan);
            None
        };
        if changes.layers.is_none()
            && let Err(error) = self.read_pending_deletions().await
        {
            log::error!("the list of deletions could not be read: {error}");
        }
        if changes.settings {
            self.read_settings().await;
        }
        if plan.is_some() {
            self.layers_changed(changes.layers, plan).await;
        }
    }

    /// The folded names of layers whose metadata these events say has changed; `None`: any.
    pub(super) fn layers_in(events: &[Event]) -> Option<Vec<String>> {
        OwnChanges::of(events).layers
    }

    /// Reads LCS's configuration and brings it into force. If it cannot be read all stays as it is.
    async fn read_settings(&self) {
        let _one_at_a_time = self.reading_settings.lock().await;
        let values = match self.own_values().await {
            Ok(found) => found,
            Err(error) => {
                log::error!("the configuration could not be read: {error}");
                return;
            }
        };
        // What may be asked, and so what is answered, may be otherwise.
        self.step_generations();
        let fresh = self.with(|state| {
            let rejected = state.settings.update(&values);
            self.cache.set_limit(state.settings.size(Setting::CacheBytes));
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

    /// The effective values of the configuration key by folded name.
    async fn own_values(&self) -> Result<HashMap<String, (ValueType, Vec<u8>)>, Error> {
        let mut values = HashMap::new();
        let registry = self.with(|state| state.own_keys().map(|own| own.registry.clone()))?;
        let mut listing = ValueListing::new(registry.site, &registry.view, registry.key, None);
        while let Some(value) = self.next_value(&mut listing).await? {
            if let Some(value_type) = ValueType::from_code(value.value_type) {
                values.insert(value.name.folded, (value_type, value.data));
            }
        }
        Ok(values)
    }
}
