//! LCS's own configuration: the values of `Machine\System\Registry` (DESIGN §12).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::value::ValueType;

use crate::model::fold;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// How long a caller waits for a source, in milliseconds.
    RequestTimeoutMs,
    /// How long a transaction lives without an operation, in milliseconds.
    TransactionTimeoutMs,
    /// Events that wait in a watch.
    NotificationQueueSize,
    /// Links followed in one resolution.
    SymlinkDepthLimit,
    /// Data of a value, in bytes.
    MaxValueSize,
    /// Components of a path.
    MaxKeyDepth,
    /// A name, in bytes of UTF-8.
    MaxPathComponentLength,
    /// A path, in bytes of UTF-8.
    MaxTotalPathLength,
    /// Layers with an entry for one value.
    MaxLayersPerValue,
    /// Layers in the table.
    MaxTotalLayers,
    /// Transactions bound to one source.
    MaxBoundTransactionsPerSource,
    /// A transaction's write set, in bytes.
    MaxTransactionBytes,
    /// Handles of one user.
    MaxHandlesPerUser,
    /// Transactions of one user.
    MaxTransactionsPerUser,
    /// Write sets, restores and events of one user, in bytes.
    MaxQueuedBytesPerUser,
    /// Snapshots of one source.
    MaxReadOnlyTransactionsPerSource,
    /// Connected sources.
    MaxRegisteredSources,
    /// Hives of one source.
    MaxHivesPerSource,
    /// Requests that one source has not answered yet.
    MaxConcurrentRSIRequests,
    /// Private hives' scopes of one view.
    MaxScopeGUIDsPerToken,
    /// Private layers of one view.
    MaxPrivateLayersPerToken,
    /// How deep a subtree watch looks; 0 is no limit.
    MaxSubtreeWatchDepth,
    /// Events for one watcher from one transaction.
    MaxTransactionWatchEventBurst,
    /// Memory for what sources said, in bytes.
    CacheBytes,
}

/// What is compiled in for a setting.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    setting: Setting,
    /// The value's name.
    pub name: &'static str,
    /// The value's type, DWORD or QWORD.
    pub value_type: ValueType,
    /// What counts if the value is not there.
    pub default: u64,
    /// The smallest valid number.
    pub min: u64,
    /// The greatest valid number.
    pub max: u64,
}

const fn dword(
    setting: Setting,
    name: &'static str,
    default: u64,
    min: u64,
    max: u64,
) -> Definition {
    Definition { setting, name, value_type: ValueType::Dword, default, min, max }
}

const COUNT: usize = 24;

/// In the order of [`Setting`].
const DEFINITIONS: [Definition; COUNT] = {
    use Setting::*;
    [
        dword(RequestTimeoutMs, "RequestTimeoutMs", 30_000, 1000, 600_000),
        dword(TransactionTimeoutMs, "TransactionTimeoutMs", 30_000, 1000, 600_000),
        dword(NotificationQueueSize, "NotificationQueueSize", 256, 16, 65_536),
        dword(SymlinkDepthLimit, "SymlinkDepthLimit", 16, 1, 64),
        dword(MaxValueSize, "MaxValueSize", 1_048_576, 4096, 67_108_864),
        dword(MaxKeyDepth, "MaxKeyDepth", 512, 32, 4096),
        dword(MaxPathComponentLength, "MaxPathComponentLength", 255, 64, 1024),
        dword(MaxTotalPathLength, "MaxTotalPathLength", 16_383, 1024, 65_535),
        dword(MaxLayersPerValue, "MaxLayersPerValue", 128, 1, 1024),
        dword(MaxTotalLayers, "MaxTotalLayers", 1024, 16, 65_536),
        dword(MaxBoundTransactionsPerSource, "MaxBoundTransactionsPerSource", 1024, 1, 65_536),
        dword(MaxTransactionBytes, "MaxTransactionBytes", 67_108_864, 65_536, 1_073_741_824),
        dword(MaxHandlesPerUser, "MaxHandlesPerUser", 65_536, 64, 1_048_576),
        dword(MaxTransactionsPerUser, "MaxTransactionsPerUser", 64, 1, 65_536),
        dword(
            MaxQueuedBytesPerUser,
            "MaxQueuedBytesPerUser",
            134_217_728,
            1_048_576,
            4_294_967_295,
        ),
        dword(MaxReadOnlyTransactionsPerSource, "MaxReadOnlyTransactionsPerSource", 16, 1, 256),
        dword(MaxRegisteredSources, "MaxRegisteredSources", 32, 1, 256),
        dword(MaxHivesPerSource, "MaxHivesPerSource", 64, 1, 1024),
        dword(MaxConcurrentRSIRequests, "MaxConcurrentRSIRequests", 256, 8, 4096),
        dword(MaxScopeGUIDsPerToken, "MaxScopeGUIDsPerToken", 8, 1, 256),
        dword(MaxPrivateLayersPerToken, "MaxPrivateLayersPerToken", 16, 1, 256),
        dword(MaxSubtreeWatchDepth, "MaxSubtreeWatchDepth", 0, 0, 4096),
        dword(MaxTransactionWatchEventBurst, "MaxTransactionWatchEventBurst", 4096, 256, 65_536),
        Definition {
            setting: CacheBytes,
            name: "CacheBytes",
            value_type: ValueType::Qword,
            default: 33_554_432,
            min: 1_048_576,
            max: 4_294_967_296,
        },
    ]
};

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    values: [u64; COUNT],
}

