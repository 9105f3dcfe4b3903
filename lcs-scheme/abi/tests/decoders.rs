//! Every decoder takes any bytes: it decodes them or says that they are malformed.

use lcs_abi::call::{
    Becomes, CREATE_VOLATILE, CacheStatus, ChangeKeys, ChangeValues, Counts, DeleteValue, Derive,
    EnumSubkeys, EnumSubkeysAnswer, GetSecurity, GetSecurityAnswer, Guard, Guarded, HiveState,
    HiveStatus, KeyChange, KeyDetails, KeyInfoAnswer, LayerOnly, LayerStatus, NamedValue, Op,
    QueryValue, QueryValueAnswer, QueryValues, QueryValuesAnswer, RejectedSetting, SetSecurity,
    SetTombstone, SetValue, SetValueAnswer, SourceStatus, StatusAnswer, StatusDetails,
    StoreCopyAnswer, Subkey, TransactionState, TransactionStatusAnswer, Unhide, ValueChange,
};
use lcs_abi::rsi::{
    Answer, BlanketEntry, Changes, ClaimedHive, Condition, FOLD_VERSION, FRAME_HEADER, FromSource,
    KeyRecord, LayerPosition, Mutation, Name, PathEntry, RSI_VERSION, Received, Recovery, Refusal,
    RegisteredHive, Request, RequestHeader, SourceError, Target, ToSource, ValueEntry,
    ValuePosition, decode_to_source, frame, request_frame, split_frame,
};
use lcs_abi::{Guid, Malformed, decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Calls a generic function for every type of message, in both directions.
macro_rules! for_every_message {
    ($function:ident($bytes:expr)) => {
        for_every_message!($function($bytes):
            Derive, QueryValue, QueryValues, SetValue, DeleteValue, SetTombstone, LayerOnly,
            ChangeKeys, ChangeValues, EnumSubkeys, Unhide, GetSecurity, SetSecurity, QueryValueAnswer, QueryValuesAnswer,
            SetValueAnswer, EnumSubkeysAnswer, KeyInfoAnswer, GetSecurityAnswer, StatusAnswer,
            StoreCopyAnswer,
            FromSource, ToSource, RequestHeader, Request)
    };
    ($function:ident($bytes:expr): $($message:ty),*) => { $($function::<$message>($bytes);)* };
}

/// Decodes bytes as one kind of message. What was understood is understood alike when it is said again.
fn decodes<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = decode::<T>(bytes) {
        assert_eq!(decode::<T>(&encode(&message)), Ok(message));
    }
}

fn decodes_everything(bytes: &[u8]) {
    for_every_message!(decodes(bytes));
    if let Ok(Received::Request(header, request)) = decode_to_source(bytes) {
        let again = request_frame(header, &request);
        let again = decode_to_source(&again[FRAME_HEADER..]);
        assert_eq!(again, Ok(Received::Request(header, request)));
    }
}

/// Takes frames off, as both ends of a connection do.
fn splits(mut bytes: &[u8], max_frame: u32) {
    while let Ok(Some((contents, rest))) = split_frame(bytes, max_frame) {
        assert!(contents.len() <= max_frame as usize);
        assert_eq!(contents.len() + rest.len() + FRAME_HEADER, bytes.len());
        decodes_everything(contents);
        bytes = rest;
    }
}

const KEY: Guid = Guid([3; 16]);

fn name() -> Name {
    Name { display: "Na\u{ef}ve".into(), folded: "na\u{ef}ve".into() }
}

fn key_record() -> KeyRecord {
    KeyRecord {
        key: KEY,
        parent: Guid([1; 16]),
        name: name(),
        sd: vec![1, 0, 4, 128],
        volatile: true,
        link: false,
        last_write: -1,
    }
}

/// A message, and whether its encoding is one.
type Encoded = (Vec<u8>, fn(&[u8]) -> bool);

fn sample<T: Serialize + DeserializeOwned>(message: T) -> Encoded {
    (encode(&message), |bytes| decode::<T>(bytes).is_ok())
}

