//! What the keys under `Layers` say.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use futures_util::StreamExt;
use futures_util::stream;
use lcs_abi::BASE_LAYER;
use lcs_abi::call::RejectedSetting;
use lcs_abi::rsi::{KeyRecord, PathEntry, Target, ValueEntry};
use lcs_abi::value::ValueType;

use super::super::Registry;
use super::super::backend::{AuditEvent, Backend};
use super::super::error::Error;
use super::super::open::Place;
use super::super::reading::Site;
use super::super::values::ValueListing;
use crate::model::layer::{Layer, LayerTable};
use crate::model::name::KeyName;
use crate::security::{SecurityDescriptor, Sid};

/// The folded name of the value that says how a layer ranks.
pub(in super::super) const PRECEDENCE: &str = "precedence";
const ENABLED: &str = "enabled";
const OWNER: &str = "owner";

/// How many layers are read at once.
const READ_AT_ONCE: usize = 64;

/// The values of a layer's metadata key, as far as they are there.
#[derive(Debug, Default)]
pub(in super::super) struct Metadata {
    precedence: Option<Result<u32, String>>,
    enabled: Option<Result<bool, String>>,
    owner: Option<Result<Sid, String>>,
}

impl Metadata {
    /// Takes one of the key's effective values.
    pub(in super::super) fn take(&mut self, value: &ValueEntry) {
        let value_type = ValueType::from_code(value.value_type);
        match value.name.folded.as_str() {
            PRECEDENCE => self.precedence = Some(dword(value_type, &value.data)),
            ENABLED => {
                self.enabled = Some(match dword(value_type, &value.data) {
                    Ok(0) => Ok(false),
                    Ok(1) => Ok(true),
                    Ok(number) => Err(format!("{number} is not in 0..=1")),
                    Err(reason) => Err(reason),
                });
            }
            OWNER => {
                let sid = Sid::from_bytes(&value.data).ok();
                let sid = sid.filter(|_| value_type == Some(ValueType::Binary));
                self.owner = Some(sid.ok_or_else(|| "not a SID as BINARY".into()));
            }
            _ => {}
        }
    }

    /// The precedence, if the layer has a valid one.
    pub(in super::super) fn precedence(&self) -> Option<u32> {
        self.precedence.as_ref()?.as_ref().ok().copied()
    }

    /// The layer of a metadata key. What is invalid stays as it was.
    pub(in super::super) fn layer(
        &self,
        name: KeyName,
        record: &KeyRecord,
        sd: SecurityDescriptor,
        known: Option<&Layer>,
    ) -> Layer {
        let known = known.filter(|known| known.key == record.key);
        let creator = sd.owner.unwrap_or(Sid::SYSTEM);
        let valid = |found: Option<&Result<u32, String>>| match found {
            None => Some(0),
            Some(found) => found.as_ref().ok().copied(),
        };
        let last = |of: fn(&Layer) -> u32| known.map_or(0, of);
        Layer {
            name,
            precedence: valid(self.precedence.as_ref())
                .unwrap_or_else(|| last(|layer| layer.precedence)),
            enabled: match &self.enabled {
                None => true,
                Some(Ok(enabled)) => *enabled,
                Some(Err(_)) => known.is_none_or(|known| known.enabled),
            },
            owner: match &self.owner {
                None => creator,
                Some(Ok(owner)) => *owner,
                Some(Err(_)) => known.map_or(creator, |known| known.owner),
            },
            key: record.key,
            sd: Rc::new(sd),
        }
    }

    fn rejected(&self, layer: &str) -> Vec<RejectedSetting> {
        let errors = [
            ("Precedence", self.precedence.as_ref().and_then(|found| found.as_ref().err())),
            ("Enabled", self.enabled.as_ref().and_then(|found| found.as_ref().err())),
            ("Owner", self.owner.as_ref().and_then(|found| found.as_ref().err())),
        ];
        let rejected = errors.into_iter().filter_map(|(name, reason)| {
            Some(RejectedSetting {
                name: format!("Layers\\{layer}\\{name}"),
                reason: reason?.clone(),
            })
        });
        rejected.collect()
    }
}

/// What a value says that is to be a DWORD.
pub(in super::super) fn dword(value_type: Option<ValueType>, data: &[u8]) -> Result<u32, String> {
    match (value_type, <[u8; 4]>::try_from(data)) {
        (Some(ValueType::Dword), Ok(bytes)) => Ok(u32::from_le_bytes(bytes)),
        _ => Err("not a DWORD".into()),
    }
}

