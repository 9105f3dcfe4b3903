//! Watches while others write: whoever reads a value after arming a watch learns of whatever becomes of it.

use std::collections::BTreeMap;

use futures_executor::block_on;
use futures_util::future::{join, join_all};
use lcs_abi::call::{
    Becomes, ChangeValues, DeleteValue, Derive, QueryValues, SetTombstone, SetValue, ValueChange,
};
use lcs_abi::watch::{EventKind, NOTIFY_ALL, Notify, decode_events};
use lcs_core::registry::{Error, HandleId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::Client;
use crate::common::client::{ROOM, in_layer, layer, open_key, system};

const KEYS: [&str; 2] = ["Test\\p", "Test\\p\\q"];
const NAMES: [&str; 3] = ["", "a", "b"];
const LAYERS: [&str; 4] = ["base", "role", "policy", "off"];

/// What a writer does. Keys, names and layers are given by number.
#[derive(Clone, Debug)]
enum Act {
    Set {
        key: usize,
        name: usize,
        layer: usize,
    },
    Mask {
        key: usize,
        name: usize,
        layer: usize,
    },
    Unset {
        key: usize,
        name: usize,
        layer: usize,
    },
    Blanket {
        key: usize,
        layer: usize,
        set: bool,
    },
    /// Values at once; nothing, a mask, or a value each.
    Several {
        key: usize,
        layer: usize,
        changes: Vec<(usize, u8)>,
    },
    Enable {
        layer: usize,
        enabled: bool,
    },
    Rank {
        layer: usize,
        precedence: u32,
    },
    Transaction(Vec<Act>),
}

fn written() -> impl Strategy<Value = Act> {
    let name = || (0..KEYS.len(), 0..NAMES.len(), 0..LAYERS.len());
    prop_oneof![
        5 => name().prop_map(|(key, name, layer)| Act::Set { key, name, layer }),
        1 => name().prop_map(|(key, name, layer)| Act::Mask { key, name, layer }),
        3 => name().prop_map(|(key, name, layer)| Act::Unset { key, name, layer }),
        1 => (0..KEYS.len(), 0..LAYERS.len(), any::<bool>())
            .prop_map(|(key, layer, set)| Act::Blanket { key, layer, set }),
        2 => (0..KEYS.len(), 0..LAYERS.len(), vec((0..NAMES.len(), 0..3_u8), 1..4))
            .prop_map(|(key, layer, changes)| Act::Several { key, layer, changes }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => written(),
        1 => (1..LAYERS.len(), any::<bool>())
            .prop_map(|(layer, enabled)| Act::Enable { layer, enabled }),
        1 => (1..LAYERS.len(), 0..3_u32)
            .prop_map(|(layer, precedence)| Act::Rank { layer, precedence }),
        2 => vec(written(), 1..5).prop_map(Act::Transaction),
    ]
}

/// An effective value: its layer and sequence number.
type Found = BTreeMap<(usize, String), (String, u64)>;

struct Stage {
    client: Client,
    keys: Vec<HandleId>,
    layers: Vec<Option<HandleId>>,
}

impl Stage {
    fn new(delays: Vec<u8>) -> Stage {
        let table = [layer("role", 0, true), layer("policy", 2, true), layer("off", 1, false)];
        let (client, _source) = Client::with_hive(table);
        let keys = KEYS.iter().map(|path| client.create(path).unwrap()).collect();
        let metadata =
            |name: &&str| client.open(&format!("Machine\\System\\Registry\\Layers\\{name}")).ok();
        let layers = LAYERS.iter().map(metadata).collect();
        client.world.set_delays(delays);
        Stage { client, keys, layers }
    }

    async fn act(&self, act: &Act) -> Result<(), Error> {
        match act {
            Act::Transaction(acts) => self.commit(acts).await,
            Act::Enable { layer, enabled } => {
                self.set_metadata(*layer, "Enabled", (*enabled).into()).await
            }
            Act::Rank { layer, precedence } => {
                self.set_metadata(*layer, "Precedence", *precedence).await
            }
            written => self.write(&self.keys, written).await,
        }
    }

    async fn set_metadata(&self, layer: usize, name: &str, number: u32) -> Result<(), Error> {
        let key = self.layers[layer].expect("a layer with metadata");
        let request = SetValue {
            name: name.into(),
            value_type: 4,
            data: number.to_le_bytes().into(),
            layer: None,
            expected_sequence: None,
        };
        self.client.registry.set_value(key, request).await.map(drop)
    }

    async fn commit(&self, acts: &[Act]) -> Result<(), Error> {
        let registry = &self.client.registry;
        let transaction = registry.derive(None, &system(), Derive::BeginTransaction).await?;
        let mut keys = Vec::new();
        for path in KEYS {
            keys.push(registry.derive(Some(transaction), &system(), open_key(path)).await?);
        }
        for act in acts {
            self.write(&keys, act).await?;
        }
        let committed = registry.commit(transaction).await;
        for handle in keys.into_iter().chain([transaction]) {
            registry.close(handle).await;
        }
        committed
    }

    async fn write(&self, keys: &[HandleId], act: &Act) -> Result<(), Error> {
        let registry = &self.client.registry;
        let layer = |layer: usize| Some(LAYERS[layer].to_string());
        match *act {
            Act::Several { key, layer: number, ref changes } => {
                let change = |(name, to): &(usize, u8)| ValueChange {
                    name: NAMES[*name].into(),
                    to: match to {
                        0 => Becomes::Absent,
                        1 => Becomes::Tombstone,
                        _ => Becomes::Value { value_type: 3, data: Vec::new() },
                    },
                };
                let changes = changes.iter().map(change).collect();
                let request = ChangeValues { changes, layer: layer(number) };
                registry.change_several(keys[key], request).await.map(drop)
            }
            Act::Set { key, name, layer: number } => {
                let request = SetValue {
                    name: NAMES[name].into(),
                    value_type: 3,
                    data: Vec::new(),
                    layer: layer(number),
                    expected_sequence: None,
                };
                registry.set_value(keys[key], request).await.map(drop)
            }
            Act::Mask { key, name, layer: number } => {
                let request = SetTombstone { name: NAMES[name].into(), layer: layer(number) };
                registry.set_tombstone(keys[key], request).await
            }
            Act::Unset { key, name, layer: number } => {
                let request = DeleteValue { name: NAMES[name].into(), layer: layer(number) };
                registry.delete_value(keys[key], request).await
            }
            Act::Blanket { key, layer, set: true } => {
                registry.set_blanket(keys[key], in_layer(Some(LAYERS[layer]))).await
            }
            Act::Blanket { key, layer, set: false } => {
                registry.clear_blanket(keys[key], in_layer(Some(LAYERS[layer]))).await
            }
            Act::Enable { .. } | Act::Rank { .. } | Act::Transaction(_) => Ok(()),
        }
    }

    /// All effective values.
    async fn read(&self) -> Found {
        let mut found = Found::new();
        for (number, key) in self.keys.iter().enumerate() {
            let request = QueryValues { cursor: None };
            let page = self.client.registry.query_values(*key, request, ROOM).await;
            for value in page.expect("an open key").answer.values {
                found.insert((number, value.name), (value.layer, value.sequence));
            }
        }
        found
    }

    /// Arms a watch on both keys and reads what is there.
    async fn observe(&self, wait: u8) -> (HandleId, Found) {
        for _ in 0..wait {
            self.read().await;
        }
        let registry = &self.client.registry;
        let handle =
            registry.derive(None, &system(), open_key(KEYS[0])).await.expect("it is there");
        let request = Notify { filter: NOTIFY_ALL, subtree: true };
        registry.notify(handle, request).await.expect("it is named");
        (handle, self.read().await)
    }

    /// What a watch told last of each name; nothing if some of it is not known.
    fn told(&self, handle: HandleId) -> Option<BTreeMap<(usize, String), EventKind>> {
        let events = self.client.registry.read_events(handle, ROOM).expect("an armed watch");
        let mut told = BTreeMap::new();
        for event in decode_events(&events).expect("whole records") {
            let kind = EventKind::from_code(event.kind).expect("a known kind");
            if kind == EventKind::Overflow {
                return None;
            }
            told.insert((usize::from(!event.path.is_empty()), event.name), kind);
        }
        Some(told)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_that_becomes_of_a_value_that_was_read_after_arming_is_missed(
        delays in vec(0..6_u8, 1..40),
        writers in vec(vec(act(), 1..8), 2..5),
        observers in vec(0..4_u8, 1..4),
    ) {
        let stage = Stage::new(delays);
        let writers = join_all(writers.iter().map(async |acts| {
            for act in acts {
                stage.act(act).await.expect("a source that works");
            }
        }));
        let observers = join_all(observers.iter().map(|wait| stage.observe(*wait)));
        let (_, observed) = block_on(join(writers, observers));
        let last = block_on(stage.read());
        for (handle, first) in observed {
            let Some(told) = stage.told(handle) else { continue };
            for (key, name) in (0..KEYS.len()).flat_map(|key| NAMES.map(|name| (key, name))) {
                let at = (key, name.to_string());
                let expected = match last.get(&at) {
                    Some(_) => EventKind::ValueSet,
                    None => EventKind::ValueDeleted,
                };
                let changed = first.get(&at) != last.get(&at);
                match told.get(&at) {
                    None => prop_assert!(!changed, "nothing was told of {at:?}"),
                    Some(kind) => prop_assert_eq!(*kind, expected, "{:?}", at),
                }
            }
        }
    }
}