fn calls() -> Vec<Encoded> {
    let text = || String::from("text");
    let layer = || Some(text());
    let open = Derive::OpenKey { path: text(), access: u32::MAX, flags: 1 };
    let create = Derive::CreateKey {
        path: text(),
        access: 1,
        layer: layer(),
        flags: CREATE_VOLATILE,
        link_target: layer(),
    };
    let view = Derive::View { scopes: vec![KEY], private_layers: vec![text()], sealed: true };
    let restrict = Derive::Restrict { access: 1, layers: Some(vec![text()]) };
    let set = SetValue {
        name: text(),
        value_type: 0xFFFF,
        data: vec![0; 300],
        layer: None,
        expected_sequence: Some(u64::MAX),
    };
    vec![
        sample(open),
        sample(create),
        sample(view),
        sample(restrict),
        sample(Derive::Restore),
        sample(QueryValue { name: text() }),
        sample(QueryValues { cursor: Some(text()) }),
        sample(set),
        sample(DeleteValue { name: text(), layer: layer() }),
        sample(SetTombstone { name: text(), layer: layer() }),
        sample(ChangeValues {
            changes: vec![
                ValueChange {
                    name: text(),
                    to: Becomes::Value { value_type: 1, data: vec![0; 300] },
                },
                ValueChange { name: text(), to: Becomes::Absent },
            ],
            layer: layer(),
        }),
        sample(Derive::ChangeKeys(ChangeKeys {
            keys: vec![
                KeyChange { path: text(), ..KeyChange::default() },
                KeyChange {
                    path: text(),
                    volatile: true,
                    values: vec![ValueChange { name: text(), to: Becomes::Tombstone }],
                },
            ],
            layer: layer(),
        })),
        sample(Guarded {
            answer: SetValueAnswer { sequence: 9 },
            guard: Some(Guard { slot: 1, generation: 7 }),
        }),
        sample(LayerOnly { layer: layer() }),
        sample(EnumSubkeys { cursor: None, counts: true }),
        sample(Unhide { child: text(), layer: layer() }),
        sample(GetSecurity { parts: 15 }),
        sample(SetSecurity { parts: 4, sd: vec![1; 20] }),
    ]
}

fn call_answers() -> Vec<Encoded> {
    let text = || String::from("text");
    let counts = Counts { subkeys: 1, values: u64::MAX };
    let value = NamedValue {
        name: text(),
        value_type: 1,
        data: vec![7; 9],
        sequence: 1 << 40,
        layer: text(),
    };
    let subkey = Subkey {
        name: text(),
        last_write: i64::MIN,
        counts: Some(counts),
        link: true,
        volatile: false,
    };
    let details = KeyDetails {
        name: text(),
        path: text(),
        guid: KEY,
        last_write: 1,
        counts,
        max_subkey_name: 1,
        max_value_name: 2,
        max_value_data: 3,
        volatile: false,
        link: true,
        sd_size: 4,
        generation: 5,
    };
    let hive = HiveStatus { name: text(), scope: Some(KEY), state: HiveState::Down, generation: 1 };
    let source =
        SourceStatus { hives: vec![text()], in_flight: 1, waiting: 2, late_answers: u64::MAX };
    let status = StatusDetails {
        sources: vec![source],
        layers: vec![LayerStatus { name: text(), precedence: u32::MAX, enabled: false }],
        rejected_settings: vec![RejectedSetting { name: text(), reason: text() }],
        handles: 1,
        transactions: 4,
        bound_transactions: 3,
        next_sequence: 2,
        cache: CacheStatus { hits: 1, misses: 2, entries: 3, bytes: 4, limit: 5 },
    };
    vec![
        sample(QueryValueAnswer { value_type: 3, data: vec![1], sequence: 9, layer: text() }),
        sample(QueryValuesAnswer { values: vec![value], next: Some(text()), generation: 7 }),
        sample(SetValueAnswer { sequence: u64::MAX }),
        sample(StoreCopyAnswer { number: u32::MAX }),
        sample(EnumSubkeysAnswer { subkeys: vec![subkey], next: None, generation: 7 }),
        sample(KeyInfoAnswer { created: true, access: 1, details: Some(details) }),
        sample(GetSecurityAnswer { sd: vec![1; 20] }),
        sample(TransactionStatusAnswer {
            state: TransactionState::Unknown,
            hive: Some(text()),
            bytes: 9,
        }),
        sample(StatusAnswer { version: text(), hives: vec![hive], details: Some(status) }),
    ]
}