impl<B: Backend> Registry<B> {
    /// The table as the metadata say, of these layers (`None`: of all) read anew.
    pub(in super::super) async fn read_table(
        &self,
        names: Option<&[String]>,
    ) -> Result<LayerTable, Error> {
        let place = self.with(|state| state.own_keys().map(|own| own.layers.clone()))?;
        let known = self.with(|state| Rc::clone(&state.layers));
        let records = match names {
            None => self.all_layers(&place).await?,
            Some(names) => {
                let looked_up =
                    names.iter().map(|name| self.layer_record(place.site, &place, name));
                let mut looked_up = stream::iter(looked_up).buffer_unordered(READ_AT_ONCE);
                let mut records = Vec::new();
                while let Some(record) = looked_up.next().await {
                    records.extend(record?);
                }
                records
            }
        };
        let read = records
            .iter()
            .map(async |record| (record, self.read_layer(&place, record, &known).await));
        let mut read = stream::iter(read).buffer_unordered(READ_AT_ONCE);
        let mut layers: Vec<Layer> = Vec::new();
        let mut rejected = Vec::new();
        while let Some((record, found)) = read.next().await {
            match found {
                Ok((layer, of_layer)) => {
                    layers.push(layer);
                    rejected.extend(of_layer);
                }
                // What cannot be read of one layer leaves that one as it is, and the others can change.
                Err(Error::SourceData) => layers.extend(
                    known.get(&record.name.folded).filter(|layer| layer.key == record.key).cloned(),
                ),
                Err(error) => return Err(error),
            }
        }
        if let Some(names) = names {
            let others = known.iter().filter(|layer| {
                let name = layer.name.folded();
                name != BASE_LAYER && !names.iter().any(|other| other == name)
            });
            layers.extend(others.cloned());
        }
        self.reject(names, rejected);
        LayerTable::new(layers).ok_or(Error::Invalid("base is a name"))
    }

    /// The metadata key of a layer, by its folded name.
    pub(in super::super) async fn layer_record(
        &self,
        site: Site,
        layers: &Place,
        name: &str,
    ) -> Result<Option<KeyRecord>, Error> {
        let mut found = self.lookup_folded(site, layers.key, name).await?;
        let key = found.entries.iter().find_map(metadata_key);
        Ok(key.and_then(|key| found.keys.remove(&key)))
    }

    async fn all_layers(&self, layers: &Place) -> Result<Vec<KeyRecord>, Error> {
        let (mut records, mut after) = (Vec::new(), None);
        loop {
            let mut page = self.children(layers.site, layers.key, after.as_deref()).await?;
            let keys = page.entries.iter().filter_map(metadata_key);
            records.extend(keys.filter_map(|key| page.keys.remove(&key)));
            after = page.next;
            if after.is_none() {
                return Ok(records);
            }
        }
    }

    async fn read_layer(
        &self,
        layers: &Place,
        record: &KeyRecord,
        known: &LayerTable,
    ) -> Result<(Layer, Vec<RejectedSetting>), Error> {
        let metadata = self.metadata(layers.site, layers, record).await?;
        let sd = self.descriptor(layers.site.slot, record)?;
        let name = KeyName::new(&record.name.display, usize::MAX)?;
        let rejected = metadata.rejected(name.display());
        let known = known.get(name.folded());
        Ok((metadata.layer(name, record, sd, known), rejected))
    }

    /// What the effective values of a metadata key say, as they are seen at this site.
    pub(in super::super) async fn metadata(
        &self,
        site: Site,
        layers: &Place,
        record: &KeyRecord,
    ) -> Result<Metadata, Error> {
        let mut metadata = Metadata::default();
        let mut listing = ValueListing::new(site, &layers.view, record.key, None);
        while let Some(value) = self.next_value(&mut listing).await? {
            metadata.take(&value);
        }
        Ok(metadata)
    }

    /// Records which metadata are invalid, those that are new in the log, too.
    fn reject(&self, names: Option<&[String]>, rejected: Vec<RejectedSetting>) {
        let fresh = self.with(|state| {
            let of_read = |setting: &RejectedSetting| {
                let layer = setting.name.split('\\').nth(1).map(crate::model::name::fold);
                names.is_none_or(|names| layer.is_some_and(|layer| names.contains(&layer)))
            };
            let known = state.rejected_metadata.clone();
            state.rejected_metadata.retain(|setting| !of_read(setting));
            state.rejected_metadata.extend(rejected.iter().cloned());
            rejected.into_iter().filter(|setting| !known.contains(setting)).collect::<Vec<_>>()
        });
        for RejectedSetting { name, reason } in fresh {
            self.backend.audit(AuditEvent::SettingRejected { name, reason });
        }
    }
}

/// The metadata key that an entry under `Layers` names: only that in `base` counts, and `base` itself has none.
fn metadata_key(entry: &PathEntry) -> Option<lcs_abi::Guid> {
    match entry.target {
        Target::Key(key) if entry.layer.folded == BASE_LAYER && entry.name.folded != BASE_LAYER => {
            Some(key)
        }
        _ => None,
    }
}