/// A value that is no valid setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The value's name.
    pub name: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { values: core::array::from_fn(|index| DEFINITIONS[index].default) }
    }
}

impl Settings {
    /// What is compiled in for all settings, so that the manual can be compared with it.
    pub fn definitions() -> &'static [Definition] {
        &DEFINITIONS
    }

    /// The value of a setting.
    pub fn get(&self, setting: Setting) -> u64 {
        self.values[setting as usize]
    }

    /// The value of a setting that bounds memory of this machine.
    pub fn size(&self, setting: Setting) -> usize {
        usize::try_from(self.get(setting)).unwrap_or(usize::MAX)
    }

    /// Takes over the values of the configuration key: valid ones come into force, an invalid one leaves
    /// the last good one as it is and is returned, one that is not there returns to its default.
    pub fn update(&mut self, values: &HashMap<String, (ValueType, Vec<u8>)>) -> Vec<Rejected> {
        let mut rejected = Vec::new();
        for definition in &DEFINITIONS {
            let value = &mut self.values[definition.setting as usize];
            match values.get(&fold(definition.name)) {
                None => *value = definition.default,
                Some((value_type, data)) => match definition.parse(*value_type, data) {
                    Ok(valid) => *value = valid,
                    Err(reason) => rejected.push(Rejected { name: definition.name, reason }),
                },
            }
        }
        rejected
    }
}

impl Definition {
    fn parse(&self, value_type: ValueType, data: &[u8]) -> Result<u64, String> {
        let number = match (value_type, data) {
            _ if value_type != self.value_type => None,
            (ValueType::Dword, &[a, b, c, d]) => Some(u32::from_le_bytes([a, b, c, d]).into()),
            (ValueType::Qword, &[a, b, c, d, e, f, g, h]) => {
                Some(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => None,
        };
        let Some(number) = number else {
            let wanted = if self.value_type == ValueType::Qword { "QWORD" } else { "DWORD" };
            return Err(format!("not a {wanted}"));
        };
        if (self.min..=self.max).contains(&number) {
            Ok(number)
        } else {
            Err(format!("{number} is not in {}..={}", self.min, self.max))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(&str, ValueType, &[u8])]) -> HashMap<String, (ValueType, Vec<u8>)> {
        list.iter().map(|(name, kind, data)| (fold(name), (*kind, data.to_vec()))).collect()
    }

    #[test]
    fn every_definition_stands_at_its_place_and_its_default_is_in_range() {
        for (index, definition) in DEFINITIONS.iter().enumerate() {
            assert_eq!(definition.setting as usize, index);
            assert!((definition.min..=definition.max).contains(&definition.default));
            assert_eq!(format!("{:?}", definition.setting), definition.name);
        }
    }

    #[test]
    fn a_valid_value_comes_into_force_and_its_removal_brings_the_default_back() {
        let mut settings = Settings::default();
        let written = values(&[("maxkeydepth", ValueType::Dword, &[32, 0, 0, 0])]);
        assert_eq!(settings.update(&written), []);
        assert_eq!(settings.get(Setting::MaxKeyDepth), 32);
        assert_eq!(settings.update(&HashMap::new()), []);
        assert_eq!(settings.get(Setting::MaxKeyDepth), 512);
    }

    #[test]
    fn a_bad_value_keeps_the_last_good_one_and_is_never_clamped() {
        let mut settings = Settings::default();
        settings.update(&values(&[("MaxKeyDepth", ValueType::Dword, &[64, 0, 0, 0])]));
        let bad: [(ValueType, &[u8]); 4] = [
            (ValueType::Dword, &[1, 0, 0, 0]),
            (ValueType::Dword, &[64, 0, 0]),
            (ValueType::Qword, &[64, 0, 0, 0, 0, 0, 0, 0]),
            (ValueType::Sz, b"64"),
        ];
        for (value_type, data) in bad {
            let rejected = settings.update(&values(&[("MaxKeyDepth", value_type, data)]));
            assert_eq!(rejected.len(), 1);
            assert_eq!(rejected[0].name, "MaxKeyDepth");
            assert_eq!(settings.get(Setting::MaxKeyDepth), 64);
        }
    }

    #[test]
    fn the_cache_size_is_a_qword() {
        let mut settings = Settings::default();
        let two_gib = (2_u64 << 30).to_le_bytes();
        assert_eq!(settings.update(&values(&[("CacheBytes", ValueType::Qword, &two_gib)])), []);
        assert_eq!(settings.get(Setting::CacheBytes), 2 << 30);
    }
}