fn path_entry() -> PathEntry {
    let target = Target::Key(KEY);
    PathEntry { parent: KEY, name: name(), layer: name(), target, sequence: 1 }
}

fn value_entry() -> ValueEntry {
    let (value_type, data) = (1, vec![5; 130]);
    ValueEntry { key: KEY, name: name(), layer: name(), value_type, data, sequence: 2 }
}

fn blanket_entry() -> BlanketEntry {
    BlanketEntry { key: KEY, layer: name(), sequence: 3 }
}

fn mutations() -> Vec<Mutation> {
    let (parent, key, text) = (KEY, KEY, || String::from("text"));
    vec![
        Mutation::CreateKey(key_record()),
        Mutation::WriteKey { key, sd: Some(vec![1]), last_write: None },
        Mutation::SetEntry { parent, name: name(), layer: name(), target: Target::Hidden },
        Mutation::DeleteEntry { parent, name: text(), layer: text() },
        Mutation::SetValue { key, name: name(), layer: name(), value_type: 1, data: vec![1; 200] },
        Mutation::DeleteValue { key, name: text(), layer: text() },
        Mutation::SetBlanket { key, layer: name() },
        Mutation::ClearBlanket { key, layer: text() },
        Mutation::RemoveSubtree { key },
        Mutation::RestoreKey(key_record()),
        Mutation::RestoreEntry(path_entry()),
        Mutation::RestoreValue(value_entry()),
        Mutation::RestoreBlanket(blanket_entry()),
    ]
}

fn requests() -> Vec<Request> {
    let (key, parent, layer) = (KEY, KEY, || String::from("base"));
    let conditions = vec![
        Condition::ValueIs { key, name: layer(), layer: layer(), sequence: Some(1) },
        Condition::EntryIs { parent, name: layer(), layer: layer(), target: None },
        Condition::KeyExists { key },
    ];
    let after = Some(ValuePosition { name: layer(), layer: Some(layer()) });
    let position = Some(LayerPosition::Value(key, layer()));
    vec![
        Request::Lookup { parent, name: layer() },
        Request::EnumChildren { parent, after: Some(layer()), bytes: u32::MAX },
        Request::ReadKey { key },
        Request::QueryValue { key, name: layer(), after_layer: None },
        Request::QueryValues { key, after, bytes: 0 },
        Request::EnumLayer { layer: layer(), after: position, bytes: 9 },
        Request::Apply {
            conditions,
            changes: Changes::Mutations(mutations()),
            first_sequence: u64::MAX,
        },
        Request::Outcome { first_sequence: 1 },
        Request::Stage { stage: 1, mutations: mutations() },
        Request::Snapshot,
        Request::DropKey { key },
        Request::DeleteLayer { layer: layer() },
        Request::Copy,
    ]
}

fn from_source() -> Vec<FromSource> {
    let hives = vec![ClaimedHive { name: "Machine".into(), scope: Some(KEY) }];
    let blankets = vec![blanket_entry()];
    let answers = [
        Ok(Answer::Entries { entries: vec![path_entry()], keys: vec![key_record()], more: true }),
        Ok(Answer::Values { entries: vec![value_entry()], blankets, more: false }),
        Ok(Answer::Key(key_record())),
        Ok(Answer::Applied { first_sequence: Some(1) }),
        Ok(Answer::Orphans(vec![KEY; 20])),
        Err(SourceError::ConditionFailed(2)),
    ];
    let mut messages: Vec<FromSource> =
        (0..).zip(answers).map(|(id, result)| FromSource::Answer { id, result }).collect();
    messages.extend([
        FromSource::Claim { version: RSI_VERSION, fold_version: FOLD_VERSION, hives },
        FromSource::Register {
            hives: vec![RegisteredHive { root: KEY, max_sequence: u64::MAX }],
            assigns_sequences: false,
            recovered: vec![Recovery {
                hive: 0,
                reason: "torn".into(),
                set_aside: None,
                copy: Some(7),
            }],
        },
        FromSource::Unregister,
        FromSource::Invalidate { hive: 0, keys: Some(vec![KEY]) },
    ]);
    messages
}

fn to_source() -> Vec<ToSource> {
    vec![
        ToSource::Claimed { version: RSI_VERSION, max_frame: 9 << 20, max_value_size: 1 << 20 },
        ToSource::Registered,
        ToSource::Refused(Refusal::Stale),
    ]
}

fn all_samples() -> Vec<Encoded> {
    let mut samples = calls();
    samples.extend(call_answers());
    samples.extend(requests().into_iter().map(sample));
    samples.extend(from_source().into_iter().map(sample));
    samples.extend(to_source().into_iter().map(sample));
    samples
}

/// Frames of both directions, one after the other.
fn all_frames() -> Vec<u8> {
    let header = |id| RequestHeader { id, hive: 0, snapshot: Some(id) };
    let mut frames = Vec::new();
    frames.extend(to_source().iter().flat_map(frame));
    frames.extend(
        (0..).zip(&requests()).flat_map(|(id, request)| request_frame(header(id), request)),
    );
    frames.extend(from_source().iter().flat_map(frame));
    frames
}

#[test]
fn every_message_is_understood_and_no_part_of_one_is_taken_for_it() {
    for (bytes, is_understood) in all_samples() {
        assert!(is_understood(&bytes));
        for cut in 0..bytes.len() {
            assert!(!is_understood(&bytes[..cut]), "{cut} bytes of {bytes:?}");
        }
        let longer = [bytes.as_slice(), b"a later version's"].concat();
        assert!(is_understood(&longer), "what follows is ignored");
        decodes_everything(&bytes);
    }
}

#[test]
fn a_length_beyond_the_message_is_malformed_and_takes_no_memory() {
    // A string, a list of values, and a blob that claim to have 2^63 bytes or items.
    let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3];
    assert_eq!(decode::<QueryValue>(&huge), Err(Malformed));
    assert_eq!(decode::<QueryValuesAnswer>(&huge), Err(Malformed));
    assert_eq!(decode::<GetSecurityAnswer>(&huge), Err(Malformed));
    // 2^32 - 1 of them, which a machine might have room for.
    let large = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1, 2, 3];
    assert_eq!(decode::<QueryValuesAnswer>(&large), Err(Malformed));
    assert_eq!(decode::<GetSecurityAnswer>(&large), Err(Malformed));
    let answer = [&[3, 1, 0, 8][..], &large].concat();
    assert_eq!(decode::<FromSource>(&answer), Err(Malformed));
}

#[test]
fn operations_have_the_numbers_that_they_are_found_by() {
    let known = (0..100).filter_map(|raw| Op::from_raw(raw).map(|op| (raw, op as u64)));
    let known: Vec<(u64, u64)> = known.collect();
    assert!(known.iter().all(|(raw, number)| raw == number));
    assert_eq!(known.len(), 23);
    assert_eq!(Op::from_raw(u64::MAX), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_decoded_or_malformed(bytes in vec(any::<u8>(), 0..300)) {
        decodes_everything(&bytes);
        splits(&bytes, 200);
    }

    #[test]
    fn damaged_messages_are_decoded_or_malformed(
        which in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let samples = all_samples();
        let mut bytes = samples[which.index(samples.len())].0.clone();
        bytes.push(0);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decodes_everything(&bytes);
    }

    #[test]
    fn damaged_frames_are_taken_apart_or_malformed(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        max_frame in prop_oneof![Just(1 << 20), 0..300_u32],
    ) {
        let mut bytes = all_frames();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        splits(&bytes, max_frame);
    }
}
